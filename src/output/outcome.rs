//! What became of actions, as every form shows it.

use std::collections::BTreeSet;

use agent::applier::{self, Effect, Left};
use serde::Serialize;

use crate::exit::Exit;
use crate::text;

/// What one run of `--apply` did.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Applied {
    /// Id of the run, for `rollback --run`.
    pub(crate) run: String,
    /// What became of each due action, in order.
    pub(crate) outcomes: Vec<Outcome>,
}

impl Applied {
    /// One line of what was done, for a mail from cron.
    pub(crate) fn summary(&self, database: &str) -> String {
        let of = |ending| self.outcomes.iter().filter(move |outcome| outcome.result == ending);
        let name = |outcome: &Outcome| {
            let object = outcome.index.as_deref().map(rules::quote::ident);
            let on = if object.is_some() { " on " } else { " " };
            format!(
                "{} {}{on}{}",
                outcome.kind.replace('_', " "),
                object.unwrap_or_default(),
                outcome.table
            )
        };
        let mut parts = Vec::new();
        for (ending, word) in [
            (Ending::Applied, "done"),
            (Ending::Failed, "failed"),
            (Ending::Refused, "refused"),
            (Ending::Undone, "undone"),
        ] {
            let named: Vec<String> = of(ending).map(name).collect();
            if !named.is_empty() {
                parts.push(format!("{} {word} ({})", named.len(), named.join(", ")));
            }
        }
        // A refusal has no row in the journal: its reason is told here, once where all have the same.
        let refused: Vec<&Outcome> = of(Ending::Refused).collect();
        let reasons: BTreeSet<&str> =
            refused.iter().filter_map(|outcome| outcome.reason.as_deref()).collect();
        let of_each =
            |outcome: &&Outcome| Some(format!("{}: {}", name(outcome), outcome.reason.as_deref()?));
        let more = match (self.exit(), reasons.first()) {
            (Exit::Success, _) => String::new(),
            (Exit::Refused, Some(why)) if reasons.len() == 1 => format!(": {}", text::line(why)),
            (Exit::Refused, Some(_)) => {
                let all: Vec<String> = refused.iter().filter_map(of_each).collect();
                format!(": {}", text::line(&all.join("; ")))
            }
            _ => "; `pgwright log` says more".to_owned(),
        };
        format!("pgwright in {}: {}{more}\n", text::line(database), text::line(&parts.join("; ")))
    }

    /// The exit code that tells of it.
    pub(crate) fn exit(&self) -> Exit {
        let any = |ending| self.outcomes.iter().any(|outcome| outcome.result == ending);
        if any(Ending::Failed) {
            Exit::Action
        } else if any(Ending::Refused) {
            Exit::Refused
        } else {
            Exit::Success
        }
    }
}

/// What became of one action.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Outcome {
    /// Short id of the action.
    pub(crate) action: String,
    /// Its number in the journal; `None` when it never got there.
    pub(crate) log_id: Option<i64>,
    /// `create_index`, `drop_index` or `analyze`.
    pub(crate) kind: String,
    /// `schema.table`.
    pub(crate) table: String,
    /// The index, if it is about one.
    pub(crate) index: Option<String>,
    /// How it ended.
    pub(crate) result: Ending,
    /// Why it ended so, where that is not plain.
    pub(crate) reason: Option<String>,
    /// Seconds that its statement took.
    pub(crate) seconds: Option<f64>,
    /// Bytes on disk that it takes (negative: freed).
    pub(crate) bytes: Option<i64>,
}

impl Outcome {
    /// Whether what was to be done is not done.
    pub(crate) fn failed(&self) -> bool {
        matches!(self.result, Ending::Failed | Ending::Refused)
    }
}

/// How an action ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Ending {
    /// Carried out and verified.
    Applied,
    /// Taken back and verified.
    Undone,
    /// Nothing was to be done.
    Skipped,
    /// Not begun, for a reason of safety.
    Refused,
    /// Begun and failed.
    Failed,
}

