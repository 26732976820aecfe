//! The entries of a GIN index, out of the statistics of what it indexes.

use std::collections::{BTreeMap, BTreeSet};

use super::Source;
use super::arrays::elements;
use super::capacity::capacity;
use super::documents::document_entries;
use super::kind::{Kind, kind_of};
use super::samples::Samples;
use super::texts::{lexeme_entries, trigram_entries};
use crate::index::{IndexDefinition, Key, Term};
use crate::size::entries::{
    Elements, Entries, Law, Seen, element_entries, power_law_entries, sampled_entries,
    scalar_entries,
};
use crate::size::gin::{GinShape, MAINTENANCE_MEMORY};
use crate::snapshot::{Column, ColumnStats};
use crate::statement::{Call, Expr, ExprLiteral as Literal, expression_over};

/// Bytes of an array before its elements, behind a short header (`ArrayType` with one dimension).
const ARRAY_HEADER: f64 = 21.0;
/// Bytes by which an empty array is shorter: it has no dimensions.
const EMPTY_SAVES: f64 = 8.0;
/// Longest value behind a short header.
const SHORT_MAX: f64 = 126.0;
/// Bytes of a `tsvector` before its lexemes: its length and their number.
const VECTOR_HEADER: f64 = 8.0;
/// Bytes of a lexeme beside its text: its place (4), alignment (half a byte on average), and one position with their
/// number (4) (`WordEntry`, `WordEntryPosVector`).
const LEXEME_BYTES: f64 = 8.5;
/// Bytes of text to a distinct trigram, word and document entry where no sample tells: free text and documents of
/// some size, from our own captures.
const TEXT_PER_TRIGRAM: f64 = 1.3;
/// See [`TEXT_PER_TRIGRAM`].
const TEXT_PER_LEXEME: f64 = 9.0;
/// See [`TEXT_PER_TRIGRAM`].
const DOCUMENT_PER_ENTRY: f64 = 16.0;
/// Trigrams of a language.
const TRIGRAMS: f64 = 10_000.0;
/// Heaps' law: the vocabulary of a text of n words is about 30 times the square root of n.
const VOCABULARY: f64 = 30.0;

/// What the model needs to know of a GIN index of which the predicate keeps a share of the rows.
pub(super) fn gin_shape(source: &Source, definition: &IndexDefinition, kept: f64) -> GinShape {
    let entries = definition.keys.iter().flat_map(|key| key_entries(source, key)).collect();
    GinShape {
        rows: source.rows * kept,
        rows_per_page: source.rows * kept / source.pages.max(1.0),
        entries,
        several_columns: definition.keys.len() > 1,
        memory: source.memory().unwrap_or(MAINTENANCE_MEMORY),
    }
}

/// The entries of one key, with that of its NULLs.
fn key_entries(source: &Source, key: &Key) -> Vec<Entries> {
    let expr = match &key.term {
        Term::Column(name) => Some(Expr::Column(0, name.clone())),
        Term::Expression(sql) => expression_over(sql, source.table, source.snapshot),
    };
    let Some(expr) = expr else { return unknown(source, 32.0) };
    let column = match &expr {
        Expr::Column(_, name) => source.table.column(name),
        _ => None,
    };
    let class = key.opclass.as_deref().unwrap_or_default();
    let class = class.rsplit('.').next().unwrap_or_default();
    let samples = Samples::of_expression(&expr, source.table);
    let width = column.map_or(32.0, super::width);
    let kind = kind_of(&expr, source.table, source.version());
    let mut entries = match (class, kind, samples.as_ref()) {
        (class, _, samples) if class.starts_with("gin_trgm_ops") => match samples {
            Some(samples) => trigram_entries(samples, source.rows),
            None => power_law_entries(TRIGRAMS, width / TEXT_PER_TRIGRAM, 4.0),
        },
        (_, Some(Kind::Document), Some(samples)) => {
            document_entries(samples, class.starts_with("jsonb_path_ops"), source.rows)
        }
        (_, Some(Kind::Document), None) => unknown(source, width),
        (_, Some(Kind::Array(bytes)), samples) => match column {
            Some(column) => array_entries(source, column, bytes, samples),
            None => unknown(source, width),
        },
        (_, Some(Kind::Lexemes), _) => lexemes(source, &expr, column),
        (_, Some(_), _) => super::key_shape(source, key)
            .map_or_else(|| unknown(source, width), |shape| scalar_entries(source.rows, &shape)),
        (_, None, _) => unknown(source, width),
    };
    let stats = column.and_then(|column| column.stats.as_ref());
    let nulls = stats
        .map_or_else(|| samples.map_or(0.0, |s| s.share(Option::is_none)), |s| s.null_fraction);
    if nulls > 0.0 {
        entries.push(Entries { values: 1.0, share: nulls, bytes: 0.0 });
    }
    entries
}

