//! State dicts made to break the builders of named architectures: one sentence each, never a panic, never a recursion
//! that a name's length decides.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use super::common::container;
use proptest::prelude::*;
use std::path::Path;
use voxplain_models::{ArchitectureOptions, Model, architectures};

/// The state dicts of the small cases.
fn states() -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/architectures");
    let files = std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().path());
    let mut files: Vec<_> = files.filter(|p| !p.to_string_lossy().contains(".expected.")).collect();
    files.sort();
    files.iter().map(|f| std::fs::read(f).unwrap()).collect()
}

fn build(arch: &str, bytes: &[u8], spatial: &[usize]) {
    let options = ArchitectureOptions { spatial: spatial.to_vec(), ..Default::default() };
    if let Err(error) = Model::from_state_dict(arch, bytes, &options) {
        assert!(!error.message().is_empty() && !error.message().contains('\n'), "{error}");
    }
}

#[test]
fn every_architecture_refuses_every_other_state_dict_in_one_sentence() {
    for state in states() {
        for (arch, _) in architectures() {
            for spatial in [&[][..], &[1, 1], &[2, 3, 1], &[65536, 65536], &[65536, 65536, 65536], &[0, 4]] {
                build(arch, &state, spatial);
            }
        }
    }
}

#[test]
fn deep_names_do_not_recurse() {
    let one = |name: String| {
        let names = [String::from("model.0.conv.weight"), String::from("model.0.conv.0.conv.weight"), name];
        let mut header = serde_json::Map::new();
        for (i, name) in names.into_iter().enumerate() {
            let offsets = [4 * i, 4 * i + 4];
            let entry = serde_json::json!({"dtype": "F32", "shape": [1, 1, 1, 1], "data_offsets": offsets});
            header.insert(name, entry);
        }
        container(&serde_json::Value::Object(header).to_string(), &[0; 12])
    };
    let deep = one(format!("model{}.0.conv.weight", ".1.submodule".repeat(20_000)));
    build("unet", &deep, &[8, 8]);
    build("attentionunet", &deep, &[8, 8]);
    let chain = one(format!("skip_layers.{}downsample.conv1.conv.weight", "next_layer.".repeat(20_000)));
    build("dynunet", &chain, &[8, 8]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// Digits and letters of the header change, so that shapes, names and order do.
    #[test]
    fn edited_headers_never_panic(
        which in 0usize..64,
        edits in proptest::collection::vec((0usize..4096, proptest::char::range('0', '9')), 1..4),
        sizes in proptest::collection::vec(1usize..40, 0..4),
    ) {
        let all = states();
        let mut state = all[which % all.len()].clone();
        let length = u64::from_le_bytes(state[..8].try_into().unwrap()) as usize;
        let digits: Vec<usize> = (8..8 + length).filter(|&i| state[i].is_ascii_digit()).collect();
        for (at, digit) in edits {
            state[digits[at % digits.len()]] = digit as u8;
        }
        for (arch, _) in architectures() {
            build(arch, &state, &sizes);
        }
    }
}
