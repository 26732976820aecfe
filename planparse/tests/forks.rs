//! What forks and extensions print: their operators are kept by name, and nothing is lost.

use planparse::{OperatorKind, Parsed, Problem};

fn one(text: &str) -> Parsed {
    let mut reading = planparse::read(text).expect("a plan");
    assert_eq!((reading.plans.len(), reading.notes.len()), (1, 0), "{reading:#?}");
    reading.plans.remove(0)
}

#[test]
fn greenplum_moves_rows_between_slices() {
    let parsed = one(" Gather Motion 3:1  (slice1; segments: 3)  (cost=0.00..862.00 rows=1 width=8) (actual time=10.003..10.012 rows=3 loops=1)
   ->  Hash Join  (cost=0.00..862.00 rows=1 width=8) (actual time=6.100..9.000 rows=2 loops=1)
         Hash Cond: (t.a = u.a)
         ->  Redistribute Motion 3:3  (slice2; segments: 3)  (cost=0.00..431.00 rows=1 width=4) (actual time=0.003..0.012 rows=3 loops=1)
               Hash Key: t.b
               ->  Seq Scan on t  (cost=0.00..431.00 rows=1 width=4) (actual time=0.003..0.012 rows=3 loops=1)
         ->  Hash  (cost=431.00..431.00 rows=1 width=4) (actual time=0.003..0.012 rows=3 loops=1)
               ->  Dynamic Seq Scan on u x  (cost=0.00..431.00 rows=1 width=4) (never executed)
 Planning Time: 20.108 ms
   (slice0)    Executor memory: 127K bytes.
   (slice1)    Executor memory: 4178K bytes avg x 3 workers, 4178K bytes max (seg0).  Work_mem: 4096K bytes max.
 Memory used:  128000kB
 Optimizer: Pivotal Optimizer (GPORCA)
 Execution Time: 12.012 ms
");
    let plan = &parsed.plan;
    assert_eq!(
        plan.shape(),
        "Gather Motion(Hash Join(Redistribute Motion(Seq Scan t), Hash(Dynamic Seq Scan u x)))"
    );
    let root = plan.operator(plan.root());
    assert_eq!((&root.other["Senders"], &root.other["Segments"]), (&3.into(), &3.into()));
    assert_eq!((plan.planning_ms, plan.execution_ms), (Some(20.108), Some(12.012)));
    assert_eq!(plan.other["Optimizer"], "Pivotal Optimizer (GPORCA)");
    assert!(parsed.problems.contains(&Problem::UnknownNodeType {
        operator: plan.root(),
        node_type: "Gather Motion".to_owned()
    }));
}

#[test]
fn timescale_appends_and_decompresses_chunks() {
    let parsed = one("Custom Scan (ChunkAppend) on metrics m  (cost=0.29..100.00 rows=1000 width=20) (actual time=0.100..0.200 rows=10 loops=1)
  Order: m.\"time\" DESC
  Startup Exclusion: true
  Chunks excluded during startup: 3
  ->  Custom Scan (DecompressChunk) on _hyper_1_2_chunk m_1  (cost=0.29..50.00 rows=1000 width=20) (actual time=0.100..0.200 rows=10 loops=1)
        Vectorized Filter: (device = 1)
        Batches Removed by Filter: 2
        ->  Index Scan using i on compress_hyper_2_3_chunk  (cost=0.29..20.00 rows=1 width=20) (actual time=0.100..0.100 rows=1 loops=1)
              Index Cond: (device = 1)
Planning Time: 1.000 ms
Execution Time: 0.400 ms
");
    assert_eq!(parsed.problems, []);
    let plan = &parsed.plan;
    let providers: Vec<_> = plan
        .operators()
        .filter(|(_, operator)| operator.kind == OperatorKind::CustomScan)
        .map(|(id, operator)| planparse::label(operator, plan.link(id)))
        .collect();
    assert_eq!(
        providers,
        [
            "Custom Scan (ChunkAppend) on metrics m",
            "Custom Scan (DecompressChunk) on _hyper_1_2_chunk m_1"
        ]
    );
    let root = plan.operator(plan.root());
    assert_eq!(root.other["Startup Exclusion"], true);
    assert_eq!(root.other["Chunks excluded during startup"], 3);
}

#[test]
fn redshift_marks_what_runs_on_its_nodes() {
    let parsed = one("XN Limit  (cost=1000000000136.38..1000000000136.41 rows=10 width=15)
  ->  XN Merge  (cost=1000000000136.38..1000000000137.82 rows=576 width=15)
        Merge Key: sum(sales.pricepaid)
        ->  XN Network  (cost=1000000000136.38..1000000000137.82 rows=576 width=15)
              Send to leader
              ->  XN Hash Join DS_DIST_OUTER  (cost=109.98..3379.49 rows=172456 width=15)
                    Hash Cond: (\"outer\".eventid = \"inner\".eventid)
                    ->  XN Seq Scan on sales  (cost=0.00..1724.56 rows=172456 width=8)
                    ->  XN Hash  (cost=87.98..87.98 rows=8798 width=12)
                          ->  XN Seq Scan on event e  (cost=0.00..87.98 rows=8798 width=12)
");
    assert_eq!(
        parsed.plan.shape(),
        "Limit(XN Merge(XN Network(Hash Join(Seq Scan sales, Hash(Seq Scan event e)))))"
    );
    let join = parsed.plan.operator(3.into());
    assert_eq!(
        (join.kind, &join.other["Distribution"]),
        (OperatorKind::HashJoin, &"DS_DIST_OUTER".into())
    );
}

#[test]
fn yugabyte_tells_of_its_storage_after_the_times() {
    let parsed = one("YB Seq Scan on public.t x  (cost=0.00..102.50 rows=1000 width=12) (actual time=0.900..1.100 rows=5 loops=1)
  Storage Filter: (v > 3)
  Storage Table Read Requests: 1
Planning Time: 0.100 ms
Execution Time: 1.200 ms
Storage Read Requests: 1
Peak Memory Usage: 24 kB
");
    let root = parsed.plan.operator(parsed.plan.root());
    assert_eq!((root.node_type.as_str(), root.relation.as_deref()), ("YB Seq Scan", Some("t")));
    assert_eq!(root.other["Storage Filter"], "(v > 3)");
    assert_eq!(parsed.plan.other["Storage Read Requests"], "1");
    assert_eq!(parsed.plan.other["Peak Memory Usage"], "24 kB");
}

#[test]
fn citus_counts_what_its_nodes_sent() {
    let parsed = one("Custom Scan (Citus Adaptive)  (cost=0.00..0.00 rows=100000 width=4) (actual time=10.000..10.000 rows=1 loops=1)
  Task Count: 32
  Tuple data received from nodes: 22 bytes
  Tasks Shown: One of 32
  ->  Task
        Tuple data received from node: 11 bytes
        Node: host=localhost port=9701 dbname=shop
        ->  Seq Scan on t_102008 t  (cost=0.00..1.00 rows=1 width=4) (actual time=0.100..4.000 rows=9 loops=1)
            Planning Time: 0.100 ms
            Execution Time: 6.100 ms
Planning Time: 0.500 ms
Execution Time: 10.500 ms
");
    assert_eq!(parsed.problems, []);
    let job = &parsed.plan.operator(parsed.plan.root()).other["Distributed Query"]["Job"];
    assert_eq!(job["Tuple data received from nodes"], "22 bytes");
    assert_eq!(job["Tasks"][0]["Tuple data received from node"], "11 bytes");
}

#[test]
fn what_another_kind_of_server_prints_is_no_plan() {
    let other = "  distribution: full\n  vectorized: true\n\n  • limit\n  │ count: 10\n  │\n  └── • scan\n        estimated row count: 1,000 (100% of the table)\n        table: orders@orders_pkey\n        spans: FULL SCAN\n";
    assert!(planparse::read(other).is_err());
}

#[test]
fn figures_of_workers_are_numbers_in_every_format() {
    let xml = "<explain xmlns=\"http://www.postgresql.org/2009/explain\"><Query><Plan><Node-Type>Sort</Node-Type><Workers><Worker><Worker-Number>0</Worker-Number><Sort-Method>quicksort</Sort-Method><Sort-Space-Used>25</Sort-Space-Used><WAL-Bytes>7</WAL-Bytes><Cache-Hits>3</Cache-Hits><JIT><Functions>2</Functions><Options><Inlining>false</Inlining></Options></JIT></Worker></Workers></Plan></Query></explain>";
    let json = r#"[{"Plan": {"Node Type": "Sort", "Workers": [{"Worker Number": 0, "Sort Method": "quicksort", "Sort Space Used": 25,
        "WAL Bytes": 7, "Cache Hits": 3, "JIT": {"Functions": 2, "Options": {"Inlining": false}}}]}}]"#;
    assert_eq!(one(xml).plan, one(json).plan);
}
