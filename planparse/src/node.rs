//! Turns the keys of one node into an operator, each key once, in the order in which they were printed.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::keys::{Keys, flag, merge_workers, number, type_figures};
use crate::lower::{lower_actual, lower_buffers};
use crate::raw::{Fields, RawNode};
use crate::vocabulary::kept;
use crate::{Actual, Buffers, Operator, OperatorId, OperatorKind, Problem, Wal, Worker};

/// Returns the printed relationship to the parent, and the operator.
pub(crate) fn lower(
    node: RawNode<'_>,
    id: OperatorId,
    problems: &mut Vec<Problem>,
) -> (Option<String>, Operator) {
    let mut reader = Reader::default();
    let operator = Some(id);
    let repeated = repeated(&node.fields);
    for (at, (key, value)) in node.fields.into_iter().enumerate() {
        if repeated.binary_search(&at).is_ok() {
            let workers = reader.workers.as_mut().filter(|_| key == "Workers");
            if !workers.is_some_and(|workers| merge_workers(workers, value)) {
                problems.push(Problem::DuplicateKey { operator, key: key.into_owned() });
            }
            continue;
        }
        // Null counts as absent.
        if value.is_null() {
            continue;
        }
        if let Err(Refused { value, expected }) = reader.take(&key, value) {
            let key = key.into_owned();
            reader.operator.other.insert(key.clone(), value);
            problems.push(match expected.map(str::to_owned) {
                Some(expected) => Problem::WrongType { operator, key, expected },
                None => Problem::UnknownKey { operator, key },
            });
        }
    }
    reader.finish(id, problems)
}

