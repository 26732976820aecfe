//! What a session does once it is there: settings, bindings, errors, notices, cancelling.

use std::time::Duration;

use agent::postgres::{
    ConnectCause, Limits, MARKER, PgErrorKind, Purpose, RawJson, Session, Type, is_ours,
};

use crate::middleman::{Manner, middleman};
use crate::{admin, info, keeps_the_secret, meter, over_tcp, prepared};

async fn open(given: &str, purpose: Purpose) -> Session {
    Session::connect(&info(given), purpose, &meter()).await.unwrap()
}

async fn setting(session: &Session, name: &str) -> String {
    let sql = "select pg_catalog.current_setting($1)";
    session.query_one(sql, &[&name]).await.unwrap().try_get(0).unwrap()
}

#[track_caller]
fn server_error(error: &agent::postgres::PgError) -> &agent::postgres::ServerError {
    keeps_the_secret(&format!("{error} {error:?}"));
    match error.kind() {
        PgErrorKind::Server(error) => error,
        other => panic!("not an error of the server: {other:?}"),
    }
}

#[tokio::test]
async fn our_settings_outrank_those_of_the_role() {
    let Some(server) = prepared().await else { return };
    let given = over_tcp(server, "app", "options='-c geqo=off -c statement_timeout=1'");
    for (purpose, timeout) in [(Purpose::Sample, "30s"), (Purpose::Explain, "5s")] {
        let session = open(&given, purpose).await;
        assert_eq!(setting(&session, "statement_timeout").await, timeout);
        assert_eq!(setting(&session, "search_path").await, "pg_catalog,pg_temp");
        assert_eq!(setting(&session, "lock_timeout").await, "2s");
        assert_eq!(setting(&session, "idle_in_transaction_session_timeout").await, "1min");
        assert_eq!(setting(&session, "TimeZone").await, "UTC");
        assert_eq!(setting(&session, "geqo").await, "off");
        let name = format!("pgwright/{}", purpose.name());
        assert_eq!(setting(&session, "application_name").await, name);
        assert!(!session.facts().behind_pooler);
        session.close().await;
    }
}

#[tokio::test]
async fn each_purpose_has_its_own_guards() {
    let Some(server) = prepared().await else { return };
    let explain = open(&admin(server), Purpose::Explain).await;
    let error = explain.execute("create table public.never (i int)", &[]).await.unwrap_err();
    assert_eq!(server_error(&error).sqlstate, "25006");
    assert!(!explain.is_closed());

    let apply = open(&admin(server), Purpose::Apply).await;
    assert_eq!(setting(&apply, "synchronous_commit").await, "on");
    assert_eq!(setting(&apply, "client_connection_check_interval").await, "5s");
    apply.set_statement_timeout(Duration::from_millis(20)).await.unwrap();
    let error = apply.query("select pg_sleep(5)", &[]).await.unwrap_err();
    assert_eq!(server_error(&error).sqlstate, "57014");
    apply.set_lock_timeout(Duration::ZERO).await.unwrap();
    assert_eq!(setting(&apply, "lock_timeout").await, "0");

    let limits = Limits { statement: Duration::from_millis(1500), ..Limits::of(Purpose::Watch) };
    let info = info(&admin(server));
    let watch = Session::connect_with(&info, Purpose::Watch, &meter(), &limits).await.unwrap();
    assert_eq!(setting(&watch, "statement_timeout").await, "1500ms");
}

