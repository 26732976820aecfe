use super::{Answer, Guard, Premises, Scope, declare_guard};

declare_guard! {
    /// The maintenance window.
    ///
    /// # Why
    /// An index build takes disk, memory and WAL that users of the day would miss.
    ///
    /// # Refuses when
    /// There is a `--window` and it is closed, or the build is expected to take longer than it stays open. A build that
    /// is still at work at its end is cancelled, and its remains are removed. ANALYZE and DROP INDEX take seconds and
    /// need only that it is open. Outside of it a rollback is carried out all the same.
    ///
    /// # Where it cannot be known
    /// A time zone that the server does not know is refused: nobody would know when to begin.
    pub(super) MaintenanceWindow {
        id: "window",
        summary: "work outside of the maintenance window, or beyond its end",
        scope: Scope::Run,
    }
}

impl Guard for MaintenanceWindow {
    fn judge(&self, premises: &Premises<'_>) -> Answer {
        let Some(window) = &premises.limits.window else { return Answer::Pass };
        let now = match &premises.server.local_time {
            Some(Ok(now)) => *now,
            Some(Err(why)) => {
                return Answer::Refuse(format!(
                    "the time for the window `{window}` is not known: {why}"
                ));
            }
            None => {
                return Answer::Refuse(format!("the time for the window `{window}` is not known"));
            }
        };
        let Some(left) = window.left(now) else {
            return Answer::Refuse(format!(
                "it is {} and the maintenance window is `{window}`; start pgwright within it",
                now.format("%a %H:%M")
            ));
        };
        let index = premises.target.and_then(|target| target.index);
        Answer::refuse_if(index.filter(|index| index.time > left).map(|index| {
            format!(
                "the build is expected to take {} and the maintenance window `{window}` ends in {}; start earlier or \
                 widen it",
                minutes(index.time.as_secs()),
                minutes(left.as_secs())
            )
        }))
    }
}

/// Whole minutes, at least one.
fn minutes(seconds: u64) -> String {
    format!("{} min", seconds.div_ceil(60).max(1))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use chrono::NaiveDate;

    use super::MaintenanceWindow;
    use crate::guards::testing::Case;

    #[test]
    fn it_must_be_open_and_stay_open_for_long_enough() {
        let mut case = Case::default();
        assert!(case.passes(&MaintenanceWindow));
        case.limits.window = Some("Sat,Sun 02:00-05:00".parse().unwrap());
        assert!(case.reason(&MaintenanceWindow).contains("is not known"));
        let at = |day, hour, minute| {
            Some(Ok(NaiveDate::from_ymd_opt(2026, 3, day)
                .unwrap()
                .and_hms_opt(hour, minute, 0)
                .unwrap()))
        };
        case.server.local_time = at(6, 3, 0);
        assert!(case.reason(&MaintenanceWindow).contains("it is Fri 03:00"));
        case.server.local_time = at(7, 3, 0);
        assert!(case.passes(&MaintenanceWindow));
        case.server.local_time = at(7, 4, 50);
        case.index.time = Duration::from_mins(25);
        let reason = case.reason(&MaintenanceWindow);
        assert!(reason.contains("take 25 min") && reason.contains("ends in 10 min"), "{reason}");
        case.server.local_time = Some(Err("time zone \"Mars\" not recognized".into()));
        assert!(case.reason(&MaintenanceWindow).contains("Mars"));
    }
}
