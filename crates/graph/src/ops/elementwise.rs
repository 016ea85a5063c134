//! Arithmetic of two operands with NumPy broadcasting, and the parametric rectifier.

use alloc::format;
use alloc::vec;
use voxplain_tensor::{Error, Result, Shape};

/// Elementwise arithmetic of two operands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Binary {
    /// `a + b`.
    Add,
    /// `a - b`.
    Sub,
    /// `a * b`.
    Mul,
    /// `a / b`.
    Div,
}

impl Binary {
    /// The ONNX operator type.
    pub fn kind(self) -> &'static str {
        match self {
            Self::Add => "Add",
            Self::Sub => "Sub",
            Self::Mul => "Mul",
            Self::Div => "Div",
        }
    }
}

/// The NumPy broadcast of two shapes.
///
/// # Errors
/// Two sizes differ and neither is 1.
pub fn broadcast(a: Shape, b: Shape) -> Result<Shape> {
    let rank = a.rank().max(b.rank());
    let size = |s: &Shape, i: usize| (i + s.rank()).checked_sub(rank).map_or(1, |j| s[j]);
    let mut sizes = vec![1; rank];
    for (i, out) in sizes.iter_mut().enumerate() {
        let (p, q) = (size(&a, i), size(&b, i));
        if p != q && p != 1 && q != 1 {
            return Err(Error::invalid(format!("shapes {a} and {b} do not broadcast")));
        }
        *out = if p == 1 { q } else { p };
    }
    Shape::new(&sizes)
}

/// The slope of a PRelu broadcasts to the data from the right; PyTorch's `[C]` is exported as `[C, 1, 1, ...]`.
pub(super) fn infer_prelu(inputs: &[Shape]) -> Result<Shape> {
    let (x, slope) = (inputs[0], inputs[1]);
    if broadcast(x, slope) == Ok(x) {
        Ok(x)
    } else {
        Err(Error::invalid(format!("slope of shape {slope} does not broadcast to data of shape {x}")))
    }
}
