//! From what was seen running to the statements worth thinking about, with every one left out counted.

mod files;
mod log;

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use crate::quote::{ident, qualified};
use crate::snapshot::{Example, Intake, LeftOut, Statement};
pub use files::{WorkloadError, WorkloadFile, take_in_files};
pub use log::{LogFile, add_calls};

use crate::statement::{Class, FileStatement, classify, split};

/// Most examples kept of one statement: enough for skew to show, few enough for a small snapshot.
pub const EXAMPLES_MAX: usize = 5;

/// One entry of `pg_stat_statements`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
pub struct RawEntry {
    /// `queryid`; `None` where it is hidden from the role that looks.
    pub queryid: Option<i64>,
    /// Name of the role that ran it.
    pub role: Option<String>,
    /// The normalized text; `None` when `pg_stat_statements` lost it.
    pub text: Option<String>,
    /// Executions.
    pub calls: u64,
    /// Total execution time in milliseconds, planning left out.
    pub total_ms: f64,
    /// Rows returned or affected by all executions.
    pub rows: u64,
    /// Shared blocks hit and read by all executions.
    pub blocks: u64,
    /// Whether a client sent it, and not a function.
    pub toplevel: bool,
}

/// Which statements are worth thinking about.
#[derive(Clone, Debug, PartialEq)]
pub struct Thresholds {
    /// At most this many statements, those with the most total time.
    pub limit: usize,
    /// Fewer calls than this are left out. Statements from files are not held to it.
    pub min_calls: u64,
    /// Less mean time than this, in milliseconds, is left out. Statements from files are not held to it.
    pub min_mean_ms: f64,
}

/// What the statements of one role are planned under.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Surroundings {
    /// The schemas in which names resolve.
    pub search_path: Vec<String>,
    /// Planner settings that are others than of the role that looks, by name.
    pub settings: BTreeMap<String, String>,
}

/// What the statements of each role are planned under.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Roles {
    /// Of every role that is not named.
    pub default: Surroundings,
    /// Of roles with some of their own.
    pub by_role: BTreeMap<String, Surroundings>,
}

impl Roles {
    /// What the statements of a role are planned under.
    pub fn of(&self, role: Option<&str>) -> &Surroundings {
        role.and_then(|role| self.by_role.get(role)).unwrap_or(&self.default)
    }
}

/// Entries of one statement, summed up.
#[derive(Default)]
struct Merged {
    entries: u64,
    queryids: BTreeSet<i64>,
    calls_by_role: BTreeMap<String, u64>,
    text: String,
    text_ms: f64,
    calls: u64,
    total_ms: f64,
    rows: u64,
    blocks: u64,
}

impl Merged {
    fn add(&mut self, text: String, entry: RawEntry) {
        if self.entries == 0 || entry.total_ms > self.text_ms {
            (self.text, self.text_ms) = (text, entry.total_ms);
        }
        self.entries += 1;
        self.queryids.extend(entry.queryid);
        if let Some(role) = entry.role {
            *self.calls_by_role.entry(role).or_default() += entry.calls;
        }
        self.calls += entry.calls;
        self.total_ms += entry.total_ms;
        self.rows += entry.rows;
        self.blocks += entry.blocks;
    }

    /// The reason to leave it out, if there is one.
    fn too_little(&self, thresholds: &Thresholds) -> Option<LeftOut> {
        if self.calls < thresholds.min_calls {
            Some(LeftOut::FewCalls)
        } else if self.total_ms / (self.calls.max(1) as f64) < thresholds.min_mean_ms {
            Some(LeftOut::FastEnough)
        } else {
            None
        }
    }

