//! The order in which definitions can be run; no I/O.

use std::collections::{BTreeMap, BTreeSet};

use rules::blueprint::{Definition, DefinitionKind};

use super::statistics::listed;

/// An object of the database: the catalog that lists it, and its number there.
pub(super) type Id = (u32, u32);

/// One definition and what it waits for.
#[derive(Debug)]
pub(super) struct Node {
    /// What it makes or changes.
    pub(super) id: Id,
    /// 0 makes the object, a higher number changes it afterwards.
    pub(super) step: u32,
    /// The table that it is on: one of an extension's comes with the extension, and all on it.
    pub(super) table: Option<Id>,
    /// Objects that must be there, besides those that the catalog names.
    pub(super) needs: Vec<Id>,
    /// Steps that come first if they come at all.
    pub(super) after: Vec<(Id, u32)>,
    /// What it says.
    pub(super) definition: Definition,
}

impl Node {
    /// A definition that makes an object and waits for what the catalog says.
    pub(super) fn new(id: Id, definition: Definition) -> Self {
        Self { id, step: 0, table: None, needs: Vec::new(), after: Vec::new(), definition }
    }
}

/// What the catalogs say of how objects hang together.
#[derive(Debug, Default)]
pub(super) struct Web {
    /// What each object needs.
    pub(super) needs: BTreeMap<Id, BTreeSet<Id>>,
    /// The object that another is part of.
    pub(super) part_of: BTreeMap<Id, Id>,
    /// Members of extensions, with the extension.
    pub(super) members: BTreeMap<Id, Id>,
    /// Objects that no definition brings along, with their names.
    pub(super) left_out: BTreeMap<Id, String>,
}

/// Objects made by users have numbers from this on (`FirstNormalObjectId`, transam.h).
const FIRST_OF_USERS: u32 = 16_384;

impl Web {
    /// What an object is in the end part of; itself, where of nothing.
    pub(super) fn whole(&self, id: Id) -> Id {
        let mut id = id;
        // No chain is longer: a column's sequence, its table, the table's extension.
        for _ in 0..8 {
            match self.members.get(&id).or_else(|| self.part_of.get(&id)) {
                Some(whole) if *whole != id => id = *whole,
                _ => break,
            }
        }
        id
    }

    /// The definitions in order, each behind what it needs; among those that could come next, by kind and age.
    /// The planner walks children, indexes and extended statistics in order of their numbers, which are given out in
    /// turn, and of two plans that cost the same keeps the first (`find_inheritance_children`, pg_inherits.c;
    /// `RelationGetIndexList`, relcache.c; `add_path`, pathnode.c).
    /// Leaves out what needs something left out, and says so.
    pub(super) fn order(&self, nodes: Vec<Node>, notes: &mut Vec<String>) -> Vec<Definition> {
        let mut nodes = self.ours(nodes);
        let needed = self.needed(&nodes);
        self.drop_unbuildable(&mut nodes, &needed, notes);
        let waits = self.waits(&nodes, &needed);
        sort(nodes, waits, notes)
    }

    /// Without what comes with an extension or with another object.
    fn ours(&self, nodes: Vec<Node>) -> BTreeMap<Key, Node> {
        let member = |id: Id| self.members.contains_key(&id);
        let ours = nodes.into_iter().filter(|node| {
            let part = node.step == 0 && self.whole(node.id) != node.id;
            !member(node.id)
                && !part
                && !node.table.is_some_and(|table| member(self.whole(table)) || member(table))
        });
        ours.map(|node| ((node.id, node.step), node)).collect()
    }

    /// What each whole object needs, as whole objects.
    fn needed(&self, nodes: &BTreeMap<Key, Node>) -> BTreeMap<Key, BTreeSet<Id>> {
        let mut needed: BTreeMap<Key, BTreeSet<Id>> = BTreeMap::new();
        for (id, needs) in &self.needs {
            let whole = self.whole(*id);
            let needs = needs.iter().map(|need| self.whole(*need));
            needed.entry((whole, 0)).or_default().extend(needs.filter(|need| *need != whole));
        }
        for (key, node) in nodes {
            let needs = node.needs.iter().chain(&node.table).map(|need| self.whole(*need));
            needed.entry(*key).or_default().extend(needs.filter(|need| *need != node.id));
        }
        needed
    }

