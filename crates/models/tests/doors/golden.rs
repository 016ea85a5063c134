//! The doors on the reference networks: what loads, what is findable, and that saving loses nothing.

use super::common::{case, cases};
use voxplain_graph::Graph;
use voxplain_models::{ArchitectureOptions, Card, Model};

fn operators(graph: &Graph) -> Vec<&'static str> {
    graph.nodes().iter().map(|n| n.op.kind()).collect()
}

/// Names, operators, operands and weights, in words that two graphs can be compared by.
fn described(graph: &Graph) -> String {
    let name = |v: &voxplain_graph::ValueId| graph.value(*v).name.clone();
    let mut lines: Vec<String> = Vec::new();
    for node in graph.nodes() {
        let inputs: Vec<String> = node.inputs.iter().map(name).collect();
        lines.push(format!("{} {:?} {inputs:?} {}", node.name, node.op, graph.shape(node.output)));
    }
    let mut weights: Vec<String> =
        graph.parameters().iter().map(|p| format!("{} {} {:?}", p.name, p.shape, p.data)).collect();
    weights.sort();
    let ends: Vec<String> = graph.inputs().iter().chain(graph.outputs()).map(name).collect();
    format!("{}\n{}\n{ends:?} {:?}", lines.join("\n"), weights.join("\n"), graph.rewrites())
}

#[test]
fn every_case_loads_through_both_doors_with_the_same_operators() {
    for case in cases() {
        let ours = Model::open(&case.join("model.safetensors")).unwrap();
        let onnx = Model::open(&case.join("model.onnx")).unwrap();
        assert_eq!(operators(&ours.graph), operators(&onnx.graph), "{}", case.display());
        assert_eq!(ours.graph.parameter_count(), onnx.graph.parameter_count(), "{}", case.display());
        for leftover in ["Where", "Greater", "Shape"] {
            assert!(!operators(&ours.graph).contains(&leftover));
        }
    }
}

#[test]
fn every_layer_of_every_case_is_findable() {
    for case in cases() {
        let text = std::fs::read_to_string(case.join("case.json")).unwrap();
        let json: serde_json::Value = serde_json::from_str(&text).unwrap();
        for door in ["model.safetensors", "model.onnx"] {
            let model = Model::open(&case.join(door)).unwrap();
            let layers = json["layers"].as_array().unwrap();
            for layer in layers.iter().map(|l| l.as_str().or_else(|| l["name"].as_str()).unwrap()) {
                model.graph.find(layer).unwrap();
            }
        }
    }
}

#[test]
fn saving_and_opening_gives_the_same_graph_and_the_same_bytes() {
    for case in cases() {
        for door in ["model.safetensors", "model.onnx"] {
            let mut model = Model::open(&case.join(door)).unwrap();
            model.card = Card { task: Some("classification".into()), ..Card::default() };
            let bytes = model.to_bytes().unwrap();
            let again = Model::from_bytes(&bytes).unwrap();
            assert_eq!(described(&model.graph), described(&again.graph), "{}", case.display());
            assert_eq!(model.card, again.card);
            assert_eq!(bytes, again.to_bytes().unwrap(), "{}", case.display());
        }
    }
}

#[test]
fn a_folded_graph_keeps_the_record_of_its_rewrites() {
    let Some(case) = case("genenet3d") else { return };
    let model = Model::open(&case.join("model.safetensors")).unwrap();
    let graph = voxplain_graph::rewrite::fold_batch_normalization(&model.graph).unwrap();
    let folded = Model { graph, card: Card::default(), notes: Vec::new() };
    let again = Model::from_bytes(&folded.to_bytes().unwrap()).unwrap();
    assert_eq!(again.graph.rewrites(), folded.graph.rewrites());
    assert_eq!(again.graph.rewrites().len(), 1);
}

#[test]
fn saving_to_a_file_leaves_only_the_file() {
    let Some(case) = case("mlp") else { return };
    let model = Model::open(&case.join("model.safetensors")).unwrap();
    let folder = std::env::temp_dir().join(format!("voxplain-models-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let path = folder.join("model.safetensors");
    model.save(&path).unwrap();
    let first = std::fs::read(&path).unwrap();
    model.save(&path).unwrap();
    assert_eq!(first, std::fs::read(&path).unwrap());
    assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 1);
    assert_eq!(described(&Model::open(&path).unwrap().graph), described(&model.graph));
    std::fs::remove_dir_all(&folder).unwrap();
    assert!(model.save(&path).unwrap_err().message().contains("cannot be written"));
}

#[test]
fn group_normalisation_and_softplus_are_one_node_each() {
    if let Some(case) = case("norm_group3d") {
        let model = Model::open(&case.join("model.safetensors")).unwrap();
        let count = operators(&model.graph).iter().filter(|o| **o == "GroupNormalization").count();
        assert_eq!(count, 2);
    }
    if let Some(case) = case("act_softplus_2d") {
        let model = Model::open(&case.join("model.safetensors")).unwrap();
        let act = model.graph.nodes().iter().find(|n| n.name == "act1").unwrap();
        assert_eq!(act.op.kind(), "Softplus");
    }
}

#[test]
fn the_named_architecture_is_the_reference_network() {
    let Some(case) = case("genenet3d") else { return };
    let sized = |s: [usize; 3]| ArchitectureOptions { spatial: s.to_vec(), ..Default::default() };
    let reference = Model::open(&case.join("model.safetensors")).unwrap();
    let bytes = std::fs::read(case.join("state_dict.safetensors")).unwrap();
    let built = Model::from_state_dict("genenet", &bytes, &sized([8, 8, 6])).unwrap();
    let names = |g: &Graph| g.nodes().iter().map(|n| n.name.clone()).collect::<Vec<_>>();
    assert_eq!(names(&built.graph), names(&reference.graph));
    assert_eq!(operators(&built.graph), operators(&reference.graph));
    for p in reference.graph.parameters() {
        let own = built.graph.parameters().iter().find(|o| o.name == p.name).unwrap();
        assert_eq!((own.shape, &own.data), (p.shape, &p.data), "{}", p.name);
    }
    let wrong = Model::from_state_dict("genenet", &bytes, &sized([8, 8, 16])).unwrap_err();
    assert!(wrong.message().contains("dense.0"), "{wrong}");
}
