//! Whether two `CREATE INDEX` texts make the same index, whoever printed them.
//!
//! What we send and what `pg_get_indexdef` prints differ in spelling: the server adds casts and
//! parentheses, writes IN as `= ANY (ARRAY[…])`, BETWEEN as two comparisons, and leaves defaults out.
//! Both texts are parsed with the server's grammar, brought to one spelling as trees, and compared whole.

use std::collections::{BTreeMap, BTreeSet};

use pg_query::protobuf::{AExprKind, SortByDir, SortByNulls};
use serde_json::{Map, Value, json};

/// What of an index makes it do what it does: its table, method, keys, INCLUDE columns, options and
/// predicate, but neither its name nor its tablespace.
#[derive(Clone, Debug, PartialEq)]
pub struct IndexShape {
    tree: Value,
    /// Types that columns and expressions are cast to. They stand apart since the server adds some.
    casts: BTreeSet<String>,
}

impl IndexShape {
    /// Reads a `CREATE INDEX` statement; the reason when the text is none.
    pub fn of(sql: &str) -> Result<Self, String> {
        let parsed = pg_query::parse(sql, 0).map_err(|error| error.to_string())?;
        let [statement] = parsed.protobuf.stmts.as_slice() else {
            return Err("it is not one statement".to_owned());
        };
        let tree = serde_json::to_value(&statement.stmt).map_err(|error| error.to_string())?;
        let mut tree = tree.pointer("/node/IndexStmt").cloned().ok_or("it makes no index")?;
        for aside in ["idxname", "table_space", "concurrent", "if_not_exists", "idxcomment"] {
            tree.as_object_mut().map(|index| index.remove(aside));
        }
        let mut casts = BTreeSet::new();
        let tree = spell(tree, &mut casts);
        Ok(Self { tree, casts })
    }

    /// The same without its table, for indexes of one table: people rename it and move it, and between two looks at the
    /// catalog as well.
    #[must_use]
    pub fn without_table(mut self) -> Self {
        self.tree.as_object_mut().map(|index| index.remove("relation"));
        self
    }

    /// The columns that it names.
    pub fn columns(&self) -> BTreeSet<String> {
        let (mut names, mut tree) = (BTreeSet::new(), self.tree.clone());
        each_column(&mut tree, &mut |name| {
            names.insert(name.clone());
        });
        names
    }

    /// The same with columns under other names: name -> the other one.
    #[must_use]
    pub fn with_columns(mut self, names: &BTreeMap<String, String>) -> Self {
        each_column(&mut self.tree, &mut |name| {
            if let Some(other) = names.get(name) {
                name.clone_from(other);
            }
        });
        self
    }

    /// Whether this is the same index, whatever its table is called.
    pub fn is_same_elsewhere(&self, other: &Self) -> bool {
        self.clone().without_table() == other.clone().without_table()
    }

    /// Whether the server's print of an index is what was planned: the same but for casts, where the
    /// server may add to those planned but take none away.
    pub fn is_printed_as(&self, printed: &Self) -> bool {
        self.tree == printed.tree && self.casts.is_subset(&printed.casts)
    }
}

/// Visits the name of every column in a tree: of keys and INCLUDE, and in expressions, where the server prints them
/// without their table.
fn each_column(value: &mut Value, visit: &mut impl FnMut(&mut String)) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(|item| each_column(item, visit)),
        Value::Object(fields) => {
            for (kind, field) in fields {
                let name = match kind.as_str() {
                    "IndexElem" => field.get_mut("name"),
                    "ColumnRef" => field.pointer_mut("/fields/0/node/String/sval"),
                    _ => None,
                };
                if let Some(Value::String(name)) = name
                    && !name.is_empty()
                {
                    visit(name);
                }
                each_column(field, visit);
            }
        }
        _ => {}
    }
}

/// Brings a tree to one spelling, from the leaves up.
fn spell(value: Value, casts: &mut BTreeSet<String>) -> Value {
    match value {
        Value::Array(items) => items.into_iter().map(|item| spell(item, casts)).collect(),
        Value::Object(fields) => {
            let fields: Map<String, Value> = fields
                .into_iter()
                .filter(|(name, _)| !is_position(name))
                .map(|(name, value)| (name, spell(value, casts)))
                .collect();
            spell_node(fields, casts)
        }
        leaf => leaf,
    }
}

fn is_position(field: &str) -> bool {
    let positions = ["rexpr_list_start", "rexpr_list_end", "list_start", "list_end", "funcformat"];
    field.ends_with("location") || positions.contains(&field)
}

