//! MONAI's SegResNet (Myronenko 2018, without the autoencoder): pre-activation residual blocks, additive skips.

use super::basic_unet::upsample;
use super::blueprint::{Blueprint, Flow};
use super::windows::Conv;
use voxplain_tensor::{Error, Result};

const NORM: &str = "group";
const ACT: &str = "relu";

pub(super) fn build(b: &mut Blueprint) -> Result<Vec<Flow>> {
    let mut x = b.image("convInit.conv", None)?;
    let downs = b.weights.count(|i| format!("down_layers.{i}"));
    let ups = b.weights.count(|i| format!("up_layers.{i}"));
    if ups >= downs {
        return Err(Error::invalid(format!(
            "{ups} modules up_layers and {downs} modules down_layers; fewer up than down are expected"
        )));
    }
    x = b.conv(&x, "convInit.conv", &Conv::kernel(3))?;
    let mut skips = Vec::new();
    for i in 0..downs {
        let p = format!("down_layers.{i}");
        if i > 0 {
            x = b.conv(&x, &format!("{p}.0.conv"), &Conv::kernel(3).stride(2))?;
        }
        x = blocks(b, &x, &p, 1)?;
        skips.push(x.clone());
    }
    skips.pop();
    for i in 0..ups {
        x = b.conv(&x, &format!("up_samples.{i}.0.conv"), &Conv::kernel(1))?;
        x = upsample(b, &x, &format!("up_samples.{i}.1"), false)?;
        if let Some(skip) = skips.pop() {
            x = b.add(&x, &skip, &format!("up_samples.{i}.add"))?;
        }
        x = blocks(b, &x, &format!("up_layers.{i}"), 0)?;
    }
    if b.settings.choice("conv_final", &["true", "false"], "true")? == "true" {
        x = b.norm(&x, "conv_final.0", NORM)?;
        x = b.activation(&x, "conv_final.1", ACT)?;
        x = b.conv(&x, "conv_final.2.conv", &Conv::biased(1))?;
    } else {
        b.weights.ignore("conv_final");
    }
    b.settings.note(format!("classes={} (weights)", x.channels()));
    Ok(vec![x])
}

/// The residual blocks of a stage, numbered from `first`.
fn blocks(b: &mut Blueprint, x: &Flow, stage: &str, first: usize) -> Result<Flow> {
    let count = b.weights.count(|i| format!("{stage}.{}", i + first));
    let mut x = x.clone();
    for i in first..first + count {
        let p = format!("{stage}.{i}");
        let act = format!("{p}.act");
        let mut y = b.norm(&x, &format!("{p}.norm1"), NORM)?;
        y = b.activation(&y, &act, ACT)?;
        y = b.conv(&y, &format!("{p}.conv1.conv"), &Conv::kernel(3))?;
        y = b.norm(&y, &format!("{p}.norm2"), NORM)?;
        y = b.activation(&y, &act, ACT)?;
        y = b.conv(&y, &format!("{p}.conv2.conv"), &Conv::kernel(3))?;
        x = b.add(&y, &x, &format!("{p}.add"))?;
    }
    Ok(x)
}
