//! Integrated Gradients and GradientShap from a zero baseline run a network's first layers once for all points: the maps are those
//! of passes from the inputs, in the networks that have such layers, and only in those.
#![allow(clippy::unwrap_used)]

use proptest::prelude::*;
use std::slice::from_ref;
use voxplain::attribution::methods::{Baseline, GradientShap, IntegratedGradients, ShapDraws, Steps};
use voxplain::attribution::{
    Act, Attribution, Draws, Engine, FillRow, Method, Network, PassSpec, Quadrature, TakeRow, Target,
};
use voxplain::cpu::{Cpu, Isa};
use voxplain::graph::ops::{ConvAttributes, Pointwise, PoolAttributes, Reduction};
use voxplain::graph::rewrite::{fold_batch_normalization, split_first_layers};
use voxplain::graph::{Graph, GraphBuilder, Op, ValueId};
use voxplain::tensor::{Result, Scalar, Tensor};
use voxplain_oracle::Oracle;
use voxplain_tests::networks::{Case, Step, case};

/// A network that counts the reverse passes of all of itself, and offers no room for another one unless `open`.
struct Watched<'n, S: Scalar> {
    network: &'n mut dyn Network<S>,
    open: bool,
    whole: usize,
}

impl<S: Scalar> Network<S> for Watched<'_, S> {
    fn graph(&self) -> &Graph {
        self.network.graph()
    }

    fn run(
        &mut self,
        spec: &PassSpec<'_>,
        rows: usize,
        fill: FillRow<'_, S>,
        take: TakeRow<'_, S>,
    ) -> Result<()> {
        self.whole += if spec.table.is_some() { rows } else { 0 };
        self.network.run(spec, rows, fill, take)
    }

    fn beside(&mut self, graph: &Graph, counted: bool, act: Act<'_, S>) -> Result<bool> {
        if self.open { self.network.beside(graph, counted, act) } else { Ok(false) }
    }
}

/// The maps and how many reverse passes of the whole network they took.
fn explain<S: Scalar>(
    network: &mut dyn Network<S>,
    open: bool,
    method: &dyn Method<S>,
    x: &[Tensor<S>],
) -> (Attribution<S>, usize) {
    let mut watched = Watched { network, open, whole: 0 };
    let result = method.attribute(&mut watched, x, &Target::Class(vec![0])).unwrap();
    (result, watched.whole)
}

fn maps<S: Scalar>(result: &Attribution<S>) -> Vec<f64> {
    result.maps.iter().flat_map(|m| m.values.data()).map(|v| v.to_f64()).collect()
}

const STEPS: usize = 6;

fn integrated<S: Scalar>(quadrature: Quadrature, multiply_by_inputs: bool) -> IntegratedGradients<S> {
    let (baseline, steps) = (Baseline::Constant(0.0), Steps::Fixed(quadrature, STEPS));
    IntegratedGradients { baseline, steps, multiply_by_inputs }
}

fn shap<S: Scalar>(x: &[Tensor<S>], noise: Option<Draws<S>>) -> GradientShap<S> {
    let zeros = |x: &Tensor<S>| Tensor::zeros(x.shape());
    let draws = ShapDraws::Seeded { seed: 5, draws: STEPS };
    GradientShap { baselines: x.iter().map(zeros).collect(), draws, noise }
}

fn methods<S: Scalar>(x: &[Tensor<S>]) -> Vec<Box<dyn Method<S>>> {
    vec![
        Box::new(integrated(Quadrature::GaussLegendre, true)),
        Box::new(integrated(Quadrature::Right, false)),
        Box::new(shap(x, None)),
    ]
}

/// Cases of which most begin with a layer that counts: convolution, and poolings and rectifiers in any order.
fn layered() -> impl Strategy<Value = Case> {
    let behind = prop_oneof![any::<bool>().prop_map(Step::MaxPool), Just(Step::Activation(0))];
    (1u8..4, prop::collection::vec(behind, 0..4), case()).prop_map(|(to, behind, mut case)| {
        case.steps = [Step::Conv(to)].into_iter().chain(behind).chain(case.steps).collect();
        case
    })
}

