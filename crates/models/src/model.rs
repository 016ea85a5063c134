//! The one type that callers hold, so that no caller has to know which door a network came through.

use crate::architectures::ArchitectureOptions;
use crate::card::Card;
use crate::container::{read_tensors, write_tensors};
use crate::raw::RawGraph;
use crate::{architectures, export, fusion, json, lowering, onnx, pruning, pt2};
use std::io::Write;
use std::path::Path;
use voxplain_graph::Graph;
use voxplain_tensor::{Error, Result};

/// A network and what its numbers mean.
#[derive(Clone, Debug)]
pub struct Model {
    /// The network.
    pub graph: Graph,
    /// The card, empty where the file has none.
    pub card: Card,
    /// What the reader left out or a user should know, one sentence each; not saved.
    pub notes: Vec<String>,
}

impl Model {
    /// Reads a model file of our own form: safetensors with the graph (and perhaps a card) in the header.
    ///
    /// # Errors
    /// The bytes are not such a file, or the network cannot be built; one sentence says why.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let (tensors, metadata) = read_tensors(bytes)?;
        let text = metadata.get("graph").ok_or_else(|| {
            Error::invalid(
                "the safetensors file has no \"graph\" in its metadata; import an ONNX file or name an architecture \
                 (--arch NAME) for a plain state dict",
            )
        })?;
        let mut raw = json::parse_graph(text)?;
        raw.constants = tensors;
        let card = metadata.get("card").map_or_else(|| Ok(Card::default()), |c| Card::parse(c))?;
        Ok(Self { graph: build(raw)?, card, notes: Vec::new() })
    }

    /// Reads an ONNX model (opset 13 to 23). Weights in files of their own are looked up in `folder`.
    ///
    /// # Errors
    /// The bytes are not ONNX, or the network cannot be built; one sentence says why.
    pub fn from_onnx(bytes: &[u8], folder: Option<&Path>) -> Result<Self> {
        let (raw, notes) = onnx::read(bytes, folder)?;
        Ok(Self { notes, ..Self::plain(build(raw)?) })
    }

    /// Builds a named architecture (see [`architectures`](crate::architectures)) from a plain PyTorch state dict in
    /// safetensors. `options` holds what shapes cannot tell. What was read from the weights, given or left at its default
    /// is recorded in the graph's rewrites, and so goes with every map.
    ///
    /// # Errors
    /// The architecture or a setting is unknown, or a tensor is missing, left over or of another shape.
    pub fn from_state_dict(architecture: &str, bytes: &[u8], options: &ArchitectureOptions) -> Result<Self> {
        let (tensors, _) = read_tensors(bytes)?;
        Ok(Self::plain(build(architectures::build(architecture, tensors, options)?)?))
    }

    /// Reads a program that `torch.export.save` of torch 2.9 or newer wrote. Pickled members of the file are never read.
    ///
    /// # Errors
    /// The bytes are not such a file, or the network cannot be built; one sentence says why.
    pub fn from_pt2(bytes: &[u8]) -> Result<Self> {
        let (raw, notes) = pt2::read(bytes)?;
        Ok(Self { notes, ..Self::plain(build(raw)?) })
    }

    /// A network that came without a card.
    fn plain(graph: Graph) -> Self {
        Self { graph, card: Card::default(), notes: Vec::new() }
    }

    /// Reads a file of our own form, an ONNX file (by its ending, `.onnx`) or a PyTorch program (by its ending, `.pt2`, or
    /// because it is a zip archive, which nothing else is).
    ///
    /// # Errors
    /// The file cannot be read, or as the reader of its form says.
    pub fn open(path: &Path) -> Result<Self> {
        let bytes = read(path)?;
        let place = |e: Error| e.within(path.display());
        if path.extension().is_some_and(|e| e == "pt2") || bytes.starts_with(ZIP) {
            return Self::from_pt2(&bytes).map_err(place);
        }
        if path.extension().is_some_and(|e| e == "onnx") {
            return Self::from_onnx(&bytes, path.parent()).map_err(place);
        }
        Self::from_bytes(&bytes).map_err(place)
    }

    /// The model as a file of our own form; the same model gives the same bytes.
    ///
    /// # Errors
    /// The container library refuses the tensors.
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        let raw = export::to_raw(&self.graph)?;
        let metadata = [("card", self.card.to_json()), ("graph", json::write_graph(&raw))];
        write_tensors(&raw.constants, &metadata)
    }

    /// Writes the model to a file of our own form, under a temporary name first, so that `path` never holds half a
    /// model.
    ///
    /// # Errors
    /// As [`Model::to_bytes`], or the file cannot be written.
    pub fn save(&self, path: &Path) -> Result<()> {
        let bytes = self.to_bytes()?;
        let mut name = path
            .file_name()
            .ok_or_else(|| Error::invalid(format!("{}: a file name is expected", path.display())))?
            .to_os_string();
        name.push(format!(".{}.part", std::process::id()));
        let part = path.with_file_name(name);
        let written = write_all(&part, &bytes).and_then(|()| std::fs::rename(&part, path));
        written.map_err(|e| {
            // The first error is the one to report; the rest of the file may not even exist.
            let _ = std::fs::remove_file(&part);
            Error::io(format!("{}: the model cannot be written: {e}", path.display()))
        })
    }
}

fn write_all(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let mut file = std::fs::File::create(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// The first bytes of a zip archive.
const ZIP: &[u8] = b"PK\x03\x04";

/// Reads a whole file.
fn read(path: &Path) -> Result<Vec<u8>> {
    if path.is_dir() {
        let text = format!("{}: this is a folder; the file of a network is expected", path.display());
        return Err(Error::invalid(text));
    }
    std::fs::read(path).map_err(|e| {
        let kind = if e.kind() == std::io::ErrorKind::NotFound { Error::invalid } else { Error::io };
        kind(format!("{}: {e}", path.display()))
    })
}

fn build(mut raw: RawGraph) -> Result<Graph> {
    fusion::run(&mut raw);
    pruning::run(&mut raw)?;
    lowering::lower(raw)
}
