//! The comment by which our own statements are known in `pg_stat_statements`.

/// The comment that every statement we send carries.
pub const MARKER: &str = "/* pgwright */";

/// The look-ups with which the driver learns about types that it does not know. The driver
/// gives no way to put the marker into them.
const DRIVER_STATEMENTS: [&str; 3] = [
    "SELECT t.typname, t.typtype, t.typelem, r.rngsubtype, t.typbasetype, n.nspname, t.typrelid\n",
    "SELECT enumlabel\nFROM pg_catalog.pg_enum\n",
    "SELECT attname, atttypid\nFROM pg_catalog.pg_attribute\n",
];

/// Returns whether a text of `pg_stat_statements` or `pg_stat_activity` is one of ours.
pub fn is_ours(statement: &str) -> bool {
    statement.contains(MARKER)
        || DRIVER_STATEMENTS.iter().any(|ours| statement.trim_start().starts_with(ours))
}

/// A statement with its marker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Marked {
    pub(super) text: String,
    /// Before which character of the original, counted from 0, the marker stands.
    at: usize,
}

/// How many characters the marker adds.
const ADDED: usize = MARKER.len() + 1;

impl Marked {
    /// Puts the marker behind the first word: there it outlives normalization on every version
    /// (tried on 15 and 18, which drops comments in front of a statement), and is not cut off
    /// with the end of a long text. A statement that does not begin with a word gets it at
    /// the end.
    pub(super) fn new(statement: &str) -> Self {
        let indent = statement.len() - statement.trim_start().len();
        let word = statement[indent..].bytes().take_while(u8::is_ascii_alphabetic).count();
        if word == 0 {
            let body = statement.trim_end_matches(|c: char| c == ';' || c.is_whitespace());
            // On a line of its own: the last line may end in a comment.
            return Self { text: format!("{body}\n{MARKER}"), at: body.chars().count() };
        }
        let (head, tail) = statement.split_at(indent + word);
        Self { text: format!("{head} {MARKER}{tail}"), at: head.chars().count() }
    }

    /// Translates a position in the text that was sent, counted in characters from 1, into one
    /// in the text that the caller gave.
    pub(super) fn original_position(&self, sent: u32) -> u32 {
        let sent = sent as usize;
        let original = if sent > self.at + ADDED { sent - ADDED } else { sent.min(self.at.max(1)) };
        u32::try_from(original).unwrap_or(u32::MAX)
    }
}

/// Marks each statement of a text that holds several. One with quotes in it could hide a
/// semicolon in them, and gets one marker only.
pub(super) fn mark_batch(text: &str) -> String {
    if text.contains(['\'', '"', '$', '-', '/']) {
        return Marked::new(text).text;
    }
    let statements = text.split(';').map(str::trim).filter(|statement| !statement.is_empty());
    statements.map(|statement| Marked::new(statement).text).collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use super::{Marked, is_ours, mark_batch};
    use proptest::prelude::*;

    #[test]
    fn the_marker_stands_behind_the_first_word() {
        let mark = |text: &str| Marked::new(text).text;
        assert_eq!(mark("select 1"), "select /* pgwright */ 1");
        assert_eq!(mark("\n EXPLAIN (FORMAT JSON) x"), "\n EXPLAIN /* pgwright */ (FORMAT JSON) x");
        assert_eq!(mark("(select 1) ; "), "(select 1)\n/* pgwright */");
        assert_eq!(mark("-- why\nselect 1"), "-- why\nselect 1\n/* pgwright */");
        assert_eq!(mark("COMMIT"), "COMMIT /* pgwright */");
        assert_eq!(
            mark_batch("BEGIN; SET LOCAL jit = off;"),
            "BEGIN /* pgwright */; SET /* pgwright */ LOCAL jit = off"
        );
        assert_eq!(mark_batch("SET a = 'x;y'"), "SET /* pgwright */ a = 'x;y'");
    }

    #[test]
    fn ours_are_known_again() {
        assert!(is_ours("select /* pgwright */ $1"));
        assert!(is_ours("SELECT enumlabel\nFROM pg_catalog.pg_enum\nWHERE enumtypid = $1"));
        assert!(!is_ours("SELECT enumlabel FROM my_enum"));
        assert!(!is_ours("select pgwright from t"));
    }

    proptest! {
        #[test]
        fn positions_lead_back_to_the_original(text in "[ (]{0,2}[a-zé]{0,4}[ a-zé0-9(;]{0,12}") {
            let marked = Marked::new(&text);
            prop_assert!(is_ours(&marked.text));
            let original: Vec<char> = text.chars().collect();
            let sent: Vec<char> = marked.text.chars().collect();
            let marker = marked.at..marked.at + super::ADDED;
            for (index, c) in sent.iter().enumerate().filter(|(i, _)| !marker.contains(i)) {
                let position = marked.original_position(u32::try_from(index + 1).unwrap());
                prop_assert_eq!(original[position as usize - 1], *c);
            }
        }
    }
}