    /// Takes away what needs something that is not there, and what needs that.
    fn drop_unbuildable(
        &self,
        nodes: &mut BTreeMap<Key, Node>,
        needed: &BTreeMap<Key, BTreeSet<Id>>,
        notes: &mut Vec<String>,
    ) {
        let name = |id: Id| self.left_out.get(&id).filter(|_| !self.members.contains_key(&id));
        let roots: BTreeSet<&String> = self.left_out.keys().filter_map(|id| name(*id)).collect();
        let mut dropped: BTreeSet<String> = roots.into_iter().cloned().collect();
        loop {
            let missing = |need: &Id| need.1 >= FIRST_OF_USERS && !nodes.contains_key(&(*need, 0));
            let gone: Vec<Key> = nodes
                .iter()
                .filter(|((id, step), _)| {
                    let made = *step == 0 || nodes.contains_key(&(self.whole(*id), 0));
                    !made
                        || needed.get(&(*id, *step)).is_some_and(|needs| needs.iter().any(missing))
                })
                .map(|(key, _)| *key)
                .collect();
            if gone.is_empty() {
                break;
            }
            dropped.extend(
                gone.iter().filter_map(|key| nodes.remove(key)).map(|node| node.definition.name),
            );
        }
        if !dropped.is_empty() {
            let dropped: Vec<String> = dropped.into_iter().collect();
            notes.push(format!(
                "left out, with the statements that need them, because they rest on another server or on a library \
                 that is no extension's: {}",
                listed(&dropped)
            ));
        }
    }

    /// What each definition waits for.
    fn waits(
        &self,
        nodes: &BTreeMap<Key, Node>,
        needed: &BTreeMap<Key, BTreeSet<Id>>,
    ) -> BTreeMap<Key, BTreeSet<Key>> {
        let there = |key: &Key| nodes.contains_key(key);
        let of = |(key, node): (&Key, &Node)| {
            let needs = needed.get(key).into_iter().flatten().map(|id| (*id, 0));
            let own = (node.step > 0).then(|| (self.whole(node.id), 0));
            let all = needs.chain(node.after.iter().copied()).chain(own);
            (*key, all.filter(|wait| wait != key && there(wait)).collect())
        };
        nodes.iter().map(of).collect()
    }
}

type Key = (Id, u32);

/// Where a kind stands. Indexes of constraints stand among the others, by age.
fn place(kind: DefinitionKind) -> DefinitionKind {
    if kind == DefinitionKind::Constraint { DefinitionKind::Index } else { kind }
}

/// Kahn's algorithm over a sorted set of what is ready. In a circle the first by kind and age goes ahead.
fn sort(
    mut nodes: BTreeMap<Key, Node>,
    mut waits: BTreeMap<Key, BTreeSet<Key>>,
    notes: &mut Vec<String>,
) -> Vec<Definition> {
    let mut waited_for: BTreeMap<Key, Vec<Key>> = BTreeMap::new();
    for (key, wait) in &waits {
        for other in wait {
            waited_for.entry(*other).or_default().push(*key);
        }
    }
    let rank = |nodes: &BTreeMap<Key, Node>, (id, step): Key| {
        nodes.get(&(id, step)).map(|node| (place(node.definition.kind), id.1, step, id.0))
    };
    let mut ready: BTreeSet<_> = waits
        .iter()
        .filter(|(_, wait)| wait.is_empty())
        .filter_map(|(key, _)| rank(&nodes, *key))
        .collect();
    let mut sorted = Vec::with_capacity(nodes.len());
    while !nodes.is_empty() {
        let next = ready.pop_first().or_else(|| {
            let first = nodes.keys().filter_map(|key| rank(&nodes, *key)).min();
            let circular = first.and_then(|(_, oid, step, class)| nodes.get(&((class, oid), step)));
            notes.extend(circular.map(|node| {
                format!(
                    "{} needs something that needs it; it may fail to be made",
                    node.definition.name
                )
            }));
            first
        });
        let Some((_, oid, step, class)) = next else { break };
        let key = ((class, oid), step);
        sorted.extend(nodes.remove(&key).map(|node| node.definition));
        for freed in waited_for.remove(&key).unwrap_or_default() {
            let empty = waits.get_mut(&freed).is_some_and(|wait| {
                wait.remove(&key);
                wait.is_empty()
            });
            if empty {
                ready.extend(rank(&nodes, freed));
            }
        }
    }
    sorted
}

