//! PyTorch's values for the small programs of `crates/models/tests/data` (written by `bench/tiny.py`): outputs and
//! gradients for two inputs that were not the tracing input, without Python. `picks.onnx`, by the newer exporter, has its
//! weights in a file of their own; `script.onnx` is by the older one.
#![allow(clippy::unwrap_used)]

use std::path::Path;
use voxplain::Model;
use voxplain::autodiff::Device;
use voxplain::cpu::Cpu;
use voxplain::models::read_tensors;
use voxplain_oracle::Oracle;
use voxplain_tests::parity::compare;

fn agree<D: Device>(device: &D, limit: f64) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates/models/tests/data");
    let programs = ["conv", "free_batch", "gates", "in_place", "norms", "pools", "two_inputs"];
    let files = programs.map(|name| format!("{name}.pt2"));
    for name in files.iter().map(String::as_str).chain(["picks.onnx", "script.onnx"]) {
        let file = folder.join(name);
        let model = Model::open(&file).unwrap();
        let check = std::fs::read(file.with_extension("check.safetensors")).unwrap();
        let saved = Model::from_bytes(&model.to_bytes().unwrap()).unwrap();
        for model in [model, saved] {
            let parity = compare(&model, &read_tensors(&check).unwrap().0, device).unwrap();
            assert!(parity.output < limit && parity.gradient < limit, "{name}: {parity:?}");
        }
    }
}

#[test]
fn outputs_and_gradients_are_those_of_pytorch() {
    agree(&Cpu::best(), 2e-6);
}

#[test]
fn in_double_precision_too() {
    // The weights, the inputs and the expected values are rounded to single precision, merged weights once more.
    agree(&Oracle, 1e-6);
}
