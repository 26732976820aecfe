//! Figures as people read them.

/// A time: `0.05 ms`, `12 ms`, `3.4 s`, `2 min 5 s`, `3 h 20 min`, `2 d 4 h`.
pub(crate) fn duration(ms: f64) -> String {
    let ms = ms.max(0.0);
    if ms < 10.0 {
        return if ms == 0.0 { "0 ms".to_owned() } else { format!("{ms:.2} ms") };
    }
    if ms < 999.5 {
        return format!("{ms:.0} ms");
    }
    if ms < 59_950.0 {
        return format!("{:.1} s", ms / 1000.0);
    }
    let seconds = (ms / 1000.0).round() as u64;
    let pair = |large: u64, big: &str, small: u64, little: &str| match small {
        0 => format!("{large} {big}"),
        _ => format!("{large} {big} {small} {little}"),
    };
    if seconds < 3_600 {
        return pair(seconds / 60, "min", seconds % 60, "s");
    }
    let minutes = (seconds + 30) / 60;
    if minutes < 24 * 60 {
        return pair(minutes / 60, "h", minutes % 60, "min");
    }
    let hours = (minutes + 30) / 60;
    pair(hours / 24, "d", hours % 24, "h")
}

/// A size as PostgreSQL prints it (1 kB is 1024 bytes): `812 bytes`, `34 MB`, `1.8 GB`.
pub(crate) fn bytes(bytes: u64) -> String {
    let mut value = bytes as f64;
    let mut unit = "bytes";
    for next in ["kB", "MB", "GB", "TB"] {
        if value < 1023.5 {
            break;
        }
        value /= 1024.0;
        unit = next;
    }
    if unit != "bytes" && value < 9.95 {
        format!("{value:.1} {unit}")
    } else {
        format!("{value:.0} {unit}")
    }
}

/// A share of one: `47 %`, `3.1 %`, `under 0.1 %`.
pub(crate) fn percent(share: f64) -> String {
    let value = share * 100.0;
    if value <= 0.0 {
        "0 %".to_owned()
    } else if value < 0.1 {
        "under 0.1 %".to_owned()
    } else if value < 9.95 {
        format!("{value:.1} %")
    } else {
        format!("{value:.0} %")
    }
}

/// A whole number with separated thousands: `1,234,567`.
pub(crate) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (position, digit) in digits.chars().enumerate() {
        if position > 0 && (digits.len() - position).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// A planner cost: `8.31`, `12,345`.
pub(crate) fn cost(cost: f64) -> String {
    if cost < 99.995 { format!("{cost:.2}") } else { count(cost.round() as u64) }
}

/// How many times less: `1,490 times less`, `1.4 times less`, `half`-way figures with one decimal.
pub(crate) fn times_less(before: f64, after: f64) -> String {
    let factor = before / after.max(f64::MIN_POSITIVE);
    if !factor.is_finite() {
        "nothing left of it".to_owned()
    } else if factor >= 9.95 {
        format!("{} times less", count(factor.round() as u64))
    } else if factor >= 1.0 {
        format!("{factor:.1} times less")
    } else {
        format!("{:.1} times more", 1.0 / factor)
    }
}

/// A window of days: `6.5 days`, `20 hours`, `1 hour`.
pub(crate) fn days(days: f64) -> String {
    let hours = days * 24.0;
    if hours < 1.5 {
        "1 hour".to_owned()
    } else if hours < 48.0 {
        format!("{hours:.0} hours")
    } else if days < 9.95 {
        format!("{days:.1} days")
    } else {
        format!("{days:.0} days")
    }
}

/// `1 table`, `12 tables`.
pub(crate) fn plural(number: usize, one: &str, many: &str) -> String {
    format!("{} {}", count(number as u64), if number == 1 { one } else { many })
}

#[cfg(test)]
mod tests {
    use super::{bytes, cost, count, days, duration, percent, plural, times_less};

    #[test]
    fn times_grow_into_larger_units() {
        let shown = [
            0.0,
            0.05,
            9.99,
            12.4,
            999.4,
            999.6,
            59_949.0,
            59_999.0,
            125_000.0,
            3_599_600.0,
            12_000_000.0,
        ];
        assert_eq!(
            shown.map(duration),
            [
                "0 ms",
                "0.05 ms",
                "9.99 ms",
                "12 ms",
                "999 ms",
                "1.0 s",
                "59.9 s",
                "1 min",
                "2 min 5 s",
                "1 h",
                "3 h 20 min"
            ]
        );
        assert_eq!(duration(187_200_000.0), "2 d 4 h");
    }

    #[test]
    fn sizes_are_powers_of_1024() {
        let shown = [0, 812, 1024, 8192, 34 << 20, 1_932_735_283, 3 << 40];
        assert_eq!(
            shown.map(bytes),
            ["0 bytes", "812 bytes", "1.0 kB", "8.0 kB", "34 MB", "1.8 GB", "3.0 TB"]
        );
    }

    #[test]
    fn shares_counts_and_costs() {
        assert_eq!(
            [0.0, 0.0004, 0.031, 0.47, 1.0].map(percent),
            ["0 %", "under 0.1 %", "3.1 %", "47 %", "100 %"]
        );
        assert_eq!([0, 999, 1000, 1_234_567].map(count), ["0", "999", "1,000", "1,234,567"]);
        assert_eq!([0.29, 8.314, 12_345.4].map(cost), ["0.29", "8.31", "12,345"]);
        assert_eq!(times_less(12_345.0, 8.3), "1,487 times less");
        assert_eq!(times_less(14.0, 10.0), "1.4 times less");
        assert_eq!(times_less(10.0, 20.0), "2.0 times more");
        assert_eq!(times_less(10.0, 0.0), "nothing left of it");
        assert_eq!(
            [0.01, 0.9, 6.54, 31.2].map(days),
            ["1 hour", "22 hours", "6.5 days", "31 days"]
        );
        assert_eq!(plural(1, "table", "tables"), "1 table");
        assert_eq!(plural(1200, "table", "tables"), "1,200 tables");
    }
}
