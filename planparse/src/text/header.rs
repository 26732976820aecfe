//! The line that opens a node: what it is, what it reads, its estimates and what happened.

use serde_json::Value;

use crate::OperatorKind;
use crate::raw::Fields;

/// Where the figures begin on the line of a node.
const FIGURES: &[&str] = &["(cost=", "(actual ", "(never executed)", "(rows="];

/// What a node line says, keyed as EXPLAIN keys it in JSON.
pub(super) struct Header {
    pub(super) fields: Fields<'static>,
    /// Whether the node type is one that `PostgreSQL` has, in exactly its grammar.
    pub(super) known: bool,
    /// Whether estimates or times stand on the line.
    pub(super) figures: bool,
    /// Whether the line says more than the type alone.
    pub(super) target: bool,
}

/// Reads a node line without its arrow. There always is an answer; what is no known node has its whole name as `Node Type`.
pub(super) fn read(line: &str) -> Header {
    let at = figures_at(line);
    // A line that was cut within its figures, at the right margin.
    let cut = || line.rfind("  (").filter(|at| !line[*at..].contains(')'));
    let (name, figures) = line.split_at(at.or_else(cut).unwrap_or(line.len()));
    let mut fields = Fields::new();
    let name = name.trim();
    let known = read_name(name, &mut fields);
    if !known {
        fields.clear();
        read_unknown(name, &mut fields);
    }
    let target = fields.len() > 1;
    if at.is_some() {
        read_figures(figures, &mut fields);
    }
    Header { fields, known, figures: at.is_some(), target }
}

/// Returns where the figures begin: a bracket with a mark and a figure behind it, for prose has brackets too. What
/// somebody made unrecognizable still has the dots between two costs.
fn figures_at(line: &str) -> Option<usize> {
    let is_figure = |at: usize, mark: &str| {
        // Figures are short; a bracket that does not end soon holds none.
        let group = &line.as_bytes()[at + mark.len()..];
        let group = &group[..group.len().min(200)];
        let group = group.split(|byte| *byte == b')').next().unwrap_or_default();
        match mark {
            "(actual " => group.starts_with(b"time=") || group.starts_with(b"rows="),
            "(never executed)" => true,
            _ => {
                group.first().is_none_or(u8::is_ascii_digit)
                    || group.windows(2).any(|pair| pair == b"..")
            }
        }
    };
    let first =
        |mark: &&str| line.match_indices(*mark).map(|(at, _)| at).find(|at| is_figure(*at, mark));
    FIGURES.iter().filter_map(first).min()
}

/// Tells whether a line can be the first of a plan, given by itself.
pub(crate) fn opens_plan(line: &str) -> bool {
    let Some(first) = line.chars().next() else { return false };
    if !first.is_ascii_uppercase() || !line.is_char_boundary(line.len().min(1)) {
        return false;
    }
    let header = read(line);
    let name = header.fields.first().and_then(|(_, name)| name.as_str()).unwrap_or_default();
    // After the figures of a node that we do not know, nothing follows, unless the line was cut.
    let ends = || {
        let end = line.trim_end();
        end.ends_with(')') || end.rfind('(') > end.rfind(')')
    };
    let sane = !name.is_empty() && name.len() <= 200 && !name.contains(": ");
    header.known || (header.figures && sane && ends())
}

/// Tells whether more stands on a node line than a bare type, which may be any word.
pub(crate) fn says_more(line: &str) -> bool {
    let header = read(line);
    header.target || header.figures
}

fn read_name(name: &str, fields: &mut Fields<'static>) -> bool {
    // Redshift marks what runs on its nodes, and how it sends rows between them.
    let name = name.strip_prefix("XN ").filter(|name| *name != "Merge").unwrap_or(name);
    let sent = name.rfind(" DS_").filter(|_| name.contains(" Join ") || name.contains("Loop "));
    let (name, distribution) = name.split_at(sent.unwrap_or(name.len()));
    let (parallel, name) = strip(name, "Parallel ");
    let (asynchronous, name) = strip(name, "Async ");
    let known = read_modify(name, fields)
        || read_join(name, fields)
        || read_aggregate(name, fields)
        || read_set_operation(name, fields)
        || read_index_scan(name, fields)
        || read_custom(name, fields)
        || read_plain(name, fields);
    if !distribution.is_empty() {
        push(fields, "Distribution", distribution.trim());
    }
    if parallel {
        fields.push(("Parallel Aware".into(), true.into()));
    }
    if asynchronous {
        fields.push(("Async Capable".into(), true.into()));
    }
    known
}

