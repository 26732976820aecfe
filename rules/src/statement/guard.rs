//! The last look at every statement that changes a database, on its syntax tree.
//!
//! The applier renders its statements from typed operations; this module parses the text again with the
//! server's own grammar and lets pass only what stands on a short list. Names come back as the grammar
//! read them, so that the caller can hold them against what was meant: `parse(render(x)) == x`.

use pg_query::NodeEnum;
use pg_query::protobuf::{
    AlterTableCmd, AlterTableStmt, AlterTableType, CommentStmt, CreateStatsStmt, DropBehavior,
    DropStmt, IndexStmt, Node, ObjectType, RangeVar, VacuumStmt,
};
use serde_json::Value;

use super::statistics_shape;
use crate::statistics::StatisticsDefinition;

/// Access methods of indexes that pgwright proposes by itself.
const METHODS: &[&str] = &["btree", "hash", "gin", "gist", "spgist", "brin"];

/// What the statement is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Carrying out an action of a change plan.
    Change,
    /// Making a dropped index again as it was: its tablespace, storage options and access method
    /// are not ours to judge, and its comment and statistics targets come back with it.
    Restore,
    /// Making an index of a partitioned table whole, or dropping it, in a short transaction: what only changes the
    /// catalog, and knows no CONCURRENTLY.
    Partitioned,
}

/// A statement that may be sent, with the names in it as the server will read them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Permitted {
    /// `CREATE INDEX CONCURRENTLY`.
    CreateIndex {
        /// Name of the new index.
        name: String,
        /// Schema of the table.
        schema: String,
        /// The table.
        table: String,
        /// Tablespace, if one is named.
        tablespace: Option<String>,
    },
    /// `CREATE INDEX … ON ONLY`: on a partitioned table, what those of its partitions are attached to.
    CreateIndexOnly {
        /// Name of the new index.
        name: String,
        /// Schema of the table.
        schema: String,
        /// The table.
        table: String,
    },
    /// `ALTER INDEX … ATTACH PARTITION`.
    AttachIndex {
        /// Schema of the index that is attached.
        schema: String,
        /// That index.
        name: String,
    },
    /// `DROP INDEX CONCURRENTLY`.
    DropIndex {
        /// Schema of the index.
        schema: String,
        /// The index.
        name: String,
    },
    /// `DROP INDEX`, with what is attached to it.
    DropPartitionedIndex {
        /// Schema of the index.
        schema: String,
        /// The index.
        name: String,
    },
    /// `ANALYZE`.
    Analyze {
        /// Schema of the table.
        schema: String,
        /// The table.
        table: String,
    },
    /// `VACUUM (ANALYZE, TRUNCATE off, PARALLEL 0)`, and with no other options.
    Vacuum {
        /// Schema of the table.
        schema: String,
        /// The table.
        table: String,
    },
    /// `CREATE STATISTICS`, of columns.
    CreateStatistics {
        /// Schema of the statistics.
        schema: String,
        /// Their name.
        name: String,
        /// What they are of.
        definition: StatisticsDefinition,
    },
    /// `DROP STATISTICS`.
    DropStatistics {
        /// Schema of the statistics.
        schema: String,
        /// Their name.
        name: String,
    },
    /// `COMMENT ON INDEX`.
    CommentOnIndex {
        /// Schema of the index.
        schema: String,
        /// The index.
        name: String,
    },
    /// `ALTER INDEX … ALTER COLUMN … SET STATISTICS`.
    SetStatistics {
        /// Schema of the index.
        schema: String,
        /// The index.
        name: String,
    },
}

/// A statement that must not be sent, and why.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the statement guard refuses it: {0}")]
pub struct Forbidden(pub String);

