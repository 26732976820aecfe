//! Which expressions of a plan mention which subplans.

use std::collections::BTreeMap;
use std::ops::Range;

use crate::{OperatorId, Plan};

/// For each mark with its number, such as `$0` or `InitPlan 1`, the operators that mention it, in printed order.
pub(crate) struct Mentions(BTreeMap<String, Vec<OperatorId>>);

impl Mentions {
    /// Looks for the marks, each with the digits that follow it, in all expressions.
    pub(crate) fn of(plan: &Plan, marks: &[&str]) -> Self {
        let mut mentions: BTreeMap<String, Vec<OperatorId>> = BTreeMap::new();
        for (id, operator) in plan.operators() {
            let evaluated = operator.other.get("Params Evaluated").and_then(|list| list.as_array());
            let evaluated = evaluated.into_iter().flatten().filter_map(|name| name.as_str());
            for text in operator.expressions().chain(evaluated) {
                for (at, mark) in marks.iter().flat_map(|mark| text.match_indices(mark)) {
                    let number = &text[at + mark.len()..];
                    let digits = number.bytes().take_while(u8::is_ascii_digit).count();
                    let users = mentions.entry(format!("{mark}{}", &number[..digits])).or_default();
                    if users.last() != Some(&id) {
                        users.push(id);
                    }
                }
            }
        }
        Self(mentions)
    }

    /// Tells whether an operator mentions a name.
    pub(crate) fn has(&self, name: &str, user: OperatorId) -> bool {
        self.0.get(name).is_some_and(|users| users.binary_search(&user).is_ok())
    }

    /// Returns the operators among these that mention a name.
    pub(crate) fn within(&self, name: &str, among: &Range<OperatorId>) -> &[OperatorId] {
        let users = self.0.get(name).map(Vec::as_slice).unwrap_or_default();
        let from = |id: OperatorId| users.partition_point(|user| *user < id);
        users.get(from(among.start)..from(among.end)).unwrap_or_default()
    }
}
