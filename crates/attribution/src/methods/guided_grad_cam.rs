//! Guided GradCAM.

use super::cam::{seen_by, to_input};
use super::{Backward, Cam, Method};
use crate::interpolate::Interpolation;
use crate::{Attribution, Network, Target};
use voxplain_tensor::{Error, Result, Scalar, Tensor};

/// Guided GradCAM (Selvaraju et al., ICCV 2017, section 3.2): Guided BackProp times the rectified GradCAM, brought to
/// the input's grid. Inputs that the layer does not see get 0.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GuidedGradCam {
    /// The layer of the GradCAM.
    pub layer: String,
    /// How its map is resized.
    pub interpolation: Interpolation,
}

impl<S: Scalar> Method<S> for GuidedGradCam {
    fn name(&self) -> &'static str {
        "guided_gradcam"
    }

    fn passes(&self) -> (u64, u64) {
        (2, 2)
    }

    fn attribute(
        &self,
        network: &mut dyn Network<S>,
        inputs: &[Tensor<S>],
        target: &Target,
    ) -> Result<Attribution<S>> {
        let target = network.settle(target, inputs)?;
        let cam = Cam { relu: true, ..Cam::grad_cam(self.layer.clone()) };
        let (cam, _) = cam.at_layer(network, inputs, &target)?;
        let mut guided = Backward::guided_backprop().attribute(network, inputs, &target)?;
        let seen = seen_by(network.graph(), network.graph().find(&self.layer)?);
        for (i, map) in guided.maps.iter_mut().enumerate() {
            if !seen.contains(&i) {
                // A branch that does not reach the layer has no part in its map.
                map.values = Tensor::zeros(map.values.shape());
                continue;
            }
            let resized = to_input(network.graph(), &cam, i, self.interpolation)?;
            multiply(&mut map.values, &resized).map_err(|e| e.within(format!("input {i}")))?;
        }
        guided.forward_passes *= 2;
        guided.backward_passes *= 2;
        Ok(guided)
    }
}

/// Multiplies `[N, C.., spatial]` by `[rows, 1, spatial]`, the spatial map repeating over the channels of its row.
fn multiply<S: Scalar>(values: &mut Tensor<S>, map: &Tensor<S>) -> Result<()> {
    let inner = map.shape().inner(1);
    let planes = values.data().len() / inner;
    let rows = map.rows();
    if planes % rows != 0 {
        return Err(Error::invalid(format!("a map of {rows} rows does not fit {planes} planes")));
    }
    let per_row = planes / rows;
    for (plane, part) in values.data_mut().chunks_mut(inner).enumerate() {
        part.iter_mut().zip(map.row(plane / per_row)).for_each(|(v, &m)| *v = *v * m);
    }
    Ok(())
}
