//! B-tree candidates of one relation of one statement: equality first, then one of range or order.
//!
//! The generator is generous, since the planner judges every candidate afterwards; what it must not do is
//! miss the index that serves. Rules filter what it gives and own the documentation.

use std::collections::{BTreeMap, BTreeSet};

use crate::context::{Analyzed, Context};
use crate::index::{IndexDefinition, Key, Term};
use crate::snapshot::{Column, Table, TableKind};
use crate::statement::{
    JoinPair, Operand, Predicate, PredicateClass, Relation, RelationId, Target,
};

/// Keys of a B-tree candidate at most; wider ones serve fewer statements and cost writers more.
const WIDTH_MAX: usize = 4;

/// Candidates of one relation at most, so that a statement with fifty conditions stays affordable.
const CANDIDATES_MAX: usize = 16;

/// Longest value, in bytes, that statistics may show of a column without declared length: far under the
/// 2,704 bytes that a B-tree entry may take (`BTMaxItemSize`, nbtree.h), since later values may be longer.
pub(crate) const VALUE_BYTES_MAX: usize = 600;

/// Why a relation's table can have no new index.
pub fn unindexable(table: &Table) -> Option<String> {
    if table.kind == TableKind::Foreign {
        return Some("it is a foreign table".to_owned());
    }
    if table.extension_member {
        return Some("it belongs to an extension".to_owned());
    }
    if table.excluded {
        return Some("it is excluded (--schema, --exclude-table)".to_owned());
    }
    tiny(table).then(|| {
        format!("the table is tiny ({} rows in {} blocks)", table.rows.unwrap_or(0.0), table.pages)
    })
}

/// Whether statistics call the table so small that reading it whole is as good as any index: under 8 blocks,
/// or under 500 rows in under 32 blocks. A table that was never counted is not called tiny.
fn tiny(table: &Table) -> bool {
    table.rows.is_some_and(|rows| table.pages < 8 || (rows < 500.0 && table.pages < 32))
}

/// Why a column can be no B-tree key; `None` when it can.
pub fn unsuited(column: &Column) -> Option<String> {
    if !column.btree {
        return Some(format!("{} has no B-tree ordering", column.type_name));
    }
    if column.length > 0 || bounded(column) {
        return None;
    }
    let stats = column.stats.as_ref()?;
    let longest = stats.common_values.iter().chain(&stats.histogram).map(String::len).max();
    let how = match longest {
        Some(longest) if longest > VALUE_BYTES_MAX => format!("up to {longest} bytes long"),
        _ if stats.avg_width > VALUE_BYTES_MAX as f64 / 3.0 => {
            format!("{:.0} bytes long on average", stats.avg_width)
        }
        // ANALYZE leaves values over 1,024 bytes out of both lists (WIDTH_THRESHOLD, analyze.c), and a value stored
        // out of line counts 18 bytes of width: empty lists tell that all values are long.
        None if stats.null_fraction < 1.0 => "too long for ANALYZE to keep any".to_owned(),
        _ => return None,
    };
    Some(format!("values of {} are {how} and could outgrow a B-tree page", column.name))
}

/// Whether the type bounds the length: `varchar(n)`, `char(n)`, `numeric`, `inet`, ranges, enums and such.
fn bounded(column: &Column) -> bool {
    !lets_values_grow(column.type_category, column.type_modifier)
}

/// Whether a type of variable length lets values outgrow a B-tree page, by `pg_type.typcategory` and
/// `pg_attribute.atttypmod`.
pub fn lets_values_grow(category: char, modifier: i32) -> bool {
    let unbounded = matches!(category, 'S' | 'A' | 'U' | 'C' | 'V' | 'X');
    // varchar(n): the modifier is n plus the four bytes of the header; a character takes up to four bytes.
    let declared = category == 'S' && (5..=VALUE_BYTES_MAX as i32).contains(&modifier);
    unbounded && !declared
}

/// How often each column of each table is compared for equality anywhere in the workload, and by that the
/// order of equality keys: shared columns first, so that one statement's index is another one's prefix.
pub fn popularity(cx: &Context<'_>) -> BTreeMap<(u32, String), usize> {
    let mut counts = BTreeMap::new();
    for analyzed in cx.workload {
        let analysis = &analyzed.analysis;
        let seen: BTreeSet<(u32, String)> = analysis
            .predicates
            .iter()
            .filter(|p| p.class == PredicateClass::Equality)
            .filter_map(|p| {
                Some((
                    analysis.relations.get(p.relation)?.table,
                    column_name(&p.target)?.to_owned(),
                ))
            })
            .collect();
        for key in seen {
            *counts.entry(key).or_insert(0) += 1;
        }
    }
    counts
}