/// Returns the places of keys that stood there before.
fn repeated(fields: &Fields<'_>) -> Vec<usize> {
    if fields.len() > 256 {
        let mut seen = BTreeSet::new();
        let again = |(at, (key, _)): (usize, &(Cow<'_, str>, Value))| {
            (!seen.insert(key.as_ref().to_owned())).then_some(at)
        };
        return fields.iter().enumerate().filter_map(again).collect();
    }
    // Most keys differ in a rough hash already.
    let mut hashes = [0u64; 4];
    let mut repeated = Vec::new();
    for (at, (key, _)) in fields.iter().enumerate() {
        let bytes = key.as_bytes();
        let byte = |at: usize| bytes.get(at).map_or(0, |byte| usize::from(*byte));
        let length = bytes.len();
        let hash = 31 * length + 7 * byte(0) + 13 * byte(length / 2) + 3 * byte(length.max(4) - 4);
        let (word, bit) = (&mut hashes[hash / 64 % 4], 1 << (hash % 64));
        if *word & bit != 0 && fields[..at].iter().any(|(other, _)| other == key) {
            repeated.push(at);
        }
        *word |= bit;
    }
    repeated
}

/// A value that no field wants; with what the key calls for, or none where the key is unknown.
struct Refused {
    value: Value,
    expected: Option<&'static str>,
}

type Taken = Result<(), Refused>;

/// What was read of a node so far.
#[derive(Default)]
struct Reader {
    operator: Operator,
    relationship: Option<String>,
    /// `Command`, which a `SetOp` has; `Operation` comes before it.
    command: Option<String>,
    startup_ms: Option<f64>,
    total_ms: Option<f64>,
    rows: Option<f64>,
    loops: Option<f64>,
    buffers: Buffers,
    has_buffers: bool,
    wal: Wal,
    has_wal: bool,
    workers: Option<Value>,
}

impl Reader {
    fn take(&mut self, key: &str, value: Value) -> Taken {
        let operator = &mut self.operator;
        match key {
            "Node Type" => {
                let mut node_type = None;
                text(&mut node_type, value)?;
                operator.node_type = node_type.unwrap_or_default();
                operator.kind = OperatorKind::from_name(&operator.node_type);
                Ok(())
            }
            "Parent Relationship" => text(&mut self.relationship, value),
            "Operation" => text(&mut operator.command, value),
            "Command" => text(&mut self.command, value),
            "Parallel Aware" => {
                let aware = flag(&value).ok_or_else(|| refused(value, "a boolean"))?;
                operator.parallel_aware = aware;
                Ok(())
            }
            "Inner Unique" => {
                operator.inner_unique =
                    Some(flag(&value).ok_or_else(|| refused(value, "a boolean"))?);
                Ok(())
            }
            "Startup Cost" => plain(&mut operator.startup_cost, value),
            "Total Cost" => plain(&mut operator.total_cost, value),
            "Plan Rows" => plain(&mut operator.rows, value),
            "Plan Width" => {
                let mut width = 0.0;
                plain(&mut width, value)?;
                operator.width = width as u32;
                Ok(())
            }
            "Actual Startup Time" => figure(&mut self.startup_ms, value),
            "Actual Total Time" => figure(&mut self.total_ms, value),
            "Actual Rows" => figure(&mut self.rows, value),
            "Actual Loops" => figure(&mut self.loops, value),
            "Workers" if value.as_array().is_some_and(|list| list.iter().all(Value::is_object)) => {
                self.workers = Some(value);
                Ok(())
            }
            "Workers" => Err(refused(value, "a list of objects")),
            _ if key.ends_with(" Blocks") || key.ends_with(" Time") => {
                self.take_counter(key, value)
            }
            _ => self.take_detail(key, value),
        }
    }

    fn take_counter(&mut self, key: &str, value: Value) -> Taken {
        let (buffers, operator) = (&mut self.buffers, &mut self.operator);
        let taken = match key {
            "Exact Heap Blocks" => return count(&mut operator.exact_heap_blocks, value),
            "Lossy Heap Blocks" => return count(&mut operator.lossy_heap_blocks, value),
            "Shared Hit Blocks" => block(&mut buffers.shared_hit, value),
            "Shared Read Blocks" => block(&mut buffers.shared_read, value),
            "Shared Dirtied Blocks" => block(&mut buffers.shared_dirtied, value),
            "Shared Written Blocks" => block(&mut buffers.shared_written, value),
            "Local Hit Blocks" => block(&mut buffers.local_hit, value),
            "Local Read Blocks" => block(&mut buffers.local_read, value),
            "Local Dirtied Blocks" => block(&mut buffers.local_dirtied, value),
            "Local Written Blocks" => block(&mut buffers.local_written, value),
            "Temp Read Blocks" => block(&mut buffers.temp_read, value),
            "Temp Written Blocks" => block(&mut buffers.temp_written, value),
            "Shared I/O Read Time" | "I/O Read Time" => figure(&mut buffers.read_ms, value),
            "Shared I/O Write Time" | "I/O Write Time" => figure(&mut buffers.write_ms, value),
            "Local I/O Read Time" => figure(&mut buffers.local_read_ms, value),
            "Local I/O Write Time" => figure(&mut buffers.local_write_ms, value),
            "Temp I/O Read Time" => figure(&mut buffers.temp_read_ms, value),
            "Temp I/O Write Time" => figure(&mut buffers.temp_write_ms, value),
            _ => return keep(operator, key, value),
        };
        self.has_buffers |= taken.is_ok();
        taken
    }

    fn take_detail(&mut self, key: &str, value: Value) -> Taken {
        let (wal, operator) = (&mut self.wal, &mut self.operator);
        let taken = match key {
            "WAL Records" => block(&mut wal.records, value),
            "WAL FPI" => block(&mut wal.fpi, value),
            "WAL Bytes" => block(&mut wal.bytes, value),
            "WAL Buffers Full" => block(&mut wal.buffers_full, value),
            _ => return take_plain(operator, key, value),
        };
        self.has_wal |= taken.is_ok();
        taken
    }

    fn finish(mut self, id: OperatorId, problems: &mut Vec<Problem>) -> (Option<String>, Operator) {
        let mut operator = self.operator;
        operator.command = operator.command.or(self.command.take());
        operator.actual = (self.rows.is_some() || self.loops.is_some()).then(|| Actual {
            startup_ms: self.startup_ms,
            total_ms: self.total_ms,
            rows: self.rows.unwrap_or(0.0),
            loops: self.loops.unwrap_or(1.0),
        });
        operator.buffers = self.has_buffers.then_some(self.buffers);
        operator.wal = self.has_wal.then_some(self.wal);
        if let Some(Value::Array(workers)) = self.workers {
            operator.workers =
                workers.into_iter().map(|fields| worker(fields, id, problems)).collect();
        }
        if operator.kind == OperatorKind::Unknown {
            let node_type = operator.node_type.clone();
            problems.push(Problem::UnknownNodeType { operator: id, node_type });
        }
        (self.relationship, operator)
    }
}

fn take_plain(operator: &mut Operator, key: &str, value: Value) -> Taken {
    match key {
        "Filter" => text(&mut operator.filter, value),
        "Index Cond" => text(&mut operator.index_cond, value),
        "Recheck Cond" => text(&mut operator.recheck_cond, value),
        "Hash Cond" => text(&mut operator.hash_cond, value),
        "Merge Cond" => text(&mut operator.merge_cond, value),
        "Join Filter" => text(&mut operator.join_filter, value),
        "TID Cond" => text(&mut operator.tid_cond, value),
        "Order By" => text(&mut operator.order_by, value),
        "One-Time Filter" => text(&mut operator.one_time_filter, value),
        "Relation Name" => text(&mut operator.relation, value),
        "Schema" => text(&mut operator.schema, value),
        "Alias" => text(&mut operator.alias, value),
        "Index Name" => text(&mut operator.index_name, value),
        "CTE Name" => text(&mut operator.cte_name, value),
        "Function Name" => text(&mut operator.function_name, value),
        "Subplan Name" => text(&mut operator.subplan_name, value),
        "Join Type" => text(&mut operator.join_type, value),
        "Strategy" => text(&mut operator.strategy, value),
        "Partial Mode" => text(&mut operator.partial_mode, value),
        "Scan Direction" => text(&mut operator.scan_direction, value),
        "Sort Method" => text(&mut operator.sort_method, value),
        "Sort Space Type" => text(&mut operator.sort_space_type, value),
        "Sort Key" => texts(&mut operator.sort_key, value),
        "Presorted Key" => texts(&mut operator.presorted_key, value),
        "Group Key" => texts(&mut operator.group_key, value),
        "Output" => texts(&mut operator.output, value),
        "Rows Removed by Filter" => figure(&mut operator.rows_removed_by_filter, value),
        "Rows Removed by Join Filter" => figure(&mut operator.rows_removed_by_join_filter, value),
        "Rows Removed by Index Recheck" => {
            figure(&mut operator.rows_removed_by_index_recheck, value)
        }
        "Workers Planned" => count(&mut operator.workers_planned, value),
        "Workers Launched" => count(&mut operator.workers_launched, value),
        "Heap Fetches" => count(&mut operator.heap_fetches, value),
        "Sort Space Used" => count(&mut operator.sort_space_kb, value),
        "Hash Batches" => count(&mut operator.hash_batches, value),
        "Original Hash Batches" => count(&mut operator.original_hash_batches, value),
        "HashAgg Batches" => count(&mut operator.hashagg_batches, value),
        "Peak Memory Usage" => count(&mut operator.peak_memory_kb, value),
        "Disk Usage" => count(&mut operator.disk_usage_kb, value),
        _ => keep(operator, key, value),
    }
}

/// Keeps a value that has no field, if its key is known.
fn keep(operator: &mut Operator, key: &str, value: Value) -> Taken {
    let value = kept(key, value).map_err(|value| Refused { value, expected: None })?;
    operator.other.insert(key.to_owned(), value);
    Ok(())
}

fn worker(fields: Value, id: OperatorId, problems: &mut Vec<Problem>) -> Worker {
    let fields = match fields {
        Value::Object(fields) => fields,
        _ => serde_json::Map::new(),
    };
    let mut keys = Keys::new(fields, Some(id), problems);
    let number = keys.count("Worker Number").unwrap_or(0);
    let (actual, buffers) = (lower_actual(&mut keys), lower_buffers(&mut keys));
    let mut other: BTreeMap<String, Value> = std::mem::take(&mut keys.fields);
    other.values_mut().for_each(type_figures);
    Worker { number, actual, buffers, other }
}

fn refused(value: Value, expected: &'static str) -> Refused {
    Refused { value, expected: Some(expected) }
}

fn no_number(value: Value) -> Refused {
    let text = value.as_str().map(str::trim);
    let infinite = text.is_some_and(|text| text.parse().is_ok_and(f64::is_infinite));
    refused(value, if infinite { "a finite number" } else { "a number" })
}

fn text(slot: &mut Option<String>, value: Value) -> Taken {
    match value {
        Value::String(text) => {
            *slot = Some(text);
            Ok(())
        }
        value => Err(refused(value, "a text")),
    }
}

fn texts(slot: &mut Vec<String>, value: Value) -> Taken {
    match value {
        Value::String(text) => *slot = vec![text],
        Value::Array(list) if list.iter().all(Value::is_string) => {
            let text = |value| match value {
                Value::String(text) => text,
                _ => String::new(),
            };
            *slot = list.into_iter().map(text).collect();
        }
        value => return Err(refused(value, "a list of texts")),
    }
    Ok(())
}

fn figure(slot: &mut Option<f64>, value: Value) -> Taken {
    *slot = Some(number(&value).ok_or_else(|| no_number(value))?);
    Ok(())
}

fn plain(slot: &mut f64, value: Value) -> Taken {
    *slot = number(&value).ok_or_else(|| no_number(value))?;
    Ok(())
}

fn count(slot: &mut Option<u64>, value: Value) -> Taken {
    let mut counted = 0;
    block(&mut counted, value)?;
    *slot = Some(counted);
    Ok(())
}

fn block(slot: &mut u64, value: Value) -> Taken {
    let rounded = |value: &Value| number(value).filter(|n| *n >= 0.0).map(|n| n as u64);
    let counted = value.as_u64().or_else(|| rounded(&value));
    *slot = counted.ok_or_else(|| no_number(value))?;
    Ok(())
}