    fn into_statement(self, id: String, roles: &Roles, notes: &mut Vec<String>) -> Statement {
        let most = self.calls_by_role.values().max().copied();
        let role = self
            .calls_by_role
            .iter()
            .find(|(_, calls)| Some(**calls) == most)
            .map(|(role, _)| role.clone());
        let under = roles.of(role.as_deref()).clone();
        let others = |differs: &dyn Fn(&Surroundings) -> bool| {
            let others =
                self.calls_by_role.keys().filter(|other| differs(roles.of(Some(other.as_str()))));
            others.map(String::as_str).collect::<Vec<_>>().join(", ")
        };
        if let Some(role) = &role {
            let paths = others(&|other| other.search_path != under.search_path);
            if !paths.is_empty() {
                notes.push(format!(
                    "statement {id} is looked at under the search_path of {role}; {paths} ran it under another"
                ));
            }
            let settings = others(&|other| other.settings != under.settings);
            if !settings.is_empty() {
                notes.push(format!(
                    "statement {id} is planned under the settings of {role}; {settings} ran it under others"
                ));
            }
        }
        Statement {
            id,
            queryids: self.queryids.into_iter().collect(),
            text: self.text,
            role,
            search_path: under.search_path,
            settings: under.settings,
            calls: self.calls,
            total_ms: Some(self.total_ms),
            rows: Some(self.rows),
            blocks: Some(self.blocks),
            examples: Vec::new(),
        }
    }
}

/// Sums up the entries of `pg_stat_statements` by statement and keeps those worth thinking about.
///
/// Statements that functions run (`toplevel` false) are left out: their time is in the calling statement's
/// already, and a PL/pgSQL body's texts name its variables, which no planner outside knows.
pub fn take_in(
    entries: Vec<RawEntry>,
    thresholds: &Thresholds,
    roles: &Roles,
) -> (Vec<Statement>, Intake) {
    let mut entries = entries;
    // Sums of floating-point numbers depend on their order.
    entries.sort_by(|a, b| {
        (a.queryid, &a.role, &a.text, a.toplevel)
            .cmp(&(b.queryid, &b.role, &b.text, b.toplevel))
            .then(a.total_ms.total_cmp(&b.total_ms))
    });
    let mut intake = Intake {
        source: "pg_stat_statements".to_owned(),
        seen: entries.len() as u64,
        ..Intake::default()
    };
    let seen_ms: f64 = entries.iter().map(|entry| entry.total_ms).sum();
    let mut merged: BTreeMap<String, Merged> = BTreeMap::new();
    for entry in entries {
        match sort_out(entry, &mut intake) {
            Ok((id, text, entry)) => merged.entry(id).or_default().add(text, entry),
            Err(reason) => leave_out(&mut intake, reason, 1),
        }
    }
    let mut kept: Vec<(String, Merged)> = Vec::new();
    for (id, statement) in merged {
        match statement.too_little(thresholds) {
            Some(reason) => leave_out(&mut intake, reason, statement.entries),
            None => kept.push((id, statement)),
        }
    }
    kept.sort_by(|a, b| b.1.total_ms.total_cmp(&a.1.total_ms).then_with(|| a.0.cmp(&b.0)));
    for (_, statement) in kept.drain(kept.len().min(thresholds.limit)..) {
        leave_out(&mut intake, LeftOut::BeyondLimit, statement.entries);
    }
    let kept_ms: f64 = kept.iter().map(|(_, statement)| statement.total_ms).sum();
    intake.kept_share = (seen_ms > 0.0).then(|| (kept_ms / seen_ms).min(1.0));
    let statements = kept
        .into_iter()
        .map(|(id, statement)| statement.into_statement(id, roles, &mut intake.notes))
        .collect();
    (statements, intake)
}

/// Adds real texts, literals and all, to the statements that they are runs of.
///
/// A text with a parameter in it tells no value and is passed over; so is one whose dollar quoting only looks like it.
pub fn add_examples(statements: &mut [Statement], texts: &[String]) {
    let place: BTreeMap<String, usize> = statements
        .iter()
        .enumerate()
        .map(|(place, statement)| (statement.id.clone(), place))
        .collect();
    for text in texts.iter().filter(|text| !names_parameter(text)) {
        for FileStatement { text, .. } in split(text).into_iter().flatten() {
            if let Class::Statement { fingerprint, .. } = classify(&text)
                && let Some(place) = place.get(&fingerprint)
            {
                statements[*place].examples.push(text.into());
            }
        }
    }
    statements.iter_mut().for_each(tidy_examples);
}

fn names_parameter(text: &str) -> bool {
    text.as_bytes().windows(2).any(|pair| pair[0] == b'$' && pair[1].is_ascii_digit())
}