/// Tells what a statement does, if it stands on the list of what may be done at all.
pub fn permitted(sql: &str, purpose: Purpose) -> Result<Permitted, Forbidden> {
    let parsed = pg_query::parse(sql, 0)
        .map_err(|error| Forbidden(format!("it does not parse: {error}")))?;
    let [statement] = parsed.protobuf.stmts.as_slice() else {
        return forbid(format!("it holds {} statements, not one", parsed.protobuf.stmts.len()));
    };
    let node = statement.stmt.as_ref().and_then(|node| node.node.as_ref());
    match (node, purpose) {
        (Some(NodeEnum::IndexStmt(index)), Purpose::Partitioned) => create_only(index),
        (Some(NodeEnum::DropStmt(drop)), Purpose::Partitioned) => drop_partitioned(drop),
        (Some(NodeEnum::AlterTableStmt(alter)), Purpose::Partitioned) => attach_index(alter),
        (Some(NodeEnum::IndexStmt(index)), _) => create_index(index, purpose),
        (Some(NodeEnum::DropStmt(drop)), _) => drop_one(drop),
        (Some(NodeEnum::VacuumStmt(vacuum)), Purpose::Change) => refresh(vacuum),
        (Some(NodeEnum::CreateStatsStmt(create)), Purpose::Change) => create_statistics(create),
        (Some(NodeEnum::CommentStmt(comment)), Purpose::Restore) => comment_on_index(comment),
        (Some(NodeEnum::AlterTableStmt(alter)), Purpose::Restore) => set_statistics(alter),
        _ => forbid("it is no statement that pgwright ever sends for this purpose"),
    }
}

fn forbid<T>(why: impl Into<String>) -> Result<T, Forbidden> {
    Err(Forbidden(why.into()))
}

fn require(holds: bool, why: &str) -> Result<(), Forbidden> {
    if holds { Ok(()) } else { forbid(why) }
}

fn relation(range: Option<&RangeVar>) -> Result<(String, String), Forbidden> {
    require(range.is_none_or(|range| range.inh), "it is limited to ONLY one table")?;
    named(range)
}

fn named(range: Option<&RangeVar>) -> Result<(String, String), Forbidden> {
    let Some(range) = range else { return forbid("it names no table") };
    require(!range.schemaname.is_empty(), "the table is not qualified with its schema")?;
    require(range.catalogname.is_empty(), "the table is qualified with a database")?;
    Ok((range.schemaname.clone(), range.relname.clone()))
}

/// On a table that is not partitioned it would be an index build that keeps writers out, hence ONLY.
fn create_only(index: &IndexStmt) -> Result<Permitted, Forbidden> {
    let (schema, table) = named(index.relation.as_ref())?;
    let only = index.relation.as_ref().is_some_and(|range| !range.inh);
    require(only, "the index would be built on the partitions as well")?;
    require(!index.concurrent, "CONCURRENTLY does not work on a partitioned table")?;
    plain_index(index)?;
    Ok(Permitted::CreateIndexOnly { name: index.idxname.clone(), schema, table })
}

fn create_index(index: &IndexStmt, purpose: Purpose) -> Result<Permitted, Forbidden> {
    let (schema, table) = relation(index.relation.as_ref())?;
    require(index.concurrent, "the index would be built without CONCURRENTLY")?;
    if purpose == Purpose::Change {
        plain_index(index)?;
    } else {
        usual_index(index)?;
    }
    Ok(Permitted::CreateIndex {
        name: index.idxname.clone(),
        schema,
        table,
        tablespace: Some(index.table_space.clone()).filter(|space| !space.is_empty()),
    })
}

/// An index without anything that is more than an index.
fn usual_index(index: &IndexStmt) -> Result<(), Forbidden> {
    require(!index.unique && !index.primary && !index.isconstraint, "the index would be unique")?;
    require(!index.if_not_exists, "IF NOT EXISTS would take an invalid index for success")?;
    require(!index.idxname.is_empty(), "the index has no name")?;
    require(index.exclude_op_names.is_empty(), "the index would be an exclusion constraint")
}

/// One as we propose it ourselves.
fn plain_index(index: &IndexStmt) -> Result<(), Forbidden> {
    usual_index(index)?;
    require(METHODS.contains(&index.access_method.as_str()), "the access method is unknown")?;
    require(index.table_space.is_empty(), "it names a tablespace")?;
    require(index.options.is_empty(), "it sets storage options")?;
    built_in_only(&serde_json::to_value(index).unwrap_or_default())
}

/// Refuses functions and operators outside `pg_catalog`: an index runs them on every write, in the name
/// of the table's owner. Unqualified names are built in, for the applier's `search_path` holds nothing else.
fn built_in_only(tree: &Value) -> Result<(), Forbidden> {
    let children: Vec<&Value> = match tree {
        Value::Array(items) => items.iter().collect(),
        Value::Object(fields) => fields.values().collect(),
        _ => return Ok(()),
    };
    for (node, names) in [("FuncCall", "funcname"), ("AExpr", "name")] {
        let qualified = tree.get(node).and_then(|call| call.get(names)).and_then(Value::as_array);
        if let Some([schema, _, ..]) = qualified.map(Vec::as_slice)
            && schema.pointer("/node/String/sval") != Some(&Value::from("pg_catalog"))
        {
            return forbid("it calls a function or operator that is not built in");
        }
    }
    children.into_iter().try_for_each(built_in_only)
}

