//! Facts for and against a candidate, and the one place where they become a probability.
//!
//! A rule cannot invent a number: it states facts, and [`confidence`] weighs them. The sum of the weights
//! is the log-odds of "it helps"; every term is shown to the user.

mod words;

use serde::{Deserialize, Serialize};

/// One fact about a candidate.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "fact", rename_all = "snake_case")]
pub enum Fact {
    /// The planner itself, given the hypothetical index, chose it.
    Priced {
        /// Who answered, e.g. `hypopg`.
        by: String,
        /// Weighted new cost / old cost over the statements that it helps, 0 to 1.
        ratio: f64,
    },
    /// Nobody could price it (no `HypoPG`, or the method is beyond it).
    Unpriced {
        /// Why not.
        reason: String,
    },
    /// It pays too when old and new are planned under `effective_cache_size = '8MB'`.
    PaysWithTinyCache {
        /// New cost / old cost there.
        ratio: f64,
    },
    /// It does not pay there: the gain rests on pages staying in memory.
    FailsWithTinyCache {
        /// New cost / old cost there.
        ratio: f64,
    },
    /// Every binding of the statements that it helps gains.
    AllBindingsGain {
        /// Number of bindings priced.
        bindings: usize,
    },
    /// The gain depends on the values.
    SomeBindingsGain {
        /// Bindings that gain.
        gain: usize,
        /// Bindings priced.
        bindings: usize,
    },
    /// The cost over bindings differs by more than ten times.
    Skewed {
        /// Dearest / cheapest.
        spread: f64,
    },
    /// Prepared, statements would go on with their generic plan, which leaves the index aside.
    GenericPlanStays {
        /// How many statements.
        statements: usize,
    },
    /// The statement's time was measured by the server.
    Measured {
        /// Mean execution time in milliseconds.
        mean_ms: f64,
        /// Executions counted.
        calls: u64,
    },
    /// The statements are already fast; the promise is below what a clock tells apart.
    AlreadyFast {
        /// Mean execution time in milliseconds.
        mean_ms: f64,
    },
    /// Seen too seldom to tell a habit from an accident.
    SeldomSeen {
        /// Executions counted.
        calls: u64,
    },
    /// The new plan takes its order from the index under a LIMIT, beside a filter that the index does not serve.
    OrderedLimitBesideFilter,
    /// The new plan has a nested loop with a join below its outer side that the old had not.
    NestedLoopOverJoin,
    /// The gain hangs on how many rows an expression keeps, which the planner guesses for want of statistics.
    GuessedSelectivity,
    /// The table was never analyzed.
    NeverAnalyzed,
    /// Much of the table changed since its statistics were taken.
    StaleStatistics {
        /// Share of the rows changed since.
        share: f64,
    },
    /// Row level security may keep the index from being used.
    RowSecurity,
    /// The planner that priced it is of another major version than the server.
    OtherVersion {
        /// The planner's major version.
        planner: u32,
        /// The server's.
        server: u32,
    },
    /// The value of a constant inside the expression was guessed from statistics, since the text holds `$n` in its place.
    GuessedConstant {
        /// Probability that the guess is right.
        probability: f64,
    },
    /// The constant inside the expression was seen in the text of a running session.
    SeenConstant,
    /// The planner has no statistics of the expression; its share of rows was counted in sampled values.
    ExpressionShare {
        /// Share of rows that match.
        share: f64,
    },
    /// Updates that were HOT would stop to be.
    EndsHot {
        /// Share of the table's updates that were HOT.
        share: f64,
    },
    /// Statements that insert into the table would be slowed down, by this index and the others judged beside it.
    SlowsInserts {
        /// Share of an INSERT's time at the client.
        share: f64,
    },
    /// Its gain was priced beside other new indexes that wait for a person.
    BesideDoubtful,
    /// It gains only together with another new index.
    NeedsIndex {
        /// The other index.
        index: String,
        /// That one's own confidence.
        confidence: f64,
    },
    /// The table would have very many indexes.
    ManyIndexes {
        /// Old and new ones together.
        indexes: usize,
    },
    /// The rows found by the statement on average agree, or not, with what the planner expects.
    RowsAgree {
        /// max(estimated/observed, observed/estimated).
        factor: f64,
    },
    /// The foreign key's parent is deleted from or its key updated.
    ParentChanges {
        /// Deletes per day on the parent.
        per_day: f64,
    },
    /// The same definition as another index, which stays.
    SameAs {
        /// The index that stays.
        index: String,
    },
    /// Another index serves everything that this one serves.
    CoveredBy {
        /// The index that covers it.
        index: String,
    },
    /// The index is invalid: writers maintain it and nobody can use it.
    Invalid,
    /// What it is for besides speed (constraint, replica identity …) keeps it.
    NeededFor {
        /// By what.
        what: String,
    },
    /// Statistics are missing or old where the workload needs them.
    StatisticsNeeded {
        /// Share of rows changed since the last ANALYZE; `None` when there was none.
        share: Option<f64>,
        /// Statements that read the table.
        statements: usize,
    },
    /// Index-only scans have to look most rows up in the table, for want of a vacuum.
    HeapFetches {
        /// Share of the table's pages that are marked as visible to all.
        visible: f64,
        /// Statements that scan so.
        statements: usize,
    },
    /// Dead rows that autovacuum does not remove.
    DeadRows {
        /// How many.
        dead: u64,
        /// Live rows.
        live: u64,
        /// How many dead ones autovacuum waits for.
        threshold: u64,
    },
    /// Columns that depend on each other, by the rows that a statement returns.
    Dependent {
        /// The columns.
        columns: Vec<String>,
        /// Rows a call, as the server counted them.
        counted: f64,
        /// Rows that independent columns could give at most.
        most: f64,
    },
    /// Statistics of an expression can be taken only once its index is there, and help as far as that does.
    FollowsIndex {
        /// The index.
        index: String,
        /// The index's own confidence.
        confidence: f64,
    },
    /// The server counted writes of the table that no statement of the workload's files makes.
    UnknownWrites {
        /// Rows inserted that are not weighed, since nobody knows how long they were counted.
        inserted: u64,
        /// Rows updated of which it is not known what they set.
        updated: u64,
        /// Share of those that was HOT.
        hot: f64,
    },
    /// It cannot be carried out alone.
    NotAlone {
        /// Why.
        reason: String,
    },
}

