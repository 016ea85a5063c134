//! Class activation maps: GradCAM, HiResCAM, LayerCAM, GradCAM++.

use super::Method;
use crate::engine::{copy, example};
use crate::interpolate::{Interpolation, resize};
use crate::{Attribution, Fill, Grid, Map, Network, PassSpec, Rules, Target};
use voxplain_autodiff::{Composite, Gradient};
use voxplain_graph::{Graph, ValueId};
use voxplain_tensor::{Error, Result, Scalar, Shape, Tensor};

/// How the channels of a layer are weighted. `A` is the layer's activation, `G = dF/dA`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CamWeights {
    /// `sum_c mean(G_c) A_c`: GradCAM (Selvaraju et al., ICCV 2017, equations 1 and 2).
    GradCam,
    /// `sum_c G_c A_c`: HiResCAM (Draelos & Carin, arXiv 2011.08891, 2020).
    HiResCam,
    /// `sum_c relu(G_c) A_c`: LayerCAM (Jiang et al., IEEE TIP 2021).
    LayerCam,
    /// `sum_c w_c A_c`, `w_c = sum(a_c relu(G_c))`, `a = G^2 / (2 G^2 + sum(A) G^3)`: GradCAM++ (Chattopadhay et al.,
    /// WACV 2018, equation 19, for `F = exp(S)` with the positive factor `exp(S)` dropped).
    GradCamPlusPlus,
}

/// A class activation map at a layer. One map for all modalities that the layer mixes: it cannot tell them apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cam {
    /// The layer: a node whose output has shape `[N, C, spatial...]`.
    pub layer: String,
    /// The weighting.
    pub weights: CamWeights,
    /// Whether negative values are set to 0.
    pub relu: bool,
    /// How the map is brought to the grid of the inputs that the layer sees; `None` keeps the layer's grid.
    pub interpolation: Option<Interpolation>,
}

impl Cam {
    /// GradCAM at `layer`, signed, on the layer's grid.
    pub fn grad_cam(layer: impl Into<String>) -> Self {
        Self { layer: layer.into(), weights: CamWeights::GradCam, relu: false, interpolation: None }
    }

    /// The map of one example: activations and gradients of shape `[rows, C, spatial]`.
    fn map<S: Scalar>(&self, shape: Shape, a: &[S], g: &[S]) -> Vec<S> {
        let (rows, channels, inner) = (shape[0], shape[1], shape.inner(1));
        let mut out = vec![0.0f64; rows * inner];
        for plane in 0..rows * channels {
            let (a, g) = (&a[plane * inner..(plane + 1) * inner], &g[plane * inner..(plane + 1) * inner]);
            let row = plane / channels;
            let weight = self.channel_weight(a, g);
            for (i, sum) in out[row * inner..(row + 1) * inner].iter_mut().enumerate() {
                let factor = match self.weights {
                    CamWeights::GradCam | CamWeights::GradCamPlusPlus => weight,
                    CamWeights::HiResCam => g[i].to_f64(),
                    CamWeights::LayerCam => g[i].to_f64().max(0.0),
                };
                *sum += factor * a[i].to_f64();
            }
        }
        out.into_iter().map(|v| S::from_f64(if self.relu { v.max(0.0) } else { v })).collect()
    }

    fn channel_weight<S: Scalar>(&self, a: &[S], g: &[S]) -> f64 {
        match self.weights {
            CamWeights::GradCam => g.iter().map(|v| v.to_f64()).sum::<f64>() / g.len() as f64,
            CamWeights::GradCamPlusPlus => {
                let total: f64 = a.iter().map(|v| v.to_f64()).sum();
                let term = |g: f64| {
                    let below = 2.0 * g * g + total * g * g * g;
                    if below == 0.0 { 0.0 } else { g * g / below * g.max(0.0) }
                };
                g.iter().map(|v| term(v.to_f64())).sum()
            }
            CamWeights::HiResCam | CamWeights::LayerCam => 0.0,
        }
    }

