use super::context::Text;
use super::pattern::{Pattern, declare_pattern};
use super::{Context, Finding, memory, misestimate};
use crate::display::{decimal, kilobytes};
use crate::{Operator, OperatorId, OperatorKind};

declare_pattern! {
    /// A hash join whose hash table did not fit into memory and was built in several batches.
    ///
    /// # Why
    /// All rows but those of the first batch are written to temporary files and read back, those of the other side of the join too.
    ///
    /// # Fires when
    /// A Hash has more than one batch.
    ///
    /// # Silent when
    /// It has one; the statement was not run.
    ///
    /// # What to do
    /// Hash less: fewer rows, fewer columns, the smaller side (which the planner picks if its estimates are right); or raise
    /// `work_mem` to what the server's own formula gives for the rows that came (`ExecChooseHashTableSize()` in `nodeHash.c`).
    HashOnDisk {
        id: "hash_on_disk",
        summary: "hash table that went through temporary files",
    }
}

impl Pattern for HashOnDisk {
    fn find(&self, cx: &Context<'_>) -> Vec<Finding> {
        cx.operators().filter_map(|(id, operator, _)| of(self, cx, id, operator)).collect()
    }
}

fn of(
    pattern: &HashOnDisk,
    cx: &Context<'_>,
    id: OperatorId,
    operator: &Operator,
) -> Option<Finding> {
    let batches = operator.hash_batches.filter(|batches| *batches > 1)?;
    let actual = operator.actual?;
    if operator.kind != OperatorKind::Hash || actual.loops <= 0.0 {
        return None;
    }
    let planned = operator.original_hash_batches.filter(|planned| *planned < batches);
    let planned = planned.map(|planned| format!(", {planned} planned")).unwrap_or_default();
    let join = cx.plan.parent(id);
    let spilled = |id| cx.metrics(id).spilled_kb.unwrap_or(0);
    let size = Some(spilled(id).saturating_add(join.map_or(0, spilled))).filter(|kb| *kb > 0);
    let size =
        size.map(|kb| format!(", with {} of temporary files", kilobytes(kb))).unwrap_or_default();
    let what = format!(
        "{} is built in {} batches{planned}{size}.",
        cx.name(id),
        decimal(batches as f64, 0)
    );
    // A shared hash table may take what all of its processes may, so that each has its own rows to bear.
    let hold = memory::hash_setting_for(cx, memory::to_hash(actual.rows, operator.width));
    let more = misestimate::error(cx, id).is_some_and(|error| error > 1.0);
    let advice = if more {
        format!(
            "Mend its row estimate first, with which the planner may hash the other side or join in another way; a {hold} would hold it."
        )
    } else {
        format!(
            "A {hold} would hold it (`SET LOCAL`, for this statement); fewer rows or columns on this side of the join spare it."
        )
    };
    let why =
        "Rows of both sides of the join are written to temporary files and read back.".to_owned();
    let at_stake = cx.own(id) + join.map_or(0.0, |join| cx.own(join));
    cx.finding(pattern.meta(), Some(id), at_stake, Text { what, why, advice })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::testing::{but, exact, fires, silent};
    use crate::testing::node;

    const ID: &str = "hash_on_disk";

    #[test]
    fn fires_on_batches_and_says_what_would_hold_them() {
        let keys = json!({"Hash Batches": 8, "Original Hash Batches": 4, "Plan Width": 105});
        let hash = node("Hash", "Inner", exact(80.0, 300_000.0, 1.0, keys), &[]);
        let outer = node("Seq Scan", "Outer", exact(20.0, 10.0, 1.0, json!({})), &[]);
        let join = |hash| {
            node("Hash Join", "Outer", exact(150.0, 10.0, 1.0, json!({})), &[outer.clone(), hash])
        };
        let finding = fires(ID, &join(hash.clone()));
        assert_eq!(finding.what, "Hash is built in 8 batches, 4 planned.");
        assert_eq!(finding.stake.ms, Some(130.0));
        assert!(
            finding.advice.starts_with("A work_mem times hash_mem_multiplier of 47.0 MB"),
            "{}",
            finding.advice
        );
        let surprised = fires(ID, &join(but(&hash, "Plan Rows", json!(100))));
        assert!(surprised.advice.starts_with("Mend its row estimate"), "{}", surprised.advice);
        let mut unknown = hash.clone();
        for key in ["Plan Rows", "Plan Width"] {
            unknown.as_object_mut().unwrap().remove(key);
        }
        let mut bare = join(unknown);
        bare.as_object_mut().unwrap().remove("Plan Rows");
        bare["Plans"][0].as_object_mut().unwrap().remove("Plan Rows");
        let advice = fires(ID, &bare).advice;
        assert!(advice.starts_with("A larger work_mem would hold it"), "{advice}");
        silent(ID, &join(but(&hash, "Hash Batches", json!(1))));
        silent(ID, &join(but(&hash, "Actual Loops", json!(0))));
    }

    #[test]
    fn a_printed_multiplier_counts() {
        let keys = json!({"Hash Batches": 8, "Plan Width": 105});
        let hash = node("Hash", "Outer", exact(80.0, 300_000.0, 1.0, keys), &[]);
        let printed = json!({"Plan": hash, "Settings": {"hash_mem_multiplier": "2"}});
        let plan = crate::from_json(&printed).unwrap().plan;
        let found = super::super::testing::found(ID, &plan);
        assert!(
            found[0].advice.starts_with("A work_mem of 24.0 MB or more"),
            "{}",
            found[0].advice
        );
    }
}
