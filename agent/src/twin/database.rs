//! The twin's database and its two roles, before anything is in it.
//!
//! `pgwright_owner` makes and owns everything that comes from the schema; `pgwright_planner` plans and owns nothing.
//! Both are ordinary roles with sessions of their own, so that no code of the schema runs in a session that could
//! become a superuser again.

use rules::blueprint::{Blueprint, Locale};
use rules::quote::{ident, literal};
use rules::snapshot::Snapshot;

use super::TwinError;
use super::notes::Notes;
use crate::cluster::Cluster;
use crate::postgres::Session;

/// Who makes and owns everything of the schema.
pub(super) const OWNER: &str = "pgwright_owner";
/// Who plans.
pub(super) const PLANNER: &str = "pgwright_planner";

/// The tablespace of indexes on trial.
pub(super) const TRIALS: &str = "pgwright_trials";

/// Settings beside those of category `Query Tuning` that change plans or costs.
const SETTINGS: [&str; 7] = [
    "work_mem",
    "hash_mem_multiplier",
    "temp_buffers",
    "effective_io_concurrency",
    "max_parallel_workers_per_gather",
    "max_parallel_workers",
    "default_toast_compression",
];

/// Makes the roles. The owner's sessions fire no trigger and check no foreign key.
pub(super) async fn make_roles(
    session: &Session,
    snapshot: &Snapshot,
    notes: &mut Notes,
) -> Result<(), TwinError> {
    let failed = TwinError::doing("make its roles");
    // Where the source's role saw past row security, the plans that it got show no policy.
    let sees_all = snapshot.server.superuser
        || snapshot
            .tables
            .iter()
            .filter(|table| table.row_security)
            .all(|table| table.owner == snapshot.server.role);
    let bypass = if sees_all { "BYPASSRLS" } else { "NOBYPASSRLS" };
    for sql in [
        format!("CREATE ROLE {OWNER} LOGIN NOSUPERUSER"),
        format!("CREATE ROLE {PLANNER} LOGIN NOSUPERUSER {bypass}"),
        format!("ALTER ROLE {OWNER} SET session_replication_role = 'replica'"),
        format!("ALTER ROLE {OWNER} SET check_function_bodies = off"),
    ] {
        session.execute(&sql, &[]).await.map_err(&failed)?;
    }
    let known = "SELECT s.name::text FROM pg_catalog.pg_settings AS s \
                 WHERE s.context IN ('user', 'superuser') AND (s.category LIKE 'Query Tuning%' OR s.name = ANY($1))";
    let rows = session.query(known, &[&SETTINGS.as_slice()]).await.map_err(&failed)?;
    for row in rows {
        let name: String = row.try_get(0).unwrap_or_default();
        let Some(value) = snapshot.settings.get(&name) else { continue };
        let sql = format!("ALTER ROLE {PLANNER} SET {} = {}", ident(&name), literal(value));
        if let Err(error) = session.execute(&sql, &[]).await {
            if error.is_lost() {
                return Err(failed(error));
            }
            notes.add(&format!(
                "the setting {name} = {value} could not be given to the twin: {error}"
            ));
        }
    }
    Ok(())
}

/// Costs that a tablespace can have of its own.
const COSTS: [&str; 4] =
    ["seq_page_cost", "random_page_cost", "effective_io_concurrency", "maintenance_io_concurrency"];

