//! What a definition of a blueprint makes, and whether a twin may make it.
//!
//! A blueprint can come from a file, and a file from anybody. So each definition is parsed with the server's own
//! grammar, and only what stands on a short list is let through; what needs a superuser is told apart, so that
//! everything else can be made by an ordinary role.

use pg_query::NodeEnum;
use pg_query::protobuf::{AlterTableType, CreateFunctionStmt, DefElem, ObjectType};

/// How a definition is to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Making {
    /// By running it as an ordinary role.
    Plain,
    /// By running it as an ordinary role; as a superuser where that role may not, which runs no code of the schema.
    Privileged,
    /// A role: only its name counts.
    Role(String),
    /// An extension: only its name and schema count.
    Extension {
        /// Its name.
        name: String,
        /// The schema that holds its objects, if one is given.
        schema: Option<String>,
    },
    /// The planner does not need it.
    Needless,
    /// It is not made, and why.
    Never(String),
}

/// Procedural languages whose functions reach neither files nor the network.
const LANGUAGES: [&str; 4] = ["sql", "plpgsql", "plperl", "pltcl"];

/// Tells how a definition is to be made.
pub fn making(sql: &str) -> Making {
    let parsed = match pg_query::parse(sql, pg_query::ParserOptions::DEFAULT) {
        Ok(parsed) => parsed.protobuf.stmts,
        Err(error) => return Making::Never(format!("it does not parse: {error}")),
    };
    let [statement] = parsed.as_slice() else {
        return Making::Never(format!("it holds {} statements, not one", parsed.len()));
    };
    match statement.stmt.as_ref().and_then(|node| node.node.as_ref()) {
        Some(node) => of(node),
        None => Making::Needless,
    }
}

fn of(node: &NodeEnum) -> Making {
    match node {
        NodeEnum::CreateStmt(_)
        | NodeEnum::IndexStmt(_)
        | NodeEnum::ViewStmt(_)
        | NodeEnum::CreateSeqStmt(_)
        | NodeEnum::AlterSeqStmt(_)
        | NodeEnum::CompositeTypeStmt(_)
        | NodeEnum::CreateEnumStmt(_)
        | NodeEnum::AlterEnumStmt(_)
        | NodeEnum::CreateDomainStmt(_)
        | NodeEnum::AlterDomainStmt(_)
        | NodeEnum::CreateStatsStmt(_)
        | NodeEnum::AlterStatsStmt(_)
        | NodeEnum::RuleStmt(_)
        | NodeEnum::CreateTrigStmt(_)
        | NodeEnum::CreatePolicyStmt(_) => Making::Plain,
        NodeEnum::AlterTableStmt(alter) => {
            let kind = |node: &pg_query::protobuf::Node| match &node.node {
                Some(NodeEnum::AlterTableCmd(command)) => command.subtype(),
                _ => AlterTableType::Undefined,
            };
            let needless = |kind| {
                matches!(kind, AlterTableType::AtChangeOwner | AlterTableType::AtReplicaIdentity)
            };
            if alter.cmds.iter().map(kind).all(needless) { Making::Needless } else { Making::Plain }
        }
        NodeEnum::CreateTableAsStmt(table) => {
            let unfilled = table.into.as_ref().is_some_and(|into| into.skip_data);
            if table.objtype() == ObjectType::ObjectMatview && unfilled {
                Making::Plain
            } else {
                Making::Never("it would run a query".to_owned())
            }
        }
        NodeEnum::CreateSchemaStmt(schema) if schema.schema_elts.is_empty() => Making::Plain,
        NodeEnum::DefineStmt(_)
        | NodeEnum::CreateRangeStmt(_)
        | NodeEnum::CreateOpClassStmt(_)
        | NodeEnum::CreateOpFamilyStmt(_)
        | NodeEnum::AlterOpFamilyStmt(_)
        | NodeEnum::AlterOperatorStmt(_)
        | NodeEnum::CreateCastStmt(_)
        | NodeEnum::AlterTsdictionaryStmt(_)
        | NodeEnum::AlterTsconfigurationStmt(_) => Making::Privileged,
        NodeEnum::CreateFunctionStmt(function) => function_making(function),
        NodeEnum::CreateRoleStmt(role) => Making::Role(role.role.clone()),
        NodeEnum::CreateExtensionStmt(extension) => Making::Extension {
            name: extension.extname.clone(),
            schema: options(&extension.options)
                .find(|option| option.defname == "schema")
                .and_then(text),
        },
        NodeEnum::CommentStmt(_)
        | NodeEnum::GrantStmt(_)
        | NodeEnum::GrantRoleStmt(_)
        | NodeEnum::AlterOwnerStmt(_)
        | NodeEnum::AlterDefaultPrivilegesStmt(_)
        | NodeEnum::VariableSetStmt(_)
        | NodeEnum::SelectStmt(_) => Making::Needless,
        NodeEnum::CreateForeignTableStmt(_)
        | NodeEnum::CreateForeignServerStmt(_)
        | NodeEnum::CreateFdwStmt(_)
        | NodeEnum::CreateUserMappingStmt(_) => {
            Making::Never("what leads to another server is not made in the twin".to_owned())
        }
        NodeEnum::CreateEventTrigStmt(_) => {
            Making::Never("event triggers are not made in the twin".to_owned())
        }
        _ => Making::Never("it is no definition that the twin makes".to_owned()),
    }
}

