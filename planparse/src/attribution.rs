//! Shares out an inclusive quantity (time, cost) among operators so that the parts add up to the whole.
//!
//! EXPLAIN prints for each operator what it and everything below it took. Taking the children off would do,
//! if the figures agreed; they do not: a mean of 0.001 ms over 100,000 loops may be off by half of it, a child may
//! be cut short by a LIMIT, and what a repeated child costs per run is only known for the first. So the whole is
//! handed down from the top: no operator gets more than the one above it has.

/// One operator's entry in the tree along which a quantity is shared out.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Entry {
    /// What the operator and everything below it took, as far as it is known by itself.
    pub(crate) inclusive: f64,
    /// The operator in whose figure this one's is contained; none for a root.
    pub(crate) up: Option<usize>,
    /// Whether the figure is a product of a mean and a number of runs, and so less sure than its siblings'.
    pub(crate) repeated: bool,
}

/// What an operator gets.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Share {
    /// For itself and all that hangs below.
    pub(crate) inclusive: f64,
    /// For itself.
    pub(crate) exclusive: f64,
}

/// Returns the shares. The exclusive ones are never negative and add up to the inclusive ones of the roots.
pub(crate) fn distribute(entries: &[Entry]) -> Vec<Share> {
    let mut below: Vec<Vec<usize>> = vec![Vec::new(); entries.len()];
    let mut shares = vec![Share::default(); entries.len()];
    let mut order = Vec::with_capacity(entries.len());
    for (index, entry) in entries.iter().enumerate() {
        if let Some(up) = entry.up {
            below[up].push(index);
        } else {
            shares[index].inclusive = sane(entry.inclusive);
            order.push(index);
        }
    }
    let mut next = 0;
    while let Some(&index) = order.get(next) {
        next += 1;
        let known = sane(entries[index].inclusive);
        let scale = if known > 0.0 { shares[index].inclusive / known } else { 0.0 };
        let mut left = shares[index].inclusive;
        for repeated in [false, true] {
            let group = || {
                below[index].iter().copied().filter(|child| entries[*child].repeated == repeated)
            };
            let wanted = group().map(|child| sane(entries[child].inclusive) * scale).sum::<f64>();
            let fit = if wanted > left { left / wanted } else { 1.0 };
            for child in group() {
                shares[child].inclusive = sane(entries[child].inclusive) * scale * fit;
            }
            left = (left - wanted * fit).max(0.0);
        }
        shares[index].exclusive = left;
        order.extend(&below[index]);
    }
    shares
}

/// Keeps figures within a range in which sums and products stay finite.
fn sane(figure: f64) -> f64 {
    if figure.is_nan() { 0.0 } else { figure.clamp(0.0, 1e100) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exclusive(entries: &[(f64, Option<usize>, bool)]) -> Vec<f64> {
        let entry = |&(inclusive, up, repeated): &_| Entry { inclusive, up, repeated };
        distribute(&entries.iter().map(entry).collect::<Vec<_>>())
            .iter()
            .map(|share| share.exclusive)
            .collect()
    }

    #[test]
    fn children_are_taken_off() {
        assert_eq!(
            exclusive(&[(10.0, None, false), (4.0, Some(0), false), (3.0, Some(1), false)]),
            [6.0, 1.0, 3.0]
        );
    }

    #[test]
    fn a_child_gets_no_more_than_its_parent_has_and_passes_the_cut_on() {
        assert_eq!(
            exclusive(&[(10.0, None, false), (40.0, Some(0), false), (20.0, Some(1), false)]),
            [0.0, 5.0, 5.0]
        );
    }

    #[test]
    fn the_less_sure_figure_gives_way() {
        let nested_loop = [(180.0, None, false), (100.0, Some(0), false), (150.0, Some(0), true)];
        assert_eq!(exclusive(&nested_loop), [0.0, 100.0, 80.0]);
    }

    #[test]
    fn several_roots_and_no_figures() {
        assert_eq!(
            exclusive(&[(0.0, None, false), (5.0, Some(0), false), (2.0, None, false)]),
            [0.0, 0.0, 2.0]
        );
        assert!(exclusive(&[]).is_empty());
    }
}
