//! NIfTI, plain and gzipped.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let _ = voxplain::imaging::read_nifti_bytes(data, None);
    let _ = voxplain::imaging::read_nifti_bytes(data, Some(1));
});
