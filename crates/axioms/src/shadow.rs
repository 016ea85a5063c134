//! How far rounding can move a map of a small network: the same network with magnitudes in place of weights.
//!
//! Every number that a method computes is a sum over paths of products of weights and activations; in floating point each
//! product is off by at most `gamma = H u / (1 - H u)` of its magnitude, H being the roundings along a path (Higham,
//! "Accuracy and stability of numerical algorithms", 2nd ed., section 3.1). The sum of magnitudes over all paths is what
//! the network computes with `|w|` for `w`, sums for maxima and differences, and `|x| + |r|` for its input: its value
//! bounds values, its gradient bounds signals. Relevance divides by what a layer adds up to, so it is magnified by the
//! layer's condition `sum |w a| / |z|`. The bound multiplies along depth, so it is for networks of a few layers; larger ones
//! are judged by [`crate::running_error`].

use crate::compose::{copy, parameter, readers};
use crate::problem::Problem;
use crate::running_error::{OWN, fan_in, unit};
use crate::subject::Arithmetic;
use voxplain_attribution::{Engine, Fill, Network, PassSpec, Rules};
use voxplain_autodiff::{Composite, Device, Gradient};
use voxplain_graph::ops::{Binary, Pointwise};
use voxplain_graph::{Class, Graph, GraphBuilder, Node, Op, Parameter, ValueId};
use voxplain_tensor::{Error, Result, Scalar, Tensor};

/// Bounds for one problem on one device.
#[derive(Clone, Debug)]
pub struct Shadow {
    /// What rounding can add to a product along the longest path, as a part of its magnitude.
    pub gamma: f64,
    /// The sum of magnitudes behind the explained value.
    pub value: f64,
    /// The same behind the derivative by each entry.
    pub slopes: Vec<Vec<f64>>,
    /// `|x| + |r|`.
    pub sizes: Vec<Vec<f64>>,
    /// The product of the layers' conditions; infinite where a sum of numbers that are not 0 is exactly 0.
    pub condition: f64,
    /// The sum of magnitudes of the explained value itself, as relevance starts with it.
    pub start: f64,
}

impl Shadow {
    /// The shadow of a problem.
    ///
    /// # Errors
    /// The network has an operator that has no shadow, or as a run of the network.
    pub fn of<D: Device>(device: &D, problem: &Problem) -> Result<Self> {
        let magnitudes = magnitudes(&problem.graph)?;
        let sizes: Vec<Tensor<f64>> = problem
            .x
            .iter()
            .zip(&problem.r)
            .map(|(x, r)| x.zip(r, |x, r| x.abs() + r.abs()))
            .collect::<Result<_>>()?;
        let large = Pass::of(device, &magnitudes, &sizes, problem)?;
        let own = Pass::of(device, &problem.graph, &problem.x, problem)?;
        let roundings: f64 = problem.graph.nodes().iter().map(|n| fan_in(&problem.graph, n) + OWN).sum();
        let h = 2.0 * roundings * unit::<D::Scalar>();
        let graph = &problem.graph;
        let condition = graph.nodes().iter().zip(&own.captures).zip(&large.captures);
        let condition = condition.map(|((node, z), terms)| condition_of(graph, node, z, terms)).product();
        Ok(Self {
            gamma: h / (1.0 - h).max(0.5),
            value: large.value,
            slopes: large.slopes,
            sizes: sizes.into_iter().map(Tensor::into_data).collect(),
            condition,
            start: own.value.abs(),
        })
    }

    /// What rounding can add to an entry of a map.
    pub fn map(&self, arithmetic: Arithmetic) -> f64 {
        let largest = |values: &mut dyn Iterator<Item = f64>| values.fold(0.0f64, f64::max);
        let slopes = || self.slopes.iter().flatten().copied();
        let products = || self.slopes.iter().flatten().zip(self.sizes.iter().flatten()).map(|(s, x)| s * x);
        self.gamma
            * match arithmetic {
                Arithmetic::Signal => largest(&mut slopes()),
                Arithmetic::SignalTimesInput => largest(&mut products()),
                Arithmetic::Relevance => self.condition * self.start,
                Arithmetic::Values => 2.0 * self.value,
                Arithmetic::ValuesTimesSignal => 2.0 * self.value * largest(&mut slopes()),
            }
    }

    /// What rounding can add to the sum of a map.
    pub fn sum(&self, arithmetic: Arithmetic) -> f64 {
        let entries: usize = self.slopes.iter().map(Vec::len).sum();
        self.map(arithmetic) * entries as f64
    }

    /// What rounding can add to the explained value.
    pub fn output(&self) -> f64 {
        self.gamma * self.value
    }
}

/// `max sum |w a| / |z|` over the results of an affine node; 1 for other nodes.
fn condition_of(graph: &Graph, node: &Node, z: &[f64], terms: &[f64]) -> f64 {
    let varies: Vec<bool> = node.inputs.iter().map(|&v| graph.value(v).varies).collect();
    if node.op.class(&varies) != Class::Affine {
        return 1.0;
    }
    // A rectifier behind a sum that is exactly 0 hands nothing back to be shared out.
    let silent = readers(graph, node.output).iter().all(|n| matches!(n.op, Op::Pointwise(Pointwise::Relu)));
    let shared = |z: f64| z != 0.0 || !silent || graph.outputs().contains(&node.output);
    let ratio = |(z, t): (&f64, &f64)| if *t == 0.0 || !shared(*z) { 1.0 } else { t / z.abs() };
    z.iter().zip(terms).map(ratio).fold(1.0, f64::max)
}