fn drop_one(drop: &DropStmt) -> Result<Permitted, Forbidden> {
    let (schema, name) = dropped(drop)?;
    if drop.remove_type == ObjectType::ObjectStatisticExt as i32 {
        return Ok(Permitted::DropStatistics { schema, name });
    }
    require(drop.concurrent, "the index would be dropped without CONCURRENTLY")?;
    Ok(Permitted::DropIndex { schema, name })
}

fn drop_partitioned(drop: &DropStmt) -> Result<Permitted, Forbidden> {
    let (schema, name) = dropped(drop)?;
    require(drop.remove_type == ObjectType::ObjectIndex as i32, "it drops something else")?;
    require(!drop.concurrent, "CONCURRENTLY does not work on a partitioned table")?;
    Ok(Permitted::DropPartitionedIndex { schema, name })
}

/// The one index, or the one statistics object, that is dropped.
fn dropped(drop: &DropStmt) -> Result<(String, String), Forbidden> {
    let statistics = drop.remove_type == ObjectType::ObjectStatisticExt as i32;
    let index = drop.remove_type == ObjectType::ObjectIndex as i32;
    require(index || statistics, "it drops something else")?;
    require(drop.behavior != DropBehavior::DropCascade as i32, "CASCADE drops what depends on it")?;
    require(!drop.missing_ok, "IF EXISTS would take a wrong name for success")?;
    let [object] = drop.objects.as_slice() else {
        return forbid("it drops more than one object");
    };
    pair(object.node.as_ref())
}

/// `schema.name` out of a list of two names.
fn pair(node: Option<&NodeEnum>) -> Result<(String, String), Forbidden> {
    let Some(NodeEnum::List(list)) = node else { return forbid("it names no object") };
    let names: Vec<&str> = list
        .items
        .iter()
        .filter_map(|item| match &item.node {
            Some(NodeEnum::String(name)) => Some(name.sval.as_str()),
            _ => None,
        })
        .collect();
    match names.as_slice() {
        [schema, name] if list.items.len() == 2 => Ok(((*schema).to_owned(), (*name).to_owned())),
        _ => forbid("the name is not qualified with its schema alone"),
    }
}

fn refresh(vacuum: &VacuumStmt) -> Result<Permitted, Forbidden> {
    if vacuum.is_vacuumcmd {
        require(is_polite(vacuum), "it is a VACUUM with other options than ours")?;
    } else {
        require(vacuum.options.is_empty(), "it has options")?;
    }
    let [table] = vacuum.rels.as_slice() else {
        return forbid("it does not name exactly one table");
    };
    let Some(NodeEnum::VacuumRelation(table)) = &table.node else {
        return forbid("it names no table");
    };
    require(table.va_cols.is_empty(), "it is limited to some columns")?;
    let (schema, table) = relation(table.relation.as_ref())?;
    Ok(if vacuum.is_vacuumcmd {
        Permitted::Vacuum { schema, table }
    } else {
        Permitted::Analyze { schema, table }
    })
}

/// Whether a VACUUM has exactly our options. Cutting off the table's end takes a lock that keeps everybody out,
/// also on standbys; parallel workers take what others need.
fn is_polite(vacuum: &VacuumStmt) -> bool {
    let option = |node: &pg_query::protobuf::Node| match &node.node {
        Some(NodeEnum::DefElem(option)) => {
            let value = option.arg.as_ref().and_then(|value| value.node.as_ref());
            match (option.defname.as_str(), value) {
                ("analyze", None) => Some(0),
                ("truncate", Some(NodeEnum::String(off))) if off.sval == "off" => Some(1),
                ("parallel", Some(NodeEnum::Integer(none))) if none.ival == 0 => Some(2),
                _ => None,
            }
        }
        _ => None,
    };
    let found: Vec<Option<u8>> = vacuum.options.iter().map(option).collect();
    found == [Some(0), Some(1), Some(2)]
}

