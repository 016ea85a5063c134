//! Derivatives against finite differences of the kernels that they belong to, in double precision.

use super::draw::Draw;
use super::elements::FUNCTIONS;
use super::{KernelCase, Output, run_kernel};
use voxplain_autodiff::{Device, Kernel, Span};
use voxplain_graph::ops::Pointwise;
use voxplain_tensor::Result;

/// Kernels that are not linear and have a derivative kernel.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Differentiable {
    /// [`Kernel::Map`] and [`Kernel::MapGradient`], away from kinks.
    Map(Pointwise),
    /// [`Kernel::Softmax`] and [`Kernel::SoftmaxAdjoint`].
    Softmax(Span, bool),
    /// [`Kernel::Normalize`] and [`Kernel::NormalizeAdjoint`].
    Normalize(Span, f64),
}

impl Differentiable {
    /// A random one with dimensions up to `size`.
    pub fn draw(seed: u64, size: usize) -> Self {
        let draw = &mut Draw::new(seed, size);
        let s = Span { outer: draw.up_to(3), n: draw.up_to(8), inner: draw.up_to(3) };
        match draw.below(4) {
            0 => Self::Softmax(s, draw.flag()),
            1 => Self::Normalize(Span { inner: 1, n: s.n + 1, ..s }, 0.1),
            _ => Self::Map(draw.pick(&FUNCTIONS)),
        }
    }

    fn forward(self, x: &[f64]) -> KernelCase {
        let x = vec![x.to_vec()];
        let n = x[0].len();
        match self {
            Self::Map(f) => KernelCase::plain(Kernel::Map(f), x, n),
            Self::Softmax(s, log) => KernelCase::plain(Kernel::Softmax(s, log), x, n),
            Self::Normalize(s, epsilon) => {
                let mut case = KernelCase::plain(Kernel::Normalize(s, epsilon), x, n);
                case.outputs.push(Output::Real(s.outer));
                case
            }
        }
    }

    fn backward(self, g: &[f64], x: &[f64], results: &[Vec<f64>]) -> KernelCase {
        let (g, n) = (g.to_vec(), g.len());
        match self {
            Self::Map(f) => KernelCase::plain(Kernel::MapGradient(f), vec![g, x.to_vec()], n),
            Self::Softmax(s, log) => {
                KernelCase::plain(Kernel::SoftmaxAdjoint(s, log), vec![g, results[0].clone()], n)
            }
            Self::Normalize(s, _) => {
                let operands = vec![g, results[0].clone(), results[1].clone()];
                KernelCase::plain(Kernel::NormalizeAdjoint(s), operands, n)
            }
        }
    }

    /// A point at which the function is smooth as far as the differences reach: all kinks of [`FUNCTIONS`] are multiples
    /// of 1/10, so points stay in the middle between two of them.
    fn point(self, draw: &mut Draw) -> Vec<f64> {
        let n = match self {
            Self::Map(_) => 16,
            Self::Softmax(s, _) | Self::Normalize(s, _) => s.outer * s.n * s.inner,
        };
        let positive = matches!(self, Self::Map(Pointwise::Log | Pointwise::Sqrt | Pointwise::Reciprocal));
        let entry = |draw: &mut Draw| {
            let cell = draw.below(60) as f64 - if positive { 0.0 } else { 30.0 };
            (cell + 5.5) / 10.0 + draw.within(0.02)
        };
        (0..n).map(|_| entry(draw)).collect()
    }
}

/// `|g . f'(x) v - g . (df along v)|` at a random point in random directions, and what it may be: the rounding of the
/// differences and, from two step lengths, what they leave out.
///
/// # Errors
/// The device cannot run a case.
pub fn difference_defect<D: Device<Scalar = f64>>(
    device: &D,
    function: Differentiable,
    seed: u64,
) -> Result<(f64, f64)> {
    let draw = &mut Draw::new(seed, usize::MAX);
    let x = function.point(draw);
    let (g, v) = (draw.numbers(x.len()), draw.numbers(x.len()));
    let results = run_kernel(device, &function.forward(&x))?;
    let gradient = &run_kernel(device, &function.backward(&g, &x, &results))?[0];
    let exact: f64 = gradient.iter().zip(&v).map(|(d, v)| d * v).sum();
    let along = |h: f64| -> Result<(f64, f64)> {
        let moved: Vec<f64> = x.iter().zip(&v).map(|(x, v)| x + h * v).collect();
        let y = &run_kernel(device, &function.forward(&moved))?[0];
        let size = y.iter().zip(&g).map(|(y, g)| (y * g).abs()).sum();
        Ok((y.iter().zip(&g).map(|(y, g)| y * g).sum(), size))
    };
    // Fourth-order central differences; the longer step shows what the shorter leaves out.
    let difference = |h: f64| -> Result<(f64, f64)> {
        let ((a, sa), (b, sb)) = (along(h)?, along(-h)?);
        let ((c, _), (d, _)) = (along(2.0 * h)?, along(-2.0 * h)?);
        Ok(((8.0 * (a - b) - (c - d)) / (12.0 * h), (sa + sb) / h))
    };
    let (h, n) = (1.0 / 512.0, x.len() as f64);
    let ((short, size), (long, _)) = (difference(h)?, difference(2.0 * h)?);
    let sums: f64 = gradient.iter().zip(&v).map(|(d, v)| (d * v).abs()).sum();
    // Points are rounded too: a value moves by its derivative times the unit of the point.
    let rounding = f64::EPSILON * (n + 16.0) * (size + sums * (1.0 + 8.0 / h));
    Ok(((exact - short).abs(), rounding + (short - long).abs()))
}
