//! The names of schemas and tables that a person gives: which tables they mean, and what is likely meant where none.

use rules::quote::ident;
use rules::snapshot::Table;

use super::SampleOptions;

/// Names that are offered for one that is not there.
const OFFERED: usize = 3;

/// Returns what was named and is not there, one sentence each: a typo in `--exclude-table` would take away a
/// protection unseen.
pub fn unknown(tables: &[Table], options: &SampleOptions) -> Vec<String> {
    let mut unknown = Vec::new();
    for given in &options.schemas {
        if !tables.iter().any(|table| is_schema(table, given)) {
            let known = tables.iter().map(|table| ident(&table.schema));
            let near = near(given, known);
            unknown.push(format!("--schema {given}: there is no table in such a schema{near}"));
        }
    }
    for given in &options.exclude_tables {
        if !tables.iter().any(|table| is_table(table, given)) {
            let short = tables.iter().map(|table| ident(&table.name));
            let near = near(given, tables.iter().map(Table::qualified).chain(short));
            unknown.push(format!("--exclude-table {given}: there is no such table{near}"));
        }
    }
    unknown
}

/// Whether a table is in the schema that was named.
pub(super) fn is_schema(table: &Table, given: &str) -> bool {
    given == table.schema || parts(given).is_some_and(|parts| parts == [table.schema.as_str()])
}

/// Whether a table is the one that was named: as SQL, where upper case counts as lower unless it is quoted, or just as
/// it is stored.
pub(super) fn is_table(table: &Table, given: &str) -> bool {
    let (schema, name) = (table.schema.as_str(), table.name.as_str());
    let as_sql = parts(given).is_some_and(|parts| parts == [name] || parts == [schema, name]);
    as_sql || given == name || given == format!("{schema}.{name}")
}

/// The parts of a name as the server reads it; `None` where a quote is left open or stands within a word.
fn parts(given: &str) -> Option<Vec<String>> {
    let (mut parts, mut rest) = (Vec::new(), given);
    loop {
        if let Some(quoted) = rest.strip_prefix('"') {
            let (mut part, mut chars) = (String::new(), quoted.char_indices().peekable());
            let end = loop {
                match chars.next()? {
                    (_, '"') if chars.peek().is_some_and(|(_, next)| *next == '"') => {
                        chars.next();
                        part.push('"');
                    }
                    (at, '"') => break at + 1,
                    (_, c) => part.push(c),
                }
            };
            parts.push(part);
            rest = &quoted[end..];
        } else {
            let end = rest.find(['.', '"']).unwrap_or(rest.len());
            parts.push(rest[..end].to_ascii_lowercase());
            rest = &rest[end..];
        }
        match rest.strip_prefix('.') {
            Some(next) => rest = next,
            None => return rest.is_empty().then_some(parts),
        }
    }
}

/// `; did you mean …?`, with the names that differ in case or in a letter or two.
fn near(given: &str, known: impl Iterator<Item = String>) -> String {
    let plain = |name: &str| name.replace('"', "").to_lowercase();
    let wanted = plain(given);
    let most = wanted.chars().count().min(8) / 4;
    let mut close: Vec<(usize, String)> = known
        .map(|name| (distance(&wanted, &plain(&name)), name))
        .filter(|(distance, _)| *distance <= most)
        .collect();
    close.sort();
    close.dedup();
    let names: Vec<&str> = close.iter().take(OFFERED).map(|(_, name)| name.as_str()).collect();
    if names.is_empty() { String::new() } else { format!("; did you mean {}?", names.join(" or ")) }
}

/// Letters to be put in, taken out or replaced to get from one to the other (Levenshtein, 1965).
fn distance(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (at, a) in from.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], at + 1);
        for (column, b) in to.iter().enumerate() {
            let replaced = diagonal + usize::from(a != *b);
            diagonal = row[column + 1];
            row[column + 1] = replaced.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[to.len()]
}

#[cfg(test)]
mod tests {
    use super::{distance, near, parts};

    #[test]
    fn names_are_read_as_in_sql() {
        let read = |given: &str| parts(given).map(|parts| parts.join("|"));
        assert_eq!(read("Users").as_deref(), Some("users"));
        assert_eq!(read("App.\"User.s\"").as_deref(), Some("app|User.s"));
        assert_eq!(read("\"a\"\"b\"").as_deref(), Some("a\"b"));
        for wrong in ["\"open", "a\"b\"", "\"a\"b"] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn close_names_are_offered() {
        let known =
            || ["public.small", "small", "\"Small\"", "large"].map(str::to_owned).into_iter();
        assert_eq!(near("smal", known()), "; did you mean \"Small\" or small?");
        assert_eq!(near("public.smal", known()), "; did you mean public.small?");
        assert_eq!(near("x", known()), "");
        assert_eq!(distance("kitten", "sitting"), 3);
    }
}