fn tidy_examples(statement: &mut Statement) {
    let mut times: BTreeMap<String, u64> = BTreeMap::new();
    for example in std::mem::take(&mut statement.examples) {
        if example.text != statement.text {
            *times.entry(example.text).or_default() += example.times;
        }
    }
    let examples = times.into_iter().map(|(text, times)| Example { text, times }).collect();
    statement.examples = log::representative(examples, EXAMPLES_MAX);
}

fn leave_out(intake: &mut Intake, reason: LeftOut, entries: u64) {
    *intake.left_out.entry(reason).or_default() += entries;
}

/// The statement that an entry belongs to, or the reason why to none.
fn sort_out(entry: RawEntry, intake: &mut Intake) -> Result<(String, String, RawEntry), LeftOut> {
    let mut entry = entry;
    let text = entry.text.take().ok_or(LeftOut::Truncated)?;
    let class = classify(&text);
    if let Class::CopyInto { schema, table } = &class {
        let name = schema.as_ref().map_or_else(|| ident(table), |schema| qualified(schema, table));
        *intake.copied_rows.entry(name).or_default() += entry.rows;
    }
    match class {
        Class::Statement { fingerprint, .. } if entry.toplevel => Ok((fingerprint, text, entry)),
        Class::Statement { .. } => Err(LeftOut::Nested),
        other => Err(reason(&other).unwrap_or(LeftOut::Unparsable)),
    }
}

/// The reason to leave a text of this class out; `None` for a statement.
fn reason(class: &Class) -> Option<LeftOut> {
    Some(match class {
        Class::Statement { .. } => return None,
        Class::Utility(_) | Class::CopyInto { .. } => LeftOut::Utility,
        Class::CatalogOnly => LeftOut::CatalogOnly,
        Class::Own => LeftOut::Own,
        Class::InsufficientPrivilege => LeftOut::InsufficientPrivilege,
        Class::Truncated => LeftOut::Truncated,
        Class::Unparsable(_) => LeftOut::Unparsable,
    })
}

#[cfg(test)]
mod tests {
    use super::{EXAMPLES_MAX, RawEntry, Roles, Surroundings, Thresholds, add_examples, take_in};
    use crate::snapshot::LeftOut;
    use std::collections::BTreeMap;

    const ALL: Thresholds = Thresholds { limit: usize::MAX, min_calls: 0, min_mean_ms: 0.0 };

    fn entry(queryid: i64, role: &str, text: &str, calls: u64, total_ms: f64) -> RawEntry {
        RawEntry {
            queryid: Some(queryid),
            role: Some(role.to_owned()),
            text: Some(text.to_owned()),
            calls,
            total_ms,
            rows: calls,
            blocks: 10 * calls,
            toplevel: true,
        }
    }

    fn roles() -> Roles {
        let path = |schema: &str| Surroundings {
            search_path: vec![schema.to_owned()],
            settings: BTreeMap::new(),
        };
        let mut bob = path("bob");
        bob.settings.insert("work_mem".to_owned(), "1GB".to_owned());
        Roles { default: path("public"), by_role: [("bob".to_owned(), bob)].into() }
    }

    #[test]
    fn entries_of_one_statement_become_one() {
        let entries = vec![
            entry(3, "bob", "select a from t where b in ($1, $2)", 30, 5.0),
            entry(1, "ann", "SELECT a FROM t WHERE b IN ($1)", 20, 50.0),
            entry(2, "ann", "SELECT a FROM t WHERE b IN ($1)", 5, 1.0),
        ];
        let (statements, intake) = take_in(entries.clone(), &ALL, &roles());
        let [one] = statements.as_slice() else { panic!("{statements:?}") };
        assert_eq!(one.text, "SELECT a FROM t WHERE b IN ($1)", "the text that takes most time");
        assert_eq!(
            (one.calls, one.total_ms, one.rows, one.blocks),
            (55, Some(56.0), Some(55), Some(550))
        );
        assert_eq!(
            (one.role.as_deref(), &one.search_path[..], &one.queryids[..]),
            (Some("bob"), &["bob".to_owned()][..], &[1, 2, 3][..])
        );
        assert!(
            intake.notes[0].contains("search_path of bob; ann ran it under another"),
            "{:?}",
            intake.notes
        );
        assert!(
            intake.notes[1].contains("settings of bob; ann ran it under others"),
            "{:?}",
            intake.notes
        );
        assert_eq!(one.settings, [("work_mem".to_owned(), "1GB".to_owned())].into());
        assert_eq!((intake.seen, intake.kept_share), (3, Some(1.0)));

        let reversed = entries.into_iter().rev().collect();
        assert_eq!(take_in(reversed, &ALL, &roles()), (statements, intake));
    }

