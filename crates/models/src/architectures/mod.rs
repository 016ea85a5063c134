//! A plain state dict has weights but no graph; the graph has to come from here. Named architectures for PyTorch
//! state dicts, one file per family.
//!
//! To add one: a file with a builder that repeats the network's `forward` over a `Blueprint`, and a row in
//! `ARCHITECTURES`.

mod alexnet;
mod attention;
mod attention_unet;
mod basic_unet;
mod blueprint;
mod convolution;
mod densenet;
mod dynunet;
mod efficientnet;
mod genenet;
mod layers;
mod mrnet;
mod resnet;
mod resnet3d;
mod segresnet;
mod senet;
mod settings;
mod unet;
mod vgg;
mod weights;
mod windows;

use crate::raw::{Constant, RawGraph};
use blueprint::{Blueprint, Flow};
use resnet::Kind::{Basic, Bottleneck};
use std::collections::BTreeMap;
use voxplain_tensor::{Error, Result};
use weights::Weights;

pub use settings::ArchitectureOptions;

/// Draws a network and gives its outputs.
type Builder = fn(&mut Blueprint) -> Result<Vec<Flow>>;

/// A named architecture: name, what it is, tensors of which its state dict has at least one, and its builder.
struct Architecture(&'static str, &'static str, &'static [&'static str], Builder);

const FEATURES: &[&str] = &["features.0.weight"];
const STEM: &[&str] = &["conv1.weight"];
const DENSE: &[&str] = &["features.conv0.weight"];

