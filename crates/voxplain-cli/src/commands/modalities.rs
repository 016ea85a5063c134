//! `voxplain modalities`.

use super::machine::Machine;
use super::source::Source;
use super::{progress, say};
use crate::Outcome;
use clap::Args;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use voxplain::{
    Case, Error, Explainer, ModalityImportance, ModalityOutputs, ModalityQuestion, Model, Result, Worth,
    parse_labels,
};

/// Says how much each modality matters: exact Shapley values over all coalitions of modalities, of one case or of a data
/// set, for a logit, a probability, or with labels the accuracy or the area under the ROC curve.
#[derive(Args)]
pub struct Modalities {
    #[command(flatten)]
    source: Source,
    /// The cases: folders, one each; or a single case as one name=FILE per modality or input.
    #[arg(required = true)]
    cases: Vec<String>,
    /// What a coalition is worth: logit, probability, accuracy, auc.
    #[arg(long, default_value = "logit")]
    of: String,
    /// The class whose logit or probability counts (pred for each case's own prediction), or A-B for A rather than B.
    #[arg(short, long, default_value = "pred")]
    target: String,
    /// Lines CASE,CLASS, for accuracy and auc.
    #[arg(long)]
    labels: Option<PathBuf>,
    /// What absent modalities become: zero, a number, mean, noise, blur SIGMA, mirror AXIS.
    #[arg(long, default_value = "zero")]
    baseline: String,
    #[command(flatten)]
    machine: Machine,
    /// JSON for machines, with the values of every case.
    #[arg(long)]
    json: bool,
}

impl Modalities {
    /// Prints the importance of every modality.
    pub fn run(&self) -> Result<Outcome> {
        self.source.without_case()?;
        let model = self.source.open()?;
        let labels = match &self.labels {
            None => BTreeMap::new(),
            Some(path) => read_labels(path, &model)?,
        };
        let worth = Worth::parse(&self.of)?;
        if matches!(worth, Worth::Accuracy | Worth::Auc) && self.labels.is_none() {
            return Err(Error::invalid(format!(
                "--of {} needs the cases' classes: --labels FILE.csv",
                self.of
            )));
        }
        let cases = self.outputs(&model)?;
        let question =
            ModalityQuestion { worth, target: &self.target, labels: &labels, seed: self.machine.seed };
        let answer = question.answer(&model, &cases)?;
        if self.json {
            let mut all = answer.to_json();
            all["of"] = json!(self.of);
            all["target"] = json!(self.target);
            all["baseline"] = json!(self.baseline);
            say(&all.to_string());
        } else {
            self.table(&answer, &cases);
        }
        Ok(Outcome::Done)
    }

    fn outputs(&self, model: &Model) -> Result<Vec<ModalityOutputs>> {
        let folders = self.cases.iter().all(|word| Path::new(word).is_dir());
        let words: Vec<&[String]> =
            if folders { self.cases.chunks(1).collect() } else { vec![&self.cases[..]] };
        let value =
            serde_json::from_str(&self.baseline).unwrap_or_else(|_| Value::from(self.baseline.as_str()));
        let params: Map<String, Value> = [(String::from("baseline"), value)].into_iter().collect();
        let bar = progress(words.len() as u64);
        let one = |words: &[String]| {
            let case = Case::open(model, words)?;
            let settings = self.machine.settings()?;
            let outputs = Explainer::new(model, &case).with_settings(settings)?.modality_outputs(&params);
            bar.inc(1);
            outputs.map_err(|e| e.within(format!("case {}", case.id)))
        };
        let all = words.into_iter().map(one).collect();
        bar.finish_and_clear();
        all
    }

    fn table(&self, answer: &ModalityImportance, cases: &[ModalityOutputs]) {
        let coalitions = cases.first().map_or(0, |c| c.outputs.len());
        let of = match self.of.as_str() {
            "accuracy" | "auc" => self.of.clone(),
            measure => format!(
                "{measure} of {}",
                if self.target == "pred" { "the predicted class" } else { &self.target }
            ),
        };
        let subject = match cases {
            [case] => case.id.clone(),
            all => format!("{} cases", all.len()),
        };
        say(&format!("{subject}: {of}, exact Shapley values over {coalitions} coalitions"));
        let heading = if answer.intervals.is_some() { "95 % over cases" } else { "" };
        say(&format!("  {:24} {:>12}  {heading}", "modality", "importance"));
        for (m, name) in answer.names.iter().enumerate() {
            let interval = answer
                .intervals
                .as_ref()
                .map_or_else(String::new, |all| format!("{:.6} to {:.6}", all[m][0], all[m][1]));
            say(&format!("  {name:24} {:>12.6}  {interval}", answer.values[m]));
        }
        say(&format!("  none {:.6}, all {:.6}", answer.ends[0], answer.ends[1]));
    }
}

fn read_labels(path: &Path, model: &Model) -> Result<BTreeMap<String, usize>> {
    let text =
        std::fs::read_to_string(path).map_err(|e| Error::invalid(format!("{}: {e}", path.display())))?;
    parse_labels(&text, &model.card).map_err(|e| e.within(path.display()))
}
