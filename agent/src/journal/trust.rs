//! Whether the journal may be read and written at all.
//!
//! A table's owner decides which code runs when others touch it: by a trigger, a rule, a policy, a default, or a view in
//! its place. Whoever may make a schema in a database could lay out a journal for us and so run code in our name.
//! Source: PostgreSQL documentation, "Writing Trigger Functions", "Row Security Policies", "CREATE RULE".

use super::JournalError;
use crate::postgres::{PgError, Session};

/// Relations that we touch and that are not plainly ours, first what matters most. Only catalogs are read. A superuser
/// needs no trap, and a trigger of theirs that runs in their own name (SECURITY DEFINER), as for an audit, is none. Being a member of a role says nothing of its other members, and up to PostgreSQL 15 a role could
/// admit members by itself.
const STRANGE: &str = "WITH trusted AS ( \
        SELECT r.oid FROM pg_catalog.pg_roles r WHERE r.rolsuper OR r.rolname = current_user), \
    ours AS ( \
        SELECT c.* FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
        WHERE n.nspname = 'pgwright' AND c.relname = ANY ($1)) \
    SELECT 'owner', pg_catalog.pg_get_userbyid(n.nspowner)::text, 'schema pgwright' FROM pg_catalog.pg_namespace n \
    WHERE n.nspname = 'pgwright' AND n.nspowner NOT IN (SELECT oid FROM trusted) \
    UNION ALL SELECT 'owner', pg_catalog.pg_get_userbyid(c.relowner)::text, pg_catalog.quote_ident(c.relname) \
    FROM ours c WHERE c.relowner NOT IN (SELECT oid FROM trusted) \
    UNION ALL SELECT 'change', 'is no ordinary table', pg_catalog.quote_ident(c.relname) \
    FROM ours c WHERE c.relkind <> 'r' OR c.relpersistence <> 'p' \
    UNION ALL SELECT 'change', 'has the trigger ' || pg_catalog.quote_ident(t.tgname), pg_catalog.quote_ident(c.relname) \
    FROM ours c JOIN pg_catalog.pg_trigger t ON t.tgrelid = c.oid WHERE NOT t.tgisinternal AND NOT EXISTS ( \
        SELECT FROM pg_catalog.pg_proc p WHERE p.oid = t.tgfoid AND p.prosecdef AND p.proowner IN (SELECT oid FROM trusted)) \
    UNION ALL SELECT 'change', 'has the rule ' || pg_catalog.quote_ident(w.rulename), pg_catalog.quote_ident(c.relname) \
    FROM ours c JOIN pg_catalog.pg_rewrite w ON w.ev_class = c.oid WHERE c.relkind = 'r' \
    UNION ALL SELECT 'change', 'has row security', pg_catalog.quote_ident(c.relname) \
    FROM ours c WHERE c.relrowsecurity LIMIT 1";

/// Refuses a journal in which code could lie in wait for us.
pub(super) async fn check(session: &Session, tables: &[&str]) -> Result<(), JournalError> {
    let found = session.query_opt(STRANGE, &[&tables]).await.map_err(JournalError::Read)?;
    let Some(row) = found else { return Ok(()) };
    let read = || -> Result<(String, String, String), PgError> {
        Ok((row.try_get(0)?, row.try_get(1)?, row.try_get(2)?))
    };
    let (kind, what, whose) = read().map_err(JournalError::Read)?;
    Err(match kind.as_str() {
        "owner" => JournalError::Untrusted { what: whose, owner: what },
        _ => JournalError::Changed { what: format!("{whose} {what}") },
    })
}