/// Entries of something of which only the width is known: half of them from a small vocabulary, the others in three
/// rows each.
fn unknown(source: &Source, width: f64) -> Vec<Entries> {
    let half = (width / DOCUMENT_PER_ENTRY).max(1.0) / 2.0;
    let values = source.rows.max(3.0) * half / 3.0;
    let mut entries = power_law_entries(1000.0, half, 10.0);
    entries.push(Entries { values, share: half / values, bytes: 12.0 });
    entries
}

/// Elements of an array column, by the most common ones or, without these, by the arrays in the statistics.
fn array_entries(
    source: &Source,
    column: &Column,
    fixed: u8,
    samples: Option<&Samples>,
) -> Vec<Entries> {
    let Some(stats) = &column.stats else { return unknown(source, super::width(column)) };
    let kind = if fixed > 0 { Kind::Integer(fixed) } else { Kind::Text };
    let bytes = |text: &str| if fixed > 0 { f64::from(fixed) } else { text.len() as f64 + 1.0 };
    let distinct = |literal: &str| {
        elements(literal).unwrap_or_default().into_iter().flatten().collect::<BTreeSet<_>>()
    };
    let present = 1.0 - stats.null_fraction;
    let empty = samples.map_or(0.0, |s| s.share(|value| value.as_deref() == Some("{}")));
    let seen = samples.map(|samples| {
        let mut seen: BTreeMap<String, Seen> = BTreeMap::new();
        let common = samples.common.iter().map(|(value, share)| (value, *share));
        for (value, share) in common.chain(samples.rest.iter().map(|value| (value, 0.0))) {
            for element in value.iter().flat_map(|literal| distinct(literal)) {
                let bytes = bytes(&element);
                let one = seen.entry(element).or_default();
                one.bytes = bytes;
                one.common += share;
                one.count += u32::from(share <= 0.0);
            }
        }
        seen
    });
    let capacity =
        seen.as_ref().map_or(f64::INFINITY, |seen| capacity(kind, seen.keys().map(String::as_str)));
    let mut entries = match (&seen, samples) {
        (Some(seen), Some(samples)) if stats.common_elements.is_empty() => sampled_entries(
            &seen.values().copied().collect::<Vec<_>>(),
            samples.sample(source.rows),
            capacity,
            Law::Fitted,
        ),
        _ => {
            let common = common_elements(stats, present, bytes);
            let header =
                if super::width(column) > SHORT_MAX { ARRAY_HEADER + 3.0 } else { ARRAY_HEADER };
            let header = header - EMPTY_SAVES * empty / present;
            // Beside a header of four bytes a text is aligned to four.
            let each = |bytes: f64| if fixed > 0 { bytes } else { bytes + 4.5 };
            let bytes = rare_bytes(&common);
            let per_row = counted(source, column).map_or_else(
                || {
                    by_width(
                        &common,
                        present,
                        super::width(column) - header,
                        each,
                        |more, bytes| more * each(bytes),
                    )
                },
                |count| count * present,
            );
            element_entries(source.rows, &Elements { common, per_row, bytes, capacity })
        }
    };
    if empty > 0.0 {
        entries.push(Entries { values: 1.0, share: empty, bytes: 0.0 });
    }
    entries
}

/// The mean number of distinct elements that ANALYZE counted (the last of `elem_count_histogram`), in rows that are
/// not NULL; only a blueprint has it.
fn counted(source: &Source, column: &Column) -> Option<f64> {
    let blueprint = source.snapshot.blueprint.as_ref()?;
    let table = source.table;
    let row = blueprint.statistics.iter().find(|row| {
        row.schema == table.schema && row.relation == table.name && row.column == column.name
    })?;
    row.values.element_counts.last().map(|count| f64::from(*count))
}

/// Distinct elements of a row, on average over all rows, where the bytes of a value beside its header are `width` on
/// average and ANALYZE has rounded that down. Elements that occur twice in a row take room (`again` bytes for so many)
/// without adding to the distinct ones: where a share p of the rows has an element, -ln(1 - p) of it come to a row.
fn by_width(
    common: &[(f64, f64)],
    present: f64,
    width: f64,
    each: impl Fn(f64) -> f64,
    again: impl Fn(f64, f64) -> f64,
) -> f64 {
    let (mut known, mut bytes) = (0.0, 0.0);
    for (share, length) in common {
        let share = (share / present).min(0.99);
        known += share;
        bytes += share * each(*length) + again((-(-share).ln_1p() - share).max(0.0), *length);
    }
    (known + (width + 0.5 - bytes).max(0.0) / each(rare_bytes(common))) * present
}

