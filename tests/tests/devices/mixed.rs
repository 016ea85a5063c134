//! Inputs that a device puts together itself, from an example, what fills it and a few numbers for each row, give the bits of
//! inputs that the host writes: maps, scores and values, on the CPU and with the CUDA kernels in several orders of threads; and
//! nothing of an image's size crosses to the device for a row.
#![allow(clippy::unwrap_used)]

use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use std::ops::ControlFlow;
use std::sync::Arc;
use voxplain::attribution::methods::{
    Backward, Baseline, GradientShap, IntegratedGradients, Scaling, ShapDraws, Smooth, Statistic, Steps,
};
use voxplain::attribution::rules::{DeepLiftRescale, HostNode, HostRule};
use voxplain::attribution::{
    Attribution, Draws, Engine, Ground, Method, Network, PassSpec, Quadrature, Rules, Shares, Target,
};
use voxplain::autodiff::{Composite, Device, Gradient, Matcher};
use voxplain::cpu::Cpu;
use voxplain::graph::Graph;
use voxplain::perturbation::methods::{
    Distance, KernelRows, KernelShap, Lime, LimeRows, Permutations, Rise, RiseMasks, ShapleySampling, Sobol,
    SobolPoints, Surrogate,
};
use voxplain::perturbation::{Features, Sharing};
use voxplain::tensor::{Error, ErrorKind, Scalar, Tensor};
use voxplain_oracle::Oracle;
use voxplain_tests::cuda::{gpu, shim};
use voxplain_tests::layers::{layers, numbers};

/// Scattered features.
fn features(graph: &Graph) -> Features {
    let mask = |sizes: &[usize]| {
        let labels = (0..sizes.iter().product()).map(|i: usize| (i * i % 7 % 5) as f64);
        Tensor::new(sizes, labels.collect()).unwrap()
    };
    let masks: Vec<Tensor<f64>> = graph.inputs().iter().map(|&v| mask(&graph.shape(v))).collect();
    Features::from_masks(graph, &masks).unwrap()
}

fn real<S: Scalar>(values: &[f32]) -> Vec<S> {
    values.iter().map(|&v| S::from_f64(f64::from(v))).collect()
}

fn tensor<S: Scalar>(sizes: &[usize], seed: u64) -> Tensor<S> {
    Tensor::new(sizes, real(&numbers(seed, sizes.iter().product()))).unwrap()
}

fn inputs<S: Scalar>(graph: &Graph, seed: u64) -> Vec<Tensor<S>> {
    graph.inputs().iter().map(|&v| tensor(&graph.shape(v), seed)).collect()
}

fn rise<S: Scalar>(graph: &Graph, sharing: Sharing, centred: bool) -> Rise<S> {
    let masks = RiseMasks::Seeded { seed: 4, draws: 9 };
    Rise { baseline: Baseline::Given(inputs(graph, 8)), cells: 2, probability: 0.4, sharing, centred, masks }
}

fn noise<S>(draws: usize, sigma: f64) -> Option<Draws<S>> {
    Some(Draws::Seeded { seed: 0x1234_5678_9abc_def0, draws, sigma: vec![sigma] })
}

/// What adds up over draws of noise: every scaling and statistic, other rules, several baselines, no noise, and draws that are
/// given.
fn noisy<S: Scalar>(graph: &Graph, examples: usize) -> Vec<Box<dyn Method<S>>> {
    let mut made: Vec<Box<dyn Method<S>>> = Vec::new();
    for (base, statistic) in [
        (Backward::saliency(false), Statistic::Mean),
        (Backward::saliency(true), Statistic::Variance),
        (Backward::input_x_gradient(), Statistic::MeanOfSquares),
        (Backward::guided_backprop(), Statistic::Mean),
    ] {
        let draws = noise(5, 0.3).unwrap();
        made.push(Box::new(Smooth { base: Box::new(base), draws, statistic }));
    }
    let rows = |count: usize| {
        let one = |&v: &_| tensor(&[&[count * graph.shape(v)[0]], &graph.shape(v)[1..]].concat(), 9);
        graph.inputs().iter().map(one).collect::<Vec<_>>()
    };
    let seeded = || ShapDraws::Seeded { seed: 11, draws: 7 };
    let given = ShapDraws::Given {
        baseline: (0..2).map(|k| (0..examples).map(|n| (k + n) % 2).collect()).collect(),
        alpha: [0.3, 1.0].map(|alpha| vec![alpha; examples]).to_vec(),
    };
    for (count, draws, noise) in
        [(3, seeded(), noise(7, 0.2)), (1, seeded(), None), (2, given, noise(2, 1.0))]
    {
        made.push(Box::new(GradientShap { baselines: rows(count), draws, noise }));
    }
    made
}

