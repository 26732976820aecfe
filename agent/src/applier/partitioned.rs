//! An index on a partitioned table, and its undo: built concurrently on each leaf, then attached in one short
//! transaction. `rules::partitions` tells the next step from what the catalog shows; here it is done.

mod sight;

use std::time::{Duration, Instant};

use rules::change_plan::{Operation, TableRef};
use rules::guards::Work;
use rules::index::IndexDefinition;
use rules::partitions::{self, Branch, Next, Part, Sight};
use rules::protocol::{Chance, EndedBy, Failure, Found, Statement};
use rules::quote::qualified;
use rules::statement::guard::{Permitted, Purpose};
use rules::statement::index_shape::IndexShape;
use serde_json::json;

use super::ApplyError;
use super::catalog::{self, IndexState, Named};
use super::check::{self, Checked};
use super::columns::Columns;
use super::create_index::{elsewhere, removal, removed_before};
use super::runner::Runner;
use super::send::{Order, send};
use super::subject::{Outset, Ready, Seen, View};
use super::together::{self, together};
use crate::guards::Expected;
use crate::journal::{self, Entry, INDEX_PREFIX};

/// How often everything is attached anew where partitions keep coming meanwhile.
const ATTACHED_MAX: u32 = 5;

/// An index on a partitioned table that is to be made, or that we made.
#[derive(Clone, Debug)]
pub(super) struct PartitionedIndex {
    table: TableRef,
    name: String,
    definition: IndexDefinition,
    /// Of the action: the names of the parts follow from it.
    key: String,
    parts: Vec<Part>,
    /// As the server printed it, and its oid, once it was made.
    recorded: Option<String>,
    oid: Option<u32>,
    /// Those of the table: the partitions call theirs the same.
    columns: Columns,
    /// What the plan expects of it.
    expected: Expected,
}

impl PartitionedIndex {
    pub(super) fn new(
        table: TableRef,
        key: &str,
        name: &str,
        definition: &IndexDefinition,
        parts: &[Part],
    ) -> Self {
        Self {
            table,
            name: name.to_owned(),
            definition: definition.clone(),
            key: key.to_owned(),
            parts: parts.to_vec(),
            recorded: None,
            oid: None,
            columns: Columns::default(),
            expected: Expected::default(),
        }
    }

    /// With what the plan expects of it.
    pub(super) fn expecting(self, expected: Expected) -> Self {
        Self { expected, ..self }
    }

    /// Out of a row, if its columns tell the same of the index.
    pub(super) fn of_entry(
        entry: &Entry,
        name: &str,
        definition: &IndexDefinition,
        parts: &[Part],
    ) -> Checked<Self> {
        let named = |part: &Part| {
            let Part { table, above, partitioned, .. } = part.clone();
            let branch = Branch { table, above, partitioned };
            Part::of(&entry.action_key, definition, &branch) == *part
        };
        let agree = entry.index_name.as_deref() == Some(name)
            && name.starts_with(INDEX_PREFIX)
            && name.ends_with(entry.action_id())
            && definition.schema == entry.table.schema
            && definition.table == entry.table.name
            && parts.iter().all(named);
        if !agree {
            return Err("the row in the journal contradicts itself; somebody changed it".to_owned());
        }
        let new = Self::new(entry.table.clone(), &entry.action_key, name, definition, parts);
        let (recorded, oid) = (entry.definition.clone(), entry.index_oid);
        Ok(Self { recorded, oid, columns: Columns::of_entry(entry), ..new })
    }

    fn operation(&self) -> Operation {
        let (name, definition) = (self.name.clone(), self.definition.clone());
        Operation::CreateIndex { name, definition, parts: self.parts.clone() }
    }

    async fn sight(&self, runner: &Runner<'_>, back: bool) -> Result<(Sight, i64), ApplyError> {
        let doing = ApplyError::while_doing("look at the columns of the index");
        let mut columns = self.columns.clone();
        columns.follow(&runner.session, self.table.oid).await.map_err(doing)?;
        let wanted = sight::Wanted {
            table: &self.table,
            name: &self.name,
            definition: &self.definition,
            recorded: self.recorded.as_deref(),
            oid: self.oid,
            renamed: columns.renamed(),
            parts: &self.parts,
        };
        let doing = ApplyError::while_doing("look for the indexes on the partitions");
        sight::look(&runner.session, &wanted, back).await.map_err(doing)
    }

