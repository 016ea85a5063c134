//! Captum's own known answers (its test models, with outputs in full precision), for the methods that are here.
#![allow(clippy::unwrap_used, clippy::panic)]

use serde_json::Value;
use voxplain::attribution::methods::*;
use voxplain::attribution::{Engine, Interpolation, Method, Quadrature, Target};
use voxplain::graph::ops::{Binary, ConvAttributes, Pointwise};
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
