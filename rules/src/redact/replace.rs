//! The second look: every value is replaced.

use std::collections::{BTreeMap, BTreeSet};

use super::class::{Class, Sorting};
use super::collect::{Collected, looks, split_words, words};
use super::line::Line;
use super::pattern::{self, Pattern};
use super::ranked::Ranked;
use super::scalar;
use super::text::{Texts, mark};
use super::visit::{Site, Visitor};
use super::{ColumnKey, Order};

/// Columns that a note spells out; the rest is a number.
const NAMED_MAX: usize = 5;

/// The shortest word that counts as another's stem, and how many letters longer that one may be.
const STEM_MIN: usize = 3;
const ENDING_MAX: usize = 4;

/// Replaces values.
pub(super) struct Replacer {
    texts: BTreeMap<Sorting, Texts>,
    patterns: BTreeMap<Sorting, BTreeMap<(String, String), usize>>,
    numbers: Line,
    times: Line,
    number_columns: BTreeMap<ColumnKey, BTreeSet<super::line::Point>>,
    time_columns: BTreeMap<ColumnKey, BTreeSet<super::line::Point>>,
    uuids: Ranked,
    bytes: Ranked,
    networks: Ranked,
    lexemes: BTreeSet<String>,
    pinned: BTreeSet<String>,
    structure: BTreeSet<String>,
    left_out: BTreeSet<String>,
    forgotten: usize,
}

impl Replacer {
    /// Makes the replacements. `places` are those of each sorting's texts in the server's order.
    pub(super) fn new(collected: Collected, sortings: &[Sorting], places: &[Vec<u32>]) -> Self {
        let structure = collected.structure();
        let Collected { texts, patterns, numbers, times, pinned, lexemes, .. } = collected;
        let mut made: BTreeMap<Sorting, Texts> = BTreeMap::new();
        for (index, sorting) in sortings.iter().enumerate() {
            let Some(all) = texts.get(sorting) else { continue };
            let known = places.get(index).filter(|places| places.len() == all.len());
            let ranked: Vec<(u32, &str)> = match known {
                Some(places) => {
                    places.iter().copied().zip(all.iter().map(String::as_str)).collect()
                }
                None => (0..).zip(all.iter().map(String::as_str)).collect(),
            };
            made.insert(sorting.clone(), Texts::new(&ranked, &pinned, sorting.limit));
        }
        let mut replacer = Self {
            texts: made,
            patterns: BTreeMap::new(),
            numbers: numbers.line(),
            times: times.line(),
            number_columns: numbers.columns,
            time_columns: times.columns,
            uuids: Ranked::uuids(&collected.uuids, &pinned),
            bytes: Ranked::bytes(&collected.bytes, &pinned),
            networks: Ranked::networks(&collected.networks, &pinned),
            lexemes,
            pinned,
            structure,
            left_out: BTreeSet::new(),
            forgotten: 0,
        };
        replacer.mark(patterns);
        replacer
    }

    /// Marks the texts that a pattern matches otherwise than by their beginning.
    fn mark(&mut self, patterns: BTreeMap<Sorting, BTreeSet<(String, String)>>) {
        for (sorting, all) in patterns {
            let Some(texts) = self.texts.get_mut(&sorting) else { continue };
            let originals: Vec<String> = texts.originals().map(str::to_owned).collect();
            let numbers = self.patterns.entry(sorting).or_default();
            for (operator, text) in all {
                let Some(Pattern::Matches(_)) = pattern::read(&operator, &text) else { continue };
                let number = numbers.len();
                for original in &originals {
                    if !self.pinned.contains(original)
                        && pattern::matches(&operator, &text, original)
                    {
                        texts.mark(original, number);
                    }
                }
                numbers.insert((operator, text), number);
            }
        }
    }

    /// What was done and what it costs, for everybody who reads the snapshot or a report made from it.
    pub(super) fn notes(&self) -> Vec<String> {
        let mut notes = vec![
            "the values are redacted (--redact): statistics and literals hold made-up values in the same order; \
             selectivities between two known values of a column, and everything that compares values otherwise than \
             by order and equality (similarity, arithmetic, functions), can differ from the server's"
                .to_owned(),
        ];
        if !self.left_out.is_empty() {
            let named: Vec<&str> =
                self.left_out.iter().take(NAMED_MAX).map(String::as_str).collect();
            let further = self.left_out.len() - named.len();
            let more = if further > 0 { format!(" and {further} more") } else { String::new() };
            notes.push(format!(
                "--redact cannot replace the values of {}{more}: the statistics there are left out",
                named.join(", ")
            ));
        }
        if self.forgotten > 0 {
            notes.push(format!(
                "--redact could not replace {} literals or examples of statements: values from the statistics take \
                 their place",
                self.forgotten
            ));
        }
        notes
    }

