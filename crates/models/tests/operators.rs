//! Dialects and patterns that the reference networks do not contain.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use common::Tensor::{Float, Int};
use common::{Tensor, model};
use voxplain_graph::ops::Pointwise;
use voxplain_graph::{Graph, Op};
use voxplain_models::Model;

const X: &str = r#"[{"name":"x","shape":[-1,2,4,4]}]"#;

/// A graph of nodes `(operator, name, operands, attributes)` with the last one as output.
fn graph(nodes: &[(&str, &str, &str, &str)], tensors: &[Tensor<'_>]) -> Graph {
    let text: Vec<String> = nodes
        .iter()
        .map(|(op, name, inputs, attributes)| {
            let inputs: Vec<&str> = inputs.split(' ').collect();
            format!(
                r#"{{"op":"{op}","name":"{name}","inputs":{inputs:?},"outputs":["{name}"],"attributes":{attributes}}}"#
            )
        })
        .collect();
    let last = format!("[{:?}]", nodes[nodes.len() - 1].1);
    Model::from_bytes(&model(X, &last, &format!("[{}]", text.join(",")), tensors)).unwrap().graph
}

fn only(graph: &Graph) -> &Op {
    assert_eq!(graph.nodes().len(), 1, "{:?}", graph.nodes());
    &graph.nodes()[0].op
}

#[test]
fn activations_are_put_together_again() {
    let silu = graph(&[("Sigmoid", "s", "x", "{}"), ("Mul", "y", "x s", "{}")], &[]);
    assert_eq!(only(&silu), &Op::Pointwise(Pointwise::Silu));
    let mish = [("Softplus", "p", "x", "{}"), ("Tanh", "t", "p", "{}"), ("Mul", "y", "x t", "{}")];
    assert_eq!(only(&graph(&mish, &[])), &Op::Pointwise(Pointwise::Mish));
    let slope = r#"{"alpha":0.16666666666666666,"beta":0.5}"#;
    let swish = graph(&[("HardSigmoid", "h", "x", slope), ("Mul", "y", "x h", "{}")], &[]);
    assert_eq!(only(&swish), &Op::Pointwise(Pointwise::HardSwish));
    let shifted = r#"{"alpha":0.16666666666666666,"beta":0.4}"#;
    let other = graph(&[("HardSigmoid", "h", "x", shifted), ("Mul", "y", "x h", "{}")], &[]);
    assert_eq!(other.nodes().len(), 2, "another offset is another function");
}

#[test]
fn gelu_is_put_together_again() {
    let numbers = [
        Float("root", &[], &[std::f32::consts::SQRT_2]),
        Float("one", &[], &[1.0]),
        Float("half", &[], &[0.5]),
    ];
    let nodes = [
        ("Div", "d", "x root", "{}"),
        ("Erf", "e", "d", "{}"),
        ("Add", "a", "e one", "{}"),
        ("Mul", "m", "x a", "{}"),
        ("Mul", "y", "m half", "{}"),
    ];
    assert_eq!(only(&graph(&nodes, &numbers)), &Op::Pointwise(Pointwise::Gelu));
}

#[test]
fn a_part_with_another_use_stays() {
    let nodes = [("Sigmoid", "s", "x", "{}"), ("Mul", "m", "x s", "{}"), ("Add", "y", "m s", "{}")];
    assert_eq!(graph(&nodes, &[]).nodes().len(), 3);
}

#[test]
fn numbers_become_straight_lines() {
    let three = [Float("c", &[], &[3.0])];
    let line = |op, inputs| graph(&[(op, "y", inputs, "{}")], &three);
    let affine = |scale, shift| Op::Pointwise(Pointwise::Affine { scale, shift });
    assert_eq!(only(&line("Sub", "c x")), &affine(-1.0, 3.0));
    assert_eq!(only(&line("Mul", "x c")), &affine(3.0, 0.0));
    assert_eq!(line("Div", "c x").nodes().len(), 2);
}

#[test]
fn shape_arithmetic_leaves_no_nodes() {
    // view(x.shape[0], -1) and the pad chain of TorchScript, whose constants have two axes.
    let view = [
        ("Shape", "s", "x", "{}"),
        ("Gather", "b", "s zero", r#"{"axis":0}"#),
        ("Unsqueeze", "u", "b axes", "{}"),
        ("Concat", "t", "u free", r#"{"axis":0}"#),
        ("Reshape", "y", "x t", "{}"),
    ];
    let whole = [Int("zero", &[], &[0]), Int("axes", &[1], &[0]), Int("free", &[1], &[-1])];
    assert_eq!(only(&graph(&view, &whole)), &Op::Reshape { sizes: vec![1, 32] });
    let pad = [
        ("Reshape", "r", "pads two", "{}"),
        ("Slice", "s", "r start end axes step", "{}"),
        ("Transpose", "t", "s", r#"{"perm":[1,0]}"#),
        ("Reshape", "f", "t free", "{}"),
        ("Pad", "y", "x f", "{}"),
    ];
    let whole = [
        Int("pads", &[8], &[1, 2, 3, 4, 0, 0, 0, 0]),
        Int("two", &[2], &[-1, 2]),
        Int("start", &[1], &[-1]),
        Int("end", &[1], &[i64::MIN + 1]),
        Int("axes", &[1], &[0]),
        Int("step", &[1], &[-1]),
        Int("free", &[1], &[-1]),
    ];
    let padded = graph(&pad, &whole);
    let Op::Pad { before, after, .. } = only(&padded) else { panic!("not a pad") };
    assert_eq!((before.as_slice(), after.as_slice()), (&[0, 0, 3, 1][..], &[0, 0, 4, 2][..]));
}
