//! What a file of SQL sets for the statements after it.

use super::parse::{self, NodeEnum, pg};

/// What a statement changes for those after it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Setting {
    /// The schemas in which names resolve; `None` is the default.
    SearchPath {
        /// The schemas.
        schemas: Option<Vec<String>>,
        /// Until the transaction ends only.
        local: bool,
    },
    /// Another setting, by name.
    Other(String),
    /// Every setting takes its default again.
    ResetAll,
    /// A transaction begins.
    Begin,
    /// It ends.
    End,
}

/// What a statement sets; `None` for one that sets nothing.
pub fn setting(text: &str) -> Option<Setting> {
    match parse::statement(text).ok()? {
        NodeEnum::VariableSetStmt(set) => variable(&set),
        NodeEnum::TransactionStmt(transaction) => match transaction.kind() {
            pg::TransactionStmtKind::TransStmtBegin | pg::TransactionStmtKind::TransStmtStart => {
                Some(Setting::Begin)
            }
            pg::TransactionStmtKind::TransStmtCommit
            | pg::TransactionStmtKind::TransStmtRollback => Some(Setting::End),
            _ => None,
        },
        _ => None,
    }
}

fn variable(set: &pg::VariableSetStmt) -> Option<Setting> {
    let kind = set.kind();
    if kind == pg::VariableSetKind::VarResetAll {
        return Some(Setting::ResetAll);
    }
    if set.name != "search_path" {
        return Some(Setting::Other(set.name.clone()));
    }
    let schemas = match kind {
        pg::VariableSetKind::VarSetValue => Some(set.args.iter().filter_map(word).collect()),
        pg::VariableSetKind::VarSetCurrent => return None,
        _ => None,
    };
    Some(Setting::SearchPath { schemas, local: set.is_local })
}

fn word(argument: &pg::Node) -> Option<String> {
    match argument.node.as_ref()? {
        NodeEnum::AConst(constant) => match constant.val.as_ref()? {
            pg::a_const::Val::Sval(text) => Some(text.sval.clone()),
            _ => None,
        },
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::{Setting, setting};

    #[test]
    fn settings_are_read() {
        let path = |schemas: &[&str], local| Setting::SearchPath {
            schemas: Some(schemas.iter().map(|schema| (*schema).to_owned()).collect()),
            local,
        };
        let default = Setting::SearchPath { schemas: None, local: false };
        for (text, expected) in [
            ("SET search_path = app, \"Public\"", path(&["app", "Public"], false)),
            ("SET LOCAL search_path TO 'a'", path(&["a"], true)),
            ("SET SCHEMA 'a'", path(&["a"], false)),
            ("RESET search_path", default.clone()),
            ("SET search_path TO DEFAULT", default),
            ("RESET ALL", Setting::ResetAll),
            ("SET work_mem = '1GB'", Setting::Other("work_mem".to_owned())),
            ("SET ROLE bob", Setting::Other("role".to_owned())),
            ("START TRANSACTION", Setting::Begin),
            ("ROLLBACK", Setting::End),
        ] {
            assert_eq!(setting(text), Some(expected), "{text}");
        }
        assert_eq!(setting("SELECT 1"), None);
        assert_eq!(setting("SAVEPOINT a"), None);
    }
}
