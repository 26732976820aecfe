//! What a text of the workload is, told from the text alone: the sampler's first sieve.

use std::collections::{BTreeMap, BTreeSet};

use pg_query::protobuf::CmdType;
use serde_json::Value;

use super::analyzer::is_single_plannable;
use super::parse::{self, Lexeme, NodeEnum, Outline, Token};
use super::scope::{system_relation, system_schema};
use super::{StatementKind, Unanalyzable};

/// The comment that every statement of ours carries.
pub const MARKER: &str = "/* pgwright */";

/// What `pg_stat_statements` and `pg_stat_activity` put in place of a text that the role may not see.
const HIDDEN: &str = "<insufficient privilege>";

/// What a text of the workload is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Class {
    /// One SELECT, INSERT, UPDATE or DELETE that reads or writes something beside system catalogs.
    Statement {
        /// Its kind.
        kind: StatementKind,
        /// Its [`fingerprint`](super::fingerprint).
        fingerprint: String,
    },
    /// `COPY … FROM`: not planned, but it writes rows.
    CopyInto {
        /// Schema, if written.
        schema: Option<String>,
        /// Table.
        table: String,
    },
    /// DDL, SET, transaction control, MERGE …; the words that name it. Also several statements in one text.
    Utility(String),
    /// It names system relations only.
    CatalogOnly,
    /// Ours.
    Own,
    /// Hidden from this role.
    InsufficientPrivilege,
    /// Cut off.
    Truncated,
    /// The grammar refuses it, for this reason.
    Unparsable(String),
}

/// Tells what a text is.
pub fn classify(text: &str) -> Class {
    classify_within(text, None)
}

/// Tells what a text is, where texts longer than `size_max` bytes are known to be cut
/// (`track_activity_query_size` less one, for texts out of `pg_stat_activity`).
pub fn classify_within(text: &str, size_max: Option<usize>) -> Class {
    if text.trim() == HIDDEN {
        return Class::InsufficientPrivilege;
    }
    if text.contains(MARKER) {
        return Class::Own;
    }
    if size_max.is_some_and(|size| text.len() >= size) {
        return Class::Truncated;
    }
    let outline = match parse::outline(text) {
        Ok(outline) => outline,
        Err(Unanalyzable::Syntax(message)) if cut_off(text, &message) => return Class::Truncated,
        Err(reason) => return Class::Unparsable(reason.to_string()),
    };
    match kind(text, &outline) {
        Ok(_) if catalog_only(&outline) => Class::CatalogOnly,
        Ok(_) if journal_only(&outline) => Class::Own,
        Ok(kind) => match parse::fingerprint(text) {
            Ok(fingerprint) => Class::Statement { kind, fingerprint },
            Err(reason) => Class::Unparsable(reason.to_string()),
        },
        Err(Unanalyzable::NotOne(0)) => Class::Unparsable("is empty".to_owned()),
        Err(Unanalyzable::NotOne(count)) => Class::Utility(format!("{count} statements in one")),
        Err(Unanalyzable::Kind(_))
            if outline.kinds.first().is_some_and(|kind| kind == "CopyStmt") =>
        {
            copy(text)
        }
        Err(Unanalyzable::Kind(words)) => Class::Utility(words),
        Err(reason) => Class::Utility(reason.to_string()),
    }
}

/// A relation as a statement names it: its schema, empty where it names none, and its name.
pub type Mention = (String, String);

/// What a statement touches, by the names that it writes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Touched {
    /// Tables and views.
    pub relations: BTreeSet<Mention>,
    /// Whether it writes rows, be it in a common table expression.
    pub writes: bool,
    /// The columns that it sets in rows that are there: by UPDATE, ON CONFLICT DO UPDATE or MERGE.
    pub sets: BTreeMap<Mention, BTreeSet<String>>,
}

/// Tells what a statement touches; nothing for a text that is no statement.
pub fn touched(text: &str) -> Touched {
    let Ok(outline) = parse::outline(text) else { return Touched::default() };
    let writing = ["InsertStmt", "UpdateStmt", "DeleteStmt", "MergeStmt"];
    let writes = outline.kinds.iter().any(|kind| writing.contains(&kind.as_str()));
    let mut sets = BTreeMap::new();
    if writes && let Ok(tree) = parse::syntax_tree(text) {
        collect_sets(&tree, &mut sets);
    }
    Touched { relations: outline.tables.into_iter().collect(), writes, sets }
}

