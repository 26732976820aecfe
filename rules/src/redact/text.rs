//! Replacements of texts: they sort as the originals do, and begin alike where the originals begin alike.
//!
//! The originals in the server's order are a tree of common beginnings. Each branch gets a letter by its place
//! among its siblings, so that a replacement tells the shape of that tree and nothing of the characters.

use std::collections::{BTreeMap, BTreeSet};

/// Letters of replacements. Every collation sorts them in this order, none contracts two of them into one, and a
/// word of them has no vowel that a stemmer could cut at.
const LETTERS: [u8; 8] = *b"bjkmpqvx";

/// A letter where the originals do not differ.
const FILLER: char = 'm';

/// Letters at most for a stretch in which the originals do not differ: their lengths are no business of the reader.
const STRETCH_MAX: usize = 3;

/// What a mark in a replacement begins with; no letter of a replacement, and before them in every collation.
const MARK: char = '9';

/// The replacements of the texts of one collation.
#[derive(Clone, Debug, Default)]
pub(super) struct Texts {
    replacements: BTreeMap<String, String>,
    marks: BTreeMap<String, Vec<usize>>,
}

impl Texts {
    /// Replacements for texts with their place in the server's order; equal places are equal to the server. What is
    /// `pinned` stays as it is, and the others keep their order around it. Where a `limit` of characters leaves no
    /// room for that, they keep their order alone.
    pub(super) fn new(
        ranked: &[(u32, &str)],
        pinned: &BTreeSet<String>,
        limit: Option<usize>,
    ) -> Self {
        let mut groups: BTreeMap<u32, Vec<&str>> = BTreeMap::new();
        for (rank, text) in ranked {
            groups.entry(*rank).or_default().push(text);
        }
        let stays = |text: &str| text.is_empty() || pinned.contains(text);
        let mut replacements = BTreeMap::new();
        let mut between: Vec<&[&str]> = Vec::new();
        let mut pin = "";
        let groups: Vec<Vec<&str>> = groups.into_values().collect();
        let ends = groups.iter().map(Some).chain([None]);
        let begin = if groups.iter().flatten().any(|text| !text.is_empty() && stays(text)) {
            // Digits sort before letters, with which most pins begin.
            "0"
        } else {
            ""
        };
        let mut prefix = begin.to_owned();
        for group in ends {
            let stop = group.map(|texts| texts.iter().find(|text| stays(text)));
            if let Some(None) = stop {
                between.extend(group.map(Vec::as_slice));
                continue;
            }
            grow(&between, &prefix, &mut replacements);
            between.clear();
            if let Some(Some(found)) = stop {
                pin = found;
                prefix = if pin.is_empty() { begin.to_owned() } else { pin.to_owned() };
            }
            for text in group.into_iter().flatten() {
                let own = if stays(text) { text } else { pin };
                replacements.insert((*text).to_owned(), own.to_owned());
            }
        }
        if let Some(limit) = limit
            && replacements.values().any(|text: &String| text.chars().count() > limit)
        {
            let free: Vec<&Vec<&str>> =
                groups.iter().filter(|group| !group.iter().any(|text| stays(text))).collect();
            let originals: BTreeSet<&str> = groups.iter().flatten().copied().collect();
            for (group, token) in free.iter().zip(tokens(free.len(), limit, &originals)) {
                replacements.extend(group.iter().map(|text| ((*text).to_owned(), token.clone())));
            }
        }
        Self { replacements, marks: BTreeMap::new() }
    }

    /// Puts the mark of this number into the replacement of a text.
    pub(super) fn mark(&mut self, text: &str, number: usize) {
        self.marks.entry(text.to_owned()).or_default().push(number);
    }

    /// The replacement of a text.
    pub(super) fn replacement(&self, text: &str) -> Option<String> {
        let mut replacement = self.beginning(text)?.to_owned();
        for number in self.marks.get(text).into_iter().flatten() {
            replacement.push_str(&mark(*number));
        }
        Some(replacement)
    }

    /// What the replacements of all texts with this beginning begin with.
    pub(super) fn beginning(&self, text: &str) -> Option<&str> {
        self.replacements.get(text).map(String::as_str)
    }

    /// The texts that have a replacement.
    pub(super) fn originals(&self) -> impl Iterator<Item = &str> {
        self.replacements.keys().map(String::as_str)
    }
}

