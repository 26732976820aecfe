//! `pgwright log [ID]`: the journal, and one action in full.

use agent::journal::{self, Entry, State, attention};
use agent::postgres::{FOR_EVER, Purpose};
use anstyle::{AnsiColor, Style};
use chrono::{DateTime, SecondsFormat, Utc};
use comfy_table::{ContentArrangement, Table, presets};
use rules::change_plan::Impact;
use rules::evidence::Term;
use rules::report::FactReport;
use serde::Serialize;
use serde_json::Value;

use super::Call;
use crate::cli::{Format, LogArgs};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::human::page::Page;
use crate::output::{self, json, sql, units};
use crate::text;

/// Reads the journal and prints it.
pub(crate) async fn run(call: &Call, args: &LogArgs) -> Result<Exit, Failure> {
    if let Some(id) = args.unblock {
        return unblock(call, id).await;
    }
    let session = call.session(Purpose::Other).await?;
    let which = args.id.map_or(journal::Which::All, journal::Which::Id);
    let entries = journal::list(&session, which)
        .await
        .map_err(|error| super::optimize::applying(&error.into()))?;
    let copied = journal::copied(&session, &entries)
        .await
        .map_err(|error| super::optimize::applying(&error.into()))?;
    session.close().await;
    if let (Some(id), true) = (args.id, entries.is_empty()) {
        return Err(Failure::new(Exit::Usage, format!("the journal has no action {id}"))
            .hint("`pgwright log` lists them"));
    }
    let text = match (args.format, &entries[..]) {
        (Format::Json, entries) => json::pretty(&Wire {
            format: 1,
            entries: entries.iter().map(|entry| WireEntry::of(entry, &copied)).collect(),
        }),
        (Format::Human, [entry]) if args.id.is_some() => full(entry, &copied, output::width()),
        (Format::Human, entries) => list(entries, &copied),
    };
    output::deliver(&text, None)?;
    Ok(Exit::Success)
}

/// Lifts the block of an action.
async fn unblock(call: &Call, id: i64) -> Result<Exit, Failure> {
    let session = call.session(Purpose::Other).await?;
    let lifted = journal::unblock(&session, id)
        .await
        .map_err(|error| super::optimize::applying(&error.into()))?;
    session.close().await;
    let said = match lifted {
        None => {
            return Err(Failure::new(Exit::Usage, format!("the journal has no action {id}"))
                .hint("`pgwright log` lists them"));
        }
        Some(0) => format!("Action {id} was not blocked.\n"),
        Some(_) => format!("Action {id} may be tried again.\n"),
    };
    if !call.quiet {
        output::deliver(&said, None)?;
    }
    Ok(Exit::Success)
}

/// The JSON form.
#[derive(Serialize)]
struct Wire<'a> {
    format: u32,
    entries: Vec<WireEntry<'a>>,
}

#[derive(Serialize)]
struct WireEntry<'a> {
    id: i64,
    run: String,
    action: &'a str,
    kind: &'a str,
    state: &'static str,
    table: String,
    index: Option<&'a str>,
    rule: &'a str,
    statement: &'a str,
    undo: &'a str,
    confidence: f64,
    reach: &'a str,
    impact: &'a Value,
    evidence: &'a Value,
    helps: &'a Value,
    before: &'a Value,
    attempts: i32,
    sqlstate: Option<&'a str>,
    error: Option<&'a str>,
    note: Option<&'a str>,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
    applied_at: Option<DateTime<Utc>>,
    reverted_at: Option<DateTime<Utc>>,
    verdict: Option<&'a str>,
    verdict_detail: Option<&'a Value>,
    blocked_until: Option<DateTime<Utc>>,
    pgwright: &'a str,
    /// Whether it was done in another database, of which this one is a copy.
    elsewhere: bool,
}