fn spell_node(mut fields: Map<String, Value>, casts: &mut BTreeSet<String>) -> Value {
    let kind = fields.keys().next().cloned().unwrap_or_default();
    match (fields.len(), kind.as_str()) {
        (1, "TypeCast") => {
            let argument = fields["TypeCast"]["arg"]["node"].clone();
            if !is_constant(&argument) {
                casts.insert(fields["TypeCast"]["type_name"].to_string());
            }
            argument
        }
        // `5`, `'5'` and `'5'::integer` are one value to a column of one type.
        (1, "AConst") if fields["AConst"]["isnull"] == json!(false) => {
            let constant = &fields["AConst"]["val"];
            let inner = constant.as_object().and_then(|value| value.values().next());
            let inner = inner.and_then(Value::as_object).and_then(|value| value.values().next());
            json!({"constant": inner.map_or_else(String::new, plain)})
        }
        (1, "AExpr") => spell_operator(fields["AExpr"].take()),
        (1, "BoolExpr") => flatten(fields["BoolExpr"].take()),
        (1, "IndexElem") => {
            spell_order(&mut fields["IndexElem"]);
            Value::Object(fields)
        }
        _ => {
            // Names of functions, operators, operator classes, collations and types.
            for names in ["funcname", "name", "opclass", "collation", "collname", "names"] {
                if let Some(Value::Array(parts)) = fields.get_mut(names)
                    && parts.len() > 1
                    && parts[0].pointer("/node/String/sval") == Some(&json!("pg_catalog"))
                {
                    parts.remove(0);
                }
            }
            Value::Object(fields)
        }
    }
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn is_constant(node: &Value) -> bool {
    let array = node.pointer("/AArrayExpr/elements").and_then(Value::as_array);
    node.get("constant").is_some()
        || node.get("AConst").is_some()
        || array.is_some_and(|items| items.iter().all(|item| is_constant(&item["node"])))
}

/// IN as `= ANY (ARRAY[…])`, BETWEEN as two comparisons, LIKE by its operator's name.
fn spell_operator(mut expression: Value) -> Value {
    let kind = expression["kind"].as_i64().and_then(|kind| i32::try_from(kind).ok()).unwrap_or(0);
    let is = |wanted: AExprKind| kind == wanted as i32;
    let operator = |name: &str, left: &Value, right: &Value| {
        json!({"AExpr": {"kind": AExprKind::AexprOp as i32, "lexpr": left,
            "name": [{"node": {"String": {"sval": name}}}], "rexpr": right}})
    };
    let items = expression.pointer("/rexpr/node/List/items").cloned();
    if let (true, Some(items)) = (is(AExprKind::AexprIn), &items) {
        let any = if expression.pointer("/name/0/node/String/sval") == Some(&json!("=")) {
            AExprKind::AexprOpAny
        } else {
            AExprKind::AexprOpAll
        };
        expression["kind"] = json!(any as i32);
        expression["rexpr"] = json!({"node": {"AArrayExpr": {"elements": items}}});
    } else if let (true, Some(Value::Array(bounds))) = (is(AExprKind::AexprBetween), &items)
        && let [low, high] = bounds.as_slice()
    {
        let left = &expression["lexpr"];
        let args = [operator(">=", left, low), operator("<=", left, high)]
            .map(|node| json!({"node": node}));
        return json!({"BoolExpr": {"boolop": 1, "xpr": null, "args": args}});
    } else if is(AExprKind::AexprLike) || is(AExprKind::AexprIlike) {
        expression["kind"] = json!(AExprKind::AexprOp as i32);
    }
    json!({"AExpr": expression})
}

/// `(a AND b) AND c` as `a AND b AND c`; the same for OR.
fn flatten(mut expression: Value) -> Value {
    let operator = expression["boolop"].clone();
    let Value::Array(args) = expression["args"].take() else {
        return json!({"BoolExpr": expression});
    };
    let mut flat = Vec::with_capacity(args.len());
    for arg in args {
        match arg.pointer("/node/BoolExpr") {
            Some(inner) if inner["boolop"] == operator && operator != json!(3) => {
                flat.extend(inner["args"].as_array().cloned().unwrap_or_default());
            }
            _ => flat.push(arg),
        }
    }
    expression["args"] = Value::Array(flat);
    json!({"BoolExpr": expression})
}

/// The default direction and the default place of NULLs written out.
fn spell_order(element: &mut Value) {
    if element["ordering"] == json!(SortByDir::SortbyDefault as i32) {
        element["ordering"] = json!(SortByDir::SortbyAsc as i32);
    }
    if element["nulls_ordering"] == json!(SortByNulls::SortbyNullsDefault as i32) {
        let descending = element["ordering"] == json!(SortByDir::SortbyDesc as i32);
        let nulls =
            if descending { SortByNulls::SortbyNullsFirst } else { SortByNulls::SortbyNullsLast };
        element["nulls_ordering"] = json!(nulls as i32);
    }
}

#[cfg(test)]
mod tests {
    use super::IndexShape;

    fn same(planned: &str, printed: &str) -> bool {
        let shape =
            |body: &str| IndexShape::of(&format!("CREATE INDEX i ON s.t USING {body}")).unwrap();
        shape(planned).is_printed_as(&shape(printed))
    }

    #[test]
    fn the_servers_spelling_is_recognized() {
        for (planned, printed) in [
            ("btree (a ASC, b DESC NULLS FIRST)", "btree (a, b DESC)"),
            ("btree ((metadata ->> 'theme'))", "btree (((metadata ->> 'theme'::text)))"),
            ("btree ((lower(email)))", "btree (lower((email)::text))"),
            ("btree (((m ->> 'n')::int))", "btree ((((m ->> 'n'::text))::integer))"),
            (
                "btree (a) WHERE (status IN ('x', 'y'))",
                "btree (a) WHERE ((status)::text = ANY ((ARRAY['x'::character varying, 'y'::character varying])::text[]))",
            ),
            (
                "btree (a) WHERE (n BETWEEN 1 AND 5 AND (b AND c))",
                "btree (a) WHERE ((n >= 1) AND (n <= 5) AND b AND c)",
            ),
            ("btree (a) WHERE (n > -1)", "btree (a) WHERE (n > '-1'::integer)"),
            (
                "btree (a text_pattern_ops) WHERE (b LIKE 'x%')",
                "btree (a text_pattern_ops) WHERE (b ~~ 'x%'::text)",
            ),
            ("btree (a) WHERE (\"deletedAt\" IS NULL)", "btree (a) WHERE (\"deletedAt\" IS NULL)"),
            ("gin (m pg_catalog.jsonb_path_ops)", "gin (m jsonb_path_ops)"),
            ("btree ((pg_catalog.lower(a)))", "btree (lower(a))"),
        ] {
            assert!(same(planned, printed), "{planned} / {printed}");
        }
    }

    #[test]
    fn what_differs_is_told_apart() {
        for (planned, printed) in [
            ("btree (a)", "btree (b)"),
            ("btree (a)", "hash (a)"),
            ("btree (a, b)", "btree (b, a)"),
            ("btree (a, b)", "btree (a) INCLUDE (b)"),
            ("btree (a)", "btree (a DESC)"),
            ("btree (a)", "btree (a NULLS FIRST)"),
            ("btree (a)", "btree (a text_pattern_ops)"),
            ("btree (a)", "btree (a COLLATE \"C\")"),
            ("btree (a)", "btree (a) WHERE (a > 1)"),
            ("btree (a)", "btree (a) WITH (fillfactor='70')"),
            ("btree (a) WHERE (a > 1)", "btree (a) WHERE (a > 2)"),
            ("btree (a) WHERE (a > 1 AND (b OR c))", "btree (a) WHERE ((a > 1 AND b) OR c)"),
            ("btree (a) WHERE (a IN (1, 2))", "btree (a) WHERE (a <> ALL (ARRAY[1, 2]))"),
            ("btree (a) WHERE (NOT (NOT b))", "btree (a) WHERE (NOT b)"),
            ("btree (((m ->> 'n')::int))", "btree (((m ->> 'n'::text)))"),
            ("btree (((m ->> 'n')::int))", "btree ((((m ->> 'n'::text))::numeric))"),
            ("btree ((lower(a)))", "btree ((upper(a)))"),
            ("gin (m)", "gin (m jsonb_path_ops)"),
        ] {
            assert!(!same(planned, printed), "{planned} / {printed}");
        }
        assert!(
            IndexShape::of("CREATE UNIQUE INDEX i ON s.t (a)")
                != IndexShape::of("CREATE INDEX i ON s.t (a)")
        );
        assert!(
            IndexShape::of("CREATE INDEX i ON s.t (a)")
                != IndexShape::of("CREATE INDEX i ON s.u (a)")
        );
        assert!(IndexShape::of("DROP INDEX i").is_err() && IndexShape::of("").is_err());
    }

    #[test]
    fn columns_are_named_and_renamed_wherever_they_stand() {
        let shape = |body: &str| IndexShape::of(&format!("CREATE INDEX i ON s.t {body}")).unwrap();
        let planned = shape("(a, (lower(b)) DESC) INCLUDE (\"C d\") WHERE (e > 5 AND a(e) > 'a')");
        let names = ["C d", "a", "b", "e"].map(str::to_owned);
        assert_eq!(planned.columns(), names.clone().into());
        let now = shape("(a2, (lower(b)) DESC) INCLUDE (c) WHERE (a > 5 AND a(a) > 'a')");
        let renamed = [("a2", "a"), ("c", "C d"), ("a", "e")];
        let renamed = renamed.map(|(now, then)| (now.to_owned(), then.to_owned())).into();
        assert_eq!(now.with_columns(&renamed), planned);
    }

    #[test]
    fn an_index_equals_itself_under_another_name() {
        let one = IndexShape::of("CREATE INDEX CONCURRENTLY one ON s.t (a) WHERE b");
        assert_eq!(
            one,
            IndexShape::of("CREATE INDEX \"Two\" ON s.t USING btree (a) TABLESPACE x WHERE b")
        );
    }
}
