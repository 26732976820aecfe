//! Which columns a printed condition compares, and how: as far as EXPLAIN's own form of it tells.

use crate::display::shown;

/// Longer conditions are not looked into: the work grows with the square of their parentheses.
const LONGEST: usize = 10_000;

/// How a column is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Test {
    /// With one value or a list: a B-tree goes on with the next key after it.
    Equal,
    /// With a bound: it is the last key that narrows a B-tree.
    Range,
    /// With a pattern that begins with a letter (`LIKE 'abc%'`).
    Prefix,
    /// With a pattern of any kind: a trigram index.
    Pattern,
    /// With anything else, which a B-tree does not serve.
    Other,
}

/// One column or expression of the table, and how it is compared with what is no column of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Comparison {
    /// As it is written in an index: an expression in parentheses, a column by its name alone.
    pub(super) key: String,
    /// Whether it is a column, and no expression.
    pub(super) column: bool,
    pub(super) test: Test,
}

/// Returns what the parts of a condition compare that are joined by AND; parts of another form are left out.
///
/// `alias` is the table's name within the statement: what bears another name is taken for a value.
pub(super) fn comparisons(condition: &str, alias: Option<&str>) -> Vec<Comparison> {
    let mut found: Vec<Comparison> = Vec::new();
    if condition.len() > LONGEST {
        return found;
    }
    for part in parts(condition, " AND ") {
        if let Some(comparison) = comparison(part, alias).filter(|it| !found.contains(it)) {
            found.push(comparison);
        }
    }
    found
}

/// The parts of a condition that are joined by a word (` AND `, ` OR `); the condition itself where it is not there.
pub(super) fn parts<'a>(condition: &'a str, word: &str) -> Vec<&'a str> {
    if condition.len() > LONGEST {
        return vec![condition];
    }
    let whole = unwrapped(condition);
    let mut parts = Vec::new();
    let mut from = 0;
    for (at, _) in top_level(whole) {
        if at >= from && whole[at..].starts_with(word) {
            parts.push(whole[from..at].trim());
            from = at + word.len();
        }
    }
    parts.push(whole[from..].trim());
    parts
}

/// The keys of a B-tree index that serves the comparisons, those for equality first and one with a bound last, such as
/// `customer, placed`; none where no comparison takes such an index.
pub(super) fn index_keys(comparisons: &[Comparison]) -> Option<String> {
    let of = |test| comparisons.iter().filter(move |it| it.test == test).map(|it| it.key.as_str());
    let mut keys: Vec<&str> = of(Test::Equal).collect();
    for key in of(Test::Range) {
        if !keys.contains(&key) {
            keys.push(key);
            break;
        }
    }
    (!keys.is_empty()).then(|| shown(&keys.join(", ")))
}

fn comparison(part: &str, alias: Option<&str>) -> Option<Comparison> {
    let part = unwrapped(part);
    let of = |side: &str, test| {
        let side = uncast(side);
        let column = column(side, alias);
        let key = column.map_or_else(|| expression(side, alias), |name| Some(name.to_owned()))?;
        Some(Comparison { key, column: column.is_some(), test })
    };
    for (suffix, test) in [(" IS NULL", Test::Equal), (" IS NOT NULL", Test::Other)] {
        if let Some(side) = part.strip_suffix(suffix) {
            return of(side, test);
        }
    }
    if let Some(flag) = part.strip_prefix("NOT ") {
        return column(uncast(flag), alias).and_then(|_| of(flag, Test::Equal));
    }
    let Some((at, operator)) = operator(part) else {
        // A column of type boolean by itself.
        return column(part, alias).and_then(|_| of(part, Test::Equal));
    };
    let (left, right) = (part[..at].trim(), part[at + operator.len()..].trim());
    let reads = |side: &str| column(uncast(side), alias).is_some();
    match (reads(left) || expression(uncast(left), alias).is_some(), reads(right)) {
        (true, false) => of(left, test(operator, right)),
        (false, true) => of(right, test(turned(operator), left)),
        _ => None,
    }
}

