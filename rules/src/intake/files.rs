//! The workload out of files of SQL.

use std::collections::{BTreeMap, BTreeSet};

use super::{leave_out, names_parameter, reason, tidy_examples};
use crate::snapshot::{Intake, LeftOut, Statement};
use crate::statement::{Class, FileError, FileStatement, Setting, classify, setting, split};

/// Most unreadable statements that are named one by one; the rest is a number.
const NAMED_MAX: usize = 20;

/// A file of SQL statements that stands for the workload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkloadFile {
    /// Its name as the user gave it; messages name it so.
    pub name: String,
    /// What it holds.
    pub text: String,
}

/// Why files of statements are no workload.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WorkloadError {
    /// Nothing in one of them can be read.
    #[error("`{file}` holds no statement that parses; the first, at line {line}: {reason}")]
    NothingParses {
        /// Its name.
        file: String,
        /// Line of its first statement, counted from 1.
        line: usize,
        /// What the grammar says of that.
        reason: String,
    },
    /// They hold no statement to optimize.
    #[error("{files} {} no SELECT, INSERT, UPDATE or DELETE on a table{}", verb(*.count), .left_out)]
    Empty {
        /// Their names.
        files: String,
        /// How many they are.
        count: usize,
        /// What they hold instead, as the end of a sentence.
        left_out: String,
    },
}

fn verb(count: usize) -> &'static str {
    if count == 1 { "holds" } else { "hold" }
}

/// Takes the statements from files instead, as written, each run counted as one call.
///
/// # Errors
/// When nothing in a file parses, and when all of them together hold no statement to optimize.
pub fn take_in_files(
    files: &[WorkloadFile],
    limit: usize,
    search_path: &[String],
) -> Result<(Vec<Statement>, Intake), WorkloadError> {
    let names: Vec<&str> = files.iter().map(|file| file.name.as_str()).collect();
    let mut intake = Intake { source: names.join(", "), ..Intake::default() };
    let mut kept: Vec<Statement> = Vec::new();
    let mut place: BTreeMap<String, usize> = BTreeMap::new();
    let mut unread = Vec::new();
    for file in files {
        for Read { id, text, path } in read_file(file, &mut intake, &mut unread)? {
            let path = path.as_deref().unwrap_or(search_path);
            if let Some(known) = place.get(&id).map(|place| &mut kept[*place]) {
                if known.search_path != path {
                    note_other_path(&id, &mut intake);
                }
                repeat(known, text, &mut intake);
                continue;
            }
            if kept.len() == limit {
                leave_out(&mut intake, LeftOut::BeyondLimit, 1);
                continue;
            }
            place.insert(id.clone(), kept.len());
            kept.push(written(id, text, path));
        }
    }
    note_unread(&mut intake, &unread);
    if kept.is_empty() && limit > 0 {
        let left_out = describe_left_out(&intake);
        return Err(WorkloadError::Empty { files: intake.source, count: files.len(), left_out });
    }
    for statement in &mut kept {
        tidy_examples(statement);
    }
    kept.sort_by(|a, b| a.id.cmp(&b.id));
    Ok((kept, intake))
}

/// A statement of a file that cannot be read.
struct Unread {
    file: String,
    line: usize,
    reason: String,
}

/// A statement of a file.
struct Read {
    id: String,
    text: String,
    /// The schemas in which the file has its names resolve.
    path: Option<Vec<String>>,
}

/// What the statements of a file set for those after them.
#[derive(Default)]
struct Settings {
    path: Option<Vec<String>>,
    /// Whether the open transaction set a path of its own.
    own: bool,
    /// The path outside of that transaction.
    outer: Option<Vec<String>>,
    in_transaction: bool,
    /// Other settings, each once.
    others: BTreeSet<String>,
}

impl Settings {
    fn follow(&mut self, text: &str) {
        match setting(text) {
            Some(Setting::SearchPath { local: true, .. }) if !self.in_transaction => {}
            Some(Setting::SearchPath { schemas, local }) => {
                if local && !self.own {
                    self.outer = self.path.take();
                }
                self.own = local;
                self.path = schemas.map(known);
            }
            Some(Setting::Other(name)) => {
                self.others.insert(name);
            }
            Some(Setting::ResetAll) => (self.path, self.own) = (None, false),
            Some(Setting::Begin) => self.in_transaction = true,
            Some(Setting::End) => {
                self.in_transaction = false;
                if std::mem::take(&mut self.own) {
                    self.path = self.outer.take();
                }
            }
            None => {}
        }
    }
}

