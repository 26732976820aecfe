//! The proxy of the fault tests is sound: what it passes on works, and the harm it does arrives.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use agent::conninfo::ConnInfo;
use agent::postgres::{Limits, Meter, Purpose, Session};

use crate::harness::{
    Fault, Harm, Killer, Moment, Output, Proxy, Side, TestDatabase, database, start,
};

/// Runs a command through the proxy, with harm or without.
async fn run(
    proxy: &Proxy,
    db: &TestDatabase,
    args: &[&str],
    fault: impl FnOnce(Killer) -> Option<Fault>,
) -> Output {
    let killer = Killer::default();
    proxy.arm(fault(killer.clone()));
    let mut args: Vec<String> = args.iter().map(|&arg| arg.to_owned()).collect();
    args.extend(["-d".to_owned(), proxy.conninfo(db.name())]);
    let ran = tokio::task::spawn_blocking(move || {
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        start(&args, &[], "", &killer).finish()
    });
    ran.await.unwrap()
}

#[tokio::test]
async fn messages_are_counted_and_harm_is_done_at_the_chosen_one() {
    let Some(db) = database().await else { return };
    let proxy = Proxy::start(&db.socket(), "pgwright/");
    let whole = run(&proxy, &db, &["log"], |_| None).await;
    assert_eq!(whole.status, Some(0), "{whole:?}");
    let seen = proxy.seen();
    let count = |side| seen.iter().filter(|message| message.side == side).count();
    assert!(count(Side::Client) > 3 && count(Side::Server) > 3, "{seen:?}");
    assert!(seen[0].tag == '^' && seen.iter().all(|message| message.name == "pgwright/other"));
    assert!(seen.iter().any(|message| message.tag == 'P' && message.sql.contains("pgwright")));

    // The very last one says good-bye, and nobody waits for its arrival.
    for number in [1, count(Side::Client) / 2, count(Side::Client) - 2] {
        let at = |harm| {
            Some(Fault { side: Side::Client, with: "", number, moment: Moment::Before, harm })
        };
        let killed = run(&proxy, &db, &["log"], |killer| at(Harm::Kill(killer))).await;
        assert_eq!(killed.status, None, "killed by a signal: {killed:?}");
        assert!(proxy.struck());
        for harm in [Harm::Fragments, Harm::Delay(Duration::from_millis(200))] {
            let same = run(&proxy, &db, &["log"], |_| at(harm)).await;
            assert_eq!((same.status, &same.stdout), (Some(0), &whole.stdout), "{same:?}");
            assert!(proxy.struck());
        }
    }
    for harm in [Harm::Fin, Harm::Rst] {
        let number = count(Side::Server) / 2;
        let fault = Fault { side: Side::Server, with: "", number, moment: Moment::After, harm };
        let cut = run(&proxy, &db, &["log"], |_| Some(fault)).await;
        assert_eq!(cut.status, Some(3), "{cut:?}");
    }
    let called = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&called);
    let harm = Harm::Call(Arc::new(move || flag.store(true, Ordering::Release)));
    let fault = Fault { side: Side::Server, with: "", number: 2, moment: Moment::Before, harm };
    assert_eq!(run(&proxy, &db, &["log"], |_| Some(fault)).await.status, Some(0));
    assert!(called.load(Ordering::Acquire));
    let silence = Harm::Silence(Some(Duration::from_secs(1)));
    let fault =
        Fault { side: Side::Server, with: "", number: 3, moment: Moment::Before, harm: silence };
    let since = Instant::now();
    assert_eq!(run(&proxy, &db, &["log"], |_| Some(fault)).await.status, Some(0));
    assert!(since.elapsed() >= Duration::from_secs(1));
}

#[tokio::test]
async fn a_server_that_fell_silent_is_not_waited_for_longer_than_the_limit_of_a_statement() {
    let Some(db) = database().await else { return };
    let proxy = Proxy::start(&db.socket(), "pgwright/");
    let (harm, moment) = (Harm::Silence(None), Moment::Before);
    let with = "SELECT /* pgwright */ 2";
    proxy.arm(Some(Fault { side: Side::Client, with, number: 1, moment, harm }));
    let info = ConnInfo::resolve(Some(&proxy.conninfo(db.name())), &|_| None).unwrap();
    let limits = Limits { statement: Duration::from_secs(1), ..Limits::of(Purpose::Watch) };
    let session = Session::connect_with(&info, Purpose::Watch, &Meter::new(), &limits).await;
    let session = session.unwrap();
    assert!(session.query("SELECT 1", &[]).await.is_ok());
    let since = Instant::now();
    let error = session.query("SELECT 2", &[]).await.unwrap_err();
    assert!(error.is_lost() && error.to_string().contains("no answer within 6 s"), "{error}");
    assert!((1..30).contains(&since.elapsed().as_secs()), "{:?}", since.elapsed());
    // The connection was closed with it.
    assert!(session.query("SELECT 3", &[]).await.unwrap_err().is_lost());
    session.close().await;
}
