//! Which definitions a schema dump holds: its statements, sorted into what the planner needs and what it does not.

use super::Unanalyzable;
use super::parse::{self, NodeEnum, pg};
use crate::blueprint::{Definition, DefinitionKind as Kind};

/// What a dump was taken apart into.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Dump {
    /// Definitions that planning needs, in the dump's order.
    pub definitions: Vec<Definition>,
    /// Names of foreign tables, which cannot be planned without their server.
    pub foreign: Vec<String>,
}

/// What becomes of a statement.
enum Use {
    /// It is kept: its kind, and its name as a person would say it.
    Keep(Kind, String),
    /// It makes this foreign table.
    Foreign(String),
    /// Planning does without it: rights, comments, ordinary triggers, settings of the session.
    Drop,
}

/// `TRIGGER_TYPE_INSTEAD`, pg_trigger.h.
const INSTEAD: i32 = 64;

/// Takes the output of `pg_dump --schema-only` apart. Lines with psql's own commands must be gone.
///
/// # Errors
/// When a statement does not parse.
pub fn definitions(dump: &str) -> Result<Dump, Unanalyzable> {
    let mut taken = Dump::default();
    for raw in parse::statements(dump)? {
        let Some(node) = raw.stmt.and_then(|node| node.node) else { continue };
        let start = usize::try_from(raw.stmt_location).unwrap_or_default();
        // A length of 0 means up to the end.
        let end = match usize::try_from(raw.stmt_len) {
            Ok(0) | Err(_) => dump.len(),
            Ok(length) => start + length,
        };
        let text =
            dump.get(start..end).map(super::split::without_comments_before).unwrap_or_default();
        match place(&node) {
            Use::Keep(kind, name) => {
                taken.definitions.push(Definition { kind, name, sql: text.to_owned() });
            }
            Use::Foreign(name) => taken.foreign.push(name),
            Use::Drop => {}
        }
    }
    Ok(taken)
}

