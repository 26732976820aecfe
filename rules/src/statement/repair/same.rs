//! Parameters that were one literal: those of an expression that stands in SELECT and again in GROUP BY,
//! ORDER BY or DISTINCT ON.
//!
//! `pg_stat_statements` numbers the literals of the select list and leaves those of an equal item of GROUP BY as
//! they are, since the server keeps one copy of the expression. So the literal is known, and goes back to where
//! it was. Found among the tokens of one query level: an item is sought in the select list, in HAVING and in
//! ORDER BY, a parameter matching any literal or parameter.

use std::collections::BTreeMap;
use std::ops::Range;

use super::super::parse::{Lexeme, Token};
use super::number;

/// What the parameters of a text were.
#[derive(Debug, Default)]
pub(super) struct Same {
    /// Every parameter, with the first of those that were the same literal.
    pub(super) first: BTreeMap<u16, u16>,
    /// The literal of such a first one, where the text still has it.
    pub(super) literals: BTreeMap<u16, String>,
}

/// Finds what the parameters of a text were.
pub(super) fn unify(text: &str, tokens: &[Lexeme]) -> Same {
    let first = tokens
        .iter()
        .filter_map(|token| number(text, token))
        .map(|number| (number, number))
        .collect();
    let mut same = Same { first, literals: BTreeMap::new() };
    if same.first.is_empty() {
        return same;
    }
    let level = Levels { text, tokens, depths: depths(tokens) };
    for index in 0..tokens.len() {
        let clause = match (tokens[index].token, tokens.get(index + 1).map(|token| token.token)) {
            (Token::GroupP, Some(Token::By)) => level.clause(index + 2, true),
            (Token::Order, Some(Token::By)) => level.clause(index + 2, false),
            (Token::Distinct, Some(Token::On)) => level.distinct_on(index + 2),
            _ => continue,
        };
        for group in shapes(&level, clause.items) {
            level.pair(&group, &clause.sought_in, &mut same);
        }
    }
    same.settle()
}

impl Same {
    fn first_of(&self, mut number: u16) -> u16 {
        while let Some(&before) = self.first.get(&number).filter(|before| **before != number) {
            number = before;
        }
        number
    }

    /// Makes two parameters one: the smaller is the first.
    fn join(&mut self, one: u16, other: u16) {
        let (one, other) = (self.first_of(one), self.first_of(other));
        self.first.insert(one.max(other), one.min(other));
    }

    /// Ends the chains at the first of each set.
    fn settle(self) -> Self {
        let first = self.first.keys().map(|number| (*number, self.first_of(*number))).collect();
        let literals = self
            .literals
            .iter()
            .map(|(number, text)| (self.first_of(*number), text.clone()))
            .collect();
        Self { first, literals }
    }
}

/// Items of a clause, and where their like is sought.
#[derive(Default)]
struct Clause {
    items: Vec<Range<usize>>,
    sought_in: Vec<Range<usize>>,
}

/// Tokens with their depth in brackets.
struct Levels<'t> {
    text: &'t str,
    tokens: &'t [Lexeme],
    depths: Vec<usize>,
}

/// Depth of each token; brackets themselves are as deep as what is around them.
fn depths(tokens: &[Lexeme]) -> Vec<usize> {
    let mut depth = 0_usize;
    let mut all = Vec::with_capacity(tokens.len());
    for token in tokens {
        if matches!(token.token, Token::Ascii41 | Token::Ascii93) {
            depth = depth.saturating_sub(1);
        }
        all.push(depth);
        if matches!(token.token, Token::Ascii40 | Token::Ascii91) {
            depth += 1;
        }
    }
    all
}

/// Items of the same shape, in order of appearance.
fn shapes(level: &Levels, items: Vec<Range<usize>>) -> Vec<Vec<Range<usize>>> {
    let mut groups: Vec<Vec<Range<usize>>> = Vec::new();
    for item in items {
        let telling = item.clone().any(|at| level.value(at));
        if item.len() < 2 || !telling {
            continue;
        }
        match groups.iter_mut().find(|group| level.alike(&group[0], &item)) {
            Some(group) => group.push(item),
            None => groups.push(vec![item]),
        }
    }
    groups
}

