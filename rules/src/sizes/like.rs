//! `LIKE`.

/// Whether a text matches a pattern of LIKE, `\` being the escape.
pub(super) fn like(text: &str, pattern: &str) -> bool {
    let text: Vec<char> = text.chars().collect();
    // Each step: a certain character, any one (`None`), or (in `gaps`) any number before it.
    let (mut steps, mut gaps) = (Vec::new(), Vec::new());
    let (mut gap, mut characters) = (false, pattern.chars());
    while let Some(character) = characters.next() {
        match character {
            '%' => {
                gap = true;
                continue;
            }
            '_' => steps.push(None),
            '\\' => steps.push(characters.next()),
            other => steps.push(Some(other)),
        }
        gaps.push(std::mem::take(&mut gap));
    }
    // Where the text may stand after the steps so far.
    let mut here = vec![false; text.len() + 1];
    here[0] = true;
    for (step, gap) in steps.iter().zip(gaps) {
        let mut next = vec![false; text.len() + 1];
        let mut reached = false;
        for at in 0..text.len() {
            reached = here[at] || (gap && reached);
            next[at + 1] = reached && step.is_none_or(|wanted| wanted == text[at]);
        }
        here = next;
    }
    if gap { here.contains(&true) } else { here[text.len()] }
}

#[cfg(test)]
mod tests {
    use super::like;

    #[test]
    fn patterns_match_as_in_sql() {
        for (text, pattern) in [
            ("abc", "a%"),
            ("abc", "%b%"),
            ("abc", "a_c"),
            ("", "%"),
            ("a%c", "a\\%c"),
            ("aXbXc", "a%b%c"),
            ("abab", "%ab"),
        ] {
            assert!(like(text, pattern), "{text} {pattern}");
        }
        for (text, pattern) in
            [("abc", "a"), ("abc", "%b"), ("abc", "a\\%"), ("", "_"), ("ab", "a_c%")]
        {
            assert!(!like(text, pattern), "{text} {pattern}");
        }
    }
}
