//! Properties over random networks: gradients against differences, and bits that do not depend on how a run is
//! organised.

use proptest::prelude::*;
use std::sync::Arc;
use voxplain::attribution::methods::{Backward, Smooth, Statistic};
use voxplain::attribution::{Draws, Engine, Method, Network, Target};
use voxplain::autodiff::{Composite, Gradient, Planner, Session};
use voxplain::cpu::{Cpu, Isa};
use voxplain::tensor::Tensor;
use voxplain_oracle::Oracle;
use voxplain_tests::networks::{Case, case};

fn bits(tensor: &Tensor<f32>) -> Vec<u32> {
    tensor.data().iter().map(|v| v.to_bits()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    /// The gradient agrees with a central difference along a random direction, away from kinks and ties,
    /// where the differences to both sides disagree with each other.
    #[test]
    fn gradients_agree_with_differences(case in case()) {
        let graph = case.graph().unwrap();
        let (x, d) = (Case::tensor(&case.x).unwrap(), Case::tensor(&case.r).unwrap());
        let mut engine = Engine::new(&graph, &Oracle, None);
        let gradient = Backward::saliency(false).attribute(&mut engine, std::slice::from_ref(&x), &Target::Class(vec![1])).unwrap();
        let slope: f64 = gradient.maps[0].values.data().iter().zip(d.data()).map(|(g, d)| g * d).sum();
        let mut at = |h: f64| {
            let moved = x.zip(&d, |x, d| x + h * d).unwrap();
            engine.values(&[moved], graph.outputs()[0]).unwrap()[0][1]
        };
        let h = 1e-5;
        let (left, middle, right) = (at(-h), at(0.0), at(h));
        let (before, after, both) = ((middle - left) / h, (right - middle) / h, (right - left) / (2.0 * h));
        let scale = slope.abs() + 1e-3;
        // A smooth function bends by its second derivative times h; more is a kink or a tie, where nothing is promised.
        if (before - after).abs() <= 1e-3 * scale {
            prop_assert!((slope - both).abs() <= 1e-3 * scale, "{slope} {both}");
        }
    }

    /// One thread or two, one example at a time or many, first run or thousandth: the same bits. Every instruction set
    /// agrees with the oracle to single precision.
    #[test]
    fn bits_do_not_depend_on_threads_batches_or_runs(case in case()) {
        let graph = case.graph().unwrap();
        let (a, b) = (Case::tensor(&case.x).unwrap().convert::<f32>(), Case::tensor(&case.r).unwrap().convert::<f32>());
        let both = Tensor::new(&[2, 2, 6, 5], [a.data(), b.data()].concat()).unwrap();
        let method = Smooth {
            base: Box::new(Backward::input_x_gradient()),
            draws: Draws::Seeded { seed: 5, draws: 3, sigma: vec![0.1] },
            statistic: Statistic::Mean,
        };
        for isa in Isa::ALL.into_iter().filter(|i| i.is_available()) {
            let run = |threads: usize, rows: usize, x: &Tensor<f32>| {
                let cpu = Cpu::with_isa(isa).unwrap().with_threads(threads).unwrap();
                let mut engine = Engine::new(&graph, &cpu, None).with_rows(rows);
                method.attribute(&mut engine, std::slice::from_ref(x), &Target::Class(vec![0])).unwrap().maps.remove(0).values
            };
            let reference = run(1, 32, &both);
            prop_assert_eq!(bits(&reference), bits(&run(2, 32, &both)));
            prop_assert_eq!(bits(&reference), bits(&run(2, 1, &both)));
        }
        let cpu = Cpu::best();
        let mut planner = Planner::new(&graph, 1).unwrap();
        planner.reverse(&Composite::everywhere(Gradient), graph.outputs()[0], graph.inputs()).unwrap();
        let mut session = Session::new(&cpu, Arc::new(planner.finish::<f32>(None).unwrap())).unwrap();
        let mut once = || {
            session.forward(&[&a]).unwrap();
            session.reverse(0, &[1.0, 0.0]).unwrap();
            bits(&session.result(0, 0).unwrap())
        };
        let first = once();
        session_noise(&mut once);
        prop_assert_eq!(first, once());
    }
}

/// Nine hundred and ninety-eight runs between the first and the last.
fn session_noise(once: &mut impl FnMut() -> Vec<u32>) {
    (0..998).for_each(|_| {
        once();
    });
}

/// The gradients of parameters, against differences, through every kind of weight.
#[test]
fn parameter_gradients_agree_with_differences() {
    use voxplain::graph::{GraphBuilder, Op, ops::*};
    let mut b = GraphBuilder::new();
    let weights = |n: usize, k: f32| (0..n).map(|i| ((i as f32 * 0.7 + k).sin()) * 0.5).collect::<Vec<f32>>();
    let x = b.input("x", &[1, 2, 5, 4]).unwrap();
    let (w, c) = (
        b.parameter("w", &[3, 2, 3, 2], weights(36, 0.1)).unwrap(),
        b.parameter("c", &[3], weights(3, 0.2)).unwrap(),
    );
    let attributes =
        ConvAttributes { strides: vec![2, 1], pads_begin: vec![1, 0], ..ConvAttributes::plain(2) };
    let y = b.conv("conv", x, w, Some(c), attributes).unwrap();
    let norm: Vec<_> = (0..4)
        .map(|i| {
            let values = if i == 3 { vec![0.5, 1.5, 0.7] } else { weights(3, i as f32) };
            b.parameter(&format!("bn{i}"), &[3], values).unwrap()
        })
        .collect();
    let y = b
        .node("bn", Op::BatchNormalization { epsilon: 1e-5 }, &[y, norm[0], norm[1], norm[2], norm[3]])
        .unwrap();
    let slope = b.parameter("slope", &[3, 1, 1], weights(3, 2.0)).unwrap();
    let y = b.node("prelu", Op::PRelu, &[y, slope]).unwrap();
    let t = b.parameter("t", &[3, 2, 2, 2], weights(24, 3.0)).unwrap();
    let transposed = ConvTransposeAttributes {
        conv: ConvAttributes { strides: vec![2, 2], ..ConvAttributes::plain(2) },
        output_padding: vec![1, 0],
    };
    let y = b.node("up", Op::ConvTranspose(transposed), &[y, t]).unwrap();
    let (g, h) =
        (b.parameter("g", &[2], weights(2, 4.0)).unwrap(), b.parameter("h", &[2], weights(2, 5.0)).unwrap());
    let y = b.node("norm", Op::GroupNormalization { groups: 2, epsilon: 1e-3 }, &[y, g, h]).unwrap();
    let y = b
        .node("flat", Op::Reduce { reduction: Reduction::Max, axes: vec![2], keep_axes: false }, &[y])
        .unwrap();
    let y = b.node("shape", Op::Reshape { sizes: vec![1, b.shape(y).elements()] }, &[y]).unwrap();
    let width = b.shape(y)[1];
    let (f, e) = (
        b.parameter("f", &[2, width], weights(2 * width, 6.0)).unwrap(),
        b.parameter("e", &[2], weights(2, 7.0)).unwrap(),
    );
    let y = b.linear("fc", y, f, Some(e)).unwrap();
    let graph = b.finish(&[y]).unwrap();

    let batch = 2;
    let wanted: Vec<_> =
        ["w", "c", "bn0", "bn1", "slope", "t", "g", "h", "f", "e"].map(|n| graph.find(n).unwrap()).to_vec();
    let mut planner = Planner::new(&graph, batch).unwrap();
    planner.capture(y);
    planner.reverse(&Composite::everywhere(Gradient), y, &wanted).unwrap();
    let mut session = Session::new(&Oracle, Arc::new(planner.finish::<f64>(None).unwrap())).unwrap();
    let x = Tensor::new(&[batch, 2, 5, 4], (0..80).map(|i| (f64::from(i) * 1.3).cos()).collect()).unwrap();
    let seed = [1.0, -0.5, 0.3, 2.0];
    let value = |session: &mut Session<'_, Oracle>| {
        session.forward(&[&x]).unwrap();
        session.capture(0).unwrap().data().iter().zip(seed).map(|(v, s)| v * s).sum::<f64>()
    };
    value(&mut session);
    session.reverse(0, &seed).unwrap();
    let gradients: Vec<Tensor<f64>> = (0..wanted.len()).map(|i| session.result(0, i).unwrap()).collect();
    for (i, &v) in wanted.iter().enumerate() {
        let name = &graph.value(v).name;
        let index = graph.parameters().iter().position(|p| &p.name == name).unwrap();
        let original: Vec<f64> = graph.parameters()[index].data.iter().map(|&v| f64::from(v)).collect();
        for at in (0..original.len()).step_by(1 + original.len() / 5) {
            let mut moved = |h: f64| {
                let mut data = original.clone();
                data[at] += h;
                session.set_parameter(index, &data).unwrap();
                value(&mut session)
            };
            let difference = (moved(1e-6) - moved(-1e-6)) / 2e-6;
            session.set_parameter(index, &original).unwrap();
            let gradient = gradients[i].data()[at];
            assert!(
                (gradient - difference).abs() <= 1e-6 * (1.0 + difference.abs()),
                "{name}[{at}]: {gradient} {difference}"
            );
        }
    }
}

