//! Plans of statements with bound values, from a throw-away read-only session.
//!
//! Statements are prepared in the extended protocol, so exactly one can run and no value is ever pasted into a
//! text; only texts that the syntax tree proves to be a single SELECT, INSERT, UPDATE or DELETE get here, and
//! ANALYZE is never asked for. Bound values give custom plans on every version.
//!
//! EXPLAIN of a write needs the privilege to write. Where the role lacks it, the SELECT that looks for the same
//! rows is planned in its place, without parallel workers, as a write is.

mod settings;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Instant;

use planparse::{Operator, OperatorKind, Plan};
use rules::bindings::ParameterType;
use rules::statement::{is_single_plannable, stand_ins};

use crate::conninfo::ConnInfo;
use crate::foreign_code::{Guard, PlanningRole, planning_role};
use crate::postgres::{Limits, Meter, PgError, Prepared, Purpose, RawJson, Row, Session, Type};
use crate::sampler::SampleError;

/// SQLSTATE `indeterminate_datatype`: the server could not tell a parameter's type.
const INDETERMINATE: &str = "42P18";

/// What statements are prepared as for their generic plan.
const GENERIC: &str = "pgwright_generic";

/// SQLSTATE `insufficient_privilege`.
const DENIED: &str = "42501";

/// SQLSTATE `query_canceled`: planning took longer than it may.
const CANCELED: &str = "57014";

/// SQLSTATE `admin_shutdown`: somebody ended the session, which can be a function that planning ran.
const ENDED: &str = "57P01";

/// Where a new session comes from when a statement ended the one before.
#[derive(Debug)]
struct Home {
    info: ConnInfo,
    meter: Arc<Meter>,
    limits: Limits,
    /// Whether the server is one of ours, where whatever ended a session was the statement.
    ours: bool,
    /// Statements that are not tried again, with the reason.
    deadly: BTreeMap<usize, String>,
}

/// Plans statements on one session.
#[derive(Debug)]
pub struct Explainer {
    session: Session,
    prepared: BTreeMap<usize, Prepared>,
    types: BTreeMap<u32, ParameterType>,
    /// The names of types, as a statement can write them.
    type_names: BTreeMap<u32, String>,
    /// The SELECTs that stand in for statements.
    stood_in: BTreeMap<usize, String>,
    /// Without values for its parameters it is the generic plan. Values with which the server looks nothing up, or that it refuses.
    valueless: BTreeSet<(usize, Vec<Option<String>>)>,
    /// What the open transaction plans under.
    entered: Option<Under>,
    home: Option<Home>,
    /// Settings of the role that sampled, where this session's role has others.
    common: BTreeMap<String, String>,
    /// What this role must not plan.
    guard: Option<Guard>,
    /// Statements that the guard refused.
    withheld: BTreeSet<usize>,
}

/// What a transaction plans under.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Under {
    search_path: Vec<String>,
    settings: BTreeMap<String, String>,
    /// Without parallel workers.
    serial: bool,
    /// Without looking at values.
    generic: bool,
}

/// What a statement is to be planned under.
#[derive(Clone, Copy, Debug)]
pub struct Text<'a> {
    /// Position in the workload; the key of the prepared statement.
    pub id: usize,
    /// What the report calls it.
    pub label: &'a str,
    /// The repaired text.
    pub text: &'a str,
    /// The schemas in which its names resolve.
    pub search_path: &'a [String],
    /// Planner settings that hold for it and not for the session, by name. Those that a server does not know, as
    /// one of another version, are passed over.
    pub settings: &'a BTreeMap<String, String>,
}

impl Explainer {
    /// Takes over a session made for explaining.
    pub fn new(session: Session) -> Self {
        Self {
            session,
            prepared: BTreeMap::new(),
            types: BTreeMap::new(),
            type_names: BTreeMap::new(),
            stood_in: BTreeMap::new(),
            valueless: BTreeSet::new(),
            entered: None,
            home: None,
            common: BTreeMap::new(),
            guard: None,
            withheld: BTreeSet::new(),
        }
    }

    /// Opens a session of its own, and another whenever a statement ends it: that statement is refused and not tried
    /// again. For servers of ours, where functions of the schema run that nobody vouches for.
    pub async fn reviving(
        info: ConnInfo,
        meter: &Arc<Meter>,
        limits: Limits,
    ) -> Result<Self, PgError> {
        Self::open(info, meter, limits, true).await
    }

