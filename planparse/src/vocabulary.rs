//! The keys that a node may have.

use serde_json::Value;

use crate::keys::{flag, type_figures};

/// Keys of `PostgreSQL` 10 to 18, of Citus, `TimescaleDB` and Greenplum that have no field of their own and stay in `other`, without being a problem.
const KEPT_KEYS: &[(&str, Kept)] = &[
    ("Async Capable", Kept::Flag),
    ("Batch Sorted Merge", Kept::Flag),
    ("Batches Removed by Filter", Kept::Number),
    ("Bulk Decompression", Kept::Flag),
    ("Cache Evictions", Kept::Number),
    ("Cache Hits", Kept::Number),
    ("Cache Key", Kept::Text),
    ("Cache Misses", Kept::Number),
    ("Cache Mode", Kept::Text),
    ("Cache Overflows", Kept::Number),
    ("Chunks excluded during runtime", Kept::Number),
    ("Chunks excluded during startup", Kept::Number),
    ("Conflict Arbiter Indexes", Kept::Any),
    ("Conflict Filter", Kept::Text),
    ("Conflict Resolution", Kept::Text),
    ("Conflicting Tuples", Kept::Number),
    ("Custom Plan Provider", Kept::Text),
    ("Disabled", Kept::Flag),
    ("Distributed Query", Kept::Figures),
    ("Distribution", Kept::Text),
    ("Foreign File", Kept::Text),
    ("Foreign File Size", Kept::Number),
    ("Foreign Program", Kept::Text),
    ("Full-sort Groups", Kept::Figures),
    ("Function Call", Kept::Text),
    ("Gang Type", Kept::Text),
    ("Grouping Sets", Kept::Any),
    ("Hash Buckets", Kept::Number),
    ("Index Searches", Kept::Number),
    ("Maximum Storage", Kept::Number),
    ("Order", Kept::Text),
    ("Original Hash Buckets", Kept::Number),
    ("Params Evaluated", Kept::Any),
    ("Planned Partitions", Kept::Number),
    ("Pre-sorted Groups", Kept::Figures),
    ("Receivers", Kept::Number),
    ("Relations", Kept::Text),
    ("Remote SQL", Kept::Text),
    ("Repeatable Seed", Kept::Text),
    ("Reverse", Kept::Flag),
    ("Rows Removed by Conflict Filter", Kept::Number),
    ("Run Condition", Kept::Text),
    ("Runtime Exclusion", Kept::Flag),
    ("Sampling Method", Kept::Text),
    ("Sampling Parameters", Kept::Any),
    ("Segments", Kept::Number),
    ("Senders", Kept::Number),
    ("Single Copy", Kept::Flag),
    ("Slice", Kept::Number),
    ("Startup Exclusion", Kept::Flag),
    ("Storage", Kept::Text),
    ("Subplans Removed", Kept::Number),
    ("Table Function Call", Kept::Text),
    ("Table Function Name", Kept::Text),
    ("Target Tables", Kept::Any),
    ("Task Count", Kept::Number),
    ("Tasks Shown", Kept::Text),
    ("Tuple data received from node", Kept::Text),
    ("Tuple data received from nodes", Kept::Text),
    ("Tuples Deleted", Kept::Number),
    ("Tuples Inserted", Kept::Number),
    ("Tuples Skipped", Kept::Number),
    ("Tuples Updated", Kept::Number),
    ("Tuplestore Name", Kept::Text),
    ("Vectorized Filter", Kept::Text),
    ("Window", Kept::Text),
];

/// Keys that have a field of their own.
const TYPED_KEYS: &[&str] = &[
    "Actual Loops",
    "Actual Rows",
    "Actual Startup Time",
    "Actual Total Time",
    "Alias",
    "CTE Name",
    "Command",
    "Disk Usage",
    "Exact Heap Blocks",
    "Filter",
    "Function Name",
    "Group Key",
    "Hash Batches",
    "Hash Cond",
    "HashAgg Batches",
    "Heap Fetches",
    "I/O Read Time",
    "I/O Write Time",
    "Index Cond",
    "Index Name",
    "Inner Unique",
    "Join Filter",
    "Join Type",
    "Local Dirtied Blocks",
    "Local Hit Blocks",
    "Local I/O Read Time",
    "Local I/O Write Time",
    "Local Read Blocks",
    "Local Written Blocks",
    "Lossy Heap Blocks",
    "Merge Cond",
    "Node Type",
    "One-Time Filter",
    "Operation",
    "Order By",
    "Original Hash Batches",
    "Output",
    "Parallel Aware",
    "Parent Relationship",
    "Partial Mode",
    "Peak Memory Usage",
    "Plan Rows",
    "Plan Width",
    "Presorted Key",
    "Recheck Cond",
    "Relation Name",
    "Rows Removed by Filter",
    "Rows Removed by Index Recheck",
    "Rows Removed by Join Filter",
    "Scan Direction",
    "Schema",
    "Shared Dirtied Blocks",
    "Shared Hit Blocks",
    "Shared I/O Read Time",
    "Shared I/O Write Time",
    "Shared Read Blocks",
    "Shared Written Blocks",
    "Sort Key",
    "Sort Method",
    "Sort Space Type",
    "Sort Space Used",
    "Startup Cost",
    "Strategy",
    "Subplan Name",
    "TID Cond",
    "Temp I/O Read Time",
    "Temp I/O Write Time",
    "Temp Read Blocks",
    "Temp Written Blocks",
    "Total Cost",
    "WAL Buffers Full",
    "WAL Bytes",
    "WAL FPI",
    "WAL Records",
    "Workers",
    "Workers Launched",
    "Workers Planned",
];

/// What the value of a key is; XML and text print every one of them as text.
#[derive(Clone, Copy, Debug)]
enum Kept {
    Text,
    Number,
    Flag,
    /// An object of figures and texts.
    Figures,
    Any,
}

/// Tells whether `PostgreSQL` prints such a key of a node.
pub(crate) fn is_node_key(key: &str) -> bool {
    KEPT_KEYS.binary_search_by_key(&key, |(known, _)| known).is_ok()
        || TYPED_KEYS.binary_search(&key).is_ok()
}

/// Returns the value of a key without a field in the type that it has in JSON; `Err` gives back that of an unknown key.
pub(crate) fn kept(key: &str, value: Value) -> Result<Value, Value> {
    let Ok(at) = KEPT_KEYS.binary_search_by_key(&key, |(known, _)| known) else {
        return Err(value);
    };
    let mut value = value;
    let typed = match KEPT_KEYS[at].1 {
        Kept::Number => value.as_str().and_then(|text| serde_json::from_str(text.trim()).ok()),
        Kept::Flag => flag(&value).map(Value::Bool),
        Kept::Figures => {
            type_figures(&mut value);
            None
        }
        Kept::Text | Kept::Any => None,
    };
    Ok(typed.unwrap_or(value))
}
