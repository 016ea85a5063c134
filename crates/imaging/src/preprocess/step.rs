//! The steps by name: what a card says, what a manifest records.

use crate::resample::Mode;
use crate::volume::parse_codes;
use std::fmt;
use voxplain_tensor::{Error, Result};

/// One step. Its text, as [`Step::parse`] reads and `Display` writes it, stands in quotes.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// `orient RAS`: array axes along these directions, without interpolation.
    Orient(String),
    /// `minmax`: the whole stack of channels to 0..1.
    MinMax,
    /// `scale LOW HIGH`: each channel to this range.
    Scale(f64, f64),
    /// `zscore [nonzero] [per-channel]`: minus the mean, over the (population) deviation.
    ZScore {
        /// Statistics over voxels that are not 0, and zeros stay 0.
        nonzero: bool,
        /// Each channel by its own statistics; otherwise all channels by common ones.
        per_channel: bool,
    },
    /// `standardize MEAN DEVIATION`: with fixed numbers, one for all channels or one per channel (`0.5,0.4 0.2,0.2`).
    Standardize(Vec<f64>, Vec<f64>),
    /// `clip LOW HIGH`: intensities outside become the nearer bound.
    Clip(f64, f64),
    /// `clip-percentiles LOW HIGH [nonzero]`: as `clip`, with bounds from each channel's own voxels (linear between
    /// ranks, as NumPy).
    ClipPercentiles {
        /// Percents, 0 to 100.
        bounds: (f64, f64),
        /// Percentiles over voxels that are not 0.
        nonzero: bool,
    },
    /// `crop N` or `crop X Y Z`: this many voxels off both ends of each axis.
    Crop([usize; 3]),
    /// `crop-foreground [MARGIN]`: to the box around the voxels above 0 in any channel, `MARGIN` voxels wider where the
    /// image goes on.
    CropForeground(usize),
    /// `pad-or-crop X Y Z`: to this many voxels about the centre, with zeros where there were none.
    PadOrCrop([usize; 3]),
    /// `resize X Y Z MODE`: to this many voxels over the same field of view.
    Resize([usize; 3], Mode),
    /// `resample X Y Z MODE`: to voxels of this size in mm along the array's axes, over the same field of view, so that
    /// a voxel is off by less than half a voxel's share of the whole; the geometry stays exact.
    Resample([f64; 3], Mode),
    /// `repeat N`: each channel this many times.
    Repeat(usize),
    /// `stack`: steps before it see each channel alone, steps behind it (or all, without it) see all channels.
    Stack,
}

/// What a card can say; errors print it.
const KNOWN: &str = "minmax, scale LOW HIGH, zscore [nonzero] [per-channel], standardize MEAN DEVIATION (or one per \
                     channel: M,M D,D), clip LOW HIGH, clip-percentiles LOW HIGH [nonzero], crop N or X Y Z, \
                     crop-foreground [MARGIN], pad-or-crop X Y Z, resize X Y Z MODE and resample MM MM MM MODE with MODE \
                     area|linear|cubic|nearest|nearest-exact, repeat N, orient RAS, stack";

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |v: &[f64]| v.iter().map(f64::to_string).collect::<Vec<_>>().join(",");
        let nonzero = |yes: bool| if yes { " nonzero" } else { "" };
        match self {
            Self::Orient(codes) => write!(f, "orient {codes}"),
            Self::MinMax => write!(f, "minmax"),
            Self::Scale(low, high) => write!(f, "scale {low} {high}"),
            Self::ZScore { nonzero: n, per_channel } => {
                write!(f, "zscore{}{}", nonzero(*n), if *per_channel { " per-channel" } else { "" })
            }
            Self::Standardize(mean, deviation) => write!(f, "standardize {} {}", list(mean), list(deviation)),
            Self::Clip(low, high) => write!(f, "clip {low} {high}"),
            Self::ClipPercentiles { bounds, nonzero: n } => {
                write!(f, "clip-percentiles {} {}{}", bounds.0, bounds.1, nonzero(*n))
            }
            Self::Crop([x, y, z]) if x == y && y == z => write!(f, "crop {x}"),
            Self::Crop([x, y, z]) => write!(f, "crop {x} {y} {z}"),
            Self::CropForeground(0) => write!(f, "crop-foreground"),
            Self::CropForeground(margin) => write!(f, "crop-foreground {margin}"),
            Self::PadOrCrop([x, y, z]) => write!(f, "pad-or-crop {x} {y} {z}"),
            Self::Resize([x, y, z], mode) => write!(f, "resize {x} {y} {z} {}", mode.name()),
            Self::Resample([x, y, z], mode) => write!(f, "resample {x} {y} {z} {}", mode.name()),
            Self::Repeat(n) => write!(f, "repeat {n}"),
            Self::Stack => write!(f, "stack"),
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
        let step = match words.split_first() {
            Some((&name, rest)) => Words(rest).step(name)?,
            None => None,
        };
        step.ok_or_else(|| Error::invalid(format!("no preprocessing step {text:?}; there are: {KNOWN}")))
    }
}