fn create_statistics(create: &CreateStatsStmt) -> Result<Permitted, Forbidden> {
    require(!create.if_not_exists, "IF NOT EXISTS would take others for success")?;
    require(!create.stat_types.is_empty(), "it does not name the kinds of statistics")?;
    let (schema, name, definition) = statistics_shape::read(create).map_err(Forbidden)?;
    require(definition.columns.len() > 1, "it is of fewer than two columns")?;
    Ok(Permitted::CreateStatistics { schema, name, definition })
}

fn comment_on_index(comment: &CommentStmt) -> Result<Permitted, Forbidden> {
    require(comment.objtype == ObjectType::ObjectIndex as i32, "it comments something else")?;
    let (schema, name) = pair(comment.object.as_ref().and_then(|object| object.node.as_ref()))?;
    Ok(Permitted::CommentOnIndex { schema, name })
}

/// The one thing that is altered about an index.
fn altered(alter: &AlterTableStmt) -> Result<&AlterTableCmd, Forbidden> {
    require(alter.objtype == ObjectType::ObjectIndex as i32, "it alters something else")?;
    require(!alter.missing_ok, "IF EXISTS would take a wrong name for success")?;
    match alter.cmds.as_slice() {
        [Node { node: Some(NodeEnum::AlterTableCmd(command)) }] => Ok(command),
        _ => forbid("it alters more than one thing"),
    }
}

fn attach_index(alter: &AlterTableStmt) -> Result<Permitted, Forbidden> {
    let command = altered(alter)?;
    let attaches = command.subtype == AlterTableType::AtAttachPartition as i32;
    require(attaches, "it does something other than attaching a partition")?;
    relation(alter.relation.as_ref())?;
    let Some(NodeEnum::PartitionCmd(attached)) =
        command.def.as_ref().and_then(|def| def.node.as_ref())
    else {
        return forbid("it attaches nothing");
    };
    let (schema, name) = relation(attached.name.as_ref())?;
    Ok(Permitted::AttachIndex { schema, name })
}

