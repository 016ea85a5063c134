//! `voxplain verify`.

use super::explain::read_composite;
use super::machine::Machine;
use super::requests::parameters;
use super::say;
use super::source::Source;
use crate::Outcome;
use clap::Args;
use serde_json::{Value, json};
use std::path::PathBuf;
use voxplain::request::Request;
use voxplain::verify::{Checked, HEADER, Property, Status};
use voxplain::{Case, Error, ErrorKind, Explainer, Result};

/// Checks on MODEL and a CASE what methods promise, and measures what they do not: a table, or JSON for machines. Exit code 4
/// if a promised property is broken.
#[derive(Args)]
pub struct Verify {
    #[command(flatten)]
    source: Source,
    /// The case, as for explain.
    case: Vec<String>,
    /// Methods with commas.
    /// By default some of every family, or the composite where one is given.
    #[arg(short, long, alias = "methods")]
    method: Option<String>,
    /// A composite of relevance rules in a file, as for explain; the method is then `composite`.
    #[arg(long, value_name = "FILE")]
    composite: Option<PathBuf>,
    /// What is explained: pred, a class name or number, A-B, or CLASS@REGION, as for explain.
    #[arg(short, long, default_value = "pred")]
    target: String,
    /// A parameter as key=value, for every method; repeat for more.
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// Only these properties, with commas: completeness, conservation, dummy-modality, modality-symmetry, neuron-scale, implementation,
    /// batches, threads, devices, translation, randomisation, stability, class-contrast, infidelity, concentration.
    #[arg(long, value_name = "PROPERTIES")]
    only: Option<String>,
    /// Hold every method to these properties too, with commas, although its definition does not promise them.
    #[arg(long, value_name = "PROPERTIES")]
    promise: Option<String>,
    #[command(flatten)]
    machine: Machine,
    /// One JSON object on standard output.
    #[arg(long)]
    json: bool,
}

/// The methods where none is named: gradients, their products and paths, relevance, and values alone.
const METHODS: &str =
    "saliency,input_x_gradient,guided_backprop,integrated_gradients,deeplift,lrp_epsilon_plus,shapley_values";

fn properties(words: &Option<String>) -> Result<Option<Vec<Property>>> {
    let list = |text: &String| text.split(',').map(|p| Property::parse(p.trim())).collect::<Result<Vec<_>>>();
    words.as_ref().map(list).transpose()
}

impl Verify {
    /// Checks method by method.
    pub fn run(&self) -> Result<Outcome> {
        let only = properties(&self.only).map_err(|e| e.within("--only"))?;
        let only = only.unwrap_or_else(|| Property::ALL.to_vec());
        let also = properties(&self.promise).map_err(|e| e.within("--promise"))?.unwrap_or_default();
        if let Some(never) = also.iter().find(|p| !p.can_be_promised()) {
            return Err(Error::invalid(format!(
                "--promise: {} is a measure, there is nothing to keep",
                never.name()
            )));
        }
        let model = self.source.open()?;
        let case = Case::open(&model, &self.source.case(&self.case))?;
        let settings = self.machine.settings()?;
        let explainer = Explainer::new(&model, &case).with_settings(settings)?;
        let mut all = Vec::new();
        for request in self.requests()? {
            let found = explainer.verify(&request, &only, &also)?;
            if !self.json {
                say(if all.is_empty() { HEADER } else { "" });
                found.iter().for_each(|checked| say(&checked.to_string()));
            }
            all.extend(found);
        }
        self.end(&case, &explainer, &all)
    }

    fn requests(&self) -> Result<Vec<Request>> {
        let default = if self.composite.is_some() { "composite" } else { METHODS };
        let names: Vec<&str> = self.method.as_deref().unwrap_or(default).split(',').map(str::trim).collect();
        if self.composite.is_some() && !names.contains(&"composite") {
            return Err(Error::invalid(format!(
                "--composite is for the method composite, not for {}",
                names.join(",")
            )));
        }
        let table = self.composite.as_deref().map(read_composite).transpose()?.unwrap_or_default();
        let set = parameters(&self.set)?;
        let one = |name: &str| {
            let own = table.iter().filter(|_| name == "composite");
            let params = set.iter().chain(own).map(|(key, value)| (key.clone(), value.clone())).collect();
            Request { params, target: Value::from(self.target.as_str()), ..Request::named(name) }
        };
        Ok(names.into_iter().map(one).collect())
    }

    fn end(&self, case: &Case, explainer: &Explainer<'_>, all: &[Checked]) -> Result<Outcome> {
        let count = |status: Status| all.iter().filter(|c| c.status == status).count();
        let (kept, broken) = (count(Status::Kept), count(Status::Broken));
        if self.json {
            let checks: Vec<Value> = all.iter().map(Checked::json).collect();
            let line = json!({"case": case.id, "device": explainer.device_name(), "kept": kept, "broken": broken,
                              "measured": count(Status::Measured), "checks": checks});
            say(&line.to_string());
        } else {
            legend(all).iter().for_each(|line| say(line));
            say(&format!("{kept} promised properties kept, {broken} broken, on {}", explainer.device_name()));
        }
        Ok(if broken > 0 { Outcome::Failed(ErrorKind::Violation) } else { Outcome::Done })
    }
}

/// How to read what was measured: a line for each property that has numbers of its own.
fn legend(all: &[Checked]) -> Vec<&'static str> {
    let measured = |property| all.iter().any(|c| c.property == property && c.status == Status::Measured);
    let lines = [
        (
            Property::Completeness,
            "completeness, measured: this method does not promise that its map sums to F(x) - F(0)",
        ),
        (
            Property::Translation,
            "translation: a network that sees its borders and padding sees a moved image differently; no fault of the method",
        ),
        (
            Property::Randomisation,
            "randomisation: near 1, the map does not depend on those weights (SSIM is also high where most of a map is empty); \
             --json has every stage of both cascades",
        ),
        (
            Property::Stability,
            "stability: 0.1, noise of 2 % of the image's deviation moves the map by a tenth of its norm",
        ),
        (
            Property::ClassContrast,
            "class-contrast: near 1, the map does not say why this class and not that one",
        ),
        (
            Property::Infidelity,
            "infidelity: 0, the map foretells what changes of the image do, 1, no better than a map of zeros; read gradients as \
             slopes, what is multiplied by the image as parts",
        ),
        (
            Property::Concentration,
            "concentration: sparseness 1 and complexity 0, all in one entry; a degenerate map has them too",
        ),
    ];
    let mut shown: Vec<&str> =
        lines.into_iter().filter(|(p, _)| measured(*p)).map(|(_, line)| line).collect();
    if !shown.is_empty() {
        shown.insert(0, "");
    }
    shown.push("");
    shown
}