/// Collects the columns that are set anywhere in a tree.
fn collect_sets(tree: &Value, sets: &mut BTreeMap<Mention, BTreeSet<String>>) {
    match tree {
        Value::Array(items) => items.iter().for_each(|item| collect_sets(item, sets)),
        Value::Object(fields) => {
            for (kind, node) in fields {
                let lists: Vec<&Value> = match kind.as_str() {
                    "UpdateStmt" => vec![&node["target_list"]],
                    "InsertStmt" => vec![&node["on_conflict_clause"]["target_list"]],
                    "MergeStmt" => {
                        let clauses = node["merge_when_clauses"].as_array().into_iter().flatten();
                        let clauses = clauses.map(|clause| &clause["node"]["MergeWhenClause"]);
                        let updates = |clause: &&Value| {
                            clause["command_type"].as_i64() == Some(CmdType::CmdUpdate as i64)
                        };
                        clauses.filter(updates).map(|clause| &clause["target_list"]).collect()
                    }
                    _ => Vec::new(),
                };
                let columns = lists.into_iter().filter_map(Value::as_array).flatten();
                let name = |target: &Value| {
                    target["node"]["ResTarget"]["name"].as_str().map(str::to_owned)
                };
                let columns: BTreeSet<String> = columns.filter_map(name).collect();
                if !columns.is_empty() {
                    let part =
                        |name: &str| node["relation"][name].as_str().unwrap_or_default().to_owned();
                    sets.entry((part("schemaname"), part("relname"))).or_default().extend(columns);
                }
                collect_sets(node, sets);
            }
        }
        _ => {}
    }
}

/// The kind of a text that is one plannable statement. The tree is built only where the outline leaves doubt:
/// a second statement, or an INTO.
fn kind(text: &str, outline: &Outline) -> Result<StatementKind, Unanalyzable> {
    let tokens = parse::tokens(text)?;
    let comment = |token: &&Lexeme| !matches!(token.token, Token::SqlComment | Token::CComment);
    let last = tokens.iter().rev().find(comment).map(|token| token.start);
    let doubtful = |token: &Lexeme| match token.token {
        Token::Into => true,
        Token::Ascii59 => Some(token.start) != last,
        _ => false,
    };
    Ok(match outline.kinds.first().map(String::as_str) {
        Some("InsertStmt") if !tokens.iter().any(|token| token.token == Token::Ascii59) => {
            StatementKind::Insert
        }
        _ if tokens.iter().any(doubtful) => return is_single_plannable(text),
        Some("SelectStmt") => StatementKind::Select,
        Some("UpdateStmt") => StatementKind::Update,
        Some("DeleteStmt") => StatementKind::Delete,
        _ => return is_single_plannable(text),
    })
}

/// Whether all relations are the system's, and there is one.
fn catalog_only(outline: &Outline) -> bool {
    let system = |(schema, name): &(String, String)| {
        if schema.is_empty() { system_relation(name) } else { system_schema(schema) }
    };
    !outline.tables.is_empty() && outline.tables.iter().all(system)
}

/// Whether all relations are those of the journal, which people look at and write to.
fn journal_only(outline: &Outline) -> bool {
    !outline.tables.is_empty() && outline.tables.iter().all(|(schema, _)| schema == "pgwright")
}

/// What a COPY is.
fn copy(text: &str) -> Class {
    if let Ok(NodeEnum::CopyStmt(copy)) = parse::statement(text)
        && let (true, Some(range)) = (copy.is_from, &copy.relation)
    {
        let schema = (!range.schemaname.is_empty()).then(|| range.schemaname.clone());
        return Class::CopyInto { schema, table: range.relname.clone() };
    }
    Class::Utility("COPY".to_owned())
}

/// Whether the parser's complaint is about the end of the text, as it is when the rest is missing.
fn cut_off(text: &str, message: &str) -> bool {
    if message.contains("at end of input") || message.contains("unterminated") {
        return true;
    }
    let near = message.split_once("at or near \"").and_then(|(_, near)| near.strip_suffix('"'));
    near.is_some_and(|near| text.trim_end().ends_with(near))
}

/// The words that name a statement which is never planned by us.
pub(super) fn kind_words(statement: &NodeEnum) -> String {
    let words = match statement {
        NodeEnum::MergeStmt(_) => "MERGE",
        NodeEnum::CopyStmt(_) => "COPY",
        NodeEnum::TransactionStmt(_) => "transaction control",
        NodeEnum::VariableSetStmt(_) => "SET",
        NodeEnum::VariableShowStmt(_) => "SHOW",
        NodeEnum::ExplainStmt(_) => "EXPLAIN",
        NodeEnum::PrepareStmt(_) => "PREPARE",
        NodeEnum::ExecuteStmt(_) => "EXECUTE",
        NodeEnum::DeallocateStmt(_) => "DEALLOCATE",
        NodeEnum::DeclareCursorStmt(_) => "DECLARE CURSOR",
        NodeEnum::FetchStmt(_) => "FETCH",
        NodeEnum::ClosePortalStmt(_) => "CLOSE",
        NodeEnum::CreateTableAsStmt(_) => "CREATE TABLE AS",
        NodeEnum::CreateStmt(_) => "CREATE TABLE",
        NodeEnum::IndexStmt(_) => "CREATE INDEX",
        NodeEnum::ViewStmt(_) => "CREATE VIEW",
        NodeEnum::AlterTableStmt(_) => "ALTER TABLE",
        NodeEnum::DropStmt(_) => "DROP",
        NodeEnum::TruncateStmt(_) => "TRUNCATE",
        NodeEnum::VacuumStmt(_) => "VACUUM or ANALYZE",
        NodeEnum::ReindexStmt(_) => "REINDEX",
        NodeEnum::RefreshMatViewStmt(_) => "REFRESH MATERIALIZED VIEW",
        NodeEnum::LockStmt(_) => "LOCK",
        NodeEnum::CallStmt(_) => "CALL",
        NodeEnum::DoStmt(_) => "DO",
        NodeEnum::GrantStmt(_) | NodeEnum::GrantRoleStmt(_) => "GRANT or REVOKE",
        NodeEnum::ListenStmt(_) | NodeEnum::UnlistenStmt(_) | NodeEnum::NotifyStmt(_) => {
            "LISTEN or NOTIFY"
        }
        NodeEnum::DiscardStmt(_) => "DISCARD",
        NodeEnum::CheckPointStmt(_) => "CHECKPOINT",
        _ => "a utility statement",
    };
    words.to_owned()
}

