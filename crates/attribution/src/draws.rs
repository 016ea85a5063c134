//! Random draws that do not depend on order, batch or threads: a counter-based generator, and a way to inject draws.

use voxplain_tensor::{Error, Result, Scalar, Tensor};

/// Philox 4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011): every number is a function of
/// the seed, a stream, a draw and a position, so any part of the sequence can be made anywhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Generator {
    seed: u64,
    stream: u32,
}

impl Generator {
    /// The numbers of `stream` under `seed`.
    pub fn new(seed: u64, stream: u32) -> Self {
        Self { seed, stream }
    }

    /// Four random words for (draw, block).
    fn block(&self, draw: u32, block: u64) -> [u32; 4] {
        let mut key = [self.seed as u32, (self.seed >> 32) as u32];
        let mut counter = [block as u32, (block >> 32) as u32, draw, self.stream];
        for _ in 0..10 {
            let a = u64::from(counter[0]) * 0xD251_1F53;
            let b = u64::from(counter[2]) * 0xCD9E_8D57;
            counter = [
                (b >> 32) as u32 ^ counter[1] ^ key[0],
                b as u32,
                (a >> 32) as u32 ^ counter[3] ^ key[1],
                a as u32,
            ];
            key = [key[0].wrapping_add(0x9E37_79B9), key[1].wrapping_add(0xBB67_AE85)];
        }
        counter
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
        let words = self.block(draw, position / 2);
        let radius = (-2.0 * unit(words[0], words[1]).ln()).sqrt();
        let angle = core::f64::consts::TAU * unit(words[2], words[3]);
        if position % 2 == 0 { radius * angle.cos() } else { radius * angle.sin() }
    }
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

    /// Adds draw `draw` to `row`, the values of example `n` of input `input`.
    pub fn add(&self, draw: usize, input: usize, n: usize, row: &mut [S]) {
        match self {
            Self::Seeded { seed, sigma, .. } => {
                let sigma = sigma[if sigma.len() == 1 { 0 } else { input }];
                if sigma == 0.0 {
                    return;
                }
                let generator = Generator::new(*seed, input as u32);
                let start = (n * row.len()) as u64;
                for (i, value) in row.iter_mut().enumerate() {
                    *value += S::from_f64(sigma * generator.normal(draw as u32, start + i as u64));
                }
            }
            Self::Given(tensors) => {
                let part = &tensors[input].row(draw)[n * row.len()..(n + 1) * row.len()];
                row.iter_mut().zip(part).for_each(|(v, &d)| *v += d);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn philox_agrees_with_its_authors_known_answers() {
        assert_eq!(Generator::new(0, 0).block(0, 0), [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]);
        let ones = Generator::new(u64::MAX, u32::MAX).block(u32::MAX, u64::MAX);
        assert_eq!(ones, [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd]);
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