/// Noise over methods that need the host: a rule that compares with a reference, and one that is computed there.
fn hosted<S: Scalar>() -> Vec<Box<dyn Method<S>>> {
    let gate = |n: &HostNode<'_>| {
        let kept = n.upper.data.iter().zip(n.inputs[0].data).map(|(g, x)| if *x > 0.5 { *g } else { 0.0 });
        Ok(vec![Some(kept.collect())])
    };
    let composite =
        Composite::everywhere(Gradient).on(Matcher::Kind("Relu".into()), HostRule::new("gate", gate));
    let gated = Arc::new(Rules { name: "gated".into(), composite });
    let bases = [
        Backward::with_rule("deeplift", DeepLiftRescale, Scaling::None),
        Backward::with_table("gated", gated, Scaling::None),
    ];
    let one = |base: Backward| -> Box<dyn Method<S>> {
        Box::new(Smooth { base: Box::new(base), draws: noise(3, 0.3).unwrap(), statistic: Statistic::Mean })
    };
    bases.into_iter().map(one).collect()
}

fn methods<S: Scalar>(graph: &Graph, examples: usize) -> Vec<Box<dyn Method<S>>> {
    let (baseline, features) = (|| Baseline::Given(inputs(graph, 8)), || features(graph));
    let (rows, distance) = (LimeRows::Seeded { seed: 2, draws: 12 }, Distance::Euclidean);
    let surrogate = Surrogate::Ridge(0.1);
    let permutations = Permutations::Seeded { seed: 3, draws: 2, antithetic: true };
    let mut made: Vec<Box<dyn Method<S>>> = vec![
        Box::new(KernelShap {
            baseline: baseline(),
            features: features(),
            rows: KernelRows::Leverage { seed: 5, draws: 14 },
        }),
        Box::new(Lime {
            baseline: baseline(),
            features: features(),
            rows,
            distance,
            kernel_width: 2.0,
            surrogate,
        }),
        Box::new(Sobol {
            baseline: baseline(),
            features: features(),
            points: SobolPoints::Seeded { seed: 6, draws: 4 },
        }),
        Box::new(ShapleySampling { baseline: baseline(), features: features(), permutations }),
        Box::new(IntegratedGradients {
            baseline: baseline(),
            steps: Steps::Fixed(Quadrature::GaussLegendre, 7),
            multiply_by_inputs: true,
        }),
        Box::new(rise(graph, Sharing::Own, true)),
        Box::new(rise(graph, Sharing::Joint, false)),
    ];
    made.extend(noisy(graph, examples));
    made
}

/// Maps, scores and values.
fn numbers_of<S: Scalar>(found: &Attribution<S>) -> Vec<Vec<f64>> {
    let maps = found.maps.iter().map(|m| m.values.data().iter().map(|v| v.to_f64()).collect());
    let scores = found.scores.iter().flat_map(|s| s.values.iter().cloned());
    maps.chain(scores).chain([found.values.clone()]).collect()
}

/// The same bits, or with `loose` the same numbers but for roundings of double precision.
fn same(a: &[Vec<f64>], b: &[Vec<f64>], loose: bool) -> bool {
    let near =
        |(a, b): (&f64, &f64)| a.to_bits() == b.to_bits() || loose && (a - b).abs() <= 1e-9 * (1.0 + b.abs());
    let all = |(a, b): (&Vec<f64>, &Vec<f64>)| a.len() == b.len() && a.iter().zip(b).all(near);
    a.len() == b.len() && a.iter().zip(b).all(all)
}

/// Two examples, with rows of any number at once, by changes or by full passes, with little memory or much.
fn check<D: Device>(device: &D, graph: &Graph, (rows, partial, tight): (usize, bool, bool), loose: bool) {
    let pair = |(a, b): (Tensor<D::Scalar>, Tensor<D::Scalar>)| {
        let sizes = [&[2 * a.shape()[0]], &a.shape()[1..]].concat();
        Tensor::new(&sizes, [a.data(), b.data()].concat()).unwrap()
    };
    let x: Vec<Tensor<D::Scalar>> = inputs(graph, 5).into_iter().zip(inputs(graph, 6)).map(pair).collect();
    let target = Target::Class(vec![0]);
    let limit = tight.then(|| {
        let output = graph.outputs()[0];
        let spec = PassSpec { table: None, from: output, wanted: vec![], captures: vec![output] };
        Engine::new(graph, device, None).plan(&spec, 1).unwrap().arena_bytes
    });
    for method in methods(graph, 2).into_iter().chain(hosted()) {
        let run = |mixing: bool| {
            let engine = Engine::new(graph, device, limit).with_rows(rows).with_mixing(mixing);
            let mut engine = if partial { engine } else { engine.with_full_passes() };
            // Little memory is too little for some, whoever makes the rows.
            method.attribute(&mut engine, &x, &target).map(|found| numbers_of(&found)).map_err(|e| e.kind())
        };
        match (run(true), run(false)) {
            (Ok(there), Ok(here)) => assert!(same(&there, &here, loose), "{}", method.name()),
            // Rows that are made there may need less memory.
            (Ok(_), Err(ErrorKind::Limit)) => {}
            (there, here) => assert_eq!(there.err(), here.err(), "{}", method.name()),
        }
    }
}

