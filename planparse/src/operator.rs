//! One operator of a plan, with everything that EXPLAIN prints about it.

use std::collections::BTreeMap;

#[cfg(feature = "serde")]
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::OperatorKind;

/// One node of a plan.
///
/// Costs are in the planner's units, times in milliseconds, sizes in kilobytes unless the name says otherwise.
/// Figures of an execution (`actual` and the counters) are absent unless the statement was run with ANALYZE.
#[derive(Clone, Debug, Default, PartialEq)]
#[cfg_attr(feature = "serde", derive(Serialize, Deserialize))]
#[cfg_attr(feature = "serde", serde(default))]
pub struct Operator {
    /// What it is.
    pub kind: OperatorKind,
    /// `Node Type` as printed.
    pub node_type: String,
    /// The table that it reads or writes, without quotes.
    pub relation: Option<String>,
    /// The schema of that table; printed with VERBOSE only.
    pub schema: Option<String>,
    /// The name of the table, function, subquery or CTE within the statement.
    pub alias: Option<String>,
    /// The index that it reads; of `HypoPG`'s with its `<oid>` in front.
    pub index_name: Option<String>,
    /// The common table expression that it reads.
    pub cte_name: Option<String>,
    /// The function that it reads.
    pub function_name: Option<String>,
    /// The name of the `InitPlan`, `SubPlan` or CTE of which it is the top, such as `InitPlan 1 (returns $0)` or `CTE x`.
    pub subplan_name: Option<String>,
    /// `Inner`, `Left`, `Right`, `Full`, `Semi`, `Anti`, `Right Semi`, `Right Anti`.
    pub join_type: Option<String>,
    /// Of an Aggregate or `SetOp`: `Plain`, `Sorted`, `Hashed`, `Mixed`.
    pub strategy: Option<String>,
    /// Of an Aggregate: `Simple`, `Partial`, `Finalize`.
    pub partial_mode: Option<String>,
    /// What a `ModifyTable` or Foreign Scan does (`Insert`, `Update`, `Delete`, `Merge`, `Select`), or which set operation a `SetOp` is.
    pub command: Option<String>,
    /// Of an index scan: `Forward`, `Backward`, `NoMovement`.
    pub scan_direction: Option<String>,
    /// Whether its processes share the work.
    pub parallel_aware: bool,
    /// Of a join: whether each outer row meets one inner row at most; printed with VERBOSE, and on hash joins and others from version 10 on.
    pub inner_unique: Option<bool>,

    /// Cost until the first row.
    pub startup_cost: f64,
    /// Cost until the last row, of one execution, everything below included.
    pub total_cost: f64,
    /// Estimated rows of one execution (per process below a Gather).
    pub rows: f64,
    /// Estimated mean width of a row, in bytes.
    pub width: u32,

    /// What happened, where it was executed.
    pub actual: Option<Actual>,
    /// Parallel workers that were planned.
    pub workers_planned: Option<u64>,
    /// Parallel workers that were there when it ran.
    pub workers_launched: Option<u64>,
    /// Figures of each parallel worker; printed with VERBOSE.
    pub workers: Vec<Worker>,

    /// Condition that is checked on each row.
    pub filter: Option<String>,
    /// Condition that the index serves.
    pub index_cond: Option<String>,
    /// Condition that is checked again where a bitmap went lossy.
    pub recheck_cond: Option<String>,
    /// Condition of a hash join.
    pub hash_cond: Option<String>,
    /// Condition of a merge join.
    pub merge_cond: Option<String>,
    /// Further condition of a join.
    pub join_filter: Option<String>,
    /// Condition on row identifiers.
    pub tid_cond: Option<String>,
    /// Order by distance that the index serves.
    pub order_by: Option<String>,
    /// Condition that is checked once, before the first row.
    pub one_time_filter: Option<String>,
    /// Keys of a sort or merge, most significant first.
    pub sort_key: Vec<String>,
    /// Of an Incremental Sort: the leading keys that come sorted.
    pub presorted_key: Vec<String>,
    /// Keys of a grouping.
    pub group_key: Vec<String>,
    /// Expressions that it returns; printed with VERBOSE.
    pub output: Vec<String>,

