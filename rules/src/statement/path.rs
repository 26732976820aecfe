//! Paths into JSON documents.

use super::parse::{self, NodeEnum, pg};
use super::print::parts;

/// One step into a JSON document.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum PathStep {
    /// A key, or the number of an element.
    Key(String),
    /// A parameter that holds a key.
    Parameter(u16),
}

/// A path into the documents of a column.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct JsonPath {
    /// The column.
    pub column: String,
    /// The steps from the outside in.
    pub steps: Vec<PathStep>,
}

/// The path that an expression such as `(metadata -> 'a') ->> $1` takes, casts around it aside; `None` when it is
/// none. `sql` is [`Expression::sql`](super::Expression::sql), or a column.
pub fn json_path(sql: &str) -> Option<JsonPath> {
    let NodeEnum::SelectStmt(select) = parse::statement(&format!("SELECT {sql}")).ok()? else {
        return None;
    };
    let NodeEnum::ResTarget(target) = select.target_list.first()?.node.as_ref()? else {
        return None;
    };
    path(target.val.as_deref()?)
}

fn path(node: &pg::Node) -> Option<JsonPath> {
    match node.node.as_ref()? {
        NodeEnum::ColumnRef(reference) => {
            Some(JsonPath { column: parts(&reference.fields).pop()?, steps: Vec::new() })
        }
        NodeEnum::TypeCast(cast) => path(cast.arg.as_deref()?),
        NodeEnum::AExpr(operation) => {
            let mut path = path(operation.lexpr.as_deref()?)?;
            let right = operation.rexpr.as_deref()?;
            match parts(&operation.name).last()?.as_str() {
                "->" | "->>" => path.steps.push(step(right)?),
                "#>" | "#>>" => path.steps.extend(list(right)?),
                _ => return None,
            }
            Some(path)
        }
        NodeEnum::FuncCall(call) => {
            let name = parts(&call.funcname).pop()?;
            if !matches!(
                name.as_str(),
                "jsonb_extract_path"
                    | "jsonb_extract_path_text"
                    | "json_extract_path"
                    | "json_extract_path_text"
            ) {
                return None;
            }
            let (document, keys) = call.args.split_first()?;
            let mut path = path(document)?;
            for key in keys {
                path.steps.push(step(key)?);
            }
            Some(path)
        }
        NodeEnum::AIndirection(steps) => {
            let mut path = path(steps.arg.as_deref()?)?;
            for node in &steps.indirection {
                let NodeEnum::AIndices(index) = node.node.as_ref()? else { return None };
                path.steps.push(step(index.uidx.as_deref()?)?);
            }
            Some(path)
        }
        _ => None,
    }
}

fn step(node: &pg::Node) -> Option<PathStep> {
    use pg::a_const::Val;
    match node.node.as_ref()? {
        NodeEnum::TypeCast(cast) => step(cast.arg.as_deref()?),
        NodeEnum::ParamRef(parameter) => {
            Some(PathStep::Parameter(u16::try_from(parameter.number).ok()?))
        }
        NodeEnum::AConst(pg::AConst { val: Some(Val::Sval(key)), .. }) => {
            Some(PathStep::Key(key.sval.clone()))
        }
        NodeEnum::AConst(pg::AConst { val: Some(Val::Ival(index)), .. }) => {
            Some(PathStep::Key(index.ival.to_string()))
        }
        _ => None,
    }
}

/// The steps of `'{a,b}'` or `ARRAY['a', 'b']`; a parameter in their place is taken for one step.
fn list(node: &pg::Node) -> Option<Vec<PathStep>> {
    match node.node.as_ref()? {
        NodeEnum::AArrayExpr(array) => array.elements.iter().map(step).collect(),
        _ => Some(match step(node)? {
            PathStep::Key(text) => {
                let inner = text.strip_prefix('{')?.strip_suffix('}')?;
                inner
                    .split(',')
                    .map(|key| PathStep::Key(key.trim().trim_matches('"').to_owned()))
                    .collect()
            }
            parameter @ PathStep::Parameter(_) => vec![parameter],
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::{PathStep, json_path};

    fn shown(sql: &str) -> Option<String> {
        let path = json_path(sql)?;
        let show = |step: &PathStep| match step {
            PathStep::Key(key) => format!(".{key}"),
            PathStep::Parameter(number) => format!(".${number}"),
        };
        Some(path.column + &path.steps.iter().map(show).collect::<String>())
    }

    #[test]
    fn paths_in_all_spellings() {
        for (sql, expected) in [
            ("metadata ->> 'theme'", "metadata.theme"),
            ("(metadata -> 'a') ->> $1", "metadata.a.$1"),
            ("(metadata ->> 'n')::int4", "metadata.n"),
            ("\"Data\" #>> '{a,b}'", "Data.a.b"),
            ("metadata #> ARRAY['a', $2]", "metadata.a.$2"),
            ("metadata #>> $1", "metadata.$1"),
            ("jsonb_extract_path_text(metadata, 'a', $1)", "metadata.a.$1"),
            ("(metadata)['a']", "metadata.a"),
            ("metadata -> 0", "metadata.0"),
            ("metadata", "metadata"),
        ] {
            assert_eq!(shown(sql).as_deref(), Some(expected), "{sql}");
        }
        assert_eq!(shown("lower(metadata ->> 'a')"), None);
        assert_eq!(shown("metadata || '{}'"), None);
    }
}
