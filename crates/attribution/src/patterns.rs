//! Patterns for PatternNet and PatternAttribution, fitted to sample inputs by plain passes.
//!
//! The sums `sum x_i y_j` over samples and places that a pattern needs are gradients in the weights: the reverse pass below
//! gives every layer a statistic of its own output instead of what comes from above, so any layer and any device can do it.

use crate::engine::{copy, example};
use crate::rules::{Patterns, has_weights};
use crate::{Fill, Network, PassSpec, Rules};
use voxplain_autodiff::{BinaryFn, Composite, Cotangent, Rule, Signal, Site};
use voxplain_graph::ops::Pointwise;
use voxplain_graph::{Class, Graph, Node, Op, Origin, Parameter, ValueId};
use voxplain_tensor::{Error, Result, Scalar, Tensor};

/// What a layer's output is turned into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Statistic {
    /// y.
    Output,
    /// `max(y, 0)`.
    Positive,
    /// 1.
    One,
    /// 1 where y > 0.
    IsPositive,
}

/// A reverse pass in which a weighted layer's gradients are those of `<statistic, w x>`.
struct Sums(Statistic);

impl Rule for Sums {
    type Signal = Cotangent;

    fn name(&self) -> String {
        format!("pattern_sums({:?})", self.0)
    }

    fn affine(&self, site: &mut Site<'_>, upper: &Cotangent) -> Result<Vec<Option<Cotangent>>> {
        if !has_weights(site.node(), |i| site.varies(i)) {
            return Cotangent::default_rule(Class::Affine, site, upper);
        }
        let y = site.output();
        let shape = site.shape(y);
        let statistic = match self.0 {
            Statistic::Output => y,
            Statistic::Positive => site.map(Pointwise::Relu, y),
            Statistic::One => site.emitter().fill(1.0, shape),
            Statistic::IsPositive => {
                let one = site.emitter().fill(1.0, shape);
                site.emitter().binary(BinaryFn::Gate, one, y)
            }
        };
        Ok(site.vjp(statistic)?.into_iter().map(|g| g.map(Cotangent)).collect())
    }
}

/// A weighted layer, and where its numbers lie.
struct Layer<'g> {
    node: &'g Node,
    weights: ValueId,
    /// The rectifier's estimator, for layers with a ReLU behind them; the linear one for others.
    rectified: bool,
    /// Of the weights: how many entries lie between two of one output, and how many outputs there are.
    inner: usize,
    outputs: usize,
    /// Of one example's output: how many entries lie between two of one output.
    spacing: usize,
}

/// Sums over samples: of x y and x in the shape of the weights, of y, of places, and of places with y > 0 by output.
struct Totals {
    products: Vec<f64>,
    inputs: Vec<f64>,
    outputs: Vec<f64>,
    count: f64,
    counted: Vec<f64>,
}

impl<'g> Layer<'g> {
    fn of(graph: &'g Graph, node: &'g Node) -> Result<Self> {
        let (weights, output) = (node.inputs[1], graph.shape(node.output));
        let shape = graph.shape(weights);
        let (axis, channels) = match &node.op {
            Op::Conv(_) => (0, 1),
            Op::ConvTranspose(t) if t.conv.groups == 1 => (1, 1),
            Op::Gemm(g) => (usize::from(!g.transpose_b), output.rank() - 1),
            Op::MatMul if shape.rank() == 2 => (1, output.rank() - 1),
            op => return Err(Error::unsupported(format!("patterns for {} of these weights", op.kind()))),
        };
        let reads = |n: &&Node| n.inputs.first() == Some(&node.output);
        let relu = |n: &Node| matches!(n.op, Op::Pointwise(f) if f.is_rectifier());
        let rectified = graph.nodes().iter().filter(reads).any(relu);
        Ok(Self {
            node,
            weights,
            rectified,
            inner: shape.inner(axis),
            outputs: shape[axis],
            spacing: output.inner(channels),
        })
    }

    fn statistics(&self) -> [Statistic; 2] {
        if self.rectified {
            [Statistic::Positive, Statistic::IsPositive]
        } else {
            [Statistic::Output, Statistic::One]
        }
    }