fn has_first_layers(graph: &Graph) -> bool {
    split_first_layers(graph, graph.outputs()[0]).unwrap().is_some()
}

/// Both ways on a network; whether the short one was taken.
fn both_ways(graph: &Graph, x: &[Tensor<f64>]) -> bool {
    let mut short = true;
    for method in methods(x) {
        let (expected, all) = explain(&mut Engine::new(graph, &Oracle, None), false, &*method, x);
        let (found, whole) = explain(&mut Engine::new(graph, &Oracle, None), true, &*method, x);
        assert_eq!(all, STEPS);
        assert!(whole == 0 || whole == STEPS);
        short &= whole == 0;
        let (found_maps, expected_maps) = (maps(&found), maps(&expected));
        // A map whose terms cancel has no digits of its own; all numbers of these networks are of about unit size.
        let scale = expected_maps.iter().fold(1e-3, |most: f64, v| most.max(v.abs()));
        let apart = |(a, b): (&f64, &f64)| (a - b).abs() <= 1e-9 * scale;
        assert!(found_maps.iter().zip(&expected_maps).all(apart), "{}", method.name());
        assert_eq!(found.forward_passes, expected.forward_passes);
        assert_eq!(found.backward_passes, expected.backward_passes);
        assert_eq!(found.differences, expected.differences);
    }
    short
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn first_layers_run_once(case in layered()) {
        let graph = case.graph().unwrap();
        let short = both_ways(&graph, &[Case::tensor(&case.x).unwrap()]);
        prop_assert_eq!(short, has_first_layers(&graph));
    }

    #[test]
    fn networks_of_any_beginning_have_the_same_maps(case in case()) {
        let graph = case.graph().unwrap();
        let short = both_ways(&graph, &[Case::tensor(&case.x).unwrap()]);
        prop_assert_eq!(short, has_first_layers(&graph));
    }

    /// Head and tail together are the network.
    #[test]
    fn parts_make_the_network(case in layered()) {
        let graph = case.graph().unwrap();
        let x = Case::tensor(&case.x).unwrap();
        let Some(split) = split_first_layers(&graph, graph.outputs()[0]).unwrap() else { return Ok(()) };
        let expected = values(&graph, from_ref(&x));
        let head = split.heads[0].as_ref().unwrap();
        let made = Tensor::new(&head.shape(head.outputs()[0]), values(head, &[x])).unwrap();
        prop_assert!(voxplain_tests::relative_error(&values(&split.tail, &[made]), &expected) < 1e-12);
    }

    /// The same bits on every instruction set, alone and in a batch, beside an example that goes all the way, in any number
    /// of threads.
    #[test]
    fn bits_do_not_depend_on_batches_or_threads(case in layered()) {
        let graph = case.graph().unwrap();
        let (x, r) = (Case::tensor(&case.x).unwrap().convert::<f32>(), Case::tensor(&case.r).unwrap().convert::<f32>());
        let two = Tensor::new(&[2, 2, 6, 5], [x.data(), r.data()].concat()).unwrap();
        let half = Baseline::Given(vec![Tensor::new(&[2, 2, 6, 5], [&[0.0; 60][..], r.data()].concat()).unwrap()]);
        let method = integrated(Quadrature::Middle, true);
        for isa in Isa::ALL.into_iter().filter(|i| i.is_available()) {
            let cpu = |threads| Cpu::with_isa(isa).unwrap().with_threads(threads).unwrap();
            let (one, many) = (cpu(1), cpu(2));
            let alone = maps(&explain(&mut Engine::new(&graph, &one, None), true, &method, from_ref(&x)).0);
            let both = explain(&mut Engine::new(&graph, &many, None).with_rows(3), true, &method, from_ref(&two)).0;
            prop_assert_eq!(&alone, &maps(&both)[..60]);
            let mixed = IntegratedGradients { baseline: half.clone(), ..method.clone() };
            let (both, _) = explain(&mut Engine::new(&graph, &many, None), true, &mixed, from_ref(&two));
            prop_assert_eq!(&alone, &maps(&both)[..60]);
        }
    }
}

fn values(graph: &Graph, x: &[Tensor<f64>]) -> Vec<f64> {
    Engine::new(graph, &Oracle, None).values(x, graph.outputs()[0]).unwrap().concat()
}

