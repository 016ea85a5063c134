//! AlexNet as torchvision writes it; also the trunk of TripleMRNet.

use super::blueprint::{Blueprint, Flow};
use super::windows::Conv;
use voxplain_tensor::Result;

/// The convolutions, pools and rectifiers below `prefix`.
pub(super) fn features(b: &mut Blueprint, x: &Flow, prefix: &str) -> Result<Flow> {
    let name = |i: usize| format!("{prefix}.{i}");
    let mut x = b.conv(x, &name(0), &Conv::biased(11).stride(4).pad(2))?;
    x = b.relu(&x, &name(1));
    x = b.max_pool(&x, &name(2), (3, 2, 0))?;
    x = b.conv(&x, &name(3), &Conv::biased(5))?;
    x = b.relu(&x, &name(4));
    x = b.max_pool(&x, &name(5), (3, 2, 0))?;
    for i in [6, 8, 10] {
        x = b.conv(&x, &name(i), &Conv::biased(3))?;
        x = b.relu(&x, &name(i + 1));
    }
    b.max_pool(&x, &name(12), (3, 2, 0))
}

pub(super) fn build(b: &mut Blueprint) -> Result<Vec<Flow>> {
    let x = b.image("features.0", Some(224))?;
    let mut x = features(b, &x, "features")?;
    x = b.adaptive_average(&x, "avgpool", 6);
    x = b.flatten(&x, "flatten");
    for i in [1, 4] {
        x = b.linear(&x, &format!("classifier.{i}"))?;
        x = b.relu(&x, &format!("classifier.{}", i + 1));
    }
    Ok(vec![b.classifier(&x, "classifier.6")?])
}