    fn parameter<'a>(&self, graph: &'a Graph) -> Option<&'a Parameter> {
        match graph.value(self.weights).origin {
            Origin::Parameter(p) => graph.parameters().get(p),
            _ => None,
        }
    }

    fn totals(&self, graph: &Graph) -> Totals {
        let n = graph.shape(self.weights).elements();
        let outputs = vec![0.0; self.outputs];
        Totals { products: vec![0.0; n], inputs: vec![0.0; n], counted: outputs.clone(), outputs, count: 0.0 }
    }

    /// Adds one example's output.
    fn add_output<S: Scalar>(&self, totals: &mut Totals, y: &[S]) {
        for (at, value) in y.iter().enumerate() {
            let (j, value) = (at / self.spacing % self.outputs, value.to_f64());
            totals.outputs[j] += value;
            totals.counted[j] += f64::from(!self.rectified || value > 0.0);
        }
        totals.count += (y.len() / self.outputs) as f64;
    }

    /// `a_ij = cov_ij / sum_i w_ij cov_ij` with `cov_ij = E[x_i y_j] - E[x_i] E[y_j]`, the expectations with x over the
    /// places where the estimator looks; 0 for outputs that are never seen or have no signal.
    fn pattern(&self, totals: &Totals, weights: &[f32]) -> Vec<f32> {
        let output_of = |at: usize| at / self.inner % self.outputs;
        let covariance = |at: usize| {
            let j = output_of(at);
            let mean = totals.outputs[j] / totals.count.max(1.0);
            (totals.products[at] - totals.inputs[at] * mean) / totals.counted[j].max(1.0)
        };
        let covariances: Vec<f64> = (0..weights.len()).map(covariance).collect();
        let mut norms = vec![0.0; self.outputs];
        for (at, (c, w)) in covariances.iter().zip(weights).enumerate() {
            norms[output_of(at)] += c * f64::from(*w);
        }
        let entry = |(at, c): (usize, &f64)| {
            let norm = norms[output_of(at)];
            if norm == 0.0 { 0.0 } else { (c / norm) as f32 }
        };
        covariances.iter().enumerate().map(entry).collect()
    }
}

/// The patterns of every weighted layer of a network, from `samples`: one tensor per input with any number of examples.
/// Layers with a ReLU behind them have the estimator of the part where they are above 0 (Kindermans et al., ICLR 2018,
/// equation 9), the others the linear one (equation 6).
///
/// # Errors
/// The samples do not fit the network, there are fewer than two, or a layer's weights have no pattern.
pub fn fit<S: Scalar>(network: &mut dyn Network<S>, samples: &[Tensor<S>]) -> Result<Patterns> {
    let examples = network.examples(samples)?;
    if examples < 2 {
        return Err(Error::invalid("patterns are fitted to at least two examples; more make them better"));
    }
    let graph = network.graph().clone();
    let varies = |node: &Node, i: usize| graph.value(node.inputs[i]).varies;
    let weighted = graph.nodes().iter().filter(|node| has_weights(node, |i| varies(node, i)));
    let layers: Vec<Layer<'_>> = weighted.map(|node| Layer::of(&graph, node)).collect::<Result<_>>()?;
    let (rectified, linear): (Vec<_>, Vec<_>) = layers.into_iter().partition(|layer| layer.rectified);
    let mut patterns = Patterns::default();
    for layers in [rectified, linear].iter().filter(|layers| !layers.is_empty()) {
        let mut totals: Vec<Totals> = layers.iter().map(|layer| layer.totals(&graph)).collect();
        let threads = network.threads();
        for n in 0..examples {
            let fill = |i: usize, into: &mut [S]| copy(example(&samples[i], examples, n), into, threads);
            gather(network, &fill, layers, &mut totals)?;
        }
        for (layer, totals) in layers.iter().zip(&totals) {
            let Some(weights) = layer.parameter(&graph) else { continue };
            let data = layer.pattern(totals, &weights.data).into();
            let name = format!("pattern of {}", layer.node.name);
            let pattern = Parameter { name, shape: weights.shape, data };
            patterns.by_node.insert(layer.node.name.clone(), pattern);
        }
    }
    Ok(patterns)
}

/// Adds one example to the sums of layers of one estimator.
fn gather<S: Scalar>(
    network: &mut dyn Network<S>,
    example: &dyn Fn(usize, &mut [S]),
    layers: &[Layer<'_>],
    totals: &mut [Totals],
) -> Result<()> {
    let output = network.graph().outputs()[0];
    for (which, statistic) in layers[0].statistics().into_iter().enumerate() {
        let table = Rules {
            name: format!("pattern_sums({statistic:?})"),
            composite: Composite::everywhere(Sums(statistic)),
        };
        let wanted = layers.iter().map(|layer| layer.weights).collect();
        let captures = layers.iter().map(|layer| layer.node.output).collect();
        let spec = PassSpec { table: Some(&table), from: output, wanted, captures };
        let mut fill = |_: usize, what: Fill, into: &mut [S]| match what {
            Fill::Input(i) | Fill::Reference(i) => example(i, into),
            Fill::Seed => into.fill(S::ZERO),
        };
        network.run(&spec, 1, &mut fill, &mut |_, row| {
            for ((layer, totals), (sums, y)) in
                layers.iter().zip(totals.iter_mut()).zip(row.results.iter().zip(&row.captures))
            {
                let into = if which == 0 { &mut totals.products } else { &mut totals.inputs };
                into.iter_mut().zip(*sums).for_each(|(total, sum)| *total += sum.to_f64());
                if which == 0 {
                    layer.add_output(totals, y);
                }
            }
        })?;
    }
    Ok(())
}
