//! Cards as people and training frameworks write them.
#![allow(clippy::unwrap_used)]

use voxplain_models::{Card, SlidingWindow, companion_card};

const TOML: &str = r#"
task    = "classification"
classes = ["LGG", "HGG"]
output  = "logits"
threshold = 0.5
orientation = "as-stored"
site = { id = 7 }
[[input]]
name = "x"
channels = ["t1", "t1ce"]
aliases = { t1ce = ["t1c"], t1 = ["t1n"] }
steps = ["minmax", "zscore nonzero per-channel", "resize 128 128 128 area"]
[sliding_window]
overlap = 0.25
blend = "constant"
"#;

const METADATA: &str = r#"{"version": "0.4.8", "task": "Multimodal Brain Tumor Subregion segmentation",
"network_data_format": {
  "inputs": {"image": {"type": "image", "format": "magnitude", "modality": "MR", "num_channels": 4,
    "spatial_shape": ["8*n", "8*n", "8*n"], "is_patch_data": true,
    "channel_def": {"0": "T1c", "1": "T1", "2": "T2", "3": "FLAIR"}}},
  "outputs": {"pred": {"type": "image", "format": "segmentation", "num_channels": 3,
    "channel_def": {"0": "Tumor core", "1": "Whole tumor", "2": "Enhancing tumor"}}}}}"#;

#[test]
fn toml_and_json_say_the_same() {
    let card = Card::parse(TOML).unwrap();
    assert_eq!(card.classes, ["LGG", "HGG"]);
    assert_eq!(card.inputs[0].aliases["t1ce"], ["t1c"]);
    assert_eq!(card.inputs[0].steps.len(), 3);
    assert_eq!(card.sliding_window, Some(SlidingWindow { overlap: 0.25, gaussian: false }));
    assert_eq!(card.other["site"], r#"{"id":7}"#);
    assert_eq!(Card::parse(&card.to_json()).unwrap(), card);
}

#[test]
fn a_bundle_names_channels_and_classes() {
    let card = Card::parse(METADATA).unwrap().for_inputs(&["x"]);
    assert_eq!(card.task.as_deref(), Some("segmentation"));
    assert_eq!(card.classes, ["Tumor core", "Whole tumor", "Enhancing tumor"]);
    assert_eq!((card.inputs[0].name.as_str(), card.inputs[0].channels.len()), ("x", 4));
    assert_eq!(card.inputs[0].channels[0], "t1c");
    assert_eq!(card.inputs[0].aliases["t1c"], ["T1c"]);
    assert!(card.sliding_window.is_some());
    assert_eq!(Card::parse(&card.to_json()).unwrap(), card);
}

#[test]
fn nnunet_names_channels_and_labels_in_both_versions() {
    let second = r#"{"channel_names": {"0": "T1", "1": "T2w"}, "labels": {"background": 0, "tumour": 2, "oedema": 1},
        "numTraining": 3, "file_ending": ".nii.gz"}"#;
    let card = Card::parse(second).unwrap();
    assert_eq!(card.classes, ["background", "oedema", "tumour"]);
    assert_eq!(card.inputs[0].channels, ["t1", "t2w"]);
    let first = r#"{"modality": {"0": "CT"}, "labels": {"0": "background", "1": "liver"}}"#;
    assert_eq!(Card::parse(first).unwrap().classes, ["background", "liver"]);
    let regions = r#"{"channel_names": {"0": "T1"}, "regions_class_order": [2, 1, 3],
        "labels": {"background": 0, "whole": [1, 2, 3], "core": [1, 3], "enhancing": 3}}"#;
    assert_eq!(Card::parse(regions).unwrap().classes, ["whole", "core", "enhancing"]);
}

#[test]
fn what_lies_beside_a_model_is_found() {
    let folder = std::env::temp_dir().join(format!("voxplain-card-{}", std::process::id()));
    std::fs::create_dir_all(folder.join("configs")).unwrap();
    std::fs::create_dir_all(folder.join("models")).unwrap();
    let model = folder.join("models/model.onnx");
    assert!(companion_card(&model).unwrap().is_none());
    // A file of the same name by somebody else is no card.
    std::fs::write(folder.join("models/metadata.json"), "[1]").unwrap();
    std::fs::write(folder.join("configs/metadata.json"), METADATA).unwrap();
    let (path, card) = companion_card(&model).unwrap().unwrap();
    assert!(path.ends_with("configs/metadata.json"));
    assert_eq!(card.classes.len(), 3);
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn each_mistake_is_one_sentence() {
    for (text, part) in [
        ("[1, 2]", "must be an object"),
        ("{\"labels\": {\"a\": 0, \"b\": 2}, \"modality\": {}}", "without a gap"),
        ("{\"classes\": 3}", "\"classes\" must be a list of texts"),
        ("task = 'guessing'", "\"classification\" or \"segmentation\" or \"regression\""),
        ("classes = [", "neither JSON nor TOML"),
        ("output = 'odds'", "\"logits\" or \"probabilities\""),
        ("[sliding_window]\noverlap = 1.0", "below 1"),
        ("[[input]]\nname = 'x'\n[[inputs]]\nname = 'y'", "given once"),
        ("{\"network_data_format\": {\"inputs\": 3}}", "\"inputs\" must be an object"),
        (
            "{\"network_data_format\": {\"inputs\": {\"x\": {\"channel_def\": {\"1\": \"T1\"}}}}}",
            "without a gap",
        ),
        ("{\"labels\": {\"a\": \"b\", \"c\": 1}, \"modality\": {}}", "numbers or lists of numbers"),
    ] {
        let message = Card::parse(text).unwrap_err().to_string();
        assert!(message.contains(part) && !message.contains('\n'), "{text}: {message}");
    }
}

#[test]
fn fields_that_cannot_be_meant_are_named() {
    let refused = |text: &str, word: &str| {
        let error = Card::parse(text).unwrap_err();
        assert!(error.message().contains(word), "{error}");
    };
    refused("threshold = 2", "from 0 to 1");
    refused("[[input]]\nname = 'x'\nchanels = ['t1']", "\"chanels\"");
}
