//! Rules know an activation only as a whole, and exporters write these as two or three nodes.

use super::{Match, View};
use crate::raw::RawNode;

/// `Where(x > t, x, Softplus(x))`, PyTorch's softplus with its threshold.
pub(super) fn softplus(view: &View<'_>, node: &RawNode) -> Option<Match> {
    let (condition, x, other) = (node.input(0)?, node.input(1)?, node.input(2)?);
    let soft = view.maker(other, "Softplus").filter(|s| node.op == "Where" && s.input(0) == Some(x))?;
    let greater = view.maker(condition, "Greater").filter(|g| g.input(0) == Some(x))?;
    let threshold = view.number(greater.input(1)?)?;
    // Beyond 15 softplus is x to single precision.
    (threshold >= 15.0).then(|| Match::new("Softplus", vec![x.into()], &[soft, greater]))
}

/// `x * Sigmoid(x)`.
pub(super) fn silu(view: &View<'_>, node: &RawNode) -> Option<Match> {
    (node.op == "Mul").then_some(())?;
    View::pairs(node).into_iter().find_map(|(x, s)| {
        let sigmoid = view.maker(s, "Sigmoid").filter(|s| s.input(0) == Some(x))?;
        Some(Match::new("Silu", vec![x.into()], &[sigmoid]))
    })
}

/// `x * Tanh(Softplus(x))`.
pub(super) fn mish(view: &View<'_>, node: &RawNode) -> Option<Match> {
    (node.op == "Mul").then_some(())?;
    View::pairs(node).into_iter().find_map(|(x, t)| {
        let tanh = view.maker(t, "Tanh")?;
        let soft = view.maker(tanh.input(0)?, "Softplus").filter(|s| s.input(0) == Some(x))?;
        Some(Match::new("Mish", vec![x.into()], &[tanh, soft]))
    })
}

/// `x * HardSigmoid(x)` with slope 1/6.
pub(super) fn hard_swish(view: &View<'_>, node: &RawNode) -> Option<Match> {
    (node.op == "Mul").then_some(())?;
    View::pairs(node).into_iter().find_map(|(x, h)| {
        let hard = view.maker(h, "HardSigmoid").filter(|h| h.input(0) == Some(x))?;
        let (alpha, beta) = (hard.float("alpha", 0.2).ok()?, hard.float("beta", 0.5).ok()?);
        ((alpha - 1.0 / 6.0).abs() < 1e-6 && beta == 0.5)
            .then(|| Match::new("HardSwish", vec![x.into()], &[hard]))
    })
}

/// `x W + b`, a linear layer on data with more than two axes: rules have to see the bias with the weights.
pub(super) fn linear(view: &View<'_>, node: &RawNode) -> Option<Match> {
    (node.op == "Add").then_some(())?;
    View::pairs(node).into_iter().find_map(|(y, b)| {
        let product = view.maker(y, "MatMul")?;
        let (x, w) = (product.input(0)?, product.input(1)?);
        let (weight, bias) = (view.weight(w)?, view.weight(b)?);
        let fits = weight.len() == 2 && bias == [weight[1]];
        fits.then(|| Match::new("Linear", vec![x.into(), w.into(), b.into()], &[product]))
    })
}
