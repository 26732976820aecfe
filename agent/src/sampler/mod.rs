//! Looks at a server once and writes down what it saw: the [`Snapshot`].
//!
//! A handful of queries over whole catalogs, one file `*.sql` each, none per table. They run in one read-only
//! transaction so that they agree with one another. Each answers in JSON shaped as the type that it fills:
//! types of the server's that the driver does not know cannot come up, and a column that some versions lack
//! is simply absent. They rest on the session's `search_path` being `pg_catalog, pg_temp`, under which
//! PostgreSQL prints every other name qualified.

mod assemble;
mod catalog;
mod error;
mod named;
pub(crate) mod remedy;
mod roles;
mod workload;

use std::collections::BTreeSet;
use std::time::Instant;

use rules::intake::{LogFile, Thresholds, WorkloadFile};
use rules::snapshot::{FORMAT, Server, Snapshot, Table};
use serde::Deserialize;
use serde::de::DeserializeOwned;

pub use self::error::{SampleError, SampleErrorKind};
pub use self::named::unknown;
use self::named::{is_schema, is_table};
use crate::explain::millis;
use crate::postgres::Session;

/// What to look at.
#[derive(Clone, Debug, PartialEq)]
pub struct SampleOptions {
    /// At most this many statements.
    pub limit: usize,
    /// Leave out statements with fewer calls.
    pub min_calls: u64,
    /// Leave out statements with less mean time, in milliseconds.
    pub min_mean_ms: f64,
    /// Change tables of these schemas only; of all when empty. As stored or as SQL.
    pub schemas: Vec<String>,
    /// Do not change these tables: `table` or `schema.table`, as stored or as SQL.
    pub exclude_tables: Vec<String>,
    /// Whether a name among these that is not there is an error, and not only a note.
    pub strict_names: bool,
    /// Take the statements from these files, not from the server.
    pub workload: Option<Vec<WorkloadFile>>,
    /// Logs of the server that tell which values the statements are really called with.
    pub logs: Vec<LogFile>,
}

impl Default for SampleOptions {
    fn default() -> Self {
        Self {
            limit: 1000,
            min_calls: 0,
            min_mean_ms: 0.0,
            schemas: Vec::new(),
            exclude_tables: Vec::new(),
            strict_names: false,
            workload: None,
            logs: Vec::new(),
        }
    }
}

/// Takes a snapshot of the database of the session.
///
/// Nothing is changed. The transaction is over when this returns, whatever came of it.
///
/// # Errors
/// Without `pg_stat_statements`, or when all its texts are hidden from the role, unless statements come from
/// files; when those hold none; when a schema or table was named that is not there, where the options are strict; when
/// the server refuses a query or is lost.
#[tracing::instrument(level = "debug", skip_all)]
pub async fn sample(session: &Session, options: &SampleOptions) -> Result<Snapshot, SampleError> {
    let reader = Reader { session };
    reader.batch("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await?;
    let looked = look(&reader, options).await;
    // Of two failures the first tells more.
    let ended = reader.batch("ROLLBACK").await;
    let snapshot = looked?;
    ended.map(|()| snapshot)
}

async fn look(reader: &Reader<'_>, options: &SampleOptions) -> Result<Snapshot, SampleError> {
    let facts: Facts = reader.one(&SERVER).await?;
    if options.workload.is_none() {
        facts.can_give_statements()?;
    }
    let control: Vec<Control> = reader.all_if(facts.may_read_control, &CONTROL).await?;
    let thresholds = Thresholds {
        limit: options.limit,
        min_calls: options.min_calls,
        min_mean_ms: options.min_mean_ms,
    };
    let workload = workload::read(reader, &facts, options, &thresholds).await?;
    let mut catalog = catalog::read(reader).await?;
    let unknown = unknown(&catalog.tables, options);
    if options.strict_names && !unknown.is_empty() {
        return Err(SampleError::Unknown { what: unknown });
    }
    let mut intake = workload.intake;
    intake.notes.extend(catalog.notes);
    intake.notes.extend(mark_excluded(&mut catalog.tables, options));
    Ok(Snapshot {
        format: FORMAT,
        server: Server {
            search_path: workload.search_path,
            system_identifier: control.into_iter().next().map(|control| control.system_identifier),
            ..facts.server
        },
        settings: catalog.settings,
        extensions: catalog.extensions,
        tables: catalog.tables,
        views: catalog.views,
        functions: catalog.functions,
        statements: workload.statements,
        intake,
        blueprint: None,
    })
}

/// Marks the tables of a snapshot that the user does not want changed, and says so.
pub fn restrict(snapshot: &mut Snapshot, options: &SampleOptions) {
    let notes = mark_excluded(&mut snapshot.tables, options);
    snapshot.intake.notes.extend(notes);
}

/// Marks the tables that the user does not want changed, and says so. They stay in the
/// snapshot, because statements that name them beside others must still be understood.
fn mark_excluded(tables: &mut [Table], options: &SampleOptions) -> Vec<String> {
    let mut notes = unknown(tables, options);
    let mut kept_out = 0_usize;
    for table in tables {
        let outside = !options.schemas.is_empty()
            && !options.schemas.iter().any(|given| is_schema(table, given));
        if outside || options.exclude_tables.iter().any(|given| is_table(table, given)) {
            table.excluded = true;
            kept_out += 1;
        }
    }
    if kept_out > 0 {
        notes.push(format!(
            "{kept_out} tables are kept from any change by --schema or --exclude-table"
        ));
    }
    notes
}

/// The first answer: who looks at what, and whether statements can be had.
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is an answer of the server's, independent of the others"
)]
#[derive(Debug, Deserialize)]
struct Facts {
    #[serde(flatten)]
    server: Server,
    may_read_control: bool,
    may_read_files: bool,
    schemas: BTreeSet<String>,
    preloaded: Option<String>,
    pgss_loaded: bool,
    pgss_version: Option<String>,
    pgss_schema: Option<String>,
    pgss_readable: bool,
    pgss_has_info: bool,
}