impl<'a> WireEntry<'a> {
    fn of(entry: &'a Entry, copied: &[i64]) -> Self {
        Self {
            id: entry.id,
            run: entry.run.to_string(),
            action: entry.action_id(),
            kind: &entry.kind,
            state: entry.state.name(),
            table: entry.table.qualified(),
            index: entry.index_name.as_deref(),
            rule: &entry.rule,
            statement: &entry.statement,
            undo: &entry.undo,
            confidence: entry.confidence,
            reach: &entry.reach,
            impact: &entry.impact,
            evidence: &entry.evidence,
            helps: &entry.helps,
            before: &entry.before,
            attempts: entry.attempts,
            sqlstate: entry.last_sqlstate.as_deref(),
            error: entry.last_error.as_deref(),
            note: entry.note.as_deref(),
            created_at: entry.created_at,
            updated_at: entry.updated_at,
            applied_at: entry.applied_at,
            reverted_at: entry.reverted_at,
            verdict: entry.verdict.as_deref(),
            verdict_detail: entry.verdict_detail.as_ref(),
            blocked_until: entry.blocked_until,
            pgwright: &entry.agent_version,
            elsewhere: copied.contains(&entry.id),
        }
    }
}

/// What a state means, and in which colour.
fn meaning(state: State) -> (&'static str, Style) {
    let bold = |color: AnsiColor| color.on_default().bold();
    match state {
        State::Observing => ("applied", bold(AnsiColor::Green)),
        State::Kept => ("applied, kept", bold(AnsiColor::Green)),
        State::Reverted => ("undone", Style::new().bold()),
        State::Aborted => ("not applied", Style::new().dimmed()),
        State::Conflict => ("needs a person", bold(AnsiColor::Red)),
        State::CleanupPending => ("to be cleaned up", bold(AnsiColor::Yellow)),
        State::RevertPending => ("to be undone", bold(AnsiColor::Yellow)),
        State::Intent | State::Applying | State::Verifying => {
            ("being applied", bold(AnsiColor::Yellow))
        }
        State::Reverting => ("being undone", bold(AnsiColor::Yellow)),
    }
}

/// The journal, one line an action; what was done elsewhere, before this database was copied, is marked.
pub(super) fn list(entries: &[Entry], copied: &[i64]) -> String {
    if entries.is_empty() {
        return "The journal is empty: pgwright has changed nothing in this database.\n".to_owned();
    }
    let mut table = Table::new();
    // One line an action, however long its names are: it can be searched, and a name can be copied.
    table
        .load_style(presets::NOTHING)
        .set_content_arrangement(ContentArrangement::Disabled)
        .force_no_tty();
    table.set_header(["id", "when (UTC)", "state", "kind", "table", "index", "sure", "verdict"]);
    for entry in entries {
        table.add_row([
            entry.id.to_string(),
            entry.created_at.format("%Y-%m-%d %H:%M").to_string(),
            format!("{}{}", meaning(entry.state).0, elsewhere(entry, copied)),
            entry.kind.replace('_', " "),
            text::line(&entry.table.qualified()),
            text::line(entry.index_name.as_deref().unwrap_or_default()),
            format!("{:.2}", entry.confidence),
            verdict(entry),
        ]);
    }
    let lines: Vec<String> = table.lines().map(|line| line.trim_end().to_owned()).collect();
    format!(
        "{}\n\n`pgwright log ID` shows one in full, `pgwright rollback ID` undoes it.\n",
        lines.join("\n")
    )
}

/// The mark of what was done in another database.
fn elsewhere(entry: &Entry, copied: &[i64]) -> &'static str {
    if copied.contains(&entry.id) { ", in another database" } else { "" }
}

/// What watching it led to, and until when it is blocked.
fn verdict(entry: &Entry) -> String {
    let verdict = entry.verdict.as_ref().map(|verdict| verdict.replace('_', " "));
    let blocked = entry.blocked_until.map(|until| {
        if until == FOR_EVER {
            "blocked for ever".to_owned()
        } else {
            until.format("blocked until %Y-%m-%d").to_string()
        }
    });
    text::line(&verdict.into_iter().chain(blocked).collect::<Vec<_>>().join(", "))
}