/// Reads the line of a node that `PostgreSQL` does not have, as far as it follows the grammar of those that it has.
fn read_unknown(name: &str, fields: &mut Fields<'static>) {
    if read_motion(name, fields) {
        return;
    }
    if let Some((node_type, target)) = name.split_once(" on ") {
        let (node_type, index) = match node_type.split_once(" using ") {
            Some((node_type, index)) => (node_type, Some(index)),
            None => (node_type, None),
        };
        push(fields, "Node Type", node_type);
        if let Some(index) = index {
            push(fields, "Index Name", index);
        }
        // A node has a name of few words; what has more may be anything.
        let short = node_type.split(' ').count() <= 4;
        if short && read_target(target, OperatorKind::SeqScan, fields) {
            return;
        }
        fields.clear();
    }
    push(fields, "Node Type", name);
}

/// `Gather Motion 3:1  (slice1; segments: 3)`, with which Greenplum and its kin send rows between servers; keyed as they
/// key it in JSON.
fn read_motion(name: &str, fields: &mut Fields<'static>) -> bool {
    let Some(at) = name.find(" Motion ") else { return false };
    let (node_type, rest) = name.split_at(at + " Motion".len());
    let (ways, slice) = rest.trim().split_once(' ').unwrap_or((rest.trim(), ""));
    let Some((senders, receivers)) = ways.split_once(':') else { return false };
    push(fields, "Node Type", node_type);
    push(fields, "Senders", senders);
    push(fields, "Receivers", receivers);
    let slice = slice.trim().trim_start_matches('(').trim_end_matches(')');
    for part in slice.split("; ") {
        if let Some(number) = part.strip_prefix("slice") {
            push(fields, "Slice", number);
        } else if let Some(segments) = part.strip_prefix("segments: ") {
            push(fields, "Segments", segments);
        }
    }
    true
}

fn strip<'a>(name: &'a str, prefix: &str) -> (bool, &'a str) {
    name.strip_prefix(prefix).map_or((false, name), |rest| (true, rest))
}

fn push(fields: &mut Fields<'static>, key: &'static str, value: impl Into<Value>) {
    fields.push((key.into(), value.into()));
}

const OPERATIONS: [&str; 4] = ["Insert", "Update", "Delete", "Merge"];

/// Returns the target of a line such as `Update on public.t x`, with the operation.
pub(super) fn modified(line: &str) -> Option<(&str, &str)> {
    let line = strip(line, "Foreign ").1;
    let (operation, target) = line.split_once(" on ")?;
    OPERATIONS.contains(&operation).then_some((operation, target.trim()))
}

fn read_modify(name: &str, fields: &mut Fields<'static>) -> bool {
    if name.starts_with("Foreign ") {
        return false;
    }
    // A MERGE into a partitioned table without partitions has no target.
    let (operation, target) = match modified(name) {
        Some((operation, target)) => (operation, Some(target)),
        None if OPERATIONS.contains(&name) => (name, None),
        None => return false,
    };
    push(fields, "Node Type", "ModifyTable");
    push(fields, "Operation", operation);
    target.is_none_or(|target| read_target(target, OperatorKind::ModifyTable, fields))
}

fn read_join(name: &str, fields: &mut Fields<'static>) -> bool {
    const TYPES: [&str; 7] = ["Left", "Full", "Right", "Semi", "Anti", "Right Semi", "Right Anti"];
    let (node, join) = if name == "Nested Loop" {
        ("Nested Loop", "Inner")
    } else if let Some(rest) = name.strip_prefix("Nested Loop ") {
        ("Nested Loop", rest.strip_suffix(" Join").unwrap_or_default())
    } else if name == "Hash Join" {
        ("Hash Join", "Inner")
    } else if name == "Merge Join" {
        ("Merge Join", "Inner")
    } else if let Some(rest) = name.strip_prefix("Hash ") {
        ("Hash Join", rest.strip_suffix(" Join").unwrap_or_default())
    } else if let Some(rest) = name.strip_prefix("Merge ") {
        ("Merge Join", rest.strip_suffix(" Join").unwrap_or_default())
    } else {
        return false;
    };
    if join != "Inner" && !TYPES.contains(&join) {
        return false;
    }
    push(fields, "Node Type", node);
    push(fields, "Join Type", join);
    true
}

