//! How far a device may be off: a running error bound, the number of roundings behind an element times the unit of the
//! device times the sum of the absolute values of the element's terms. Kernels that only move or choose are exact.

use super::{KernelCase, Operand, Output, run_kernel};
use crate::pointwise::{derivative, value};
use crate::{Oracle, slope::slope};
use std::sync::Arc;
use voxplain_autodiff::{BinaryFn, Device, Kernel, Span};
use voxplain_graph::ops::Pointwise;
use voxplain_tensor::{Result, Scalar};

/// Roundings of the longest formula of one element, those of library functions included.
const FORMULA: f64 = 8.0;

/// What each wanted result of a case may be off by on a device with this unit of rounding (2^-23 for single precision).
///
/// # Errors
/// The oracle cannot run the case.
pub fn bounds(case: &KernelCase, epsilon: f64) -> Result<Vec<Vec<f64>>> {
    if is_exact(&case.kernel) {
        let zeros = |output: &Output| match output {
            Output::Unwanted => None,
            Output::Real(n) | Output::Bits(n, _) => Some(vec![0.0; *n]),
            Output::Codes(g) => Some(vec![0.0; g.planes * g.output.iter().product::<usize>()]),
        };
        return Ok(case.outputs.iter().filter_map(zeros).collect());
    }
    let (first, second) = match &case.kernel {
        Kernel::Normalize(s, added) => {
            let (normalised, inverse) = normalize(*s, *added, case.data(0), epsilon);
            (normalised, Some(inverse))
        }
        _ => (single(case, epsilon)?, None),
    };
    let sized = |i: usize, output: &Output| match output {
        Output::Unwanted => None,
        Output::Real(_) if i == 0 => Some(first.clone()),
        Output::Real(_) => second.clone(),
        Output::Bits(n, _) => Some(vec![0.0; *n]),
        Output::Codes(g) => Some(vec![0.0; g.planes * g.output.iter().product::<usize>()]),
    };
    Ok(case.outputs.iter().enumerate().filter_map(|(i, o)| sized(i, o)).collect())
}

/// Whether cases of a kernel hold only numbers that every device computes without rounding, because bits and codes would
/// otherwise be decided by it.
fn is_exact(kernel: &Kernel) -> bool {
    matches!(kernel, Kernel::ConvBlock(..) | Kernel::ConvAdjointBlock(..) | Kernel::Unpool(..))
}

fn single(case: &KernelCase, epsilon: f64) -> Result<Vec<f64>> {
    let Some(Output::Real(size)) = case.outputs.first() else { return Ok(Vec::new()) };
    let (roundings, magnitude) = match &case.kernel {
        // Doubles on every device.
        Kernel::Moments { .. } => return Ok(vec![0.0; *size]),
        Kernel::Permute(..) | Kernel::Slice(_) | Kernel::Embed(_) | Kernel::Pad(_) => {
            return Ok(vec![0.0; *size]);
        }
        Kernel::Window(_)
        | Kernel::Concat { .. }
        | Kernel::Mask
        | Kernel::MaxPool(_)
        | Kernel::MaxGather(_) => {
            return Ok(vec![0.0; *size]);
        }
        Kernel::Fill(v) => (1.0, vec![v.abs(); *size]),
        Kernel::Map(f) => (FORMULA, case.data(0).iter().map(|&x| map_terms(*f, x)).collect()),
        Kernel::MapGradient(_) | Kernel::MapSlope(_) => (FORMULA, weighted_terms(case, epsilon)),
        Kernel::Softmax(s, log) => (1.0, softmax(*s, *log, case.data(0))),
        Kernel::Mix(g) => {
            let both = |i: usize| case.data(0)[i % g.length].abs() + case.data(1)[i % g.length].abs();
            (2.0, (0..*size).map(both).collect())
        }
        Kernel::Noise(g) => {
            // No normal number is larger than 7.
            let noisy = |i: usize| case.data(0)[i % g.length].abs() + 7.0 * g.sigma;
            let baselines = g.kind.baselines().map_or(&[][..], |_| case.data(1));
            let largest = baselines.iter().fold(0.0f64, |m, b| m.max(b.abs()));
            (5.0, (0..*size).map(|i| noisy(i) + largest).collect())
        }
        Kernel::GridSums(_) => {
            // Of the three reals of a double the first is off by a rounding, and the others are smaller than that.
            let sums = oracle(&absolute(case))?;
            (3.0, (0..*size).map(|i| sums[i / 3 * 3]).collect())
        }
        Kernel::SoftmaxAdjoint(s, log) => (1.0, softmax_adjoint(*s, *log, case.data(0), case.data(1))),
        Kernel::NormalizeAdjoint(s) => (s.n as f64 + 6.0, normalize_adjoint(*s, case)),
        kernel => (terms(kernel), oracle(&absolute(case))?),
    };
    // What underflows loses as much as the smallest normal number per rounding.
    let floor = if epsilon > f64::EPSILON { f64::from(f32::MIN_POSITIVE) } else { f64::MIN_POSITIVE };
    Ok(magnitude.iter().map(|m| roundings * (epsilon * m + floor)).collect())
}

