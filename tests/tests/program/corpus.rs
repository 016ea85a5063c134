//! The seeds of the fuzz targets, and inputs that once crashed them, go through the same readers on every test run: a
//! crash that was mended stays mended without a fuzzer, and the seeds are as valid as their names say.

#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};
use voxplain::{Model, imaging, models, request};

/// Words in the names of seeds that are there to be refused: damaged files, number types that the readers do not take,
/// a state dict whose input size has to be named, forms of PyTorch's files that need another reader.
const REFUSED: [&str; 10] = [
    "refused",
    "truncated",
    "header_cut",
    "four_dimensions",
    "rgb.nii",
    "complex",
    "f2",
    "genenet_state",
    "compressed",
    "pickled",
];

fn files(kind: &str, target: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz").join(kind).join(target);
    std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()).collect()
}

/// Reads every file; those that are refused although their names do not say so.
fn refused(target: &str, read: impl Fn(&[u8]) -> Result<(), String>) -> Vec<String> {
    for path in files("regressions", target) {
        let _ = read(&std::fs::read(path).unwrap());
    }
    let seeds = files("corpus", target);
    assert!(!seeds.is_empty(), "{target} has no seeds");
    let mut found = Vec::new();
    for path in seeds {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let result = read(&std::fs::read(&path).unwrap());
        let expected = REFUSED.iter().any(|word| name.contains(word));
        match result {
            Err(error) if !expected => found.push(format!("{name}: {error}")),
            Ok(()) if expected => found.push(format!("{name}: read although it must be refused")),
            _ => {}
        }
    }
    found
}

/// One sentence, or nothing.
fn sentence<T, E: ToString>(result: Result<T, E>) -> Result<(), String> {
    result.map(drop).map_err(|error| error.to_string())
}

#[test]
fn model_files() {
    let read = |bytes: &[u8]| {
        let state = sentence(Model::from_state_dict("genenet", bytes, &Default::default()));
        sentence(Model::from_bytes(bytes)).or(state)
    };
    assert_eq!(refused("model_file", read), [""; 0]);
}

#[test]
fn graphs_and_cards() {
    let read = |bytes: &[u8]| {
        let text = std::str::from_utf8(bytes).map_err(|error| error.to_string())?;
        let card = sentence(models::Card::parse(text));
        sentence(models::parse_graph(text)).or(card)
    };
    assert_eq!(refused("graph_json", read), [""; 0]);
}

#[test]
fn onnx() {
    assert_eq!(refused("onnx", |bytes| sentence(Model::from_onnx(bytes, None))), [""; 0]);
}

#[test]
fn pytorch_programs() {
    assert_eq!(refused("pt2", |bytes| sentence(Model::from_pt2(bytes))), [""; 0]);
}

#[test]
fn nifti() {
    let read = |bytes: &[u8]| {
        let _ = imaging::read_nifti_bytes(bytes, Some(1));
        sentence(imaging::read_nifti_bytes(bytes, None))
    };
    assert_eq!(refused("nifti", read), [""; 0]);
}

#[test]
fn arrays_and_pictures() {
    let read = |bytes: &[u8]| {
        let picture = sentence(imaging::read_png(bytes));
        sentence(imaging::read_npy(bytes)).or(picture)
    };
    assert_eq!(refused("npy", read), [""; 0]);
}

#[test]
fn requests() {
    let read = |bytes: &[u8]| {
        let text = std::str::from_utf8(bytes).map_err(|error| error.to_string())?;
        sentence(request::parse(text))
    };
    assert_eq!(refused("request", read), [""; 0]);
}

#[test]
fn composites() {
    let bytes = files("corpus", "model_file").into_iter().find(|p| p.ends_with("convzoo2d")).unwrap();
    let model = Model::from_bytes(&std::fs::read(bytes).unwrap()).unwrap();
    let read = |bytes: &[u8]| {
        let text = std::str::from_utf8(bytes).map_err(|error| error.to_string())?;
        let params = request::parse_composite(text).map_err(|error| error.to_string())?;
        // Whether it fits this network does not matter; that it is said in one sentence does.
        let _ = voxplain::rules(&model, &request::Request { params, ..request::Request::named("composite") });
        Ok(())
    };
    assert_eq!(refused("composite", read), [""; 0]);
}
