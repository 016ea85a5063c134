//! `voxplain predict`.

use super::say;
use super::source::Source;
use crate::Outcome;
use clap::Args;
use serde_json::{Value, json};
use std::path::PathBuf;
use voxplain::imaging::write_npy;
use voxplain::{Case, Explainer, Model, Prediction, Result, Tensor};

/// Says what the network says about a case, before any map is believed: compare it with the network's origin.
#[derive(Args)]
pub struct Predict {
    #[command(flatten)]
    source: Source,
    /// The case: a folder searched by the model card's modality names, or name=FILE per modality or input.
    case: Vec<String>,
    /// Write the first output to this .npy file, examples in front.
    #[arg(short, long)]
    out: Option<PathBuf>,
    /// JSON for machines, with every output value.
    #[arg(long)]
    json: bool,
}

impl Predict {
    /// Prints logits and probabilities.
    pub fn run(&self) -> Result<Outcome> {
        let model = self.source.open()?;
        let case = Case::open(&model, &self.case)?;
        let prediction = Explainer::new(&model, &case).predict()?;
        if let Some(path) = &self.out {
            write_npy(path, &output(&model, &prediction)?)?;
        }
        if self.json {
            say(&describe(&model, &case, &prediction).to_string());
            return Ok(Outcome::Done);
        }
        for (n, row) in prediction.logits.iter().enumerate() {
            let example = if prediction.logits.len() > 1 { format!(", example {n}") } else { String::new() };
            say(&format!("{}{example}", case.id));
            match prediction.probabilities.get(n) {
                Some(probabilities) => classes(&model, row, probabilities),
                None => say(&format!("  a map of {} values; --out writes it", row.len())),
            }
        }
        Ok(Outcome::Done)
    }
}

/// One line per class.
fn classes(model: &Model, row: &[f32], probabilities: &[f64]) {
    let best = (0..row.len()).fold(0, |best, i| if row[i] > row[best] { i } else { best });
    let kind = model.card.output.as_deref().unwrap_or("logits");
    say(&format!("  {:24} {:>14} {:>12}", "class", kind.trim_end_matches('s'), "probability"));
    for (i, (value, p)) in row.iter().zip(probabilities).enumerate() {
        let mark = if row.len() > 1 && i == best { "  predicted" } else { "" };
        say(&format!("  {:24} {value:>14.6} {p:>12.6}{mark}", model.card.class_name(i)));
    }
    if let (Some(threshold), [p]) = (model.card.threshold, probabilities) {
        let side = if *p >= threshold { "at or above" } else { "below" };
        say(&format!("  {side} the card's threshold {threshold}, by {:.6}", (p - threshold).abs()));
    }
}

/// The first output with its shape.
fn output(model: &Model, prediction: &Prediction) -> Result<Tensor<f32>> {
    let shape = model.graph.shape(model.graph.outputs()[0]);
    Tensor::new(&shape.with(0, shape[0] * prediction.logits.len())?, prediction.logits.concat())
}

fn describe(model: &Model, case: &Case, prediction: &Prediction) -> Value {
    let count = prediction.probabilities.first().map_or(0, Vec::len);
    let classes: Vec<String> = (0..count).map(|i| model.card.class_name(i)).collect();
    json!({
        "case": case.id,
        "classes": classes,
        "output": model.card.output.as_deref().unwrap_or("logits"),
        "values": prediction.logits,
        "probabilities": prediction.probabilities,
    })
}
