//! Arrays, ranges and documents taken apart, and put together again with other values in them.

use serde_json::{Map, Value};

/// The elements of an array literal, `None` for NULL; `None` when it is no array of one dimension.
pub(super) fn elements(literal: &str) -> Option<Vec<Option<String>>> {
    let inner = literal.trim().strip_prefix('{')?.strip_suffix('}')?;
    let mut found = Vec::new();
    let mut chars = inner.chars().peekable();
    if inner.is_empty() {
        return Some(found);
    }
    loop {
        let mut element = String::new();
        let quoted = chars.peek() == Some(&'"');
        if quoted {
            chars.next();
            loop {
                match chars.next()? {
                    '"' => break,
                    '\\' => element.push(chars.next()?),
                    other => element.push(other),
                }
            }
        } else {
            while let Some(c) = chars.next_if(|c| *c != ',') {
                match c {
                    '\\' => element.push(chars.next()?),
                    '{' | '}' | '"' => return None,
                    other => element.push(other),
                }
            }
        }
        let null = !quoted && element.eq_ignore_ascii_case("null");
        found.push((!null).then_some(element));
        match chars.next() {
            None => return Some(found),
            Some(',') => {}
            Some(_) => return None,
        }
    }
}

/// An array literal.
pub(super) fn array(elements: &[Option<String>]) -> String {
    let shown = |element: &Option<String>| match element {
        None => "NULL".to_owned(),
        Some(text) => quoted(text),
    };
    format!("{{{}}}", elements.iter().map(shown).collect::<Vec<_>>().join(","))
}

/// An element or bound, quoted where it needs it.
fn quoted(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '+');
    if !text.is_empty() && text.chars().all(plain) && !text.eq_ignore_ascii_case("null") {
        return text.to_owned();
    }
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

/// A range or multirange literal with other bounds; `None` when it is none, or a bound cannot be replaced.
pub(super) fn range(
    literal: &str,
    replace: &mut dyn FnMut(&str) -> Option<String>,
) -> Option<String> {
    let mut written = String::new();
    let mut bound: Option<(String, bool)> = None;
    let mut chars = literal.chars();
    if literal == "empty" || literal == "{}" {
        return Some(literal.to_owned());
    }
    while let Some(c) = chars.next() {
        match (c, &mut bound) {
            ('[' | '(', None) => {
                written.push(c);
                bound = Some((String::new(), false));
            }
            ('{' | '}' | ',' | ' ', None) => written.push(c),
            (_, None) => return None,
            (',' | ']' | ')', Some((text, quotes))) => {
                if !text.is_empty() || *quotes {
                    written.push_str(&quoted(&replace(text)?));
                }
                written.push(c);
                bound = (c == ',').then(|| (String::new(), false));
            }
            ('"', Some((text, quotes))) => {
                *quotes = true;
                loop {
                    match chars.next()? {
                        '"' => break,
                        '\\' => text.push(chars.next()?),
                        other => text.push(other),
                    }
                }
            }
            (_, Some((text, _))) => text.push(c),
        }
    }
    bound.is_none().then_some(written)
}

/// What stands in a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part<'d> {
    /// A key of an object.
    Key(&'d str),
    /// A scalar as `->>` prints it; `null` and booleans are not asked for.
    Scalar(&'d str),
}

/// A document with other keys and scalars; `None` when one cannot be replaced.
pub(super) fn document(
    value: &Value,
    replace: &mut dyn FnMut(Part) -> Option<String>,
) -> Option<Value> {
    Some(match value {
        Value::Null | Value::Bool(_) => value.clone(),
        Value::String(text) => Value::String(replace(Part::Scalar(text))?),
        Value::Number(number) => {
            let text = replace(Part::Scalar(&number.to_string()))?;
            serde_json::from_str(&text).ok().filter(Value::is_number)?
        }
        Value::Array(list) => Value::Array(
            list.iter().map(|element| document(element, replace)).collect::<Option<_>>()?,
        ),
        Value::Object(object) => {
            let mut replaced = Map::new();
            for (key, inner) in object {
                replaced.insert(replace(Part::Key(key))?, document(inner, replace)?);
            }
            Value::Object(replaced)
        }
    })
}

#[cfg(test)]
mod tests {
    use super::{array, document, elements, range};

    #[test]
    fn arrays_are_read_and_written() {
        for literal in ["{}", "{1,2}", r#"{"a b",NULL,"NULL","","c\"d\\e","{1,2}"}"#] {
            assert_eq!(array(&elements(literal).unwrap()), literal);
        }
        assert_eq!(elements("{a\\,b,c}").unwrap().len(), 2);
        for literal in ["", "1", "{{1},{2}}", "{\"open}", "{a}b}", "{\"a\"b}"] {
            assert_eq!(elements(literal), None, "{literal}");
        }
    }

    #[test]
    fn ranges_are_replaced_by_bounds() {
        let mut upper = |text: &str| Some(text.to_uppercase());
        for (from, to) in [
            ("[a,b)", "[A,B)"),
            ("(,b]", "(,B]"),
            ("empty", "empty"),
            ("[\"a b\",\"c,d\")", "[\"A B\",\"C,D\")"),
            ("{[a,b), [c,d)}", "{[A,B), [C,D)}"),
        ] {
            assert_eq!(range(from, &mut upper).as_deref(), Some(to), "{from}");
        }
        assert_eq!(range("a,b", &mut upper), None);
        assert_eq!(range("[a,b", &mut upper), None);
        assert_eq!(range("[a,b)", &mut |_| None), None);
    }

    #[test]
    fn documents_keep_their_shape() {
        let given = serde_json::json!({"a": [1, "x", null, true], "b": {"c": 2.5}});
        let mut asked = Vec::new();
        let same = document(&given, &mut |part| {
            asked.push(format!("{part:?}"));
            Some(match part {
                super::Part::Key(text) | super::Part::Scalar(text) => text.to_owned(),
            })
        });
        assert_eq!(same.as_ref(), Some(&given));
        assert_eq!(asked.len(), 6, "{asked:?}");
    }
}