    async fn open(
        info: ConnInfo,
        meter: &Arc<Meter>,
        limits: Limits,
        ours: bool,
    ) -> Result<Self, PgError> {
        let session = Session::connect_with(&info, Purpose::Explain, meter, &limits).await?;
        let meter = Arc::clone(meter);
        let home = Home { info, meter, limits, ours, deadly: BTreeMap::new() };
        Ok(Self { home: Some(home), ..Self::new(session) })
    }

    /// Opens a session with a server of others', and says who plans on it. Where that role may do too much,
    /// statements that could reach code of users are refused. A statement that ends the session, or does not stop
    /// at its time limit, is not tried again; the others go on in a new session.
    pub(crate) async fn on_server(
        info: &ConnInfo,
        meter: &Arc<Meter>,
    ) -> Result<Result<(Self, PlanningRole), SampleError>, PgError> {
        let limits = Limits::of(Purpose::Explain);
        let mut explainer = Self::open(info.clone(), meter, limits, false).await?;
        // Reading the catalog may take longer than planning.
        explainer.session.set_statement_timeout(Limits::of(Purpose::Sample).statement).await?;
        let role = match planning_role(&explainer.session).await {
            Ok(role) => role,
            Err(error) => return Ok(Err(error)),
        };
        match Guard::of(&explainer.session, &role).await {
            Ok(guard) => explainer.guard = guard,
            Err(error) => return Ok(Err(error)),
        }
        explainer.session.set_statement_timeout(limits.statement).await?;
        Ok(Ok((explainer, role)))
    }

    /// How many statements were refused because they could reach code of users.
    pub(crate) fn withheld(&self) -> usize {
        self.withheld.len()
    }

    /// After a lost session: a new one where there can be one, and why the statement is refused from now on.
    async fn revive(&mut self, text: Text<'_>, lost: PgError) -> Result<String, PgError> {
        let Some(home) = &mut self.home else { return Err(lost) };
        if !home.ours && !matches!(lost.sqlstate(), Some(CANCELED | ENDED)) {
            return Err(lost);
        }
        let opened = Session::connect_with(&home.info, Purpose::Explain, &home.meter, &home.limits);
        self.session = opened.await?;
        self.prepared.clear();
        self.stood_in.clear();
        self.entered = None;
        let reason = format!("planning it ended the session: {lost}").replace('\n', " ");
        tracing::debug!(statement = text.label, "planning it ended the session");
        home.deadly.insert(text.id, reason.clone());
        Ok(reason)
    }

    /// Why a statement is not tried again, if it is not.
    fn deadly(&self, id: usize) -> Option<String> {
        self.home.as_ref().and_then(|home| home.deadly.get(&id)).cloned()
    }

    /// The session, for what-if questions on the same backend.
    pub fn session(&self) -> &Session {
        &self.session
    }

    /// Prepares a statement and tells the types of its parameters; the reason as a sentence when the server
    /// refuses it, an error when the connection is lost.
    pub async fn prepare(
        &mut self,
        text: Text<'_>,
    ) -> Result<Result<Vec<ParameterType>, String>, PgError> {
        if let Some(reason) = self.deadly(text.id) {
            return Ok(Err(reason));
        }
        match self.prepare_once(text).await {
            Err(error) if error.is_lost() => Ok(Err(self.revive(text, error).await?)),
            outcome => outcome,
        }
    }

    async fn prepare_once(
        &mut self,
        text: Text<'_>,
    ) -> Result<Result<Vec<ParameterType>, String>, PgError> {
        let since = Instant::now();
        if let Err(reason) = is_single_plannable(text.text) {
            return Ok(Err(reason.to_string()));
        }
        if let Some(reason) = self.guard.as_ref().and_then(|guard| guard.refuses(text.text)) {
            self.withheld.insert(text.id);
            return Ok(Err(reason));
        }
        let prepared = match self.parse(text, text.text).await? {
            Ok(prepared) => prepared,
            Err(error) => return Ok(Err(refused(text, &error))),
        };
        let oids: Vec<u32> = prepared.param_types().iter().map(Type::oid).collect();
        self.prepared.insert(text.id, prepared);
        self.learn_types(&oids).await?;
        let (parameters, ms) = (oids.len(), millis(since));
        tracing::debug!(statement = text.label, parameters, ms, "prepared");
        Ok(Ok(oids.iter().map(|oid| self.types[oid].clone()).collect()))
    }

    /// Whether a SELECT stands in for the statement, because the role may not write.
    pub fn is_stood_in(&self, id: usize) -> bool {
        self.stood_in.contains_key(&id)
    }

