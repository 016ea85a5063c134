//! Model files, and state dicts by architecture.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let _ = voxplain::Model::from_bytes(data);
    let _ = voxplain::Model::from_state_dict("genenet", data, &Default::default());
});
