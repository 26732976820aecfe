//! The forms in which a plan is printed: tree, JSON, Markdown and pictures, all from the same rows.

use planparse::{Buffers, Finding, Metrics, Note, Operator, OperatorId, Parsed, Plan};

use super::units;
use crate::text;

#[cfg(test)]
mod corpus;
pub(crate) mod diff;
pub(crate) mod html;
pub(crate) mod human;
pub(crate) mod json;
pub(crate) mod markdown;
pub(crate) mod side_by_side;
pub(crate) mod svg;
mod xml;

/// Deeper operators are not indented further, so that no plan makes lines without end.
const INDENT_MAX: usize = 40;

/// From so many times on, a wrong estimate is worth a mark.
const ESTIMATE_MARKED: f64 = 2.0;

/// From so many times on, it is worth a warning; findings judge by the same figure.
const ESTIMATE_WRONG: f64 = 10.0;

/// What was read of one file.
pub(crate) struct Sheets<'a> {
    pub(crate) sheets: Vec<Sheet<'a>>,
    pub(crate) notes: &'a [Note],
}

/// One plan, ready to be drawn.
pub(crate) struct Sheet<'a> {
    pub(crate) parsed: &'a Parsed,
    pub(crate) findings: Vec<Finding>,
    pub(crate) metrics: Vec<Metrics>,
    pub(crate) rows: Vec<Row>,
    pub(crate) measure: Measure,
}

/// By which figure operators are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Measure {
    /// Milliseconds on the clock.
    Time,
    /// Blocks touched: it was run without timing, but with BUFFERS.
    Blocks,
    /// The planner's cost: the plan was not run, or without both.
    Cost,
    /// None: COSTS OFF.
    Nothing,
}

impl Measure {
    fn of(plan: &Plan, metrics: &[Metrics]) -> Self {
        let timed = metrics.first().is_some_and(|metrics| metrics.exclusive_ms.is_some());
        match plan.executed() {
            true if timed => Self::Time,
            true if plan.buffers().is_some() => Self::Blocks,
            _ if plan.has_costs() => Self::Cost,
            _ => Self::Nothing,
        }
    }

    /// What heads the column.
    pub(crate) fn own(self) -> &'static str {
        match self {
            Self::Time => "own time",
            Self::Blocks => "own blocks",
            Self::Cost => "own cost",
            Self::Nothing => "",
        }
    }

    fn figure(self, metrics: &Metrics) -> f64 {
        match self {
            Self::Time => metrics.exclusive_ms.unwrap_or(0.0),
            Self::Blocks => {
                metrics.exclusive_buffers.map_or(0.0, |buffers| worked(&buffers) as f64)
            }
            Self::Cost => metrics.exclusive_cost,
            Self::Nothing => 0.0,
        }
    }

    fn told(self, metrics: &Metrics) -> Option<String> {
        let figure = self.figure(metrics);
        match self {
            _ if metrics.never_executed => None,
            Self::Time => Some(time(figure)),
            Self::Blocks => Some(units::count(figure as u64)),
            Self::Cost => Some(units::cost(figure)),
            Self::Nothing => None,
        }
    }
}

/// Blocks of tables and temporary files, as findings count them.
fn worked(buffers: &Buffers) -> u64 {
    buffers.touched().saturating_add(buffers.temp_read).saturating_add(buffers.temp_written)
}

/// One operator as it is drawn.
pub(crate) struct Row {
    pub(crate) id: OperatorId,
    /// From 0 for the root.
    pub(crate) depth: usize,
    /// For each level above, whether further siblings follow there; last, whether they follow the operator itself.
    pub(crate) follow: Vec<bool>,
    /// What it is and what it works on, and how often it ran.
    pub(crate) name: String,
    /// Its own time or cost; none where it never ran.
    pub(crate) own: Option<String>,
    /// Its own part of the whole, from 0 to 1; none where it never ran, or nothing tells it.
    pub(crate) share: Option<f64>,
    /// Rows that it returned over all loops, or is expected to; `-` where neither is known.
    pub(crate) rows: String,
    pub(crate) estimate: Option<Estimate>,
    /// Conditions and what was told about them.
    pub(crate) details: Vec<String>,
    /// Numbers of the findings about it, from 1.
    pub(crate) findings: Vec<usize>,
    pub(crate) has_children: bool,
    /// Whether the statement ran and never came here.
    pub(crate) never: bool,
}

