//! `voxplain import`.

use super::{bytes, say};
use crate::Outcome;
use clap::Args;
use std::path::{Path, PathBuf};
use voxplain::imaging::atomic_write;
use voxplain::models::{ArchitectureOptions, Card, architectures};
use voxplain::{Error, Model, Result};

/// Reads a network and writes one file with weights, graph and card.
#[derive(Args)]
pub struct Import {
    /// An ONNX model, a PyTorch state dict in safetensors (with --arch), or a model file.
    #[arg(required_unless_present = "list_architectures")]
    model: Option<PathBuf>,
    /// The model file to write.
    #[arg(short, long, required_unless_present = "list_architectures")]
    out: Option<PathBuf>,
    /// Print the architectures that --arch knows, and do nothing else.
    #[arg(long)]
    list_architectures: bool,
    #[command(flatten)]
    architecture: Architecture,
    /// A model card (JSON) to put into the file.
    #[arg(long)]
    card: Option<PathBuf>,
    /// Fold batch normalisation into the layers before it. Recorded in the file, because it can change rule-based maps.
    #[arg(long)]
    fold: bool,
}

/// What a plain state dict needs besides its weights.
#[derive(Args)]
pub struct Architecture {
    /// The architecture that a plain state dict belongs to; `voxplain import --list-architectures` prints all.
    #[arg(long)]
    arch: Option<String>,
    /// Sizes of the input's spatial axes for --arch, as --spatial 96 96 96; another option or nothing comes after it.
    #[arg(long, num_args = 1..=3, requires = "arch", conflicts_with = "input")]
    spatial: Vec<usize>,
    /// The same in one word, as --input 96,96,96.
    #[arg(long, value_delimiter = ',', num_args = 1, requires = "arch", value_name = "X,Y,Z")]
    input: Vec<usize>,
    /// A setting of --arch that shapes cannot tell, as --arch-set groups=8; may be repeated.
    #[arg(long = "arch-set", value_name = "KEY=VALUE", requires = "arch")]
    settings: Vec<String>,
}

impl Architecture {
    fn options(&self) -> Result<ArchitectureOptions> {
        let pair = |text: &String| {
            let (key, value) = text.split_once('=').ok_or_else(|| {
                Error::invalid(format!("--arch-set {text:?}; KEY=VALUE expected, such as groups=8"))
            })?;
            Ok((key.trim().to_owned(), value.trim().to_owned()))
        };
        let settings = self.settings.iter().map(pair).collect::<Result<_>>()?;
        let spatial = if self.spatial.is_empty() { &self.input } else { &self.spatial };
        Ok(ArchitectureOptions { spatial: spatial.clone(), settings })
    }

    /// Reads a model by any door.
    pub fn open(&self, path: &Path) -> Result<Model> {
        let Some(arch) = &self.arch else { return Model::open(path) };
        let data = std::fs::read(path).map_err(|e| Error::invalid(format!("{}: {e}", path.display())))?;
        Model::from_state_dict(arch, &data, &self.options()?).map_err(|e| e.within(path.display()))
    }
}

impl Import {
    /// Reads, rewrites if asked to, writes, and reads the written file again.
    pub fn run(&self) -> Result<Outcome> {
        if self.list_architectures {
            architectures().for_each(|(name, about)| say(&format!("{name:22} {about}")));
            return Ok(Outcome::Done);
        }
        let (Some(from), Some(to)) = (&self.model, &self.out) else {
            return Err(Error::invalid("import needs a model to read and, after --out, a file to write"));
        };
        let mut model = self.architecture.open(from)?;
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
        atomic_write(to, |out| Ok(out.write_all(&data)?))?;
        say(&format!(
            "{}: {} nodes, {} parameters, {}",
            to.display(),
            model.graph.nodes().len(),
            model.graph.parameter_count(),
            bytes(data.len())
        ));
        model.graph.rewrites().iter().for_each(|r| say(&format!("rewrite {r}")));
        Ok(Outcome::Done)
    }
}