/// Makes the source's tablespaces with their costs, and one for indexes on trial, which costs what the default one
/// costs. Each is a folder beside the data folder.
pub(super) async fn make_tablespaces(
    session: &Session,
    cluster: &Cluster,
    blueprint: &Blueprint,
    notes: &mut Notes,
) -> Result<(), TwinError> {
    let failed = TwinError::doing("make its tablespaces");
    let trials = cluster.make_folder("trials")?;
    let make =
        format!("CREATE TABLESPACE {TRIALS} LOCATION {}", literal(&trials.to_string_lossy()));
    session.execute(&make, &[]).await.map_err(&failed)?;
    for (number, space) in blueprint.tablespaces.iter().enumerate() {
        let mut spaces = vec![space.name.as_str()];
        if space.name == "pg_default" {
            spaces.push(TRIALS);
        } else if !space.name.starts_with("pg_") {
            let folder = cluster.make_folder(&format!("space-{number}"))?;
            let make = format!(
                "CREATE TABLESPACE {} OWNER {OWNER} LOCATION {}",
                ident(&space.name),
                literal(&folder.to_string_lossy())
            );
            session.execute(&make, &[]).await.map_err(&failed)?;
        }
        let costs = space.options.iter().filter_map(|option| {
            let (name, value) = option.split_once('=')?;
            let value: f64 = value.parse().ok()?;
            COSTS.contains(&name).then(|| format!("{name} = {value}"))
        });
        let costs = costs.collect::<Vec<_>>().join(", ");
        for name in spaces.iter().filter(|_| !costs.is_empty()) {
            let set = format!("ALTER TABLESPACE {} SET ({costs})", ident(name));
            if let Err(error) = session.execute(&set, &[]).await {
                notes.add(&format!(
                    "the costs of tablespace {name} could not be taken over: {error}"
                ));
            }
        }
    }
    Ok(())
}

/// Makes the database with the source's encoding and collation, or the nearest that this machine has.
pub(super) async fn make_database(
    session: &Session,
    name: &str,
    locale: &Locale,
    notes: &mut Notes,
) -> Result<(), TwinError> {
    let failed = TwinError::doing("make its database");
    let major = session.version().major();
    let encoding = if locale.encoding.is_empty() { "UTF8" } else { &locale.encoding };
    let mut refused = None;
    for (clause, note) in wordings(locale, major) {
        let sql = format!(
            "CREATE DATABASE {} TEMPLATE template0 ENCODING {} OWNER {OWNER} {clause}",
            ident(name),
            literal(encoding)
        );
        match session.execute(&sql, &[]).await {
            Ok(_) => {
                if let Some(note) = note {
                    notes.add(&note);
                }
                return Ok(());
            }
            Err(error) if error.is_lost() => return Err(failed(error)),
            Err(error) => refused = Some(error),
        }
    }
    // There is always a last wording, which fails only where nothing could be made.
    refused.map_or(Ok(()), |error| Err(failed(error)))
}

/// Ways to say a locale, best first, each with what it changes.
fn wordings(locale: &Locale, major: u32) -> Vec<(String, Option<String>)> {
    let libc = |collate: &str, ctype: &str| {
        let provider = if major >= 15 { "LOCALE_PROVIDER libc " } else { "" };
        format!("{provider}LC_COLLATE {} LC_CTYPE {}", literal(collate), literal(ctype))
    };
    let icu = |name: &str| format!("LOCALE_PROVIDER icu ICU_LOCALE {} LOCALE 'C'", literal(name));
    let mut wordings = Vec::new();
    let own = locale.locale.as_deref().unwrap_or_default();
    let wanted = match locale.provider {
        'i' => {
            wordings.push((icu(own), None));
            own.to_owned()
        }
        'b' => {
            let clause =
                format!("LOCALE_PROVIDER builtin BUILTIN_LOCALE {} LOCALE 'C'", literal(own));
            wordings.push((clause, None));
            own.to_owned()
        }
        _ => {
            wordings.push((libc(&locale.collate, &locale.ctype), None));
            locale.collate.clone()
        }
    };
    let bytewise = matches!(wanted.as_str(), "" | "C" | "POSIX");
    if !bytewise {
        let tag = wanted.split(['.', '@']).next().unwrap_or_default().replace('_', "-");
        if major >= 15 && !matches!(tag.as_str(), "C" | "POSIX") {
            let note = format!(
                "collation {wanted} is not on this machine; in the twin ICU's {tag} stands in, which may order text a \
                 little differently"
            );
            wordings.push((icu(&tag), Some(note)));
        }
        let note = format!(
            "collation {wanted} is not on this machine; in the twin C.UTF-8 stands in: text is in the order of its \
             bytes there, and estimates for ranges of text differ"
        );
        wordings.push((libc("C.UTF-8", "C.UTF-8"), Some(note)));
    }
    let note = format!(
        "collation {wanted} is not on this machine; in the twin C stands in: text is in the order of its bytes there, \
         and LIKE 'x%' can use a plain B-tree, which it cannot in the source"
    );
    wordings.push((libc("C", "C"), Some(note).filter(|_| !bytewise)));
    wordings
}

