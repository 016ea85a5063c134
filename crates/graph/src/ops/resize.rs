//! Interpolation as one sparse linear map per axis: every mode of ONNX `Resize` is such a map, so the kernels need
//! no modes and the adjoint is the transposed map.

use alloc::format;
use alloc::vec;
use alloc::vec::Vec;
use voxplain_tensor::{Error, Result, Shape};

/// One output entry of an axis: at most two input entries and their weights.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AxisTap {
    /// The input entries.
    pub at: [usize; 2],
    /// Their weights, which add up to 1.
    pub weight: [f64; 2],
}

/// How values between entries are found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResizeMode {
    /// The entry `floor(coordinate)`, as PyTorch's `nearest` with asymmetric coordinates.
    NearestFloor,
    /// The nearest entry, ties down (ONNX `round_prefer_floor`).
    NearestPreferFloor,
    /// The nearest entry, ties up (ONNX `round_prefer_ceil`).
    NearestPreferCeil,
    /// The entry `ceil(coordinate)`.
    NearestCeil,
    /// Linear between two entries, clamped at the border.
    Linear,
}

/// The map from output to input coordinates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coordinates {
    /// `(i + 1/2) / scale - 1/2` (PyTorch `align_corners=False`).
    HalfPixel,
    /// As half-pixel, but 0 where the output has size 1 (ONNX `pytorch_half_pixel`).
    PytorchHalfPixel,
    /// `i (in - 1) / (out - 1)` (PyTorch `align_corners=True`).
    AlignCorners,
    /// `i / scale`.
    Asymmetric,
}

/// The taps that resize an axis from `from` to `to` entries; `scale` is `to / from` unless the model says otherwise.
pub fn axis_taps(
    from: usize,
    to: usize,
    scale: f64,
    mode: ResizeMode,
    coordinates: Coordinates,
) -> Vec<AxisTap> {
    (0..to)
        .map(|i| {
            let x = match coordinates {
                Coordinates::PytorchHalfPixel if to == 1 => 0.0,
                Coordinates::HalfPixel | Coordinates::PytorchHalfPixel => (i as f64 + 0.5) / scale - 0.5,
                Coordinates::AlignCorners if to == 1 => 0.0,
                Coordinates::AlignCorners => i as f64 * (from - 1) as f64 / (to - 1) as f64,
                Coordinates::Asymmetric => i as f64 / scale,
            };
            tap(x, from, mode)
        })
        .collect()
}

/// What rounding may move a coordinate by; far below the distance between coordinates.
const ROUNDING: f64 = 1e-9;

fn tap(x: f64, from: usize, mode: ResizeMode) -> AxisTap {
    let x = x.clamp(0.0, (from - 1) as f64);
    // The coordinate is not negative, so truncation is floor. `9 / (18 / 14)` is 6.999..: a coordinate that is whole but
    // for rounding is whole, or the nearest entry would be the one before.
    let whole = (x + ROUNDING) as usize;
    let low = whole.min(from - 1);
    let fraction = if x - (low as f64) < ROUNDING { 0.0 } else { x - low as f64 };
    let high = (low + 1).min(from - 1);
    let up = match mode {
        ResizeMode::Linear => return AxisTap { at: [low, high], weight: [1.0 - fraction, fraction] },
        ResizeMode::NearestFloor => false,
        ResizeMode::NearestPreferFloor => fraction > 0.5 + ROUNDING,
        ResizeMode::NearestPreferCeil => fraction >= 0.5 - ROUNDING,
        ResizeMode::NearestCeil => fraction > 0.0,
    };
    let at = if up { high } else { low };
    AxisTap { at: [at, at], weight: [1.0, 0.0] }
}

pub(super) fn infer(taps: &[Option<Vec<AxisTap>>], x: Shape) -> Result<Shape> {
    if taps.len() != x.rank() || taps.first().is_some_and(Option::is_some) {
        return Err(Error::invalid(format!(
            "{} axis maps for data of shape {x}; the batch axis must stay",
            taps.len()
        )));
    }
    let mut sizes = vec![0; x.rank()];
    for (i, size) in sizes.iter_mut().enumerate() {
        *size = taps[i].as_ref().map_or(x[i], Vec::len);
        let inside = |t: &AxisTap| t.at.iter().all(|&a| a < x[i]);
        if *size == 0 || !taps[i].iter().flatten().all(inside) {
            return Err(Error::invalid(format!("axis {i} of data of shape {x} is resized out of range")));
        }
    }
    Shape::new(&sizes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nearest_takes_the_entry_floor_of_i_times_from_over_to() {
        for from in 1..60 {
            for to in 1..130 {
                let scale = to as f64 / from as f64;
                let taps = axis_taps(from, to, scale, ResizeMode::NearestFloor, Coordinates::Asymmetric);
                for (i, tap) in taps.iter().enumerate() {
                    assert_eq!(tap.at[0], i * from / to, "{from} to {to} at {i}");
                }
            }
        }
    }
}
