//! Which inputs have first layers of their own, and what becomes of them.
#![allow(clippy::unwrap_used)]

use voxplain_graph::ops::{Binary, ConvAttributes, Pointwise, PoolAttributes, Reduction};
use voxplain_graph::rewrite::{Split, split_first_layers};
use voxplain_graph::{Graph, GraphBuilder, Op, ValueId};

const RELU: Op = Op::Pointwise(Pointwise::Relu);

/// A network under construction: every step is named after its number.
struct Steps {
    b: GraphBuilder,
    made: usize,
}

impl Steps {
    fn new() -> Self {
        Self { b: GraphBuilder::new(), made: 0 }
    }

    fn name(&mut self) -> String {
        self.made += 1;
        format!("s{}", self.made)
    }

    fn weights(&mut self, sizes: &[usize]) -> ValueId {
        let name = self.name();
        self.b.parameter(&name, sizes, vec![0.5; sizes.iter().product()]).unwrap()
    }

    fn node(&mut self, op: Op, inputs: &[ValueId]) -> ValueId {
        let name = self.name();
        self.b.node(&name, op, inputs).unwrap()
    }

    fn conv(&mut self, x: ValueId, to: usize) -> ValueId {
        let from = self.b.shape(x)[1];
        let (weight, bias) = (self.weights(&[to, from, 3, 3]), self.weights(&[to]));
        self.node(Op::Conv(ConvAttributes::padded(2, 1)), &[x, weight, bias])
    }

    fn norm(&mut self, x: ValueId) -> ValueId {
        let channels = self.b.shape(x)[1];
        let parts: Vec<ValueId> = [x].into_iter().chain((0..4).map(|_| self.weights(&[channels]))).collect();
        self.node(Op::BatchNormalization { epsilon: 1e-5 }, &parts)
    }

    fn pool(&mut self, x: ValueId) -> ValueId {
        self.node(Op::MaxPool(PoolAttributes::tiles(&[2, 2])), &[x])
    }

    fn mean(&mut self, x: ValueId) -> ValueId {
        self.node(Op::Reduce { reduction: Reduction::Mean, axes: vec![1, 2, 3], keep_axes: false }, &[x])
    }
}

/// The split of a network that `build` makes of an input of `[1, 2, 8, 8]`, for its first output.
fn split(build: impl FnOnce(&mut Steps, ValueId) -> Vec<ValueId>) -> Option<(Split, Graph)> {
    let mut steps = Steps::new();
    let x = steps.b.input("x", &[1, 2, 8, 8]).unwrap();
    let outputs = build(&mut steps, x);
    let graph = steps.b.finish(&outputs).unwrap();
    split_first_layers(&graph, graph.outputs()[0]).unwrap().map(|split| (split, graph))
}

fn kinds(graph: &Graph) -> Vec<&'static str> {
    graph.nodes().iter().map(|n| n.op.kind()).collect()
}

fn head(split: &Split) -> &Graph {
    split.heads[0].as_ref().unwrap()
}

#[test]
fn a_first_layer_goes_as_far_as_its_last_pooling() {
    let (parts, graph) = split(|s, x| {
        let y = s.conv(x, 4);
        let y = s.norm(y);
        let y = s.node(RELU, &[y]);
        let y = s.pool(y);
        let y = s.node(RELU, &[y]);
        vec![s.mean(y)]
    })
    .unwrap();
    assert_eq!(kinds(head(&parts)), ["Conv", "BatchNormalization", "MaxPool"]);
    assert_eq!(kinds(&parts.tail), ["BatchNormalization", "Add", "Relu", "Relu", "ReduceMean"]);
    // The convolution adds nothing, nor does the normalisation; the tail computes what they added from the weights alone.
    assert_eq!(head(&parts).nodes()[0].inputs.len(), 2);
    let zeros = head(&parts).parameters().iter().find(|p| p.name.ends_with("zeros")).unwrap();
    assert!(zeros.data.iter().all(|&v| v == 0.0));
    assert!(!parts.tail.value(parts.tail.nodes()[0].output).varies);
    let (made, read) = (head(&parts).outputs()[0], parts.tail.inputs()[0]);
    assert_eq!(head(&parts).shape(made), parts.tail.shape(read));
    assert_eq!(parts.tail.value(read).name, "x");
    // Weights are shared.
    let shared = |p: &voxplain_graph::Parameter| {
        graph.parameters().iter().any(|q| std::sync::Arc::ptr_eq(&q.data, &p.data))
            || p.name.ends_with("zeros")
    };
    assert!(head(&parts).parameters().iter().chain(parts.tail.parameters()).all(shared));
}

