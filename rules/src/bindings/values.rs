//! One value for each parameter, by scenario.

use std::collections::BTreeMap;

use super::Draft;
use super::distribution::{Distribution, Scenario};
use super::made;
use super::parts::{changed, document, elements, field, pattern};
use super::types::{ParameterType, array, interval, micros};
use crate::snapshot::{Column, Snapshot, Statement, Table};
use crate::statement::{
    Analysis, Comparison, Limit, Making, Operand, ParameterRole, PredicateClass, RelationId,
    Target, json_path,
};

/// Share of the rows that a range lets pass, by scenario, where nothing else is known.
const WIDTHS: [f64; 3] = [0.25, 0.05, 0.01];

/// Days that reach back from now, by scenario, where the column tells nothing.
const DAYS: [f64; 3] = [30.0, 7.0, 1.0];

/// Elements of a list, where the rows observed do not tell.
pub(super) const LIST: usize = 5;

/// Elements of the longest list.
const LIST_MAX: usize = 100;

/// Rows that LIMIT asks for, where nothing else is known.
const LIMIT: u64 = 100;

/// Pages that OFFSET passes over, by scenario: the first is read most, and now and then somebody leafs far.
const PAGES: [u64; 3] = [0, 1, 20];

/// Share that a pattern or a condition of unknown weight lets pass (`DEFAULT_MATCH_SEL` of the server).
pub(super) const UNKNOWN_SHARE: f64 = 0.005;

const DAY: f64 = 86_400e6;

/// A value and the share of the rows that its comparison lets pass.
pub(super) type Valued = (String, f64);

/// Makes values for one statement.
pub(super) struct Binder<'s> {
    pub(super) analysis: &'s Analysis,
    statement: &'s Statement,
    snapshot: &'s Snapshot,
    pub(super) types: &'s [ParameterType],
    /// Share that ranges let pass, by scenario.
    widths: [f64; 3],
    /// Parameters that are compared in the same way with the same, in order; an IN list has thousands.
    alike: BTreeMap<&'s Comparison, Vec<u16>>,
    /// Keys and values of JSON comparisons, by scenario: they are chosen together.
    pub(super) json: [BTreeMap<u16, Valued>; 3],
    /// Values of columns that occur together, by scenario.
    joint: [BTreeMap<u16, Valued>; 3],
}

impl<'s> Binder<'s> {
    /// A binder for a statement.
    pub(super) fn new(
        analysis: &'s Analysis,
        statement: &'s Statement,
        snapshot: &'s Snapshot,
        types: &'s [ParameterType],
    ) -> Self {
        let mut alike: BTreeMap<&Comparison, Vec<u16>> = BTreeMap::new();
        for (number, parameter) in &analysis.parameters {
            for comparison in &parameter.compared {
                let numbers = alike.entry(comparison).or_default();
                if numbers.last() != Some(number) {
                    numbers.push(*number);
                }
            }
        }
        let mut binder = Self {
            analysis,
            statement,
            snapshot,
            types,
            widths: WIDTHS,
            alike,
            json: Default::default(),
            joint: Default::default(),
        };
        binder.json = binder.json_choices();
        binder.joint = binder.joint_choices();
        if let Some(width) = binder.observed_width() {
            binder.widths = [(width * 3.0).min(0.95), width, width / 3.0];
        }
        binder
    }

    /// A full set of values.
    pub(super) fn draft(&self, scenario: Scenario) -> Draft {
        let mut share = 1.0;
        let values = (1..=u16::MAX).zip(self.types).map(|(number, parameter)| {
            let (value, lets_pass) = self.parameter(number, parameter, scenario);
            share *= lets_pass;
            value
        });
        Draft { values: values.collect(), share, weight: 0.0, scenario }
    }

