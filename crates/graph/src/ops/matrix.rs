//! Matrix products.

use super::broadcast;
use alloc::format;
use alloc::vec::Vec;
use voxplain_tensor::{Error, Result, Shape};

/// The attributes of [`super::Op::Gemm`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct GemmAttributes {
    /// Factor of the product.
    pub alpha: f64,
    /// Factor of the third operand.
    pub beta: f64,
    /// Whether the first operand is transposed.
    pub transpose_a: bool,
    /// Whether the second operand is transposed.
    pub transpose_b: bool,
}

pub(super) fn infer_gemm(g: &GemmAttributes, inputs: &[Shape]) -> Result<Shape> {
    let (a, b) = (inputs[0], inputs[1]);
    if a.rank() != 2 || b.rank() != 2 {
        return Err(Error::invalid(format!("operands of shapes {a} and {b}; two matrices expected")));
    }
    let (m, k) = if g.transpose_a { (a[1], a[0]) } else { (a[0], a[1]) };
    let (k2, n) = if g.transpose_b { (b[1], b[0]) } else { (b[0], b[1]) };
    if k != k2 {
        return Err(Error::invalid(format!("{k} features arrive, the weights of shape {b} take {k2}")));
    }
    let shape = Shape::new(&[m, n])?;
    match inputs.get(2) {
        Some(&c) if broadcast(c, shape) != Ok(shape) => {
            Err(Error::invalid(format!("bias of shape {c} does not broadcast to {shape}")))
        }
        _ => Ok(shape),
    }
}

pub(super) fn infer_matmul(inputs: &[Shape]) -> Result<Shape> {
    let (a, b) = (inputs[0], inputs[1]);
    if a.rank() < 2 || b.rank() < 2 {
        return Err(Error::unsupported(format!(
            "operands of shapes {a} and {b}; at least two axes each expected"
        )));
    }
    let (ra, rb) = (a.rank(), b.rank());
    if a[ra - 1] != b[rb - 2] {
        return Err(Error::invalid(format!("inner sizes of {a} and {b} differ")));
    }
    let outer = broadcast(Shape::new(&a[..ra - 2])?, Shape::new(&b[..rb - 2])?)?;
    let mut sizes: Vec<usize> = outer.to_vec();
    sizes.extend([a[ra - 2], b[rb - 1]]);
    Shape::new(&sizes)
}
