//! `voxplain predict`.

use super::say;
use super::source::Source;
use crate::Outcome;
use clap::Args;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use voxplain::imaging::{WriteOptions, write_nifti, write_npy};
use voxplain::{Case, Device, Explainer, Model, Prediction, Result, Settings, Tensor};

/// Says what the network says about a case, before any map is believed: compare it with the network's origin.
#[derive(Args)]
pub struct Predict {
    #[command(flatten)]
    source: Source,
    /// The case: a folder searched by the model card's modality names, or name=FILE per modality or input.
    case: Vec<String>,
    /// Write the first output here as .npy (examples in front), or a segmentation's labels in the images' own grid as
    /// .nii or .nii.gz.
    #[arg(short, long)]
    out: Option<PathBuf>,
    /// What computes: auto (a CUDA GPU where there is one), cpu or cuda:N.
    #[arg(long, default_value = "cpu")]
    device: Device,
    /// JSON for machines, with every output value.
    #[arg(long)]
    json: bool,
}

impl Predict {
    /// Prints logits and probabilities.
    pub fn run(&self) -> Result<Outcome> {
        let model = self.source.open()?;
        let case = Case::open(&model, &self.source.case(&self.case))?;
        let settings = Settings { device: self.device, ..Settings::default() };
        let explainer = Explainer::new(&model, &case).with_settings(settings)?;
        let prediction = explainer.predict()?;
        if let Some(path) = &self.out {
            write(path, &explainer, prediction)?;
        }
        if self.json {
            say(&describe(&model, &case, prediction).to_string());
            return Ok(Outcome::Done);
        }
        for (n, row) in prediction.logits.iter().enumerate() {
            let example = if prediction.logits.len() > 1 { format!(", example {n}") } else { String::new() };
            say(&format!("{}{example}", case.id));
            match prediction.probabilities.get(n) {
                Some(probabilities) => classes(&model, row, probabilities),
                None => {
                    say(&format!("  an output of shape {:?}; --out writes it", prediction.shape));
                    volumes(&model, prediction)?;
                }
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

/// How many voxels a segmentation network gives each class.
fn volumes(model: &Model, prediction: &Prediction) -> Result<()> {
    if model.card.task.as_deref() != Some("segmentation") || prediction.logits.len() != 1 {
        return Ok(());
    }
    for class in 0..prediction.shape.get(1).copied().unwrap_or(0) {
        let voxels = prediction.voxels(class, &model.card)?;
        say(&format!("  {:24} {voxels:>10} voxels of the network", model.card.class_name(class)));
    }
    Ok(())
}

fn write(path: &Path, explainer: &Explainer<'_>, prediction: &Prediction) -> Result<()> {
    let name = path.to_string_lossy();
    if name.ends_with(".nii") || name.ends_with(".nii.gz") {
        let description = String::from("voxplain predict");
        let labels = explainer.labels()?;
        let most = labels.data.iter().fold(0.0f32, |m, &v| m.max(v));
        return write_nifti(
            path,
            &labels,
            &WriteOptions { display: (0.0, most), description, estimate_of: None },
        );
    }
    let mut shape = prediction.shape.clone();
    if let Some(leading) = shape.first_mut() {
        *leading *= prediction.logits.len();
    }
    write_npy(path, &Tensor::new(&shape, prediction.logits.concat())?)
}

fn describe(model: &Model, case: &Case, prediction: &Prediction) -> Value {
    let count = prediction.probabilities.first().map_or(0, Vec::len);
    let classes: Vec<String> = (0..count).map(|i| model.card.class_name(i)).collect();
    json!({
        "case": case.id,
        "classes": classes,
        "output": model.card.output.as_deref().unwrap_or("logits"),
        "shape": prediction.shape,
        "values": prediction.logits,
        "probabilities": prediction.probabilities,
    })
}
