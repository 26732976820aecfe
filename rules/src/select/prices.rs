//! What the answerer said, and what follows from it without asking.
//!
//! A planner that had a choice of indexes and used some of them makes the same plan when those that it left
//! aside are gone (the atomic configurations of Finkelstein, Schkolnick and Tiberio, "Physical database design
//! for relational databases", ACM TODS 13(1), 1988). Where costs lie within the planner's fuzz factor of 1 %
//! (`STD_FUZZ_FACTOR` in src/backend/optimizer/util/pathnode.c) the plan may differ, its cost by no more.

use std::collections::BTreeMap;

use crate::whatif::{Answer, Cache, Configuration, Question};

/// All answers so far.
#[derive(Debug, Default)]
pub(super) struct Prices(BTreeMap<(usize, usize, Cache), BTreeMap<Configuration, Answer>>);

impl Prices {
    /// Takes an answer in.
    pub(super) fn insert(&mut self, question: Question, answer: Answer) {
        let Question { statement, binding, configuration, cache } = question;
        self.0.entry((statement, binding, cache)).or_default().insert(configuration, answer);
    }

    /// The answer to a question: given, or that of a larger configuration of which the plan used nothing more.
    pub(super) fn get(&self, question: &Question) -> Option<&Answer> {
        let asked = &question.configuration;
        let answers = self.0.get(&(question.statement, question.binding, question.cache))?;
        answers.get(asked).or_else(|| {
            let follows = |(larger, answer): &(&Configuration, &Answer)| {
                asked.is_subset(larger)
                    && answer.as_ref().is_ok_and(|price| price.used.is_subset(asked))
            };
            answers.iter().find(follows).map(|(_, answer)| answer)
        })
    }
}
