//! `pgwright explain` of what is no plan.

use std::fmt::Write as _;

use super::{USAGE, behaves, cli_with, fails, fails_with};

const PLAN: &str = r#"[{"Plan": {"Node Type": "Seq Scan", "Relation Name": "orders", "Startup Cost": 0.0,
    "Total Cost": 35.5, "Plan Rows": 2550, "Plan Width": 4, "Filter": "(customer = 5)"}}]"#;

const TEXT: &str =
    "Seq Scan on orders  (cost=0.00..35.50 rows=2550 width=4)\n  Filter: (customer = 5)\n";

/// Gives `explain` this input, by stdin.
fn explain(input: &str) -> crate::harness::Output {
    cli_with(&["explain", "-"], &[], input)
}

#[test]
fn what_is_no_plan_is_told_by_kind_with_what_to_give() {
    let json = "EXPLAIN (FORMAT JSON)";
    let any = "the unchanged output of EXPLAIN";
    for (input, words) in [
        ("", &["the plan text is empty", "EXPLAIN"][..]),
        (" \n\t", &["the plan text is empty", "EXPLAIN"]),
        ("hello", &["begins with `hello`", any]),
        ("null", &["begins with `null`", any]),
        ("[]", &["begins with `[]`", any]),
        ("{}", &["an empty object", "`Plan`", json]),
        (r#"{"rows": 1}"#, &["`rows`", "`Plan`", json]),
        (r#"[{"Plan": {}}]"#, &["without a `Node Type`", any]),
        (r#"[{"Plan": 7}]"#, &["`Plan`", json]),
        (&PLAN[..20], &["`Node Type`", any]),
        (
            "<explain xmlns=\"http://www.postgresql.org/2009/explain\">",
            &["in XML that cannot be read", any],
        ),
        ("\u{1b}]0;owned\u{7} \0 \u{fffd}", &["begins with", any]),
    ] {
        fails_with(&explain(input), USAGE, &[&["`-` gives no plan"][..], words].concat());
    }
}

#[test]
fn of_a_plan_that_was_cut_off_what_is_there_is_shown_with_a_note() {
    let output = explain(&PLAN[..120]);
    assert_eq!(output.status, Some(0), "{}", output.stderr);
    assert!(output.stdout.contains("Seq Scan on orders"), "{}", output.stdout);
    let said = format!("{}{}", output.stdout, output.stderr);
    assert!(said.contains("line 2"), "{said}");
}

#[test]
fn a_plan_is_read_however_it_was_printed_or_cut_out() {
    // As psql frames it: lines are filled up to the widest, and all but the last end with a plus sign.
    let lines = PLAN.replace(", ", ",\n");
    let wide = lines.lines().map(str::len).max().unwrap();
    let filled: Vec<String> = lines.lines().map(|line| format!(" {line:<wide$}")).collect();
    let rule = "-".repeat(wide + 2);
    let quoted = format!("{:^wide$}\n{rule}\n{}\n(1 row)\n", "QUERY PLAN", filled.join("+\n"));
    let yaml = "- Plan: \n    Node Type: \"Seq Scan\"\n    Relation Name: \"orders\"\n";
    for input in [PLAN, &PLAN[..PLAN.len() - 1], &quoted, TEXT, yaml] {
        let output = explain(input);
        behaves(&output);
        assert_eq!(output.status, Some(0), "{input}\n{}", output.stderr);
        assert!(output.stdout.contains("Seq Scan on orders"), "{input}\n{}", output.stdout);
    }
}

#[test]
fn what_cannot_be_read_is_named_with_its_reason() {
    let folder = tempfile::tempdir().unwrap();
    for (path, reason) in [
        (folder.path().to_str().unwrap(), "directory"),
        ("/nowhere/plan.json", "No such file"),
        ("/dev/zero", "more than 256 MiB"),
    ] {
        fails(&["explain", path], USAGE, &[&format!("cannot read the plan `{path}`"), reason]);
    }
    // All byte values, of which most are no UTF-8.
    let garbage: Vec<u8> =
        (0..100_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    let path = folder.path().join("garbage");
    std::fs::write(&path, garbage).unwrap();
    fails(
        &["explain", path.to_str().unwrap()],
        USAGE,
        &["gives no plan", "found no plan in this text"],
    );
}

#[test]
fn brackets_without_end_are_given_up_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("brackets.json");
    for (piece, times) in
        [("[", 100_000_000), (r#"{"a":"#, 20_000_000), (r#"[{"QUERY PLAN":"#, 6_000_000)]
    {
        std::fs::write(&path, piece.repeat(times)).unwrap();
        fails(&["explain", path.to_str().unwrap()], USAGE, &["nested more than 100 levels deep"]);
    }
}

#[test]
fn a_plan_of_many_levels_and_odd_names_is_drawn() {
    let deep = 20_000;
    let open = r#"{"Node Type": "Append", "Plans": ["#.repeat(deep);
    let output =
        explain(&format!(r#"[{{"Plan": {open}{{"Node Type": "Result"}}{}}}]"#, "]}".repeat(deep)));
    behaves(&output);
    assert_eq!(output.status, Some(0), "{}", output.stderr);

    let mut odd = PLAN.replace("orders", r"or\u001b[31mders\n\u0007\u202e😀");
    write!(odd, "{}", " ".repeat(1000)).unwrap();
    let output = explain(&odd);
    behaves(&output);
    assert_eq!(output.status, Some(0), "{}", output.stderr);
    assert!(output.stdout.contains("[31mders"), "{}", output.stdout);
    assert!(!output.stdout.contains('\u{202e}'), "text that runs backwards: {}", output.stdout);
}