    /// Rows per execution where they tell of the conditions: one table, no LIMIT, nothing folded.
    fn observed_rows(&self) -> Option<f64> {
        let single = self.analysis.relations.len() == 1;
        let direct =
            self.analysis.blocks.iter().all(|block| !block.aggregates && block.limit.is_none());
        let rows = self.statement.rows.filter(|_| single && direct && self.statement.calls > 0)?;
        Some(rows as f64 / self.statement.calls as f64)
    }

    pub(super) fn table(&self, relation: RelationId) -> Option<&'s Table> {
        self.snapshot.table(self.analysis.relations.get(relation)?.table)
    }

    /// Share of the table's rows that one execution gives.
    pub(super) fn observed_share(&self) -> Option<f64> {
        let rows = self.table(0)?.rows.filter(|rows| *rows >= 1.0)?;
        // No rows at all are as rare as one in a table.
        Some((self.observed_rows()?.max(0.5) / rows).min(1.0))
    }

    /// The width that ranges must have for the rows that were observed.
    fn observed_width(&self) -> Option<f64> {
        let observed = self.observed_share()?;
        let ranges = self
            .analysis
            .parameters
            .values()
            .flat_map(|parameter| &parameter.compared)
            .filter(|comparison| ranged(&comparison.operator));
        if ranges.count() == 0 {
            return None;
        }
        let typical = self.draft(Scenario::Typical).share.max(f64::MIN_POSITIVE);
        let others = typical / WIDTHS[Scenario::Typical.index()] * self.constant_share();
        let least = 1.0 / self.table(0)?.rows?.max(1.0);
        Some((observed / others).clamp(least, 0.9))
    }

    /// How much of the workload each scenario stands for, by the first column, or place in documents, that a
    /// parameter must equal; `None` where none must.
    pub(super) fn masses(&self) -> Option<[f64; 3]> {
        let all = self.analysis.parameters.iter().flat_map(|(number, parameter)| {
            parameter.compared.iter().map(move |comparison| (*number, comparison))
        });
        all.filter(|(_, comparison)| comparison.operator == "=").find_map(|(number, comparison)| {
            let chosen = |choices: &[BTreeMap<u16, Valued>; 3]| {
                let share = choices[Scenario::Common.index()].get(&number).map(|(_, share)| *share);
                share.map(|share| share.clamp(0.1, 0.7)).map(|common| [common, 0.9 - common, 0.1])
            };
            let of = |relation| self.table(relation)?.rows;
            chosen(&self.json).or_else(|| chosen(&self.joint)).or_else(|| {
                let of = Distribution::of(self.column(comparison)?, of(comparison.relation)?)?;
                Some(of.masses())
            })
        })
    }

    /// Share of the rows that the conditions without parameters let pass, as far as statistics tell.
    pub(super) fn constant_share(&self) -> f64 {
        let mut share = 1.0;
        for predicate in
            self.analysis.predicates.iter().filter(|predicate| predicate.alternative.is_none())
        {
            let Target::Column(name) = &predicate.target else { continue };
            let Some(of) = self.distribution(predicate.relation, name) else { continue };
            share *= match (predicate.class, &predicate.operand) {
                (PredicateClass::Equality, Operand::Constant(value)) => of.share(value),
                (PredicateClass::IsNull, _) => of.stats.null_fraction,
                (PredicateClass::IsNotNull, _) => 1.0 - of.stats.null_fraction,
                _ => 1.0,
            };
        }
        share.max(1e-9)
    }

    fn distribution(&self, relation: RelationId, column: &str) -> Option<Distribution<'s>> {
        let table = self.table(relation)?;
        Distribution::of(table.column(column)?, table.rows.unwrap_or(1000.0))
    }

    /// The column behind a comparison, when it is one.
    fn column(&self, comparison: &Comparison) -> Option<&'s Column> {
        let name = match &comparison.target {
            Target::Column(name) => name,
            Target::Expression(expression) => expression.columns.first()?,
        };
        self.table(comparison.relation)?.column(name)
    }

    fn parameter(
        &self,
        number: u16,
        parameter: &ParameterType,
        scenario: Scenario,
    ) -> (Option<String>, f64) {
        let plain = || parameter.plain(self.snapshot.server.taken_at);
        let Some(used) = self.analysis.parameters.get(&number) else { return (plain(), 1.0) };
        match used.role {
            ParameterRole::Limit => return (Some(self.limit()), 1.0),
            ParameterRole::Offset => return self.offset(scenario),
            ParameterRole::TimeZone => return (Some("UTC".to_owned()), 1.0),
            ParameterRole::DateField => return (Some("day".to_owned()), 1.0),
            _ => {}
        }
        let chosen = self.json[scenario.index()].get(&number);
        if let Some((value, share)) = chosen.or(self.joint[scenario.index()].get(&number)) {
            return (Some(value.clone()), *share);
        }
        let compared = used
            .compared
            .iter()
            .find_map(|comparison| self.compared(number, parameter, comparison, scenario));
        if let Some((value, share)) = compared {
            return (Some(value), share);
        }
        let stored = used.stored.as_ref().and_then(|(table, column)| {
            let column = self.snapshot.table(*table)?.column(column)?;
            let value = Distribution::of(column, 1000.0).and_then(|of| of.value(scenario, 0))?;
            parameter.adapt(&column.base_type, value)
        });
        (stored.or_else(|| self.plain_made(parameter, &used.compared)).or_else(plain), 1.0)
    }

    /// A value of which a comparison can make one of its own type: a document must have the key that is taken from it.
    fn plain_made(&self, parameter: &ParameterType, compared: &[Comparison]) -> Option<String> {
        compared.iter().filter(|comparison| !comparison.making.is_empty()).find_map(|comparison| {
            let column = self.column(comparison)?;
            let wanted = made::wanted(&comparison.making, column, &comparison.operator)?;
            let plain = wanted.plain(self.snapshot.server.taken_at)?;
            let value = made::undo(&comparison.making, &plain, &column.base_type)?;
            parameter.takes(&value).then_some(value)
        })
    }

    fn limit(&self) -> String {
        self.page().to_string()
    }

    /// Rows that LIMIT asks for: those that one execution gave.
    fn page(&self) -> u64 {
        let per_call = self
            .statement
            .rows
            .filter(|_| self.statement.calls > 0)
            .map(|rows| rows.div_ceil(self.statement.calls));
        per_call.unwrap_or(LIMIT).max(1)
    }

    /// Whole pages, of as many rows as LIMIT says. What reads far counts as another share of the rows, since another
    /// plan may serve it.
    fn offset(&self, scenario: Scenario) -> (Option<String>, f64) {
        let stated = self.analysis.blocks.iter().find_map(|block| match block.limit {
            Some(Limit::Rows(rows)) => Some(rows),
            _ => None,
        });
        let pages = PAGES[scenario.index()];
        let rows = pages.saturating_mul(stated.unwrap_or_else(|| self.page()));
        (Some(rows.to_string()), pages.max(1) as f64)
    }

    /// A value with which the comparison finds rows: what it should see, brought back through the steps by which
    /// that is made from the parameter.
    fn compared(
        &self,
        number: u16,
        parameter: &ParameterType,
        comparison: &Comparison,
        scenario: Scenario,
    ) -> Option<Valued> {
        let steps = &comparison.making;
        if steps.is_empty() || comparison.offset {
            return self.direct(number, parameter, comparison, scenario);
        }
        let column = self.column(comparison)?;
        if steps.iter().any(|step| matches!(step, Making::Field(_))) {
            return field(parameter, comparison, column, scenario);
        }
        let wanted = made::wanted(steps, column, &comparison.operator)?;
        let (value, share) = self.direct(number, &wanted, comparison, scenario)?;
        let value = made::undo(steps, &value, &column.base_type)?;
        parameter.takes(&value).then_some((value, share))
    }

    fn direct(
        &self,
        number: u16,
        parameter: &ParameterType,
        comparison: &Comparison,
        scenario: Scenario,
    ) -> Option<Valued> {
        let column = self.column(comparison)?;
        let time = matches!(column.base_type.as_str(), "date" | "timestamp" | "timestamptz");
        if time && (comparison.offset || parameter.name == "interval") {
            return self.span(number, parameter, comparison, column, scenario);
        }
        if let Target::Expression(expression) = &comparison.target
            && json_path(&expression.sql).is_some_and(|path| !path.steps.is_empty())
        {
            // Not chosen with its keys above, so that the documents are not known.
            return None;
        }
        let of = Distribution::of(column, self.table(comparison.relation)?.rows.unwrap_or(1000.0));
        let Some(of) = of else {
            return self.without_statistics(parameter, comparison, time, scenario);
        };
        match comparison.operator.as_str() {
            "<" | "<=" | ">" | ">=" => self.range(number, parameter, comparison, of, scenario),
            "~~" | "~~*" | "~" | "~*" | "^@" | "%" => pattern(parameter, comparison, of, scenario),
            "@>" | "&&" | "<@" | "= ANY" | "@@"
                if column.type_category == 'A' || column.base_type == "tsvector" =>
            {
                elements(parameter, comparison, of, scenario)
            }
            "?" | "?|" | "?&" | "@>" | "@?" | "@@" => {
                document(parameter, comparison, column, scenario)
            }
            _ => self.equality(number, parameter, comparison, of, scenario),
        }
    }

    /// A value to be equal to, or a list of them.
    fn equality(
        &self,
        number: u16,
        parameter: &ParameterType,
        comparison: &Comparison,
        of: Distribution,
        scenario: Scenario,
    ) -> Option<Valued> {
        let base = &of.column.base_type;
        let change = |value: &str| changed(&comparison.target, value);
        if comparison.any || parameter.is_array() && of.column.type_category != 'A' {
            let element = parameter.element_type();
            let wanted = of.values(scenario, self.list_length(of, scenario));
            let share: f64 = wanted.iter().map(|value| of.share(value)).sum();
            let values: Vec<String> = wanted
                .into_iter()
                .filter_map(|value| element.adapt(base, &change(value)))
                .collect();
            return (!values.is_empty())
                .then(|| (array(values.iter().map(String::as_str)), share.min(1.0)));
        }
        let nth = self.earlier(number, comparison);
        let value = of.value(scenario, nth)?;
        // Elements of one list add up; only the first is counted, for all of them.
        let share = if nth > 0 {
            1.0
        } else {
            let count = self.alike(comparison);
            (0..count)
                .filter_map(|nth| of.value(scenario, nth))
                .map(|value| of.share(value))
                .sum::<f64>()
                .min(1.0)
        };
        let share = if comparison.operator == "<>" { 1.0 - share } else { share };
        Some((parameter.adapt(base, &change(value))?, share.max(1e-9)))
    }

    /// How many elements a list has: as many as the rows that were observed need.
    fn list_length(&self, of: Distribution, scenario: Scenario) -> usize {
        let each = of.value(scenario, 0).map(|value| of.share(value));
        let observed = self.observed_share().map(|share| share / self.constant_share());
        match (observed, each) {
            (Some(observed), Some(each)) => ((observed / each).round() as usize).clamp(1, LIST_MAX),
            _ => LIST,
        }
    }

    /// How many parameters before this one are compared in the same way with the same.
    fn earlier(&self, number: u16, comparison: &Comparison) -> usize {
        let alike = self.alike.get(comparison).map_or(&[][..], Vec::as_slice);
        alike.partition_point(|other| *other < number)
    }

    fn alike(&self, comparison: &Comparison) -> usize {
        self.alike.get(comparison).map_or(1, Vec::len).clamp(1, 50)
    }

    /// The end of a range. Both ends of one are as far apart as the scenario's width; ranges of time end where the
    /// data does.
    fn range(
        &self,
        number: u16,
        parameter: &ParameterType,
        comparison: &Comparison,
        of: Distribution,
        scenario: Scenario,
    ) -> Option<Valued> {
        let width = self.widths[scenario.index()];
        let lower = comparison.operator.starts_with('>');
        let time = matches!(of.column.base_type.as_str(), "date" | "timestamp" | "timestamptz");
        let (low, high) = if time {
            (1.0 - width, 1.0)
        } else {
            ((0.5 - width / 2.0).max(0.0), (0.5 + width / 2.0).min(1.0))
        };
        let (q, share) = match (self.other_end(number, comparison), lower) {
            (true, true) => (low, width),
            (true, false) => (high, 1.0),
            (false, true) => (1.0 - width, width),
            (false, false) => (width, width),
        };
        let value = of.quantile(q)?;
        Some((parameter.adapt(&of.column.base_type, &changed(&comparison.target, &value))?, share))
    }

    /// Whether another parameter bounds the same target from the other side.
    fn other_end(&self, number: u16, comparison: &Comparison) -> bool {
        let side = |operator: &str| operator.chars().next();
        self.analysis
            .parameters
            .iter()
            .filter(|(other, _)| **other != number)
            .flat_map(|(_, parameter)| &parameter.compared)
            .any(|other| {
                other.relation == comparison.relation
                    && other.target == comparison.target
                    && ranged(&other.operator)
                    && other.offset == comparison.offset
                    && side(&other.operator) != side(&comparison.operator)
            })
    }

    /// How far back (or ahead) from now a time is.
    fn span(
        &self,
        number: u16,
        parameter: &ParameterType,
        comparison: &Comparison,
        column: &Column,
        scenario: Scenario,
    ) -> Option<Valued> {
        let now = self.snapshot.server.taken_at.timestamp_micros() as f64;
        let width = self.widths[scenario.index()];
        let of = Distribution::of(column, self.table(comparison.relation)?.rows.unwrap_or(1000.0));
        let (q, part) =
            match (comparison.operator.starts_with('>'), self.other_end(number, comparison)) {
                (true, _) => (1.0 - width, 1.0),
                // The near end of a window that the far one opens.
                (false, true) => (1.0 - width / 10.0, 0.1),
                (false, false) => (width, 1.0),
            };
        let at = of.and_then(|of| of.quantile(q));
        let known =
            at.and_then(|at| micros(&at)).map(|at| now - at as f64).filter(|span| *span > 0.0);
        let span = known.unwrap_or(DAYS[scenario.index()] * part * DAY);
        let text = match (parameter.category, made::unit(&comparison.making)) {
            (_, Some(unit)) => format!("{:.0}", (span / unit).ceil()),
            ('N', None) => format!("{:.0}", (span / DAY).ceil()),
            ('S' | 'T', None) => interval(span),
            _ => return None,
        };
        let share = if known.is_some() { width } else { WIDTHS[scenario.index()] };
        Some((text, if part < 1.0 { 1.0 } else { share }))
    }

    /// A value of the right type, and of a sensible order where there are two ends.
    fn without_statistics(
        &self,
        parameter: &ParameterType,
        comparison: &Comparison,
        time: bool,
        scenario: Scenario,
    ) -> Option<Valued> {
        let now = self.snapshot.server.taken_at;
        if !ranged(&comparison.operator) || parameter.is_array() {
            return None;
        }
        let lower = comparison.operator.starts_with('>');
        let value = if time {
            let days = if lower { DAYS[scenario.index()] } else { 0.0 };
            parameter.plain(now - chrono::Duration::microseconds((days * DAY) as i64))?
        } else if parameter.category == 'N' {
            if lower { "1" } else { "100" }.to_owned()
        } else {
            return None;
        };
        Some((value, WIDTHS[scenario.index()]))
    }
}

fn ranged(operator: &str) -> bool {
    matches!(operator, "<" | "<=" | ">" | ">=")
}
