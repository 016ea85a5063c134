//! Resnet3D, the small residual network beside GeneNet in the code of Jin et al. (MethodsX 2023): a convolution, two of
//! MONAI's residual units, a linear layer.

use super::blueprint::{Blueprint, Flow};
use super::convolution::Adn;
use super::layers::EPSILON;
use super::windows::Conv;
use voxplain_tensor::Result;

const ADN: Adn = Adn { norm: "instance", act: "relu" };

pub(super) fn build(b: &mut Blueprint) -> Result<Vec<Flow>> {
    let mut x = b.image("features.conv0", None)?;
    x = b.conv(&x, "features.conv0", &Conv::biased(3))?;
    x = b.batch_norm(&x, "features.norm0", EPSILON)?;
    x = b.relu(&x, "features.relu0");
    x = b.max_pool(&x, "features.pool0", (2, 2, 0))?;
    for i in 1..=2 {
        let one = vec![1; x.axes()];
        x = b.residual_unit(&x, &format!("features.residualblock{i}"), &one, ADN, false)?;
    }
    // The pool is called norm in the original.
    x = b.global_average(&x, "class_layers.norm");
    x = b.flatten(&x, "class_layers.flatten");
    Ok(vec![b.classifier(&x, "class_layers.class")?])
}
