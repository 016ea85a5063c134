//! Rules and what holds between them: hand values, exact identities, the ledger, pairs of multipliers, patterns, and rules
//! that the host computes.
#![allow(clippy::unwrap_used)]

mod counterexamples;
mod host;
mod identities;
mod laws;
mod patterns;
mod values;

use proptest::prelude::*;
use std::sync::Arc;
use voxplain::attribution::composites::{Line, PRESETS, table};
use voxplain::attribution::methods::*;
use voxplain::attribution::patterns::fit;
use voxplain::attribution::rules::{
    Deconvolution, GuidedBackProp, HostRule, HostSignals, Pattern, RectGrad, RevealCancel, Threshold,
};
use voxplain::attribution::{Attribution, Draws, Engine, Method, Rules, Target};
use voxplain::autodiff::{BinaryFn, Composite, Cotangent, Device, Matcher, Relevance, Rule, Site};
use voxplain::cpu::Cpu;
use voxplain::graph::ops::{Binary, ConvAttributes, Pointwise, PoolAttributes};
use voxplain::graph::{Graph, GraphBuilder, Op, ValueId};
use voxplain::tensor::{Scalar, Tensor};
use voxplain_oracle::Oracle;
use voxplain_tests::cuda::shim;
use voxplain_tests::networks::{Case, Step, case};
use voxplain_tests::relative_error;

fn run_on<D: Device>(
    graph: &Graph,
    device: &D,
    method: &dyn Method<D::Scalar>,
    x: &[Tensor<f64>],
) -> Attribution<D::Scalar> {
    let x: Vec<Tensor<D::Scalar>> = x.iter().map(Tensor::convert).collect();
    method.attribute(&mut Engine::new(graph, device, None), &x, &Target::Class(vec![0])).unwrap()
}

fn run(graph: &Graph, method: &dyn Method<f64>, x: &[f64]) -> Attribution<f64> {
    let shape = graph.shape(graph.inputs()[0]);
    run_on(graph, &Oracle, method, &[Tensor::new(&shape, x.to_vec()).unwrap()])
}

fn map<S: Scalar>(result: &Attribution<S>) -> Vec<f64> {
    result.maps.iter().flat_map(|m| m.values.data()).map(|v| v.to_f64()).collect()
}

fn close(have: &[f64], want: &[f64], tolerance: f64) {
    assert_eq!(have.len(), want.len());
    have.iter().zip(want).for_each(|(a, b)| assert!((a - b).abs() <= tolerance, "{have:?} {want:?}"));
}

fn linear(b: &mut GraphBuilder, name: &str, x: ValueId, rows: &[&[f32]], bias: &[f32]) -> ValueId {
    let sizes = [rows.len(), rows[0].len()];
    let w = b.parameter(&format!("{name}.w"), &sizes, rows.concat()).unwrap();
    let c =
        (!bias.is_empty()).then(|| b.parameter(&format!("{name}.c"), &[bias.len()], bias.to_vec()).unwrap());
    b.linear(name, x, w, c).unwrap()
}

/// `relu(relu(x1 - 1) - relu(x2))`, or `relu(relu(x1) - 1 - relu(x2))`: the same function by two networks.
fn two_ways(inside: bool) -> Graph {
    let mut b = GraphBuilder::new();
    let x = b.input("x", &[1, 2]).unwrap();
    let (first, second): (&[f32], &[f32]) = if inside { (&[-1.0, 0.0], &[]) } else { (&[], &[-1.0]) };
    let h = linear(&mut b, "a", x, &[&[1.0, 0.0], &[0.0, 1.0]], first);
    let h = b.relu("relu1", h).unwrap();
    let y = linear(&mut b, "b", h, &[&[1.0, -1.0]], second);
    let y = b.relu("relu2", y).unwrap();
    b.finish(&[y]).unwrap()
}

/// `min(x1, x2) = x1 - relu(x1 - x2)`.
fn minimum() -> Graph {
    let mut b = GraphBuilder::new();
    let x = b.input("x", &[1, 2]).unwrap();
    let d = linear(&mut b, "d", x, &[&[1.0, -1.0]], &[]);
    let h = b.relu("relu", d).unwrap();
    let a = linear(&mut b, "a", x, &[&[1.0, 0.0]], &[]);
    let y = b.node("y", Op::Binary(Binary::Sub), &[a, h]).unwrap();
    b.finish(&[y]).unwrap()
}

/// `relu(relu(x1) + relu(x2) - relu(x2))`.
fn twice() -> Graph {
    let mut b = GraphBuilder::new();
    let x = b.input("x", &[1, 2]).unwrap();
    let h = linear(&mut b, "a", x, &[&[1.0, 0.0], &[0.0, 1.0], &[0.0, 1.0]], &[]);
    let h = b.relu("relu1", h).unwrap();
    let y = linear(&mut b, "b", h, &[&[1.0, 1.0, -1.0]], &[]);
    let y = b.relu("relu2", y).unwrap();
    b.finish(&[y]).unwrap()
}

