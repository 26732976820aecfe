//! Numbers that look random and are the same in every run.

/// A sequence of numbers that its seed decides (the generator splitmix64, by Sebastiano Vigna).
#[derive(Debug, Clone)]
pub(crate) struct Draws {
    state: u64,
}

impl Draws {
    /// Starts the sequence of a seed.
    pub(crate) fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    /// Returns the next number, any of the type's being as likely.
    pub(crate) fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Returns a number from 0 to below the limit, all being as likely; the limit is not 0.
    pub(crate) fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit as u64) as usize
    }

    /// Returns a number from 0 to below the limit, of which half are in its first eighth.
    pub(crate) fn skewed(&mut self, limit: usize) -> usize {
        let share = (self.next() >> 11) as f64 / (1_u64 << 53) as f64;
        (share.powi(3) * limit as f64) as usize
    }

    /// Puts the items into a random order.
    pub(crate) fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.below(last + 1));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Draws;

    #[test]
    fn the_generator_is_splitmix64() {
        // The first outputs for seed 1234567, as published with the generator.
        let mut draws = Draws::new(1_234_567);
        let first = [draws.next(), draws.next(), draws.next()];
        let published =
            [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423];
        assert_eq!(first, published);
    }

    #[test]
    fn draws_stay_below_their_limit_and_are_skewed_where_they_should_be() {
        let mut draws = Draws::new(1);
        let even: Vec<usize> = (0..8000).map(|_| draws.below(80)).collect();
        let skewed: Vec<usize> = (0..8000).map(|_| draws.skewed(80)).collect();
        assert!(even.iter().chain(&skewed).all(|&number| number < 80));
        let in_first_eighth = |numbers: &[usize]| numbers.iter().filter(|&&n| n < 10).count();
        assert!((900..1100).contains(&in_first_eighth(&even)));
        assert!((3800..4200).contains(&in_first_eighth(&skewed)));
    }
}
