//! Which entries a GIN index will hold, and in how many rows each, from what little of them is known.
//!
//! Statistics know the frequent ones. Of the others there is their mass (entries per row, all entries taken together),
//! which a sample tells without bias, and how often entries came up again in the sample. The rest of the entries is
//! taken to fall off as a power of their rank, with the exponent and the number that would have given such a sample
//! (the species problem; Good 1953 for the mass, the fit by least squares is ours).

use super::ColumnShape;
use super::groups::{Class, Frequencies, power_law};
use super::share;

/// Entries that are alike.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Entries {
    /// Number of them; not all need occur.
    pub values: f64,
    /// Share of the rows that have a certain one of them.
    pub share: f64,
    /// Bytes of the key in an index tuple, with its own header, before alignment.
    pub bytes: f64,
}

/// An entry as a sample of documents shows it.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Seen {
    /// Share of all rows known to have it: the frequencies of those most common documents that do.
    pub common: f64,
    /// Documents of the sample that have it.
    pub count: u32,
    /// Bytes of its key.
    pub bytes: f64,
}

/// The sample in which entries were seen.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sample {
    /// Documents in it.
    pub documents: f64,
    /// Share of all rows that it stands for.
    pub share: f64,
    /// Rows of the table.
    pub rows: f64,
}

/// Times an entry must be seen for its own share to be trusted.
const SEEN_MIN: u32 = 6;
/// Exponents that the fit tries; 1 is Zipf's law.
const EXPONENTS: [f64; 6] = [0.0, 0.5, 0.8, 1.0, 1.2, 1.5];
/// Values for each occurrence in the table beyond which nothing comes twice: as good as any number.
const UNBOUNDED: f64 = 1000.0;
/// Values for each occurrence that tell of numbers or times counted up.
const COUNTED: std::ops::Range<f64> = 0.9..1.1;
/// Below this exponent the end of a list of common elements is too flat to tell where the others end.
const FLAT_MAX: f64 = 0.3;

/// The entries of a column each row of which is one entry (`btree_gin`).
pub fn scalar_entries(rows: f64, column: &ColumnShape) -> Vec<Entries> {
    let present = 1.0 - share(column.null_fraction);
    let bytes = if column.fixed { column.width } else { column.width.max(1.0) };
    let classes = Frequencies::of(rows, column);
    let entry = |(values, share)| Entries { values, share: share * present, bytes };
    classes.iter().map(entry).collect()
}

/// How the shares of rare entries fall off with their rank.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Law {
    /// As fits the sample best.
    Fitted,
    /// As one over the rank, as with the words of a language (Zipf). A sample of a hundred texts tells the size of a
    /// vocabulary well if the exponent is known, and hardly at all if it is not.
    Zipf,
}

/// The entries of which some were seen. `capacity` is a bound on their number.
pub fn sampled_entries(seen: &[Seen], sample: Sample, capacity: f64, law: Law) -> Vec<Entries> {
    let each = if sample.documents > 0.0 { sample.share / sample.documents } else { 0.0 };
    let mut entries = Vec::new();
    let mut rest = Rest::default();
    for one in seen {
        if one.common > 0.0 || one.count >= SEEN_MIN {
            let share = one.common + each * f64::from(one.count);
            entries.push(Entries { values: 1.0, share, bytes: one.bytes });
        } else {
            rest.add(one);
        }
    }
    if rest.distinct > 0.0 {
        let first = entries.len().max(1) as f64;
        let bytes = rest.bytes / rest.tokens;
        let occurrences = rest.tokens * each * sample.rows;
        // As many values as occurrences, and none of them twice: they are counted up, not drawn.
        let counted = rest.once >= rest.tokens && COUNTED.contains(&(capacity / occurrences));
        let bound = if counted { f64::INFINITY } else { capacity - entries.len() as f64 };
        let most = bound.min(UNBOUNDED * occurrences);
        let classes = rest.fit(first, sample.documents, most.max(rest.distinct), law);
        // The fit counts by documents of the sample, which stand for only so many rows.
        let entry = |class: Class| Entries {
            values: class.values,
            share: class.share * sample.share,
            bytes,
        };
        entries.extend(classes.into_iter().map(entry));
    }
    entries
}

/// Entries seen too rarely to be known one by one.
#[derive(Debug, Default)]
struct Rest {
    distinct: f64,
    tokens: f64,
    /// Number of those seen once, and twice.
    once: f64,
    twice: f64,
    /// Bytes of all, each as often as seen.
    bytes: f64,
}

impl Rest {
    fn add(&mut self, one: &Seen) {
        let count = f64::from(one.count);
        self.distinct += 1.0;
        self.tokens += count;
        self.once += f64::from(u8::from(one.count == 1));
        self.twice += f64::from(u8::from(one.count == 2));
        self.bytes += count * one.bytes;
    }

    /// The law that would have given this sample.
    fn fit(&self, first: f64, documents: f64, most: f64, law: Law) -> Vec<Class> {
        let weight = self.tokens / documents;
        if self.distinct >= self.tokens {
            return vec![Class { values: most, share: weight / most }];
        }
        let mut best = (f64::INFINITY, Vec::new());
        let exponents: &[f64] = if law == Law::Zipf { &[1.0] } else { &EXPONENTS };
        for &exponent in exponents {
            let law = |values: f64| power_law(first, values, exponent, weight);
            let (mut low, mut high) = (self.distinct.ln(), most.ln());
            for _ in 0..40 {
                let middle = f64::midpoint(low, high);
                let enough = expected(&law(middle.exp()), documents)[0] >= self.distinct;
                if enough { high = middle } else { low = middle }
            }
            let classes = law(high.exp());
            let [distinct, once, twice] = expected(&classes, documents);
            let miss = |expected: f64, seen: f64| (expected - seen).powi(2) / (expected + 1.0);
            let misses =
                miss(distinct, self.distinct) + miss(once, self.once) + miss(twice, self.twice);
            if misses < best.0 {
                best = (misses, classes);
            }
        }
        best.1
    }
}