fn zero() -> Baseline<f64> {
    Baseline::Constant(0.0)
}

fn reveal() -> DeepLiftRevealCancel<f64> {
    DeepLiftRevealCancel { baseline: zero(), multiply_by_inputs: true }
}

fn preset(name: &str, parameters: &[(&str, f64)]) -> Lrp {
    Lrp::preset(name, parameters, Start::Output).unwrap()
}

/// The same steps without what LRP's presets have no rule for.
fn ruled(case: &Case) -> Case {
    let steps = case
        .steps
        .iter()
        .filter(|s| !matches!(s, Step::Normalise | Step::Gate | Step::Divide | Step::Softmax));
    Case { steps: steps.copied().collect(), ..case.clone() }
}

/// The same steps with ReLU for every activation, and no biases if `bare`.
fn rectified(case: &Case, bare: bool) -> Graph {
    let steps = ruled(case)
        .steps
        .into_iter()
        .map(|s| if matches!(s, Step::Activation(_)) { Step::Activation(0) } else { s });
    let graph = Case { steps: steps.collect(), ..case.clone() }.graph().unwrap();
    if !bare {
        return graph;
    }
    let biases: Vec<usize> = graph
        .nodes()
        .iter()
        .filter_map(|n| n.inputs.get(2))
        .filter_map(|&v| match graph.value(v).origin {
            voxplain::graph::Origin::Parameter(p) => Some(p),
            _ => None,
        })
        .collect();
    let all = graph.parameters().iter().enumerate();
    let values: Vec<Vec<f32>> = all
        .map(|(i, p)| if biases.contains(&i) { vec![0.0; p.data.len()] } else { p.data.to_vec() })
        .collect();
    graph.with_parameters(&values).unwrap()
}

fn inputs(case: &Case) -> Vec<f64> {
    Case::tensor(&case.x).unwrap().data().iter().map(|v| v + 0.0037).collect()
}

fn alike(a: &[f64], b: &[f64], tolerance: f64) -> Result<(), TestCaseError> {
    let scale = a.iter().chain(b).fold(1e-9f64, |m, v| m.max(v.abs()));
    for (a, b) in a.iter().zip(b) {
        prop_assert!((a - b).abs() <= tolerance * scale, "{a} {b} of {scale}");
    }
    Ok(())
}

fn one(lines: &[Line], start: Start) -> Lrp {
    Lrp { name: "lrp", lines: lines.to_vec(), start }
}

/// One rule for weighted layers, values for the rest.
fn of_lines(graph: &Graph, rule: &str, x: &[f64]) -> Vec<f64> {
    let tiny = [("stabilizer", 1e-14)];
    let mut lines = vec![Line::new(Matcher::Everything, "unweighted", &tiny)];
    lines.extend(["Conv", "Gemm"].map(|kind| Line::new(Matcher::Kind(kind.into()), rule, &tiny)));
    map(&run(graph, &one(&lines, Start::Output), x))
}

/// What nobody defined is an error with the node's name, never a silent gradient.
#[test]
fn pairs_of_multipliers_have_no_default() {
    struct Forgot;
    impl Rule for Forgot {
        type Signal = voxplain::autodiff::PosNeg;
        fn name(&self) -> String {
            String::from("forgot")
        }
    }
    let method = Backward::with_rule("forgot", Forgot, Scaling::None);
    let x = Tensor::new(&[1, 2], vec![3.0, 1.0]).unwrap();
    let graph = two_ways(true);
    let error =
        method.attribute(&mut Engine::new(&graph, &Oracle, None), &[x], &Target::Class(vec![0])).unwrap_err();
    assert!(error.message().contains("a pair of multipliers has no default"), "{error}");
    let _ = RevealCancel;
}

/// A composite that names a node or an input that is not there says so, and so does a text that names no nodes.
#[test]
fn matchers_that_match_nothing() {
    let graph = two_ways(true);
    let line = |on: &str| Line::new(Matcher::parse(on).unwrap(), "epsilon", &[]);
    for on in ["name relu9", "glob conv*", "input flair"] {
        let composite = table(&[Line::new(Matcher::Everything, "unweighted", &[]), line(on)]).unwrap();
        let error = composite.resolve(&graph).err().unwrap();
        assert!(error.message().contains("matches nothing in this network"), "{error}");
    }
    assert!(Matcher::parse("layer 3").unwrap_err().message().contains("names no nodes"));
    for text in
        ["everything", "class affine", "kind Conv", "first", "first Conv", "input x", "glob a*b", "name a b"]
    {
        assert_eq!(Matcher::parse(text).unwrap().to_string(), text);
    }
}
