//! What is missing on a server, or for a role, and the exact statements that mend it.

mod connection;
mod grants;
mod planning;

pub use connection::connection;
pub use grants::{Grants, Step, grants};
pub use planning::planning;

use rules::change_plan::is_index_name;
use rules::quote::{ident, qualified};
use serde::Deserialize;

use crate::cluster::Binaries;
use crate::journal::{self, JournalError, Which, attention, exists, list as list_rows};
use crate::postgres::{NEWEST_MAJOR, ServerVersion, Session};
use crate::sampler::remedy::{self, MANAGED, PGSS};
use crate::sampler::{Query, Reader, SampleError};

/// How well one aspect is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    /// As it should be.
    Ok,
    /// It works, but less well or less safely than it could.
    Warn,
    /// Dry runs work; `--apply` cannot work like this.
    Apply,
    /// Not even a dry run can work like this.
    Fail,
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// What it is, in a few words.
    pub aspect: &'static str,
    /// How well it is.
    pub state: State,
    /// What was found, one sentence.
    pub finding: String,
    /// What to do, in order: SQL statements, and steps outside of SQL; empty when nothing is to be done.
    pub remedy: Vec<String>,
}

/// `CREATE INDEX CONCURRENTLY` could leave a corrupt index before this version of 14 (release notes of 14.4).
const FIRST_SAFE_14: u32 = 140_004;

/// Names that are spelled out in a finding; the rest is a number.
const NAMED_MAX: usize = 5;

/// What one query answers; see `doctor.sql`.
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is an answer of the server's, independent of the others"
)]
#[derive(Debug, Deserialize)]
struct Facts {
    version_num: u32,
    database: String,
    role: String,
    in_recovery: bool,
    read_only: bool,
    preloaded: Option<String>,
    pgss_loaded: bool,
    pgss_track: Option<String>,
    pgss_max: Option<u64>,
    pgss_version: Option<String>,
    pgss_available: Option<String>,
    pgss_schema: Option<String>,
    pgss_readable: bool,
    pgss_has_info: bool,
    reads_all_stats: bool,
    hypopg_version: Option<String>,
    hypopg_available: Option<String>,
    may_create_schema: bool,
    may_use_schema: Option<bool>,
    may_write_journal: Option<bool>,
    tables: u64,
    tables_to_index: u64,
    other_owners: Vec<String>,
    /// Those of them of whom the role is a member that does not inherit.
    idle_owners: Vec<String>,
    super_owners: Vec<String>,
    closed_schemas: Vec<String>,
    unreadable_schemas: Vec<String>,
    tables_unreadable: u64,
    tables_unwritable: u64,
    never_analyzed: Vec<String>,
    invalid_indexes: Vec<String>,
    track_counts: String,
    track_activities: String,
    track_io_timing: String,
    autovacuum: String,
}

/// What `pg_stat_statements` says of itself.
#[derive(Debug, Deserialize)]
struct Info {
    evicted: u64,
}

const FACTS: Query = Query { about: "the server's set-up", sql: include_str!("doctor.sql") };
const INFO: Query =
    Query { about: "pg_stat_statements_info", sql: include_str!("../sampler/entries_info.sql") };

/// Looks at everything that a dry run and `--apply` need, changing nothing.
///
/// # Errors
/// When the server cannot be asked at all.
pub async fn examine(session: &Session) -> Result<Vec<Check>, SampleError> {
    let reader = Reader { session };
    let facts: Facts = reader.one(&FACTS).await?;
    let evicted = match &facts.pgss_schema {
        Some(schema) if facts.pgss_loaded && facts.pgss_readable && facts.pgss_has_info => {
            reader.all_in::<Info>(schema, &INFO).await?.pop().map(|info| info.evicted)
        }
        _ => None,
    };
    let known = exists(session).await;
    let open = matches!(known, Ok(true)) && facts.may_write_journal == Some(true);
    // Where the journal cannot be read, nothing is said of what the next run does.
    let unfinished = if open { journal::unfinished(session).await } else { Ok(Vec::new()) };
    let checks = [
        version(&facts),
        writable(&facts),
        statements(&facts, evicted),
        texts(&facts),
        tracking(&facts),
        readable(&facts),
        statistics(&facts),
        hypopg(&facts),
        journal(&facts, known.as_ref().err()),
        ownership(&facts),
        invalid(&facts, &unfinished.unwrap_or_default()),
    ];
    let rows = if open { vec![rows(session).await, unrecorded(session).await] } else { Vec::new() };
    let checks = checks.into_iter().chain(rows);
    Ok(checks.map(|check| for_standby(&facts, check)).collect())
}

