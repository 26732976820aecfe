//! A plan as plain text for a person: one line an operator, figures to the left, the tree to the right.

use std::fmt::Write;

use serde_json::Value;

use crate::details::{beside, details};
use crate::{Link, Metrics, Operator, OperatorKind, Plan, Trigger};

/// Beyond this depth the tree is not indented further, so that no plan makes lines without end.
const MAX_INDENT: usize = 40;

/// Longer conditions are cut; the whole ones are in the plan.
const MAX_CONDITION: usize = 200;

/// Cells of the bar that shows an operator's share.
const BAR: usize = 8;

/// Returns the plan as a readable tree without colours, with a header and a line feed at the end of each line.
///
/// An executed plan shows times, its own share of them, and rows returned beside rows estimated; any other plan
/// shows costs. Rows and estimates are per loop, as EXPLAIN prints them, with the loops beside where there are several.
pub fn tree(plan: &Plan) -> String {
    let metrics = plan.metrics();
    let (columns, estimated) = (Columns::of(plan), plan.has_costs());
    let whole: f64 = metrics.values().map(|metric| columns.own(metric)).sum();
    let mut text = columns.header();
    // What hangs below a line's branch, per operator still to be printed.
    let mut open = vec![(plan.root(), String::new(), "", 0)];
    while let Some((id, gutter, branch, depth)) = open.pop() {
        let operator = plan.operator(id);
        let figures = columns.figures(operator, &metrics[&id], whole, estimated);
        let loops = operator.actual.map(|actual| actual.loops).filter(|loops| *loops > 1.0);
        let loops = loops.map(|loops| format!("  ×{}", decimal(loops, 0))).unwrap_or_default();
        let _ =
            writeln!(text, "{figures}  {gutter}{branch}{}{loops}", label(operator, plan.link(id)));
        let indented = depth < MAX_INDENT;
        let below = match branch {
            "├─ " if indented => format!("{gutter}│  "),
            "└─ " if indented => format!("{gutter}   "),
            _ => gutter,
        };
        let children = plan.children(id);
        let stem = if children.is_empty() { "   " } else { "│  " };
        for detail in details(operator) {
            let _ = writeln!(
                text,
                "{:width$}  {below}{stem}  {detail}",
                "",
                width = figures.chars().count()
            );
        }
        let last = children.len().saturating_sub(1);
        for (place, (child, _)) in children.into_iter().enumerate().rev() {
            let branch = if place == last { "└─ " } else { "├─ " };
            open.push((child, below.clone(), branch, depth + 1));
        }
    }
    for line in beside(plan) {
        let _ = writeln!(text, "{line}");
    }
    for (name, ms) in [("Planning", plan.planning_ms), ("Execution", plan.execution_ms)] {
        if let Some(ms) = ms {
            let _ = writeln!(text, "{name}: {}", milliseconds(ms));
        }
    }
    text
}

/// Which figures there are to show.
#[derive(Clone, Copy)]
enum Columns {
    /// Times and both kinds of rows.
    Times,
    /// Costs and both kinds of rows: run with TIMING OFF.
    CostsAndRows,
    /// Costs and estimated rows.
    Costs,
    /// Rows: run with TIMING OFF and COSTS OFF.
    Rows,
    /// Nothing but the tree: not run, and COSTS OFF.
    None,
}

impl Columns {
    fn of(plan: &Plan) -> Self {
        match (plan.operator(plan.root()).actual, plan.has_costs()) {
            (Some(actual), _) if actual.total_ms.is_some() => Self::Times,
            (Some(_), true) => Self::CostsAndRows,
            (Some(_), false) => Self::Rows,
            (None, true) => Self::Costs,
            (None, false) => Self::None,
        }
    }

    /// The figure of which the share is shown.
    fn own(self, metrics: &Metrics) -> f64 {
        match self {
            Self::Times => metrics.exclusive_ms.unwrap_or(0.0),
            Self::CostsAndRows | Self::Costs => metrics.exclusive_cost,
            Self::Rows | Self::None => 0.0,
        }
    }

