//! A function of one element is one node, because rules treat it as a whole.

use super::Lowering;
use super::attributes::unsupported;
use crate::raw::RawNode;
use voxplain_graph::ops::Pointwise;
use voxplain_tensor::{Error, Result};

/// The function of a node, if its operator is one.
pub(super) fn pointwise(state: &Lowering, node: &RawNode) -> Result<Option<Pointwise>> {
    Ok(Some(match node.op.as_str() {
        "Relu" => Pointwise::Relu,
        "LeakyRelu" => Pointwise::LeakyRelu { alpha: node.float("alpha", 0.01)? },
        "Elu" => Pointwise::Elu { alpha: node.float("alpha", 1.0)? },
        "Selu" => Pointwise::Selu {
            alpha: node.float("alpha", 1.673_263_242_354_377_2)?,
            gamma: node.float("gamma", 1.050_700_987_355_480_5)?,
        },
        "Gelu" => match node.text("approximate", "none")?.as_str() {
            "none" => Pointwise::Gelu,
            "tanh" => Pointwise::GeluTanh,
            other => {
                return Err(unsupported(&format!(
                    "Gelu approximation {other:?} is not supported, none and tanh are"
                )));
            }
        },
        "Sigmoid" => Pointwise::Sigmoid,
        "HardSigmoid" => {
            Pointwise::HardSigmoid { alpha: node.float("alpha", 0.2)?, beta: node.float("beta", 0.5)? }
        }
        "HardSwish" => Pointwise::HardSwish,
        "Silu" | "Swish" => Pointwise::Silu,
        "Mish" => Pointwise::Mish,
        "Tanh" => Pointwise::Tanh,
        "Softplus" => Pointwise::Softplus,
        "Clip" => clip(state, node)?,
        "Exp" => Pointwise::Exp,
        "Log" => Pointwise::Log,
        "Sqrt" => Pointwise::Sqrt,
        "Abs" => Pointwise::Abs,
        "Neg" => Pointwise::Affine { scale: -1.0, shift: 0.0 },
        "Reciprocal" => Pointwise::Reciprocal,
        "Erf" => Pointwise::Erf,
        "Affine" => Pointwise::Affine { scale: node.float("scale", 1.0)?, shift: node.float("shift", 0.0)? },
        _ => return Ok(None),
    }))
}

/// Bounds are attributes in old opsets and operands in new ones; either may be absent.
fn clip(state: &Lowering, node: &RawNode) -> Result<Pointwise> {
    let low = node.float("min", state.known_number(node, 1)?.unwrap_or(-f64::MAX))?;
    let high = node.float("max", state.known_number(node, 2)?.unwrap_or(f64::MAX))?;
    if low.is_nan() || high.is_nan() {
        return Err(Error::invalid("a bound is not a number"));
    }
    // Infinite bounds are absent bounds, and only finite numbers can be saved.
    let (low, high) = (low.clamp(-f64::MAX, f64::MAX), high.clamp(-f64::MAX, f64::MAX));
    if low > high {
        return Err(Error::invalid(format!("bounds {low} to {high} are in the wrong order")));
    }
    Ok(Pointwise::Clip { low, high })
}