    /// The map on the layer's grid, `[rows, 1, spatial]`, and the values of F.
    pub(super) fn at_layer<S: Scalar>(
        &self,
        network: &mut dyn Network<S>,
        inputs: &[Tensor<S>],
        target: &Target,
    ) -> Result<(Tensor<S>, Vec<f64>)> {
        let examples = network.examples(inputs)?;
        let layer = network.graph().find(&self.layer)?;
        let shape = network.graph().shape(layer);
        if shape.rank() < 2 {
            return Err(Error::invalid(format!("layer {:?} of shape {shape} has no channels", self.layer)));
        }
        let seeds = network.seeds(target, inputs)?;
        let table = Rules { name: String::from("gradient"), composite: Composite::everywhere(Gradient) };
        let spec = PassSpec {
            table: Some(&table),
            from: seeds.from,
            wanted: vec![layer],
            captures: vec![layer, seeds.from],
        };
        let (mut data, mut values, threads) = (Vec::new(), Vec::new(), network.threads());
        let mut fill = |row: usize, what: Fill, into: &mut [S]| match what {
            Fill::Input(i) | Fill::Reference(i) => copy(example(&inputs[i], examples, row), into, threads),
            Fill::Seed => into.copy_from_slice(&seeds.rows[row]),
        };
        network.run(&spec, examples, &mut fill, &mut |n, row| {
            values.push(seeds.value(n, row.captures[1]));
            data.extend(self.map(shape, row.captures[0], row.results[0]));
        })?;
        let mut sizes = vec![shape[0] * examples, 1];
        sizes.extend_from_slice(&shape[2..]);
        Ok((Tensor::new(&sizes, data)?, values))
    }
}

/// The inputs that `layer` depends on.
pub(super) fn seen_by(graph: &Graph, layer: ValueId) -> Vec<usize> {
    let mut needed = vec![false; graph.values().len()];
    needed[layer.index()] = true;
    for node in graph.nodes().iter().rev() {
        if needed[node.output.index()] {
            node.inputs.iter().for_each(|v| needed[v.index()] = true);
        }
    }
    (0..graph.inputs().len()).filter(|&i| needed[graph.inputs()[i].index()]).collect()
}

/// The map on the grid of input `i`, of shape `[rows, 1, spatial]`.
pub(super) fn to_input<S: Scalar>(
    graph: &Graph,
    map: &Tensor<S>,
    i: usize,
    how: Interpolation,
) -> Result<Tensor<S>> {
    let shape = graph.shape(graph.inputs()[i]);
    let axes = map.shape().rank() - 2;
    if shape.rank() < axes || axes == 0 {
        return Err(Error::invalid(format!(
            "the layer has {axes} spatial axes and input {:?} has shape {shape}: the map cannot be resized to it",
            graph.value(graph.inputs()[i]).name
        )));
    }
    resize(map, &shape[shape.rank() - axes..], how)
}

impl<S: Scalar> Method<S> for Cam {
    fn name(&self) -> &'static str {
        match self.weights {
            CamWeights::GradCam => "gradcam",
            CamWeights::HiResCam => "hirescam",
            CamWeights::LayerCam => "layercam",
            CamWeights::GradCamPlusPlus => "gradcam_plus_plus",
        }
    }

    fn passes(&self) -> (u64, u64) {
        (1, 1)
    }

    fn attribute(
        &self,
        network: &mut dyn Network<S>,
        inputs: &[Tensor<S>],
        target: &Target,
    ) -> Result<Attribution<S>> {
        let (map, values) = self.at_layer(network, inputs, target)?;
        let graph = network.graph();
        let maps = match self.interpolation {
            None => vec![Map { grid: Grid::Layer(self.layer.clone()), values: map }],
            Some(how) => {
                let layer = graph.find(&self.layer)?;
                let one = |i: usize| {
                    let name = graph.value(graph.inputs()[i]).name.clone();
                    Ok(Map { grid: Grid::InputSpace(name), values: to_input(graph, &map, i, how)? })
                };
                seen_by(graph, layer).into_iter().map(one).collect::<Result<_>>()?
            }
        };
        let examples = values.len() as u64;
        Ok(Attribution {
            maps,
            values,
            residuals: None,
            differences: None,
            forward_passes: examples,
            backward_passes: examples,
            notes: vec![String::from("one map for all modalities that the layer mixes")],
            ledger: None,
            scores: None,
        })
    }
}
