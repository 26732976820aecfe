//! Names: what a FROM clause offers, which table a name means, which column.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::rc::Rc;

use super::RelationId;
use super::expression::Expr;
use crate::snapshot::{Snapshot, Table, View};

/// Output columns of a query: name and what stands behind it.
pub(super) type Columns = Vec<(String, Expr)>;

/// Columns that only the heap has.
const SYSTEM_COLUMNS: &[&str] = &["ctid", "xmin", "xmax", "cmin", "cmax", "tableoid"];

/// One item of a FROM clause.
#[derive(Clone, Debug, Default)]
pub(super) struct Item {
    /// Alias, or name.
    pub(super) alias: String,
    /// Schema as stored, when the item is a table or view without alias.
    pub(super) schema: Option<String>,
    /// Its columns.
    pub(super) columns: Columns,
    /// Whether it may have further columns (functions, catalogs): any name is then taken for one.
    pub(super) open: Option<Expr>,
    /// Columns merged into another item's by USING or NATURAL: not found by their bare name.
    pub(super) hidden: BTreeSet<String>,
    /// The relation, when it is a base table.
    pub(super) relation: Option<RelationId>,
    /// Every relation behind it.
    pub(super) relations: BTreeSet<RelationId>,
}

impl Item {
    /// An item with these columns.
    pub(super) fn new(alias: String, columns: Columns) -> Self {
        let relations = columns.iter().flat_map(|(_, expr)| expr.relations()).collect();
        Self { alias, columns, relations, ..Self::default() }
    }

    /// An item whose columns are not known.
    pub(super) fn open(alias: String, made_of: Expr) -> Self {
        Self { alias, relations: made_of.relations(), open: Some(made_of), ..Self::default() }
    }

    /// Gives the first columns other names, as `AS alias (a, b)` does.
    pub(super) fn rename(&mut self, names: Vec<String>) {
        for (index, name) in names.into_iter().enumerate() {
            match (self.columns.get_mut(index), &self.open) {
                (Some(column), _) => column.0 = name,
                (None, Some(made_of)) => self.columns.push((name, made_of.clone())),
                (None, None) => {}
            }
        }
    }

    fn column(&self, name: &str) -> Option<Expr> {
        if let Some((_, expr)) = self.columns.iter().find(|(column, _)| column == name) {
            return Some(expr.clone());
        }
        match (self.relation, &self.open) {
            (Some(relation), _) if SYSTEM_COLUMNS.contains(&name) => {
                Some(Expr::System(relation, name.to_owned()))
            }
            (_, Some(made_of)) => Some(made_of.clone()),
            _ => None,
        }
    }

    fn row(&self) -> Expr {
        Expr::Opaque(self.columns.iter().map(|(_, expr)| expr.clone()).collect())
    }
}

/// What the names of one query level can mean.
#[derive(Default)]
pub(super) struct Scope<'p> {
    /// Items of FROM, in order.
    pub(super) items: Vec<Item>,
    /// Columns merged by USING or NATURAL.
    pub(super) merged: Columns,
    /// The enclosing query.
    pub(super) parent: Option<&'p Scope<'p>>,
    /// What was found in the enclosing queries.
    pub(super) outer: RefCell<Vec<Expr>>,
}

impl<'p> Scope<'p> {
    /// An empty scope within another.
    pub(super) fn within(parent: Option<&'p Scope<'p>>) -> Self {
        Self { parent, ..Self::default() }
    }

    /// What the column reference means; `None` when nothing here or outside has it.
    pub(super) fn column(&self, parts: &[String]) -> Option<Expr> {
        if let Some(found) = self.own(parts) {
            return Some(found);
        }
        let found = self.parent?.column(parts)?;
        self.outer.borrow_mut().push(found.clone());
        Some(found)
    }

    fn own(&self, parts: &[String]) -> Option<Expr> {
        match parts {
            [name] => self.bare(name),
            [alias, name] => self.item(None, alias)?.column(name),
            [schema, table, name] | [_, schema, table, name] => {
                self.item(Some(schema), table)?.column(name)
            }
            _ => None,
        }
    }