/// On a standby nothing can be granted, created or analyzed: the primary has to.
fn for_standby(facts: &Facts, mut check: Check) -> Check {
    if facts.in_recovery {
        for step in &mut check.remedy {
            let ours = ["ALTER SYSTEM ", "SELECT pg_reload_conf"];
            if step.ends_with(';') && !ours.iter().any(|begin| step.starts_with(begin)) {
                step.push_str(" -- on the primary");
            }
        }
    }
    check
}

fn ok(aspect: &'static str, finding: impl Into<String>) -> Check {
    Check { aspect, state: State::Ok, finding: finding.into(), remedy: Vec::new() }
}

fn warn(aspect: &'static str, finding: impl Into<String>, remedy: Vec<String>) -> Check {
    Check { aspect, state: State::Warn, finding: finding.into(), remedy }
}

fn apply(aspect: &'static str, finding: impl Into<String>, remedy: Vec<String>) -> Check {
    Check { aspect, state: State::Apply, finding: finding.into(), remedy }
}

fn fail(aspect: &'static str, finding: impl Into<String>, remedy: Vec<String>) -> Check {
    Check { aspect, state: State::Fail, finding: finding.into(), remedy }
}

fn version(facts: &Facts) -> Check {
    const ASPECT: &str = "server version";
    let version = ServerVersion(facts.version_num);
    if version.major() == 14 && facts.version_num < FIRST_SAFE_14 {
        return apply(
            ASPECT,
            format!(
                "PostgreSQL {version} can build corrupt indexes concurrently, so --apply refuses; dry runs work"
            ),
            vec![
                "install the newest minor release of PostgreSQL 14 (14.4 or later) and restart"
                    .to_owned(),
            ],
        );
    }
    match version.note() {
        Some(note) => warn(ASPECT, note, Vec::new()),
        None => ok(ASPECT, format!("PostgreSQL {version}; 14 to {NEWEST_MAJOR} are supported")),
    }
}

fn writable(facts: &Facts) -> Check {
    const ASPECT: &str = "primary or standby";
    let Facts { database, role, .. } = facts;
    if facts.in_recovery {
        let step = "connect to the primary server for --apply";
        let finding = "this is a standby: dry runs work, with the statements that ran here; what writers would pay \
                       for an index is counted on the primary only. --apply cannot work";
        apply(ASPECT, finding, vec![step.to_owned()])
    } else if facts.read_only {
        apply(
            ASPECT,
            format!(
                "transactions of {role} in {database} begin read-only (default_transaction_read_only): dry runs work, \
                 --apply cannot"
            ),
            vec![format!(
                "ALTER ROLE {} IN DATABASE {} SET default_transaction_read_only = off;",
                ident(role),
                ident(database)
            )],
        )
    } else {
        ok(ASPECT, "this is a primary and takes writes")
    }
}

