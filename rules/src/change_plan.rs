//! The frozen list of actions of one run, with their undo, made before anything runs.

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::evidence::Confidence;
use crate::index::IndexDefinition;
use crate::partitions::{self, Part};
use crate::quote::{ident, qualified};
use crate::reach::Reach;
use crate::snapshot::Index;
use crate::statement::fingerprint;
use crate::statement::guard::{Purpose, permitted};
use crate::statistics::StatisticsDefinition;

/// What an action does. The applier renders its SQL from this and from nothing else.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Operation {
    /// `CREATE INDEX CONCURRENTLY`; of a partitioned table, one for each leaf, and then all of them attached.
    CreateIndex {
        /// Name of the new index, unqualified; it holds the first eight digits of the action's key.
        name: String,
        /// What index.
        definition: IndexDefinition,
        /// Of a partitioned table, the indexes on its partitions, parents before their children; empty otherwise.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        parts: Vec<Part>,
    },
    /// `DROP INDEX CONCURRENTLY`.
    DropIndex {
        /// The index as it is, with everything needed to make it again.
        index: Box<Index>,
    },
    /// `ANALYZE`.
    Analyze,
    /// `CREATE STATISTICS`, and the ANALYZE without which they tell nothing.
    CreateStatistics {
        /// Their name, unqualified; it holds the first eight digits of the action's key.
        name: String,
        /// What statistics.
        definition: StatisticsDefinition,
    },
    /// `VACUUM (ANALYZE)`, without cutting off the table's end.
    Vacuum,
}

impl Operation {
    /// `create_index`, `drop_index`, `analyze`, `create_statistics`, `vacuum`: the journal's word for it.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::CreateIndex { .. } => "create_index",
            Self::DropIndex { .. } => "drop_index",
            Self::Analyze => "analyze",
            Self::CreateStatistics { .. } => "create_statistics",
            Self::Vacuum => "vacuum",
        }
    }

    /// The name of the index or statistics that it makes or drops, if it does.
    pub fn object(&self) -> Option<&str> {
        match self {
            Self::CreateIndex { name, .. } | Self::CreateStatistics { name, .. } => Some(name),
            Self::DropIndex { index } => Some(&index.name),
            Self::Analyze | Self::Vacuum => None,
        }
    }
}

/// The table that an action touches.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct TableRef {
    /// Its oid when the snapshot was taken; the applier refuses when the name has another by now.
    pub oid: u32,
    /// Its schema.
    pub schema: String,
    /// Its name.
    pub name: String,
}

impl TableRef {
    /// `schema.name`, quoted where SQL needs it.
    pub fn qualified(&self) -> String {
        qualified(&self.schema, &self.name)
    }
}

/// What an action brings and costs.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Impact {
    /// Milliseconds of database time saved per day, write overhead not subtracted; `None` when not known.
    pub ms_per_day: Option<f64>,
    /// Bytes on disk that it takes (negative: frees); `None` when not known.
    pub bytes: Option<i64>,
    /// Milliseconds per day that writers pay for it (negative: are spared).
    pub write_ms_per_day: f64,
}

/// What an action does for one statement.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Help {
    /// Id of the statement.
    pub statement: String,
    /// Weighted planner cost before.
    pub cost_before: f64,
    /// Weighted planner cost with the action.
    pub cost_after: f64,
    /// The operators before and after, one line each.
    pub plan_before: String,
    /// See `plan_before`.
    pub plan_after: String,
}

/// One action.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Action {
    /// 64 hexadecimal digits: SHA-256 of the canonical operation on its table. Equal actions have equal keys.
    pub key: String,
    /// The rule that it comes from first.
    pub rule: String,
    /// The table.
    pub table: TableRef,
    /// What is done.
    pub operation: Operation,
    /// How far it may go.
    pub reach: Reach,
    /// How sure it is.
    pub confidence: Confidence,
    /// What it brings.
    pub impact: Impact,
    /// What it does for which statement, the most helped first.
    pub helps: Vec<Help>,
    /// What a person runs instead, where one statement does not do it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by_hand: Option<ByHand>,
}

/// Statements that a person runs one after the other, outside of a transaction: the applier does not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ByHand {
    /// What carries the action out.
    pub statements: Vec<String>,
    /// What undoes it.
    pub undo: Vec<String>,
}

impl Action {
    /// Short id for people: the first eight digits of the key.
    pub fn id(&self) -> &str {
        &self.key[..8]
    }