fn oracle(case: &KernelCase) -> Result<Vec<f64>> {
    Ok(run_kernel(&Oracle, case)?.swap_remove(0))
}

/// Roundings behind an element of a kernel that adds up products.
fn terms(kernel: &Kernel) -> f64 {
    let volume = |sizes: [usize; 3]| sizes.iter().product::<usize>();
    let count = match kernel {
        Kernel::Conv(g) => g.in_channels / g.groups * volume(g.kernel) + 1,
        Kernel::ConvAdjoint(g) => g.out_channels / g.groups * volume(g.kernel),
        Kernel::ConvWeightAdjoint(g) => g.batch * volume(g.output),
        Kernel::MatMul(g) => g.k + 1,
        Kernel::BatchNorm(_) | Kernel::BatchNormAdjoint(_) => 5,
        Kernel::AveragePool(g) | Kernel::AveragePoolAdjoint(g) | Kernel::MaxScatter(g) => {
            volume(g.kernel) + 1
        }
        Kernel::AxisMap(s, m) => s.n.max(m.rows()),
        Kernel::Accumulate { rows, .. } => 2 * rows,
        Kernel::PadAdjoint(g) => g.padded.elements(),
        Kernel::Reduce(s, _) => s.n + 1,
        _ => 2,
    };
    count as f64 + 2.0
}

/// The case whose result is the sum of the absolute values of the terms.
fn absolute(case: &KernelCase) -> KernelCase {
    let mut case = case.clone();
    case.stored = false;
    if let Kernel::Binary(f, _) = &mut case.kernel {
        *f = match *f {
            BinaryFn::Sub => BinaryFn::Add,
            BinaryFn::Lerp(t) => {
                scale(&mut case.operands[0], 1.0 + t.abs());
                scale(&mut case.operands[1], t.abs());
                BinaryFn::Add
            }
            // Neither cancels; their denominators keep their sign.
            BinaryFn::Maximum | BinaryFn::Gate => *f,
            other => other,
        };
    }
    match &mut case.kernel {
        Kernel::MatMul(g) => g.alpha = g.alpha.abs(),
        Kernel::GridSums(g) => g.level = -g.level.abs(),
        Kernel::Reduce(_, scale) | Kernel::Repeat(_, scale) => *scale = scale.abs(),
        Kernel::AxisMap(_, m) => Arc::make_mut(m).weight.iter_mut().for_each(|w| *w = w.abs()),
        _ => {}
    }
    for operand in &mut case.operands {
        if let Operand::Real(v) = operand {
            v.iter_mut().for_each(|v| *v = v.abs());
        }
    }
    if matches!(case.kernel, Kernel::BatchNorm(_)) {
        scale(&mut case.operands[3], -1.0);
    }
    case
}

fn scale(operand: &mut Operand, by: f64) {
    if let Operand::Real(v) = operand {
        v.iter_mut().for_each(|v| *v *= by);
    }
}

