//! `voxplain phantom`.

use super::say;
use crate::Outcome;
use clap::Args;
use std::path::PathBuf;
use voxplain::imaging::{Lesion, Phantom, PhantomOptions, Shown};
use voxplain::{Error, Result};

/// Procedural brains with a lesion. Class 0 is round, class 1 lobed; each modality shows the class's own shape with the
/// probability that its dial says.
#[derive(Args)]
pub struct PhantomCommand {
    /// The folder; every phantom becomes a folder in it.
    #[arg(short, long, default_value = "phantoms")]
    out: PathBuf,
    /// How many.
    #[arg(short, long, default_value_t = 1)]
    count: u64,
    /// The seed of the first.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Voxels along the three axes: one number or three with commas.
    #[arg(long, default_value = "64")]
    size: String,
    /// Millimetres per voxel.
    #[arg(long, default_value_t = 2.5)]
    spacing: f64,
    /// The class: round, lobed, or drawn.
    #[arg(long, default_value = "drawn")]
    class: String,
    /// What modalities show: probability of the class's own shape, or `none`; t1,t1ce,t2,flair.
    #[arg(long, default_value = "none,1,none,0.7")]
    show: String,
    /// Noise as a part of the tissue's intensity.
    #[arg(long, default_value_t = 0.03)]
    noise: f64,
    /// Axis codes of the files.
    #[arg(long, default_value = "RAS")]
    orientation: String,
}

impl PhantomCommand {
    fn options(&self) -> Result<PhantomOptions> {
        let bad = |what: &str, text: &str| Error::invalid(format!("--{what} {text:?} cannot be understood"));
        let sizes: Vec<usize> = self
            .size
            .split(',')
            .map(|s| s.trim().parse().map_err(|_| bad("size", &self.size)))
            .collect::<Result<_>>()?;
        let dims = match sizes[..] {
            [n] => [n; 3],
            [x, y, z] => [x, y, z],
            _ => return Err(bad("size", &self.size)),
        };
        let show = |s: &str| match s.trim() {
            "none" => Ok(Shown::Uninformative),
            p => p
                .parse()
                .ok()
                .filter(|p| (0.0..=1.0).contains(p))
                .map(Shown::Aligned)
                .ok_or_else(|| bad("show", &self.show)),
        };
        let shown: Vec<Shown> = self.show.split(',').map(show).collect::<Result<_>>()?;
        let class = match self.class.as_str() {
            "round" => Some(Lesion::Round),
            "lobed" => Some(Lesion::Lobed),
            "drawn" => None,
            other => return Err(bad("class", other)),
        };
        Ok(PhantomOptions {
            dims,
            spacing: [self.spacing; 3],
            seed: self.seed,
            class,
            shown: shown.try_into().map_err(|_| bad("show", &self.show))?,
            noise: self.noise,
            orientation: self.orientation.clone(),
        })
    }

    /// Makes and writes the phantoms.
    pub fn run(&self) -> Result<Outcome> {
        let options = self.options()?;
        for seed in self.seed..self.seed.saturating_add(self.count) {
            let phantom = Phantom::generate(&PhantomOptions { seed, ..options.clone() })?;
            let id = format!("phantom-{seed:05}");
            phantom.write(&self.out, &id)?;
            say(&format!(
                "{}: {:?}, shown {:?}",
                self.out.join(&id).display(),
                phantom.class,
                phantom.shapes
            ));
        }
        Ok(Outcome::Done)
    }
}
