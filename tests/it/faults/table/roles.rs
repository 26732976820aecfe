//! The role: its own limits, its rights, its connections, its password.

use std::sync::Arc;

use super::ground::{After, Hold, Person, Stage, behaves};
use super::locks::{WAITS, person};
use super::{Scenario, quick, slow};
use crate::harness::{Harm, Killer, Moment};

pub(super) const SCENARIOS: &[Scenario] = &[
    slow(22, "statement_timeout = 1 s of the role", statement_timeout),
    slow(23, "lock_timeout = 0 of the role", lock_timeout),
    quick(24, "role that does not own the table", |stage| {
        without(
            stage,
            "ALTER TABLE shop.orders OWNER TO postgres; GRANT SELECT ON shop.orders TO ROLE_",
            false,
        )
    }),
    slow(24, "role without CREATE on the schema", |stage| {
        without(
            stage,
            "ALTER SCHEMA shop OWNER TO postgres; GRANT USAGE ON SCHEMA shop TO ROLE_",
            false,
        );
    }),
    slow(24, "role without pg_read_all_stats", |stage| without(stage, UNSEEING, true)),
    quick(24, "role without pg_read_all_stats, and a person who alters the table", |stage| {
        in_the_way_unseen(stage);
    }),
    quick(34, "default_transaction_read_only = on", read_only),
    slow(39, "no connection left (53300) when the run wants to watch", |stage| {
        second_connection(
            stage,
            "ALTER ROLE ROLE_ CONNECTION LIMIT 0",
            "ALTER ROLE ROLE_ CONNECTION LIMIT -1",
        );
    }),
    slow(40, "password expires during the run", expired),
    slow(40, "pg_hba.conf shuts the role out during the build", shut_out),
];

const DONE: After<'_> =
    After { exits: &[0], tolerated: &[], same_schema: true, same_rows: true, states: "" };

/// Makes a role that has what it needs, and has the program log in as it.
fn role(stage: &mut Stage<'_>) -> String {
    let role = format!("role_{}", stage.name);
    let database = stage.name.clone();
    stage.sql(&format!(
        "CREATE ROLE {role} LOGIN PASSWORD 'secret'; GRANT pg_monitor TO {role}; GRANT CREATE ON DATABASE {database} TO {role}; \
         ALTER SCHEMA shop OWNER TO {role}; ALTER TABLE shop.orders OWNER TO {role}"
    ));
    stage.on = stage.on.replace("user=postgres", &format!("user={role} password=secret"));
    stage.as_before_is_now();
    role
}

/// The role goes with its database, which is the only place where it owns anything.
fn drop_role(stage: &Stage<'_>, role: &str) {
    stage.sql(&format!(
        "REASSIGN OWNED BY {role} TO postgres; DROP OWNED BY {role}; DROP ROLE {role}"
    ));
}

fn statement_timeout(stage: &mut Stage<'_>) {
    let role = role(stage);
    stage.sql(&format!("ALTER ROLE {role} SET statement_timeout = '1s'"));
    let output = stage.during(Hold::Writer, &[], |_, _| {
        std::thread::sleep(std::time::Duration::from_millis(1500));
    });
    assert_eq!(output.status, Some(0), "our own limit holds: {output:?}");
    stage.settle(&After { states: "observing", ..DONE });
    drop_role(stage, &role);
}

fn lock_timeout(stage: &mut Stage<'_>) {
    let role = role(stage);
    stage.sql(&format!("ALTER ROLE {role} SET lock_timeout = 0"));
    let holder = stage.hold(Hold::Snapshot);
    let output = stage.apply(&[]);
    assert_eq!(output.status, Some(4), "our own limit holds: {output:?}");
    drop(holder);
    stage.settle(&DONE);
    drop_role(stage, &role);
}

const UNSEEING: &str = "REVOKE pg_monitor FROM ROLE_";

/// A role that lacks a right, which keeps it from making the index, or does not.
fn without(stage: &mut Stage<'_>, revoke: &str, makes: bool) {
    let role = role(stage);
    stage.sql(&revoke.replace("ROLE_", &role));
    let output = stage.apply(&[]);
    assert_eq!(output.status, Some(0), "{output:?}");
    let made = "SELECT count(*) FROM pg_class WHERE relname LIKE 'pgw\\_%' AND relkind = 'i'";
    assert_eq!(stage.sql(made), if makes { "1" } else { "0" }, "{output:?}");
    assert_eq!(stage.violations(&DONE), Vec::<String>::new());
    drop_role(stage, &role);
}

