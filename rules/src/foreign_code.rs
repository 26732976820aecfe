//! Which statements can reach code of users when they are planned.
//!
//! Planning runs code: functions of constants are folded, selectivities are estimated by calling operators, and
//! views, row security policies, column defaults, index expressions and domains bring in functions that the
//! statement does not name. All of it runs with the rights of whoever asks for the plan. Where that is a role
//! that may do too much, only statements that provably reach none of it may be planned.
//!
//! The proof is by names: whoever reads the catalog lists every name by which code of users is reached, directly
//! or over what depends on it, and a statement passes if none of these names stands anywhere in its syntax tree.
//! That refuses a little too much (a column may share its name with a function) and nothing too little.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::statement::{Unanalyzable, syntax_tree};

/// Operators that the grammar puts into statements where nobody wrote them: `IN`, `BETWEEN`, `CASE x WHEN`,
/// `NULLIF`, `JOIN USING`.
const UNNAMED: &[&str] = &["=", "<>", "<", "<=", ">", ">="];

/// The names by which statements reach code of users.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ForeignCode {
    /// What each name stands for, such as `function app.total`; names in lower case, as some servers fold letters
    /// that others do not.
    names: BTreeMap<String, String>,
}

impl ForeignCode {
    /// From names and what each stands for.
    pub fn new(named: impl IntoIterator<Item = (String, String)>) -> Self {
        let named = named.into_iter().map(|(name, what)| (name.to_lowercase(), what));
        Self { names: named.collect() }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// How many names lead to it.
    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// What of it planning a statement could reach, in a few words; `None` where it provably reaches nothing.
    ///
    /// # Errors
    /// When the text does not parse; nothing is known of it then.
    pub fn reached(&self, sql: &str) -> Result<Option<&str>, Unanalyzable> {
        if self.is_empty() {
            return Ok(None);
        }
        if let Some(what) = UNNAMED.iter().find_map(|name| self.names.get(*name)) {
            return Ok(Some(what));
        }
        let tree = syntax_tree(sql)?;
        let mut open = vec![&tree];
        while let Some(value) = open.pop() {
            match value {
                Value::String(name) => {
                    if let Some(what) = self.names.get(&name.to_lowercase()) {
                        return Ok(Some(what));
                    }
                }
                Value::Array(items) => open.extend(items),
                Value::Object(fields) => open.extend(fields.values()),
                Value::Null | Value::Bool(_) | Value::Number(_) => {}
            }
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::ForeignCode;

    fn code() -> ForeignCode {
        let named = [
            ("imm", "function app.imm"),
            ("v", "view app.v"),
            ("===", "operator app.==="),
            ("Größe", "function app.\"Größe\""),
        ];
        ForeignCode::new(named.map(|(name, what)| (name.to_owned(), what.to_owned())))
    }

    #[test]
    fn every_way_to_write_a_name_is_seen() {
        let reaching = [
            "SELECT imm(5)",
            "SELECT * FROM t WHERE a = app.imm($1)",
            "SELECT * FROM t WHERE a = APP.\"imm\"(1)",
            "SELECT * FROM t WHERE a = U&\"im\\006d\"(1)",
            "SELECT (ROW(1)::t).imm",
            "SELECT t.imm FROM t",
            "SELECT * FROM app.v x",
            "SELECT 1 FROM t WHERE EXISTS (SELECT FROM v)",
            "WITH a AS (SELECT 1) SELECT * FROM a, LATERAL (SELECT imm(1)) b",
            "SELECT * FROM t WHERE a === 1",
            "SELECT * FROM t WHERE a OPERATOR(app.===) 1",
            "SELECT * FROM t WHERE a === ANY ('{1}')",
            "SELECT * FROM t ORDER BY a USING ===",
            "SELECT größe(1)",
            "SELECT '1'::imm",
            "SELECT imm '1'",
            "INSERT INTO v VALUES ($1)",
            "INSERT INTO t VALUES (1) ON CONFLICT (a) DO UPDATE SET a = imm(1)",
            "DELETE FROM t USING v",
            "SELECT rank() OVER (ORDER BY imm(1)) FROM t",
            "SELECT * FROM imm(1)",
            "SELECT * FROM t LIMIT imm(1)",
        ];
        for sql in reaching {
            assert!(code().reached(sql).unwrap().is_some(), "{sql}");
        }
    }

    #[test]
    fn the_rest_passes() {
        for sql in [
            "SELECT * FROM t WHERE a = 1 AND b IN (1, 2)",
            "SELECT lower(x) FROM app.t",
            "SELECT 'call imm(5)'",
        ] {
            assert_eq!(code().reached(sql), Ok(None), "{sql}");
        }
        assert_eq!(ForeignCode::default().reached("SELECT imm(5)"), Ok(None));
    }

    #[test]
    fn an_operator_that_nobody_writes_is_in_every_statement() {
        let code = ForeignCode::new([("=".to_owned(), "operator app.=".to_owned())]);
        assert_eq!(code.reached("SELECT 1"), Ok(Some("operator app.=")));
    }

    #[test]
    fn what_does_not_parse_is_not_known() {
        assert!(code().reached("SELEC 1").is_err());
    }
}
