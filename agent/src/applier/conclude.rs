//! Writes down what watching an action led to, and takes it back where that is the verdict.

use serde_json::Value;

use super::recover::take_back;
use super::runner::Runner;
use super::{ApplyError, Effect};
use crate::journal::{self, Change, Entry, State};

/// Ends the watching of an action: keeps it, or blocks it and takes it back; what came of the latter.
pub(crate) async fn conclude(
    runner: &Runner<'_>,
    entry: &Entry,
    verdict: &str,
    detail: &Value,
    revert: bool,
) -> Result<Option<Effect>, ApplyError> {
    let mut change =
        Change { verdict: Some(verdict), verdict_detail: Some(detail), ..Change::default() };
    if !revert {
        runner.step(entry.id, entry.state, State::Kept, &change).await?;
        return Ok(None);
    }
    // With the first step, so that it is blocked whatever ends us before the last.
    change.blocked_days = Some(journal::block_days(&runner.session, &entry.action_key).await?);
    runner.step(entry.id, entry.state, State::Reverting, &change).await?;
    let begun =
        Entry { state: State::Reverting, verdict: Some(verdict.to_owned()), ..entry.clone() };
    Ok(Some(take_back(runner, &begun).await?))
}