    fn bare(&self, name: &str) -> Option<Expr> {
        let known = |item: &&Item| {
            !item.hidden.contains(name) && item.columns.iter().any(|(column, _)| column == name)
        };
        if let Some(item) = self.items.iter().rev().find(known) {
            return item.column(name);
        }
        if let Some(item) = self.items.iter().find(|item| item.alias == name) {
            // A function with one unnamed column is called by its alias.
            return Some(item.open.clone().unwrap_or_else(|| item.row()));
        }
        let system = SYSTEM_COLUMNS.contains(&name);
        self.items
            .iter()
            .filter(|item| item.open.is_some() || system && item.relation.is_some())
            .find_map(|item| item.column(name))
    }

    fn item(&self, schema: Option<&str>, alias: &str) -> Option<&Item> {
        self.items.iter().rev().find(|item| {
            item.alias == alias
                && schema.is_none_or(|schema| item.schema.as_deref() == Some(schema))
        })
    }

    /// What `*` or `alias.*` stands for.
    pub(super) fn star(&self, qualifier: &[String]) -> Columns {
        match qualifier {
            [] => {
                let rest = self.items.iter().flat_map(|item| {
                    let merged = |name: &str| self.merged.iter().any(|(column, _)| column == name);
                    item.columns
                        .iter()
                        .filter(move |(name, _)| !merged(name) && !item.hidden.contains(name))
                });
                self.merged.iter().chain(rest).cloned().collect()
            }
            [alias] => self.star_of(None, alias),
            [.., schema, alias] => self.star_of(Some(schema), alias),
        }
    }

    fn star_of(&self, schema: Option<&str>, alias: &str) -> Columns {
        let mut level = Some(self);
        while let Some(scope) = level {
            if let Some(item) = scope.item(schema, alias) {
                return item.columns.clone();
            }
            level = scope.parent;
        }
        Vec::new()
    }
}

/// The common table expressions in sight.
#[derive(Clone, Debug, Default)]
pub(super) struct Names {
    ctes: Vec<(String, Rc<Item>)>,
}

impl Names {
    /// Puts a common table expression in sight, over any of the same name.
    pub(super) fn add(&mut self, name: String, item: Item) {
        self.ctes.push((name, Rc::new(item)));
    }

    /// The common table expression of this name.
    pub(super) fn get(&self, name: &str) -> Option<&Item> {
        self.ctes.iter().rev().find(|(cte, _)| cte == name).map(|(_, item)| item.as_ref())
    }
}

/// What a relation name means.
#[derive(Clone, Copy, Debug)]
pub(super) enum Meaning<'s> {
    /// A table of the snapshot.
    Table(&'s Table),
    /// A view of the snapshot.
    View(&'s View),
    /// A relation of the system.
    Catalog,
    /// None that is known.
    Unknown,
}

/// Whether the schema is the system's own.
pub(super) fn system_schema(schema: &str) -> bool {
    matches!(schema, "pg_catalog" | "information_schema" | "pg_toast")
}

/// What the name means under the search path.
pub(super) fn meaning<'s>(
    snapshot: &'s Snapshot,
    search_path: &[String],
    schema: &str,
    name: &str,
) -> Meaning<'s> {
    if !schema.is_empty() {
        let catalog = if system_schema(schema) { Meaning::Catalog } else { Meaning::Unknown };
        return in_schema(snapshot, schema, name).unwrap_or(catalog);
    }
    // The server looks into pg_catalog first, where none of these names can be a user's.
    if system_relation(name) {
        return Meaning::Catalog;
    }
    search_path
        .iter()
        .find_map(|schema| in_schema(snapshot, schema, name))
        .unwrap_or(Meaning::Unknown)
}