/// The heart of pricing: values of any type, bound as text, planned as constants.
#[tokio::test]
async fn text_values_bind_to_parameters_of_any_type() {
    let Some(server) = prepared().await else { return };
    let session = open(&admin(server), Purpose::Explain).await;
    let sql = "explain (format json) select i from public.thing where i = $1 and at > $2 \
               and doc @> $3 and list @> $4 and mood = $5";
    let prepared = session.prepare(sql, &[]).await.unwrap();
    let names: Vec<&str> = prepared.param_types().iter().map(Type::name).collect();
    assert_eq!(names, ["int4", "timestamptz", "jsonb", "_int4", "mood"]);
    session.batch("begin; set local plan_cache_mode = force_custom_plan").await.unwrap();
    let values = ["42", "2024-02-29 12:00:00+02", r#"{"a": "it's"}"#, "{1,2}", "happy"];
    let mut bound: Vec<Option<String>> = values.map(|value| Some(value.to_owned())).into();
    let rows = session.query_text(&prepared, &bound).await.unwrap();
    let plan: RawJson = rows[0].try_get(0).unwrap();
    for part in
        ["(i = 42)", "2024-02-29 10:00:00+00", "'{1,2}'", "'happy'", r#"{\"a\": \"it''s\"}"#]
    {
        assert!(plan.0.contains(part), "{part} is missing in {}", plan.0);
    }
    assert!(!plan.0.contains('$'), "{}", plan.0);
    bound[0] = None;
    let rows = session.query_text(&prepared, &bound).await.unwrap();
    let plan: RawJson = rows[0].try_get(0).unwrap();
    assert!(plan.0.contains("One-Time Filter"), "{}", plan.0);

    bound[4] = Some("angry".to_owned());
    let error = session.query_text(&prepared, &bound).await.unwrap_err();
    assert_eq!(server_error(&error).sqlstate, "22P02");
    session.batch("rollback").await.unwrap();
    let error = session.query_text(&prepared, &bound[..2]).await.unwrap_err();
    assert_eq!(error.to_string(), "2 values were given for 5 parameters");

    let fixed = session.prepare("select $1", &[Type::INT8]).await.unwrap();
    assert_eq!(fixed.param_types(), [Type::INT8]);
    let guessed = session.prepare("select $1::date, $2", &[Type::UNKNOWN, Type::BOOL]).await;
    assert_eq!(guessed.unwrap().param_types(), [Type::DATE, Type::BOOL]);
}

#[tokio::test]
async fn errors_point_into_the_callers_text() {
    let Some(server) = prepared().await else { return };
    let session = open(&admin(server), Purpose::Sample).await;
    let sql = "select 1, nope from pg_class";
    for error in [
        session.query(sql, &[]).await.unwrap_err(),
        session.prepare(sql, &[]).await.unwrap_err(),
        session.execute(sql, &[]).await.unwrap_err(),
    ] {
        let error = server_error(&error);
        assert_eq!((error.sqlstate.as_str(), error.position), ("42703", Some(11)));
        assert_eq!(error.to_string(), "column \"nope\" does not exist (SQLSTATE 42703)");
    }
    let none = session.query_one("select 1 where false", &[]).await.unwrap_err();
    assert!(none.to_string().contains("no row"));
    let two = session.query_opt("values (1), (2)", &[]).await.unwrap_err();
    assert!(two.to_string().contains("2 rows"));
    let wrong_type = session.query_one("select 1::int", &[]).await.unwrap();
    let error: agent::postgres::PgError = wrong_type.try_get::<_, String>(0).unwrap_err().into();
    assert!(error.to_string().contains("column 0"), "{error}");
}

#[tokio::test]
async fn notices_are_kept_until_taken() {
    let Some(server) = prepared().await else { return };
    let session = open(&over_tcp(server, "app", ""), Purpose::Other).await;
    session.execute("analyze public.thing", &[]).await.unwrap();
    session.execute("drop table if exists public.none_such", &[]).await.unwrap();
    let notices = session.take_notices();
    assert_eq!(notices.len(), 2, "{notices:?}");
    assert_eq!((notices[0].severity.as_str(), notices[0].sqlstate.as_str()), ("WARNING", "01000"));
    assert!(notices[0].message.contains("thing"), "{notices:?}");
    assert_eq!(notices[1].severity, "NOTICE");
    assert!(session.take_notices().is_empty());
}

#[tokio::test]
async fn statements_are_marked_and_counted() {
    let Some(server) = prepared().await else { return };
    let meter = meter();
    let info = info(&over_tcp(server, "app", "application_name=nightly"));
    let session = Session::connect(&info, Purpose::Sample, &meter).await.unwrap();
    assert_eq!(setting(&session, "application_name").await, "pgwright/sample nightly");
    session.query("select relname from pg_class limit $1", &[&1_i64]).await.unwrap();
    session.execute("analyze pg_catalog.pg_am", &[]).await.unwrap();
    session.batch("begin; select 1; rollback").await.unwrap();
    session.prepare("select 1 from public.thing where mood = $1", &[]).await.unwrap();
    // Two more than these: the first question, and the limits that are switched off.
    assert_eq!((meter.statements(Purpose::Sample), meter.total_statements()), (7, 7));
    assert!(!meter.time(Purpose::Sample).is_zero());

    let admin = open(&admin(server), Purpose::Other).await;
    let sql = "select query from public.pg_stat_statements where userid = 'app'::regrole::oid";
    let rows = admin.query(sql, &[]).await.unwrap();
    let texts: Vec<String> = rows.iter().map(|row| row.try_get(0).unwrap()).collect();
    assert!(texts.iter().any(|t| t == &format!("select {MARKER} relname from pg_class limit $1")));
    assert!(texts.iter().any(|text| text.contains("enumlabel")), "the driver looked a type up");
    for text in texts {
        assert!(is_ours(&text), "not marked: {text}");
    }
}

#[tokio::test]
async fn a_statement_can_be_cancelled_from_outside() {
    let Some(server) = prepared().await else { return };
    for given in [admin(server), over_tcp(server, "app", "sslmode=require")] {
        let session = open(&given, Purpose::Sample).await;
        let token = session.cancel_token();
        let cancel = async {
            tokio::time::sleep(Duration::from_millis(200)).await;
            token.cancel().await.unwrap();
        };
        let (outcome, ()) = tokio::join!(session.query("select pg_sleep(20)", &[]), cancel);
        assert_eq!(server_error(&outcome.unwrap_err()).sqlstate, "57014");
        assert!(session.query("select 1", &[]).await.is_ok());
    }
}

#[tokio::test]
async fn a_lost_connection_says_why() {
    let Some(server) = prepared().await else { return };
    let admin = open(&admin(server), Purpose::Other).await;
    let victim = open(&over_tcp(server, "app", ""), Purpose::Sample).await;
    let pid = victim.backend_pid();
    let kill = async {
        tokio::time::sleep(Duration::from_millis(200)).await;
        admin.query("select pg_terminate_backend($1)", &[&pid]).await.unwrap();
    };
    let (outcome, ()) = tokio::join!(victim.query("select pg_sleep(20)", &[]), kill);
    let error = outcome.unwrap_err();
    assert!(error.is_lost() && error.sqlstate() == Some("57P01"), "{error:?}");
    let later = victim.query("select 1", &[]).await.unwrap_err();
    assert!(later.is_lost() && victim.is_closed(), "{later:?}");

    // Terminated while idle: the next statement still learns the reason.
    let victim = open(&over_tcp(server, "app", ""), Purpose::Sample).await;
    admin.query("select pg_terminate_backend($1)", &[&victim.backend_pid()]).await.unwrap();
    while !victim.is_closed() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let error = victim.query("select 1", &[]).await.unwrap_err();
    assert_eq!((error.is_lost(), error.sqlstate()), (true, Some("57P01")), "{error:?}");
    assert!(error.to_string().contains("administrator"), "{error}");

    let port = middleman(server.port, Manner::BreaksOff("pg_sleep"));
    let given = over_tcp(server, "app", &format!("port={port} sslmode=disable"));
    let victim = open(&given, Purpose::Sample).await;
    let error = victim.query("select pg_sleep(20)", &[]).await.unwrap_err();
    assert!(error.is_lost() && error.sqlstate().is_none(), "{error:?}");
    assert!(error.to_string().starts_with("the connection was lost: "), "{error}");
}

#[tokio::test]
async fn a_pooler_that_refuses_options_gets_settings_later() {
    let Some(server) = prepared().await else { return };
    let port = middleman(server.port, Manner::RefusesOptions);
    let given = over_tcp(server, "app", &format!("port={port} sslmode=prefer"));
    let session = open(&given, Purpose::Explain).await;
    assert!(session.facts().behind_pooler);
    assert_eq!(setting(&session, "statement_timeout").await, "5s");
    assert_eq!(setting(&session, "search_path").await, "pg_catalog,pg_temp");
    assert_eq!(setting(&session, "default_transaction_read_only").await, "on");
    session.close().await;

    let with_options = info(&format!("{given} options='-c geqo=off'"));
    let error = Session::connect(&with_options, Purpose::Explain, &meter()).await.unwrap_err();
    keeps_the_secret(&format!("{error} {error:?}"));
    assert_eq!(error.connect_cause(), Some(ConnectCause::Unsupported), "{error}");
}