/// What the texts that match a pattern have in their replacements.
pub(super) fn mark(number: usize) -> String {
    // Octal: a mark holds one 9, so that it is not found across two others.
    format!("{MARK}{number:03o}")
}

/// Replaces a sorted run of groups of equal texts; each replacement begins with `prefix`.
fn grow(groups: &[&[&str]], prefix: &str, replacements: &mut BTreeMap<String, String>) {
    let texts: Vec<Vec<char>> = groups.iter().map(|group| group[0].chars().collect()).collect();
    let common = |one: &[char], other: &[char]| {
        one.iter().zip(other).take_while(|(one, other)| one == other).count()
    };
    let originals: BTreeSet<&str> = groups.iter().copied().flatten().copied().collect();
    let shared: Vec<usize> = texts.windows(2).map(|pair| common(&pair[0], &pair[1])).collect();
    // Runs still to be told apart: from, to, how many characters they are known to share, letters so far.
    let mut open = vec![(0, texts.len(), 0, prefix.to_owned())];
    // The run that holds all is a branch of nothing, and its only text would otherwise be the prefix.
    let top = texts.len();
    while let Some((from, to, depth, mut path)) = open.pop() {
        if from >= to {
            continue;
        }
        if to - from == 1 {
            let tail = texts[from].len().saturating_sub(depth);
            let least = usize::from(top == 1);
            path.extend(std::iter::repeat_n(FILLER, tail.min(STRETCH_MAX).max(least)));
            while originals.contains(path.as_str()) {
                path.push(FILLER);
            }
            for text in groups[from] {
                replacements.insert((*text).to_owned(), path.clone());
            }
            continue;
        }
        let split = shared[from..to - 1].iter().copied().min().unwrap_or(depth);
        path.extend(std::iter::repeat_n(FILLER, split.saturating_sub(depth).min(STRETCH_MAX)));
        let mut cuts: Vec<usize> = (from + 1..to).filter(|at| shared[at - 1] == split).collect();
        cuts.insert(0, from);
        cuts.push(to);
        let mut branches: Vec<(usize, usize)> =
            cuts.windows(2).map(|pair| (pair[0], pair[1])).collect();
        let ends_here = texts[from].len() == split && branches[0] == (from, from + 1);
        if ends_here && path.len() > prefix.len() {
            for text in groups[from] {
                replacements.insert((*text).to_owned(), path.clone());
            }
            branches.remove(0);
        }
        let count = branches.len();
        for (place, (from, to)) in branches.into_iter().enumerate() {
            let letters = format!("{path}{}", code(place, count));
            open.push((from, to, split + 1, letters));
        }
    }
}

/// Short texts in ascending order, none of them an original as far as there is room.
fn tokens(count: usize, limit: usize, originals: &BTreeSet<&str>) -> Vec<String> {
    let wide = b"0123456789abcdefghijklmnopqrstuvwxyz";
    let room = |letters: &[u8], width: usize| {
        letters.len().saturating_pow(u32::try_from(width).unwrap_or(u32::MAX))
    };
    // Twice as many as needed, so that originals can be left out.
    let fits = |letters: &[u8]| (1..=limit).find(|width| room(letters, *width) >= 2 * count);
    let (letters, width) = match fits(&LETTERS) {
        Some(width) => (&LETTERS[..], width),
        None => (&wide[..], fits(wide).unwrap_or(limit)),
    };
    let all = (0..room(letters, width)).map(|number| spelled(number, width, letters));
    let free: Vec<String> = all.filter(|text| !originals.contains(text.as_str())).collect();
    // Where even that is too little, neighbours become equal.
    (0..count)
        .filter_map(|place| free.get((2 * place + 1) * free.len() / (2 * count)).cloned())
        .collect()
}

/// A number in these digits.
fn spelled(number: usize, width: usize, digits: &[u8]) -> String {
    let mut rest = number;
    let mut spelled = vec![digits[0]; width];
    for digit in spelled.iter_mut().rev() {
        *digit = digits[rest % digits.len()];
        rest /= digits.len();
    }
    spelled.into_iter().map(char::from).collect()
}