fn statements(facts: &Facts, evicted: Option<u64>) -> Check {
    let create = remedy::create_extension(PGSS);
    if !facts.pgss_loaded {
        let mut steps = remedy::preload(facts.preloaded.as_deref());
        if facts.pgss_version.is_none() {
            steps.push(create);
        }
        steps.push(MANAGED.to_owned());
        if facts.pgss_available.is_none() {
            steps.insert(
                0,
                package(
                    "pg_stat_statements comes with PostgreSQL's contrib package",
                    "postgresql-contrib",
                ),
            );
        }
        return fail(PGSS, "not loaded, so the server does not count its statements", steps);
    }
    let (Some(version), Some(schema)) = (&facts.pgss_version, &facts.pgss_schema) else {
        return fail(
            PGSS,
            format!("loaded, but not installed in {}", facts.database),
            vec![create],
        );
    };
    if !facts.pgss_readable {
        return fail(
            PGSS,
            format!("{} may not read {}", facts.role, qualified(schema, PGSS)),
            remedy::read_pgss(&facts.role, schema),
        );
    }
    if facts.pgss_track.as_deref() == Some("none") {
        let steps =
            ["ALTER SYSTEM SET pg_stat_statements.track = 'top';", "SELECT pg_reload_conf();"];
        return fail(PGSS, "loaded, but told to count nothing", steps.map(str::to_owned).to_vec());
    }
    if let (Some(evicted @ 1..), Some(max)) = (evicted, facts.pgss_max) {
        return warn(
            PGSS,
            format!("{evicted} entries were thrown away for want of room; there is room for {max}"),
            vec![
                format!("ALTER SYSTEM SET pg_stat_statements.max = {};", max.saturating_mul(2)),
                "restart PostgreSQL, for instance with: systemctl restart postgresql".to_owned(),
            ],
        );
    }
    if let Some(available) = facts.pgss_available.as_ref().filter(|available| *available != version)
    {
        return warn(
            PGSS,
            format!("version {version} is installed, {available} is there"),
            vec!["ALTER EXTENSION pg_stat_statements UPDATE;".to_owned()],
        );
    }
    ok(PGSS, format!("version {version} in schema {schema}"))
}

fn texts(facts: &Facts) -> Check {
    const ASPECT: &str = "statement texts";
    if facts.reads_all_stats {
        return ok(ASPECT, format!("{} sees the statements of all roles", facts.role));
    }
    warn(
        ASPECT,
        format!("{} sees only its own statements", facts.role),
        vec![remedy::read_all_stats(&facts.role)],
    )
}

fn tracking(facts: &Facts) -> Check {
    const ASPECT: &str = "counters";
    let needed = [
        ("track_counts", &facts.track_counts, "how tables and indexes are used is not counted"),
        ("track_activities", &facts.track_activities, "what sessions run cannot be seen"),
        ("autovacuum", &facts.autovacuum, "nobody analyzes the tables"),
    ];
    let off: Vec<_> = needed.into_iter().filter(|(_, value, _)| value.as_str() == "off").collect();
    if off.is_empty() {
        let io = if facts.track_io_timing == "on" { "on" } else { "off, which is fine" };
        return ok(ASPECT, format!("on; track_io_timing is {io}"));
    }
    let found: Vec<String> =
        off.iter().map(|(name, _, effect)| format!("{name} is off: {effect}")).collect();
    let mut steps: Vec<String> =
        off.iter().map(|(name, ..)| format!("ALTER SYSTEM SET {name} = on;")).collect();
    steps.push("SELECT pg_reload_conf();".to_owned());
    warn(ASPECT, found.join("; "), steps)
}

fn readable(facts: &Facts) -> Check {
    const ASPECT: &str = "reading tables' statistics";
    if facts.tables_unreadable == 0 {
        let writes = match facts.tables_unwritable {
            0 => String::new(),
            some => format!(
                "; for what writes to {some} of them or locks their rows the SELECT of the same rows is planned, for which reading is enough"
            ),
        };
        return ok(ASPECT, format!("{} may read all {} tables{writes}", facts.role, facts.tables));
    }
    let role = ident(&facts.role);
    let mut steps = Vec::new();
    for schema in &facts.unreadable_schemas {
        steps.push(format!("GRANT USAGE ON SCHEMA {} TO {role};", ident(schema)));
        steps.push(format!("GRANT SELECT ON ALL TABLES IN SCHEMA {} TO {role};", ident(schema)));
    }
    steps.push(format!("or, for all schemas at once: GRANT pg_read_all_data TO {role};"));
    let finding = format!(
        "{} may not read {} of {} tables: their statistics stay hidden and their statements cannot be planned",
        facts.role, facts.tables_unreadable, facts.tables
    );
    if facts.tables_unreadable == facts.tables {
        fail(ASPECT, finding, steps)
    } else {
        warn(ASPECT, finding, steps)
    }
}

fn statistics(facts: &Facts) -> Check {
    const ASPECT: &str = "statistics";
    if facts.in_recovery {
        // The counters that tell are not replicated, the statistics themselves are.
        return ok(
            ASPECT,
            "a standby has the primary's; whether all tables have some, doctor tells there",
        );
    }
    if facts.never_analyzed.is_empty() {
        return ok(ASPECT, "every table with rows was analyzed");
    }
    let steps =
        facts.never_analyzed.iter().take(NAMED_MAX).map(|table| format!("ANALYZE {table};"));
    warn(
        ASPECT,
        format!("tables with rows that were never analyzed: {}", list(&facts.never_analyzed)),
        steps.collect(),
    )
}

