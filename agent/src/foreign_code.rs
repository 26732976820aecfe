//! Who asks for plans, and what planning could run with the rights of that role.
//!
//! Planning runs functions of users (see [`rules::foreign_code`]). In a read-only transaction that is rolled back
//! they can do little with the rights of an ordinary role. With those of a superuser they can do anything: a
//! program of the operating system was started that way, by plain EXPLAIN. Nor does `SET ROLE` or `SET SESSION
//! AUTHORIZATION` help, for a function can set it back. So such a role plans only statements that provably reach
//! none of that code; the others need another login, or a planner twin.

use rules::foreign_code::ForeignCode;
use serde::Deserialize;

use crate::postgres::Session;
use crate::sampler::{Query, Reader, SampleError};

const ROLE: Query = Query { about: "the role that plans", sql: include_str!("planning_role.sql") };
const CODE: Query = Query { about: "the code of users", sql: include_str!("foreign_code.sql") };

/// The role that asks for plans.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct PlanningRole {
    /// Its name.
    pub(crate) role: String,
    /// Why it may do too much: `a superuser`, `a member of pg_execute_server_program`; `None` for an ordinary one.
    pub(crate) excess: Option<String>,
    /// Whether it may change what others own.
    pub(crate) may_change: bool,
    /// The database.
    pub(crate) database: String,
    /// `system_identifier` of the cluster where it may be read.
    pub(crate) system_identifier: Option<String>,
}

#[derive(Deserialize)]
struct Named {
    name: String,
    what: String,
}

/// Asks who plans on this session.
pub(crate) async fn planning_role(session: &Session) -> Result<PlanningRole, SampleError> {
    Reader { session }.one(&ROLE).await
}

/// Asks for everything that leads to code of users.
pub(crate) async fn foreign_code(session: &Session) -> Result<ForeignCode, SampleError> {
    let named: Vec<Named> = Reader { session }.all(&CODE).await?;
    Ok(ForeignCode::new(named.into_iter().map(|of| (of.name, of.what))))
}

/// What keeps statements from being planned by a role that may do too much.
#[derive(Clone, Debug)]
pub(crate) struct Guard {
    code: ForeignCode,
    who: String,
}

impl Guard {
    /// The guard that a session needs; none for an ordinary role.
    pub(crate) async fn of(
        session: &Session,
        role: &PlanningRole,
    ) -> Result<Option<Self>, SampleError> {
        let Some(excess) = &role.excess else { return Ok(None) };
        let code = foreign_code(session).await?;
        Ok(Some(Self { code, who: format!("{}, {excess}", role.role) }))
    }

    /// Why a statement must not be planned, if it must not.
    pub(crate) fn refuses(&self, sql: &str) -> Option<String> {
        match self.code.reached(sql) {
            Ok(None) => None,
            Ok(Some(what)) => Some(format!(
                "planning it could run code of a user's ({what}) with the rights of {}; plan as another role \
                 (--explain-as) or with --what-if twin",
                self.who
            )),
            Err(error) => Some(error.to_string()),
        }
    }
}
