//! What takes the place of what is taken away.
//!
//! Every fill is a whole image, made once from the input, so that a taken-away entry has the same value whatever else
//! is missing. Statistics and noise are those of the foreground (entries that are not 0): a background of zeros would
//! darken every mean, and noise there would show the network an image that no scanner makes.

use voxplain_attribution::Generator;
use voxplain_tensor::{Error, Result, Scalar, Shape, Tensor};

/// A way to make a fill.
#[derive(Clone, Debug, PartialEq)]
pub enum Fill {
    /// One number everywhere.
    Constant(f64),
    /// The mean of each channel's foreground, in the foreground; the background stays.
    Mean,
    /// Gaussian noise with mean and deviation of each channel's foreground, in the foreground; the background stays.
    Noise {
        /// The seed of the draws.
        seed: u64,
    },
    /// The input blurred along its spatial axes by a Gaussian of this deviation in entries.
    Blur(f64),
    /// The input mirrored along a spatial axis, counted from 0: the other hemisphere.
    Mirror(usize),
}

impl Fill {
    /// The fill of every input, of the inputs' shapes `[N, C, spatial]`.
    ///
    /// # Errors
    /// A number does not fit, or an input lacks the axis.
    pub fn make<S: Scalar>(&self, inputs: &[Tensor<S>]) -> Result<Vec<Tensor<S>>> {
        inputs.iter().enumerate().map(|(i, x)| self.one(i, x)).collect()
    }

    fn one<S: Scalar>(&self, input: usize, x: &Tensor<S>) -> Result<Tensor<S>> {
        let shape = x.shape();
        let planes = shape.get(..2).unwrap_or(&[1]).iter().product::<usize>().max(1);
        let mut data: Vec<f64> = x.data().iter().map(|v| v.to_f64()).collect();
        let plane = data.len() / planes;
        match self {
            Self::Constant(value) => data.fill(*value),
            Self::Mean => data.chunks_mut(plane).for_each(|p| replace(p, |_, (mean, _)| mean)),
            Self::Noise { seed } => {
                let generator = Generator::new(*seed, 0x4e00 + input as u32);
                for (c, p) in data.chunks_mut(plane).enumerate() {
                    let at = |i: usize| (c * plane + i) as u64;
                    replace(p, |i, (mean, deviation)| mean + deviation * generator.normal(0, at(i)));
                }
            }
            Self::Blur(sigma) => blur(&mut data, shape, *sigma)?,
            Self::Mirror(axis) => data = mirrored(&data, shape, *axis)?,
        }
        Tensor::new(&shape, data.into_iter().map(S::from_f64).collect())
    }
}

/// Gives every foreground entry of a channel a value from its position and the foreground's mean and deviation.
fn replace(plane: &mut [f64], value: impl Fn(usize, (f64, f64)) -> f64) {
    let inside = || plane.iter().filter(|v| **v != 0.0);
    let count = inside().count().max(1) as f64;
    let mean = inside().sum::<f64>() / count;
    let deviation = (inside().map(|v| (v - mean) * (v - mean)).sum::<f64>() / count).sqrt();
    let entries = plane.iter_mut().enumerate().filter(|(_, v)| **v != 0.0);
    entries.for_each(|(i, v)| *v = value(i, (mean, deviation)));
}

/// One Gaussian per spatial axis, cut off at three deviations, with the border's entries repeated.
fn blur(data: &mut [f64], shape: Shape, sigma: f64) -> Result<()> {
    if !sigma.is_finite() || sigma <= 0.0 || sigma > 1e3 {
        return Err(Error::invalid(format!("a blur of {sigma} entries; above 0 and at most 1000 expected")));
    }
    let reach = (3.0 * sigma).ceil() as isize;
    let weights: Vec<f64> = (-reach..=reach).map(|d| (-0.5 * (d as f64 / sigma).powi(2)).exp()).collect();
    let total: f64 = weights.iter().sum();
    for axis in 2..shape.rank() {
        let (n, inner) = (shape[axis] as isize, shape.inner(axis));
        let source = data.to_vec();
        for (at, out) in data.iter_mut().enumerate() {
            let (line, i) = (at / (inner * n as usize), (at / inner % n as usize) as isize);
            let entry = |d: isize| {
                let k = (i + d).clamp(0, n - 1) as usize;
                source[(line * n as usize + k) * inner + at % inner]
            };
            *out = (-reach..=reach).zip(&weights).map(|(d, w)| w * entry(d)).sum::<f64>() / total;
        }
    }
    Ok(())
}

fn mirrored(data: &[f64], shape: Shape, axis: usize) -> Result<Vec<f64>> {
    let axis = axis + 2;
    if axis >= shape.rank() {
        return Err(Error::invalid(format!(
            "an input of shape {shape} has no spatial axis {} to mirror",
            axis - 2
        )));
    }
    let (n, inner) = (shape[axis], shape.inner(axis));
    let from = |at: usize| {
        let (line, i) = (at / (inner * n), at / inner % n);
        (line * n + n - 1 - i) * inner + at % inner
    };
    Ok((0..data.len()).map(|at| data[from(at)]).collect())
}
