//! Plans of statements with bound values, from a throw-away read-only session.
//!
//! Statements are prepared in the extended protocol, so exactly one can run and no value is ever pasted into a
//! text; only texts that the syntax tree proves to be a single SELECT, INSERT, UPDATE or DELETE get here, and
//! ANALYZE is never asked for. Bound values give custom plans on every version.

use std::collections::BTreeMap;

use planparse::Plan;
use rules::bindings::ParameterType;
use rules::statement::is_single_plannable;

use crate::postgres::{PgError, Prepared, RawJson, Session, Type};

/// SQLSTATE `indeterminate_datatype`: the server could not tell a parameter's type.
const INDETERMINATE: &str = "42P18";

/// Plans statements on one session.
#[derive(Debug)]
pub struct Explainer {
    session: Session,
    prepared: BTreeMap<usize, Prepared>,
    types: BTreeMap<u32, ParameterType>,
    search_path: Vec<String>,
    in_transaction: bool,
}

/// What a statement is to be planned under.
#[derive(Clone, Copy, Debug)]
pub struct Text<'a> {
    /// Position in the workload; the key of the prepared statement.
    pub id: usize,
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
            search_path: Vec::new(),
            in_transaction: false,
        }
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
        if let Err(reason) = is_single_plannable(text.text) {
            return Ok(Err(reason.to_string()));
        }
        self.enter(text.search_path).await?;
        let explain = format!("EXPLAIN (FORMAT JSON) {}", text.text);
        let mut types: Vec<Type> = Vec::new();
        let prepared = loop {
            match self.session.prepare(&explain, &types).await {
                Ok(prepared) => break prepared,
                Err(error) if error.is_lost() => return Err(error),
                Err(error) => {
                    self.leave().await?;
                    self.enter(text.search_path).await?;
                    // A parameter that nothing gives a type to takes any text as well as another.
                    let Some(position) = undetermined(&error)
                        .filter(|&p| types.get(p - 1).is_none_or(|t| *t == Type::UNKNOWN))
                    else {
                        return Ok(Err(one_line(&error)));
                    };
                    types.resize(types.len().max(position), Type::UNKNOWN);
                    types[position - 1] = Type::TEXT;
                }
            }
        };
        let oids: Vec<u32> = prepared.param_types().iter().map(Type::oid).collect();
        self.prepared.insert(text.id, prepared);
        self.learn_types(&oids).await?;
        Ok(Ok(oids.iter().map(|oid| self.types[oid].clone()).collect()))
    }

    /// The plan of a prepared statement with these values.
    pub async fn plan(
        &mut self,
        text: Text<'_>,
        values: &[Option<String>],
    ) -> Result<Result<Plan, String>, PgError> {
        self.enter(text.search_path).await?;
        let Some(prepared) = self.prepared.get(&text.id) else {
            return Ok(Err("it was not prepared".to_owned()));
        };
        let rows = match self.session.query_text(prepared, values).await {
            Ok(rows) => rows,
            Err(error) if error.is_lost() => return Err(error),
            Err(error) => {
                self.leave().await?;
                return Ok(Err(one_line(&error)));
            }
        };
        let Some(json) = rows.first().and_then(|row| row.try_get::<_, RawJson>(0).ok()) else {
            return Ok(Err("the server returned no plan".to_owned()));
        };
        Ok(match planparse::parse(&json.0) {
            Ok(parsed) => parsed
                .into_iter()
                .next()
                .map(|parsed| parsed.plan)
                .ok_or_else(|| "the server returned no plan".to_owned()),
            Err(error) => Err(error.to_string()),
        })
    }

    /// Opens the read-only transaction in which planning happens, under the statement's search path.
    async fn enter(&mut self, search_path: &[String]) -> Result<(), PgError> {
        if self.in_transaction && self.search_path == search_path {
            return Ok(());
        }
        self.leave().await?;
        let mut path: Vec<String> =
            search_path.iter().map(|schema| rules::quote::ident(schema)).collect();
        path.push("pg_temp".to_owned());
        let begin = format!(
            "BEGIN READ ONLY; SET LOCAL search_path = {}; SET LOCAL plan_cache_mode = force_custom_plan",
            path.join(", ")
        );
        self.in_transaction = true;
        self.session.batch(&begin).await?;
        self.search_path = search_path.to_vec();
        Ok(())
    }

    /// Rolls the planning transaction back; whatever planning did is undone.
    pub async fn leave(&mut self) -> Result<(), PgError> {
        if self.in_transaction {
            self.in_transaction = false;
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

fn one_line(error: &PgError) -> String {
    error.to_string().replace('\n', " ")
}
