//! The lines below a node, `Key: value` each, brought to the keys of JSON.

use serde_json::{Map, Value, json};

use crate::raw::Fields;
use crate::text::header::figures_of;

/// Lists in JSON, one line in text.
const LISTS: &[&str] = &[
    "Output",
    "Sort Key",
    "Presorted Key",
    "Group Key",
    "Hash Key",
    "Conflict Arbiter Indexes",
    "Params Evaluated",
];

/// Lines that hold several figures, or one that is written otherwise in JSON.
const COMPOUND: &[&str] = &[
    "Sort Method",
    "Full-sort Groups",
    "Pre-sorted Groups",
    "Buckets",
    "Batches",
    "Planned Partitions",
    "Hits",
    "Heap Blocks",
    "Buffers",
    "I/O Timings",
    "WAL",
    "Storage",
    "Tuples",
    "Sampling",
    "Order By",
    "Index Searches",
    "Foreign File Size",
];

/// Tells whether a line with this key belongs to a node of `PostgreSQL`.
pub(super) fn is_known(key: &str) -> bool {
    LISTS.contains(&key)
        || COMPOUND.contains(&key)
        || crate::vocabulary::is_node_key(key)
        || key.strip_prefix("Worker ").is_some_and(|number| number.parse::<u64>().is_ok())
}

/// Splits `Key: value`. What comes before the colon must look like a key.
pub(super) fn split(line: &str) -> Option<(&str, &str)> {
    let at = line.find(':')?;
    let (key, value) = (line[..at].trim_end(), &line[at + 1..]);
    let word = |c: char| c.is_alphanumeric() || " -_/.()[]#".contains(c);
    let starts = key.starts_with(|c: char| c.is_ascii_alphabetic());
    // A cast, `a::text`, is no key.
    let separate = value.is_empty() || value.starts_with([' ', '\t']);
    (starts && separate && key.len() <= 60 && key.chars().all(word)).then(|| (key, value.trim()))
}

/// Adds what a line says.
pub(super) fn read(key: &str, value: &str, fields: &mut Fields<'static>) {
    let known = match key {
        "Sort Method" => sort_method(value, fields),
        "Full-sort Groups" | "Pre-sorted Groups" => sort_groups(key, value, fields),
        "Buckets" => hash(value, fields),
        "Batches" | "Planned Partitions" => aggregate(key, value, fields),
        "Hits" => memoize(value, fields),
        "Heap Blocks" => heap_blocks(value, fields),
        "Buffers" => buffers(value, fields),
        "I/O Timings" => timings(value, fields),
        "WAL" => wal(value, fields),
        "Storage" => storage(value, fields),
        "Tuples" => tuples(value, fields),
        "Sampling" => sampling(value, fields),
        "Foreign File Size" => {
            push(fields, key, value.trim_end_matches(" b"));
            true
        }
        list if LISTS.contains(&list) => {
            push(fields, key, list_of(value));
            true
        }
        _ => false,
    };
    if !known {
        push(fields, key, value);
    }
}

fn push(fields: &mut Fields<'static>, key: &str, value: impl Into<Value>) {
    fields.push((key.to_owned().into(), value.into()));
}

/// Splits a list at its commas, but not at those within brackets or quotes.
pub(super) fn list_of(text: &str) -> Vec<String> {
    let (mut depth, mut quote, mut start) = (0i32, None, 0);
    let mut items = Vec::new();
    for (at, byte) in text.bytes().enumerate() {
        match (quote, byte) {
            (Some(open), byte) if byte == open => quote = None,
            (Some(_), _) => {}
            (None, b'\'' | b'"') => quote = Some(byte),
            (None, b'(' | b'[' | b'{') => depth += 1,
            (None, b')' | b']' | b'}') => depth -= 1,
            (None, b',') if depth == 0 => {
                items.push(text[start..at].trim().to_owned());
                start = at + 1;
            }
            _ => {}
        }
    }
    items.push(text[start..].trim().to_owned());
    items
}