    /// Has the server parse EXPLAIN of a text; its refusal, or an error when the connection is lost.
    async fn parse(
        &mut self,
        text: Text<'_>,
        sql: &str,
    ) -> Result<Result<Prepared, PgError>, PgError> {
        let explain = format!("EXPLAIN (FORMAT JSON) {sql}");
        let mut types: Vec<Type> = Vec::new();
        loop {
            self.enter(text, false).await?;
            let error = match self.session.prepare(&explain, &types).await {
                Ok(prepared) => return Ok(Ok(prepared)),
                Err(error) if error.is_lost() => return Err(error),
                Err(error) => error,
            };
            self.leave().await?;
            // A parameter that nothing gives a type to takes any text as well as another.
            let Some(position) = undetermined(&error)
                .filter(|&p| types.get(p - 1).is_none_or(|t| *t == Type::UNKNOWN))
            else {
                return Ok(Err(error));
            };
            types.resize(types.len().max(position), Type::UNKNOWN);
            types[position - 1] = Type::TEXT;
        }
    }

    /// Puts the SELECT that looks for the same rows in the place of a write; false where that cannot be.
    async fn replace(&mut self, text: Text<'_>, parameters: usize) -> Result<bool, PgError> {
        if self.is_stood_in(text.id) {
            return Ok(false);
        }
        for select in stand_ins(text.text) {
            let Ok(prepared) = self.parse(text, &select).await? else { continue };
            if prepared.param_types().len() != parameters {
                continue;
            }
            self.prepared.insert(text.id, prepared);
            self.stood_in.insert(text.id, select);
            tracing::debug!(statement = text.label, "a SELECT of the same rows stands in");
            return Ok(true);
        }
        Ok(false)
    }

    /// The plan of a prepared statement with these values; the reason as a sentence when the server refuses it, an
    /// error when the connection is lost.
    ///
    /// Values with which the server looks nothing up (`false` for all it knows) or that it does not take tell
    /// nothing of the statement: the plan is then the one that it makes without looking at values.
    pub async fn plan(
        &mut self,
        text: Text<'_>,
        values: &[Option<String>],
    ) -> Result<Result<Plan, String>, PgError> {
        if let Some(reason) = self.deadly(text.id) {
            return Ok(Err(reason));
        }
        match self.plan_once(text, values).await {
            Err(error) if error.is_lost() => Ok(Err(self.revive(text, error).await?)),
            outcome => outcome,
        }
    }

    async fn plan_once(
        &mut self,
        text: Text<'_>,
        values: &[Option<String>],
    ) -> Result<Result<Plan, String>, PgError> {
        let key = (text.id, values.to_vec());
        let wanted = self.prepared.get(&text.id).map_or(0, |of| of.param_types().len());
        if values.is_empty() && wanted > 0 || self.valueless.contains(&key) {
            return self.generic_once(text).await;
        }
        let refusal = match self.custom(text, values).await? {
            Ok(plan) if values.is_empty() || !looks_nothing_up(&plan) => return Ok(Ok(plan)),
            Ok(plan) => Ok(plan),
            Err(error) if wrong_value(&error) => Err(error),
            Err(error) => return Ok(Err(refused(text, &error))),
        };
        let generic = self.generic_once(text).await?;
        tracing::debug!(statement = text.label, "planned without looking at values");
        Ok(match (refusal, generic) {
            (Ok(folded), Ok(generic)) if looks_nothing_up(&generic) => Ok(folded),
            (_, Ok(generic)) => {
                self.valueless.insert(key);
                Ok(generic)
            }
            (Ok(folded), Err(_)) => Ok(folded),
            (Err(error), Err(_)) => Err(refused(text, &error)),
        })
    }

    /// The plan with these values, or the server's refusal.
    async fn custom(
        &mut self,
        text: Text<'_>,
        values: &[Option<String>],
    ) -> Result<Result<Plan, PgError>, PgError> {
        let since = Instant::now();
        if self.home.is_some()
            && !self.prepared.contains_key(&text.id)
            && let Err(reason) = self.prepare_once(text).await?
        {
            return Ok(Err(PgError::other(&reason)));
        }
        let rows = loop {
            self.enter(text, false).await?;
            let Some(prepared) = self.prepared.get(&text.id) else {
                return Ok(Err(PgError::other("it was not prepared")));
            };
            let error = match self.session.query_text(prepared, values).await {
                Ok(rows) => break rows,
                Err(error) if error.is_lost() => return Err(error),
                Err(error) => error,
            };
            self.leave().await?;
            self.note_canceled(text, &error);
            let denied = error.sqlstate() == Some(DENIED);
            if !denied || !self.replace(text, values.len()).await? {
                return Ok(Err(error));
            }
        };
        Ok(read(text, &rows, since))
    }

