//! The first look: which values there are.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};

use super::ColumnKey;
use super::class::{Class, Sorting};
use super::line::{self, Line, Point, WHOLE_MAX};
use super::pattern::{self, Pattern};
use super::visit::{Site, Visitor};
use super::{scalar, schema};
use crate::snapshot::Snapshot;

/// Ages in hours that keep their place: values stay within the same two of them, so that `now() - interval '7 days'`
/// lets as many pass as before.
const AGES: [i64; 20] = [
    1, 6, 24, 48, 72, 168, 336, 720, 1_440, 2_160, 4_320, 8_760, 17_520, 26_280, 43_824, 87_648,
    175_320, 438_288, 876_576, 1_753_152,
];

/// The first and the last day of four-digit years, which stand for "always" and "never", and the ends of all time.
const DAYS: [i128; 4] = [-2_000_000, 1, 3_652_059, 95_000_000];

/// Values on a line: all of them, and those of each column.
#[derive(Clone, Debug, Default)]
pub(super) struct Points {
    pub(super) all: BTreeSet<Point>,
    pub(super) columns: BTreeMap<ColumnKey, BTreeSet<Point>>,
    /// Those that stay where they are.
    pub(super) fixed: BTreeSet<Point>,
    /// Literals, with the column that they are compared with.
    literals: BTreeSet<(Point, Option<ColumnKey>)>,
}

impl Points {
    fn add(&mut self, point: Point, site: Site) {
        if site.literal {
            self.literals.insert((point, site.column.cloned()));
            return;
        }
        self.all.insert(point);
        if let Some(column) = site.column {
            self.columns.entry(column.clone()).or_default().insert(point);
        }
    }
}

impl Points {
    /// The replacements. A literal that has no place of its own between two values of its column gets one among all.
    pub(super) fn line(&self) -> Line {
        let mut all = self.all.clone();
        for (point, column) in &self.literals {
            let values = column.as_ref().and_then(|column| self.columns.get(column));
            if line::neighbours(*point, values, &self.fixed).is_none() {
                all.insert(*point);
            }
        }
        Line::new(&all, &self.fixed)
    }
}

/// Keys of the documents of a column.
#[derive(Clone, Debug, Default)]
struct Keys {
    documents: usize,
    counts: BTreeMap<String, usize>,
}

/// The values of a snapshot.
#[derive(Clone, Debug, Default)]
pub(super) struct Collected {
    pub(super) texts: BTreeMap<Sorting, BTreeSet<String>>,
    /// Operators with patterns.
    pub(super) patterns: BTreeMap<Sorting, BTreeSet<(String, String)>>,
    pub(super) numbers: Points,
    pub(super) times: Points,
    pub(super) uuids: BTreeSet<String>,
    pub(super) bytes: BTreeSet<String>,
    pub(super) networks: BTreeSet<String>,
    /// Words of the statistics.
    pub(super) lexemes: BTreeSet<String>,
    /// Constants of the schema.
    pub(super) pinned: BTreeSet<String>,
    keys: BTreeMap<Option<ColumnKey>, Keys>,
}

impl Collected {
    /// Nothing yet but what stays.
    pub(super) fn new(snapshot: &Snapshot) -> Self {
        let mut collected = Self::default();
        for constant in schema::pinned(snapshot) {
            collected.numbers.fixed.extend(scalar::number(&constant.value));
            if constant.quoted {
                collected.times.fixed.extend(scalar::time(&constant.value).map(|(point, _)| point));
                collected.pinned.insert(constant.value);
            }
        }
        let ends = [i128::from(i16::MAX), i128::from(i32::MAX), i128::from(i64::MAX), WHOLE_MAX];
        let both = ends.into_iter().flat_map(|end| [Point::whole(end), Point::whole(-end - 1)]);
        collected.numbers.fixed.extend(both.chain([Point::whole(0)]));
        collected.times.fixed.extend(ages(snapshot.server.taken_at));
        collected
    }

    /// Keys that are structure: what the schema names, and what many documents of a column have.
    pub(super) fn structure(&self) -> BTreeSet<String> {
        let common = self.keys.values().flat_map(|keys| {
            let documents = keys.documents;
            let many = move |count: usize| count >= 2 && count * 20 >= documents;
            keys.counts.iter().filter(move |(_, count)| many(**count)).map(|(key, _)| key.clone())
        });
        common.chain(self.pinned.iter().cloned()).collect()
    }
}