/// Splits `quicksort  Memory: 25kB` into the bare value before the first key, and pairs.
fn pairs(text: &str) -> (&str, Vec<(&str, &str)>) {
    let mut parts = text.split("  ").map(str::trim).filter(|part| !part.is_empty()).peekable();
    let first = parts.next_if(|part| !part.contains(": ")).unwrap_or_default();
    (first, parts.filter_map(|part| part.split_once(':').map(|(k, v)| (k, v.trim()))).collect())
}

fn kilobytes(size: &str) -> &str {
    size.trim_end_matches("kB").trim_end()
}

fn sort_method(value: &str, fields: &mut Fields<'static>) -> bool {
    let (method, sizes) = pairs(value);
    push(fields, "Sort Method", method);
    if let [(kind @ ("Memory" | "Disk"), size)] = sizes.as_slice() {
        push(fields, "Sort Space Used", kilobytes(size));
        push(fields, "Sort Space Type", *kind);
    }
    true
}

/// `1  Sort Method: quicksort  Average Memory: 27kB  Peak Memory: 27kB`
fn sort_groups(key: &str, value: &str, fields: &mut Fields<'static>) -> bool {
    let (count, parts) = pairs(value);
    let number = |text: &str| text.parse::<u64>().map_or_else(|_| text.into(), Value::from);
    let mut groups = Map::from_iter([("Group Count".to_owned(), number(count))]);
    for (name, part) in parts {
        if name.starts_with("Sort Method") {
            let methods: Vec<&str> = part.split(", ").collect();
            groups.insert("Sort Methods Used".to_owned(), json!(methods));
        } else if let Some((which, kind)) = name.split_once(' ') {
            let space = groups.entry(format!("Sort Space {kind}")).or_insert_with(|| json!({}));
            space[format!("{which} Sort Space Used")] = number(kilobytes(part));
        }
    }
    push(fields, key, Value::Object(groups));
    true
}

/// `1024 (originally 512)  Batches: 1  Memory Usage: 9kB`
fn hash(value: &str, fields: &mut Fields<'static>) -> bool {
    let (buckets, parts) = pairs(value);
    let both = |value: &str| {
        let (now, before) = value.split_once(" (originally ").unwrap_or((value, value));
        (now.to_owned(), before.trim_end_matches(')').to_owned())
    };
    let (now, before) = both(buckets);
    push(fields, "Hash Buckets", now);
    push(fields, "Original Hash Buckets", before);
    for (name, part) in parts {
        match name {
            "Batches" => {
                let (now, before) = both(part);
                push(fields, "Hash Batches", now);
                push(fields, "Original Hash Batches", before);
            }
            "Memory Usage" => push(fields, "Peak Memory Usage", kilobytes(part)),
            _ => push(fields, name, part),
        }
    }
    true
}

/// `Batches: 5  Memory Usage: 4145kB  Disk Usage: 2840kB`, with `Planned Partitions: 4` before it or not.
fn aggregate(key: &str, value: &str, fields: &mut Fields<'static>) -> bool {
    let (first, parts) = pairs(value);
    let mut add = |name: &str, part: &str| match name {
        "Batches" => push(fields, "HashAgg Batches", part),
        "Memory Usage" => push(fields, "Peak Memory Usage", kilobytes(part)),
        "Disk Usage" => push(fields, "Disk Usage", kilobytes(part)),
        _ => push(fields, name, part),
    };
    add(key, first);
    for (name, part) in parts {
        add(name, part);
    }
    true
}

/// `Hits: 980  Misses: 20  Evictions: 0  Overflows: 0  Memory Usage: 3kB`
fn memoize(value: &str, fields: &mut Fields<'static>) -> bool {
    let (hits, parts) = pairs(value);
    push(fields, "Cache Hits", hits);
    for (name, part) in parts {
        match name {
            "Misses" | "Evictions" | "Overflows" => push(fields, &format!("Cache {name}"), part),
            "Memory Usage" => push(fields, "Peak Memory Usage", kilobytes(part)),
            _ => push(fields, name, part),
        }
    }
    true
}

