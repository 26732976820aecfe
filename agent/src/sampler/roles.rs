//! What the statements of a role are planned under, without being that role.

use std::collections::{BTreeMap, BTreeSet};

use rules::intake::{Roles, Surroundings};
use serde::Deserialize;

/// What PostgreSQL starts with when nobody set anything.
const BUILT_IN: &str = "\"$user\", public";

/// The setting that names the schemas.
const SEARCH_PATH: &str = "search_path";

/// One setting made with `ALTER ROLE`, `ALTER DATABASE` or both.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Setting {
    /// For this role; for all when `None`.
    pub(super) role: Option<String>,
    /// In this database; in all when false.
    pub(super) here: bool,
    /// Its name.
    pub(super) name: String,
    /// Its text.
    pub(super) value: String,
}

/// The value of a setting for a role, if anybody set it. The order of precedence is the server's: role in database,
/// role, database, all (`process_settings`, postinit.c).
fn find<'s>(settings: &'s [Setting], role: Option<&str>, name: &str) -> Option<&'s str> {
    let of = |role: Option<&str>, here: bool| {
        settings
            .iter()
            .find(|set| set.role.as_deref() == role && set.here == here && set.name == name)
            .map(|set| set.value.as_str())
    };
    let own = role.and_then(|role| of(Some(role), true).or_else(|| of(Some(role), false)));
    own.or_else(|| of(None, true)).or_else(|| of(None, false))
}

/// What the statements of every role in `roles` are planned under.
///
/// Paths are resolved: `"$user"` replaced, schemas that do not exist left out. Settings are those that make the role
/// differ from `own`, the one that looks; `server` holds what is beneath those of that one.
pub(super) fn resolve(
    roles: &BTreeSet<String>,
    own: &str,
    settings: &[Setting],
    server: &BTreeMap<String, String>,
    schemas: &BTreeSet<String>,
) -> Roles {
    let beneath = |name: &str| server.get(name).map(String::as_str);
    let path = |role: Option<&str>| {
        let path = find(settings, role, SEARCH_PATH).or(beneath(SEARCH_PATH)).unwrap_or(BUILT_IN);
        existing(path, role, schemas)
    };
    let names: BTreeSet<&str> =
        settings.iter().map(|set| set.name.as_str()).filter(|name| *name != SEARCH_PATH).collect();
    let value = |role: Option<&str>, name: &str| find(settings, role, name).or(beneath(name));
    let differing = |role: Option<&str>| {
        let theirs = names.iter().filter_map(|name| {
            let theirs = value(role, name)?;
            (value(Some(own), name) != Some(theirs))
                .then(|| ((*name).to_owned(), theirs.to_owned()))
        });
        theirs.collect()
    };
    let of =
        |role: Option<&str>| Surroundings { search_path: path(role), settings: differing(role) };
    let known = roles.iter().map(String::as_str).chain([own]);
    let by_role = known.map(|role| (role.to_owned(), of(Some(role)))).collect();
    Roles { default: of(None), by_role }
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
    use std::collections::BTreeMap;

    use super::{Setting, identifiers, resolve};

    fn set(role: Option<&str>, here: bool, name: &str, value: &str) -> Setting {
        let (name, value) = (name.to_owned(), value.to_owned());
        Setting { role: role.map(str::to_owned), here, name, value }
    }

    fn pairs(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn names_are_folded_unless_quoted() {
        assert_eq!(identifiers("\"$user\", public"), ["$user", "public"]);
        assert_eq!(identifiers("App,\"App\" , \"a\"\"b,c\",x"), ["app", "App", "a\"b,c", "x"]);
        assert_eq!(identifiers("\"\""), [""; 0]);
        assert_eq!(identifiers(""), [""; 0]);
        assert_eq!(identifiers("\"open"), ["open"]);
    }

    #[test]
    fn the_narrower_path_wins_and_only_existing_schemas_stay() {
        let path = |role, here, path| set(role, here, "search_path", path);
        let settings = [
            path(Some("ann"), false, "ann_all"),
            path(Some("ann"), true, "ann_here, gone"),
            path(Some("bob"), false, "bob_all, public"),
            path(None, true, "\"$user\", app"),
        ];
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let schemas = names(&["ann_here", "ann_all", "bob_all", "public", "app", "eve"]);
        let roles = names(&["ann", "bob", "eve"]);
        let roles = resolve(&roles, "joe", &settings, &BTreeMap::new(), &schemas);
        let path = |role| &roles.of(role).search_path[..];
        assert_eq!(path(Some("ann")), ["ann_here"]);
        assert_eq!(path(Some("bob")), ["bob_all", "public"]);
        assert_eq!(path(Some("eve")), ["eve", "app"]);
        assert_eq!(path(Some("joe")), ["app"]);
        assert_eq!(path(None), ["app"]);
    }

    #[test]
    fn without_any_setting_the_built_in_path_counts() {
        let schemas = ["public".to_owned()].into();
        let roles = resolve(&["ann".to_owned()].into(), "ann", &[], &BTreeMap::new(), &schemas);
        assert_eq!(roles.of(Some("ann")).search_path, ["public"]);
    }

    #[test]
    fn a_role_has_the_settings_that_make_it_differ_from_the_one_that_looks() {
        let settings = [
            set(None, false, "work_mem", "1MB"),
            set(None, true, "work_mem", "2MB"),
            set(Some("ann"), false, "work_mem", "3MB"),
            set(Some("ann"), true, "work_mem", "4MB"),
            set(Some("ann"), false, "enable_sort", "off"),
            set(Some("bob"), false, "work_mem", "5MB"),
            set(Some("me"), false, "random_page_cost", "1.1"),
            set(Some("me"), false, "seq_page_cost", "0.5"),
        ];
        let server = pairs(&[("random_page_cost", "4")]);
        let names = ["ann", "bob", "eve", "me"].map(str::to_owned).into();
        let roles = resolve(&names, "me", &settings, &server, &[].into());
        let of = |role| &roles.of(role).settings;
        let page = ("random_page_cost", "4");
        let ann = [("enable_sort", "off"), page, ("work_mem", "4MB")];
        assert_eq!(*of(Some("ann")), pairs(&ann), "in the database before everywhere");
        assert_eq!(*of(Some("bob")), pairs(&[page, ("work_mem", "5MB")]), "role before database");
        assert_eq!(*of(Some("eve")), pairs(&[page]), "the database's is in the session already");
        assert_eq!(*of(Some("me")), BTreeMap::new());
        assert_eq!(*of(None), pairs(&[page]), "nobody knows what is beneath seq_page_cost");
    }
}