/// The network with magnitudes.
fn magnitudes(graph: &Graph) -> Result<Graph> {
    let means = subtracted(graph);
    let sign = |p: usize| if means.contains(&p) { -1.0 } else { 1.0 };
    let magnitudes =
        |(p, parameter): (usize, &Parameter)| parameter.data.iter().map(|w| sign(p) * w.abs()).collect();
    let values: Vec<Vec<f32>> = graph.parameters().iter().enumerate().map(magnitudes).collect();
    let graph = graph.with_parameters(&values)?;
    let mut b = GraphBuilder::new();
    let inputs: Vec<ValueId> = graph
        .inputs()
        .iter()
        .map(|&v| b.input(&graph.value(v).name, &graph.shape(v)))
        .collect::<Result<_>>()?;
    let map = copy(&mut b, &graph, "", &inputs, &mut |b, node, inputs| shadowed(b, node, inputs).map(Some))?;
    b.finish(&graph.outputs().iter().map(|v| map[v.index()]).collect::<Vec<_>>())
}

/// The means of normalisations with stored statistics: what is subtracted adds to magnitudes.
fn subtracted(graph: &Graph) -> Vec<usize> {
    let fixed = |n: &&Node| matches!(n.op, Op::BatchNormalization { .. });
    let means = graph.nodes().iter().filter(fixed).filter_map(|n| parameter(graph, n.inputs[3]));
    means.map(|(p, _)| p).collect()
}

fn shadowed(b: &mut GraphBuilder, node: &Node, inputs: &[ValueId]) -> Result<ValueId> {
    let op = match &node.op {
        // Windows side by side or overlapping: the sum is the mean times their size.
        Op::MaxPool(pool) => {
            let size: usize = pool.kernel.iter().product();
            let mean = b.node(&format!("{}.mean", node.name), Op::AveragePool(pool.clone()), inputs)?;
            let scale = Op::Pointwise(Pointwise::Affine { scale: size as f64, shift: 0.0 });
            return b.node(&node.name, scale, &[mean]);
        }
        Op::Binary(Binary::Sub) => Op::Binary(Binary::Add),
        Op::Pointwise(Pointwise::Affine { scale, shift }) => {
            Op::Pointwise(Pointwise::Affine { scale: scale.abs(), shift: shift.abs() })
        }
        // Between 0 and the identity where numbers are not negative.
        Op::Pointwise(Pointwise::Relu) => Op::Identity,
        Op::Pointwise(_) | Op::Softmax { .. } | Op::GroupNormalization { .. } => {
            return Err(Error::unsupported(format!("the roundings of {} have no shadow", node.op.kind())));
        }
        other => other.clone(),
    };
    b.node(&node.name, op, inputs)
}

/// One forward and backward pass of magnitudes, or of the network itself.
struct Pass {
    value: f64,
    slopes: Vec<Vec<f64>>,
    /// The value of every node of the problem's graph.
    captures: Vec<Vec<f64>>,
}

impl Pass {
    fn of<D: Device>(device: &D, graph: &Graph, x: &[Tensor<f64>], problem: &Problem) -> Result<Self> {
        let seeds = problem.seeds::<D::Scalar>()?;
        let from = graph.find(&problem.graph.value(seeds.from).name)?;
        let captures: Vec<ValueId> =
            problem.graph.nodes().iter().map(|n| graph.find(&n.name)).collect::<Result<_>>()?;
        let table = Rules { name: String::from("gradient"), composite: Composite::everywhere(Gradient) };
        let wanted = graph.inputs().to_vec();
        let spec = PassSpec { table: Some(&table), from, wanted, captures: captures.clone() };
        let seed: Vec<f64> = seeds.rows[0].iter().map(|s| s.to_f64().abs()).collect();
        let mut fill = |_: usize, what: Fill, into: &mut [D::Scalar]| {
            let from = match what {
                Fill::Input(i) | Fill::Reference(i) => x[i].data(),
                Fill::Seed => &seed,
            };
            into.iter_mut().zip(from).for_each(|(to, &v)| *to = D::Scalar::from_f64(v));
        };
        let wide = |row: &&[D::Scalar]| row.iter().map(|v| v.to_f64()).collect::<Vec<f64>>();
        let mut pass = Self { value: 0.0, slopes: Vec::new(), captures: Vec::new() };
        Engine::new(graph, device, None).run(&spec, 1, &mut fill, &mut |_, row| {
            pass.slopes = row.results.iter().map(wide).collect();
            pass.captures = row.captures.iter().map(wide).collect();
        })?;
        let at = captures.iter().position(|&v| v == from);
        let output = at.map_or(&[][..], |at| &pass.captures[at]);
        pass.value = seed.iter().zip(output).map(|(s, v)| s * v.abs()).sum();
        Ok(pass)
    }
}
