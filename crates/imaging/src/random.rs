//! Random numbers for phantoms: a function of seed, stream and position, so that nothing depends on order.

/// Numbers of one stream.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Random {
    key: u64,
}

/// The finaliser of SplitMix64 (Steele, Lea & Flood, OOPSLA 2014).
fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

impl Random {
    /// Stream `stream` of `seed`.
    pub fn new(seed: u64, stream: u64) -> Self {
        Self { key: mix(seed ^ mix(stream.wrapping_add(0x9E37_79B9_7F4A_7C15))) }
    }

    /// A number in `[0, 1)` for a position.
    pub fn uniform(&self, position: u64) -> f64 {
        (mix(self.key.wrapping_add(position.wrapping_mul(0x9E37_79B9_7F4A_7C15))) >> 11) as f64
            / (1u64 << 53) as f64
    }

    /// A number between two bounds.
    pub fn between(&self, position: u64, low: f64, high: f64) -> f64 {
        low + (high - low) * self.uniform(position)
    }

    /// A standard normal number, from twelve uniform ones: fast, and exact enough for image noise.
    pub fn normal(&self, position: u64) -> f64 {
        let bits = |i: u64| {
            let word =
                mix(self.key ^ position.wrapping_mul(3).wrapping_add(i).wrapping_mul(0xD6E8_FEB8_6659_FD93));
            (0..4).map(|k| ((word >> (16 * k)) & 0xffff) as f64).sum::<f64>()
        };
        (bits(0) + bits(1) + bits(2)) / 65536.0 - 6.0
    }
}