#[cfg(test)]
mod tests {
    use super::{Class, classify, classify_within};
    use crate::statement::StatementKind;

    fn utility(words: &str) -> Class {
        Class::Utility(words.to_owned())
    }

    #[test]
    fn statements_are_told_by_kind() {
        for (text, expected) in [
            ("SELECT * FROM orders WHERE id = $1", StatementKind::Select),
            ("WITH a AS (SELECT 1) INSERT INTO t SELECT * FROM a", StatementKind::Insert),
            ("UPDATE t SET a = $1 WHERE b = $2", StatementKind::Update),
            ("DELETE FROM t", StatementKind::Delete),
            ("TABLE t", StatementKind::Select),
        ] {
            let Class::Statement { kind, fingerprint } = classify(text) else { panic!("{text}") };
            assert_eq!(kind, expected, "{text}");
            assert_eq!(fingerprint, crate::statement::fingerprint(text).unwrap());
        }
    }

    #[test]
    fn what_is_never_planned_is_named() {
        assert_eq!(classify("BEGIN"), utility("transaction control"));
        assert_eq!(
            classify("MERGE INTO t USING s ON t.id = s.id WHEN MATCHED THEN DELETE"),
            utility("MERGE")
        );
        assert_eq!(classify("COPY t TO STDOUT"), utility("COPY"));
        assert_eq!(classify("SELECT * INTO n FROM t"), utility("creates a table (SELECT INTO)"));
        assert_eq!(classify("SELECT 1; SELECT 2"), utility("2 statements in one"));
        assert_eq!(classify(""), Class::Unparsable("is empty".to_owned()));
    }

    #[test]
    fn copied_rows_name_their_table() {
        let into = |schema: Option<&str>| Class::CopyInto {
            schema: schema.map(str::to_owned),
            table: "Orders".to_owned(),
        };
        assert_eq!(classify("COPY shop.\"Orders\" (id) FROM STDIN"), into(Some("shop")));
        assert_eq!(classify("COPY \"Orders\" FROM STDIN WITH (FORMAT binary)"), into(None));
    }

    #[test]
    fn system_catalogs_are_set_apart() {
        assert_eq!(
            classify(
                "SELECT relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
            ),
            Class::CatalogOnly
        );
        assert_eq!(
            classify("SELECT table_name FROM information_schema.tables WHERE table_schema = $1"),
            Class::CatalogOnly
        );
        assert_eq!(
            classify("WITH x AS (SELECT 1 FROM pg_stat_activity) SELECT * FROM x"),
            Class::CatalogOnly
        );
        for text in
            ["SELECT 1 FROM pg_class c, orders o", "SELECT 1 FROM pg_search_documents", "SELECT 1"]
        {
            assert!(matches!(classify(text), Class::Statement { .. }), "{text}");
        }
        assert!(matches!(
            classify("SELECT 1 FROM pg_class WHERE EXISTS (SELECT 1 FROM orders)"),
            Class::Statement { .. }
        ));
    }

    #[test]
    fn ours_hidden_and_cut_texts_are_told() {
        assert_eq!(classify("SELECT /* pgwright */ 1"), Class::Own);
        assert_eq!(classify("UPDATE pgwright.\"Control\" SET \"paused\" = true"), Class::Own);
        let both = "SELECT 1 FROM pgwright.\"Actions\", orders";
        assert!(matches!(classify(both), Class::Statement { .. }));
        assert_eq!(classify("<insufficient privilege>"), Class::InsufficientPrivilege);
        for cut in [
            "SELECT * FROM orders WHERE",
            "SELECT * FROM t WHERE a = 1 AN",
            "SELECT 'abc",
            "SELECT f(a, b",
        ] {
            assert_eq!(classify(cut), Class::Truncated, "{cut}");
        }
        assert_eq!(classify_within("SELECT * FROM orders", Some(20)), Class::Truncated);
        assert!(matches!(
            classify_within("SELECT * FROM orders", Some(21)),
            Class::Statement { .. }
        ));
        assert!(matches!(classify("SELEC a FROM b WHERE c = 1"), Class::Unparsable(_)));
    }
}
