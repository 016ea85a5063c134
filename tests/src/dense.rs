//! Relevance by explicit matrices: every affine node of a small network as a dense matrix and an offset, found by
//! evaluating the node on unit vectors, and every rule as sums over its entries. Slow, and nothing of it is shared with
//! the rules that it checks but the operators' values.

use voxplain::attribution::{Engine, Fill, Network, PassSpec, Rules};
use voxplain::autodiff::{Composite, Gradient, Signal};
use voxplain::graph::{Class, Graph, GraphBuilder, Node, Op, Origin, ValueId};
use voxplain::tensor::Tensor;
use voxplain::{Error, Result};
use voxplain_oracle::Oracle;

/// `y = A x + b`, and the matrix with all weights 1.
#[derive(Clone, Debug)]
pub struct Dense {
    /// `a[j][i]`.
    pub a: Vec<Vec<f64>>,
    /// The same node with every weight 1: which input reaches which output.
    pub ones: Vec<Vec<f64>>,
    /// b.
    pub b: Vec<f64>,
}

/// What a rule keeps: by bias, stabiliser and dead outputs.
pub type Kept = [f64; 3];

fn st(z: f64, epsilon: f64) -> f64 {
    if z >= 0.0 { z + epsilon } else { z - epsilon }
}

fn pos(v: f64) -> f64 {
    v.max(0.0)
}

fn neg(v: f64) -> f64 {
    v.min(0.0)
}

/// One group of terms: contributions `q[j][i]`, the bias's part `d[j]`, and the relevance that the group shares out.
struct Group {
    q: Box<dyn Fn(usize, usize) -> f64>,
    d: Box<dyn Fn(usize) -> f64>,
    given: Box<dyn Fn(usize) -> f64>,
    epsilon: f64,
}

impl Dense {
    /// Relevance of the inputs by the rule of that name, what was kept, and the scale of rounding errors.
    ///
    /// # Panics
    /// There is no such rule.
    #[allow(clippy::panic)]
    pub fn relevance(&self, rule: &str, p: &[f64], x: &[f64], upper: &[f64]) -> (Vec<f64>, Kept, f64) {
        let (a, x, b) = (self.a.clone(), x.to_vec(), self.b.clone());
        let r = upper.to_vec();
        let y: Vec<f64> = (0..b.len()).map(|j| dot(&a[j], &x) + b[j]).collect();
        let own = |q: Box<dyn Fn(usize, usize) -> f64>, d: Box<dyn Fn(usize) -> f64>, epsilon: f64| {
            let r = r.clone();
            vec![Group { q, d, given: Box::new(move |j| r[j]), epsilon }]
        };
        let groups = match rule {
            "zero" => own(Box::new(move |j, i| a[j][i] * x[i]), Box::new(move |j| b[j]), 0.0),
            "epsilon" => own(Box::new(move |j, i| a[j][i] * x[i]), Box::new(move |j| b[j]), p[0]),
            "gamma" | "gamma_plain_bias" => {
                let (g, favoured) = (p[0], if rule == "gamma" { p[0] } else { 0.0 });
                let q = Box::new(move |j: usize, i: usize| x[i] * (a[j][i] + g * pos(a[j][i])));
                own(q, Box::new(move |j| b[j] + favoured * pos(b[j])), p[1])
            }
            "z_plus" | "z_plus_without_bias" | "excitation_backprop" => {
                let biased = rule == "z_plus";
                let q = Box::new(move |j: usize, i: usize| pos(x[i] * a[j][i]));
                own(q, Box::new(move |j| if biased { pos(b[j]) } else { 0.0 }), p[0])
            }
            "z_plus_captum" => own(Box::new(move |j, i| x[i] * pos(a[j][i])), Box::new(move |j| b[j]), p[0]),
            "w_square" | "w_square_with_bias" => {
                let biased = rule == "w_square_with_bias";
                let q = Box::new(move |j: usize, i: usize| a[j][i] * a[j][i]);
                own(q, Box::new(move |j| if biased { b[j] * b[j] } else { 0.0 }), p[0])
            }
            "flat" => {
                let ones = self.ones.clone();
                own(Box::new(move |j, i| ones[j][i]), Box::new(|_| 0.0), p[0])
            }
            "z_box" => {
                let (low, high) = (p[0], p[1]);
                let q = move |j: usize, i: usize| a[j][i] * x[i] - pos(a[j][i]) * low - neg(a[j][i]) * high;
                own(Box::new(q), Box::new(|_| 0.0), p[2])
            }
            "alpha_beta" => alpha_beta((a, x, b), r.clone(), p),
            "generalized_gamma" => generalized_gamma((a, x, b), (r.clone(), y.clone()), p),
            other => panic!("no rule {other}"),
        };
        self.share(&groups, &r, if rule == "generalized_gamma" { Some(&y) } else { None })
    }

