//! Array literals.

/// The elements of an array as PostgreSQL prints it, those of nested arrays one after the other; NULL elements are
/// `None`. `None` when it is no array literal.
pub(super) fn elements(literal: &str) -> Option<Vec<Option<String>>> {
    // Bounds other than 1 are printed before the braces.
    let literal = if literal.starts_with('[') { literal.split_once('=')?.1 } else { literal };
    if !(literal.starts_with('{') && literal.ends_with('}')) {
        return None;
    }
    let mut found = Vec::new();
    let (mut word, mut begun, mut quoted) = (String::new(), false, false);
    let mut characters = literal.chars();
    while let Some(character) = characters.next() {
        match character {
            '"' => {
                (begun, quoted) = (true, true);
                loop {
                    match characters.next()? {
                        '"' => break,
                        '\\' => word.push(characters.next()?),
                        other => word.push(other),
                    }
                }
            }
            ',' | '}' => {
                if begun {
                    let word = std::mem::take(&mut word);
                    found.push((quoted || !word.eq_ignore_ascii_case("null")).then_some(word));
                }
                (begun, quoted) = (false, false);
            }
            '{' => {}
            '\\' => word.push(characters.next()?),
            other => {
                begun = true;
                word.push(other);
            }
        }
    }
    Some(found)
}

#[cfg(test)]
mod tests {
    use super::elements;

    #[test]
    fn literals_are_taken_apart() {
        let texts = |list: &[&str]| {
            Some(list.iter().map(|text| Some((*text).to_owned())).collect::<Vec<_>>())
        };
        assert_eq!(elements("{1,2,3}"), texts(&["1", "2", "3"]));
        assert_eq!(elements("{}"), texts(&[]));
        assert_eq!(elements(r#"{"a,b","say \"x\"",c d}"#), texts(&["a,b", "say \"x\"", "c d"]));
        assert_eq!(elements("[0:1]={5,6}"), texts(&["5", "6"]));
        assert_eq!(elements("{{1,2},{3,4}}"), texts(&["1", "2", "3", "4"]));
        assert_eq!(elements(r#"{NULL,"NULL"}"#), Some(vec![None, Some("NULL".to_owned())]));
        assert_eq!((elements("x"), elements("{\"a}")), (None, None));
    }
}
