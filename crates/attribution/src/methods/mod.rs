//! The methods, one file each. A method is plain parameters and an `attribute` that speaks to a [`Network`].

mod baseline;
mod blur_ig;
mod cam;
mod deeplift;
mod gradient;
mod gradient_shap;
mod guided_grad_cam;
mod guided_ig;
mod idgi;
mod integrated_gradients;
mod line;
mod lrp;
pub mod path;
mod pattern;
mod reveal_cancel;
mod smooth;

pub use baseline::Baseline;
pub use blur_ig::BlurIg;
pub use cam::{Cam, CamWeights};
pub use deeplift::{DeepLift, DeepLiftShap};
pub use gradient::{Backward, Scaling};
pub use gradient_shap::{GradientShap, ShapDraws};
pub use guided_grad_cam::GuidedGradCam;
pub use guided_ig::GuidedIg;
pub use idgi::Idgi;
pub use integrated_gradients::{IntegratedGradients, Steps};
pub use lrp::{Lrp, Propagation, Start};
pub use pattern::{PatternKind, Patterned};
pub use reveal_cancel::DeepLiftRevealCancel;
pub use smooth::{Smooth, Statistic};

use crate::engine::{copy, example};
use crate::inputs::count_examples;
use crate::{Attribution, Fill, Grid, Map, Network, PassSpec, Row, Table, Target};
use voxplain_graph::Graph;
use voxplain_tensor::{Result, Scalar, Tensor};

/// An attribution method with its parameters.
pub trait Method<S: Scalar>: Send + Sync {
    /// The name, as in requests and file names.
    fn name(&self) -> &'static str;

    /// Forward and backward passes of one example, as far as they are known before the run; a reference pass counts as a
    /// forward pass. Adaptive methods give their upper bound.
    fn passes(&self) -> (u64, u64);

    /// As [`Method::passes`] on a network, for methods whose number of passes depends on its inputs.
    fn passes_on(&self, _graph: &Graph) -> (u64, u64) {
        self.passes()
    }

    /// Seconds that the method computes beside its passes on these inputs, measured on one of its steps; 0 where passes are all.
    ///
    /// # Errors
    /// The step does not fit the inputs.
    fn seconds_beside(&self, _graph: &Graph, _inputs: &[Tensor<S>]) -> Result<f64> {
        Ok(0.0)
    }

    /// The table and the scaling of a method that is one pass: its maps are the signals at the inputs, scaled, and nothing else.
    fn one_pass(&self) -> Option<(&dyn Table, Scaling)> {
        None
    }

    /// Explains `target` for every example of `inputs` (one tensor per graph input, examples in front).
    ///
    /// # Errors
    /// Inputs, target or parameters do not fit the network, or the device failed.
    fn attribute(
        &self,
        network: &mut dyn Network<S>,
        inputs: &[Tensor<S>],
        target: &Target,
    ) -> Result<Attribution<S>>;
}

/// One pass of a table per example: the signal at every input, started from `seeds`. `look` sees every row's results.
fn signals<S: Scalar>(
    network: &mut dyn Network<S>,
    inputs: &[Tensor<S>],
    spec: &PassSpec<'_>,
    seeds: &[Vec<S>],
    look: &mut dyn FnMut(usize, &Row<'_, S>),
) -> Result<Vec<Tensor<S>>> {
    let (examples, threads) = (count_examples(network.graph(), inputs)?, network.threads());
    let mut maps = zeros_like(inputs);
    let mut fill = |row: usize, what: Fill, into: &mut [S]| match what {
        Fill::Input(i) | Fill::Reference(i) => copy(example(&inputs[i], examples, row), into, threads),
        Fill::Seed => into.copy_from_slice(&seeds[row]),
    };
    network.run(spec, examples, &mut fill, &mut |n, row| {
        look(n, row);
        for (map, signal) in maps.iter_mut().zip(&row.results) {
            copy(signal, example_mut(map, examples, n), threads);
        }
    })?;
    Ok(maps)
}

/// Zero maps of the inputs' shapes.
fn zeros_like<S: Scalar>(inputs: &[Tensor<S>]) -> Vec<Tensor<S>> {
    inputs.iter().map(|x| Tensor::zeros(x.shape())).collect()
}

/// Tensors on the input grids as maps.
fn input_maps<S>(graph: &Graph, tensors: Vec<Tensor<S>>) -> Vec<Map<S>> {
    let name = |i: usize| graph.value(graph.inputs()[i]).name.clone();
    tensors.into_iter().enumerate().map(|(i, values)| Map { grid: Grid::Input(name(i)), values }).collect()
}

/// The part of `tensor` that belongs to example `n` of `examples`, to change.
fn example_mut<S: Scalar>(tensor: &mut Tensor<S>, examples: usize, n: usize) -> &mut [S] {
    let length = tensor.data().len() / examples;
    &mut tensor.data_mut()[n * length..(n + 1) * length]
}
