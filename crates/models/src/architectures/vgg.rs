//! VGG as torchvision writes it, where modules are numbered and the numbers depend on batch normalisation.

use super::blueprint::{Blueprint, Flow};
use super::layers::EPSILON;
use super::windows::Conv;
use voxplain_tensor::Result;

pub(super) fn build(b: &mut Blueprint, stages: &[usize]) -> Result<Vec<Flow>> {
    network(b, stages, false)
}

pub(super) fn build_normalised(b: &mut Blueprint, stages: &[usize]) -> Result<Vec<Flow>> {
    network(b, stages, true)
}

/// `stages` is the number of convolutions before each of the five pools.
fn network(b: &mut Blueprint, stages: &[usize], normalised: bool) -> Result<Vec<Flow>> {
    let mut x = b.image("features.0", Some(224))?;
    let mut at = 0;
    let mut next = || {
        at += 1;
        format!("features.{}", at - 1)
    };
    for &convolutions in stages {
        for _ in 0..convolutions {
            x = b.conv(&x, &next(), &Conv::biased(3))?;
            if normalised {
                x = b.batch_norm(&x, &next(), EPSILON)?;
            }
            x = b.relu(&x, &next());
        }
        x = b.max_pool(&x, &next(), (2, 2, 0))?;
    }
    x = b.adaptive_average(&x, "avgpool", 7);
    x = b.flatten(&x, "flatten");
    for i in [0, 3] {
        x = b.linear(&x, &format!("classifier.{i}"))?;
        x = b.relu(&x, &format!("classifier.{}", i + 1));
    }
    Ok(vec![b.classifier(&x, "classifier.6")?])
}
