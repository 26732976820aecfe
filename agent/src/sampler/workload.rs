//! Reads the workload: from `pg_stat_statements`, or from files.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use rules::intake::{RawEntry, Thresholds, add_calls, add_examples, take_in, take_in_files};
use rules::snapshot::{Intake, LeftOut, Statement};
use serde::Deserialize;

use super::roles::{self, Setting};
use super::{Facts, Query, Reader, SampleError, SampleOptions};

/// The statements, and what is known of their origin.
pub(super) struct Workload {
    pub(super) statements: Vec<Statement>,
    pub(super) intake: Intake,
    /// The `search_path` of the role that looks, were it to log in without us.
    pub(super) search_path: Vec<String>,
}

#[derive(Default, Deserialize)]
struct Info {
    since: Option<DateTime<Utc>>,
    evicted: Option<u64>,
}

#[derive(Deserialize)]
struct Elsewhere {
    entries: u64,
}

#[derive(Deserialize)]
struct Running {
    text: String,
}

#[derive(Deserialize)]
struct Server {
    name: String,
    value: String,
}

const ENTRIES: Query = Query { about: "pg_stat_statements", sql: include_str!("entries.sql") };
const INFO: Query =
    Query { about: "pg_stat_statements_info", sql: include_str!("entries_info.sql") };
const ELSEWHERE: Query =
    Query { about: "pg_stat_statements", sql: include_str!("entries_elsewhere.sql") };
const RUNNING: Query = Query { about: "what other sessions run", sql: include_str!("running.sql") };
const ROLE_SETTINGS: Query =
    Query { about: "the settings of roles", sql: include_str!("role_settings.sql") };
const BUILT_IN: Query =
    Query { about: "the built-in settings", sql: include_str!("built_in_settings.sql") };
const SERVER: Query =
    Query { about: "the server's settings", sql: include_str!("server_settings.sql") };

/// Reads the statements from where the options say.
pub(super) async fn read(
    reader: &Reader<'_>,
    facts: &Facts,
    options: &SampleOptions,
    thresholds: &Thresholds,
) -> Result<Workload, SampleError> {
    let entries: Vec<RawEntry> = match (&options.workload, &facts.pgss_schema) {
        (None, Some(schema)) => reader.all_in(schema, &ENTRIES).await?,
        _ => Vec::new(),
    };
    let own_role = facts.server.role.clone();
    let names: BTreeSet<String> = entries.iter().filter_map(|entry| entry.role.clone()).collect();
    let settings: Vec<Setting> = reader.all(&ROLE_SETTINGS).await?;
    let mut server: Vec<Server> = reader.all(&BUILT_IN).await?;
    server.extend(reader.all_if::<Server>(facts.may_read_files, &SERVER).await?);
    // The last line of the files counts, and before what is built in.
    let server = server.into_iter().map(|setting| (setting.name, setting.value)).collect();
    let roles = roles::resolve(&names, &own_role, &settings, &server, &facts.schemas);
    let search_path = roles.of(Some(&own_role)).search_path.clone();
    let (mut statements, mut intake) = match (&options.workload, &facts.pgss_schema) {
        (Some(files), _) => take_in_files(files, options.limit, &search_path)?,
        (None, Some(schema)) => {
            let (statements, mut intake) = take_in(entries, thresholds, &roles);
            complete(reader, facts, schema, &mut intake).await?;
            check(&statements, &mut intake, &own_role)?;
            (statements, intake)
        }
        (None, None) => {
            return Err(SampleError::NotInstalled { database: facts.server.database.clone() });
        }
    };
    let running: Vec<Running> = reader.all(&RUNNING).await?;
    let running: Vec<String> = running.into_iter().map(|running| running.text).collect();
    add_examples(&mut statements, &running);
    add_calls(&mut statements, &options.logs, &facts.server.database, &mut intake);
    Ok(Workload { statements, intake, search_path })
}

/// Adds what `pg_stat_statements` says of itself.
async fn complete(
    reader: &Reader<'_>,
    facts: &Facts,
    schema: &str,
    intake: &mut Intake,
) -> Result<(), SampleError> {
    if facts.pgss_has_info {
        let info: Info = reader.all_in(schema, &INFO).await?.pop().unwrap_or_default();
        (intake.since, intake.evicted) = (info.since, info.evicted);
    }
    let elsewhere: Option<Elsewhere> = reader.all_in(schema, &ELSEWHERE).await?.pop();
    let entries = elsewhere.map_or(0, |elsewhere| elsewhere.entries);
    if entries > 0 {
        intake.seen += entries;
        *intake.left_out.entry(LeftOut::OtherDatabase).or_default() += entries;
    }
    if let Some(evicted @ 1..) = intake.evicted {
        intake.notes.push(format!(
            "pg_stat_statements threw {evicted} entries away for want of room: raise pg_stat_statements.max to see all"
        ));
    }
    Ok(())
}

/// Speaks up where nothing, or not everything, could be seen.
fn check(statements: &[Statement], intake: &mut Intake, role: &str) -> Result<(), SampleError> {
    let hidden = intake.left_out.get(&LeftOut::InsufficientPrivilege).copied().unwrap_or(0);
    if hidden > 0 && statements.is_empty() {
        return Err(SampleError::Blind { role: role.to_owned(), hidden });
    }
    if hidden > 0 {
        let remedy = super::remedy::read_all_stats(role);
        intake
            .notes
            .push(format!("{hidden} statements of other roles are hidden from {role}: {remedy}"));
    }
    if statements.is_empty() {
        intake.notes.push(
            "pg_stat_statements holds no statement to optimize: let the application run for a while and come back, \
             lower --min-calls and --min-mean-ms, or give statements with --workload"
                .to_owned(),
        );
    }
    Ok(())
}
