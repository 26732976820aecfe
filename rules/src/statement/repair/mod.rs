//! Mends what the normalization of `pg_stat_statements` breaks.
//!
//! It writes `$n` over every literal, also where the grammar takes a literal only (`interval $1`,
//! `EXTRACT($1 FROM x)`), gives equal literals different numbers (so that `date_trunc($1, x)` is no longer
//! what `GROUP BY date_trunc($2, x)` groups by), and takes away the types of bare numbers (`now() - $1`,
//! `sum(CASE … THEN $1 ELSE $2 END)`). The server then refuses to prepare the text. Each mend here answers
//! to one refusal of a PostgreSQL 15 server; the mended text asks for the same plan.

mod same;
mod types;

use std::collections::{BTreeMap, BTreeSet};

use super::parse::{self, Lexeme, NodeEnum, Token, pg};
use super::print::parts;
use super::walk::walk;
use crate::quote::ident;

/// A text that the server can prepare, as far as we can tell.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Repaired {
    /// The text, its parameters numbered `$1` to `$n` without gaps.
    pub text: String,
    /// Number of each parameter in the given text, and in [`Self::text`]. Several can have become one; one whose
    /// literal was found is in the text no more, and not here.
    pub parameters: BTreeMap<u16, u16>,
    /// What was mended, one sentence each.
    pub notes: Vec<String>,
}

/// Mends a normalized statement. A text that does not parse, or needs no mending, comes back as it is.
pub fn repair(text: &str) -> Repaired {
    let unchanged = || Repaired { text: text.to_owned(), ..Repaired::default() };
    let Ok(all) = parse::tokens(text) else { return unchanged() };
    let Ok(tree) = parse::statement(text) else { return unchanged() };
    let comment = |token: &Lexeme| matches!(token.token, Token::SqlComment | Token::CComment);
    let squashed = squashed(text, &all);
    let tokens: Vec<Lexeme> = all.into_iter().filter(|token| !comment(token)).collect();
    let same = same::unify(text, &tokens);
    let mut edits = Edits::new(text, tokens, &same);
    edits.lists(&squashed);
    walk(&tree, &mut |node| match node {
        NodeEnum::TypeCast(cast) => edits.typed_literal(cast),
        NodeEnum::FuncCall(call) => {
            edits.extract(call);
            types::call(call, &mut |number, to, why| edits.cast(number, to, why));
        }
        NodeEnum::AExpr(operation) => {
            edits.array_list(operation);
            types::operation(operation, &mut |number, to, why| edits.cast(number, to, why));
        }
        _ => {}
    });
    if !same.literals.is_empty() || same.first.iter().any(|(number, first)| number != first) {
        edits.note("equal expressions in SELECT, GROUP BY and ORDER BY are equal again");
    }
    edits.finish()
}

/// The number of a parameter token.
fn number(text: &str, token: &Lexeme) -> Option<u16> {
    let digits = text.get(token.start + 1..token.end).filter(|_| token.token == Token::Param)?;
    digits.parse().ok()
}

/// Starts of the parameters that stand for a list: PostgreSQL 18 writes `IN ($1 /*, ... */)`.
fn squashed(text: &str, tokens: &[Lexeme]) -> BTreeSet<usize> {
    tokens
        .windows(2)
        .filter(|pair| pair[0].token == Token::Param && pair[1].token == Token::CComment)
        .filter(|pair| text.get(pair[1].start..pair[1].end) == Some("/*, ... */"))
        .map(|pair| pair[0].start)
        .collect()
}

/// Changes to the tokens of a text.
struct Edits<'t> {
    text: &'t str,
    tokens: Vec<Lexeme>,
    /// Old number -> new number.
    numbers: BTreeMap<u16, u16>,
    /// Old number -> the literal that it was.
    literals: BTreeMap<u16, String>,
    /// What stands in place of a token, by its index.
    replaced: BTreeMap<usize, String>,
    notes: Vec<String>,
}