/// Number of entries that so many documents would show, and of those shown once and twice.
fn expected(classes: &[Class], documents: f64) -> [f64; 3] {
    let mut sums = [0.0; 3];
    for class in classes {
        let mean = documents * class.share;
        let none = (-mean).exp();
        sums[0] += class.values * -(-mean).exp_m1();
        sums[1] += class.values * mean * none;
        sums[2] += class.values * mean * mean / 2.0 * none;
    }
    sums
}

/// Elements of which the most common are known with their frequencies (`most_common_elems`), as ANALYZE finds them
/// for arrays and `tsvector`.
#[derive(Debug, Clone, PartialEq)]
pub struct Elements {
    /// Share of all rows and key bytes of each common element.
    pub common: Vec<(f64, f64)>,
    /// Distinct elements of a row, on average over all rows.
    pub per_row: f64,
    /// Bytes of the keys of the others.
    pub bytes: f64,
    /// A bound on the number of all elements.
    pub capacity: f64,
}

/// The common elements, and the others continuing their frequencies until the elements of a row are used up.
pub fn element_entries(rows: f64, elements: &Elements) -> Vec<Entries> {
    let mut shares: Vec<f64> = elements.common.iter().map(|common| common.0).collect();
    shares.sort_by(|a, b| b.total_cmp(a));
    let known: f64 = shares.iter().sum();
    let weight = elements.per_row - known;
    let known_entry = |&(share, bytes): &(f64, f64)| Entries { values: 1.0, share, bytes };
    let mut entries: Vec<Entries> = elements.common.iter().map(known_entry).collect();
    let count = shares.len() as f64;
    let most = (elements.capacity - count).min(UNBOUNDED * weight * rows);
    let (Some(&last), true) = (shares.last(), weight > 0.005 * elements.per_row && most >= 1.0)
    else {
        return entries;
    };
    // A steeper end would go on without end; Zipf's law is as steep as vocabularies are.
    let exponent = ((shares[shares.len() / 4] / last).ln() / 4f64.ln()).clamp(0.0, 1.0);
    let mut values = ranks_until(weight / (last * count), exponent) * count;
    if exponent < FLAT_MAX && values < most {
        values = (values * most.min(weight * rows)).sqrt();
    }
    let classes = power_law(count, values.clamp(1.0, most), exponent, weight);
    let entry =
        |class: Class| Entries { values: class.values, share: class.share, bytes: elements.bytes };
    entries.extend(classes.into_iter().map(entry));
    entries
}

/// Entries of which nothing is known but how many there are, how many of them a row has, and their bytes: they follow
/// Zipf's law.
pub fn power_law_entries(values: f64, per_row: f64, bytes: f64) -> Vec<Entries> {
    let classes = power_law(1.0, values.max(1.0), 1.0, per_row);
    classes
        .into_iter()
        .map(|class| Entries { values: class.values, share: class.share, bytes })
        .collect()
}

/// How far beyond the rank 1 a power law that is 1 there must go for its sum to reach `weight`; infinite if it never does.
fn ranks_until(weight: f64, exponent: f64) -> f64 {
    let rest = 1.0 - exponent;
    if rest.abs() < 1e-6 {
        return weight.exp() - 1.0;
    }
    let base = 1.0 + weight * rest;
    if base <= 0.0 { f64::INFINITY } else { base.powf(1.0 / rest) - 1.0 }
}

#[cfg(test)]
mod tests {
    use super::{Elements, Law, Sample, Seen, element_entries, sampled_entries};

    fn seen(count: u32) -> Seen {
        Seen { common: 0.0, count, bytes: 8.0 }
    }

    #[test]
    fn what_never_came_again_is_as_many_as_can_be() {
        let sample = Sample { documents: 100.0, share: 1.0, rows: 1e6 };
        let entries = sampled_entries(&[seen(1); 100], sample, 1e9, Law::Fitted);
        assert!(
            entries[0].values > 1e8 && (entries[0].values * entries[0].share - 1.0).abs() < 1e-6
        );
        let bounded = sampled_entries(&[seen(1); 100], sample, 5000.0, Law::Fitted);
        assert!((bounded[0].values - 5000.0).abs() < 1.0);
    }

    #[test]
    fn what_came_again_tells_how_many_there_are() {
        // 100 draws out of 100 equal values show 63 of them, 37 once and 18 twice.
        let mut drawn = vec![seen(1); 37];
        drawn.extend([seen(2); 18]);
        drawn.extend([seen(3); 6]);
        drawn.extend([seen(4); 2]);
        let sample = Sample { documents: 100.0, share: 1.0, rows: 1e6 };
        let values: f64 = sampled_entries(&drawn, sample, 1e9, Law::Fitted)
            .iter()
            .map(|entry| entry.values)
            .sum();
        assert!((80.0..130.0).contains(&values), "{values}");
    }

    #[test]
    fn uncommon_elements_go_on_as_the_common_ones_end() {
        // Zipf's law over 10,000 elements, of which 1,000 are known; a row has one.
        let norm: f64 = (1..=10_000).map(|rank| 1.0 / f64::from(rank)).sum();
        let common = (1..=1000).map(|rank| (1.0 / f64::from(rank) / norm, 5.0)).collect();
        let elements = Elements { common, per_row: 1.0, bytes: 6.0, capacity: f64::INFINITY };
        let values: f64 = element_entries(1e7, &elements).iter().map(|entry| entry.values).sum();
        assert!((9000.0..11_000.0).contains(&values), "{values}");
    }
}