fn column_name(target: &Target) -> Option<&str> {
    match target {
        Target::Column(name) => Some(name),
        Target::Expression(_) => None,
    }
}

/// What a statement does with one relation, sorted into roles.
struct Roles {
    equal: Vec<Term>,
    any_of: Vec<Term>,
    ranges: Vec<Key>,
    /// One set of keys for each arm of an OR.
    arms: BTreeMap<(usize, usize), (Vec<Term>, Vec<Key>)>,
    joined: Vec<Term>,
    /// Terms that one other relation is joined by together.
    composite: Vec<Vec<Term>>,
    order: Vec<Key>,
    group: Vec<Term>,
}

/// All candidates for one relation of one statement, narrow ones first. `terms` turns a target into what can
/// be indexed, or into nothing.
pub fn candidates(
    cx: &Context<'_>,
    analyzed: &Analyzed,
    relation: RelationId,
    popularity: &BTreeMap<(u32, String), usize>,
    terms: &dyn Fn(&Target) -> Vec<Term>,
) -> Vec<IndexDefinition> {
    let Some(table) = cx.snapshot.table(analyzed.analysis.relations[relation].table) else {
        return Vec::new();
    };
    let mut roles = roles(analyzed, relation, table, terms);
    let rank = |term: &Term| match term {
        Term::Column(name) => {
            let shared = popularity.get(&(table.oid, name.clone())).copied().unwrap_or(0);
            let distinct = table
                .column(name)
                .and_then(|c| c.distinct(table.rows.unwrap_or(1.0)))
                .unwrap_or(0.0);
            (std::cmp::Reverse(shared), std::cmp::Reverse(distinct as u64), name.clone())
        }
        Term::Expression(sql) => (std::cmp::Reverse(1), std::cmp::Reverse(0), sql.clone()),
    };
    for list in [&mut roles.equal, &mut roles.any_of, &mut roles.joined] {
        list.sort_by_cached_key(rank);
        list.dedup();
    }
    let mut found: Vec<Vec<Key>> = Vec::new();
    let mut add = |keys: Vec<Key>| {
        let keys = tidy(keys);
        if !keys.is_empty() && !found.contains(&keys) && found.len() < CANDIDATES_MAX {
            found.push(keys);
        }
    };
    let plain = |terms: &[Term]| {
        terms.iter().map(|t| Key::ordered(t.clone(), false, false)).collect::<Vec<_>>()
    };
    let join = |parts: &[&[Key]]| parts.concat();

    let fixed = plain(&roles.equal);
    let equal = join(&[&fixed, &plain(&roles.any_of)]);
    add(equal.clone());
    if !roles.order.is_empty() {
        add(join(&[&fixed, &roles.order]));
        add(roles.order.clone());
    }
    for range in &roles.ranges {
        add(join(&[&equal, std::slice::from_ref(range)]));
        add(vec![range.clone()]);
    }
    for joined in &roles.joined {
        let key = plain(std::slice::from_ref(joined));
        add(key.clone());
        add(join(&[&key, &equal]));
        add(join(&[&equal, &key]));
        for range in roles.ranges.iter().take(1) {
            add(join(&[&key, &equal, std::slice::from_ref(range)]));
        }
        if !roles.order.is_empty() {
            add(join(&[&key, &fixed, &roles.order]));
        }
    }
    for terms in &roles.composite {
        add(plain(terms));
    }
    for (equal, ranges) in roles.arms.values() {
        add(join(&[&plain(equal), &ranges[..ranges.len().min(1)]]));
    }
    for term in roles.equal.iter().chain(&roles.any_of) {
        add(plain(std::slice::from_ref(term)));
    }
    if !roles.group.is_empty() && roles.group.len() <= 3 {
        add(join(&[&fixed, &plain(&roles.group)]));
        // The server can aggregate from the index alone when it holds all that the statement reads.
        let range = &roles.ranges[..roles.ranges.len().min(1)];
        let whole = tidy(join(&[&equal, range, &plain(&roles.group)]));
        if holds_all(&analyzed.analysis.relations[relation], &whole) {
            add(whole);
        }
    }
    found.into_iter().map(|keys| IndexDefinition::btree(table, keys)).collect()
}