/// The words behind a step's name.
struct Words<'t>(&'t [&'t str]);

impl Words<'_> {
    /// The step of that name with these words, or `None` if they do not fit it.
    fn step(&self, name: &str) -> Result<Option<Step>> {
        Ok(match name {
            "minmax" => self.none(Step::MinMax),
            "stack" => self.none(Step::Stack),
            "zscore" => self.zscore(),
            "scale" => self.range().map(|(l, h)| Step::Scale(l, h)),
            "clip" => self.range().map(|(l, h)| Step::Clip(l, h)),
            "clip-percentiles" => self.percentiles(),
            "standardize" => self.standardize(),
            "crop" => self.crop(),
            "crop-foreground" => self.margin().map(Step::CropForeground),
            "pad-or-crop" => self.three(count).map(Step::PadOrCrop),
            "repeat" => self.one().and_then(count).map(Step::Repeat),
            "orient" => {
                let codes = self.one();
                codes.map(parse_codes).transpose()?;
                codes.map(|c| Step::Orient(c.into()))
            }
            "resize" | "resample" => self.resized(name)?,
            _ => None,
        })
    }

    fn none(&self, step: Step) -> Option<Step> {
        self.0.is_empty().then_some(step)
    }

    fn one(&self) -> Option<&str> {
        <[&str; 1]>::try_from(self.0).ok().map(|[word]| word)
    }

    fn three<T>(&self, read: impl Fn(&str) -> Option<T>) -> Option<[T; 3]> {
        let numbers: Vec<T> = self.0.iter().map_while(|w| read(w)).collect();
        numbers.try_into().ok().filter(|_| self.0.len() == 3)
    }

    /// Two numbers, the first one smaller.
    fn range(&self) -> Option<(f64, f64)> {
        let [low, high] = <[&str; 2]>::try_from(self.0).ok()?;
        number(low).zip(number(high)).filter(|(l, h)| l < h)
    }

    fn zscore(&self) -> Option<Step> {
        let (nonzero, per_channel) = match self.0 {
            [] => (false, false),
            ["nonzero"] => (true, false),
            ["per-channel"] => (false, true),
            ["nonzero", "per-channel"] => (true, true),
            _ => return None,
        };
        Some(Step::ZScore { nonzero, per_channel })
    }

    fn percentiles(&self) -> Option<Step> {
        let (numbers, nonzero) = match self.0 {
            [numbers @ .., "nonzero"] => (numbers, true),
            numbers => (numbers, false),
        };
        let bounds = Words(numbers).range().filter(|b| b.0 >= 0.0 && b.1 <= 100.0)?;
        Some(Step::ClipPercentiles { bounds, nonzero })
    }

    fn standardize(&self) -> Option<Step> {
        let [mean, deviation] = <[&str; 2]>::try_from(self.0).ok()?;
        let list = |word: &str| word.split(',').map(number).collect::<Option<Vec<f64>>>();
        let (mean, deviation) = list(mean).zip(list(deviation))?;
        (mean.len() == deviation.len() && deviation.iter().all(|d| *d > 0.0))
            .then_some(Step::Standardize(mean, deviation))
    }

    /// An axis may keep all its voxels, but not all three.
    fn crop(&self) -> Option<Step> {
        let margins = match self.one() {
            Some(word) => [count(word)?; 3],
            None => self.three(below_limit)?,
        };
        (margins != [0; 3]).then_some(Step::Crop(margins))
    }

    fn margin(&self) -> Option<usize> {
        if self.0.is_empty() { Some(0) } else { self.one().and_then(below_limit) }
    }

    fn resized(&self, name: &str) -> Result<Option<Step>> {
        let Some((mode, numbers)) = self.0.split_last() else { return Ok(None) };
        let numbers = Words(numbers);
        let mode = || Mode::parse(mode);
        if name == "resize" {
            return numbers.three(count).map(|sizes| Ok(Step::Resize(sizes, mode()?))).transpose();
        }
        let spacing = numbers.three(|w| number(w).filter(|mm| *mm > 0.0));
        spacing.map(|mm| Ok(Step::Resample(mm, mode()?))).transpose()
    }
}

fn number(word: &str) -> Option<f64> {
    word.parse().ok().filter(|v: &f64| v.is_finite())
}

/// Sizes that no scanner makes are typing errors.
fn below_limit(word: &str) -> Option<usize> {
    word.parse().ok().filter(|&n: &usize| n < 1 << 16)
}

fn count(word: &str) -> Option<usize> {
    below_limit(word).filter(|&n| n > 0)
}
