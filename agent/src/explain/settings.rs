//! Planner settings that hold for one transaction.

use std::collections::BTreeMap;

use rules::quote::literal;

use super::Explainer;
use crate::postgres::PgError;

impl Explainer {
    /// Plans under these settings (as [`Snapshot::settings`](rules::snapshot::Snapshot::settings)) where those of the
    /// session's own role are others. The size of the cache is the business of who asks what-if questions.
    pub(crate) async fn adopt(
        &mut self,
        settings: &BTreeMap<String, String>,
    ) -> Result<(), PgError> {
        let (names, values): (Vec<&str>, Vec<&str>) =
            settings.iter().map(|(name, value)| (name.as_str(), value.as_str())).unzip();
        let sql = include_str!("differing_settings.sql");
        for row in self.session.query(sql, &[&names, &values]).await? {
            self.common.insert(row.try_get(0)?, row.try_get(1)?);
        }
        Ok(())
    }
}

/// A further statement that gives a transaction those of these settings that the server knows; nothing for none.
pub(super) fn set_known(settings: &BTreeMap<String, String>) -> String {
    if settings.is_empty() {
        return String::new();
    }
    let pair =
        |(name, value): (&String, &String)| format!("({}, {})", literal(name), literal(value));
    let pairs: Vec<String> = settings.iter().map(pair).collect();
    format!(
        "; SELECT pg_catalog.set_config(given.name, given.value, true) FROM (VALUES {}) AS given (name, value) \
         WHERE pg_catalog.current_setting(given.name, true) IS NOT NULL",
        pairs.join(", ")
    )
}