    pub(super) async fn premises(
        &mut self,
        runner: &Runner<'_>,
        key: &str,
    ) -> Result<Outset, ApplyError> {
        let refused = |reason: String| Ok(Outset::Refused(reason));
        if let Err(reason) = check::table(runner, &self.table, Work::AttachIndexes).await? {
            return refused(reason);
        }
        let look = ApplyError::while_doing("look for the partitions");
        let branches = sight::branches(&runner.session, self.table.oid).await.map_err(look)?;
        let part = |branch: &Branch| Part::of(&self.key, &self.definition, branch);
        self.parts = branches.iter().map(part).collect();
        if let Err(reason) = partitions::sound(&self.parts) {
            return refused(format!("{}: {reason}", self.table.qualified()));
        }
        if let Some(outset) = self.there_already(runner, key).await? {
            return Ok(outset);
        }
        if let Some(entry) = journal::remains(&runner.session, self.table.oid).await? {
            return refused(format!(
                "what action {} left on {} could not be removed yet, and another build could end as it did; \
                 `pgwright log {}` says why",
                entry.id,
                self.table.qualified(),
                entry.id
            ));
        }
        let asked =
            check::tree(runner, &self.table, &self.definition, &self.parts, &self.expected).await?;
        if let Err(reason) = asked {
            return refused(reason);
        }
        let way = check::way_is_free(runner, self.table.oid, Work::AttachIndexes).await?;
        if let Err(reason) = way {
            return refused(reason);
        }
        let shape = IndexShape::of(&self.definition.create(&self.name));
        let names = shape.map(|shape| shape.columns()).unwrap_or_default();
        let look = ApplyError::while_doing("look at the columns of the index");
        let read = Columns::read(&runner.session, self.table.oid, &names).await;
        self.columns = read.map_err(look)?;
        Ok(Outset::Ready(Box::new(Ready {
            index: (Some(self.name.clone()), None, None),
            before: json!({"columns": self.columns.to_json()}),
            operation: self.operation(),
            frees: None,
        })))
    }

    /// Looks whether the names are free and nothing in the tree does the same.
    async fn there_already(
        &self,
        runner: &Runner<'_>,
        key: &str,
    ) -> Result<Option<Outset>, ApplyError> {
        let full = qualified(&self.table.schema, &self.name);
        let look = || ApplyError::while_doing("look for equal indexes");
        let tables: Vec<&TableRef> =
            [&self.table].into_iter().chain(self.parts.iter().map(|part| &part.table)).collect();
        let oids: Vec<u32> = tables.iter().map(|table| table.oid).collect();
        let all = catalog::indexes_of_all(&runner.session, &oids).await.map_err(look())?;
        // Those that are attached to an equal one on the table itself are equal as well.
        let (own, others): (Vec<_>, Vec<_>) =
            all.into_iter().partition(|index| index.table == self.table.oid);
        for index in own.into_iter().chain(others) {
            let Some(table) = tables.iter().find(|table| table.oid == index.table) else {
                continue;
            };
            if !self.definition.is_printed_as(&index.definition) {
                continue;
            }
            let other = qualified(&index.schema, &index.name);
            return Ok(Some(if table.oid != self.table.oid {
                Outset::Refused(partitions::in_the_way(&other, &table.qualified()))
            } else if index.usable {
                Outset::AlreadyThere(other)
            } else {
                Outset::Refused(format!(
                    "{other} is there already, but not valid: not all partitions have theirs attached; drop it or \
                     attach them, then try again"
                ))
            }));
        }
        let named = catalog::named(&runner.session, &self.table.schema, &self.name);
        if !matches!(named.await.map_err(look())?, Named::Absent) {
            return Ok(Some(Outset::Refused(format!("the name {full} is taken"))));
        }
        let open = journal::open(&runner.session, key, self.table.oid).await?;
        Ok(open.map(|entry| Outset::Refused(removed_before(entry.id))))
    }