impl<'t> Edits<'t> {
    fn new(text: &'t str, tokens: Vec<Lexeme>, same: &same::Same) -> Self {
        let kept: BTreeSet<u16> = same
            .first
            .values()
            .copied()
            .filter(|first| !same.literals.contains_key(first))
            .collect();
        let dense: BTreeMap<u16, u16> = kept.into_iter().zip(1..=u16::MAX).collect();
        let numbers =
            same.first.iter().filter_map(|(old, first)| Some((*old, *dense.get(first)?))).collect();
        let literals = same
            .first
            .iter()
            .filter_map(|(old, first)| Some((*old, same.literals.get(first)?.clone())))
            .collect();
        Self { text, tokens, numbers, literals, replaced: BTreeMap::new(), notes: Vec::new() }
    }

    fn note(&mut self, words: &str) {
        if !self.notes.iter().any(|note| note == words) {
            self.notes.push(words.to_owned());
        }
    }

    /// Index of the token that starts at a location of the syntax tree.
    fn at(&self, location: i32) -> Option<usize> {
        let start = usize::try_from(location).ok()?;
        self.tokens.binary_search_by_key(&start, |token| token.start).ok()
    }

    fn kind(&self, index: usize) -> Option<Token> {
        self.tokens.get(index).map(|token| token.token)
    }

    fn kinds(&self, from: usize, expected: &[Token]) -> bool {
        expected.iter().enumerate().all(|(offset, token)| self.kind(from + offset) == Some(*token))
    }

    /// The parameter at a token, with its new number.
    fn parameter(&self, index: usize) -> Option<String> {
        let old = number(self.text, self.tokens.get(index)?)?;
        Some(format!("${}", self.numbers.get(&old)?))
    }

    /// What stands at a parameter token after all: its new number, or the literal that it was.
    fn restored(&self, index: usize) -> Option<String> {
        let old = number(self.text, self.tokens.get(index)?)?;
        self.literals.get(&old).cloned().or_else(|| self.parameter(index))
    }

    fn replace(&mut self, index: usize, with: impl Into<String>) {
        self.replaced.insert(index, with.into());
    }

    fn cast(&mut self, location: i32, to: &str, why: &str) {
        if let Some(index) = self.at(location)
            && let Some(parameter) = self.parameter(index)
            && !self.replaced.contains_key(&index)
        {
            self.replace(index, format!("CAST({parameter} AS {to})"));
            self.note(why);
        }
    }

    /// `interval $1 day` -> `CAST($1 AS interval day)`.
    fn typed_literal(&mut self, cast: &pg::TypeCast) {
        let (Some(name), Some(NodeEnum::ParamRef(parameter))) =
            (&cast.type_name, cast.arg.as_deref().and_then(|node| node.node.as_ref()))
        else {
            return;
        };
        let (Some(first), Some(index)) = (self.at(name.location), self.at(parameter.location))
        else {
            return;
        };
        if first >= index {
            return;
        }
        let Some(parameter) = self.parameter(index) else { return };
        let interval = parts(&name.names).last().is_some_and(|name| name == "interval");
        let last =
            if interval && !name.typmods.is_empty() { self.interval_fields(index) } else { index };
        let source = |from: usize, to: usize| {
            let (from, to) = (self.tokens.get(from)?, self.tokens.get(to)?);
            self.text.get(from.start..to.end)
        };
        let mut to = source(first, index - 1).unwrap_or_default().to_owned();
        if self.kind(first + 1) == Some(Token::Ascii46) && self.tokens[first].keyword {
            // Before a literal nearly any word may name a schema (`values.mood $1`), in a cast many may not.
            let word = source(first, first).unwrap_or_default();
            to.replace_range(..word.len(), &ident(&word.to_ascii_lowercase()));
        }
        if last > index {
            to.push(' ');
            to.push_str(source(index + 1, last).unwrap_or_default());
        }
        // The type's tokens go into one, and those behind the parameter go away.
        self.replace(first, format!("CAST({parameter} AS {to})"));
        for gone in first + 1..=last {
            self.replace(gone, "");
        }
        self.note("a typed literal is a cast of its parameter");
    }

    /// Index of the last token of the fields behind an interval literal, such as `day to second (3)`.
    fn interval_fields(&self, parameter: usize) -> usize {
        let field = |index: usize| {
            use Token::{DayP, HourP, MinuteP, MonthP, SecondP, YearP};
            matches!(self.kind(index), Some(YearP | MonthP | DayP | HourP | MinuteP | SecondP))
        };
        let mut last = parameter;
        if field(last + 1) {
            last += 1;
            if self.kind(last + 1) == Some(Token::To) && field(last + 2) {
                last += 2;
            }
            if self.kind(last) == Some(Token::SecondP)
                && self.kinds(last + 1, &[Token::Ascii40, Token::Iconst, Token::Ascii41])
            {
                last += 3;
            }
        }
        last
    }

