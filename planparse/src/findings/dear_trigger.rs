use super::context::{Text, Unit};
use super::pattern::{Pattern, declare_pattern};
use super::{Context, Finding};
use crate::display::{decimal, milliseconds, shown, trigger_label};
use crate::{OperatorKind, Trigger};

/// Of the execution; a trigger that does what it is there for takes its part.
const SHARE: f64 = 0.1;

/// Milliseconds of a call that looks a row up in an index. Measured with PostgreSQL 15, all in memory: 3 µs where a row that
/// refers is inserted, 5.5 to 16 µs where one that is referred to is deleted.
const LOOK_UP_MS: f64 = 0.01;

/// Milliseconds of one call beyond which that look-up alone is no explanation. Without an index a call takes 32 ns more for
/// each row of the referring table (same measurement): 36 µs for 1,000 rows, 0.37 ms for 10,000, 36 ms for a million.
const CALL_MS: f64 = 0.02;

declare_pattern! {
    /// Triggers, those of foreign keys among them, that take much of the time.
    ///
    /// # Why
    /// Triggers run beside the plan, mostly row by row; only a BEFORE trigger's time is part of an operator's. A row that is deleted or
    /// whose key is changed is looked for in every table that refers to it, and without an index there that reads the whole table each
    /// time.
    ///
    /// # Fires when
    /// One trigger takes 10 % of the execution or more. A call of a foreign key's trigger is called long from 20 µs on: a look-up in an
    /// index takes 5 to 16 µs, reading a table without one 32 ns for each of its rows (measured).
    ///
    /// # Silent when
    /// It takes less; times were not printed.
    ///
    /// # What to do
    /// Index the referring columns of the foreign key; of a trigger of one's own, look at the statements that its function runs.
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
    let why =
        "Triggers run beside the plan; only a BEFORE trigger's time is part of an operator's."
            .to_owned();
    let advice = match &trigger.constraint {
        Some(constraint) => {
            of_foreign_key(&shown(constraint), asks_for_referring(cx, trigger), call)
        }
        None if call >= CALL_MS => {
            "Its function runs statements that take long: find them with auto_explain.log_nested_statements.".to_owned()
        }
        None => "Each call is short, and there are many: a WHEN condition spares those that change nothing of interest; an AFTER \
             trigger for each statement, with transition tables, does it once."
            .to_owned(),
    };
    cx.finding(pattern.meta(), None, total, Text { what, why, advice })
}

/// Whether a foreign key's trigger looks for the rows that refer to a changed one (and not for the one that is
/// referred to); none where the plan does not tell.
fn asks_for_referring(cx: &Context<'_>, trigger: &Trigger) -> Option<bool> {
    // The names of the server's own triggers tell (`_a_` acts on what refers, `_c_` checks what is referred to).
    match trigger.name.as_deref() {
        Some(name) if name.starts_with("RI_ConstraintTrigger_a") => return Some(true),
        Some(name) if name.starts_with("RI_ConstraintTrigger_c") => return Some(false),
        _ => {}
    }
    let commands = || {
        let changes = cx.operators().map(|(_, operator, _)| operator);
        changes
            .filter(|operator| operator.kind == OperatorKind::ModifyTable)
            .map(|operator| operator.command.as_deref().unwrap_or_default())
    };
    match (commands().all(|command| command == "Delete"), commands().all(|it| it == "Insert")) {
        (true, false) => Some(true),
        (false, true) => Some(false),
        _ => None,
    }
}

fn of_foreign_key(constraint: &str, asks_for_referring: Option<bool>, call: f64) -> String {
    let short = call < CALL_MS;
    match asks_for_referring {
        _ if short => format!(
            "A call is as short as a look-up in an index (some 10 µs), or the \
             referring table is small: only the number of calls counts. Change fewer rows at a time, or, in one large load, drop the foreign key {constraint} and add it again afterwards."
        ),
        Some(false) => format!(
            "The foreign key {constraint} is checked by the unique index that it requires, in some 10 µs; what takes longer is waiting \
             for others who change the same row, or reading from disk."
        ),
        _ => format!(
            "A call takes {} times as long as a look-up in an index: index the referring columns of the foreign key {constraint}, if no \
             index begins with them. If one does, many rows refer to each and are changed along (ON DELETE CASCADE), or they \
             were read from disk.",
            decimal(call / LOOK_UP_MS, 0)
        ),
    }
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
    use crate::testing::{node, with};

    fn of(command: &str, trigger: &Value) -> Vec<Finding> {
        let root =
            node("ModifyTable", "Outer", exact(20.0, 0.0, 1.0, json!({"Operation": command})), &[]);
        let beside = json!({"Plan": root, "Execution Time": 200.0, "Triggers": [trigger]});
        found("dear_trigger", &crate::from_json(&beside).unwrap().plan)
    }

    fn foreign_key(ms: f64, calls: u64) -> Value {
        json!({"Constraint Name": "orders_user_fk", "Relation": "users", "Time": ms, "Calls": calls})
    }

    fn advice(command: &str, trigger: &Value) -> String {
        of(command, trigger)[0].advice.clone()
    }

    #[test]
    fn a_foreign_key_without_an_index_is_told_from_one_with() {
        let finding = &of("Delete", &foreign_key(180.0, 30))[0];
        assert_eq!(
            finding.what,
            "Trigger for constraint orders_user_fk on users takes 180 ms in 30 calls, 6.00 ms each."
        );
        assert!(finding.advice.contains("600 times as long"), "{}", finding.advice);
        assert!(advice("Delete", &foreign_key(27.8, 5000)).contains("as short as a look-up"));
        assert!(of("Delete", &foreign_key(15.0, 30)).is_empty());
    }

    // Measured with PostgreSQL 15: referring tables of 1,000 and 3,000 rows without an index.
    #[test]
    fn a_small_table_without_an_index_is_told_too() {
        for (ms, calls) in [(181.4, 5000), (97.5, 1000), (85.2, 500)] {
            let told = advice("Delete", &foreign_key(ms, calls));
            assert!(told.contains("index the referring columns"), "{told}");
        }
    }

    #[test]
    fn which_side_is_looked_up_follows_from_what_is_changed() {
        let long = foreign_key(180.0, 30);
        assert!(advice("Insert", &long).contains("waiting for others"));
        // An UPDATE changes either side, unless the server's name of the trigger tells.
        assert!(advice("Update", &long).contains("index the referring columns"));
        let check = with(long, json!({"Trigger Name": "RI_ConstraintTrigger_c_16400"}));
        assert!(advice("Update", &check).contains("waiting for others"));
    }

    #[test]
    fn a_trigger_of_the_user() {
        let trigger = |calls: u64| json!({"Trigger Name": "audit", "Relation": "users", "Time": 90.0, "Calls": calls});
        assert!(advice("Update", &trigger(3)).contains("log_nested_statements"));
        assert!(advice("Update", &trigger(45_000)).contains("transition tables"));
    }
}
