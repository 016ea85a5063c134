//! What the tests share: where the reference cases lie, and small files made by hand.

use std::path::{Path, PathBuf};

/// The reference cases, sorted by name; their absence is printed.
pub fn cases() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/golden");
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|e| e.path());
    let mut cases: Vec<PathBuf> = entries.filter(|p| p.join("case.json").is_file()).collect();
    cases.sort();
    if cases.is_empty() {
        println!("SKIPPED: no reference cases beside the repository");
    }
    cases
}

/// One reference case, if it is there.
pub fn case(name: &str) -> Option<PathBuf> {
    cases().into_iter().find(|p| p.ends_with(name))
}

/// A safetensors file from a header and data.
pub fn container(header: &str, data: &[u8]) -> Vec<u8> {
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend_from_slice(header.as_bytes());
    bytes.extend_from_slice(data);
    bytes
}

/// A tensor of a model file made by hand: name, sizes, and float or whole values.
pub enum Tensor<'a> {
    Float(&'a str, &'a [usize], &'a [f32]),
    Int(&'a str, &'a [usize], &'a [i64]),
}

/// A model file of our own form.
pub fn model(inputs: &str, outputs: &str, nodes: &str, tensors: &[Tensor<'_>]) -> Vec<u8> {
    let graph =
        format!(r#"{{"format":"graph","version":1,"inputs":{inputs},"outputs":{outputs},"nodes":{nodes}}}"#);
    let mut data = Vec::new();
    let mut header = serde_json::Map::new();
    header.insert("__metadata__".into(), serde_json::json!({ "graph": graph }));
    for tensor in tensors {
        let begin = data.len();
        let (name, dtype, shape) = match tensor {
            Tensor::Float(name, shape, values) => {
                data.extend(values.iter().flat_map(|v| v.to_le_bytes()));
                (name, "F32", shape)
            }
            Tensor::Int(name, shape, values) => {
                data.extend(values.iter().flat_map(|v| v.to_le_bytes()));
                (name, "I64", shape)
            }
        };
        let entry = serde_json::json!({"dtype": dtype, "shape": shape, "data_offsets": [begin, data.len()]});
        header.insert(String::from(*name), entry);
    }
    container(&serde_json::Value::Object(header).to_string(), &data)
}
