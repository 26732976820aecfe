//! Replacements of numbers and points in time: they stand in the same order, and whole ones stay whole.
//!
//! Some points are fixed: where the ranges of integer types end, round ages, constants of the schema. What lies
//! between two of them is spread evenly, so that a replacement tells how many other values are below, and nothing
//! of the value itself. A literal that is no value of the statistics keeps its relative place between the two values
//! of its column around it, because that is what the planner interpolates.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

/// A place on a line: whole units (numbers: one; time: a day) and a part of one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Point {
    /// Whole units, rounded down.
    pub(super) whole: i128,
    /// The rest, in [`PARTS`] of a unit.
    pub(super) part: u64,
}

/// Parts of a unit.
pub(super) const PARTS: u64 = 1_000_000_000_000_000_000;

/// Beyond this a number is taken for it.
pub(super) const WHOLE_MAX: i128 = 1_000_000_000_000_000_000_000_000_000_000;

impl Point {
    /// A whole number of units.
    pub(super) fn whole(whole: i128) -> Self {
        Self { whole: whole.clamp(-WHOLE_MAX, WHOLE_MAX), part: 0 }
    }

    /// How many units it is above zero.
    pub(super) fn units(self) -> f64 {
        Self::default().distance(self)
    }

    fn distance(self, to: Self) -> f64 {
        (to.whole - self.whole) as f64 + (to.part as f64 - self.part as f64) / PARTS as f64
    }

    /// The point a distance further up; a fraction of the way where the distance is short of a part.
    fn plus(self, distance: f64) -> Self {
        let whole = distance.floor();
        let part = self.part as f64 + (distance - whole) * PARTS as f64;
        let carried = part >= PARTS as f64;
        let part = if carried { part - PARTS as f64 } else { part };
        let whole = self.whole + whole as i128 + i128::from(carried);
        Self { whole, part: (part as u64).min(PARTS - 1) }
    }
}

/// The replacements of the points on one line.
#[derive(Clone, Debug, Default)]
pub(super) struct Line {
    replacements: BTreeMap<Point, Point>,
    fixed: BTreeSet<Point>,
}

impl Line {
    /// Replacements for points; those in `fixed` stay where they are.
    pub(super) fn new(points: &BTreeSet<Point>, fixed: &BTreeSet<Point>) -> Self {
        let mut replacements: BTreeMap<Point, Point> =
            fixed.iter().map(|point| (*point, *point)).collect();
        let edges: Vec<Point> = fixed.iter().copied().collect();
        for pair in edges.windows(2) {
            let (low, high) = (pair[0], pair[1]);
            let inside: Vec<Point> =
                points.range(low..high).copied().filter(|point| *point != low).collect();
            spread(&inside, low, high, points, &mut replacements);
        }
        Self { replacements, fixed: fixed.clone() }
    }

    /// The replacement of a point: its own, or for a literal one between those of its neighbours among `column`,
    /// the values of the column that it is compared with.
    pub(super) fn replacement(
        &self,
        point: Point,
        column: Option<&BTreeSet<Point>>,
    ) -> Option<Point> {
        let Some((low, high)) = neighbours(point, column, &self.fixed) else {
            return self.replacements.get(&point).copied();
        };
        let (from, to) = (*self.replacements.get(&low)?, *self.replacements.get(&high)?);
        let place = rounded(low.distance(point) / low.distance(high));
        let moved = from.plus(place * from.distance(to)).clamp(from, to);
        // A whole one among whole ones stays whole: its type may have no others.
        let whole = point.part == 0 && low.part == 0 && high.part == 0;
        Some(if whole { Point::whole(moved.whole.max(from.whole)) } else { moved })
    }
}

/// The values of a column on both sides of a literal, where its place between them may be told: with a fixed point
/// between them it would be on the wrong side, and between two fixed ones it would be known.
pub(super) fn neighbours(
    point: Point,
    column: Option<&BTreeSet<Point>>,
    fixed: &BTreeSet<Point>,
) -> Option<(Point, Point)> {
    let values = column.filter(|values| !values.contains(&point) && !fixed.contains(&point))?;
    let low = *values.range(..point).next_back()?;
    let high = *values.range(point..).next()?;
    let between = (Bound::Excluded(low), Bound::Excluded(high));
    let known = fixed.contains(&low) && fixed.contains(&high);
    (!known && fixed.range(between).next().is_none()).then_some((low, high))
}

/// A fraction to eight binary digits of its distance from the nearer end: enough to plan with, too little to
/// reckon a value back.
fn rounded(fraction: f64) -> f64 {
    let nearer = fraction.min(1.0 - fraction);
    if nearer <= 0.0 {
        return fraction.clamp(0.0, 1.0);
    }
    let scale = 2_f64.powi(7 - nearer.log2().floor() as i32);
    let nearer = (nearer * scale).floor() / scale;
    if fraction <= 0.5 { nearer } else { 1.0 - nearer }
}