/// Nobody's kind of process, state and age are shown to such a role but its own.
fn in_the_way_unseen(stage: &mut Stage<'_>) {
    let role = role(stage);
    stage.sql(&UNSEEING.replace("ROLE_", &role));
    // One of the role's own, for which the build waits.
    let own = Person::new(&stage.on);
    own.sql("BEGIN").unwrap();
    own.sql("UPDATE shop.orders SET note = note WHERE id = 5").unwrap();
    let killer = Killer::default();
    let running = stage.begin(&[], &killer);
    stage.wait_until(WAITS, &killer);
    let other = person(stage, "BEGIN");
    other.sql("SELECT FROM shop.orders WHERE id = 6").unwrap();
    // Waits for the build, which would wait for it next.
    assert_eq!(other.sql("ALTER TABLE shop.orders SET (fillfactor = 98)"), Ok(()));
    other.sql("ROLLBACK").unwrap();
    own.sql("ROLLBACK").unwrap();
    let output = behaves(running.finish());
    assert_eq!(output.status, Some(4), "{output:?}");
    stage.settle(&DONE);
    drop_role(stage, &role);
}

fn read_only(stage: &mut Stage<'_>) {
    let name = stage.name.clone();
    stage.sql("SELECT pg_stat_statements_reset()");
    stage
        .ground
        .sql("postgres", &format!("ALTER DATABASE {name} SET default_transaction_read_only = on"));
    let output = stage.apply(&[]);
    assert_eq!(output.status, Some(5), "{output:?}");
    stage.is_untouched();
    stage
        .ground
        .sql("postgres", &format!("ALTER DATABASE {name} RESET default_transaction_read_only"));
    stage.settle(&After { states: "observing", ..DONE });
}

/// The first connection that changes things is there, the one that watches is refused.
fn second_connection(stage: &mut Stage<'_>, refuse: &str, let_in: &str) {
    stage.through_proxy();
    let role = role(stage);
    let (refuse, let_in) = (refuse.replace("ROLE_", &role), let_in.replace("ROLE_", &role));
    let mut psql = stage.ground.program("psql", &stage.name);
    psql.args(["-X", "-q", "-c", &refuse]);
    let psql = std::sync::Mutex::new(psql);
    let harm = Harm::Call(Arc::new(move || {
        assert!(psql.lock().unwrap().status().unwrap().success());
    }));
    stage.arm("pg_catalog.pg_control_system", Moment::Before, harm);
    let output = stage.apply(&[]);
    assert_eq!(output.status, Some(3), "{output:?}");
    assert!(stage.ground.proxy.struck());
    stage.ground.proxy.arm(None);
    stage.is_untouched();
    stage.sql(&let_in);
    stage.settle(&After { states: "observing", ..DONE });
    drop_role(stage, &role);
}

/// Has the server ask this role for a password, until the file is put back.
struct Rules {
    path: std::path::PathBuf,
    before: String,
}

impl Rules {
    fn set(stage: &Stage<'_>, line: &str) -> Self {
        let path = stage.ground.data.join("pg_hba.conf");
        let before = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, format!("{line}\n{before}")).unwrap();
        stage.sql("SELECT pg_reload_conf()");
        Self { path, before }
    }

    fn reset(self, stage: &Stage<'_>) {
        std::fs::write(&self.path, &self.before).unwrap();
        stage.sql("SELECT pg_reload_conf()");
    }
}

fn expired(stage: &mut Stage<'_>) {
    let rules = Rules::set(stage, &format!("local all role_{} scram-sha-256", stage.name));
    second_connection(
        stage,
        "ALTER ROLE ROLE_ VALID UNTIL '2000-01-01'",
        "ALTER ROLE ROLE_ VALID UNTIL 'infinity'",
    );
    rules.reset(stage);
}

/// Who is in stays in: the build goes on and is verified.
fn shut_out(stage: &mut Stage<'_>) {
    stage.through_proxy();
    let role = role(stage);
    let mut rules = None;
    let output = stage.during(Hold::Writer, &[], |stage, _| {
        rules = Some(Rules::set(stage, &format!("local all {role} reject")));
    });
    assert_eq!(output.status, Some(0), "{output:?}");
    let output = stage.apply(&[]);
    assert_eq!(output.status, Some(3), "{output:?}");
    rules.unwrap().reset(stage);
    stage.settle(&After { states: "observing", ..DONE });
    drop_role(stage, &role);
}
