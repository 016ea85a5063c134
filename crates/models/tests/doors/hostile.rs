//! Files made to break the reader: one sentence each, never a panic, never memory that the file does not pay for.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use super::common::Tensor::{Float, Int};
use super::common::{case, cases, container, model};
use proptest::prelude::*;
use voxplain_models::Model;

const X: &str = r#"[{"name":"x","shape":[-1,2]}]"#;

#[allow(clippy::unwrap_used)] // the helper of tests is itself no test
fn refused(bytes: &[u8], expected: &str) {
    let error = Model::from_bytes(bytes).unwrap_err();
    let message = error.message();
    assert!(message.contains(expected), "{message:?} does not contain {expected:?}");
    assert!(!message.contains('\n'), "{message:?} is not one sentence");
}

fn node(op: &str, name: &str, inputs: &str, attributes: &str) -> String {
    format!(
        r#"{{"op":"{op}","name":"{name}","inputs":{inputs},"outputs":["{name}"],"attributes":{attributes}}}"#
    )
}

#[test]
fn broken_containers() {
    refused(b"", "safetensors");
    refused(&u64::MAX.to_le_bytes(), "safetensors");
    refused(&container("{", b""), "safetensors");
    refused(&container("{}", b""), "no \"graph\"");
    let overlap = r#"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"b":{"dtype":"F32","shape":[2],"data_offsets":[4,12]}}"#;
    refused(&container(overlap, &[0; 12]), "safetensors");
    let negative = r#"{"a":{"dtype":"F32","shape":[-2],"data_offsets":[0,8]}}"#;
    refused(&container(negative, &[0; 8]), "safetensors");
    let twice = r#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}"#;
    refused(&container(twice, &[0; 8]), "safetensors");
    refused(&container(r#"{"__metadata__":{"graph":"[["}}"#, b""), "not JSON");
    refused(&container(r#"{"__metadata__":{"graph":"{}"}}"#, b""), "version 1");
}

#[test]
fn broken_graphs() {
    let relu = |name: &str, input: &str| node("Relu", name, &format!("[\"{input}\"]"), "{}");
    let graph = |inputs: &str, nodes: &[String]| {
        model(inputs, r#"["y"]"#, &format!("[{}]", nodes.join(",")), &[Float("w", &[2], &[1.0, f32::NAN])])
    };
    refused(&graph(X, &[relu("y", "z"), relu("z", "y")]), "cycle");
    refused(&graph(X, &[relu("y", "x"), relu("y", "x")]), "exists already");
    refused(&graph(X, &[relu("z", "x")]), "made by no node");
    refused(&graph(r#"[{"name":"x","shape":[-1,-2]}]"#, &[relu("y", "x")]), "free size");
    refused(&graph(r#"[{"name":"x","shape":[1,9223372036854775807]}]"#, &[relu("y", "x")]), "too large");
    refused(&graph(X, &[node("Add", "y", r#"["x","w"]"#, "{}")]), "finite");
    refused(&graph(X, &[node("LSTM", "y", r#"["x"]"#, "{}")]), "supported are Conv");
    let odd = Model::from_bytes(&graph(X, &[node("Relu", "y", r#"["x"]"#, r#"{"odd":1}"#)])).unwrap_err();
    for part in ["\"y\"", "Relu", "odd", "supported are Conv"] {
        assert!(odd.message().contains(part), "{odd}");
    }
}

#[test]
fn small_files_cannot_fill_the_memory() {
    let big = [Float("a", &[100_000, 1], &[1.0; 100_000]), Float("b", &[1, 100_000], &[1.0; 100_000])];
    let sum = format!("[{}]", node("Add", "y", r#"["a","b"]"#, "{}"));
    refused(&model(X, r#"["y"]"#, &sum, &big), "at most");
    let fill = format!("[{}]", node("ConstantOfShape", "y", r#"["s"]"#, "{}"));
    refused(&model(X, r#"["y"]"#, &fill, &[Int("s", &[2], &[1 << 30, 1 << 20])]), "at most");
    let mut nodes = vec![node("Concat", "c0", r#"["s","s"]"#, r#"{"axis":0}"#)];
    nodes.extend(
        (1..60).map(|i| {
            node("Concat", &format!("c{i}"), &format!(r#"["c{0}","c{0}"]"#, i - 1), r#"{"axis":0}"#)
        }),
    );
    let doubling = format!("[{}]", nodes.join(","));
    refused(&model(X, r#"["c59"]"#, &doubling, &[Int("s", &[2], &[1, 1])]), "at most");
    let resize = format!("[{}]", node("Resize", "y", r#"["x","","","s"]"#, "{}"));
    refused(&model(X, r#"["y"]"#, &resize, &[Int("s", &[2], &[1, 1 << 40])]), "at most");
}

#[test]
fn onnx_files_that_are_not() {
    for bytes in [&b""[..], b"hello", &[0x3a, 0xff, 0xff, 0xff, 0xff, 0x0f]] {
        assert!(Model::from_onnx(bytes, None).is_err());
    }
    let Some(case) = case("mlp") else { return };
    let bytes = std::fs::read(case.join("model.onnx")).unwrap();
    for end in (0..bytes.len()).step_by(7) {
        assert!(Model::from_onnx(&bytes[..end], None).is_err(), "cut at {end}");
    }
}

fn mutated(bytes: &[u8], edits: &[(usize, u8)]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    // Half of the edits hit the first kilobytes, where the structure is.
    edits.iter().enumerate().for_each(|(i, &(at, value))| {
        let span = if i % 2 == 0 { bytes.len().min(6000) } else { bytes.len() };
        bytes[at % span] = value;
    });
    bytes
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn changed_bytes_never_panic(which in 0usize..100, edits in prop::collection::vec((any::<usize>(), any::<u8>()), 1..6)) {
        let all = cases();
        if !all.is_empty() {
            let case = &all[which % all.len()];
            let ours = std::fs::read(case.join("model.safetensors")).unwrap();
            if let Ok(model) = Model::from_bytes(&mutated(&ours, &edits)) {
                let _ = model.to_bytes();
            }
            let onnx = std::fs::read(case.join("model.onnx")).unwrap();
            let _ = Model::from_onnx(&mutated(&onnx, &edits), None);
        }
    }

    #[test]
    fn arbitrary_numbers_in_slices_and_reshapes_never_panic(a in any::<i64>(), b in any::<i64>(), c in any::<i64>(), d in any::<i64>()) {
        let two = r#"["x","a"]"#;
        let slice = ("Slice", r#"["x","a","b","c","d"]"#);
        for (op, extra) in [slice, ("Reshape", two), ("Unsqueeze", two), ("Pad", two), ("Expand", two)] {
            let nodes = format!("[{}]", node(op, "y", extra, "{}"));
            let tensors = [Int("a", &[1], &[a]), Int("b", &[1], &[b]), Int("c", &[1], &[c]), Int("d", &[1], &[d])];
            let _ = Model::from_bytes(&model(X, r#"["y"]"#, &nodes, &tensors));
        }
    }

    #[test]
    fn arbitrary_numbers_in_picks_splits_and_poolings_never_panic(a in any::<i64>(), b in -2i64..70, c in -2i64..9, swap in any::<bool>()) {
        let (a, b) = if swap { (b, a) } else { (a, b) };
        let attributes = [
            ("Gather", format!(r#"{{"axis":{c}}}"#)),
            ("Split", format!(r#"{{"axis":{c},"split":[{a},{b}]}}"#)),
            ("Tile", String::from("{}")),
            ("AdaptiveAveragePool", format!(r#"{{"output_size":[{a},{b}]}}"#)),
            ("AdaptiveMaxPool", format!(r#"{{"output_size":[{b},{c}],"input_size":[6,7]}}"#)),
        ];
        let numbers = [Int("k", &[4], &[1, c, b, a]), Int("one", &[], &[b])];
        for (op, text) in &attributes {
            for inputs in [r#""x","k""#, r#""x","one""#, r#""x""#] {
                let outputs = if *op == "Split" { r#""y","z""# } else { r#""y""# };
                let nodes = format!(r#"[{{"op":"{op}","name":"n","inputs":[{inputs}],"outputs":[{outputs}],"attributes":{text}}}]"#);
                let file = model(r#"[{"name":"x","shape":[-1,2,6,7]}]"#, r#"["y"]"#, &nodes, &numbers);
                if let Ok(read) = Model::from_bytes(&file) {
                    prop_assert!(read.to_bytes().is_ok());
                }
            }
        }
    }
}
