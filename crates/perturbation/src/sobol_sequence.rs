//! Points that fill a cube more evenly than random ones: Sobol's sequence with the direction numbers of Joe & Kuo,
//! "Constructing Sobol sequences with better two-dimensional projections", SIAM J. Sci. Comput. 30, 2008 (their set
//! new-joe-kuo-6.21201, first 1024 dimensions), moved by a random digital shift so that every point is uniform.

use std::sync::OnceLock;
use voxplain_attribution::Generator;

/// The most dimensions of a point.
pub(crate) const DIMENSIONS: usize = 1024;

/// Per dimension behind the first, the inner coefficients of its primitive polynomial and its first direction numbers.
const TABLE: &str = include_str!("sobol_sequence/directions.txt");

/// 32 direction numbers of one dimension, as fractions of 2^32.
type Directions = [u32; 32];

/// The direction numbers of one line of the table, by the recurrence of its polynomial (equation 2 of the paper).
fn directions(line: &str) -> Directions {
    let mut words = line.split(' ').filter_map(|w| w.parse::<u32>().ok());
    let inner = words.next().unwrap_or(0);
    let first: Vec<u32> = words.collect();
    let degree = first.len();
    let mut v = [0u32; 32];
    for k in 0..32 {
        v[k] = match first.get(k) {
            Some(m) => m << (31 - k),
            None => {
                let taps = (1..degree).filter(|i| inner >> (degree - 1 - i) & 1 == 1);
                let start = v[k - degree] ^ (v[k - degree] >> degree);
                taps.fold(start, |sum, i| sum ^ v[k - i])
            }
        };
    }
    v
}

fn table() -> &'static [Directions] {
    static ALL: OnceLock<Vec<Directions>> = OnceLock::new();
    ALL.get_or_init(|| {
        let first: Directions = std::array::from_fn(|k| 1 << (31 - k));
        std::iter::once(first).chain(TABLE.lines().map(directions)).collect()
    })
}

/// Point `index` in dimension `dimension`, without a shift, as a fraction of 2^32.
fn fraction(index: u32, dimension: usize) -> u32 {
    let v = &table()[dimension];
    (0..32).filter(|bit| index >> bit & 1 == 1).fold(0, |sum, bit| sum ^ v[bit])
}

/// Point `index` of `dimensions` numbers in (0, 1), shifted by `seed`, of 23 bits, so that single precision stores them.
pub(crate) fn point(seed: u64, index: u32, dimensions: usize) -> Vec<f64> {
    let generator = Generator::new(seed, 0x534f_424f);
    let shift = |d: usize| (generator.uniform(0, d as u64) * 4_294_967_296.0) as u32;
    let number = |d: usize| (f64::from((fraction(index, d) ^ shift(d)) >> 9) + 0.5) / 8_388_608.0;
    (0..dimensions).map(number).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// SciPy 1.x's `qmc.Sobol(1024, scramble=False)`, whose order is Gray's: its point 37 is ours of number 37 ^ 18.
    #[test]
    fn the_sequence_is_that_of_joe_and_kuo() {
        assert_eq!(table().len(), DIMENSIONS);
        let expected = [
            (0, 0.921_875),
            (1, 0.640_625),
            (2, 0.578_125),
            (3, 0.921_875),
            (100, 0.359_375),
            (500, 0.171_875),
            (1023, 0.734_375),
        ];
        for (dimension, value) in expected {
            assert_eq!(f64::from(fraction(37 ^ 18, dimension)) / 4_294_967_296.0, value, "{dimension}");
        }
    }

    /// Of 2^k points every interval of length 2^-k has one, in every dimension and under every shift.
    #[test]
    fn every_dimension_is_evenly_filled() {
        for seed in [0, 7] {
            let points: Vec<Vec<f64>> = (0..64).map(|i| point(seed, i, DIMENSIONS)).collect();
            for d in 0..DIMENSIONS {
                let mut cells: Vec<usize> = points.iter().map(|p| (p[d] * 64.0) as usize).collect();
                cells.sort_unstable();
                assert!(cells.into_iter().eq(0..64), "{d}");
            }
        }
    }
}
