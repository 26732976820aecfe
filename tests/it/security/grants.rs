//! `doctor --grants` prints what is needed, all of it and no more.

use agent::cluster::{Binaries, Cluster, ClusterOptions};
use serde_json::Value;
use tokio_postgres::{Client, NoTls};

use crate::harness::{Output, binaries, cli_with};

/// Both kinds of servers that a grant depends on: the one that all tests use, and the newest there is.
fn servers() -> Vec<Binaries> {
    let Some(usual) = binaries() else { return Vec::new() };
    let newest = Binaries::find_all().into_iter().max_by_key(|found| found.version_num);
    let newest = newest.filter(|newest| newest.major != usual.major);
    [usual].into_iter().chain(newest).collect()
}

async fn client(cluster: &Cluster, database: &str) -> Client {
    let (client, connection) =
        tokio_postgres::connect(&cluster.conninfo(database), NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

async fn run(client: &Client, sql: &str) {
    client.simple_query(sql).await.unwrap_or_else(|error| panic!("{error:?} in: {sql}"));
}

/// An application with an owner of its own, in a schema that is open to nobody, one table of which lacks an index.
const APPLICATION: &str = "
    CREATE EXTENSION pg_stat_statements;
    CREATE ROLE \"Shop owner\";
    CREATE ROLE app LOGIN;
    CREATE SCHEMA \"Shop\" AUTHORIZATION \"Shop owner\";
    GRANT USAGE ON SCHEMA \"Shop\" TO app;
    SET ROLE \"Shop owner\";
    CREATE TABLE \"Shop\".\"Order\" (id int PRIMARY KEY, customer int, \"placedAt\" timestamptz);
    GRANT SELECT ON \"Shop\".\"Order\" TO app;
    INSERT INTO \"Shop\".\"Order\" SELECT g, g % 20000, now() FROM generate_series(1, 200000) g;
    RESET ROLE;
    REVOKE CONNECT ON DATABASE shop FROM PUBLIC;
    GRANT CONNECT ON DATABASE shop TO app";

struct Shop {
    cluster: Cluster,
    admin: Client,
    on: String,
}

impl Shop {
    async fn open(binaries: &Binaries) -> Self {
        let options = ClusterOptions {
            settings: vec![("autovacuum".to_owned(), "off".to_owned())],
            preload: vec!["pg_stat_statements".to_owned()],
            keep_template: true,
            ..ClusterOptions::default()
        };
        let cluster = Cluster::start(binaries, options).await.unwrap();
        run(&client(&cluster, "postgres").await, "CREATE DATABASE shop").await;
        let admin = client(&cluster, "shop").await;
        run(&admin, APPLICATION).await;
        if binaries.offers("hypopg") {
            run(&admin, "CREATE EXTENSION hypopg").await;
        }
        run(&admin, "SELECT pg_sleep(1.1)").await;
        run(&admin, "VACUUM ANALYZE \"Shop\".\"Order\"").await;
        run(&admin, "SET SESSION AUTHORIZATION app").await;
        for n in 0..40 {
            let select = format!("SELECT id FROM \"Shop\".\"Order\" WHERE customer = {n}");
            run(&admin, &select).await;
        }
        run(&admin, "RESET SESSION AUTHORIZATION").await;
        let on = cluster.conninfo("shop");
        Self { cluster, admin, on }
    }

    /// Runs the program as the role that the script makes.
    fn pgwright(&self, args: &[&str]) -> Output {
        let on = format!("{} user=pgwright", self.on);
        let bin = self.cluster.binaries().bin.display().to_string();
        let variables = [
            ("PGWRIGHT_DATABASE", on.as_str()),
            ("PGWRIGHT_EXPLAIN_AS", "pgwright_explain"),
            ("PGWRIGHT_PG_BIN", &bin),
        ];
        let output = cli_with(args, &variables, "");
        assert!(!output.stderr.contains("panicked"), "{output:?}");
        output
    }

    fn succeeds(&self, args: &[&str]) -> String {
        let output = self.pgwright(args);
        assert_eq!(output.status, Some(0), "{args:?}: {output:?}");
        output.stdout
    }

    fn script(&self) -> Value {
        let output = cli_with(&["doctor", "--grants", "--format", "json", "-d", &self.on], &[], "");
        assert_eq!(output.status, Some(0), "{output:?}");
        serde_json::from_str(&output.stdout).unwrap()
    }

    /// Whether the one index would be built, or what keeps it from that, and everything that is said.
    fn looks(&self) -> (bool, String) {
        let output = self.pgwright(&["optimize", "--format", "json"]);
        let report: Value = serde_json::from_str(&output.stdout).unwrap_or_default();
        let due = report["actions"].as_array().is_some_and(|actions| {
            actions.iter().any(|one| one["kind"] == "create_index" && one["applies"] == true)
        });
        let doctor = self.pgwright(&["doctor", "--apply"]);
        let all = [output.stdout, output.stderr, doctor.stdout, doctor.stderr].join(" ");
        (due && output.status == Some(0), all.replace("\\\"", "\""))
    }
}

fn statements(script: &Value, part: &str) -> Vec<String> {
    let steps = script[part].as_array().unwrap().iter();
    let sql = steps.map(|step| step["sql"].as_str().unwrap().to_owned());
    sql.filter(|sql| !sql.is_empty()).collect()
}

/// `GRANT a TO b, c;` as what takes it back.
fn taken_back(grant: &str) -> String {
    grant.replacen("GRANT ", "REVOKE ", 1).replace(" TO ", " FROM ")
}

#[tokio::test]
async fn the_script_is_all_that_is_needed_and_each_line_of_it_is() {
    for binaries in servers() {
        let shop = Shop::open(&binaries).await;
        let refused = shop.pgwright(&["optimize"]);
        assert_eq!(refused.status, Some(3), "there is no such role yet: {refused:?}");
        // The printed script is the same statements, all or nothing, and runs as it is.
        let script = shop.script();
        let printed = cli_with(&["doctor", "--grants", "-d", &shop.on], &[], "").stdout;
        let (dry, apply) = (statements(&script, "dry_run"), statements(&script, "apply"));
        for sql in dry.iter().chain(&apply) {
            assert!(printed.contains(sql), "{sql} is not in: {printed}");
        }
        let (first, _) = printed.split_once("-- What --apply needs").unwrap();
        run(&shop.admin, first).await;

        // With the first part a dry run works, and nothing would be done.
        let said = shop.succeeds(&["optimize"]);
        assert!(said.contains("CREATE INDEX CONCURRENTLY"), "{said}");
        let (due, said) = shop.looks();
        assert!(!due && said.contains("GRANT \"Shop owner\" TO pgwright;"), "{said}");
        each_is_needed(&shop, &dry, false).await;
        let refused = shop.pgwright(&["optimize", "--apply"]);
        assert_eq!(refused.status, Some(0), "{refused:?}");
        assert!(refused.stdout.contains("Nothing was changed"), "{refused:?}");

        // With the second one it is done, and taken back.
        for sql in &apply {
            run(&shop.admin, sql).await;
        }
        each_is_needed(&shop, &apply, true).await;
        let said = shop.succeeds(&["optimize", "--apply", "--quiet"]);
        assert!(said.starts_with("pgwright in shop: 1 done (create index pgw_"), "{said}");
        assert_eq!(said.lines().count(), 1, "{said}");
        assert_eq!(shop.succeeds(&["optimize", "--apply", "--quiet"]), "", "nothing left to do");
        let said = shop.succeeds(&["log"]);
        assert!(said.contains("applied"), "{said}");
        shop.succeeds(&["verify", "--dry-run"]);
        shop.succeeds(&["verify"]);
        shop.succeeds(&["rollback", "--all"]);
        let left = "SELECT count(*) FROM pg_class WHERE relname LIKE 'pgw\\_%' AND relkind = 'i'";
        let left: i64 = shop.admin.query_one(left, &[]).await.unwrap().get(0);
        assert_eq!(left, 0);
        // A second look asks for nothing that is there.
        let again = statements(&shop.script(), "dry_run");
        assert!(!again.iter().any(|sql| sql.starts_with("CREATE ")), "{again:?}");
        shop.cluster.stop().await;
    }
}

/// Takes one grant away at a time: then the missing one is named, and was not before; with those of `--apply`
/// nothing would be done either.
async fn each_is_needed(shop: &Shop, statements: &[String], applies: bool) {
    let grants: Vec<&String> = statements.iter().filter(|sql| sql.starts_with("GRANT ")).collect();
    assert!(grants.len() >= if applies { 1 } else { 4 }, "{statements:?}");
    let named = |said: &str, grant: &str| {
        let what = grant.trim_start_matches("GRANT ").split(" TO ").next().unwrap();
        said.contains(what)
            || what.starts_with("CONNECT") && said.contains("permission denied for database")
    };
    let (due, before) = shop.looks();
    assert_eq!(due, applies, "{before}");
    for grant in grants {
        assert!(!named(&before, grant), "{grant} is asked for although it is there: {before}");
        run(&shop.admin, &taken_back(grant)).await;
        let (due, said) = shop.looks();
        assert!(!due, "it works without: {grant}");
        assert!(named(&said, grant), "{grant} is not named in: {said}");
        run(&shop.admin, grant).await;
    }
}