    /// The statements that carry it out, for people: one, those that make the index of a partitioned table, statistics
    /// with the ANALYZE that fills them, or those to be run by hand.
    pub fn statements(&self) -> Vec<String> {
        match (&self.by_hand, &self.operation) {
            (Some(by_hand), _) => by_hand.statements.clone(),
            (None, Operation::CreateIndex { name, definition, parts }) if !parts.is_empty() => {
                partitions::statements(&self.table, name, definition, parts)
            }
            // Statistics tell nothing before the table is analyzed, which the applier does as well.
            (None, Operation::CreateStatistics { .. }) => {
                vec![self.sql(), format!("ANALYZE {}", self.table.qualified())]
            }
            (None, _) => vec![self.sql()],
        }
    }

    /// The statement that carries it out, for people and for the applier alike; of several, the one that names it.
    pub fn sql(&self) -> String {
        match &self.operation {
            Operation::CreateIndex { name, definition, .. } => definition.create(name),
            Operation::DropIndex { index } => {
                format!("DROP INDEX CONCURRENTLY {}", qualified(&index.schema, &index.name))
            }
            Operation::Analyze => format!("ANALYZE {}", self.table.qualified()),
            Operation::CreateStatistics { name, definition } => definition.create(name),
            Operation::Vacuum => {
                format!("VACUUM (ANALYZE, TRUNCATE off, PARALLEL 0) {}", self.table.qualified())
            }
        }
    }

    /// The statements that undo it; empty when nothing needs undoing or nothing can (`ANALYZE`, `VACUUM`).
    pub fn undo(&self) -> Vec<String> {
        if let Some(by_hand) = &self.by_hand {
            return by_hand.undo.clone();
        }
        match &self.operation {
            Operation::CreateIndex { name, parts, .. } => {
                // The index of a partitioned table is not dropped concurrently.
                let concurrently = if parts.is_empty() { "CONCURRENTLY " } else { "" };
                vec![format!("DROP INDEX {concurrently}{}", qualified(&self.table.schema, name))]
            }
            Operation::DropIndex { index } => recreate(index),
            Operation::CreateStatistics { name, .. } => {
                vec![format!("DROP STATISTICS {}", qualified(&self.table.schema, name))]
            }
            Operation::Analyze | Operation::Vacuum => Vec::new(),
        }
    }
}

/// The statements that make a dropped index again with everything that it had.
pub fn recreate(index: &Index) -> Vec<String> {
    remake(index, true)
}

/// The same, without CONCURRENTLY where that is not allowed: for the index of a partitioned table.
pub(crate) fn remake(index: &Index, concurrently: bool) -> Vec<String> {
    let name = qualified(&index.schema, &index.name);
    let create = if concurrently { "INDEX CONCURRENTLY " } else { "INDEX " };
    let definition = index.definition.replacen("INDEX ", create, 1);
    let definition = match &index.tablespace {
        // `TABLESPACE` stands before `WHERE` in the grammar. A literal may hold that word as well.
        Some(space) => {
            let predicate = index.predicate.as_ref().map(|predicate| format!(" WHERE {predicate}"));
            let end = match predicate {
                Some(predicate) if definition.ends_with(&predicate) => {
                    definition.len() - predicate.len()
                }
                Some(_) => definition.rfind(" WHERE ").unwrap_or(definition.len()),
                None => definition.len(),
            };
            let (head, tail) = definition.split_at(end);
            format!("{head} TABLESPACE {}{tail}", ident(space))
        }
        None => definition,
    };
    let mut statements = vec![definition];
    if let Some(comment) = &index.comment {
        statements.push(format!("COMMENT ON INDEX {name} IS {}", crate::quote::literal(comment)));
    }
    for (position, target) in &index.statistics_targets {
        statements
            .push(format!("ALTER INDEX {name} ALTER COLUMN {position} SET STATISTICS {target}"));
    }
    statements
}

/// The frozen list of actions of one run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ChangePlan {
    /// SHA-256 of the snapshot that it was made from.
    pub made_from: String,
    /// The gate: actions below it stay recommendations.
    pub min_confidence: f64,
    /// Actions, the most time saved per day first.
    pub actions: Vec<Action>,
}

impl ChangePlan {
    /// Whether `--apply` carries this action out.
    pub fn passes(&self, action: &Action) -> bool {
        action.reach == Reach::Act && action.confidence.value >= self.min_confidence
    }

