//! Dialects and patterns that the reference networks do not contain.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use super::common::Tensor::{Float, Int};
use super::common::{Tensor, model};
use voxplain_graph::ops::Pointwise;
use voxplain_graph::{Graph, Op};
use voxplain_models::Model;

const X: &str = r#"[{"name":"x","shape":[-1,2,4,4]}]"#;

/// A graph of nodes `(operator, name, operands, attributes)` with the last one as output.
fn graph(nodes: &[(&str, &str, &str, &str)], tensors: &[Tensor<'_>]) -> Graph {
    Model::from_bytes(&file(nodes, tensors)).unwrap().graph
}

/// The model file of such a graph.
fn file(nodes: &[(&str, &str, &str, &str)], tensors: &[Tensor<'_>]) -> Vec<u8> {
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
    model(X, &last, &format!("[{}]", text.join(",")), tensors)
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

/// The sentence about a graph that is refused.
fn refusal(nodes: &[(&str, &str, &str, &str)], tensors: &[Tensor<'_>]) -> String {
    Model::from_bytes(&file(nodes, tensors)).unwrap_err().message().to_owned()
}

#[test]
fn picked_split_and_repeated_entries_are_slices_and_joins() {
    let whole = [Int("at", &[3], &[1, 0, 1]), Int("one", &[], &[-1])];
    let picks = graph(&[("Gather", "y", "x at", r#"{"axis":1}"#)], &whole);
    assert_eq!(picks.shape(picks.outputs()[0])[..], [1, 3, 4, 4]);
    let last = graph(&[("Gather", "y", "x one", r#"{"axis":2}"#)], &whole);
    assert_eq!(last.shape(last.outputs()[0])[..], [1, 2, 4]);
    let repeats = [Int("r", &[4], &[1, 3, 1, 2])];
    let tiled = graph(&[("Tile", "y", "x r", "{}")], &repeats);
    assert_eq!(tiled.shape(tiled.outputs()[0])[..], [1, 6, 4, 8]);
    let beyond = refusal(&[("Gather", "y", "x at", r#"{"axis":0}"#)], &whole);
    assert!(beyond.contains("\"y\" (Gather)") && beyond.contains("axis 1"), "{beyond}");
    let batch = refusal(&[("Tile", "y", "x r", "{}")], &[Int("r", &[4], &[2, 1, 1, 1])]);
    assert!(batch.contains("1 for the batch"), "{batch}");
    let unknown =
        refusal(&[("Shape", "s", "x", "{}"), ("GatherND", "y", "x at", r#"{"batch_dims":1}"#)], &whole);
    assert!(unknown.contains("GatherND is not supported"), "{unknown}");
}

#[test]
fn powers_and_bounds_are_other_operators_in_a_row() {
    let bounded = graph(&[("Max", "y", "c x", "{}")], &[Float("c", &[], &[0.5])]);
    let Op::Pointwise(Pointwise::Clip { low, high }) = only(&bounded) else { panic!("not a clip") };
    assert_eq!((*low, *high), (0.5, f64::MAX));
    let power = |value: f32| graph(&[("Pow", "y", "x c", "{}")], &[Float("c", &[], &[value])]).nodes().len();
    assert_eq!([power(2.0), power(3.0), power(0.5), power(-0.5)], [1, 2, 1, 2]);
    let odd = refusal(&[("Pow", "y", "x c", "{}")], &[Float("c", &[], &[2.5])]);
    assert!(odd.contains("-1, -1/2, 1/2, 1, 2 and 3"), "{odd}");
    let least = graph(&[("ReduceMin", "y", "x a", r#"{"keepdims":0}"#)], &[Int("a", &[1], &[1])]);
    assert_eq!(least.shape(least.outputs()[0])[..], [1, 4, 4]);
    let two = refusal(&[("Max", "y", "x x", "{}")], &[]);
    assert!(two.contains("data and one number"), "{two}");
}

/// Adaptive pooling from 4x4 to 3x3 as PyTorch's dynamo exporter writes it, with one entry of the mask as given.
fn adaptive(masked: i64) -> Result<Graph, String> {
    // Windows 0..2, 1..3, 2..4 of four entries: all of two entries, so that nothing needs a mask.
    let starts = [0i64, 1, 2];
    let mut index = Vec::new();
    for i in starts {
        for k in 0..2 {
            for j in starts {
                (0..2).for_each(|l| index.extend([i + k, j + l]));
            }
        }
    }
    index[1] += masked;
    let nodes = [
        ("Transpose", "t", "x", r#"{"perm":[2,3,0,1]}"#),
        ("GatherND", "g", "t index", "{}"),
        ("Transpose", "b", "g", r#"{"perm":[4,5,0,1,2,3]}"#),
        ("ReduceMean", "y", "b axes", r#"{"keepdims":0}"#),
    ];
    let tensors = [Int("index", &[3, 2, 3, 2, 2], &index), Int("axes", &[2], &[-3, -1])];
    let model = Model::from_bytes(&file(&nodes, &tensors));
    model.map(|m| m.graph).map_err(|e| e.message().to_owned())
}

#[test]
fn adaptive_pooling_is_put_together_again_only_where_every_index_is_its_own() {
    let whole = adaptive(0).unwrap();
    let Op::AveragePool(pool) = only(&whole) else { panic!("not a pooling") };
    assert_eq!((pool.kernel.as_slice(), pool.strides.as_slice()), (&[2, 2][..], &[1, 1][..]));
    let other = adaptive(1).unwrap_err();
    assert!(other.contains("GatherND is not supported"), "{other}");
}