/// How a row estimate was off.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Estimate {
    times: f64,
    more: bool,
}

impl Estimate {
    /// `▲200×` where more rows came than expected, `▼50×` where fewer.
    pub(crate) fn mark(self) -> String {
        let arrow = if self.more { '▲' } else { '▼' };
        let times = match self.times {
            times if times < 9.95 => format!("{times:.1}"),
            times if times < 99_999.5 => units::count(times.round() as u64),
            times => format!("{times:.0e}"),
        };
        format!("{arrow}{times}×")
    }

    /// Whether it is off by so much that plans go wrong.
    pub(crate) fn is_wrong(self) -> bool {
        self.times >= ESTIMATE_WRONG
    }

    fn of(operator: &Operator, metrics: &Metrics) -> Option<Self> {
        let times = metrics.estimate_error.filter(|times| *times >= ESTIMATE_MARKED)?;
        let more = operator.actual?.rows > operator.rows;
        // Stopped before its end, it had no chance to give what was expected.
        (more || !metrics.stoppable).then_some(Self { times, more })
    }
}

impl<'a> Sheets<'a> {
    pub(crate) fn of(plans: &'a [Parsed], notes: &'a [Note]) -> Self {
        Self { sheets: plans.iter().map(Sheet::of).collect(), notes }
    }

    /// `Plan 2 of 3, from line 40`, where there are several.
    pub(crate) fn title(&self, position: usize) -> Option<String> {
        let several = self.sheets.len() > 1;
        let line = self.sheets[position].parsed.line;
        several.then(|| format!("Plan {} of {}, from line {line}", position + 1, self.sheets.len()))
    }
}

impl<'a> Sheet<'a> {
    fn of(parsed: &'a Parsed) -> Self {
        let plan = &parsed.plan;
        let findings = planparse::findings(plan);
        let metrics: Vec<Metrics> = plan.metrics().into_values().collect();
        let measure = Measure::of(plan, &metrics);
        let rows = rows(plan, &metrics, &findings, measure);
        Self { parsed, findings, metrics, rows, measure }
    }