fn place(node: &NodeEnum) -> Use {
    let keep = |kind: Kind, word: &str, name: String| Use::Keep(kind, format!("{word} {name}"));
    match node {
        NodeEnum::CreateSchemaStmt(of) => keep(Kind::Schema, "schema", of.schemaname.clone()),
        NodeEnum::CreateExtensionStmt(of) => keep(Kind::Extension, "extension", of.extname.clone()),
        NodeEnum::CreateEnumStmt(of) => keep(Kind::Type, "type", dotted(&of.type_name)),
        NodeEnum::CompositeTypeStmt(of) => keep(Kind::Type, "type", relation(of.typevar.as_ref())),
        NodeEnum::CreateRangeStmt(of) => keep(Kind::Type, "type", dotted(&of.type_name)),
        NodeEnum::CreateDomainStmt(of) => keep(Kind::Type, "domain", dotted(&of.domainname)),
        NodeEnum::AlterDomainStmt(of) => keep(Kind::Type, "domain", dotted(&of.type_name)),
        NodeEnum::AlterEnumStmt(of) => keep(Kind::Type, "type", dotted(&of.type_name)),
        NodeEnum::DefineStmt(of) => define(of),
        NodeEnum::CreateFunctionStmt(of) => {
            let word = if of.is_procedure { "procedure" } else { "function" };
            keep(Kind::Function, word, dotted(&of.funcname))
        }
        NodeEnum::CreateOpClassStmt(of) => {
            keep(Kind::Operator, "operator class", dotted(&of.opclassname))
        }
        NodeEnum::CreateOpFamilyStmt(of) => {
            keep(Kind::Operator, "operator family", dotted(&of.opfamilyname))
        }
        NodeEnum::AlterOpFamilyStmt(of) => {
            keep(Kind::Operator, "operator family", dotted(&of.opfamilyname))
        }
        NodeEnum::CreateCastStmt(of) => {
            let type_name = |of: &Option<pg::TypeName>| {
                of.as_ref().map(|of| dotted(&of.names)).unwrap_or_default()
            };
            let name = format!("{} as {}", type_name(&of.sourcetype), type_name(&of.targettype));
            keep(Kind::Operator, "cast", name)
        }
        NodeEnum::AlterTsconfigurationStmt(of) => {
            keep(Kind::TextSearch, "text search configuration", dotted(&of.cfgname))
        }
        NodeEnum::CreateSeqStmt(of) => {
            keep(Kind::Sequence, "sequence", relation(of.sequence.as_ref()))
        }
        NodeEnum::CreateStmt(of) => keep(Kind::Table, "table", relation(of.relation.as_ref())),
        NodeEnum::AlterTableStmt(of) => alter(of),
        NodeEnum::ViewStmt(of) => keep(Kind::View, "view", relation(of.view.as_ref())),
        NodeEnum::CreateTableAsStmt(of) => {
            let name = relation(of.into.as_ref().and_then(|into| into.rel.as_ref()));
            keep(Kind::View, "materialized view", name)
        }
        NodeEnum::IndexStmt(of) => {
            let schema = of.relation.as_ref().map_or("", |of| of.schemaname.as_str());
            keep(Kind::Index, "index", format!("{schema}.{}", of.idxname))
        }
        NodeEnum::CreateStatsStmt(of) => keep(Kind::Statistics, "statistics", dotted(&of.defnames)),
        NodeEnum::AlterStatsStmt(of) => keep(Kind::Statistics, "statistics", dotted(&of.defnames)),
        NodeEnum::RuleStmt(of) => {
            let name = format!("{} on {}", of.rulename, relation(of.relation.as_ref()));
            keep(Kind::Behaviour, "rule", name)
        }
        NodeEnum::CreateTrigStmt(of) if of.timing == INSTEAD => {
            let name = format!("{} on {}", of.trigname, relation(of.relation.as_ref()));
            keep(Kind::Behaviour, "trigger", name)
        }
        NodeEnum::CreatePolicyStmt(of) => {
            let name = format!("{} on {}", of.policy_name, relation(of.table.as_ref()));
            keep(Kind::Behaviour, "policy", name)
        }
        NodeEnum::CreateForeignTableStmt(of) => {
            let base = of.base_stmt.as_ref().and_then(|base| base.relation.as_ref());
            Use::Foreign(format!("foreign table {}", relation(base)))
        }
        _ => Use::Drop,
    }
}

fn define(of: &pg::DefineStmt) -> Use {
    use pg::ObjectType as Object;
    let (kind, word) = match Object::try_from(of.kind) {
        Ok(Object::ObjectCollation) => (Kind::Collation, "collation"),
        Ok(Object::ObjectType) => (Kind::Type, "type"),
        Ok(Object::ObjectAggregate) => (Kind::Function, "aggregate"),
        Ok(Object::ObjectOperator) => (Kind::Operator, "operator"),
        Ok(Object::ObjectTsdictionary) => (Kind::TextSearch, "text search dictionary"),
        Ok(Object::ObjectTsconfiguration) => (Kind::TextSearch, "text search configuration"),
        Ok(Object::ObjectTsparser) => (Kind::TextSearch, "text search parser"),
        Ok(Object::ObjectTstemplate) => (Kind::TextSearch, "text search template"),
        _ => return Use::Drop,
    };
    Use::Keep(kind, format!("{word} {}", dotted(&of.defnames)))
}

