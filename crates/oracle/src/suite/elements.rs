//! Cases of functions of one element, of two, and of bits.

use super::draw::Draw;
use super::shapes::{shape, sizes};
use super::{KernelCase, Operand, Output};
use voxplain_autodiff::{BinaryFn, BroadcastGeometry, Kernel};
use voxplain_graph::ops::Pointwise;
use voxplain_tensor::{MAX_RANK, Shape};

/// Every function, with parameters that are exact in single precision and that are not.
pub(super) const FUNCTIONS: [Pointwise; 25] = [
    Pointwise::Relu,
    Pointwise::LeakyRelu { alpha: 0.01 },
    Pointwise::LeakyRelu { alpha: -0.5 },
    Pointwise::Elu { alpha: 1.3 },
    Pointwise::Selu { alpha: 1.673_263_242_354_377_2, gamma: 1.050_700_987_355_480_5 },
    Pointwise::Gelu,
    Pointwise::GeluTanh,
    Pointwise::Sigmoid,
    Pointwise::HardSigmoid { alpha: 0.2, beta: 0.5 },
    Pointwise::HardSigmoid { alpha: -0.25, beta: 0.5 },
    Pointwise::HardSwish,
    Pointwise::Silu,
    Pointwise::Mish,
    Pointwise::Tanh,
    Pointwise::Softplus,
    Pointwise::Clip { low: 0.0, high: 6.0 },
    Pointwise::Clip { low: -0.3, high: 0.7 },
    Pointwise::Exp,
    Pointwise::Log,
    Pointwise::Sqrt,
    Pointwise::Abs,
    Pointwise::Reciprocal,
    Pointwise::Erf,
    Pointwise::Affine { scale: -0.3, shift: 0.0 },
    Pointwise::Affine { scale: 2.5, shift: 0.1 },
];

/// An argument in the domain of `f`: common ones, kinks, and far ones where `f` stays finite.
fn argument(draw: &mut Draw, f: Pointwise) -> f64 {
    let limit = if f == Pointwise::Exp { 80.0 } else { 700.0 };
    let x = match draw.below(8) {
        0 => draw.within(limit),
        1 => draw.within(9.0),
        2 => draw.pick(&[-3.0, 3.0, 6.0, 0.0, 2.5, -2.5]),
        3 => draw.within(1e-6),
        _ => draw.number(),
    };
    match f {
        Pointwise::Log | Pointwise::Sqrt => f64::from((x.abs() + 1e-3) as f32),
        Pointwise::Reciprocal if x == 0.0 => 1.0,
        _ => x,
    }
}

fn arguments(draw: &mut Draw, f: Pointwise, n: usize) -> Vec<f64> {
    (0..n).map(|_| argument(draw, f)).collect()
}

pub(super) fn map(draw: &mut Draw) -> KernelCase {
    let (f, n) = (draw.pick(&FUNCTIONS), draw.up_to(40));
    KernelCase::plain(Kernel::Map(f), vec![arguments(draw, f, n)], n)
}

pub(super) fn map_gradient(draw: &mut Draw) -> KernelCase {
    let (f, n) = (draw.pick(&FUNCTIONS), draw.up_to(40));
    KernelCase::plain(Kernel::MapGradient(f), vec![draw.numbers(n), arguments(draw, f, n)], n)
}

/// Pairs far apart, near, a few units in the last place apart, and equal.
pub(super) fn map_slope(draw: &mut Draw) -> KernelCase {
    let (f, n) = (draw.pick(&FUNCTIONS), draw.up_to(40));
    let x = arguments(draw, f, n);
    let near = |draw: &mut Draw, x: f64| {
        let other = match draw.below(4) {
            0 => return x,
            1 => f64::from((x * (1.0 + draw.within(1e-6))) as f32),
            2 => f64::from((x + draw.within(0.4)) as f32),
            _ => argument(draw, f),
        };
        let valid = !matches!(f, Pointwise::Log | Pointwise::Sqrt | Pointwise::Reciprocal) || other * x > 0.0;
        if valid { other } else { x }
    };
    let r = x.iter().map(|&x| near(draw, x)).collect();
    KernelCase::plain(Kernel::MapSlope(f), vec![draw.numbers(n), x, r], n)
}

pub(super) fn positive_bits(draw: &mut Draw) -> KernelCase {
    let n = draw.up_to(40);
    let mut case = KernelCase::plain(Kernel::PositiveBits, vec![draw.numbers(n)], n);
    case.outputs = vec![Output::Bits(n, n)];
    case
}

pub(super) fn mask(draw: &mut Draw) -> KernelCase {
    let n = draw.up_to(40);
    let mut case = KernelCase::plain(Kernel::Mask, vec![draw.numbers(n)], n);
    case.operands.push(Operand::Bits(draw.numbers(n), n));
    case
}

const ARITHMETIC: [BinaryFn; 10] = [
    BinaryFn::Add,
    BinaryFn::Sub,
    BinaryFn::Mul,
    BinaryFn::Div,
    BinaryFn::DivOrZero,
    BinaryFn::DivOrOne,
    BinaryFn::DivStabilised(1e-6),
    BinaryFn::Maximum,
    BinaryFn::Lerp(0.3),
    BinaryFn::Gate,
];

pub(super) fn binary(draw: &mut Draw) -> KernelCase {
    let n = draw.up_to(40);
    let shape = shape(&[n]);
    let g = BroadcastGeometry { shape, a: shape.strides(), b: shape.strides() };
    let (a, b) = (draw.numbers(n), draw.numbers(n));
    KernelCase::plain(Kernel::Binary(draw.pick(&ARITHMETIC), g), vec![a, b], n)
}

/// Strides of an operand that has some of the axes, and its number of elements.
fn strides(draw: &mut Draw, shape: &Shape) -> ([usize; MAX_RANK], usize) {
    let (mut strides, mut step) = ([0; MAX_RANK], 1);
    for axis in (0..shape.rank()).rev().filter(|_| draw.below(3) > 0) {
        strides[axis] = step;
        step *= shape[axis];
    }
    (strides, step)
}

pub(super) fn binary_broadcast(draw: &mut Draw) -> KernelCase {
    let shape = shape(&sizes(draw));
    let ((a, na), (b, nb)) = (strides(draw, &shape), strides(draw, &shape));
    let operands = vec![draw.numbers(na), draw.numbers(nb)];
    let g = BroadcastGeometry { shape, a, b };
    KernelCase::plain(Kernel::Binary(draw.pick(&ARITHMETIC), g), operands, shape.elements())
}

pub(super) fn fill(draw: &mut Draw) -> KernelCase {
    let n = draw.up_to(40);
    KernelCase::plain(Kernel::Fill(draw.number()), Vec::new(), n)
}