/// The factor h of functions that are `x h(x)`; the terms of its formula.
fn factor(f: Pointwise, x: f64) -> f64 {
    match f {
        // (1 + tanh u) / 2
        Pointwise::GeluTanh => 1.0,
        Pointwise::HardSwish => x.abs() / 6.0 + 0.5,
        _ if x == 0.0 => 0.5,
        _ => (value(f, x) / x).abs(),
    }
}

fn is_product(f: Pointwise) -> bool {
    matches!(
        f,
        Pointwise::Gelu | Pointwise::GeluTanh | Pointwise::Silu | Pointwise::Mish | Pointwise::HardSwish
    )
}

/// The absolute values of the terms of `f(x)`.
fn map_terms(f: Pointwise, x: f64) -> f64 {
    match f {
        Pointwise::Affine { scale, shift } => (scale * x).abs() + shift.abs(),
        Pointwise::HardSigmoid { alpha, beta } => (alpha * x).abs() + beta.abs(),
        _ if is_product(f) => x.abs() * factor(f, x),
        _ => value(f, x).abs(),
    }
}

/// The same for `g f'(x)` and for g times the slope.
fn weighted_terms(case: &KernelCase, epsilon: f64) -> Vec<f64> {
    let term = |i: usize| {
        let x = case.data(1)[i];
        let terms = match case.kernel {
            Kernel::MapGradient(f) => gradient_terms(f, x, epsilon),
            Kernel::MapSlope(f) => slope_terms(f, x, case.data(2)[i], epsilon),
            _ => 0.0,
        };
        case.data(0)[i].abs() * terms
    };
    (0..case.data(0).len()).map(term).collect()
}

fn gradient_terms(f: Pointwise, x: f64, epsilon: f64) -> f64 {
    match f {
        _ if is_product(f) => 2.0 * factor(f, x) + derivative(f, x).abs(),
        // Where the ends of the ramp are not representable, the point can lie on the other side of one.
        Pointwise::HardSigmoid { .. } | Pointwise::Clip { .. } => {
            let (a, b) = (x * (1.0 + 2.0 * epsilon), x * (1.0 - 2.0 * epsilon));
            derivative(f, x).abs() + (derivative(f, a) - derivative(f, b)).abs() / epsilon
        }
        _ => derivative(f, x).abs(),
    }
}

/// Slopes that are differences count the two sides apart, the others are sums of terms of one sign.
fn slope_terms(f: Pointwise, x: f64, r: f64, epsilon: f64) -> f64 {
    let size = slope(f, x, r).abs();
    match f {
        _ if x == r => gradient_terms(f, x, epsilon),
        _ if is_product(f) => size + factor(f, x).max(factor(f, r)),
        Pointwise::Abs | Pointwise::LeakyRelu { .. } => 1.0,
        // The ends of the ramp are rounded, compared with the distance of the points.
        Pointwise::HardSigmoid { alpha, beta } => {
            let ends = (1.0 + beta.abs()) / alpha.abs();
            size + alpha.abs() * (ends / (x - r).abs()).min(1.0 / epsilon)
        }
        Pointwise::Clip { low, high } => size + ((low.abs() + high.abs()) / (x - r).abs()).min(1.0 / epsilon),
        _ => size,
    }
}

/// The lines of an array along its axis, with the position of each entry.
fn lines(s: Span) -> impl Iterator<Item = Vec<usize>> {
    (0..s.outer * s.inner)
        .map(move |l| (0..s.n).map(|k| (l / s.inner * s.n + k) * s.inner + l % s.inner).collect())
}

/// Calls `f` with the positions of every line and puts its results there.
fn by_line(s: Span, f: impl Fn(&[usize]) -> Vec<f64>) -> Vec<f64> {
    let mut y = vec![0.0; s.outer * s.n * s.inner];
    for line in lines(s) {
        line.iter().zip(f(&line)).for_each(|(&at, v)| y[at] = v);
    }
    y
}

/// An exponential is off by what its argument is off by.
fn softmax(s: Span, logarithm: bool, x: &[f64]) -> Vec<f64> {
    let exact = crate::softmax::forward(s, logarithm, x);
    let roundings = s.n as f64 + FORMULA;
    by_line(s, |line| {
        let most = line.iter().fold(0.0f64, |m, &i| m.max(x[i].abs()));
        let scale = |i: usize| {
            if logarithm {
                exact[i].abs() + 2.0 * most + roundings
            } else {
                exact[i] * (roundings + 2.0 * most)
            }
        };
        line.iter().map(|&i| 2.0 * scale(i)).collect()
    })
}

