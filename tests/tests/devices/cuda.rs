//! The CUDA device on whole networks: reference cases, and random networks against the CPU and against itself. On a machine
//! without a GPU the same launches run on the CPU; the tests on a GPU then say that they were skipped.
#![allow(clippy::unwrap_used)]

use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use std::ops::ControlFlow;
use std::sync::Arc;
use voxplain::attribution::methods::Backward;
use voxplain::attribution::{Change, Engine, Method, Network, Target};
use voxplain::autodiff::{Device, Planner, Session};
use voxplain::cpu::Cpu;
use voxplain::graph::ops::{ConvAttributes, PoolAttributes, Reduction};
use voxplain::graph::{Graph, GraphBuilder, Op};
use voxplain::tensor::Tensor;
use voxplain_oracle::suite::{
    PAIRS, adjoint_defect, adjoint_pair, case as kernel_case, disagreement, kinds, run_kernel,
};
use voxplain_tests::cuda::{gpu, shim};
use voxplain_tests::layers::numbers;
use voxplain_tests::networks::{Case, case};
use voxplain_tests::{golden_cases, run_case};

/// The bound of the reference cases in single precision, the CPU's: 1e-4 of the largest entry, or 20 times what PyTorch
/// loses itself. Rows in which the peer is wrong are left out, as for the CPU.
fn reference_cases<D: Device>(device: &D, wanted: impl Fn(&str) -> bool) -> usize {
    let (mut compared, mut failures) = (0, Vec::new());
    for folder in
        golden_cases().into_iter().filter(|f| f.file_name().is_some_and(|n| wanted(&n.to_string_lossy())))
    {
        for row in run_case(&folder, false, device).unwrap() {
            let excused = row.name.starts_with("softmax2d/deeplift");
            if !excused && row.error > f64::max(1e-4, 20.0 * row.float32_error) {
                failures.push(format!("{}: {:e}", row.name, row.error));
            }
            compared += 1;
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    compared
}

/// Small cases that meet most kernels; the shim is slow.
const SMALL: [&str; 6] = ["mlp", "cnn2d", "poolzoo2d", "softmax2d", "genenet3d", "resnet2d"];

#[test]
fn reference_cases_on_the_shim() {
    let Some(device) = shim(1) else { return };
    let compared = reference_cases(&device, |name| SMALL.contains(&name));
    println!("{compared} tensors compared, {} launches", device.backend().launches());
}

#[test]
fn reference_cases_on_a_gpu() {
    let Some(device) = gpu() else { return };
    println!("{}: {} tensors compared", device.name(), reference_cases(&device, |_| true));
}

#[test]
fn kernels_on_a_gpu_agree_with_the_oracle() {
    let Some(device) = gpu() else { return };
    for seed in 0..40 {
        for kind in 0..kinds().len() {
            assert_eq!(disagreement(&device, &kernel_case(kind, 1 + seed as usize, seed)).unwrap(), None);
        }
        for pair in 0..PAIRS.len() {
            let (forward, adjoint) = adjoint_pair(pair, 1 + seed as usize, seed);
            let (defect, scale) = adjoint_defect(&device, &forward, &adjoint).unwrap();
            assert!(defect <= scale, "{}: {defect} against {scale}", PAIRS[pair]);
        }
    }
}

/// What is put together on the device has the bits of the CPU's rows, in every order of threads.
#[test]
fn rows_between_examples_have_the_bits_of_the_cpu() {
    let mixes = ["mix", "mix_grid", "grid_sums", "accumulate"];
    let noises = ["noise", "noise_between", "noise_gap", "moments"];
    let wanted = [mixes, noises].concat();
    for kind in (0..kinds().len()).filter(|&k| kinds().nth(k).is_some_and(|name| wanted.contains(&name))) {
        for seed in 0..60 {
            let Some(device) = shim(seed as u32 % 4) else { return };
            let case = kernel_case(kind, 23, seed);
            let bits =
                |results: Vec<Vec<f32>>| results.concat().into_iter().map(f32::to_bits).collect::<Vec<_>>();
            let (have, want) =
                (run_kernel(&device, &case).unwrap(), run_kernel(&Cpu::best(), &case).unwrap());
            assert_eq!(bits(have), bits(want), "{:?}", case.kernel);
        }
    }
}

/// Two convolutions with a pooling between them.
fn small() -> Graph {
    let mut b = GraphBuilder::new();
    let x = b.input("x", &[1, 1, 64, 64]).unwrap();
    let conv = ConvAttributes { pads_begin: vec![1; 2], pads_end: vec![1; 2], ..ConvAttributes::plain(2) };
    let w = b.parameter("w", &[4, 1, 3, 3], numbers(1, 36)).unwrap();
    let y = b.node("first", Op::Conv(conv.clone()), &[x, w]).unwrap();
    let y = b.relu("relu", y).unwrap();
    let y = b.node("pool", Op::MaxPool(PoolAttributes::tiles(&[2, 2])), &[y]).unwrap();
    let v = b.parameter("v", &[2, 4, 3, 3], numbers(2, 72)).unwrap();
    let y = b.node("second", Op::Conv(conv), &[y, v]).unwrap();
    let y = b
        .node("sum", Op::Reduce { reduction: Reduction::Sum, axes: vec![2, 3], keep_axes: false }, &[y])
        .unwrap();
    b.finish(&[y]).unwrap()
}

/// Windows away from the border are of one class, and all of them are as many launches as one of them.
#[test]
fn thousands_of_windows_are_one_launch_for_each_step() {
    let graph = small();
    let launches = |windows: usize| -> Option<usize> {
        let device = shim(0)?;
        let mut engine = Engine::new(&graph, &device, None);
        let states = engine.states()?;
        states.enter(0, graph.outputs()[0], &mut |_, _, _, into| into.fill(1.0)).unwrap();
        let before = device.backend().launches();
        let at = |i: usize| 8 + i * 4..12 + i * 4;
        let change = |k: usize| vec![Some(vec![0..1, 0..1, at(k / 10), at(k % 10)])];
        let changes: Vec<Change> = (0..windows).map(change).collect();
        let mut seen = 0;
        let mut take = |_: usize, _: &[f32]| {
            seen += 1;
            ControlFlow::Continue(())
        };
        states.evaluate(0, &changes, &mut |_, _, _, into| into.fill(0.5), &mut take).unwrap();
        assert_eq!(seen, windows);
        Some(device.backend().launches() - before)
    };
    let (Some(two), Some(many)) = (launches(2), launches(100)) else { return };
    assert_eq!(two, many);
    assert!(two < 16, "{two} launches");
}

/// The second run of a plan is recorded; it and later ones launch what the first launched, and give the same bits. New
/// weights end a recording.
#[test]
fn later_runs_are_recordings_of_the_first() {
    let (graph, Some(device)) = (small(), shim(0)) else { return };
    let mut planner = Planner::new(&graph, 1).unwrap().fused(device.joining());
    planner.capture(graph.outputs()[0]);
    let mut session = Session::new(&device, Arc::new(planner.finish::<f32>(None).unwrap())).unwrap();
    let x = Tensor::new(&[1, 1, 64, 64], numbers(3, 64 * 64)).unwrap();
    let run = |session: &mut Session<_>| {
        let before = (device.backend().launches(), device.backend().replays());
        session.forward(&[&x]).unwrap();
        let after = (device.backend().launches(), device.backend().replays());
        (after.0 - before.0, after.1 - before.1, bits(&session.capture(0).unwrap()))
    };
    let runs: Vec<_> = (0..4).map(|_| run(&mut session)).collect();
    assert_eq!(runs.iter().map(|r| r.1).collect::<Vec<_>>(), [0, 1, 1, 1]);
    assert!(runs.iter().all(|r| r.0 == runs[0].0 && r.2 == runs[0].2));
    session.set_parameter(0, &numbers(4, 36)).unwrap();
    let (_, replays, other) = run(&mut session);
    assert!(replays == 0 && other != runs[0].2);
}

/// Saliency of a random network.
fn saliency<D: Device<Scalar = f32>>(device: &D, case: &Case, x: &Tensor<f32>, rows: usize) -> Tensor<f32> {
    let graph = case.graph().unwrap();
    let mut engine = Engine::new(&graph, device, None).with_rows(rows);
    let method = Backward::saliency(false);
    method
        .attribute(&mut engine, std::slice::from_ref(x), &Target::Class(vec![0]))
        .unwrap()
        .maps
        .remove(0)
        .values
}

fn bits(tensor: &Tensor<f32>) -> Vec<u32> {
    tensor.data().iter().map(|v| v.to_bits()).collect()
}

/// The values of the network's outputs.
fn outputs<D: Device<Scalar = f32>>(device: &D, case: &Case, x: &Tensor<f32>) -> Vec<f64> {
    let graph = case.graph().unwrap();
    let values =
        Engine::new(&graph, device, None).values(std::slice::from_ref(x), graph.outputs()[0]).unwrap();
    values.concat().into_iter().map(f64::from).collect()
}

fn pair(case: &Case) -> Tensor<f32> {
    let (a, b) =
        (Case::tensor(&case.x).unwrap().convert::<f32>(), Case::tensor(&case.r).unwrap().convert::<f32>());
    Tensor::new(&[2, 2, 6, 5], [a.data(), b.data()].concat()).unwrap()
}

/// Parity of devices on random networks: outputs within 1e-4 of the largest one plus 1e-5. Gradients have no such bound,
/// since a rounding can move a kink; there the reference cases speak.
const PARITY: (f64, f64) = (1e-4, 1e-5);

fn parity<D: Device<Scalar = f32>>(device: &D, case: &Case) -> Result<(), TestCaseError> {
    let x = pair(case);
    let (have, want) = (outputs(device, case, &x), outputs(&Cpu::best(), case, &x));
    let scale = want.iter().fold(0.0f64, |m, v| m.max(v.abs()));
    for (a, b) in have.iter().zip(&want) {
        prop_assert!(
            (a - b).abs() <= PARITY.0 * scale + PARITY.1,
            "{a} on {}, {b} on the CPU",
            device.name()
        );
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]

    /// Orders of threads and splits of a batch: the same bits.
    #[test]
    fn bits_do_not_depend_on_orders_or_batches(case in case()) {
        let (Some(forwards), Some(backwards)) = (shim(0), shim(1)) else { return Ok(()) };
        let x = pair(&case);
        let once = bits(&saliency(&forwards, &case, &x, 32));
        prop_assert_eq!(&once, &bits(&saliency(&forwards, &case, &x, 1)));
        prop_assert_eq!(&once, &bits(&saliency(&backwards, &case, &x, 32)));
        parity(&forwards, &case)?;
    }
}

/// The same on a GPU, where later runs of a session are recordings.
#[test]
fn bits_on_a_gpu_do_not_depend_on_batches_or_runs() {
    let Some(device) = gpu() else { return };
    let mut runner = TestRunner::new(ProptestConfig::with_cases(64));
    let outcome = runner.run(&case(), |case| {
        let x = pair(&case);
        let once = bits(&saliency(&device, &case, &x, 32));
        prop_assert_eq!(&once, &bits(&saliency(&device, &case, &x, 1)));
        parity(&device, &case)
    });
    outcome.unwrap();
}