    pub(crate) fn plan(&self) -> &'a Plan {
        &self.parsed.plan
    }

    /// Where most of the time or cost goes, in a sentence.
    pub(crate) fn dearest(&self) -> Option<String> {
        // The first sentence is the one that is no finding.
        let told = planparse::summary(self.plan());
        (told.len() > self.findings.len()).then(|| text::line(&told[0]))
    }

    /// What is known of the statement as a whole, in a few words each.
    pub(crate) fn facts(&self) -> Vec<String> {
        let plan = self.plan();
        let mut facts = Vec::new();
        match (plan.execution_ms, plan.executed()) {
            (Some(ms), _) => facts.push(format!("execution {}", time(ms))),
            (None, true) => {
                facts.extend(plan.operators_ms().map(|ms| format!("execution {}", time(ms))))
            }
            (None, false) if plan.has_costs() => facts.push("not run: estimates only".to_owned()),
            (None, false) => facts.push("not run, and printed without estimates".to_owned()),
        }
        let duration = plan.duration_ms.filter(|_| plan.execution_ms.is_none());
        facts.extend(duration.map(|ms| format!("the whole statement {}", time(ms))));
        facts.extend(plan.planning_ms.map(|ms| format!("planning {}", time(ms))));
        let compiling = plan.jit.as_ref().and_then(|jit| jit.timing_ms.get("Total"));
        facts.extend(compiling.map(|ms| format!("compiling {}", time(*ms))));
        let triggers: f64 = plan.triggers.iter().filter_map(|trigger| trigger.total_ms).sum();
        if triggers > 0.0 {
            facts.push(format!("triggers {}", time(triggers)));
        }
        if plan.has_costs() {
            facts.push(format!("cost {}", units::cost(plan.total_cost())));
        }
        if let Some(buffers) = plan.buffers() {
            facts.push(format!("{} touched", size(buffers.touched())));
            let parts =
                [(buffers.read(), "of it read"), (buffers.temp_written, "of temporary files")];
            let parts = parts.into_iter().filter(|(blocks, _)| *blocks > 0);
            facts.extend(parts.map(|(blocks, name)| format!("{} {name}", size(blocks))));
        }
        facts.push(units::plural(self.rows.len(), "operator", "operators"));
        facts
    }

    /// What is said where there is no finding.
    pub(crate) fn nothing_found(&self) -> &'static str {
        match self.measure {
            Measure::Nothing => "Without times, blocks or costs nothing tells what makes it slow.",
            _ => "Nothing found that is known to make plans slow.",
        }
    }

    /// What stands beside the tree, one line each: triggers, compilation, settings.
    pub(crate) fn beside(&self) -> Vec<String> {
        planparse::beside(self.plan()).iter().map(|line| text::line(line)).collect()
    }

    /// What was not understood of the text, one line each.
    pub(crate) fn problems(&self) -> Vec<String> {
        self.parsed.problems.iter().map(|problem| text::line(&problem.to_string())).collect()
    }
}

/// A finding's number and weight, such as `73 % of the time`.
pub(crate) fn weight(finding: &Finding) -> String {
    let of = match finding.stake {
        stake if stake.ms.is_some() => "of the time",
        stake if stake.blocks.is_some() => "of the blocks",
        _ => "of the cost",
    };
    format!("{} {of}", units::percent(finding.stake.share))
}

/// A time with digits enough to tell microseconds.
pub(crate) fn time(ms: f64) -> String {
    if ms > 0.0 && ms < 0.1 { format!("{ms:.3} ms") } else { units::duration(ms) }
}

/// The name of a pattern in words.
pub(crate) fn words(pattern: &str) -> String {
    pattern.replace('_', " ")
}

fn rows(plan: &Plan, metrics: &[Metrics], findings: &[Finding], measure: Measure) -> Vec<Row> {
    let whole: f64 = metrics.iter().map(|metrics| measure.figure(metrics)).sum();
    let estimated = plan.has_costs();
    let mut rows: Vec<Row> = Vec::with_capacity(metrics.len());
    let mut open = vec![(plan.root(), Vec::new())];
    while let Some((id, follow)) = open.pop() {
        let (operator, metrics) = (plan.operator(id), &metrics[id.index()]);
        let children = plan.children(id);
        let depth = follow.len();
        for (place, (child, _)) in children.iter().enumerate().rev() {
            let mut below: Vec<bool> = follow.clone();
            if below.len() >= INDENT_MAX {
                below.pop();
            }
            below.push(place + 1 < children.len());
            open.push((*child, below));
        }
        let share = (measure.figure(metrics) / whole).clamp(0.0, 1.0);
        let about = |(_, finding): &(usize, &Finding)| finding.operator == Some(id);
        rows.push(Row {
            id,
            depth,
            follow,
            name: name(plan, id, operator),
            own: measure.told(metrics),
            share: Some(share).filter(|share| !share.is_nan() && !metrics.never_executed),
            rows: counted(operator, metrics, estimated),
            estimate: Estimate::of(operator, metrics),
            details: details(operator, metrics),
            findings: findings
                .iter()
                .enumerate()
                .filter(about)
                .map(|(place, _)| place + 1)
                .collect(),
            has_children: !children.is_empty(),
            never: metrics.never_executed,
        });
    }
    rows
}

