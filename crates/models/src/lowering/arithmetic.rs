//! Arithmetic with one known number is a straight line, which every rule can treat exactly; anything else has two
//! operands.

use super::{Lowering, Value};
use crate::raw::{Constant, RawNode};
use voxplain_graph::Op;
use voxplain_graph::ops::{Binary, Pointwise};
use voxplain_tensor::{Error, Result};

impl Lowering {
    pub(super) fn arithmetic(&mut self, name: &str, node: &RawNode) -> Result<Value> {
        let op = match node.op.as_str() {
            "Add" => Binary::Add,
            "Sub" => Binary::Sub,
            "Mul" => Binary::Mul,
            _ => Binary::Div,
        };
        if let Some(c) = self.number_for(node, 1, 0)? {
            let x = self.operand(node, 0)?;
            let line = match op {
                Binary::Add => line(1.0, c),
                Binary::Sub => line(1.0, -c),
                Binary::Mul => line(c, 0.0),
                Binary::Div => line(1.0 / c, 0.0),
            };
            return self.add(name, Op::Pointwise(line?), &[x]);
        }
        if let Some(c) = self.number_for(node, 0, 1)? {
            let mut x = self.operand(node, 1)?;
            let line = match op {
                Binary::Add => line(1.0, c),
                Binary::Sub => line(-1.0, c),
                Binary::Mul => line(c, 0.0),
                Binary::Div if c == 1.0 => Ok(Pointwise::Reciprocal),
                Binary::Div => {
                    let inverse = Op::Pointwise(Pointwise::Reciprocal);
                    x = self.builder.node(&format!("{name}.reciprocal"), inverse, &[x])?;
                    line(c, 0.0)
                }
            };
            return self.add(name, Op::Pointwise(line?), &[x]);
        }
        let inputs = [self.operand(node, 0)?, self.operand(node, 1)?];
        self.add(name, Op::Binary(op), &inputs)
    }

    /// Operand `i` if it is one known number that does not enlarge the shape of operand `other`.
    fn number_for(&self, node: &RawNode, i: usize, other: usize) -> Result<Option<f64>> {
        let Some(Constant::Float { shape, data }) = self.known(node, i) else { return Ok(None) };
        let rank = self.shape(node, other)?.rank();
        Ok((data.len() == 1 && shape.len() <= rank).then(|| f64::from(data[0])))
    }
}

/// `scale x + shift`.
fn line(scale: f64, shift: f64) -> Result<Pointwise> {
    if scale.is_finite() && shift.is_finite() {
        return Ok(Pointwise::Affine { scale, shift });
    }
    Err(Error::invalid(format!(
        "arithmetic with a constant gives scale {scale} and shift {shift}; both must be finite"
    )))
}
