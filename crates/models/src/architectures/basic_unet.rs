//! MONAI's BasicUNet: pairs of convolutions, max pooling, transposed convolutions; odd sizes are repaired by repeating
//! the last entry.

use super::blueprint::{Blueprint, Flow};
use super::convolution::Adn;
use super::windows::Conv;
use voxplain_tensor::Result;

pub(super) const ANCHORS: &[&str] = &["conv_0.conv_0.conv.weight"];

const ADN: Adn = Adn { norm: "instance", act: "leakyrelu:0.1" };

pub(super) fn build(b: &mut Blueprint) -> Result<Vec<Flow>> {
    let x = b.image("conv_0.conv_0.conv", None)?;
    let mut skips = vec![two(b, &x, "conv_0")?];
    let mut x = skips[0].clone();
    for i in 1..=4 {
        x = b.max_pool(&x, &format!("down_{i}.max_pooling"), (2, 2, 0))?;
        x = two(b, &x, &format!("down_{i}.convs"))?;
        skips.push(x.clone());
    }
    for i in (1..=4).rev() {
        x = up(b, &x, &skips[i - 1], &format!("upcat_{i}"))?;
    }
    x = b.conv(&x, "final_conv", &Conv::biased(1))?;
    b.settings.note(format!("classes={} (weights)", x.channels()));
    Ok(vec![x])
}

fn two(b: &mut Blueprint, x: &Flow, p: &str) -> Result<Flow> {
    let x = b.convolution(x, &format!("{p}.conv_0"), &Conv::kernel(3), ADN)?;
    b.convolution(&x, &format!("{p}.conv_1"), &Conv::kernel(3), ADN)
}

fn up(b: &mut Blueprint, x: &Flow, skip: &Flow, p: &str) -> Result<Flow> {
    let mut x = upsample(b, x, &format!("{p}.upsample"), true)?;
    let after: Vec<usize> =
        x.shape.iter().zip(&skip.shape).enumerate().map(|(i, (a, s))| usize::from(i > 0 && a != s)).collect();
    if after.contains(&1) {
        x = b.pad_after(&x, &format!("{p}.pad"), &after, "edge");
    }
    x = b.concat(&[skip, &x], &format!("{p}.cat"))?;
    two(b, &x, &format!("{p}.convs"))
}

/// MONAI's `UpSample` by 2: a transposed convolution where the file has its weight, otherwise interpolation after an
/// optional convolution.
pub(super) fn upsample(b: &mut Blueprint, x: &Flow, p: &str, align_corners: bool) -> Result<Flow> {
    let deconv = format!("{p}.deconv");
    if b.weights.has_module(&deconv) {
        return b.conv_transpose(x, &deconv, &Conv::kernel(2).stride(2).pad(0));
    }
    let mut x = x.clone();
    if b.weights.has_module(&format!("{p}.preconv")) {
        x = b.conv(&x, &format!("{p}.preconv"), &Conv::kernel(1))?;
    }
    b.upsample_linear(&x, &format!("{p}.upsample_non_trainable"), align_corners)
}
