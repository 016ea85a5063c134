//! Every LRP rule recomputed from dense matrices in double precision (`voxplain_tests::dense`): layer by layer with what was
//! kept, and whole networks by every composite.
#![allow(clippy::unwrap_used)]

use proptest::prelude::*;
use std::collections::BTreeMap;
use voxplain::attribution::composites::{Line, table};
use voxplain::attribution::methods::{Lrp, Start};
use voxplain::attribution::rules::lrp::Number;
use voxplain::attribution::{Engine, Fill, Method, Network, PassSpec, Rules, Target};
use voxplain::autodiff::{Cause, Matcher};
use voxplain::graph::ops::{ConvAttributes, ConvTransposeAttributes};
use voxplain::graph::{Graph, GraphBuilder, Node, Op};
use voxplain::tensor::Tensor;
use voxplain_oracle::Oracle;
use voxplain_tests::dense::{dense, relevance};
use voxplain_tests::networks::{Case, Step, case};

/// The rules of weighted layers with parameters that are not their defaults.
const RULES: [(&str, &[(&str, f64)]); 14] = [
    ("zero", &[]),
    ("epsilon", &[("epsilon", 0.03)]),
    ("gamma", &[("gamma", 0.7), ("stabilizer", 0.02)]),
    ("gamma_plain_bias", &[("gamma", 0.7), ("stabilizer", 0.02)]),
    ("generalized_gamma", &[("gamma", 0.4), ("stabilizer", 0.02)]),
    ("alpha_beta", &[("alpha", 1.75), ("beta", 0.75), ("stabilizer", 0.02)]),
    ("z_plus", &[("stabilizer", 0.02)]),
    ("z_plus_without_bias", &[("stabilizer", 0.02)]),
    ("z_plus_captum", &[("stabilizer", 0.02)]),
    ("excitation_backprop", &[("stabilizer", 0.02)]),
    ("w_square", &[("stabilizer", 0.02)]),
    ("w_square_with_bias", &[("stabilizer", 0.02)]),
    ("flat", &[("stabilizer", 0.02)]),
    ("z_box", &[("low", -1.5), ("high", 2.5), ("stabilizer", 0.02)]),
];

/// Numbers round and round from a list of small ones.
fn tape(bytes: &[i8]) -> impl FnMut(usize) -> Vec<f32> + '_ {
    let mut all = bytes.iter().cycle().map(|&v| f32::from(v) / 64.0);
    move |n| (0..n).map(|_| all.next().unwrap_or(0.5)).collect()
}

/// Single layers: convolutions with stride, padding, dilation and groups in 1 to 3 dimensions, transposed, linear, and
/// matrices on either side.
fn layers(bytes: &[i8], bias: bool) -> Vec<Graph> {
    let mut take = tape(bytes);
    let mut conv = |x: &[usize], w: &[usize], a: ConvAttributes| {
        let mut b = GraphBuilder::new();
        let input = b.input("x", x).unwrap();
        let weight = b.parameter("w", w, take(w.iter().product())).unwrap();
        let c = bias.then(|| b.parameter("c", &w[..1], take(w[0])).unwrap());
        let y = b.conv("layer", input, weight, c, a).unwrap();
        b.finish(&[y]).unwrap()
    };
    let mut strided = ConvAttributes::padded(2, 1);
    (strided.strides, strided.dilations) = (vec![2, 1], vec![1, 2]);
    let mut grouped = ConvAttributes::plain(2);
    grouped.groups = 2;
    let mut graphs = vec![
        conv(&[1, 2, 7], &[3, 2, 3], ConvAttributes::padded(1, 1)),
        conv(&[1, 2, 5, 4], &[2, 2, 3, 3], strided),
        conv(&[1, 4, 3, 3], &[2, 2, 2, 2], grouped),
        conv(&[1, 2, 3, 3, 2], &[2, 2, 2, 2, 2], ConvAttributes::plain(3)),
    ];
    let mut b = GraphBuilder::new();
    let input = b.input("x", &[1, 2, 3, 2]).unwrap();
    let weight = b.parameter("w", &[2, 2, 2, 2], take(16)).unwrap();
    let mut operands = vec![input, weight];
    if bias {
        operands.push(b.parameter("c", &[2], take(2)).unwrap());
    }
    let op = Op::ConvTranspose(ConvTransposeAttributes {
        conv: ConvAttributes::plain(2),
        output_padding: vec![0, 0],
    });
    let y = b.node("layer", op, &operands).unwrap();
    graphs.push(b.finish(&[y]).unwrap());
    let mut b = GraphBuilder::new();
    let input = b.input("x", &[1, 5]).unwrap();
    let weight = b.parameter("w", &[4, 5], take(20)).unwrap();
    let c = bias.then(|| b.parameter("c", &[4], take(4)).unwrap());
    let y = b.linear("layer", input, weight, c).unwrap();
    graphs.push(b.finish(&[y]).unwrap());
    if !bias {
        let mut b = GraphBuilder::new();
        let input = b.input("x", &[1, 2, 3]).unwrap();
        let weight = b.parameter("w", &[3, 4], take(12)).unwrap();
        let y = b.node("layer", Op::MatMul, &[input, weight]).unwrap();
        graphs.push(b.finish(&[y]).unwrap());
    }
    graphs
}

