//! What a rule makes of a small database, as lines that a test can compare.

use rules::candidate::{Candidate, Change, Findings};
use rules::context::Context;
use rules::evidence::Fact;
use rules::snapshot::{Index, Snapshot};
use rules::testing;

/// A database (see [`testing::snapshot`]) that runs these statements.
pub(crate) fn database(lines: &str, statements: &[&str]) -> Snapshot {
    let mut snapshot = testing::snapshot(lines);
    snapshot.statements = statements.iter().map(|text| testing::statement(text)).collect();
    snapshot
}

/// Ways to change an index, each with its name.
pub(crate) type Changes<const N: usize> = [(&'static str, fn(&mut Index)); N];

/// What a rule found.
pub(crate) struct Seen {
    pub(crate) findings: Findings,
}

/// Runs one rule.
pub(crate) fn look(rule: &str, snapshot: &Snapshot) -> Seen {
    let workload = testing::workload(snapshot);
    assert_eq!(workload.len(), snapshot.statements.len(), "every statement of a test is readable");
    let cx = Context { snapshot, workload: &workload };
    let rule = rules::RULES.iter().find(|known| known.meta().id == rule).expect("a known rule");
    let findings = rule.propose(&cx);
    for candidate in &findings.candidates {
        assert!(candidate.reach <= rule.meta().reach, "{} goes too far", rule.meta().id);
        assert_eq!(candidate.rules, [rule.meta().id]);
    }
    Seen { findings }
}

impl Seen {
    /// The candidates, one a line: `btree (a, b DESC) on t: act`, `drop i: ask`, `analyze t: act`.
    pub(crate) fn proposed(&self) -> Vec<String> {
        self.findings.candidates.iter().map(line).collect()
    }

    /// The refusals, one a line: `index (a): the reason`.
    pub(crate) fn refused(&self) -> Vec<String> {
        self.findings.refusals.iter().map(|r| format!("{}: {}", r.what, r.reason)).collect()
    }

    /// The facts of the only candidate, as sentences.
    pub(crate) fn facts(&self) -> Vec<String> {
        self.only().facts.iter().map(Fact::to_string).collect()
    }

    /// The only candidate.
    pub(crate) fn only(&self) -> &Candidate {
        let [only] = self.findings.candidates.as_slice() else { panic!("{:?}", self.proposed()) };
        only
    }

    /// Asserts that the rule neither proposed nor refused anything.
    pub(crate) fn is_silent(&self) {
        assert_eq!(self.proposed(), Vec::<String>::new());
        assert_eq!(self.refused(), Vec::<String>::new());
    }

    /// Asserts that the rule proposed nothing and that some refusal holds these words.
    pub(crate) fn refuses(&self, words: &str) {
        assert_eq!(self.proposed(), Vec::<String>::new());
        assert!(self.refused().iter().any(|line| line.contains(words)), "{:?}", self.refused());
    }
}

/// A candidate on one line.
pub(crate) fn line(candidate: &Candidate) -> String {
    let what = match &candidate.change {
        Change::CreateIndex { definition, .. } => {
            let body = definition.body();
            format!("{} on {}", body.trim_start_matches("USING "), definition.table)
        }
        Change::DropIndex { index, .. } => format!("drop {}", index.name),
        Change::Analyze { table } => format!("analyze {table}"),
        Change::CreateStatistics { definition, .. } => {
            format!("statistics {}", definition.canonical())
        }
        Change::Vacuum { table } => format!("vacuum {table}"),
    };
    format!("{what}: {}", candidate.reach)
}
