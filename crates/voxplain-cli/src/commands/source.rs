//! The network of a command: which file, by which door, with which card.

use clap::Args;
use std::path::{Path, PathBuf};
use voxplain::models::{ArchitectureOptions, Card, companion_card};
use voxplain::{Error, Model, Result};

/// The options that say which network is meant.
#[derive(Args)]
pub struct Source {
    /// The model: our own file, a PyTorch program (.pt2, from torch.export.save), ONNX (.onnx), or a plain state dict in
    /// safetensors (with --arch).
    pub model: PathBuf,
    /// The architecture that a plain state dict belongs to, one of `import --list-architectures`.
    #[arg(long)]
    pub arch: Option<String>,
    /// Sizes of the input's spatial axes for --arch, as --spatial 96 96 96; another option or nothing comes after it.
    #[arg(long, num_args = 1..=3, requires = "arch")]
    pub spatial: Vec<usize>,
    /// The same in one word, as --input 96,96,96; anything else is a part of the case, as --input t1=t1.nii.gz. Repeat for more.
    #[arg(long, num_args = 1, value_name = "X,Y,Z|CASE")]
    pub input: Vec<String>,
    /// A setting of --arch that shapes cannot tell, as --arch-set groups=8; may be repeated.
    #[arg(long = "arch-set", value_name = "KEY=VALUE", requires = "arch")]
    pub settings: Vec<String>,
    /// A model card in place of the model's own: TOML or JSON, a MONAI bundle's metadata.json or nnU-Net's dataset.json.
    #[arg(long)]
    pub card: Option<PathBuf>,
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

    /// The words of a case: those that stand by themselves and those of --input that are no sizes.
    pub fn case(&self, own: &[String]) -> Vec<String> {
        let words = self.input.iter().filter(|word| self.sizes(word).is_none());
        own.iter().chain(words).cloned().collect()
    }

    /// Refuses words of a case where there is none.
    pub fn without_case(&self) -> Result<()> {
        match self.input.iter().find(|word| self.sizes(word).is_none()) {
            None => Ok(()),
            Some(word) => Err(Error::invalid(format!(
                "--input {word}: sizes as 96,96,96 for --arch expected, since this command looks at no case"
            ))),
        }
    }

    /// The spatial sizes that a word of --input is; without --arch there is nothing to give sizes to.
    fn sizes(&self, word: &str) -> Option<Vec<usize>> {
        self.arch.as_ref()?;
        word.split(',').map(|size| size.trim().parse().ok()).collect()
    }

    fn network(&self) -> Result<Model> {
        let Some(arch) = &self.arch else { return Model::open(&self.model) };
        let path = &self.model;
        let data = std::fs::read(path).map_err(|e| Error::invalid(format!("{}: {e}", path.display())))?;
        Model::from_state_dict(arch, &data, &self.options()?).map_err(|e| e.within(path.display()))
    }

    fn options(&self) -> Result<ArchitectureOptions> {
        let pair = |text: &String| {
            let (key, value) = text.split_once('=').ok_or_else(|| {
                Error::invalid(format!("--arch-set {text:?}; KEY=VALUE expected, such as groups=8"))
            })?;
            Ok((key.trim().to_owned(), value.trim().to_owned()))
        };
        let settings = self.settings.iter().map(pair).collect::<Result<_>>()?;
        let mut given: Vec<Vec<usize>> = self.input.iter().filter_map(|word| self.sizes(word)).collect();
        given.extend(Some(self.spatial.clone()).filter(|sizes| !sizes.is_empty()));
        if given.len() > 1 {
            return Err(Error::invalid(
                "the input's sizes are given twice; --spatial or --input once expected",
            ));
        }
        Ok(ArchitectureOptions { spatial: given.pop().unwrap_or_default(), settings })
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