/// What the database allows whom, before the schema is restored.
pub(super) async fn open_database(session: &Session, name: &str) -> Result<(), TwinError> {
    let failed = TwinError::doing("prepare its database");
    for sql in [
        format!("REVOKE ALL ON DATABASE {} FROM PUBLIC", ident(name)),
        format!("GRANT CONNECT ON DATABASE {} TO {PLANNER}", ident(name)),
        format!("ALTER SCHEMA public OWNER TO {OWNER}"),
        "REVOKE CREATE ON SCHEMA public FROM PUBLIC".to_owned(),
    ] {
        session.execute(&sql, &[]).await.map_err(&failed)?;
    }
    // What anybody may call that writes beside tables.
    let writers = "SELECT p.oid::pg_catalog.regprocedure::text FROM pg_catalog.pg_proc AS p \
                   WHERE p.pronamespace = 'pg_catalog'::pg_catalog.regnamespace AND p.proname = ANY($1)";
    let names: &[&str] = &[
        "lo_create",
        "lo_creat",
        "lo_from_bytea",
        "lo_put",
        "lowrite",
        "lo_import",
        "lo_export",
        "pg_logical_emit_message",
        "pg_export_snapshot",
    ];
    for row in session.query(writers, &[&names]).await.map_err(&failed)? {
        let function: String = row.try_get(0).unwrap_or_default();
        let sql = format!(
            "REVOKE EXECUTE ON FUNCTION pg_catalog.{} FROM PUBLIC",
            function.trim_start_matches("pg_catalog.")
        );
        session.execute(&sql, &[]).await.map_err(&failed)?;
    }
    Ok(())
}

/// Lets the planner see what the schema holds, and nothing more.
pub(super) async fn open_schema(session: &Session) -> Result<(), TwinError> {
    let failed = TwinError::doing("let its planner see the schema");
    let schemas = "SELECT n.nspname::text FROM pg_catalog.pg_namespace AS n \
                   WHERE n.nspname NOT LIKE 'pg\\_%' AND n.nspname <> 'information_schema'";
    for row in session.query(schemas, &[]).await.map_err(&failed)? {
        let schema = ident(&row.try_get::<_, String>(0).unwrap_or_default());
        for sql in [
            format!("GRANT USAGE ON SCHEMA {schema} TO {PLANNER}"),
            format!(
                "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA {schema} TO {PLANNER}"
            ),
            format!("GRANT EXECUTE ON ALL ROUTINES IN SCHEMA {schema} TO {PLANNER}"),
        ] {
            session.execute(&sql, &[]).await.map_err(&failed)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::wordings;
    use rules::blueprint::Locale;

    fn clauses(collate: &str, provider: char, own: Option<&str>, major: u32) -> Vec<String> {
        let locale = Locale {
            encoding: "UTF8".to_owned(),
            collate: collate.to_owned(),
            ctype: collate.to_owned(),
            provider,
            locale: own.map(str::to_owned),
        };
        wordings(&locale, major).into_iter().map(|(clause, _)| clause).collect()
    }

    #[test]
    fn the_nearest_collation_is_tried_next() {
        assert_eq!(
            clauses("C", 'c', None, 15)[0],
            "LOCALE_PROVIDER libc LC_COLLATE 'C' LC_CTYPE 'C'"
        );
        let english = clauses("en_US.UTF-8", 'c', None, 15);
        assert!(english[0].contains("LC_COLLATE 'en_US.UTF-8'"), "{english:?}");
        assert!(english[1].contains("ICU_LOCALE 'en-US'"), "{english:?}");
        assert_eq!(english.len(), 4);
        assert_eq!(clauses("en_US.UTF-8", 'c', None, 14).len(), 3, "no ICU before 15");
        assert!(clauses("C", 'b', Some("C.UTF-8"), 17)[0].contains("BUILTIN_LOCALE 'C.UTF-8'"));
    }

    #[test]
    fn only_a_stand_in_has_a_note() {
        let locale = Locale {
            collate: "C".to_owned(),
            ctype: "C".to_owned(),
            provider: 'c',
            ..Locale::default()
        };
        assert!(wordings(&locale, 15).iter().all(|(_, note)| note.is_none()));
    }
}