fn full(entry: &Entry, copied: &[i64], width: usize) -> String {
    let mut page = Page::new(width);
    let bold = Style::new().bold();
    let (state, style) = meaning(entry.state);
    let what = entry.kind.replace('_', " ");
    let index =
        entry.index_name.as_ref().map_or(String::new(), |name| format!(" {}", text::line(name)));
    page.text(&format!(
        "{bold}Action {}: {what}{index} on {}{bold:#}, {style}{state}{}{style:#}",
        entry.id,
        text::line(&entry.table.qualified()),
        elsewhere(entry, copied)
    ));
    page.blank();
    let time = |time: DateTime<Utc>| time.to_rfc3339_opts(SecondsFormat::Secs, true);
    page.labelled("run", &entry.run.to_string());
    page.labelled("written", &time(entry.created_at));
    if let Some(at) = entry.applied_at {
        page.labelled("applied", &time(at));
    }
    if let Some(at) = entry.reverted_at {
        page.labelled("undone", &time(at));
    }
    page.labelled(
        "rule",
        &format!("{}, reach {}", text::line(&entry.rule), text::line(&entry.reach)),
    );
    page.labelled("confidence", &format!("{:.3}", entry.confidence));
    reasons(&mut page, entry);
    promise(&mut page, entry);
    let error = entry.last_error.as_ref().map(|error| match &entry.last_sqlstate {
        Some(code) if !error.contains(code.as_str()) => format!("{} ({code})", text::line(error)),
        _ => text::line(error),
    });
    for (label, said) in [("error", error), ("note", entry.note.as_deref().map(text::line))] {
        if let Some(said) = said {
            page.labelled(label, &said);
        }
    }
    if let Some(verdict) = &entry.verdict {
        let why = entry.verdict_detail.as_ref().and_then(|detail| detail["why"].as_str());
        let why = why.map_or(String::new(), |why| format!(": {}", text::line(why)));
        page.labelled("verdict", &format!("{}{why}", text::line(&verdict.replace('_', " "))));
    }
    if let Some(until) = entry.blocked_until {
        let lift = format!("`pgwright log --unblock {}` allows it at once", entry.id);
        let until = if until == FOR_EVER {
            "for ever".to_owned()
        } else {
            format!("until {}", time(until))
        };
        page.labelled("blocked", &format!("{until}; {lift}"));
    }
    if let Some(attention) = attention(entry) {
        page.labelled("to do", &text::line(&attention.what));
        for step in &attention.steps {
            page.labelled("", &text::line(step));
        }
    }
    page.blank();
    page.whole_line(2, &format!("{};", sql::one_line(&entry.statement)));
    for line in entry.undo.lines().filter(|line| !line.is_empty()) {
        page.whole_line(2, &format!("-- undo: {}", sql::one_line(line)));
    }
    page.finish()
}

/// What it was meant to bring.
fn promise(page: &mut Page, entry: &Entry) {
    if let Ok(impact) = serde_json::from_value::<Impact>(entry.impact.clone()) {
        let mut parts = Vec::new();
        parts.extend(impact.ms_per_day.map(|ms| format!("saves {} a day", units::duration(ms))));
        parts.extend(impact.bytes.map(|bytes| {
            format!(
                "{} {}",
                if bytes < 0 { "frees" } else { "takes" },
                units::bytes(bytes.unsigned_abs())
            )
        }));
        if impact.write_ms_per_day > 0.0 {
            parts.push(format!("writers pay {} a day", units::duration(impact.write_ms_per_day)));
        }
        if !parts.is_empty() {
            page.labelled("promise", &parts.join(" · "));
        }
    }
    for help in entry.helps.as_array().into_iter().flatten() {
        let cost = |key: &str| help[key].as_f64().map_or_else(|| "?".to_owned(), units::cost);
        let statement = text::line(help["statement"].as_str().unwrap_or("?"));
        page.labelled(
            "helps",
            &format!("{statement}: cost {} → {}", cost("cost_before"), cost("cost_after")),
        );
    }
}

