//! `voxplain explain`.

use super::machine::Machine;
use super::meter::Meter;
use super::requests::Words;
use super::source::Source;
use super::{bytes, say};
use crate::Outcome;
use clap::Args;
use indicatif::ProgressBar;
use serde_json::{Map, Value, json};
use std::path::{Path, PathBuf};
use voxplain::attribution::{Entry, Ledger};
use voxplain::imaging::read_nifti;
use voxplain::models::read_tensors;
use voxplain::request::{self, Context, ESTIMATORS, Request, Supervoxels, Tensors};
use voxplain::{
    Case, Device, Error, Explainer, Format, Model, Result, Tensor, Together, reference_tensors, sha256,
};

/// Explains an output of MODEL on a CASE: a folder searched by the model card's modality names, or name=FILE per
/// modality (.nii, .nii.gz, #N for volume N of a 4D file) or input (.npy, .png, .safetensors#KEY).
#[derive(Args)]
pub struct Explain {
    #[command(flatten)]
    source: Source,
    /// The case; not needed with --request, whose tensors hold the inputs.
    case: Vec<String>,
    /// The folder for results; every request becomes a folder in it.
    #[arg(short, long)]
    out: Option<PathBuf>,
    /// Methods with commas, `all` (the gradient families), or `study` (the 16 methods of Jin et al. with their settings).
    /// By default integrated_gradients, or the composite where one is given.
    #[arg(short, long, alias = "methods")]
    method: Option<String>,
    /// A composite of relevance rules, TOML or JSON: a list of nodes, rule and parameters; the method is then `composite`.
    #[arg(long, value_name = "FILE", conflicts_with = "request")]
    composite: Option<PathBuf>,
    /// What is explained: pred, a class name or number, or A-B for why A rather than B. Of a segmentation network, summed
    /// over a region: CLASS@pred, CLASS@mask, CLASS@mask:LABEL, CLASS@box:X0:X1,Y0:Y1,Z0:Z1 (voxels of the image).
    #[arg(short, long, default_value = "pred")]
    target: String,
    /// The layer of class activation maps, as `inspect` names it; by default the one that the model card names.
    #[arg(long, conflicts_with = "request")]
    layer: Option<String>,
    /// A parameter as key=value (value as JSON or text), for all methods that have it; repeat for more.
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// Ends each perturbation method after so many evaluations (500), so much time (60s, 10m, 2h) or at a standard error
    /// (error=0.01, or error=5% of the largest score); several with commas. A larger budget goes on from there.
    #[arg(long)]
    budget: Option<String>,
    /// Write what perturbation methods drew to draws.safetensors, which --tensors reads.
    #[arg(long)]
    save_draws: bool,
    /// Another patient, named as the case is, whose values `--set baseline=reference` takes; repeat for single files.
    #[arg(long, value_name = "CASE")]
    reference: Vec<String>,
    /// A list of requests in the form of a reference case's case.json.
    #[arg(long, requires = "tensors")]
    request: Option<PathBuf>,
    /// The tensors that requests and parameters name; with --request, the inputs too, under `input/NAME`.
    #[arg(long)]
    tensors: Option<PathBuf>,
    /// npy, nifti, png, several with commas; by default nifti,png for images and npy for arrays.
    #[arg(short, long)]
    format: Option<String>,
    /// A segmentation (NIfTI on the images' grid): figures go through it and outline it, targets may name it, and its labels
    /// may be features (`--set mask=labels`, an atlas too).
    #[arg(long)]
    mask: Option<PathBuf>,
    #[command(flatten)]
    machine: Machine,
    /// Print passes, operations, memory and estimated seconds of every request, and write nothing.
    #[arg(long)]
    dry_run: bool,
    /// Print what every node kept of the relevance: biases, stabilisers, dead outputs. It is in the manifest in any case.
    #[arg(long)]
    ledger: bool,
    /// Compute results anew that are already there.
    #[arg(long)]
    force: bool,
    /// JSON lines on standard output.
    #[arg(long)]
    json: bool,
}

fn text(path: &Path) -> Result<String> {
    std::fs::read_to_string(path).map_err(|e| Error::invalid(format!("{}: {e}", path.display())))
}

/// The parameters that a composite's file says.
pub(super) fn read_composite(path: &Path) -> Result<Map<String, Value>> {
    request::parse_composite(&text(path)?).map_err(|e| e.within(path.display()))
}

