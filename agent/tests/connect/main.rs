//! Connections against a real server: every way in, every way to be turned away.
//!
//! Where no server can be started the tests skip themselves with a message; with `CI` set that
//! is a failure.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail by panicking")]

mod middleman;
mod server;
mod sessions;
mod ways_in;

use std::collections::BTreeMap;
use std::sync::Arc;

use agent::conninfo::ConnInfo;
use agent::postgres::{ConnectCause, Meter, PgError, Purpose, Session};
use server::{CANARY, Server, server};
use tokio::sync::OnceCell;

/// Returns the server with roles and objects in place, or nothing where there is none.
async fn prepared() -> Option<&'static Server> {
    static PREPARED: OnceCell<()> = OnceCell::const_new();
    let server = server()?;
    PREPARED.get_or_init(|| prepare(server)).await;
    Some(server)
}

async fn prepare(server: &Server) {
    // The port answers a little before the server is ready.
    let info = info(&admin(server));
    let session = loop {
        match Session::connect(&info, Purpose::Other, &Meter::new()).await {
            Err(error) if error.connect_cause() == Some(ConnectCause::NotReady) => {
                tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            }
            outcome => break outcome.unwrap(),
        }
    };
    let password = CANARY.replace('\'', "''");
    for role in ["app", "only_tls", "only_plain", "by_certificate"] {
        let sql = format!("create role {role} login password '{password}'");
        session.execute(&sql, &[]).await.unwrap();
    }
    for sql in [
        "alter role app set statement_timeout = '17s'",
        "alter role app set search_path = public",
        "create extension pg_stat_statements schema public",
        "create database closed",
        "revoke connect on database closed from public",
        "create type public.mood as enum ('sad', 'happy')",
        "create table public.thing (i int, at timestamptz, doc jsonb, list int[], mood public.mood)",
    ] {
        session.execute(sql, &[]).await.unwrap();
    }
    session.close().await;
}

/// How the superuser reaches the server, through its socket.
fn admin(server: &Server) -> String {
    format!("host={} port={} user=postgres dbname=postgres", server.folder.display(), server.port)
}

/// How the role reaches the server over TCP, with its password.
fn over_tcp(server: &Server, role: &str, more: &str) -> String {
    let password = CANARY.replace('\\', r"\\").replace('\'', r"\'");
    format!(
        "host=localhost port={} user={role} dbname=postgres password='{password}' {more}",
        server.port
    )
}

fn info(given: &str) -> ConnInfo {
    info_in(given, &[])
}

/// Resolves with these environment variables only.
fn info_in(given: &str, env: &[(&str, &str)]) -> ConnInfo {
    let mut all: BTreeMap<&str, &str> = env.iter().copied().collect();
    all.entry("HOME").or_insert("/nonexistent");
    all.entry("PGSYSCONFDIR").or_insert("/nonexistent");
    let info = ConnInfo::resolve(Some(given), &|name| all.get(name).map(|v| (*v).to_owned()));
    let info = info.unwrap();
    keeps_the_secret(&format!("{info:?} {info} {}", info.display()));
    info
}

async fn connect(given: &str) -> Result<Session, PgError> {
    Session::connect(&info(given), Purpose::Sample, &Meter::new()).await
}

/// Connects where that must work; says whether TLS is in use.
async fn uses_tls(given: &str) -> bool {
    let session = connect(given).await.unwrap_or_else(|error| panic!("{error}"));
    keeps_the_secret(&format!("{session:?}"));
    let sql = "select ssl from pg_catalog.pg_stat_ssl where pid = pg_catalog.pg_backend_pid()";
    let tls = session.query_one(sql, &[]).await.unwrap().try_get(0).unwrap();
    session.close().await;
    tls
}

/// Connects where that must not work; returns the cause and message.
async fn refused(given: &str) -> (ConnectCause, String) {
    let error = connect(given).await.expect_err("the connection should have been refused");
    let message = format!("{error}; {}", error.hint().unwrap_or("no hint"));
    keeps_the_secret(&format!("{message} {error:?}"));
    assert!(!message.contains('\n'), "{message}");
    assert!(message.starts_with("cannot connect to `"), "{message}");
    (error.connect_cause().expect("a connection error has a cause"), message)
}

/// Fails if a text shows the password, whole or in part, plain or escaped.
#[track_caller]
fn keeps_the_secret(text: &str) {
    for part in ["c4nary", "w%rd", "w%25rd", "p@ss"] {
        assert!(!text.contains(part), "the password shows in: {text}");
    }
}

fn meter() -> Arc<Meter> {
    Meter::new()
}