fn reasons(page: &mut Page, entry: &Entry) {
    let terms: Vec<Term> = serde_json::from_value(entry.evidence.clone()).unwrap_or_default();
    for fact in terms.iter().map(FactReport::from) {
        let mark =
            fact.cap.map_or_else(|| format!("{:+.2}", fact.weight), |cap| format!("≤ {cap:.2}"));
        page.labelled("", &format!("{mark} {}", text::line(&fact.text)));
    }
}

#[cfg(test)]
mod tests {
    use agent::journal::{Entry, State};
    use agent::postgres::FOR_EVER;
    use rules::change_plan::TableRef;
    use serde_json::json;

    use super::{Wire, WireEntry, full, list};

    fn entry() -> Entry {
        let time = |text: &str| text.parse().unwrap();
        Entry {
            id: 12,
            run: "67e55044-10b1-426f-9247-bb680e5fe0c8".parse().unwrap(),
            action_key: "3f2a91c0".repeat(8),
            kind: "create_index".into(),
            state: State::Observing,
            table: TableRef { oid: 1, schema: "public".into(), name: "BehaviorLog".into() },
            index_name: Some("pgw_behaviorlog_userid_3f2a91c0".into()),
            index_oid: Some(2),
            definition: None,
            rule: "unserved_predicate".into(),
            statement: "CREATE INDEX CONCURRENTLY pgw_behaviorlog_userid_3f2a91c0 ON public.\"BehaviorLog\" USING btree (\"userId\")".into(),
            undo: "DROP INDEX CONCURRENTLY public.pgw_behaviorlog_userid_3f2a91c0;\n".into(),
            confidence: 0.97,
            reach: "act".into(),
            impact: json!({"ms_per_day": 2_880_000.0, "bytes": 35_651_584, "write_ms_per_day": 1200.0}),
            evidence: json!([
                {"fact": {"fact": "priced", "by": "hypopg", "ratio": 0.05}, "weight": 2.6, "cap": null},
                {"fact": {"fact": "ordered_limit_beside_filter"}, "weight": 0.0, "cap": 0.85}
            ]),
            helps: json!([{"statement": "a1b2c3d4e5f60718", "cost_before": 12345.0, "cost_after": 8.31}]),
            operation: json!({}),
            before: json!({}),
            system_identifier: None,
            database: 5,
            server_version: 150_018,
            agent_version: "0.1.0".into(),
            backend_pid: 1,
            attempts: 1,
            last_sqlstate: Some("55P03".into()),
            last_error: Some("canceling statement due to lock timeout".into()),
            note: Some("second try".into()),
            created_at: time("2026-03-01T08:00:00Z"),
            updated_at: time("2026-03-01T08:00:05Z"),
            applied_at: Some(time("2026-03-01T08:00:04Z")),
            reverted_at: None,
            verdict: None,
            verdict_detail: None,
            blocked_until: None,
            timeline: Some(1),
            server_address: None,
        }
    }

    #[test]
    fn the_list_has_one_line_for_each_action() {
        let mut hostile = entry();
        hostile.state = State::Reverted;
        hostile.table.name = "x\n\u{1b}[2J".into();
        hostile.index_name = None;
        let text = list(&[entry(), hostile], &[]);
        assert!(!text.contains('\u{1b}') && text.lines().count() == 5, "{text}");
        let first = text.lines().nth(1).unwrap();
        for part in [
            "12",
            "2026-03-01 08:00",
            "applied",
            "create index",
            "public.\"BehaviorLog\"",
            "pgw_",
            "0.97",
        ] {
            assert!(first.contains(part), "{part}: {first}");
        }
        assert!(list(&[], &[]).contains("changed nothing"));
        assert!(list(&[entry()], &[12]).contains("applied, in another database"));
        let blocked = Entry { blocked_until: Some(FOR_EVER), ..entry() };
        assert!(list(&[blocked], &[]).contains("0.97  blocked for ever"));
    }

