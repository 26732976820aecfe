//! Replacements of values of which only order and equality count: UUIDs, bytes, network addresses.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

/// The replacements of the values of one type.
#[derive(Clone, Debug, Default)]
pub(super) struct Ranked {
    replacements: BTreeMap<String, String>,
}

impl Ranked {
    /// UUIDs, spread over all there are.
    pub(super) fn uuids(values: &BTreeSet<String>, pinned: &BTreeSet<String>) -> Self {
        Self::new(values, pinned, uuid, |rank, count| {
            let number = (u128::MAX / (count as u128 + 1)).saturating_mul(rank as u128 + 1);
            let hex = format!("{number:032x}");
            format!(
                "{}-{}-{}-{}-{}",
                &hex[..8],
                &hex[8..12],
                &hex[12..16],
                &hex[16..20],
                &hex[20..]
            )
        })
    }

    /// Bytes, in their hexadecimal form; four of each.
    pub(super) fn bytes(values: &BTreeSet<String>, pinned: &BTreeSet<String>) -> Self {
        let key = |value: &str| value.strip_prefix("\\x").map(str::to_ascii_lowercase);
        Self::new(values, pinned, key, |rank, count| {
            let step = u64::from(u32::MAX) / (count as u64 + 1);
            format!("\\x{:08x}", step * (rank as u64 + 1))
        })
    }

    /// Addresses, each a host of its own in a private network: `10.0.0.0/8` or `fd00::/8`.
    pub(super) fn networks(values: &BTreeSet<String>, pinned: &BTreeSet<String>) -> Self {
        let mut made = Self::default();
        for six in [false, true] {
            let of_family = |value: &&String| Network::read(value).is_some_and(|of| of.six == six);
            let family: BTreeSet<String> = values.iter().filter(of_family).cloned().collect();
            let print = |rank: usize, count: usize| {
                if six {
                    format!("fd00::{:x}:{:x}", (rank + 1) >> 16, (rank + 1) & 0xffff)
                } else {
                    let number = (rank + 1) * (0x00ff_fffe / (count + 1)).max(1);
                    let [_, a, b, c] = u32::try_from(number).unwrap_or(u32::MAX).to_be_bytes();
                    format!("10.{a}.{b}.{c}")
                }
            };
            let of = Self::new(&family, pinned, Network::read, print);
            made.replacements.extend(of.replacements);
        }
        made
    }

    fn new<K: Ord>(
        values: &BTreeSet<String>,
        pinned: &BTreeSet<String>,
        key: impl Fn(&str) -> Option<K>,
        print: impl Fn(usize, usize) -> String,
    ) -> Self {
        let mut sorted: BTreeMap<K, Vec<&String>> = BTreeMap::new();
        for value in values {
            if let Some(key) = key(value) {
                sorted.entry(key).or_default().push(value);
            }
        }
        let count = sorted.len();
        let mut replacements = BTreeMap::new();
        for (rank, (_, equal)) in sorted.into_iter().enumerate() {
            for value in equal {
                let stays = pinned.contains(value);
                let text = if stays { value.clone() } else { print(rank, count) };
                replacements.insert(value.clone(), text);
            }
        }
        Self { replacements }
    }

    /// The replacement of a value.
    pub(super) fn replacement(&self, value: &str) -> Option<String> {
        self.replacements.get(value).cloned()
    }
}

/// The 32 digits of a UUID.
pub(super) fn uuid(value: &str) -> Option<String> {
    let digits: String = value.chars().filter(|c| !matches!(c, '-' | '{' | '}')).collect();
    let all = digits.len() == 32 && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    all.then(|| digits.to_ascii_lowercase())
}

/// An address in the order of PostgreSQL (`network_cmp`): by the bits that both networks have, then by how many
/// those are, then by all bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Network {
    six: bool,
    address: u128,
    bits: u32,
}

impl Network {
    fn read(value: &str) -> Option<Self> {
        let (address, bits) = value.split_once('/').map_or((value, None), |(a, b)| (a, Some(b)));
        let (six, address, width) = match address.parse::<IpAddr>().ok()? {
            IpAddr::V4(four) => (false, u128::from(four.to_bits()) << 96, 32),
            IpAddr::V6(six) => (true, six.to_bits(), 128),
        };
        let bits =
            bits.map_or(Some(width), |bits| bits.parse().ok()).filter(|bits| *bits <= width)?;
        Some(Self { six, address, bits })
    }
}

impl Ord for Network {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        let common = self.bits.min(other.bits);
        let head = |of: &Self| of.address.checked_shr(128 - common).unwrap_or(0);
        self.six
            .cmp(&other.six)
            .then_with(|| head(self).cmp(&head(other)))
            .then_with(|| self.bits.cmp(&other.bits))
            .then_with(|| self.address.cmp(&other.address))
    }
}

impl PartialOrd for Network {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::Ranked;

    fn made(
        of: fn(&BTreeSet<String>, &BTreeSet<String>) -> Ranked,
        values: &[&str],
    ) -> Vec<String> {
        let set = values.iter().map(|value| (*value).to_owned()).collect();
        let ranked = of(&set, &BTreeSet::new());
        values.iter().map(|value| ranked.replacement(value).unwrap_or_default()).collect()
    }

    #[test]
    fn order_is_kept() {
        let uuids = made(
            Ranked::uuids,
            &[
                "00000000-0000-0000-0000-000000000001",
                "0A000000-0000-0000-0000-000000000001",
                "f0000000-0000-0000-0000-000000000001",
                "no uuid",
            ],
        );
        assert!(uuids[..3].is_sorted() && uuids[0] < uuids[1] && uuids[3].is_empty(), "{uuids:?}");
        let bytes = made(Ranked::bytes, &["\\x", "\\x00", "\\x0001", "\\xff"]);
        assert!(bytes.is_sorted() && bytes[0] < bytes[1], "{bytes:?}");
        let networks = made(
            Ranked::networks,
            &["10.0.0.0/8", "10.1.0.0/16", "10.1.2.3", "192.168.0.1", "::1", "fe80::/10"],
        );
        assert_eq!(
            networks,
            [
                "10.51.51.50",
                "10.102.102.100",
                "10.153.153.150",
                "10.204.204.200",
                "fd00::0:1",
                "fd00::0:2"
            ]
        );
    }
}
