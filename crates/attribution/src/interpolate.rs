//! Resizing maps from a layer's grid to the input's.

use voxplain_graph::ops::{AxisTap, Coordinates, ResizeMode, axis_taps};
use voxplain_tensor::{Error, Result, Scalar, Tensor};

/// How a map is brought to another grid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interpolation {
    /// The entry `floor(i * from / to)`.
    Nearest,
    /// Linear along every axis, half-pixel centres, clamped at the border.
    Linear,
}

impl Interpolation {
    /// `nearest`, or `linear` under any of its names by rank (`bilinear`, `trilinear`).
    ///
    /// # Errors
    /// There is no such interpolation.
    pub fn parse(name: &str) -> Result<Self> {
        match name {
            "nearest" => Ok(Self::Nearest),
            "linear" | "bilinear" | "trilinear" => Ok(Self::Linear),
            _ => Err(Error::invalid(format!("no interpolation {name:?}; nearest or linear expected"))),
        }
    }

    fn taps(self, from: usize, to: usize) -> Vec<AxisTap> {
        let scale = to as f64 / from as f64;
        match self {
            Self::Linear => axis_taps(from, to, scale, ResizeMode::Linear, Coordinates::HalfPixel),
            // In whole numbers, so that no rounding of the scale can move an entry.
            Self::Nearest => {
                (0..to).map(|i| AxisTap { at: [i * from / to; 2], weight: [1.0, 0.0] }).collect()
            }
        }
    }
}

/// `map` of shape `[rows, channels, spatial]` on other spatial sizes.
///
/// # Errors
/// The number of spatial axes differs, or a size is 0.
pub fn resize<S: Scalar>(
    map: &Tensor<S>,
    spatial: &[usize],
    interpolation: Interpolation,
) -> Result<Tensor<S>> {
    let shape = map.shape();
    if shape.rank() != spatial.len() + 2 || spatial.contains(&0) {
        return Err(Error::invalid(format!(
            "a map of shape {shape} cannot be brought to spatial sizes {spatial:?}: the number of axes differs"
        )));
    }
    let mut current = map.clone();
    // The last axis first: most of the work is then on the first, whose entries are whole images.
    for (axis, &to) in spatial.iter().enumerate().rev() {
        current = along(&current, axis + 2, &interpolation.taps(shape[axis + 2], to))?;
    }
    Ok(current)
}

fn along<S: Scalar>(x: &Tensor<S>, axis: usize, taps: &[AxisTap]) -> Result<Tensor<S>> {
    let shape = x.shape();
    let (outer, inner, from) = (shape.outer(axis), shape.inner(axis), shape[axis]);
    let mut out = Tensor::zeros(shape.with(axis, taps.len())?);
    let images = (0..outer).flat_map(|o| taps.iter().map(move |tap| (o, tap)));
    for (into, (o, tap)) in out.data_mut().chunks_exact_mut(inner.max(1)).zip(images) {
        let [first, second] = tap.at.map(|entry| &x.data()[(o * from + entry) * inner..][..inner]);
        if tap.weight[1] == 0.0 {
            into.copy_from_slice(first);
            continue;
        }
        let [a, b] = tap.weight.map(S::from_f64);
        for ((to, &u), &v) in into.iter_mut().zip(first).zip(second) {
            *to = a * u + b * v;
        }
    }
    Ok(out)
}
