use super::context::{Text, Unit};
use super::pattern::{Pattern, declare_pattern};
use super::{Context, Finding};
use crate::display::{decimal, milliseconds, shown, trigger_label};
use crate::{OperatorKind, Trigger};

/// Of the execution; a trigger that does what it is there for takes its part.
const SHARE: f64 = 0.1;

/// Milliseconds of one call beyond which a look-up in an index, some 10 to 50 µs, is no explanation.
const CALL_MS: f64 = 0.2;

declare_pattern! {
    /// Triggers, those of foreign keys among them, that take much of the time.
    ///
    /// # Why
    /// Triggers run after the plan, row by row; no operator shows them. A row that is deleted or whose key is changed is looked for in every table
    /// that refers to it, and without an index there that reads the whole table each time.
    ///
    /// # Fires when
    /// One trigger takes 10 % of the execution or more.
    ///
    /// # Silent when
    /// It takes less; times were not printed.
    ///
    /// # What to do
    /// Index the referring columns of the foreign key.
    DearTrigger {
        id: "dear_trigger",
        summary: "trigger that takes much of the time, such as a foreign key without an index",
    }
}

impl Pattern for DearTrigger {
    fn find(&self, cx: &Context<'_>) -> Vec<Finding> {
        cx.plan.triggers.iter().filter_map(|trigger| of(self, cx, trigger)).collect()
    }
}

fn of(pattern: &DearTrigger, cx: &Context<'_>, trigger: &Trigger) -> Option<Finding> {
    let total = trigger.total_ms.filter(|_| cx.unit == Unit::Time)?;
    let execution = cx.whole - cx.plan.planning_ms.unwrap_or(0.0);
    if total < SHARE * execution {
        return None;
    }
    let call = total / trigger.calls.max(1.0);
    let what = format!(
        "{} takes {} in {}, {} each.",
        trigger_label(trigger),
        milliseconds(total),
        calls(trigger.calls),
        milliseconds(call)
    );
    let why = "Triggers run after the plan, row by row; no operator shows their time.".to_owned();
    // Rows of a table that is referred to are deleted or changed; a row that refers is looked up by the unique
    // index that a foreign key requires. The names of the server's own triggers tell which (`_a_` and `_c_`).
    let referred = match trigger.name.as_deref() {
        Some(name) if name.starts_with("RI_ConstraintTrigger_a") => true,
        Some(name) if name.starts_with("RI_ConstraintTrigger_c") => false,
        _ => {
            trigger.constraint.is_some()
                && cx.operators().any(|(_, operator, _)| {
                    operator.kind == OperatorKind::ModifyTable
                        && operator.command.as_deref() != Some("Insert")
                })
        }
    };
    let constraint = trigger.constraint.as_deref().map(shown).unwrap_or_default();
    let advice = match (&trigger.constraint, referred && call >= CALL_MS) {
        (Some(_), true) => format!(
            "Each call takes too long for a look-up in an index: index the referring columns of the foreign key {constraint}."
        ),
        (Some(_), false) => format!(
            "Each call is about as short as an index makes it: change fewer rows at a time, or, in one large load, drop the foreign \
             key {constraint} and add it again afterwards."
        ),
        (None, _) => "See what its function does for each row; a trigger for each statement, with transition tables, does it once.".to_owned(),
    };
    cx.finding(pattern.meta(), None, total, Text { what, why, advice })
}

fn calls(number: f64) -> String {
    let number = decimal(number, 0);
    if number == "1" { "1 call".to_owned() } else { format!("{number} calls") }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::Finding;
    use super::super::testing::{exact, found};
    use crate::testing::node;

    fn of(command: &str, trigger: &Value) -> Vec<Finding> {
        let root =
            node("ModifyTable", "Outer", exact(20.0, 0.0, 1.0, json!({"Operation": command})), &[]);
        let beside = json!({"Plan": root, "Execution Time": 200.0, "Triggers": [trigger]});
        found("dear_trigger", &crate::from_json(&beside).unwrap().plan)
    }

    #[test]
    fn a_foreign_key_without_an_index_is_told_from_one_with() {
        let trigger = |ms: f64, calls: u64| json!({"Constraint Name": "orders_user_fk", "Relation": "users", "Time": ms, "Calls": calls});
        let finding = &of("Delete", &trigger(180.0, 30))[0];
        assert_eq!(
            finding.what,
            "Trigger for constraint orders_user_fk on users takes 180 ms in 30 calls, 6.00 ms each."
        );
        assert!(finding.advice.contains("index the referring columns"), "{}", finding.advice);
        assert!(
            of("Delete", &trigger(180.0, 9000))[0].advice.contains("as short as an index makes it")
        );
        assert!(
            of("Insert", &trigger(180.0, 30))[0].advice.contains("as short as an index makes it")
        );
        assert!(of("Delete", &trigger(15.0, 30)).is_empty());
    }

    #[test]
    fn a_trigger_of_the_user() {
        let trigger =
            json!({"Trigger Name": "audit", "Relation": "users", "Time": 90.0, "Calls": 3});
        assert!(of("Update", &trigger)[0].advice.contains("transition tables"));
    }
}