#[test]
fn rectifiers_behind_the_last_pooling_stay_in_the_tail() {
    let (parts, _) = split(|s, x| {
        let y = s.conv(x, 4);
        let y = s.pool(y);
        let y = s.node(RELU, &[y]);
        let y = s.pool(y);
        let z = s.node(RELU, &[y]);
        vec![s.mean(z)]
    })
    .unwrap();
    assert_eq!(kinds(head(&parts)), ["Conv", "MaxPool", "MaxPool"]);
    assert_eq!(kinds(&parts.tail), ["Add", "Relu", "Relu", "ReduceMean"]);
}

#[test]
fn changes_of_shape_and_layers_without_bias_or_pooling_count() {
    let (parts, _) = split(|s, x| {
        let y = s.node(Op::Transpose { permutation: vec![0, 1, 3, 2] }, &[x]);
        let weight = s.weights(&[3, 2, 3, 3]);
        let y = s.node(Op::Conv(ConvAttributes::plain(2)), &[y, weight]);
        let y = s.node(RELU, &[y]);
        vec![s.mean(y)]
    })
    .unwrap();
    assert_eq!(kinds(head(&parts)), ["Transpose", "Conv"]);
    assert_eq!(kinds(&parts.tail), ["Relu", "ReduceMean"]);
}

#[test]
fn several_readers_end_a_first_layer() {
    // Of the pooled value: behind it.
    let (parts, _) = split(|s, x| {
        let y = s.conv(x, 4);
        let y = s.pool(y);
        let z = s.node(RELU, &[y]);
        let y = s.node(Op::Binary(Binary::Add), &[y, z]);
        vec![s.mean(y)]
    })
    .unwrap();
    assert_eq!(kinds(head(&parts)), ["Conv", "MaxPool"]);
    // Of the rectified value: the pooling is none of the first layer's, which ends before it.
    let (parts, _) = split(|s, x| {
        let y = s.conv(x, 4);
        let y = s.node(RELU, &[y]);
        let (z, y) = (s.mean(y), s.pool(y));
        let y = s.mean(y);
        vec![s.node(Op::Binary(Binary::Add), &[y, z])]
    })
    .unwrap();
    assert_eq!(kinds(head(&parts)), ["Conv"]);
    assert_eq!(kinds(&parts.tail)[..2], ["Add", "Relu"]);
    // Of the convolution's: it ends there.
    let (parts, _) = split(|s, x| {
        let y = s.conv(x, 4);
        let (z, y) = (s.node(RELU, &[y]), s.pool(y));
        let (y, z) = (s.mean(y), s.mean(z));
        vec![s.node(Op::Binary(Binary::Add), &[y, z])]
    })
    .unwrap();
    assert_eq!(kinds(head(&parts)), ["Conv"]);
    // Of the input: there is none.
    let none = split(|s, x| {
        let y = s.conv(x, 2);
        let y = s.node(Op::Binary(Binary::Add), &[x, y]);
        vec![s.mean(y)]
    });
    assert!(none.is_none());
    // One that the target does not need is none.
    let (parts, _) = split(|s, x| {
        let y = s.conv(x, 4);
        let other = s.mean(y);
        let y = s.pool(y);
        vec![s.mean(y), other]
    })
    .unwrap();
    assert_eq!(kinds(head(&parts)), ["Conv", "MaxPool"]);
}

