//! Reads answers, large ones in portions, and survives what another session has locked.

use serde::de::DeserializeOwned;

use super::BlueprintError;
use crate::postgres::Session;
use crate::sampler::{Query, Reader, SampleError};

/// The server's code for a lock not had in time.
const LOCK_NOT_AVAILABLE: &str = "55P03";

/// Rows that are held as text at one time.
const PORTION: usize = 2000;

/// All rows of a query.
pub(super) async fn all<T: DeserializeOwned>(
    session: &Session,
    query: &Query,
) -> Result<Vec<T>, BlueprintError> {
    Ok(Reader { session }.all(query).await?)
}

/// All rows of a query whose answer may be large: only a portion of it is in memory as text.
pub(super) async fn portions<T: DeserializeOwned>(
    session: &Session,
    about: &'static str,
    sql: &str,
) -> Result<Vec<T>, BlueprintError> {
    let refused = |source| SampleError::Read { about, source };
    let declare = format!(
        "DECLARE portion NO SCROLL CURSOR FOR SELECT pg_catalog.row_to_json(q)::text FROM (\n{sql}) AS q"
    );
    session.execute(&declare, &[]).await.map_err(refused)?;
    let fetch = format!("FETCH {PORTION} FROM portion");
    let mut parsed = Vec::new();
    loop {
        let rows = session.query(&fetch, &[]).await.map_err(refused)?;
        let last = rows.len() < PORTION;
        for row in rows {
            let text: &str = row.try_get(0).map_err(|source| refused(source.into()))?;
            let value = serde_json::from_str(text);
            parsed.push(value.map_err(|source| SampleError::Understand { about, source })?);
        }
        if last {
            session.execute("CLOSE portion", &[]).await.map_err(refused)?;
            return Ok(parsed);
        }
    }
}

/// All rows of a query that prints definitions, which waits for locks on the tables in them: rather than wait
/// long, does without and says so.
pub(super) async fn unlocked<T: DeserializeOwned>(
    session: &Session,
    query: &Query,
    notes: &mut Vec<String>,
) -> Result<Vec<T>, BlueprintError> {
    let transaction =
        |source| BlueprintError::from(SampleError::Read { about: "the transaction", source });
    session.batch("SAVEPOINT printing").await.map_err(transaction)?;
    match (Reader { session }).all(query).await {
        Err(SampleError::Read { source, .. }) if source.sqlstate() == Some(LOCK_NOT_AVAILABLE) => {
            session.batch("ROLLBACK TO SAVEPOINT printing").await.map_err(transaction)?;
            let about = query.about;
            notes.push(format!(
                "{about} are left out: another session has a table of theirs locked (ALTER TABLE, VACUUM FULL …)"
            ));
            Ok(Vec::new())
        }
        read => Ok(read?),
    }
}
