//! The network of a command: which file, by which door, with which card.

use clap::Args;
use std::path::{Path, PathBuf};
use voxplain::models::{Card, companion_card};
use voxplain::{Error, Model, Result};

/// The options that say which network is meant.
#[derive(Args)]
pub struct Source {
    /// The model: our own file, a PyTorch program (.pt2, from torch.export.save), ONNX (.onnx), or a plain state dict in
    /// safetensors (with --arch).
    pub model: PathBuf,
    /// The architecture that a plain state dict belongs to: genenet.
    #[arg(long)]
    pub arch: Option<String>,
    /// The input volume of --arch, as X,Y,Z; by default the cube that fits the weights.
    #[arg(long)]
    pub input: Option<String>,
    /// A model card in place of the model's own: TOML or JSON, a MONAI bundle's metadata.json or nnU-Net's dataset.json.
    #[arg(long)]
    pub card: Option<PathBuf>,
}

/// Three sizes with commas.
fn sizes(text: &str) -> Result<[usize; 3]> {
    let bad = || Error::invalid(format!("--input {text:?}; three sizes such as 128,128,128 expected"));
    let list: Vec<usize> =
        text.split(',').map(|s| s.trim().parse().map_err(|_| bad())).collect::<Result<_>>()?;
    list.try_into().map_err(|_| bad())
}

impl Source {
    /// Reads the model, with the given card if there is one.
    pub fn open(&self) -> Result<Model> {
        let mut model = self.network()?;
        if let Some(path) = &self.card {
            model.card = named(read_card(path)?, &model);
        }
        Ok(model)
    }

    /// As [`Source::open`]; a model without a card also gets the one that lies beside it. Tells where the card is from.
    pub fn open_with_companion(&self) -> Result<(Model, Option<PathBuf>)> {
        let mut model = self.open()?;
        if self.card.is_some() || model.card != Card::default() {
            return Ok((model, self.card.clone()));
        }
        let Some((path, card)) = companion_card(&self.model)? else { return Ok((model, None)) };
        model.card = named(card, &model);
        Ok((model, Some(path)))
    }

    fn network(&self) -> Result<Model> {
        let Some(arch) = &self.arch else { return Model::open(&self.model) };
        let path = &self.model;
        let data = std::fs::read(path).map_err(|e| Error::invalid(format!("{}: {e}", path.display())))?;
        let input = self.input.as_deref().map(sizes).transpose()?;
        Model::from_state_dict(arch, &data, input).map_err(|e| e.within(path.display()))
    }
}

/// A card for the inputs of this network.
fn named(card: Card, model: &Model) -> Card {
    let graph = &model.graph;
    let names: Vec<&str> = graph.inputs().iter().map(|&v| graph.value(v).name.as_str()).collect();
    card.for_inputs(&names)
}

fn read_card(path: &Path) -> Result<Card> {
    let text =
        std::fs::read_to_string(path).map_err(|e| Error::invalid(format!("{}: {e}", path.display())))?;
    Card::parse(&text).map_err(|e| e.within(path.display()))
}
