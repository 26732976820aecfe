//! Facts become a probability in one place; what that place promises.

use proptest::prelude::*;
use rules::evidence::{Fact, INSERT_SLOWDOWN_MAX, UNPRICED_CAP, VETO_CAP, confidence};

/// The gate of `--apply`.
const GATE: f64 = 0.9;

fn value(facts: &[Fact]) -> f64 {
    confidence(facts).value
}

fn priced(ratio: f64) -> Fact {
    Fact::Priced { by: "hypopg".to_owned(), ratio }
}

/// Strong evidence, as an index for a slow statement has it.
fn strong() -> Vec<Fact> {
    vec![
        priced(0.02),
        Fact::PaysWithTinyCache { ratio: 0.05 },
        Fact::AllBindingsGain { bindings: 3 },
        Fact::Measured { mean_ms: 80.0, calls: 5000 },
        Fact::RowsAgree { factor: 1.2 },
    ]
}

fn strong_and(fact: Fact) -> f64 {
    let mut facts = strong();
    facts.push(fact);
    value(&facts)
}

#[test]
fn nothing_known_is_even() {
    assert!((value(&[]) - 0.5).abs() < 1e-9);
}

#[test]
fn strong_evidence_passes_the_gate_and_is_never_certain() {
    assert!(value(&strong()) >= GATE);
    let many: Vec<Fact> = (0..50).flat_map(|_| strong()).collect();
    assert!((value(&many) - 0.99).abs() < 1e-9);
}

#[test]
fn each_of_these_alone_keeps_strong_evidence_under_the_gate() {
    for fact in [
        Fact::OrderedLimitBesideFilter,
        Fact::NestedLoopOverJoin,
        Fact::FailsWithTinyCache { ratio: 1.2 },
        Fact::NeverAnalyzed,
        Fact::RowSecurity,
        Fact::GuessedConstant { probability: 0.3 },
        Fact::ExpressionShare { share: 0.5 },
        Fact::SlowsInserts { share: 0.2 },
        Fact::BesideDoubtful,
        Fact::ManyIndexes { indexes: 16 },
        Fact::Unpriced { reason: "no HypoPG".to_owned() },
        Fact::NeededFor { what: "a constraint".to_owned() },
    ] {
        assert!(strong_and(fact.clone()) < GATE, "{fact}");
    }
}

#[test]
fn each_of_these_alone_does_not() {
    for fact in [
        Fact::Skewed { spread: 50.0 },
        Fact::SeldomSeen { calls: 2 },
        Fact::SeenConstant,
        Fact::StaleStatistics { share: 0.3 },
        Fact::EndsHot { share: 0.19 },
        Fact::SlowsInserts { share: INSERT_SLOWDOWN_MAX },
        Fact::GuessedConstant { probability: 0.95 },
        Fact::ExpressionShare { share: 0.01 },
        Fact::ParentChanges { per_day: 0.0 },
    ] {
        assert!(strong_and(fact.clone()) >= GATE, "{fact}: {}", strong_and(fact.clone()));
    }
}

#[test]
fn caps_hold_however_strong_the_rest() {
    let many: Vec<Fact> = (0..20).flat_map(|_| strong()).collect();
    let with = |fact: Fact| value(&[many.clone(), vec![fact]].concat());
    assert!((with(Fact::NestedLoopOverJoin) - VETO_CAP).abs() < 1e-9);
    assert!((with(Fact::OrderedLimitBesideFilter) - VETO_CAP).abs() < 1e-9);
    assert!((with(Fact::SlowsInserts { share: 0.11 }) - VETO_CAP).abs() < 1e-9);
    assert!((with(Fact::Unpriced { reason: String::new() }) - UNPRICED_CAP).abs() < 1e-9);
    const { assert!(VETO_CAP < GATE && UNPRICED_CAP < VETO_CAP) }
}

#[test]
fn drops_and_statistics_pass_on_their_own_evidence() {
    assert!(value(&[Fact::SameAs { index: "i".to_owned() }]) >= GATE);
    assert!(value(&[Fact::StatisticsNeeded { share: None, statements: 1 }]) >= GATE);
    assert!(value(&[Fact::StatisticsNeeded { share: Some(0.21), statements: 1 }]) >= GATE);
    assert!(value(&[Fact::CoveredBy { index: "i".to_owned() }]) < GATE);
}

#[test]
fn the_terms_add_up_to_the_value_and_show_their_caps() {
    let known = confidence(&strong());
    let odds: f64 = known.terms.iter().map(|term| term.weight).sum();
    assert!((known.value - 1.0 / (1.0 + (-odds).exp())).abs() < 0.001);
    assert!(known.terms.iter().all(|term| term.cap.is_none()));
    let capped = confidence(&[Fact::NestedLoopOverJoin]);
    assert_eq!(capped.terms[0].cap, Some(VETO_CAP));
}