    /// Adds up the groups; outputs whose `sign` is 0, where there is one, are dead as a whole.
    fn share(&self, groups: &[Group], upper: &[f64], sign: Option<&[f64]>) -> (Vec<f64>, Kept, f64) {
        let n = self.a[0].len();
        let (mut lower, mut kept, mut scale) = (vec![0.0; n], [0.0; 3], 0.0);
        for group in groups {
            for j in 0..self.b.len() {
                let (given, d) = ((group.given)(j), (group.d)(j));
                let terms: Vec<f64> = (0..n).map(|i| (group.q)(j, i)).collect();
                let z = terms.iter().sum::<f64>() + d;
                let below = st(z, group.epsilon);
                let s = if below == 0.0 { 0.0 } else { given / below };
                lower.iter_mut().zip(&terms).for_each(|(l, q)| *l += q * s);
                kept[0] += s * d;
                kept[if z == 0.0 { 2 } else { 1 }] += given - s * z;
                let size: f64 = terms.iter().map(|q| q.abs()).sum::<f64>() + d.abs();
                scale += size * s.abs() * (1.0 + size / below.abs().max(f64::MIN_POSITIVE));
            }
        }
        if let Some(sign) = sign {
            kept[2] += sign.iter().zip(upper).filter(|(y, _)| **y == 0.0).map(|(_, r)| r).sum::<f64>();
        }
        (lower, kept, scale)
    }
}

type Layer = (Vec<Vec<f64>>, Vec<f64>, Vec<f64>);

fn alpha_beta((a, x, b): Layer, r: Vec<f64>, p: &[f64]) -> Vec<Group> {
    let group = |part: fn(f64) -> f64, factor: f64| {
        let (a, x, b, r) = (a.clone(), x.clone(), b.clone(), r.clone());
        Group {
            q: Box::new(move |j, i| part(a[j][i] * x[i])),
            d: Box::new(move |j| part(b[j])),
            given: Box::new(move |j| factor * r[j]),
            epsilon: p[2],
        }
    };
    vec![group(pos, p[0]), group(neg, -p[1])]
}

fn generalized_gamma((a, x, b): Layer, (r, y): (Vec<f64>, Vec<f64>), p: &[f64]) -> Vec<Group> {
    let group = |part: fn(f64) -> f64, above: bool| {
        let (a, x, b, r, y, gamma) = (a.clone(), x.clone(), b.clone(), r.clone(), y.clone(), p[0]);
        Group {
            q: Box::new(move |j, i| a[j][i] * x[i] + gamma * part(a[j][i] * x[i])),
            d: Box::new(move |j| b[j] + gamma * part(b[j])),
            given: Box::new(move |j| if y[j] != 0.0 && (y[j] > 0.0) == above { r[j] } else { 0.0 }),
            epsilon: p[1],
        }
    };
    vec![group(pos, true), group(neg, false)]
}

fn dot(a: &[f64], x: &[f64]) -> f64 {
    a.iter().zip(x).map(|(a, x)| a * x).sum()
}

