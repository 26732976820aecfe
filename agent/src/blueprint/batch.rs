//! Asks many small things of a server in few round trips, none of them for long.
//!
//! Questions go in groups. A group that fails or takes too long is halved until the one that is to blame stands
//! alone, which then goes without an answer. So does one whose planning could run code of users in the name of a
//! role that may do too much.

use std::time::{Duration, Instant};

use super::BlueprintError;
use crate::foreign_code::Guard;
use crate::postgres::{PgError, Row, Session};

/// How many questions are put in one statement.
const GROUP: usize = 64;

/// Limits of one kind of question.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    /// Settings in force for these questions only, as `SET LOCAL` statements.
    pub(super) settings: &'static str,
    /// For one group, and so for one question.
    pub(super) each: Duration,
    /// For all of them; those left then go without an answer.
    pub(super) all: Duration,
}

/// Asks every question; `put` makes one statement of several, `take` reads its answer, which may leave some
/// without one. The transaction goes on as if nothing had been asked.
pub(super) async fn ask<Q, A>(
    session: &Session,
    guard: Option<&Guard>,
    patience: Patience,
    questions: &[Q],
    put: impl Fn(&[Q]) -> String,
    take: impl Fn(&[Q], &[Row]) -> Vec<A>,
) -> Result<Vec<A>, BlueprintError> {
    let until = Instant::now() + patience.all;
    let mut answers = Vec::new();
    // Last in, first out: groups come in order because the first is put on top.
    let mut groups: Vec<&[Q]> = questions.chunks(GROUP).rev().collect();
    while let Some(group) = groups.pop() {
        if Instant::now() > until {
            break;
        }
        let sql = put(group);
        let refused = guard.and_then(|guard| guard.refuses(&sql));
        let answer = match refused {
            Some(reason) => Err(PgError::other(&reason)),
            None => put_one(session, patience, &sql).await?,
        };
        match answer {
            Ok(rows) => answers.extend(take(group, &rows)),
            Err(error) => {
                tracing::debug!(questions = group.len(), %error, "not answered");
                if let (Some((left, right)), true) =
                    (group.split_at_checked(group.len() / 2), group.len() > 1)
                {
                    groups.extend([right, left]);
                }
            }
        }
    }
    Ok(answers)
}

/// One statement under its settings, its refusal, or an error when the connection is lost.
async fn put_one(
    session: &Session,
    patience: Patience,
    sql: &str,
) -> Result<Result<Vec<Row>, PgError>, BlueprintError> {
    let limit = patience.each.as_millis();
    let begin = format!(
        "SAVEPOINT question; SET LOCAL statement_timeout = {limit}; SET LOCAL lock_timeout = {limit}; {}",
        patience.settings
    );
    session.batch(&begin).await.map_err(BlueprintError::Transaction)?;
    let answer = session.query(sql, &[]).await;
    if let Err(error) = answer {
        if error.is_lost() {
            return Err(BlueprintError::Transaction(error));
        }
        roll_back(session).await?;
        return Ok(Err(error));
    }
    roll_back(session).await?;
    Ok(answer)
}

async fn roll_back(session: &Session) -> Result<(), BlueprintError> {
    let back = "ROLLBACK TO SAVEPOINT question; RELEASE SAVEPOINT question";
    session.batch(back).await.map_err(BlueprintError::Transaction)
}
