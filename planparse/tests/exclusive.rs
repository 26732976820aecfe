//! Exclusive times against values computed by hand, from plans as PostgreSQL prints them.

use planparse::Metrics;

/// The milliseconds of each operator by itself, in printed order, to the microsecond; they add up to the root's.
#[track_caller]
fn takes(text: &str, expected: &[f64]) {
    let reading = planparse::read(text).expect("a plan");
    let plan = &reading.plans[0].plan;
    assert_eq!(reading.plans[0].problems, []);
    let own =
        |metrics: Metrics| (metrics.exclusive_ms.expect("it was timed") * 1000.0).round() / 1000.0;
    let times: Vec<f64> = plan.metrics().into_values().map(own).collect();
    assert_eq!(times, expected);
    let root = plan.operator(plan.root()).actual.expect("it was run");
    let whole = root.total_ms.expect("it was timed");
    assert!((times.iter().sum::<f64>() - whole).abs() < 0.01, "{times:?} of {whole}");
}

#[test]
fn the_leader_takes_part() {
    // Three processes: 60 ms of scanning each on average, 90 with the aggregate.
    takes(
        "Gather (actual time=1.000..100.000 rows=3 loops=1)
  Workers Planned: 2
  Workers Launched: 2
  ->  Partial Aggregate (actual time=90.000..90.000 rows=1 loops=3)
        ->  Parallel Seq Scan on t (actual time=0.010..60.000 rows=100 loops=3)",
        &[10.0, 30.0, 60.0],
    );
}

#[test]
fn the_leader_only_gathers() {
    // parallel_leader_participation = off: two processes, two loops.
    takes(
        "Gather (actual time=1.000..60.000 rows=3 loops=1)
  Workers Planned: 2
  Workers Launched: 2
  ->  Parallel Seq Scan on t (actual time=0.010..50.000 rows=100 loops=2)",
        &[10.0, 50.0],
    );
}

#[test]
fn no_worker_came() {
    takes(
        "Gather Merge (actual time=1.000..100.000 rows=3 loops=1)
  Workers Planned: 2
  Workers Launched: 0
  ->  Sort (actual time=95.000..96.000 rows=300 loops=1)
        Sort Key: a
        ->  Parallel Seq Scan on t (actual time=0.010..90.000 rows=300 loops=1)",
        &[4.0, 6.0, 90.0],
    );
}

#[test]
fn a_loop_in_each_worker() {
    // Each of three processes runs the inner side 1,000 times for 0.01 ms: 10 ms on the clock, not 30.
    takes(
        "Gather (actual time=1.000..50.000 rows=3000 loops=1)
  Workers Planned: 2
  Workers Launched: 2
  ->  Nested Loop (actual time=0.100..45.000 rows=1000 loops=3)
        ->  Parallel Seq Scan on t (actual time=0.010..20.000 rows=1000 loops=3)
        ->  Index Scan using u_pkey on u (actual time=0.005..0.010 rows=1 loops=3000)
              Index Cond: (id = t.id)",
        &[5.0, 15.0, 20.0, 10.0],
    );
}

#[test]
fn a_subplan_in_each_worker() {
    takes(
        "Gather (actual time=1.000..50.000 rows=100 loops=1)
  Workers Planned: 1
  Workers Launched: 1
  ->  Parallel Seq Scan on t (actual time=0.010..40.000 rows=50 loops=2)
        Filter: (a = (SubPlan 1))
        SubPlan 1
          ->  Index Only Scan using u_pkey on u (actual time=0.010..0.020 rows=1 loops=2000)",
        // 1,000 runs of 0.02 ms in each of two processes.
        &[10.0, 20.0, 20.0],
    );
}

#[test]
fn a_limit_stops_the_workers() {
    // The workers ran on for a moment after the leader had enough: no more than it waited is on the clock.
    takes(
        "Limit (actual time=1.000..20.000 rows=10 loops=1)
  ->  Gather (actual time=1.000..19.500 rows=10 loops=1)
        Workers Planned: 2
        Workers Launched: 2
        ->  Parallel Seq Scan on t (actual time=0.010..26.000 rows=40 loops=3)",
        &[0.5, 0.0, 19.5],
    );
}

#[test]
fn a_store_is_filled_once_and_read_again_and_again() {
    takes(
        "Nested Loop (actual time=0.100..20.000 rows=9 loops=1)
  ->  Seq Scan on t (actual time=0.010..2.000 rows=1000 loops=1)
  ->  Materialize (actual time=0.001..0.010 rows=50 loops=1000)
        ->  Seq Scan on u (actual time=0.010..3.000 rows=50 loops=1)",
        &[8.0, 2.0, 7.0, 3.0],
    );
}

#[test]
fn a_cache_spares_most_runs() {
    takes(
        "Nested Loop (actual time=0.100..20.000 rows=1000 loops=1)
  ->  Seq Scan on t (actual time=0.010..2.000 rows=1000 loops=1)
  ->  Memoize (actual time=0.001..0.010 rows=1 loops=1000)
        Cache Key: t.u_id
        ->  Index Scan using u_pkey on u (actual time=0.010..0.050 rows=1 loops=100)
              Index Cond: (id = t.u_id)",
        &[8.0, 2.0, 5.0, 5.0],
    );
}

#[test]
fn foreign_scans_wait_at_the_same_time() {
    // Both waited 100 of the 105 ms for their servers.
    takes(
        "Append (actual time=1.000..105.000 rows=20 loops=1)
  ->  Async Foreign Scan on a (actual time=0.500..100.000 rows=10 loops=1)
  ->  Async Foreign Scan on b (actual time=0.500..100.000 rows=10 loops=1)",
        &[0.0, 52.5, 52.5],
    );
}

#[test]
fn what_never_ran_takes_nothing() {
    takes(
        "Append (actual time=0.010..5.000 rows=10 loops=1)
  ->  Seq Scan on a (actual time=0.010..4.000 rows=10 loops=1)
  ->  Seq Scan on b (never executed)
        Filter: (x = 1)",
        &[1.0, 4.0, 0.0],
    );
}

#[test]
fn an_init_plan_runs_once_in_whoever_asks_for_it() {
    takes(
        "Aggregate (actual time=51.000..51.000 rows=1 loops=1)
  InitPlan 1 (returns $0)
    ->  Seq Scan on u (actual time=0.010..30.000 rows=1 loops=1)
  ->  Seq Scan on t (actual time=30.100..50.000 rows=9 loops=1)
        Filter: (a > $0)",
        &[1.0, 30.0, 20.0],
    );
}

#[test]
fn a_cte_that_is_read_twice_is_made_once() {
    // The first reader waits for all of it; the second finds it there.
    takes(
        "Hash Join (actual time=70.000..100.000 rows=9 loops=1)
  Hash Cond: (a.id = b.id)
  CTE x
    ->  Seq Scan on t (actual time=0.010..60.000 rows=1000 loops=1)
  ->  CTE Scan on x a (actual time=0.010..5.000 rows=1000 loops=1)
  ->  Hash (actual time=68.000..68.000 rows=1000 loops=1)
        ->  CTE Scan on x b (actual time=0.020..65.000 rows=1000 loops=1)",
        &[27.0, 60.0, 5.0, 3.0, 5.0],
    );
}