    /// Rows that `filter` threw away, mean over the loops.
    pub rows_removed_by_filter: Option<f64>,
    /// Row pairs that `join_filter` threw away, mean over the loops.
    pub rows_removed_by_join_filter: Option<f64>,
    /// Rows that `recheck_cond` threw away, mean over the loops.
    pub rows_removed_by_index_recheck: Option<f64>,
    /// Of an Index Only Scan: rows for which the table had to be visited.
    pub heap_fetches: Option<u64>,
    /// Of a Bitmap Heap Scan: blocks of which the rows were known.
    pub exact_heap_blocks: Option<u64>,
    /// Of a Bitmap Heap Scan: blocks that were read whole because the bitmap outgrew `work_mem`.
    pub lossy_heap_blocks: Option<u64>,
    /// `quicksort`, `top-N heapsort`, `external sort`, `external merge`.
    pub sort_method: Option<String>,
    /// Space that the sort took.
    pub sort_space_kb: Option<u64>,
    /// Where: `Memory` or `Disk`.
    pub sort_space_type: Option<String>,
    /// Of a Hash: pieces in which it was built; more than 1 went through temporary files.
    pub hash_batches: Option<u64>,
    /// Of a Hash: pieces that were planned.
    pub original_hash_batches: Option<u64>,
    /// Of an Aggregate: pieces in which it was built; more than 1 (or any disk usage) went through temporary files.
    pub hashagg_batches: Option<u64>,
    /// Largest memory that a Hash, Aggregate or Memoize held.
    pub peak_memory_kb: Option<u64>,
    /// Temporary files of an Aggregate.
    pub disk_usage_kb: Option<u64>,
    /// Blocks touched, everything below included, summed over loops and processes.
    pub buffers: Option<Buffers>,
    /// Write-ahead log written, everything below included.
    pub wal: Option<Wal>,

    /// Every further key, as printed.
    pub other: BTreeMap<String, Value>,
}

impl Operator {
    /// Tells whether the statement ran, but never came to this operator.
    pub fn never_executed(&self) -> bool {
        self.actual.is_some_and(|actual| actual.loops <= 0.0)
    }

    /// Returns the rows that it returned over all loops and processes.
    pub fn actual_rows_total(&self) -> Option<f64> {
        self.actual.map(|actual| actual.rows * actual.loops)
    }

    /// Returns every expression that is printed with it, for a search through them.
    pub(crate) fn expressions(&self) -> impl Iterator<Item = &str> {
        let single = [
            &self.filter,
            &self.index_cond,
            &self.recheck_cond,
            &self.hash_cond,
            &self.merge_cond,
            &self.join_filter,
            &self.tid_cond,
            &self.order_by,
            &self.one_time_filter,
        ];
        let lists = [&self.sort_key, &self.group_key, &self.output];
        let calls =
            ["Function Call", "Table Function Call", "Remote SQL", "Cache Key", "Run Condition"];
        single
            .into_iter()
            .flatten()
            .chain(lists.into_iter().flatten())
            .map(String::as_str)
            .chain(calls.into_iter().filter_map(|key| self.other.get(key)?.as_str()))
    }
}

/// What happened when an operator ran. All but `loops` are means over the loops, as EXPLAIN prints them.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(Serialize, Deserialize))]
pub struct Actual {
    /// Milliseconds until the first row; absent with TIMING OFF.
    pub startup_ms: Option<f64>,
    /// Milliseconds until the last row, everything below included; absent with TIMING OFF.
    pub total_ms: Option<f64>,
    /// Rows per loop: a whole number up to version 17, with a fraction from 18 on.
    pub rows: f64,
    /// How often it ran, in all processes together; 0 where it never did.
    pub loops: f64,
}

/// The part of one parallel worker.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(Serialize, Deserialize))]
pub struct Worker {
    /// The worker's number, from 0.
    pub number: u64,
    /// What happened in it.
    pub actual: Option<Actual>,
    /// Blocks that it touched.
    pub buffers: Option<Buffers>,
    /// Every further key, as printed.
    pub other: BTreeMap<String, Value>,
}

/// Blocks touched, and the time that took where `track_io_timing` is on.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[cfg_attr(feature = "serde", derive(Serialize, Deserialize))]
#[cfg_attr(feature = "serde", serde(default))]
pub struct Buffers {
    /// Blocks found in shared buffers.
    pub shared_hit: u64,
    /// Blocks read into shared buffers.
    pub shared_read: u64,
    /// Shared blocks made dirty.
    pub shared_dirtied: u64,
    /// Shared blocks written out.
    pub shared_written: u64,
    /// Blocks of temporary tables found in local buffers.
    pub local_hit: u64,
    /// Blocks of temporary tables read.
    pub local_read: u64,
    /// Blocks of temporary tables made dirty.
    pub local_dirtied: u64,
    /// Blocks of temporary tables written.
    pub local_written: u64,
    /// Blocks of temporary files read.
    pub temp_read: u64,
    /// Blocks of temporary files written.
    pub temp_written: u64,
    /// Milliseconds of reading shared blocks (up to version 16: shared and local).
    pub read_ms: Option<f64>,
    /// Milliseconds of writing shared blocks (up to version 16: shared and local).
    pub write_ms: Option<f64>,
    /// Milliseconds of reading blocks of temporary tables (from version 17 on).
    pub local_read_ms: Option<f64>,
    /// Milliseconds of writing blocks of temporary tables (from version 17 on).
    pub local_write_ms: Option<f64>,
    /// Milliseconds of reading temporary files (from version 15 on).
    pub temp_read_ms: Option<f64>,
    /// Milliseconds of writing temporary files (from version 15 on).
    pub temp_write_ms: Option<f64>,
}

