//! Plans of `auto_explain` in logs, whatever writes the log and carries it: each entry gives its own plan.

use std::fmt::Write as _;

use planparse::{Format, Reading};

/// Messages as `auto_explain` writes them, each with its duration and its statement.
const ENTRIES: [(&str, f64, &str); 3] = [
    (
        "duration: 1.5 ms  plan:\nQuery Text: select *\n  from a\n where x = 1\nSeq Scan on a  (cost=0.00..7.36 rows=1 width=10) (actual time=0.028..1.400 rows=0 loops=1)\n  Filter: (x = 1)\n  Rows Removed by Filter: 3",
        1.5,
        "select *\n  from a\n where x = 1",
    ),
    (
        "duration: 2.5 ms  plan:\nQuery Text: select * from b\nSort  (cost=0.00..7.36 rows=1 width=10)\n  Sort Key: y\n  ->  Seq Scan on b  (cost=0.00..7.36 rows=1 width=10)",
        2.5,
        "select * from b",
    ),
    (
        "duration: 3.5 ms  plan:\nQuery Text: select 1\nResult  (cost=0.00..0.01 rows=1 width=4)",
        3.5,
        "select 1",
    ),
];

const SHAPES: [&str; 3] = ["Seq Scan a", "Sort(Seq Scan b)", "Result"];

/// Checks that the three entries were read, each with what belongs to it and nothing else.
fn check(reading: &Reading, log: &str) {
    let read: Vec<_> = reading
        .plans
        .iter()
        .map(|parsed| {
            (parsed.plan.shape(), parsed.plan.duration_ms, parsed.plan.query_text.clone())
        })
        .collect();
    let expected: Vec<_> = ENTRIES
        .iter()
        .zip(SHAPES)
        .map(|((_, ms, query), shape)| (shape.to_owned(), Some(*ms), Some((*query).to_owned())))
        .collect();
    assert_eq!(read, expected, "{log}");
    let problems: Vec<_> = reading.plans.iter().flat_map(|parsed| &parsed.problems).collect();
    assert!(
        problems.is_empty() && reading.notes.is_empty(),
        "{problems:?} {:?}\n{log}",
        reading.notes
    );
    for parsed in &reading.plans {
        assert!(parsed.plan.other.is_empty(), "{:?}\n{log}", parsed.plan.other);
    }
}

/// The log with other entries between those with a plan: what stderr gets, with this prefix and these further lines.
fn log(prefix: &str, further: &str) -> String {
    let mut log = format!("{prefix}LOG:  checkpoint starting: time\n");
    for (message, ..) in ENTRIES {
        let message = message.replace('\n', &format!("\n{further}"));
        let _ = writeln!(log, "{prefix}LOG:  {message}");
        let _ = writeln!(
            log,
            "{prefix}CONTEXT:  SQL function \"f\" statement 1\n{further}PL/pgSQL function g() line 3 at PERFORM"
        );
        let _ = writeln!(log, "{prefix}ERROR:  relation \"x\" does not exist at character 15");
        let _ = writeln!(log, "{prefix}STATEMENT:  select *\n{further}  from x");
        let _ = writeln!(log, "{prefix}LOG:  duration: 0.020 ms  statement: select 1");
    }
    log
}

#[test]
fn every_prefix_of_the_server_s_own_log() {
    let prefixes = [
        "",
        "2026-11-22 18:00:00.123 UTC [4711] ",
        "2026-11-22 18:00:00 UTC:10.0.0.1(5432):app@adv:[4711]:",
        "< 2026-11-22 18:00:00.123 UTC >",
        "2026-11-22 18:00:00 UTC-6561a0c1.1267-",
        "2026-11-22 18:00:00 UTC [4711]: [3-1] user=app,db=adv,app=psql,client=[local] ",
        "[4711-1] app@adv {x} ",
        "| 2026-11-22 | ",
        "user=app,db=adv: ",
    ];
    for prefix in prefixes {
        for further in ["\t", "", "        "] {
            let log = log(prefix, further);
            for log in [log.replace('\n', "\r\n"), log] {
                check(&planparse::read(&log).expect("plans"), &log);
            }
        }
    }
}

#[test]
fn what_carries_a_log_puts_its_own_words_before_each_line() {
    let own = log("2026-11-22 18:00:00.123 UTC [4711] ", "\t");
    let carried = |carrier: &dyn Fn(usize) -> String| {
        own.lines()
            .enumerate()
            .fold(String::new(), |log, (at, line)| log + &carrier(at) + line + "\n")
    };
    let logs = [
        carried(&|_| "db-1   | ".to_owned()),
        carried(&|at| format!("2026-11-22T18:00:00.{at:09}Z stderr F ")),
        carried(&|at| format!("2026-11-22T18:00:{:02}.5Z ", at % 60)),
        carried(&|_| "[pod/db-0/postgres] ".to_owned()),
        carried(&|at| format!("Nov 22 18:00:{:02} db postgres[4711]: ", at % 60)),
        carried(&|at| format!("<134>1 2026-11-22T18:00:{:02}Z db postgres 4711 - - ", at % 60)),
    ];
    for log in logs {
        check(&planparse::read(&log).expect("plans"), &log);
        let json: String = log
            .lines()
            .map(|line| {
                serde_json::json!({"log": format!("{line}\n"), "stream": "stderr"}).to_string()
                    + "\n"
            })
            .collect();
        check(&planparse::read(&json).expect("plans"), &json);
    }
    // Another container's lines come between.
    let mixed = own
        .lines()
        .fold(String::new(), |log, line| log + "db-1   | " + line + "\nweb-1  | GET / 200\n");
    check(&planparse::read(&mixed).expect("plans"), &mixed);
}

