//! The named architectures compute what PyTorch computes: outputs and input gradients of small networks with random
//! weights, made by `bench/architectures.py` from torchvision, MONAI and the code of Jin et al.
//!
//! `VOXPLAIN_ARCHITECTURES=FOLDER` also compares the cases of full size that the script wrote there and prints a table;
//! those whose name contains one of the words in `VOXPLAIN_DOUBLE` also run in double precision, on slow naive loops.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use voxplain_autodiff::{Composite, Device, Gradient, Planner, Session};
use voxplain_cpu::Cpu;
use voxplain_graph::Graph;
use voxplain_models::{ArchitectureOptions, Constant, Model, architectures, read_tensors};
use voxplain_oracle::Oracle;
use voxplain_tensor::{Scalar, Tensor};

/// A state dict, what its network is, and what PyTorch computed with it.
struct Case {
    name: String,
    arch: String,
    state: Vec<u8>,
    options: ArchitectureOptions,
    float32_error: f64,
    expected: BTreeMap<String, Constant>,
}

impl Case {
    fn read(state: &Path) -> Self {
        let name = state.file_stem().unwrap().to_string_lossy().into_owned();
        let expected = std::fs::read(state.with_file_name(format!("{name}.expected.safetensors"))).unwrap();
        let (expected, metadata): (_, HashMap<String, String>) = read_tensors(&expected).unwrap();
        let options = ArchitectureOptions {
            spatial: serde_json::from_str(&metadata["spatial"]).unwrap(),
            settings: serde_json::from_str(&metadata["settings"]).unwrap(),
        };
        let float32_error = metadata["float32_error"].parse().unwrap();
        let state = std::fs::read(state).unwrap();
        Self { name, arch: metadata["arch"].clone(), state, options, float32_error, expected }
    }

    fn model(&self) -> Model {
        Model::from_state_dict(&self.arch, &self.state, &self.options)
            .unwrap_or_else(|e| panic!("{}: {e}", self.name))
    }

    fn tensor<S: Scalar>(&self, key: &str) -> Tensor<S> {
        let Constant::Float { shape, data } = &self.expected[key] else { panic!("{key} is not float") };
        Tensor::new(shape, data.iter().map(|&v| S::from_f64(f64::from(v))).collect()).unwrap()
    }

    /// The errors of the output and of the gradient.
    fn errors<D: Device>(&self, graph: &Graph, device: &D) -> (f64, f64) {
        let names: Vec<&str> = graph.inputs().iter().map(|&v| graph.value(v).name.as_str()).collect();
        let inputs: Vec<Tensor<D::Scalar>> =
            names.iter().map(|n| self.tensor(&format!("input/{n}"))).collect();
        let mut planner = Planner::new(graph, inputs[0].rows()).unwrap();
        let output = graph.outputs()[0];
        planner.capture(output);
        planner.reverse(&Composite::everywhere(Gradient), output, graph.inputs()).unwrap();
        let plan = Arc::new(planner.finish::<D::Scalar>(None).unwrap());
        let mut session = Session::new(device, plan).unwrap();
        session.forward(&inputs.iter().collect::<Vec<_>>()).unwrap();
        session.reverse(0, self.tensor("seed").data()).unwrap();
        let value = error(&session.capture(0).unwrap(), &self.tensor("output"));
        let gradient = names.iter().enumerate().map(|(i, name)| {
            error(&session.result(0, i).unwrap(), &self.tensor(&format!("gradient/{name}")))
        });
        (value, gradient.fold(0.0, f64::max))
    }
}

/// max |got - expected| / max |expected|.
fn error<S: Scalar>(got: &Tensor<S>, expected: &Tensor<S>) -> f64 {
    assert_eq!(got.shape(), expected.shape());
    let pairs = got.data().iter().zip(expected.data()).map(|(g, e)| (g.to_f64(), e.to_f64()));
    let (worst, size) =
        pairs.fold((0.0, 0.0), |(w, s), (g, e)| (f64::max(w, (g - e).abs()), f64::max(s, e.abs())));
    if worst.is_finite() { worst / size } else { f64::INFINITY }
}