fn softmax_adjoint(s: Span, logarithm: bool, g: &[f64], y: &[f64]) -> Vec<f64> {
    let roundings = s.n as f64 + FORMULA;
    by_line(s, |line| {
        let weight = |i: usize| if logarithm { y[i].exp() } else { y[i].abs() };
        let total: f64 = line.iter().map(|&i| g[i].abs() * if logarithm { 1.0 } else { y[i].abs() }).sum();
        let terms = |i: usize| match logarithm {
            true => g[i].abs() + (1.0 + y[i].abs()) * weight(i) * total,
            false => weight(i) * (g[i].abs() + total),
        };
        line.iter().map(|&i| roundings * terms(i)).collect()
    })
}

fn normalize_adjoint(s: Span, case: &KernelCase) -> Vec<f64> {
    let (u, h, inverse) = (case.data(0), case.data(1), case.data(2));
    let n = s.n as f64;
    by_line(s, |line| {
        let mean = line.iter().map(|&i| u[i].abs()).sum::<f64>() / n;
        let along = line.iter().map(|&i| (u[i] * h[i]).abs()).sum::<f64>() / n;
        let terms = |&i: &usize| inverse[i / s.n].abs() * (u[i].abs() + mean + h[i].abs() * along);
        line.iter().map(terms).collect()
    })
}

/// To first order, doubled: the mean is off by its roundings, every deviation by as much, the inverse by half the
/// relative error of the variance.
fn normalize(s: Span, added: f64, x: &[f64], epsilon: f64) -> (Vec<f64>, Vec<f64>) {
    let (n, mut normalised, mut inverses) = (s.n as f64, Vec::new(), Vec::new());
    for group in x.chunks(s.n) {
        let mean = group.iter().sum::<f64>() / n;
        let size = group.iter().fold(0.0f64, |m, v| m.max(v.abs()));
        let off = (n + 2.0) * epsilon * size;
        let deviations: Vec<f64> = group.iter().map(|v| (v - mean).abs()).collect();
        let variance = deviations.iter().map(|d| d * d).sum::<f64>() / n;
        let spread = deviations.iter().sum::<f64>() / n;
        let variance_off = (n + 3.0) * epsilon * (variance + added) + 2.0 * spread * off + off * off;
        let inverse = 1.0 / (variance + added).sqrt();
        let relative = 0.5 * variance_off / (variance + added) + 4.0 * epsilon;
        inverses.push(2.0 * inverse * relative);
        normalised.extend(deviations.iter().map(|d| 2.0 * inverse * (off + d * (relative + 2.0 * epsilon))));
    }
    (normalised, inverses)
}

/// The distance from one unit of the device's scalar to the next.
pub(super) fn unit<S>() -> f64 {
    if size_of::<S>() == 4 { f64::from(f32::EPSILON) } else { f64::EPSILON }
}

/// The first place where a device differs from the oracle by more than the bound, in words.
///
/// # Errors
/// The device or the oracle cannot run the case.
pub fn disagreement<D: Device>(device: &D, case: &KernelCase) -> Result<Option<String>> {
    let (got, expected) = (run_kernel(device, case)?, run_kernel(&Oracle, case)?);
    let bounds = bounds(case, unit::<D::Scalar>())?;
    for (r, (got, (expected, bounds))) in got.iter().zip(expected.iter().zip(&bounds)).enumerate() {
        for (i, (got, (&e, &bound))) in got.iter().zip(expected.iter().zip(bounds)).enumerate() {
            let got = got.to_f64();
            let same = got == e || (got.is_nan() && e.is_nan()) || (got - e).abs() <= bound;
            if !same {
                let (name, kernel) = (device.name(), &case.kernel);
                return Ok(Some(format!(
                    "{name}: result {r}[{i}] is {got:e}, not {e:e} within {bound:e}: {kernel:?}"
                )));
            }
        }
    }
    Ok(None)
}
