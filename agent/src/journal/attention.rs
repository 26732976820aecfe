//! What a person should know or do about a row.

use super::{Entry, State};

/// What a person should know or do about a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attention {
    /// What is the matter, one sentence.
    pub what: String,
    /// What to do, in order: commands and SQL statements.
    pub steps: Vec<String>,
}

/// Returns what a person should know or do about a row; `None` where all is as it should be.
pub fn attention(entry: &Entry) -> Option<Attention> {
    let (note, error) = (entry.note.as_deref(), entry.last_error.as_deref());
    let noted = note.or(error).unwrap_or("no reason recorded");
    let failed = error.or(note).unwrap_or("no reason recorded");
    let next_run = "the next `pgwright optimize --apply` or `pgwright rollback` tries again";
    match entry.state {
        State::Conflict => {
            let settled = match entry.kind.as_str() {
                "drop_index" => "the index is back as it was",
                "create_statistics" => "the statistics are gone",
                _ => "the index is gone",
            };
            Some(Attention {
                what: format!("pgwright leaves this to a person: {noted}"),
                steps: vec![
                    format!(
                        "put it right by hand; `pgwright log {}` shows the statements",
                        entry.id
                    ),
                    format!("pgwright rollback {} closes the row once {settled}", entry.id),
                ],
            })
        }
        State::CleanupPending => {
            Some(Attention { what: format!("{noted}; {next_run}"), steps: Vec::new() })
        }
        State::RevertPending => Some(Attention {
            what: format!("it could not be undone yet: {failed}; {next_run}"),
            steps: Vec::new(),
        }),
        State::Intent | State::Applying | State::Verifying | State::Reverting => Some(Attention {
            what: "a run is at work on it, or was ended; the next one finishes it".to_owned(),
            steps: Vec::new(),
        }),
        State::Observing | State::Kept | State::Aborted | State::Reverted => None,
    }
}
