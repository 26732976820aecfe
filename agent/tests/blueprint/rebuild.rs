//! Definitions make the same database again.

use agent::blueprint::Road;
use agent::cluster::Binaries;
use rules::blueprint::DefinitionKind::{
    Constraint, Extension, Function, Operator, Role, Schema, Table,
};
use rules::blueprint::{Blueprint, Definition, DefinitionKind};

use crate::catalogs::{assert_alike, describe};
use crate::harness::{Database, database, definition, server, skip, start};
use crate::statistics::compare_heights;

/// Draws, builds on an empty database, compares the catalogs, draws again.
pub(crate) async fn round_trip(source: &Database<'_>) -> Blueprint {
    let drawn = source.draw().await;
    let built = Database::create(source.cluster).await;
    let failed = built.build(&drawn).await;
    assert!(failed.is_empty(), "{}", failed.join("\n"));
    assert_alike(source, &built).await;
    let again = built.draw().await;
    assert_eq!(in_order(&drawn), in_order(&again));
    drawn
}

/// The definitions in order, but for operators: one that names another as its commutator is older or younger than
/// that, as it happens.
fn in_order(blueprint: &Blueprint) -> Vec<Definition> {
    let mut all = blueprint.definitions.clone();
    all.sort_by_key(|one| (one.kind == Operator).then(|| one.name.clone()));
    all
}

const RICH: &str = include_str!("rich.sql");