fn in_schema<'s>(snapshot: &'s Snapshot, schema: &str, name: &str) -> Option<Meaning<'s>> {
    if let Some(table) = snapshot.table_named(schema, name) {
        return Some(Meaning::Table(table));
    }
    snapshot.views.iter().find(|view| view.schema == schema && view.name == name).map(Meaning::View)
}

/// Whether `pg_catalog` (or an extension that counts, such as `pg_stat_statements`) holds a relation of this
/// name. The prefix alone would not tell: extensions and
/// applications have tables such as `pg_search_documents`.
pub(super) fn system_relation(name: &str) -> bool {
    name.starts_with("pg_stat") || SYSTEM_RELATIONS.binary_search(&name).is_ok()
}

/// Tables and views of `pg_catalog` in PostgreSQL 14 to 18, those named `pg_stat…` left out.
const SYSTEM_RELATIONS: &[&str] = &[
    "pg_aggregate",
    "pg_aios",
    "pg_am",
    "pg_amop",
    "pg_amproc",
    "pg_attrdef",
    "pg_attribute",
    "pg_auth_members",
    "pg_authid",
    "pg_available_extension_versions",
    "pg_available_extensions",
    "pg_backend_memory_contexts",
    "pg_cast",
    "pg_class",
    "pg_collation",
    "pg_config",
    "pg_constraint",
    "pg_conversion",
    "pg_cursors",
    "pg_database",
    "pg_db_role_setting",
    "pg_default_acl",
    "pg_depend",
    "pg_description",
    "pg_enum",
    "pg_event_trigger",
    "pg_extension",
    "pg_file_settings",
    "pg_foreign_data_wrapper",
    "pg_foreign_server",
    "pg_foreign_table",
    "pg_group",
    "pg_hba_file_rules",
    "pg_ident_file_mappings",
    "pg_index",
    "pg_indexes",
    "pg_inherits",
    "pg_init_privs",
    "pg_language",
    "pg_largeobject",
    "pg_largeobject_metadata",
    "pg_locks",
    "pg_matviews",
    "pg_namespace",
    "pg_opclass",
    "pg_operator",
    "pg_opfamily",
    "pg_parameter_acl",
    "pg_partitioned_table",
    "pg_policies",
    "pg_policy",
    "pg_prepared_statements",
    "pg_prepared_xacts",
    "pg_proc",
    "pg_publication",
    "pg_publication_namespace",
    "pg_publication_rel",
    "pg_publication_tables",
    "pg_range",
    "pg_replication_origin",
    "pg_replication_origin_status",
    "pg_replication_slots",
    "pg_rewrite",
    "pg_roles",
    "pg_rules",
    "pg_seclabel",
    "pg_seclabels",
    "pg_sequence",
    "pg_sequences",
    "pg_settings",
    "pg_shadow",
    "pg_shdepend",
    "pg_shdescription",
    "pg_shmem_allocations",
    "pg_shmem_allocations_numa",
    "pg_shseclabel",
    "pg_subscription",
    "pg_subscription_rel",
    "pg_tables",
    "pg_tablespace",
    "pg_timezone_abbrevs",
    "pg_timezone_names",
    "pg_transform",
    "pg_trigger",
    "pg_ts_config",
    "pg_ts_config_map",
    "pg_ts_dict",
    "pg_ts_parser",
    "pg_ts_template",
    "pg_type",
    "pg_user",
    "pg_user_mapping",
    "pg_user_mappings",
    "pg_views",
    "pg_wait_events",
];

#[cfg(test)]
mod tests {
    use super::{SYSTEM_RELATIONS, system_relation};

    #[test]
    fn system_relations_are_sorted_for_the_search() {
        assert!(SYSTEM_RELATIONS.is_sorted());
    }

    #[test]
    fn a_users_table_may_begin_like_a_catalog() {
        assert!(
            system_relation("pg_class")
                && system_relation("pg_stat_activity")
                && system_relation("pg_stats")
        );
        assert!(!system_relation("pg_search_documents"));
    }
}
