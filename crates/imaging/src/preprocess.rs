//! From a patient's volumes to a network's input, by named steps; and maps on the network's grid back to the image's.
//!
//! Steps that change intensities need no way back: a map is in units of the output per network voxel. Steps that move
//! voxels (orient, crop, resize) are undone in reverse order, and what was cropped away gets 0.

use crate::geometry::Geometry;
use crate::resample::{MOST_VOXELS, Mode, resize_volume};
use crate::volume::{Volume, parse_codes};
use std::fmt;
use voxplain_tensor::{Error, Result, Tensor};

/// One step.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// Array axes along these directions, without interpolation.
    Orient(String),
    /// The whole stack of channels to 0..1.
    MinMax,
    /// Each channel to `low..high`.
    Scale(f64, f64),
    /// Each channel minus its mean over its deviation, over voxels that are not 0; zeros stay 0.
    ZScoreNonzero,
    /// Each channel minus its mean over its deviation.
    ZScore,
    /// `(x - mean) / deviation` with fixed numbers.
    Standardize(f64, f64),
    /// This many voxels off both ends of each axis: `crop 16` of all three, `crop 0 16 16` inside slices alone.
    Crop([usize; 3]),
    /// To this many voxels.
    Resize([usize; 3], Mode),
    /// Each channel this many times.
    Repeat(usize),
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Orient(codes) => write!(f, "orient {codes}"),
            Self::MinMax => write!(f, "minmax"),
            Self::Scale(low, high) => write!(f, "scale {low} {high}"),
            Self::ZScoreNonzero => write!(f, "zscore nonzero per-channel"),
            Self::ZScore => write!(f, "zscore per-channel"),
            Self::Standardize(mean, deviation) => write!(f, "standardize {mean} {deviation}"),
            Self::Crop([x, y, z]) if x == y && y == z => write!(f, "crop {x}"),
            Self::Crop([x, y, z]) => write!(f, "crop {x} {y} {z}"),
            Self::Resize([x, y, z], mode) => write!(f, "resize {x} {y} {z} {}", mode.name()),
            Self::Repeat(n) => write!(f, "repeat {n}"),
        }
    }
}

impl Step {
    /// Reads a step as it is printed.
    ///
    /// # Errors
    /// The step is unknown or its numbers are missing; the message lists the steps.
    pub fn parse(text: &str) -> Result<Self> {
        let words: Vec<&str> = text.split_whitespace().collect();
        let number = |i: usize| words.get(i).and_then(|w| w.parse::<f64>().ok()).filter(|v| v.is_finite());
        let count =
            |i: usize| words.get(i).and_then(|w| w.parse::<usize>().ok()).filter(|&v| v > 0 && v < 1 << 16);
        let step = match (words.first().copied(), words.len()) {
            (Some("minmax"), 1) => Some(Self::MinMax),
            (Some("orient"), 2) => {
                parse_codes(words[1])?;
                Some(Self::Orient(words[1].into()))
            }
            (Some("zscore"), 3) if words[1..] == ["nonzero", "per-channel"] => Some(Self::ZScoreNonzero),
            (Some("zscore"), 2) if words[1] == "per-channel" => Some(Self::ZScore),
            (Some("scale"), 3) => number(1).zip(number(2)).map(|(l, h)| Self::Scale(l, h)),
            (Some("standardize"), 3) => {
                number(1).zip(number(2).filter(|d| *d > 0.0)).map(|(m, d)| Self::Standardize(m, d))
            }
            (Some("crop"), 2) => count(1).map(|n| Self::Crop([n; 3])),
            (Some("crop"), 4) => margins(&words).map(Self::Crop),
            (Some("repeat"), 2) => count(1).map(Self::Repeat),
            (Some("resize"), 5) => {
                let sizes = count(1).zip(count(2)).zip(count(3));
                sizes
                    .map(|((x, y), z)| Mode::parse(words[4]).map(|m| Self::Resize([x, y, z], m)))
                    .transpose()?
            }
            _ => None,
        };
        step.ok_or_else(|| {
            Error::invalid(format!(
                "no preprocessing step {text:?}; there are: minmax, scale LOW HIGH, zscore nonzero per-channel, zscore \
                 per-channel, standardize MEAN DEVIATION, crop N or X Y Z, resize X Y Z \
                 area|linear|nearest|nearest-exact, repeat N, orient RAS"
            ))
        })
    }
}

