//! Requests of perturbation methods: their budgets, what they have evaluated so far, and their draws.
//!
//! Values of perturbed inputs are saved every few seconds beside the result that they will make, so a run that is killed
//! goes on where it was, and one that a budget ended goes on when the budget is raised. They are removed with the result
//! that needs no more of them.

use crate::device::Machine;
use crate::explain::Explainer;
use crate::manifest;
use crate::request::Request;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use voxplain_attribution::methods::Baseline;
use voxplain_attribution::{Attribution, Engine, Target};
use voxplain_imaging::atomic_write;
use voxplain_models::{Constant, write_tensors};
use voxplain_perturbation::{Budget, Ledger, Run};
use voxplain_tensor::{Error, Result, Tensor};

/// The file of evaluations in a result's folder.
pub(crate) const EVALUATIONS: &str = "evaluations.bin";
/// The file of draws in a result's folder.
pub(crate) const DRAWS: &str = "draws.safetensors";

/// How an estimation went.
#[derive(Clone, Debug, Default)]
pub(crate) struct Estimation {
    /// Whether a budget ended it before its draws did.
    pub stopped: bool,
    /// What was drawn, if the request asks for it (`save_draws`).
    pub draws: BTreeMap<String, Tensor<f64>>,
}

/// Saves a ledger under a key.
fn save(path: &Path, key: &str, ledger: &Ledger) -> Result<()> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(|e| Error::from(e).within(folder.display()))?;
    }
    atomic_write(path, |out| Ok(out.write_all(&ledger.to_bytes(key))?))
}

impl Explainer<'_> {
    /// Saves the evaluations of perturbation methods in `folder/<id>/` while they run, and goes on from those that are there:
    /// the result is the same as that of one run, bit for bit. [`crate::Explained::write`] removes what a finished
    /// estimation needs no more.
    #[must_use]
    pub fn resumable(mut self, folder: &Path) -> Self {
        self.state = Some(folder.to_path_buf());
        self
    }

    fn state_file(&self, request: &Request) -> Option<PathBuf> {
        self.state.as_ref().map(|folder| folder.join(&request.id).join(EVALUATIONS))
    }

    /// The saved evaluations of a request; none where there are none for exactly this network, case, target and parameters.
    fn saved(&self, request: &Request) -> Option<Ledger> {
        let bytes = std::fs::read(self.state_file(request)?).ok()?;
        Ledger::from_bytes(&bytes, &manifest::evaluation_key(self, request)).ok()
    }

    /// How many evaluations of a request are saved.
    pub fn known(&self, request: &Request) -> u64 {
        self.saved(request).map_or(0, |ledger| ledger.known())
    }

    /// The maps of a request, by its method or, for perturbation methods, within its budget.
    pub(crate) fn attribute(
        &self,
        request: &Request,
        engine: &mut Engine<'_, Machine>,
        inputs: &[Tensor<f32>],
        target: &Target,
    ) -> Result<(Attribution<f32>, Estimation)> {
        let place = |e: Error| e.within(format!("request {:?}", request.id));
        let Some(estimator) = self.context().estimator::<f32>(request)? else {
            let method = self.context().method::<f32>(request)?;
            let attribution = method.attribute(engine, inputs, target).map_err(place)?;
            return Ok((attribution, Estimation::default()));
        };
        let mut run = self.new_run(request, request.budget()?);
        let result = estimator.estimate(engine, inputs, target, &mut run).map_err(place);
        if (run.is_stopped() || result.is_err()) && run.ledger().known() > 0 {
            run.save()?;
        }
        let mut draws = run.draws();
        if wants_draws(request) {
            draws.extend(self.drawn_baseline(request)?);
        }
        Ok((result?, Estimation { stopped: run.is_stopped(), draws }))
    }

    fn new_run(&self, request: &Request, budget: Budget) -> Run {
        let mut run = Run::new(budget);
        if let Some(ledger) = self.saved(request) {
            run = run.with_ledger(ledger);
        }
        if let Some(path) = self.state_file(request) {
            let key = manifest::evaluation_key(self, request);
            run = run.saved_by(move |ledger| save(&path, &key, ledger));
        }
        if wants_draws(request) { run.with_draws() } else { run }
    }

    /// The noise that a request fills with, as tensors that a request can name.
    fn drawn_baseline(&self, request: &Request) -> Result<BTreeMap<String, Tensor<f64>>> {
        if request.params.get("baseline").and_then(Value::as_str) != Some("noise") {
            return Ok(BTreeMap::new());
        }
        let Baseline::Given(tensors) = self.context().baseline_of::<f64>(request)? else {
            return Ok(BTreeMap::new());
        };
        let names = self.context().inputs.iter().map(|name| format!("baseline/{name}"));
        Ok(names.zip(tensors).collect())
    }

    /// Passes as far as the budget of a request allows them, and the seconds that it allows.
    pub(crate) fn bounded(&self, request: &Request, passes: (u64, u64)) -> Result<((u64, u64), f64)> {
        let budget = request.budget()?;
        let forward = budget.evaluations.map_or(passes.0, |most| most.min(passes.0));
        Ok(((forward, passes.1), budget.seconds.unwrap_or(f64::INFINITY)))
    }
}

fn wants_draws(request: &Request) -> bool {
    request.params.get("save_draws").and_then(Value::as_bool).unwrap_or(false)
}

/// The bytes of a file of draws, which `--tensors` reads.
pub(crate) fn draws_file(draws: &BTreeMap<String, Tensor<f64>>) -> Result<Vec<u8>> {
    let constant = |t: &Tensor<f64>| Constant::Float {
        shape: t.shape().to_vec(),
        data: t.data().iter().map(|&v| v as f32).collect(),
    };
    let tensors = draws.iter().map(|(name, t)| (name.clone(), constant(t))).collect();
    write_tensors(&tensors, &[])
}

/// The tensors that `baseline = "reference"` names: another patient's inputs.
pub fn reference_tensors(names: &[String], inputs: &[Tensor<f32>]) -> BTreeMap<String, Constant> {
    let constant = |x: &Tensor<f32>| Constant::Float { shape: x.shape().to_vec(), data: x.data().to_vec() };
    names.iter().zip(inputs).map(|(name, x)| (format!("reference/{name}"), constant(x))).collect()
}