fn function_making(function: &CreateFunctionStmt) -> Making {
    let language = options(&function.options)
        .find(|option| option.defname == "language")
        .and_then(text)
        .unwrap_or_else(|| "sql".to_owned());
    if LANGUAGES.contains(&language.as_str()) {
        return Making::Privileged;
    }
    Making::Never(format!("a function in language {language} could reach files or the network"))
}

fn options(nodes: &[pg_query::protobuf::Node]) -> impl Iterator<Item = &DefElem> {
    nodes.iter().filter_map(|node| match &node.node {
        Some(NodeEnum::DefElem(option)) => Some(option.as_ref()),
        _ => None,
    })
}

fn text(option: &DefElem) -> Option<String> {
    match option.arg.as_ref()?.node.as_ref()? {
        NodeEnum::String(text) => Some(text.sval.clone()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::{Making, making};

    #[test]
    fn definitions_are_told_apart_by_who_makes_them() {
        let plain = [
            "CREATE TABLE public.t (a int)",
            "CREATE UNIQUE INDEX i ON public.t USING btree (a)",
            "CREATE MATERIALIZED VIEW public.m AS SELECT 1 WITH NO DATA",
            "ALTER TABLE public.t ADD CONSTRAINT k PRIMARY KEY (a)",
        ];
        for sql in plain {
            assert_eq!(making(sql), Making::Plain, "{sql}");
        }
        let function =
            "CREATE FUNCTION public.f() RETURNS int LANGUAGE sql LEAKPROOF AS 'SELECT 1'";
        assert_eq!(making(function), Making::Privileged);
        assert_eq!(making("ALTER TABLE public.t OWNER TO ann"), Making::Needless);
        assert_eq!(making("CREATE ROLE ann SUPERUSER"), Making::Role("ann".to_owned()));
        let extension =
            Making::Extension { name: "pg_trgm".to_owned(), schema: Some("public".to_owned()) };
        assert_eq!(making("CREATE EXTENSION pg_trgm WITH SCHEMA public"), extension);
    }

    #[test]
    fn what_could_reach_out_is_never_made() {
        let never = [
            "COPY public.t FROM PROGRAM 'true'",
            "CREATE FUNCTION f() RETURNS int LANGUAGE c AS '/tmp/x.so', 'f'",
            "CREATE FUNCTION f(text) RETURNS text LANGUAGE internal AS 'pg_read_file_all'",
            "CREATE FUNCTION f() RETURNS int LANGUAGE plpython3u AS 'pass'",
            "CREATE FOREIGN TABLE f (a int) SERVER s",
            "CREATE EVENT TRIGGER e ON ddl_command_start EXECUTE FUNCTION f()",
            "CREATE MATERIALIZED VIEW m AS SELECT pg_sleep(9)",
            "DO 'begin end'",
            "ALTER SYSTEM SET archive_command = 'true'",
            "CREATE TABLE t (a int); DROP TABLE t",
            "CREATE SCHEMA s CREATE TABLE t (a int)",
            "not sql",
        ];
        for sql in never {
            assert!(matches!(making(sql), Making::Never(_)), "{sql}: {:?}", making(sql));
        }
    }
}