fn name(plan: &Plan, id: OperatorId, operator: &Operator) -> String {
    let name = text::line(&planparse::label(operator, plan.link(id)));
    match operator.actual.map(|actual| actual.loops) {
        Some(loops) if loops <= 0.0 => format!("{name} (never run)"),
        Some(loops) if loops > 1.0 => format!("{name} ×{}", units::count(loops as u64)),
        _ => name,
    }
}

/// Blocks of a thing that is not worth a line: less than 1 MB, all of it in memory.
const BLOCKS_TOLD: u64 = 128;

fn details(operator: &Operator, metrics: &Metrics) -> Vec<String> {
    let told = planparse::details(operator);
    let own = metrics.exclusive_buffers.and_then(|buffers| own_blocks(&buffers));
    told.iter().map(|line| text::line(line)).chain(own).collect()
}

/// What an operator did to blocks by itself.
fn own_blocks(buffers: &Buffers) -> Option<String> {
    let read_ms: f64 = [buffers.read_ms, buffers.local_read_ms].into_iter().flatten().sum();
    let dirtied = buffers.shared_dirtied.saturating_add(buffers.local_dirtied);
    let parts = [
        (buffers.touched(), "touched"),
        (buffers.read(), "of it read"),
        (dirtied, "dirtied"),
        (buffers.temp_read, "of temporary files read"),
        (buffers.temp_written, "of temporary files written"),
    ];
    let more = parts[1..].iter().any(|(blocks, _)| *blocks > 0);
    let parts = parts.into_iter().filter(|(blocks, _)| *blocks > 0);
    let mut told: Vec<String> =
        parts.map(|(blocks, name)| format!("{} {name}", size(blocks))).collect();
    told.extend((read_ms > 0.0).then(|| format!("reading {}", time(read_ms))));
    (more || buffers.touched() >= BLOCKS_TOLD).then(|| format!("Own blocks: {}", told.join(", ")))
}

fn size(blocks: u64) -> String {
    units::bytes(blocks.saturating_mul(8192))
}

/// Rows over all loops; where it was not run, those expected.
fn counted(operator: &Operator, metrics: &Metrics, estimated: bool) -> String {
    match metrics.rows {
        _ if metrics.never_executed => "-".to_owned(),
        None if !estimated => "-".to_owned(),
        Some(rows) if rows < 10.0 && rows.fract() > 0.0 => format!("{rows:.1}"),
        Some(rows) => units::count(rows.round() as u64),
        None => units::count(operator.rows.round() as u64),
    }
}

#[cfg(test)]
pub(crate) mod testing {
    use planparse::Reading;

    /// A plan with everything in it that could break a form: markup in names, a wrong estimate, a finding, an unknown key.
    pub(crate) fn hostile() -> Reading {
        let text = r#"[{"Query Text": "SELECT '</script><b>' FROM \"a<b\" -- ```\u001b[31m",
          "Plan": {"Node Type": "Sort", "Startup Cost": 1.0, "Total Cost": 900.5, "Plan Rows": 10, "Plan Width": 4,
            "Actual Startup Time": 1.0, "Actual Total Time": 95.0, "Actual Rows": 5000, "Actual Loops": 1,
            "Sort Key": ["\"a<b\".x", "`y`"], "Sort Method": "quicksort", "Sort Space Used": 25, "Sort Space Type": "Memory",
            "Plans": [{"Node Type": "Seq Scan", "Parent Relationship": "Outer", "Relation Name": "a<b\u001b]0;owned\u0007",
              "Alias": "x&\"'```|*_[l](http://e)", "Startup Cost": 0.0, "Total Cost": 800.0, "Plan Rows": 10, "Plan Width": 4,
              "Actual Startup Time": 0.1, "Actual Total Time": 90.0, "Actual Rows": 5000, "Actual Loops": 1,
              "Filter": "(name ~~ '<img src=x onerror=alert(1)>\u202e\u0000]]>'::text)", "Rows Removed by Filter": 95000,
              "Nonsense<&": 1}]},
          "Planning Time": 0.5, "Execution Time": 96.0}]"#;
        planparse::read(text).unwrap()
    }

    /// A plan that was not run, beside one that was.
    pub(crate) fn several() -> Reading {
        let one = r#"[{"Plan": {"Node Type": "Limit", "Total Cost": 35.5, "Plan Rows": 10, "Plans": [
            {"Node Type": "Seq Scan", "Parent Relationship": "Outer", "Relation Name": "orders", "Total Cost": 35.5, "Plan Rows": 2550}]}}]"#;
        planparse::read(format!("{one}\n{one}")).unwrap()
    }
}

