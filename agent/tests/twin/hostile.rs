//! Functions of the schema that nobody vouches for.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use agent::cluster::Binaries;
use agent::explain::Text;
use agent::twin::{Twin, TwinOptions};
use rules::blueprint::{Definition, DefinitionKind, EndPoints};

use crate::harness::{Source, skip};

const SCHEMA: &str = "
CREATE EXTENSION dblink;
CREATE TABLE public.t (a int, b text);
INSERT INTO public.t VALUES (1, 'x');
CREATE FUNCTION public.sleeps(int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(600); RETURN 1; END';
CREATE FUNCTION public.stays(int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS
    'BEGIN LOOP BEGIN PERFORM pg_sleep(600); EXCEPTION WHEN query_canceled THEN NULL; END; END LOOP; END';
CREATE FUNCTION public.spins(int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS 'BEGIN LOOP END LOOP; END';
CREATE FUNCTION public.reads(int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS
    'BEGIN RETURN length(pg_read_file(''/etc/passwd'')); END';
CREATE FUNCTION public.reads_as_owner(int) RETURNS int IMMUTABLE SECURITY DEFINER LANGUAGE plpgsql AS
    'BEGIN RETURN length(pg_read_file(''/etc/passwd'')); END';
CREATE FUNCTION public.runs(int) RETURNS int IMMUTABLE SECURITY DEFINER LANGUAGE plpgsql AS
    'BEGIN EXECUTE ''COPY public.t FROM PROGRAM ''''true''''''; RETURN 1; END';
CREATE FUNCTION public.connects(int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS
    'BEGIN PERFORM public.dblink(''host=127.0.0.1'', ''SELECT 1''); RETURN 1; END';
CREATE FUNCTION public.becomes(int) RETURNS int IMMUTABLE SECURITY DEFINER LANGUAGE plpgsql AS
    'BEGIN EXECUTE ''SET ROLE postgres''; RETURN 1; END';
CREATE FUNCTION public.rises(int) RETURNS int IMMUTABLE SECURITY DEFINER LANGUAGE plpgsql AS
    'BEGIN EXECUTE ''ALTER ROLE pgwright_owner SUPERUSER''; RETURN 1; END';
CREATE FUNCTION public.grows(int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS
    'DECLARE x text[] := ''{}''; BEGIN LOOP x := x || repeat(''x'', 100000000); END LOOP; END';
CREATE FUNCTION public.writes(int) RETURNS int IMMUTABLE SECURITY DEFINER LANGUAGE plpgsql AS
    'BEGIN INSERT INTO public.t SELECT i FROM generate_series(1, 100000000) AS i; RETURN 1; END';
";

#[tokio::test(flavor = "multi_thread")]
async fn a_hostile_function_costs_its_own_statement_only() {
    let Ok(binaries) = Binaries::find(Some(15)) else { return skip("no PostgreSQL 15") };
    let source = Source::start(&binaries, SCHEMA).await;
    let mut snapshot = source.snapshot().await;
    let blueprint = snapshot.blueprint.as_mut().unwrap();
    // What an index would run as soon as its table held a row.
    let ends = |column: &str, value: &str| EndPoints {
        schema: "public".to_owned(),
        table: "t".to_owned(),
        column: column.to_owned(),
        low: Some(value.to_owned()),
        high: Some(value.to_owned()),
    };
    blueprint.ends = vec![ends("a", "1"), ends("b", "x")];
    let define = |sql: &str| Definition {
        kind: DefinitionKind::Index,
        name: sql.to_owned(),
        sql: sql.to_owned(),
    };
    blueprint.definitions.push(define("CREATE INDEX stuck ON public.t (public.stays(a))"));
    // A snapshot from a file can say anything.
    blueprint.definitions.push(define("COPY public.t FROM PROGRAM 'true'"));
    blueprint
        .definitions
        .push(define("CREATE INDEX folded ON public.t ((a + public.reads_as_owner(1)))"));
    let options = TwinOptions { patience: Duration::from_secs(1), ..TwinOptions::default() };
    let twin = Twin::build(&snapshot, &options).await.unwrap();
    let missing: Vec<&str> = twin.missing().iter().map(|missing| missing.name.as_str()).collect();
    assert!(missing.iter().any(|name| name.contains("dblink")), "{missing:?}");
    assert!(missing.iter().any(|name| name.contains("FROM PROGRAM")), "{missing:?}");
    assert!(twin.notes().iter().any(|note| note.contains("public.t")), "{:?}", twin.notes());
    let mut explainer = twin.explainer(0).await.unwrap();
    let names = [
        "sleeps",
        "stays",
        "spins",
        "reads",
        "reads_as_owner",
        "runs",
        "connects",
        "becomes",
        "rises",
        "grows",
        "writes",
    ];
    let path = ["public".to_owned()];
    let settings = &BTreeMap::new();
    for (id, name) in names.iter().enumerate() {
        let since = Instant::now();
        let sql = format!("SELECT * FROM public.t WHERE a = public.{name}(1)");
        let text = Text { id, label: name, text: &sql, search_path: &path, settings };
        let prepared = explainer.prepare(text).await.unwrap();
        let refused = match prepared {
            Ok(_) => explainer.plan(text, &[]).await.unwrap().map(|plan| plan.shape()),
            Err(reason) => Err(reason),
        };
        assert!(refused.is_err(), "{name}: {refused:?}");
        assert!(since.elapsed() < Duration::from_secs(15), "{name}: {:?}", since.elapsed());
        let again = Instant::now();
        let plain = Text {
            id: 100,
            label: "plain",
            text: "SELECT * FROM public.t WHERE a = 1",
            search_path: &path,
            settings,
        };
        explainer.prepare(plain).await.unwrap().unwrap();
        explainer.plan(plain, &[]).await.unwrap().unwrap();
        assert!(again.elapsed() < Duration::from_secs(2), "after {name}");
    }
    explainer.close().await;
    let there = crate::harness::connect(&twin.cluster().conninfo("twin_0")).await;
    let roles = "SELECT count(*) FROM pg_roles WHERE rolsuper AND rolname LIKE 'pgwright%'";
    assert_eq!(there.query_one(roles, &[]).await.unwrap().get::<_, i64>(0), 0);
    twin.stop().await;
}