#[test]
fn drawn_networks_have_first_layers() {
    use proptest::strategy::ValueTree;
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let mut count = |cases: &dyn Fn(&mut proptest::test_runner::TestRunner) -> Case| {
        (0..200).filter(|_| has_first_layers(&cases(&mut runner).graph().unwrap())).count()
    };
    let layered = count(&|runner| layered().new_tree(runner).unwrap().current());
    assert!(layered > 150, "{layered} of 200");
    let any = count(&|runner| case().new_tree(runner).unwrap().current());
    assert!((4..100).contains(&any), "{any} of 200");
}

/// Numbers of about unit size that do not repeat.
fn numbers(count: usize, seed: usize) -> Vec<f32> {
    (0..count).map(|i| ((i * 37 + seed * 101) as f32 * 0.618).sin()).collect()
}

fn tensor(sizes: &[usize], seed: usize) -> Tensor<f64> {
    let count = sizes.iter().product();
    Tensor::new(sizes, numbers(count, seed).into_iter().map(f64::from).collect()).unwrap()
}

struct Builder(GraphBuilder, usize);

impl Builder {
    fn weights(&mut self, sizes: &[usize]) -> ValueId {
        self.1 += 1;
        let data = numbers(sizes.iter().product(), self.1);
        self.0.parameter(&format!("w{}", self.1), sizes, data).unwrap()
    }

    fn node(&mut self, op: Op, inputs: &[ValueId]) -> ValueId {
        self.1 += 1;
        self.0.node(&format!("n{}", self.1), op, inputs).unwrap()
    }

    fn conv(&mut self, x: ValueId, to: usize, attributes: ConvAttributes, kernel: &[usize]) -> ValueId {
        let from = self.0.shape(x)[1] / attributes.groups;
        let weight = self.weights(&[&[to, from], kernel].concat());
        let bias = self.weights(&[to]);
        self.node(Op::Conv(attributes), &[x, weight, bias])
    }

    /// With scales of both signs and variances above zero.
    fn norm(&mut self, x: ValueId) -> ValueId {
        let channels = self.0.shape(x)[1];
        let [scale, shift, mean] = [0; 3].map(|_| self.weights(&[channels]));
        self.1 += 1;
        let data = numbers(channels, self.1).iter().map(|v| v * v + 0.5).collect::<Vec<_>>();
        let variance = self.0.parameter(&format!("w{}", self.1), &[channels], data).unwrap();
        self.node(Op::BatchNormalization { epsilon: 1e-5 }, &[x, scale, shift, mean, variance])
    }

    fn relu(&mut self, x: ValueId) -> ValueId {
        self.node(Op::Pointwise(Pointwise::Relu), &[x])
    }

    fn finish(mut self, x: ValueId) -> Graph {
        let axes = (2..self.0.shape(x).rank()).collect();
        let mean = self.node(Op::Reduce { reduction: Reduction::Mean, axes, keep_axes: false }, &[x]);
        let (from, all) = (self.0.shape(mean)[1], self.0.shape(mean)[0]);
        let mean = match all {
            1 => mean,
            _ => self.node(Op::Reshape { sizes: vec![1, all * from] }, &[mean]),
        };
        let weight = self.weights(&[2, all * from]);
        let y = self.node(Op::linear(), &[mean, weight]);
        self.0.finish(&[y]).unwrap()
    }
}

fn builder() -> Builder {
    Builder(GraphBuilder::new(), 0)
}

/// Convolution, normalisation, rectifier, halving; in three dimensions, as the CPU joins them.
fn volume(norm: bool) -> Graph {
    let mut b = builder();
    let x = b.0.input("x", &[1, 2, 6, 8, 10]).unwrap();
    let mut y = b.conv(x, 9, ConvAttributes::padded(3, 1), &[3, 3, 3]);
    if norm {
        y = b.norm(y);
    }
    y = b.relu(y);
    y = b.node(Op::MaxPool(PoolAttributes::tiles(&[2, 2, 2])), &[y]);
    y = b.conv(y, 8, ConvAttributes::padded(3, 1), &[3, 3, 3]);
    y = b.relu(y);
    b.finish(y)
}

