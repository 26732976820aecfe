use crate::candidate::Findings;
use crate::context::Context;
use crate::reach::Reach;
use crate::rule::{Rule, declare_rule};
declare_rule! {
    /// x
    pub UnindexedExpression { id: "unindexed_expression", summary: "x", reach: Reach::Act, since: "0.1.0", }
}
impl Rule for UnindexedExpression {
    fn propose(&self, _cx: &Context<'_>) -> Findings {
        Findings::default()
    }
}