    /// The replacements of each sorting's texts, in the originals' order.
    pub(super) fn replaced(&self, sortings: &[Sorting], places: &[Vec<u32>]) -> Vec<Order> {
        let of = |(index, sorting): (usize, &Sorting)| {
            let texts = self.texts.get(sorting);
            let originals: Vec<&str> = texts.iter().flat_map(|texts| texts.originals()).collect();
            let known = places.get(index).filter(|places| places.len() == originals.len());
            let mut placed: Vec<(u32, &str)> = match known {
                Some(places) => places.iter().copied().zip(originals).collect(),
                None => (0..).zip(originals).collect(),
            };
            placed.sort_unstable();
            let texts = placed
                .iter()
                .filter_map(|(_, text)| texts.and_then(|texts| texts.replacement(text)))
                .collect();
            let collation = sorting.collation.clone();
            Order { collation, case_blind: sorting.case_blind, texts }
        };
        sortings.iter().enumerate().map(of).collect()
    }

    /// The replacement of a word in a search, which is stemmed when it is run: that of the word of the statistics that
    /// is its longest beginning.
    fn word(&self, texts: &Texts, word: &str) -> Option<String> {
        let lower = word.to_lowercase();
        let ending = |known: &str| lower.len().saturating_sub(known.len());
        let stem = self
            .lexemes
            .iter()
            .filter(|known| lower.starts_with(known.as_str()))
            .filter(|known| {
                ending(known) == 0 || known.len() >= STEM_MIN && ending(known) <= ENDING_MAX
            })
            .max_by_key(|known| known.len());
        texts.replacement(stem.unwrap_or(&lower))
    }
}

impl Visitor for Replacer {
    fn scalar(&mut self, class: &Class, site: Site, text: &str) -> Option<String> {
        let never = ["NaN", "Infinity", "-Infinity", "infinity", "-infinity"];
        match class {
            Class::Looks => self.scalar(&looks(text), site, text),
            Class::Number | Class::Time if never.contains(&text) => Some(text.to_owned()),
            Class::Number => {
                let column = site.column.and_then(|column| self.number_columns.get(column));
                let column = column.filter(|_| site.literal);
                let point = self.numbers.replacement(scalar::number(text)?, column)?;
                Some(scalar::number_text(point))
            }
            Class::Time => {
                let column = site.column.and_then(|column| self.time_columns.get(column));
                let (point, form) = scalar::time(text)?;
                let point = self.times.replacement(point, column.filter(|_| site.literal))?;
                let form = if point.part > 0 { form.with_clock() } else { form };
                scalar::time_text(point, &form)
            }
            Class::Text(sorting) => self.texts.get(sorting)?.replacement(text),
            Class::Padded(sorting) => {
                self.texts.get(sorting)?.replacement(text.trim_end_matches(' '))
            }
            Class::Lexemes => self.texts.get(&words())?.replacement(text),
            Class::Uuid => self.uuids.replacement(text),
            Class::Bytes => self.bytes.replacement(text),
            Class::Network => self.networks.replacement(text),
            Class::Kept => Some(text.to_owned()),
            Class::Json | Class::Array(_) | Class::Range(_) => None,
        }
    }

    fn pattern(&mut self, sorting: &Sorting, operator: &str, text: &str) -> Option<String> {
        if self.pinned.contains(text) {
            return Some(text.to_owned());
        }
        let texts = self.texts.get(sorting)?;
        match pattern::read(operator, text)? {
            Pattern::Equal(whole) => texts.replacement(&whole),
            Pattern::Begins(beginning) => {
                Some(pattern::written(operator, texts.beginning(&beginning)?, None))
            }
            Pattern::Matches(beginning) => {
                let key = (operator.to_owned(), text.to_owned());
                let number = self.patterns.get(sorting)?.get(&key)?;
                Some(pattern::written(operator, texts.beginning(&beginning)?, Some(&mark(*number))))
            }
        }
    }

    fn key(&mut self, _site: Site, key: &str) -> Option<String> {
        if self.structure.contains(key) {
            return Some(key.to_owned());
        }
        self.texts.get(&Sorting::default())?.replacement(key)
    }

    fn words(&mut self, text: &str) -> Option<String> {
        let texts = self.texts.get(&words())?;
        let replace = |(part, word): (&str, bool)| {
            if word { self.word(texts, part) } else { Some(part.to_owned()) }
        };
        split_words(text).map(replace).collect()
    }

    fn left_out(&mut self, what: String) {
        self.left_out.insert(what);
    }

    fn forgotten(&mut self) {
        self.forgotten += 1;
    }
}
