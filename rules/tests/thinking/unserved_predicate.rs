use rules::evidence::Fact;
use rules::snapshot::{Index, Snapshot, Table, TableKind};
use rules::testing::{index_mut, set_stats, stats, table_mut};

use crate::seen::{Changes, Seen, database, look};

const RULE: &str = "unserved_predicate";

fn logs(index: &str, statements: &[&str]) -> Snapshot {
    let lines = "logs(id int8 pk, user_id int8, kind text, at timestamptz, note text null, data json, spot point) 100000";
    database(&format!("{lines}\n{index}"), statements)
}

const BY_USER: &str = "SELECT * FROM logs WHERE user_id = $1";
const RECENT: &str = "SELECT * FROM logs WHERE user_id = $1 ORDER BY at DESC LIMIT 20";

fn seen(statement: &str) -> Seen {
    look(RULE, &logs("", &[statement]))
}

/// What is found for one statement beside an index that is changed.
fn beside(statement: &str, keys: &str, change: impl FnOnce(&mut Index)) -> Vec<String> {
    let mut snapshot = logs(&format!("index i on logs({keys})"), &[statement]);
    change(index_mut(&mut snapshot, "i"));
    look(RULE, &snapshot).proposed()
}

const PROPOSED: [&str; 1] = ["btree (user_id) on logs: act"];
const NOTHING: [&str; 0] = [];

#[test]
fn fires_on_filters_joins_and_orders() {
    for (statement, index) in [
        (BY_USER, "btree (user_id)"),
        (RECENT, "btree (user_id, at)"),
        ("SELECT * FROM logs ORDER BY at LIMIT 10", "btree (at)"),
        ("SELECT * FROM logs WHERE note IS NULL", "btree (note)"),
        ("SELECT * FROM logs WHERE at > now() - interval '1 day'", "btree (at)"),
        ("SELECT * FROM logs a JOIN logs b ON a.user_id = b.id", "btree (user_id)"),
        ("UPDATE logs SET note = 'x' WHERE kind = $1", "btree (kind)"),
        ("DELETE FROM logs WHERE at < $1", "btree (at)"),
        ("SELECT user_id, count(*) FROM logs GROUP BY user_id", "btree (user_id)"),
    ] {
        let proposed = seen(statement).proposed();
        let expected = format!("{index} on logs: act");
        assert!(proposed.contains(&expected), "{statement}: {proposed:?}");
    }
}

#[test]
fn fires_where_the_index_that_exists_is_of_another_kind() {
    let changes: Changes<9> = [
        ("invalid", |i| i.valid = false),
        ("not ready", |i| i.ready = false),
        ("being dropped", |i| i.live = false),
        ("hash", |i| i.method = "hash".to_owned()),
        ("brin", |i| i.method = "brin".to_owned()),
        ("partial", |i| i.predicate = Some("(kind = 'x'::text)".to_owned())),
        ("collation", |i| i.keys[0].collation = Some("C".to_owned())),
        ("operator class", |i| {
            i.keys[0].opclass = "text_pattern_ops".to_owned();
            i.keys[0].opclass_default = false;
        }),
        ("expression", |i| {
            i.keys[0].column = None;
            i.keys[0].expression = Some("abs(user_id)".to_owned());
        }),
    ];
    for (what, change) in changes {
        assert_eq!(beside(BY_USER, "user_id", change), PROPOSED, "{what}");
    }
    assert_eq!(beside(BY_USER, "kind, user_id", |_| {}), PROPOSED, "not the leading key");
    let included = |i: &mut Index| i.include = vec!["user_id".to_owned()];
    assert_eq!(beside(BY_USER, "kind", included), PROPOSED, "INCLUDE is no key");
}

#[test]
fn refuses_what_an_index_already_begins_with() {
    for (keys, change) in [
        ("user_id", (|_| {}) as fn(&mut Index)),
        ("user_id desc", |_| {}),
        ("user_id, kind", |_| {}),
        ("user_id", |i| i.unique = true),
        ("user_id", |i| i.include = vec!["kind".to_owned()]),
    ] {
        let mut snapshot = logs(&format!("index i on logs({keys})"), &[BY_USER]);
        change(index_mut(&mut snapshot, "i"));
        look(RULE, &snapshot).refuses("index (user_id): already covered by i");
    }
    look(RULE, &logs("", &["SELECT * FROM logs WHERE id = $1"]))
        .refuses("index (id): already covered by logs_pkey");
}

