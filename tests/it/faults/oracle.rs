//! A small application beside a run: one who writes and one who reads, at a steady pace, each statement timed.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{JoinHandle, sleep, spawn};
use std::time::{Duration, Instant};

use tokio_postgres::{Client, NoTls};

use super::stage::Stage;

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
    statements: u64,
    errors: Vec<String>,
    longest: Duration,
}

impl Oracle {
    pub(super) fn start(stage: &Stage) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let write = "INSERT INTO app.\"Log\" (id, \"userId\") VALUES (1000001, 7); \
                     UPDATE app.\"Log\" SET email = 'x' WHERE id = 1000001; DELETE FROM app.\"Log\" WHERE id = 1000001";
        let read = "SELECT count(*) FROM app.\"Log\" WHERE \"userId\" = 7; SELECT email FROM app.visit WHERE id = 3";
        let threads = [write, read].map(|statements| {
            let (stop, conninfo) = (Arc::clone(&stop), stage.direct());
            spawn(move || play(&conninfo, statements, &stop))
        });
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

fn play(conninfo: &str, statements: &str, stop: &AtomicBool) -> Felt {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut felt = Felt::default();
        let client: Client = {
            let (client, connection) = tokio_postgres::connect(conninfo, NoTls).await.unwrap();
            tokio::spawn(connection);
            client
        };
        while !stop.load(Ordering::Acquire) {
            for statement in statements.split(';') {
                let since = Instant::now();
                if let Err(error) = client.simple_query(statement).await {
                    felt.errors.push(format!("{statement}: {error:?}"));
                }
                felt.statements += 1;
                felt.longest = felt.longest.max(since.elapsed());
            }
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
        assert_eq!(self.errors, Vec::<String>::new());
        assert!(self.statements > 0, "the application did nothing");
        assert!(self.longest <= LONGEST, "a statement took {:?}", self.longest);
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