fn alter(of: &pg::AlterTableStmt) -> Use {
    use pg::AlterTableType as Change;
    let name = relation(of.relation.as_ref());
    let index = of.objtype == pg::ObjectType::ObjectIndex as i32;
    let change = of.cmds.first().and_then(|command| match &command.node {
        Some(NodeEnum::AlterTableCmd(command)) => {
            Some((Change::try_from(command.subtype).ok()?, command.def.as_ref()))
        }
        _ => None,
    });
    match change {
        None
        | Some((
            Change::AtChangeOwner
            | Change::AtClusterOn
            | Change::AtReplicaIdentity
            | Change::AtEnableTrig
            | Change::AtEnableAlwaysTrig
            | Change::AtEnableReplicaTrig
            | Change::AtDisableTrig,
            _,
        )) => Use::Drop,
        Some((Change::AtAddConstraint, def)) => {
            let constraint = match def.and_then(|def| def.node.as_ref()) {
                Some(NodeEnum::Constraint(constraint)) => constraint.conname.as_str(),
                _ => "",
            };
            Use::Keep(Kind::Constraint, format!("constraint {constraint} on {name}"))
        }
        Some((Change::AtEnableRowSecurity | Change::AtForceRowSecurity, _)) => {
            Use::Keep(Kind::Behaviour, format!("table {name}: row security"))
        }
        Some(_) if index => Use::Keep(Kind::Index, format!("index {name}: change")),
        Some(_) => Use::Keep(Kind::Table, format!("table {name}: change")),
    }
}

fn relation(of: Option<&pg::RangeVar>) -> String {
    of.map(|of| format!("{}.{}", of.schemaname, of.relname)).unwrap_or_default()
}

fn dotted(names: &[pg::Node]) -> String {
    let word = |node: &pg::Node| match &node.node {
        Some(NodeEnum::String(text)) => Some(text.sval.clone()),
        _ => None,
    };
    names.iter().filter_map(word).collect::<Vec<_>>().join(".")
}

#[cfg(test)]
mod tests {
    use super::definitions;

    #[test]
    fn a_dump_is_taken_apart() {
        let dump = "--\n-- PostgreSQL database dump\n--\n\nSET lock_timeout = 0;\n\
            SELECT pg_catalog.set_config('search_path', '', false);\n\n\
            -- Name: f(); Type: FUNCTION\n\n\
            CREATE FUNCTION public.f() RETURNS integer LANGUAGE sql AS 'SELECT 1;';\n\
            CREATE TABLE public.\"T;\" (\n    id integer -- of it\n);\n\
            COMMENT ON TABLE public.\"T;\" IS 'x';\n\
            ALTER TABLE ONLY public.\"T;\" ADD CONSTRAINT pk PRIMARY KEY (id);\n\
            CREATE FOREIGN TABLE public.far (id integer) SERVER s;\n\
            CREATE TRIGGER a AFTER INSERT ON public.\"T;\" FOR EACH ROW EXECUTE FUNCTION public.f();\n\
            CREATE TRIGGER b INSTEAD OF INSERT ON public.v FOR EACH ROW EXECUTE FUNCTION public.f();\n\
            ALTER INDEX public.p ATTACH PARTITION public.q;\n\
            ALTER TABLE public.\"T;\" ENABLE ROW LEVEL SECURITY;\n\
            GRANT SELECT ON TABLE public.\"T;\" TO PUBLIC;\n";
        let taken = definitions(dump).unwrap();
        let shown: Vec<String> = taken
            .definitions
            .iter()
            .map(|of| format!("{:?} {} = {}", of.kind, of.name, of.sql.lines().next().unwrap()))
            .collect();
        assert_eq!(
            shown,
            [
                "Function function public.f = CREATE FUNCTION public.f() RETURNS integer LANGUAGE sql AS 'SELECT 1;'",
                "Table table public.T; = CREATE TABLE public.\"T;\" (",
                "Constraint constraint pk on public.T; = ALTER TABLE ONLY public.\"T;\" ADD CONSTRAINT pk PRIMARY KEY (id)",
                "Behaviour trigger b on public.v = CREATE TRIGGER b INSTEAD OF INSERT ON public.v FOR EACH ROW EXECUTE FUNCTION public.f()",
                "Index index public.p: change = ALTER INDEX public.p ATTACH PARTITION public.q",
                "Behaviour table public.T;: row security = ALTER TABLE public.\"T;\" ENABLE ROW LEVEL SECURITY",
            ]
        );
        assert_eq!(taken.foreign, ["foreign table public.far"]);
        assert!(definitions("CREATE TABEL x ();").is_err());
    }
}
