//! Where a segmentation network's class counts: its own prediction, a mask, a box.

use crate::case::Case;
use crate::prediction::Prediction;
use voxplain_imaging::{Mode, Volume};
use voxplain_models::Card;
use voxplain_tensor::{Error, Result};

/// The part of a target behind `@`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Region {
    /// `pred`: the voxels that the network gives the class.
    Predicted,
    /// `mask` or `mask:2`: the voxels of the segmentation that are not 0, or that have this label.
    Mask(Option<f32>),
    /// `box:10:20,0:30,5:9`: these voxels of the image (of the network's output where the inputs are arrays).
    Box(Vec<[usize; 2]>),
}

impl Region {
    /// Reads the words behind `@`.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        let bad = || {
            Error::invalid(format!(
                "no region {text:?}; pred, mask, mask:LABEL or box:X0:X1,Y0:Y1,Z0:Z1 (first voxel, voxel behind the last) \
                 expected"
            ))
        };
        match text.split_once(':') {
            None if text == "pred" => Ok(Self::Predicted),
            None if text == "mask" => Ok(Self::Mask(None)),
            Some(("mask", label)) => Ok(Self::Mask(Some(label.parse().map_err(|_| bad())?))),
            Some(("box", ranges)) => {
                let range = |text: &str| {
                    let (from, to) = text.split_once(':')?;
                    let (from, to) = (from.parse().ok()?, to.parse().ok()?);
                    (from < to).then_some([from, to])
                };
                ranges.split(',').map(range).collect::<Option<_>>().map(Self::Box).ok_or_else(bad)
            }
            _ => Err(bad()),
        }
    }

    /// 1 inside and 0 outside on the output's grid `spatial`, row-major.
    pub(crate) fn weights(
        &self,
        class: usize,
        case: &Case,
        prediction: &Prediction,
        card: &Card,
    ) -> Result<Vec<f64>> {
        let spatial = prediction.shape.get(2..).unwrap_or(&[]);
        if spatial.is_empty() {
            return Err(Error::invalid(
                "the network's output has no space, so a target has no region; leave out @",
            ));
        }
        let weights = match self {
            Self::Predicted => predicted(class, prediction, card)?,
            Self::Mask(label) => masked(*label, case, spatial)?,
            Self::Box(ranges) => boxed(ranges, case, spatial)?,
        };
        if weights.iter().all(|w| *w == 0.0) {
            return Err(Error::invalid(match self {
                Self::Predicted => format!("the network gives no voxel the class {}", card.class_name(class)),
                _ => String::from("the region holds no voxel of the network's output"),
            }));
        }
        Ok(weights)
    }
}

/// Voxels whose class this is: the largest of several outputs; for outputs of their own (`sigmoid-logit`) those at or
/// above the card's threshold.
pub(crate) fn predicted(class: usize, prediction: &Prediction, card: &Card) -> Result<Vec<f64>> {
    let [values] = prediction.logits.as_slice() else {
        return Err(Error::invalid("a region of the prediction needs a single example"));
    };
    let classes = prediction.shape.get(1).copied().unwrap_or(1);
    let space = values.len() / classes;
    if class >= classes {
        return Err(Error::invalid(format!("no class {class}: the network has {classes}, numbered from 0")));
    }
    let own = card.output.as_deref() == Some("sigmoid-logit") || classes == 1;
    let threshold = card.threshold.unwrap_or(0.5);
    let probability = |v: f32| match card.output.as_deref() {
        Some("probabilities") => f64::from(v),
        _ => 1.0 / (1.0 + (-f64::from(v)).exp()),
    };
    let inside = |at: usize| {
        let value = values[class * space + at];
        if own {
            return probability(value) >= threshold;
        }
        // The first of equal values wins, as everywhere.
        (0..classes)
            .all(|c| values[c * space + at] < value || (values[c * space + at] == value && c >= class))
    };
    Ok((0..space).map(|at| f64::from(u8::from(inside(at)))).collect())
}

fn masked(label: Option<f32>, case: &Case, spatial: &[usize]) -> Result<Vec<f64>> {
    let mask =
        case.mask.as_ref().ok_or_else(|| Error::invalid("the target names a mask; pass --mask FILE"))?;
    let inside = |v: &f32| label.map_or(*v != 0.0, |l| *v == l);
    let data = mask.data.iter().map(|v| f32::from(u8::from(inside(v)))).collect();
    carried(&Volume::new(mask.dims, data, mask.geometry)?, case, spatial)
}

fn boxed(ranges: &[[usize; 2]], case: &Case, spatial: &[usize]) -> Result<Vec<f64>> {
    let image = case.images.iter().flatten().flat_map(|i| &i.volumes).next();
    let grid = image.map_or(spatial, |i| &i.dims);
    if ranges.len() != grid.len() || ranges.iter().zip(grid).any(|(r, &n)| r[1] > n) {
        return Err(Error::invalid(format!("the box {ranges:?} does not lie inside {grid:?} voxels")));
    }
    let inside = |at: &[usize]| at.iter().zip(ranges).all(|(p, r)| (r[0]..r[1]).contains(p));
    let Some(image) = image else {
        let place = |mut i: usize| {
            let mut at: Vec<usize> = spatial.iter().rev().map(|&n| (i % n, i /= n).0).collect();
            at.reverse();
            at
        };
        return Ok((0..spatial.iter().product()).map(|i| f64::from(u8::from(inside(&place(i))))).collect());
    };
    let [nx, ny, _] = image.dims;
    let place = |i: usize| [i % nx, i / nx % ny, i / nx / ny];
    let data = (0..image.data.len()).map(|i| f32::from(u8::from(inside(&place(i))))).collect();
    carried(&Volume::new(image.dims, data, image.geometry)?, case, spatial)
}

/// A region of the images on the network's grid, by the nearest voxel.
fn carried(region: &Volume, case: &Case, spatial: &[usize]) -> Result<Vec<f64>> {
    let images = case.images.iter().flatten().next();
    let images = images.ok_or_else(|| Error::invalid("a region of the images needs images, not arrays"))?;
    let volume = images.prepared.carry(region, Mode::NearestExact)?;
    if volume.dims != spatial {
        return Err(Error::unsupported(format!(
            "the network's output has {spatial:?} voxels for an input of {:?}; regions need one output per voxel",
            volume.dims
        )));
    }
    Ok(volume.to_array()?.data().iter().map(|&v| f64::from(v)).collect())
}
