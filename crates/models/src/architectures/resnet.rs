//! ResNet as torchvision (2D) and MONAI (2D and 3D) write it; also the trunk of TripleMRNet.
//!
//! MONAI's shortcut A cuts the gradient (it joins `out.data`), so that the gradient of that network is not the
//! gradient of its function; here the shortcut is a part of the function like any other.

use super::blueprint::{Blueprint, Flow};
use super::check_blocks;
use super::layers::EPSILON;
use super::windows::Conv;
use voxplain_tensor::{Error, Result};

/// The two kinds of blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Two convolutions.
    Basic,
    /// Three, of which the first and the last have a kernel of 1.
    Bottleneck,
}

impl Kind {
    /// Refuses weights of the other kind.
    fn check(self, b: &Blueprint) -> Result<()> {
        let found = if b.weights.has_module("layer1.0.conv3") { Self::Bottleneck } else { Self::Basic };
        if found == self {
            return Ok(());
        }
        Err(Error::invalid(format!(
            "the file has {found:?} blocks, this architecture {self:?}; another depth may fit"
        )))
    }
}

/// How the two libraries differ.
struct Style {
    /// The name of a block's rectifier.
    act: &'static str,
    /// Whether a block whose shape changes has no weights in its shortcut.
    shortcut_a: bool,
}

/// The stem's modules and those of the four stages, in order.
pub(super) struct Names {
    pub conv: String,
    pub norm: String,
    pub act: String,
    pub pool: String,
    pub stages: [String; 4],
}

impl Names {
    fn by_attribute(act: &str) -> Self {
        let own = String::from;
        let stages = [1, 2, 3, 4].map(|i| format!("layer{i}"));
        Self { conv: own("conv1"), norm: own("bn1"), act: own(act), pool: own("maxpool"), stages }
    }

    /// As the children of a `Sequential`.
    pub fn by_number(prefix: &str) -> Self {
        let own = |i: usize| format!("{prefix}.{i}");
        Self { conv: own(0), norm: own(1), act: own(2), pool: own(3), stages: [4, 5, 6, 7].map(own) }
    }
}

pub(super) fn torchvision(b: &mut Blueprint, blocks: &[usize; 4], kind: Kind) -> Result<Vec<Flow>> {
    kind.check(b)?;
    let x = b.image("conv1", Some(224))?;
    let names = Names::by_attribute("relu");
    let x = torchvision_trunk(b, &x, &names, blocks)?;
    head(b, &x)
}

/// Everything before the average, with stride 2 in the first convolution.
pub(super) fn torchvision_trunk(
    b: &mut Blueprint,
    x: &Flow,
    names: &Names,
    blocks: &[usize; 4],
) -> Result<Flow> {
    let mut x = b.conv(x, &names.conv, &Conv::plain(7).stride(2))?;
    x = b.batch_norm(&x, &names.norm, EPSILON)?;
    x = b.relu(&x, &names.act);
    x = b.max_pool(&x, &names.pool, (3, 2, 1))?;
    stages(b, &x, names, blocks, &Style { act: "relu", shortcut_a: false })
}

pub(super) fn monai(b: &mut Blueprint, blocks: &[usize; 4], kind: Kind) -> Result<Vec<Flow>> {
    kind.check(b)?;
    let mut x = b.image("conv1", None)?;
    let found = if b.weights.has_module("layer2.0.downsample") { "B" } else { "A" };
    let shortcut = b.settings.choice("shortcut", &["A", "B"], found)?;
    if shortcut != found {
        return Err(Error::invalid(format!("setting shortcut={shortcut}; the tensors are those of {found}")));
    }
    let stride = b.settings.number("conv1_stride", 1)?;
    let pool = b.settings.choice("max_pool", &["true", "false"], "true")?;
    let names = Names::by_attribute("act");
    x = b.conv(&x, "conv1", &Conv::same().stride(stride))?;
    x = b.batch_norm(&x, "bn1", EPSILON)?;
    // MONAI hands the chosen activation to the stem alone.
    x = b.activation(&x, "act", "relu")?;
    if pool == "true" {
        x = b.max_pool(&x, "maxpool", (3, 2, 1))?;
    }
    x = stages(b, &x, &names, blocks, &Style { act: "act", shortcut_a: found == "A" })?;
    head(b, &x)
}

fn head(b: &mut Blueprint, x: &Flow) -> Result<Vec<Flow>> {
    let x = b.global_average(x, "avgpool");
    let x = b.flatten(&x, "flatten");
    Ok(vec![if b.weights.has_module("fc") { b.classifier(&x, "fc")? } else { x }])
}

fn stages(b: &mut Blueprint, x: &Flow, names: &Names, blocks: &[usize; 4], style: &Style) -> Result<Flow> {
    let mut x = x.clone();
    let found: Vec<usize> =
        names.stages.iter().map(|stage| b.weights.count(|i| format!("{stage}.{i}"))).collect();
    check_blocks("the four stages", &found, blocks)?;
    for (i, stage) in names.stages.iter().enumerate() {
        for k in 0..blocks[i] {
            let stride = if i > 0 && k == 0 { 2 } else { 1 };
            x = block(b, &x, &format!("{stage}.{k}"), stride, style)?;
        }
    }
    Ok(x)
}

/// A basic block, or a bottleneck where there is a third convolution.
fn block(b: &mut Blueprint, x: &Flow, p: &str, stride: usize, style: &Style) -> Result<Flow> {
    let bottleneck = b.weights.has_module(&format!("{p}.conv3"));
    let act = format!("{p}.{}", style.act);
    let (first, second) = if bottleneck {
        (Conv::plain(1), Conv::plain(3).stride(stride).any_groups())
    } else {
        (Conv::plain(3).stride(stride), Conv::plain(3))
    };
    let mut y = b.conv(x, &format!("{p}.conv1"), &first)?;
    y = b.batch_norm(&y, &format!("{p}.bn1"), EPSILON)?;
    y = b.relu(&y, &act);
    y = b.conv(&y, &format!("{p}.conv2"), &second)?;
    y = b.batch_norm(&y, &format!("{p}.bn2"), EPSILON)?;
    if bottleneck {
        y = b.relu(&y, &act);
        y = b.conv(&y, &format!("{p}.conv3"), &Conv::plain(1))?;
        y = b.batch_norm(&y, &format!("{p}.bn3"), EPSILON)?;
    }
    let shortcut = shortcut(b, x, &format!("{p}.downsample"), stride, y.channels(), style)?;
    y = b.add(&y, &shortcut, &format!("{p}.add"))?;
    Ok(b.relu(&y, &act))
}

fn shortcut(
    b: &mut Blueprint,
    x: &Flow,
    name: &str,
    stride: usize,
    channels: usize,
    style: &Style,
) -> Result<Flow> {
    if stride == 1 && x.channels() == channels {
        return Ok(x.clone());
    }
    if !style.shortcut_a {
        let y = b.conv(x, &format!("{name}.0"), &Conv::kernel(1).stride(stride))?;
        return b.batch_norm(&y, &format!("{name}.1"), EPSILON);
    }
    let y = b.average_pool(x, &format!("{name}.pool"), 1, stride)?;
    let mut after = vec![0; y.shape.len()];
    after[0] = channels.saturating_sub(y.channels());
    Ok(b.pad_after(&y, &format!("{name}.pad"), &after, "constant"))
}