/// Relevance at the input and what the node kept, by the rule under test.
fn under_test(graph: &Graph, line: Line, x: &[f64], upper: &[f64]) -> (Vec<f64>, BTreeMap<Cause, f64>) {
    let composite = table(&[line]).unwrap();
    let rules = Rules { name: String::from("rule"), composite };
    let wanted = graph.inputs().to_vec();
    let spec = PassSpec { table: Some(&rules), from: graph.outputs()[0], wanted, captures: Vec::new() };
    let (mut lower, mut kept) = (Vec::new(), BTreeMap::new());
    let mut fill = |_: usize, what: Fill, into: &mut [f64]| match what {
        Fill::Input(_) | Fill::Reference(_) => into.copy_from_slice(x),
        Fill::Seed => into.copy_from_slice(upper),
    };
    Engine::new(graph, &Oracle, None)
        .run(&spec, 1, &mut fill, &mut |_, row| {
            lower = row.results[0].to_vec();
            for (_, entries) in &row.ledger {
                entries.iter().for_each(|(cause, amount)| *kept.entry(*cause).or_insert(0.0) += amount);
            }
        })
        .unwrap();
    (lower, kept)
}

/// Numbers of which no sums cancel by chance: a rule takes the sign of what is left, which would be that of a rounding error.
fn numbers(bytes: &[i8], n: usize, from: usize) -> Vec<f64> {
    let one = |i: usize| match bytes[(from + 3 * i) % bytes.len()] {
        0 => 0.0,
        byte => f64::from(byte) / 50.0 + 0.01 * (i as f64 + 0.5).sin(),
    };
    (0..n).map(one).collect()
}

fn layer_agrees(graph: &Graph, bytes: &[i8]) -> Result<(), TestCaseError> {
    let node = &graph.nodes()[0];
    let layer = dense(graph, node, 0).unwrap();
    let (x, upper) = (numbers(bytes, layer.a[0].len(), 5), numbers(bytes, layer.b.len(), 11));
    // A rule that divides by what is left where terms cancel makes its rounding errors as much larger.
    let cancels = layer.a.iter().zip(&layer.b).any(|(row, b)| {
        let terms = || row.iter().zip(&x).map(|(w, x)| w * x).chain([*b]);
        terms().map(f64::abs).sum::<f64>() * 1e-3 > terms().sum::<f64>().abs()
    });
    for (rule, parameters) in RULES.iter().filter(|(rule, _)| !(cancels && *rule == "zero")) {
        let p: Vec<f64> = parameters.iter().map(|(_, v)| *v).collect();
        let (want, kept, scale) = layer.relevance(rule, &p, &x, &upper);
        let (have, causes) = under_test(graph, Line::new(Matcher::Everything, rule, parameters), &x, &upper);
        let tolerance = 1e-12 * (scale + upper.iter().map(|r| r.abs()).sum::<f64>());
        for (h, w) in have.iter().zip(&want) {
            prop_assert!((h - w).abs() <= tolerance, "{rule} at {}: {have:?} {want:?}", node.op.kind());
        }
        for (cause, want) in [Cause::Bias, Cause::Stabilizer, Cause::Dead].into_iter().zip(kept) {
            let have = causes.get(&cause).copied().unwrap_or(0.0);
            prop_assert!(
                (have - want).abs() <= tolerance,
                "{rule} {cause:?}: {have} {want} ({})",
                node.op.kind()
            );
        }
        let rest = causes.get(&Cause::Rule).copied().unwrap_or(0.0);
        prop_assert!(rest.abs() <= tolerance, "{rule} loses {rest} at {}", node.op.kind());
    }
    Ok(())
}

