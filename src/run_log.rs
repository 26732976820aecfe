//! The log of `--log-file`: what a run did, one JSON object a line, for those who collect logs.
//!
//! It names actions, tables, indexes and codes, and never a statement, a value or a password: a server's message
//! may quote a value, so of a failure there is the code only. Fields keep their names; new ones may come.

use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use agent::applier::{Effect, Event, Outcome};
use agent::watch::Verified;
use chrono::{SecondsFormat, Utc};
use serde::Serialize;

use crate::exit::Exit;
use crate::failure::Failure;

/// The log of one run; nothing is written where none was asked for.
#[derive(Debug)]
pub(crate) struct RunLog {
    file: Option<PathBuf>,
    command: &'static str,
    /// Whether writing failed and was told of.
    broken: AtomicBool,
}

#[derive(Serialize)]
struct Line<'a> {
    time: String,
    pid: u32,
    command: &'a str,
    level: Level,
    #[serde(flatten)]
    entry: &'a Entry<'a>,
}

#[derive(Clone, Copy, Serialize)]
#[serde(rename_all = "lowercase")]
enum Level {
    Info,
    Warn,
    Error,
}

/// What happened.
#[derive(Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub(crate) enum Entry<'a> {
    /// The run begins.
    Begin {
        /// Of pgwright.
        version: &'a str,
        /// Whether it may change something.
        apply: bool,
    },
    /// The thinking is done.
    Proposed {
        /// All actions of the change plan.
        actions: usize,
        /// Those that are due.
        due: usize,
    },
    /// It waits for somebody.
    Waiting {
        /// Short id of the action, or empty before the first one.
        action: &'a str,
        /// For whom.
        why: &'a str,
    },
    /// A statement of an action is sent.
    Started {
        /// Short id of the action.
        action: &'a str,
    },
    /// What an earlier run left was finished.
    Recovered {
        /// Row of the journal.
        log_id: i64,
        /// Where it stands now.
        state: String,
    },
    /// An action ended.
    Action {
        /// Short id of the action.
        action: &'a str,
        /// Row of the journal.
        log_id: Option<i64>,
        /// What it does.
        kind: &'a str,
        /// `schema.table`.
        table: String,
        /// The index, if it is about one.
        index: Option<&'a str>,
        /// `applied`, `skipped`, `refused`, `failed` or `undone`.
        result: &'static str,
        /// Why it was refused.
        reason: Option<&'a str>,
        /// The server's code where it failed.
        sqlstate: Option<&'a str>,
        /// Seconds that its statement took.
        seconds: Option<f64>,
        /// Bytes on disk that it takes.
        bytes: Option<i64>,
    },
    /// Watching an action came to its end.
    Verdict {
        /// Short id of the action.
        action: &'a str,
        /// Row of the journal.
        log_id: i64,
        /// What it does.
        kind: &'a str,
        /// `schema.table`.
        table: String,
        /// The index or statistics, if it is about some.
        index: Option<&'a str>,
        /// The journal's word: `kept`, `regressed`, `unused`, `writes_harmed`, `undecided` or `by_hand`.
        verdict: &'static str,
        /// The figures behind it, one sentence; statements by their ids.
        reason: &'a str,
        /// Where the row of the journal stands now.
        state: &'static str,
    },
    /// The run ends.
    End {
        /// The exit code.
        exit: u8,
        /// What that means.
        meaning: &'a str,
        /// What could not be done.
        error: Option<&'a str>,
        /// Statements sent to the server.
        statements: u64,
        /// Milliseconds spent waiting for the server.
        server_ms: f64,
    },
}

impl RunLog {
    /// The log of a command, in this file if any.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub(crate) fn open(file: Option<&Path>, command: &'static str) -> Result<Self, Failure> {
        let log = Self { file: file.map(Path::to_owned), command, broken: AtomicBool::new(false) };
        if let Some(path) = file {
            append(path, "").map_err(|error| {
                let what = format!("cannot write the log file `{}`", path.display());
                Failure::new(Exit::Usage, what).caused_by(&error)
            })?;
        }
        Ok(log)
    }

    /// Writes down what happened. A log that cannot be written does not stop the work; that is told once.
    pub(crate) fn write(&self, entry: &Entry<'_>) {
        let Some(path) = &self.file else { return };
        let line = Line {
            time: Utc::now().to_rfc3339_opts(SecondsFormat::Millis, true),
            pid: std::process::id(),
            command: self.command,
            level: entry.level(),
            entry,
        };
        let text = serde_json::to_string(&line).expect("plain fields become JSON") + "\n";
        if let Err(error) = append(path, &text)
            && !self.broken.swap(true, Ordering::Relaxed)
        {
            crate::commands::warn(&format!(
                "cannot write the log file `{}`: {error}",
                path.display()
            ));
        }
    }

    /// Writes down what the applier does.
    pub(crate) fn applying(&self, event: &Event) {
        match event {
            Event::Waiting { action, why } => self.write(&Entry::Waiting { action, why }),
            Event::Started { action, .. } => self.write(&Entry::Started { action }),
            Event::Recovered { row, state, .. } => {
                self.write(&Entry::Recovered { log_id: *row, state: state.to_string() });
            }
            Event::Finished(outcome) => self.write(&Entry::of(outcome)),
            Event::Progress { .. } => {}
        }
    }

    /// Writes down what watching came to: of every action that is decided, the verdict and what it rests on.
    pub(crate) fn verified(&self, verified: &Verified) {
        for watched in &verified.actions {
            let Some(verdict) = watched.verdict() else { continue };
            let entry = &watched.entry;
            self.write(&Entry::Verdict {
                action: entry.action_id(),
                log_id: entry.id,
                kind: &entry.kind,
                table: entry.table.qualified(),
                index: entry.index_name.as_deref(),
                verdict,
                reason: if watched.by_hand {
                    "a person took it back"
                } else {
                    &watched.judgement.why
                },
                state: watched.state.name(),
            });
        }
    }

    /// Writes down how the run ended.
    pub(crate) fn end(&self, exit: Exit, error: Option<&str>, meter: &agent::postgres::Meter) {
        self.write(&Entry::End {
            exit: exit.code(),
            meaning: exit.meaning(),
            error,
            statements: meter.total_statements(),
            server_ms: meter.total_time().as_secs_f64() * 1000.0,
        });
    }
}

