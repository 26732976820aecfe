//! The roles and grants that a dry run and `--apply` need in one database: all of them, and no more.

use std::collections::{BTreeMap, BTreeSet};

use rules::quote::ident;
use serde::Deserialize;

use crate::postgres::Session;
use crate::sampler::remedy::{self, PGSS};
use crate::sampler::{Query, Reader, SampleError};

/// One statement and what it is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// The statement; empty where there is none and a person has to decide.
    pub sql: String,
    /// What it is for, a few words.
    pub why: String,
}

/// A script that makes two logins for pgwright, for a superuser or whoever may grant all this.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grants {
    /// The database.
    pub database: String,
    /// Major version of the server.
    pub major: u32,
    /// The login that reads, keeps the journal and applies.
    pub role: String,
    /// The login that asks for plans.
    pub planner: String,
    /// What a dry run needs.
    pub dry_run: Vec<Step>,
    /// What `--apply` needs in addition.
    pub apply: Vec<Step>,
}

const BASE: Query = Query { about: "what grants depend on", sql: include_str!("grants_base.sql") };
const TABLESPACES: Query =
    Query { about: "the tablespaces of indexes", sql: include_str!("grants_tablespaces.sql") };
const OWNERS: Query = Query { about: "the owners of tables", sql: include_str!("grants.sql") };

#[derive(Debug, Deserialize)]
struct Base {
    version_num: u32,
    database: String,
    open: bool,
    roles: BTreeSet<String>,
    pgss_schema: Option<String>,
    pgss_open: bool,
    hypopg_schema: Option<String>,
    journal_owner: Option<String>,
    journal_of_superuser: bool,
}

#[derive(Debug, Deserialize)]
struct Owner {
    schema: String,
    #[serde(rename = "owner")]
    name: String,
    #[serde(rename = "super")]
    is_super: bool,
    open: bool,
    may_create: bool,
}

#[derive(Debug, Deserialize)]
struct Tablespace {
    name: String,
}

/// Works out the roles and grants for this database as it is now, for logins of these names.
///
/// # Errors
/// When the server cannot be asked.
pub async fn grants(session: &Session, role: &str, planner: &str) -> Result<Grants, SampleError> {
    let reader = Reader { session };
    let base: Base = reader.one(&BASE).await?;
    let owners: Vec<Owner> = reader.all(&OWNERS).await?;
    let tablespaces: Vec<Tablespace> = reader.all(&TABLESPACES).await?;
    Ok(Grants {
        dry_run: dry_run(&base, &owners, role, planner),
        apply: apply(&base, &owners, &tablespaces, role),
        major: base.version_num / 10_000,
        database: base.database,
        role: role.to_owned(),
        planner: planner.to_owned(),
    })
}

fn step(sql: String, why: impl Into<String>) -> Step {
    Step { sql, why: why.into() }
}

fn dry_run(base: &Base, owners: &[Owner], role: &str, planner: &str) -> Vec<Step> {
    let both = format!("{}, {}", ident(role), ident(planner));
    let mut steps = Vec::new();
    let logins = [
        (role, "reads catalogs, statistics and counters; keeps the journal and applies"),
        (planner, "asks for plans and owns nothing: planning can run code of users"),
    ];
    for (name, why) in logins {
        if !base.roles.contains(name) {
            steps.push(step(format!("CREATE ROLE {} LOGIN;", ident(name)), why));
        }
    }
    if !base.open {
        let sql = format!("GRANT CONNECT ON DATABASE {} TO {both};", ident(&base.database));
        steps.push(step(sql, "not everybody may connect here"));
    }
    match &base.pgss_schema {
        None => steps.push(step(remedy::create_extension(PGSS), "counts what the server runs")),
        Some(schema) if !base.pgss_open => {
            let read = remedy::read_pgss(role, schema).into_iter();
            steps.extend(read.map(|sql| step(sql, "not everybody may read the counters")));
        }
        Some(_) => {}
    }
    steps
        .push(step(remedy::read_all_stats(role), "see the statements and sessions of other roles"));
    if let Some(schema) = &base.hypopg_schema {
        let sql = format!("GRANT USAGE ON SCHEMA {} TO {};", ident(schema), ident(planner));
        steps.push(step(sql, "reach HypoPG"));
    }
    let schemas: BTreeMap<&str, bool> = owners.iter().map(|of| (&*of.schema, of.open)).collect();
    for (schema, open) in schemas {
        let schema = ident(schema);
        if !open {
            let sql = format!("GRANT USAGE ON SCHEMA {schema} TO {both};");
            steps.push(step(sql, "reach its tables"));
        }
        let sql = format!("GRANT SELECT ON ALL TABLES IN SCHEMA {schema} TO {both};");
        steps.push(step(sql, "see columns' statistics, and plan; again after tables are made"));
    }
    let sql = String::new();
    let why = format!(
        "or, for all tables of all databases, of now and of later: GRANT pg_read_all_data TO {both};"
    );
    steps.push(Step { sql, why });
    steps
}