/// Log-odds that a candidate of which nothing is known helps: even.
const PRIOR: f64 = 0.0;

/// What the two promise-breaking plan shapes leave at most, until better evidence exists
/// (measured: 25 of 37 regressions among 1,380 pairs were ordered LIMITs, the rest nested loops).
pub const VETO_CAP: f64 = 0.85;

/// Share of a table's updates that an index may end to be HOT without a person's consent. Measured on PostgreSQL 15:
/// updates that are not HOT take 1.7 to 2.2 times as long and write 1.7 to 1.9 times as much WAL; an index that ended
/// 30 % of them would be taken back by `pgwright verify`.
pub const HOT_ENDED_MAX: f64 = 0.2;

/// Share by which new indexes together may slow a table's INSERT statements down before a person is asked.
pub const INSERT_SLOWDOWN_MAX: f64 = 0.1;

/// Indexes on one table, old and new together, from which on a person is asked: planning time and lock slots
/// grow with each (a backend has 16 cheap ones, `FP_LOCK_SLOTS_PER_BACKEND` of proc.h).
pub const INDEXES_PER_TABLE_MAX: usize = 15;

/// What an unpriced candidate reaches at most.
pub const UNPRICED_CAP: f64 = 0.6;

impl Fact {
    /// Its weight in log-odds; positive speaks for, negative against, zero only informs.
    ///
    /// The weights of pricing facts follow 460 executed plan pairs: with the estimate alone below 0.95,
    /// 69 % helped; with the tiny-cache guard 77 %; with a ratio of 0.5 or less and neither veto 98 to
    /// 100 % (158 of 160, 141 of 141); between 0.5 and 0.8 three in four (40 of 53).
    pub fn weight(&self) -> f64 {
        match self {
            Self::Priced { ratio, .. } if *ratio <= 0.5 => 2.6,
            Self::Priced { ratio, .. } if *ratio <= 0.8 => 0.9,
            Self::Priced { ratio, .. } if *ratio <= 0.9 => 0.4,
            Self::Priced { .. } => 0.0,
            Self::PaysWithTinyCache { .. } => 0.6,
            Self::FailsWithTinyCache { .. } => -2.5,
            Self::AllBindingsGain { .. } => 0.3,
            Self::SomeBindingsGain { gain, bindings } => {
                // From no effect when nearly all gain to -1.5 when nearly none do.
                -1.5 * (1.0 - *gain as f64 / (*bindings).max(1) as f64)
            }
            Self::Skewed { .. } => -0.2,
            // Nobody knows whether they are prepared.
            Self::GenericPlanStays { .. } => -0.5,
            Self::Measured { .. } => 0.1,
            // Up to here a call is mostly overhead that no index changes.
            Self::AlreadyFast { mean_ms } if *mean_ms <= 0.05 => -1.5,
            Self::AlreadyFast { .. } => -0.7,
            Self::SeldomSeen { .. } => -0.6,
            Self::NeverAnalyzed => -2.0,
            Self::StaleStatistics { share } => -(share.min(1.0) * 2.0),
            Self::RowSecurity => -2.0,
            // Planners of neighbouring versions mostly agree; that they do here was never measured.
            Self::OtherVersion { .. } => -0.5,
            Self::GuessedConstant { .. } => 0.0,
            Self::SeenConstant => 0.3,
            Self::ExpressionShare { share } => {
                if *share <= 0.2 {
                    0.2
                } else {
                    -3.0
                }
            }
            Self::EndsHot { share } => -1.5 * share,
            // A third of the above: of the columns that such updates set, most are in no new index.
            Self::UnknownWrites { hot, .. } => -0.5 * hot,
            // No more and no less sure than the index.
            Self::FollowsIndex { confidence, .. } => (confidence / (1.0 - confidence)).ln(),
            Self::SlowsInserts { .. } | Self::ManyIndexes { .. } => 0.0,
            Self::RowsAgree { factor } if *factor > 10.0 => -0.8,
            Self::RowsAgree { .. } => 0.1,
            Self::ParentChanges { per_day } => {
                if *per_day > 0.0 {
                    1.0
                } else {
                    0.0
                }
            }
            Self::SameAs { .. } | Self::Invalid => 4.0,
            Self::CoveredBy { .. } => 1.5,
            Self::NeededFor { .. } => -4.0,
            Self::StatisticsNeeded { share: None, .. } => 3.5,
            Self::StatisticsNeeded { share: Some(share), .. } => 2.0 + share.min(2.0),
            // That the marks are set is sure, that they last is not.
            Self::HeapFetches { visible, .. } if *visible < 0.2 => 3.0,
            Self::HeapFetches { .. } => 2.0,
            Self::DeadRows { dead, live, .. } if *dead >= *live => 2.5,
            Self::DeadRows { dead, live, .. } if *dead as f64 >= 0.5 * *live as f64 => 1.5,
            Self::DeadRows { .. } => 0.7,
            // Right estimates do not make every plan faster, and nobody has measured how many.
            Self::Dependent { .. } => 1.4,
            Self::Unpriced { .. }
            | Self::OrderedLimitBesideFilter
            | Self::NestedLoopOverJoin
            | Self::GuessedSelectivity
            | Self::BesideDoubtful
            | Self::NeedsIndex { .. }
            | Self::NotAlone { .. } => 0.0,
        }
    }