    fn header(self) -> String {
        let (total, own) = match self {
            Self::Times => ("total time", "own time"),
            Self::CostsAndRows | Self::Costs => ("total cost", "own cost"),
            Self::Rows => return format!("{:>12}  operator\n", "rows"),
            Self::None => return "  operator\n".to_owned(),
        };
        let rows =
            if matches!(self, Self::Costs) { String::new() } else { format!("{:>12}", "rows") };
        format!(
            "{total:>12}{own:>12}  {:<width$}{rows}{:>12}  operator\n",
            "share",
            "estimated",
            width = BAR + 6
        )
    }

    fn figures(
        self,
        operator: &Operator,
        metrics: &Metrics,
        whole: f64,
        estimated: bool,
    ) -> String {
        let (total, own) = match self {
            Self::Times if metrics.never_executed => (None, None),
            Self::Times => {
                (metrics.inclusive_ms.map(milliseconds), metrics.exclusive_ms.map(milliseconds))
            }
            Self::CostsAndRows | Self::Costs => {
                (Some(decimal(operator.total_cost, 2)), Some(decimal(metrics.exclusive_cost, 2)))
            }
            Self::Rows | Self::None => (None, None),
        };
        let share = if whole > 0.0 { self.own(metrics) / whole } else { 0.0 };
        let rows = match (self, operator.actual) {
            (Self::Costs | Self::None, _) => String::new(),
            (_, Some(actual)) if actual.loops > 0.0 => {
                format!("{:>12}", decimal(actual.rows, usize::from(actual.rows.fract() != 0.0) * 2))
            }
            (_, Some(_)) => format!("{:>12}", "never run"),
            (_, None) => format!("{:>12}", "-"),
        };
        if matches!(self, Self::Rows | Self::None) {
            return rows;
        }
        let share =
            if own.is_some() { bar(share) } else { format!("{:width$}", "", width = BAR + 6) };
        let (total, own) =
            (total.unwrap_or_else(|| "-".to_owned()), own.unwrap_or_else(|| "-".to_owned()));
        let expected = if estimated { decimal(operator.rows, 0) } else { "-".to_owned() };
        format!("{total:>12}{own:>12}  {share}{rows}{expected:>12}")
    }
}

/// A share from 0 to 1 as a bar and a percentage, always of the same width.
fn bar(share: f64) -> String {
    let eighths = (share.clamp(0.0, 1.0) * (BAR * 8) as f64).round() as usize;
    let part = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"][eighths % 8];
    let cells = format!("{}{part}", "█".repeat(eighths / 8));
    format!("{cells:<BAR$}{:>4} %", (share.clamp(0.0, 1.0) * 100.0).round())
}