fn roles(
    analyzed: &Analyzed,
    relation: RelationId,
    table: &Table,
    terms: &dyn Fn(&Target) -> Vec<Term>,
) -> Roles {
    let analysis = &analyzed.analysis;
    let mut roles = Roles {
        equal: vec![],
        any_of: vec![],
        ranges: vec![],
        arms: BTreeMap::new(),
        joined: vec![],
        composite: vec![],
        order: vec![],
        group: vec![],
    };
    for predicate in analysis.predicates.iter().filter(|p| p.relation == relation) {
        let arm = predicate
            .alternative
            .map(|number| roles.arms.entry((number, predicate.arm)).or_default());
        let role = role(predicate);
        if matches!(role, Some(Role::Range)) {
            let ranges = arm.map_or(&mut roles.ranges, |(_, ranges)| ranges);
            for term in terms(&predicate.target) {
                let mut key = Key::ordered(term, false, false);
                key.opclass = pattern_class(predicate, &key.term, table);
                if !ranges.contains(&key) {
                    ranges.push(key);
                }
            }
            continue;
        }
        let list = match (role, arm) {
            (None | Some(Role::Range), _) => continue,
            (Some(_), Some((equal, _))) => equal,
            (Some(Role::Equal), None) => &mut roles.equal,
            (Some(Role::AnyOf), None) => &mut roles.any_of,
            (Some(Role::Joined), None) => &mut roles.joined,
        };
        for term in terms(&predicate.target) {
            if !list.contains(&term) {
                list.push(term);
            }
        }
    }
    for (left, right, pairs) in analysis.joins.all_edges() {
        if left == relation || right == relation {
            let mine: Vec<Term> =
                pairs.iter().flat_map(|pair| sides(pair, relation)).flat_map(terms).collect();
            if mine.len() > 1 {
                roles.composite.push(mine.clone());
            }
            roles.joined.extend(mine);
        }
    }
    let block = &analysis.blocks[analysis.relations[relation].block];
    if block.order_by.iter().all(|key| key.relation == relation) {
        for key in &block.order_by {
            let Some(term) = terms(&key.target).into_iter().next() else {
                roles.order.clear();
                break;
            };
            roles.order.push(Key::ordered(term, key.descending, key.nulls_first));
        }
    }
    roles.order = forward(std::mem::take(&mut roles.order));
    if block.group_by.iter().all(|(owner, _)| *owner == relation) {
        roles.group = block.group_by.iter().flat_map(|(_, target)| terms(target)).collect();
    }
    roles
}

/// Whether the keys hold every column of the relation that the statement reads.
fn holds_all(relation: &Relation, keys: &[Key]) -> bool {
    relation.read.as_ref().is_some_and(|read| {
        read.iter().all(|column| keys.iter().any(|key| key.as_column() == Some(column)))
    })
}

enum Role {
    Equal,
    AnyOf,
    Range,
    Joined,
}

fn role(predicate: &Predicate) -> Option<Role> {
    use PredicateClass as C;
    if matches!(predicate.operand, Operand::Column(..)) && predicate.class == C::Equality {
        return Some(Role::Joined);
    }
    match predicate.class {
        C::Equality | C::IsNull | C::Boolean => Some(Role::Equal),
        C::AnyOf => Some(Role::AnyOf),
        C::Range | C::Prefix => Some(Role::Range),
        _ => None,
    }
}

/// The operator class that a fixed start needs where the collation is not C: only then is the order of the index
/// that of the bytes (documentation, "Operator Classes and Operator Families").
fn pattern_class(predicate: &Predicate, term: &Term, table: &Table) -> Option<String> {
    let own = term.own_collation();
    if predicate.class != PredicateClass::Prefix || matches!(own.as_deref(), Some("C" | "POSIX")) {
        return None;
    }
    let class = |base: &str| match base {
        "bpchar" => "bpchar_pattern_ops",
        "varchar" => "varchar_pattern_ops",
        _ => "text_pattern_ops",
    };
    let (class, c_collation) = match term {
        Term::Column(name) => {
            let column = table.column(name)?;
            (class(&column.base_type), column.c_collation)
        }
        // A text made of columns has their collation.
        Term::Expression(sql) => {
            let parts =
                || table.columns.iter().filter(|c| sql.contains(&c.name) && c.collation.is_some());
            (class("text"), parts().next().is_some() && parts().all(|c| c.c_collation))
        }
    };
    (!c_collation).then(|| class.to_owned())
}

fn sides(pair: &JoinPair, relation: RelationId) -> Vec<&Target> {
    [&pair.left, &pair.right]
        .into_iter()
        .filter(|(owner, _)| *owner == relation)
        .map(|(_, target)| target)
        .collect()
}

/// Drops repeated terms and cuts to the widest allowed.
fn tidy(keys: Vec<Key>) -> Vec<Key> {
    let mut seen = BTreeSet::new();
    keys.into_iter().filter(|key| seen.insert(key.term.clone())).take(WIDTH_MAX).collect()
}

/// Turns an order that is descending throughout into the ascending one: a B-tree is read both ways, equality
/// keys before it have no direction, and so one index serves both spellings.
fn forward(mut keys: Vec<Key>) -> Vec<Key> {
    if keys.iter().all(|key| key.descending && key.nulls_first) {
        for key in &mut keys {
            key.descending = false;
            key.nulls_first = false;
        }
    }
    keys
}
