//! What the user allows.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use chrono::{Datelike, NaiveDateTime, Timelike};

use super::{GUARDS, Meta, Scope};

/// What the user allows, with careful values where nothing was said.
#[derive(Clone, Debug, PartialEq)]
pub struct Limits {
    /// Transactions older than this that would hold a statement up are not waited out.
    pub max_transaction_age: Duration,
    /// When anything may be begun; always where it is `None`.
    pub window: Option<Window>,
    /// Bytes of WAL that a standby or a slot may be behind.
    pub max_lag: u64,
    /// Indexes that a table may have, the new one included.
    pub max_indexes: u64,
    /// How long all builds of a run together may take.
    pub max_build_time: Option<Duration>,
    /// How many bytes all indexes that a run builds may take.
    pub max_build_bytes: Option<u64>,
    /// Guards of an action that a person takes the responsibility for.
    pub waived: Vec<String>,
}

impl Default for Limits {
    /// Half a minute is what a build waits for at most anyway; 1 GB of WAL is what a standby replays in some ten
    /// seconds to a minute; on 15 indexes see the guard `index_count`.
    fn default() -> Self {
        Self {
            max_transaction_age: Duration::from_secs(30),
            window: None,
            max_lag: 1 << 30,
            max_indexes: crate::evidence::INDEXES_PER_TABLE_MAX as u64,
            max_build_time: None,
            max_build_bytes: None,
            waived: Vec::new(),
        }
    }
}

impl Limits {
    /// Whether a guard's refusal is turned into a note. Only those of an action can be: the others keep harm away
    /// that no index is worth.
    pub(super) fn waives(&self, meta: &Meta) -> bool {
        meta.scope == Scope::Action && self.waived.iter().any(|id| id == meta.id)
    }

    /// The guards that can be waived.
    pub fn waivable() -> impl Iterator<Item = &'static str> {
        GUARDS
            .iter()
            .map(|guard| guard.meta())
            .filter(|meta| meta.scope == Scope::Action)
            .map(|meta| meta.id)
    }
}

const DAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];
const DAY_MINUTES: u32 = 24 * 60;
const WEEK_SECONDS: u32 = 7 * 24 * 60 * 60;

/// When anything may be begun: spans of the week, by the clock on the wall in a time zone.
///
/// Written `Sat,Sun 02:00-05:00 Europe/Berlin`: days or ranges of days (all where none is named), a span (which may go
/// past midnight, `22:00-04:00`, and then belongs to the day on which it begins), and a time zone as PostgreSQL knows it
/// (the server's own where none is named). Several are joined by a semicolon; one zone at the end holds for all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Window {
    text: String,
    spans: Vec<Span>,
    zone: Option<String>,
}

/// One span on some days; minutes since midnight, the end beyond `DAY_MINUTES` where it goes past midnight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Span {
    days: [bool; 7],
    from: u32,
    to: u32,
}

/// A window that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "expected days, a span and perhaps a time zone, such as `Sat,Sun 02:00-05:00` or `Mon-Fri 22:00-04:00 Europe/Berlin`; {problem}"
)]
pub struct WindowError {
    problem: String,
}

impl Window {
    /// The time zone that it names.
    pub fn zone(&self) -> Option<&str> {
        self.zone.as_deref()
    }

    /// How long it stays open from this time of its zone on; `None` while it is closed. Where clocks are put
    /// forward or back within the span, it is an hour longer or shorter than this says.
    pub fn left(&self, now: NaiveDateTime) -> Option<Duration> {
        let second = now.weekday().num_days_from_monday() * DAY_MINUTES * 60
            + now.num_seconds_from_midnight();
        let mut end = second;
        // Spans that touch each other are one: as long as one holds at the end of another, go on.
        while end < second + WEEK_SECONDS {
            match self.ends(end % WEEK_SECONDS) {
                Some(more) => end += more,
                None => break,
            }
        }
        (end > second).then(|| Duration::from_secs(u64::from((end - second).min(WEEK_SECONDS))))
    }

    /// Seconds until the last end of those spans that hold at a second of the week.
    fn ends(&self, second: u32) -> Option<u32> {
        let left = |span: &Span, day: u32| {
            let begin = (day * DAY_MINUTES + span.from) * 60;
            let since = (second + WEEK_SECONDS - begin) % WEEK_SECONDS;
            let length = (span.to - span.from) * 60;
            (since < length).then(|| length - since)
        };
        let days =
            |span: &Span| (0..7_u32).filter(|day| span.days[*day as usize]).collect::<Vec<_>>();
        self.spans
            .iter()
            .flat_map(|span| days(span).into_iter().filter_map(|day| left(span, day)))
            .max()
    }
}

