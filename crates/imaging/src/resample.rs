//! Resizing along axes: the network's grid from the image's, and maps back.

use crate::volume::Volume;
use voxplain_tensor::{Error, Result};

/// How entries of another grid are found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Means over the windows `floor(i I / O) .. ceil((i + 1) I / O)`, as adaptive average pooling.
    Area,
    /// Linear between two entries, half-pixel centres, clamped at the border.
    Linear,
    /// The entry `floor(i I / O)`.
    Nearest,
}

impl Mode {
    /// The mode of that name.
    ///
    /// # Errors
    /// There is no such mode.
    pub fn parse(name: &str) -> Result<Self> {
        match name {
            "area" => Ok(Self::Area),
            "linear" => Ok(Self::Linear),
            "nearest" => Ok(Self::Nearest),
            _ => Err(Error::invalid(format!("no resize mode {name:?}; area, linear or nearest expected"))),
        }
    }

    /// The name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Area => "area",
            Self::Linear => "linear",
            Self::Nearest => "nearest",
        }
    }

    /// The weighted entries that output entry `i` of `to` is made of.
    fn weights(self, i: usize, from: usize, to: usize) -> Vec<(usize, f64)> {
        match self {
            Self::Area => {
                let (start, end) = (i * from / to, ((i + 1) * from).div_ceil(to));
                (start..end).map(|k| (k, 1.0 / (end - start) as f64)).collect()
            }
            Self::Linear => {
                let x = ((i as f64 + 0.5) * from as f64 / to as f64 - 0.5).clamp(0.0, (from - 1) as f64);
                let low = x.floor() as usize;
                let fraction = x - low as f64;
                vec![(low, 1.0 - fraction), ((low + 1).min(from - 1), fraction)]
            }
            Self::Nearest => vec![(i * from / to, 1.0)],
        }
    }
}

/// Resizes the middle axis of an array `[outer, from, inner]` to `to` entries.
pub fn resize_axis(
    data: &[f32],
    (outer, from, inner): (usize, usize, usize),
    to: usize,
    mode: Mode,
) -> Vec<f32> {
    let mut out = vec![0.0f32; outer * to * inner];
    for i in 0..to {
        let weights = mode.weights(i, from, to);
        for o in 0..outer {
            let row = &mut out[(o * to + i) * inner..][..inner];
            for (k, value) in row.iter_mut().enumerate() {
                let sum: f64 =
                    weights.iter().map(|&(e, w)| w * f64::from(data[(o * from + e) * inner + k])).sum();
                *value = sum as f32;
            }
        }
    }
    out
}

/// A volume on another number of voxels over the same field of view; the geometry is changed exactly: voxel `i` of the
/// result has its centre at voxel `(i + 1/2) I / O - 1/2` of the source.
///
/// # Errors
/// A size is 0.
pub fn resize_volume(volume: &Volume, dims: [usize; 3], mode: Mode) -> Result<Volume> {
    if dims.contains(&0) {
        return Err(Error::invalid(format!("a volume cannot be resized to {dims:?} voxels")));
    }
    let [nx, ny, nz] = volume.dims;
    let x = resize_axis(&volume.data, (ny * nz, nx, 1), dims[0], mode);
    let y = resize_axis(&x, (nz, ny, dims[0]), dims[1], mode);
    let z = resize_axis(&y, (1, nz, dims[0] * dims[1]), dims[2], mode);
    let ratio = [0, 1, 2].map(|a| volume.dims[a] as f64 / dims[a] as f64);
    let geometry = volume.geometry.mapped([0, 1, 2], ratio, ratio.map(|r| 0.5 * r - 0.5));
    Volume::new(dims, z, geometry)
}