fn read_aggregate(name: &str, fields: &mut Fields<'static>) -> bool {
    let (partial, name) = strip(name, "Partial ");
    let (finalize, name) = strip(name, "Finalize ");
    let strategy = match name {
        "Aggregate" => "Plain",
        "GroupAggregate" => "Sorted",
        "HashAggregate" => "Hashed",
        "MixedAggregate" => "Mixed",
        _ => return false,
    };
    let mode = if partial {
        "Partial"
    } else if finalize {
        "Finalize"
    } else {
        "Simple"
    };
    push(fields, "Node Type", "Aggregate");
    push(fields, "Strategy", strategy);
    push(fields, "Partial Mode", mode);
    true
}

fn read_set_operation(name: &str, fields: &mut Fields<'static>) -> bool {
    let (hashed, name) = strip(name, "Hash");
    let Some(command) = name.strip_prefix("SetOp ") else { return false };
    if !["Intersect", "Intersect All", "Except", "Except All"].contains(&command) {
        return false;
    }
    push(fields, "Node Type", "SetOp");
    push(fields, "Strategy", if hashed { "Hashed" } else { "Sorted" });
    push(fields, "Command", command);
    true
}

fn read_index_scan(name: &str, fields: &mut Fields<'static>) -> bool {
    for kind in ["Index Only Scan", "Index Scan"] {
        let Some(rest) = name.strip_prefix(kind) else { continue };
        let (backward, rest) = strip(rest, " Backward");
        let Some(rest) = rest.strip_prefix(" using ") else { return false };
        let Some((index, rest)) = identifier(rest) else { return false };
        push(fields, "Node Type", kind);
        push(fields, "Scan Direction", if backward { "Backward" } else { "Forward" });
        push(fields, "Index Name", index);
        return match rest.strip_prefix(" on ") {
            Some(target) => read_target(target, OperatorKind::IndexScan, fields),
            None => rest.trim().is_empty(),
        };
    }
    if let Some(rest) = name.strip_prefix("Bitmap Index Scan on ") {
        push(fields, "Node Type", "Bitmap Index Scan");
        let index = identifier(rest).filter(|(_, rest)| rest.trim().is_empty());
        push(fields, "Index Name", index.map_or_else(|| rest.to_owned(), |(index, _)| index));
        return !rest.contains(' ') || rest.starts_with('"');
    }
    false
}

fn read_custom(name: &str, fields: &mut Fields<'static>) -> bool {
    let Some((provider, rest)) =
        name.strip_prefix("Custom Scan (").and_then(|rest| rest.split_once(')'))
    else {
        return false;
    };
    push(fields, "Node Type", "Custom Scan");
    push(fields, "Custom Plan Provider", provider);
    match rest.strip_prefix(" on ") {
        Some(target) => read_target(target, OperatorKind::CustomScan, fields),
        None => rest.is_empty(),
    }
}

fn read_plain(name: &str, fields: &mut Fields<'static>) -> bool {
    let (foreign, operation) = match name.strip_prefix("Foreign ") {
        Some(rest) => {
            let word = rest.split(' ').next().unwrap_or_default();
            (true, if word == "Scan" { "Select" } else { word })
        }
        None => (false, ""),
    };
    if foreign {
        let rest = name.splitn(3, ' ').nth(2);
        if operation != "Select" && !OPERATIONS.contains(&operation) {
            return false;
        }
        push(fields, "Node Type", "Foreign Scan");
        push(fields, "Operation", operation);
        return match rest {
            Some(rest) => rest
                .strip_prefix("on ")
                .is_some_and(|target| read_target(target, OperatorKind::ForeignScan, fields)),
            None => true,
        };
    }
    // Up to version 9, a subquery's alias stood there without `on`.
    let old = name.strip_prefix("Subquery Scan ").filter(|target| !target.starts_with("on "));
    let (kind_name, target) = match (old, name.split_once(" on ")) {
        (Some(target), _) => ("Subquery Scan", Some(target)),
        (None, Some((kind, target))) => (kind, Some(target)),
        (None, None) => (name, None),
    };
    let kind = OperatorKind::from_name(kind_name);
    if kind == OperatorKind::Unknown {
        return false;
    }
    push(fields, "Node Type", kind_name.to_owned());
    target.is_none_or(|target| read_target(target, kind, fields))
}

