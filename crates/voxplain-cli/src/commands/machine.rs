//! How a command computes: the options that every command has whose results come from passes over the network.

use clap::Args;
use voxplain::cpu::Filtering;
use voxplain::{Device, Error, Factors, Result, Settings};

/// Seed, threads, device, arithmetic and memory.
#[derive(Args)]
pub struct Machine {
    /// The seed of all draws.
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
    /// Threads, 0 for all cores. Results do not depend on it.
    #[arg(long, default_value_t = 0)]
    pub threads: usize,
    /// What computes: auto (a CUDA GPU where there is one), cpu or cuda:N.
    #[arg(long, default_value = "cpu")]
    pub device: Device,
    /// Sum convolutions tap by tap instead of by Winograd's filtering (CPU): slower, with the error bound of plain sums.
    #[arg(long, conflicts_with = "fast")]
    pub exact: bool,
    /// Filter with larger tiles (CPU): fewer multiplications, and two to three times the rounding of plain sums.
    #[arg(long)]
    pub fast: bool,
    /// On a GPU, convolutions with factors of 10 bits (tensor cores): faster, and maps agree to three digits only.
    #[arg(long, conflicts_with_all = ["f16", "bf16"])]
    pub tf32: bool,
    /// On a GPU, convolutions and matrix products with factors of 16 bits (10 behind the point, up to 65504).
    #[arg(long, conflicts_with = "bf16")]
    pub f16: bool,
    /// The same with 7 bits behind the point and the range of single precision: maps agree to two digits only.
    #[arg(long)]
    pub bf16: bool,
    /// The most bytes above the weights, as 500M or 2G.
    #[arg(long)]
    pub memory: Option<String>,
}

impl Machine {
    /// The same as the library wants it.
    ///
    /// # Errors
    /// `--memory` is no size.
    pub fn settings(&self) -> Result<Settings> {
        Ok(Settings {
            seed: self.seed,
            memory: self.memory.as_deref().map(size).transpose()?,
            threads: self.threads,
            device: self.device,
            filtering: self.filtering(),
            factors: self.factors(),
        })
    }

    fn filtering(&self) -> Filtering {
        match (self.exact, self.fast) {
            (true, _) => Filtering::Direct,
            (_, true) => Filtering::Fast,
            _ => Filtering::Accurate,
        }
    }

    fn factors(&self) -> Factors {
        match (self.tf32, self.f16, self.bf16) {
            (true, ..) => Factors::TensorFloat,
            (_, true, _) => Factors::Half,
            (.., true) => Factors::Brain,
            _ => Factors::Single,
        }
    }
}

/// `500M` and the like in bytes.
fn size(text: &str) -> Result<usize> {
    let (number, factor) = match text.char_indices().last() {
        Some((i, 'k' | 'K')) => (&text[..i], 1e3),
        Some((i, 'M')) => (&text[..i], 1e6),
        Some((i, 'G')) => (&text[..i], 1e9),
        _ => (text, 1.0),
    };
    let value = number.parse::<f64>().ok().filter(|v| v.is_finite() && *v > 0.0);
    value
        .map(|v| (v * factor) as usize)
        .ok_or_else(|| Error::invalid(format!("--memory {text:?}; 500M or 2G expected")))
}
