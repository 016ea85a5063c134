//! The reference cases, computed with PyTorch, Captum and Zennit in double precision.

use voxplain::autodiff::Device;
use voxplain::cpu::Cpu;
use voxplain_oracle::Oracle;
use voxplain_tests::{Comparison, golden_cases, run_case};

/// Rows in which the peer is wrong and this program rightly differs: Captum's softmax rule loses part of the
/// difference, so the peer's two DeepLift rows of `softmax2d` are not complete (golden/README.md says so).
fn peer_is_wrong(name: &str) -> bool {
    name.starts_with("softmax2d/deeplift")
}

fn compare<D: Device>(device: &D, onnx: bool, limit: impl Fn(&Comparison) -> f64) -> (usize, Vec<String>) {
    let (mut compared, mut failures) = (0, Vec::new());
    for case in golden_cases() {
        match run_case(&case, onnx, device) {
            Ok(rows) => {
                for row in rows.iter().filter(|r| !peer_is_wrong(&r.name)) {
                    compared += 1;
                    if row.error > limit(row) {
                        failures.push(format!("{} (onnx {onnx}): {:e}", row.name, row.error));
                    }
                }
            }
            Err(error) => failures.push(format!("{}: {error}", case.display())),
        }
    }
    (compared, failures)
}

/// Both doors, single precision on the CPU: within 1e-4, or 20 times what the peer itself loses in single precision.
#[test]
fn golden_cases_in_single_precision() {
    let cpu = Cpu::best();
    for onnx in [false, true] {
        let (compared, failures) = compare(&cpu, onnx, |row| f64::max(1e-4, 20.0 * row.float32_error));
        println!("{compared} tensors compared");
        assert!(failures.is_empty(), "{}", failures.join("\n"));
    }
}

/// The oracle runs the same plans in double precision. 1e-9, except where a batch normalisation was merged into a layer
/// and rounded to single precision, by the exporter before we could read it or by our own rewrite before LRP: there 1e-5,
/// as golden/README.md says.
#[test]
fn golden_cases_in_double_precision() {
    let rounded = |name: &str| ROUNDED.iter().any(|case| name.starts_with(case));
    let limit = |row: &Comparison| if rounded(&row.name) { 1e-5 } else { 1e-9 };
    let (compared, failures) = compare(&Oracle, false, limit);
    println!("{compared} tensors compared");
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// Cases whose model file holds merged, rounded constants, and rows whose network is merged here.
const ROUNDED: [&str; 2] = ["resnet2d/", "genenet3d/lrp_"];