fn test(operator: &str, value: &str) -> Test {
    let listed = value.starts_with("ALL (") || (value.starts_with("ANY (") && operator != "=");
    match operator {
        _ if listed => Test::Other,
        "=" => Test::Equal,
        "<" | "<=" | ">" | ">=" => Test::Range,
        "~~" | "^@" if !value.starts_with("'%") && !value.starts_with("'_") => Test::Prefix,
        "~~" | "~~*" | "~" | "~*" => Test::Pattern,
        _ => Test::Other,
    }
}

/// The operator that says the same with its sides exchanged.
fn turned(operator: &str) -> &str {
    match operator {
        "<" => ">",
        "<=" => ">=",
        ">" => "<",
        ">=" => "<=",
        "=" => "=",
        _ => "<>",
    }
}

/// The first operator outside of all parentheses and quotes, between spaces.
fn operator(part: &str) -> Option<(usize, &str)> {
    let is_operator = |c: char| "+-*/<>=~!@#%^&|`?".contains(c);
    for (at, c) in top_level(part) {
        if c == ' ' {
            let word = part[at + 1..].split(' ').next().unwrap_or_default();
            if !word.is_empty() && word.chars().all(is_operator) {
                return Some((at + 1, word));
            }
        }
    }
    None
}

/// A column of the table, by the name that it has within the text: `name`, `alias.name`, `"Name"`.
fn column<'a>(text: &'a str, alias: Option<&str>) -> Option<&'a str> {
    let (first, rest) = identifier(text)?;
    match rest.strip_prefix('.') {
        None if rest.is_empty() => Some(first),
        Some(rest) => {
            let (second, rest) = identifier(rest)?;
            let own =
                alias.is_none_or(|alias| first.trim_matches('"').replace("\"\"", "\"") == alias);
            (rest.is_empty() && own).then_some(second)
        }
        None => None,
    }
}

/// An identifier as `quote_ident()` writes it, and what follows.
fn identifier(text: &str) -> Option<(&str, &str)> {
    let end = if text.starts_with('"') {
        let mut end = None;
        let mut quotes = text.char_indices().skip(1).peekable();
        while let Some((at, c)) = quotes.next() {
            if c != '"' {
                continue;
            }
            if quotes.next_if(|(_, next)| *next == '"').is_none() {
                end = Some(at + 1);
                break;
            }
        }
        end?
    } else {
        let within = |c: char| {
            c == '_'
                || c == '$'
                || c.is_ascii_digit()
                || (c.is_alphabetic() && !c.is_ascii_uppercase())
        };
        text.find(|c: char| !within(c)).unwrap_or(text.len())
    };
    let name = &text[..end];
    let value = name.is_empty()
        || name.starts_with(|c: char| c.is_ascii_digit() || c == '$')
        || matches!(name, "true" | "false" | "null");
    (!value).then(|| (name, &text[end..]))
}

/// A call of a function on columns, such as `lower(name)`, as an index takes it; none where it reads no column, another
/// table's, or a subquery's result.
fn expression(text: &str, alias: Option<&str>) -> Option<String> {
    let (_, arguments) = identifier(text)?;
    let inner = arguments.strip_prefix('(')?.strip_suffix(')')?;
    let called = matched(arguments) == Some(arguments.len() - 1);
    let volatile = ["SubPlan ", "InitPlan ", "$", "now()", "random()"];
    if !called || volatile.iter().any(|word| text.contains(word)) {
        return None;
    }
    let argument = inner.split(", ").next().unwrap_or_default();
    column(uncast(argument), alias)?;
    // An index names columns without their table.
    let plain =
        alias.map_or_else(|| text.to_owned(), |alias| text.replace(&format!("{alias}."), ""));
    Some(format!("({plain})"))
}

