//! What a run has to say besides its actions.

use std::collections::BTreeSet;

use rules::change_plan::{ChangePlan, digest};
use rules::context::{Analyzed, Context};
use rules::generic;
use rules::report::{RunReport, ServerReport, StatementReport};
use rules::select::Selection;
use rules::skew::skew;
use rules::snapshot::Snapshot;
use rules::statement;
use rules::whatif::Answerer;
use rules::workload::{mean_ms, ms_per_day};

use super::think::Thought;

/// What is to be said of a planner twin.
pub(super) struct TwinReport {
    /// The version of its server.
    pub(super) version: String,
    /// What of the source it lacks and why.
    pub(super) missing: Vec<String>,
    /// What makes it differ otherwise.
    pub(super) notes: Vec<String>,
}

/// Missing objects that are named one by one.
const MISSING_SHOWN: usize = 10;

/// The snapshot's identity: all that the thinking rests on. The moment it was taken and how often tables and
/// indexes were scanned change with every look and change nothing else.
pub(super) fn fingerprint(snapshot: &Snapshot) -> String {
    let mut still = Snapshot { blueprint: None, ..snapshot.clone() };
    still.server.taken_at = snapshot.intake.since.unwrap_or_default();
    for table in &mut still.tables {
        table.counters.seq_scan = 0;
        table.counters.idx_scan = 0;
        for index in &mut table.indexes {
            index.scans = 0;
        }
    }
    digest(&serde_json::to_string(&still).unwrap_or_default())
}

pub(super) fn server(snapshot: &Snapshot) -> ServerReport {
    let indexes = || snapshot.tables.iter().flat_map(|table| &table.indexes);
    let heap: u64 = snapshot
        .tables
        .iter()
        .filter(|table| table.kind != rules::snapshot::TableKind::Partitioned)
        .map(|table| table.pages * 8192)
        .sum();
    ServerReport {
        version: snapshot.server.version.clone(),
        database: snapshot.server.database.clone(),
        role: snapshot.server.role.clone(),
        tables: snapshot.tables.len(),
        indexes: indexes().count(),
        bytes: heap + indexes().map(|index| index.bytes).sum::<u64>(),
    }
}

/// What else is worth knowing of a run, one sentence each.
fn notes(snapshot: &Snapshot, thought: &Thought) -> Vec<String> {
    let mut notes = snapshot.intake.notes.clone();
    if snapshot.server.read_only {
        notes.push(
            "this server is a standby, or read-only for this role: `--apply` needs the primary and a role that may write"
                .into(),
        );
    }
    if thought.answerer == Answerer::None && thought.candidates {
        notes.push(
            "nobody priced the candidates: install HypoPG (CREATE EXTENSION hypopg), or server programs of the same \
             PostgreSQL version on this machine for a planner twin, for verified recommendations"
                .into(),
        );
    }
    if let Some(twin) = &thought.twin {
        notes.extend(twin.notes.iter().map(|note| format!("planner twin: {note}")));
        let missing = twin.missing.iter().take(MISSING_SHOWN);
        notes.extend(missing.map(|what| format!("the planner twin lacks {what}")));
        if let Some(more) = twin.missing.len().checked_sub(MISSING_SHOWN).filter(|&more| more > 0) {
            notes.push(format!("the planner twin lacks {more} more objects"));
        }
    }
    if thought.stood_in > 0 {
        notes.push(format!(
            "the role that asks for plans may not write to some tables, so for {} the SELECT of the same rows was \
             planned, which the server finds in the same way; no grant is needed for that",
            match thought.stood_in {
                1 => "one statement that writes or locks rows".to_owned(),
                more => format!("{more} statements that write or lock rows"),
            }
        ));
    }
    notes
}

pub(super) fn run(snapshot: &Snapshot, plan: &ChangePlan, thought: &Thought) -> RunReport {
    RunReport {
        pgwright: env!("CARGO_PKG_VERSION").to_owned(),
        snapshot: plan.made_from.clone(),
        what_if: thought.answerer.name().to_owned(),
        min_confidence: plan.min_confidence,
        source: snapshot.intake.source.clone(),
        days: (snapshot.days() * 1000.0).round() / 1000.0,
        observed_days: snapshot.observed_days().map(|days| (days * 1e6).round() / 1e6),
        seen: snapshot.intake.seen,
        kept_share: snapshot.intake.kept_share.map(|share| (share * 1000.0).round() / 1000.0),
        left_out: snapshot
            .intake
            .left_out
            .iter()
            .map(|(why, n)| (why.label().to_owned(), *n))
            .collect(),
        planned_on_server: thought.planned_on_server,
        twin: thought.twin.as_ref().map(|twin| twin.version.clone()),
        notes: notes(snapshot, thought),
        hindered: None,
    }
}

pub(super) fn statements(
    snapshot: &Snapshot,
    workload: &[Analyzed],
    selection: &Selection,
    reasons: &[(usize, String)],
    stood_in: &BTreeSet<usize>,
) -> Vec<StatementReport> {
    let round = |value: f64| (value * 1000.0).round() / 1000.0;
    let place =
        |position: usize| workload.iter().position(|analyzed| analyzed.statement == position);
    snapshot
        .statements
        .iter()
        .enumerate()
        .map(|(position, statement)| {
            let analyzed = place(position);
            let cost = analyzed.and_then(|id| workload[id].cost());
            StatementReport {
                id: statement.id.clone(),
                text: statement::mask(&statement.text),
                calls: statement.calls,
                mean_ms: mean_ms(statement).map(round),
                ms_per_day: analyzed.map(|id| round(ms_per_day(snapshot, &workload[id]))),
                cost: cost.map(round),
                cost_after: analyzed
                    .and_then(|id| selection.costs.get(&id).copied())
                    .or(cost)
                    .map(round),
                unanalyzed: reasons
                    .iter()
                    .find(|(at, _)| *at == position)
                    .map(|(_, why)| why.clone()),
                planned_as: stood_in
                    .contains(&position)
                    .then(|| "a SELECT of the same rows".to_owned()),
                skew: analyzed.and_then(|id| skew(&workload[id])),
                generic: analyzed
                    .and_then(|id| taken(snapshot, workload, &workload[id]))
                    .map(round),
            }
        })
        .collect()
}

/// Cost of the generic plan, where a prepared statement would run with it and it is another than for the values.
fn taken(snapshot: &Snapshot, workload: &[Analyzed], analyzed: &Analyzed) -> Option<f64> {
    let generic = analyzed.plans[generic::position(analyzed)?].as_ref()?;
    let mut plans = analyzed.weighed().filter_map(|binding| analyzed.plans[binding].as_ref());
    let differs = plans.any(|plan| plan.shape() != generic.shape());
    let cx = Context { snapshot, workload };
    let taken = generic::is_taken(&cx, analyzed, analyzed.cost()?, generic.total_cost());
    (taken && differs).then(|| generic.total_cost())
}
