//! What the suites share: where the reference cases lie, and how a map is compared with one.
#![forbid(unsafe_code)]

pub mod captum;
pub mod cuda;
pub mod dense;
pub mod layers;
pub mod networks;
pub mod parity;
pub mod program;

use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use voxplain::attribution::{Engine, Grid};
use voxplain::autodiff::Device;
use voxplain::models::{Constant, read_tensors};
use voxplain::request::{self, Context, METHODS, Supervoxels};
use voxplain::tensor::Scalar;
use voxplain::{Model, Result};

/// The folder of reference material beside the repository, or where `VOXPLAIN_SHARED` says (on a GPU host there is no
/// repository), if it is there; its absence is printed.
pub fn shared(part: &str) -> Option<PathBuf> {
    let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared");
    let folder = std::env::var_os("VOXPLAIN_SHARED").map_or_else(beside, PathBuf::from).join(part);
    if folder.is_dir() {
        return Some(folder);
    }
    println!("SKIPPED: no {part} beside the repository");
    None
}

/// The reference cases, sorted by name.
pub fn golden_cases() -> Vec<PathBuf> {
    let Some(folder) = shared("golden") else { return Vec::new() };
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|e| e.path());
    let mut cases: Vec<PathBuf> = entries.filter(|p| p.join("case.json").is_file()).collect();
    cases.sort();
    cases
}

/// One compared tensor.
#[derive(Clone, Debug)]
pub struct Comparison {
    /// Case, row and tensor.
    pub name: String,
    /// max |got - expected| / max |expected|.
    pub error: f64,
    /// The error of the peer in single precision.
    pub float32_error: f64,
}

/// Runs every row of a case that this program has a method for.
///
/// # Errors
/// The case cannot be read or a row cannot be computed.
pub fn run_case<D: Device>(case: &Path, onnx: bool, device: &D) -> Result<Vec<Comparison>> {
    let bytes = |name: &str| std::fs::read(case.join(name));
    let text = String::from_utf8_lossy(&bytes("case.json")?).into_owned();
    let json: Value = serde_json::from_str(&text).map_err(|e| voxplain::Error::invalid(e.to_string()))?;
    let model = if onnx {
        Model::from_onnx(&bytes("model.onnx")?, Some(case))?
    } else {
        Model::from_bytes(&bytes("model.safetensors")?)?
    };
    let (tensors, _) = read_tensors(&bytes("inputs.safetensors")?)?;
    let expected = read_f64(&bytes("expected.safetensors")?);
    let names: Vec<String> =
        model.graph.inputs().iter().map(|&v| model.graph.value(v).name.clone()).collect();
    let context = Context {
        graph: &model.graph,
        inputs: &names,
        tensors: &tensors,
        seed: 0,
        cam_layer: None,
        network_inputs: &[],
        case: None,
        supervoxels: &Supervoxels::default(),
    };
    let inputs = context.stored_inputs::<D::Scalar>()?;
    let folded = voxplain::graph::rewrite::fold_batch_normalization(&model.graph)?;
    let batch = request::parse(&text)?;
    let mut out = Vec::new();
    for (row, request) in batch.requests.into_iter().enumerate() {
        if !METHODS.contains(&request.method.as_str()) {
            continue;
        }
        let graph = if request.merges_normalization() { &folded } else { &model.graph };
        let mut network = Engine::new(graph, device, None);
        let target = context.target(&request.target, batch.reduction)?;
        let method = context.method::<D::Scalar>(&request)?;
        let place = |e: voxplain::Error| e.within(format!("{} {}", case.display(), request.id));
        let result = method.attribute(&mut network, &inputs, &target).map_err(place)?;
        let float32_error = json["methods"][row]["float32_error"].as_f64().unwrap_or(0.0);
        for (key, stem) in &request.expected {
            let map = if key == "cam" {
                result.maps.iter().find(|m| matches!(m.grid, Grid::Layer(_)))
            } else {
                result.input_map(key)
            };
            let got: Vec<f64> =
                map.map(|m| m.values.data().iter().map(|v| v.to_f64()).collect()).unwrap_or_default();
            let name = format!("{}/{stem}", case.file_name().unwrap_or_default().to_string_lossy());
            out.push(Comparison { name, error: relative_error(&got, &expected[stem]), float32_error });
        }
    }
    Ok(out)
}

/// max |got - expected| / max |expected|; infinite where the lengths differ.
pub fn relative_error(got: &[f64], expected: &[f64]) -> f64 {
    if got.len() != expected.len() || got.iter().any(|v| !v.is_finite()) {
        return f64::INFINITY;
    }
    let scale = expected.iter().fold(0.0f64, |m, v| m.max(v.abs()));
    let worst = got.iter().zip(expected).fold(0.0f64, |m, (g, e)| m.max((g - e).abs()));
    if scale == 0.0 { if worst == 0.0 { 0.0 } else { f64::INFINITY } } else { worst / scale }
}

/// The double-precision tensors of a safetensors file, without rounding them.
pub fn read_f64(bytes: &[u8]) -> BTreeMap<String, Vec<f64>> {
    let length = bytes.first_chunk::<8>().map_or(0, |b| u64::from_le_bytes(*b) as usize);
    let header: Value = serde_json::from_slice(&bytes[8..8 + length]).unwrap_or_default();
    let mut out = BTreeMap::new();
    for (name, entry) in header.as_object().into_iter().flatten().filter(|(n, _)| *n != "__metadata__") {
        let at = |i: usize| entry["data_offsets"][i].as_u64().unwrap_or(0) as usize + 8 + length;
        let data = &bytes[at(0)..at(1)];
        let values = match entry["dtype"].as_str() {
            Some("F64") => {
                data.chunks_exact(8).filter_map(|c| c.try_into().ok()).map(f64::from_le_bytes).collect()
            }
            Some("F32") => {
                let single = data.chunks_exact(4).filter_map(|c| c.try_into().ok()).map(f32::from_le_bytes);
                single.map(f64::from).collect()
            }
            Some("I64") => {
                let whole = data.chunks_exact(8).filter_map(|c| c.try_into().ok()).map(i64::from_le_bytes);
                whole.map(|v| v as f64).collect()
            }
            _ => Vec::new(),
        };
        out.insert(name.clone(), values);
    }
    out
}

/// A constant's values in double precision.
pub fn values(constant: &Constant) -> Vec<f64> {
    match constant {
        Constant::Float { data, .. } => data.iter().map(|&v| f64::from(v)).collect(),
        Constant::Int { data, .. } => data.iter().map(|&v| v as f64).collect(),
    }
}
