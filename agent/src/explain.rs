//! Plans of statements with bound values, from a throw-away read-only session.
//!
//! Statements are prepared in the extended protocol, so exactly one can run and no value is ever pasted into a
//! text; only texts that the syntax tree proves to be a single SELECT, INSERT, UPDATE or DELETE get here, and
//! ANALYZE is never asked for. Bound values give custom plans on every version.
//!
//! EXPLAIN of a write needs the privilege to write. Where the role lacks it, the SELECT that looks for the same
//! rows is planned in its place, without parallel workers, as a write is.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Instant;

use planparse::Plan;
use rules::bindings::ParameterType;
use rules::statement::{is_single_plannable, stand_in};

use crate::conninfo::ConnInfo;
use crate::postgres::{Limits, Meter, PgError, Prepared, Purpose, RawJson, Session, Type};

/// SQLSTATE `indeterminate_datatype`: the server could not tell a parameter's type.
const INDETERMINATE: &str = "42P18";

/// SQLSTATE `insufficient_privilege`.
const DENIED: &str = "42501";

/// SQLSTATE `query_canceled`: planning took longer than it may.
const CANCELED: &str = "57014";

/// Where a new session comes from when a statement ended the one before.
#[derive(Debug)]
struct Home {
    info: ConnInfo,
    meter: Arc<Meter>,
    limits: Limits,
    /// Statements that are not tried again, with the reason.
    deadly: BTreeMap<usize, String>,
}

/// Plans statements on one session.
#[derive(Debug)]
pub struct Explainer {
    session: Session,
    prepared: BTreeMap<usize, Prepared>,
    types: BTreeMap<u32, ParameterType>,
    /// Statements that a SELECT stands in for.
    stood_in: BTreeSet<usize>,
    /// What the open transaction plans under.
    entered: Option<Under>,
    home: Option<Home>,
}

/// What a transaction plans under.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Under {
    search_path: Vec<String>,
    /// Without parallel workers.
    serial: bool,
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
}

impl Explainer {
    /// Takes over a session made for explaining.
    pub fn new(session: Session) -> Self {
        Self {
            session,
            prepared: BTreeMap::new(),
            types: BTreeMap::new(),
            stood_in: BTreeSet::new(),
            entered: None,
            home: None,
        }
    }

    /// Opens a session of its own, and another whenever a statement ends it: that statement is refused and not tried
    /// again. For servers of ours, where functions of the schema run that nobody vouches for.
    pub async fn reviving(
        info: ConnInfo,
        meter: &Arc<Meter>,
        limits: Limits,
    ) -> Result<Self, PgError> {
        let session = Session::connect_with(&info, Purpose::Explain, meter, &limits).await?;
        let meter = Arc::clone(meter);
        let home = Home { info, meter, limits, deadly: BTreeMap::new() };
        Ok(Self { home: Some(home), ..Self::new(session) })
    }

    /// After a lost session: a new one where there can be one, and why the statement is refused from now on.
    async fn revive(&mut self, text: Text<'_>, lost: PgError) -> Result<String, PgError> {
        let Some(home) = &mut self.home else { return Err(lost) };
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
        self.stood_in.contains(&id)
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
            self.enter(text).await?;
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
        let Some(select) = stand_in(text.text).filter(|_| !self.is_stood_in(text.id)) else {
            return Ok(false);
        };
        let Ok(prepared) = self.parse(text, &select).await? else { return Ok(false) };
        if prepared.param_types().len() != parameters {
            return Ok(false);
        }
        self.prepared.insert(text.id, prepared);
        self.stood_in.insert(text.id);
        tracing::debug!(statement = text.label, "a SELECT of the same rows stands in");
        Ok(true)
    }

    /// The plan of a prepared statement with these values; the reason as a sentence when the server refuses it, an
    /// error when the connection is lost.
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
        let since = Instant::now();
        if self.home.is_some()
            && !self.prepared.contains_key(&text.id)
            && let Err(reason) = self.prepare_once(text).await?
        {
            return Ok(Err(reason));
        }
        let rows = loop {
            self.enter(text).await?;
            let Some(prepared) = self.prepared.get(&text.id) else {
                return Ok(Err("it was not prepared".to_owned()));
            };
            let error = match self.session.query_text(prepared, values).await {
                Ok(rows) => break rows,
                Err(error) if error.is_lost() => return Err(error),
                Err(error) => error,
            };
            self.leave().await?;
            if let (Some(CANCELED), Some(home)) = (error.sqlstate(), &mut self.home) {
                home.deadly.insert(text.id, refused(text, &error));
            }
            let denied = error.sqlstate() == Some(DENIED);
            if !denied || !self.replace(text, values.len()).await? {
                return Ok(Err(refused(text, &error)));
            }
        };
        let Some(json) = rows.first().and_then(|row| row.try_get::<_, RawJson>(0).ok()) else {
            return Ok(Err("the server returned no plan".to_owned()));
        };
        let parsed = planparse::parse(&json.0).map(|plans| plans.into_iter().next());
        Ok(match parsed {
            Ok(Some(parsed)) => {
                let (cost, rows) = (parsed.plan.total_cost(), parsed.plan.rows());
                tracing::trace!(statement = text.label, cost, rows, ms = millis(since), "planned");
                Ok(parsed.plan)
            }
            Ok(None) => Err("the server returned no plan".to_owned()),
            Err(error) => Err(error.to_string()),
        })
    }

    /// Opens the read-only transaction in which planning happens, under the statement's search path.
    async fn enter(&mut self, text: Text<'_>) -> Result<(), PgError> {
        let under =
            Under { search_path: text.search_path.to_vec(), serial: self.is_stood_in(text.id) };
        if self.entered.as_ref() == Some(&under) {
            return Ok(());
        }
        self.leave().await?;
        let mut path: Vec<String> =
            under.search_path.iter().map(|schema| rules::quote::ident(schema)).collect();
        path.push("pg_temp".to_owned());
        let mut begin = format!(
            "BEGIN READ ONLY; SET LOCAL search_path = {}; SET LOCAL plan_cache_mode = force_custom_plan",
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
                   ARRAY(SELECT l.enumlabel::text FROM pg_catalog.pg_enum l WHERE l.enumtypid = b.oid ORDER BY l.enumsortorder) \
                   FROM pg_catalog.pg_type t \
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
            self.types.insert(row.try_get::<_, u32>(0).unwrap_or_default(), learned);
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
