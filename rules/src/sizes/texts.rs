//! The entries that GIN makes of texts: trigrams (`pg_trgm`) and lexemes (`to_tsvector`).

use std::collections::{BTreeMap, BTreeSet};

use super::samples::Samples;
use crate::size::entries::{Entries, Law, Seen, sampled_entries};

/// Bytes of a trigram as an entry, which is an integer (`gin_extract_value_trgm`).
const TRIGRAM_BYTES: f64 = 4.0;

/// Words that an English dictionary drops, the most frequent of `english.stop`.
const STOP_WORDS: &[&str] = &[
    "a", "about", "after", "all", "am", "an", "and", "any", "are", "as", "at", "be", "because",
    "been", "before", "but", "by", "can", "did", "do", "does", "for", "from", "had", "has", "have",
    "he", "her", "his", "how", "i", "if", "in", "into", "is", "it", "its", "just", "me", "more",
    "most", "my", "no", "not", "now", "of", "off", "on", "once", "only", "or", "other", "our",
    "out", "over", "own", "s", "same", "she", "should", "so", "some", "such", "t", "than", "that",
    "the", "their", "them", "then", "there", "these", "they", "this", "those", "through", "to",
    "too", "under", "until", "up", "very", "was", "we", "were", "what", "when", "where", "which",
    "while", "who", "why", "will", "with", "you", "your",
];
/// Endings that an English stemmer takes off, longest first, with the letters that must be left.
const ENDINGS: &[(&str, usize)] = &[
    ("ations", 3),
    ("ation", 3),
    ("ings", 3),
    ("ing", 3),
    ("edly", 3),
    ("ies", 2),
    ("ed", 3),
    ("es", 3),
    ("ly", 3),
    ("s", 3),
    ("e", 3),
    ("y", 3),
];

/// The trigrams of a text: of each word in lower case, two blanks before it and one behind (`generate_trgm`).
pub(super) fn trigrams(text: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for word in text.to_lowercase().split(|character: char| !character.is_alphanumeric()) {
        if !word.is_empty() {
            let padded: Vec<char> = "  ".chars().chain(word.chars()).chain(" ".chars()).collect();
            found.extend(padded.windows(3).map(|three| three.iter().collect::<String>()));
        }
    }
    found
}

/// The lexemes of a text, nearly as the default parser and the dictionaries of a configuration find them.
pub(super) fn lexemes(text: &str, configuration: &str) -> BTreeSet<String> {
    let plain = configuration.trim_start_matches("pg_catalog.") == "simple";
    let lower = text.to_lowercase();
    let words = lower.split(|character: char| !(character.is_alphanumeric() || character == '_'));
    let kept = words.filter(|word| !word.is_empty() && (plain || !STOP_WORDS.contains(word)));
    kept.map(|word| if plain { word.to_owned() } else { stem(word).to_owned() }).collect()
}

fn stem(word: &str) -> &str {
    let cut = ENDINGS.iter().find_map(|(ending, least)| {
        word.strip_suffix(ending).filter(|stem| stem.chars().count() >= *least && word.is_ascii())
    });
    cut.unwrap_or(word)
}

/// The trigrams of a column's texts.
pub(super) fn trigram_entries(samples: &Samples, rows: f64) -> Vec<Entries> {
    let seen = seen(samples, trigrams, |_| TRIGRAM_BYTES);
    // Three characters each, at the end of a word one, at its beginning two or one.
    let characters: BTreeSet<char> =
        seen.keys().flat_map(|three| three.chars()).filter(|c| *c != ' ').collect();
    let count = characters.len() as f64;
    let capacity = count.powi(3) + 2.0 * count.powi(2) + count;
    sampled_entries(
        &seen.into_values().collect::<Vec<_>>(),
        samples.sample(rows),
        capacity,
        Law::Fitted,
    )
}

/// The lexemes of a column's texts.
pub(super) fn lexeme_entries(samples: &Samples, configuration: &str, rows: f64) -> Vec<Entries> {
    let seen = seen(samples, |text| lexemes(text, configuration), |word| word.len() as f64 + 1.0);
    sampled_entries(
        &seen.into_values().collect::<Vec<_>>(),
        samples.sample(rows),
        f64::INFINITY,
        Law::Zipf,
    )
}

fn seen(
    samples: &Samples,
    take: impl Fn(&str) -> BTreeSet<String>,
    bytes: impl Fn(&str) -> f64,
) -> BTreeMap<String, Seen> {
    let mut seen: BTreeMap<String, Seen> = BTreeMap::new();
    let rest = samples.rest.iter().map(|value| (value, None));
    for (value, share) in
        samples.common.iter().map(|(value, share)| (value, Some(*share))).chain(rest)
    {
        for part in value.iter().flat_map(|text| take(text)) {
            let bytes = bytes(&part);
            let one = seen.entry(part).or_default();
            one.bytes = bytes;
            match share {
                Some(share) => one.common += share,
                None => one.count += 1,
            }
        }
    }
    seen
}

#[cfg(test)]
mod tests {
    use super::{lexemes, trigrams};

    #[test]
    fn trigrams_are_those_of_pg_trgm() {
        let found: Vec<String> = trigrams("Cat, a").into_iter().collect();
        assert_eq!(found, ["  a", "  c", " a ", " ca", "at ", "cat"]);
        assert!(trigrams(" -- ").is_empty());
    }

    #[test]
    fn english_words_lose_their_endings_and_frequent_ones_are_dropped() {
        let found: Vec<String> =
            lexemes("The cats were running to the houses", "english").into_iter().collect();
        assert_eq!(found, ["cat", "hous", "runn"]);
        assert_eq!(lexemes("The cats", "simple").len(), 2);
    }
}
