//! ONNX keeps large weights in a file beside the model. What that file may be, and what is said where it is not.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::path::{Path, PathBuf};
use voxplain_models::Model;

const WEIGHTS: &str = "picks.onnx.data";

/// A folder of its own with the small model that has its weights in a second file, without that file.
fn folder(name: &str) -> (PathBuf, Vec<u8>, Vec<u8>) {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data");
    let folder = std::env::temp_dir().join(format!("voxplain-external-{name}-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).unwrap();
    let read = |file: &str| std::fs::read(data.join(file)).unwrap();
    (folder, read("picks.onnx"), read(WEIGHTS))
}

fn refused(folder: &Path, model: &[u8], words: &[&str]) {
    let error = Model::from_onnx(model, Some(folder)).unwrap_err();
    for word in words {
        assert!(error.message().contains(word), "{error}");
    }
    assert!(!error.message().contains('\n'), "{error}");
}

/// The model with its weights said to be elsewhere, in a name of the same length.
fn moved(model: &[u8], name: &str) -> Vec<u8> {
    assert_eq!(name.len(), WEIGHTS.len());
    let mut bytes = model.to_vec();
    for at in 0..bytes.len() - WEIGHTS.len() {
        if bytes[at..].starts_with(WEIGHTS.as_bytes()) {
            bytes[at..at + name.len()].copy_from_slice(name.as_bytes());
        }
    }
    bytes
}

#[test]
fn weights_are_read_from_the_file_beside_the_model_and_nowhere_else() {
    let (folder, model, weights) = folder("all");
    refused(&folder, &model, &[WEIGHTS, "tensor", "keep it beside the model"]);
    std::fs::write(folder.join(WEIGHTS), &weights).unwrap();
    assert!(Model::from_onnx(&model, Some(&folder)).is_ok());
    let alone = Model::from_onnx(&model, None).unwrap_err();
    assert!(alone.message().contains(WEIGHTS), "{alone}");
    std::fs::write(folder.join(WEIGHTS), &weights[..weights.len() / 2]).unwrap();
    refused(&folder, &model, &[WEIGHTS, "shorter"]);
    refused(&folder, &moved(&model, "../s.onnx.data1"), &["outside the model's folder"]);
    refused(&folder, &moved(&model, "/etc/hostname12"), &["outside the model's folder"]);
    std::fs::remove_dir_all(folder).unwrap();
}

#[cfg(unix)]
#[test]
fn a_link_out_of_the_folder_is_refused() {
    let (folder, model, weights) = folder("link");
    let elsewhere = std::env::temp_dir().join(format!("voxplain-elsewhere-{}", std::process::id()));
    std::fs::write(&elsewhere, &weights).unwrap();
    std::os::unix::fs::symlink(&elsewhere, folder.join(WEIGHTS)).unwrap();
    refused(&folder, &model, &["outside the model's folder"]);
    std::fs::remove_file(elsewhere).unwrap();
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn a_file_is_what_it_holds_and_pickles_are_named() {
    let (folder, _, _) = folder("content");
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data");
    // A program with another ending is still a program.
    let other = folder.join("model.safetensors");
    std::fs::copy(data.join("conv.pt2"), &other).unwrap();
    assert!(Model::open(&other).is_ok());
    // As torch.save begins, before and since it writes zip archives.
    for bytes in [&b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."[..], b"\x80\x04\x95\xba\0\0\0\0\0\0\0}\x94."] {
        for name in ["model.pth", "model.pt2"] {
            std::fs::write(folder.join(name), bytes).unwrap();
            let error = Model::open(&folder.join(name)).unwrap_err();
            assert!(error.message().contains("pickle"), "{name}: {error}");
        }
    }
    let error = Model::open(&folder).unwrap_err();
    assert!(error.message().contains("folder"), "{error}");
    std::fs::remove_dir_all(folder).unwrap();
}
