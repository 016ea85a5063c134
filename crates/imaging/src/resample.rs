//! Resizing along axes: the network's grid from the image's, and maps back.

use crate::volume::Volume;
use voxplain_tensor::{Error, Result, Tensor};

/// How entries of another grid are found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Means over the windows `floor(i I / O) .. ceil((i + 1) I / O)`, as adaptive average pooling.
    Area,
    /// Linear between two entries, half-pixel centres, clamped at the border.
    Linear,
    /// Cubic through four entries (Keys 1981 with a = -0.75, as PyTorch's `bicubic`), half-pixel centres, clamped at the
    /// border. May overshoot the range of its entries.
    Cubic,
    /// The entry `floor(i I / O)`, as `nearest` of PyTorch. Up to half an entry off where sizes do not divide.
    Nearest,
    /// The entry in which the centre of the new one lies, `floor((i + 1/2) I / O)`, as `nearest-exact` of PyTorch.
    NearestExact,
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
            "cubic" => Ok(Self::Cubic),
            "nearest" => Ok(Self::Nearest),
            "nearest-exact" => Ok(Self::NearestExact),
            _ => Err(Error::invalid(format!(
                "no resize mode {name:?}; area, linear, cubic, nearest or nearest-exact expected"
            ))),
        }
    }

    /// The name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Area => "area",
            Self::Linear => "linear",
            Self::Cubic => "cubic",
            Self::Nearest => "nearest",
            Self::NearestExact => "nearest-exact",
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
            Self::Cubic => cubic((i as f64 + 0.5) * from as f64 / to as f64 - 0.5, from),
            Self::Nearest => vec![(i * from / to, 1.0)],
            Self::NearestExact => vec![((2 * i + 1) * from / (2 * to), 1.0)],
        }
    }
}

/// The four entries about `x` with the weights of Keys' kernel.
fn cubic(x: f64, from: usize) -> Vec<(usize, f64)> {
    const A: f64 = -0.75;
    let near = |d: f64| ((A + 2.0) * d - (A + 3.0)) * d * d + 1.0;
    let far = |d: f64| ((A * d - 5.0 * A) * d + 8.0 * A) * d - 4.0 * A;
    let (low, t) = (x.floor(), x - x.floor());
    let weights = [far(t + 1.0), near(t), near(1.0 - t), far(2.0 - t)];
    let entry = |k: usize| (low + k as f64 - 1.0).clamp(0.0, (from - 1) as f64) as usize;
    weights.into_iter().enumerate().map(|(k, w)| (entry(k), w)).collect()
}

/// Voxels of the largest array that is made (8 GiB).
pub(crate) const MOST_VOXELS: usize = 1 << 31;

/// Resizes the middle axis of an array `[outer, from, inner]` to `to` entries.
///
/// # Errors
/// A size is 0, the sizes do not fit the data, or the result is too large.
pub fn resize_axis(
    data: &[f32],
    (outer, from, inner): (usize, usize, usize),
    to: usize,
    mode: Mode,
) -> Result<Vec<f32>> {
    let count = |axis: usize| outer.checked_mul(axis).and_then(|n| n.checked_mul(inner));
    if count(from) != Some(data.len()) || data.is_empty() || to == 0 {
        return Err(Error::invalid(format!(
            "an array of {} entries, [{outer}, {from}, {inner}], cannot be resized to {to} along its middle axis",
            data.len()
        )));
    }
    let total = count(to).filter(|&n| n <= MOST_VOXELS).ok_or_else(|| {
        Error::limit(format!(
            "{from} entries resized to {to} make an array of more than {MOST_VOXELS}; choose a smaller size"
        ))
    })?;
    let mut out = vec![0.0f32; total];
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
    Ok(out)
}

/// An array `[channels, ...]` of pictures or volumes with its axes behind the first resized to `sizes`.
///
/// # Errors
/// As [`resize_axis`], or there is not one size per axis.
///
/// ```
/// use voxplain_imaging::{Mode, resize_array};
/// use voxplain_tensor::Tensor;
/// let line = Tensor::new(&[1, 5], vec![0.0, 1.0, 2.0, 3.0, 4.0])?;
/// // The windows of adaptive average pooling overlap: entries 0 to 2 and 2 to 4.
/// assert_eq!(resize_array(&line, &[2], Mode::Area)?.data(), [1.0, 3.0]);
/// # Ok::<(), voxplain_tensor::Error>(())
/// ```
pub fn resize_array(array: &Tensor<f32>, sizes: &[usize], mode: Mode) -> Result<Tensor<f32>> {
    let mut shape = array.shape();
    if shape.rank() != sizes.len() + 1 {
        return Err(Error::invalid(format!(
            "an array of shape {shape} cannot be resized to {sizes:?}; one size per axis behind the channels expected"
        )));
    }
    let mut data = array.data().to_vec();
    for (i, &size) in sizes.iter().enumerate() {
        let (outer, inner) = (shape.outer(i + 1), shape.inner(i + 1));
        data = resize_axis(&data, (outer, shape[i + 1], inner), size, mode)?;
        shape = shape.with(i + 1, size)?;
    }
    Tensor::new(&shape, data)
}

/// A volume on another number of voxels over the same field of view; the geometry is changed exactly: voxel `i` of the
/// result has its centre at voxel `(i + 1/2) I / O - 1/2` of the source.
///
/// # Errors
/// A size is 0, or the result is too large.
pub fn resize_volume(volume: &Volume, dims: [usize; 3], mode: Mode) -> Result<Volume> {
    let [nx, ny, nz] = volume.dims;
    let x = resize_axis(&volume.data, (ny * nz, nx, 1), dims[0], mode)?;
    let y = resize_axis(&x, (nz, ny, dims[0]), dims[1], mode)?;
    let z = resize_axis(&y, (1, nz, dims[0] * dims[1]), dims[2], mode)?;
    let ratio = [0, 1, 2].map(|a| volume.dims[a] as f64 / dims[a] as f64);
    let geometry = volume.geometry.mapped([0, 1, 2], ratio, ratio.map(|r| 0.5 * r - 0.5));
    Volume::new(dims, z, geometry)
}
