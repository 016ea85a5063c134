//! DenseNet-121 as torchvision (2D) and MONAI (2D and 3D) write it.

use super::blueprint::{Blueprint, Flow};
use super::check_blocks;
use super::layers::EPSILON;
use super::windows::Conv;
use voxplain_tensor::Result;

/// Layers per dense block.
const LAYERS: [usize; 4] = [6, 12, 24, 16];

pub(super) fn torchvision(b: &mut Blueprint) -> Result<Vec<Flow>> {
    let x = b.image("features.conv0", Some(224))?;
    let mut x = features(b, &x, "")?;
    x = b.relu(&x, "relu");
    x = b.global_average(&x, "avgpool");
    x = b.flatten(&x, "flatten");
    Ok(vec![b.classifier(&x, "classifier")?])
}

pub(super) fn monai(b: &mut Blueprint) -> Result<Vec<Flow>> {
    let x = b.image("features.conv0", None)?;
    let mut x = features(b, &x, ".layers")?;
    x = b.activation(&x, "class_layers.relu", "relu")?;
    x = b.global_average(&x, "class_layers.pool");
    x = b.flatten(&x, "class_layers.flatten");
    Ok(vec![b.classifier(&x, "class_layers.out")?])
}

/// A rectifier, or in MONAI's networks what the user chose.
fn act(b: &mut Blueprint, x: &Flow, name: &str, inner: &str) -> Result<Flow> {
    if inner.is_empty() { Ok(b.relu(x, name)) } else { b.activation(x, name, "relu") }
}

/// Everything before the last rectifier; `inner` is what a dense layer puts before the names of its modules.
fn features(b: &mut Blueprint, x: &Flow, inner: &str) -> Result<Flow> {
    let layer = |block: usize, i: usize| format!("features.denseblock{block}.denselayer{i}");
    let found: Vec<usize> = (1..=4).map(|block| b.weights.count(|i| layer(block, i + 1))).collect();
    check_blocks("the four dense blocks", &found, &LAYERS)?;
    let mut x = b.conv(x, "features.conv0", &Conv::plain(7).stride(2))?;
    x = b.batch_norm(&x, "features.norm0", EPSILON)?;
    x = act(b, &x, "features.relu0", inner)?;
    x = b.max_pool(&x, "features.pool0", (3, 2, 1))?;
    for (k, &layers) in LAYERS.iter().enumerate() {
        for i in 0..layers {
            let p = format!("{}{inner}", layer(k + 1, i + 1));
            let mut y = b.batch_norm(&x, &format!("{p}.norm1"), EPSILON)?;
            y = act(b, &y, &format!("{p}.relu1"), inner)?;
            y = b.conv(&y, &format!("{p}.conv1"), &Conv::plain(1))?;
            y = b.batch_norm(&y, &format!("{p}.norm2"), EPSILON)?;
            y = act(b, &y, &format!("{p}.relu2"), inner)?;
            y = b.conv(&y, &format!("{p}.conv2"), &Conv::plain(3))?;
            x = b.concat(&[&x, &y], &format!("features.denseblock{}.concat{}", k + 1, i + 1))?;
        }
        if k + 1 < LAYERS.len() {
            let p = format!("features.transition{}", k + 1);
            x = b.batch_norm(&x, &format!("{p}.norm"), EPSILON)?;
            x = act(b, &x, &format!("{p}.relu"), inner)?;
            x = b.conv(&x, &format!("{p}.conv"), &Conv::plain(1))?;
            x = b.average_pool(&x, &format!("{p}.pool"), 2, 2)?;
        }
    }
    b.batch_norm(&x, "features.norm5", EPSILON)
}
