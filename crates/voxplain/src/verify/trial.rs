//! A method on one network, image and target, and networks and images near them.

use super::{
    Checked, Measured, Property, conservation, device, exact, fidelity, measured, modalities, rewriting,
    summation,
};
use crate::device::Machine;
use crate::explain::Explainer;
use crate::request::Request;
use std::cell::OnceCell;
use voxplain_attribution::methods::Lrp;
use voxplain_attribution::{Attribution, Engine, Generator, Grid, Map, Method, Network, Target};
use voxplain_axioms::{Problem, compose, spread};
use voxplain_graph::Graph;
use voxplain_graph::rewrite::fold_batch_normalization;
use voxplain_tensor::{Error, Result, Tensor};

/// Maps, one row per graph input.
pub(super) type Rows = Vec<Vec<f64>>;

/// Networks whose weights are changed in their last place to see what rounding does to a map.
const CONTROLS: usize = 3;
/// Roundings of one result, as in the running error bound; the control makes one per weight.
const ROUNDINGS: f64 = 16.0;

/// What is checked.
pub(super) struct Trial<'t> {
    pub(super) explainer: &'t Explainer<'t>,
    pub(super) method: &'t dyn Method<f32>,
    /// The request's name of the method.
    pub(super) name: String,
    /// The network, with merged normalisation where the request says so.
    pub(super) graph: Graph,
    /// The first example.
    pub(super) inputs: Vec<Tensor<f32>>,
    pub(super) target: Target,
    /// The baseline of requests that state none.
    pub(super) zero_baseline: bool,
    /// The composite, if the request is one for relevance.
    pub(super) relevance: Option<Lrp>,
    pub(super) base: Rows,
    /// The shape of every row.
    pub(super) shapes: Vec<Vec<usize>>,
    /// Whether the map lies on a layer, one for all modalities.
    pub(super) on_layer: bool,
    pub(super) found: Attribution<f32>,
    control: OnceCell<f64>,
}

impl<'t> Trial<'t> {
    /// A trial of the method of a request.
    ///
    /// # Errors
    /// The network sees windows, the target does not exist, or the method fails.
    pub fn of_request(
        explainer: &'t Explainer<'t>,
        request: &Request,
        method: &'t dyn Method<f32>,
    ) -> Result<Self> {
        if explainer.case.windows.is_some() {
            return Err(Error::unsupported(
                "verification is for networks that see the whole image; give one window of it as an array",
            ));
        }
        let own = &explainer.model.graph;
        let graph = if request.merges_normalization() { fold_batch_normalization(own)? } else { own.clone() };
        let inputs: Vec<Tensor<f32>> = own
            .inputs()
            .iter()
            .zip(&explainer.case.inputs)
            .map(|(&v, x)| first(x, own.shape(v)[0]))
            .collect::<Result<_>>()?;
        let mut engine = explainer.engine_on(&graph);
        let target = engine.settle(&explainer.settled(explainer.aim(request)?.target)?, &inputs)?;
        let found = method.attribute(&mut engine, &inputs, &target)?;
        drop(engine);
        let base = rows(&graph, &found);
        let on_layer = is_on_layer(&found);
        let shapes = shapes(&graph, &found);
        let zero_baseline =
            !request.params.contains_key("baseline") && !request.params.contains_key("baselines");
        let name = request.method.clone();
        let relevance = request.composite().unwrap_or_default();
        let control = OnceCell::new();
        Ok(Self {
            explainer,
            method,
            name,
            graph,
            inputs,
            target,
            zero_baseline,
            relevance,
            base,
            shapes,
            on_layer,
            found,
            control,
        })
    }

    /// Checks properties, one after the other.
    ///
    /// # Errors
    /// A run fails.
    pub fn check(&self, id: &str, properties: &[Property], promises: &[Property]) -> Result<Vec<Checked>> {
        let one = |&property: &Property| {
            let promised = promises.contains(&property) && property.can_be_promised();
            let measured =
                self.measure(property).map_err(|e| e.within(format!("{id}, {}", property.name())))?;
            Ok(Checked::new(id, property, promised, measured))
        };
        properties.iter().map(one).collect()
    }

    fn measure(&self, property: Property) -> Result<Measured> {
        let on_inputs = [
            Property::Completeness,
            Property::DummyModality,
            Property::ModalitySymmetry,
            Property::Translation,
            Property::Infidelity,
        ];
        if self.on_layer && on_inputs.contains(&property) {
            return Ok(Measured::Nothing(String::from("the map lies on a layer, one for all modalities")));
        }
        match property {
            Property::Completeness => summation::completeness(self),
            Property::Conservation => conservation::conservation(self),
            Property::DummyModality => modalities::dummy(self),
            Property::ModalitySymmetry => modalities::symmetry(self),
            Property::NeuronScale => exact::neuron_scale(self),
            Property::Implementation => rewriting::implementation(self),
            Property::Batches => exact::batches(self),
            Property::Threads => exact::threads(self),
            Property::Devices => device::devices(self),
            Property::Translation => measured::translation(self),
            Property::Randomisation => measured::randomisation(self),
            Property::Stability => measured::stability(self),
            Property::ClassContrast => measured::class_contrast(self),
            Property::Infidelity => fidelity::infidelity(self),
            Property::Concentration => Ok(fidelity::concentration(self)),
        }
    }