fn heap_blocks(value: &str, fields: &mut Fields<'static>) -> bool {
    for (name, key) in [("exact", "Exact Heap Blocks"), ("lossy", "Lossy Heap Blocks")] {
        let found = figures_of(value).find(|(found, _)| *found == name);
        push(fields, key, found.map_or("0", |(_, blocks)| blocks));
    }
    true
}

/// `shared hit=5 read=2, temp read=3 written=4`
fn buffers(value: &str, fields: &mut Fields<'static>) -> bool {
    each_group(value, fields, |group, name| {
        let group = capital(group.trim_end_matches("/local"));
        format!("{group} {} Blocks", capital(name))
    })
}

/// `shared read=66.2 write=1.5, temp read=3.4`; without `shared` up to version 14.
fn timings(value: &str, fields: &mut Fields<'static>) -> bool {
    each_group(value, fields, |group, name| match group {
        "" | "shared/local" => format!("I/O {} Time", capital(name)),
        group => format!("{} I/O {} Time", capital(group), capital(name)),
    })
}

fn each_group(
    value: &str,
    fields: &mut Fields<'static>,
    key: impl Fn(&str, &str) -> String,
) -> bool {
    for part in value.split(',').map(str::trim) {
        let group = part.split_whitespace().next().filter(|word| !word.contains('='));
        for (name, figure) in figures_of(part) {
            push(fields, &key(group.unwrap_or_default(), name), figure);
        }
    }
    true
}

fn capital(word: &str) -> String {
    let mut letters = word.chars();
    letters.next().map_or_else(String::new, |first| {
        first.to_uppercase().collect::<String>() + letters.as_str()
    })
}

/// `records=10 fpi=2 bytes=590 buffers full=1`; what is 0 is left out.
fn wal(value: &str, fields: &mut Fields<'static>) -> bool {
    for (name, figure) in figures_of(value) {
        match name {
            "records" => push(fields, "WAL Records", figure),
            "fpi" => push(fields, "WAL FPI", figure),
            "bytes" => push(fields, "WAL Bytes", figure),
            "full" => push(fields, "WAL Buffers Full", figure),
            _ => push(fields, &format!("WAL {}", capital(name)), figure),
        }
    }
    true
}

/// `Memory  Maximum Storage: 17kB`
fn storage(value: &str, fields: &mut Fields<'static>) -> bool {
    let (kind, parts) = pairs(value);
    push(fields, "Storage", kind);
    for (name, part) in parts {
        push(fields, name, kilobytes(part));
    }
    true
}

/// `inserted=1 updated=2 deleted=3 skipped=4`
fn tuples(value: &str, fields: &mut Fields<'static>) -> bool {
    for name in ["inserted", "updated", "deleted", "skipped"] {
        let found = figures_of(value).find(|(found, _)| *found == name);
        push(fields, &format!("Tuples {}", capital(name)), found.map_or("0", |(_, count)| count));
    }
    true
}

/// `system ('10'::real) REPEATABLE ('0'::double precision)`
fn sampling(value: &str, fields: &mut Fields<'static>) -> bool {
    let Some((method, rest)) = value.split_once(" (") else { return false };
    let (parameters, seed) = match rest.split_once(" REPEATABLE (") {
        Some((parameters, seed)) => (parameters, Some(seed)),
        None => (rest, None),
    };
    push(fields, "Sampling Method", method);
    push(
        fields,
        "Sampling Parameters",
        list_of(parameters.strip_suffix(')').unwrap_or(parameters)),
    );
    if let Some(seed) = seed {
        push(fields, "Repeatable Seed", seed.strip_suffix(')').unwrap_or(seed));
    }
    true
}