fn cases(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().path());
    let is_state = |p: &PathBuf| {
        let name = p.file_name().unwrap().to_string_lossy();
        name.ends_with(".safetensors")
            && !name.ends_with(".expected.safetensors")
            && p.with_extension("expected.safetensors").is_file()
    };
    let mut states: Vec<PathBuf> = entries.filter(is_state).collect();
    states.sort();
    states
}

fn kept() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/architectures")
}

fn case(name: &str) -> Case {
    Case::read(&kept().join(format!("{name}.safetensors")))
}

fn refused(case: &Case, words: &[&str]) {
    let error = Model::from_state_dict(&case.arch, &case.state, &case.options).unwrap_err();
    for word in words {
        assert!(error.message().contains(word), "{}: {error}", case.name);
    }
}

#[test]
fn small_networks_compute_what_pytorch_computes() {
    let states = cases(&kept());
    assert!(states.len() >= 30);
    for state in states {
        let case = Case::read(&state);
        let graph = case.model().graph;
        let (output, gradient) = case.errors(&graph, &Oracle);
        assert!(output < 1e-6 && gradient < 1e-6, "{}: {output:e} {gradient:e}", case.name);
        let (output, gradient) = case.errors(&graph, &Cpu::best());
        assert!(output < 1e-4 && gradient < 1e-4, "{}: {output:e} {gradient:e}", case.name);
    }
}

/// One row per case. A rectifier whose input is almost 0 may flip in single precision, which no kernel can help; then
/// double precision decides.
#[test]
fn cases_of_full_size_compute_what_pytorch_computes() {
    let Some(folder) = std::env::var_os("VOXPLAIN_ARCHITECTURES") else {
        println!("SKIPPED: VOXPLAIN_ARCHITECTURES names no folder");
        return;
    };
    println!(
        "| case | architecture | nodes | parameters | output | gradient | PyTorch, single | ours, double |"
    );
    println!("|---|---|---|---|---|---|---|---|");
    let wanted = std::env::var("VOXPLAIN_DOUBLE").unwrap_or_default();
    let mut failures = Vec::new();
    for state in cases(Path::new(&folder)) {
        let case = Case::read(&state);
        let graph = case.model().graph;
        let (output, gradient) = case.errors(&graph, &Cpu::best());
        let limit = f64::max(1e-4, 20.0 * case.float32_error);
        let double = (gradient > limit || wanted.split_whitespace().any(|word| case.name.contains(word)))
            .then(|| case.errors(&graph, &Oracle));
        let double = double.map(|(output, gradient)| f64::max(output, gradient));
        println!(
            "| {} | {} | {} | {} | {output:.1e} | {gradient:.1e} | {:.1e} | {} |",
            case.name,
            case.arch,
            graph.nodes().len(),
            graph.parameter_count(),
            case.float32_error,
            double.map_or(String::from("not run"), |e| format!("{e:.1e}"))
        );
        let flipped = double.is_some_and(|e| e < 1e-6);
        if output > limit || (gradient > limit && !flipped) || double.is_some_and(|e| e > 1e-5) {
            failures.push(case.name);
        }
    }
    assert!(failures.is_empty(), "{failures:?}");
}

#[test]
fn what_was_read_given_or_left_is_recorded_and_survives_saving() {
    let case = case("segresnet");
    let model = case.model();
    let record = model.graph.rewrites().join("\n");
    for part in ["architecture segresnet", "groups=2", "norm=group (default)", "spatial=8x10", "classes=2"] {
        assert!(record.contains(part), "{record}");
    }
    let again = Model::from_bytes(&model.to_bytes().unwrap()).unwrap();
    assert_eq!(again.graph.rewrites(), model.graph.rewrites());
    let (output, _) = case.errors(&again.graph, &Oracle);
    assert!(output < 1e-6);
}

