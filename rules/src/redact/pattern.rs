//! Patterns, which must match the replacements of what they matched.

/// What a pattern asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Pattern {
    /// Texts equal to this.
    Equal(String),
    /// Texts that begin with this.
    Begins(String),
    /// Texts that match, and begin with this.
    Matches(String),
}

/// What the pattern of an operator (without its negation) asks for; `None` where it is beyond us.
pub(super) fn read(operator: &str, pattern: &str) -> Option<Pattern> {
    match operator {
        "^@" => Some(Pattern::Begins(pattern.to_owned())),
        "~~*" => Some(Pattern::Matches(String::new())),
        "~~" => Some(like(pattern)),
        "~" | "~*" => {
            let inner = pattern.strip_prefix('^').unwrap_or(pattern);
            let plain =
                |c: char| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_' | '@' | '/' | ':');
            if inner.is_empty() || !inner.chars().all(plain) {
                return None;
            }
            let begins = operator == "~" && inner.len() < pattern.len();
            Some(if begins {
                Pattern::Begins(inner.to_owned())
            } else {
                Pattern::Matches(String::new())
            })
        }
        _ => None,
    }
}

fn like(pattern: &str) -> Pattern {
    let mut fixed = String::new();
    let mut chars = pattern.chars();
    while let Some(c) = chars.next() {
        match c {
            '%' if chars.as_str().chars().all(|c| c == '%') => return Pattern::Begins(fixed),
            '%' | '_' => return Pattern::Matches(fixed),
            '\\' => fixed.extend(chars.next()),
            other => fixed.push(other),
        }
    }
    Pattern::Equal(fixed)
}

/// The pattern of an operator that asks for texts with this beginning and, if any, this mark in them.
pub(super) fn written(operator: &str, beginning: &str, mark: Option<&str>) -> String {
    match operator {
        "^@" => beginning.to_owned(),
        "~" | "~*" if mark.is_none() => format!("^{beginning}"),
        "~" | "~*" => mark.unwrap_or_default().to_owned(),
        _ => {
            let escaped: String = beginning
                .chars()
                .flat_map(|c| matches!(c, '%' | '_' | '\\').then_some('\\').into_iter().chain([c]))
                .collect();
            format!("{escaped}%{}", mark.map_or(String::new(), |mark| format!("{mark}%")))
        }
    }
}

/// Whether a text matches the pattern of an operator.
pub(super) fn matches(operator: &str, pattern: &str, text: &str) -> bool {
    let chars = |text: &str| text.chars().collect::<Vec<char>>();
    let lower = |text: &str| text.to_lowercase();
    match operator {
        "^@" => text.starts_with(pattern),
        "~~" => like_matches(&chars(pattern), &chars(text)),
        "~~*" => like_matches(&chars(&lower(pattern)), &chars(&lower(text))),
        "~" | "~*" => {
            let (pattern, text) = if operator == "~*" {
                (lower(pattern), lower(text))
            } else {
                (pattern.to_owned(), text.to_owned())
            };
            match pattern.strip_prefix('^') {
                Some(beginning) => text.starts_with(beginning),
                None => text.contains(&pattern),
            }
        }
        _ => false,
    }
}

/// LIKE, without recursion: on a mismatch it goes on behind the last `%`.
fn like_matches(pattern: &[char], text: &[char]) -> bool {
    let (mut at, mut here) = (0, 0);
    let mut last: Option<(usize, usize)> = None;
    while here < text.len() {
        let escaped = pattern.get(at) == Some(&'\\') && at + 1 < pattern.len();
        let wanted = pattern.get(at + usize::from(escaped));
        if !escaped && wanted == Some(&'%') {
            last = Some((at + 1, here));
            at += 1;
        } else if wanted.is_some_and(|c| (!escaped && *c == '_') || *c == text[here]) {
            at += 1 + usize::from(escaped);
            here += 1;
        } else if let Some((behind, from)) = last {
            last = Some((behind, from + 1));
            (at, here) = (behind, from + 1);
        } else {
            return false;
        }
    }
    pattern[at..].iter().all(|c| *c == '%')
}

#[cfg(test)]
mod tests {
    use super::{Pattern, matches, read, written};

    #[test]
    fn patterns_are_read() {
        let text = |text: &str| text.to_owned();
        assert_eq!(read("~~", "abc%"), Some(Pattern::Begins(text("abc"))));
        assert_eq!(read("~~", "a\\%c"), Some(Pattern::Equal(text("a%c"))));
        assert_eq!(read("~~", "ab_c%"), Some(Pattern::Matches(text("ab"))));
        assert_eq!(read("~~", "%c"), Some(Pattern::Matches(text(""))));
        assert_eq!(read("~", "^ab"), Some(Pattern::Begins(text("ab"))));
        assert_eq!(read("~", "a.*b"), None);
        assert_eq!(read("@@", "a"), None);
    }

    #[test]
    fn texts_match_as_the_server_says() {
        for (operator, pattern, text, expected) in [
            ("~~", "a%c", "abc", true),
            ("~~", "a%c", "abcd", false),
            ("~~", "%b%b%", "abcb", true),
            ("~~", "a_c", "abc", true),
            ("~~", "a\\_c", "abc", false),
            ("~~", "", "", true),
            ("~~", "%", "", true),
            ("~~*", "%FOO%", "a foo b", true),
            ("~*", "FOO", "a foo b", true),
            ("~", "^foo", "a foo", false),
            ("^@", "a%", "a%b", true),
        ] {
            assert_eq!(matches(operator, pattern, text), expected, "{pattern} {text}");
        }
    }

    #[test]
    fn patterns_are_written() {
        assert_eq!(written("~~", "a_b", None), "a\\_b%");
        assert_eq!(written("~~", "bj", Some("9001")), "bj%9001%");
        assert_eq!(written("~", "bj", None), "^bj");
        assert_eq!(written("~*", "", Some("9001")), "9001");
    }
}
