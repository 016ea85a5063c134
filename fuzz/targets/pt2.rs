//! PyTorch programs.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let _ = voxplain::Model::from_pt2(data);
});
