//! The port through which the pure half asks for prices; it never knows who answers.
//!
//! Questions and answers are values. [`select`](crate::select) is a state machine that emits questions and
//! is fed answers, so that it runs against a table of made-up costs in tests and a real planner in life.

use std::collections::BTreeSet;

use planparse::Plan;
use serde::{Deserialize, Serialize};

/// Positions of candidates in the list handed to selection: those that exist in the world asked about.
pub type Configuration = BTreeSet<usize>;

/// Who answers what-if questions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answerer {
    /// The server's own planner, with hypothetical indexes of the extension HypoPG.
    Hypopg,
    /// The planner of a private server with the same schema, statistics and sizes.
    Twin,
    /// Nobody.
    None,
}

impl Answerer {
    /// Its name in reports and facts.
    pub fn name(self) -> &'static str {
        match self {
            Self::Hypopg => "hypopg",
            Self::Twin => "twin",
            Self::None => "none",
        }
    }

    /// Why it cannot price an index of this access method; `None` when it can.
    ///
    /// HypoPG's methods are those of its documentation, section "Supported access methods".
    pub fn refuses(self, method: &str) -> Option<String> {
        match self {
            Self::Twin => None,
            Self::Hypopg if ["btree", "brin", "hash", "bloom"].contains(&method) => None,
            Self::Hypopg => Some(format!("HypoPG cannot price {} index", article(method))),
            Self::None => Some("no what-if planner at hand (HypoPG is not installed)".to_owned()),
        }
    }
}

/// `a GIN`, `an SP-GiST`.
fn article(method: &str) -> String {
    match method {
        "gin" => "a GIN".to_owned(),
        "gist" => "a GiST".to_owned(),
        "spgist" => "an SP-GiST".to_owned(),
        other => format!("a {other}"),
    }
}

/// How much cache the planner is told of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cache {
    /// The server's own `effective_cache_size`.
    AsSet,
    /// `effective_cache_size = '8MB'`: promises that rest on cached pages show themselves.
    Tiny,
}

/// What would this statement with this binding cost, if exactly these candidates existed besides what exists?
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Question {
    /// Position in the analyzed workload.
    pub statement: usize,
    /// Position among its bindings.
    pub binding: usize,
    /// What exists besides.
    pub configuration: Configuration,
    /// How much cache.
    pub cache: Cache,
}

/// The planner's answer.
#[derive(Clone, Debug)]
pub struct Price {
    /// The plan, from which rules may price anew.
    pub plan: Plan,
    /// Candidates of the configuration that the plan uses.
    pub used: Configuration,
}

impl Price {
    /// Total cost in the planner's unit.
    pub fn total_cost(&self) -> f64 {
        self.plan.total_cost()
    }
}

/// An answer, or why there is none.
pub type Answer = Result<Price, String>;