impl Explain {
    /// Runs the requests.
    pub fn run(&self) -> Result<Outcome> {
        let model = self.source.open()?;
        let settings = self.machine.settings()?;
        if let (Some(request), Some(tensors)) = (&self.request, &self.tensors) {
            let batch = request::parse(&text(request)?).map_err(|e| e.within(request.display()))?;
            let data =
                std::fs::read(tensors).map_err(|e| Error::invalid(format!("{}: {e}", tensors.display())))?;
            let (map, _) = read_tensors(&data).map_err(|e| e.within(tensors.display()))?;
            let context = Context {
                graph: &model.graph,
                inputs: &names(&model),
                tensors: &map,
                seed: 0,
                cam_layer: None,
                network_inputs: &[],
                case: None,
                supervoxels: &Supervoxels::default(),
            };
            let case = Case::from_arrays(context.stored_inputs().map_err(|e| e.within(tensors.display()))?);
            let explainer = Explainer::new(&model, &case).with_settings(settings)?.with_tensors(
                map,
                sha256(&data),
                batch.reduction,
            );
            return self.all(&model, &case, explainer, &batch.requests);
        }
        let mut case = Case::open(&model, &self.source.case(&self.case))?;
        if let Some(mask) = &self.mask {
            case = case.with_mask(read_nifti(mask, None)?).map_err(|e| e.within(mask.display()))?;
        }
        let (tensors, hash) = self.named_tensors(&model)?;
        let explainer =
            Explainer::new(&model, &case).with_settings(settings)?.with_tensors(tensors, hash, false);
        let mut requests = self.short_form(&model)?;
        if self.method.as_deref() == Some("study") {
            self.say_about_permutation(&model, &case, &mut requests);
        }
        let several = matches!(self.method.as_deref(), Some("study" | "all"));
        if several && !requests.iter().any(|r| r.method.contains("cam")) {
            self.note(
                "class activation maps are left out: the model card names no layer; name one with --layer",
            );
        }
        self.all(&model, &case, explainer, &requests)
    }

    /// The study permutes features among patients: one alone has nobody to get values from.
    fn say_about_permutation(&self, model: &Model, case: &Case, requests: &mut Vec<Request>) {
        let rows = |(x, &v): (&Tensor<f32>, &_)| x.data().len() / model.graph.shape(v).elements().max(1);
        let patients = case.inputs.iter().zip(model.graph.inputs()).map(rows).max().unwrap_or(1);
        let what = match (patients, self.reference.is_empty()) {
            (1, true) => {
                requests.retain(|r| r.method != "feature_permutation");
                "feature_permutation is left out: it takes values from other patients and there is only one; name another \
                 with --reference"
            }
            (_, false) => "feature_permutation: features get the values of the patient of --reference",
            _ => return,
        };
        self.note(what);
    }

    /// Says something beside the results.
    fn note(&self, what: &str) {
        if self.json { eprintln!("voxplain: {what}") } else { say(what) }
    }

    /// The requests that --method, --target, --set, --budget and --save-draws mean.
    fn short_form(&self, model: &Model) -> Result<Vec<Request>> {
        let default = if self.composite.is_some() { "composite" } else { "integrated_gradients" };
        let words = Words {
            methods: self.method.as_deref().unwrap_or(default),
            target: &self.target,
            set: &self.set,
            composite: self.composite.as_deref().map(read_composite).transpose()?,
            budget: self.budget.as_deref(),
            save_draws: self.save_draws,
            layer: self.layer.as_deref(),
        };
        words.requests(model)
    }

    /// The tensors that parameters may name, and a hash of them: those of --tensors and another patient's.
    fn named_tensors(&self, model: &Model) -> Result<(Tensors, String)> {
        let (mut all, mut hash) = (Tensors::new(), String::new());
        if let Some(path) = &self.tensors {
            let data = std::fs::read(path).map_err(|e| Error::invalid(format!("{}: {e}", path.display())))?;
            all = read_tensors(&data).map_err(|e| e.within(path.display()))?.0;
            hash = sha256(&data);
        }
        if !self.reference.is_empty() {
            let other = Case::open(model, &self.reference).map_err(|e| e.within("--reference"))?;
            all.extend(reference_tensors(&names(model), &other.inputs));
            hash = sha256(format!("{hash} {:?}", other.files).as_bytes());
        }
        Ok((all, hash))
    }

    fn formats(&self, case: &Case) -> Result<Vec<Format>> {
        let images = case.images.iter().any(Option::is_some);
        let default = if images { "nifti,png" } else { "npy" };
        self.format.as_deref().unwrap_or(default).split(',').map(|f| Format::parse(f.trim())).collect()
    }