/// A node by itself, its varying operands as inputs; with `ones`, every parameter 1 but those beyond the weights, which
/// are 0.
fn alone(graph: &Graph, node: &Node, ones: bool) -> Result<Graph> {
    let mut b = GraphBuilder::new();
    let mut operands = Vec::new();
    for (i, &value) in node.inputs.iter().enumerate() {
        let (shape, name) = (graph.shape(value), format!("operand{i}"));
        operands.push(match graph.value(value).origin {
            Origin::Parameter(p) if ones => {
                let fill = if i < 2 { 1.0 } else { 0.0 };
                b.parameter(&name, &shape, vec![fill; graph.parameters()[p].data.len()])?
            }
            Origin::Parameter(p) => b.parameter(&name, &shape, graph.parameters()[p].data.to_vec())?,
            _ => b.input(&name, &shape)?,
        });
    }
    let y = b.node("node", node.op.clone(), &operands)?;
    b.finish(&[y])
}

fn evaluate(graph: &Graph, inputs: &[Vec<f64>]) -> Result<Vec<f64>> {
    let tensors = graph.inputs().iter().zip(inputs);
    let tensors: Vec<Tensor<f64>> =
        tensors.map(|(&v, data)| Tensor::new(&graph.shape(v), data.clone())).collect::<Result<_>>()?;
    Ok(Engine::new(graph, &Oracle, None).values(&tensors, graph.outputs()[0])?.swap_remove(0))
}

/// The columns of the matrix of varying operand `k` of a node by itself, and its value at 0.
fn matrix(graph: &Graph, k: usize) -> Result<(Vec<Vec<f64>>, Vec<f64>)> {
    let sizes: Vec<usize> = graph.inputs().iter().map(|&v| graph.shape(v).elements()).collect();
    let zeros: Vec<Vec<f64>> = sizes.iter().map(|&n| vec![0.0; n]).collect();
    let offset = evaluate(graph, &zeros)?;
    let mut a = vec![vec![0.0; sizes[k]]; offset.len()];
    for i in 0..sizes[k] {
        let mut unit = zeros.clone();
        unit[k][i] = 1.0;
        for (j, y) in evaluate(graph, &unit)?.iter().enumerate() {
            a[j][i] = y - offset[j];
        }
    }
    Ok((a, offset))
}

/// Varying operand `k` of an affine node as a dense layer.
///
/// # Errors
/// The node cannot stand by itself.
pub fn dense(graph: &Graph, node: &Node, k: usize) -> Result<Dense> {
    let (a, b) = matrix(&alone(graph, node, false)?, k)?;
    let (ones, _) = matrix(&alone(graph, node, true)?, k)?;
    Ok(Dense { a, ones, b })
}

/// One pass of a table on the oracle: the signal at every input, started from `seed`.
///
/// # Errors
/// The table does not fit the graph.
pub fn propagate<S: Signal>(
    graph: &Graph,
    composite: Composite<S>,
    inputs: &[Vec<f64>],
    seed: &[f64],
) -> Result<Vec<Vec<f64>>> {
    let table = Rules { name: String::from("under test"), composite };
    let (from, wanted) = (graph.outputs()[0], graph.inputs().to_vec());
    let spec = PassSpec { table: Some(&table), from, wanted, captures: Vec::new() };
    let mut found = Vec::new();
    Engine::new(graph, &Oracle, None).run(
        &spec,
        1,
        &mut |_, what, into: &mut [f64]| match what {
            Fill::Input(i) | Fill::Reference(i) => into.copy_from_slice(&inputs[i]),
            Fill::Seed => into.copy_from_slice(seed),
        },
        &mut |_, row| found = row.results.iter().map(|r| r.to_vec()).collect(),
    )?;
    Ok(found)
}

/// Whether a node is a layer with weights.
pub fn is_weighted(graph: &Graph, node: &Node) -> bool {
    let layer = matches!(node.op, Op::Conv(_) | Op::ConvTranspose(_) | Op::Gemm(_) | Op::MatMul);
    layer && matches!(graph.value(node.inputs[1]).origin, Origin::Parameter(_))
}

/// Whether some path from an input to this value meets no weighted layer.
fn is_untouched(graph: &Graph, value: ValueId) -> bool {
    match graph.value(value).origin {
        Origin::Input(_) => true,
        Origin::Parameter(_) => false,
        Origin::Node(id) => {
            let node = graph.node(id);
            !is_weighted(graph, node) && node.inputs.iter().any(|&v| is_untouched(graph, v))
        }
    }
}