/// Without a cast: `status` of `(status)::text`, and without parentheses.
fn uncast(text: &str) -> &str {
    let text = unwrapped(text);
    match top_level(text).filter(|(at, _)| text[*at..].starts_with("::")).last() {
        Some((at, _)) => uncast(&text[..at]),
        None => text,
    }
}

/// Without the parentheses around the whole.
fn unwrapped(text: &str) -> &str {
    let mut text = text.trim();
    while text.starts_with('(') && matched(text) == Some(text.len() - 1) {
        text = text[1..text.len() - 1].trim();
    }
    text
}

/// Where the parenthesis with which a text begins is closed.
fn matched(text: &str) -> Option<usize> {
    let closes = |(at, depth, c): &(usize, usize, char)| *at > 0 && *depth == 0 && *c == ')';
    depths(text).find(closes).map(|(at, ..)| at)
}

/// The letters outside of all parentheses, brackets and quotes, with their places.
fn top_level(text: &str) -> impl Iterator<Item = (usize, char)> {
    depths(text).filter(|(_, depth, c)| *depth == 0 && *c != ')').map(|(at, _, c)| (at, c))
}

/// Each letter outside of quotes with its place and the parentheses around it; a parenthesis that closes has left.
fn depths(text: &str) -> impl Iterator<Item = (usize, usize, char)> {
    let mut depth: usize = 0;
    let mut quote: Option<char> = None;
    text.char_indices().filter_map(move |(at, c)| {
        if let Some(open) = quote {
            // A doubled quote closes and opens again.
            quote = quote.filter(|_| c != open);
            return None;
        }
        match c {
            '\'' | '"' => quote = Some(c),
            '(' | '[' => depth += 1,
            ')' | ']' => depth = depth.saturating_sub(1),
            _ => {}
        }
        Some((at, depth, c))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(condition: &str) -> Option<String> {
        index_keys(&comparisons(condition, Some("o")))
    }

    #[test]
    fn columns_are_named_equalities_first() {
        let cases = [
            ("(customer = 7)", Some("customer")),
            ("((placed > '2026-01-01'::date) AND (o.customer = 7))", Some("customer, placed")),
            ("((status)::text = ANY ('{open,new}'::text[]))", Some("status")),
            (
                "((o.a = 1) AND (o.b IS NULL) AND (NOT o.done) AND o.\"Paid Up\")",
                Some("a, b, done, \"Paid Up\""),
            ),
            ("(lower(o.name) = 'x and (y'::text)", Some("(lower(name))")),
            ("(('now'::text)::date < o.placed)", Some("placed")),
            ("(o.customer = c.id)", Some("customer")),
            ("((note <> 'x AND y'::text) AND (o.a <> 1))", None),
            ("(o.a = o.b)", None),
            ("((a = 1) OR (b = 2))", None),
            ("(NOT (hashed SubPlan 1))", None),
            ("(total > $0)", Some("total")),
            ("(id > (InitPlan 1).col1)", Some("id")),
            ("('it''s'::text = o.name)", Some("name")),
            ("", None),
            ("((((", None),
            ("('", None),
        ];
        for (condition, expected) in cases {
            assert_eq!(keys(condition).as_deref(), expected, "{condition}");
        }
    }

    #[test]
    fn patterns_and_branches() {
        let test = |condition| comparisons(condition, None).first().map(|it| it.test);
        assert_eq!(test("(name ~~ 'ab%'::text)"), Some(Test::Prefix));
        assert_eq!(test("(name ~~ '%ab'::text)"), Some(Test::Pattern));
        assert_eq!(test("(name ~* 'ab'::text)"), Some(Test::Pattern));
        assert_eq!(parts("((a = 1) OR (b = 'x OR y'))", " OR "), ["(a = 1)", "(b = 'x OR y')"]);
        assert_eq!(parts("(a = 1)", " OR ").len(), 1);
    }
}
