//! What is read, and what each parameter is for.

use super::analyzer::Analyzer;
use super::expression::{Expr, commuted, computes, extracts};
use super::making::making;
use super::{Comparison, Parameter, ParameterRole};

/// Functions whose first argument names a field of a date.
const DATE_FIELDS: &[&str] = &["date_trunc", "date_part", "extract", "date_bin"];

/// Functions that take keys of a JSON document after it.
const JSON_PATHS: &[&str] = &[
    "jsonb_extract_path",
    "jsonb_extract_path_text",
    "json_extract_path",
    "json_extract_path_text",
];

/// Functions whose first argument is the value and whose others say how to read it.
const READERS: &[&str] =
    &["like_escape", "similar_to_escape", "to_date", "to_timestamp", "to_number"];

/// A place where values are stored: oid of the table, and column.
pub(super) type Place<'a> = Option<(u32, &'a str)>;

impl Analyzer<'_> {
    /// Notes an output column of the statement.
    pub(super) fn output(&mut self, expr: &Expr) {
        self.note(expr, ParameterRole::Output, None);
    }

    /// Notes the columns that an expression reads and what it tells of its parameters; a parameter about
    /// which it says no more has `role`.
    pub(super) fn note(&mut self, expr: &Expr, role: ParameterRole, place: Place) {
        match expr {
            Expr::Column(relation, name) => {
                if let Some(source) = self.relations.get_mut(*relation) {
                    source.read.insert(name.clone());
                }
            }
            Expr::System(relation, _) => {
                if let Some(source) = self.relations.get_mut(*relation) {
                    source.whole = true;
                }
            }
            Expr::Parameter(number) => self.role(*number, role, place),
            Expr::Operator(Some(left), name, right) if extracts(name) => {
                self.note(left, ParameterRole::Value, None);
                self.keys(left, name, right);
            }
            Expr::Operator(Some(left), name, right) if !computes(name) => {
                self.compared(left, name, right, false);
                self.all([left.as_ref(), right.as_ref()]);
            }
            Expr::Any { left, operator, right, .. } => {
                if self.single_target(right).is_some() {
                    self.compared(right, &format!("{operator} ANY"), left, false);
                } else {
                    self.compared(
                        left,
                        operator,
                        right,
                        matches!(right.uncast(), Expr::Parameter(_)),
                    );
                }
                self.all([left.as_ref(), right.as_ref()]);
            }
            Expr::In(left, list, _) => {
                for element in list {
                    self.compared(left, "=", element, false);
                }
                self.all(expr.children());
            }
            Expr::And(_) | Expr::Or(_) | Expr::Not(_) | Expr::Test(..) => self.all(expr.children()),
            Expr::Case(operand, arms, otherwise) => {
                self.case_use(operand.as_deref(), arms, otherwise.as_deref(), role, place);
            }
            Expr::Call(call) => self.call_use(&call.name, &call.arguments, role, place),
            Expr::Sublink { test, outputs, outer, .. } => {
                if let Some((left, operator)) = test {
                    self.sublink_compared(left, operator, outputs);
                    self.note(left, ParameterRole::Value, None);
                }
                self.all(outer);
            }
            _ => {
                for child in expr.children() {
                    self.note(child, role, place);
                }
            }
        }
    }

    fn all<'e>(&mut self, parts: impl IntoIterator<Item = &'e Expr>) {
        for part in parts {
            self.note(part, ParameterRole::Value, None);
        }
    }

    fn case_use(
        &mut self,
        operand: Option<&Expr>,
        arms: &[(Expr, Expr)],
        otherwise: Option<&Expr>,
        role: ParameterRole,
        place: Place,
    ) {
        self.all(operand);
        for (when, then) in arms {
            if let Some(operand) = operand {
                self.compared(operand, "=", when, false);
            }
            self.note(when, ParameterRole::Value, None);
            self.note(then, role, place);
        }
        if let Some(otherwise) = otherwise {
            self.note(otherwise, role, place);
        }
    }

    fn call_use(&mut self, name: &str, arguments: &[Expr], role: ParameterRole, place: Place) {
        let first = arguments.first();
        if let ("timezone", Some(Expr::Parameter(number))) = (name, first) {
            self.role(*number, ParameterRole::TimeZone, None);
        }
        if DATE_FIELDS.contains(&name) {
            for number in first.map(Expr::parameters).unwrap_or_default() {
                self.role(number, ParameterRole::DateField, None);
            }
        } else if let (true, Some(document)) = (JSON_PATHS.contains(&name), first) {
            for key in arguments.iter().skip(1) {
                self.keys(document, "->", key);
            }
        } else if let ("starts_with", [text, prefix]) = (name, arguments) {
            self.compared(text, "^@", prefix, false);
        } else if let ("jsonb_path_exists" | "jsonb_path_match", [document, path, ..]) =
            (name, arguments)
        {
            self.compared(document, "@?", path, false);
        }
        for argument in arguments {
            self.note(argument, role, place);
        }
    }

    fn sublink_compared(&mut self, left: &Expr, operator: &str, outputs: &[Expr]) {
        match (left, outputs) {
            (Expr::Row(parts), _) => {
                for (part, output) in parts.iter().zip(outputs) {
                    self.compared(part, operator, output, false);
                }
            }
            (_, [output]) => self.compared(left, operator, output, false),
            _ => {}
        }
    }

    /// Notes the keys taken from a JSON document.
    fn keys(&mut self, document: &Expr, operator: &str, key: &Expr) {
        let targets = self.targets_of(document);
        for number in key.parameters() {
            self.role(number, ParameterRole::JsonKey, None);
            for (relation, target) in &targets {
                let operator = operator.to_owned();
                self.comparison(
                    number,
                    Comparison {
                        relation: *relation,
                        target: target.clone(),
                        operator,
                        any: false,
                        offset: false,
                        making: Vec::new(),
                    },
                );
            }
        }
        self.note(key, ParameterRole::JsonKey, None);
    }

    /// Notes a comparison of two sides, either of which may hold the parameters.
    fn compared(&mut self, left: &Expr, operator: &str, right: &Expr, any: bool) {
        if let (Expr::Row(left), Expr::Row(right)) = (left, right) {
            for (left, right) in left.iter().zip(right) {
                self.compared(left, operator, right, any);
            }
            return;
        }
        self.compared_with(left, operator, right, any);
        if let Some(operator) = commuted(operator)
            && !any
        {
            self.compared_with(right, operator, left, false);
        }
    }

    fn compared_with(&mut self, column: &Expr, operator: &str, value: &Expr, any: bool) {
        let numbers = match value.uncast() {
            Expr::Call(call) if READERS.contains(&call.name.as_str()) => {
                call.arguments.first().unwrap_or(value).parameters()
            }
            _ => value.parameters(),
        };
        if numbers.is_empty() || !value.relations().is_empty() || value.folds() {
            return;
        }
        let offset = value.clock();
        for (relation, target) in self.targets_of(column) {
            for number in &numbers {
                let comparison = Comparison {
                    relation,
                    target: target.clone(),
                    operator: operator.to_owned(),
                    any,
                    offset,
                    making: making(value, *number).unwrap_or_default(),
                };
                self.role(*number, ParameterRole::Value, None);
                self.comparison(*number, comparison);
            }
        }
    }

    fn comparison(&mut self, number: u16, comparison: Comparison) {
        let compared = &mut self.parameters.entry(number).or_default().compared;
        if !compared.contains(&comparison) {
            compared.push(comparison);
        }
    }

    /// Notes a use; the use that says most of the value wins.
    pub(super) fn role(&mut self, number: u16, role: ParameterRole, place: Place) {
        let fresh = || Parameter { role: ParameterRole::Output, ..Parameter::default() };
        let parameter = self.parameters.entry(number).or_insert_with(fresh);
        if rank(role) > rank(parameter.role) {
            parameter.role = role;
        }
        if let (Some((table, column)), None) = (place, &parameter.stored) {
            parameter.stored = Some((table, column.to_owned()));
        }
    }
}

fn rank(role: ParameterRole) -> u8 {
    match role {
        ParameterRole::Output => 0,
        ParameterRole::Value => 1,
        ParameterRole::Stored => 2,
        ParameterRole::JsonKey => 3,
        ParameterRole::DateField => 4,
        ParameterRole::TimeZone => 5,
        ParameterRole::Offset => 6,
        ParameterRole::Limit => 7,
    }
}