    #[test]
    fn the_code_of_an_error_is_told_once() {
        let told =
            "canceling statement due to lock timeout (SQLSTATE 55P03); it waited for process 7";
        let entry = Entry { last_error: Some(told.into()), ..entry() };
        assert_eq!(full(&entry, &[], 200).matches("55P03").count(), 1);
    }

    #[test]
    fn one_action_is_shown_with_evidence_statement_and_undo() {
        assert_eq!(
            anstream::adapter::strip_str(&full(&entry(), &[], 100)).to_string(),
            r#"Action 12: create index pgw_behaviorlog_userid_3f2a91c0 on public."BehaviorLog", applied

  run        67e55044-10b1-426f-9247-bb680e5fe0c8
  written    2026-03-01T08:00:00Z
  applied    2026-03-01T08:00:04Z
  rule       unserved_predicate, reach act
  confidence 0.970
             +2.60 the planner uses it and its cost falls to 5.0 % (hypopg)
             ≤ 0.85 ORDER BY … LIMIT would walk the index past rows that a filter discards; the
             planner's promise often breaks there
  promise    saves 48 min a day · takes 34 MB · writers pay 1.2 s a day
  helps      a1b2c3d4e5f60718: cost 12,345 → 8.31
  error      canceling statement due to lock timeout (55P03)
  note       second try

  CREATE INDEX CONCURRENTLY pgw_behaviorlog_userid_3f2a91c0 ON public."BehaviorLog" USING btree ("userId");
  -- undo: DROP INDEX CONCURRENTLY public.pgw_behaviorlog_userid_3f2a91c0;
"#
        );
    }

    #[test]
    fn a_block_without_an_end_is_shown_as_such() {
        let mut entry = entry();
        (entry.state, entry.verdict) = (State::Reverted, Some("unused".into()));
        entry.blocked_until = Some("2026-06-01T00:00:00Z".parse().unwrap());
        assert!(list(&[entry.clone()], &[]).contains("unused, blocked until 2026-06-01"));
        entry.blocked_until = Some(agent::postgres::FOR_EVER);
        assert!(list(&[entry.clone()], &[]).contains("unused, blocked for ever"));
        let text = anstream::adapter::strip_str(&full(&entry, &[], 100)).to_string();
        assert!(text.contains("blocked    for ever; `pgwright log --unblock 12`"), "{text}");
    }

    #[test]
    fn a_row_that_needs_a_person_says_what_to_do() {
        let mut entry = entry();
        entry.state = State::Conflict;
        entry.note = Some("public.d2 is there again, but in tablespace tsp".into());
        let text = anstream::adapter::strip_str(&full(&entry, &[], 100)).to_string();
        for part in [
            ", needs a person",
            "to do      pgwright leaves this to a person: public.d2 is there again, but in tablespace tsp",
            "pgwright rollback 12 closes the row once the index is gone",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
        entry.state = State::RevertPending;
        entry.last_error = Some("canceling statement due to lock timeout".into());
        let text = anstream::adapter::strip_str(&full(&entry, &[], 100)).to_string();
        assert!(text.contains("could not be undone yet: canceling statement"), "{text}");
    }

    #[test]
    fn the_json_holds_everything_a_person_or_program_may_ask() {
        let entry = entry();
        let value =
            serde_json::to_value(Wire { format: 1, entries: vec![WireEntry::of(&entry, &[12])] })
                .unwrap();
        let first = &value["entries"][0];
        assert_eq!((value["format"].as_i64(), first["id"].as_i64()), (Some(1), Some(12)));
        assert_eq!(
            (first["state"].as_str(), first["action"].as_str()),
            (Some("observing"), Some("3f2a91c0"))
        );
        assert_eq!(first["applied_at"], "2026-03-01T08:00:04Z");
        assert_eq!(first["elsewhere"], true);
        assert_eq!(first["helps"][0]["cost_after"], 8.31);
    }
}