#[test]
fn every_fact_is_a_sentence_without_an_unprintable_figure() {
    for share in [0.0, 1e-9, 0.05, 0.5, 1.0, 12.0] {
        let facts = [
            priced(share),
            Fact::StaleStatistics { share },
            Fact::EndsHot { share },
            Fact::SlowsInserts { share },
            Fact::ParentChanges { per_day: share },
            Fact::RowsAgree { factor: share },
            Fact::StatisticsNeeded { share: Some(share), statements: 3 },
        ];
        for fact in facts {
            let text = fact.to_string();
            assert!(!text.is_empty() && !text.contains("NaN") && !text.contains("inf"), "{text}");
        }
    }
}

fn fact() -> impl Strategy<Value = Fact> {
    let share = || prop_oneof![0.0..1.0, 0.0..100.0];
    prop_oneof![
        share().prop_map(priced),
        share().prop_map(|ratio| Fact::PaysWithTinyCache { ratio }),
        share().prop_map(|ratio| Fact::FailsWithTinyCache { ratio }),
        (1_usize..9).prop_map(|bindings| Fact::AllBindingsGain { bindings }),
        (0_usize..9, 0_usize..9).prop_map(|(gain, bindings)| Fact::SomeBindingsGain {
            gain: gain.min(bindings),
            bindings
        }),
        share().prop_map(|spread| Fact::Skewed { spread }),
        share().prop_map(|mean_ms| Fact::Measured { mean_ms, calls: 7 }),
        share().prop_map(|mean_ms| Fact::AlreadyFast { mean_ms }),
        (0_u64..9).prop_map(|calls| Fact::SeldomSeen { calls }),
        share().prop_map(|share| Fact::StaleStatistics { share }),
        share().prop_map(|probability| Fact::GuessedConstant { probability }),
        share().prop_map(|share| Fact::ExpressionShare { share }),
        share().prop_map(|share| Fact::EndsHot { share: share.min(1.0) }),
        share().prop_map(|share| Fact::SlowsInserts { share }),
        share().prop_map(|factor| Fact::RowsAgree { factor }),
        share().prop_map(|per_day| Fact::ParentChanges { per_day }),
        proptest::option::of(share())
            .prop_map(|share| Fact::StatisticsNeeded { share, statements: 1 }),
        proptest::sample::select(vec![
            Fact::OrderedLimitBesideFilter,
            Fact::NestedLoopOverJoin,
            Fact::BesideDoubtful,
            Fact::ManyIndexes { indexes: 16 },
            Fact::NeverAnalyzed,
            Fact::RowSecurity,
            Fact::SeenConstant,
            Fact::Invalid,
            Fact::SameAs { index: "i".to_owned() },
            Fact::CoveredBy { index: "i".to_owned() },
            Fact::NeededFor { what: "x".to_owned() },
            Fact::Unpriced { reason: "x".to_owned() },
            Fact::NotAlone { reason: "x".to_owned() },
        ]),
    ]
}

proptest! {
    #[test]
    fn a_fact_that_speaks_against_never_raises_confidence(
        facts in proptest::collection::vec(fact(), 0..8),
        more in fact(),
    ) {
        let before = value(&facts);
        let after = value(&[facts, vec![more.clone()]].concat());
        if more.weight() <= 0.0 {
            prop_assert!(after <= before, "{more}: {before} -> {after}");
        }
        prop_assert!(after <= more.cap() + 1e-9);
        prop_assert!((0.0..=0.99).contains(&after));
    }

    #[test]
    fn a_fact_that_speaks_for_never_lowers_it_unless_it_caps(
        facts in proptest::collection::vec(fact(), 0..8),
        more in fact(),
    ) {
        let before = value(&facts);
        let after = value(&[facts, vec![more.clone()]].concat());
        if more.weight() >= 0.0 && more.cap() >= 0.99 {
            prop_assert!(after >= before, "{more}: {before} -> {after}");
        }
    }

    #[test]
    fn the_order_of_the_facts_does_not_matter(facts in proptest::collection::vec(fact(), 0..8)) {
        let back: Vec<Fact> = facts.iter().rev().cloned().collect();
        prop_assert!((value(&facts) - value(&back)).abs() <= 0.001);
    }

    #[test]
    fn a_lower_ratio_is_no_worse_evidence(ratio in 0.0..1.5_f64, less in 0.0..1.0_f64) {
        prop_assert!(priced(ratio * less).weight() >= priced(ratio).weight());
    }
}
