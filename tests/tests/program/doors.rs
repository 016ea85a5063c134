//! Networks on their way in: what `import` fills in, compares and refuses, and what `predict` says before a map is made.
#![allow(clippy::unwrap_used)]

use std::path::Path;
use voxplain::imaging::read_npy;
use voxplain::models::read_tensors;
use voxplain_tests::program::{folder, patient, refused, run, text};
use voxplain_tests::{golden_cases, read_f64, values};

/// Tensors as a safetensors file.
fn store(path: &Path, tensors: &[(&str, &[usize], Vec<f32>)]) {
    let (mut header, mut data) = (serde_json::Map::new(), Vec::new());
    for (key, shape, values) in tensors {
        let start = data.len();
        data.extend(values.iter().flat_map(|v| v.to_le_bytes()));
        let entry = serde_json::json!({"dtype": "F32", "shape": shape, "data_offsets": [start, data.len()]});
        header.insert(String::from(*key), entry);
    }
    let header = serde_json::Value::Object(header).to_string().into_bytes();
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header);
    bytes.extend(data);
    std::fs::write(path, bytes).unwrap();
}

/// Shape and values of a case's input.
fn input(case: &Path) -> (Vec<usize>, Vec<f32>) {
    let (tensors, _) = read_tensors(&std::fs::read(case.join("inputs.safetensors")).unwrap()).unwrap();
    let x = &tensors["input/x"];
    (x.shape().to_vec(), values(x).into_iter().map(|v| v as f32).collect())
}

fn standard_output(words: &[&str]) -> String {
    let output = run(words);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn predictions_are_printed_with_class_names_and_written() {
    let out = folder("predict");
    let (model, patient) = patient(&out);
    let array = out.join("logits.npy");
    let said = standard_output(&["predict", text(&model), text(&patient), "-o", text(&array)]);
    assert!(said.contains("round") && said.contains("lobed") && said.contains("predicted"), "{said}");
    let logits = read_npy(&std::fs::read(array).unwrap()).unwrap();
    assert_eq!(logits.shape()[..], [1, 2]);
    let machine = standard_output(&["predict", text(&model), text(&patient), "--json"]);
    let machine: serde_json::Value = serde_json::from_str(&machine).unwrap();
    let row: Vec<f64> =
        machine["probabilities"][0].as_array().unwrap().iter().map(|p| p.as_f64().unwrap()).collect();
    let odds = (f64::from(logits.data()[1]) - f64::from(logits.data()[0])).exp();
    assert!((row[0] + row[1] - 1.0).abs() < 1e-9 && (row[1] / row[0] / odds - 1.0).abs() < 1e-6);
}

#[test]
fn an_import_is_compared_with_its_origin() {
    let out = folder("check");
    let Some(case) = golden_cases().into_iter().find(|c| c.ends_with("cnn3d")) else { return };
    let (shape, x) = input(&case);
    let shape = shape.as_slice();
    let expected = read_f64(&std::fs::read(case.join("expected.safetensors")).unwrap());
    let logits: Vec<f32> = expected["logits"].iter().map(|&v| v as f32).collect();
    let count = [logits.len()];
    let golden = out.join("golden.safetensors");
    store(&golden, &[("input/x", shape, x.clone()), ("output", &count, logits.clone())]);
    let (model, written) = (case.join("model.onnx"), out.join("model.safetensors"));
    let import = ["import", text(&model), "-o", text(&written), "--check", text(&golden)];
    let said = standard_output(&import);
    assert!(said.contains("output") && said.contains("largest difference"), "{said}");
    assert!(written.exists());

    let mut wrong = logits.clone();
    wrong[0] += 0.01 * wrong[0].abs().max(1.0);
    std::fs::remove_file(&written).unwrap();
    store(&golden, &[("input/x", shape, x.clone()), ("output", &count, wrong)]);
    refused(&import, 4, "nothing was written");
    assert!(!written.exists());
    store(&golden, &[("input/x", shape, x.clone()), ("outptu", &count, logits.clone())]);
    refused(&import, 2, "fits nothing");
    store(&golden, &[("input", shape, x.clone())]);
    refused(&import, 2, "no output to compare with");
    store(&golden, &[("output", &count, logits.clone())]);
    refused(&import, 2, "\"input/x\" is missing");
    store(&golden, &[("input", shape, x.clone()), ("output", &[1], vec![0.0])]);
    refused(&import, 2, "has 1 numbers where the network gives");
}

#[test]
fn descriptions_beside_a_model_become_its_card() {
    let out = folder("companion");
    let Some(case) = golden_cases().into_iter().find(|c| c.ends_with("cnn3d")) else { return };
    let model = out.join("model.onnx");
    std::fs::copy(case.join("model.onnx"), &model).unwrap();
    let channels = input(&case).0[1];
    let dataset = |channels: usize| {
        let names: Vec<String> = (0..channels).map(|i| format!("\"{i}\": \"MR {i}\"")).collect();
        let labels = "{\"background\": 0, \"tumour\": 1}";
        format!("{{\"channel_names\": {{{}}}, \"labels\": {labels}}}", names.join(", "))
    };
    std::fs::write(out.join("dataset.json"), dataset(channels)).unwrap();
    let written = out.join("model.safetensors");
    let import = ["import", text(&model), "-o", text(&written)];
    let said = standard_output(&import);
    assert!(said.contains("background, tumour") && said.contains("mr_0"), "{said}");
    assert!(said.contains("no preprocessing steps"), "{said}");
    std::fs::write(out.join("dataset.json"), dataset(channels + 1)).unwrap();
    refused(&import, 2, "channels, and the network takes");
}

#[test]
fn cards_that_cannot_work_are_refused_before_they_are_in_a_file() {
    let out = folder("wrong_card");
    let model = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates/models/tests/data/conv.pt2");
    let (card, written) = (out.join("card.toml"), out.join("model.safetensors"));
    let import = ["import", text(&model), "--card", text(&card), "-o", text(&written)];
    let wrong = [
        ("classes = ['a', 'b', 'c']", "names 3 classes, and the network has 2 outputs"),
        ("classes = ['a', 'a']", "two of a class \"a\""),
        ("[[input]]\nname = 'x'\nchannels = ['t1', 't1']", "two of a channel \"t1\""),
        ("[[input]]\nname = 'x'\nchannels = ['t1']", "1 channels, and the network takes 2"),
        ("orientation = 'RAX'", "orientation"),
        ("cam_layer = 'conv7'", "no layer named \"conv7\""),
    ];
    for (said, expected) in wrong {
        std::fs::write(&card, said).unwrap();
        refused(&import, 2, expected);
        assert!(!written.exists(), "{said}");
    }
    std::fs::write(&card, "clases = ['a', 'b']\n[[input]]\nname = 'x'\nchannels = ['t1', 't2']").unwrap();
    assert!(standard_output(&import).contains("clases are kept, but mean nothing"));
    let image = out.join("t1.npy");
    let case = format!("t1={}", text(&image));
    refused(&["predict", text(&written), &case, &case.replace("t1", "t2")], 2, "a NIfTI file is expected");
}