/// The three numbers of a crop. An axis may keep all its voxels, but not all three.
fn margins(words: &[&str]) -> Option<[usize; 3]> {
    let numbers: Vec<usize> = words.iter().skip(1).map_while(|w| w.parse().ok()).collect();
    let margins: [usize; 3] = numbers.try_into().ok()?;
    (margins != [0; 3] && margins.iter().all(|&m| m < 1 << 16)).then_some(margins)
}

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

/// A step that moved voxels, and what is needed to take it back.
#[derive(Clone, Debug)]
struct Move {
    way: Way,
    /// Voxels before the step.
    dims: [usize; 3],
    /// The geometry of each channel before the step; channels share voxels, but their headers may differ in codes.
    geometries: Vec<Geometry>,
}

/// How voxels moved.
#[derive(Clone, Copy, Debug)]
enum Way {
    /// Axis `a` was axis `source[a]`, backwards where `flip[a]`.
    Arranged([usize; 3], [bool; 3]),
    /// This many voxels went off both ends of each axis.
    Cropped([usize; 3]),
    /// The same field of view got other voxels.
    Resized,
}

impl Pipeline {
    /// Reads a chain from the texts of a model card.
    ///
    /// # Errors
    /// As [`Step::parse`].
    pub fn parse(steps: &[String]) -> Result<Self> {
        Ok(Self { steps: steps.iter().map(|s| Step::parse(s)).collect::<Result<_>>()? })
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
        let (mut moves, mut copies) = (Vec::new(), 1);
        for step in &self.steps {
            let before = (current[0].dims, current.iter().map(|c| c.geometry).collect());
            let way = run(step, &mut current).map_err(|e| e.within(format!("step \"{step}\"")))?;
            moves.extend(way.map(|way| Move { way, dims: before.0, geometries: before.1 }));
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
        Step::MinMax => {
            let (low, high) = channels
                .iter()
                .flat_map(|c| &c.data)
                .fold((f32::MAX, f32::MIN), |(l, h), &v| (l.min(v), h.max(v)));
            channels.iter_mut().for_each(|c| rescale(&mut c.data, (low, high), (0.0, 1.0)));
        }
        Step::Scale(to_low, to_high) => {
            for c in channels.iter_mut() {
                let range = c.data.iter().fold((f32::MAX, f32::MIN), |(l, h), &v| (l.min(v), h.max(v)));
                rescale(&mut c.data, range, (*to_low, *to_high));
            }
        }
        Step::ZScoreNonzero => channels.iter_mut().for_each(|c| zscore(&mut c.data, |v| v != 0.0)),
        Step::ZScore => channels.iter_mut().for_each(|c| zscore(&mut c.data, |_| true)),
        Step::Standardize(mean, deviation) => {
            let change = |v: &mut f32| *v = ((f64::from(*v) - mean) / deviation) as f32;
            channels.iter_mut().flat_map(|c| &mut c.data).for_each(change);
        }
        Step::Repeat(n) => *channels = repeated(channels, *n)?,
        Step::Orient(codes) => return orient(channels, codes).map(Some),
        Step::Crop(n) => {
            change(channels, |c| crop(c, *n))?;
            return Ok(Some(Way::Cropped(*n)));
        }
        Step::Resize(dims, mode) => {
            change(channels, |c| resize_volume(c, *dims, *mode))?;
            return Ok(Some(Way::Resized));
        }
    }
    Ok(None)
}

fn change(channels: &mut [Volume], by: impl Fn(&Volume) -> Result<Volume>) -> Result<()> {
    for c in channels {
        *c = by(c)?;
    }
    Ok(())
}

/// All channels go the first one's way, so that they still share a grid where two ways are equally close.
fn orient(channels: &mut [Volume], codes: &str) -> Result<Way> {
    let mut way = None;
    for (i, c) in channels.iter().enumerate() {
        let own = c.arrangement(codes).map_err(|e| e.within(format!("channel {i}")))?;
        way.get_or_insert(own);
    }
    let (source, flip) = way.unwrap_or(([0, 1, 2], [false; 3]));
    change(channels, |c| c.arranged(source, flip))?;
    Ok(Way::Arranged(source, flip))
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

/// A constant image becomes the lower bound.
fn rescale(data: &mut [f32], (low, high): (f32, f32), (to_low, to_high): (f64, f64)) {
    let span = f64::from(high) - f64::from(low);
    for v in data {
        let part = if span > 0.0 { (f64::from(*v) - f64::from(low)) / span } else { 0.0 };
        *v = (to_low + part * (to_high - to_low)) as f32;
    }
}

/// Population deviation; voxels outside stay, and a constant inside becomes 0.
fn zscore(data: &mut [f32], inside: impl Fn(f32) -> bool) {
    let values = || data.iter().filter(|v| inside(**v)).map(|&v| f64::from(v));
    let count = values().count() as f64;
    if count == 0.0 {
        return;
    }
    let mean = values().sum::<f64>() / count;
    let deviation = (values().map(|v| (v - mean) * (v - mean)).sum::<f64>() / count).sqrt();
    let scale = if deviation > 0.0 { 1.0 / deviation } else { 0.0 };
    data.iter_mut().filter(|v| inside(**v)).for_each(|v| *v = ((f64::from(*v) - mean) * scale) as f32);
}

fn crop(volume: &Volume, n: [usize; 3]) -> Result<Volume> {
    let too_small =
        || Error::invalid(format!("{:?} voxels are too few to crop {n:?} off both ends", volume.dims));
    let mut dims = [0; 3];
    for a in 0..3 {
        dims[a] = volume.dims[a].checked_sub(2 * n[a]).filter(|&d| d > 0).ok_or_else(too_small)?;
    }
    let mut data = Vec::with_capacity(dims.iter().product());
    for z in 0..dims[2] {
        for y in 0..dims[1] {
            let start = volume.index(n[0], y + n[1], z + n[2]);
            data.extend_from_slice(&volume.data[start..start + dims[0]]);
        }
    }
    Volume::new(dims, data, volume.geometry.mapped([0, 1, 2], [1.0; 3], n.map(|n| n as f64)))
}

impl Prepared {
    /// The number of image channels, without repeated copies.
    pub fn channels(&self) -> usize {
        self.tensor.shape()[1] / self.copies
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

impl Move {
    /// Takes the step back for map `c` of `count`.
    fn undo(&self, volume: &Volume, (c, count): (usize, usize), mode: Mode) -> Result<Volume> {
        // Copies of a channel lie side by side, so that the first copy's header is that of the image.
        let geometry = c * (self.geometries.len() / count.max(1));
        let geometry = *self.geometries.get(geometry).ok_or_else(|| {
            Error::internal(format!("no geometry of map {c}: there are {}", self.geometries.len()))
        })?;
        let mut back = match self.way {
            // At the exact inverse coordinates of the resize.
            Way::Resized => resize_volume(volume, self.dims, mode)?,
            Way::Cropped(n) => pad(volume, self.dims, n)?,
            Way::Arranged(source, flip) => {
                let (mut from, mut backwards) = ([0; 3], [false; 3]);
                for a in 0..3 {
                    (from[source[a]], backwards[source[a]]) = (a, flip[a]);
                }
                volume.arranged(from, backwards)?
            }
        };
        back.geometry = geometry;
        Ok(back)
    }
}

/// Zeros around a volume, `n` voxels before the first one along each axis.
fn pad(volume: &Volume, dims: [usize; 3], n: [usize; 3]) -> Result<Volume> {
    let mut out = Volume::new(dims, vec![0.0; dims.iter().product()], volume.geometry)?;
    for z in 0..volume.dims[2] {
        for y in 0..volume.dims[1] {
            let (from, to) = (volume.index(0, y, z), out.index(n[0], y + n[1], z + n[2]));
            out.data[to..to + volume.dims[0]].copy_from_slice(&volume.data[from..from + volume.dims[0]]);
        }
    }
    Ok(out)
}
