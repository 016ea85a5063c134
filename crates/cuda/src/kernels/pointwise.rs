//! Functions of one element and their derivatives.

use crate::backend::{Backend, Geometry};
use crate::operands::Operands;
use voxplain_graph::ops::Pointwise;
use voxplain_tensor::Result;

#[derive(Clone, Copy)]
#[repr(C)]
pub(super) struct Function {
    n: i64,
    kind: i64,
    a: f64,
    b: f64,
}
// SAFETY: numbers of eight bytes.
unsafe impl Geometry for Function {}

impl Function {
    /// The number by which `pointwise.cuh` knows a function, and its parameters.
    pub fn new(f: Pointwise, n: usize) -> Self {
        let (kind, a, b) = match f {
            Pointwise::Relu => (0, 0.0, 0.0),
            Pointwise::LeakyRelu { alpha } => (1, alpha, 0.0),
            Pointwise::Elu { alpha } => (2, alpha, 0.0),
            Pointwise::Selu { alpha, gamma } => (3, alpha, gamma),
            Pointwise::Gelu => (4, 0.0, 0.0),
            Pointwise::GeluTanh => (5, 0.0, 0.0),
            Pointwise::Sigmoid => (6, 0.0, 0.0),
            Pointwise::HardSigmoid { alpha, beta } => (7, alpha, beta),
            Pointwise::HardSwish => (8, 0.0, 0.0),
            Pointwise::Silu => (9, 0.0, 0.0),
            Pointwise::Mish => (10, 0.0, 0.0),
            Pointwise::Tanh => (11, 0.0, 0.0),
            Pointwise::Softplus => (12, 0.0, 0.0),
            Pointwise::Clip { low, high } => (13, low, high),
            Pointwise::Exp => (14, 0.0, 0.0),
            Pointwise::Log => (15, 0.0, 0.0),
            Pointwise::Sqrt => (16, 0.0, 0.0),
            Pointwise::Abs => (17, 0.0, 0.0),
            Pointwise::Reciprocal => (18, 0.0, 0.0),
            Pointwise::Erf => (19, 0.0, 0.0),
            Pointwise::Affine { scale, shift } => (20, scale, shift),
        };
        Self { n: n as i64, kind, a, b }
    }
}

pub(super) fn map<B: Backend>(o: &Operands<B>, f: Pointwise) -> Result<()> {
    let n = o.length();
    o.each(("pointwise", "map"), n, &[o.real(0, n)?, o.out(n)?], &Function::new(f, n))
}

pub(super) fn gradient<B: Backend>(o: &Operands<B>, f: Pointwise) -> Result<()> {
    let n = o.length();
    let pointers = [o.real(0, n)?, o.real(1, n)?, o.out(n)?];
    o.each(("pointwise", "map_gradient"), n, &pointers, &Function::new(f, n))
}