    /// The due ANALYZE actions alone. They go first, and then everything is thought over: better statistics can
    /// make an index needless, or trustworthy.
    #[must_use]
    pub fn statistics(&self) -> Self {
        let stale = |action: &&Action| {
            action.operation == Operation::Analyze && action.rule == "stale_statistics"
        };
        Self { actions: self.due().filter(stale).cloned().collect(), ..self.clone() }
    }

    /// The actions that `--apply` carries out, in order.
    pub fn due(&self) -> impl Iterator<Item = &Action> {
        self.actions.iter().filter(|action| self.passes(action))
    }
}

/// The key of an action: SHA-256 over table and canonical operation.
pub fn action_key(table: &TableRef, operation: &str) -> String {
    hex(&Sha256::digest(format!("{}\n{operation}", table.qualified()).as_bytes()))
}

/// SHA-256 of a text, as 64 hexadecimal digits.
pub fn digest(text: &str) -> String {
    hex(&Sha256::digest(text.as_bytes()))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("writing to a string cannot fail");
        text
    })
}

/// Name of a new index: `pgw_<table>_<keys>_<8 digits of the key>`, ASCII, at most 63 bytes, so that the
/// server neither cuts it nor meets it twice.
pub fn index_name(definition: &IndexDefinition, key: &str) -> String {
    let keys = definition.keys.iter().map(|key| match &key.term {
        crate::index::Term::Column(name) | crate::index::Term::Expression(name) => name.as_str(),
    });
    object_name(&definition.table, keys, key)
}

/// Name of new statistics, made as that of an index.
pub fn statistics_name(definition: &StatisticsDefinition, key: &str) -> String {
    object_name(&definition.table, definition.columns.iter().map(String::as_str), key)
}

fn object_name<'a>(table: &str, keys: impl Iterator<Item = &'a str>, key: &str) -> String {
    let plain = |text: &str, longest: usize| -> String {
        let mut out = String::new();
        for c in text.chars() {
            if c.is_ascii_alphanumeric() {
                out.push(c.to_ascii_lowercase());
            } else if !out.ends_with('_') && !out.is_empty() {
                out.push('_');
            }
        }
        out.truncate(longest);
        out.trim_matches('_').to_owned()
    };
    let keys: Vec<&str> = keys.collect();
    format!("pgw_{}_{}_{}", plain(table, 24), plain(&keys.join("_"), 24), &key[..8])
}

/// Whether a name is one that [`index_name`] gives.
pub fn is_index_name(name: &str) -> bool {
    let end = name.strip_prefix("pgw_").and_then(|rest| rest.rsplit_once('_'));
    end.is_some_and(|(_, key)| {
        key.len() == 8 && key.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
    })
}

/// What is wrong with a change plan; an empty list lets it pass. Run before any plan is shown or applied.
pub fn lint(plan: &ChangePlan) -> Vec<String> {
    let mut faults = Vec::new();
    for action in &plan.actions {
        let id = action.id();
        if let Operation::CreateIndex { name, definition, parts } = &action.operation {
            if name.len() > 63 || !name.ends_with(id) || !name.is_ascii() {
                faults.push(format!("action {id}: the name `{name}` could be cut or collide"));
            }
            if (definition.schema.as_str(), definition.table.as_str())
                != (action.table.schema.as_str(), action.table.name.as_str())
            {
                faults.push(format!("action {id}: index and action name different tables"));
            }
            if let (false, Err(reason)) = (parts.is_empty(), partitions::sound(parts)) {
                faults.push(format!("action {id}: {reason}"));
            }
        }
        if let Operation::CreateStatistics { name, definition } = &action.operation {
            if name.len() > 63 || !name.ends_with(id) || !name.is_ascii() {
                faults.push(format!("action {id}: the name `{name}` could be cut or collide"));
            }
            if (&definition.schema, &definition.table) != (&action.table.schema, &action.table.name)
            {
                faults.push(format!("action {id}: statistics and action name different tables"));
            }
        }
        if action.by_hand.is_some() && action.reach != Reach::Advise {
            faults.push(format!("action {id}: would be applied, but can only be done by hand"));
        }
        let several = if action.statements().len() > 1 || action.by_hand.is_some() {
            [action.statements(), action.undo()].concat()
        } else {
            Vec::new()
        };
        for sql in &several {
            if let Err(error) = fingerprint(sql) {
                faults.push(format!("action {id}: the server's parser refuses `{sql}`: {error}"));
            }
        }
        let opinion = match action.operation {
            // The second parser knows neither CREATE STATISTICS nor the options of VACUUM.
            Operation::CreateStatistics { .. } | Operation::Vacuum => {
                permitted(&action.sql(), Purpose::Change).map(drop).map_err(|error| error.0)
            }
            _ => second_opinion(&action.sql()),
        };
        if let Err(error) = opinion {
            faults
                .push(format!("action {id}: a second parser refuses `{}`: {error}", action.sql()));
        }
        if let Operation::DropIndex { index } = &action.operation {
            let keeps = index.unique
                || index.primary
                || index.exclusion
                || index.replica_identity
                || index.clustered
                || index.extension_dependent;
            if action.reach == Reach::Act
                && (keeps || index.constraint.is_some() || !index.required_by.is_empty())
            {
                faults.push(format!(
                    "action {id}: drops {}, which is more than an index",
                    index.name
                ));
            }
        }
    }
    let mut keys: Vec<_> = plan.actions.iter().map(|action| &action.key).collect();
    keys.sort();
    if keys.windows(2).any(|pair| pair[0] == pair[1]) {
        faults.push("an action stands twice in the plan".to_owned());
    }
    faults
}

