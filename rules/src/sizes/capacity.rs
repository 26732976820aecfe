//! How many different values there can be, judged by some of them.
//!
//! Of a sample without repetition nothing else bounds the number of values: integers and times lie in a range, on
//! steps of their greatest common divisor; codes have a few characters to choose from in each place.

use std::collections::BTreeSet;

use super::evaluate::moment;
use super::kind::Kind;

/// Values needed to judge by.
const VALUES_MIN: usize = 8;
/// Length of texts from which nothing is said any more.
const LENGTH_MAX: usize = 40;
/// Different distances between neighbours up to which numbers lie evenly.
const EVEN_GAPS: usize = 2;
/// Digits after the point that are looked at.
const DECIMALS_MAX: usize = 6;
/// Values for each character in a place from which no other character is expected there.
const SATURATED: usize = 4;

/// A bound on the number of values of a column, judged by some distinct ones; infinite where there is none.
pub(super) fn capacity<'a>(kind: Kind, values: impl Iterator<Item = &'a str>) -> f64 {
    let values: Vec<&str> = values.collect();
    match kind {
        Kind::Boolean => 2.0,
        _ if values.len() < VALUES_MIN => f64::INFINITY,
        Kind::Date | Kind::Timestamp => times(&values).unwrap_or(f64::INFINITY),
        Kind::Integer(_) | Kind::Numeric => numbers(&values).unwrap_or(f64::INFINITY),
        Kind::Text => numbers(&values).or_else(|| times(&values)).unwrap_or_else(|| texts(&values)),
        _ => f64::INFINITY,
    }
}

/// Whole numbers, or such with a few digits after the point; `None` when not all are.
fn numbers(values: &[&str]) -> Option<f64> {
    let decimals = |text: &&str| text.split_once('.').map_or(0, |(_, fraction)| fraction.len());
    let decimals = values.iter().map(decimals).max()?;
    // Digits padded with zeros are a code, but run through a range as numbers do.
    let plain =
        |text: &&str| text.bytes().all(|byte| byte.is_ascii_digit() || b".-".contains(&byte));
    if decimals > DECIMALS_MAX || !values.iter().all(plain) {
        return None;
    }
    let scale = 10f64.powi(i32::try_from(decimals).ok()?);
    let whole = |text: &&str| {
        let value = text.parse::<f64>().ok()? * scale;
        (value.abs() < 9e15).then(|| value.round() as i64)
    };
    steps(&values.iter().map(whole).collect::<Option<Vec<i64>>>()?, &[1000, 100, 10, 1])
}

fn times(values: &[&str]) -> Option<f64> {
    let micros = |text: &&str| Some(moment(text)?.and_utc().timestamp_micros());
    let moments = values.iter().map(micros).collect::<Option<Vec<i64>>>()?;
    steps(&moments, &[86_400_000_000, 3_600_000_000, 60_000_000, 1_000_000, 1000, 1])
}

/// Steps of the greatest common divisor in the range of the numbers, which is taken to reach as far beyond the sample
/// as it would if all of them were equally likely. The bounds of a histogram can lie evenly themselves; then only steps
/// of a whole `unit` (the largest first) are taken as such.
fn steps(numbers: &[i64], units: &[u64]) -> Option<f64> {
    let mut numbers = numbers.to_vec();
    numbers.sort_unstable();
    numbers.dedup();
    let (low, high) = (*numbers.first()?, *numbers.last()?);
    let gaps: BTreeSet<u64> = numbers.windows(2).map(|pair| pair[1].abs_diff(pair[0])).collect();
    let mut step = gaps.iter().fold(0, |step, gap| divisor(step, *gap));
    if step == 0 {
        return Some(1.0);
    }
    if gaps.len() <= EVEN_GAPS {
        step = units.iter().copied().find(|unit| step % unit == 0)?;
    }
    let count = numbers.len() as f64;
    Some((high.abs_diff(low) / step) as f64 * (count + 1.0) / (count - 1.0) + 1.0)
}

fn divisor(one: u64, other: u64) -> u64 {
    if other == 0 { one } else { divisor(other, one % other) }
}

/// Product over the places of the characters that can stand there; a place that only some of the texts reach counts
/// as much as it is reached.
fn texts(values: &[&str]) -> f64 {
    let texts: Vec<Vec<char>> = values.iter().map(|text| text.chars().collect()).collect();
    let longest = texts.iter().map(Vec::len).max().unwrap_or(0);
    if longest > LENGTH_MAX {
        return f64::INFINITY;
    }
    let mut logarithm = 0.0;
    for place in 0..longest {
        let there: Vec<char> = texts.iter().filter_map(|text| text.get(place)).copied().collect();
        let characters: BTreeSet<char> = there.iter().copied().collect();
        let choice = choice(&characters, there.len());
        logarithm += there.len() as f64 / texts.len() as f64 * choice.ln();
    }
    logarithm.exp()
}

/// How many characters there are to choose from, where `seen` times some of these were met.
fn choice(characters: &BTreeSet<char>, seen: usize) -> f64 {
    let all = |test: fn(&char) -> bool| characters.iter().all(test);
    if seen >= SATURATED * characters.len() {
        characters.len() as f64
    } else if all(char::is_ascii_digit) {
        10.0
    } else if all(char::is_ascii_hexdigit) {
        16.0
    } else if all(char::is_ascii_lowercase) || all(char::is_ascii_uppercase) {
        26.0
    } else if all(char::is_ascii_alphanumeric) {
        62.0
    } else {
        90.0
    }
}

#[cfg(test)]
mod tests {
    use super::{Kind, capacity};

    fn of(kind: Kind, values: &[String]) -> f64 {
        capacity(kind, values.iter().map(String::as_str))
    }

    #[test]
    fn numbers_and_times_lie_on_steps_in_a_range() {
        let numbers: Vec<String> =
            (0..100).map(|number| (number * number * 37 % 1009 * 5).to_string()).collect();
        assert!((900.0..1100.0).contains(&of(Kind::Integer(4), &numbers)));
        assert!((900.0..1100.0).contains(&of(Kind::Text, &numbers)));
        let days: Vec<String> = (1..29).map(|day| format!("2024-02-{day:02} 00:00:00")).collect();
        assert!((27.0..32.0).contains(&of(Kind::Timestamp, &days)));
    }

    #[test]
    fn codes_choose_from_few_characters_in_each_place() {
        let codes: Vec<String> =
            (0..100).map(|number| format!("user-{}", number * 617 % 5000)).collect();
        assert!((2000.0..12_000.0).contains(&of(Kind::Text, &codes)), "{}", of(Kind::Text, &codes));
        let hashes: Vec<String> = (0..100_u64)
            .map(|number| format!("{:032x}", number.wrapping_mul(0x9E37_79B9_7F4A_7C15)))
            .collect();
        assert!(of(Kind::Text, &hashes) > 1e12);
    }

    #[test]
    fn too_few_values_say_nothing() {
        assert!(of(Kind::Text, &["a".to_owned()]).is_infinite());
        assert!((of(Kind::Boolean, &[]) - 2.0).abs() < f64::EPSILON);
    }
}