#[cfg(test)]
mod tests {
    use super::{Estimate, Measure, Sheets, testing};

    #[test]
    fn rows_stand_in_printed_order_with_their_findings() {
        let reading = testing::hostile();
        let sheets = Sheets::of(&reading.plans, &reading.notes);
        let sheet = &sheets.sheets[0];
        assert_eq!(sheet.measure, Measure::Time);
        let drawn: Vec<_> =
            sheet.rows.iter().map(|row| (row.id.index(), row.depth, row.rows.as_str())).collect();
        assert_eq!(drawn, [(0, 0, "5,000"), (1, 1, "5,000")]);
        assert!(sheet.rows[1].findings.contains(&1), "{:?}", sheet.findings);
        assert_eq!(sheet.rows[1].estimate.unwrap().mark(), "▲500×");
        assert!(!sheet.rows[1].name.contains('\u{1b}'));
        assert_eq!(sheets.title(0), None);
    }

    #[test]
    fn a_plan_that_was_not_run_is_measured_by_cost() {
        let reading = testing::several();
        let sheets = Sheets::of(&reading.plans, &reading.notes);
        assert_eq!(sheets.sheets[1].measure, Measure::Cost);
        assert_eq!(sheets.title(1).unwrap(), "Plan 2 of 2, from line 3");
        assert_eq!(sheets.sheets[0].facts()[0], "not run: estimates only");
        assert_eq!(sheets.sheets[0].rows[1].rows, "2,550");
    }

    #[test]
    fn what_was_not_printed_is_not_shown() {
        let drawn = |text: &str| {
            let reading = planparse::read(text).unwrap();
            let sheets = Sheets::of(&reading.plans, &reading.notes);
            let sheet = &sheets.sheets[0];
            let row = &sheet.rows[0];
            let found = sheet.nothing_found().starts_with("Without");
            (sheet.measure, row.own.clone(), row.share, row.rows.clone(), found)
        };
        let own = |figure: &str| Some(figure.to_owned());
        assert_eq!(
            drawn("Seq Scan on t\n  Filter: (a = 1)\n"),
            (Measure::Nothing, None, None, "-".to_owned(), true)
        );
        assert_eq!(
            drawn("Seq Scan on t (actual rows=7 loops=1)\n"),
            (Measure::Nothing, None, None, "7".to_owned(), true)
        );
        assert_eq!(
            drawn("Seq Scan on t (actual rows=7 loops=1)\n  Buffers: shared hit=3, local read=2\n"),
            (Measure::Blocks, own("5"), Some(1.0), "7".to_owned(), false)
        );
        let never =
            "Append (actual time=0.1..2.0 rows=1 loops=1)\n  ->  Seq Scan on t (never executed)\n";
        let reading = planparse::read(never).unwrap();
        let sheets = Sheets::of(&reading.plans, &reading.notes);
        let row = &sheets.sheets[0].rows[1];
        assert_eq!((&row.own, row.share, row.rows.as_str()), (&None, None, "-"));
    }

    #[test]
    fn marks_stay_short() {
        let mark = |times, more| Estimate { times, more }.mark();
        assert_eq!(
            [mark(2.55, true), mark(1234.0, false), mark(1e7, true)],
            ["▲2.5×", "▼1,234×", "▲1e7×"]
        );
    }
}
