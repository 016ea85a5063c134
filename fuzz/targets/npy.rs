//! NumPy arrays and PNG pictures.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let _ = voxplain::imaging::read_npy(data);
    let _ = voxplain::imaging::read_png(data);
});
