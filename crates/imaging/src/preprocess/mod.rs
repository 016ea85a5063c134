//! From a patient's volumes to a network's input, by named steps; and maps on the network's grid back to the image's.
//!
//! Steps that change intensities need no way back: a map is in units of the output per network voxel. Steps that move
//! voxels (orient, crop, resize) are undone in reverse order, and what was cropped away gets 0.

mod intensity;
mod moves;
mod step;

use crate::geometry::Geometry;
use crate::resample::{MOST_VOXELS, Mode};
use crate::volume::Volume;
use moves::{Move, Way};
pub use step::Step;
use voxplain_tensor::{Error, Result, Tensor};

/// A chain of steps.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Pipeline {
    /// The steps, first to last.
    pub steps: Vec<Step>,
}

/// A network input and the way back from its grid.
#[derive(Clone, Debug)]
pub struct Prepared {
    /// `[1, channels, x, y, z]`.
    pub tensor: Tensor<f32>,
    /// The geometry of the network's grid.
    pub geometry: Geometry,
    /// The steps that moved voxels, first to last.
    moves: Vec<Move>,
    /// Copies of each channel.
    copies: usize,
}

impl Pipeline {
    /// Reads a chain from the texts of a model card.
    ///
    /// # Errors
    /// As [`Step::parse`].
    pub fn parse(steps: &[String]) -> Result<Self> {
        Ok(Self { steps: steps.iter().map(|s| Step::parse(s)).collect::<Result<_>>()? })
    }

    /// How many network channels each image channel becomes.
    pub fn copies(&self) -> usize {
        let copies = self.steps.iter().map(|s| if let Step::Repeat(n) = s { *n } else { 1 });
        copies.fold(1, usize::saturating_mul)
    }

    /// Runs the chain on one volume per channel. All must have the same grid.
    ///
    /// # Errors
    /// Grids differ, a voxel is not finite, or a step cannot be done; the message names the channel or step.
    pub fn apply(&self, channels: &[Volume]) -> Result<Prepared> {
        let first = channels.first().ok_or_else(|| Error::invalid("no channels to prepare"))?;
        for (i, volume) in channels.iter().enumerate() {
            check(i, volume, first)?;
        }
        let mut current = channels.to_vec();
        let stacked = self.steps.iter().position(|s| *s == Step::Stack).unwrap_or(0);
        let (mut moves, mut copies) = (Vec::new(), 1);
        for (i, step) in self.steps.iter().enumerate() {
            let place = |e: Error| e.within(format!("step \"{step}\""));
            let before = (current[0].dims, current.iter().map(|c| c.geometry).collect());
            let way = if i < stacked { alone(step, &mut current) } else { run(step, &mut current) };
            let way = way.map_err(place)?;
            let after = current[0].dims;
            moves.extend(way.map(|way| Move { way, dims: before.0, after, geometries: before.1 }));
            if let Step::Repeat(n) = step {
                copies *= n;
            }
        }
        let dims = current[0].dims;
        let mut data = Vec::with_capacity(current.len() * current[0].data.len());
        for volume in &current {
            data.extend_from_slice(volume.to_array()?.data());
        }
        let tensor = Tensor::new(&[1, current.len(), dims[0], dims[1], dims[2]], data)?;
        Ok(Prepared { tensor, geometry: current[0].geometry, moves, copies })
    }
}

fn check(i: usize, volume: &Volume, first: &Volume) -> Result<()> {
    if let Some(at) = volume.data.iter().position(|v| !v.is_finite()) {
        let [nx, ny, _] = volume.dims;
        let (x, y, z) = (at % nx, at / nx % ny, at / nx / ny);
        return Err(Error::invalid(format!(
            "channel {i}: voxel ({x}, {y}, {z}) is {}; voxels that are not finite must be replaced first",
            volume.data[at]
        )));
    }
    let distance = |a: &Geometry, b: &Geometry| {
        let (p, q) = (a.affine(), b.affine());
        p.iter().flatten().zip(q.iter().flatten()).fold(0.0f64, |m, (x, y)| m.max((x - y).abs()))
    };
    if volume.dims != first.dims || distance(&volume.geometry, &first.geometry) > 1e-3 {
        return Err(Error::invalid(format!(
            "channel {i} has {:?} voxels on another grid than channel 0 with {:?}; register and resample the modalities first",
            volume.dims, first.dims
        )));
    }
    Ok(())
}

/// Does one step; says how voxels moved, if they did.
fn run(step: &Step, channels: &mut Vec<Volume>) -> Result<Option<Way>> {
    match step {
        Step::MinMax => intensity::minmax(channels),
        Step::Scale(low, high) => intensity::scale(channels, (*low, *high)),
        Step::ZScore { nonzero, per_channel } => intensity::zscore(channels, *nonzero, *per_channel),
        Step::Standardize(mean, deviation) => intensity::standardize(channels, mean, deviation)?,
        Step::Clip(low, high) => intensity::clip(channels, (*low, *high)),
        Step::ClipPercentiles { bounds, nonzero } => intensity::clip_percentiles(channels, *bounds, *nonzero),
        Step::Repeat(n) => *channels = repeated(channels, *n)?,
        Step::Stack => {}
        Step::Orient(codes) => return moves::orient(channels, codes).map(Some),
        Step::Crop(n) => return moves::crop(channels, *n).map(Some),
        Step::CropForeground(margin) => return moves::crop_foreground(channels, *margin).map(Some),
        Step::PadOrCrop(dims) => return moves::pad_or_crop(channels, *dims).map(Some),
        Step::Resize(dims, mode) => return moves::resize(channels, *dims, *mode).map(Some),
        Step::Resample(spacing, mode) => return moves::resample(channels, *spacing, *mode).map(Some),
    }
    Ok(None)
}

