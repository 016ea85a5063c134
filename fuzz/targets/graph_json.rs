//! The graph JSON alone, without a container around it.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    if let Ok(text) = std::str::from_utf8(data) {
        let _ = voxplain::models::parse_graph(text);
        let _ = voxplain::models::Card::parse(text);
    }
});