/// The letters of a branch by its place among its siblings, spread over what the letters allow.
fn code(place: usize, count: usize) -> String {
    let (mut width, mut room) = (1, LETTERS.len());
    while room < count {
        (width, room) = (width + 1, room * LETTERS.len());
    }
    spelled((2 * place + 1) * room / (2 * count), width, &LETTERS)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::{Texts, mark};

    fn of(texts: &[&str], pinned: &[&str]) -> Texts {
        let mut sorted = texts.to_vec();
        sorted.sort_unstable();
        sorted.dedup();
        let ranked: Vec<(u32, &str)> = (0..).zip(sorted).collect();
        Texts::new(&ranked, &pinned.iter().map(|pin| (*pin).to_owned()).collect(), None)
    }

    #[test]
    fn common_beginnings_stay_common_beginnings() {
        let texts = of(&["ann", "anna@x", "anna@y", "bob", "an"], &[]);
        let shown: Vec<&str> = ["an", "ann", "anna@x", "anna@y", "bob"]
            .iter()
            .map(|t| texts.beginning(t).unwrap())
            .collect();
        assert!(shown[2].starts_with(shown[1]) && shown[1].starts_with(shown[0]), "{shown:?}");
        assert!(!shown[4].starts_with(shown[0]), "{shown:?}");
        assert!(shown.is_sorted(), "{shown:?}");
    }

    #[test]
    fn what_is_pinned_stays_and_the_others_sort_around_it() {
        let texts =
            of(&["abandoned", "active", "closed", "lost", "paid", "zero"], &["active", "paid"]);
        let shown: Vec<&str> = ["abandoned", "active", "closed", "lost", "paid", "zero"]
            .iter()
            .map(|text| texts.beginning(text).unwrap())
            .collect();
        assert_eq!((shown[1], shown[4]), ("active", "paid"));
        assert!(shown.is_sorted(), "{shown:?}");
    }

    #[test]
    fn equal_places_get_equal_replacements_and_nothing_stays_empty() {
        let texts =
            Texts::new(&[(0, "Abc"), (0, "abc"), (1, "abd"), (7, "")], &BTreeSet::new(), None);
        assert_eq!(texts.beginning("Abc"), texts.beginning("abc"));
        assert_ne!(texts.beginning("abc"), texts.beginning("abd"));
        assert_eq!(texts.beginning(""), Some(""));
        assert_ne!(of(&["only"], &[]).beginning("only"), Some(""));
    }

    #[test]
    fn codes_stay_as_short_as_their_type_wants_them() {
        let code = |number: u8| {
            format!("{}{}", char::from(b'a' + number / 9), char::from(b'k' + number % 9))
        };
        let codes: Vec<String> = (0..234).map(code).collect();
        for (limit, many) in [(2, 234), (2, 20), (1, 30)] {
            let ranked: Vec<(u32, &str)> =
                (0..).zip(codes.iter().take(many).map(String::as_str)).collect();
            let texts = Texts::new(&ranked, &[codes[3].clone()].into(), Some(limit));
            let shown: Vec<&str> =
                ranked.iter().map(|(_, text)| texts.beginning(text).unwrap()).collect();
            assert_eq!(shown[3], codes[3]);
            let free: Vec<&str> = shown.iter().copied().filter(|text| *text != codes[3]).collect();
            assert!(free.iter().all(|text| text.len() <= limit && !text.is_empty()), "{shown:?}");
            assert!(
                free.is_sorted() && free.windows(2).all(|pair| limit == 1 || pair[0] < pair[1]),
                "{shown:?}"
            );
        }
    }

    #[test]
    fn marks_are_found_and_do_not_change_the_order() {
        let mut texts = of(&["ann", "anna", "bob"], &[]);
        texts.mark("ann", 10);
        texts.mark("ann", 201);
        let [ann, anna] = ["ann", "anna"].map(|text| texts.replacement(text).unwrap());
        assert!(ann.contains(&mark(10)) && ann.contains(&mark(201)) && !ann.contains(&mark(102)));
        assert!(ann < anna, "{ann} {anna}");
    }

    proptest! {
        #[test]
        fn order_and_difference_are_kept(texts in prop::collection::btree_set("[ab\\-\u{e9}Z ]{0,6}", 1..120)) {
            let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
            let made = of(&texts, &[]);
            let shown: Vec<String> = texts.iter().map(|text| made.replacement(text).unwrap()).collect();
            for pair in shown.windows(2) {
                prop_assert!(pair[0] < pair[1], "{pair:?}");
            }
            for (one, mine) in texts.iter().zip(&shown) {
                for (other, yours) in texts.iter().zip(&shown) {
                    if other.starts_with(one) {
                        prop_assert!(yours.starts_with(mine.as_str()), "{one} {other}: {mine} {yours}");
                    }
                }
            }
        }
    }
}
