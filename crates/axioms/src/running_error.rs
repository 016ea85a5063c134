//! How far rounding alone can move a completeness residual, from the numbers of the run itself.
//!
//! Completeness telescopes: the residual is the sum over nodes of `<m_out, delta_out> - <m_in, delta_in>`, which is 0 in
//! exact arithmetic **for the values that were computed**. A node whose results are sums of `h` products can be off by
//! `h u` of the sum of their magnitudes, forward and backward, so the bound is
//! `2 u sum_nodes (h + c) <|m_out|, |W| (|x| + |r|)>`, one pass with magnitudes of the actual multipliers, weights and
//! values. It is no multiple of the map and does not grow with the product of the layers, so it neither forgives a wrong
//! rule nor fails where attributions cancel.

use crate::problem::Problem;
use voxplain_attribution::rules::DeepLiftRescale;
use voxplain_attribution::{Engine, Fill, Network, PassSpec, Rules};
use voxplain_autodiff::{Composite, Device};
use voxplain_graph::ops::{Binary, Reduction};
use voxplain_graph::{Graph, GraphBuilder, Node, Op, Origin};
use voxplain_tensor::{Error, Result, Scalar, Tensor};

/// Roundings of one result that come on top of its terms: evaluating a function and its divided difference, summing
/// over consumers, the final products.
pub const OWN: f64 = 16.0;

/// The unit roundoff of a device's numbers.
pub fn unit<S>() -> f64 {
    if size_of::<S>() == 8 { f64::EPSILON / 2.0 } else { f64::from(f32::EPSILON) / 2.0 }
}

/// The most that rounding can add to `sum(map) - (F(x) - F(r))` of DeepLift on this device.
///
/// # Errors
/// As a run of the network.
pub fn bound<D: Device>(device: &D, problem: &Problem) -> Result<f64> {
    let run = Run::of(device, problem)?;
    let nodes = problem.graph.nodes().iter().enumerate().map(|(i, node)| run.node(device, i, node));
    let mass = nodes.sum::<Result<f64>>()?;
    // Products of multipliers and distances, which are summed in double precision.
    let ends: f64 = run.input.iter().map(|(m, v)| m.abs() * v).sum();
    let end = OWN * unit::<D::Scalar>() + run.input.len() as f64 * unit::<f64>();
    Ok(2.0 * (unit::<D::Scalar>() * mass + end * ends))
}

/// One DeepLift pass with everything that the bound looks at.
struct Run<'g> {
    graph: &'g Graph,
    /// Multipliers at the output of every node.
    multipliers: Vec<Vec<f64>>,
    /// `|value| + |reference value|` of every value of the graph.
    sizes: Vec<Vec<f64>>,
    /// Multipliers at the input with the sizes there.
    input: Vec<(f64, f64)>,
}

impl<'g> Run<'g> {
    fn of<D: Device>(device: &D, problem: &'g Problem) -> Result<Self> {
        let graph = &problem.graph;
        let seeds = problem.seeds::<f64>()?;
        let outputs: Vec<_> = graph.nodes().iter().map(|n| n.output).collect();
        // Nothing behind the explained value has a part in it.
        let reached = outputs.iter().position(|&v| v == seeds.from).unwrap_or(0);
        let mut wanted: Vec<_> = outputs[..reached].to_vec();
        wanted.extend(graph.inputs());
        let table = Rules { name: String::from("bound"), composite: Composite::everywhere(DeepLiftRescale) };
        let spec = PassSpec {
            table: Some(&table),
            from: seeds.from,
            wanted,
            captures: outputs[..=reached].to_vec(),
        };
        let mut fill = |_: usize, what: Fill, into: &mut [D::Scalar]| {
            let from = match what {
                Fill::Input(i) => problem.x[i].data(),
                Fill::Reference(i) => problem.r[i].data(),
                Fill::Seed => &seeds.rows[0],
            };
            into.iter_mut().zip(from).for_each(|(to, &v)| *to = D::Scalar::from_f64(v));
        };
        let (mut multipliers, mut sizes) =
            (vec![Vec::new(); outputs.len()], vec![Vec::new(); graph.values().len()]);
        let mut input = Vec::new();
        let wide = |row: &[D::Scalar]| row.iter().map(|v| v.to_f64()).collect::<Vec<f64>>();
        for ((&v, x), r) in graph.inputs().iter().zip(&problem.x).zip(&problem.r) {
            sizes[v.index()] = x.data().iter().zip(r.data()).map(|(a, b)| a.abs() + b.abs()).collect();
        }
        Engine::new(graph, device, None).run(&spec, 1, &mut fill, &mut |_, row| {
            for (i, &v) in outputs[..=reached].iter().enumerate() {
                let pairs = row.captures[i].iter().zip(row.reference_captures[i]);
                sizes[v.index()] = pairs.map(|(a, b)| a.to_f64().abs() + b.to_f64().abs()).collect();
                multipliers[i] = if i < reached { wide(row.results[i]) } else { seeds.rows[0].clone() };
            }
            for (row, v) in row.results[reached..].iter().zip(graph.inputs()) {
                input.extend(wide(row).into_iter().zip(sizes[v.index()].iter().copied()));
            }
        })?;
        Ok(Self { graph, multipliers, sizes, input })
    }