fn ways() -> impl Strategy<Value = (usize, bool, bool)> {
    (1usize..9, any::<bool>(), any::<bool>())
}

/// A method that does not say that it is one pass.
struct Silent(Backward);

impl<S: Scalar> Method<S> for Silent {
    fn name(&self) -> &'static str {
        Method::<S>::name(&self.0)
    }

    fn passes(&self) -> (u64, u64) {
        Method::<S>::passes(&self.0)
    }

    fn attribute(
        &self,
        network: &mut dyn Network<S>,
        inputs: &[Tensor<S>],
        target: &Target,
    ) -> Result<Attribution<S>, Error> {
        self.0.attribute(network, inputs, target)
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn noise_over_one_pass_is_noise_over_any_method(net in layers(), rows in 1usize..6, absolute in any::<bool>()) {
        let (graph, device) = (net.graph().unwrap(), Cpu::best().with_threads(2).unwrap());
        let base = || Backward::saliency(absolute);
        let found = |base: Box<dyn Method<f32>>| {
            let smooth = Smooth { base, draws: noise(3, 0.3).unwrap(), statistic: Statistic::MeanOfSquares };
            let mut engine = Engine::new(&graph, &device, None).with_rows(rows);
            let x = inputs(&graph, 5);
            let found = smooth.attribute(&mut engine, &x, &Target::Class(vec![0]));
            found.map(|found| numbers_of(&found)).map_err(|error| error.to_string())
        };
        let (known, unknown) = (found(Box::new(base())), found(Box::new(Silent(base()))));
        prop_assert!(known.is_err() == unknown.is_err());
        if let (Ok(known), Ok(unknown)) = (known, unknown) {
            prop_assert!(same(&known, &unknown, false));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]

    #[test]
    fn maps_are_the_same_whoever_makes_the_rows(net in layers(), ways in ways()) {
        check(&Cpu::best().with_threads(2).unwrap(), &net.graph().unwrap(), ways, false);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4, ..ProptestConfig::default() })]

    /// The oracle interpolates by another formula.
    #[test]
    fn so_they_are_in_double_precision(net in layers(), ways in ways()) {
        check(&Oracle, &net.graph().unwrap(), ways, true);
    }

    #[test]
    fn so_they_are_on_cuda(net in layers(), ways in ways(), order in 0u32..3) {
        let Some(device) = shim(order) else { return Ok(()) };
        check(&device, &net.graph().unwrap(), ways, false);
    }
}

#[test]
fn so_they_are_on_a_gpu() {
    let Some(device) = gpu() else { return };
    let mut runner = TestRunner::new(ProptestConfig::with_cases(24));
    let checked = runner.run(&(layers(), ways()), |(net, ways)| {
        check(&device, &net.graph().unwrap(), ways, false);
        Ok(())
    });
    checked.unwrap();
}

/// One convolution over a large image and the sum of all: copies to the device would be seen.
fn large() -> Graph {
    use voxplain::graph::ops::{ConvAttributes, Reduction};
    let mut b = voxplain::graph::GraphBuilder::new();
    let x = b.input("x", &[1, 2, 40, 32]).unwrap();
    let w = b.parameter("w", &[2, 2, 3, 3], numbers(1, 36)).unwrap();
    let y = b.conv("conv", x, w, None, ConvAttributes::padded(2, 1)).unwrap();
    let y = b.relu("relu", y).unwrap();
    let sum = voxplain::graph::Op::Reduce { reduction: Reduction::Sum, axes: vec![2, 3], keep_axes: false };
    let y = b.node("sum", sum, &[y]).unwrap();
    b.finish(&[y]).unwrap()
}