/// Spreads points evenly between two that are fixed.
fn spread(
    inside: &[Point],
    low: Point,
    high: Point,
    originals: &BTreeSet<Point>,
    replacements: &mut BTreeMap<Point, Point>,
) {
    let first = low.whole + 1;
    let last = if high.part > 0 { high.whole } else { high.whole - 1 };
    let room = (last - first + 1).max(0);
    let count = inside.len() as i128;
    if count <= room {
        let place = |rank: i128| (2 * rank + 1) * room;
        for (rank, point) in (0..).zip(inside) {
            let mut whole = first + place(rank) / (2 * count);
            let next = first + place(rank + 1) / (2 * count);
            // What was somebody's value is nobody's replacement, as far as there is room.
            while whole + 1 < next && originals.contains(&Point::whole(whole)) {
                whole += 1;
            }
            let rest = (place(rank) % (2 * count)) as f64 / (2 * count) as f64;
            // Two digits tell enough: no other point has this whole part.
            let hundredths = ((rest + 0.25).min(0.95) * 100.0) as u64;
            let part = if point.part == 0 { 0 } else { hundredths * (PARTS / 100) };
            replacements.insert(*point, Point { whole, part });
        }
        return;
    }
    // More points than whole units: the whole ones first, the others between them.
    let whole: Vec<Point> = inside.iter().copied().filter(|point| point.part == 0).collect();
    let wholes = whole.len() as i128;
    for (rank, point) in (0..).zip(&whole) {
        let to = first + (2 * rank + 1) * room / (2 * wholes);
        replacements.insert(*point, Point::whole(to));
    }
    let mut edges = vec![low];
    edges.extend(whole);
    edges.push(high);
    for pair in edges.windows(2) {
        let first = inside.partition_point(|point| *point <= pair[0]);
        let behind = inside.partition_point(|point| *point < pair[1]);
        let between = inside.get(first..behind).unwrap_or_default();
        let (Some(from), Some(to)) = (replacements.get(&pair[0]), replacements.get(&pair[1]))
        else {
            continue;
        };
        let (from, step) = (*from, from.distance(*to) / (between.len() + 1) as f64);
        for (rank, point) in (1..).zip(between) {
            replacements.insert(*point, from.plus(step * f64::from(rank)));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::{Line, PARTS, Point, rounded};

    fn fixed() -> BTreeSet<Point> {
        [-1_000_000, -32_768, 0, 32_767, 1_000_000].map(Point::whole).into()
    }

    #[test]
    fn a_literal_keeps_its_place_within_its_columns_values() {
        let column: BTreeSet<Point> = [100, 1100, 20_100].map(Point::whole).into();
        let mut all = column.clone();
        all.extend((1..90).map(Point::whole));
        all.extend((300..900).map(Point::whole));
        let line = Line::new(&all, &fixed());
        let at = |value| line.replacement(Point::whole(value), Some(&column)).unwrap().whole;
        let share = |value| (at(value) - at(100)) as f64 / (at(1100) - at(100)) as f64;
        for (value, expected) in [(110, 0.01), (350, 0.25), (600, 0.5), (850, 0.75)] {
            assert!((share(value) - expected).abs() < 0.01, "{value}: {}", share(value));
        }
        // Without the column it has no place that may be told.
        assert_eq!(line.replacement(Point::whole(200), None), None);
    }

    #[test]
    fn fixed_points_stay_and_keep_their_sides() {
        let all: BTreeSet<Point> = [-5, 3, 8, 99_000].map(Point::whole).into();
        let mut pins = fixed();
        pins.insert(Point::whole(7));
        let line = Line::new(&all, &pins);
        let at = |value| line.replacement(Point::whole(value), Some(&all)).unwrap().whole;
        assert_eq!((at(0), at(7), at(32_767)), (0, 7, 32_767));
        assert!(at(-5) < 0 && at(3) > 0 && at(3) < 7 && at(8) > 7 && at(99_000) > 32_767);
        let none = line.replacement(Point::whole(5), Some(&all));
        assert_eq!(none, None, "a fixed point stands between its neighbours");
    }

    #[test]
    fn fractions_are_rounded_from_both_ends() {
        for fraction in [1e-6, 0.003, 0.4, 0.5, 0.7, 0.999_99] {
            let found = rounded(fraction);
            let nearer = fraction.min(1.0 - fraction);
            assert!((found - fraction).abs() <= nearer / 128.0, "{fraction} {found}");
        }
        assert!((rounded(0.0), rounded(1.0)) == (0.0, 1.0));
    }

    proptest! {
        #[test]
        fn order_wholeness_and_bounds_are_kept(
            values in prop::collection::btree_set((-40_000_i64..40_000, prop::bool::ANY), 1..200)
        ) {
            let points: BTreeSet<Point> = values
                .iter()
                .map(|(whole, odd)| Point { whole: i128::from(*whole), part: if *odd { PARTS / 3 } else { 0 } })
                .collect();
            let line = Line::new(&points, &fixed());
            let moved: Vec<(Point, Point)> =
                points.iter().map(|p| (*p, line.replacement(*p, None).unwrap())).collect();
            for pair in moved.windows(2) {
                prop_assert!(pair[0].1 < pair[1].1, "{pair:?}");
            }
            for (from, to) in moved {
                prop_assert_eq!(from.part == 0, to.part == 0);
                prop_assert_eq!(from.whole < 0, to.whole < 0);
                let end = Point::whole(32_767);
                prop_assert_eq!(from > end, to > end);
            }
        }

        #[test]
        fn dense_fractions_keep_their_order(values in prop::collection::btree_set(0_u64..PARTS, 50..300)) {
            let points: BTreeSet<Point> =
                values.iter().map(|part| Point { whole: 3, part: *part }).collect();
            let line = Line::new(&points, &[3, 4].map(Point::whole).into());
            let moved: Vec<Point> = points.iter().map(|p| line.replacement(*p, None).unwrap()).collect();
            prop_assert!(moved.is_sorted_by(|one, other| one < other));
        }
    }
}