/// Schemas that a file can name; who `$user` is, it does not say.
fn known(mut schemas: Vec<String>) -> Vec<String> {
    schemas.retain(|schema| schema != "$user" && !schema.is_empty());
    schemas
}

/// The statements of one file.
fn read_file(
    file: &WorkloadFile,
    intake: &mut Intake,
    unread: &mut Vec<Unread>,
) -> Result<Vec<Read>, WorkloadError> {
    let mut settings = Settings::default();
    let mut found = Vec::new();
    let mut parsed = 0;
    let first = unread.len();
    let mut styles: BTreeMap<&str, usize> = BTreeMap::new();
    for piece in split(&file.text) {
        intake.seen += 1;
        let (line, text, class) = match piece {
            Ok(FileStatement { line, text, style }) => {
                if let Some(style) = style {
                    *styles.entry(style).or_default() += 1;
                }
                let class = match classify(&text) {
                    // Nobody cuts the texts of a file: this one is written so.
                    Class::Truncated => Class::Unparsable(
                        "it ends too early: a quote, a parenthesis or a clause is left open"
                            .to_owned(),
                    ),
                    class => class,
                };
                (line, text, class)
            }
            Err(FileError { line, reason }) => (line, String::new(), Class::Unparsable(reason)),
        };
        let count = reason(&class);
        parsed += u64::from(count != Some(LeftOut::Unparsable));
        if let Some(reason) = count {
            leave_out(intake, reason, 1);
        }
        match class {
            Class::Statement { fingerprint: id, .. } => {
                found.push(Read { id, text, path: settings.path.clone() });
            }
            Class::Utility(_) => settings.follow(&text),
            Class::Unparsable(reason) => {
                unread.push(Unread { file: file.name.clone(), line, reason });
            }
            _ => {}
        }
    }
    for (style, count) in styles {
        let write = if count == 1 { "statement writes" } else { "statements write" };
        intake.notes.push(format!(
            "{}: {count} {write} parameters as `{style}`, read as $1, $2, …",
            file.name
        ));
    }
    if !settings.others.is_empty() {
        let names: Vec<&str> = settings.others.iter().map(String::as_str).collect();
        intake.notes.push(format!(
            "{}: sets {}, which is not followed: statements are planned under the server's own settings",
            file.name,
            names.join(", ")
        ));
    }
    match unread.get(first) {
        Some(Unread { file, line, reason }) if parsed == 0 => Err(WorkloadError::NothingParses {
            file: file.clone(),
            line: *line,
            reason: reason.clone(),
        }),
        _ => Ok(found),
    }
}

fn written(id: String, text: String, search_path: &[String]) -> Statement {
    Statement {
        id,
        queryids: Vec::new(),
        text,
        role: None,
        search_path: search_path.to_vec(),
        settings: BTreeMap::new(),
        calls: 1,
        total_ms: None,
        rows: None,
        blocks: None,
        examples: Vec::new(),
    }
}

/// Counts another run of a statement from a file; what it says anew is kept as an example.
fn repeat(known: &mut Statement, text: String, intake: &mut Intake) {
    known.calls += 1;
    if text == known.text {
        leave_out(intake, LeftOut::Repeated, 1);
    } else if let Some(example) = known.examples.iter_mut().find(|one| one.text == text) {
        example.times += 1;
        leave_out(intake, LeftOut::Repeated, 1);
    } else if !names_parameter(&text) {
        known.examples.push(text.into());
    }
}

fn note_other_path(id: &str, intake: &mut Intake) {
    let note = format!(
        "statement {id} is looked at under the search_path of its first run; the files run it under another too"
    );
    if !intake.notes.contains(&note) {
        intake.notes.push(note);
    }
}

fn note_unread(intake: &mut Intake, unread: &[Unread]) {
    for Unread { file, line, reason } in unread.iter().take(NAMED_MAX) {
        intake.notes.push(format!("{file}:{line}: {reason}"));
    }
    if unread.len() > NAMED_MAX {
        intake.notes.push(format!("{} more statements do not parse", unread.len() - NAMED_MAX));
    }
}

fn describe_left_out(intake: &Intake) -> String {
    let parts: Vec<String> = intake
        .left_out
        .iter()
        .map(|(reason, count)| format!("{count} {}", reason.label()))
        .collect();
    if parts.is_empty() { String::new() } else { format!(" (left out: {})", parts.join(", ")) }
}