impl fmt::Display for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl FromStr for Window {
    type Err = WindowError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = |problem: String| WindowError { problem };
        let mut spans = Vec::new();
        let mut zone = None;
        for part in text.split(';') {
            let mut words = part.split_whitespace().peekable();
            let named = words.next_if(|word| !word.contains(':'));
            let days = named.map_or(Ok([true; 7]), days).map_err(wrong)?;
            let span =
                words.next().ok_or_else(|| wrong(format!("`{}` has no span", part.trim())))?;
            let (from, to) = minutes(span).map_err(wrong)?;
            spans.push(Span { days, from, to });
            if let Some(name) = words.next() {
                if zone.as_ref().is_some_and(|known| known != name) {
                    return Err(wrong("it names two time zones".to_owned()));
                }
                zone = Some(name.to_owned());
            }
            if let Some(more) = words.next() {
                return Err(wrong(format!("`{more}` was not expected")));
            }
        }
        Ok(Self { text: text.trim().to_owned(), spans, zone })
    }
}

fn days(text: &str) -> Result<[bool; 7], String> {
    let day = |name: &str| {
        let found = DAYS.iter().position(|day| day.eq_ignore_ascii_case(name));
        found.ok_or_else(|| format!("`{name}` is no day of {}", DAYS.join(", ")))
    };
    let mut days = [false; 7];
    for part in text.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (mut at, last) = (day(first)?, day(last)?);
        days[at] = true;
        while at != last {
            at = (at + 1) % 7;
            days[at] = true;
        }
    }
    Ok(days)
}

fn minutes(text: &str) -> Result<(u32, u32), String> {
    let clock = |text: &str| {
        let (hour, minute) = text.split_once(':')?;
        let (hour, minute): (u32, u32) = (hour.parse().ok()?, minute.parse().ok()?);
        let time = hour * 60 + minute;
        (minute < 60 && time <= DAY_MINUTES).then_some(time)
    };
    let read = |(from, to)| Some((clock(from)?, clock(to)?));
    let (from, to) = text
        .split_once('-')
        .and_then(read)
        .ok_or_else(|| format!("`{text}` is no span of 00:00 to 24:00"))?;
    match (from, to) {
        (from, to) if from == to => Err(format!("`{text}` is empty")),
        (from, to) if from < to => Ok((from, to)),
        (from, to) => Ok((from, to + DAY_MINUTES)),
    }
}

#[cfg(test)]
mod tests {
    use chrono::{NaiveDate, NaiveDateTime};

    use super::Window;

    /// A time in the week of Monday, 2 March 2026.
    fn at(day: u32, hour: u32, minute: u32) -> NaiveDateTime {
        NaiveDate::from_ymd_opt(2026, 3, 1 + day).unwrap().and_hms_opt(hour, minute, 0).unwrap()
    }

    fn left(window: &str, now: NaiveDateTime) -> Option<u64> {
        window.parse::<Window>().unwrap().left(now).map(|left| left.as_secs() / 60)
    }

    #[test]
    fn a_window_is_open_from_its_begin_up_to_its_end() {
        let window = "Sat,Sun 02:00-05:00";
        assert_eq!(left(window, at(6, 1, 59)), None);
        assert_eq!(left(window, at(6, 2, 0)), Some(180));
        assert_eq!(left(window, at(7, 4, 59)), Some(1));
        assert_eq!(left(window, at(7, 5, 0)), None);
        assert_eq!(left(window, at(1, 3, 0)), None);
    }

    #[test]
    fn a_span_past_midnight_belongs_to_the_day_of_its_begin() {
        let window = "Mon-Fri 22:00-04:00 Europe/Berlin";
        assert_eq!(left(window, at(1, 3, 0)), None);
        assert_eq!(left(window, at(1, 23, 0)), Some(300));
        assert_eq!(left(window, at(6, 3, 0)), Some(60));
        assert_eq!(left(window, at(6, 23, 0)), None);
        assert_eq!(left("Sun 23:00-01:00", at(1, 0, 30)), Some(30));
        assert_eq!(window.parse::<Window>().unwrap().zone(), Some("Europe/Berlin"));
    }

    #[test]
    fn spans_that_touch_are_one_and_without_days_it_is_every_day() {
        assert_eq!(left("Fri 22:00-24:00; Sat 00:00-06:00", at(5, 23, 0)), Some(420));
        assert_eq!(left("1:30-2:30", at(4, 2, 0)), Some(30));
        assert_eq!(left("00:00-24:00", at(4, 2, 0)), Some(7 * 24 * 60));
        assert_eq!(left("fri-mon 00:00-24:00", at(5, 0, 0)), Some(4 * 24 * 60));
    }

    #[test]
    fn what_is_no_window_is_told_apart() {
        for (text, problem) in [
            ("", "has no span"),
            ("Sat", "has no span"),
            ("Caturday 01:00-02:00", "`Caturday` is no day"),
            ("Sat 25:00-26:00", "no span of"),
            ("Sat 01:60-02:00", "no span of"),
            ("Sat 01:00-01:00", "is empty"),
            ("Sat 01:00-02:00 UTC x", "`x` was not expected"),
            ("Sat 01:00-02:00 UTC; Sun 01:00-02:00 CET", "two time zones"),
        ] {
            let error = text.parse::<Window>().unwrap_err().to_string();
            assert!(error.contains(problem) && error.contains("02:00-05:00"), "{text}: {error}");
        }
    }
}
