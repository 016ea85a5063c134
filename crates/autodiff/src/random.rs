//! Random numbers that devices, methods and tests make alike: the words of a counter-based generator, and Gaussian noise of
//! single precision from them by the Box-Muller transform, in loops over arrays that compilers turn into vectors. As exact as the
//! noise of an image need be (to 1e-6 of the number), and the same on every machine and device: only sums, products, quotients
//! and square roots of single precision, each rounded by itself. What has no standard library has no square roots, so callers
//! bring theirs.

use core::array::from_fn;

/// Blocks of random words that are turned into numbers together.
const TOGETHER: usize = 32;

/// Normal numbers of a block of [`Philox`].
pub const NORMALS: usize = 4;

type Lanes<T> = [T; TOGETHER];

/// Philox 4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011): words are a function of the seed, a
/// stream, a draw and a block, so any part of the sequence can be made anywhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Philox {
    /// The key.
    pub seed: u64,
    /// The last word of the counter.
    pub stream: u32,
}

impl Philox {
    /// The four words of each of `N` blocks of a draw from block `first` on, word by word.
    pub fn blocks<const N: usize>(&self, draw: u32, first: u64) -> [[u32; N]; 4] {
        let key = [self.seed as u32, (self.seed >> 32) as u32];
        let low: [u32; N] = from_fn(|i| (first + i as u64) as u32);
        let high = from_fn(|i| ((first + i as u64) >> 32) as u32);
        rounds([low, high, [draw; N], [self.stream; N]], key)
    }

    /// Calls `take(i, number)` for `count` normal numbers of a draw from its block `first` on, of [`NORMALS`] each; `root` is
    /// the square root.
    pub fn normals(
        &self,
        (draw, first): (u32, u64),
        count: usize,
        root: impl Fn(f32) -> f32,
        mut take: impl FnMut(usize, f32),
    ) {
        for done in (0..count).step_by(TOGETHER * NORMALS) {
            let words = self.blocks::<TOGETHER>(draw, first + (done / NORMALS) as u64);
            let numbers = [pair(&words[0], &words[1], &root), pair(&words[2], &words[3], &root)];
            let all = numbers.as_flattened();
            for i in 0..(count - done).min(TOGETHER * NORMALS) {
                take(done + i, all[i % NORMALS][i / NORMALS]);
            }
        }
    }
}

/// Ten rounds on `N` counters, in loops that compilers turn into vectors.
fn rounds<const N: usize>(mut counter: [[u32; N]; 4], mut key: [u32; 2]) -> [[u32; N]; 4] {
    for _ in 0..10 {
        let [c0, c1, c2, c3] = &mut counter;
        for i in 0..N {
            let a = u64::from(c0[i]) * 0xD251_1F53;
            let b = u64::from(c2[i]) * 0xCD9E_8D57;
            (c0[i], c2[i]) = ((b >> 32) as u32 ^ c1[i] ^ key[0], (a >> 32) as u32 ^ c3[i] ^ key[1]);
            (c1[i], c3[i]) = (b as u32, a as u32);
        }
        key = [key[0].wrapping_add(0x9E37_79B9), key[1].wrapping_add(0xBB67_AE85)];
    }
    counter
}

/// Two normal numbers of two words: the first gives the radius, the second the angle.
fn pair(radius: &Lanes<u32>, angle: &Lanes<u32>, root: impl Fn(f32) -> f32) -> [Lanes<f32>; 2] {
    let radius: Lanes<f32> = from_fn(|i| root(-2.0 * logarithm(fraction(radius[i]))));
    let circle: Lanes<[f32; 2]> = from_fn(|i| circle(angle[i]));
    [from_fn(|i| radius[i] * circle[i][0]), from_fn(|i| radius[i] * circle[i][1])]
}

/// The upper 31 bits of a word as a number above 0 and at most 1.
#[inline]
fn fraction(word: u32) -> f32 {
    ((word >> 1) as i32 as f32 + 0.5) * (1.0 / (1u32 << 31) as f32)
}