#[test]
fn an_order_is_covered_read_either_way_but_not_in_part() {
    let mixed = "SELECT * FROM logs ORDER BY user_id, at DESC LIMIT 5";
    let proposed = ["btree (user_id, at DESC) on logs: act"];
    assert_eq!(beside(mixed, "user_id, at", |_| {}), proposed);
    assert_eq!(beside(mixed, "user_id desc, at desc", |_| {}), proposed);
    assert_eq!(beside(mixed, "user_id, at desc", |_| {}), NOTHING);
    let mirrored = |i: &mut Index| {
        (i.keys[0].descending, i.keys[0].nulls_first) = (true, true);
        (i.keys[1].descending, i.keys[1].nulls_first) = (false, false);
    };
    assert_eq!(beside(mixed, "user_id, at", mirrored), NOTHING, "the mirror image");
    let nulls = |i: &mut Index| i.keys[1].nulls_first = false;
    assert_eq!(beside(mixed, "user_id, at desc", nulls), proposed, "NULLs at the other end");
}

#[test]
fn stays_silent_where_nothing_is_filtered_joined_or_ordered() {
    for statement in [
        "SELECT * FROM logs",
        "SELECT count(*) FROM logs",
        "SELECT * FROM logs WHERE kind <> 'x'",
        "SELECT * FROM logs WHERE note IS NOT NULL",
        "INSERT INTO logs (id, user_id) VALUES (1, 2)",
        "SELECT * FROM logs WHERE lower(kind) = 'x'",
        "SELECT * FROM logs ORDER BY random()",
    ] {
        seen(statement).is_silent();
    }
}

#[test]
fn refuses_unknown_patterns_and_leaves_those_without_a_fixed_start_to_trigrams() {
    seen("SELECT * FROM logs WHERE kind LIKE $1").refuses("is not known");
    for condition in ["NOT LIKE '%x'", "LIKE '%x'", "ILIKE 'x%'", "~ 'x'", "~* $1"] {
        seen(&format!("SELECT * FROM logs WHERE kind {condition}")).is_silent();
    }
}

#[test]
fn refuses_tiny_foreign_excluded_and_extension_tables() {
    let refused = |change: fn(&mut Table), words: &str| {
        let mut snapshot = logs("", &[BY_USER]);
        change(table_mut(&mut snapshot, "logs"));
        look(RULE, &snapshot).refuses(words);
    };
    refused(
        |t| (t.rows, t.pages) = (Some(100.0), 2),
        "any index: the table is tiny (100 rows in 2 blocks)",
    );
    refused(|t| (t.rows, t.pages) = (Some(499.0), 31), "tiny");
    refused(|t| (t.rows, t.pages) = (Some(100_000.0), 7), "tiny");
    refused(|t| t.kind = TableKind::Foreign, "any index: it is a foreign table");
    refused(|t| t.excluded = true, "excluded");
    refused(|t| t.extension_member = true, "belongs to an extension");
}

#[test]
fn a_table_of_unknown_or_middling_size_is_not_called_tiny() {
    for (rows, pages) in [(None, 0), (None, 1), (Some(499.0), 32), (Some(500.0), 8)] {
        let mut snapshot = logs("", &[BY_USER]);
        let table = table_mut(&mut snapshot, "logs");
        (table.rows, table.pages) = (rows, pages);
        assert_eq!(look(RULE, &snapshot).proposed(), PROPOSED, "{rows:?} rows, {pages} blocks");
    }
}

#[test]
fn refuses_columns_without_order_and_takes_the_others() {
    let found = seen("SELECT * FROM logs WHERE user_id = $1 AND spot IS NULL AND data IS NULL");
    assert_eq!(found.proposed(), PROPOSED);
    let refused = found.refused();
    assert!(
        refused.contains(&"index on (spot): point has no B-tree ordering".to_owned()),
        "{refused:?}"
    );
    assert!(
        refused.contains(&"index on (data): json has no B-tree ordering".to_owned()),
        "{refused:?}"
    );
}

#[test]
fn refuses_columns_whose_values_could_outgrow_a_page() {
    let refused = |stats, words: &str| {
        let mut snapshot = logs("", &["SELECT * FROM logs WHERE note = $1"]);
        set_stats(&mut snapshot, "logs.note", stats);
        look(RULE, &snapshot).refuses(words);
    };
    let long = "x".repeat(601);
    refused(stats(-1.0, &[(long.as_str(), 0.1)], &[]), "values of note are up to 601 bytes long");
    let mut wide = stats(-1.0, &[], &["a", "b"]);
    wide.avg_width = 900.0;
    refused(wide, "values of note are 900 bytes long on average");
    // So it looks to ANALYZE when every value is stored out of line.
    refused(stats(-1.0, &[], &[]), "values of note are too long for ANALYZE to keep any");
}