    fn all(
        &self,
        model: &Model,
        case: &Case,
        explainer: Explainer<'_>,
        requests: &[Request],
    ) -> Result<Outcome> {
        if self.dry_run {
            return self.costs(&explainer, requests);
        }
        let out = self.out.as_ref().ok_or_else(|| Error::invalid("--out FOLDER is missing"))?;
        let explainer = &explainer.resumable(out);
        let formats = self.formats(case)?;
        let prediction = explainer.predict()?;
        if !self.json {
            if self.machine.device == Device::Auto {
                say(&format!("device: {}", explainer.device_name()));
            }
            let names: Vec<String> = prediction
                .probabilities
                .iter()
                .map(|row| {
                    row.iter()
                        .enumerate()
                        .map(|(i, p)| format!("{} {p:.4}", model.card.class_name(i)))
                        .collect::<Vec<_>>()
                        .join(", ")
                })
                .collect();
            // A segmentation has no probabilities of the whole image.
            if !names.is_empty() {
                say(&format!("{}: {}", case.id, names.join("; ")));
            }
        }
        let passes: Vec<u64> = requests.iter().map(|r| explainer.passes(r).map_or(1, |p| p.0)).collect();
        let meter = Meter::new(passes.iter().sum());
        let mut failed = Vec::new();
        let observer = |rows: usize| meter.advance(rows);
        let mut together = explainer.together(requests, &observer);
        for (request, &passes) in requests.iter().zip(&passes) {
            let allowed = request.budget().ok().and_then(|budget| budget.seconds);
            meter.begin(&request.id, passes, explainer.known(request), allowed);
            if let Err(error) = self.unit(explainer, &mut together, request, (out, &formats), &meter.bar) {
                meter.bar.suspend(|| eprintln!("voxplain: {error}"));
                failed.push(error);
            }
        }
        meter.bar.finish_and_clear();
        match failed.first() {
            None => Ok(Outcome::Done),
            Some(error) if failed.len() == requests.len() => Ok(Outcome::Failed(error.kind())),
            Some(_) => Ok(Outcome::Partial),
        }
    }

    /// Runs one request unless its result is there already, of the same key.
    fn unit(
        &self,
        explainer: &Explainer<'_>,
        together: &mut Together<'_>,
        request: &Request,
        (out, formats): (&Path, &[Format]),
        bar: &ProgressBar,
    ) -> Result<()> {
        let key = explainer.key(request);
        if !self.force && is_done(&out.join(&request.id), &key) {
            let machine = json!({"id": request.id, "cached": true});
            bar.suspend(|| self.report(&machine, &format!("{}: cached", request.id)));
            return Ok(());
        }
        let explained = together.run(request)?;
        let files = explained.write(out, formats)?;
        let ledger = explained.attribution.ledger.as_ref().filter(|_| self.ledger);
        let line = json!({
            "id": request.id,
            "ledger": ledger.map(ledger_lines),
            "target": explained.target_words,
            "residuals": explained.attribution.residuals,
            "seconds": explained.seconds,
            "evaluations": explained.attribution.forward_passes,
            "ended_by_budget": explained.is_stopped(),
            "notes": explained.attribution.notes,
            "files": files,
        });
        // What an estimation found about itself; other methods say what they did.
        let notes =
            explained.attribution.notes.iter().filter(|_| ESTIMATORS.contains(&request.method.as_str()));
        let below = ledger.map(ledger_lines).into_iter().flatten().chain(notes.cloned());
        let kept: String = below.map(|line| format!("\n    {line}")).collect();
        bar.suspend(|| self.report(&line, &format!("{}: {}{kept}", request.id, explained.summary())));
        Ok(())
    }

    fn report(&self, machine: &Value, people: &str) {
        if self.json { say(&machine.to_string()) } else { say(people) }
    }

    fn costs(&self, explainer: &Explainer<'_>, requests: &[Request]) -> Result<Outcome> {
        let speed = explainer.calibrate()?;
        for request in requests {
            let cost = explainer.cost(request, speed)?;
            let people = format!(
                "{:24} {:6} forward {:6} backward {:10.2} GFLOP {:>10} above the weights {:8.1} s",
                request.id,
                cost.passes.0,
                cost.passes.1,
                cost.flops as f64 / 1e9,
                bytes(cost.bytes),
                cost.seconds
            );
            let (forward, backward) = cost.passes;
            let rules = explainer.rules(request)?;
            let machine = json!({"id": request.id, "forward": forward, "backward": backward, "rules": rules,
                                 "flops": cost.flops, "bytes": cost.bytes, "seconds": cost.seconds});
            let table: String = rules.iter().map(|line| format!("\n    {line}")).collect();
            self.report(&machine, &(people + &table));
        }
        Ok(Outcome::Done)
    }
}

/// The names of a network's inputs.
fn names(model: &Model) -> Vec<String> {
    model.graph.inputs().iter().map(|&v| model.graph.value(v).name.clone()).collect()
}

/// What the nodes kept, one line each, example by example.
fn ledger_lines(ledger: &Ledger) -> Vec<String> {
    let line = |e: &Entry| format!("{:<32} {:<10} {:>14.6e}", e.node, e.cause.name(), e.amount);
    ledger.entries.iter().flatten().map(line).collect()
}

/// Whether a folder holds a finished result of this key with all its files intact.
fn is_done(folder: &Path, key: &str) -> bool {
    let Ok(text) = std::fs::read_to_string(folder.join("manifest.json")) else { return false };
    let Ok(manifest) = serde_json::from_str::<Value>(&text) else { return false };
    let intact = |file: &Value| {
        let (name, hash) =
            (file["name"].as_str().unwrap_or_default(), file["sha256"].as_str().unwrap_or_default());
        std::fs::read(folder.join(name)).is_ok_and(|data| sha256(&data) == hash)
    };
    manifest["key"] == key && manifest["files"].as_array().is_some_and(|f| f.iter().all(intact))
}
