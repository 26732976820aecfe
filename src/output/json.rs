//! `--format json`: the report as it is, versioned; with `--apply` the outcomes under `applied`.

use std::fmt::Write as _;

use serde::Serialize;

use super::{Applied, Document, Format};
use crate::text;

/// One JSON object and a line break.
pub(crate) struct Json;

#[derive(Serialize)]
struct Wire<'a> {
    #[serde(flatten)]
    report: &'a rules::report::Report,
    #[serde(skip_serializing_if = "Option::is_none")]
    applied: Option<&'a Applied>,
}

impl Format for Json {
    fn render(&self, document: &Document<'_>) -> String {
        pretty(&Wire { report: document.report, applied: document.applied })
    }
}

/// A value as indented JSON with a line break at its end. Characters that a terminal could obey are written
/// as `\u009b`, which every reader takes for the same text.
pub(crate) fn pretty(value: &impl Serialize) -> String {
    let json =
        serde_json::to_string_pretty(value).expect("the report holds nothing that JSON cannot");
    let mut out = String::with_capacity(json.len() + 1);
    for c in json.chars() {
        if c != '\n' && text::unprintable(c) {
            // All of them are in the basic plane, so that four digits hold them.
            let _ = write!(out, "\\u{:04x}", u32::from(c));
        } else {
            out.push(c);
        }
    }
    out.push('\n');
    out
}

#[cfg(test)]
mod tests {
    use rules::report::Report;

    use super::Json;
    use crate::output::{Document, Format as _, fixture};

    #[test]
    fn the_json_is_the_report_and_reads_back() {
        let report = fixture::report();
        let json = Json.render(&Document::of(&report));
        assert!(json.starts_with("{\n  \"format\": 1,\n  \"server\": {") && json.ends_with("}\n"));
        assert_eq!(serde_json::from_str::<Report>(&json).unwrap(), report);
        assert!(!json.contains("applied"));
        assert_eq!(json, Json.render(&Document::of(&report)));
    }

    #[test]
    fn outcomes_stand_under_applied() {
        let report = fixture::report();
        let applied = fixture::applied();
        let json = Json.render(&Document { applied: Some(&applied), ..Document::of(&report) });
        let value: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!(value["applied"]["run"], "67e55044-10b1-426f-9247-bb680e5fe0c8");
        assert_eq!(value["applied"]["outcomes"][0]["log_id"], 12);
        assert_eq!(value["applied"]["outcomes"][1]["result"], "failed");
        assert_eq!(value["format"], 1);
    }

    #[test]
    fn foreign_text_is_escaped_and_unchanged() {
        let mut report = fixture::report();
        report.statements[0].text = "SELECT '\u{1b}[2J\u{9b}\u{202e}'\n".into();
        let json = Json.render(&Document::of(&report));
        assert!(!json.chars().any(|c| c != '\n' && crate::text::unprintable(c)));
        assert_eq!(serde_json::from_str::<Report>(&json).unwrap(), report);
    }
}
