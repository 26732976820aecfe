//! What comes next for an index of a partitioned table: what the catalog shows -> one step.
//!
//! Nothing is remembered but the names; the catalog tells how far it is. A partition that was added meanwhile gets its
//! index, that of one which was detached is dropped, and whatever cannot go on is told, so that the rest can be taken
//! away.

use super::parts::{Branch, Part};
use crate::change_plan::TableRef;
use crate::protocol::Found;

/// How an index of the whole stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stands {
    /// It is not there.
    Absent,
    /// It is there, as planned, and cannot be used: half made or half dropped; of what is partitioned, not everything
    /// below is attached.
    Unusable,
    /// It is there, as planned, and usable.
    Usable,
    /// Something else has its name, or somebody else has a use for it by now: what.
    Other(String),
}

/// What a look at the catalog shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sight {
    /// The table, under the name that it has now; `None` where it is gone.
    pub table: Option<TableRef>,
    /// The index of the table itself.
    pub whole: Stands,
    /// The partitions as they are now, parents before their children.
    pub branches: Vec<Branch>,
    /// What is recorded as ours, each with what is there of it.
    pub parts: Vec<(Part, Stands)>,
    /// Why the whole must not be dropped, if there is a reason.
    pub busy: Option<String>,
}

/// The next step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// Record what is to be made on these partitions, which came meanwhile.
    Record(Vec<Branch>),
    /// Build the index of a leaf.
    Build(Part),
    /// Drop the index of a leaf, which nothing is attached to.
    Drop(Part),
    /// Make the whole and attach everything, these parts, in one transaction.
    Attach(Vec<Part>),
    /// Drop the whole with all that is attached.
    DropWhole,
    /// Drop the index of a partition that is partitioned itself and was detached.
    DropDetached(Part),
    /// Everything is as it should be.
    Done,
    /// It cannot go on: why.
    Stuck(String),
}

impl Sight {
    fn is_in_tree(&self, part: &Part) -> bool {
        self.branches.iter().any(|branch| branch.table.oid == part.table.oid)
    }

    /// The next step of making it.
    pub fn forward(&self) -> Next {
        match (&self.table, &self.whole) {
            (None, _) => return Next::Stuck("the table is gone".to_owned()),
            (_, Stands::Usable) => return Next::Done,
            (_, Stands::Unusable) => {
                return Next::Stuck("the index of the whole is there, but not valid".to_owned());
            }
            (_, Stands::Other(what)) => return Next::Stuck(what.clone()),
            (_, Stands::Absent) => {}
        }
        for (part, stands) in &self.parts {
            let there = matches!(stands, Stands::Unusable | Stands::Usable);
            let stays = self.is_in_tree(part);
            match stands {
                Stands::Other(what) if stays => return Next::Stuck(what.clone()),
                _ if there && part.partitioned => {
                    return Next::Stuck(format!("{} is there before its time", part.full()));
                }
                Stands::Unusable => return Next::Drop(part.clone()),
                Stands::Usable if !stays => return Next::Drop(part.clone()),
                Stands::Absent if stays && !part.partitioned => return Next::Build(part.clone()),
                _ => {}
            }
        }
        let known = |branch: &&Branch| {
            self.parts.iter().any(|(part, _)| part.table.oid == branch.table.oid)
        };
        let new: Vec<Branch> =
            self.branches.iter().filter(|branch| !known(branch)).cloned().collect();
        if !new.is_empty() {
            return Next::Record(new);
        }
        // In the order of the tree: one that came later may stand above one that was there.
        let part = |branch: &Branch| {
            let mut parts = self.parts.iter().map(|(part, _)| part);
            let part = parts.find(|part| part.table.oid == branch.table.oid)?;
            Some(Part { above: branch.above, ..part.clone() })
        };
        Next::Attach(self.branches.iter().filter_map(part).collect())
    }