    pub(super) async fn way_back(
        &mut self,
        runner: &Runner<'_>,
    ) -> Result<Checked<()>, ApplyError> {
        let work = Work::DropPartitionedIndex;
        if let Err(reason) = check::table(runner, &self.table, work).await? {
            return Ok(Err(reason));
        }
        check::way_is_free(runner, self.table.oid, work).await
    }

    pub(super) async fn look(&self, runner: &Runner<'_>, view: View) -> Result<Seen, ApplyError> {
        let back = matches!(view, View::Back { .. });
        let (sight, bytes) = self.sight(runner, back).await?;
        let table = sight.table.as_ref().unwrap_or(&self.table);
        let look = ApplyError::while_doing("look for the index");
        let named = catalog::named(&runner.session, &table.schema, &self.name);
        let index = match named.await.map_err(look)? {
            Named::Index(index) if index.table == self.table.oid => {
                Some(Box::new(IndexState { bytes, ..*index }).into())
            }
            Named::Index(_) if sight.table.is_none() => {
                let full = qualified(&self.table.schema, &self.name);
                return Ok(Seen::nothing(Found::Other(elsewhere(&full))));
            }
            _ => None,
        };
        Ok(Seen { found: sight.found(back), index })
    }

    /// Makes it, or takes it away, step by step.
    pub(super) async fn work(
        &mut self,
        runner: &Runner<'_>,
        row: i64,
        statement: Statement,
    ) -> Result<Result<Duration, Failure>, ApplyError> {
        let since = Instant::now();
        let forward = statement == Statement::Do;
        let (mut last, mut attached) = (None, 0);
        loop {
            if let (true, Some(failure)) = (forward, may_not_go_on(runner).await?) {
                return Ok(Err(failure));
            }
            let (sight, _) = self.sight(runner, !forward).await?;
            let next = if forward { sight.forward() } else { sight.backward() };
            tracing::debug!(row, ?next, "next step of a partitioned index");
            attached += u32::from(matches!(next, Next::Attach(_)));
            if last.as_ref() == Some(&next) || attached > ATTACHED_MAX {
                return Ok(Err(never(
                    "the server reported success, and the catalog does not show it".to_owned(),
                )));
            }
            let done = match &next {
                Next::Done => return Ok(Ok(since.elapsed())),
                Next::Stuck(why) => Err(never(why.clone())),
                Next::Record(branches) => self.record(runner, row, branches).await?,
                Next::Build(part) => self.build(runner, part).await?,
                Next::Drop(part) => {
                    let order = removal(runner, &part.table.schema, &part.name);
                    send(runner, &order).await?.map(|_| ())
                }
                Next::Attach(parts) => Box::pin(self.attach(runner, &sight, parts)).await?,
                Next::DropWhole | Next::DropDetached(_) => {
                    Box::pin(self.drop(runner, &sight, &next)).await?
                }
            };
            if let Err(failure) = done {
                return Ok(Err(failure));
            }
            last = Some(next);
        }
    }

    /// Writes down what is to be made on partitions that came meanwhile, before it is made.
    async fn record(
        &mut self,
        runner: &Runner<'_>,
        row: i64,
        branches: &[Branch],
    ) -> Result<Result<(), Failure>, ApplyError> {
        let part = |branch: &Branch| Part::of(&self.key, &self.definition, branch);
        let more: Vec<Part> = branches.iter().map(part).collect();
        let all = [self.parts.as_slice(), &more].concat();
        if let Err(reason) = partitions::sound(&all) {
            return Ok(Err(never(reason)));
        }
        self.parts = all;
        journal::set_operation(&runner.session, row, &self.operation()).await?;
        Ok(Ok(()))
    }

    /// Builds the index of one leaf.
    async fn build(
        &self,
        runner: &Runner<'_>,
        part: &Part,
    ) -> Result<Result<(), Failure>, ApplyError> {
        let table = match check::table(runner, &part.table, Work::CreateIndex).await? {
            Ok(table) => table,
            Err(reason) => return Ok(Err(later(reason))),
        };
        let way = check::way_is_free(runner, part.table.oid, Work::CreateIndex).await?;
        if let Err(reason) = way {
            return Ok(Err(later(reason)));
        }
        let order = Order {
            sql: self.definition.on(&part.table).create(&part.name),
            meant: Permitted::CreateIndex {
                name: part.name.clone(),
                schema: part.table.schema.clone(),
                table: part.table.name.clone(),
                tablespace: None,
            },
            purpose: Purpose::Change,
            limit: runner.options.time_for(table.bytes),
            stoppable: true,
        };
        Ok(send(runner, &order).await?.map(|_| ()))
    }

