//! Captum's own known answers (its test models, with outputs in full precision), for the methods that are here.
#![allow(clippy::unwrap_used, clippy::panic)]

use serde_json::Value;
use voxplain::attribution::methods::*;
use voxplain::attribution::rules::DeepLiftRescale;
use voxplain::attribution::{
    Engine, Fill, Interpolation, Method, Network, PassSpec, Quadrature, Rules, Target,
};
use voxplain::autodiff::{Composite, Cotangent, Gradient};
use voxplain::graph::ops::{Binary, ConvAttributes, Pointwise, PoolAttributes};
use voxplain::graph::{Graph, GraphBuilder, Op};
use voxplain::tensor::Tensor;
use voxplain_oracle::Oracle;
use voxplain_tests::{relative_error, shared};

/// All numbers of a nested list.
fn numbers(value: &Value) -> Vec<f64> {
    match value {
        Value::Array(items) => items.iter().flat_map(numbers).collect(),
        other => vec![other.as_f64().unwrap()],
    }
}

/// What Captum gave for a case, or `None` without the reference folder.
fn captum(id: u64) -> Option<Vec<f64>> {
    let text = std::fs::read_to_string(shared("reference")?.join("captum_cases.json")).unwrap();
    let cases: Value = serde_json::from_str(&text).unwrap();
    let case = cases.as_array().unwrap().iter().find(|c| c["id"] == id).unwrap();
    Some(numbers(&case["captum"]))
}

/// `ConvNet_One_Conv`: the sum of the inputs, one convolution of ones, ReLU, a linear layer, ReLU.
fn one_conv(inputs: usize) -> Graph {
    let mut b = GraphBuilder::new();
    let mut x = b.input("x", &[1, 1, 4, 4]).unwrap();
    if inputs == 2 {
        let second = b.input("x2", &[1, 1, 4, 4]).unwrap();
        x = b.node("sum", Op::Binary(Binary::Add), &[x, second]).unwrap();
    }
    let w = b.parameter("w", &[2, 1, 3, 3], vec![1.0; 18]).unwrap();
    let c = b.parameter("c", &[2], vec![-50.0, -75.0]).unwrap();
    let y = b.conv("conv1", x, w, Some(c), ConvAttributes::plain(2)).unwrap();
    let y = b.relu("relu1", y).unwrap();
    let y = b.node("flat", Op::Reshape { sizes: vec![1, 8] }, &[y]).unwrap();
    let row = [1.0, 1.0, 1.0, 1.0, 1.0, -1.0, -1.0, -1.0];
    let v = b.parameter("v", &[4, 8], row.repeat(4)).unwrap();
    let y = b.linear("fc1", y, v, None).unwrap();
    let y = b.relu("relu2", y).unwrap();
    b.finish(&[y]).unwrap()
}

fn run(graph: &Graph, method: &dyn Method<f64>, inputs: &[Tensor<f64>]) -> Vec<f64> {
    let result =
        method.attribute(&mut Engine::new(graph, &Oracle, None), inputs, &Target::Class(vec![0])).unwrap();
    result.maps.iter().flat_map(|m| m.values.data().to_vec()).collect()
}

/// The signal of a table at a layer, the layer's values, and its values for the reference.
fn at_layer(
    graph: &Graph,
    composite: Composite<Cotangent>,
    layer: &str,
    (inputs, references): (&[Tensor<f64>], &[Tensor<f64>]),
) -> [Vec<f64>; 3] {
    let (layer, output) = (graph.find(layer).unwrap(), graph.outputs()[0]);
    let table = Rules { name: String::from("table"), composite };
    let spec = PassSpec { table: Some(&table), from: output, wanted: vec![layer], captures: vec![layer] };
    let mut fill = |_: usize, what: Fill, into: &mut [f64]| match what {
        Fill::Input(i) => into.copy_from_slice(inputs[i].data()),
        Fill::Reference(i) => into.copy_from_slice(references[i].data()),
        Fill::Seed => into[0] = 1.0,
    };
    let mut found = [Vec::new(), Vec::new(), Vec::new()];
    let mut engine = Engine::new(graph, &Oracle, None);
    engine
        .run(&spec, 1, &mut fill, &mut |_, row| {
            found[0] = row.results[0].to_vec();
            found[1] = row.captures[0].to_vec();
            found[2] = row.reference_captures.first().map_or_else(Vec::new, |v| v.to_vec());
        })
        .unwrap();
    found
}