/// Appends to a file, opened anew each time so that it can be moved away meanwhile.
fn append(path: &Path, text: &str) -> io::Result<()> {
    OpenOptions::new().create(true).append(true).open(path)?.write_all(text.as_bytes())
}

impl<'a> Entry<'a> {
    fn of(outcome: &'a Outcome) -> Self {
        let (result, reason, sqlstate, seconds, bytes) = match &outcome.effect {
            Effect::Applied { seconds, bytes, .. } => {
                ("applied", None, None, Some(*seconds), *bytes)
            }
            Effect::AlreadyThere { .. }
            | Effect::AlreadyReverted
            | Effect::NothingToUndo { .. } => ("skipped", None, None, None, None),
            Effect::Refused { reason } => ("refused", Some(reason.as_str()), None, None, None),
            Effect::Failed { sqlstate, .. } => ("failed", None, sqlstate.as_deref(), None, None),
            Effect::Reverted { .. } => ("undone", None, None, None, None),
        };
        Self::Action {
            action: &outcome.action,
            log_id: outcome.row,
            kind: &outcome.kind,
            table: outcome.table.qualified(),
            index: outcome.index.as_deref(),
            result,
            reason,
            sqlstate,
            seconds,
            bytes,
        }
    }

    fn level(&self) -> Level {
        match self {
            Self::End { exit: 0, .. } => Level::Info,
            Self::End { .. } | Self::Action { result: "failed", .. } => Level::Error,
            Self::Waiting { .. }
            | Self::Recovered { .. }
            | Self::Action { result: "refused", .. } => Level::Warn,
            Self::Verdict { verdict: "kept" | "undecided", .. } => Level::Info,
            Self::Verdict { .. } => Level::Warn,
            _ => Level::Info,
        }
    }
}

#[cfg(test)]
mod tests {
    use agent::applier::{Effect, Event, Left, Outcome};
    use rules::change_plan::TableRef;
    use serde_json::Value;

    use super::{Entry, RunLog};
    use crate::exit::Exit;

    #[test]
    fn every_line_is_an_object_and_holds_no_statement_and_no_message() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log.jsonl");
        let log = RunLog::open(Some(&path), "optimize").unwrap();
        log.write(&Entry::Begin { version: "1", apply: true });
        let action = "3f2a91c0".to_owned();
        log.applying(&Event::Started {
            action: action.clone(),
            statement: "CREATE INDEX … WHERE s = 'canary'".into(),
        });
        log.applying(&Event::Finished(Outcome {
            action,
            row: Some(12),
            kind: "create_index".into(),
            table: TableRef { oid: 1, schema: "public".into(), name: "Us\ner".into() },
            index: Some("i".into()),
            effect: Effect::Failed {
                sqlstate: Some("22P02".into()),
                message: "invalid input: canary".into(),
                left: Left::Cleaned,
            },
        }));
        log.end(Exit::Action, None, &agent::postgres::Meter::default());
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(!text.contains("canary"), "{text}");
        let lines: Vec<Value> =
            text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let field = |name: &str| -> Vec<String> {
            lines.iter().map(|line| line[name].as_str().unwrap().to_owned()).collect()
        };
        assert_eq!(field("event"), ["begin", "started", "action", "end"]);
        assert_eq!(field("level"), ["info", "info", "error", "error"]);
        assert_eq!((&lines[2]["sqlstate"], &lines[3]["exit"]), (&"22P02".into(), &4.into()));
    }

    #[test]
    fn a_file_that_cannot_be_written_is_told_before_the_work() {
        let failure = RunLog::open(Some("/nowhere/at/all".as_ref()), "optimize").unwrap_err();
        assert!(failure.render().contains("/nowhere/at/all"), "{}", failure.render());
        RunLog::open(None, "log").unwrap().write(&Entry::Begin { version: "1", apply: false });
    }
}