fn hypopg(facts: &Facts) -> Check {
    const ASPECT: &str = "HypoPG";
    let create = remedy::create_extension("hypopg");
    let major = facts.version_num / 10_000;
    if let Some(version) = &facts.hypopg_version {
        return ok(ASPECT, format!("version {version}"));
    }
    let missing = match &facts.hypopg_available {
        Some(_) => format!("not installed in {}", facts.database),
        None => "not on this server".to_owned(),
    };
    if let Ok(found) = Binaries::find(Some(major)) {
        let with = found.bin.display();
        let what = format!(
            "{missing}; a planner twin prices instead, by the PostgreSQL {major} in {with}"
        );
        return ok(ASPECT, what);
    }
    let effect = format!(
        "and no PostgreSQL {major} on this machine for a planner twin: nothing can be priced, and nothing reaches --apply's \
         confidence"
    );
    let how = package("install its package on the server", &format!("postgresql-{major}-hypopg"));
    let here = package("or the server's here", &format!("postgresql-{major}"));
    let steps = match &facts.hypopg_available {
        Some(_) => vec![create, here],
        None => vec![how, create, here],
    };
    warn(ASPECT, format!("{missing}, {effect}"), steps)
}

fn package(what: &str, name: &str) -> String {
    format!("{what}, on Debian and Ubuntu with: apt-get install {name}")
}

fn journal(facts: &Facts, wrong: Option<&JournalError>) -> Check {
    const ASPECT: &str = "journal (schema pgwright)";
    if let Some(error) = wrong.filter(|error| !matches!(error, JournalError::Read(_))) {
        return fail(ASPECT, error.to_string(), Vec::new());
    }
    let (database, role) = (ident(&facts.database), ident(&facts.role));
    match (facts.may_use_schema, facts.may_write_journal) {
        (Some(true), None | Some(true)) => ok(ASPECT, "there, and open to this role"),
        (Some(_), _) => apply(
            ASPECT,
            format!("there, but {} may not write to it: dry runs work, --apply cannot", facts.role),
            remedy::write_journal(&facts.role),
        ),
        (None, _) if facts.may_create_schema => {
            ok(ASPECT, "not there yet; this role may create it")
        }
        (None, _) => apply(
            ASPECT,
            format!(
                "not there, and {} may not create it: dry runs work, --apply cannot",
                facts.role
            ),
            vec![
                format!("CREATE SCHEMA pgwright AUTHORIZATION {role};"),
                format!("or: GRANT CREATE ON DATABASE {database} TO {role};"),
            ],
        ),
    }
}

/// The rows of the journal that a person should know of.
async fn rows(session: &Session) -> Check {
    const ASPECT: &str = "actions in the journal";
    let entries = match list_rows(session, Which::All).await {
        Ok(entries) => entries,
        Err(error) => return fail(ASPECT, error.to_string(), Vec::new()),
    };
    let open: Vec<_> = entries.iter().filter_map(|e| Some((e, attention(e)?))).collect();
    if open.is_empty() {
        return ok(ASPECT, "none is unfinished or waits for a person");
    }
    let said = open.iter().take(NAMED_MAX).map(|(entry, attention)| {
        let index =
            entry.index_name.as_ref().map_or(String::new(), |name| format!(" {}", ident(name)));
        let (kind, table) = (entry.kind.replace('_', " "), entry.table.qualified());
        format!("action {} ({kind}{index} on {table}): {}", entry.id, attention.what)
    });
    let more = open.len().saturating_sub(NAMED_MAX);
    let more =
        if more == 0 { String::new() } else { format!("; and {more} more, see pgwright log") };
    let steps = open.iter().take(NAMED_MAX).flat_map(|(_, attention)| attention.steps.clone());
    warn(ASPECT, format!("{}{more}", said.collect::<Vec<_>>().join("; ")), steps.collect())
}

