//! The schema, one definition after the other.
//!
//! Everything is made by an ordinary role in a session of its own. Where that role may not make something that
//! itself runs no code (an operator class, a leakproof function), it is a superuser for that one statement.

use rules::blueprint::{Blueprint, Definition};
use rules::quote::ident;
use rules::statement::definition::{Making, making};

use super::database::OWNER;
use super::error::is_of_space;
use super::{Database, TwinError};
use crate::postgres::{PgError, Session};

/// Something of the source that the twin does not have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Missing {
    /// What, as a person would name it: `function public.f`.
    pub name: String,
    /// Why, one sentence.
    pub reason: String,
}

/// How often what failed is tried again, as long as something else came to be.
const ROUNDS: usize = 8;

/// `insufficient_privilege`.
const DENIED: &str = "42501";
/// `duplicate_schema`, `duplicate_object`: it is there already (`public`, `plpgsql`).
const THERE: [&str; 2] = ["42P06", "42710"];

/// Extensions that are not trusted, though all that they do is compute or look at the database itself.
const HARMLESS: [&str; 20] = [
    "amcheck",
    "autoinc",
    "bloom",
    "dict_xsyn",
    "earthdistance",
    "hypopg",
    "insert_username",
    "intagg",
    "moddatetime",
    "pg_buffercache",
    "pg_freespacemap",
    "pg_stat_statements",
    "pg_visibility",
    "pgrowlocks",
    "pgstattuple",
    "postgis",
    "refint",
    "rum",
    "vector",
    "sslinfo",
];

/// Makes what the definitions say; returns what could not be made.
pub(super) async fn restore(
    database: &mut Database,
    blueprint: &Blueprint,
) -> Result<Vec<Missing>, TwinError> {
    let mut missing = Vec::new();
    let mut pending: Vec<(&Definition, Making)> = Vec::new();
    for definition in &blueprint.definitions {
        match making(&definition.sql) {
            Making::Needless => {}
            Making::Never(reason) => {
                missing.push(Missing { name: definition.name.clone(), reason });
            }
            way => pending.push((definition, way)),
        }
    }
    let mut refused: Vec<Missing> = Vec::new();
    for _ in 0..ROUNDS {
        refused.clear();
        let before = pending.len();
        let mut left = Vec::new();
        for (definition, way) in pending {
            match make(&database.trusted, &database.owner, &definition.sql, &way).await {
                Ok(()) => {}
                Err(error) if is_of_space(&error) => {
                    return Err(TwinError::doing("make the schema")(error));
                }
                Err(error) => {
                    if error.is_lost() {
                        database.reopen_owner().await?;
                    }
                    let reason = error.to_string().replace('\n', " ");
                    refused.push(Missing { name: definition.name.clone(), reason });
                    left.push((definition, way));
                }
            }
        }
        pending = left;
        if pending.is_empty() || pending.len() == before {
            break;
        }
    }
    missing.append(&mut refused);
    Ok(missing)
}

async fn make(trusted: &Session, owner: &Session, sql: &str, way: &Making) -> Result<(), PgError> {
    let made = match way {
        Making::Role(name) => {
            trusted.execute(&format!("CREATE ROLE {} NOLOGIN", ident(name)), &[]).await
        }
        Making::Extension { name, schema } => {
            make_extension(trusted, owner, name, schema.as_deref()).await
        }
        _ => owner.execute(sql, &[]).await,
    };
    match made {
        Err(error) if error.sqlstate() == Some(DENIED) && *way == Making::Privileged => {
            raised(trusted, owner, sql).await
        }
        Err(error) if error.sqlstate().is_some_and(|code| THERE.contains(&code)) => Ok(()),
        made => made.map(|_| ()),
    }
}

/// Runs one statement that runs no code of the schema while the owner is a superuser.
async fn raised(trusted: &Session, owner: &Session, sql: &str) -> Result<(), PgError> {
    trusted.execute(&format!("ALTER ROLE {OWNER} SUPERUSER"), &[]).await?;
    let made = owner.execute(sql, &[]).await;
    trusted.execute(&format!("ALTER ROLE {OWNER} NOSUPERUSER"), &[]).await?;
    made.map(|_| ())
}

async fn make_extension(
    trusted: &Session,
    owner: &Session,
    name: &str,
    schema: Option<&str>,
) -> Result<u64, PgError> {
    let offered = "SELECT coalesce(bool_or(v.trusted), false), count(*) > 0 \
                   FROM pg_catalog.pg_available_extension_versions AS v WHERE v.name = $1";
    let row = trusted.query_one(offered, &[&name]).await?;
    let (safe, there): (bool, bool) = (row.try_get(0)?, row.try_get(1)?);
    if !there {
        return Err(PgError::other("the extension is not installed on this machine"));
    }
    if !safe && !HARMLESS.contains(&name) {
        return Err(PgError::other("the extension could reach files, programs or the network"));
    }
    if matches!(name, "pg_stat_statements" | "hypopg") {
        // Nothing of theirs takes part in planning, and the one needs a library loaded at the start.
        return Ok(0);
    }
    let place = schema.map_or(String::new(), |schema| format!(" SCHEMA {}", ident(schema)));
    let sql = format!("CREATE EXTENSION {}{place}", ident(name));
    raised(trusted, owner, &sql).await.map(|()| 0)
}