    /// Makes the whole and attaches everything, unless a partition came or went meanwhile: the next look tells.
    async fn attach(
        &self,
        runner: &Runner<'_>,
        sight: &Sight,
        parts: &[Part],
    ) -> Result<Result<(), Failure>, ApplyError> {
        let table = sight.table.as_ref().unwrap_or(&self.table);
        let orders = partitions::attaching(table, &self.name, &self.definition, parts);
        let tree = &sight.branches;
        let mut changed = false;
        let work = async {
            // From the first of these statements on no partition can come or go.
            if let Err(failure) = together::send(runner, &orders).await? {
                return Ok(Err(failure));
            }
            let (now, _) = self.sight(runner, false).await?;
            if now.branches == *tree && now.forward() == Next::Done {
                return Ok(Ok(()));
            }
            changed = now.branches != *tree;
            Ok(Err(never("everything was attached, and the index is not valid".to_owned())))
        };
        Ok(match Box::pin(together(runner, work)).await? {
            Ok(_) => Ok(()),
            Err(_) if changed => Ok(()),
            Err(failure) => Err(failure),
        })
    }

    /// Drops the whole, or what of it is on a sub-partitioned table that was detached, with all that is attached.
    async fn drop(
        &self,
        runner: &Runner<'_>,
        sight: &Sight,
        next: &Next,
    ) -> Result<Result<(), Failure>, ApplyError> {
        let (table, name) = match next {
            Next::DropDetached(part) => (&part.table, &part.name),
            _ => (sight.table.as_ref().unwrap_or(&self.table), &self.name),
        };
        let (schema, name) = (table.schema.clone(), name.clone());
        let sql = format!("DROP INDEX {}", qualified(&schema, &name));
        let order = (sql, Permitted::DropPartitionedIndex { schema, name });
        // What is attached cannot change while the tables above it are locked, which the drop would do anyway.
        let mut locked = vec![format!("ONLY {}", table.qualified())];
        let between = sight.branches.iter().filter(|branch| branch.partitioned);
        locked.extend(between.map(|branch| format!("ONLY {}", branch.table.qualified())));
        let lock = format!("LOCK TABLE {} IN ACCESS EXCLUSIVE MODE", locked.join(", "));
        let work = async {
            let doing = ApplyError::while_doing("lock the partitioned table");
            runner.session.batch(&lock).await.map_err(doing)?;
            let (now, _) = self.sight(runner, true).await?;
            match now.backward() {
                now if now == *next => together::send(runner, &[order]).await,
                Next::Stuck(reason) => Ok(Err(later(reason))),
                _ => Ok(Err(later("its partitions have changed meanwhile".to_owned()))),
            }
        };
        Ok(Box::pin(together(runner, work)).await?.map(|_| ()))
    }

    pub(super) fn left(&self, why: Option<&str>) -> String {
        format!(
            "indexes on partitions of {}, made for {}, are left: {}",
            self.table.qualified(),
            self.name,
            why.unwrap_or("the run was ended")
        )
    }
}

/// It would fail again.
fn never(message: String) -> Failure {
    Failure { sqlstate: None, message, chance: Chance::Never, by: EndedBy::Itself }
}

/// The next run may have more luck.
fn later(message: String) -> Failure {
    Failure { sqlstate: None, message, chance: Chance::Later, by: EndedBy::Itself }
}

/// Why no further step is to be taken: the user wants to stop, the switch is set, the window has ended.
async fn may_not_go_on(runner: &Runner<'_>) -> Result<Option<Failure>, ApplyError> {
    if runner.heed_stop().is_err() {
        return Ok(Some(Failure { by: EndedBy::User, ..later("stopped by the user".to_owned()) }));
    }
    if !runner.heeds_switch {
        return Ok(None);
    }
    let held = |reason| Failure { by: EndedBy::Hold, ..later(reason) };
    Ok(check::run(runner).await?.err().map(held))
}
