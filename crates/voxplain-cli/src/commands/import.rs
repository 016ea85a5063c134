//! `voxplain import`.

use super::source::Source;
use super::{bytes, say};
use crate::Outcome;
use clap::Args;
use std::path::{Path, PathBuf};
use voxplain::imaging::atomic_write;
use voxplain::models::{Card, CardInput, architectures, read_tensors};
use voxplain::{Error, ErrorKind, Model, Result, preparation};

/// Reads a network and writes one file with weights, graph and card.
#[derive(Args)]
pub struct Import {
    #[command(flatten)]
    source: Option<Source>,
    /// Print the architectures that --arch knows, and do nothing else.
    #[arg(long, exclusive = true)]
    list_architectures: bool,
    /// The model file to write.
    #[arg(short, long, required_unless_present = "list_architectures")]
    out: Option<PathBuf>,
    /// Fold batch normalisation into the layers before it. Recorded in the file, because it can change rule-based maps.
    #[arg(long)]
    fold: bool,
    /// Inputs and outputs (and gradients of class 0) that the network's origin computed, in safetensors: `input/NAME`,
    /// `output/NAME`, `gradient/NAME`. Use inputs that the exporter did not see.
    #[arg(long, value_name = "FILE")]
    check: Option<PathBuf>,
    /// The largest difference that --check allows, as a part of the largest stored value.
    #[arg(long, default_value_t = 1e-4, requires = "check")]
    tolerance: f64,
}

impl Import {
    /// Reads, rewrites if asked to, compares if asked to, writes, and reads the written file again.
    pub fn run(&self) -> Result<Outcome> {
        if self.list_architectures {
            architectures().for_each(|(name, about)| say(&format!("{name:22} {about}")));
            return Ok(Outcome::Done);
        }
        let (Some(source), Some(out)) = (&self.source, &self.out) else {
            return Err(Error::invalid("import needs a model to read and, after --out, a file to write"));
        };
        source.without_case()?;
        let (mut model, card) = source.open_with_companion()?;
        model.notes.iter().for_each(|note| say(&format!("note: {note}")));
        check_card(&model).map_err(|e| match &card {
            Some(path) => e.within(path.display()),
            None => e,
        })?;
        if self.fold {
            model.graph = voxplain::graph::rewrite::fold_batch_normalization(&model.graph)?;
        }
        if let Some(path) = &self.check {
            self.compare(&model, path)?;
        }
        let data = model.to_bytes()?;
        let again = Model::from_bytes(&data)?;
        if again.graph.nodes().len() != model.graph.nodes().len() {
            return Err(Error::internal("the written model differs from the one that was read"));
        }
        atomic_write(out, |file| Ok(file.write_all(&data)?))?;
        say(&format!(
            "{}: {} nodes, {} parameters, {}",
            out.display(),
            model.graph.nodes().len(),
            model.graph.parameter_count(),
            bytes(data.len())
        ));
        model.graph.rewrites().iter().for_each(|r| say(&format!("rewrite {r}")));
        report_card(&model.card, card.as_deref());
        Ok(Outcome::Done)
    }

    fn compare(&self, model: &Model, path: &Path) -> Result<()> {
        let data = std::fs::read(path).map_err(|e| Error::invalid(format!("{}: {e}", path.display())))?;
        let place = |e: Error| e.within(path.display());
        let (tensors, _) = read_tensors(&data).map_err(place)?;
        let found = voxplain::check(model, &tensors).map_err(place)?;
        for c in &found {
            say(&format!("{:32} largest difference {:.1e} of {:.4}", c.key, c.error, c.scale));
        }
        if !(0.0..1.0).contains(&self.tolerance) {
            return Err(Error::invalid(format!(
                "--tolerance {}; from 0 to below 1 expected",
                self.tolerance
            )));
        }
        match found.iter().find(|c| c.relative().is_nan() || c.relative() > self.tolerance) {
            None => Ok(()),
            Some(c) => Err(Error::new(
                ErrorKind::Violation,
                format!(
                    "{} differs by {:.1e} of its largest value, more than --tolerance {:.1e}, so nothing was written; export \
                 in eval mode, and compare with the same precision",
                    c.key,
                    c.relative(),
                    self.tolerance
                ),
            )),
        }
    }
}

/// A card that cannot work is refused before it is in a file.
fn check_card(model: &Model) -> Result<()> {
    let graph = &model.graph;
    check_names(model)?;
    preparation(&model.card, &CardInput::default()).map_err(|e| e.within("orientation"))?;
    for input in &model.card.inputs {
        let known = graph.inputs().iter().find(|&&v| graph.value(v).name == input.name);
        let Some(&value) = known else {
            let names: Vec<&str> = graph.inputs().iter().map(|&v| graph.value(v).name.as_str()).collect();
            return Err(Error::invalid(format!(
                "the card's input {:?} is none of the network's: {}",
                input.name,
                names.join(", ")
            )));
        };
        let steps =
            preparation(&model.card, input).map_err(|e| e.within(format!("input {:?}", input.name)))?;
        let (have, want) = (input.channels.len() * steps.copies(), graph.shape(value)[1]);
        if have != want && !input.channels.is_empty() {
            return Err(Error::invalid(format!(
                "the card gives input {:?} {have} channels, and the network takes {want}",
                input.name
            )));
        }
    }
    if let Some(layer) = &model.card.cam_layer {
        graph.find(layer).map_err(|e| e.within("cam_layer"))?;
    }
    Ok(())
}

/// Names have to mean one thing each, and no more classes may be named than the network has outputs.
fn check_names(model: &Model) -> Result<()> {
    let (graph, card) = (&model.graph, &model.card);
    let channels: Vec<&String> = card.inputs.iter().flat_map(|i| &i.channels).collect();
    let twice = |names: &[&String]| {
        names.iter().enumerate().find(|(i, name)| names[..*i].contains(name)).map(|(_, name)| (*name).clone())
    };
    let classes: Vec<&String> = card.classes.iter().collect();
    for (what, names) in [("class", classes.as_slice()), ("channel", channels.as_slice())] {
        if let Some(name) = twice(names) {
            return Err(Error::invalid(format!(
                "the card names two of a {what} {name:?}; names must differ"
            )));
        }
    }
    let outputs = graph.shape(graph.outputs()[0]).get(1).copied().unwrap_or(1);
    // One output may speak of two classes.
    if classes.len() > outputs.max(2) {
        return Err(Error::invalid(format!(
            "the card names {} classes, and the network has {outputs} outputs",
            classes.len()
        )));
    }
    Ok(())
}

/// What the card says, and what it leaves to the user.
fn report_card(card: &Card, path: Option<&Path>) {
    let Some(path) = path else { return };
    let channels: Vec<&str> = card.inputs.iter().flat_map(|i| &i.channels).map(String::as_str).collect();
    if !card.other.is_empty() {
        let names: Vec<&str> = card.other.keys().map(String::as_str).collect();
        say(&format!("the card's {} are kept, but mean nothing to this program", names.join(", ")));
    }
    say(&format!(
        "card from {}: classes {}; channels {}",
        path.display(),
        if card.classes.is_empty() { "not named".into() } else { card.classes.join(", ") },
        if channels.is_empty() { "not named".into() } else { channels.join(", ") }
    ));
    if card.inputs.iter().any(|i| !i.channels.is_empty() && i.steps.is_empty()) {
        say(
            "the card has no preprocessing steps: images go in as stored; if the network was trained otherwise, state them",
        );
    }
    if card.output.is_none() {
        say("the card does not say what the output is; logits are assumed");
    }
}