/// Whether sqlparser, which shares no code with the server's grammar, takes the statement for exactly one. It
/// does not know `DROP INDEX CONCURRENTLY`, so that word is left out for it.
fn second_opinion(sql: &str) -> Result<(), String> {
    let sql = sql.replacen("DROP INDEX CONCURRENTLY ", "DROP INDEX ", 1);
    let dialect = sqlparser::dialect::PostgreSqlDialect {};
    match sqlparser::parser::Parser::parse_sql(&dialect, &sql) {
        Ok(statements) if statements.len() == 1 => Ok(()),
        Ok(statements) => Err(format!("it sees {} statements", statements.len())),
        Err(error) => Err(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::{Operation, index_name, recreate};
    use crate::index::{IndexDefinition, Key};

    #[test]
    fn names_are_ascii_short_and_end_with_the_key() {
        let definition = IndexDefinition {
            schema: "s".into(),
            table: "Ünïcode table with a very long name indeed, really".into(),
            method: "btree".into(),
            keys: vec![Key::column("größe"), Key::column("another_rather_long_column_name")],
            include: vec![],
            predicate: None,
        };
        let name = index_name(&definition, "0123456789abcdef");
        assert!(name.is_ascii() && name.len() <= 63 && name.ends_with("_01234567"), "{name}");
    }

    fn dropped() -> crate::snapshot::Index {
        serde_json::from_value(serde_json::json!({
            "oid": 1, "schema": "public", "name": "i", "method": "btree", "keys": [], "include": [],
            "predicate": "(a > 1)", "definition": "CREATE INDEX i ON public.t USING btree (a) WHERE (a > 1)",
            "unique": false, "primary": false, "exclusion": false, "nulls_not_distinct": false, "valid": true,
            "ready": true, "live": true, "replica_identity": false, "clustered": false, "constraint": null,
            "required_by": [], "partition_of": null, "extension_dependent": false, "tablespace": "fast disk",
            "options": [], "comment": "it's", "statistics_targets": {"1": 500}, "bytes": 0, "scans": 0, "building": false
        }))
        .unwrap()
    }

    #[test]
    fn a_dropped_index_comes_back_with_tablespace_and_comment() {
        let mut index = dropped();
        assert_eq!(
            recreate(&index),
            [
                "CREATE INDEX CONCURRENTLY i ON public.t USING btree (a) TABLESPACE \"fast disk\" WHERE (a > 1)",
                "COMMENT ON INDEX public.i IS 'it''s'",
                "ALTER INDEX public.i ALTER COLUMN 1 SET STATISTICS 500"
            ]
        );
        index.predicate = Some("(a <> ' WHERE ')".into());
        index.definition =
            "CREATE INDEX i ON public.t USING btree (a) WHERE (a <> ' WHERE ')".into();
        assert_eq!(
            recreate(&index)[0],
            "CREATE INDEX CONCURRENTLY i ON public.t USING btree (a) TABLESPACE \"fast disk\" WHERE (a <> ' WHERE ')"
        );
    }

    #[test]
    fn an_operation_survives_its_json() {
        let operation = Operation::DropIndex { index: Box::new(dropped()) };
        let text = serde_json::to_string(&operation).unwrap();
        assert_eq!(serde_json::from_str::<Operation>(&text).unwrap(), operation);
        let value = serde_json::to_value(&operation).unwrap();
        assert_eq!(serde_json::from_value::<Operation>(value).unwrap(), operation);
    }
}
