//! Random draws that do not depend on order, batch or threads: a counter-based generator, and a way to inject draws.

use crate::parts::in_parts;
use voxplain_autodiff::{NORMALS, Philox};
use voxplain_tensor::{Error, Result, Scalar, Tensor};

/// Numbers from [`Philox`]: every number is a function of the seed, a stream, a draw and a position, so any part of the
/// sequence can be made anywhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Generator(Philox);

impl Generator {
    /// The numbers of `stream` under `seed`.
    pub fn new(seed: u64, stream: u32) -> Self {
        Self(Philox { seed, stream })
    }

    /// Four random words for (draw, block).
    fn block(&self, draw: u32, block: u64) -> [u32; 4] {
        self.0.blocks::<1>(draw, block).map(|word| word[0])
    }

    /// A number in `(0, 1)`, uniform, for (draw, position).
    pub fn uniform(&self, draw: u32, position: u64) -> f64 {
        let words = self.block(draw, position / 2);
        let at = (position % 2) as usize * 2;
        unit(words[at], words[at + 1])
    }

    /// A whole number below `n`, for (draw, position).
    pub fn below(&self, n: usize, draw: u32, position: u64) -> usize {
        ((self.uniform(draw, position) * n as f64) as usize).min(n.saturating_sub(1))
    }

    /// A standard normal number for (draw, position), by the Box-Muller transform.
    pub fn normal(&self, draw: u32, position: u64) -> f64 {
        self.normals(draw, position / 2)[(position % 2) as usize]
    }

    /// The normal numbers of positions `2 pair` and `2 pair + 1`.
    fn normals(&self, draw: u32, pair: u64) -> [f64; 2] {
        let words = self.block(draw, pair);
        let radius = (-2.0 * logarithm(unit(words[0], words[1]))).sqrt();
        let [cosine, sine] = circle(unit(words[2], words[3]));
        [radius * cosine, radius * sine]
    }
}

/// `ln x` of a positive normal number, by `2 artanh((m - 1) / (m + 1))`; to 1e-15. Neither this nor [`circle`] asks the
/// system's library, so draws are the same on every machine, and loops over them have no calls.
fn logarithm(x: f64) -> f64 {
    let bits = x.to_bits() as i64;
    // The exponent that leaves a mantissa between sqrt(1/2) and sqrt(2).
    let exponent = (bits - 0x3fe6_a09e_667f_3bcd) >> 52;
    let m = f64::from_bits((bits - (exponent << 52)) as u64);
    let f = (m - 1.0) / (m + 1.0);
    let s = f * f;
    let series = (0..10).rev().fold(0.0, |sum, k| sum * s + 1.0 / f64::from(2 * k + 1));
    exponent as f64 * core::f64::consts::LN_2 + 2.0 * f * series
}

/// Cosine and sine of `turns` (between 0 and 1) times a full turn; to 1e-15.
fn circle(turns: f64) -> [f64; 2] {
    let quarter = (turns * 4.0 + 0.5) as i32;
    let r = (turns - f64::from(quarter) * 0.25) * core::f64::consts::TAU;
    let s = r * r;
    // 1 / k! with alternating signs, to r^15 and r^16.
    let sine = [1.0 / 6.0, 1.0 / 20.0, 1.0 / 42.0, 1.0 / 72.0, 1.0 / 110.0, 1.0 / 156.0, 1.0 / 210.0];
    let cosine =
        [1.0 / 2.0, 1.0 / 12.0, 1.0 / 30.0, 1.0 / 56.0, 1.0 / 90.0, 1.0 / 132.0, 1.0 / 182.0, 1.0 / 240.0];
    let sine = r * sine.iter().rev().fold(1.0, |sum, c| 1.0 - s * c * sum);
    let cosine = cosine.iter().rev().fold(1.0, |sum, c| 1.0 - s * c * sum);
    let (a, b) = if quarter & 1 == 0 { (cosine, sine) } else { (-sine, cosine) };
    if quarter & 2 == 0 { [a, b] } else { [-a, -b] }
}

/// 52 bits as a number strictly between 0 and 1.
fn unit(high: u32, low: u32) -> f64 {
    let bits = (u64::from(high) << 20) ^ (u64::from(low) >> 12);
    (bits as f64 + 0.5) / (1u64 << 52) as f64
}

/// Gaussian noise on the inputs: made from a seed, or injected.
#[derive(Clone, Debug, PartialEq)]
pub enum Draws<S> {
    /// `draws` draws with standard deviation `sigma[input]` (absolute, in input units); one entry serves all inputs.
    Seeded {
        /// The seed.
        seed: u64,
        /// The number of draws.
        draws: usize,
        /// Standard deviations.
        sigma: Vec<f64>,
    },
    /// One tensor `[draws, N, ...]` per input, already scaled.
    Given(Vec<Tensor<S>>),
}