    /// `(h + c) <|m_out|, terms>` of one node.
    fn node<D: Device>(&self, device: &D, i: usize, node: &Node) -> Result<f64> {
        if self.multipliers[i].is_empty() {
            return Ok(0.0);
        }
        let (h, terms) = self.terms(device, node)?;
        Ok((h + OWN) * self.multipliers[i].iter().zip(terms).map(|(m, t)| m.abs() * t).sum::<f64>())
    }

    fn size(&self, node: &Node, operand: usize) -> &[f64] {
        &self.sizes[node.inputs[operand].index()]
    }

    /// How many terms a result has, and the sum of their magnitudes for each result.
    fn terms<D: Device>(&self, device: &D, node: &Node) -> Result<(f64, Vec<f64>)> {
        let y = &self.sizes[node.output.index()];
        let largest = |values: &[f64]| values.iter().fold(0.0f64, |m, &v| m.max(v));
        Ok(match &node.op {
            Op::Pointwise(_) => (1.0, y.iter().zip(self.size(node, 0)).map(|(y, x)| y + x).collect()),
            // exp has the relative error u |x|; the sum has as many terms as classes.
            Op::Softmax { axis } => {
                let classes = self.graph.shape(node.output)[*axis] as f64;
                let condition = 1.0 + largest(self.size(node, 0));
                (classes, y.iter().map(|y| y * condition).collect())
            }
            // Quotients of the test networks are by numbers above 1.
            Op::Binary(Binary::Div) => {
                let condition = 1.0 + largest(self.size(node, 1));
                (
                    2.0,
                    y.iter().zip(self.size(node, 0)).map(|(y, a)| (y + a) * condition * condition).collect(),
                )
            }
            Op::GroupNormalization { epsilon, .. } => {
                (self.size(node, 0).len() as f64, self.normalised(node, *epsilon))
            }
            _ => (fan_in(self.graph, node), self.absolute(device, node)?),
        })
    }

    /// `|scale| A / sigma (1 + A^2 / sigma^2)` with the largest magnitude A: the mean cancels to `u A`, the variance to
    /// `u A^2`, and the divided difference of the root amplifies both by the variance's reciprocal.
    fn normalised(&self, node: &Node, epsilon: f64) -> Vec<f64> {
        let largest = self.size(node, 0).iter().fold(0.0f64, |m, &v| m.max(v));
        // Below the true deviation, so above the true condition: loose, and in single precision so loose that networks
        // with normalisation are tested in double precision alone in effect.
        let ratio = largest / epsilon.sqrt();
        let y = &self.sizes[node.output.index()];
        let scale = self.parameter(node, 1).iter().fold(0.0f64, |m, &s| m.max(f64::from(s).abs()));
        y.iter().map(|y| y + scale * ratio * (1.0 + ratio * ratio)).collect()
    }

    fn parameter(&self, node: &Node, operand: usize) -> &[f32] {
        match self.graph.value(node.inputs[operand]).origin {
            Origin::Parameter(p) => &self.graph.parameters()[p].data,
            _ => &[],
        }
    }

    /// The node itself on magnitudes, of operands and of parameters: linear and multilinear operators, and selections.
    fn absolute<D: Device>(&self, device: &D, node: &Node) -> Result<Vec<f64>> {
        let mut b = GraphBuilder::new();
        let (mut operands, mut inputs) = (Vec::new(), Vec::new());
        for (i, &v) in node.inputs.iter().enumerate() {
            let (name, shape) = (format!("operand{i}"), self.graph.shape(v));
            operands.push(match self.graph.value(v).origin {
                Origin::Parameter(p) => {
                    // Means are subtracted, so that their magnitude is added where they are negative.
                    let sign =
                        if matches!(node.op, Op::BatchNormalization { .. }) && i == 3 { -1.0 } else { 1.0 };
                    let data = self.graph.parameters()[p].data.iter().map(|w| sign * w.abs());
                    b.parameter(&name, &shape, data.collect::<Vec<f32>>())?
                }
                _ => {
                    let data = self.sizes[v.index()].iter().map(|&v| D::Scalar::from_f64(v)).collect();
                    inputs.push(Tensor::new(&shape, data)?);
                    b.input(&name, &shape)?
                }
            });
        }
        let op = if node.op == Op::Binary(Binary::Sub) { Op::Binary(Binary::Add) } else { node.op.clone() };
        let y = b.node("node", op, &operands)?;
        let graph = b.finish(&[y])?;
        let values = Engine::new(&graph, device, None).values(&inputs, y)?;
        let row = values.into_iter().next().ok_or_else(|| Error::internal("a node without values"))?;
        Ok(row.into_iter().map(|v| v.to_f64()).collect())
    }
}

/// Products or entries that one result of a node is the sum of.
pub fn fan_in(graph: &Graph, node: &Node) -> f64 {
    let shape = |operand: usize| graph.shape(node.inputs[operand]);
    (match &node.op {
        Op::Conv(_) | Op::Gemm(_) => shape(1).elements() / shape(1)[0],
        Op::MaxPool(pool) | Op::AveragePool(pool) => pool.kernel.iter().product(),
        Op::Reduce { reduction: Reduction::Mean | Reduction::Sum, .. } => {
            shape(0).elements() / graph.shape(node.output).elements()
        }
        _ => 2,
    }) as f64
}