/// Folding batch normalisation computes the same function and says that it ran.
#[test]
fn folding_keeps_the_function() {
    let Some(golden) = voxplain_tests::shared("golden") else { return };
    let model = voxplain::Model::open(&golden.join("genenet3d/model.safetensors")).unwrap();
    let folded = voxplain::graph::rewrite::fold_batch_normalization(&model.graph).unwrap();
    assert_eq!(folded.rewrites(), ["fold_batch_normalization (3 nodes)"]);
    assert_eq!(folded.nodes().len() + 3, model.graph.nodes().len());
    let shape = model.graph.shape(model.graph.inputs()[0]);
    let x = Tensor::new(&shape, (0..shape.elements()).map(|i| (i as f64 * 0.37).sin()).collect()).unwrap();
    let logits = |graph: &voxplain::graph::Graph| {
        Engine::new(graph, &Oracle, None)
            .values(std::slice::from_ref(&x), graph.outputs()[0])
            .unwrap()
            .remove(0)
    };
    let (before, after) = (logits(&model.graph), logits(&folded));
    // Folded weights are rounded once to single precision.
    assert!(voxplain_tests::relative_error(&after, &before) < 1e-6, "{before:?} {after:?}");
}

/// Every activation's derivative against differences away from kinks, and its divided difference against the mean of the
/// derivative, on the oracle; kernels of devices are compared with naive loops in their own crates.
#[test]
fn activations_agree_with_differences() {
    use voxplain::graph::ops::Pointwise::*;
    let all = [
        Relu,
        LeakyRelu { alpha: 0.1 },
        Elu { alpha: 1.3 },
        Selu { alpha: 1.67, gamma: 1.05 },
        Gelu,
        GeluTanh,
        Sigmoid,
        HardSigmoid { alpha: 0.2, beta: 0.5 },
        HardSwish,
        Silu,
        Mish,
        Tanh,
        Softplus,
        Clip { low: -0.7, high: 1.9 },
        Exp,
        Abs,
        Erf,
        Log,
        Sqrt,
        Reciprocal,
        Affine { scale: -2.0, shift: 0.5 },
    ];
    for f in all {
        let start = if matches!(f, Log | Sqrt | Reciprocal) { 0.3 } else { -4.013 };
        for i in 0..160 {
            let (x, h) = (start + f64::from(i) * 0.0507, 1e-5);
            let (left, middle, right) = (
                voxplain_oracle::value(f, x - h),
                voxplain_oracle::value(f, x),
                voxplain_oracle::value(f, x + h),
            );
            if ((right - middle) - (middle - left)).abs() > 1e-3 * h {
                continue;
            }
            let difference = (right - left) / (2.0 * h);
            let derivative = voxplain_oracle::derivative(f, x);
            assert!(
                (difference - derivative).abs() <= 1e-8 * (1.0 + derivative.abs()),
                "{f:?} at {x}: {difference} {derivative}"
            );
            let slope = voxplain_oracle::slope(f, x + h, x - h);
            assert!(
                (slope - difference).abs() <= 1e-8 * (1.0 + derivative.abs()),
                "{f:?} at {x}: slope {slope} {difference}"
            );
        }
    }
}

