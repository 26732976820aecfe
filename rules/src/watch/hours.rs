//! Which windows before an action are compared with those after it: those of the same hours, where there are some.

use std::collections::BTreeSet;

use super::window::Window;

const HOURS_OF_WEEK: i64 = 7 * 24;
const HOURS_OF_DAY: i64 = 24;

/// Share of the hours after the action of which there must be a window before it.
const KNOWN: f64 = 0.9;

/// The windows before that are of the same hours of the week as those after, or else of the same hours of the day, or
/// else all. What a statement does every night, or every Monday, is then on both sides.
pub(super) fn alike<'a>(before: &[&'a Window], after: &[&Window], least: usize) -> Vec<&'a Window> {
    for period in [HOURS_OF_WEEK, HOURS_OF_DAY] {
        let hour = |window: &Window| {
            let middle = window.begins + (window.ends - window.begins) / 2;
            middle.timestamp().div_euclid(3600).rem_euclid(period)
        };
        let wanted: BTreeSet<i64> = after.iter().map(|window| hour(window)).collect();
        let same: Vec<&Window> =
            before.iter().copied().filter(|window| wanted.contains(&hour(window))).collect();
        let known: BTreeSet<i64> = same.iter().map(|window| hour(window)).collect();
        if same.len() >= least.max(after.len()) && known.len() as f64 >= KNOWN * wanted.len() as f64
        {
            return same;
        }
    }
    before.to_vec()
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, TimeDelta};

    use super::{Window, alike};

    fn hours(hours: impl Iterator<Item = i64>) -> Vec<Window> {
        let window = |hour| {
            let begins = DateTime::UNIX_EPOCH + TimeDelta::hours(hour);
            Window { begins, ends: begins + TimeDelta::hours(1), ..Window::default() }
        };
        hours.map(window).collect()
    }

    fn found(before: &[Window], after: &[Window]) -> Vec<i64> {
        let (before, after): (Vec<_>, Vec<_>) = (before.iter().collect(), after.iter().collect());
        alike(&before, &after, 6).iter().map(|window| window.begins.timestamp() / 3600).collect()
    }

    #[test]
    fn windows_of_the_same_hours_are_compared_where_there_are_some() {
        let (week, day) = (hours(0..192), hours(168..192));
        let after = hours(192..200);
        // Eight days: the same hours of the week. One day: the same hours of the day. Half a day at other hours: all.
        assert_eq!(found(&week, &after), (24..32).collect::<Vec<_>>());
        assert_eq!(found(&day, &after), (168..176).collect::<Vec<_>>());
        assert_eq!(found(&hours(176..188), &after), (176..188).collect::<Vec<_>>());
        let three = hours((2..5).chain(173..192));
        assert_eq!(found(&three, &hours(194..197)).len(), 22, "three windows are too few");
    }
}