impl<S: Scalar> Draws<S> {
    /// The number of draws.
    pub fn count(&self) -> usize {
        match self {
            Self::Seeded { draws, .. } => *draws,
            Self::Given(tensors) => tensors.first().map_or(0, Tensor::rows),
        }
    }

    /// Checks against the inputs of a call.
    ///
    /// # Errors
    /// No draws, or shapes that do not fit.
    pub fn check(&self, inputs: &[Tensor<S>]) -> Result<()> {
        if self.count() == 0 {
            return Err(Error::invalid("at least one draw is needed"));
        }
        match self {
            Self::Seeded { sigma, .. } if sigma.len() != 1 && sigma.len() != inputs.len() => Err(
                Error::invalid(format!("{} standard deviations for {} inputs", sigma.len(), inputs.len())),
            ),
            Self::Seeded { sigma, .. } if sigma.iter().any(|s| !s.is_finite() || *s < 0.0) => {
                Err(Error::invalid("standard deviations must be finite and not negative"))
            }
            Self::Given(tensors) => {
                let fits = |(t, x): (&Tensor<S>, &Tensor<S>)| {
                    t.shape()[1..] == x.shape()[..] && t.rows() == self.count()
                };
                if tensors.len() == inputs.len() && tensors.iter().zip(inputs).all(fits) {
                    return Ok(());
                }
                Err(Error::invalid("given noise must be one tensor [draws, examples, ...] per input"))
            }
            Self::Seeded { .. } => Ok(()),
        }
    }

    /// Writes `x`, the values of example `n` of input `input`, with draw `draw` added into `row`, by so many threads.
    pub fn add(&self, draw: usize, (input, n): (usize, usize), x: &[S], row: &mut [S], threads: usize) {
        match self {
            Self::Seeded { seed, sigma, .. } => {
                let sigma = sigma[if sigma.len() == 1 { 0 } else { input }];
                let philox = Philox { seed: *seed, stream: input as u32 };
                // Every example begins with a block of its own.
                let first = (n * row.len().div_ceil(NORMALS)) as u64;
                in_parts(threads, row, |start, part| {
                    part.copy_from_slice(&x[start..start + part.len()]);
                    if sigma != 0.0 {
                        let block = first + (start / NORMALS) as u64;
                        philox.normals((draw as u32, block), part.len(), f32::sqrt, |i, z| {
                            part[i] += S::from_f64(sigma * f64::from(z));
                        });
                    }
                });
            }
            Self::Given(tensors) => {
                let noise = &tensors[input].row(draw)[n * row.len()..(n + 1) * row.len()];
                row.iter_mut().zip(x.iter().zip(noise)).for_each(|(v, (&x, &d))| *v = x + d);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logarithm_and_circle_agree_with_the_library() {
        for i in 1..100_000 {
            let u = f64::from(i) / 100_000.0;
            assert!((logarithm(u) - u.ln()).abs() <= 2e-15 * u.ln().abs().max(0.1), "ln {u}");
            let (sine, cosine) = (u * core::f64::consts::TAU).sin_cos();
            let [c, s] = circle(u);
            assert!((c - cosine).abs() <= 2e-15 && (s - sine).abs() <= 2e-15, "{u}: {c} {cosine} {s} {sine}");
        }
        assert!((logarithm(2f64.powi(-53)) + 53.0 * core::f64::consts::LN_2).abs() < 1e-13);
    }

    /// Two rows of an odd length, so that the first ends within a block.
    #[test]
    fn noise_does_not_depend_on_threads() {
        let draws = Draws::<f32>::Seeded { seed: 5, draws: 1, sigma: vec![0.5] };
        for n in 0..2 {
            let noise = [1, 2, 3].map(|threads| {
                let mut row = vec![0.0; 200_001];
                draws.add(0, (0, n), &vec![1.0; 200_001], &mut row, threads);
                row
            });
            assert!(noise[0] == noise[1] && noise[0] == noise[2]);
        }
    }

    #[test]
    fn normals_have_mean_zero_and_variance_one() {
        let g = Generator::new(7, 1);
        let n = 100_000;
        let values: Vec<f64> = (0..n).map(|i| g.normal(3, i)).collect();
        let mean = values.iter().sum::<f64>() / n as f64;
        let variance = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / n as f64;
        // Six standard errors of the mean and of the variance.
        assert!(
            mean.abs() < 6.0 / (n as f64).sqrt() && (variance - 1.0).abs() < 6.0 * (2.0 / n as f64).sqrt()
        );
    }
}