    /// The next step of taking it away, whole or not.
    pub fn backward(&self) -> Next {
        if matches!(self.whole, Stands::Unusable | Stands::Usable) {
            return match &self.busy {
                Some(reason) => Next::Stuck(reason.clone()),
                None => Next::DropWhole,
            };
        }
        match self.ours().find(|part| part.partitioned) {
            Some(part) => Next::DropDetached(part.clone()),
            None => self.ours().next().map_or(Next::Done, |part| Next::Drop(part.clone())),
        }
    }

    /// The parts that are there and ours.
    fn ours(&self) -> impl Iterator<Item = &Part> {
        let there =
            |(_, stands): &&(Part, Stands)| matches!(stands, Stands::Unusable | Stands::Usable);
        self.parts.iter().filter(there).map(|(part, _)| part)
    }

    /// What the protocol is told; `back` where it is about taking it away.
    pub fn found(&self, back: bool) -> Found {
        let others = self.parts.iter().find_map(|(_, stands)| match stands {
            Stands::Other(what) => Some(what.clone()),
            _ => None,
        });
        match (&self.whole, &self.busy) {
            (Stands::Usable | Stands::Unusable, Some(reason)) if back => {
                Found::Busy(reason.clone())
            }
            (Stands::Usable, _) => Found::Whole { complete: true },
            (Stands::Unusable, _) => Found::Half,
            _ if self.ours().next().is_some() => Found::Parts,
            (Stands::Other(what), _) => Found::Other(what.clone()),
            (Stands::Absent, _) => match (others, &self.table) {
                (Some(what), _) => Found::Other(what),
                (None, Some(_)) => Found::Absent,
                (None, None) => Found::TableGone,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Next, Sight, Stands};
    use crate::change_plan::TableRef;
    use crate::index::{IndexDefinition, Key};
    use crate::partitions::parts::{Branch, Part};
    use crate::protocol::Found;

    const ROOT: u32 = 1;

    fn reference(oid: u32) -> TableRef {
        TableRef { oid, schema: "s".into(), name: format!("t{oid}") }
    }

    fn definition() -> IndexDefinition {
        IndexDefinition {
            schema: "s".into(),
            table: "t1".into(),
            method: "btree".into(),
            keys: vec![Key::column("a")],
            include: vec![],
            predicate: None,
        }
    }

    fn part(branch: &Branch) -> Part {
        Part::of("00", &definition(), branch)
    }

    /// The tables 2 to n + 1; every third one is partitioned and has those after it below itself.
    fn branches(n: u32) -> Vec<Branch> {
        let mut above = ROOT;
        let one = |oid: u32| {
            let branch =
                Branch { table: reference(oid), above, partitioned: oid.is_multiple_of(3) };
            if branch.partitioned {
                above = oid;
            }
            branch
        };
        (2..n + 2).map(one).collect()
    }

    /// A server that does what it is told, or fails half-way, in which others add and detach partitions.
    struct World {
        sight: Sight,
        next_oid: u32,
    }

    impl World {
        fn new(n: u32) -> Self {
            let branches = branches(n);
            let parts = branches.iter().map(|branch| (part(branch), Stands::Absent)).collect();
            let table = Some(reference(ROOT));
            let sight = Sight { table, whole: Stands::Absent, branches, parts, busy: None };
            Self { sight, next_oid: n + 2 }
        }

        fn set(&mut self, name: &str, stands: &Stands) {
            for (part, now) in &mut self.sight.parts {
                if part.name == name {
                    now.clone_from(stands);
                }
            }
        }

        /// What others do.
        fn meddle(&mut self, luck: u8) {
            match luck % 8 {
                0 if self.next_oid < 12 => {
                    let (table, partitioned) = (reference(self.next_oid), false);
                    self.sight.branches.push(Branch { table, above: ROOT, partitioned });
                    self.next_oid += 1;
                }
                1 => {
                    let leaf = self.sight.branches.iter().position(|branch| !branch.partitioned);
                    if let Some(leaf) = leaf.filter(|_| self.sight.branches.len() > 1) {
                        self.sight.branches.remove(leaf);
                    }
                }
                _ => {}
            }
        }

        fn does(&mut self, next: &Next, luck: u8) {
            let fails = luck.is_multiple_of(3);
            match next {
                Next::Record(new) => {
                    self.sight.parts.extend(new.iter().map(|b| (part(b), Stands::Absent)));
                }
                Next::Build(part) => {
                    let now = if fails { Stands::Unusable } else { Stands::Usable };
                    self.set(&part.name, &now);
                }
                Next::Drop(part) | Next::DropDetached(part) => {
                    let now = if fails { Stands::Unusable } else { Stands::Absent };
                    self.set(&part.name, &now);
                }
                Next::Attach(parts) if !fails => {
                    self.sight.whole = Stands::Usable;
                    for part in parts {
                        self.set(&part.name, &Stands::Usable);
                    }
                }
                Next::DropWhole if !fails => {
                    self.sight.whole = Stands::Absent;
                    let gone: Vec<String> = self
                        .sight
                        .parts
                        .iter()
                        .filter(|(part, _)| self.sight.is_in_tree(part))
                        .map(|(part, _)| part.name.clone())
                        .collect();
                    for name in &gone {
                        self.set(name, &Stands::Absent);
                    }
                }
                _ => {}
            }
        }
    }

    proptest! {
        #[test]
        fn it_gets_there_and_back_whatever_others_do(
            n in 1_u32..8, luck in prop::collection::vec(any::<u8>(), 0..60), stop in 0_usize..40
        ) {
            let mut world = World::new(n);
            let mut luck = luck.into_iter();
            let mut stopped = false;
            for step in 0..200 {
                stopped = step == stop;
                let next = world.sight.forward();
                prop_assert!(!matches!(next, Next::Stuck(_)), "{next:?}");
                if let Next::Attach(parts) = &next {
                    // Nothing that is attached is missing or half made, and nothing of the tree is left out.
                    prop_assert_eq!(parts.len(), world.sight.branches.len());
                    for part in parts.iter().filter(|part| !part.partitioned) {
                        let stands = world.sight.parts.iter().find(|(one, _)| one.name == part.name);
                        prop_assert_eq!(&stands.unwrap().1, &Stands::Usable);
                    }
                }
                if next == Next::Done || stopped {
                    break;
                }
                let now = luck.next().unwrap_or(7);
                world.does(&next, now);
                if world.sight.whole == Stands::Absent {
                    world.meddle(luck.next().unwrap_or(7));
                }
            }
            let whole = world.sight.whole == Stands::Usable;
            prop_assert!(whole || stopped);
            prop_assert_eq!(world.sight.found(false) == Found::Whole { complete: true }, whole);
            for _ in 0..200 {
                let next = world.sight.backward();
                if next == Next::Done {
                    break;
                }
                world.does(&next, luck.next().unwrap_or(7));
            }
            prop_assert_eq!(world.sight.found(true), Found::Absent);
            prop_assert!(world.sight.parts.iter().all(|(_, stands)| *stands == Stands::Absent));
        }
    }

    #[test]
    fn what_is_somebody_elses_is_not_touched() {
        let mut world = World::new(2);
        world.sight.parts[0].1 = Stands::Other("another".into());
        assert_eq!(world.sight.forward(), Next::Stuck("another".into()));
        assert_eq!(world.sight.found(true), Found::Other("another".into()));
        world.sight.parts[1].1 = Stands::Usable;
        assert_eq!(world.sight.found(true), Found::Parts);
        world.sight.whole = Stands::Usable;
        world.sight.busy = Some("a stranger is attached".into());
        assert_eq!(world.sight.found(false), Found::Whole { complete: true });
        assert_eq!(world.sight.found(true), Found::Busy("a stranger is attached".into()));
        assert_eq!(world.sight.backward(), Next::Stuck("a stranger is attached".into()));
    }

    #[test]
    fn a_table_that_is_gone_took_everything_along() {
        let mut world = World::new(3);
        world.sight.table = None;
        world.sight.branches.clear();
        assert_eq!(world.sight.found(true), Found::TableGone);
        assert_eq!(world.sight.backward(), Next::Done);
        assert!(matches!(world.sight.forward(), Next::Stuck(_)));
    }
}