/// `ln x` of a positive normal number, by `2 artanh((m - 1) / (m + 1))`.
#[inline]
fn logarithm(x: f32) -> f32 {
    let bits = x.to_bits() as i32;
    // The exponent that leaves a mantissa between sqrt(1/2) and sqrt(2).
    let exponent = (bits - 0x3f35_04f3) >> 23;
    let m = f32::from_bits((bits - (exponent << 23)) as u32);
    let f = (m - 1.0) / (m + 1.0);
    let s = f * f;
    let series = 1.0 + s * (1.0 / 3.0 + s * (1.0 / 5.0 + s * (1.0 / 7.0 + s * (1.0 / 9.0))));
    exponent as f32 * core::f32::consts::LN_2 + 2.0 * f * series
}

/// Cosine and sine of a word, all words being a full turn.
#[inline]
fn circle(word: u32) -> [f32; 2] {
    // The nearest quarter turn, and what is left: at most an eighth.
    let quarter = word.wrapping_add(1 << 29) >> 30;
    let rest = word.wrapping_sub(quarter << 30) as i32;
    let r = rest as f32 * (core::f32::consts::TAU / 4_294_967_296.0);
    let s = r * r;
    let sine = r * (1.0 - s / 6.0 * (1.0 - s / 20.0 * (1.0 - s / 42.0 * (1.0 - s / 72.0))));
    let cosine = 1.0 - s / 2.0 * (1.0 - s / 12.0 * (1.0 - s / 30.0 * (1.0 - s / 56.0 * (1.0 - s / 90.0))));
    let (a, b) = if quarter & 1 == 0 { (cosine, sine) } else { (-sine, cosine) };
    if quarter & 2 == 0 { [a, b] } else { [-a, -b] }
}

#[cfg(test)]
mod tests {
    use super::*;
    extern crate std;
    use std::vec;
    use std::vec::Vec;

    #[test]
    fn words_agree_with_the_authors_known_answers() {
        let block =
            |seed, stream, draw, block| Philox { seed, stream }.blocks::<1>(draw, block).map(|w| w[0]);
        assert_eq!(block(0, 0, 0, 0), [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]);
        let ones = block(u64::MAX, u32::MAX, u32::MAX, u64::MAX);
        assert_eq!(ones, [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd]);
    }

    #[test]
    fn logarithm_and_circle_are_right_to_single_precision() {
        for i in 1..100_000u32 {
            let word = i.wrapping_mul(42_943);
            let exact = f64::from(fraction(word)).ln();
            assert!(
                (f64::from(logarithm(fraction(word))) - exact).abs() <= 3e-7 * exact.abs() + 1e-9,
                "{word}"
            );
            let (sine, cosine) = (f64::from(word) / 4_294_967_296.0 * core::f64::consts::TAU).sin_cos();
            let [c, s] = circle(word).map(f64::from);
            assert!(
                (c - cosine).abs() <= 3e-7 && (s - sine).abs() <= 3e-7,
                "{word}: {c} {cosine} {s} {sine}"
            );
        }
    }

    #[test]
    fn extreme_words_give_numbers() {
        for word in [0, 1, u32::MAX, 1 << 31] {
            let x = fraction(word);
            assert!(x > 0.0 && x <= 1.0 && logarithm(x) <= 0.0, "{x} of {word}");
        }
    }

    #[test]
    fn numbers_have_mean_zero_variance_one_and_the_kurtosis_of_normal_ones() {
        let n = 200_001;
        let mut values = Vec::new();
        Philox { seed: 7, stream: 1 }.normals((3, 0), n, f32::sqrt, |i, v| {
            assert_eq!(i, values.len());
            values.push(f64::from(v));
        });
        let moment = |k: i32| values.iter().map(|v| v.powi(k)).sum::<f64>() / n as f64;
        // Six standard errors of each.
        let error = 6.0 / (n as f64).sqrt();
        assert!(moment(1).abs() < error && (moment(2) - 1.0).abs() < error * 2f64.sqrt());
        assert!(moment(3).abs() < error * 15f64.sqrt() && (moment(4) - 3.0).abs() < error * 96f64.sqrt());
    }

    #[test]
    fn a_part_is_the_same_alone() {
        let philox = Philox { seed: 7, stream: 1 };
        let (mut all, mut part) = (vec![0.0; 1000], vec![0.0; 203]);
        philox.normals((3, 0), 1000, f32::sqrt, |i, v| all[i] = v);
        philox.normals((3, 100), 203, f32::sqrt, |i, v| part[i] = v);
        assert_eq!(part, all[400..603]);
    }
}
