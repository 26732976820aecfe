//! `pgwright explain`: its forms, several plans, comparisons, and what it refuses.

use std::path::Path;

use serde_json::Value;

use crate::harness::{Output, cli, cli_with};

const SCAN: &str = r#"[{"Plan": {"Node Type": "Seq Scan", "Relation Name": "orders", "Alias": "o", "Total Cost": 20000.0,
  "Plan Rows": 10, "Plan Width": 40, "Actual Startup Time": 0.1, "Actual Total Time": 95.0, "Actual Rows": 10,
  "Actual Loops": 1, "Filter": "(customer = 7)", "Rows Removed by Filter": 999990}, "Execution Time": 96.0}]"#;

const INDEXED: &str = r#"[{"Plan": {"Node Type": "Index Scan", "Relation Name": "orders", "Alias": "o", "Index Name": "orders_customer",
  "Total Cost": 8.4, "Plan Rows": 10, "Plan Width": 40, "Actual Startup Time": 0.01, "Actual Total Time": 0.03, "Actual Rows": 10,
  "Actual Loops": 1, "Index Cond": "(customer = 7)"}, "Execution Time": 0.05}]"#;

fn succeeds(output: Output) -> String {
    assert_eq!((output.status, output.stderr.as_str()), (Some(0), ""), "{}", output.stdout);
    output.stdout
}

fn explained(input: &str, format: &str) -> String {
    succeeds(cli_with(&["explain", "-", "--format", format], &[], input))
}

#[track_caller]
fn refused(args: &[&str], words: &[&str]) {
    let output = cli(args);
    assert_eq!((output.status, output.stdout.as_str()), (Some(2), ""), "{}", output.stderr);
    for word in words {
        assert!(output.stderr.contains(word), "`{word}` is not in: {}", output.stderr);
    }
}

fn write(folder: &Path, name: &str, text: &str) -> String {
    let path = folder.join(name);
    std::fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn the_reason_why_it_is_slow_is_told_in_every_form() {
    for format in ["human", "markdown", "svg", "html"] {
        let out = explained(SCAN, format);
        for words in
            ["discarding scan", "99 % of the time", "Seq Scan on orders o", "Create an index"]
        {
            assert!(out.contains(words), "{format} lacks `{words}`: {out}");
        }
        assert!(!out.contains('\u{1b}'), "{format} has colours without a terminal");
    }
    let value: Value = serde_json::from_str(&explained(SCAN, "json")).unwrap();
    let finding = &value["plans"][0]["findings"][0];
    assert_eq!((&value["format"], &finding["pattern"]), (&1.into(), &"discarding_scan".into()));
    assert_eq!((&finding["operator"], &finding["stake"]["ms"]), (&0.into(), &95.0.into()));
    for key in ["what", "why", "advice"] {
        assert!(finding[key].as_str().is_some_and(|text| text.ends_with('.')), "{finding}");
    }
}

#[test]
fn a_plan_that_was_not_run_is_judged_by_its_cost() {
    let text =
        "Seq Scan on orders o  (cost=0.00..20000.00 rows=10 width=40)\n  Filter: (customer = 7)\n";
    let out = explained(text, "human");
    for words in ["not run: estimates only", "100 % of the cost", "own cost"] {
        assert!(out.contains(words), "no `{words}` in: {out}");
    }
}

#[test]
fn several_plans_of_one_file_are_told_apart() {
    let both = format!("{SCAN}\n{INDEXED}");
    let out = explained(&both, "human");
    assert!(out.contains("Plan 1 of 2, from line 1") && out.contains("Plan 2 of 2"), "{out}");
    assert_eq!(out.matches("Nothing found").count(), 1, "{out}");
    let svg = explained(&both, "svg");
    assert!(svg.contains("plan-2-operator-0") && svg.matches("<svg").count() == 1);
}

#[test]
fn two_plans_are_compared() {
    let folder = tempfile::tempdir().unwrap();
    let old = write(folder.path(), "old.json", SCAN);
    let new = write(folder.path(), "new.json", INDEXED);
    let out = succeeds(cli(&["explain", "--diff", &old, &new]));
    for words in [
        "another plan",
        "96 ms → 0.050 ms",
        "Index Scan using orders_customer on orders o",
        "mended",
    ] {
        assert!(out.contains(words), "no `{words}` in: {out}");
    }
    let same = succeeds(cli(&["explain", "--diff", &old, &old]));
    assert!(same.contains("only figures changed") && !same.contains('→'), "{same}");
    let value: Value = serde_json::from_str(&succeeds(cli(&[
        "explain", "--diff", &old, &new, "--format", "json",
    ])))
    .unwrap();
    assert_eq!(
        (&value["format"], &value["diffs"][0]["scans"][0]["alias"]),
        (&1.into(), &"o".into())
    );
    assert_eq!(value["diffs"][0]["total"]["old"]["ms"], 96.0);

    let several = write(folder.path(), "several.json", &format!("{SCAN}{INDEXED}"));
    refused(&["explain", "--diff", &old, &several], &["1 plan", "holds", "in their order"]);
    for format in ["svg", "html"] {
        let drawn = succeeds(cli(&["explain", "--diff", &old, &new, "--format", format]));
        for words in ["Index Scan using orders_customer", "Seq Scan on orders o", "row changed"] {
            assert!(drawn.contains(words), "{format} lacks `{words}`: {drawn}");
        }
    }
    refused(&["explain", "--diff", "-", "-"], &["stdin cannot be read twice"]);
    refused(&["explain", "--diff", &old, "/nowhere"], &["cannot read the plan `/nowhere`"]);
    refused(&["explain", "--diff", &old], &["2 values required"]);
    refused(&["explain", "--diff", &old, &new, "--", &old], &["cannot be used with"]);
}

#[test]
fn the_result_goes_to_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let plan = write(folder.path(), "plan.json", SCAN);
    let page = folder.path().join("plan.html");
    let out =
        succeeds(cli(&["explain", &plan, "--format", "html", "--output", page.to_str().unwrap()]));
    assert_eq!(out, "");
    assert!(std::fs::read_to_string(&page).unwrap().starts_with("<!DOCTYPE html>"));
    refused(
        &["explain", &plan, "--output", "/nowhere/plan.html"],
        &["cannot write `/nowhere/plan.html`"],
    );
}

#[test]
fn what_is_missing_or_wrong_is_told() {
    refused(&["explain"], &["required", "<FILE|->"]);
    refused(&["explain", "-", "--format", "pdf"], &["invalid value 'pdf'", "svg"]);
    refused(&["explain", "-"], &["`-` gives no plan"]);
}
