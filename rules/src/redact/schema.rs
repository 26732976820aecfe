//! What the schema itself says: its constants, which stay, and what of it does not belong in a redacted snapshot.

use std::collections::BTreeSet;

use crate::blueprint::DefinitionKind;
use crate::snapshot::{ConstraintKind, Snapshot};
use crate::statement::{Constant, constants};

/// Constants of index predicates and expressions, CHECK and exclusion constraints, partition bounds and views.
pub(super) fn pinned(snapshot: &Snapshot) -> BTreeSet<Constant> {
    let mut found = BTreeSet::new();
    let indexes = snapshot.tables.iter().flat_map(|table| &table.indexes);
    for index in indexes {
        let expressions = index.keys.iter().filter_map(|key| key.expression.as_ref());
        for text in expressions.chain(&index.predicate) {
            found.extend(constants(text));
        }
    }
    for constraint in snapshot.tables.iter().flat_map(|table| &table.constraints) {
        if matches!(constraint.kind, ConstraintKind::Check | ConstraintKind::Exclusion) {
            found.extend(constants(&constraint.definition));
        }
    }
    found.extend(snapshot.views.iter().flat_map(|view| constants(&view.definition)));
    for definition in snapshot.blueprint.iter().flat_map(|blueprint| &blueprint.definitions) {
        let part = match definition.kind {
            DefinitionKind::Table | DefinitionKind::Constraint | DefinitionKind::Other => {
                ["FOR VALUES", "CHECK"].iter().filter_map(|word| definition.sql.find(word)).min()
            }
            DefinitionKind::View | DefinitionKind::Index | DefinitionKind::Behaviour => Some(0),
            _ => None,
        };
        found.extend(
            part.and_then(|at| definition.sql.get(at..)).map(constants).unwrap_or_default(),
        );
    }
    found
}

/// Settings with a point in their name belong to extensions and applications, which keep secrets there.
fn own(name: &str) -> bool {
    name.contains('.')
}

/// Takes out comments, passwords and the settings of applications.
pub(super) fn clean(snapshot: &mut Snapshot) {
    for index in snapshot.tables.iter_mut().flat_map(|table| &mut table.indexes) {
        index.comment = None;
    }
    snapshot.settings.retain(|name, _| !own(name));
    let Some(blueprint) = &mut snapshot.blueprint else { return };
    for role in &mut blueprint.role_settings {
        role.settings.retain(|name, _| !own(name));
    }
    blueprint.role_settings.retain(|role| !role.settings.is_empty());
    blueprint.definitions.retain(|definition| !secret(&definition.sql));
}

/// Whether a definition is a comment or can hold a password.
fn secret(sql: &str) -> bool {
    let head: Vec<String> = sql.split_whitespace().take(4).map(str::to_ascii_uppercase).collect();
    let begins = |words: &[&str]| {
        head.iter().zip(words).filter(|(one, other)| one == other).count() == words.len()
    };
    begins(&["COMMENT", "ON"])
        || begins(&["SECURITY", "LABEL"])
        || begins(&["CREATE", "USER", "MAPPING"])
        || begins(&["CREATE", "SUBSCRIPTION"])
        || begins(&["ALTER", "SUBSCRIPTION"])
}

#[cfg(test)]
mod tests {
    use super::secret;

    #[test]
    fn comments_and_passwords_are_known() {
        for sql in [
            "COMMENT ON TABLE t IS 'Ann''s'",
            "create user mapping for x server y options (password 'p')",
            "CREATE SUBSCRIPTION s CONNECTION 'password=p' PUBLICATION q",
        ] {
            assert!(secret(sql), "{sql}");
        }
        for sql in ["CREATE TABLE comment_on (a int)", "CREATE USER", ""] {
            assert!(!secret(sql), "{sql}");
        }
    }
}