    /// The plan that the server makes of a prepared statement without looking at values, as it does from the sixth
    /// execution on where that seems to cost no more (`choose_custom_plan` of plancache.c).
    pub async fn plan_generic(&mut self, text: Text<'_>) -> Result<Result<Plan, String>, PgError> {
        if let Some(reason) = self.deadly(text.id) {
            return Ok(Err(reason));
        }
        match self.generic_once(text).await {
            Err(error) if error.is_lost() => Ok(Err(self.revive(text, error).await?)),
            outcome => outcome,
        }
    }

    async fn generic_once(&mut self, text: Text<'_>) -> Result<Result<Plan, String>, PgError> {
        let since = Instant::now();
        if self.home.is_some()
            && !self.prepared.contains_key(&text.id)
            && let Err(reason) = self.prepare_once(text).await?
        {
            return Ok(Err(reason));
        }
        let Some(prepared) = self.prepared.get(&text.id) else {
            return Ok(Err("it was not prepared".to_owned()));
        };
        let oids: Vec<u32> = prepared.param_types().iter().map(Type::oid).collect();
        let types: Vec<&str> = oids
            .iter()
            .map(|oid| self.type_names.get(oid).map_or("unknown", String::as_str))
            .collect();
        let types =
            if types.is_empty() { String::new() } else { format!("({})", types.join(", ")) };
        let sql = self.stood_in.get(&text.id).map_or(text.text, String::as_str);
        let prepare = format!("PREPARE {GENERIC}{types} AS {sql}");
        let nulls = vec!["NULL"; oids.len()].join(", ");
        let nulls = if nulls.is_empty() { nulls } else { format!("({nulls})") };
        let explain = format!("EXPLAIN (FORMAT JSON) EXECUTE {GENERIC}{nulls}");
        self.enter(text, true).await?;
        let answer = match self.session.execute(&prepare, &[]).await {
            Ok(_) => {
                let rows = self.session.query(&explain, &[]).await;
                if rows.is_err() {
                    self.leave().await?;
                }
                // It outlives the transaction, and would outlive indexes that do not exist.
                self.session.execute(&format!("DEALLOCATE {GENERIC}"), &[]).await?;
                rows
            }
            Err(error) => {
                self.leave().await?;
                Err(error)
            }
        };
        match answer {
            Ok(rows) => Ok(read(text, &rows, since).map_err(|error| refused(text, &error))),
            Err(error) if error.is_lost() => Err(error),
            Err(error) => {
                self.note_canceled(text, &error);
                Ok(Err(refused(text, &error)))
            }
        }
    }

    /// Of servers of ours, where it could go on for ever: what took too long once is not tried again.
    fn note_canceled(&mut self, text: Text<'_>, error: &PgError) {
        if let (Some(CANCELED), Some(home)) = (error.sqlstate(), &mut self.home) {
            home.deadly.insert(text.id, refused(text, error));
        }
    }

    /// Opens the read-only transaction in which planning happens, under the statement's search path and settings.
    async fn enter(&mut self, text: Text<'_>, generic: bool) -> Result<(), PgError> {
        let search_path = text.search_path.to_vec();
        let mut settings = self.common.clone();
        settings.extend(text.settings.clone());
        let under = Under { search_path, settings, serial: self.is_stood_in(text.id), generic };
        if self.entered.as_ref() == Some(&under) {
            return Ok(());
        }
        self.leave().await?;
        let mut path: Vec<String> =
            under.search_path.iter().map(|schema| rules::quote::ident(schema)).collect();
        path.push("pg_temp".to_owned());
        let mode = if generic { "force_generic_plan" } else { "force_custom_plan" };
        let mut begin = format!(
            "BEGIN READ ONLY{}; SET LOCAL search_path = {}; SET LOCAL plan_cache_mode = {mode}",
            settings::set_known(&under.settings),
            path.join(", ")
        );
        if under.serial {
            begin.push_str("; SET LOCAL max_parallel_workers_per_gather = 0");
        }
        self.entered = Some(under);
        self.session.batch(&begin).await?;
        Ok(())
    }

    /// Rolls the planning transaction back; whatever planning did is undone.
    pub async fn leave(&mut self) -> Result<(), PgError> {
        if self.entered.take().is_some() {
            self.session.batch("ROLLBACK").await?;
        }
        Ok(())
    }

