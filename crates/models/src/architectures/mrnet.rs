//! TripleMRNet, the knee network of Jin et al. (MethodsX 2023): three planes of slices, one trunk per plane that sees
//! every slice alone, the maximum over slices, one linear layer. One example is `[slices, channels, height, width]` per
//! plane.

use super::blueprint::{Blueprint, Flow};
use super::resnet::Names;
use super::{alexnet as alex, resnet};
use crate::raw::Attribute;
use voxplain_tensor::{Error, Result};

/// The input's name and the names that the state dict uses, in the order in which features are joined.
const PLANES: [(&str, &str, &str); 3] = [
    ("axial", "axial_net", "gap_axial"),
    ("sagittal", "sagit_net", "gap_sagit"),
    ("coronal", "coron_net", "gap_coron"),
];

/// One plane's features of every slice.
type Trunk = fn(&mut Blueprint, &Flow, &str) -> Result<Flow>;

pub(super) fn alexnet(b: &mut Blueprint) -> Result<Vec<Flow>> {
    for (_, net, _) in PLANES {
        if b.weights.ignore(&format!("{net}.classifier")) > 0 {
            b.settings.note(format!("{net}.classifier left out, nothing uses it"));
        }
    }
    network(b, "features.0", |b, x, net| alex::features(b, x, &format!("{net}.features")))
}

pub(super) fn resnet18(b: &mut Blueprint) -> Result<Vec<Flow>> {
    network(b, "0", |b, x, net| {
        let x = resnet::torchvision_trunk(b, x, &Names::by_number(net), &[2, 2, 2, 2])?;
        Ok(b.global_average(&x, &format!("{net}.8")))
    })
}

fn network(b: &mut Blueprint, first: &str, trunk: Trunk) -> Result<Vec<Flow>> {
    let sizes = b.settings.spatial(3, None).map_err(|e| e.within("slices, height and width"))?;
    let slices = slices(b, sizes[0])?;
    let mut features = Vec::new();
    for ((plane, net, gap), slices) in PLANES.into_iter().zip(slices) {
        let weight = format!("{net}.{first}.weight");
        let channels = b.weights.ranked(&weight, 4)?[1];
        let x = b.input(plane, &[slices, channels, sizes[1], sizes[2]]);
        let one = [channels, sizes[1], sizes[2]];
        let each: Vec<i64> = std::iter::once(-1).chain(one.iter().map(|&s| s as i64)).collect();
        let x = b.reshape(&x, &format!("{plane}_slices"), &each, one.to_vec());
        let x = trunk(b, &x, net)?;
        let x = b.global_average(&x, gap);
        let x = b.flatten(&x, &format!("{gap}.view"));
        let width = x.channels();
        let stack = [-1, slices as i64, width as i64];
        let x = b.reshape(&x, &format!("{plane}_features"), &stack, vec![slices, width]);
        let over = [("axes", Attribute::Ints(vec![1])), ("keepdims", Attribute::Int(0))];
        features.push(b.node("ReduceMax", &format!("{plane}_max"), vec![x.name], &over, vec![width]));
    }
    let joined = b.concat(&[&features[0], &features[1], &features[2]], "cat")?;
    Ok(vec![b.classifier(&joined, "classifier")?])
}

/// The number of slices per plane, in the order of the planes.
fn slices(b: &mut Blueprint, default: usize) -> Result<Vec<usize>> {
    let standard = [default; 3].map(|s| s.to_string()).join(",");
    let text = b.settings.text("slices", &standard);
    let parsed: Vec<usize> = text.split(',').filter_map(|s| s.trim().parse().ok()).collect();
    if parsed.len() == PLANES.len() && parsed.iter().all(|s| (1..1 << 16).contains(s)) {
        return Ok(parsed);
    }
    Err(Error::invalid(format!(
        "setting slices={text}; three numbers of slices expected: axial, sagittal, coronal"
    )))
}