/// The entries as syslog has them: each line is a message, tabs are escaped, and a long line is cut at a space.
fn syslog(tab: &str, longest: usize) -> Vec<Vec<String>> {
    let entry = |(at, (message, ..)): (usize, &(&str, f64, &str))| {
        let mut parts = Vec::new();
        for (number, line) in message.lines().enumerate() {
            let mut rest = format!("{}{line}", if number == 0 { "app LOG:  " } else { tab });
            while let Some(space) = rest[..rest.len().min(longest)]
                .rfind(' ')
                .filter(|at| rest.len() > longest && *at > 20)
            {
                let further = rest.split_off(space);
                parts.push(std::mem::replace(&mut rest, further));
            }
            parts.push(rest);
        }
        let head = |number| {
            format!("Nov 22 18:00:0{at} db postgres[{}]: [{}-{number}] ", 4711 + at, 5 + at)
        };
        parts.iter().enumerate().map(|(number, part)| head(number + 1) + part + "\n").collect()
    };
    ENTRIES.iter().enumerate().map(entry).collect()
}

#[test]
fn syslog_numbers_the_parts_of_a_message_which_may_come_mixed() {
    for (tab, longest) in [("#011", 900), ("\t", 900), ("#011", 60)] {
        let entries = syslog(tab, longest);
        let after_another = entries.concat().concat();
        check(&planparse::read(&after_another).expect("plans"), &after_another);
        let most = entries.iter().map(Vec::len).max().unwrap_or_default();
        let parts = (0..most).flat_map(|at| entries.iter().filter_map(move |entry| entry.get(at)));
        let mixed: String = parts.cloned().collect();
        check(&planparse::read(&mixed).expect("plans"), &mixed);
    }
}

#[test]
fn every_format_in_one_log() {
    let node = r#"{"Node Type": "Result", "Total Cost": 0.01}"#;
    let plans = [
        ("Result  (cost=0.01..0.01 rows=1 width=4)", Format::Text),
        ("Plan: \n  Node Type: \"Result\"\n  Total Cost: 0.01", Format::Yaml),
        (node, Format::Json),
        (
            "  <Plan>\n    <Node-Type>Result</Node-Type>\n    <Total-Cost>0.01</Total-Cost>\n  </Plan>\n</explain>",
            Format::Xml,
        ),
    ];
    let mut log = String::new();
    for (at, (plan, format)) in plans.iter().chain(&plans).enumerate() {
        let message = match format {
            Format::Text => format!("Query Text: select {at}\n{plan}"),
            Format::Yaml => format!("Query Text: \"select {at}\"\n{plan}"),
            Format::Json => {
                format!("{{\n  \"Query Text\": \"select {at}\",\n  \"Plan\": {plan}\n}}")
            }
            Format::Xml => format!(
                "<explain xmlns=\"http://www.postgresql.org/2009/explain\">\n  <Query-Text>select {at}</Query-Text>\n{plan}"
            ),
        };
        let message = message.replace('\n', "\n\t");
        let _ = writeln!(log, "2026-11-22 [{at}] LOG:  duration: {at}.5 ms  plan:\n\t{message}");
    }
    let reading = planparse::read(&log).expect("plans");
    let read: Vec<_> = reading
        .plans
        .iter()
        .map(|parsed| {
            (
                parsed.format,
                parsed.plan.duration_ms,
                parsed.plan.query_text.clone(),
                parsed.plan.total_cost(),
            )
        })
        .collect();
    let expected: Vec<_> = plans
        .iter()
        .chain(&plans)
        .zip(0u8..)
        .map(|((_, format), at)| {
            (*format, Some(f64::from(at) + 0.5), Some(format!("select {at}")), 0.01)
        })
        .collect();
    assert_eq!(read, expected, "{log}");
}

#[test]
fn a_plan_on_the_line_of_its_duration() {
    let line = r#"2026-11-22 [1] LOG:  duration: 5.5 ms  plan: {"Query Text": "select 1", "Plan": {"Node Type": "Result"}}"#;
    let reading = planparse::read(format!("{line}\n{line}\n")).expect("plans");
    assert_eq!(reading.plans.len(), 2);
    assert!(reading.plans.iter().all(|parsed| parsed.plan.duration_ms == Some(5.5)));
}
