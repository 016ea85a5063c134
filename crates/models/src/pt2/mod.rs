//! PyTorch's own file: what `torch.export.save` writes since 2.9, a zip of JSON and raw weights, read without Python and
//! without pickle.
//!
//! The training graph of `torch.export` keeps batch normalisation, group normalisation and activations whole and says of
//! every node which module it belongs to. Its ATen operators become ONNX-like nodes (`aten`), so that one lowering serves
//! both doors. Example inputs and stack traces stay behind.

mod aten;
mod baked;
mod program;
mod symbols;
mod weights;
mod zip;

use crate::container::{PICKLE, looks_pickled};
use crate::raw::RawGraph;
use program::{Program, Source};
use std::collections::{BTreeSet, HashMap, HashSet};
use voxplain_tensor::{Error, Result};
use weights::Weights;
use zip::Archive;

/// What to do about a file in an older form.
const SAVE_AGAIN: &str = "save it again with torch 2.9 or newer: `ep = torch.export.export(model.eval(), (example,))`, \
                          then `torch.export.save(ep, \"model.pt2\")`";
/// The JSON of a thousand nodes is about 1 MB, and in memory JSON may take thirty times its bytes.
const MOST_GRAPH: usize = 1 << 24;

/// Reads a program: the graph, and what a user should know about how it was read.
pub(crate) fn read(bytes: &[u8]) -> Result<(RawGraph, Vec<String>)> {
    if looks_pickled(bytes) {
        return Err(Error::unsupported(PICKLE));
    }
    if !bytes.starts_with(b"PK") {
        return Err(Error::invalid(format!("not a zip archive, which a .pt2 file is; {SAVE_AGAIN}")));
    }
    let archive = Archive::read(bytes)?;
    let (root, model) = find_model(&archive)?;
    if let Ok(order) = archive.text(&format!("{root}byteorder"), 16) {
        if order.trim() != "little" {
            return Err(Error::unsupported(format!(
                "byte order {order:?}; little-endian files are read, export on such a machine"
            )));
        }
    }
    let program = Program::parse(archive.text(&format!("{root}models/{model}.json"), MOST_GRAPH)?)?;
    let tables = Weights::find(&archive, &root, &model)?;
    let needed = needed(&program);
    baked::refuse(&program, &needed)?;
    let mut notes = notes(&archive, &program, &root);
    notes.extend(dead(&program, &needed, &tables));
    let graph = assemble(&archive, &program, &needed, &tables, &mut notes)?;
    Ok((graph, notes))
}

/// The folder that everything lies in, with its slash, and the model's name; other things that end in `.pt2` are told
/// apart here.
fn find_model(archive: &Archive<'_>) -> Result<(String, String)> {
    let split = |name: &str| {
        let (root, model) = name.strip_suffix(".json")?.rsplit_once("models/")?;
        (!model.contains('/')).then(|| (String::from(root), String::from(model)))
    };
    let mut found: Vec<(String, String)> = archive.names().filter_map(split).collect();
    if found.len() > 1 {
        found.retain(|(_, model)| model == "model");
    }
    if let (1, Some(found)) = (found.len(), found.pop()) {
        return Ok(found);
    }
    let has = |part: &str| archive.names().any(|name| name.contains(part));
    if has("data.pkl") {
        return Err(Error::unsupported(PICKLE));
    }
    let what = if has("serialized_exported_program") {
        "this file was written by torch 2.8 or older, in a form with pickles"
    } else if has("aotinductor") {
        "this is a package of compiled code (AOTInductor), which holds no graph"
    } else {
        "the archive holds no exported model, or several"
    };
    Err(Error::unsupported(format!("{what}; {SAVE_AGAIN}")))
}

impl Weights {
    /// Reads the tables of weights and constants.
    fn find(archive: &Archive<'_>, root: &str, model: &str) -> Result<Self> {
        let mut tables = Self::default();
        for (folder, kind) in [("weights", "weights"), ("constants", "constants")] {
            let (folder, table) = (format!("{root}data/{folder}"), format!("{model}_{kind}_config.json"));
            if archive.size(&format!("{folder}/{table}")).is_some() {
                tables.read(archive, &folder, &table)?;
            } else if archive.names().any(|name| name.starts_with(&folder) && name.ends_with(".pt")) {
                return Err(Error::unsupported(format!(
                    "the {kind} of this file are pickled, as torch 2.8 and older wrote them, and pickles are never read; \
                     {SAVE_AGAIN}"
                )));
            }
        }
        Ok(tables)
    }
}

/// The names of all values that an output depends on.
fn needed(program: &Program) -> HashSet<&str> {
    let mut needed: HashSet<&str> = program.outputs.iter().map(String::as_str).collect();
    for node in program.nodes.iter().rev() {
        if node.outputs.iter().any(|o| needed.contains(o.as_str())) {
            needed.extend(node.tensors());
        }
    }
    needed
}