impl Facts {
    /// Whether `pg_stat_statements` can be read here.
    fn can_give_statements(&self) -> Result<(), SampleError> {
        let Server { database, role, .. } = &self.server;
        if !self.pgss_loaded {
            let installed = self.pgss_version.is_some();
            return Err(SampleError::NotLoaded {
                database: database.clone(),
                preloaded: self.preloaded.clone(),
                installed,
            });
        }
        match &self.pgss_schema {
            None => Err(SampleError::NotInstalled { database: database.clone() }),
            Some(schema) if !self.pgss_readable => {
                Err(SampleError::NotReadable { role: role.clone(), schema: schema.clone() })
            }
            Some(_) => Ok(()),
        }
    }
}

#[derive(Debug, Deserialize)]
struct Control {
    system_identifier: String,
}

/// One query of ours.
pub(crate) struct Query {
    /// What it is about, for messages.
    pub(crate) about: &'static str,
    /// Its text, without what turns a row into JSON.
    pub(crate) sql: &'static str,
}

const SERVER: Query = Query { about: "the server", sql: include_str!("server.sql") };
const CONTROL: Query = Query { about: "the cluster's identity", sql: include_str!("control.sql") };

/// Sends queries and reads their answers.
pub(crate) struct Reader<'a> {
    /// The session to send them on.
    pub(crate) session: &'a Session,
}

impl Reader<'_> {
    async fn batch(&self, sql: &str) -> Result<(), SampleError> {
        let done = self.session.batch(sql).await;
        done.map_err(|source| SampleError::Read { about: "the transaction", source })
    }

    /// All rows of a query.
    pub(crate) async fn all<T: DeserializeOwned>(
        &self,
        query: &Query,
    ) -> Result<Vec<T>, SampleError> {
        self.each(query.about, query.sql, |text| serde_json::from_str(text)).await
    }

    /// All rows of a query whose text names the schema of an extension as `{schema}`.
    pub(crate) async fn all_in<T: DeserializeOwned>(
        &self,
        schema: &str,
        query: &Query,
    ) -> Result<Vec<T>, SampleError> {
        let sql = query.sql.replace("{schema}", &rules::quote::ident(schema));
        self.each(query.about, &sql, |text| serde_json::from_str(text)).await
    }

    /// All rows of a query that may be sent only under a condition; none where it does not hold.
    async fn all_if<T: DeserializeOwned>(
        &self,
        allowed: bool,
        query: &Query,
    ) -> Result<Vec<T>, SampleError> {
        if allowed { self.all(query).await } else { Ok(Vec::new()) }
    }

    /// The one row of a query.
    pub(crate) async fn one<T: DeserializeOwned>(&self, query: &Query) -> Result<T, SampleError> {
        let row = self.all(query).await?.pop();
        row.ok_or(SampleError::Nothing { about: query.about })
    }

    /// All rows, each as the thing that it describes and as what it belongs to.
    async fn all_owned<O: DeserializeOwned, T: DeserializeOwned>(
        &self,
        query: &Query,
    ) -> Result<Vec<(O, T)>, SampleError> {
        let both = |text: &str| Ok((serde_json::from_str(text)?, serde_json::from_str(text)?));
        self.each(query.about, query.sql, both).await
    }

    async fn each<T>(
        &self,
        about: &'static str,
        sql: &str,
        parse: impl Fn(&str) -> serde_json::Result<T>,
    ) -> Result<Vec<T>, SampleError> {
        let since = Instant::now();
        let sql = format!("SELECT pg_catalog.row_to_json(q)::text FROM (\n{sql}) AS q");
        let rows = self
            .session
            .query(&sql, &[])
            .await
            .map_err(|source| SampleError::Read { about, source })?;
        tracing::debug!(about, rows = rows.len(), ms = millis(since), "read");
        let mut parsed = Vec::with_capacity(rows.len());
        for row in rows {
            let text = row
                .try_get(0)
                .map_err(|source| SampleError::Read { about, source: source.into() })?;
            parsed.push(parse(text).map_err(|source| SampleError::Understand { about, source })?);
        }
        Ok(parsed)
    }
}
