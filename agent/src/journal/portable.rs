//! Texts as every server can store them. A database whose encoding is not UTF-8 refuses a character that its encoding
//! lacks (`untranslatable_character`, 22P05), and a row that cannot be written must not be what stops an action.

use serde_json::Value;

/// Our own sentences without the typographic characters that few encodings have. Names are not changed: they come from
/// the server, which has them.
pub(super) fn text(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\u{2026}' => plain.push_str("..."),
            '\u{2010}'..='\u{2015}' | '\u{2212}' => plain.push('-'),
            '\u{2018}' | '\u{2019}' => plain.push('\''),
            '\u{201c}'..='\u{201e}' => plain.push('"'),
            '\u{2192}' => plain.push_str("->"),
            '\u{2264}' => plain.push_str("<="),
            '\u{2265}' => plain.push_str(">="),
            '\u{d7}' => plain.push('x'),
            '\u{b5}' | '\u{3bc}' => plain.push('u'),
            '\u{a0}' | '\u{2000}'..='\u{200a}' | '\u{202f}' => plain.push(' '),
            other => plain.push(other),
        }
    }
    plain
}

/// The same of every text in a value.
pub(super) fn json(value: Value) -> Value {
    match value {
        Value::String(string) => Value::String(text(&string)),
        Value::Array(values) => values.into_iter().map(json).collect(),
        Value::Object(fields) => {
            fields.into_iter().map(|(name, value)| (name, json(value))).collect()
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    #[test]
    fn our_punctuation_becomes_plain_and_names_stay() {
        assert_eq!(
            super::text("ORDER BY … LIMIT – 2 × “größe” → 3"),
            "ORDER BY ... LIMIT - 2 x \"größe\" -> 3"
        );
        assert_eq!(
            super::json(json!({"a": ["…", 1], "b": null})),
            json!({"a": ["...", 1], "b": null})
        );
    }
}