/// Strides, dilation, groups and windows that overlap and are padded, as in two-dimensional networks.
fn plane() -> Graph {
    let mut b = builder();
    let x = b.0.input("x", &[1, 4, 17, 16]).unwrap();
    let attributes = ConvAttributes {
        strides: vec![2, 1],
        dilations: vec![1, 2],
        groups: 2,
        ..ConvAttributes::padded(2, 3)
    };
    let mut y = b.conv(x, 6, attributes, &[5, 3]);
    y = b.norm(y);
    y = b.relu(y);
    let pool = PoolAttributes {
        strides: vec![2, 2],
        pads_begin: vec![1, 1],
        pads_end: vec![1, 1],
        ..PoolAttributes::tiles(&[3, 3])
    };
    y = b.node(Op::MaxPool(pool), &[y]);
    // Two readers, as the first block of a residual network has.
    let z = b.conv(y, 6, ConvAttributes::padded(2, 1), &[3, 3]);
    y = b.node(Op::Binary(voxplain::graph::ops::Binary::Add), &[y, z]);
    y = b.relu(y);
    b.finish(y)
}

/// One stack of slices, whose slices are joined to the batch, and one input that is read as it is.
fn inputs() -> Graph {
    let mut b = builder();
    let slices = b.0.input("slices", &[1, 3, 2, 8, 8]).unwrap();
    let plain = b.0.input("plain", &[1, 5]).unwrap();
    let mut y = b.node(Op::Reshape { sizes: vec![3, 2, 8, 8] }, &[slices]);
    y = b.conv(y, 4, ConvAttributes::padded(2, 1), &[3, 3]);
    y = b.node(Op::MaxPool(PoolAttributes::tiles(&[2, 2])), &[y]);
    y = b.relu(y);
    let mean = b.node(Op::Reduce { reduction: Reduction::Mean, axes: vec![2, 3], keep_axes: false }, &[y]);
    let mean = b.node(Op::Reshape { sizes: vec![1, 12] }, &[mean]);
    let weight = b.weights(&[4, 5]);
    let z = b.node(Op::linear(), &[plain, weight]);
    let z = b.node(Op::Pointwise(Pointwise::Tanh), &[z]);
    let all = b.node(Op::Concat { axis: 1 }, &[mean, z]);
    let weight = b.weights(&[2, 16]);
    let y = b.node(Op::linear(), &[all, weight]);
    let y = b.node(Op::Pointwise(Pointwise::Softplus), &[y]);
    b.0.finish(&[y]).unwrap()
}

fn images(graph: &Graph, examples: usize) -> Vec<Tensor<f64>> {
    let one = |(i, &v): (usize, &ValueId)| tensor(&graph.batched_shape(v, examples).unwrap(), 7 + i);
    graph.inputs().iter().enumerate().map(one).collect()
}

#[test]
fn networks_of_practice_take_the_short_way() {
    for graph in
        [volume(true), volume(false), fold_batch_normalization(&volume(true)).unwrap(), plane(), inputs()]
    {
        assert!(both_ways(&graph, &images(&graph, 1)));
        let x: Vec<Tensor<f32>> = images(&graph, 3).iter().map(Tensor::convert).collect();
        let cpu = Cpu::best();
        for method in methods(&x) {
            let (expected, _) = explain(&mut Engine::new(&graph, &cpu, None), false, &*method, &x);
            let (found, whole) = explain(&mut Engine::new(&graph, &cpu, None), true, &*method, &x);
            assert_eq!(whole, 0);
            let error = voxplain_tests::relative_error(&maps(&found), &maps(&expected));
            assert!(error < 2e-3, "{}: {error:e}", method.name());
        }
    }
}

