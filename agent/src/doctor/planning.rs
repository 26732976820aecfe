//! Whether the role that asks for plans is one in whose name code of users may run.

use super::{Check, FACTS, Facts, ok, readable, warn};
use crate::conninfo::ConnInfo;
use crate::foreign_code::{foreign_code, planning_role};
use crate::postgres::{Limits, Meter, PgError, Purpose, Session};
use crate::sampler::{Reader, SampleError};

use std::sync::Arc;

/// Looks at the login that asks for plans, which is `separate` where it is not the one that applies: then also
/// whether it may read what it is to plan.
///
/// # Errors
/// The outer one when the login fails, the inner one when the server cannot be asked.
pub async fn planning(
    login: &ConnInfo,
    separate: bool,
    meter: &Arc<Meter>,
) -> Result<Result<Vec<Check>, SampleError>, PgError> {
    let limits = Limits::of(Purpose::Sample);
    let session = Session::connect_with(login, Purpose::Explain, meter, &limits).await?;
    let checked = look(&session, separate).await;
    session.close().await;
    Ok(checked)
}

async fn look(session: &Session, separate: bool) -> Result<Vec<Check>, SampleError> {
    let mut checks = vec![who_plans(session, separate).await?];
    if separate {
        let facts: Facts = Reader { session }.one(&FACTS).await?;
        checks.push(Check { aspect: "reading what is planned", ..readable(&facts) });
    }
    Ok(checks)
}

async fn who_plans(session: &Session, separate: bool) -> Result<Check, SampleError> {
    const ASPECT: &str = "planning statements";
    let role = planning_role(session).await?;
    let code = foreign_code(session).await?;
    let name = &role.role;
    let (count, places) = match code.len() {
        1 => ("1 name".to_owned(), "leads"),
        more => (format!("{more} names"), "lead"),
    };
    let steps = || {
        vec![
            "`pgwright doctor --grants` prints a login for it; give that with --explain-as"
                .to_owned(),
        ]
    };
    Ok(match &role.excess {
        None if code.is_empty() => ok(
            ASPECT,
            format!("{name} asks for plans; there is no code of users that planning could run"),
        ),
        None if separate || !role.may_change => ok(
            ASPECT,
            format!(
                "{name} asks for plans and may change nothing; code of users that planning runs has no other rights"
            ),
        ),
        None => warn(
            ASPECT,
            format!(
                "{name} asks for plans and may change tables, and {count} {places} to code of users that planning \
                 runs with its rights; all of it is read-only and rolled back, but a login that owns nothing is safer"
            ),
            steps(),
        ),
        Some(excess) if code.is_empty() => ok(
            ASPECT,
            format!(
                "{name}, {excess}, asks for plans; that is safe for as long as there is no code of users in the database"
            ),
        ),
        Some(excess) => warn(
            ASPECT,
            format!(
                "{name}, {excess}, asks for plans, and {count} {places} to code of users, which planning would run \
                 with all its rights: statements with one of them are not planned"
            ),
            steps(),
        ),
    })
}