fn apply(base: &Base, owners: &[Owner], tablespaces: &[Tablespace], role: &str) -> Vec<Step> {
    let one = ident(role);
    let mut steps = Vec::new();
    match &base.journal_owner {
        None => steps
            .push(step(format!("CREATE SCHEMA pgwright AUTHORIZATION {one};"), "for the journal")),
        Some(owner) if owner == role => {}
        Some(_) if base.journal_of_superuser => {
            let why = "the journal is there, and belongs to a superuser, who is not granted";
            for sql in remedy::write_journal(role) {
                steps.push(step(sql, why));
            }
        }
        Some(owner) => steps.push(step(
            String::new(),
            format!(
                "schema pgwright belongs to {owner}, whose code could run in the name of {role}: look at it, then drop \
                 it, or let --role name {owner}"
            ),
        )),
    }
    let ordinary: BTreeSet<&str> = owners
        .iter()
        .filter(|of| !of.is_super && of.name != role)
        .map(|of| of.name.as_str())
        .collect();
    for owner in ordinary {
        steps.push(step(
            format!("GRANT {} TO {one};", ident(owner)),
            "only an owner may index a table; a member may also change and drop it",
        ));
    }
    let closed: BTreeSet<&str> = owners
        .iter()
        .filter(|of| !of.is_super && !of.may_create)
        .map(|of| of.schema.as_str())
        .collect();
    for schema in closed {
        steps.push(step(
            format!("GRANT CREATE ON SCHEMA {} TO {one};", ident(schema)),
            "an index is made in the schema of its table",
        ));
    }
    for Tablespace { name } in tablespaces {
        steps.push(step(
            format!("GRANT CREATE ON TABLESPACE {} TO {one};", ident(name)),
            "some indexes are there, and only who may make them again may drop them",
        ));
    }
    let of_super: BTreeSet<&str> =
        owners.iter().filter(|of| of.is_super).map(|of| of.schema.as_str()).collect();
    for schema in of_super {
        let schema = ident(schema);
        // The privilege came with PostgreSQL 17.
        steps.push(if base.version_num >= 170_000 {
            step(
                format!("GRANT MAINTAIN ON ALL TABLES IN SCHEMA {schema} TO {one};"),
                "some belong to a superuser: analyzed they can be, indexes on them stay advice",
            )
        } else {
            step(
                String::new(),
                format!(
                    "tables of a superuser in schema {schema} stay advice: do not grant that role"
                ),
            )
        });
    }
    steps
}

#[cfg(test)]
mod tests {
    use super::{Base, Owner, apply, dry_run};

    fn base(version_num: u32) -> Base {
        Base {
            version_num,
            database: "Shop".into(),
            open: false,
            roles: ["pgwright".to_owned()].into(),
            pgss_schema: None,
            pgss_open: true,
            hypopg_schema: None,
            journal_owner: None,
            journal_of_superuser: false,
        }
    }

    fn owner(schema: &str, owner: &str, is_super: bool, may_create: bool) -> Owner {
        Owner {
            schema: schema.into(),
            name: owner.into(),
            is_super,
            open: schema == "public",
            may_create,
        }
    }

    #[test]
    fn exactly_what_is_needed_is_granted() {
        let owners =
            [owner("My app", "shop owner", false, true), owner("public", "clerk", false, false)];
        let statements = |steps: Vec<super::Step>| -> Vec<String> {
            steps.into_iter().map(|step| step.sql).filter(|sql| !sql.is_empty()).collect()
        };
        assert_eq!(
            statements(dry_run(&base(150_000), &owners, "pgwright", "pgwright_explain")),
            [
                "CREATE ROLE pgwright_explain LOGIN;",
                "GRANT CONNECT ON DATABASE \"Shop\" TO pgwright, pgwright_explain;",
                "CREATE EXTENSION pg_stat_statements;",
                "GRANT pg_read_all_stats TO pgwright;",
                "GRANT USAGE ON SCHEMA \"My app\" TO pgwright, pgwright_explain;",
                "GRANT SELECT ON ALL TABLES IN SCHEMA \"My app\" TO pgwright, pgwright_explain;",
                "GRANT SELECT ON ALL TABLES IN SCHEMA public TO pgwright, pgwright_explain;",
            ]
        );
        assert_eq!(
            statements(apply(&base(150_000), &owners, &[], "pgwright")),
            [
                "CREATE SCHEMA pgwright AUTHORIZATION pgwright;",
                "GRANT clerk TO pgwright;",
                "GRANT \"shop owner\" TO pgwright;",
                "GRANT CREATE ON SCHEMA public TO pgwright;",
            ]
        );
    }

    #[test]
    fn a_journal_of_others_is_opened_or_left_alone() {
        let of = |name: &str, journal_of_superuser| {
            let journal_owner = Some(name.to_owned());
            apply(
                &Base { journal_owner, journal_of_superuser, ..base(150_000) },
                &[],
                &[],
                "pgwright",
            )
        };
        assert!(of("pgwright", false).is_empty());
        let steps = of("postgres", true);
        assert_eq!(steps[0].sql, "GRANT USAGE, CREATE ON SCHEMA pgwright TO pgwright;");
        assert!(steps.iter().all(|step| !step.sql.contains("postgres")), "{steps:?}");
        let [step] = &of("mallory", false)[..] else { panic!("one step") };
        assert!(step.sql.is_empty() && step.why.contains("belongs to mallory"), "{step:?}");
    }

    #[test]
    fn a_superuser_is_never_granted() {
        let owners = [owner("public", "postgres", true, true)];
        let of = |version| apply(&base(version), &owners, &[], "pgwright");
        assert_eq!(
            of(170_000)[1].sql,
            "GRANT MAINTAIN ON ALL TABLES IN SCHEMA public TO pgwright;"
        );
        assert!(of(160_000)[1].sql.is_empty() && of(160_000)[1].why.contains("stay advice"));
    }
}
