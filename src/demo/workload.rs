//! What V-EdFinance asks of its database: the statements, how often, and with which values.

use serde::Serialize;

use super::draws::Draws;

/// What a good optimizer should make of a statement, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "expected", content = "because")]
pub(crate) enum Expected {
    /// An index makes it faster; it is worth applying without a person.
    Index(&'static str),
    /// Something else than a plain index, or one that cannot be priced: a person decides.
    Advice(&'static str),
    /// It must be left alone.
    Nothing(&'static str),
}

/// One statement of the workload.
#[derive(Debug)]
pub(crate) struct Statement {
    /// A name for tables of results.
    pub(crate) name: &'static str,
    /// How often it comes up in one round of the workload.
    pub(crate) times: u32,
    /// How many calls follow on each other when it comes up, each with its own values.
    pub(crate) burst: u32,
    /// What a good optimizer should make of it.
    pub(crate) expected: Expected,
    sql: fn(&mut Draws, &Values) -> String,
}

impl Statement {
    /// Writes one call of it, with values drawn from those that occur.
    pub(crate) fn call(&self, draws: &mut Draws, values: &Values) -> String {
        (self.sql)(draws, values)
    }
}

/// Values that occur in the loaded data; read once, so that every run draws from the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Values {
    /// Users with log rows, the most active first.
    pub(crate) actors: Vec<String>,
    /// All users in the order of their registration.
    pub(crate) users: Vec<String>,
    /// Some of the sessions.
    pub(crate) sessions: Vec<String>,
    /// The number of log rows, which is their highest id.
    pub(crate) logs: u64,
}

impl Values {
    /// A user who is logged in: the more active, the likelier.
    fn actor(&self, draws: &mut Draws) -> &str {
        &self.actors[draws.skewed(self.actors.len())]
    }

    fn user(&self, draws: &mut Draws) -> &str {
        &self.users[draws.below(self.users.len())]
    }

    fn session(&self, draws: &mut Draws) -> &str {
        &self.sessions[draws.below(self.sessions.len())]
    }
}

/// The number of courses that load.sql makes.
const COURSES: usize = 200;

/// All statements. Values are written into the text, as an application without prepared
/// statements does; they hold no quotes.
pub(crate) static STATEMENTS: &[Statement] = &[
    Statement {
        name: "recent logs of a user",
        times: 6,
        burst: 1,
        expected: Expected::Index(
            "(\"userId\", \"timestamp\"); \"timestamp\" alone is a trap for all but the busiest users",
        ),
        sql: |draws, values| {
            format!(
                "SELECT \"id\", \"eventType\", \"payload\", \"timestamp\" FROM \"BehaviorLog\" \
                 WHERE \"userId\" = '{}' AND \"timestamp\" > now() - interval '30 days' \
                 ORDER BY \"timestamp\" DESC LIMIT 100",
                values.actor(draws)
            )
        },
    },
    Statement {
        name: "users of the dark theme",
        times: 4,
        burst: 1,
        expected: Expected::Index(
            "an expression index on metadata->>'theme'; a GIN index on metadata does not serve ->>",
        ),
        sql: |_, _| {
            "SELECT \"id\", \"email\", \"createdAt\" FROM \"User\" \
             WHERE \"metadata\"->>'theme' = 'dark' ORDER BY \"createdAt\" DESC LIMIT 50"
                .to_owned()
        },
    },
    Statement {
        name: "events of a week by day",
        times: 2,
        burst: 1,
        expected: Expected::Index("(\"eventType\", \"timestamp\")"),
        sql: |draws, _| {
            let event = ["login", "quiz_submit", "purchase", "search"][draws.below(4)];
            format!(
                "SELECT date_trunc('day', \"timestamp\") AS day, count(*) FROM \"BehaviorLog\" \
                 WHERE \"eventType\" = '{event}' AND \"timestamp\" >= now() - interval '7 days' \
                 GROUP BY day ORDER BY day"
            )
        },
    },
    Statement {
        name: "time spent on a course",
        times: 1,
        burst: 1,
        expected: Expected::Advice(
            "GIN with jsonb_path_ops serves @>, where a planner twin prices it and the inserts bear it",
        ),
        sql: |draws, _| {
            format!(
                "SELECT count(*), avg((\"payload\"->>'durationMs')::int) FROM \"BehaviorLog\" \
                 WHERE \"payload\" @> '{{\"courseId\":\"c{}\"}}'",
                1 + draws.below(COURSES)
            )
        },
    },
    Statement {
        name: "activity of one user after another",
        times: 1,
        burst: 10,
        expected: Expected::Index(
            "the index of the recent logs serves it too; better still is one statement for all users",
        ),
        sql: |draws, values| {
            format!(
                "SELECT count(*), max(\"timestamp\") FROM \"BehaviorLog\" WHERE \"userId\" = '{}'",
                values.user(draws)
            )
        },
    },
    Statement {
        name: "teachers who were away",
        times: 1,
        burst: 1,
        expected: Expected::Advice("NOT EXISTS, which is the same only because userId is NOT NULL"),
        sql: |_, _| {
            "SELECT \"id\", \"email\" FROM \"User\" WHERE \"role\" = 'TEACHER' AND \"id\" NOT IN \
             (SELECT \"userId\" FROM \"BehaviorLog\" WHERE \"timestamp\" > now() - interval '7 days')"
                .to_owned()
        },
    },
    Statement {
        name: "logs of a user or a session",
        times: 2,
        burst: 1,
        expected: Expected::Advice("two indexes, one for each side of the OR"),
        sql: |draws, values| {
            format!(
                "SELECT \"id\", \"eventType\", \"timestamp\" FROM \"BehaviorLog\" \
                 WHERE \"userId\" = '{}' OR \"sessionId\" = '{}'",
                values.user(draws),
                values.session(draws)
            )
        },
    },
    Statement {
        name: "students of a course",
        times: 6,
        burst: 1,
        expected: Expected::Index("Enrollment.courseId, a foreign key without an index"),
        sql: |draws, _| {
            format!(
                "SELECT u.\"id\", u.\"email\", e.\"progress\" FROM \"Enrollment\" e \
                 JOIN \"User\" u ON u.\"id\" = e.\"userId\" \
                 WHERE e.\"courseId\" = 'c{}' AND e.\"status\" = 'ACTIVE' \
                 ORDER BY e.\"enrolledAt\" DESC LIMIT 20",
                1 + draws.below(COURSES)
            )
        },
    },
    Statement {
        name: "payments of a user",
        times: 8,
        burst: 1,
        expected: Expected::Index("(\"userId\", \"createdAt\"), a foreign key without an index"),
        sql: |draws, values| {
            format!(
                "SELECT \"id\", \"amountCents\", \"status\", \"createdAt\" FROM \"Transaction\" \
                 WHERE \"userId\" = '{}' ORDER BY \"createdAt\" DESC LIMIT 20",
                values.actor(draws)
            )
        },
    },
    Statement {
        name: "revenue by category",
        times: 1,
        burst: 1,
        expected: Expected::Nothing("rare, and it reads a twelfth of a small table"),
        sql: |_, _| {
            "SELECT c.\"category\", sum(t.\"amountCents\") FROM \"Transaction\" t \
             JOIN \"Course\" c ON c.\"id\" = t.\"courseId\" \
             WHERE t.\"status\" = 'PAID' AND t.\"createdAt\" >= now() - interval '30 days' \
             GROUP BY c.\"category\" ORDER BY sum(t.\"amountCents\") DESC"
                .to_owned()
        },
    },
    Statement {
        name: "courses of a user",
        times: 20,
        burst: 1,
        expected: Expected::Nothing("the unique index on (userId, courseId) serves it"),
        sql: |draws, values| {
            format!(
                "SELECT c.\"title\", e.\"progress\" FROM \"Enrollment\" e \
                 JOIN \"Course\" c ON c.\"id\" = e.\"courseId\" \
                 WHERE e.\"userId\" = '{}' ORDER BY e.\"enrolledAt\" DESC",
                values.actor(draws)
            )
        },
    },
    Statement {
        name: "user by id",
        times: 60,
        burst: 1,
        expected: Expected::Nothing("the primary key serves it"),
        sql: |draws, values| {
            format!("SELECT * FROM \"User\" WHERE \"id\" = '{}'", values.actor(draws))
        },
    },
    Statement {
        name: "log entry by id",
        times: 20,
        burst: 1,
        expected: Expected::Nothing("the primary key serves it"),
        sql: |draws, values| {
            let id = 1 + draws.next() % values.logs;
            format!("SELECT * FROM \"BehaviorLog\" WHERE \"id\" = {id}")
        },
    },
    Statement {
        name: "count of the light theme",
        times: 1,
        burst: 1,
        expected: Expected::Nothing("88 % of the rows: no index beats the scan"),
        sql: |_, _| {
            "SELECT count(*), max(\"createdAt\") FROM \"User\" WHERE \"metadata\"->>'theme' = 'light'"
                .to_owned()
        },
    },
    Statement {
        name: "count of the students",
        times: 1,
        burst: 1,
        expected: Expected::Nothing("95 % of the rows: no index beats the scan"),
        sql: |_, _| {
            "SELECT count(*), max(\"createdAt\") FROM \"User\" WHERE \"role\" = 'STUDENT'"
                .to_owned()
        },
    },
    Statement {
        name: "new log entry",
        times: 40,
        burst: 1,
        expected: Expected::Nothing("a write; indexes can only slow it down"),
        sql: new_log_entry,
    },
    Statement {
        name: "sign of life",
        times: 100,
        burst: 3,
        expected: Expected::Nothing("an index on lastSeenAt would end its heap-only updates"),
        sql: sign_of_life,
    },
    Statement {
        name: "users online",
        times: 1,
        burst: 1,
        expected: Expected::Nothing("one read of a small table for hundreds of updates of it"),
        sql: |_, _| {
            "SELECT count(*) FROM \"Presence\" WHERE \"lastSeenAt\" > now() - interval '5 minutes'"
                .to_owned()
        },
    },
];

pub(super) fn new_log_entry(draws: &mut Draws, values: &Values) -> String {
    format!(
        "INSERT INTO \"BehaviorLog\" (\"userId\", \"sessionId\", \"eventType\", \"payload\") \
         VALUES ('{}', '{}', '{}', '{{\"page\":\"/learn/{}\",\"durationMs\":{}}}')",
        values.actor(draws),
        values.session(draws),
        ["page_view", "click", "video_play", "scroll"][draws.below(4)],
        draws.below(500),
        draws.below(60_000),
    )
}

fn sign_of_life(draws: &mut Draws, values: &Values) -> String {
    let user = values.actor(draws);
    format!("UPDATE \"Presence\" SET \"lastSeenAt\" = now() WHERE \"userId\" = '{user}'")
}

/// Returns what the application sends when somebody clicks.
pub(super) fn click(draws: &mut Draws, values: &Values) -> [String; 4] {
    let (entry, sign) = (new_log_entry(draws, values), sign_of_life(draws, values));
    ["BEGIN".to_owned(), entry, sign, "COMMIT".to_owned()]
}

/// Returns the statements of one round in the order they are sent, as places in [`STATEMENTS`].
pub(super) fn round(draws: &mut Draws) -> Vec<usize> {
    let mut order: Vec<usize> = STATEMENTS
        .iter()
        .enumerate()
        .flat_map(|(place, statement)| (0..statement.times).map(move |_| place))
        .collect();
    draws.shuffle(&mut order);
    let bursts = |place: usize| (0..STATEMENTS[place].burst).map(move |_| place);
    order.into_iter().flat_map(bursts).collect()
}

#[cfg(test)]
mod tests {
    use super::super::draws::Draws;
    use super::{STATEMENTS, Values, round};

    fn values() -> Values {
        let ids = |prefix: &str| (0..50).map(|n| format!("{prefix}{n}")).collect::<Vec<_>>();
        Values { actors: ids("a"), users: ids("u"), sessions: ids("s"), logs: 1000 }
    }

    fn texts(seed: u64) -> Vec<String> {
        let (mut draws, values) = (Draws::new(seed), values());
        let order = round(&mut draws);
        order.iter().map(|&place| STATEMENTS[place].call(&mut draws, &values)).collect()
    }

    #[test]
    fn a_seed_decides_the_whole_sequence() {
        assert_eq!(texts(7), texts(7));
        assert_ne!(texts(7), texts(8));
    }

    #[test]
    fn a_round_holds_every_statement_as_often_as_it_says() {
        let order = round(&mut Draws::new(1));
        for (place, statement) in STATEMENTS.iter().enumerate() {
            let calls = order.iter().filter(|&&other| other == place).count();
            assert_eq!(calls, (statement.times * statement.burst) as usize, "{}", statement.name);
        }
    }

    #[test]
    fn names_are_unique() {
        let names: std::collections::BTreeSet<_> = STATEMENTS.iter().map(|s| s.name).collect();
        assert_eq!(names.len(), STATEMENTS.len());
    }
}
