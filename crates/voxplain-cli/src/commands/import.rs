//! `voxplain import`.

use super::{bytes, say};
use crate::Outcome;
use clap::Args;
use std::path::PathBuf;
use voxplain::imaging::atomic_write;
use voxplain::models::Card;
use voxplain::{Error, Model, Result};

/// Reads a network and writes one file with weights, graph and card.
#[derive(Args)]
pub struct Import {
    /// A PyTorch program (.pt2, from torch.export.save), an ONNX model (.onnx), a PyTorch state dict in safetensors (with
    /// --arch), or a model file.
    model: PathBuf,
    /// The model file to write.
    #[arg(short, long)]
    out: PathBuf,
    /// The architecture that a plain state dict belongs to: genenet.
    #[arg(long)]
    arch: Option<String>,
    /// The input volume of --arch, as X,Y,Z; by default the cube that fits the weights.
    #[arg(long)]
    input: Option<String>,
    /// A model card (JSON) to put into the file.
    #[arg(long)]
    card: Option<PathBuf>,
    /// Fold batch normalisation into the layers before it. Recorded in the file, because it can change rule-based maps.
    #[arg(long)]
    fold: bool,
}

/// Three sizes with commas.
fn sizes(text: &str) -> Result<[usize; 3]> {
    let bad = || Error::invalid(format!("--input {text:?}; three sizes such as 128,128,128 expected"));
    let list: Vec<usize> =
        text.split(',').map(|s| s.trim().parse().map_err(|_| bad())).collect::<Result<_>>()?;
    list.try_into().map_err(|_| bad())
}

/// Reads a model by any door.
pub fn open(path: &std::path::Path, arch: Option<&str>, input: Option<&str>) -> Result<Model> {
    match arch {
        None => Model::open(path),
        Some(arch) => {
            let data = std::fs::read(path).map_err(|e| Error::invalid(format!("{}: {e}", path.display())))?;
            let input = input.map(sizes).transpose()?;
            Model::from_state_dict(arch, &data, input).map_err(|e| e.within(path.display()))
        }
    }
}

impl Import {
    /// Reads, rewrites if asked to, writes, and reads the written file again.
    pub fn run(&self) -> Result<Outcome> {
        let mut model = open(&self.model, self.arch.as_deref(), self.input.as_deref())?;
        model.notes.iter().for_each(|note| say(&format!("note: {note}")));
        if let Some(path) = &self.card {
            let text = std::fs::read_to_string(path)
                .map_err(|e| Error::invalid(format!("{}: {e}", path.display())))?;
            model.card = Card::parse(&text).map_err(|e| e.within(path.display()))?;
        }
        if self.fold {
            model.graph = voxplain::graph::rewrite::fold_batch_normalization(&model.graph)?;
        }
        let data = model.to_bytes()?;
        let again = Model::from_bytes(&data)?;
        if again.graph.nodes().len() != model.graph.nodes().len() {
            return Err(Error::internal("the written model differs from the one that was read"));
        }
        atomic_write(&self.out, |out| Ok(out.write_all(&data)?))?;
        say(&format!(
            "{}: {} nodes, {} parameters, {}",
            self.out.display(),
            model.graph.nodes().len(),
            model.graph.parameter_count(),
            bytes(data.len())
        ));
        Ok(Outcome::Done)
    }
}
