//! One possible change, and what a rule hands over: candidates and refusals.

use serde::{Deserialize, Serialize};

use crate::evidence::Fact;
use crate::index::IndexDefinition;
use crate::reach::Reach;
use crate::snapshot::Index;
use crate::statistics::StatisticsDefinition;

/// A possible change to the database.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Change {
    /// Make an index.
    CreateIndex {
        /// Oid of the table.
        table: u32,
        /// What index.
        definition: IndexDefinition,
    },
    /// Drop an index.
    DropIndex {
        /// Oid of the table.
        table: u32,
        /// The index with everything needed to make it again.
        index: Box<Index>,
    },
    /// Take new statistics.
    Analyze {
        /// Oid of the table.
        table: u32,
    },
    /// Make extended statistics.
    CreateStatistics {
        /// Oid of the table.
        table: u32,
        /// What statistics.
        definition: StatisticsDefinition,
    },
    /// Vacuum.
    Vacuum {
        /// Oid of the table.
        table: u32,
    },
}

impl Change {
    /// Oid of the table.
    pub fn table(&self) -> u32 {
        match self {
            Self::CreateIndex { table, .. }
            | Self::DropIndex { table, .. }
            | Self::Analyze { table }
            | Self::CreateStatistics { table, .. }
            | Self::Vacuum { table } => *table,
        }
    }
}

/// One possible change with what a rule knows of it before it is priced.
#[derive(Clone, Debug, PartialEq)]
pub struct Candidate {
    /// The rules that proposed it; the first is the one that it is reported under.
    pub rules: Vec<&'static str>,
    /// The change.
    pub change: Change,
    /// How far it may go.
    pub reach: Reach,
    /// Positions in the workload of the statements that it is for; empty when it is for none in particular.
    pub serves: Vec<usize>,
    /// Facts known already.
    pub facts: Vec<Fact>,
    /// What it saves in milliseconds per day when no statement of the workload shows it (foreign-key checks).
    pub own_gain_ms_per_day: f64,
}

/// A change that was considered and refused, with the reason.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Refusal {
    /// The rule that considered it, or the step that refused it.
    pub rule: String,
    /// `schema.table`.
    pub table: String,
    /// What was considered, e.g. `index (a, b)`.
    pub what: String,
    /// Why not, one sentence.
    pub reason: String,
    /// Ids of the statements concerned.
    pub statements: Vec<String>,
}

/// What a rule hands over.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Findings {
    /// What it proposes.
    pub candidates: Vec<Candidate>,
    /// What it considered and refused.
    pub refusals: Vec<Refusal>,
}

impl Findings {
    /// Adds another rule's findings.
    pub fn merge(&mut self, other: Self) {
        self.candidates.extend(other.candidates);
        self.refusals.extend(other.refusals);
    }
}

impl Candidate {
    /// Takes over what an equal candidate of another statement or rule knows.
    pub fn absorb(&mut self, other: Self) {
        for rule in other.rules {
            if !self.rules.contains(&rule) {
                self.rules.push(rule);
            }
        }
        self.serves.extend(other.serves);
        self.serves.sort_unstable();
        self.serves.dedup();
        self.facts = agreed(std::mem::take(&mut self.facts), other.facts);
        // What holds the change itself back (a partitioned table, another owner) holds in every rule; a rule that
        // knows too little to go further does not hold back one that knows more.
        self.reach = self.reach.max(other.reach);
        self.own_gain_ms_per_day += other.own_gain_ms_per_day;
    }
}

/// The facts of two findings of one change, each once. A constant that either of them knows is not guessed; of two
/// guesses the better one counts, and of two shares of rows the larger, since repetition is no new evidence.
fn agreed(mine: Vec<Fact>, yours: Vec<Fact>) -> Vec<Fact> {
    let guessed = |facts: &[Fact]| {
        let probability = |fact: &Fact| match fact {
            Fact::GuessedConstant { probability } => Some(*probability),
            _ => None,
        };
        facts.iter().filter_map(probability).reduce(f64::max)
    };
    let share = |facts: &[Fact]| {
        let share = |fact: &Fact| match fact {
            Fact::ExpressionShare { share } => Some(*share),
            _ => None,
        };
        facts.iter().filter_map(share).reduce(f64::max)
    };
    let guess = guessed(&mine).zip(guessed(&yours)).map(|(one, other)| one.max(other));
    let largest = share(&mine).into_iter().chain(share(&yours)).reduce(f64::max);
    let mut facts: Vec<Fact> = Vec::new();
    for fact in mine.into_iter().chain(yours) {
        let counts = match fact {
            Fact::GuessedConstant { probability } => guess == Some(probability),
            Fact::ExpressionShare { share } => largest == Some(share),
            _ => true,
        };
        if counts && !facts.contains(&fact) {
            facts.push(fact);
        }
    }
    facts
}
