//! Indexes that are neither B-trees nor GIN, out of the statistics of what they index.

use super::gin::lexemes_per_row;
use super::samples::Samples;
use super::texts::trigrams;
use super::{Source, key_shape, width};
use crate::index::{IndexDefinition, Key, Term};
use crate::size::brin::{PAGES_PER_RANGE, Summary, brin_bytes};
use crate::size::gist::{GistKey, RANDOM_FILL, gist_bytes, lexeme_key, trigram_key, value_key};
use crate::size::hash::hash_bytes;
use crate::size::spgist::spgist_bytes;
use crate::snapshot::Column;
use crate::statement::{Expr, expression_over};

/// Bytes of a text to a trigram, where no sample tells.
const TEXT_PER_TRIGRAM: f64 = 1.2;

/// Bytes of an index of any other method; `None` for methods not known here.
pub(super) fn other_bytes(source: &Source, definition: &IndexDefinition, kept: f64) -> Option<u64> {
    match definition.method.as_str() {
        "gist" => {
            let keys: Vec<GistKey> =
                definition.keys.iter().map(|key| gist_key(source, key)).collect();
            Some(gist_bytes(source.rows * kept, &keys))
        }
        "spgist" => Some(spgist(source, definition.keys.first()?, kept)),
        "hash" => {
            Some(hash_bytes(source.rows, kept, &key_shape(source, definition.keys.first()?)?))
        }
        "brin" => {
            let summaries: Vec<Summary> =
                definition.keys.iter().map(|key| summary(source, key)).collect();
            Some(brin_bytes(source.pages, PAGES_PER_RANGE, &summaries))
        }
        _ => None,
    }
}

fn column<'s>(source: &Source<'s>, key: &Key) -> Option<&'s Column> {
    source.table.column(key.as_column()?)
}

/// The operator class of a key, without schema and options; empty for the default one.
fn class(key: &Key) -> &str {
    let class = key.opclass.as_deref().unwrap_or_default();
    let class = class.split_once('(').map_or(class, |(name, _)| name);
    class.rsplit('.').next().unwrap_or_default().trim()
}

fn gist_key(source: &Source, key: &Key) -> GistKey {
    if class(key) == "gist_trgm_ops" {
        let expr = match &key.term {
            Term::Column(name) => Some(Expr::Column(0, name.clone())),
            Term::Expression(sql) => expression_over(sql, source.table, source.snapshot),
        };
        let samples = expr.and_then(|expr| Samples::of_expression(&expr, source.table));
        let by_width = column(source, key).map_or(32.0, width) / TEXT_PER_TRIGRAM;
        return trigram_key(
            samples.map_or(by_width, |s| s.mean(|text| trigrams(text).len() as f64)),
        );
    }
    let unknown = GistKey { bytes: 32.0, fill: RANDOM_FILL };
    let Some(column) = column(source, key) else {
        return key_shape(source, key)
            .map_or(unknown, |shape| GistKey { bytes: shape.width + 4.0, ..unknown });
    };
    if column.base_type == "tsvector" {
        return lexeme_key(lexemes_per_row(column));
    }
    let correlation = column.stats.as_ref().and_then(|stats| stats.correlation).unwrap_or(0.0);
    value_key(&column.base_type, width(column), correlation, source.version())
        .unwrap_or(GistKey { bytes: width(column), ..unknown })
}

fn spgist(source: &Source, key: &Key, kept: f64) -> u64 {
    let kd = class(key) == "kd_point_ops";
    let rows = source.rows * kept;
    if let Some(column) = column(source, key) {
        let distinct = column.distinct(source.rows).unwrap_or(source.rows).min(rows);
        return spgist_bytes(rows, &column.base_type, width(column), distinct, kd);
    }
    let bytes = key_shape(source, key).map_or(32.0, |shape| shape.width);
    spgist_bytes(rows, "text", bytes, rows, kd)
}

fn summary(source: &Source, key: &Key) -> Summary {
    let class = class(key);
    let shape = key_shape(source, key);
    let width = shape.as_ref().map_or(32.0, |shape| shape.width);
    if class.ends_with("bloom_ops") {
        let rows = source.rows / source.pages.max(1.0) * PAGES_PER_RANGE.min(source.pages);
        let distinct = shape
            .map_or(rows, |shape| if shape.distinct > 0.0 { shape.distinct } else { source.rows });
        let by_chance = distinct * -(-rows / distinct.max(1.0)).exp_m1();
        // Where values lie in order, a range of pages holds its part of them.
        let in_order = (distinct * rows / source.rows.max(1.0) + 1.0).min(by_chance);
        let stats = column(source, key).and_then(|column| column.stats.as_ref());
        let order = stats.and_then(|stats| stats.correlation).unwrap_or(0.0).powi(2);
        return Summary::Bloom { distinct: order * in_order + (1.0 - order) * by_chance };
    }
    let ranges = column(source, key)
        .is_some_and(|column| column.type_kind == 'r' || column.base_type == "box");
    if class.ends_with("minmax_multi_ops") {
        Summary::MinMaxMulti { width }
    } else if class.ends_with("inclusion_ops") || ranges {
        Summary::Inclusion { width }
    } else {
        Summary::MinMax { width }
    }
}