#[test]
fn takes_columns_whose_values_stay_short() {
    let takes = |column: &str, stats| {
        let lines = format!("t(id int8 pk, a {column} null) 100000");
        let mut snapshot = database(&lines, &["SELECT * FROM t WHERE a = $1"]);
        if let Some(stats) = stats {
            set_stats(&mut snapshot, "t.a", stats);
        }
        look(RULE, &snapshot).proposed().len() == 1
    };
    let short = "x".repeat(600);
    assert!(takes("text", Some(stats(-1.0, &[], &["a", short.as_str()]))));
    assert!(takes("text", None), "nothing is known of it");
    let mut only_nulls = stats(0.0, &[], &[]);
    only_nulls.null_fraction = 1.0;
    assert!(takes("text", Some(only_nulls)));
    let long = "x".repeat(700);
    let wide = || Some(stats(-1.0, &[], &["a", long.as_str()]));
    assert!(takes("varchar(200)", wide()), "the declared length bounds it");
    assert!(!takes("varchar(5000)", wide()));
    assert!(!takes("bytea", wide()));
    assert!(!takes("_text", wide()));
    assert!(!takes("jsonb", wide()));
    for bounded in ["int8", "numeric", "uuid", "mood", "inet", "timestamptz", "interval"] {
        assert!(takes(bounded, Some(stats(-1.0, &[], &[]))), "{bounded}");
    }
}

#[test]
fn says_what_speaks_against_any_index_on_the_table() {
    let facts = |change: fn(&mut Snapshot)| {
        let mut snapshot = logs("", &[BY_USER]);
        set_stats(&mut snapshot, "logs.user_id", stats(100.0, &[], &[]));
        change(&mut snapshot);
        look(RULE, &snapshot).only().facts.clone()
    };
    assert_eq!(facts(|_| {}), []);
    let changed = |s: &mut Snapshot| {
        table_mut(s, "logs").counters.modified_since_analyze = 50_000;
    };
    assert_eq!(facts(changed), [Fact::StaleStatistics { share: 0.5 }]);
    let forgotten = |s: &mut Snapshot| table_mut(s, "logs").columns[1].stats = None;
    assert_eq!(facts(forgotten), [Fact::NeverAnalyzed]);
    let guarded = |s: &mut Snapshot| table_mut(s, "logs").row_security = true;
    assert_eq!(facts(guarded), [Fact::RowSecurity]);
}

#[test]
fn only_shows_it_on_other_peoples_tables() {
    let mut snapshot = logs("", &[BY_USER]);
    table_mut(&mut snapshot, "logs").may_index = false;
    let found = look(RULE, &snapshot);
    assert_eq!(found.proposed(), ["btree (user_id) on logs: advise"]);
    assert!(
        found.facts().contains(
            &"needs the rights of test, the owner of public.logs, and CREATE on schema public"
                .to_owned()
        )
    );
}

#[test]
fn acts_on_materialized_views_partitioned_tables_and_partitions() {
    let mut snapshot = logs("", &[BY_USER]);
    table_mut(&mut snapshot, "logs").kind = TableKind::Partitioned;
    assert_eq!(look(RULE, &snapshot).proposed(), PROPOSED);
    let mut snapshot = logs("", &[BY_USER]);
    table_mut(&mut snapshot, "logs").kind = TableKind::MaterializedView;
    assert_eq!(look(RULE, &snapshot).proposed(), PROPOSED);
    let mut snapshot = logs("", &[BY_USER]);
    table_mut(&mut snapshot, "logs").partition_of = Some(1);
    assert_eq!(look(RULE, &snapshot).proposed(), PROPOSED);
}

#[test]
fn equal_candidates_of_several_statements_become_one() {
    let snapshot = logs("", &[BY_USER, "SELECT note FROM logs WHERE user_id = $1", RECENT]);
    let workload = rules::testing::workload(&snapshot);
    let cx = rules::context::Context { snapshot: &snapshot, workload: &workload };
    let all = rules::propose(&cx).candidates;
    let mine: Vec<_> = all.iter().filter(|c| crate::seen::line(c) == PROPOSED[0]).collect();
    let [one] = mine.as_slice() else { panic!("{}", mine.len()) };
    assert_eq!(one.serves, [0, 1, 2]);
}