fn check(id: u64, got: &[f64]) {
    if let Some(stored) = captum(id) {
        // Convergence deltas follow the attributions.
        let expected = &stored[..got.len()];
        let error = relative_error(got, expected);
        assert!(error < 1e-6, "case {id}: {error:e}: {got:?} {expected:?}");
    }
}

#[test]
fn one_convolution() {
    let image = || Tensor::new(&[1, 1, 4, 4], (0..16).map(f64::from).collect()).unwrap();
    let both = [image(), Tensor::new(&[1, 1, 4, 4], vec![1.0; 16]).unwrap()];
    let (single, double) = (one_conv(1), one_conv(2));
    let single = |m: &dyn Method<f64>| run(&single, m, &[image()]);
    let double = |m: &dyn Method<f64>| run(&double, m, &both);
    check(1, &single(&Backward::guided_backprop()));
    check(2, &double(&Backward::guided_backprop()));
    check(3, &single(&Backward::deconvolution()));
    check(4, &single(&Cam::grad_cam("conv1")));
    check(6, &single(&Cam::grad_cam("relu1")));
    check(7, &double(&Cam::grad_cam("conv1")));
    let guided = |layer: &str| GuidedGradCam { layer: layer.into(), interpolation: Interpolation::Nearest };
    check(9, &single(&guided("relu1")));
    check(10, &double(&guided("conv1")));
}

/// The channels that GradCAM sums, one by one: mean gradient times activation.
#[test]
fn grad_cam_by_channels() {
    let image = [Tensor::new(&[1, 1, 4, 4], (0..16).map(f64::from).collect()).unwrap()];
    let [gradient, values, _] =
        at_layer(&one_conv(1), Composite::everywhere(Gradient), "conv1", (&image, &image));
    let weight = |i: usize| gradient[i / 4 * 4..][..4].iter().sum::<f64>() / 4.0;
    check(5, &(0..8).map(|i| weight(i) * values[i]).collect::<Vec<_>>());
}

/// `MultiLayer`: the identity, a linear layer, ReLU, a linear layer.
#[test]
fn grad_cam_of_a_layer_without_space() {
    let mut b = GraphBuilder::new();
    let x = b.input("x", &[1, 3]).unwrap();
    let eye = b.parameter("eye", &[3, 3], vec![1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0]).unwrap();
    let y = b.linear("linear0", x, eye, None).unwrap();
    let w = b.parameter("w", &[4, 3], vec![1.0; 12]).unwrap();
    let c = b.parameter("c", &[4], vec![-10.0, 1.0, 1.0, 1.0]).unwrap();
    let y = b.linear("linear1", y, w, Some(c)).unwrap();
    let y = b.relu("relu", y).unwrap();
    let v = b.parameter("v", &[2, 4], vec![1.0; 8]).unwrap();
    let d = b.parameter("d", &[2], vec![-1.0, 1.0]).unwrap();
    let y = b.linear("linear2", y, v, Some(d)).unwrap();
    let graph = b.finish(&[y]).unwrap();
    let x = [Tensor::new(&[1, 3], vec![0.0, 100.0, 0.0]).unwrap()];
    check(8, &run(&graph, &Cam::grad_cam("linear0"), &x));
}

/// `ReLULinear`: `[3, 1, 0] x1` and `[2, 3, 0] x2`, ReLU, their sum.
fn relu_linear() -> Graph {
    let mut b = GraphBuilder::new();
    let (x, y) = (b.input("x1", &[1, 3]).unwrap(), b.input("x2", &[1, 3]).unwrap());
    let v = b.parameter("v", &[1, 3], vec![3.0, 1.0, 0.0]).unwrap();
    let w = b.parameter("w", &[1, 3], vec![2.0, 3.0, 0.0]).unwrap();
    let (p, q) = (b.linear("l1", x, v, None).unwrap(), b.linear("l2", y, w, None).unwrap());
    let both = b.node("both", Op::Concat { axis: 1 }, &[p, q]).unwrap();
    let both = b.relu("relu", both).unwrap();
    let ones = b.parameter("ones", &[1, 2], vec![1.0; 2]).unwrap();
    let out = b.linear("l3", both, ones, None).unwrap();
    b.finish(&[out]).unwrap()
}