fn ages(now: DateTime<Utc>) -> impl Iterator<Item = Point> {
    let aged = move |hours: i64| {
        let span = chrono::TimeDelta::hours(hours);
        [now.checked_sub_signed(span), now.checked_add_signed(span)].into_iter().flatten()
    };
    let round = AGES.into_iter().flat_map(aged).chain([now]).map(scalar::instant);
    round.chain(DAYS.map(Point::whole))
}

/// How the words of documents sort: by their bytes.
pub(super) fn words() -> Sorting {
    Sorting { collation: Some("C".to_owned()), ..Sorting::default() }
}

/// The words in a search or a document.
pub(super) fn split_words(text: &str) -> impl Iterator<Item = (&str, bool)> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let first = rest.chars().next()?;
        let word = first.is_alphanumeric();
        let end = rest.find(|c: char| c.is_alphanumeric() != word).unwrap_or(rest.len());
        let (part, behind) = rest.split_at(end);
        rest = behind;
        Some((part, word))
    })
}

/// The class of a scalar that is known by its looks only.
pub(super) fn looks(text: &str) -> Class {
    if matches!(text, "" | "true" | "false" | "null" | "t" | "f") {
        Class::Kept
    } else if scalar::number(text).is_some() {
        Class::Number
    } else if scalar::time(text).is_some() {
        Class::Time
    } else if super::ranked::uuid(text).is_some() {
        Class::Uuid
    } else {
        Class::text()
    }
}

impl Visitor for Collected {
    fn scalar(&mut self, class: &Class, site: Site, text: &str) -> Option<String> {
        match class {
            Class::Looks => return self.scalar(&looks(text), site, text),
            Class::Number => self.numbers.add(scalar::number(text)?, site),
            Class::Time => self.times.add(scalar::time(text)?.0, site),
            Class::Text(sorting) => {
                let texts = self.texts.entry(sorting.clone()).or_default();
                texts.insert(text.to_owned());
            }
            Class::Padded(sorting) => {
                let texts = self.texts.entry(sorting.clone()).or_default();
                texts.insert(text.trim_end_matches(' ').to_owned());
            }
            Class::Lexemes => {
                self.lexemes.insert(text.to_owned());
                self.texts.entry(words()).or_default().insert(text.to_owned());
            }
            Class::Uuid => {
                self.uuids.insert(text.to_owned());
            }
            Class::Bytes => {
                self.bytes.insert(text.to_owned());
            }
            Class::Network => {
                self.networks.insert(text.to_owned());
            }
            Class::Kept | Class::Json | Class::Array(_) | Class::Range(_) => {}
        }
        Some(text.to_owned())
    }

    fn pattern(&mut self, sorting: &Sorting, operator: &str, text: &str) -> Option<String> {
        let texts = self.texts.entry(sorting.clone()).or_default();
        if let Some(
            Pattern::Equal(beginning) | Pattern::Begins(beginning) | Pattern::Matches(beginning),
        ) = pattern::read(operator, text)
        {
            texts.insert(beginning);
        }
        let pattern = (operator.to_owned(), text.to_owned());
        self.patterns.entry(sorting.clone()).or_default().insert(pattern);
        Some(text.to_owned())
    }

    fn key(&mut self, site: Site, key: &str) -> Option<String> {
        if !site.literal {
            let keys = self.keys.entry(site.column.cloned()).or_default();
            *keys.counts.entry(key.to_owned()).or_default() += 1;
        }
        self.texts.entry(Sorting::default()).or_default().insert(key.to_owned());
        Some(key.to_owned())
    }

    fn words(&mut self, text: &str) -> Option<String> {
        let words =
            split_words(text).filter(|(_, word)| *word).map(|(word, _)| word.to_lowercase());
        self.texts.entry(self::words()).or_default().extend(words);
        Some(text.to_owned())
    }

    fn document(&mut self, site: Site) {
        if !site.literal {
            self.keys.entry(site.column.cloned()).or_default().documents += 1;
        }
    }
}
