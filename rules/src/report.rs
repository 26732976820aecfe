//! What one run of `optimize` has to say; the wire form of `--format json` and the ground of every other format.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::change_plan::{Action, Help, Impact, Operation};
use crate::evidence::{Fact, Term};
use crate::index::Key;
use crate::reach::Reach;
use crate::skew::Skew;

/// Version of the JSON form.
pub const FORMAT: u32 = 1;

/// What one run has to say.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// Version of this form.
    pub format: u32,
    /// What was looked at.
    pub server: ServerReport,
    /// How it was looked at.
    pub run: RunReport,
    /// The statements, the most time-consuming first.
    pub statements: Vec<StatementReport>,
    /// What would help, the most time saved per day first.
    pub actions: Vec<ActionReport>,
    /// What was considered and refused.
    pub refused: Vec<crate::candidate::Refusal>,
}

/// What was looked at.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ServerReport {
    /// As the server prints it.
    pub version: String,
    /// Name of the database.
    pub database: String,
    /// The role that looked.
    pub role: String,
    /// Number of tables.
    pub tables: usize,
    /// Number of indexes.
    pub indexes: usize,
    /// Heap and indexes in bytes.
    pub bytes: u64,
}

/// How it was looked at.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunReport {
    /// pgwright's version.
    pub pgwright: String,
    /// SHA-256 of the snapshot: the same snapshot gives the same report.
    pub snapshot: String,
    /// Who answered what-if questions: `hypopg`, `twin`, `none`.
    pub what_if: String,
    /// Version of the planner twin's server, where it answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub twin: Option<String>,
    /// Statements sent to the server to have it plan; 0 where the twin planned everything.
    #[serde(default)]
    pub planned_on_server: u64,
    /// The gate of `--apply`.
    pub min_confidence: f64,
    /// Source of the statements.
    pub source: String,
    /// Days that rates per day are reckoned with: the observed ones, but at least an hour's worth; 1 for files.
    pub days: f64,
    /// Days over which the statements were really counted; `None` for files.
    pub observed_days: Option<f64>,
    /// Entries seen.
    pub seen: u64,
    /// Share of the seen time that the analyzed statements make up, 0 to 1.
    pub kept_share: Option<f64>,
    /// What was left out: reason -> number.
    pub left_out: BTreeMap<String, u64>,
    /// Anything else worth knowing, one sentence each.
    pub notes: Vec<String>,
    /// Why `--apply` would not even begin now, where its guards cannot look at what they need.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hindered: Option<String>,
}

/// One statement of the workload.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StatementReport {
    /// Its id.
    pub id: String,
    /// Its text, literals masked.
    pub text: String,
    /// Executions counted.
    pub calls: u64,
    /// Mean execution time in milliseconds, when measured.
    pub mean_ms: Option<f64>,
    /// Milliseconds per day, when measured.
    pub ms_per_day: Option<f64>,
    /// Weighted planner cost as things are; `None` when not planned.
    pub cost: Option<f64>,
    /// Weighted planner cost with all proposed indexes.
    pub cost_after: Option<f64>,
    /// Why it was not analyzed or planned.
    pub unanalyzed: Option<String>,
    /// What was planned in its place: of a write that the role may not plan, the SELECT of the same rows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub planned_as: Option<String>,
    /// How its cost depends on the values, where it does so much.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub skew: Option<Skew>,
    /// Planner cost of the plan that fits all values, where that differs from what is made for each: from the sixth
    /// execution of a prepared statement on PostgreSQL takes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generic: Option<f64>,
}

/// An index in the report.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct IndexReport {
    /// Access method.
    pub method: String,
    /// Keys as SQL, in order.
    pub keys: Vec<String>,
    /// INCLUDE columns.
    pub include: Vec<String>,
    /// Predicate.
    #[serde(rename = "where")]
    pub predicate: Option<String>,
}

/// One action in the report.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ActionReport {
    /// Short id.
    pub id: String,
    /// `create_index`, `drop_index`, `analyze`.
    pub kind: String,
    /// The rule behind it.
    pub rule: String,
    /// `schema.table`.
    pub table: String,
    /// What would be run: one statement, or several joined with `;` and a line break.
    pub statement: String,
    /// What would undo it; empty when nothing can or need be undone.
    pub undo: String,
    /// Probability that it helps, 0 to 1.
    pub confidence: f64,
    /// How far it may go.
    pub reach: Reach,
    /// Whether `--apply` carries it out.
    pub applies: bool,
    /// What it brings and costs.
    pub impact: Impact,
    /// What it does for which statement.
    pub helps: Vec<Help>,
    /// The index, for index actions.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub index: Option<IndexReport>,
    /// Why a person has to do it, or to approve of it, whatever the confidence.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub by_a_person: Vec<String>,
    /// Facts that speak for it or only inform.
    pub evidence: Vec<FactReport>,
    /// Facts that speak against it or cap it.
    pub against: Vec<FactReport>,
    /// Why guards would refuse it now; only of what `--apply` would carry out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub refused_now: Vec<String>,
    /// What guards do not know, or a person may want to know.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub noted_now: Vec<String>,
}

/// One fact in the report.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FactReport {
    /// The sentence.
    pub text: String,
    /// Log-odds that it adds.
    pub weight: f64,
    /// The cap that it sets on confidence.
    pub cap: Option<f64>,
}

impl From<&Term> for FactReport {
    fn from(term: &Term) -> Self {
        Self {
            text: term.fact.to_string(),
            weight: (term.weight * 100.0).round() / 100.0,
            cap: term.cap,
        }
    }
}

fn by_a_person(term: &Term) -> Option<String> {
    match &term.fact {
        Fact::NotAlone { reason } => Some(reason.clone()),
        _ => None,
    }
}

impl ActionReport {
    /// The report of an action; `applies` tells whether it passes the gate.
    pub fn new(action: &Action, applies: bool) -> Self {
        let (against, evidence): (Vec<_>, Vec<_>) = action
            .confidence
            .terms
            .iter()
            .partition(|term| term.weight < 0.0 || term.cap.is_some());
        let index = match &action.operation {
            Operation::CreateIndex { definition, .. } => Some(IndexReport {
                method: definition.method.clone(),
                keys: definition.keys.iter().map(Key::sql).collect(),
                include: definition.include.clone(),
                predicate: definition.predicate.clone(),
            }),
            Operation::DropIndex { index } => Some(IndexReport {
                method: index.method.clone(),
                keys: index
                    .keys
                    .iter()
                    .filter_map(|k| k.column.clone().or_else(|| k.expression.clone()))
                    .collect(),
                include: index.include.clone(),
                predicate: index.predicate.clone(),
            }),
            Operation::Analyze | Operation::CreateStatistics { .. } | Operation::Vacuum => None,
        };
        Self {
            id: action.id().to_owned(),
            kind: action.operation.kind().to_owned(),
            rule: action.rule.clone(),
            table: action.table.qualified(),
            statement: action.statements().join(";\n"),
            undo: action.undo().join(";\n"),
            confidence: action.confidence.value,
            reach: action.reach,
            applies,
            impact: action.impact.clone(),
            helps: action.helps.clone(),
            index,
            by_a_person: action.confidence.terms.iter().filter_map(by_a_person).collect(),
            evidence: evidence.into_iter().map(FactReport::from).collect(),
            against: against.into_iter().map(FactReport::from).collect(),
            refused_now: Vec::new(),
            noted_now: Vec::new(),
        }
    }
}