/// Does a step that comes before `stack`. Channels alone differ only in statistics; what moves voxels must move all.
fn alone(step: &Step, channels: &mut Vec<Volume>) -> Result<Option<Way>> {
    match step {
        Step::CropForeground(_) => {
            return Err(Error::invalid("each channel alone has its own foreground; put it behind \"stack\""));
        }
        Step::MinMax => channels.iter_mut().for_each(|c| intensity::minmax(std::slice::from_mut(c))),
        Step::ZScore { nonzero, .. } => intensity::zscore(channels, *nonzero, true),
        _ => return run(step, channels),
    }
    Ok(None)
}

fn repeated(channels: &[Volume], n: usize) -> Result<Vec<Volume>> {
    let voxels = channels.first().map_or(0, |c| c.data.len());
    let total = voxels.checked_mul(channels.len()).and_then(|v| v.checked_mul(n));
    if total.is_none_or(|t| t > MOST_VOXELS) {
        return Err(Error::limit(format!(
            "{n} copies of {} channels with {voxels} voxels are more than {MOST_VOXELS} voxels; crop or resize first",
            channels.len()
        )));
    }
    Ok(channels.iter().flat_map(|c| std::iter::repeat_n(c.clone(), n)).collect())
}

impl Prepared {
    /// The number of image channels, without repeated copies.
    pub fn channels(&self) -> usize {
        self.tensor.shape()[1] / self.copies
    }

    /// A volume on the images' grid (a segmentation, a region) on the network's grid, by the steps that moved the images'
    /// voxels.
    ///
    /// # Errors
    /// The volume has other voxels than the images.
    pub fn carry(&self, volume: &Volume, mode: Mode) -> Result<Volume> {
        let shape = self.tensor.shape();
        let dims = self.moves.first().map_or([shape[2], shape[3], shape[4]], |m| m.dims);
        if volume.dims != dims {
            return Err(Error::invalid(format!(
                "a volume of {:?} voxels does not lie on the images' grid of {dims:?}; resample it first",
                volume.dims
            )));
        }
        self.moves.iter().try_fold(volume.clone(), |volume, step| step.follow(&volume, mode))
    }

    /// A map `[1, C, x, y, z]` on the network's grid as one volume per image channel on the image's grid, C being the
    /// network's channels or 1. Copies of a repeated channel are added up. Resizes are undone linearly.
    ///
    /// # Errors
    /// The map's shape does not fit the network's input.
    ///
    /// ```
    /// use voxplain_imaging::{Geometry, Pipeline, Volume};
    /// let image = Volume::new([4, 4, 2], (0..32).map(|v| v as f32).collect(), Geometry::unknown([1.0, 1.0, 3.0]))?;
    /// let chain = Pipeline::parse(&["minmax", "resize 2 2 2 area"].map(String::from))?;
    /// let prepared = chain.apply(std::slice::from_ref(&image))?;
    /// assert_eq!(prepared.tensor.shape()[..], [1, 1, 2, 2, 2]);
    /// let back = prepared.map_back(&prepared.tensor)?;
    /// assert_eq!((back[0].dims, back[0].geometry), (image.dims, image.geometry));
    /// # Ok::<(), voxplain_tensor::Error>(())
    /// ```
    pub fn map_back(&self, map: &Tensor<f32>) -> Result<Vec<Volume>> {
        self.map_back_by(map, Mode::Linear)
    }

    /// As [`Prepared::map_back`], with resizes undone by `mode`: [`Mode::NearestExact`] for labels and for maps that
    /// must not be smoothed, so that every image voxel gets the network voxel it lies in.
    ///
    /// # Errors
    /// As [`Prepared::map_back`].
    pub fn map_back_by(&self, map: &Tensor<f32>, mode: Mode) -> Result<Vec<Volume>> {
        let (have, want) = (map.shape(), self.tensor.shape());
        if have.rank() != 5 || have[0] != 1 || have[2..] != want[2..] || (have[1] != want[1] && have[1] != 1)
        {
            return Err(Error::invalid(format!(
                "a map of shape {have} does not lie on the grid of the input {want}"
            )));
        }
        let copies = if have[1] == 1 { 1 } else { self.copies };
        let length: usize = have[2..].iter().product();
        let channel = |c: usize| {
            let mut sum = vec![0.0f32; length];
            for copy in 0..copies {
                let part = &map.data()[(c * copies + copy) * length..][..length];
                sum.iter_mut().zip(part).for_each(|(s, &v)| *s += v);
            }
            let array = Tensor::new(&have[2..], sum)?;
            let first = Volume::from_array(&array, self.geometry)?;
            self.moves.iter().rev().try_fold(first, |volume, m| m.undo(&volume, (c, have[1] / copies), mode))
        };
        (0..have[1] / copies).map(channel).collect()
    }
}
