//! Supervoxels: regions of like intensity, so that a perturbation takes away a piece of anatomy and not a cube.
//!
//! SLIC (Achanta et al., "SLIC superpixels compared to state-of-the-art superpixel methods", TPAMI 34, 2012) with the
//! conventions of scikit-image, so that its settings mean the same here: intensities scaled to [0, 1], squared distance
//! `|color|^2 / compactness^2 + |position|^2 / step^2`, positions and `sigma` in units of the spacing. Masks as in Irving,
//! "maskSLIC" (2016). It differs in three places: first positions come from halving the mask again and again instead of
//! from random draws, so that nothing depends on a generator; smoothing does not look across the mask's border; every
//! channel is scaled by its own range, so that no modality decides because its numbers are large.

mod assign;
mod connect;
mod seeds;
mod smooth;

use voxplain_tensor::{Error, Result};

/// An image of one or more channels on one grid.
#[derive(Clone, Copy, Debug)]
pub struct SlicImage<'a> {
    /// Values of each channel, row-major over `sizes`.
    pub channels: &'a [&'a [f32]],
    /// Sizes of the three axes, the first slowest; a picture has 1 first.
    pub sizes: [usize; 3],
    /// Distance of neighbours along each axis, in any unit.
    pub spacing: [f64; 3],
    /// Which entries belong to regions; all without one.
    pub mask: Option<&'a [bool]>,
}

/// Settings.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SlicOptions {
    /// About how many regions.
    pub segments: usize,
    /// Weight of nearness against likeness: regions are blobs at 10 and follow edges at 0.1.
    pub compactness: f64,
    /// Deviation of the Gaussian that smooths first, in units of the spacing; 0 for none.
    pub sigma: f64,
    /// The most rounds.
    pub iterations: usize,
}

impl Default for SlicOptions {
    /// The settings of Jin et al. (2023): 50 regions, compactness 0.1, sigma 2.
    fn default() -> Self {
        Self { segments: 50, compactness: 0.1, sigma: 2.0, iterations: 10 }
    }
}

/// A checked image: what the parts of the algorithm work on.
struct Field {
    /// Smoothed values in [0, 1] over compactness, one channel behind the other.
    colors: Vec<Vec<f32>>,
    sizes: [usize; 3],
    spacing: [f64; 3],
    /// Entries of the mask, ascending.
    inside: Vec<u32>,
    mask: Vec<bool>,
}

impl Field {
    fn coordinates(&self, at: u32) -> [usize; 3] {
        let [_, ny, nz] = self.sizes;
        let at = at as usize;
        [at / (ny * nz), at / nz % ny, at % nz]
    }
}

/// The region of every entry: 0 outside the mask, else from 1 without gaps. Every region is connected through faces.
///
/// A piece that is smaller than half the mean region joins the neighbour that it touches most.
///
/// # Errors
/// Sizes, values or settings do not fit, or the mask is empty; the message says which.
///
/// ```
/// use voxplain_imaging::{SlicImage, SlicOptions, slic};
/// let picture: Vec<f32> = (0..64).map(|i| if i % 8 < 4 { 0.0 } else { 1.0 }).collect();
/// let image = SlicImage { channels: &[&picture], sizes: [1, 8, 8], spacing: [1.0; 3], mask: None };
/// let labels = slic(&image, &SlicOptions { segments: 4, sigma: 0.0, ..SlicOptions::default() })?;
/// // Two regions on each side, and none across the edge.
/// assert!(labels.iter().zip(&picture).all(|(l, v)| (*l % 2 == 0) == (*v == 1.0)));
/// # Ok::<(), voxplain_tensor::Error>(())
/// ```
pub fn slic(image: &SlicImage<'_>, options: &SlicOptions) -> Result<Vec<u32>> {
    check(image, options)?;
    let field = prepare(image, options)?;
    let (mut centers, step) = seeds::centers(&field, options.segments, image.mask.is_some());
    let reach = seeds::reach(&field, options.segments);
    assign::settle(&field, &mut centers, step, reach, (seeds::ROUNDS, false));
    let step = if image.mask.is_some() { seeds::step(&field, &centers) } else { step };
    let labels = assign::settle(&field, &mut centers, step, reach, (options.iterations, true));
    let smallest = field.inside.len() / centers.len().max(1) / 2;
    Ok(connect::connected(&field, &labels, smallest))
}

fn check(image: &SlicImage<'_>, options: &SlicOptions) -> Result<()> {
    let count: usize = image.sizes.iter().product();
    let fits = !image.channels.is_empty() && image.channels.iter().all(|c| c.len() == count);
    if !fits || count == 0 || u32::try_from(count).is_err() || image.mask.is_some_and(|m| m.len() != count) {
        return Err(Error::invalid(format!(
            "supervoxels of a grid of {:?}: every channel and the mask must have {count} entries",
            image.sizes
        )));
    }
    if image.spacing.iter().any(|s| !s.is_finite() || *s <= 0.0) {
        return Err(Error::invalid(format!("a spacing of {:?}; numbers above 0 expected", image.spacing)));
    }
    let positive = |v: f64| v.is_finite() && v > 0.0;
    if options.segments == 0 || options.iterations == 0 || !positive(options.compactness) {
        return Err(Error::invalid(
            "supervoxels need at least 1 segment, 1 iteration and a compactness above 0",
        ));
    }
    if !options.sigma.is_finite() || options.sigma < 0.0 {
        return Err(Error::invalid(format!("a sigma of {} for supervoxels; from 0 expected", options.sigma)));
    }
    Ok(())
}

fn prepare(image: &SlicImage<'_>, options: &SlicOptions) -> Result<Field> {
    let count: usize = image.sizes.iter().product();
    let mask = image.mask.map_or_else(|| vec![true; count], <[bool]>::to_vec);
    let inside: Vec<u32> = (0..count as u32).filter(|&i| mask[i as usize]).collect();
    if inside.is_empty() {
        return Err(Error::invalid("there is nothing to divide into supervoxels: the foreground is empty"));
    }
    let mut colors = Vec::with_capacity(image.channels.len());
    for channel in image.channels {
        let values = || inside.iter().map(|&i| channel[i as usize]);
        if values().any(|v| !v.is_finite()) {
            return Err(Error::invalid("an image for supervoxels has values that are not finite"));
        }
        let (low, high) = values().fold((f32::INFINITY, f32::NEG_INFINITY), |(l, h), v| (l.min(v), h.max(v)));
        let range = if high > low { high - low } else { 1.0 };
        let scaled: Vec<f32> =
            channel.iter().zip(&mask).map(|(v, m)| if *m { (v - low) / range } else { 0.0 }).collect();
        let mut smooth = smooth::smoothed(scaled, &mask, image, options.sigma);
        smooth.iter_mut().for_each(|v| *v /= options.compactness as f32);
        colors.push(smooth);
    }
    Ok(Field { colors, sizes: image.sizes, spacing: image.spacing, inside, mask })
}