    /// The most that confidence may be while this fact stands.
    pub fn cap(&self) -> f64 {
        match self {
            Self::OrderedLimitBesideFilter
            | Self::NestedLoopOverJoin
            | Self::GuessedSelectivity
            | Self::Dependent { .. }
            // A person has to look: nothing is done on the word of a planner that will not plan.
            | Self::OtherVersion { .. } => VETO_CAP,
            Self::SlowsInserts { share } if *share > INSERT_SLOWDOWN_MAX => VETO_CAP,
            Self::EndsHot { share } if *share >= HOT_ENDED_MAX => VETO_CAP,
            Self::ManyIndexes { .. } | Self::BesideDoubtful => VETO_CAP,
            Self::NeedsIndex { confidence, .. } => *confidence,
            // On the wrong constant the index helps nobody.
            Self::GuessedConstant { probability } => *probability,
            Self::Unpriced { .. } => UNPRICED_CAP,
            _ => 0.99,
        }
    }
}

/// The probability that a candidate helps, with the facts that it rests on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Confidence {
    /// 0 to 1.
    pub value: f64,
    /// Every fact with its weight in log-odds and, where it caps, its cap.
    pub terms: Vec<Term>,
}

/// One fact in a confidence.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Term {
    /// The fact.
    pub fact: Fact,
    /// Log-odds that it adds.
    pub weight: f64,
    /// The cap that it sets, when under 0.99.
    pub cap: Option<f64>,
}