/// A rule for a weighted layer: its name and parameters, given the layer and whether it is a first one.
pub type Choice<'a> = &'a dyn Fn(&Node, bool) -> (&'static str, Vec<f64>);

/// Relevance of every input of a network of affine nodes, activations and maxima, from `seed` at the output. Weighted
/// layers have the rule of `choice`; others share by value with `stabilizer`.
///
/// # Errors
/// A node of another kind.
pub fn relevance(
    graph: &Graph,
    inputs: &[Vec<f64>],
    seed: &[f64],
    choice: Choice<'_>,
    stabilizer: f64,
) -> Result<Vec<Vec<f64>>> {
    let mut values: Vec<Vec<f64>> = vec![Vec::new(); graph.values().len()];
    for (&v, data) in graph.inputs().iter().zip(inputs) {
        values[v.index()].clone_from(data);
    }
    let operands = |values: &[Vec<f64>], node: &Node| -> Vec<(usize, Vec<f64>)> {
        let all = node.inputs.iter().enumerate().filter(|(_, v)| graph.value(**v).varies);
        all.map(|(i, v)| (i, values[v.index()].clone())).collect()
    };
    for node in graph.nodes() {
        let x: Vec<Vec<f64>> = operands(&values, node).into_iter().map(|(_, x)| x).collect();
        values[node.output.index()] = evaluate(&alone(graph, node, false)?, &x)?;
    }
    let mut found: Vec<Vec<f64>> = values.iter().map(|v| vec![0.0; v.len()]).collect();
    found[graph.outputs()[0].index()] = seed.to_vec();
    for node in graph.nodes().iter().rev() {
        let upper = found[node.output.index()].clone();
        let x = operands(&values, node);
        let first = node.inputs.iter().any(|&v| is_untouched(graph, v));
        for (k, (i, _)) in x.iter().enumerate() {
            let rule = is_weighted(graph, node).then(|| choice(node, first));
            let output = &values[node.output.index()];
            let lower = one(graph, node, (k, &x), (&upper, output), rule, stabilizer)?;
            let sum = &mut found[node.inputs[*i].index()];
            sum.iter_mut().zip(lower).for_each(|(s, l)| *s += l);
        }
    }
    Ok(graph.inputs().iter().map(|v| found[v.index()].clone()).collect())
}

/// The share of varying operand `k` of a node.
fn one(
    graph: &Graph,
    node: &Node,
    (k, x): (usize, &[(usize, Vec<f64>)]),
    (upper, output): (&[f64], &[f64]),
    rule: Option<(&str, Vec<f64>)>,
    stabilizer: f64,
) -> Result<Vec<f64>> {
    let varies: Vec<bool> = node.inputs.iter().map(|&v| graph.value(v).varies).collect();
    match (node.op.class(&varies), &node.op) {
        (Class::Pointwise, _) => Ok(upper.to_vec()),
        (Class::Select, _) => {
            let data: Vec<Vec<f64>> = x.iter().map(|(_, x)| x.clone()).collect();
            Ok(propagate(&alone(graph, node, false)?, Composite::everywhere(Gradient), &data, upper)?
                .swap_remove(k))
        }
        (Class::Affine, op) => {
            let layer = dense(graph, node, k)?;
            if let Some((name, parameters)) = rule {
                return Ok(layer.relevance(name, &parameters, &x[k].1, upper).0);
            }
            let moves = matches!(op, Op::Concat { .. } | Op::Reshape { .. } | Op::Pad { .. } | Op::Identity);
            let weigh = |j: usize| if moves { upper[j] } else { upper[j] / st(output[j], stabilizer) };
            let back = |i: usize| (0..upper.len()).map(|j| layer.a[j][i] * weigh(j)).sum::<f64>();
            let value = |i: usize| if moves { 1.0 } else { x[k].1[i] };
            Ok((0..x[k].1.len()).map(|i| value(i) * back(i)).collect())
        }
        (class, op) => Err(Error::unsupported(format!("{} ({})", op.kind(), class.name()))),
    }
}