/// Indexes and statistics named as ours of which the journal knows nothing.
async fn unrecorded(session: &Session) -> Check {
    const ASPECT: &str = "indexes and statistics without a row";
    match journal::unrecorded(session).await {
        Err(error) => fail(ASPECT, error.to_string(), Vec::new()),
        Ok(names) if names.is_empty() => ok(ASPECT, "none"),
        Ok(names) => warn(
            ASPECT,
            format!(
                "named as those of pgwright, but the journal has no row of {}: a person made them by what a dry run \
                 printed, or again after they were taken back, or the rows were deleted; pgwright neither watches them \
                 nor takes them back",
                list(&names)
            ),
            vec!["drop what is not wanted, and rename the others".to_owned()],
        ),
    }
}

fn ownership(facts: &Facts) -> Check {
    const ASPECT: &str = "ownership of tables";
    let Facts { role, tables, tables_to_index, .. } = facts;
    if tables_to_index == tables {
        return ok(ASPECT, format!("{role} may create indexes on all {tables} tables"));
    }
    let mut steps: Vec<String> = Vec::new();
    let (idle, others): (Vec<&String>, Vec<&String>) =
        facts.other_owners.iter().partition(|owner| facts.idle_owners.contains(owner));
    for owner in others {
        steps.push(format!("GRANT {} TO {};", ident(owner), ident(role)));
    }
    if facts.version_num >= 160_000 {
        for owner in &idle {
            steps.push(format!("GRANT {} TO {} WITH INHERIT TRUE;", ident(owner), ident(role)));
        }
    } else if !idle.is_empty() {
        steps.push(format!("ALTER ROLE {} INHERIT;", ident(role)));
    }
    for schema in &facts.closed_schemas {
        steps.push(format!("GRANT CREATE ON SCHEMA {} TO {};", ident(schema), ident(role)));
    }
    let mut finding = format!(
        "{role} may create indexes on {tables_to_index} of {tables} tables; the others stay advice"
    );
    if !facts.other_owners.is_empty() {
        finding.push_str(
            ". PostgreSQL lets only a table's owner index it, and a member of the owner may also change and drop the \
             table: without that grant, have the owner run what `pgwright optimize --format sql` prints",
        );
    }
    if !idle.is_empty() {
        finding.push_str(&format!(
            ". {role} is a member of {} already, without inheriting the rights",
            list(&facts.idle_owners)
        ));
    }
    if !facts.super_owners.is_empty() {
        let owners = list(&facts.super_owners);
        finding.push_str(&format!(
            ". Some belong to a superuser ({owners}): do not grant that one, for {role} could then do anything"
        ));
        steps.push(
            "give tables of a superuser an owner of their own (CREATE ROLE … NOLOGIN, ALTER TABLE … OWNER TO …) and \
             grant that, or run what `pgwright optimize --format sql` prints as the superuser"
                .to_owned(),
        );
    }
    if *tables_to_index == 0 { apply(ASPECT, finding, steps) } else { warn(ASPECT, finding, steps) }
}

fn invalid(facts: &Facts, unfinished: &[String]) -> Check {
    const ASPECT: &str = "invalid indexes";
    if facts.invalid_indexes.is_empty() {
        return ok(ASPECT, "none");
    }
    let steps = facts.invalid_indexes.iter().take(NAMED_MAX).map(|index| {
        if unfinished.contains(index) {
            return format!("the next `pgwright optimize --apply` finishes or removes {index}");
        }
        // What a REINDEX CONCURRENTLY that failed left behind is a copy too many, and what a build of pgwright's left
        // behind of which the journal knows nothing will be built anew if it is wanted.
        let left_over = ["_ccnew", "_ccold"].iter().any(|mark| index.contains(mark))
            || index.rsplit('.').next().is_some_and(is_index_name);
        let what = if left_over { "DROP" } else { "REINDEX" };
        format!("{what} INDEX CONCURRENTLY {index};")
    });
    warn(
        ASPECT,
        format!("writers keep them up, no query uses them: {}", list(&facts.invalid_indexes)),
        steps.collect(),
    )
}

/// The first few names, and how many more there are.
fn list(names: &[String]) -> String {
    let shown = names.iter().take(NAMED_MAX).cloned().collect::<Vec<_>>().join(", ");
    if names.len() > NAMED_MAX {
        format!("{shown} and {} more", names.len() - NAMED_MAX)
    } else {
        shown
    }
}