/// What stayed in the file although it may concern a patient or a machine.
fn notes(archive: &Archive<'_>, program: &Program, root: &str) -> Vec<String> {
    let mut notes = Vec::new();
    let samples = format!("{root}data/sample_inputs/");
    let size: usize =
        archive.names().filter(|n| n.starts_with(&samples)).filter_map(|n| archive.size(n)).sum();
    if size > 0 {
        notes.push(format!(
            "the file holds the example inputs of the export ({size} bytes, pickled), which may be a patient's images; \
             they were not read and are not kept, but they stay in the .pt2 file: export with zeros before sharing it"
        ));
    }
    let traced = program.nodes.iter().filter(|n| n.traced).count();
    if traced > 0 {
        notes.push(format!(
            "stack traces of {traced} nodes, with paths of the machine of the export, are not kept"
        ));
    }
    notes
}

/// Trained parameters that no output uses.
fn dead(program: &Program, needed: &HashSet<&str>, tables: &Weights) -> Option<String> {
    let unused = program.inputs.iter().filter_map(|(name, source)| match source {
        Source::Parameter(path) if !needed.contains(name.as_str()) => Some(path.as_str()),
        _ => None,
    });
    let unused: Vec<&str> = unused.collect();
    let bytes = unused.iter().fold(0usize, |sum, path| sum.saturating_add(tables.bytes(path)));
    let first = unused.first()?;
    Some(format!(
        "{} parameters ({bytes} bytes) that no output uses are not kept, {first:?} among them",
        unused.len()
    ))
}

/// The graph with its weights.
fn assemble(
    archive: &Archive<'_>,
    program: &Program,
    needed: &HashSet<&str>,
    tables: &Weights,
    notes: &mut Vec<String>,
) -> Result<RawGraph> {
    let mut graph = RawGraph::default();
    let mut names = HashMap::new();
    let mut inputs = BTreeSet::new();
    // A tensor may be there twice, under two names; four times is no network.
    let mut left = archive.names().filter_map(|n| archive.size(n)).sum::<usize>().saturating_mul(4);
    for (name, source) in &program.inputs {
        if !inputs.insert(name.as_str()) {
            return Err(Error::invalid(format!(
                "two inputs are named {name:?}; names must be unique, export again"
            )));
        }
        match source {
            Source::User => graph.inputs.push(read_input(program, name)?),
            Source::Parameter(path) | Source::Constant(path) if needed.contains(name.as_str()) => {
                let constant = tables
                    .load(archive, path, &mut left)
                    .map_err(|e| e.within(format!("weight {path:?}")))?;
                let free = !program.values.contains_key(path) && !graph.constants.contains_key(path);
                let kept = if free { path } else { name };
                graph.constants.insert(kept.clone(), constant);
                names.insert(name.clone(), kept.clone());
            }
            _ => {}
        }
    }
    notes.extend(graph.notes_on_batches());
    aten::translate(program, needed, names, &mut graph, notes)?;
    give_way(&mut graph);
    crate::onnx::make_unique(&mut graph);
    Ok(graph)
}

/// The output of a module is that of its last node. Where a node of the module's own `forward` comes before nodes of its
/// children (the sum of a residual block before its activation), the path alone would name the wrong one.
fn give_way(graph: &mut RawGraph) {
    let mut later: HashSet<&str> = HashSet::new();
    let mut early = Vec::new();
    for (at, node) in graph.nodes.iter().enumerate().rev() {
        if later.contains(node.name.as_str()) {
            early.push(at);
        }
        let parents = node.name.match_indices('.').map(|(dot, _)| &node.name[..dot]);
        // The parents of a parent that is known are known.
        let new: Vec<&str> = parents.rev().take_while(|p| !later.contains(p)).collect();
        later.extend(new);
    }
    for node in early {
        let node = &mut graph.nodes[node];
        node.name = format!("{}.{}", node.name, node.op.to_lowercase());
    }
}

/// Name and sizes of an input; a batch of 1 is free.
fn read_input(program: &Program, name: &str) -> Result<(String, Vec<i64>)> {
    let mut sizes = program.sizes(name)?.to_vec();
    let dtype = program.values.get(name).map_or(0, |m| m.dtype);
    if !program::FLOATS.contains(&dtype) {
        return Err(Error::unsupported(format!(
            "input {name:?} holds whole numbers; images must be floating-point numbers, convert them before the network"
        )));
    }
    if let Some(batch) = sizes.first_mut().filter(|b| **b == 1) {
        *batch = -1;
    }
    Ok((String::from(name), sizes))
}