#[test]
fn a_row_is_a_few_numbers() {
    let (graph, Some(device)) = (large(), shim(0)) else { return };
    let (image, features) = (2 * 40 * 32, features(&graph));
    let (x, fill) = (real::<f32>(&numbers(1, image)), vec![0.0; image]);
    let mut engine = Engine::new(&graph, &device, None).with_rows(8);
    let mixing = engine.mixing().unwrap();
    let shares = Shares::Labelled { labels: vec![features.of(0, 0)], count: features.count() };
    assert!(mixing.lay(&Ground { ends: vec![(&x, &fill)], shares }).unwrap());
    let before = device.backend().uploaded();
    assert!(before >= 3 * 4 * image);
    let mut seen = 0;
    let mut take = |_: usize, _: &[f32]| {
        seen += 1;
        ControlFlow::Continue(())
    };
    let mut numbers = |row: usize, _: usize, into: &mut [f64]| {
        into.iter_mut().enumerate().for_each(|(f, v)| *v = f64::from(u8::from(row >> f & 1 == 1)));
    };
    mixing.mix(graph.outputs()[0], 32, &mut numbers, &mut take).unwrap();
    assert_eq!(seen, 32);
    // The weights are uploaded once, a row is three numbers for every feature.
    let weights = 4 * 36;
    assert_eq!(device.backend().uploaded() - before, weights + 32 * features.count() * 3 * 4);
}

/// A device that prefers to put rows together is asked to, method by method.
#[test]
fn masks_stay_on_the_device() {
    let (graph, Some(device)) = (large(), shim(0)) else { return };
    let (x, image) = (inputs::<f32>(&graph, 5), 4 * 2 * 40 * 32);
    for method in methods::<f32>(&graph, 1) {
        let before = device.backend().uploaded();
        let found =
            method.attribute(&mut Engine::new(&graph, &device, None), &x, &Target::Class(vec![0])).unwrap();
        let images = (device.backend().uploaded() - before) / image;
        // What a method starts from, walks begin at, and a few numbers for each row.
        assert!(images <= 9, "{}: {images} images for {} rows", method.name(), found.forward_passes);
    }
}

/// However many draws there are, nothing of an image's size goes to the device for one of them.
#[test]
fn noise_stays_on_the_device() {
    let (graph, Some(device)) = (large(), shim(0)) else { return };
    let (x, image) = (inputs::<f32>(&graph, 5), 4 * 2 * 40 * 32);
    let uploaded = |draws: usize| {
        let smooth =
            |base| Smooth { base, draws: noise(draws, 0.1).unwrap(), statistic: Statistic::Variance };
        let shap = GradientShap {
            baselines: inputs(&graph, 8),
            draws: ShapDraws::Seeded { seed: 1, draws },
            noise: noise(draws, 0.1),
        };
        let made: [Box<dyn Method<f32>>; 2] =
            [Box::new(smooth(Box::new(Backward::input_x_gradient()))), Box::new(shap)];
        made.map(|method| {
            let before = device.backend().uploaded();
            let mut engine = Engine::new(&graph, &device, None).with_rows(4);
            method.attribute(&mut engine, &x, &Target::Class(vec![0])).unwrap();
            device.backend().uploaded() - before
        })
    };
    for (few, many) in uploaded(4).into_iter().zip(uploaded(16)) {
        assert!(few < 4 * image && many - few < image / 2, "{few} and {many} bytes");
    }
}

/// A stack of slices, in the layouts that networks of slices have, and a sum over all entries.
fn stack(sizes: &[usize], slices: &[usize]) -> Graph {
    use voxplain::graph::Op;
    let mut b = voxplain::graph::GraphBuilder::new();
    let mut x = b.input("x", sizes).unwrap();
    if sizes != slices {
        x = b.node("slices", Op::Reshape { sizes: slices.to_vec() }, &[x]).unwrap();
    }
    let entries = sizes.iter().product();
    let flat = b.node("flat", Op::Reshape { sizes: vec![1, entries] }, &[x]).unwrap();
    let y = b.relu("relu", flat).unwrap();
    let w = b.parameter("w", &[2, entries], numbers(9, 2 * entries)).unwrap();
    let y = b.linear("linear", y, w, None).unwrap();
    b.finish(&[y]).unwrap()
}

/// Slices of several channels and of one, as the leading axis and made into it.
#[test]
fn stacks_of_slices_are_the_same_too() {
    for channels in [1, 3] {
        let slices = [4, channels, 5, 6];
        for sizes in [&slices[..], &[1, 4, channels, 5, 6]] {
            let graph = stack(sizes, &slices);
            for partial in [false, true] {
                check(&Cpu::best().with_threads(2).unwrap(), &graph, (3, partial, false), false);
                check(&Oracle, &graph, (3, partial, false), true);
                if let Some(device) = shim(1) {
                    check(&device, &graph, (3, partial, false), false);
                }
            }
        }
    }
}