    /// `EXTRACT($1 FROM x)` -> `pg_catalog.extract($1, x)`, the function behind the syntax.
    fn extract(&mut self, call: &pg::FuncCall) {
        let Some(start) = self.at(call.location) else { return };
        let parameter =
            self.kinds(start, &[Token::Extract, Token::Ascii40, Token::Param, Token::From]);
        if parameter && self.parameter(start + 2).is_some() {
            self.replace(start, "pg_catalog.extract");
            self.replace(start + 3, ",");
            self.note("EXTRACT with a parameter is the function that it stands for");
        }
    }

    /// `IN ($1 /*, ... */)` -> `= ANY ($1)`, so that a list can be bound.
    fn lists(&mut self, squashed: &BTreeSet<usize>) {
        use Token::{Any, Array, Ascii40, Ascii41, Ascii91, Ascii93, InP, Not, Param};
        for index in 0..self.tokens.len() {
            let list = |this: &Self, at: usize| {
                this.tokens.get(at).is_some_and(|token| squashed.contains(&token.start))
            };
            if self.kinds(index, &[InP, Ascii40, Param, Ascii41]) && list(self, index + 2) {
                let negated = index > 0 && self.kind(index - 1) == Some(Not);
                if negated {
                    self.replace(index - 1, "");
                }
                self.replace(index, if negated { "<> ALL" } else { "= ANY" });
                self.note("a squashed IN list is one array");
            } else if self.kinds(index, &[Any, Ascii40, Array, Ascii91, Param, Ascii93, Ascii41])
                && list(self, index + 4)
            {
                for gone in [index + 2, index + 3, index + 5] {
                    self.replace(gone, "");
                }
                self.note("a squashed array is one array parameter");
            }
        }
    }

    /// `= ANY (ARRAY[$1, $2])` -> `IN ($1, $2)`: the array alone would be one of text.
    fn array_list(&mut self, operation: &pg::AExpr) {
        use Token::{All, Any, Array, Ascii40, Ascii41, Ascii91, Ascii93, Some as SomeWord};
        let (equal, words) = match operation.kind() {
            pg::AExprKind::AexprOpAny => ("=", "IN"),
            pg::AExprKind::AexprOpAll => ("<>", "NOT IN"),
            _ => return,
        };
        let Some(NodeEnum::AArrayExpr(array)) =
            operation.rexpr.as_deref().and_then(|node| node.node.as_ref())
        else {
            return;
        };
        let bare = |node: &pg::Node| matches!(node.node, Some(NodeEnum::ParamRef(_)));
        if array.elements.is_empty()
            || !array.elements.iter().all(bare)
            || parts(&operation.name) != [equal]
        {
            return;
        }
        let Some(start) = self.at(operation.location) else { return };
        let opens = [Any, SomeWord, All]
            .iter()
            .any(|word| self.kinds(start + 1, &[*word, Ascii40, Array, Ascii91]));
        // Elements with commas between them, then both closing brackets.
        let close = start + 5 + array.elements.len() * 2 - 1;
        if opens && self.kinds(close, &[Ascii93, Ascii41]) && !self.replaced.contains_key(&close) {
            self.replace(start, words);
            for gone in [start + 1, start + 3, start + 4, close] {
                self.replace(gone, "");
            }
            self.note("an array of bare parameters is an IN list");
        }
    }

    fn finish(self) -> Repaired {
        let mut text = String::with_capacity(self.text.len() + 64);
        let mut copied = 0;
        for (index, token) in self.tokens.iter().enumerate() {
            let new = match self.replaced.get(&index) {
                Some(new) => new.clone(),
                None => match self.restored(index) {
                    Some(parameter) => parameter,
                    None => continue,
                },
            };
            let gap = self.text.get(copied..token.start).unwrap_or_default();
            text.push_str(if new.is_empty() || new == "," { gap.trim_end() } else { gap });
            text.push_str(&new);
            copied = token.end;
        }
        text.push_str(self.text.get(copied..).unwrap_or_default());
        Repaired { text, parameters: self.numbers, notes: self.notes }
    }
}

#[cfg(test)]
mod tests;
