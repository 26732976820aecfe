//! Databases and columns in other locales than C, and tablespaces with costs of their own.

use crate::harness::{Source, skip, twin, versions};

const SCHEMA: &str = r#"
SET allow_in_place_tablespaces = on;
CREATE TABLESPACE fast LOCATION '';
ALTER TABLESPACE fast SET (random_page_cost = 1.05, seq_page_cost = 0.7);
ALTER TABLESPACE pg_default SET (random_page_cost = 3.1);
CREATE COLLATION nd (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
CREATE COLLATION de (provider = icu, locale = 'de-DE');
CREATE TABLE p (id int PRIMARY KEY, name text, c text COLLATE "C", d text COLLATE de, n text COLLATE nd);
INSERT INTO p SELECT i, chr(65 + i % 26) || md5(i::text), chr(97 + i % 26) || md5((i + 1)::text), CASE WHEN i % 3 = 0 THEN 'Ä' ELSE 'a' END || md5((i + 2)::text), 'N' || i % 500 FROM generate_series(1, 20000) AS i;
CREATE INDEX p_name ON p (name);
CREATE INDEX p_pattern ON p (name text_pattern_ops);
CREATE INDEX p_c ON p (c) TABLESPACE fast;
CREATE INDEX p_d ON p (d);
CREATE INDEX p_n ON p (n);
CREATE TABLE q (id int, k text) TABLESPACE fast;
INSERT INTO q SELECT i % 20000, 'k' || i % 777 FROM generate_series(1, 40000) AS i;
CREATE INDEX q_id ON q (id) TABLESPACE fast;
CREATE INDEX q_k ON q (k);
VACUUM ANALYZE;
"#;

const STATEMENTS: [&str; 10] = [
    "SELECT * FROM p WHERE name > 'X' ORDER BY name LIMIT 10",
    "SELECT * FROM p WHERE name > 'Z' AND name < 'a'",
    "SELECT * FROM p WHERE name LIKE 'Bab%'",
    "SELECT * FROM p WHERE c LIKE 'bab%'",
    "SELECT * FROM p WHERE c BETWEEN 'b' AND 'c2'",
    "SELECT * FROM p WHERE d > 'ä' AND d < 'b'",
    "SELECT * FROM p WHERE n = 'n77'",
    "SELECT count(*) FROM q WHERE id BETWEEN 100 AND 900",
    "SELECT count(*) FROM q WHERE k > 'k5'",
    "SELECT p.name, q.k FROM p JOIN q ON q.id = p.id WHERE p.c < 'b'",
];

#[tokio::test(flavor = "multi_thread")]
async fn plans_are_the_same_in_databases_of_every_provider() {
    let mut seen = 0;
    for binaries in versions(&[15, 18]) {
        let mut locales = vec!["LOCALE_PROVIDER icu ICU_LOCALE 'de-DE' LOCALE 'C'"];
        if binaries.major >= 17 {
            locales.push("LOCALE_PROVIDER builtin BUILTIN_LOCALE 'C.UTF-8' LOCALE 'C'");
        }
        for locale in locales {
            let source = Source::start_in(&binaries, locale, SCHEMA).await;
            let twin = twin(&source.snapshot().await).await;
            assert!(twin.notes().is_empty(), "{:?}", twin.notes());
            source.compare(&twin, &STATEMENTS).await;
            twin.stop().await;
            seen += 1;
        }
    }
    if seen == 0 {
        skip("no PostgreSQL 15 or 18");
    }
}

/// What we send has to be of characters that the database has.
#[tokio::test(flavor = "multi_thread")]
async fn a_database_of_another_encoding_has_a_twin() {
    for binaries in versions(&[15]) {
        let schema = "CREATE TABLE t (a int PRIMARY KEY, b text);\n\
                      INSERT INTO t SELECT i, chr(192 + i % 60) || i FROM generate_series(1, 5000) AS i;\n\
                      CREATE INDEX ON t (b);\nVACUUM ANALYZE;\n";
        let source = Source::start_in(&binaries, "ENCODING 'LATIN1' LOCALE 'C'", schema).await;
        let twin = twin(&source.snapshot().await).await;
        let statements = ["SELECT * FROM t WHERE b > 'Ã'", "SELECT * FROM t WHERE b = 'À60'"];
        source.compare(&twin, &statements).await;
        twin.stop().await;
    }
}