const ARCHITECTURES: &[Architecture] = &[
    Architecture("alexnet", "AlexNet, 2D (torchvision)", FEATURES, alexnet::build),
    Architecture("vgg11", "VGG-11, 2D (torchvision)", FEATURES, |b| vgg::build(b, &[1, 1, 2, 2, 2])),
    Architecture("vgg13", "VGG-13, 2D (torchvision)", FEATURES, |b| vgg::build(b, &[2, 2, 2, 2, 2])),
    Architecture("vgg16", "VGG-16, 2D (torchvision)", FEATURES, |b| vgg::build(b, &[2, 2, 3, 3, 3])),
    Architecture("vgg19", "VGG-19, 2D (torchvision)", FEATURES, |b| vgg::build(b, &[2, 2, 4, 4, 4])),
    Architecture("vgg11_bn", "VGG-11 with batch normalisation, 2D (torchvision)", FEATURES, |b| {
        vgg::build_normalised(b, &[1, 1, 2, 2, 2])
    }),
    Architecture("vgg13_bn", "VGG-13 with batch normalisation, 2D (torchvision)", FEATURES, |b| {
        vgg::build_normalised(b, &[2, 2, 2, 2, 2])
    }),
    Architecture("vgg16_bn", "VGG-16 with batch normalisation, 2D (torchvision)", FEATURES, |b| {
        vgg::build_normalised(b, &[2, 2, 3, 3, 3])
    }),
    Architecture("vgg19_bn", "VGG-19 with batch normalisation, 2D (torchvision)", FEATURES, |b| {
        vgg::build_normalised(b, &[2, 2, 4, 4, 4])
    }),
    Architecture("resnet18", "ResNet-18, 2D (torchvision)", STEM, |b| {
        resnet::torchvision(b, &[2, 2, 2, 2], Basic)
    }),
    Architecture("resnet34", "ResNet-34, 2D (torchvision)", STEM, |b| {
        resnet::torchvision(b, &[3, 4, 6, 3], Basic)
    }),
    Architecture("resnet50", "ResNet-50, 2D (torchvision)", STEM, |b| {
        resnet::torchvision(b, &[3, 4, 6, 3], Bottleneck)
    }),
    Architecture("monai-resnet10", "ResNet-10, 2D or 3D, shortcut A or B (MONAI)", STEM, |b| {
        resnet::monai(b, &[1, 1, 1, 1], Basic)
    }),
    Architecture("monai-resnet18", "ResNet-18, 2D or 3D, shortcut A or B (MONAI)", STEM, |b| {
        resnet::monai(b, &[2, 2, 2, 2], Basic)
    }),
    Architecture("monai-resnet34", "ResNet-34, 2D or 3D, shortcut A or B (MONAI)", STEM, |b| {
        resnet::monai(b, &[3, 4, 6, 3], Basic)
    }),
    Architecture("monai-resnet50", "ResNet-50, 2D or 3D, shortcut A or B (MONAI)", STEM, |b| {
        resnet::monai(b, &[3, 4, 6, 3], Bottleneck)
    }),
    Architecture("densenet121", "DenseNet-121, 2D (torchvision)", DENSE, densenet::torchvision),
    Architecture("monai-densenet121", "DenseNet-121, 2D or 3D (MONAI)", DENSE, densenet::monai),
    Architecture("efficientnet_b0", "EfficientNet-B0, 2D (torchvision)", &["features.0.0.weight"], |b| {
        efficientnet::torchvision(b)
    }),
    Architecture("monai-efficientnet-b0", "EfficientNet-B0, 2D or 3D (MONAI)", &["_conv_stem.weight"], |b| {
        efficientnet::monai(b)
    }),
    Architecture("seresnet50", "SE-ResNet-50, 2D or 3D (MONAI)", &["layer0.conv1.weight"], senet::build),
    Architecture(
        "unet",
        "UNet, 2D or 3D, with or without residual units (MONAI)",
        unet::ANCHORS,
        unet::build,
    ),
    Architecture("basicunet", "BasicUNet, 2D or 3D (MONAI)", basic_unet::ANCHORS, basic_unet::build),
    Architecture("segresnet", "SegResNet, 2D or 3D (MONAI)", &["convInit.conv.weight"], segresnet::build),
    Architecture(
        "attentionunet",
        "AttentionUnet, 2D or 3D (MONAI)",
        attention_unet::ANCHORS,
        attention_unet::build,
    ),
    Architecture("dynunet", "DynUNet, the nnU-Net of MONAI, 2D or 3D", dynunet::ANCHORS, dynunet::build),
    Architecture("genenet", "GeneNet, the 3D VGG of Jin et al.", genenet::ANCHORS, genenet::build),
    Architecture("resnet3d", "Resnet3D of Jin et al., two residual units", DENSE, resnet3d::build),
    Architecture(
        "cbam",
        "the CBAM attention block of Jin et al., 3D, alone",
        &["mlp.0.weight"],
        attention::cbam,
    ),
    Architecture(
        "non-local",
        "the non-local self-attention block of Jin et al., 3D, alone",
        &["g.weight", "g.0.weight"],
        attention::non_local,
    ),
    Architecture(
        "triplemrnet-alexnet",
        "TripleMRNet with AlexNet, three planes of slices",
        &["axial_net.features.0.weight"],
        mrnet::alexnet,
    ),
    Architecture(
        "triplemrnet-resnet18",
        "TripleMRNet with ResNet-18, three planes of slices",
        &["axial_net.0.weight"],
        mrnet::resnet18,
    ),
];

/// Name and one line about every named architecture.
pub fn architectures() -> impl Iterator<Item = (&'static str, &'static str)> {
    ARCHITECTURES.iter().map(|a| (a.0, a.1))
}

/// The network of the named architecture with these weights.
pub(crate) fn build(
    name: &str,
    tensors: BTreeMap<String, Constant>,
    options: &ArchitectureOptions,
) -> Result<RawGraph> {
    let unknown = || {
        let names: Vec<&str> = ARCHITECTURES.iter().map(|a| a.0).collect();
        Error::unsupported(format!("no architecture {name:?}; known are {}", names.join(", ")))
    };
    let Architecture(name, _, anchors, builder) =
        ARCHITECTURES.iter().find(|a| a.0 == name).ok_or_else(unknown)?;
    let (weights, removed) = Weights::new(name, tensors, anchors)?;
    let mut b = Blueprint::new(weights, options.clone());
    if !removed.is_empty() {
        b.settings.note(format!("prefix {removed:?} removed from all names"));
    }
    let outputs = builder(&mut b)?;
    b.finish(name, &outputs)
}

/// Refuses weights of another depth than the name says.
fn check_blocks(name: &str, found: &[usize], expected: &[usize]) -> Result<()> {
    if found == expected {
        return Ok(());
    }
    Err(Error::invalid(format!(
        "the file has {found:?} blocks in {name}, this architecture {expected:?}; another depth may fit"
    )))
}
