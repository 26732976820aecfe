//! Draws the [`Blueprint`] of a database: everything a planner twin is built from, and no table row.
//!
//! A bounded number of queries over whole catalogs, one file `sql/*.sql` each, none per table, in one read-only
//! transaction. An ordinary role will do; what it may not see is named in the notes. Definitions rest on the
//! session's `search_path` being `pg_catalog, pg_temp`, under which PostgreSQL prints every other name qualified.

mod catalog;
mod order;
mod read;
mod statistics;
mod table;
mod walks;

use rules::blueprint::{Blueprint, Locale, RoleSettings, Tablespace};

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

/// Draws the blueprint of the session's database.
///
/// Nothing is changed. The transaction is over when this returns, whatever came of it.
///
/// # Errors
/// When the server refuses a query or is lost.
#[tracing::instrument(level = "debug", skip_all)]
pub async fn draw(session: &Session) -> Result<Blueprint, BlueprintError> {
    let begin = session.batch("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await;
    begin.map_err(BlueprintError::Transaction)?;
    let drawn = look(session).await;
    // Of two failures the first tells more.
    let ended = session.batch("ROLLBACK").await;
    let mut blueprint = drawn?;
    ended.map_err(BlueprintError::Transaction)?;
    // In transactions of their own: a walk that fails ends its transaction.
    let Blueprint { relations, notes, .. } = &mut blueprint;
    blueprint.ends = walks::walk(session, relations, notes).await?;
    Ok(blueprint)
}

async fn look(session: &Session) -> Result<Blueprint, BlueprintError> {
    let mut notes = Vec::new();
    let locale = read::all::<Locale>(session, &LOCALE).await?.pop();
    Ok(Blueprint {
        locale: locale.ok_or(SampleError::Nothing { about: LOCALE.about })?,
        written_by: OURSELVES.to_owned(),
        definitions: catalog::definitions(session, &mut notes).await?,
        relations: statistics::relations(session).await?,
        statistics: statistics::columns(session, &mut notes).await?,
        extended: statistics::extended(session).await?,
        ends: Vec::new(),
        role_settings: read::all::<RoleSettings>(session, &ROLE_SETTINGS).await?,
        tablespaces: read::all::<Tablespace>(session, &TABLESPACES).await?,
        notes,
    })
}
