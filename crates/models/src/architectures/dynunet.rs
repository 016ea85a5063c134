//! MONAI's DynUNet, its form of nnU-Net. The network registers its layers twice, by their place and in a chain of skip
//! layers, so a state dict may hold every weight under two names; the names by place are kept.

use super::blueprint::{Blueprint, Flow};
use super::windows::Conv;
use voxplain_tensor::{Error, Result};

pub(super) const ANCHORS: &[&str] =
    &["input_block.conv1.conv.weight", "skip_layers.downsample.conv1.conv.weight"];

const NORM: &str = "instance";
const ACT: &str = "leakyrelu:0.01";
const CHAIN: &str = "skip_layers.";
const NEXT: &str = "next_layer.";

pub(super) fn build(b: &mut Blueprint) -> Result<Vec<Flow>> {
    let depth = |name: &str| name.strip_prefix(CHAIN).map_or(0, |rest| links(rest).0);
    let levels = b.weights.names().map(depth).max().unwrap_or(0);
    b.weights.rename(|name| by_place(name, levels))?;
    if b.weights.ignore("deep_supervision_heads") > 0 {
        b.settings.note(String::from("deep supervision heads left out"));
    }
    let mut x = b.image("input_block.conv1.conv", None)?;
    let downs = b.weights.count(|i| format!("downsamples.{i}"));
    let ups = b.weights.count(|i| format!("upsamples.{i}"));
    if ups != downs + 1 {
        return Err(Error::invalid(format!(
            "{downs} modules downsamples and {ups} modules upsamples; one more up than down is expected"
        )));
    }
    let first = b.settings.strides("first_stride", 1, x.axes(), 1)?;
    let strides = upsampling(b, ups, x.axes())?;
    x = block(b, &x, "input_block", &first[0])?;
    let mut skips = vec![x.clone()];
    for i in 0..downs {
        x = block(b, &x, &format!("downsamples.{i}"), &strides[i])?;
        skips.push(x.clone());
    }
    x = block(b, &x, "bottleneck", &strides[downs])?;
    for i in 0..ups {
        let p = format!("upsamples.{i}");
        let up = Conv::same().strides(&strides[downs - i]).pads(vec![[0, 0]; 3]);
        x = b.conv_transpose(&x, &format!("{p}.transp_conv.conv"), &up)?;
        let skip = skips.pop().unwrap_or_else(|| x.clone());
        x = b.concat(&[&x, &skip], &format!("{p}.cat"))?;
        x = block(b, &x, &format!("{p}.conv_block"), &vec![1; x.axes()])?;
    }
    x = b.conv(&x, "output_block.conv.conv", &Conv::kernel(1))?;
    b.settings.note(format!("classes={} (weights)", x.channels()));
    Ok(vec![x])
}

/// The number of links at the beginning of a name in the chain, and what follows them.
fn links(mut rest: &str) -> (usize, &str) {
    let mut links = 0;
    while let Some(inner) = rest.strip_prefix(NEXT) {
        (links, rest) = (links + 1, inner);
    }
    (links, rest)
}

/// The name by place of a tensor in a chain of `levels` links.
fn by_place(name: &str, levels: usize) -> String {
    let Some((k, rest)) = name.strip_prefix(CHAIN).map(links) else { return String::from(name) };
    match rest.split_once('.') {
        Some(("downsample", leaf)) if k == 0 => format!("input_block.{leaf}"),
        Some(("downsample", leaf)) => format!("downsamples.{}.{leaf}", k - 1),
        Some(("upsample", leaf)) if k < levels => format!("upsamples.{}.{leaf}", levels - 1 - k),
        Some(("super_head", leaf)) if k > 0 => format!("deep_supervision_heads.{}.{leaf}", k - 1),
        _ if k == levels => format!("bottleneck.{rest}"),
        _ => String::from(name),
    }
}

/// The strides of all levels below the first: the kernels of the transposed convolutions, from the top down.
fn upsampling(b: &mut Blueprint, ups: usize, axes: usize) -> Result<Vec<Vec<usize>>> {
    let kernel = |i: usize| {
        let weight = format!("upsamples.{i}.transp_conv.conv.weight");
        Ok(b.weights.ranked(&weight, axes + 2)?[2..].to_vec())
    };
    let strides = (0..ups).rev().map(kernel).collect::<Result<Vec<_>>>()?;
    b.settings.note(format!("strides={strides:?} (weights)"));
    Ok(strides)
}

/// Two convolutions; with a shortcut on the way down in networks of residual blocks.
fn block(b: &mut Blueprint, x: &Flow, p: &str, strides: &[usize]) -> Result<Flow> {
    // Where no shape changes, a residual block has no third convolution; some block of the network always has.
    let residual = b.weights.names().any(|n| n.contains(".conv3.")) && !p.ends_with("conv_block");
    let lrelu = format!("{p}.lrelu");
    let mut y = padded(b, x, &format!("{p}.conv1.conv"), strides)?;
    y = b.norm(&y, &format!("{p}.norm1"), NORM)?;
    y = b.activation(&y, &lrelu, ACT)?;
    y = padded(b, &y, &format!("{p}.conv2.conv"), &vec![1; x.axes()])?;
    y = b.norm(&y, &format!("{p}.norm2"), NORM)?;
    if residual {
        let mut shortcut = x.clone();
        if b.weights.has_module(&format!("{p}.conv3")) {
            shortcut = b.conv(x, &format!("{p}.conv3.conv"), &Conv::kernel(1).strides(strides))?;
            shortcut = b.norm(&shortcut, &format!("{p}.norm3"), NORM)?;
        }
        y = b.add(&y, &shortcut, &format!("{p}.add"))?;
    }
    b.activation(&y, &lrelu, ACT)
}

/// A convolution padded by `(kernel - stride + 1) / 2`, rounded down.
fn padded(b: &mut Blueprint, x: &Flow, module: &str, strides: &[usize]) -> Result<Flow> {
    let kernel = b.weights.ranked(&format!("{module}.weight"), x.axes() + 2)?[2..].to_vec();
    let pads = kernel.iter().zip(strides).map(|(k, s)| [(k + 1).saturating_sub(*s) / 2; 2]).collect();
    b.conv(x, module, &Conv::same().strides(strides).pads(pads))
}
