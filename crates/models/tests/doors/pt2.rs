//! PyTorch's files: what comes in, what stays behind, and files made to break the reader. `bench/tiny.py` wrote the files
//! of `data`; whether their values are PyTorch's is checked in `tests/tests/methods/pt2.rs`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use proptest::prelude::*;
use serde_json::{Map, Value, json};
use std::path::Path;
use voxplain_graph::Graph;
use voxplain_models::Model;

const ALL: [&str; 7] = ["conv", "free_batch", "gates", "in_place", "norms", "pools", "two_inputs"];

fn bytes(name: &str) -> Vec<u8> {
    std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/data/{name}.pt2"))).unwrap()
}

fn names(graph: &Graph) -> Vec<&str> {
    graph.nodes().iter().map(|n| n.name.as_str()).collect()
}

fn refused(bytes: &[u8], expected: &str) {
    let message = Model::from_pt2(bytes).unwrap_err().message().to_owned();
    assert!(message.contains(expected), "{message:?} does not contain {expected:?}");
    assert!(!message.contains('\n') && message.len() < 2000, "{message:?} is not one sentence");
}

#[test]
fn nodes_have_the_paths_of_their_modules() {
    let model = Model::from_pt2(&bytes("conv")).unwrap();
    let expected =
        ["conv6.op.0", "conv6.op.1", "conv6.op.2", "pool", "act.leakyrelu", "view", "hidden", "act", "fc"];
    assert_eq!(names(&model.graph), expected);
    let kinds: Vec<&str> = model.graph.nodes().iter().map(|n| n.op.kind()).collect();
    let operators = [
        "Conv",
        "BatchNormalization",
        "Relu",
        "MaxPool",
        "LeakyRelu",
        "Reshape",
        "Gemm",
        "LeakyRelu",
        "Gemm",
    ];
    assert_eq!(kinds, operators);
    let weights: Vec<&str> = model.graph.parameters().iter().map(|p| p.name.as_str()).collect();
    assert!(
        weights.contains(&"conv6.op.0.weight") && weights.contains(&"conv6.op.1.running_var"),
        "{weights:?}"
    );
    let last = model.graph.find("conv6.op.2").unwrap();
    assert_eq!(model.graph.find("conv6").unwrap(), last, "the output of a module is that of its last node");
}

#[test]
fn the_path_of_a_block_is_its_output_not_its_sum() {
    let graph = Model::from_pt2(&bytes("in_place")).unwrap().graph;
    let expected =
        ["norm", "relu.relu", "main", "shortcut", "leakyrelu", "add", "relu"].map(|n| format!("block.{n}"));
    assert_eq!(names(&graph)[..7], expected);
    assert_eq!(graph.find("block").unwrap(), graph.nodes()[6].output);
}

#[test]
fn a_literal_batch_is_a_free_one() {
    let model = Model::from_pt2(&bytes("conv")).unwrap();
    let view = model.graph.nodes().iter().find(|n| n.name == "view").unwrap();
    assert_eq!(&*model.graph.shape(view.output), [1, 24]);
    let free = Model::from_pt2(&bytes("free_batch")).unwrap();
    assert_eq!(&*free.graph.shape(free.graph.inputs()[0]), [1, 3, 5]);
    assert_eq!(&*free.graph.shape(free.graph.outputs()[0]), [1, 4]);
}

#[test]
fn a_view_changed_in_place_is_refused() {
    refused(&bytes("in_place_view"), "in place");
}

#[test]
fn a_value_baked_into_the_file_is_refused() {
    refused(&bytes("baked"), ".data");
}

#[test]
fn the_user_hears_what_stays_behind() {
    let notes = Model::from_pt2(&bytes("conv")).unwrap().notes;
    assert_eq!(notes.len(), 3, "{notes:?}");
    for (note, part) in
        notes.iter().zip(["a patient's images", "stack traces of", "2 parameters (400 bytes)"])
    {
        assert!(note.contains(part) && !note.contains('\n'), "{note}");
    }
    let model = Model::from_pt2(&bytes("gates")).unwrap();
    let saved = model.to_bytes().unwrap();
    assert!(!saved.windows(10).any(|w| w == b"network.py"), "stack traces are saved");
}

#[test]
fn saving_keeps_every_network() {
    for name in ALL {
        let model = Model::from_pt2(&bytes(name)).unwrap();
        let saved = model.to_bytes().unwrap();
        let again = Model::from_bytes(&saved).unwrap();
        assert_eq!(names(&again.graph), names(&model.graph), "{name}");
        assert_eq!(again.to_bytes().unwrap(), saved, "{name}");
    }
}

