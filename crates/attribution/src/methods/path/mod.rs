//! Paths from an image without the evidence to the image itself, one file each, for methods that add up gradients on the
//! way. A path may look at the gradient before it takes a step.

mod blurred;
mod guided;
mod straight;

pub use blurred::BlurPath;
pub use guided::GuidedPath;
pub use straight::StraightPath;

use super::signals;
use crate::inputs::count_examples;
use crate::{Network, PassSpec, Rules, Seeds};
use std::time::Instant;
use voxplain_autodiff::{Composite, Gradient};
use voxplain_graph::Graph;
use voxplain_tensor::{Error, Result, Scalar, Tensor};

/// One tensor per input, examples in front, in double precision whatever the device computes in.
pub type Point = Vec<Tensor<f64>>;

/// A path in so many steps.
pub trait Path: Send + Sync {
    /// The name, for notes.
    fn name(&self) -> &'static str;

    /// The number of steps.
    fn steps(&self) -> usize;

    /// Where it starts for these inputs.
    ///
    /// # Errors
    /// The path does not fit the inputs.
    fn start(&self, graph: &Graph, inputs: &Point, examples: usize) -> Result<Point>;

    /// Where step `k` leads from `here`, given the gradient there; the last step leads to the inputs.
    ///
    /// # Errors
    /// The path does not fit the inputs.
    fn next(&self, k: usize, ends: Ends<'_>, here: &Point, gradient: &Point) -> Result<Point>;
}

/// Where a path starts and where it leads.
#[derive(Clone, Copy, Debug)]
pub struct Ends<'a> {
    /// The start.
    pub start: &'a Point,
    /// The inputs.
    pub inputs: &'a Point,
    /// The number of examples in both.
    pub examples: usize,
}

/// Refuses a path without steps, on which no gradient would be looked at.
pub(super) fn at_least_one(steps: usize) -> Result<()> {
    if steps > 0 { Ok(()) } else { Err(Error::invalid("a path needs at least one step")) }
}

/// Seconds of all steps of a path on these inputs without the passes, from one in the middle.
pub(super) fn seconds_of<S: Scalar>(path: &dyn Path, graph: &Graph, inputs: &[Tensor<S>]) -> Result<f64> {
    let examples = count_examples(graph, inputs)?;
    let inputs: Point = inputs.iter().map(Tensor::convert).collect();
    let start = path.start(graph, &inputs, examples)?;
    let begun = Instant::now();
    // Any gradient will do; the image's own values are as varied as one.
    let ends = Ends { start: &start, inputs: &inputs, examples };
    let next = path.next(path.steps() / 2, ends, &start, &inputs)?;
    let mut maps: Point = inputs.iter().map(|x| Tensor::zeros(x.shape())).collect();
    add_products(&mut maps, &inputs, &start, &next);
    Ok(begun.elapsed().as_secs_f64() * path.steps() as f64)
}

/// The explained value and its gradient at a point, for every example.
pub(super) struct Probe {
    pub values: Vec<f64>,
    pub gradient: Point,
}

/// Evaluates F and its gradient at `point`.
pub(super) fn probe<S: Scalar>(
    network: &mut dyn Network<S>,
    seeds: &Seeds<S>,
    point: &Point,
) -> Result<Probe> {
    let inputs: Vec<Tensor<S>> = point.iter().map(Tensor::convert).collect();
    let table = Rules { name: String::from("gradient"), composite: Composite::everywhere(Gradient) };
    let wanted = network.graph().inputs().to_vec();
    let spec = PassSpec { table: Some(&table), from: seeds.from, wanted, captures: vec![seeds.from] };
    let mut values = Vec::new();
    let maps = signals(network, &inputs, &spec, &seeds.rows, &mut |n, row| {
        values.push(seeds.value(n, row.captures[0]));
    })?;
    Ok(Probe { values, gradient: maps.iter().map(Tensor::convert).collect() })
}

/// Maps in the scalars of the device.
pub(super) fn rounded<S: Scalar>(maps: &Point) -> Vec<Tensor<S>> {
    maps.iter().map(Tensor::convert).collect()
}

/// Adds `gradient (to - from)` to every map.
pub(super) fn add_products(maps: &mut Point, gradient: &Point, from: &Point, to: &Point) {
    for (((map, g), a), b) in maps.iter_mut().zip(gradient).zip(from).zip(to) {
        for (((m, g), a), b) in map.data_mut().iter_mut().zip(g.data()).zip(a.data()).zip(b.data()) {
            *m += g * (b - a);
        }
    }
}
