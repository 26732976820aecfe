//! The same on every version whose programs are on this machine.

use agent::cluster::Binaries;
use agent::doctor::examine;
use rules::snapshot::TableKind;

use crate::harness::{Database, index, skip, start, statement, table};

#[tokio::test(flavor = "multi_thread")]
async fn every_version_found_is_sampled() {
    let mut all = Binaries::find_all();
    all.retain(|binaries| binaries.major >= 14);
    all.sort_by_key(|binaries| binaries.major);
    all.dedup_by_key(|binaries| binaries.major);
    for missing in (14..=18).filter(|major| !all.iter().any(|binaries| binaries.major == *major)) {
        if missing == 15 {
            skip("no PostgreSQL 15");
        } else {
            use std::io::Write;
            writeln!(std::io::stderr().lock(), "SKIPPED: no programs of PostgreSQL {missing}")
                .unwrap();
        }
    }
    for binaries in all {
        let cluster = start(&binaries, &["pg_stat_statements"]).await;
        let db = Database::create(&cluster, "app").await;
        sample_one(&db, binaries.major).await;
        drop(db);
        cluster.stop().await;
    }
}

async fn sample_one(db: &Database<'_>, major: u32) {
    db.run(
        "CREATE EXTENSION pg_stat_statements;
        CREATE TABLE t (id int PRIMARY KEY, b text NOT NULL, a int[]);
        CREATE INDEX computed ON t (lower(b) DESC) INCLUDE (id) WHERE id > 5;
        ALTER INDEX computed ALTER COLUMN 1 SET STATISTICS 70;
        INSERT INTO t SELECT i, 'b' || i % 5, ARRAY[i % 3] FROM generate_series(1, 1000) AS i;
        ANALYZE;
        CREATE TABLE p (i int) PARTITION BY HASH (i);
        SELECT b FROM t WHERE b = 'b1';
        SELECT b FROM t WHERE b = 'b2'",
    )
    .await;
    let (distinct, virtual_column, waiting) = (major >= 15, major >= 18, major >= 18);
    if distinct {
        db.run("CREATE UNIQUE INDEX no_two_nulls ON t (b, id) NULLS NOT DISTINCT").await;
    }
    if virtual_column {
        db.run("ALTER TABLE t ADD COLUMN twice int GENERATED ALWAYS AS (id * 2) VIRTUAL").await;
    }
    if waiting {
        db.run("ALTER TABLE t ADD CONSTRAINT filled NOT NULL a NOT VALID").await;
    }
    let seen = db.sample().await;
    assert_eq!(seen.server.version_num / 10_000, major);
    assert!(seen.server.system_identifier.as_ref().is_some_and(|id| id.parse::<u64>().is_ok()));
    let by_b = statement(&seen, "WHERE b = $1");
    assert_eq!((by_b.calls, by_b.rows), (2, Some(400)), "PostgreSQL {major}");
    let t = table(&seen, "t");
    assert_eq!(t.rows, Some(1000.0));
    assert_eq!(t.column("b").unwrap().stats.as_ref().unwrap().common_values.len(), 5);
    assert!(t.column("b").unwrap().not_null && !t.column("a").unwrap().not_null);
    assert_eq!(t.constraints.len(), 1, "{:?}", t.constraints);
    let computed = index(&seen, "computed");
    assert_eq!(computed.statistics_targets, [(1, 70)].into());
    assert_eq!(computed.include, ["id"]);
    assert_eq!(table(&seen, "p").kind, TableKind::Partitioned);
    if distinct {
        assert!(index(&seen, "no_two_nulls").nulls_not_distinct);
    }
    if virtual_column {
        assert!(!t.column("twice").unwrap().btree);
    }
    let session = db.session(None).await;
    assert_eq!(examine(&session).await.unwrap().len(), 11);
    session.close().await;
}
