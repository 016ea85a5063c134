//! The reference cases, computed with PyTorch, Captum and Zennit in double precision.

use voxplain::cpu::Cpu;
use voxplain_tests::{golden_cases, run_case};

/// Both doors, single precision on the CPU: within 1e-4, or 20 times what the peer itself loses in single precision.
#[test]
fn golden_cases_in_single_precision() {
    let cpu = Cpu::best();
    let mut failures = Vec::new();
    let mut compared = 0;
    for case in golden_cases() {
        for onnx in [false, true] {
            let rows = match run_case(&case, onnx, &cpu) {
                Ok(rows) => rows,
                Err(error) => {
                    failures.push(format!("{}: {error}", case.display()));
                    continue;
                }
            };
            compared += rows.len();
            for row in rows {
                if row.error > f64::max(1e-4, 20.0 * row.float32_error) {
                    failures.push(format!(
                        "{} (onnx {onnx}): {:e} (peer {:e})",
                        row.name, row.error, row.float32_error
                    ));
                }
            }
        }
    }
    println!("{compared} tensors compared");
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}