#[test]
fn deeplift_of_two_linear_branches() {
    let row = |values: [f64; 3]| Tensor::new(&[1, 3], values.to_vec()).unwrap();
    let inputs = [row([-10.0, 1.0, -5.0]), row([3.0, 3.0, 1.0])];
    let (zero, near) = (row([0.0; 3]), row([1e-4; 3]));
    let baseline = Baseline::Given(vec![zero.clone(), near]);
    let graph = relu_linear();
    check(15, &run(&graph, &DeepLift { baseline, multiply_by_inputs: true }, &inputs));
    // At the input of the ReLU, from its own difference to the reference.
    let [multipliers, values, reference] =
        at_layer(&graph, Composite::everywhere(DeepLiftRescale), "both", (&inputs, &[zero.clone(), zero]));
    check(16, &(0..2).map(|i| multipliers[i] * (values[i] - reference[i])).collect::<Vec<_>>());
}

/// The identity, one window over everything, a weight of one.
#[test]
fn deeplift_of_a_maximum() {
    let mut b = GraphBuilder::new();
    let x = b.input("x", &[1, 1, 4]).unwrap();
    let pool = PoolAttributes::tiles(&[4]);
    let y = b.node("pool", Op::MaxPool(pool), &[x]).unwrap();
    let out = b.node("flat", Op::Reshape { sizes: vec![1, 1] }, &[y]).unwrap();
    let graph = b.finish(&[out]).unwrap();
    let baseline = [[1.0, 2.0, 3.0, 9.0], [4.0, 8.0, 6.0, 7.0]].concat();
    let baseline = Baseline::Given(vec![Tensor::new(&[2, 1, 4], baseline).unwrap()]);
    let x = [Tensor::new(&[2, 1, 4], vec![1.0; 8]).unwrap()];
    check(14, &run(&graph, &DeepLift { baseline, multiply_by_inputs: true }, &x));
}

/// Captum's trapezoid leaves out a step, and its name keeps that meaning; ours is complete.
#[test]
fn trapezoid_rules() {
    let mut b = GraphBuilder::new();
    let x = b.input("x", &[1, 2]).unwrap();
    let w = b.parameter("w", &[1, 2], vec![2.0, -3.0]).unwrap();
    let out = b.linear("f", x, w, None).unwrap();
    let graph = b.finish(&[out]).unwrap();
    let x = [Tensor::new(&[1, 2], vec![1.0, 2.0]).unwrap()];
    let with = |quadrature| {
        let steps = Steps::Fixed(quadrature, 5);
        let baseline = Baseline::Constant(0.0);
        run(&graph, &IntegratedGradients { baseline, steps, multiply_by_inputs: true }, &x)
    };
    check(49, &with(Quadrature::CaptumTrapezoid));
    assert!(relative_error(&with(Quadrature::Trapezoid), &[2.0, -6.0]) < 1e-15);
}

/// `1 - relu(1 - x)`, with its kink at the first entry: the derivative of ReLU at 0 is 0.
#[test]
fn saliency_at_a_kink() {
    let mut b = GraphBuilder::new();
    let x = b.input("x", &[1, 1]).unwrap();
    let minus = |b: &mut GraphBuilder, name: &str, v| {
        b.node(name, Op::Pointwise(Pointwise::Affine { scale: -1.0, shift: 1.0 }), &[v]).unwrap()
    };
    let y = minus(&mut b, "inner", x);
    let y = b.relu("relu", y).unwrap();
    let out = minus(&mut b, "outer", y);
    let graph = b.finish(&[out]).unwrap();
    let x = [Tensor::new(&[6, 1], vec![1.0, 2.0, 3.0, 0.0, -1.0, 7.0]).unwrap()];
    check(50, &run(&graph, &Backward::saliency(true), &x));
}