/// A tap that meets no data has gradient 0: three taps over one entry behind two zeros, of which only the last meets it.
#[test]
fn a_tap_without_data_has_no_gradient() {
    use voxplain::graph::{GraphBuilder, ops::ConvAttributes};
    let mut b = GraphBuilder::new();
    let x = b.input("x", &[1, 1, 1]).unwrap();
    let w = b.parameter("w", &[1, 1, 3], vec![1.0, 2.0, 3.0]).unwrap();
    let attributes = ConvAttributes { pads_begin: vec![2], ..ConvAttributes::plain(1) };
    let y = b.conv("conv", x, w, None, attributes).unwrap();
    let graph = b.finish(&[y]).unwrap();
    let mut planner = Planner::new(&graph, 1).unwrap();
    planner.reverse(&Composite::everywhere(Gradient), y, &[w]).unwrap();
    let cpu = Cpu::best();
    let mut session = Session::new(&cpu, Arc::new(planner.finish::<f32>(None).unwrap())).unwrap();
    session.forward(&[&Tensor::new(&[1, 1, 1], vec![5.0f32]).unwrap()]).unwrap();
    session.reverse(0, &[1.0]).unwrap();
    assert_eq!(session.result(0, 0).unwrap().data(), [0.0, 0.0, 5.0]);
}
