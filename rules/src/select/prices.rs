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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::plan_of;
    use crate::whatif::Price;

    fn question(configuration: &[usize]) -> Question {
        let configuration = configuration.iter().copied().collect();
        Question { statement: 0, binding: 0, configuration, cache: Cache::AsSet }
    }

    #[test]
    fn what_a_plan_left_aside_need_not_exist() {
        let mut prices = Prices::default();
        let price = Price {
            plan: plan_of(&serde_json::json!({
                "Node Type": "Seq Scan", "Relation Name": "t", "Alias": "t", "Startup Cost": 0.0, "Total Cost": 7.0,
                "Plan Rows": 1, "Plan Width": 4
            })),
            used: [2].into(),
        };
        prices.insert(question(&[1, 2, 3]), Ok(price));
        for asked in [&[2][..], &[1, 2], &[2, 3], &[1, 2, 3]] {
            assert!(prices.get(&question(asked)).unwrap().is_ok(), "{asked:?}");
        }
        for asked in [&[][..], &[1], &[1, 3], &[2, 4], &[1, 2, 3, 4]] {
            assert!(prices.get(&question(asked)).is_none(), "{asked:?}");
        }
        let cold = Question { cache: Cache::Tiny, ..question(&[2]) };
        assert!(prices.get(&cold).is_none(), "another cache is another question");
    }

    #[test]
    fn from_a_refusal_nothing_follows() {
        let mut prices = Prices::default();
        prices.insert(question(&[1, 2]), Err("no".to_owned()));
        assert!(prices.get(&question(&[1])).is_none());
        assert!(prices.get(&question(&[1, 2])).unwrap().is_err());
    }
}