#[cfg(test)]
mod tests {
    use rules::blueprint::{Definition, DefinitionKind};

    use super::{Id, Node, Web};

    const TABLE: u32 = 1259;
    const FUNCTION: u32 = 1255;

    fn node(id: Id, kind: DefinitionKind, name: &str) -> Node {
        let definition = Definition { kind, name: name.to_owned(), sql: format!("CREATE {name}") };
        Node::new(id, definition)
    }

    fn names(definitions: &[Definition]) -> Vec<&str> {
        definitions.iter().map(|definition| definition.name.as_str()).collect()
    }

    #[test]
    fn each_comes_behind_what_it_needs_and_else_by_kind_and_age() {
        let (view, table, other, function) =
            ((TABLE, 20_003), (TABLE, 20_002), (TABLE, 20_001), (FUNCTION, 20_004));
        let nodes = vec![
            node(view, DefinitionKind::View, "v"),
            node(table, DefinitionKind::Table, "b"),
            node(other, DefinitionKind::Table, "a"),
            node(function, DefinitionKind::Function, "f"),
        ];
        // The function takes a row of table b.
        let web = Web {
            needs: [(function, [table].into()), (view, [function, other].into())].into(),
            ..Web::default()
        };
        let mut notes = Vec::new();
        assert_eq!(names(&web.order(nodes, &mut notes)), ["a", "b", "f", "v"]);
        assert!(notes.is_empty(), "{notes:?}");
    }

    #[test]
    fn what_rests_on_something_left_out_is_left_out_and_named() {
        let (foreign, view, above) = ((TABLE, 20_001), (TABLE, 20_002), (TABLE, 20_003));
        let nodes =
            vec![node(view, DefinitionKind::View, "v"), node(above, DefinitionKind::View, "w")];
        let web = Web {
            needs: [(view, [foreign].into()), (above, [view].into())].into(),
            left_out: [(foreign, "foreign table f".to_owned())].into(),
            ..Web::default()
        };
        let mut notes = Vec::new();
        assert!(web.order(nodes, &mut notes).is_empty());
        assert!(notes[0].ends_with(": foreign table f, v, w"), "{notes:?}");
    }

    #[test]
    fn a_circle_is_broken_and_named() {
        let (one, two) = ((FUNCTION, 20_001), (FUNCTION, 20_002));
        let nodes = vec![
            node(one, DefinitionKind::Function, "a"),
            node(two, DefinitionKind::Function, "b"),
        ];
        let web =
            Web { needs: [(one, [two].into()), (two, [one].into())].into(), ..Web::default() };
        let mut notes = Vec::new();
        assert_eq!(names(&web.order(nodes, &mut notes)), ["a", "b"]);
        assert!(notes[0].starts_with("a needs"), "{notes:?}");
    }

    #[test]
    fn members_of_extensions_come_with_them() {
        let (extension, member, index, user) =
            ((3079, 20_000), (TABLE, 20_001), (TABLE, 20_002), (TABLE, 20_003));
        let mut on_member = node(index, DefinitionKind::Index, "i");
        on_member.table = Some(member);
        let nodes = vec![
            node(user, DefinitionKind::Table, "mine"),
            node(member, DefinitionKind::Table, "theirs"),
            on_member,
            node(extension, DefinitionKind::Extension, "e"),
        ];
        let web = Web {
            needs: [(user, [member].into())].into(),
            members: [(member, extension)].into(),
            ..Web::default()
        };
        assert_eq!(names(&web.order(nodes, &mut Vec::new())), ["e", "mine"]);
    }
}
