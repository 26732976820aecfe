//! A hand-made report for the tests of the forms.

use std::collections::BTreeMap;

use rules::candidate::Refusal;
use rules::change_plan::{Help, Impact};
use rules::reach::Reach;
use rules::report::{
    ActionReport, FactReport, IndexReport, Report, RunReport, ServerReport, StatementReport,
};

use super::{Applied, Ending, Outcome};

fn fact(weight: f64, cap: Option<f64>, text: &str) -> FactReport {
    FactReport { text: text.to_owned(), weight, cap }
}

fn create() -> ActionReport {
    ActionReport {
        id: "3f2a91c0".into(),
        kind: "create_index".into(),
        rule: "filter-or-order-without-index".into(),
        table: "public.\"BehaviorLog\"".into(),
        statement: "CREATE INDEX CONCURRENTLY pgw_behaviorlog_userid_timestamp_3f2a91c0 ON public.\"BehaviorLog\" \
                    USING btree (\"userId\", \"timestamp\" DESC)"
            .into(),
        undo: "DROP INDEX CONCURRENTLY public.pgw_behaviorlog_userid_timestamp_3f2a91c0".into(),
        confidence: 0.97,
        reach: Reach::Act,
        applies: true,
        impact: Impact { ms_per_day: Some(2_880_000.0), bytes: Some(34 << 20), write_ms_per_day: 1200.0 },
        helps: vec![Help {
            statement: "a1b2c3d4e5f60718".into(),
            cost_before: 12_345.0,
            cost_after: 8.31,
            plan_before: "Limit > Sort > Seq Scan on \"BehaviorLog\"".into(),
            plan_after: "Limit > Index Scan on \"BehaviorLog\"".into(),
        }],
        index: Some(IndexReport {
            method: "btree".into(),
            keys: vec!["\"userId\"".into(), "\"timestamp\" DESC".into()],
            include: vec![],
            predicate: None,
        }),
        by_a_person: vec![],
        evidence: vec![
            fact(2.6, None, "the planner uses it and its cost falls to under 0.1 % (hypopg)"),
            fact(0.6, None, "it pays with a cold cache too (cost falls to 0.2 %)"),
        ],
        against: vec![fact(-0.2, None, "the cost differs 30 times between values")],
        refused_now: vec![],
        noted_now: vec![],
    }
}

fn drop() -> ActionReport {
    ActionReport {
        id: "77aa00bb".into(),
        kind: "drop_index".into(),
        rule: "duplicate-index".into(),
        table: "public.\"User\"".into(),
        statement: "DROP INDEX CONCURRENTLY public.user_email_idx2".into(),
        undo: "CREATE INDEX CONCURRENTLY user_email_idx2 ON public.\"User\" USING btree (email);\n\
               COMMENT ON INDEX public.user_email_idx2 IS 'old'"
            .into(),
        confidence: 0.85,
        reach: Reach::Ask,
        applies: false,
        impact: Impact { ms_per_day: None, bytes: Some(-(8 << 20)), write_ms_per_day: -2500.0 },
        helps: vec![],
        index: Some(IndexReport {
            method: "btree".into(),
            keys: vec!["email".into()],
            include: vec![],
            predicate: None,
        }),
        by_a_person: vec![],
        evidence: vec![fact(1.5, None, "user_email_key serves everything that this one serves")],
        against: vec![fact(0.0, Some(0.85), "its counters run since yesterday only")],
        refused_now: vec![],
        noted_now: vec![],
    }
}

fn statement(id: &str, text: &str, ms_per_day: f64) -> StatementReport {
    StatementReport {
        id: id.into(),
        text: text.into(),
        calls: 1_234_567,
        mean_ms: Some(14.2),
        ms_per_day: Some(ms_per_day),
        cost: Some(12_345.0),
        cost_after: Some(8.31),
        unanalyzed: None,
        planned_as: None,
        skew: None,
        generic: None,
    }
}

fn refusal(what: &str, reason: &str) -> Refusal {
    Refusal {
        rule: "filter-or-order-without-index".into(),
        table: "public.\"User\"".into(),
        what: what.into(),
        reason: reason.into(),
        statements: vec!["b1b2c3d4e5f60718".into()],
    }
}

/// One action above the gate, one below, three refusals.
pub(crate) fn report() -> Report {
    let mut odd = statement("c1b2c3d4e5f60718", "SELECT * FROM gone", 0.0);
    odd.unanalyzed = Some("names the unknown relation gone".into());
    odd.cost = None;
    odd.cost_after = None;
    Report {
        actions: vec![create(), drop()],
        statements: vec![
            statement(
                "a1b2c3d4e5f60718",
                "SELECT * FROM \"BehaviorLog\"\n  WHERE \"userId\" = $1 ORDER BY \"timestamp\" DESC LIMIT $2",
                2_900_000.0,
            ),
            statement("b1b2c3d4e5f60718", "SELECT * FROM \"User\" WHERE id = $1", 2_500_000.0),
            odd,
        ],
        refused: vec![
            refusal("index (id)", "\"User_pkey\" serves it already"),
            refusal("index (role)", "it matches 88 % of the rows"),
            refusal("index (active)", "it matches 88 % of the rows"),
        ],
        ..empty()
    }
}

/// Nothing found.
pub(crate) fn empty() -> Report {
    Report {
        format: 1,
        server: ServerReport {
            version: "15.18 (Debian 15.18-0+deb12u1)".into(),
            database: "vedfinance".into(),
            role: "app".into(),
            tables: 12,
            indexes: 31,
            bytes: 1_932_735_283,
        },
        run: RunReport {
            pgwright: "0.1.0".into(),
            snapshot: "5f0c9d".into(),
            what_if: "hypopg".into(),
            twin: None,
            planned_on_server: 120,
            min_confidence: 0.90,
            source: "pg_stat_statements".into(),
            days: 6.5,
            observed_days: Some(6.5),
            seen: 45,
            kept_share: Some(0.97),
            left_out: BTreeMap::from([("utility".into(), 12), ("other_database".into(), 3)]),
            notes: vec![
                "7 entries were evicted from pg_stat_statements; raise pg_stat_statements.max"
                    .into(),
            ],
            hindered: None,
        },
        statements: vec![statement(
            "b1b2c3d4e5f60718",
            "SELECT * FROM \"User\" WHERE id = $1",
            2_500_000.0,
        )],
        actions: vec![],
        refused: vec![],
    }
}

/// One action that went well, one that did not.
pub(crate) fn applied() -> Applied {
    Applied {
        run: "67e55044-10b1-426f-9247-bb680e5fe0c8".into(),
        outcomes: vec![
            Outcome {
                action: "3f2a91c0".into(),
                log_id: Some(12),
                kind: "create_index".into(),
                table: "public.\"BehaviorLog\"".into(),
                index: Some("pgw_behaviorlog_userid_timestamp_3f2a91c0".into()),
                result: Ending::Applied,
                reason: None,
                seconds: Some(3.1),
                bytes: Some(33 << 20),
            },
            Outcome {
                action: "77aa00bb".into(),
                log_id: Some(13),
                kind: "drop_index".into(),
                table: "public.\"User\"".into(),
                index: Some("user_email_idx2".into()),
                result: Ending::Failed,
                reason: Some(
                    "canceling statement due to lock timeout (55P03); nothing was changed".into(),
                ),
                seconds: Some(5.0),
                bytes: None,
            },
        ],
    }
}