    async fn learn_types(&mut self, oids: &[u32]) -> Result<(), PgError> {
        let unknown: Vec<u32> =
            oids.iter().copied().filter(|oid| !self.types.contains_key(oid)).collect();
        if unknown.is_empty() {
            return Ok(());
        }
        // Outside of the statement's search path, where somebody's operators could stand in for PostgreSQL's own.
        self.leave().await?;
        // A domain is read as the type below it.
        let sql = "SELECT t.oid, b.typname::text, b.typtype::text, b.typcategory::text, \
                   (SELECT e.typname::text FROM pg_catalog.pg_type e WHERE e.oid = b.typelem AND b.typcategory = 'A'), \
                   ARRAY(SELECT l.enumlabel::text FROM pg_catalog.pg_enum l WHERE l.enumtypid = b.oid ORDER BY l.enumsortorder), \
                   n.nspname::text, t.typname::text \
                   FROM pg_catalog.pg_type t \
                   JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace \
                   JOIN pg_catalog.pg_type b ON b.oid = CASE WHEN t.typtype = 'd' THEN t.typbasetype ELSE t.oid END \
                   WHERE t.oid = ANY($1)";
        for row in self.session.query(sql, &[&unknown]).await? {
            let letter = |text: String| text.chars().next().unwrap_or('b');
            let learned = ParameterType {
                name: row.try_get(1).unwrap_or_default(),
                kind: letter(row.try_get(2).unwrap_or_default()),
                category: letter(row.try_get(3).unwrap_or_default()),
                element: row.try_get(4).unwrap_or_default(),
                labels: row.try_get(5).unwrap_or_default(),
            };
            let oid = row.try_get::<_, u32>(0).unwrap_or_default();
            self.types.insert(oid, learned);
            let name: (String, String) =
                (row.try_get(6).unwrap_or_default(), row.try_get(7).unwrap_or_default());
            self.type_names.insert(oid, rules::quote::qualified(&name.0, &name.1));
        }
        for oid in unknown {
            self.types.entry(oid).or_insert_with(|| ParameterType {
                name: "text".to_owned(),
                kind: 'b',
                category: 'S',
                element: None,
                labels: Vec::new(),
            });
        }
        Ok(())
    }

    /// Ends the session.
    pub async fn close(self) {
        self.session.close().await;
    }
}

/// The plan in an answer to EXPLAIN.
fn read(text: Text<'_>, rows: &[Row], since: Instant) -> Result<Plan, PgError> {
    let nothing = || PgError::other("the server returned no plan");
    let json =
        rows.first().and_then(|row| row.try_get::<_, RawJson>(0).ok()).ok_or_else(nothing)?;
    let parsed = planparse::parse(&json.0).map_err(|error| PgError::other(&error.to_string()))?;
    let plan = parsed.into_iter().next().ok_or_else(nothing)?.plan;
    let (cost, rows) = (plan.total_cost(), plan.rows());
    tracing::trace!(statement = text.label, cost, rows, ms = millis(since), "planned");
    Ok(plan)
}

/// Whether a plan reads nothing, since its condition is known to hold for no row.
fn looks_nothing_up(plan: &Plan) -> bool {
    let reads = |operator: &Operator| {
        operator.relation.is_some() && operator.kind != OperatorKind::ModifyTable
    };
    let never = |operator: &Operator| operator.one_time_filter.as_deref() == Some("false");
    plan.operators().any(|(_, operator)| never(operator))
        && !plan.operators().any(|(_, operator)| reads(operator))
}

/// Whether the server does not take a value: class 22, `data exception`.
fn wrong_value(error: &PgError) -> bool {
    error.sqlstate().is_some_and(|state| state.starts_with("22"))
}

/// The number in `could not determine data type of parameter $1`.
fn undetermined(error: &PgError) -> Option<usize> {
    if error.sqlstate() != Some(INDETERMINATE) {
        return None;
    }
    let text = error.to_string();
    let digits: String = text.split('$').nth(1)?.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().ok().filter(|&position| (1..=1000).contains(&position))
}

/// Why the server refused, on one line, with what to do where that is known. The trace gets its code only, for its
/// words may hold values.
fn refused(text: Text<'_>, error: &PgError) -> String {
    tracing::debug!(statement = text.label, sqlstate = error.sqlstate(), "refused");
    let hint = error.hint().filter(|_| error.sqlstate() == Some(DENIED));
    let reason = hint.map_or(error.to_string(), |hint| format!("{error}; {hint}"));
    reason.replace('\n', " ")
}

/// Milliseconds that have passed, to the microsecond.
pub(crate) fn millis(since: Instant) -> f64 {
    (since.elapsed().as_secs_f64() * 1e6).round() / 1e3
}