#[cfg(test)]
mod tests {
    use super::{WorkloadError, WorkloadFile, take_in_files};
    use crate::snapshot::LeftOut;

    fn file(text: &str) -> WorkloadFile {
        WorkloadFile { name: "w.sql".to_owned(), text: text.to_owned() }
    }

    #[test]
    fn a_file_counts_each_statement_and_keeps_what_differs() {
        let text = "SELECT 1 FROM t WHERE a = 1;\nSELECT 1 FROM t WHERE a = 2;\nSELECT 1 FROM t WHERE a = 2;\nSELECT 2 FROM t";
        let (statements, intake) = take_in_files(&[file(text)], 10, &["s".to_owned()]).unwrap();
        let repeated = statements.iter().find(|statement| statement.calls == 3).unwrap();
        assert_eq!(repeated.examples[0].text, "SELECT 1 FROM t WHERE a = 2");
        assert_eq!((repeated.examples.len(), repeated.examples[0].times), (1, 2));
        assert_eq!((repeated.total_ms, &repeated.search_path[..]), (None, &["s".to_owned()][..]));
        assert_eq!((intake.seen, intake.left_out), (4, [(LeftOut::Repeated, 1)].into()));
        let (statements, intake) = take_in_files(&[file(text)], 1, &[]).unwrap();
        assert_eq!((statements.len(), intake.left_out[&LeftOut::BeyondLimit]), (1, 1));
    }

    #[test]
    fn parameters_of_drivers_are_read_and_told_once_a_file() {
        let text = "SELECT x FROM t WHERE a = ?;\nSELECT x FROM t WHERE a = ? AND b = ?;\nSELECT y FROM t WHERE a = :a;\nSELECT x FROM t WHERE a = 7";
        let (statements, intake) = take_in_files(&[file(text)], 10, &[]).unwrap();
        let first = statements.iter().find(|s| s.calls == 2).unwrap();
        assert_eq!(first.text, "SELECT x FROM t WHERE a = $1");
        assert_eq!(
            first.examples,
            ["SELECT x FROM t WHERE a = 7".to_owned().into()],
            "a literal of the same statement"
        );
        assert_eq!(
            intake.notes,
            [
                "w.sql: 1 statement writes parameters as `:name`, read as $1, $2, …",
                "w.sql: 2 statements write parameters as `?`, read as $1, $2, …"
            ]
        );
        assert!(intake.left_out.is_empty());
    }

    #[test]
    fn the_search_path_that_a_file_sets_holds_for_the_statements_after_it() {
        let text = "SELECT 1 FROM a;\nSET search_path = app, \"$user\";\nSELECT 1 FROM b;\nBEGIN;\nSET LOCAL search_path = x;\nSET work_mem = '1GB';\nSELECT 1 FROM c;\nSELECT 1 FROM b;\nCOMMIT;\nSELECT 1 FROM d;\nRESET search_path;\nSELECT 1 FROM e;\nSET LOCAL search_path = y;\nSELECT 1 FROM f";
        let (statements, intake) = take_in_files(&[file(text)], 10, &["s".to_owned()]).unwrap();
        let mut paths: Vec<String> = statements
            .iter()
            .map(|s| format!("{} {}", s.text.rsplit(' ').next().unwrap(), s.search_path.join(",")))
            .collect();
        paths.sort();
        assert_eq!(paths, ["a s", "b app", "c x", "d app", "e s", "f s"]);
        assert_eq!(intake.notes.len(), 2, "{:?}", intake.notes);
        assert!(intake.notes.iter().any(|note| note.contains("sets work_mem, which is not")));
        assert!(intake.notes.iter().any(|note| note.contains("search_path of its first run")));
    }

    #[test]
    fn a_file_of_prose_is_an_error_with_its_line() {
        let error =
            take_in_files(&[file("-- about\n\nThis is prose; and more")], 10, &[]).unwrap_err();
        let WorkloadError::NothingParses { file: name, line, .. } = &error else {
            panic!("{error}")
        };
        assert_eq!((name.as_str(), *line), ("w.sql", 3));
        let error = take_in_files(&[file("-- about\n"), file("SET a = 1")], 10, &[]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "w.sql, w.sql hold no SELECT, INSERT, UPDATE or DELETE on a table (left out: 1 utility statements)"
        );
    }
}