impl Levels<'_> {
    /// A GROUP BY or ORDER BY whose items begin at `start`.
    fn clause(&self, start: usize, grouping: bool) -> Clause {
        let Some(&depth) = self.depths.get(start) else { return Clause::default() };
        let Some(select) = self.select_before(start, depth) else { return Clause::default() };
        let end = self.end(start, depth, ends_clause);
        let mut sought_in = vec![self.select_list(select, depth)];
        if grouping {
            // What follows up to the end of the query: HAVING, windows, ORDER BY.
            sought_in.push(end..self.end(end, depth, ends_query));
        }
        Clause { items: self.items(start..end, depth), sought_in }
    }

    /// `DISTINCT ON (…)` whose parenthesis is at `open`.
    fn distinct_on(&self, open: usize) -> Clause {
        let (Some(&depth), Some(&inner)) = (self.depths.get(open), self.depths.get(open + 1))
        else {
            return Clause::default();
        };
        let Some(select) = self.select_before(open, depth) else { return Clause::default() };
        let close = self.end(open + 1, depth, |token| token == Token::Ascii41);
        let list = self.select_list(select, depth);
        Clause {
            items: self.items(open + 1..close, inner),
            sought_in: std::iter::once(close..list.end).collect(),
        }
    }

    /// The SELECT of the same brackets before a token.
    fn select_before(&self, index: usize, depth: usize) -> Option<usize> {
        let within = (0..index).rev().take_while(|at| self.depths[*at] >= depth);
        within
            .filter(|at| self.depths[*at] == depth)
            .find(|at| self.tokens[*at].token == Token::Select)
    }

    /// The first token from `start` on that ends something at `depth`, or leaves the brackets.
    fn end(&self, start: usize, depth: usize, ends: impl Fn(Token) -> bool) -> usize {
        (start..self.tokens.len())
            .find(|at| {
                self.depths[*at] < depth
                    || self.depths[*at] == depth && ends(self.tokens[*at].token)
            })
            .unwrap_or(self.tokens.len())
    }

    fn select_list(&self, select: usize, depth: usize) -> Range<usize> {
        let mut end = select + 1;
        loop {
            end = self.end(end, depth, |token| token == Token::From || ends_clause(token));
            // `IS DISTINCT FROM` is no end.
            let operator = self.tokens.get(end).is_some_and(|token| token.token == Token::From)
                && self.tokens[end - 1].token == Token::Distinct;
            if !operator {
                return select + 1..end;
            }
            end += 1;
        }
    }

    /// The items of a list, sort directions left out.
    fn items(&self, range: Range<usize>, depth: usize) -> Vec<Range<usize>> {
        let mut items = Vec::new();
        let mut start = range.start;
        for at in range.clone().chain([range.end]) {
            let comma = at == range.end
                || self.depths[at] == depth && self.tokens[at].token == Token::Ascii44;
            if comma {
                let mut end = at;
                while end > start && direction(self.tokens[end - 1].token) {
                    end -= 1;
                }
                items.push(start..end);
                start = at + 1;
            }
        }
        items
    }

    /// Makes the parameters of the items equal to those of their like.
    fn pair(&self, items: &[Range<usize>], sought_in: &[Range<usize>], same: &mut Same) {
        let length = items[0].len();
        for region in sought_in {
            let starts = region.clone().filter(|start| start + length <= region.end);
            let found: Vec<Range<usize>> = starts
                .map(|start| start..start + length)
                .filter(|place| self.alike(&items[0], place))
                .collect();
            for (index, place) in found.into_iter().enumerate() {
                let item = &items[index.min(items.len() - 1)];
                for (one, other) in item.clone().zip(place) {
                    let (one, other) = (&self.tokens[one], &self.tokens[other]);
                    match (number(self.text, one), number(self.text, other)) {
                        (Some(one), Some(other)) => same.join(one, other),
                        (None, Some(number)) => {
                            same.literals.insert(number, self.source(one).to_owned());
                        }
                        (Some(number), None) => {
                            same.literals.insert(number, self.source(other).to_owned());
                        }
                        (None, None) => {}
                    }
                }
            }
        }
    }

    fn alike(&self, one: &Range<usize>, other: &Range<usize>) -> bool {
        one.len() == other.len()
            && one.clone().zip(other.clone()).all(|(one, other)| self.same(one, other))
    }

    fn same(&self, one: usize, other: usize) -> bool {
        let (left, right) = (&self.tokens[one], &self.tokens[other]);
        if left.token == Token::Param && self.value(other)
            || right.token == Token::Param && self.value(one)
        {
            return true;
        }
        if left.token != right.token {
            return false;
        }
        match left.token {
            Token::Ident if !self.source(left).starts_with('"') => {
                self.source(left).eq_ignore_ascii_case(self.source(right))
            }
            _ if left.keyword => true,
            _ => self.source(left) == self.source(right),
        }
    }

    fn source(&self, token: &Lexeme) -> &str {
        self.text.get(token.start..token.end).unwrap_or_default()
    }

    /// Whether the token is a parameter or a literal; the field of an EXTRACT is one too.
    fn value(&self, at: usize) -> bool {
        use Token::{
            Ascii40, Bconst, Extract, FalseP, Fconst, Iconst, NullP, Param, Sconst, TrueP, Usconst,
            Xconst,
        };
        let token = self.tokens[at].token;
        matches!(
            token,
            Param | Sconst | Usconst | Iconst | Fconst | Bconst | Xconst | TrueP | FalseP | NullP
        ) || at >= 2 && self.tokens[at - 1].token == Ascii40 && self.tokens[at - 2].token == Extract
    }
}

fn ends_clause(token: Token) -> bool {
    matches!(token, Token::Having | Token::Window | Token::Order | Token::GroupP)
        || ends_query(token)
}

fn ends_query(token: Token) -> bool {
    matches!(
        token,
        Token::Limit
            | Token::Offset
            | Token::Fetch
            | Token::For
            | Token::Union
            | Token::Intersect
            | Token::Except
            | Token::Ascii59
    )
}

fn direction(token: Token) -> bool {
    matches!(
        token,
        Token::Asc | Token::Desc | Token::NullsP | Token::NullsLa | Token::FirstP | Token::LastP
    )
}