/// A stored zip, and where the data of each entry begins.
fn zip(entries: &[(&str, &[u8])]) -> Vec<u8> {
    let (mut out, mut directory) = (Vec::new(), Vec::new());
    for (name, data) in entries {
        let offset = out.len() as u32;
        let size = (data.len() as u32).to_le_bytes();
        let sizes = [[0; 4], size, size].concat();
        let lengths = [(name.len() as u16).to_le_bytes(), [0; 2]].concat();
        out.extend([&b"PK\x03\x04"[..], &[0; 10], &sizes, &lengths, name.as_bytes(), data].concat());
        let tail = [&[0; 10][..], &offset.to_le_bytes()].concat();
        directory.extend([&b"PK\x01\x02"[..], &[0; 12], &sizes, &lengths, &tail, name.as_bytes()].concat());
    }
    let count = (entries.len() as u16).to_le_bytes();
    let (size, start) = ((directory.len() as u32).to_le_bytes(), (out.len() as u32).to_le_bytes());
    out.extend(directory);
    out.extend([&b"PK\x05\x06"[..], &[0; 4], &count, &count, &size, &start, &[0; 2]].concat());
    out
}

/// The entries of one of our files, to be changed and packed again.
fn entries(name: &str) -> Vec<(String, Vec<u8>)> {
    let file = bytes(name);
    // The directory, because the example inputs are an archive within the archive.
    let mut at = u32::from_le_bytes(file[file.len() - 6..file.len() - 2].try_into().unwrap()) as usize;
    let mut found = Vec::new();
    while let Some(i) = file[at..].windows(4).position(|w| w == b"PK\x01\x02").map(|i| i + at) {
        let short = |o: usize| usize::from(u16::from_le_bytes([file[i + o], file[i + o + 1]]));
        let long = |o: usize| u32::from_le_bytes(file[i + o..i + o + 4].try_into().unwrap()) as usize;
        let name = String::from_utf8(file[i + 46..i + 46 + short(28)].to_vec()).unwrap();
        let (size, local) = (long(24), long(42));
        let begin = local
            + 30
            + usize::from(u16::from_le_bytes([file[local + 26], file[local + 27]]))
            + usize::from(u16::from_le_bytes([file[local + 28], file[local + 29]]));
        found.push((name, file[begin..begin + size].to_vec()));
        at = i + 4;
    }
    found
}

fn pack(entries: &[(String, Vec<u8>)]) -> Vec<u8> {
    zip(&entries.iter().map(|(name, data)| (name.as_str(), data.as_slice())).collect::<Vec<_>>())
}

/// `conv.pt2` with text replaced in the entry whose name ends so.
fn changed(entry: &str, from: &str, to: &str) -> Vec<u8> {
    let mut all = entries("conv");
    let (_, data) = all.iter_mut().find(|(name, _)| name.ends_with(entry)).unwrap();
    let text = String::from_utf8(data.clone()).unwrap();
    assert!(text.contains(from), "{entry} does not hold {from:?}");
    *data = text.replace(from, to).into_bytes();
    pack(&all)
}

#[test]
fn a_file_packed_again_is_the_same_network() {
    let packed = Model::from_pt2(&pack(&entries("conv"))).unwrap();
    assert_eq!(packed.to_bytes().unwrap(), Model::from_pt2(&bytes("conv")).unwrap().to_bytes().unwrap());
}

#[test]
fn archives_that_lie() {
    refused(b"", "not a zip archive");
    refused(b"hello", "torch.export.save");
    refused(b"PK\x03\x04", "end is missing");
    let whole = bytes("conv");
    for end in (2..whole.len()).step_by(97) {
        Model::from_pt2(&whole[..end]).unwrap_err();
    }
    let mut damaged = whole.clone();
    // The first weight lies behind its padded header.
    damaged[80] ^= 1;
    refused(&damaged, "checksum");
    let two = zip(&[("a/models/model.json", b"{}"), ("a/models/model.json", b"{}")]);
    refused(&two, "unique");
    let one = zip(&[("a/models/model.json", b"{}")]);
    let with = |at: usize, value: &[u8]| {
        let mut file = one.clone();
        file[at..at + value.len()].copy_from_slice(value);
        file
    };
    let directory = 30 + 19 + 2;
    refused(&with(directory + 10, &[8, 0]), "compressed");
    refused(&with(directory + 8, &[1, 0]), "encrypted");
    refused(&with(directory + 24, &[3]), "two sizes");
    refused(&with(directory + 20, &[255, 255, 255, 127, 255, 255, 255, 127]), "outside");
    refused(&with(directory + 20, &[255; 8]), "large size");
    refused(&with(directory + 42, &[255, 255, 255, 127]), "outside");
    refused(&with(directory + 46, b"b"), "own header");
    refused(&with(one.len() - 12, &[9]), "number of entries");
    refused(&with(one.len() - 6, &[255, 255, 255, 255]), "outside");
    let mut overlapping = zip(&[("a/b", b"1234567890"), ("a/models/model.json", b"{}")]);
    let row = overlapping.windows(4).position(|w| w == b"PK\x01\x02").unwrap();
    overlapping[row + 20] = 40;
    overlapping[row + 24] = 40;
    refused(&overlapping, "overlap");
}