/// Every stored case is either checked above or belongs to a method that is not here yet; none is passed over.
#[test]
fn no_case_is_forgotten() {
    let Some(folder) = shared("reference") else { return };
    let text = std::fs::read_to_string(folder.join("captum_cases.json")).unwrap();
    let cases: Value = serde_json::from_str(&text).unwrap();
    let source = include_str!("known_answers.rs");
    let perturbation =
        ["Occlusion", "FeatureAblation", "FeaturePermutation", "ShapleyValues", "mask", "shared ids"];
    let relevance = ["LRP", "eps,eps", "identity,eps", "gamma", "a1b0"];
    // Layer and neuron attributions by paths, which this project does not offer.
    let paths = ["Conductance", "InternalInfluence", "same, multiply"];
    let others = [&perturbation[..], &relevance, &paths].concat();
    for case in cases.as_array().unwrap() {
        let (id, call) = (case["id"].as_u64().unwrap(), case["call"].as_str().unwrap());
        let named = others.iter().any(|part| call.contains(part));
        assert!(named || source.contains(&format!("check({id}, ")) || [47, 48].contains(&id), "{id}: {call}");
    }
}

/// `2 f(x1) + 2 f(x2 - 1.5)`.
fn two_units(f: Pointwise) -> Graph {
    let mut b = GraphBuilder::new();
    let (x, y) = (b.input("x1", &[1, 1]).unwrap(), b.input("x2", &[1, 1]).unwrap());
    let shifted =
        b.node("shift", Op::Pointwise(Pointwise::Affine { scale: 1.0, shift: -1.5 }), &[y]).unwrap();
    let (p, q) =
        (b.node("p", Op::Pointwise(f), &[x]).unwrap(), b.node("q", Op::Pointwise(f), &[shifted]).unwrap());
    let sum = b.node("sum", Op::Binary(Binary::Add), &[p, q]).unwrap();
    let out = b.node("twice", Op::Pointwise(Pointwise::Affine { scale: 2.0, shift: 0.0 }), &[sum]).unwrap();
    b.finish(&[out]).unwrap()
}

fn scalars(values: &[f64]) -> Vec<Tensor<f64>> {
    values.iter().map(|&v| Tensor::new(&[1, 1], vec![v]).unwrap()).collect()
}

#[test]
fn deeplift_of_two_units() {
    let lift = |multiply_by_inputs| DeepLift { baseline: Baseline::Constant(0.0), multiply_by_inputs };
    check(11, &run(&two_units(Pointwise::Relu), &lift(true), &scalars(&[1.0, 2.0])));
    check(12, &run(&two_units(Pointwise::Relu), &lift(false), &scalars(&[1.0, 2.0])));
    check(13, &run(&two_units(Pointwise::Tanh), &lift(true), &scalars(&[-1.0, -2.0])));
}

/// The two implementations of one function in the paper on Integrated Gradients: the same map for both.
#[test]
fn integrated_gradients_do_not_depend_on_the_implementation() {
    let build = |late: bool| {
        let mut b = GraphBuilder::new();
        let (x, y) = (b.input("x1", &[1, 1]).unwrap(), b.input("x2", &[1, 1]).unwrap());
        let minus = Op::Pointwise(Pointwise::Affine { scale: 1.0, shift: -1.0 });
        let p = if late {
            let p = b.relu("p", x).unwrap();
            b.node("minus", minus, &[p]).unwrap()
        } else {
            let p = b.node("minus", minus, &[x]).unwrap();
            b.relu("p", p).unwrap()
        };
        let q = b.relu("q", y).unwrap();
        let d = b.node("d", Op::Binary(Binary::Sub), &[p, q]).unwrap();
        let out = b.relu("out", d).unwrap();
        b.finish(&[out]).unwrap()
    };
    let method = IntegratedGradients {
        baseline: Baseline::Constant(0.0),
        steps: Steps::Fixed(Quadrature::GaussLegendre, 500),
        multiply_by_inputs: true,
    };
    for late in [true, false] {
        let got = run(&build(late), &method, &scalars(&[3.0, 1.0]));
        check(if late { 47 } else { 48 }, &got);
        assert!(relative_error(&got, &[1.5, -0.5]) < 2e-3, "{got:?}");
    }
}
