//! Reads what `PostgreSQL`'s EXPLAIN prints into a typed operator graph with metrics.
//!
//! [`read`] takes whatever people have: JSON, text, YAML, XML, logs of `auto_explain`, several plans in one file, a plan
//! pasted into a message. The way of the data: bytes -> `input` (what stands around the plans is taken off) -> `json`,
//! `yaml`, `xml` (through one `builder`) or `text` -> `raw` (what was printed, key by key, as JSON names it) -> `lower`
//! (typed operators in a graph) -> [`Plan`]. Whatever is not understood is kept and told as a [`Problem`]; only text in
//! which no plan stands is an error. Nothing recurses, and no input takes more than linear time.
//!
//! This crate is pure and synchronous: it knows no database, no SQL, no files, no clock.
//!
//! ```
//! let text = r#"[{"Plan": {"Node Type": "Seq Scan", "Relation Name": "orders", "Alias": "orders",
//!     "Startup Cost": 0.00, "Total Cost": 35.50, "Plan Rows": 2550, "Plan Width": 4}}]"#;
//! let pasted = "> Seq Scan on orders  (cost=0.00..35.50 rows=2550 width=4)";
//! let (json, text) = (planparse::read(text)?, planparse::read(pasted)?);
//! let plan = &json.plans[0].plan;
//! assert_eq!(plan.operator(plan.root()).relation.as_deref(), Some("orders"));
//! assert_eq!(plan.shape(), "Seq Scan orders");
//! assert_eq!(*plan, text.plans[0].plan);
//! # Ok::<(), planparse::ParseError>(())
//! ```

#![forbid(unsafe_code)]

mod attribution;
mod builder;
mod costs;
mod details;
mod diff;
mod display;
mod findings;
mod input;
mod json;
mod keys;
mod kind;
mod lower;
mod mentions;
mod metrics;
mod node;
mod operator;
mod plan;
mod problem;
mod raw;
mod reading;
mod summary;
#[cfg(test)]
mod testing;
mod text;
mod times;
mod tree;
mod vocabulary;
mod xml;
mod yaml;

pub use details::{beside, details};
pub use diff::{Change, Diff, Figures, JoinChange, OperatorChange, ScanChange, diff};
pub use display::{label, tree};
pub use findings::{Finding, Meta, PATTERNS, Pattern, Stake, findings};
pub use kind::OperatorKind;
pub use metrics::Metrics;
pub use operator::{Actual, Buffers, Operator, Wal, Worker};
pub use petgraph;
pub use plan::{Jit, Plan, Relation, Serialization, Trigger};
pub use problem::{ParseError, Problem};
pub use reading::{Format, Note, Parsed, Reading, read};
pub use summary::summary;
pub use tree::{Link, OperatorId};

/// Reads one or several results of `EXPLAIN (FORMAT JSON)`, in the order in which they stand in `text`.
///
/// Several results may follow one another, or stand together in one array. `Err` means that the text is
/// not JSON or holds no plan; its message says what was found and what to give instead.
pub fn parse(text: &str) -> Result<Vec<Parsed>, ParseError> {
    Ok(json::read(text)?.into_iter().map(lower::lower).collect())
}

/// Reads one result of `EXPLAIN (FORMAT JSON)` that was already parsed: an array of one object, or the object.
pub fn from_json(value: &serde_json::Value) -> Result<Parsed, ParseError> {
    raw::from_value(value).map(lower::lower)
}
