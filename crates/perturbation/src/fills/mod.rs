//! What takes the place of what is taken away, one file per kind.
//!
//! Every fill is a whole image, made once from the input, so that a taken-away entry has the same value whatever else
//! is missing. Where a fill is asked to keep to the foreground, its statistics are those of the foreground and the
//! background stays: a background of zeros would darken every mean, and noise there would show the network an image that
//! no scanner makes. Another patient's values need no fill: they are a baseline of tensors.

mod blur;
mod mean;
mod mirror;
mod noise;
mod surroundings;

use crate::features::Features;
use voxplain_tensor::{Error, Result, Scalar, Shape, Tensor};

/// A way to make a fill.
#[derive(Clone, Debug, PartialEq)]
pub enum Fill {
    /// One number.
    Constant(f64),
    /// The mean of each channel.
    Mean,
    /// Gaussian noise with mean and deviation of each channel.
    Noise {
        /// The seed of the draws.
        seed: u64,
    },
    /// The input blurred along its spatial axes by a Gaussian of this deviation in entries.
    Blur(f64),
    /// The input mirrored along a spatial axis, counted from 0: the other hemisphere.
    Mirror(usize),
    /// Each feature filled from the entries around it, as smoothly as they allow.
    Surroundings,
}

/// Where a fill looks and writes.
#[derive(Clone, Debug, PartialEq)]
pub enum Inside<S> {
    /// Everywhere.
    Everywhere,
    /// Where the input is not 0.
    Foreground,
    /// Where these tensors of the inputs' shapes (one example or as many as the inputs have) are not 0.
    Given(Vec<Tensor<S>>),
}

impl<S: Scalar> Inside<S> {
    /// `values` (of the inputs' shapes, or one example of them) inside, and the inputs' own values outside: what a
    /// foreground makes of another patient's image.
    ///
    /// # Errors
    /// A shape does not fit.
    pub fn keep(&self, inputs: &[Tensor<S>], values: Vec<Tensor<S>>) -> Result<Vec<Tensor<S>>> {
        let one = |((i, x), v): ((usize, &Tensor<S>), Tensor<S>)| {
            if v.shape().get(1..) != x.shape().get(1..) || x.data().len() % v.data().len().max(1) != 0 {
                return Err(Error::invalid(format!(
                    "values of shape {} to take the place of input {i}, which has shape {}",
                    v.shape(),
                    x.shape()
                )));
            }
            let own: Vec<f64> = x.data().iter().map(|v| v.to_f64()).collect();
            let inside = inside_of(i, &own, x.shape(), self)?;
            let pick = |at: usize| if inside[at] { v.data()[at % v.data().len()] } else { x.data()[at] };
            Tensor::new(&x.shape(), (0..own.len()).map(pick).collect())
        };
        inputs.iter().enumerate().zip(values).map(one).collect()
    }
}

/// One channel of one example: what a kind of fill works on.
struct Plane<'a> {
    values: &'a [f64],
    inside: &'a [bool],
    /// Spatial sizes.
    sizes: &'a [usize],
}

impl Plane<'_> {
    /// Mean and deviation of the entries inside.
    fn statistics(&self) -> (f64, f64) {
        let inside = || self.values.iter().zip(self.inside).filter(|(_, i)| **i).map(|(v, _)| *v);
        let count = inside().count().max(1) as f64;
        let mean = inside().sum::<f64>() / count;
        (mean, (inside().map(|v| (v - mean) * (v - mean)).sum::<f64>() / count).sqrt())
    }
}

impl Fill {
    /// The fill of every input, of the inputs' shapes `[N, C, spatial]`: mean and noise keep to the foreground, the others
    /// are made everywhere.
    ///
    /// # Errors
    /// A number does not fit, an input lacks the axis, or the fill needs features.
    pub fn make<S: Scalar>(&self, inputs: &[Tensor<S>]) -> Result<Vec<Tensor<S>>> {
        let own = matches!(self, Self::Mean | Self::Noise { .. });
        self.make_inside(inputs, &if own { Inside::Foreground } else { Inside::Everywhere }, None)
    }

    /// The fill of every input inside `inside`; outside it has the input's values. `features` are needed by
    /// [`Fill::Surroundings`] alone.
    ///
    /// # Errors
    /// As [`Fill::make`], or `inside` has another shape.
    pub fn make_inside<S: Scalar>(
        &self,
        inputs: &[Tensor<S>],
        inside: &Inside<S>,
        features: Option<&Features>,
    ) -> Result<Vec<Tensor<S>>> {
        inputs.iter().enumerate().map(|(i, x)| self.one(i, x, inside, features)).collect()
    }

    fn one<S: Scalar>(
        &self,
        input: usize,
        x: &Tensor<S>,
        inside: &Inside<S>,
        features: Option<&Features>,
    ) -> Result<Tensor<S>> {
        let shape = x.shape();
        let planes = shape.get(..2).unwrap_or(&[1]).iter().product::<usize>().max(1);
        let values: Vec<f64> = x.data().iter().map(|v| v.to_f64()).collect();
        let inside = inside_of(input, &values, shape, inside)?;
        let length = values.len() / planes;
        let mut out = Vec::with_capacity(values.len());
        let sizes = shape.get(2..).unwrap_or(&[]).to_vec();
        for at in 0..planes {
            let range = at * length..(at + 1) * length;
            let plane = Plane { values: &values[range.clone()], inside: &inside[range], sizes: &sizes };
            let labels = || -> Result<&[u32]> {
                let features = features.ok_or_else(|| {
                    Error::invalid(
                        "a fill from the surroundings needs regions; use features such as slic or grid 16",
                    )
                })?;
                let per_example = planes / shape[0];
                Ok(&features.of(input, at / per_example)[at % per_example * length..][..length])
            };
            let filled = match self {
                Self::Constant(value) => vec![*value; length],
                Self::Mean => mean::fill(&plane),
                Self::Noise { seed } => noise::fill(&plane, (*seed, input), (at * length) as u64),
                Self::Blur(sigma) => blur::fill(&plane, *sigma)?,
                Self::Mirror(axis) => mirror::fill(&plane, *axis)?,
                Self::Surroundings => surroundings::fill(&plane, labels()?),
            };
            let kept = filled.into_iter().zip(plane.values).zip(plane.inside);
            out.extend(kept.map(|((f, x), i)| S::from_f64(if *i { f } else { *x })));
        }
        Tensor::new(&shape, out)
    }
}

/// Which entries of an input are inside.
fn inside_of<S: Scalar>(input: usize, values: &[f64], shape: Shape, inside: &Inside<S>) -> Result<Vec<bool>> {
    match inside {
        Inside::Everywhere => Ok(vec![true; values.len()]),
        Inside::Foreground => Ok(values.iter().map(|v| *v != 0.0).collect()),
        Inside::Given(masks) => {
            let mask =
                masks.get(input).filter(|m| !m.data().is_empty() && values.len() % m.data().len() == 0);
            let mask = mask.filter(|m| m.shape().get(1..) == shape.get(1..)).ok_or_else(|| {
                Error::invalid(format!(
                    "the foreground of input {input} must have its shape, {shape}, or one example of it"
                ))
            })?;
            Ok((0..values.len()).map(|i| mask.data()[i % mask.data().len()] != S::ZERO).collect())
        }
    }
}
