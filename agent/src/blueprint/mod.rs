//! Draws the [`Blueprint`] of a database: everything a planner twin is built from, and no table row.
//!
//! A bounded number of queries over whole catalogs, one file `sql/*.sql` each, none per table, in one read-only
//! transaction. An ordinary role will do; what it may not see is named in the notes. Definitions rest on the
//! session's `search_path` being `pg_catalog, pg_temp`, under which PostgreSQL prints every other name qualified.

mod batch;
mod catalog;
mod ends;
mod gin;
mod heights;
mod order;
mod pg_dump;
mod read;
mod statistics;
mod table;

use rules::blueprint::{Blueprint, Locale, RoleSettings, Tablespace};

use self::pg_dump::Written;
use crate::conninfo::ConnInfo;
use crate::foreign_code::{Guard, planning_role};
use crate::postgres::{PgError, Session};
use crate::sampler::{Query, SampleError};

/// Why there is no blueprint.
#[derive(Debug, thiserror::Error)]
pub enum BlueprintError {
    /// A catalog could not be read or its answer not understood.
    #[error(transparent)]
    Catalog(#[from] SampleError),
    /// The transaction in which everything is read could not begin or end.
    #[error("cannot begin or end the transaction that reads the definitions")]
    Transaction(#[source] PgError),
}

const LOCALE: Query = Query { about: "the locale", sql: include_str!("sql/locale.sql") };
const ROLE_SETTINGS: Query =
    Query { about: "the settings of roles", sql: include_str!("sql/role_settings.sql") };
const TABLESPACES: Query =
    Query { about: "the tablespaces", sql: include_str!("sql/tablespaces.sql") };

/// Who wrote the definitions, where they were read from the catalogs.
const OURSELVES: &str = "pgwright";

/// Who writes the definitions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Road {
    /// We do, from the catalogs: on every version, as any role, with no program beside us and no lock held. Keeps
    /// the order of columns, and leaves out what rests on something left out.
    #[default]
    Catalogs,
    /// `pg_dump` of the server's major version, where one is installed and the role may lock every table; else
    /// the catalogs, with a note that says why.
    PgDump,
}

/// How a blueprint is drawn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DrawOptions {
    /// Who writes the definitions.
    pub road: Road,
}

/// Draws the blueprint of the session's database; `info` is what the session was opened with.
///
/// Nothing is changed. The transaction is over when this returns, whatever came of it.
///
/// # Errors
/// When the server refuses a query or is lost.
#[tracing::instrument(level = "debug", skip_all)]
pub async fn draw(
    session: &Session,
    info: &ConnInfo,
    options: &DrawOptions,
) -> Result<Blueprint, BlueprintError> {
    let mut notes = Vec::new();
    // Before the transaction, so that a slow program does not hold it open.
    let written = match options.road {
        Road::Catalogs => None,
        Road::PgDump => match pg_dump::write(info, session.version().major()).await {
            Ok(written) => Some(written),
            Err(reason) => {
                notes.push(format!("the definitions come from the catalogs: {reason}"));
                None
            }
        },
    };
    let begin = session.batch("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await;
    begin.map_err(BlueprintError::Transaction)?;
    let drawn = look(session, written, notes).await;
    // Of two failures the first tells more.
    let ended = session.batch("ROLLBACK").await;
    let blueprint = drawn?;
    ended.map_err(BlueprintError::Transaction)?;
    Ok(blueprint)
}

async fn look(
    session: &Session,
    written: Option<Written>,
    mut notes: Vec<String>,
) -> Result<Blueprint, BlueprintError> {
    let (written_by, definitions) = match written {
        Some(written) => {
            if !written.foreign.is_empty() {
                notes.push(format!(
                    "left out because they cannot be planned without their server: {}",
                    statistics::listed(&written.foreign)
                ));
            }
            let roles = catalog::roles(session).await?;
            (written.by, roles.into_iter().chain(written.definitions).collect())
        }
        None => (OURSELVES.to_owned(), catalog::definitions(session, &mut notes).await?),
    };
    let mut relations = statistics::relations(session).await?;
    let guard = Guard::of(session, &planning_role(session).await?).await?;
    let guard = guard.as_ref();
    heights::fill(session, guard, &mut relations).await?;
    gin::fill(session, guard, &mut relations).await?;
    let locale = read::all::<Locale>(session, &LOCALE).await?.pop();
    Ok(Blueprint {
        locale: locale.ok_or(SampleError::Nothing { about: LOCALE.about })?,
        written_by,
        definitions,
        relations,
        statistics: statistics::columns(session, &mut notes).await?,
        extended: statistics::extended(session).await?,
        ends: ends::read(session, guard, &mut notes).await?,
        role_settings: read::all::<RoleSettings>(session, &ROLE_SETTINGS).await?,
        tablespaces: read::all::<Tablespace>(session, &TABLESPACES).await?,
        notes,
    })
}