#[tokio::test(flavor = "multi_thread")]
async fn a_rich_schema_is_made_again() {
    let Some(db) = database().await else { return };
    db.run(RICH).await;
    let drawn = round_trip(&db).await;
    // Some of its indexes run functions of the schema, which a superuser has no business to call.
    let by_superuser =
        |note: &String| note.contains("the ends of") && note.contains("code of users");
    assert!(drawn.notes.len() <= 1 && drawn.notes.iter().all(by_superuser), "{:?}", drawn.notes);
    assert_eq!(drawn.written_by, "pgwright");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_version_found_makes_it_again() {
    let mut all = Binaries::find_all();
    all.retain(|binaries| binaries.major >= 14);
    all.sort_by_key(|binaries| binaries.major);
    all.dedup_by_key(|binaries| binaries.major);
    if all.is_empty() {
        skip("no PostgreSQL server programs found");
    }
    for binaries in all {
        let cluster = start(&binaries).await;
        let db = Database::create(&cluster).await;
        db.run(RICH).await;
        if binaries.major >= 15 {
            db.run("CREATE UNIQUE INDEX no_two_nulls ON app.orders (note) NULLS NOT DISTINCT")
                .await;
        }
        if binaries.major >= 18 {
            db.run(include_str!("rich18.sql")).await;
        }
        round_trip(&db).await;
        let trees = Database::create(&cluster).await;
        compare_heights(&trees).await;
        drop((db, trees));
        cluster.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_but_what_planning_needs_comes_along() {
    let Some(db) = database().await else { return };
    db.run(
        "CREATE TABLE t (id int PRIMARY KEY);
         CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
         CREATE TRIGGER g BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION f();
         COMMENT ON TABLE t IS 'no';
         GRANT SELECT ON t TO PUBLIC;
         CREATE PUBLICATION p FOR TABLE t;
         INSERT INTO t SELECT generate_series(1, 100);",
    )
    .await;
    let drawn = db.draw().await;
    let kinds = drawn.definitions.iter().map(|definition| definition.kind);
    // Other tests may have given roles of the same server settings.
    let kinds: Vec<DefinitionKind> = kinds.filter(|kind| *kind != Role).collect();
    assert_eq!(kinds, [Schema, Extension, Function, Table, Constraint]);
    assert_eq!(
        definition(&drawn, "constraint t_pkey on public.t"),
        "ALTER TABLE ONLY public.t ADD CONSTRAINT t_pkey PRIMARY KEY (id)"
    );
    assert_eq!(drawn.relations, db.draw().await.relations);
}

#[tokio::test(flavor = "multi_thread")]
async fn foreign_tables_and_what_rests_on_them_are_named() {
    let Some(db) = database().await else { return };
    db.run(
        "CREATE FOREIGN DATA WRAPPER w; CREATE SERVER s FOREIGN DATA WRAPPER w;
         CREATE FOREIGN TABLE far (id int) SERVER s;
         CREATE TABLE near (id int);
         CREATE VIEW both_of AS SELECT id FROM far UNION ALL SELECT id FROM near;
         CREATE VIEW above AS SELECT count(*) FROM both_of;
         CREATE TABLE parted (id int) PARTITION BY RANGE (id);
         CREATE TABLE parted_near PARTITION OF parted FOR VALUES FROM (0) TO (10);
         CREATE FOREIGN TABLE parted_far PARTITION OF parted FOR VALUES FROM (10) TO (20) SERVER s;
         CREATE INDEX on_near ON near (id);",
    )
    .await;
    let drawn = db.draw().await;
    let note = &drawn.notes[0];
    assert!(note.ends_with(": foreign table public.far, foreign table public.parted_far, view public.above, view public.both_of"), "{note}");
    let built = Database::create(db.cluster).await;
    assert_eq!(built.build(&drawn).await, [""; 0]);
    assert_eq!(built.value("SELECT count(*) FROM pg_inherits").await, "1");
}

#[tokio::test(flavor = "multi_thread")]
async fn invalid_indexes_are_left_out_and_named() {
    let Some(db) = database().await else { return };
    db.run("CREATE TABLE t (id int); INSERT INTO t VALUES (1), (1);").await;
    let broken =
        db.connect().await.batch_execute("CREATE UNIQUE INDEX CONCURRENTLY broken ON t (id)").await;
    assert!(broken.is_err());
    let drawn = db.draw().await;
    assert!(drawn.definitions.iter().all(|definition| definition.kind != DefinitionKind::Index));
    assert!(drawn.notes[0].contains("invalid indexes public.broken"), "{:?}", drawn.notes);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_another_session_has_locked_costs_only_itself() {
    let Some(db) = database().await else { return };
    db.run("CREATE TABLE t (id int); CREATE TABLE u (id int); CREATE VIEW v AS SELECT id FROM t;")
        .await;
    let other = db.connect().await;
    other.batch_execute("BEGIN; LOCK TABLE t IN ACCESS EXCLUSIVE MODE").await.unwrap();
    let drawn = db.draw().await;
    other.batch_execute("ROLLBACK").await.unwrap();
    assert!(
        drawn.notes.iter().any(|note| note.starts_with("views are left out")),
        "{:?}",
        drawn.notes
    );
    let tables =
        drawn.definitions.iter().filter(|definition| definition.kind == DefinitionKind::Table);
    assert_eq!(tables.count(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn real_schemas_are_made_again() {
    let folder =
        std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/corpora/schemas");
    let Ok(entries) = std::fs::read_dir(&folder) else {
        return skip("there is no folder of real schemas");
    };
    let Some(cluster) = server().await else { return };
    let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "sql"));
    files.sort();
    for file in files {
        let db = Database::create(cluster).await;
        let sql = std::fs::read_to_string(&file).unwrap();
        let client = db.connect().await;
        let mut loaded = 0;
        for statement in rules::statement::split(&sql).into_iter().flatten() {
            loaded += u32::from(client.batch_execute(&statement.text).await.is_ok());
        }
        drop(client);
        let drawn = round_trip(&db).await;
        assert!(loaded > 0 && drawn.definitions.len() > 5, "{}: {loaded} loaded", file.display());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn pg_dump_writes_the_same_definitions() {
    let Some(db) = database().await else { return };
    if !db.cluster.binaries().bin.join("pg_dump").is_file() {
        return skip("no pg_dump beside the server");
    }
    db.run(RICH).await;
    let drawn = db.draw_on(None, Road::PgDump).await;
    assert!(drawn.written_by.starts_with("pg_dump "), "{:?}", drawn.notes);
    let built = Database::create(db.cluster).await;
    let failed = built.build(&drawn).await;
    assert!(failed.is_empty(), "{}", failed.join("\n"));
    let (mut theirs, mut ours) = (describe(&db).await, describe(&built).await);
    // It puts the columns of a child behind those of its parents.
    for lines in [&mut theirs, &mut ours] {
        lines.retain(|line| !line.contains("app.late"));
    }
    let missing: Vec<_> = theirs.iter().filter(|line| !ours.contains(line)).collect();
    assert!(missing.is_empty(), "{missing:#?}");
    let other = db.draw().await;
    assert_eq!((drawn.statistics, drawn.relations), (other.statistics, other.relations));
}

#[tokio::test(flavor = "multi_thread")]
async fn where_pg_dump_cannot_do_the_catalogs_tell() {
    let Some(db) = database().await else { return };
    db.run(
        "CREATE TABLE t (id int PRIMARY KEY);
         DO $$ BEGIN CREATE ROLE blueprint_undumped LOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END $$;",
    )
    .await;
    let drawn = db.draw_on(Some("blueprint_undumped"), Road::PgDump).await;
    assert_eq!(drawn.written_by, "pgwright");
    let note = drawn
        .notes
        .iter()
        .find(|note| note.starts_with("the definitions come from the catalogs: "));
    assert!(note.is_some_and(|note| note.contains("pg_dump")), "{:?}", drawn.notes);
    assert_eq!(
        definition(&drawn, "table public.t"),
        "CREATE TABLE public.t (\n    id integer NOT NULL\n)"
    );
}