    #[test]
    fn every_entry_left_out_is_counted_with_its_reason() {
        let mut nested = entry(1, "ann", "SELECT 1 FROM t", 1, 1.0);
        nested.toplevel = false;
        let mut lost = entry(2, "ann", "", 1, 1.0);
        lost.text = None;
        let cut = format!("SELECT f({} FROM", "a, ".repeat(600));
        let entries = vec![
            nested,
            lost,
            entry(3, "ann", &cut, 1, 1.0),
            entry(4, "ann", "<insufficient privilege>", 1, 1.0),
            entry(5, "ann", "COPY s.t FROM STDIN", 2, 1.0),
            entry(6, "ann", "VACUUM t", 1, 1.0),
            entry(7, "ann", "SELECT /* pgwright */ 1 FROM t", 1, 1.0),
            entry(8, "ann", "SELECT 1 FROM pg_catalog.pg_class", 1, 1.0),
            entry(9, "ann", "SELECT a FROM t", 1, 10.0),
            entry(10, "ann", "SELECT b FROM t", 50, 10.0),
            entry(11, "ann", "SELECT c FROM t", 50, 100.0),
            entry(12, "ann", "SELECT d FROM t", 50, 200.0),
        ];
        let thresholds = Thresholds { limit: 1, min_calls: 2, min_mean_ms: 1.0 };
        let (statements, intake) = take_in(entries, &thresholds, &roles());
        assert_eq!(statements.len(), 1);
        assert_eq!(statements[0].text, "SELECT d FROM t");
        let expected = [
            (LeftOut::InsufficientPrivilege, 1),
            (LeftOut::Truncated, 2),
            (LeftOut::Utility, 2),
            (LeftOut::Own, 1),
            (LeftOut::CatalogOnly, 1),
            (LeftOut::Nested, 1),
            (LeftOut::FewCalls, 1),
            (LeftOut::FastEnough, 1),
            (LeftOut::BeyondLimit, 1),
        ];
        assert_eq!(intake.left_out, expected.into());
        assert_eq!(intake.seen, 12);
        assert_eq!(intake.copied_rows, [("s.t".to_owned(), 2)].into());
        assert!((intake.kept_share.unwrap() - 200.0 / 328.0).abs() < 1e-9);
    }

    #[test]
    fn nothing_seen_is_no_error() {
        let (statements, intake) = take_in(Vec::new(), &ALL, &roles());
        assert!(statements.is_empty());
        assert_eq!((intake.seen, intake.kept_share), (0, None));
    }

    #[test]
    fn examples_are_real_texts_of_the_same_statement() {
        let (mut statements, _) =
            take_in(vec![entry(1, "ann", "SELECT a FROM t WHERE b = $1", 1, 1.0)], &ALL, &roles());
        let mut texts: Vec<String> =
            (0..9).map(|i| format!("SELECT a FROM t WHERE b = {i}")).collect();
        texts.push("SELECT a FROM t WHERE b = $1".to_owned());
        texts.push("BEGIN; SELECT a FROM t WHERE b = -1;".to_owned());
        texts.push("SELECT a FROM u WHERE b = 0".to_owned());
        texts.push("SELECT a FROM t WHERE b = 'open".to_owned());
        texts.push(texts[0].clone());
        add_examples(&mut statements, &texts);
        assert_eq!(statements[0].examples.len(), EXAMPLES_MAX);
        let texts: Vec<&str> =
            statements[0].examples.iter().map(|example| example.text.as_str()).collect();
        assert!(texts.contains(&"SELECT a FROM t WHERE b = 0"), "{texts:?}");
        assert!(!texts.iter().any(|text| text.contains('$')), "{texts:?}");
    }
}
