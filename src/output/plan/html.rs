//! `--format html`: a page to open and share, with the picture, the findings and all conditions; no script, nothing fetched.

use std::fmt::Write as _;

use super::xml::escaped;
use super::{Sheet, Sheets, svg, weight, words};
use crate::text;

const STYLE: &str = "\
body{font:15px/1.5 system-ui,sans-serif;margin:1.5rem;color:#1f2328;background:#fff}\
h1{font-size:1.3rem}h2{font-size:1.1rem}pre,code{font:13px/1.45 ui-monospace,SFMono-Regular,Menlo,Consolas,monospace}\
pre{background:#818b9822;padding:.7rem;border-radius:6px;overflow:auto;white-space:pre-wrap}\
.beside{margin:.2rem 0;overflow-wrap:anywhere}.picture{overflow-x:auto;border:1px solid #818b9855;border-radius:6px;margin:1rem 0}\
ol li{margin:.6rem 0;max-width:75rem}.advice{color:#1a7f37}.faint{color:#6e7781}a{color:#0969da}\
dt{margin-top:.6rem;font-family:ui-monospace,monospace}dd{color:#6e7781;font-family:ui-monospace,monospace;overflow-wrap:anywhere}\
:target rect.back{fill:#0969da;fill-opacity:.2}\
@media (prefers-color-scheme:dark){body{color:#e6edf3;background:#0d1117}.advice{color:#3fb950}a{color:#58a6ff}}";

/// The whole page.
pub(crate) fn render(sheets: &Sheets<'_>) -> String {
    let mut out = String::new();
    for (position, sheet) in sheets.sheets.iter().enumerate() {
        let title = sheets.title(position).unwrap_or_else(|| "Plan".to_owned());
        let _ = writeln!(out, "<h1>{title}</h1>");
        plan(&mut out, sheet, position);
    }
    for note in sheets.notes {
        let _ = writeln!(
            out,
            "<p class=\"faint\">note: {}</p>",
            escaped(&text::line(&note.to_string()))
        );
    }
    whole("Plan", &out)
}

/// A page with this body.
pub(super) fn whole(title: &str, body: &str) -> String {
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\"/>\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\"/>\n\
         <meta name=\"viewport\" content=\"width=device-width\"/>\n<title>{title}</title>\n\
         <style>{STYLE}{}</style>\n</head>\n<body>\n{body}</body>\n</html>\n",
        svg::STYLE
    )
}

fn plan(out: &mut String, sheet: &Sheet<'_>, position: usize) {
    if let Some(statement) = &sheet.plan().query_text {
        let _ = writeln!(out, "<pre>{}</pre>", escaped(statement.trim()));
    }
    let _ = writeln!(out, "<p>{}</p>", escaped(&sheet.facts().join(" · ")));
    if let Some(dearest) = sheet.dearest() {
        let _ = writeln!(out, "<p>{}</p>", escaped(&dearest));
    }
    if sheet.findings.is_empty() {
        let _ = writeln!(out, "<p class=\"faint\">{}</p>", sheet.nothing_found());
    } else {
        findings(out, sheet, position);
    }
    let _ = write!(out, "<div class=\"picture\">\n{}</div>\n", svg::picture(sheet, position));
    for line in sheet.beside() {
        let _ = writeln!(out, "<p class=\"beside\">{}</p>", escaped(&line));
    }
    let _ = writeln!(out, "<details><summary>All operators with their conditions</summary>\n<dl>");
    for row in &sheet.rows {
        let _ = writeln!(out, "<dt>{}. {}</dt>", row.id.index(), escaped(&row.name));
        for detail in &row.details {
            let _ = writeln!(out, "<dd>{}</dd>", escaped(detail));
        }
    }
    out.push_str("</dl></details>\n");
    for problem in sheet.problems() {
        let _ = writeln!(out, "<p class=\"faint\">note: {}</p>", escaped(&problem));
    }
}

fn findings(out: &mut String, sheet: &Sheet<'_>, position: usize) {
    out.push_str("<h2>Findings</h2>\n<ol>\n");
    for finding in &sheet.findings {
        let name = escaped(&words(finding.pattern));
        let name = match finding.operator {
            Some(id) => format!("<a href=\"#{}\">{name}</a>", svg::anchor(position, id.index())),
            None => name,
        };
        let _ = writeln!(
            out,
            "<li><b>{name}</b>, {}: {} {} <span class=\"advice\">{}</span></li>",
            weight(finding),
            escaped(&text::line(&finding.what)),
            escaped(&text::line(&finding.why)),
            with_code(&text::line(&finding.advice)),
        );
    }
    out.push_str("</ol>\n");
}

/// Text in which only `code` is markup.
fn with_code(text: &str) -> String {
    let pieces: Vec<String> = text.split('`').map(escaped).collect();
    if pieces.len().is_multiple_of(2) {
        return escaped(text);
    }
    let piece = |(place, piece): (usize, &String)| {
        if place % 2 == 1 { format!("<code>{piece}</code>") } else { piece.clone() }
    };
    pieces.iter().enumerate().map(piece).collect()
}

#[cfg(test)]
mod tests {
    use super::super::{Sheets, testing};

    #[test]
    fn all_text_is_escaped_and_nothing_runs_or_is_fetched() {
        let reading = testing::hostile();
        let html = super::render(&Sheets::of(&reading.plans, &reading.notes));
        for words in [
            "<a href=\"#plan-1-operator-1\">discarding scan</a>",
            "&lt;img src=x",
            "&lt;/script&gt;",
            "<svg ",
        ] {
            assert!(html.contains(words), "no {words} in\n{html}");
        }
        for words in ["<img", "<script", "</script>", "\u{1b}", "src=\"", "\u{202e}"] {
            assert!(!html.contains(words), "{words:?} in\n{html}");
        }
        assert_eq!(html.matches("href=").count(), html.matches("href=\"#plan-").count());
    }

    #[test]
    fn code_is_the_only_markup_of_advice() {
        assert_eq!(super::with_code("run `SET a<b` & go"), "run <code>SET a&lt;b</code> &amp; go");
        assert_eq!(super::with_code("one ` <b>"), "one ` &lt;b&gt;");
    }
}
