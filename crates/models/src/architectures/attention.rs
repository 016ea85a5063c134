//! The two attention blocks in the code of Jin et al. (MethodsX 2023), each as a network of its own: CBAM (Woo et al.
//! 2018) and a non-local block (Wang et al. 2018).

use super::blueprint::{Blueprint, Flow, ints};
use super::layers::EPSILON;
use super::windows::Conv;
use crate::raw::Attribute;
use voxplain_tensor::{Error, Result};

/// Channel attention, then spatial attention; the original also returns the logits of the spatial gate, the layer `conv`.
pub(super) fn cbam(b: &mut Blueprint) -> Result<Vec<Flow>> {
    let x = b.image("mlp.0", None)?;
    let average = b.global_average(&x, "avg_pool");
    let average = mlp(b, &average)?;
    let maximum = b.global("GlobalMaxPool", &x, "max_pool");
    let maximum = mlp(b, &maximum)?;
    let gate = b.add(&average, &maximum, "channel_logits")?;
    let gate = b.sigmoid(&gate, "channel_attention");
    let x = b.gate(&x, &gate, "channel_gated");
    let shape: Vec<usize> = std::iter::once(1).chain(x.spatial().iter().copied()).collect();
    let over = [("axes", Attribute::Ints(vec![1])), ("keepdims", Attribute::Int(1))];
    let mean = b.node("ReduceMean", "channel_mean", vec![x.name.clone()], &over, shape.clone());
    let most = b.node("ReduceMax", "channel_max", vec![x.name.clone()], &over, shape);
    let both = b.concat(&[&mean, &most], "cat")?;
    let gate = b.conv(&both, "conv", &Conv::plain(3))?;
    let gate = b.sigmoid(&gate, "spatial_attention");
    Ok(vec![b.gate(&x, &gate, "output")])
}

fn mlp(b: &mut Blueprint, x: &Flow) -> Result<Flow> {
    let y = b.conv(x, "mlp.0", &Conv::biased(1))?;
    let y = b.relu(&y, "mlp.1");
    b.conv(&y, "mlp.2", &Conv::biased(1))
}

/// Softmax over all pairs of places, with keys and values subsampled by 2 where the file says so.
pub(super) fn non_local(b: &mut Blueprint) -> Result<Vec<Flow>> {
    let subsampled = b.weights.has("g.0.weight");
    b.settings.note(format!("subsample={subsampled} (weights)"));
    let first = if subsampled { "g.0" } else { "g" };
    let x = b.image(first, None)?;
    let mut values = b.conv(&x, first, &Conv::biased(1))?;
    let mut keys = x.clone();
    if subsampled {
        values = b.max_pool(&values, "g.1", (2, 2, 0))?;
        keys = b.max_pool(&x, "phi", (2, 2, 0))?;
    }
    let values = places(b, &values, "values")?;
    let values = transposed(b, &values, "values_t");
    let queries = places(b, &x, "queries")?;
    let queries = transposed(b, &queries, "queries_t");
    let keys = places(b, &keys, "keys")?;
    let scores = product(b, &queries, &keys, "scores");
    let scores = b.pointwise("Softmax", &scores, "attention", &[("axis", Attribute::Int(2))]);
    let y = product(b, &scores, &values, "attended");
    let y = transposed(b, &y, "attended_t");
    let shape: Vec<usize> = std::iter::once(y.channels()).chain(x.spatial().iter().copied()).collect();
    let sizes: Vec<i64> = std::iter::once(-1).chain(shape.iter().map(|&s| s as i64)).collect();
    let y = b.reshape(&y, "attended_grid", &sizes, shape);
    let y = b.conv(&y, "W.0", &Conv::biased(1))?;
    let y = b.batch_norm(&y, "W.1", EPSILON)?;
    Ok(vec![b.add(&y, &x, "output")?])
}

/// All spatial axes as one.
fn places(b: &mut Blueprint, x: &Flow, name: &str) -> Result<Flow> {
    let count = x.spatial().iter().try_fold(1usize, |p, &s| p.checked_mul(s)).filter(|&c| c < 1 << 32);
    let count =
        count.ok_or_else(|| Error::limit(format!("{:?} has too many places for attention", x.spatial())))?;
    Ok(b.reshape(x, name, &[-1, x.channels() as i64, count as i64], vec![x.channels(), count]))
}

fn transposed(b: &mut Blueprint, x: &Flow, name: &str) -> Flow {
    let shape = x.shape.iter().rev().copied().collect();
    b.node("Transpose", name, vec![x.name.clone()], &[("perm", ints([0, 2, 1]))], shape)
}

/// The product of two matrices per example.
fn product(b: &mut Blueprint, x: &Flow, y: &Flow, name: &str) -> Flow {
    let columns = y.shape.last().copied().unwrap_or(1);
    b.node("MatMul", name, vec![x.name.clone(), y.name.clone()], &[], vec![x.channels(), columns])
}
