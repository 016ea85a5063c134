//! The CUDA device on whole networks: reference cases, and random networks against the CPU and against itself. On a machine
//! without a GPU the same launches run on the CPU; the tests on a GPU then say that they were skipped.
#![allow(clippy::unwrap_used)]

use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use voxplain::attribution::methods::Backward;
use voxplain::attribution::{Engine, Method, Target};
use voxplain::autodiff::Device;
use voxplain::cpu::Cpu;
use voxplain::tensor::Tensor;
use voxplain_oracle::suite::{PAIRS, adjoint_defect, adjoint_pair, case as kernel_case, disagreement, kinds};
use voxplain_tests::cuda::{gpu, shim};
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
    use voxplain::attribution::Network;
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
