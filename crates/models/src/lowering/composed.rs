//! ONNX has operators that are others in a row; rules and kernels exist for the others.

use super::attributes::unsupported;
use super::{Lowering, Value};
use crate::raw::RawNode;
use voxplain_graph::Op;
use voxplain_graph::ops::{Binary, Pointwise};
use voxplain_tensor::Result;

const MINUS: Op = Op::Pointwise(Pointwise::Affine { scale: -1.0, shift: 0.0 });

impl Lowering {
    /// Powers that are products or roots.
    pub(super) fn power(&mut self, name: &str, node: &RawNode) -> Result<Value> {
        let exponent = self.known_number(node, 1)?;
        let x = self.operand(node, 0)?;
        let inner = |op: Pointwise| Op::Pointwise(op);
        let product = Op::Binary(Binary::Mul);
        match exponent {
            Some(1.0) => self.add(name, Op::Identity, &[x]),
            Some(2.0) => self.add(name, product, &[x, x]),
            Some(3.0) => {
                let square = self.builder.node(&format!("{name}.square"), product.clone(), &[x, x])?;
                self.add(name, product, &[square, x])
            }
            Some(0.5) => self.add(name, inner(Pointwise::Sqrt), &[x]),
            Some(-1.0) => self.add(name, inner(Pointwise::Reciprocal), &[x]),
            Some(-0.5) => {
                let root = self.builder.node(&format!("{name}.root"), inner(Pointwise::Sqrt), &[x])?;
                self.add(name, inner(Pointwise::Reciprocal), &[root])
            }
            other => Err(unsupported(&format!(
                "the power {other:?} is not supported; -1, -1/2, 1/2, 1, 2 and 3 are"
            ))),
        }
    }

    /// The larger or smaller of data and one number.
    pub(super) fn bounded(&mut self, name: &str, node: &RawNode) -> Result<Value> {
        let bound = |i: usize| self.known(node, i).and_then(|_| self.known_number(node, i).ok().flatten());
        let (at, bound) = match (node.inputs.len(), bound(0), bound(1)) {
            (2, None, Some(bound)) => (0, bound),
            (2, Some(bound), None) => (1, bound),
            _ => return Err(unsupported("only the larger or smaller of data and one number is supported")),
        };
        let bound = bound.clamp(-f64::MAX, f64::MAX);
        let clip = match node.op.as_str() {
            "Max" => Pointwise::Clip { low: bound, high: f64::MAX },
            _ => Pointwise::Clip { low: -f64::MAX, high: bound },
        };
        let x = self.operand(node, at)?;
        self.add(name, Op::Pointwise(clip), &[x])
    }

    /// The smallest value over axes: the largest of the negative ones.
    pub(super) fn reduce_min(&mut self, name: &str, node: &RawNode) -> Result<Value> {
        let x = self.operand(node, 0)?;
        let minus = self.builder.node(&format!("{name}.minus"), MINUS, &[x])?;
        let most = self.reduction(&format!("{name}.most"), node, minus)?;
        self.add(name, MINUS, &[most])
    }
}