#[test]
fn other_lines_go_all_the_way() {
    let graph = volume(true);
    let x = images(&graph, 1);
    let given = |at: f64| Baseline::Given(vec![x[0].map(|v| if v == x[0].data()[3] { at } else { 0.0 })]);
    let from = |baseline| IntegratedGradients { baseline, ..integrated(Quadrature::Middle, true) };
    let noise = |sigma: f64| Some(Draws::Seeded { seed: 3, sigma: vec![sigma], draws: STEPS });
    let alpha = (0..STEPS).map(|k| vec![k as f64 / 8.0]).collect();
    let at_zero = ShapDraws::Given { baseline: vec![vec![0]; STEPS], alpha };
    let far = |value: f64| vec![x[0].map(|_| value)];
    let cases: Vec<(Box<dyn Method<f64>>, usize)> = vec![
        (Box::new(from(given(0.0))), 0),
        (Box::new(from(given(1e-30))), STEPS),
        (Box::new(integrated(Quadrature::Left, true)), STEPS),
        (Box::new(integrated(Quadrature::Trapezoid, true)), STEPS),
        (Box::new(integrated(Quadrature::CaptumTrapezoid, true)), STEPS),
        (Box::new(shap(&x, noise(0.0))), 0),
        (Box::new(shap(&x, noise(0.1))), STEPS),
        (Box::new(GradientShap { draws: at_zero, ..shap(&x, None) }), STEPS),
        (Box::new(GradientShap { baselines: far(0.5), ..shap(&x, None) }), STEPS),
    ];
    for (method, passes) in cases {
        let (_, whole) = explain(&mut Engine::new(&graph, &Oracle, None), true, &*method, &x);
        assert_eq!(whole, passes, "{}", method.name());
    }
}

/// A layer's unit is explained from the rest of the network up to it; one inside of the first layers by whole passes.
#[test]
fn targets_inside_of_the_network() {
    let graph = volume(true);
    let x = images(&graph, 1);
    let method = integrated(Quadrature::Middle, true);
    let find = |wanted: fn(&Op) -> bool, at: usize| {
        graph.nodes().iter().filter(|n| wanted(&n.op)).nth(at).unwrap().name.clone()
    };
    let layers =
        [(find(|op| matches!(op, Op::Conv(_)), 1), 0), (find(|op| matches!(op, Op::MaxPool(_)), 0), 0)];
    for (layer, passes) in layers {
        let target = Target::Unit { layer, index: 11 };
        let run = |open: bool| {
            let mut engine = Engine::new(&graph, &Oracle, None);
            let mut watched = Watched { network: &mut engine, open, whole: 0 };
            (maps(&method.attribute(&mut watched, &x, &target).unwrap()), watched.whole)
        };
        let ((expected, _), (found, whole)) = (run(false), run(true));
        assert_eq!(whole, passes);
        assert!(voxplain_tests::relative_error(&found, &expected) < 1e-9);
    }
}

/// Nothing needs more memory than a pass of the whole network.
#[test]
fn a_limit_for_whole_passes_is_enough() {
    let graph = volume(true);
    let x: Vec<Tensor<f32>> = images(&graph, 2).iter().map(Tensor::convert).collect();
    let cpu = Cpu::best();
    let method = integrated(Quadrature::Middle, true);
    let free = explain(&mut Engine::new(&graph, &cpu, None), true, &method, &x).0;
    let needed = (10..).map(|k| k << 10).find(|&limit| {
        let mut engine = Engine::new(&graph, &cpu, Some(limit));
        let mut watched = Watched { network: &mut engine, open: false, whole: 0 };
        method.attribute(&mut watched, &x, &Target::Class(vec![0])).is_ok()
    });
    let (found, whole) = explain(&mut Engine::new(&graph, &cpu, needed), true, &method, &x);
    assert_eq!(whole, 0);
    assert_eq!(maps(&found), maps(&free));
}

/// Completeness is that of the quadrature on the way through the rest of the network.
#[test]
fn maps_add_up() {
    for graph in [volume(true), plane(), inputs()] {
        let steps = Steps::Adaptive { tolerance: 1e-3, most: 512 };
        let method = IntegratedGradients { steps, ..integrated(Quadrature::Middle, true) };
        let (found, whole) =
            explain(&mut Engine::new(&graph, &Oracle, None), true, &method, &images(&graph, 2));
        assert_eq!(whole, 0);
        let (residuals, differences) = (found.residuals.unwrap(), found.differences.unwrap());
        for (residual, difference) in residuals.iter().zip(&differences) {
            assert!(residual.abs() <= 1e-2 * difference.abs(), "{residual} of {difference}");
        }
    }
}