/// Weighs facts: the logistic of prior plus weights, no higher than the lowest cap, rounded down to 0.001.
pub fn confidence(facts: &[Fact]) -> Confidence {
    let terms: Vec<Term> = facts
        .iter()
        .map(|fact| {
            let cap = fact.cap();
            Term { fact: fact.clone(), weight: fact.weight(), cap: (cap < 0.99).then_some(cap) }
        })
        .collect();
    let odds = PRIOR + terms.iter().map(|term| term.weight).sum::<f64>();
    let cap = facts.iter().map(Fact::cap).fold(0.99, f64::min);
    let value = (1.0 / (1.0 + (-odds).exp())).min(cap);
    Confidence { value: (value * 1000.0 + 1e-9).floor() / 1000.0, terms }
}

#[cfg(test)]
mod tests {
    use super::{Fact, VETO_CAP, confidence};

    fn priced(ratio: f64) -> Fact {
        Fact::Priced { by: "hypopg".into(), ratio }
    }

    #[test]
    fn strong_priced_evidence_passes_the_gate() {
        let facts = [
            priced(0.05),
            Fact::PaysWithTinyCache { ratio: 0.06 },
            Fact::AllBindingsGain { bindings: 3 },
        ];
        assert!(confidence(&facts).value >= 0.90);
    }

    #[test]
    fn a_ratio_alone_does_not() {
        assert!(confidence(&[priced(0.7)]).value < 0.90);
        assert!(confidence(&[priced(0.05), Fact::FailsWithTinyCache { ratio: 1.1 }]).value < 0.90);
    }

    #[test]
    fn a_veto_caps_however_strong_the_rest() {
        let facts = [
            priced(0.001),
            Fact::PaysWithTinyCache { ratio: 0.001 },
            Fact::AllBindingsGain { bindings: 4 },
            Fact::Measured { mean_ms: 100.0, calls: 1000 },
            Fact::OrderedLimitBesideFilter,
        ];
        assert!((confidence(&facts).value - VETO_CAP).abs() < 1e-9);
        let other = Fact::OtherVersion { planner: 17, server: 15 };
        for veto in [Fact::BesideDoubtful, Fact::ManyIndexes { indexes: 20 }, other] {
            let facts: Vec<_> = facts[..4].iter().cloned().chain([veto]).collect();
            assert!((confidence(&facts).value - VETO_CAP).abs() < 1e-9);
        }
    }

    #[test]
    fn counter_evidence_never_raises_confidence() {
        let base = [priced(0.1), Fact::PaysWithTinyCache { ratio: 0.1 }];
        let against = [
            Fact::NeverAnalyzed,
            Fact::SeldomSeen { calls: 1 },
            Fact::RowSecurity,
            Fact::EndsHot { share: 0.9 },
            Fact::SomeBindingsGain { gain: 1, bindings: 3 },
            Fact::AlreadyFast { mean_ms: 0.1 },
        ];
        for fact in against {
            let with: Vec<_> = base.iter().cloned().chain([fact.clone()]).collect();
            assert!(confidence(&with).value < confidence(&base).value, "{fact}");
        }
    }
}
