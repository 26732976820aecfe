//! Plans that lost something on the way: their end, their line feeds, their indentation, what stood around them.

use planparse::{Format, ParseError, Plan, Problem, Reading};
use serde_json::{Value, json};

const TEXT: &str = "Nested Loop  (cost=0.29..16.60 rows=1 width=8)
  Join Filter: (a.id = b.id)
  InitPlan 1 (returns $0)
    ->  Aggregate  (cost=1.00..1.01 rows=1 width=8)
          ->  Seq Scan on c  (cost=0.00..0.90 rows=9 width=4)
  ->  Sort  (cost=0.20..8.30 rows=1 width=4)
        Sort Key: a.id
        ->  Seq Scan on a  (cost=0.00..8.10 rows=1 width=4)
              Filter: (note = 'Sort Key: -> x'::text)
  ->  Seq Scan on b  (cost=0.00..8.10 rows=1 width=4)
        Filter: (id = $0)
Planning Time: 0.100 ms
";

fn plan_of(reading: &Reading) -> &Plan {
    assert_eq!(reading.plans.len(), 1, "{reading:#?}");
    &reading.plans[0].plan
}

fn read(text: &str) -> Reading {
    planparse::read(text).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

/// A plan in JSON, three operators deep.
fn nodes() -> Value {
    let node = |name: &str, plans: Value| json!({"Node Type": name, "Startup Cost": 0.5, "Total Cost": 1.5, "Plan Rows": 3, "Plan Width": 4, "Plans": plans});
    let mut leaf = node("Seq Scan", json!([]));
    leaf["Relation Name"] = json!("orders");
    leaf["Parent Relationship"] = json!("Outer");
    let mut middle = node("Sort", json!([leaf]));
    middle["Parent Relationship"] = json!("Outer");
    node("Limit", json!([middle]))
}

#[test]
fn a_plan_that_breaks_off_is_read_as_far_as_it_goes() {
    let json = r#"[
  {
    "Plan": {
      "Node Type": "Limit",
      "Plan Width": 4,
      "Plans": [
        {
          "Node Type": "Sort",
          "Parent Relationship": "Outer",
          "Plan Width": 4,
          "Plans": [
            {
              "Node Type": "Seq Scan",
              "Total Co"#;
    let xml = "<explain xmlns=\"http://www.postgresql.org/2009/explain\">\n<Query>\n<Plan>\n<Node-Type>Limit</Node-Type>\n<Plan-Width>4</Plan-Width>\n<Plans>\n<Plan>\n<Node-Type>Sort</Node-Type>\n<Parent-Relationship>Outer</Parent-Relationship>\n<Plan-Width>4</Plan-Width>\n<Plans>\n<Plan>\n<Node-Type>Seq Scan</Node-";
    let yaml = "- Plan: \n    Node Type: \"Limit\"\n    Plan Width: 4\n    Plans: \n      - Node Type: \"Sort\"\n        Parent Relationship: \"Outer\"\n        Plan Width: 4\n        Plans: \n          - Node Type: \"Seq Scan\"\n            Parent Rela";
    let text = "Limit  (cost=0.50..1.50 rows=3 width=4)\n  ->  Sort  (cost=0.50..1.50 rows=3 width=4)\n        Sort Key: x\n        ->  Seq Scan on orders  (cost=0.50..1";
    for cut in [json, xml, yaml, text] {
        let last = cut.lines().count();
        for around in [cut.to_owned(), format!("Why?\n{cut}")] {
            let reading = read(&around);
            assert_eq!(plan_of(&reading).shape(), "Limit(Sort)", "{around}");
            let [Problem::BreaksOff { line: at, .. }] = reading.plans[0].problems.as_slice() else {
                panic!("{:?}\n{around}", reading.plans[0].problems)
            };
            let expected = last + usize::from(around.len() > cut.len());
            assert_eq!(*at, expected, "{around}");
        }
        // Whole ones stand before and after it.
        if cut != text {
            let reading = read(&format!("{TEXT}\n{cut}\n... [truncated]\n\n{TEXT}"));
            let shapes: Vec<String> =
                reading.plans.iter().map(|parsed| parsed.plan.shape()).collect();
            assert_eq!(shapes.len(), 3, "{shapes:?}\n{cut}");
            assert_eq!(shapes[1], "Limit(Sort)", "{cut}");
        }
    }
}

#[test]
fn half_an_operator_says_nothing() {
    let json = "[{\"Plan\": {\"Node Type\": \"Limit\", \"Plan Rows\": 1";
    let xml = "<explain><Query><Plan><Node-Type>Limit</Node-Type>";
    for cut in [json, xml] {
        let error = planparse::read(cut).expect_err("no operator is complete");
        assert!(matches!(error, ParseError::Syntax { .. } | ParseError::Broken { .. }), "{error}");
    }
    let two = format!("[{{\"Plan\": {}}}, {{\"Plan\": {{\"Node Type\": \"Li", nodes());
    let reading = read(&two);
    assert_eq!((reading.plans.len(), reading.notes.len()), (1, 1), "{reading:?}");
}

#[test]
fn a_node_without_plan_around_it() {
    let whole = plan_of(&read(&json!([{"Plan": nodes()}]).to_string())).clone();
    // `jsonb` puts short keys first, and so the inputs before the type.
    let stored = r#"{"Plans": [{"Plans": [{"Node Type": "Seq Scan", "Plan Rows": 3, "Plan Width": 4, "Total Cost": 1.5,
        "Startup Cost": 0.5, "Relation Name": "orders", "Parent Relationship": "Outer"}], "Node Type": "Sort", "Plan Rows": 3,
        "Plan Width": 4, "Total Cost": 1.5, "Startup Cost": 0.5, "Parent Relationship": "Outer"}], "Node Type": "Limit",
        "Plan Rows": 3, "Plan Width": 4, "Total Cost": 1.5, "Startup Cost": 0.5}"#;
    let yaml = "Node Type: \"Limit\"\nStartup Cost: 0.50\nTotal Cost: 1.50\nPlan Rows: 3\nPlan Width: 4\nPlans: \n  - Node Type: \"Sort\"\n    Parent Relationship: \"Outer\"\n    Startup Cost: 0.50\n    Total Cost: 1.50\n    Plan Rows: 3\n    Plan Width: 4\n    Plans: \n      - Node Type: \"Seq Scan\"\n        Parent Relationship: \"Outer\"\n        Relation Name: \"orders\"\n        Startup Cost: 0.50\n        Total Cost: 1.50\n        Plan Rows: 3\n        Plan Width: 4\n";
    let figures = "<Startup-Cost>0.5</Startup-Cost><Total-Cost>1.5</Total-Cost><Plan-Rows>3</Plan-Rows><Plan-Width>4</Plan-Width>";
    let xml = format!(
        "<Plan>\n<Node-Type>Limit</Node-Type>{figures}<Plans>\n<Plan><Node-Type>Sort</Node-Type><Parent-Relationship>Outer</Parent-Relationship>{figures}<Plans>\n<Plan><Node-Type>Seq Scan</Node-Type><Parent-Relationship>Outer</Parent-Relationship><Relation-Name>orders</Relation-Name>{figures}</Plan>\n</Plans></Plan>\n</Plans></Plan>\n"
    );
    let object = nodes().to_string();
    let array = json!([nodes()]).to_string();
    let pretty = serde_json::to_string_pretty(&nodes()).expect("JSON");
    for text in
        [&object, &array, &pretty, stored, yaml, &xml, &format!("Here:\n{pretty}\nThanks\n")]
    {
        let reading = read(text);
        assert!(*plan_of(&reading) == whole, "{text}");
        assert!(
            matches!(reading.plans[0].problems.as_slice(), [Problem::BareNode { .. }]),
            "{text}"
        );
    }
    let two = read(&json!([nodes(), nodes()]).to_string());
    assert_eq!(two.plans.len(), 2);
}

#[test]
fn a_plan_within_a_text_within_json() {
    let plan = json!([{"Plan": nodes()}]);
    let whole = plan_of(&read(&plan.to_string())).clone();
    let text = plan.to_string();
    let pretty = serde_json::to_string_pretty(&plan).expect("JSON");
    let quoted = json!(pretty).to_string();
    let cases = [
        json!(text).to_string(),
        quoted.clone(),
        json!(quoted).to_string(),
        json!([text]).to_string(),
        json!({"QUERY PLAN": text}).to_string(),
        json!({"QUERY PLAN": plan}).to_string(),
        json!([{"QUERY PLAN": pretty}]).to_string(),
        json!({"id": 7, "rows": [[pretty]]}).to_string(),
        format!("level=info msg=slow plan={quoted} took=3s"),
        format!("plan = {}", text.replace('"', "\\\"")),
    ];
    for case in cases {
        assert!(*plan_of(&read(&case)) == whole, "{case}");
    }
    let whole = plan_of(&read(TEXT)).clone();
    let lines: Vec<&str> = TEXT.lines().collect();
    let rows: Vec<[&str; 1]> = TEXT.lines().map(|line| [line]).collect();
    for case in [
        json!(lines).to_string(),
        json!({"rows": rows}).to_string(),
        json!({"plan": TEXT}).to_string(),
        format!("explain={} took=3", json!(TEXT)),
        TEXT.replace('\n', "\\n"),
    ] {
        assert!(*plan_of(&read(&case)) == whole, "{case}");
    }
}

#[test]
fn lines_that_were_joined_or_lost_their_indentation() {
    let whole = plan_of(&read(TEXT)).clone();
    let foreign = TEXT.replace("note", "größe").replace('\n', " ");
    assert_eq!(plan_of(&read(&foreign)).shape(), whole.shape());
    for joined in [
        TEXT.replace('\n', "\r"),
        TEXT.replace('\n', "\u{2028}"),
        TEXT.replace('\n', " "),
        TEXT.replace('\n', ""),
    ] {
        let reading = read(&joined);
        assert!(*plan_of(&reading) == whole, "{joined}");
        assert_eq!(reading.notes, [], "{joined}");
    }
    let collapsed = TEXT.split_whitespace().collect::<Vec<_>>().join(" ");
    let flat = TEXT.lines().map(str::trim).collect::<Vec<_>>().join("\n");
    for lost in [collapsed, flat] {
        let reading = read(&lost);
        assert!(*plan_of(&reading) == whole, "{lost}");
        assert!(reading.notes[0].message.contains("indentation"), "{:?}", reading.notes);
    }
}

#[test]
fn numbers_and_letters_that_cannot_be_held() {
    let json = r#"[{"Plan": {"Node Type": "Result", "Total Cost": 1e309, "Plan Rows": 99999999999999999999999}}]"#;
    let reading = read(json);
    let told: Vec<String> = reading.plans[0].problems.iter().map(ToString::to_string).collect();
    assert_eq!(
        told,
        ["operator 0: the value of `Total Cost` is not a finite number, kept as it is"]
    );

    let latin: Vec<u8> = TEXT.replace("note", "gr\u{f6}\u{df}e").chars().map(|c| c as u8).collect();
    let reading = planparse::read(&latin).expect("a plan");
    assert_eq!(reading.plans.len(), 1);
    assert_eq!(reading.notes[0].line, 9);
    assert!(reading.notes[0].message.contains("UTF-8"), "{:?}", reading.notes);

    let whole = plan_of(&read(TEXT)).clone();
    let little = || TEXT.encode_utf16().flat_map(u16::to_le_bytes);
    let big = || TEXT.encode_utf16().flat_map(u16::to_be_bytes);
    let marked = |mark: [u8; 2], units: Vec<u8>| mark.into_iter().chain(units).collect::<Vec<u8>>();
    for bytes in [
        marked([0xff, 0xfe], little().collect()),
        marked([0xfe, 0xff], big().collect()),
        little().collect(),
        big().collect(),
    ] {
        let reading = planparse::read(bytes).expect("a plan");
        assert!((plan_of(&reading), reading.notes.len()) == (&whole, 0));
    }
}

#[test]
fn prose_with_brackets_is_no_plan() {
    for prose in [
        "Any ideas? Sort is slow (cost=lots).",
        "Sort (cost=high)",
        "The planner takes a Seq Scan (cost=1.00..2.00) here.",
        "Hash Join (actual problem) is bad",
    ] {
        let error = planparse::read(prose).expect_err(prose);
        assert!(matches!(error, ParseError::NoPlan { .. }), "{error}");
        assert_eq!(
            plan_of(&read(&format!("{TEXT}\n{prose}\n"))).shape(),
            plan_of(&read(TEXT)).shape()
        );
    }
}

#[test]
fn web_pages_and_xml_keep_their_entities_apart() {
    let whole = plan_of(&read(TEXT)).clone();
    let escaped = TEXT.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    let pages = [
        format!("<pre>{escaped}</pre>"),
        format!(
            "<html><body><p>Slow:</p><pre class=\"x\"><code>{escaped}</code></pre></body></html>"
        ),
        escaped
            .lines()
            .fold(String::new(), |page, line| page + "<br>" + &line.replace(' ', "&nbsp;")),
        escaped
            .lines()
            .fold(String::new(), |page, line| page + &line.replace(' ', "&#160;") + "<br />\n"),
        format!("<pre>{TEXT}</pre>"),
        escaped,
    ];
    for page in pages {
        let reading = read(&page);
        assert!(*plan_of(&reading) == whole, "{page}");
        assert_eq!(reading.plans[0].problems, [], "{page}");
    }
    let xml = "<explain xmlns=\"http://www.postgresql.org/2009/explain\">\n  <Query>\n    <Plan>\n      <Node-Type>Seq Scan</Node-Type>\n      <Filter>((data -&gt;&gt; 'k'::text) = '&lt;b&gt;'::text AND a &lt; 5)</Filter>\n    </Plan>\n  </Query>\n</explain>\n";
    let page = xml.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    for xml in [xml.to_owned(), format!("<pre>\n{page}</pre>")] {
        let reading = read(&xml);
        let plan = plan_of(&reading);
        assert_eq!(reading.plans[0].format, Format::Xml);
        let filter = plan.operator(plan.root()).filter.as_deref();
        assert_eq!(filter, Some("((data ->> 'k'::text) = '<b>'::text AND a < 5)"), "{xml}");
        assert_eq!((reading.plans[0].problems.len(), reading.notes.len()), (0, 0), "{xml}");
    }
}

#[test]
fn long_lines_of_one_thing_take_no_longer_than_their_length() {
    let figures = "Seq Scan on a  (cost=0.00..1.00 rows=1 width=4)";
    for (start, scrap) in [
        (format!("{figures} -> {figures} "), "CTE "),
        (format!("{figures} -> {figures} "), "-> A "),
        ("<pre>".to_owned(), "<a "),
        ("<br>\n".to_owned(), "&"),
        (format!("{figures}\n"), "(cost="),
        ("LOG:  duration: 1 ms  plan:\nQuery Text: a\n".to_owned(), "a: "),
        ("LOG:  duration: 1 ms  plan:\nQuery Text: a\n".to_owned(), "a: 1\n"),
        ("[{\"Plan\": {\"Node Type\": \"x\"}}, ".to_owned(), "{\"a\": "),
        ("\\n  -> \"".to_owned(), "\\\""),
        ("\"a(cost=\n".to_owned(), "\"\"\n"),
        ("QUERY PLAN\n".to_owned(), "a.\n.b.\n"),
    ] {
        let text = start + &scrap.repeat(2_000_000 / scrap.len());
        // Whatever comes of it, it comes soon: a test that hangs is one that fails.
        let plans = planparse::read(&text).map_or(0, |reading| reading.plans.len());
        assert!(plans <= 3, "{plans} plans of {scrap}");
    }
}
