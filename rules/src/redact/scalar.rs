//! Numbers and points in time, from their text and to it.

use std::fmt::Write as _;

use chrono::{DateTime, Datelike as _, FixedOffset, NaiveDate, NaiveDateTime, Timelike as _};

use super::line::{PARTS, Point, WHOLE_MAX};

/// Parts of a day that make a microsecond, rounded down.
const MICROSECOND: u64 = PARTS / 86_400_000_000;

/// A number as PostgreSQL, JSON or SQL writes it; `None` for anything else, also `NaN` and `Infinity`.
pub(super) fn number(text: &str) -> Option<Point> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let (mantissa, exponent) = match digits.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().ok()?),
        None => (digits, 0),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let all = format!("{whole}{fraction}");
    if all.is_empty() || !all.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let point = i64::try_from(whole.len()).ok()? + i64::from(exponent);
    let digit = |at: i64| {
        usize::try_from(at).ok().and_then(|at| all.as_bytes().get(at)).map_or(0, |d| d - b'0')
    };
    let mut units: i128 = 0;
    for at in 0..point.max(0) {
        units = units * 10 + i128::from(digit(at));
        if units >= WHOLE_MAX {
            units = WHOLE_MAX;
            break;
        }
    }
    let parts = (point..point + 18).fold(0_u64, |parts, at| parts * 10 + u64::from(digit(at)));
    Some(match (negative, parts) {
        (false, part) => Point { whole: units, part },
        (true, 0) => Point::whole(-units),
        (true, part) => Point { whole: -units - 1, part: PARTS - part },
    })
}

/// A number as text. Two digits of a fraction suffice where the whole part tells the points apart.
pub(super) fn number_text(point: Point) -> String {
    if point.part == 0 {
        return point.whole.to_string();
    }
    let (sign, whole, part) = if point.whole < 0 {
        ("-", -point.whole - 1, PARTS - point.part)
    } else {
        ("", point.whole, point.part)
    };
    let fraction = format!("{part:018}");
    format!("{sign}{whole}.{}", fraction.trim_end_matches('0'))
}

/// How a point in time was written, to be written so again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Written {
    /// Between date and time: a space or `T`; `None` for a date alone.
    separator: Option<char>,
    /// The zone as written: `+00`, `Z`, or empty.
    zone: String,
}

impl Written {
    /// The same with a clock: a date between two points in time seldom becomes a date.
    pub(super) fn with_clock(self) -> Self {
        Self { separator: self.separator.or(Some(' ')), ..self }
    }

    /// Whether it is a date alone.
    pub(super) fn is_date(&self) -> bool {
        self.separator.is_none()
    }
}

/// A point in time with its form; `None` for anything else.
pub(super) fn time(text: &str) -> Option<(Point, Written)> {
    let day = |date: NaiveDate| i128::from(date.num_days_from_ce());
    if let Ok(date) = NaiveDate::parse_from_str(text, "%Y-%m-%d") {
        let plain = text.len() >= 8 && text.as_bytes().first()?.is_ascii_digit();
        let form = Written { separator: None, zone: String::new() };
        return plain.then_some((Point::whole(day(date)), form));
    }
    let separator = text.chars().find(|c| matches!(c, ' ' | 'T'))?;
    let rest = text.split_once(separator)?.1;
    let zone_at = rest.find(['+', '-', 'Z']).unwrap_or(rest.len());
    let (zone, bare) = (&rest[zone_at..], &text[..text.len() - (rest.len() - zone_at)]);
    let formats = ["%H:%M:%S%.f", "%H:%M"].map(|clock| format!("%Y-%m-%d{separator}{clock}"));
    let local = formats.iter().find_map(|form| NaiveDateTime::parse_from_str(bare, form).ok())?;
    let utc = match zone {
        "" | "Z" => local,
        _ => {
            let padded = if zone.len() == 3 { format!("{zone}:00") } else { zone.to_owned() };
            let offset = DateTime::parse_from_str(
                &format!("2000-01-01 00:00:00{padded}"),
                "%Y-%m-%d %H:%M:%S%:z",
            );
            local - *offset.ok().map(|time: DateTime<FixedOffset>| *time.offset()).as_ref()?
        }
    };
    let clock = utc.time();
    let micros = u64::from(clock.num_seconds_from_midnight()) * 1_000_000
        + u64::from(clock.nanosecond() / 1000).min(999_999);
    let zone = if zone.is_empty() || zone == "Z" { zone } else { "+00" };
    let point = Point { whole: day(utc.date()), part: micros * MICROSECOND };
    Some((point, Written { separator: Some(separator), zone: zone.to_owned() }))
}