#[test]
fn other_files_with_this_ending() {
    refused(&zip(&[("x/data.pkl", b"")]), "pickles are never read");
    refused(&zip(&[("serialized_exported_program.json", b"{}")]), "2.8 or older");
    refused(&zip(&[("m/data/aotinductor/model/a.so", b"")]), "AOTInductor");
    refused(&zip(&[("m/models/model.json", b"{}"), ("m/data/weights/model.pt", b"")]), "schema");
    let mut old = entries("conv");
    old.retain(|(name, _)| !name.contains("data/weights/"));
    old.push(("conv/data/weights/model.pt".into(), Vec::new()));
    refused(&pack(&old), "pickled");
    refused(
        &changed("weights_config.json", "\"use_pickle\": false", "\"use_pickle\": true"),
        "torch.export.export(",
    );
    let mut big = entries("conv");
    big.iter_mut().find(|(name, _)| name.ends_with("byteorder")).unwrap().1 = b"big".to_vec();
    refused(&pack(&big), "byte order");
}

#[test]
fn graphs_that_lie() {
    let model = "models/model.json";
    refused(&changed(model, "\"major\": 8", "\"major\": 9"), "schema 8");
    refused(&changed(model, "aten.leaky_relu.default", "aten.cumsum.default"), "supported is what becomes");
    refused(&changed(model, "\"negative_slope\"", "\"odd\""), "\"odd\"");
    refused(
        &changed(
            model,
            "\"name\": \"training\", \"arg\": {\"as_bool\": false}",
            "\"name\": \"training\", \"arg\": {\"as_bool\": true}",
        ),
        "model.eval()",
    );
    refused(&changed(model, "\"as_int\": 24", "\"as_int\": 23"), "24");
    refused(&changed(model, "\"as_int\": 24", "\"as_int\": -24"), "not negative");
    refused(&changed(model, "\"as_int\": 24", "\"as_int\": 9223372036854775807"), "large");
    refused(&changed(model, "{\"user_output\"", "{\"buffer_mutation\""), "changes its own state");
    refused(&changed(model, "\"name\": \"x\"", "\"name\": \"fc\""), "");
    let deep = format!("{{\"graph_module\": {}", "[".repeat(1 << 20));
    let mut nested = entries("conv");
    nested.iter_mut().find(|(name, _)| name.ends_with(model)).unwrap().1 = deep.into_bytes();
    refused(&pack(&nested), "JSON");
    // A value that comes from the node behind it.
    let normalised =
        |from: &str| format!("{{\"name\": \"input\", \"arg\": {{\"as_tensor\": {{\"name\": \"{from}\"}}");
    refused(&changed(model, &normalised("conv3d"), &normalised("linear")), "cycle");
}

#[test]
fn weights_that_lie() {
    let table = "model_weights_config.json";
    refused(&changed(table, "weight_0", "weight_99"), "no entry");
    refused(&changed(table, "\"as_int\": 27", "\"as_int\": 2700"), "do not lie in");
    refused(&changed(table, "\"as_int\": 54", "\"as_int\": -54"), "not negative");
    refused(&changed(table, "\"dtype\": 7", "\"dtype\": 9"), "element type 9");
    refused(
        &changed(table, "\"sizes\": [{\"as_int\": 3}", "\"sizes\": [{\"as_int\": 1099511627776}"),
        "do not lie in",
    );
    refused(&changed(table, "conv6.op.0.weight", "other"), "not among the weights");
    refused(
        &changed(table, "\"storage_offset\": {\"as_int\": 0}", "\"storage_offset\": {\"as_int\": 9}"),
        "do not lie in",
    );
}

fn graph_text(name: &str) -> String {
    let (_, data) = entries(name).into_iter().find(|(name, _)| name.ends_with("models/model.json")).unwrap();
    String::from_utf8(data).unwrap()
}

