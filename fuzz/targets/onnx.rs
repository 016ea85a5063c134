//! ONNX models.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let _ = voxplain::Model::from_onnx(data, None);
});
