//! Random numbers of the suite, from a seed and a size that bounds every dimension, so that a failing case shrinks.

/// A stream of draws (SplitMix64).
pub(crate) struct Draw {
    state: u64,
    size: usize,
}

impl Draw {
    pub(crate) fn new(seed: u64, size: usize) -> Self {
        Self { state: seed, size: size.max(1) }
    }

    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// 0 to n - 1, whatever the size.
    pub(crate) fn below(&mut self, n: usize) -> usize {
        (self.next() % n as u64) as usize
    }

    /// 1 to n, and to the size at most.
    pub(crate) fn up_to(&mut self, n: usize) -> usize {
        1 + self.below(n.min(self.size))
    }

    pub(crate) fn flag(&mut self) -> bool {
        self.below(2) == 1
    }

    pub(crate) fn pick<T: Clone>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())].clone()
    }

    /// A single-precision number between -limit and limit.
    pub(crate) fn within(&mut self, limit: f64) -> f64 {
        let unit = (self.next() >> 40) as f64 / (1u64 << 23) as f64 - 1.0;
        f64::from((unit * limit) as f32)
    }

    /// A number as kernels meet them: zeros and equal values abound.
    pub(crate) fn number(&mut self) -> f64 {
        match self.below(8) {
            0 => 0.0,
            1 | 2 => (self.below(25) as f64 - 12.0) / 4.0,
            _ => self.within(2.0),
        }
    }

    pub(crate) fn numbers(&mut self, n: usize) -> Vec<f64> {
        (0..n).map(|_| self.number()).collect()
    }

    /// Numbers above 0.
    pub(crate) fn positives(&mut self, n: usize) -> Vec<f64> {
        (0..n).map(|_| self.within(2.0).abs() + 2f64.powi(-10)).map(|v| f64::from(v as f32)).collect()
    }
}