impl Buffers {
    /// Returns both together.
    #[must_use]
    pub fn with(&self, other: &Self) -> Self {
        let time = |one: Option<f64>, other: Option<f64>| match (one, other) {
            (Some(one), Some(other)) => Some(one + other),
            (one, other) => one.or(other),
        };
        Self {
            shared_hit: self.shared_hit.saturating_add(other.shared_hit),
            shared_read: self.shared_read.saturating_add(other.shared_read),
            shared_dirtied: self.shared_dirtied.saturating_add(other.shared_dirtied),
            shared_written: self.shared_written.saturating_add(other.shared_written),
            local_hit: self.local_hit.saturating_add(other.local_hit),
            local_read: self.local_read.saturating_add(other.local_read),
            local_dirtied: self.local_dirtied.saturating_add(other.local_dirtied),
            local_written: self.local_written.saturating_add(other.local_written),
            temp_read: self.temp_read.saturating_add(other.temp_read),
            temp_written: self.temp_written.saturating_add(other.temp_written),
            read_ms: time(self.read_ms, other.read_ms),
            write_ms: time(self.write_ms, other.write_ms),
            local_read_ms: time(self.local_read_ms, other.local_read_ms),
            local_write_ms: time(self.local_write_ms, other.local_write_ms),
            temp_read_ms: time(self.temp_read_ms, other.temp_read_ms),
            temp_write_ms: time(self.temp_write_ms, other.temp_write_ms),
        }
    }

    /// Returns the shared and local blocks that were found or read.
    pub fn touched(&self) -> u64 {
        self.read().saturating_add(self.shared_hit).saturating_add(self.local_hit)
    }

    /// Returns the shared and local blocks that were read from outside the buffers.
    pub fn read(&self) -> u64 {
        self.shared_read.saturating_add(self.local_read)
    }

    /// Returns what is left after `part` is taken out; no counter goes below zero.
    #[must_use]
    pub fn without(&self, part: &Self) -> Self {
        let time = |whole: Option<f64>, part: Option<f64>| {
            whole.map(|ms| (ms - part.unwrap_or(0.0)).max(0.0))
        };
        Self {
            shared_hit: self.shared_hit.saturating_sub(part.shared_hit),
            shared_read: self.shared_read.saturating_sub(part.shared_read),
            shared_dirtied: self.shared_dirtied.saturating_sub(part.shared_dirtied),
            shared_written: self.shared_written.saturating_sub(part.shared_written),
            local_hit: self.local_hit.saturating_sub(part.local_hit),
            local_read: self.local_read.saturating_sub(part.local_read),
            local_dirtied: self.local_dirtied.saturating_sub(part.local_dirtied),
            local_written: self.local_written.saturating_sub(part.local_written),
            temp_read: self.temp_read.saturating_sub(part.temp_read),
            temp_written: self.temp_written.saturating_sub(part.temp_written),
            read_ms: time(self.read_ms, part.read_ms),
            write_ms: time(self.write_ms, part.write_ms),
            local_read_ms: time(self.local_read_ms, part.local_read_ms),
            local_write_ms: time(self.local_write_ms, part.local_write_ms),
            temp_read_ms: time(self.temp_read_ms, part.temp_read_ms),
            temp_write_ms: time(self.temp_write_ms, part.temp_write_ms),
        }
    }
}

/// Write-ahead log written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(Serialize, Deserialize))]
#[cfg_attr(feature = "serde", serde(default))]
pub struct Wal {
    /// Records.
    pub records: u64,
    /// Full page images.
    pub fpi: u64,
    /// Bytes.
    pub bytes: u64,
    /// How often the WAL buffers were full (from version 18 on).
    pub buffers_full: u64,
}

impl Wal {
    /// Returns what is left after `part` is taken out; no counter goes below zero.
    #[must_use]
    pub fn without(&self, part: &Self) -> Self {
        Self {
            records: self.records.saturating_sub(part.records),
            fpi: self.fpi.saturating_sub(part.fpi),
            bytes: self.bytes.saturating_sub(part.bytes),
            buffers_full: self.buffers_full.saturating_sub(part.buffers_full),
        }
    }
}