/// A program of `count` nodes on one input, joined; each has these arguments beside its operand.
fn chain(count: usize, target: &str, arguments: &[Value], from: &[i64], to: &[i64]) -> Vec<u8> {
    let meta = |sizes: &[i64]| json!({"dtype": 7, "sizes": sizes.iter().map(|s| json!({"as_int": s})).collect::<Vec<_>>()});
    let tensor = |name: &str| json!({"as_tensor": {"name": name}});
    let (mut nodes, mut values) = (Vec::new(), Map::new());
    values.insert("v0".into(), meta(from));
    let names: Vec<String> = (1..=count).map(|i| format!("v{i}")).collect();
    for name in &names {
        let inputs = [&[json!({"name": "self", "arg": tensor("v0")})], arguments].concat();
        let target = format!("torch.ops.aten.{target}");
        nodes.push(json!({"target": target, "inputs": inputs, "outputs": [tensor(name)], "metadata": {}}));
        values.insert(name.clone(), meta(to));
    }
    let parts: Vec<Value> = names.iter().map(|name| json!({"name": name})).collect();
    let inputs = [json!({"name": "tensors", "arg": {"as_tensors": parts}})];
    nodes.push(json!({"target": "torch.ops.aten.cat.default", "inputs": inputs, "outputs": [tensor("y")]}));
    values.insert("y".into(), meta(to));
    let signature = json!({
        "input_specs": [{"user_input": {"arg": tensor("v0")}}],
        "output_specs": [{"user_output": {"arg": tensor("y")}}],
    });
    let module = json!({"graph": {"nodes": nodes, "tensor_values": values}, "signature": signature});
    let program = json!({"schema_version": {"major": 8, "minor": 20}, "graph_module": module});
    zip(&[("m/models/model.json", program.to_string().as_bytes())])
}

#[test]
fn small_files_cannot_fill_the_memory() {
    let long = format!("[{}0]", "0,".repeat(1 << 23));
    refused(&zip(&[("m/models/model.json", long.as_bytes())]), "too large");
    let ints = |name: &str, values: &[i64]| json!({"name": name, "arg": {"as_ints": values}});
    let cube = |n: i64| [1, 1, n, n, n];
    let pool = [ints("output_size", &[63, 63, 63])];
    refused(&chain(900, "adaptive_avg_pool3d.default", &pool, &cube(100), &cube(63)), "too many");
    let large = [1, 1 << 24];
    refused(&chain(900, "zeros.default", &[ints("size", &large)], &[1], &large), "too many");
    refused(&chain(3, "zeros.default", &[ints("size", &large)], &[1], &[1, 1 << 40]), "at most");
    let copies = [ints("repeats", &[1, 1, 1000, 1000, 1000])];
    refused(&chain(900, "repeat.default", &copies, &cube(100), &cube(100_000)), "too many");
    let input = json!({"name": "input", "arg": {"as_tensor": {"name": "v0"}}});
    let norm = [ints("normalized_shape", &large[1..]), input];
    refused(&chain(900, "layer_norm.default", &norm, &large, &large), "too many");
}

/// The file without checksums, so that changes reach the readers behind them.
fn unchecked(name: &str) -> Vec<u8> {
    pack(&entries(name))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn changed_bytes_never_panic(which in 0usize..7, edits in prop::collection::vec((any::<usize>(), any::<u8>()), 1..6)) {
        let mut file = unchecked(ALL[which]);
        edits.iter().for_each(|&(at, value)| { let n = file.len(); file[at % n] = value; });
        if let Ok(model) = Model::from_pt2(&file) {
            let _ = model.to_bytes();
        }
    }

    #[test]
    fn changed_numbers_never_panic(which in 0usize..7, at in any::<usize>(), value in any::<i64>(), small in -3i64..12) {
        let text = graph_text(ALL[which]);
        let places: Vec<usize> = text.match_indices("\"as_int").map(|(i, _)| i).collect();
        let start = places[at % places.len()];
        let digits = text[start..].find(|c: char| c.is_ascii_digit() || c == '-').unwrap() + start;
        let end = text[digits..].find(|c: char| !c.is_ascii_digit() && c != '-').unwrap() + digits;
        for number in [value, small] {
            let changed = format!("{}{number}{}", &text[..digits], &text[end..]);
            let mut all = entries(ALL[which]);
            all.iter_mut().find(|(name, _)| name.ends_with("models/model.json")).unwrap().1 = changed.into_bytes();
            let _ = Model::from_pt2(&pack(&all));
        }
    }
}
