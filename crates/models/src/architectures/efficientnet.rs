//! EfficientNet-B0 as torchvision (2D) and MONAI (2D and 3D) write it. MONAI pads as TensorFlow does, with pads that
//! were computed for the image size the network was built for, whatever comes in later.

use super::blueprint::{Blueprint, Flow};
use super::check_blocks;
use super::windows::Conv;
use voxplain_tensor::Result;

/// Kernel, stride and repeats of the stages.
const STAGES: [(usize, usize, usize); 7] =
    [(3, 1, 1), (3, 2, 2), (5, 2, 2), (3, 2, 3), (5, 1, 3), (5, 2, 4), (3, 1, 1)];

/// Of torchvision's normalisations, and of MONAI's.
const EPSILONS: (f64, f64) = (1e-5, 1e-3);

fn repeats() -> [usize; 7] {
    STAGES.map(|stage| stage.2)
}

/// The squeeze-and-excitation gate of `x`.
fn excite(b: &mut Blueprint, x: &Flow, names: [&str; 6]) -> Result<Flow> {
    let [pool, reduce, act, expand, gate, product] = names;
    let mut y = b.global_average(x, pool);
    y = b.conv(&y, reduce, &Conv::biased(1))?;
    y = b.silu(&y, act);
    y = b.conv(&y, expand, &Conv::biased(1))?;
    y = b.sigmoid(&y, gate);
    Ok(b.gate(x, &y, product))
}

pub(super) fn torchvision(b: &mut Blueprint) -> Result<Vec<Flow>> {
    let mut x = b.image("features.0.0", Some(224))?;
    let found: Vec<usize> =
        (1..=STAGES.len()).map(|s| b.weights.count(|i| format!("features.{s}.{i}"))).collect();
    check_blocks("the seven stages", &found, &repeats())?;
    x = triple(b, &x, "features.0", &Conv::plain(3).stride(2))?;
    for (s, &(kernel, stride, repeats)) in STAGES.iter().enumerate() {
        for i in 0..repeats {
            let stride = if i == 0 { stride } else { 1 };
            x = torchvision_block(b, &x, &format!("features.{}.{i}", s + 1), kernel, stride)?;
        }
    }
    x = triple(b, &x, "features.8", &Conv::plain(1))?;
    x = b.global_average(&x, "avgpool");
    x = b.flatten(&x, "flatten");
    Ok(vec![b.classifier(&x, "classifier.1")?])
}

/// Convolution, normalisation, activation, numbered.
fn triple(b: &mut Blueprint, x: &Flow, p: &str, conv: &Conv) -> Result<Flow> {
    let x = b.conv(x, &format!("{p}.0"), conv)?;
    let x = b.batch_norm(&x, &format!("{p}.1"), EPSILONS.0)?;
    Ok(b.silu(&x, &format!("{p}.2")))
}

fn torchvision_block(b: &mut Blueprint, x: &Flow, p: &str, kernel: usize, stride: usize) -> Result<Flow> {
    let expands = b.weights.has_module(&format!("{p}.block.3"));
    let mut y = x.clone();
    let mut at = 0;
    if expands {
        y = triple(b, &y, &format!("{p}.block.0"), &Conv::plain(1))?;
        at = 1;
    }
    let depthwise = Conv::plain(kernel).stride(stride).depthwise(y.channels());
    y = triple(b, &y, &format!("{p}.block.{at}"), &depthwise)?;
    let se = format!("{p}.block.{}", at + 1);
    let parts =
        ["avgpool", "fc1", "activation", "fc2", "scale_activation", "mul"].map(|m| format!("{se}.{m}"));
    y = excite(b, &y, parts.each_ref().map(String::as_str))?;
    let project = format!("{p}.block.{}", at + 2);
    y = b.conv(&y, &format!("{project}.0"), &Conv::plain(1))?;
    y = b.batch_norm(&y, &format!("{project}.1"), EPSILONS.0)?;
    if stride == 1 && x.shape == y.shape {
        y = b.add(&y, x, &format!("{p}.add"))?;
    }
    Ok(y)
}

/// A convolution whose result has `size / stride` entries, rounded up, for an image of `size`; more follow at the end.
fn same(kernel: usize, stride: usize, size: usize) -> Conv {
    let total = ((size.div_ceil(stride) - 1) * stride + kernel).saturating_sub(size);
    Conv::plain(kernel).stride(stride).pads(vec![[total / 2, total - total / 2]; 3])
}

pub(super) fn monai(b: &mut Blueprint) -> Result<Vec<Flow>> {
    let mut x = b.image("_conv_stem", None)?;
    let mut size = b.settings.number("image_size", 224)?;
    x = b.conv(&x, "_conv_stem", &same(3, 2, size))?;
    x = b.batch_norm(&x, "_bn0", EPSILONS.1)?;
    x = b.silu(&x, "_swish");
    size = size.div_ceil(2);
    let mut at = 0;
    for (s, &(kernel, stride, repeats)) in STAGES.iter().enumerate() {
        for i in 0..repeats {
            let stride = if i == 0 { stride } else { 1 };
            x = monai_block(b, &x, &format!("_blocks.{s}.{at}"), &same(kernel, stride, size), stride)?;
            size = size.div_ceil(stride);
            at += 1;
        }
    }
    x = b.conv(&x, "_conv_head", &Conv::plain(1))?;
    x = b.batch_norm(&x, "_bn1", EPSILONS.1)?;
    x = b.silu(&x, "_swish");
    x = b.global_average(&x, "_avg_pooling");
    x = b.flatten(&x, "flatten");
    Ok(vec![b.classifier(&x, "_fc")?])
}

fn monai_block(b: &mut Blueprint, x: &Flow, p: &str, depthwise: &Conv, stride: usize) -> Result<Flow> {
    let swish = format!("{p}._swish");
    let mut y = x.clone();
    if b.weights.has_module(&format!("{p}._expand_conv")) {
        y = b.conv(&y, &format!("{p}._expand_conv"), &Conv::plain(1))?;
        y = b.batch_norm(&y, &format!("{p}._bn0"), EPSILONS.1)?;
        y = b.silu(&y, &swish);
    }
    let depthwise = depthwise.clone().depthwise(y.channels());
    y = b.conv(&y, &format!("{p}._depthwise_conv"), &depthwise)?;
    y = b.batch_norm(&y, &format!("{p}._bn1"), EPSILONS.1)?;
    y = b.silu(&y, &swish);
    let parts = ["_se_adaptpool", "_se_reduce", "_swish", "_se_expand", "sigmoid", "mul"];
    let parts = parts.map(|m| format!("{p}.{m}"));
    y = excite(b, &y, parts.each_ref().map(String::as_str))?;
    y = b.conv(&y, &format!("{p}._project_conv"), &Conv::plain(1))?;
    y = b.batch_norm(&y, &format!("{p}._bn2"), EPSILONS.1)?;
    if stride == 1 && x.channels() == y.channels() {
        y = b.add(&y, x, &format!("{p}.add"))?;
    }
    Ok(y)
}