/// Lexemes of a `tsvector` column, or of texts that an expression makes one of.
fn lexemes(source: &Source, expr: &Expr, column: Option<&Column>) -> Vec<Entries> {
    if let Some(column) = column {
        let Some(stats) = &column.stats else { return unknown(source, super::width(column)) };
        let present = 1.0 - stats.null_fraction;
        let common = common_elements(stats, present, |text| text.len() as f64 + 1.0);
        let per_row = lexemes_per_row(column);
        let bytes = rare_bytes(&common);
        if common.is_empty() {
            return power_law_entries(vocabulary(source, per_row), per_row, 7.0);
        }
        return element_entries(
            source.rows,
            &Elements { common, per_row, bytes, capacity: f64::INFINITY },
        );
    }
    let (mut texts, mut configuration) = (Vec::new(), "english".to_owned());
    vector_texts(expr, &mut texts, &mut configuration);
    let joined = texts.into_iter().reduce(|one, other| {
        let blank = Expr::Constant(" ".to_owned(), Literal::Text);
        let front = Expr::Operator(Some(Box::new(one)), "||".to_owned(), Box::new(blank));
        Expr::Operator(Some(Box::new(front)), "||".to_owned(), Box::new(other))
    });
    if let Some(text) = joined {
        if let Some(samples) = Samples::of_expression(&text, source.table) {
            return lexeme_entries(&samples, &configuration, source.rows);
        }
        let names = super::samples::columns(&text);
        let columns = names.iter().filter_map(|name| source.table.column(name));
        let per_row = columns.map(super::width).sum::<f64>() / TEXT_PER_LEXEME;
        return power_law_entries(vocabulary(source, per_row), per_row, 7.0);
    }
    unknown(source, 32.0)
}

/// Lexemes in a row of a `tsvector` column, on average over all rows, by its width.
pub(super) fn lexemes_per_row(column: &Column) -> f64 {
    let Some(stats) = &column.stats else { return 0.0 };
    let present = 1.0 - stats.null_fraction;
    let common = common_elements(stats, present, |text| text.len() as f64 + 1.0);
    // Another position of the same lexeme takes two bytes.
    by_width(
        &common,
        present,
        stats.avg_width - VECTOR_HEADER,
        |bytes| bytes - 1.0 + LEXEME_BYTES,
        |more, _| more * 2.0,
    )
}

fn vocabulary(source: &Source, per_row: f64) -> f64 {
    VOCABULARY * (source.rows * per_row).max(1.0).sqrt()
}

/// The texts that a `tsvector` is made of, and the configuration that does.
fn vector_texts(expr: &Expr, texts: &mut Vec<Expr>, configuration: &mut String) {
    match expr {
        Expr::Operator(Some(left), operator, right) if operator == "||" => {
            vector_texts(left, texts, configuration);
            vector_texts(right, texts, configuration);
        }
        Expr::Cast(inner, _) => vector_texts(inner, texts, configuration),
        Expr::Call(Call { name, arguments, .. }) => match (name.as_str(), arguments.as_slice()) {
            ("setweight", [inner, ..]) => vector_texts(inner, texts, configuration),
            ("to_tsvector", [text]) => texts.push(text.clone()),
            ("to_tsvector", [chosen, text]) => {
                if let Expr::Constant(name, _) = chosen.uncast() {
                    configuration.clone_from(name);
                }
                texts.push(text.clone());
            }
            _ => {}
        },
        _ => {}
    }
}

/// Share of all rows and bytes of each common element.
fn common_elements(
    stats: &ColumnStats,
    present: f64,
    bytes: impl Fn(&str) -> f64,
) -> Vec<(f64, f64)> {
    // Two or three numbers that are no element's stand behind the frequencies; zip drops them.
    let pairs = stats.common_elements.iter().zip(&stats.element_frequencies);
    let mut common: Vec<(f64, f64)> =
        pairs.map(|(element, share)| (share * present, bytes(element))).collect();
    common.sort_by(|a, b| b.0.total_cmp(&a.0));
    common
}

/// Mean bytes of the elements that are not among the common ones: the rarer a word, the longer it is, as the rarest
/// quarter of the known ones shows.
fn rare_bytes(common: &[(f64, f64)]) -> f64 {
    mean_bytes(&common[common.len() / 4 * 3..])
}

/// Mean bytes of elements, each as often as it occurs.
fn mean_bytes(common: &[(f64, f64)]) -> f64 {
    let weight: f64 = common.iter().map(|(share, _)| share).sum();
    let bytes: f64 = common.iter().map(|(share, bytes)| share * bytes).sum();
    if weight > 0.0 { bytes / weight } else { 6.0 }
}