/// A point in time in a form that [`time`] read.
pub(super) fn time_text(point: Point, form: &Written) -> Option<String> {
    let date = NaiveDate::from_num_days_from_ce_opt(i32::try_from(point.whole).ok()?)?;
    let mut text = date.format("%Y-%m-%d").to_string();
    if let Some(separator) = form.separator {
        let micros = (point.part / MICROSECOND).min(86_399_999_999);
        let (seconds, rest) = (micros / 1_000_000, micros % 1_000_000);
        let _ = write!(
            text,
            "{separator}{:02}:{:02}:{:02}",
            seconds / 3600,
            seconds / 60 % 60,
            seconds % 60
        );
        if rest > 0 {
            text.push_str(format!(".{rest:06}").trim_end_matches('0'));
        }
        text.push_str(&form.zone);
    }
    Some(text)
}

/// A point in time out of one of chrono's.
pub(super) fn instant(time: DateTime<chrono::Utc>) -> Point {
    let micros = time.timestamp_micros();
    let (days, rest) = (micros.div_euclid(86_400_000_000), micros.rem_euclid(86_400_000_000));
    let epoch = NaiveDate::default().num_days_from_ce();
    Point {
        whole: i128::from(days) + i128::from(epoch),
        part: u64::try_from(rest).unwrap_or(0) * MICROSECOND,
    }
}

#[cfg(test)]
mod tests {
    use super::{instant, number, number_text, time, time_text};

    #[test]
    fn numbers_come_back_and_compare() {
        for text in ["0", "5", "-5", "12.5", "-12.5", "-0.25", "9223372036854775807", "0.000001"] {
            assert_eq!(number_text(number(text).unwrap()), text);
        }
        assert_eq!(number("1e+3"), number("1000"));
        assert_eq!(number("2.50"), number("2.5"));
        assert_eq!(number("1.5e-2"), number("0.015"));
        let sorted = ["-1e40", "-12.5", "-12.25", "-12", "0", "0.1", "1", "1e300"];
        assert!(sorted.map(|text| number(text).unwrap()).is_sorted());
        for text in ["", "-", "abc", "NaN", "Infinity", "1.2.3", "0x1f", "1 ", "e5", "1e"] {
            assert_eq!(number(text), None, "{text}");
        }
    }

    #[test]
    fn times_come_back_in_their_form() {
        for text in [
            "2024-05-01",
            "2024-05-01 12:34:56.789+00",
            "2024-05-01 00:00:00",
            "2024-05-01T10:00:00Z",
            "1969-12-31 23:59:59.999999+00",
        ] {
            let (point, form) = time(text).unwrap();
            assert_eq!(time_text(point, &form).as_deref(), Some(text));
        }
        assert_eq!(time("2024-05-01 12:00+02").unwrap().0, time("2024-05-01 10:00:00").unwrap().0);
        assert!(time("2024-05-01").unwrap().0 < time("2024-05-01 00:00:01").unwrap().0);
        for text in ["infinity", "2024", "2024-13-01", "0044-03-15 BC", "abc", "", "10:00"] {
            assert_eq!(time(text), None, "{text}");
        }
        let now = chrono::DateTime::from_timestamp_micros(-1).unwrap();
        assert_eq!(instant(now), time("1969-12-31 23:59:59.999999+00").unwrap().0);
    }
}