impl From<&applier::Outcome> for Outcome {
    fn from(outcome: &applier::Outcome) -> Self {
        let plain = |result, reason| (result, reason, None, None);
        let (result, reason, seconds, bytes) = match &outcome.effect {
            Effect::Applied { seconds, bytes, .. } => {
                (Ending::Applied, None, Some(*seconds), *bytes)
            }
            Effect::AlreadyThere { what } => plain(Ending::Skipped, Some(what.clone())),
            Effect::Refused { reason } => plain(Ending::Refused, Some(reason.clone())),
            Effect::Failed { sqlstate, message, left } => {
                let code = sqlstate.as_ref().filter(|code| !message.contains(code.as_str()));
                let code = code.map_or(String::new(), |code| format!(" ({code})"));
                plain(Ending::Failed, Some(format!("{message}{code}; {}", remains(*left))))
            }
            Effect::Reverted { note } => plain(Ending::Undone, note.clone()),
            Effect::AlreadyReverted => plain(
                Ending::Skipped,
                Some("it was undone before, by pgwright or by a person".to_owned()),
            ),
            Effect::NothingToUndo { why } => plain(Ending::Skipped, Some(why.clone())),
        };
        Self {
            action: outcome.action.clone(),
            log_id: outcome.row,
            kind: outcome.kind.clone(),
            table: outcome.table.qualified(),
            index: outcome.index.clone(),
            result,
            reason,
            seconds,
            bytes,
        }
    }
}

fn remains(left: Left) -> &'static str {
    match left {
        Left::Nothing => "nothing was changed",
        Left::Cleaned => "its remains were removed",
        Left::Pending => "something of it is left, which the next run tries to finish",
        Left::ToBeUndone => "it is not undone yet, which the next run tries again",
        Left::ForAPerson => "a person has to look: `pgwright log` says what to do",
    }
}

#[cfg(test)]
mod tests {
    use agent::applier::{self, Effect, Left};
    use rules::change_plan::TableRef;

    use super::{Applied, Ending, Outcome};
    use crate::exit::Exit;

    fn outcome(effect: Effect) -> Outcome {
        Outcome::from(&applier::Outcome {
            action: "3f2a91c0".into(),
            row: Some(12),
            kind: "create_index".into(),
            table: TableRef { oid: 1, schema: "public".into(), name: "User".into() },
            index: Some("i".into()),
            effect,
        })
    }

    fn failed() -> Effect {
        Effect::Failed {
            sqlstate: Some("55P03".into()),
            message: "no lock".into(),
            left: Left::Cleaned,
        }
    }

    #[test]
    fn effects_become_endings_with_reasons() {
        let applied =
            outcome(Effect::Applied { index_oid: Some(3), seconds: 1.5, bytes: Some(8192) });
        assert_eq!(
            (applied.result, applied.seconds, applied.bytes),
            (Ending::Applied, Some(1.5), Some(8192))
        );
        assert_eq!(applied.table, "public.\"User\"");
        let failed = outcome(failed());
        assert_eq!(failed.result, Ending::Failed);
        assert_eq!(failed.reason.as_deref(), Some("no lock (55P03); its remains were removed"));
        assert_eq!(outcome(Effect::AlreadyReverted).result, Ending::Skipped);
        assert_eq!(outcome(Effect::Reverted { note: None }).result, Ending::Undone);
    }

    #[test]
    fn the_worst_outcome_decides_the_exit_code() {
        let exit = |effects: Vec<Effect>| {
            Applied { run: String::new(), outcomes: effects.into_iter().map(outcome).collect() }
                .exit()
        };
        let there = || Effect::AlreadyThere { what: "an index".into() };
        let refused = || Effect::Refused { reason: "a long transaction".into() };
        assert_eq!(exit(vec![]), Exit::Success);
        assert_eq!(exit(vec![there()]), Exit::Success);
        assert_eq!(exit(vec![there(), refused()]), Exit::Refused);
        assert_eq!(exit(vec![refused(), failed()]), Exit::Action);
    }

    #[test]
    fn a_run_is_told_in_one_line() {
        let applied = Effect::Applied { index_oid: Some(3), seconds: 1.5, bytes: Some(8192) };
        let run = |effects: Vec<Effect>| Applied {
            run: String::new(),
            outcomes: effects.into_iter().map(outcome).collect(),
        };
        assert_eq!(
            run(vec![applied.clone()]).summary("sh\nop"),
            "pgwright in sh op: 1 done (create index i on public.\"User\")\n"
        );
        assert_eq!(
            run(vec![applied, failed()]).summary("shop"),
            "pgwright in shop: 1 done (create index i on public.\"User\"); 1 failed (create index i on \
             public.\"User\"); `pgwright log` says more\n"
        );
    }
}
