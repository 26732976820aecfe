//! The exact statements that mend what keeps us from sampling.

use rules::quote::{ident, literal};

/// The extension that counts statements.
pub(crate) const PGSS: &str = "pg_stat_statements";

/// How to have the server load `pg_stat_statements`, keeping what it loads now; `None` when that is not known.
pub(crate) fn preload(loaded: Option<&str>) -> Vec<String> {
    let kept = loaded
        .map(|list| list.split(',').map(|name| name.trim().trim_matches('"')).collect::<Vec<_>>());
    let names =
        kept.unwrap_or_default().into_iter().filter(|name| !name.is_empty() && *name != PGSS);
    // One literal for each: a single one with commas in it would be taken for the name of one library.
    let list: Vec<String> = names.chain([PGSS]).map(literal).collect();
    let mut steps = Vec::new();
    if loaded.is_none() {
        steps.push("SHOW shared_preload_libraries; -- as a superuser: keep what it shows in front of the name below".to_owned());
    }
    steps.push(format!("ALTER SYSTEM SET shared_preload_libraries = {};", list.join(", ")));
    steps.push("restart PostgreSQL, for instance with: systemctl restart postgresql".to_owned());
    steps
}

/// How to make the extension's views in the database; `schema` is where it is to live.
pub(crate) fn create_extension(name: &str) -> String {
    format!("CREATE EXTENSION {};", ident(name))
}

/// How to let a role see the statements of all others.
pub(crate) fn read_all_stats(role: &str) -> String {
    format!("GRANT pg_read_all_stats TO {};", ident(role))
}

/// How to let a role reach the extension's views.
pub(crate) fn read_pgss(role: &str, schema: &str) -> Vec<String> {
    vec![
        format!("GRANT USAGE ON SCHEMA {} TO {};", ident(schema), ident(role)),
        format!(
            "GRANT SELECT ON {0}.pg_stat_statements, {0}.pg_stat_statements_info TO {1};",
            ident(schema),
            ident(role)
        ),
        format!(
            "GRANT EXECUTE ON FUNCTION {0}.pg_stat_statements(boolean), {0}.pg_stat_statements_info() TO {1};",
            ident(schema),
            ident(role)
        ),
    ]
}

/// How to let a role keep a journal that another one owns.
pub(crate) fn write_journal(role: &str) -> Vec<String> {
    let role = ident(role);
    vec![
        format!("GRANT USAGE, CREATE ON SCHEMA pgwright TO {role};"),
        format!("GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA pgwright TO {role};"),
    ]
}

/// What to do where `ALTER SYSTEM` and restarts are not ours.
pub(crate) const MANAGED: &str = "on a managed service, add pg_stat_statements to shared_preload_libraries in the \
    parameter group (also called server parameters or database flags) and restart the instance from its console";

/// Steps as numbered lines to be put under a message.
pub(crate) fn numbered(steps: &[String]) -> String {
    let lines = steps.iter().enumerate().map(|(place, step)| format!("\n  {}. {step}", place + 1));
    lines.collect::<Vec<_>>().concat()
}

#[cfg(test)]
mod tests {
    use super::preload;

    #[test]
    fn what_is_loaded_stays_loaded_each_library_in_its_own_literal() {
        let alter = |loaded: &str| preload(Some(loaded)).swap_remove(0);
        assert_eq!(alter(""), "ALTER SYSTEM SET shared_preload_libraries = 'pg_stat_statements';");
        assert_eq!(
            alter("auto_explain, \"$libdir/x\""),
            "ALTER SYSTEM SET shared_preload_libraries = 'auto_explain', '$libdir/x', 'pg_stat_statements';"
        );
        assert_eq!(alter("pg_stat_statements"), alter(""));
    }

    #[test]
    fn what_cannot_be_seen_is_asked_for_first() {
        assert!(preload(None)[0].starts_with("SHOW shared_preload_libraries;"));
    }
}