#[test]
fn the_target_is_not_inside_of_a_first_layer() {
    let mut steps = Steps::new();
    let x = steps.b.input("x", &[1, 2, 8, 8]).unwrap();
    let conv = steps.conv(x, 4);
    let relu = steps.node(RELU, &[conv]);
    let pool = steps.pool(relu);
    let graph = steps.b.finish(&[pool]).unwrap();
    let made =
        |target| split_first_layers(&graph, target).unwrap().map(|s| (kinds(head(&s)).len(), kinds(&s.tail)));
    assert_eq!(made(pool), Some((2, vec!["Add", "Relu"])));
    assert_eq!(made(relu), Some((1, vec!["Add", "Relu"])));
    assert_eq!(made(conv), Some((1, vec!["Add"])));
    assert_eq!(made(x), None);
}

#[test]
fn other_beginnings_have_no_first_layer() {
    let conv_behind = |op: Op| {
        split(move |s, x| {
            let y = s.node(op, &[x]);
            let y = s.conv(y, 2);
            vec![s.mean(y)]
        })
    };
    assert!(conv_behind(RELU).is_none());
    assert!(conv_behind(Op::AveragePool(PoolAttributes::tiles(&[2, 2]))).is_none());
    assert!(conv_behind(Op::MaxPool(PoolAttributes::tiles(&[2, 2]))).is_none());
    assert!(split(|s, x| vec![s.mean(x)]).is_none());
    // An average of the layer's values is part of the tail.
    let (parts, _) = split(|s, x| {
        let y = s.conv(x, 4);
        let y = s.node(Op::AveragePool(PoolAttributes::tiles(&[2, 2])), &[y]);
        let y = s.pool(y);
        vec![s.mean(y)]
    })
    .unwrap();
    assert_eq!(kinds(head(&parts)), ["Conv"]);
    // So are activations that are not rectifiers.
    let (parts, _) = split(|s, x| {
        let y = s.conv(x, 4);
        let y = s.node(Op::Pointwise(Pointwise::Gelu), &[y]);
        let y = s.pool(y);
        vec![s.mean(y)]
    })
    .unwrap();
    assert_eq!(kinds(head(&parts)), ["Conv"]);
}

#[test]
fn a_first_layer_does_not_grow_beyond_twice_its_input() {
    let wide = |channels: usize, pooled: bool| {
        split(move |s, x| {
            let y = s.conv(x, channels);
            let y = if pooled { s.pool(y) } else { y };
            vec![s.mean(y)]
        })
        .is_some()
    };
    assert!(wide(4, false) && !wide(5, false));
    assert!(wide(16, true) && !wide(17, true));
}

#[test]
fn every_input_is_looked_at_by_itself() {
    let mut steps = Steps::new();
    let sizes = [1, 2, 8, 8];
    let inputs = ["a", "b", "unused", "c"].map(|name| steps.b.input(name, &sizes).unwrap());
    let a = steps.conv(inputs[0], 3);
    let a = steps.pool(a);
    let b = steps.mean(inputs[1]);
    let c = steps.conv(inputs[3], 2);
    let (a, c) = (steps.mean(a), steps.mean(c));
    let sum = steps.node(Op::Binary(Binary::Add), &[a, b]);
    let sum = steps.node(Op::Binary(Binary::Add), &[sum, c]);
    let graph = steps.b.finish(&[sum]).unwrap();
    let split = split_first_layers(&graph, sum).unwrap().unwrap();
    let has: Vec<bool> = split.heads.iter().map(Option::is_some).collect();
    assert_eq!(has, [true, false, false, true]);
    let names: Vec<&str> = split.tail.inputs().iter().map(|&v| &*split.tail.value(v).name).collect();
    assert_eq!(names, ["a", "b", "unused", "c"]);
    assert_eq!(split.tail.shape(split.tail.inputs()[0])[..], [1, 3, 4, 4]);
    assert_eq!(split.tail.shape(split.tail.inputs()[1])[..], sizes);
}