/// The box rule with bounds of each channel: against sums over the matrix, and equal to one number where they are equal.
fn boxed_by_channel(graph: &Graph, bytes: &[i8]) -> Result<(), TestCaseError> {
    let shape = graph.shape(graph.inputs()[0]);
    let (channels, inner) = (shape[1], shape.inner(1));
    let layer = dense(graph, &graph.nodes()[0], 0).unwrap();
    let (x, upper) = (numbers(bytes, layer.a[0].len(), 5), numbers(bytes, layer.b.len(), 11));
    // Halves and quarters, which single precision has.
    let low: Vec<f64> = (0..channels).map(|c| -1.5 - 0.25 * c as f64).collect();
    let high: Vec<f64> = (0..channels).map(|c| 2.5 + 0.5 * c as f64).collect();
    let line = |low: &[f64], high: &[f64]| {
        Line::new(Matcher::Everything, "z_box", &[("stabilizer", 0.02)])
            .with("low", Number::PerChannel(low.to_vec()))
            .with("high", Number::PerChannel(high.to_vec()))
    };
    let (have, _) = under_test(graph, line(&low, &high), &x, &upper);
    let mut want = vec![0.0; x.len()];
    for (row, r) in layer.a.iter().zip(&upper) {
        let q = |(i, w): (usize, &f64)| {
            w * x[i] - w.max(0.0) * low[i / inner % channels] - w.min(0.0) * high[i / inner % channels]
        };
        let q: Vec<f64> = row.iter().enumerate().map(q).collect();
        let z: f64 = q.iter().sum();
        let below = if z >= 0.0 { z + 0.02 } else { z - 0.02 };
        want.iter_mut().zip(&q).for_each(|(l, q)| *l += q * r / below);
    }
    let scale = want.iter().chain(&upper).fold(1.0f64, |m, v| m.max(v.abs()));
    have.iter().zip(&want).try_for_each(|(h, w)| {
        prop_assert!((h - w).abs() <= 1e-9 * scale, "{have:?} {want:?}");
        Ok(())
    })?;
    let equal = line(&vec![-1.5; channels], &vec![2.5; channels]);
    let one = [("low", -1.5), ("high", 2.5), ("stabilizer", 0.02)];
    let one = Line::new(Matcher::Everything, "z_box", &one);
    prop_assert_eq!(under_test(graph, equal, &x, &upper), under_test(graph, one, &x, &upper));
    Ok(())
}

/// A random network of affine nodes, ReLU and maxima only.
fn piecewise(case: &Case) -> Graph {
    let steps = case.steps.iter().filter_map(|step| match step {
        Step::Activation(_) => Some(Step::Activation(0)),
        Step::Normalise | Step::Gate | Step::Divide | Step::Softmax => None,
        Step::Conv(channels) => Some(Step::Conv((*channels).min(2))),
        other => Some(*other),
    });
    Case { steps: steps.collect(), ..case.clone() }.graph().unwrap()
}

/// Two encoders in three dimensions, joined, with a residual sum.
fn two_inputs(bytes: &[i8]) -> Graph {
    let mut take = tape(bytes);
    let mut b = GraphBuilder::new();
    let mut encoders = Vec::new();
    for name in ["t1", "flair"] {
        let x = b.input(name, &[1, 1, 3, 2, 3]).unwrap();
        let w = b.parameter(&format!("{name}.w"), &[2, 1, 2, 2, 2], take(16)).unwrap();
        let c = b.parameter(&format!("{name}.c"), &[2], take(2)).unwrap();
        let y = b.conv(&format!("{name}.conv"), x, w, Some(c), ConvAttributes::plain(3)).unwrap();
        encoders.push(b.relu(&format!("{name}.relu"), y).unwrap());
    }
    let joined = b.node("join", Op::Concat { axis: 1 }, &encoders).unwrap();
    let w = b.parameter("w", &[4, 4, 1, 1, 1], take(16)).unwrap();
    let y = b.conv("mix", joined, w, None, ConvAttributes::plain(3)).unwrap();
    let y = b.node("sum", Op::Binary(voxplain::graph::ops::Binary::Add), &[y, joined]).unwrap();
    let y = b.node("flat", Op::Reshape { sizes: vec![1, 16] }, &[y]).unwrap();
    let (v, c) = (b.parameter("v", &[2, 16], take(32)).unwrap(), b.parameter("c", &[2], take(2)).unwrap());
    let y = b.linear("fc", y, v, Some(c)).unwrap();
    b.finish(&[y]).unwrap()
}