    /// The maps of another network with the same inputs, or at another image.
    pub(super) fn maps(&self, graph: &Graph, inputs: &[Tensor<f32>]) -> Result<Rows> {
        let mut engine = self.explainer.engine_on(graph);
        Ok(rows(graph, &self.method.attribute(&mut engine, inputs, &self.target)?))
    }

    /// The maps of the same network on another device.
    pub(super) fn maps_on(&self, machine: &Machine) -> Result<Rows> {
        let mut engine = Engine::new(&self.graph, machine, None);
        Ok(rows(&self.graph, &self.method.attribute(&mut engine, &self.inputs, &self.target)?))
    }

    /// What rounding may do to this map: the largest relative change over networks whose weights are each changed in the last
    /// place, up or down at random, times the roundings of a result.
    pub(super) fn control(&self) -> Result<f64> {
        if let Some(known) = self.control.get() {
            return Ok(*known);
        }
        let mut worst = f64::from(f32::EPSILON);
        for seed in 0..CONTROLS {
            let graph = nudged(&self.graph, seed as u64)?;
            worst = worst.max(distance(&self.maps(&graph, &self.inputs)?, &self.base));
        }
        Ok(*self.control.get_or_init(|| ROUNDINGS * worst))
    }

    /// The network and image as the axioms see them, from a reference of zeros.
    pub(super) fn problem(&self) -> Problem {
        let x: Vec<Tensor<f64>> = self.inputs.iter().map(Tensor::convert).collect();
        let r = x.iter().map(|t| t.map(|_| 0.0)).collect();
        Problem { graph: self.graph.clone(), x, r, target: self.target.clone() }
    }
}

fn is_on_layer(found: &Attribution<f32>) -> bool {
    found.maps.iter().all(|m| matches!(m.grid, Grid::Layer(_)))
}

/// The maps of the first example: on the inputs' shapes, or as they lie on a layer.
pub(super) fn rows(graph: &Graph, found: &Attribution<f32>) -> Rows {
    if !is_on_layer(found) {
        return spread(graph, found);
    }
    let first = |m: &Map<f32>| m.values.data()[..m.values.data().len() / found.values.len().max(1)].to_vec();
    found.maps.iter().map(|m| first(m).into_iter().map(f64::from).collect()).collect()
}

fn shapes(graph: &Graph, found: &Attribution<f32>) -> Vec<Vec<usize>> {
    if !is_on_layer(found) {
        return graph.inputs().iter().map(|&v| graph.shape(v).to_vec()).collect();
    }
    let one = |m: &Map<f32>| {
        let mut sizes = m.values.shape().to_vec();
        sizes[0] /= found.values.len().max(1);
        sizes
    };
    found.maps.iter().map(one).collect()
}

/// The first example of a tensor whose examples have `rows` rows.
fn first(x: &Tensor<f32>, rows: usize) -> Result<Tensor<f32>> {
    let mut sizes = x.shape().to_vec();
    sizes[0] = rows;
    let length = sizes.iter().product();
    Tensor::new(&sizes, x.data()[..length].to_vec())
}

/// Every weight moved to the next number above or below.
fn nudged(graph: &Graph, seed: u64) -> Result<Graph> {
    let mut values = compose::weights(graph);
    for (p, data) in values.iter_mut().enumerate() {
        let generator = Generator::new(seed, p as u32);
        for (i, w) in data.iter_mut().enumerate().filter(|(_, w)| **w != 0.0) {
            let step = if generator.below(2, 0, i as u64) == 0 { 1 } else { -1 };
            *w = f32::from_bits(w.to_bits().wrapping_add_signed(step));
        }
    }
    graph.with_parameters(&values)
}

/// `sum |a - b| / sum |b|`; 0 where both are all 0, infinite where only b is.
pub(super) fn distance(a: &Rows, b: &Rows) -> f64 {
    let pairs = || a.iter().flatten().zip(b.iter().flatten());
    let gap: f64 = pairs().map(|(a, b)| (a - b).abs()).sum();
    let size: f64 = b.iter().flatten().map(|v| v.abs()).sum();
    if gap == 0.0 { 0.0 } else { gap / size }
}

/// How many entries differ, and the largest difference.
pub(super) fn bits(a: &Rows, b: &Rows) -> (f64, String) {
    let pairs = || a.iter().flatten().zip(b.iter().flatten());
    let count = pairs().filter(|(a, b)| a != b).count();
    let worst =
        pairs().map(|(a, b)| (a - b).abs()).fold(0.0, |m: f64, v| if v > m || v.is_nan() { v } else { m });
    (worst, format!("{count} of {} entries differ", pairs().count()))
}
