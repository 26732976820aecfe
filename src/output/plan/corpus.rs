//! Every plan of the corpus that other people wrote, through every form.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use quick_xml::events::Event;

use super::{Sheets, diff, html, human, json, markdown, side_by_side, svg};
use crate::text;

/// The corpus lies beside the repository or where `PGWRIGHT_CORPUS` says.
fn corpus() -> Option<PathBuf> {
    let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/corpora/plans");
    let folder = std::env::var_os("PGWRIGHT_CORPUS").map_or_else(beside, PathBuf::from);
    if folder.is_dir() {
        return Some(folder);
    }
    let place = folder.display();
    assert!(std::env::var_os("CI").is_none(), "CI is set, but there is no corpus at {place}");
    // Straight to stderr: the test harness would swallow what a passing test prints.
    let message = format!("SKIPPED: there is no corpus of plans at {place}; set PGWRIGHT_CORPUS\n");
    std::io::stderr().write_all(message.as_bytes()).unwrap();
    None
}

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { files(&path, found) } else { found.push(path) }
    }
}

/// Every element is closed, every attribute quoted, every character one that XML knows.
fn is_well_formed(name: &str, text: &str) {
    let mut reader = quick_xml::Reader::from_str(text);
    let mut open: usize = 0;
    loop {
        match reader.read_event().unwrap_or_else(|error| panic!("{name}: {error}")) {
            Event::Start(start) => {
                open += 1;
                start.attributes().for_each(|attribute| drop(attribute.unwrap()));
            }
            Event::Empty(start) => {
                start.attributes().for_each(|attribute| drop(attribute.unwrap()))
            }
            Event::End(_) => open -= 1,
            Event::Eof => break,
            _ => {}
        }
    }
    assert_eq!(open, 0, "{name}");
    let bad = |c: char| c != '\n' && c != '\t' && text::unprintable(c);
    assert!(!text.chars().any(bad), "{name} holds control characters");
}

fn draw(name: &str, sheets: &Sheets<'_>) {
    let page = anstream::adapter::strip_str(&human::render(sheets, 100, Some(120))).to_string();
    assert!(!page.chars().any(|c| c != '\n' && text::unprintable(c)), "{name}");
    assert!(page.lines().all(|line| !line.contains("NaN")), "{name}: {page}");
    human::render(sheets, 100, None);
    let value: serde_json::Value = serde_json::from_str(&json::render(sheets)).unwrap();
    assert_eq!(value["plans"].as_array().unwrap().len(), sheets.sheets.len(), "{name}");
    assert!(markdown::render(sheets).starts_with("## "), "{name}");
    let picture = svg::render(sheets);
    is_well_formed(name, &picture);
    let operators: usize = sheets.sheets.iter().map(|sheet| sheet.rows.len()).sum();
    assert_eq!(picture.matches("class=\"back\"").count(), operators, "{name}");
    is_well_formed(name, html::render(sheets).trim_start_matches("<!DOCTYPE html>\n"));
}

#[test]
fn every_plan_of_the_corpus_is_drawn_in_every_form() {
    let Some(folder) = corpus() else { return };
    let mut paths = Vec::new();
    files(&folder, &mut paths);
    paths.sort();
    let (mut drawn, mut last) = (0, None);
    for path in &paths {
        let name = path.display().to_string();
        let Ok(reading) = planparse::read(std::fs::read(path).unwrap()) else { continue };
        let sheets = Sheets::of(&reading.plans, &reading.notes);
        draw(&name, &sheets);
        drawn += sheets.sheets.len();
        // Neighbours in the list are mostly of one statement on two versions.
        let first = reading.plans[0].clone();
        if let Some(last) = last.replace(first) {
            let pair = [diff::Comparison::of(&last, &reading.plans[0])];
            diff::human(&pair, 100);
            is_well_formed(&name, &side_by_side::picture(&pair));
            diff::markdown(&pair);
            serde_json::from_str::<serde_json::Value>(&diff::wire(&pair)).unwrap();
        }
    }
    assert!(drawn > 0, "no plan in {}", folder.display());
}
