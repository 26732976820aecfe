//! Facts as sentences for people.

use super::Fact;

impl std::fmt::Display for Fact {
    #[expect(clippy::too_many_lines, reason = "one sentence for each fact")]
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Priced { by, ratio } => {
                write!(f, "the planner uses it and its cost falls to {} ({by})", percent(*ratio))
            }
            Self::Unpriced { reason } => write!(f, "not priced: {reason}"),
            Self::PaysWithTinyCache { ratio } => {
                write!(f, "it pays with a cold cache too (cost falls to {})", percent(*ratio))
            }
            Self::FailsWithTinyCache { ratio } => {
                write!(f, "with a cold cache it does not pay (cost {})", percent(*ratio))
            }
            Self::AllBindingsGain { bindings: 1 } => {
                write!(f, "it gains for the one set of values tried")
            }
            Self::AllBindingsGain { bindings } => {
                write!(f, "it gains for all {bindings} sets of values tried")
            }
            Self::SomeBindingsGain { gain, bindings } => {
                write!(f, "it gains for {gain} of {bindings} sets of values tried")
            }
            Self::Skewed { spread } => {
                write!(f, "the cost differs {spread:.0} times between values")
            }
            Self::GenericPlanStays { statements } => {
                let which = match statements {
                    1 => "1 statement".to_owned(),
                    many => format!("{many} statements"),
                };
                write!(
                    f,
                    "where it is prepared, {which} would go on with the generic plan, which leaves the index aside; plan_cache_mode = force_custom_plan uses it"
                )
            }
            Self::Measured { mean_ms, calls } => {
                write!(f, "measured by the server: {} a call over {calls} calls", ms(*mean_ms))
            }
            Self::AlreadyFast { mean_ms } => write!(f, "already fast: {} a call", ms(*mean_ms)),
            Self::SeldomSeen { calls: 1 } => write!(f, "seen only once"),
            Self::SeldomSeen { calls } => write!(f, "seen only {calls} times"),
            Self::OrderedLimitBesideFilter => write!(
                f,
                "ORDER BY … LIMIT would walk the index past rows that a filter discards; the planner's promise often breaks there"
            ),
            Self::NestedLoopOverJoin => {
                write!(
                    f,
                    "the new plan loops over a join's result; the planner often underrates how many rows that is"
                )
            }
            Self::GuessedSelectivity => write!(
                f,
                "the planner has no statistics of an expression and guesses how many rows it keeps; under a LIMIT or a nested loop the gain hangs on that"
            ),
            Self::NeverAnalyzed => write!(f, "the table was never analyzed"),
            Self::StaleStatistics { share } => {
                write!(f, "{} of the rows changed since the last ANALYZE", percent(*share))
            }
            Self::RowSecurity => write!(f, "row level security may keep the index from being used"),
            Self::OtherVersion { planner, server } => write!(
                f,
                "the planner of PostgreSQL {planner} was asked in place of the server's own, {server}, and may choose otherwise"
            ),
            Self::GuessedConstant { probability } => write!(
                f,
                "the constant inside the expression is not in the sampled text; guessed from statistics ({})",
                percent(*probability)
            ),
            Self::SeenConstant => {
                write!(f, "the constant inside the expression was seen in a running session")
            }
            Self::ExpressionShare { share } => {
                write!(f, "about {} of the rows match, counted in sampled values", percent(*share))
            }
            Self::EndsHot { share } => {
                write!(
                    f,
                    "{} of the table's updates are HOT and touch these columns",
                    percent(*share)
                )
            }
            Self::SlowsInserts { share } => {
                write!(
                    f,
                    "with the other indexes of pgwright, inserts into the table take {} longer",
                    percent(*share)
                )
            }
            Self::BesideDoubtful => {
                f.write_str("it pays only beside other new indexes that wait for a person")
            }
            Self::NeedsIndex { index, .. } => {
                write!(f, "it gains only together with {index}, and is no surer than that")
            }
            Self::ManyIndexes { indexes } => {
                write!(f, "the table would have {indexes} indexes; planning takes longer with each")
            }
            Self::RowsAgree { factor } if *factor > 10.0 => {
                write!(
                    f,
                    "the planner's row estimate is {factor:.0} times off what the server counted"
                )
            }
            Self::RowsAgree { .. } => {
                write!(f, "the planner's row estimate agrees with what the server counted")
            }
            Self::ParentChanges { per_day } if *per_day > 0.0 => {
                write!(f, "{per_day:.0} deletes a day on the referenced table look up this one")
            }
            Self::ParentChanges { .. } => {
                write!(f, "no deletes on the referenced table were counted")
            }
            Self::SameAs { index } => write!(f, "{index} has the very same definition and stays"),
            Self::CoveredBy { index } => {
                write!(f, "{index} serves everything that this one serves")
            }
            Self::Invalid => {
                write!(f, "the index is invalid: writers maintain it, no query can use it")
            }
            Self::NeededFor { what } => write!(f, "it is needed for {what}"),
            Self::StatisticsNeeded { share: None, statements } => {
                write!(f, "the table has no statistics and {}", readers(*statements))
            }
            Self::StatisticsNeeded { share: Some(share), statements } => write!(
                f,
                "{} of the rows changed since the last ANALYZE and {}",
                percent(*share),
                readers(*statements)
            ),
            Self::HeapFetches { visible, statements } => write!(
                f,
                "{} in an index alone, but only {} of the table's pages are marked as visible to all, so that rows are looked up in the table after all",
                match statements {
                    1 => "1 statement searches".to_owned(),
                    many => format!("{many} statements search"),
                },
                percent(*visible)
            ),
            Self::DeadRows { dead, live, threshold } => write!(
                f,
                "{dead} dead rows beside {live} live ones; autovacuum should have come at {threshold}"
            ),
            Self::Dependent { columns, counted, most } => write!(
                f,
                "{counted:.0} rows a call; were {} independent, it could be {most:.0} at most, which is what the planner goes by",
                columns.join(" and ")
            ),
            Self::FollowsIndex { index, .. } => write!(
                f,
                "the planner knows nothing of the values of {index} until the table is analyzed after the build"
            ),
            Self::UnknownWrites { inserted, updated: 0, .. } => write!(
                f,
                "{inserted} rows inserted into the table are not weighed: no file holds such a statement, and the server's counters were never reset"
            ),
            Self::UnknownWrites { updated, hot, .. } => write!(
                f,
                "the server counted {updated} updates of the table, {} of them HOT; no file holds them, so nobody knows whether they set these columns",
                percent(*hot)
            ),
            Self::NotAlone { reason } => f.write_str(reason),
        }
    }
}

/// `1 statement reads it`, `3 statements read it`.
fn readers(statements: usize) -> String {
    match statements {
        1 => "1 statement reads it".to_owned(),
        many => format!("{many} statements read it"),
    }
}

/// `3.1 %`, `47 %`.
fn percent(share: f64) -> String {
    let value = share * 100.0;
    if value < 0.1 {
        "under 0.1 %".to_owned()
    } else if value < 10.0 {
        format!("{value:.1} %")
    } else {
        format!("{value:.0} %")
    }
}

/// `0.05 ms`, `12 ms`.
fn ms(value: f64) -> String {
    if value < 10.0 { format!("{value:.2} ms") } else { format!("{value:.0} ms") }
}