#[test]
fn a_wrapper_around_all_names_is_removed_and_recorded() {
    let record = case("unet").model().graph.rewrites().join("\n");
    assert!(record.contains("prefix \"module.\" removed"), "{record}");
}

#[test]
fn modules_can_be_named_as_layers() {
    let graph = case("monai-resnet10-A").model().graph;
    let name = |layer: &str| graph.value(graph.find(layer).unwrap()).name.clone();
    assert_eq!(name("layer4"), "layer4.0.act_1");
    assert_eq!(name("layer4.0"), "layer4.0.act_1");
    assert_eq!(name("layer4.0.conv1"), "layer4.0.conv1");
    assert!(graph.find("layer").is_err());
}

#[test]
fn wrong_state_dicts_and_settings_are_one_sentence() {
    let mut wrong = case("segresnet");
    wrong.options.settings.insert("groups".into(), "3".into());
    refused(&wrong, &["3 groups do not divide 4 channels"]);
    wrong.options.settings.insert("groups".into(), "two".into());
    refused(&wrong, &["groups=two", "whole number"]);
    let mut wrong = case("segresnet");
    wrong.options.settings.insert("grups".into(), "2".into());
    refused(&wrong, &["no setting \"grups\"", "groups"]);
    let mut wrong = case("segresnet");
    wrong.options.spatial = vec![8, 10, 12];
    refused(&wrong, &["2 sizes"]);
    wrong.options.spatial = vec![9, 10];
    refused(&wrong, &["cannot be added", "choose input sizes"]);
    wrong.options.spatial.clear();
    refused(&wrong, &["--spatial"]);
    let mut wrong = case("monai-resnet10-A");
    wrong.arch = "monai-resnet18".into();
    refused(&wrong, &["[1, 1, 1, 1] blocks", "[2, 2, 2, 2]"]);
    wrong.arch = "unet".into();
    refused(&wrong, &["not a state dict of unet"]);
    wrong.arch = "resnet1000".into();
    refused(&wrong, &["no architecture \"resnet1000\"", "monai-resnet10"]);
    wrong.arch = "monai-resnet10".into();
    wrong.options.settings.insert("shortcut".into(), "B".into());
    refused(&wrong, &["shortcut=B", "those of A"]);
}

/// The same state dict with one tensor renamed or of another shape, in the header alone.
fn edited(case: &Case, from: &str, to: &str) -> Case {
    assert_eq!(from.len(), to.len());
    let length = u64::from_le_bytes(case.state[..8].try_into().unwrap()) as usize;
    let header = String::from_utf8(case.state[8..8 + length].to_vec()).unwrap();
    assert!(header.contains(from));
    let mut state = case.state[..8].to_vec();
    state.extend(header.replace(from, to).bytes());
    state.extend(&case.state[8 + length..]);
    Case {
        state,
        name: case.name.clone(),
        arch: case.arch.clone(),
        ..Case::read(&kept().join("cbam.safetensors"))
    }
    .with(&case.options)
}

impl Case {
    fn with(self, options: &ArchitectureOptions) -> Self {
        Self { options: options.clone(), ..self }
    }
}

#[test]
fn missing_left_over_and_misshapen_tensors_are_named() {
    let case = case("resnet3d");
    refused(&edited(&case, "features.norm0.bias", "features.norm0.bios"), &["features.norm0.bias", "needs"]);
    let more = edited(&case, "class_layers.class.weight", "class_layers.class.waight");
    refused(&more, &["class_layers.class.weight", "does not have"]);
    let turned = edited(&case, "[2,4]", "[4,2]");
    refused(&turned, &["class_layers.class.weight", "[4, 2]", "expected"]);
    let cbam = self::case("cbam");
    let extra = edited(&cbam, "mlp.2.bias", "mlp.3.bias");
    refused(&extra, &["mlp.2.bias"]);
}

#[test]
fn the_registry_speaks_of_everything_once() {
    let mut names: Vec<&str> = architectures().map(|(name, _)| name).collect();
    assert!(architectures().all(|(_, about)| !about.is_empty()));
    let count = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), count);
}