/// Returns what an operator is and what it works on, such as `Index Scan using orders_pkey on orders o`, on one line and
/// without control characters; `link` is how it serves the one above it, from [`Plan::link`].
pub fn label(operator: &Operator, link: Option<Link>) -> String {
    let mut label = match (link, &operator.subplan_name) {
        (Some(Link::InitPlan | Link::SubPlan | Link::Remote), Some(name)) => format!("{name}: "),
        (Some(Link::Remote), None) => "Task: ".to_owned(),
        _ => String::new(),
    };
    if operator.parallel_aware {
        label.push_str("Parallel ");
    }
    if operator.other.get("Async Capable").and_then(Value::as_bool) == Some(true) {
        label.push_str("Async ");
    }
    let name = operator.node_type.as_str();
    let command = operator.command.as_deref();
    match (operator.kind, operator.join_type.as_deref(), operator.strategy.as_deref()) {
        (OperatorKind::HashJoin | OperatorKind::MergeJoin, Some(join), _) if join != "Inner" => {
            let _ = write!(label, "{} {join} Join", name.trim_end_matches(" Join"));
        }
        (OperatorKind::NestedLoop, Some(join), _) if join != "Inner" => {
            let _ = write!(label, "{name} {join} Join");
        }
        (OperatorKind::Aggregate, _, Some("Hashed")) => label.push_str("HashAggregate"),
        (OperatorKind::Aggregate, _, Some("Sorted")) => label.push_str("GroupAggregate"),
        (OperatorKind::Aggregate, _, Some("Mixed")) => label.push_str("MixedAggregate"),
        (OperatorKind::SetOp, _, strategy) => {
            label.push_str(if strategy == Some("Hashed") { "HashSetOp" } else { name });
            let _ = write!(label, " {}", command.unwrap_or_default());
        }
        (OperatorKind::ModifyTable, ..) => label.push_str(command.unwrap_or(name)),
        (OperatorKind::ForeignScan, ..) if command.is_some_and(|it| it != "Select") => {
            let _ = write!(label, "Foreign {}", command.unwrap_or_default());
        }
        _ => label.push_str(name),
    }
    if let Some(provider) = operator.other.get("Custom Plan Provider").and_then(Value::as_str) {
        let _ = write!(label, " ({provider})");
    }
    if let Some(partial) = operator.partial_mode.as_deref().filter(|mode| *mode != "Simple") {
        let _ = write!(label, " ({partial})");
    }
    if operator.scan_direction.as_deref() == Some("Backward") {
        label.push_str(" backward");
    }
    if let Some(index) = &operator.index_name {
        let preposition =
            if operator.kind == OperatorKind::BitmapIndexScan { "on" } else { "using" };
        let _ = write!(label, " {preposition} {}", quoted(index));
    }
    let target = operator
        .relation
        .as_ref()
        .or(operator.cte_name.as_ref())
        .or(operator.function_name.as_ref())
        .map(String::as_str)
        .or_else(|| {
            ["Tuplestore Name", "Table Function Name"]
                .into_iter()
                .find_map(|key| operator.other.get(key)?.as_str())
        });
    if let Some(target) = target.or(operator.alias.as_deref()) {
        let schema = operator
            .schema
            .as_deref()
            .map(|schema| format!("{}.", quoted(schema)))
            .unwrap_or_default();
        let _ = write!(label, " on {schema}{}", quoted(target));
        if let Some(alias) = operator.alias.as_deref().filter(|alias| *alias != target) {
            let _ = write!(label, " {}", quoted(alias));
        }
    }
    shown(&label)
}

/// Which trigger, and on what.
pub(crate) fn trigger_label(trigger: &Trigger) -> String {
    let name = match (&trigger.constraint, &trigger.name) {
        (Some(constraint), _) => format!("Trigger for constraint {}", quoted(constraint)),
        (None, name) => format!("Trigger {}", quoted(name.as_deref().unwrap_or("?"))),
    };
    let relation = trigger.relation.as_deref().map(|relation| format!(" on {}", quoted(relation)));
    shown(&(name + &relation.unwrap_or_default()))
}

/// An identifier as it has to be written in SQL (reserved words aside).
pub(crate) fn quoted(identifier: &str) -> String {
    let plain = |c: char| {
        c.is_ascii_lowercase()
            || c == '_'
            || c.is_ascii_digit()
            || c == '$'
            || (!c.is_ascii() && !c.is_uppercase())
    };
    if identifier.chars().all(plain)
        && !identifier.starts_with(|c: char| c.is_ascii_digit() || c == '$')
    {
        identifier.to_owned()
    } else {
        format!("\"{}\"", identifier.replace('"', "\"\""))
    }
}

/// A text from the plan as it may go to a terminal: on one line, not endless, without control characters.
pub(crate) fn shown(text: &str) -> String {
    let mut shown: String =
        text.chars().take(MAX_CONDITION).map(|c| if c.is_control() { ' ' } else { c }).collect();
    if text.chars().nth(MAX_CONDITION).is_some() {
        shown.push('…');
    }
    shown
}

