//! Makes plain text of what was copied from the source of a web page.

use std::borrow::Cow;

/// Elements that hold text, and whether a line ends with them.
const ELEMENTS: [(&str, bool); 22] = [
    ("a", false),
    ("b", false),
    ("body", true),
    ("br", true),
    ("code", false),
    ("div", true),
    ("em", false),
    ("font", false),
    ("html", true),
    ("i", false),
    ("li", true),
    ("p", true),
    ("pre", true),
    ("samp", false),
    ("span", false),
    ("strong", false),
    ("table", true),
    ("tbody", true),
    ("td", false),
    ("th", false),
    ("tr", true),
    ("tt", false),
];

/// The longest tag, in bytes after its name.
const TAG_MAX: usize = 1000;

/// Takes out tags, and resolves the entities of a text in which every `<` is one; none where there is nothing of the kind.
pub(super) fn plain(text: &str) -> Option<String> {
    // A plan in XML is no web page; its own reader resolves its entities.
    if !text.contains(['<', '&']) || text.contains("<explain") {
        return None;
    }
    let bare = text.contains('<').then(|| without_tags(text)).flatten();
    let bare = bare.map_or(Cow::Borrowed(text), Cow::Owned);
    let arrows = bare.contains("-&gt;") && !bare.contains("->");
    let quotes = bare.contains("&quot;Plan&quot;") || bare.contains("&lt;explain");
    if arrows || quotes || (bare.contains('&') && !bare.contains(['<', '>', '"'])) {
        return resolved(&bare).or(match bare {
            Cow::Owned(bare) => Some(bare),
            Cow::Borrowed(_) => None,
        });
    }
    // Where `<` may be an operator, only what encloses lines is surely a tag.
    let tagged = |line: &str| tag(line.trim_start()).is_some() || last_tag(line).is_some();
    text.lines().any(tagged).then(|| {
        text.lines().fold(String::new(), |mut plain, line| {
            let mut rest = line.trim_end();
            while let Some((length, _)) = tag(rest.trim_start()) {
                rest = &rest.trim_start()[length..];
            }
            while let Some(at) = last_tag(rest) {
                rest = rest[..at].trim_end();
            }
            plain.push_str(rest);
            plain.push('\n');
            plain
        })
    })
}

/// Returns the length of the tag at the beginning of a text, and whether a line ends there.
fn tag(text: &str) -> Option<(usize, bool)> {
    let inner = text.strip_prefix('<')?;
    let closes = inner.starts_with('/');
    let inner = inner.trim_start_matches('/');
    let length = inner.bytes().take(12).position(|byte| !byte.is_ascii_alphanumeric())?;
    let name = inner[..length].to_ascii_lowercase();
    let (_, block) = ELEMENTS.iter().find(|(element, _)| *element == name)?;
    // What follows the name of an element: its end, or attributes on the same line.
    let rest = &inner[length..];
    let end = rest.bytes().take(TAG_MAX).position(|byte| matches!(byte, b'>' | b'\n'))?;
    let attributes = rest[..end].strip_prefix(' ').map(str::trim);
    let named = |inside: &str| inside.is_empty() || inside.starts_with('/') || inside.contains('=');
    let is_tag = end == 0 || &rest[..end] == "/" || attributes.is_some_and(named);
    if !is_tag || !rest[end..].starts_with('>') {
        return None;
    }
    let total = text.len() - rest.len() + end + 1;
    Some((total, *block && (closes || name == "br" || name == "pre")))
}

/// Returns where the tag begins with which a line ends.
fn last_tag(line: &str) -> Option<usize> {
    let line = line.trim_end();
    let at = line.strip_suffix('>')?.rfind('<')?;
    tag(&line[at..]).filter(|(length, _)| *length == line.len() - at).map(|_| at)
}

/// Takes out every tag; none where there is none.
fn without_tags(text: &str) -> Option<String> {
    let mut plain = String::new();
    let mut from = 0;
    for (at, _) in text.match_indices('<') {
        if at < from {
            continue;
        }
        let Some((length, ends_line)) = tag(&text[at..]) else { continue };
        plain.push_str(&text[from..at]);
        from = at + length;
        let at_line_start = plain.is_empty() || plain.ends_with('\n');
        if ends_line
            && !at_line_start
            && !text[from..].trim_start_matches([' ', '\r']).starts_with('\n')
        {
            plain.push('\n');
        }
    }
    plain.push_str(&text[from..]);
    (from > 0).then_some(plain)
}

/// Puts characters for their names; none where there is none.
fn resolved(text: &str) -> Option<String> {
    let mut plain = String::new();
    let mut from = 0;
    for (at, _) in text.match_indices('&') {
        let inner = &text[at + 1..];
        let Some(end) = inner.bytes().take(10).position(|byte| byte == b';') else { continue };
        let Some(c) = character(&inner[..end]) else { continue };
        plain.push_str(&text[from..at]);
        plain.push(c);
        from = at + 1 + end + 1;
    }
    plain.push_str(&text[from..]);
    (from > 0).then_some(plain)
}

fn character(name: &str) -> Option<char> {
    Some(match name {
        "lt" => '<',
        "gt" => '>',
        "amp" => '&',
        "quot" => '"',
        "apos" => '\'',
        "nbsp" => ' ',
        _ => {
            let number = name.strip_prefix('#')?;
            let code = match number.strip_prefix(['x', 'X']) {
                Some(hexadecimal) => u32::from_str_radix(hexadecimal, 16).ok()?,
                None => number.parse().ok()?,
            };
            // A space that breaks no line is a space.
            char::from_u32(code).map(|c| if c == '\u{a0}' { ' ' } else { c })?
        }
    })
}
