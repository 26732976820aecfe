//! A small application beside a run: one who writes and one who reads, at a steady pace, each statement timed.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Sender};
use std::thread::{JoinHandle, sleep, spawn};
use std::time::{Duration, Instant};

use tokio_postgres::{Client, NoTls};

/// Pause between two statements.
const PACE: Duration = Duration::from_millis(20);
/// `lock_timeout` of a run (3 s) and one second more: nobody may wait longer because of us.
const LONGEST: Duration = Duration::from_secs(4);

/// The application.
pub(super) struct Oracle {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<Felt>>,
}

/// What it has felt.
#[derive(Default)]
pub(super) struct Felt {
    pub(super) statements: u64,
    pub(super) errors: Vec<String>,
    pub(super) longest: Duration,
}

impl Oracle {
    /// Starts one connection for each of these lists of statements, separated by semicolons; returns when each is at
    /// work.
    pub(super) fn start(conninfo: &str, lists: [&'static str; 2]) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let (at_work, started) = mpsc::channel();
        let threads = lists.map(|statements| {
            let (stop, conninfo, at_work) =
                (Arc::clone(&stop), conninfo.to_owned(), at_work.clone());
            spawn(move || play(&conninfo, statements, &at_work, &stop))
        });
        drop(at_work);
        for _ in lists {
            started.recv().unwrap();
        }
        Self { stop, threads: threads.into() }
    }

    pub(super) fn stop(self) -> Felt {
        self.stop.store(true, Ordering::Release);
        let mut all = Felt::default();
        for thread in self.threads {
            let felt = thread.join().unwrap();
            all.statements += felt.statements;
            all.errors.extend(felt.errors);
            all.longest = all.longest.max(felt.longest);
        }
        all
    }
}

async fn client(conninfo: &str) -> Option<Client> {
    let (client, connection) = tokio_postgres::connect(conninfo, NoTls).await.ok()?;
    tokio::spawn(connection);
    Some(client)
}

fn play(conninfo: &str, statements: &str, at_work: &Sender<()>, stop: &AtomicBool) -> Felt {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut felt = Felt::default();
        let mut connected = client(conninfo).await;
        assert!(connected.is_some(), "the application cannot connect");
        while !stop.load(Ordering::Acquire) {
            let Some(now) = connected.as_ref().filter(|client| !client.is_closed()) else {
                // A server that is down is told with the statement that met it.
                sleep(PACE);
                connected = client(conninfo).await;
                continue;
            };
            for statement in statements.split(';') {
                let since = Instant::now();
                if let Err(error) = now.simple_query(statement).await {
                    let what = error.as_db_error().map_or(error.to_string(), |db| {
                        format!("{} {}", db.code().code(), db.message())
                    });
                    felt.errors.push(format!("{}: {what}", statement.trim()));
                }
                felt.statements += 1;
                felt.longest = felt.longest.max(since.elapsed());
            }
            // Waited for in the first round only.
            let _ = at_work.send(());
            // Lets the runtime look after the connection, and the thread rest.
            tokio::time::sleep(Duration::ZERO).await;
            sleep(PACE);
        }
        felt
    })
}

impl Felt {
    /// Nothing failed, and nothing waited for us longer than it may.
    pub(super) fn was_not_hurt(&self) {
        assert_eq!(self.hurt(&[], false), Vec::<String>::new());
    }

    /// What it has suffered, but for errors with one of these texts, and for waits where the harm itself makes it wait.
    pub(super) fn hurt(&self, excused: &[&str], may_wait: bool) -> Vec<String> {
        let excused = |error: &String| excused.iter().any(|text| error.contains(text));
        let mut hurt: Vec<String> =
            self.errors.iter().filter(|error| !excused(error)).cloned().collect();
        hurt.dedup();
        if self.statements == 0 {
            hurt.push("the application did nothing".to_owned());
        }
        if self.longest > LONGEST && !may_wait {
            hurt.push(format!("a statement took {:?}", self.longest));
        }
        hurt
    }
}

impl fmt::Display for Felt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (count, errors, longest) = (self.statements, self.errors.len(), self.longest);
        write!(
            f,
            "{count} statements of an application, {errors} failed, the longest took {longest:.1?}"
        )
    }
}