fn set_statistics(alter: &AlterTableStmt) -> Result<Permitted, Forbidden> {
    let sets = altered(alter)?.subtype == AlterTableType::AtSetStatistics as i32;
    require(sets, "it alters something other than a statistics target")?;
    let (schema, name) = relation(alter.relation.as_ref())?;
    Ok(Permitted::SetStatistics { schema, name })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Permitted, Purpose, permitted};
    use crate::index::{IndexDefinition, Key};
    use crate::quote::{literal, qualified};
    use crate::statistics::{StatisticsDefinition, StatisticsKind};

    const RESTORED: &str = "CREATE INDEX CONCURRENTLY i ON s.t USING bloom (a) WITH (length='80') TABLESPACE x WHERE a > 1";

    #[test]
    fn what_we_send_passes() {
        let sent = [
            "CREATE INDEX CONCURRENTLY i ON s.t USING btree (a DESC, (lower(b))) INCLUDE (c) WHERE a > 1",
            "CREATE INDEX CONCURRENTLY i ON s.t USING gin (doc public.gin_trgm_ops)",
            "DROP INDEX CONCURRENTLY s.i",
            "ANALYZE s.t",
            "VACUUM (ANALYZE, TRUNCATE off, PARALLEL 0) s.t",
            "CREATE STATISTICS s.x (ndistinct, dependencies) ON a, \"B\" FROM s.t",
            "DROP STATISTICS s.x",
        ];
        for sql in sent {
            permitted(sql, Purpose::Change).unwrap();
        }
        for sql in [
            RESTORED,
            "COMMENT ON INDEX s.i IS 'it''s'",
            "ALTER INDEX s.i ALTER COLUMN 1 SET STATISTICS 5",
        ] {
            permitted(sql, Purpose::Restore).unwrap();
            permitted(sql, Purpose::Change).unwrap_err();
        }
    }

    #[test]
    fn what_makes_a_partitioned_index_whole_passes_for_that_alone() {
        for sql in [
            "CREATE INDEX i ON ONLY s.t USING btree (a DESC) INCLUDE (c) WHERE a > 1",
            "ALTER INDEX s.i ATTACH PARTITION s.j",
            "DROP INDEX s.i",
        ] {
            permitted(sql, Purpose::Partitioned).unwrap();
            permitted(sql, Purpose::Change).unwrap_err();
            permitted(sql, Purpose::Restore).unwrap_err();
        }
        for sql in [
            "CREATE INDEX i ON s.t USING btree (a)",
            "CREATE INDEX CONCURRENTLY i ON ONLY s.t USING btree (a)",
            "CREATE UNIQUE INDEX i ON ONLY s.t USING btree (a)",
            "CREATE INDEX i ON ONLY s.t USING btree (a) TABLESPACE x",
            "CREATE INDEX i ON ONLY s.t (evil.f(a))",
            "CREATE INDEX ON ONLY s.t (a)",
            "ALTER INDEX i ATTACH PARTITION s.j",
            "ALTER INDEX s.i ATTACH PARTITION j",
            "ALTER INDEX IF EXISTS s.i ATTACH PARTITION s.j",
            "ALTER INDEX s.i SET (fillfactor = 10)",
            "ALTER TABLE s.t ATTACH PARTITION s.u DEFAULT",
            "ALTER TABLE s.t DETACH PARTITION s.u",
            "DROP INDEX CONCURRENTLY s.i",
            "DROP INDEX s.i CASCADE",
            "DROP INDEX s.i, s.j",
            "DROP TABLE s.t",
            "ANALYZE s.t",
            "COMMENT ON INDEX s.i IS 'x'",
        ] {
            permitted(sql, Purpose::Partitioned).unwrap_err();
        }
        let attach = permitted("ALTER INDEX s.i ATTACH PARTITION \"S\".j", Purpose::Partitioned);
        assert_eq!(attach, Ok(Permitted::AttachIndex { schema: "S".into(), name: "j".into() }));
    }

    #[test]
    fn nothing_else_passes() {
        let refused = [
            "",
            "CREATE INDEX i ON s.t (a)",
            "CREATE INDEX CONCURRENTLY i ON t (a)",
            "CREATE INDEX CONCURRENTLY ON s.t (a)",
            "CREATE INDEX CONCURRENTLY i ON ONLY s.t (a)",
            "CREATE INDEX CONCURRENTLY i ON d.s.t (a)",
            "CREATE UNIQUE INDEX CONCURRENTLY i ON s.t (a)",
            "CREATE INDEX CONCURRENTLY IF NOT EXISTS i ON s.t (a)",
            "CREATE INDEX CONCURRENTLY i ON s.t (a) TABLESPACE x",
            "CREATE INDEX CONCURRENTLY i ON s.t (a) WITH (fillfactor = 10)",
            "CREATE INDEX CONCURRENTLY i ON s.t USING bloom (a)",
            "CREATE INDEX CONCURRENTLY i ON s.t (evil.f(a))",
            "CREATE INDEX CONCURRENTLY i ON s.t (a) WHERE a OPERATOR(evil.=) 1",
            "CREATE INDEX CONCURRENTLY i ON s.t (a); DROP TABLE s.t",
            "DROP INDEX s.i",
            "DROP INDEX CONCURRENTLY i",
            "DROP INDEX CONCURRENTLY s.i, s.j",
            "DROP INDEX CONCURRENTLY s.i CASCADE",
            "DROP INDEX CONCURRENTLY IF EXISTS s.i",
            "DROP TABLE s.t",
            "ANALYZE",
            "ANALYZE t",
            "ANALYZE s.t (a)",
            "ANALYZE VERBOSE s.t",
            "ANALYZE s.t, s.u",
            "VACUUM s.t",
            "VACUUM FULL s.t",
            "VACUUM (ANALYZE) s.t",
            "VACUUM (ANALYZE, TRUNCATE off, PARALLEL 0)",
            "VACUUM (ANALYZE, TRUNCATE on, PARALLEL 0) s.t",
            "VACUUM (ANALYZE, TRUNCATE off, PARALLEL 2) s.t",
            "VACUUM (ANALYZE off, TRUNCATE off, PARALLEL 0) s.t",
            "VACUUM (ANALYZE, TRUNCATE off, PARALLEL 0, FREEZE) s.t",
            "VACUUM (FULL, TRUNCATE off, PARALLEL 0) s.t",
            "VACUUM (ANALYZE, TRUNCATE off, PARALLEL 0) s.t, s.u",
            "VACUUM (ANALYZE, TRUNCATE off, PARALLEL 0) s.t (a)",
            "CREATE STATISTICS s.x ON a, b FROM s.t",
            "CREATE STATISTICS x (mcv) ON a, b FROM s.t",
            "CREATE STATISTICS s.x (mcv) ON a, b FROM t",
            "CREATE STATISTICS s.x (mcv) ON a FROM s.t",
            "CREATE STATISTICS s.x (mcv) ON a, (evil.f(b)) FROM s.t",
            "CREATE STATISTICS IF NOT EXISTS s.x (mcv) ON a, b FROM s.t",
            "CREATE STATISTICS s.x (mcv) ON a, b FROM s.t, s.u",
            "DROP STATISTICS x",
            "DROP STATISTICS s.x, s.y",
            "DROP STATISTICS s.x CASCADE",
            "DROP STATISTICS IF EXISTS s.x",
            "ALTER STATISTICS s.x SET STATISTICS 5",
            "COMMENT ON TABLE s.t IS 'x'",
            "ALTER INDEX s.i SET (fillfactor = 10)",
            "ALTER TABLE s.t ALTER COLUMN a SET STATISTICS 5",
            "ALTER SYSTEM SET work_mem = '1GB'",
            "SELECT 1",
            "no SQL",
        ];
        for sql in refused {
            assert!(permitted(sql, Purpose::Change).is_err(), "{sql}");
            if !(sql.contains("bloom")
                || sql.contains("evil")
                || sql.contains("WITH (")
                || sql.contains("TABLESPACE"))
                || sql.contains(';')
            {
                assert!(permitted(sql, Purpose::Restore).is_err(), "{sql}");
            }
        }
    }

    fn name() -> impl Strategy<Value = String> {
        prop_oneof![
            proptest::sample::select(vec![
                "user",
                "select",
                "a\"b",
                "x\"; drop table app.t; --",
                "line\nbreak",
                "größe",
                "Mixed Case",
                "'",
                "\\",
                "$1",
                "/*",
            ])
            .prop_map(str::to_owned),
            "[^\\x00]{1,15}",
        ]
    }

    proptest! {
        #[test]
        fn names_come_back_as_they_went_in(
            schema in name(), table in name(), index in name(), column in name(), included in name()
        ) {
            let definition = IndexDefinition {
                schema: schema.clone(),
                table: table.clone(),
                method: "btree".into(),
                keys: vec![Key::column(&column)],
                include: vec![included],
                predicate: None,
            };
            let create = permitted(&definition.create(&index), Purpose::Change).unwrap();
            let tablespace = None;
            prop_assert_eq!(
                create,
                Permitted::CreateIndex { name: index.clone(), schema: schema.clone(), table: table.clone(), tablespace }
            );
            let full = qualified(&schema, &index);
            let drop = permitted(&format!("DROP INDEX CONCURRENTLY {full}"), Purpose::Change).unwrap();
            prop_assert_eq!(drop, Permitted::DropIndex { schema: schema.clone(), name: index.clone() });
            let analyze = permitted(&format!("ANALYZE {}", qualified(&schema, &table)), Purpose::Change).unwrap();
            prop_assert_eq!(analyze, Permitted::Analyze { schema: schema.clone(), table: table.clone() });
            let vacuum = format!("VACUUM (ANALYZE, TRUNCATE off, PARALLEL 0) {}", qualified(&schema, &table));
            let vacuum = permitted(&vacuum, Purpose::Change).unwrap();
            prop_assert_eq!(vacuum, Permitted::Vacuum { schema: schema.clone(), table: table.clone() });
            let columns = [column.clone(), format!("{column}2")].into();
            let kinds = [StatisticsKind::Mcv].into();
            let definition = StatisticsDefinition { schema: schema.clone(), table, columns, kinds };
            let create = permitted(&definition.create(&index), Purpose::Change).unwrap();
            let made = Permitted::CreateStatistics { schema: schema.clone(), name: index.clone(), definition };
            prop_assert_eq!(create, made);
            let drop = permitted(&format!("DROP STATISTICS {full}"), Purpose::Change).unwrap();
            prop_assert_eq!(drop, Permitted::DropStatistics { schema: schema.clone(), name: index.clone() });
            let comment = format!("COMMENT ON INDEX {full} IS {}", literal(&column));
            let comment = permitted(&comment, Purpose::Restore).unwrap();
            prop_assert_eq!(comment, Permitted::CommentOnIndex { schema, name: index });
        }
    }
}
