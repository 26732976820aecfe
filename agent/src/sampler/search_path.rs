//! Which schemas a role's names are looked up in, without being that role.

use std::collections::{BTreeMap, BTreeSet};

use rules::intake::SearchPaths;
use serde::Deserialize;

/// What PostgreSQL starts with when nobody set anything.
const BUILT_IN: &str = "\"$user\", public";

/// One `search_path` set with `ALTER ROLE`, `ALTER DATABASE` or both.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Setting {
    /// For this role; for all when `None`.
    pub(super) role: Option<String>,
    /// In this database; in all when false.
    pub(super) here: bool,
    /// The setting's text.
    pub(super) path: String,
}

/// The path of every role in `roles`, resolved: `"$user"` replaced, schemas that do not exist left out.
///
/// The order of precedence is the server's: role in database, role, database, server.
pub(super) fn resolve(
    roles: &BTreeSet<String>,
    settings: &[Setting],
    server: Option<&str>,
    schemas: &BTreeSet<String>,
) -> SearchPaths {
    let find = |role: Option<&str>, here: bool| {
        settings
            .iter()
            .find(|set| set.role.as_deref() == role && set.here == here)
            .map(|set| set.path.as_str())
    };
    let common = find(None, true).or_else(|| find(None, false)).or(server).unwrap_or(BUILT_IN);
    let of =
        |role: &str| find(Some(role), true).or_else(|| find(Some(role), false)).unwrap_or(common);
    let by_role: BTreeMap<String, Vec<String>> =
        roles.iter().map(|role| (role.clone(), existing(of(role), Some(role), schemas))).collect();
    SearchPaths { default: existing(common, None, schemas), by_role }
}

fn existing(path: &str, role: Option<&str>, schemas: &BTreeSet<String>) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    for name in identifiers(path) {
        let name = if name == "$user" { role.map(str::to_owned) } else { Some(name) };
        found.extend(name.filter(|name| schemas.contains(name) && !found.contains(name)));
    }
    found
}

/// The names of a list as settings hold them: parted by commas, folded to lower case where not in double quotes.
pub(super) fn identifiers(list: &str) -> Vec<String> {
    let mut names = Vec::new();
    let mut rest = list.trim_start();
    while !rest.is_empty() {
        let (name, tail) = rest.strip_prefix('"').map_or_else(|| take_plain(rest), take_quoted);
        if !name.is_empty() {
            names.push(name);
        }
        rest = tail.split_once(',').map_or("", |(_, tail)| tail).trim_start();
    }
    names
}

/// A name up to the next comma, and what follows it.
fn take_plain(text: &str) -> (String, &str) {
    let (name, tail) = text.split_at(text.find(',').unwrap_or(text.len()));
    (name.trim().to_lowercase(), tail)
}

/// A name in double quotes whose first quote is gone, and what follows its last.
fn take_quoted(text: &str) -> (String, &str) {
    let mut name = String::new();
    let mut rest = text;
    while let Some((head, tail)) = rest.split_once('"') {
        name.push_str(head);
        match tail.strip_prefix('"') {
            Some(more) => {
                name.push('"');
                rest = more;
            }
            None => return (name, tail),
        }
    }
    name.push_str(rest);
    (name, "")
}

#[cfg(test)]
mod tests {
    use super::{Setting, identifiers, resolve};

    #[test]
    fn names_are_folded_unless_quoted() {
        assert_eq!(identifiers("\"$user\", public"), ["$user", "public"]);
        assert_eq!(identifiers("App,\"App\" , \"a\"\"b,c\",x"), ["app", "App", "a\"b,c", "x"]);
        assert_eq!(identifiers("\"\""), [""; 0]);
        assert_eq!(identifiers(""), [""; 0]);
        assert_eq!(identifiers("\"open"), ["open"]);
    }

    #[test]
    fn the_narrower_setting_wins_and_only_existing_schemas_stay() {
        let set = |role: Option<&str>, here, path: &str| Setting {
            role: role.map(str::to_owned),
            here,
            path: path.to_owned(),
        };
        let settings = [
            set(Some("ann"), false, "ann_all"),
            set(Some("ann"), true, "ann_here, gone"),
            set(Some("bob"), false, "bob_all, public"),
            set(None, true, "\"$user\", app"),
        ];
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let schemas = names(&["ann_here", "ann_all", "bob_all", "public", "app", "eve"]);
        let paths = resolve(&names(&["ann", "bob", "eve", "joe"]), &settings, None, &schemas);
        assert_eq!(paths.of(Some("ann")), ["ann_here"]);
        assert_eq!(paths.of(Some("bob")), ["bob_all", "public"]);
        assert_eq!(paths.of(Some("eve")), ["eve", "app"]);
        assert_eq!(paths.of(Some("joe")), ["app"]);
        assert_eq!(paths.of(None), ["app"]);
    }

    #[test]
    fn without_any_setting_the_built_in_path_counts() {
        let schemas = ["public".to_owned()].into();
        assert_eq!(
            resolve(&["ann".to_owned()].into(), &[], None, &schemas).of(Some("ann")),
            ["public"]
        );
    }
}