const EPSILON: f64 = 0.05;
const STABILIZER: f64 = 0.1;

/// Which rule a composite means at a weighted layer, said a second time.
fn meant(name: &str, node: &Node, first: bool) -> (&'static str, Vec<f64>) {
    let convolution = matches!(node.op, Op::Conv(_));
    let s = STABILIZER;
    match (name, first, convolution) {
        ("lrp_epsilon_plus_flat" | "lrp_alpha2_beta1_flat", true, _) => ("flat", vec![s]),
        ("lrp_epsilon_gamma_box", true, true) | ("deep_taylor", true, _) => ("z_box", vec![-3.0, 3.0, s]),
        ("lrp_epsilon_gamma_box", _, true) => ("generalized_gamma", vec![0.25, s]),
        ("lrp_epsilon_plus" | "lrp_epsilon_plus_flat", _, true) => ("z_plus", vec![s]),
        ("lrp_alpha2_beta1" | "lrp_alpha2_beta1_flat", _, true) => ("alpha_beta", vec![2.0, 1.0, s]),
        ("deep_taylor", ..) => ("z_plus_without_bias", vec![s]),
        ("lrp_gamma_captum", ..) => ("gamma_plain_bias", vec![0.25, s]),
        _ => ("epsilon", vec![EPSILON]),
    }
}

fn network_agrees(graph: &Graph, bytes: &[i8]) -> Result<(), TestCaseError> {
    let values = |n: usize, from: usize| -> Vec<f64> {
        (0..n).map(|i| f64::from(bytes[(from + i) % bytes.len()]) / 64.0 + 0.003).collect()
    };
    let inputs: Vec<Vec<f64>> =
        graph.inputs().iter().enumerate().map(|(i, &v)| values(graph.shape(v).elements(), 7 * i)).collect();
    let tensors: Vec<Tensor<f64>> = graph
        .inputs()
        .iter()
        .zip(&inputs)
        .map(|(&v, data)| Tensor::new(&graph.shape(v), data.clone()).unwrap())
        .collect();
    let (epsilon, bounds) = (("epsilon", EPSILON), [("low", -3.0), ("high", 3.0)]);
    let composites: [(&str, Vec<(&str, f64)>); 8] = [
        ("lrp_epsilon", vec![epsilon]),
        ("lrp_epsilon_plus", vec![epsilon]),
        ("lrp_epsilon_plus_flat", vec![epsilon]),
        ("lrp_alpha2_beta1", vec![epsilon]),
        ("lrp_alpha2_beta1_flat", vec![epsilon]),
        ("lrp_epsilon_gamma_box", [&bounds[..], &[epsilon]].concat()),
        ("deep_taylor", bounds.to_vec()),
        ("lrp_gamma_captum", vec![]),
    ];
    for (name, mut parameters) in composites {
        parameters.push(("stabilizer", STABILIZER));
        let method = Lrp::preset(name, &parameters, Start::Output).unwrap();
        let have = method
            .attribute(&mut Engine::new(graph, &Oracle, None), &tensors, &Target::Class(vec![0]))
            .unwrap();
        let seed = [have.values[0], 0.0];
        let choice = |node: &Node, first: bool| meant(name, node, first);
        let want = relevance(graph, &inputs, &seed, &choice, STABILIZER).unwrap();
        let scale = want.iter().flatten().fold(have.values[0].abs(), |m, v| m.max(v.abs()));
        for (map, want) in have.maps.iter().zip(&want) {
            for (h, w) in map.values.data().iter().zip(want) {
                prop_assert!((h - w).abs() <= 1e-9 * scale, "{name}: {h} {w} of {scale}");
            }
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn layers_agree_with_dense_matrices(bytes in prop::collection::vec(any::<i8>(), 61), bias in any::<bool>()) {
        for graph in layers(&bytes, bias) {
            layer_agrees(&graph, &bytes)?;
            boxed_by_channel(&graph, &bytes)?;
        }
    }

    #[test]
    fn networks_agree_with_dense_matrices(case in case()) {
        network_agrees(&piecewise(&case), &case.x)?;
    }

    #[test]
    fn first_layers_of_every_input_agree_with_dense_matrices(bytes in prop::collection::vec(any::<i8>(), 53)) {
        network_agrees(&two_inputs(&bytes), &bytes)?;
    }
}