/// A number with commas between thousands.
pub(crate) fn decimal(number: f64, decimals: usize) -> String {
    if number.abs() >= 1e15 {
        return format!("{number:.1e}");
    }
    let plain = format!("{number:.decimals$}");
    let (whole, fraction) = plain.split_at(plain.find('.').unwrap_or(plain.len()));
    let mut grouped = String::new();
    for (place, digit) in whole.chars().enumerate() {
        let left = whole.len() - place;
        if place > 0 && left.is_multiple_of(3) && !grouped.ends_with('-') {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped + fraction
}

/// Milliseconds with three digits that matter below 100.
pub(crate) fn milliseconds(ms: f64) -> String {
    let decimals = match ms {
        ms if ms >= 100.0 => 0,
        ms if ms >= 10.0 => 1,
        ms if ms >= 1.0 => 2,
        _ => 3,
    };
    format!("{} ms", decimal(ms, decimals))
}

/// Kilobytes (1,024 bytes) in the unit that reads best.
pub(crate) fn kilobytes(kb: u64) -> String {
    match kb as f64 {
        kb if kb >= 1_048_576.0 => format!("{} GB", decimal(kb / 1_048_576.0, 1)),
        kb if kb >= 1024.0 => format!("{} MB", decimal(kb / 1024.0, 1)),
        kb => format!("{} kB", decimal(kb, 0)),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::testing::{node, plan, ran, with};

    #[test]
    fn an_executed_plan_shows_times() {
        let scan = json!({"Relation Name": "BehaviorLog", "Schema": "public", "Alias": "b", "Plan Rows": 50000,
            "Filter": "(b.\"userId\" = 'x'::text)", "Rows Removed by Filter": 994_988});
        let scan = node("Seq Scan", "Outer", with(ran(90.0, 5012.0, 1.0), scan), &[]);
        let never = node(
            "Index Scan",
            "Inner",
            with(
                ran(0.0, 0.0, 0.0),
                json!({"Index Name": "i", "Relation Name": "t", "Plan Rows": 1}),
            ),
            &[],
        );
        let join = with(ran(99.0, 0.0, 1.0), json!({"Plan Rows": 7, "Join Type": "Left"}));
        let sort = json!({"Plan Rows": 7, "Sort Key": ["b.id DESC"], "Sort Method": "external merge", "Sort Space Used": 2048, "Sort Space Type": "Disk"});
        let text = tree(&plan(&node(
            "Sort",
            "Outer",
            with(ran(100.0, 0.0, 1.0), sort),
            &[node("Nested Loop", "Outer", join, &[scan, never])],
        )));
        let expected = [
            "  total time    own time  share                 rows   estimated  operator",
            "      100 ms     1.00 ms  ▏          1 %           0           7  Sort",
            "                                                                  │    Sort Key: b.id DESC",
            "                                                                  │    Sort: external merge, 2.0 MB on disk",
            "     99.0 ms     9.00 ms  ▊          9 %           0           7  └─ Nested Loop Left Join",
            "     90.0 ms     90.0 ms  ███████▎  90 %       5,012      50,000     ├─ Seq Scan on public.\"BehaviorLog\" b",
            "                                                                     │       Filter: (b.\"userId\" = 'x'::text)  (removed 994,988)",
            "           -           -                   never run           1     └─ Index Scan using i on t",
            "",
        ];
        assert_eq!(text, expected.join("\n"));
    }

    #[test]
    fn a_plan_that_was_not_run_shows_costs() {
        let scan = json!({"Relation Name": "t", "Total Cost": 35.5, "Plan Rows": 2550.0, "Startup Cost": 0.0});
        let root =
            json!({"Total Cost": 42.0, "Plan Rows": 1, "Strategy": "Hashed", "Group Key": ["a"]});
        let text = plan(&node("Aggregate", "Outer", root, &[node("Seq Scan", "Outer", scan, &[])]))
            .to_string();
        let expected = [
            "  total cost    own cost  share            estimated  operator",
            "       42.00        6.50  █▎        15 %           1  HashAggregate",
            "                                                      │    Group Key: a",
            "       35.50       35.50  ██████▊   85 %       2,550  └─ Seq Scan on t",
            "",
        ];
        assert_eq!(text, expected.join("\n"));
    }

    #[test]
    fn what_was_not_printed_is_not_made_up() {
        let keys = json!({"Relation Name": "t"});
        let bare = plan(&node("Seq Scan", "Outer", keys.clone(), &[])).to_string();
        assert_eq!(bare, "  operator\n  Seq Scan on t\n");
        let counted = with(keys.clone(), json!({"Actual Rows": 7, "Actual Loops": 1}));
        let counted = plan(&node("Seq Scan", "Outer", counted, &[])).to_string();
        assert_eq!(counted, "        rows  operator\n           7  Seq Scan on t\n");
        let timed = plan(&node("Seq Scan", "Outer", with(keys, ran(2.0, 7.0, 1.0)), &[]));
        assert!(timed.to_string().ends_with("7           -  Seq Scan on t\n"), "{timed}");
    }

    #[test]
    fn names_tell_what_is_done_and_by_whom() {
        let name = |node_type: &str, keys: Value| {
            let plan = plan(&node(node_type, "Outer", keys, &[]));
            label(plan.operator(plan.root()), None)
        };
        assert_eq!(
            [
                name("Custom Scan", json!({"Custom Plan Provider": "Citus Adaptive"})),
                name("Foreign Scan", json!({"Async Capable": true, "Relation Name": "t"})),
                name("Foreign Scan", json!({"Operation": "Update", "Relation Name": "t"})),
                name("SetOp", json!({"Strategy": "Hashed", "Command": "Except"})),
            ],
            [
                "Custom Scan (Citus Adaptive)",
                "Async Foreign Scan on t",
                "Foreign Update on t",
                "HashSetOp Except"
            ]
        );
    }

    #[test]
    fn nothing_from_the_plan_reaches_the_terminal_raw() {
        let evil = json!({"Relation Name": "t\u{1b}[2J\n", "Filter": format!("a{}", "\n\u{7}b".repeat(500))});
        let text = tree(&plan(&node("Seq Scan", "Outer", evil, &[])));
        assert!(text.chars().all(|c| c == '\n' || !c.is_control()));
        assert_eq!(text.lines().count(), 3);
        assert!(text.ends_with("…\n"));
    }

    #[test]
    fn depth_does_not_make_lines_without_end() {
        let mut root = node("Sort", "Outer", json!({"Sort Key": ["a"]}), &[]);
        for _ in 0..60 {
            root = node("Sort", "Outer", json!({"Sort Key": ["a"]}), &[root]);
        }
        assert!(
            tree(&plan(&root)).lines().all(|line| line.chars().count() < 64 + 3 * MAX_INDENT + 20)
        );
    }

    #[test]
    fn figures_read_well() {
        assert_eq!(
            [decimal(0.0, 0), decimal(999.0, 0), decimal(1234.5, 2), decimal(-123_456.0, 0)],
            ["0", "999", "1,234.50", "-123,456"]
        );
        assert_eq!(
            [milliseconds(0.0214), milliseconds(1.5), milliseconds(42.04), milliseconds(12345.6)],
            ["0.021 ms", "1.50 ms", "42.0 ms", "12,346 ms"]
        );
        assert_eq!(
            [kilobytes(25), kilobytes(1536), kilobytes(3_145_728)],
            ["25 kB", "1.5 MB", "3.0 GB"]
        );
        assert_eq!(
            [quoted("orders"), quoted("BehaviorLog"), quoted("a\"b"), quoted("1a")],
            ["orders", "\"BehaviorLog\"", "\"a\"\"b\"", "\"1a\""]
        );
        assert_eq!(
            [bar(0.0), bar(1.0), bar(f64::MAX)],
            ["           0 %", "████████ 100 %", "████████ 100 %"]
        );
    }
}
