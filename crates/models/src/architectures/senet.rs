//! SE-ResNet-50 as MONAI writes it: the stride lies in the first convolution of a block, and the first pool rounds up.

use super::blueprint::{Blueprint, Flow};
use super::check_blocks;
use super::layers::EPSILON;
use super::windows::Conv;
use voxplain_tensor::Result;

const BLOCKS: [usize; 4] = [3, 4, 6, 3];

pub(super) fn build(b: &mut Blueprint) -> Result<Vec<Flow>> {
    let mut x = b.image("layer0.conv1", None)?;
    let found: Vec<usize> = (1..=4).map(|s| b.weights.count(|i| format!("layer{s}.{i}"))).collect();
    check_blocks("the four stages", &found, &BLOCKS)?;
    x = b.conv(&x, "layer0.conv1", &Conv::plain(7).stride(2))?;
    x = b.batch_norm(&x, "layer0.bn1", EPSILON)?;
    x = b.relu(&x, "layer0.relu1");
    x = b.max_pool_ceil(&x, "layer0.pool", (3, 2, 0))?;
    for (s, &blocks) in BLOCKS.iter().enumerate() {
        for i in 0..blocks {
            let stride = if s > 0 && i == 0 { 2 } else { 1 };
            x = block(b, &x, &format!("layer{}.{i}", s + 1), stride)?;
        }
    }
    x = b.global_average(&x, "adaptive_avg_pool");
    x = b.flatten(&x, "flatten");
    Ok(vec![b.classifier(&x, "last_linear")?])
}

/// Convolution and normalisation as MONAI nests them.
fn pair(b: &mut Blueprint, x: &Flow, p: &str, conv: &Conv) -> Result<Flow> {
    let x = b.conv(x, &format!("{p}.conv"), conv)?;
    b.batch_norm(&x, &format!("{p}.adn.N"), EPSILON)
}

fn block(b: &mut Blueprint, x: &Flow, p: &str, stride: usize) -> Result<Flow> {
    let mut residual = x.clone();
    if b.weights.has_module(&format!("{p}.project")) {
        residual = pair(b, x, &format!("{p}.project"), &Conv::plain(1).stride(stride))?;
    }
    let mut y = pair(b, x, &format!("{p}.conv1"), &Conv::plain(1).stride(stride))?;
    y = b.relu(&y, &format!("{p}.conv1.adn.A"));
    y = pair(b, &y, &format!("{p}.conv2"), &Conv::plain(3))?;
    y = b.relu(&y, &format!("{p}.conv2.adn.A"));
    y = pair(b, &y, &format!("{p}.conv3"), &Conv::plain(1))?;
    y = excite(b, &y, &format!("{p}.se_layer"))?;
    y = b.add(&y, &residual, &format!("{p}.add"))?;
    Ok(b.relu(&y, &format!("{p}.act")))
}

/// `x` times a gate per channel, from two linear layers on the channels' means.
fn excite(b: &mut Blueprint, x: &Flow, p: &str) -> Result<Flow> {
    let mut y = b.global_average(x, &format!("{p}.avg_pool"));
    y = b.flatten(&y, &format!("{p}.flatten"));
    y = b.linear(&y, &format!("{p}.fc.0"))?;
    y = b.relu(&y, &format!("{p}.fc.1"));
    y = b.linear(&y, &format!("{p}.fc.2"))?;
    y = b.sigmoid(&y, &format!("{p}.fc.3"));
    let sizes: Vec<i64> =
        [-1, y.channels() as i64].into_iter().chain(x.spatial().iter().map(|_| 1)).collect();
    let shape = std::iter::once(y.channels()).chain(x.spatial().iter().map(|_| 1)).collect();
    y = b.reshape(&y, &format!("{p}.view"), &sizes, shape);
    Ok(b.gate(x, &y, &format!("{p}.mul")))
}