/// Reads `public.orders o`: schema, name and alias, each in quotes where it must be.
fn read_target(target: &str, kind: OperatorKind, fields: &mut Fields<'static>) -> bool {
    let Some((first, rest)) = identifier(target) else { return false };
    let (schema, name, rest) = match rest.strip_prefix('.') {
        Some(qualified) => match identifier(qualified) {
            Some((name, rest)) => (Some(first), name, rest),
            None => return false,
        },
        None => (None, first, rest),
    };
    let (alias, rest) = match rest.strip_prefix(' ').map(identifier) {
        Some(Some((alias, rest))) => (alias, rest),
        Some(None) => return false,
        None => (name.clone(), rest),
    };
    if !rest.trim().is_empty() {
        return false;
    }
    let key = match kind {
        OperatorKind::FunctionScan => Some("Function Name"),
        OperatorKind::TableFunctionScan => Some("Table Function Name"),
        OperatorKind::CteScan | OperatorKind::WorkTableScan => Some("CTE Name"),
        OperatorKind::NamedTuplestoreScan => Some("Tuplestore Name"),
        OperatorKind::SubqueryScan | OperatorKind::ValuesScan => None,
        _ => Some("Relation Name"),
    };
    if let Some(key) = key {
        push(fields, key, name);
    }
    if let Some(schema) = schema {
        push(fields, "Schema", schema);
    }
    push(fields, "Alias", alias);
    true
}

/// Takes an identifier off the front, without its quotes.
fn identifier(text: &str) -> Option<(String, &str)> {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find([' ', '.']).unwrap_or(text.len());
        return (end > 0).then(|| (text[..end].to_owned(), &text[end..]));
    };
    let mut name = String::new();
    let mut parts = quoted.split_inclusive('"');
    let mut used = 1;
    while let Some(part) = parts.next() {
        used += part.len();
        let inner = part.strip_suffix('"')?;
        name.push_str(inner);
        if !text[used..].starts_with('"') {
            return Some((name, &text[used..]));
        }
        // A doubled quote stands for one.
        name.push('"');
        used += parts.next()?.len();
    }
    None
}

/// Reads `(cost=0.29..0.54 rows=5 width=162) (actual time=0.040..0.041 rows=5.00 loops=1)`.
fn read_figures(figures: &str, fields: &mut Fields<'static>) {
    let mut rest = figures;
    while let Some(start) = rest.find('(') {
        let end = rest[start..].find(')').map_or(rest.len(), |end| start + end);
        read_group(&rest[start + 1..end], fields);
        rest = rest.get(end + 1..).unwrap_or_default();
    }
    if !rest.trim().is_empty() {
        push(fields, "Node Line Rest", rest.trim());
    }
}

fn read_group(group: &str, fields: &mut Fields<'static>) {
    if group.trim() == "never executed" {
        push(fields, "Actual Rows", 0);
        push(fields, "Actual Loops", 0);
        return;
    }
    if let Some(actual) = group.strip_prefix("actual ") {
        read_actual(actual, fields);
        return;
    }
    for (name, value) in figures_of(group) {
        match name {
            "cost" => range(value, "Startup Cost", "Total Cost", fields),
            "rows" => push(fields, "Plan Rows", value),
            "width" => push(fields, "Plan Width", value),
            _ => fields.push((name.to_owned().into(), value.into())),
        }
    }
}

/// Reads `time=0.040..0.041 rows=5.00 loops=1`; also of a worker.
pub(super) fn read_actual(actual: &str, fields: &mut Fields<'static>) {
    for (name, value) in figures_of(actual) {
        match name {
            "time" => range(value, "Actual Startup Time", "Actual Total Time", fields),
            "rows" => push(fields, "Actual Rows", value),
            "loops" => push(fields, "Actual Loops", value),
            _ => fields.push((format!("Actual {name}").into(), value.into())),
        }
    }
}

fn range(value: &str, first: &'static str, last: &'static str, fields: &mut Fields<'static>) {
    let (from, to) = value.split_once("..").unwrap_or((value, value));
    push(fields, first, from);
    push(fields, last, to);
}

/// Splits `a=1 b=2`; a space that fell to a line break is made good.
pub(super) fn figures_of(text: &str) -> impl Iterator<Item = (&str, &str)> {
    const NAMES: [&str; 3] = ["rows=", "width=", "loops="];
    text.split_whitespace().flat_map(move |word| {
        let at = NAMES.iter().filter_map(|name| word.find(name)).filter(|at| *at > 0).min();
        let (first, second) = word.split_at(at.unwrap_or(word.len()));
        [first, second].into_iter().filter_map(|word| word.split_once('='))
    })
}
