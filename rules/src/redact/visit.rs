//! Every value of a snapshot, one after the other, to be looked at or replaced.

use super::class::{Class, Sorting};
use super::container::{self, Part};
use super::{ColumnKey, Facts, statements, statistics};
use crate::snapshot::Snapshot;

/// Where a value stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Site<'s> {
    /// The column whose value it is, or with which it is compared.
    pub(super) column: Option<&'s ColumnKey>,
    /// Whether it is a literal of a statement, not a value of the statistics.
    pub(super) literal: bool,
}

/// Who looks at the values, or replaces them. `None` for a value that cannot be replaced.
pub(super) trait Visitor {
    /// A value of a class that holds no others.
    fn scalar(&mut self, class: &Class, site: Site, text: &str) -> Option<String>;
    /// A pattern that texts are compared with, by the operator without its negation.
    fn pattern(&mut self, sorting: &Sorting, operator: &str, text: &str) -> Option<String>;
    /// A key in a document.
    fn key(&mut self, site: Site, key: &str) -> Option<String>;
    /// Words that documents are searched for.
    fn words(&mut self, text: &str) -> Option<String>;
    /// A document begins.
    fn document(&mut self, _site: Site) {}
    /// Statistics that are left out, because one of their values cannot be replaced.
    fn left_out(&mut self, _what: String) {}
    /// A literal became a parameter, or an example was left out, because it cannot be replaced.
    fn forgotten(&mut self) {}
}

/// Every value of a snapshot; statements first, because they are understood by the schema only.
pub(super) fn snapshot(snapshot: &mut Snapshot, facts: &Facts, visitor: &mut dyn Visitor) {
    let mut all = std::mem::take(&mut snapshot.statements);
    for statement in &mut all {
        statements::visit(statement, snapshot, facts, visitor);
    }
    snapshot.statements = all;
    statistics::tables(snapshot, facts, visitor);
    statistics::blueprint(snapshot, facts, visitor);
}

/// A value of any class.
pub(super) fn value(
    visitor: &mut dyn Visitor,
    class: &Class,
    site: Site,
    text: &str,
) -> Option<String> {
    match class {
        Class::Kept => Some(text.to_owned()),
        // An element of `ARRAY[…]`, or what is compared with one.
        Class::Array(element) if site.literal && container::elements(text).is_none() => {
            value(visitor, element, site, text)
        }
        Class::Array(element) => {
            let found = container::elements(text)?;
            Some(container::array(&values(visitor, element, site, &found)?))
        }
        Class::Range(bound) if text == "empty" || text.starts_with(['[', '(', '{']) => {
            container::range(text, &mut |inner| value(visitor, bound, site, inner))
        }
        Class::Range(bound) => value(visitor, bound, site, text),
        Class::Json => {
            let document = serde_json::from_str(text).ok()?;
            visitor.document(site);
            let apart = Site { column: None, ..site };
            let replaced = container::document(&document, &mut |part| match part {
                Part::Key(key) => visitor.key(site, key),
                Part::Scalar(inner) => visitor.scalar(&Class::Looks, apart, inner),
            })?;
            Some(replaced.to_string())
        }
        Class::Lexemes if site.literal => visitor.words(text),
        _ => visitor.scalar(class, site, text),
    }
}

/// Values of one class; `None` when one of them cannot be replaced.
pub(super) fn values(
    visitor: &mut dyn Visitor,
    class: &Class,
    site: Site,
    all: &[Option<String>],
) -> Option<Vec<Option<String>>> {
    let one = |text: &Option<String>| match text {
        None => Some(None),
        Some(text) => value(visitor, class, site, text).map(Some),
    };
    all.iter().map(one).collect()
}
