//! Running requests on a case.

use crate::aim::Aim;
use crate::case::Case;
use crate::device::{Device, Machine};
use crate::estimation::Estimation;
use crate::manifest;
use crate::prediction::Prediction;
use crate::request::{Context, Request, Supervoxels, Tensors};
use crate::rules;
use crate::windows::Windows;
use serde_json::{Map, Value};
use std::cell::OnceCell;
use std::path::{Path, PathBuf};
use std::time::Instant;
use voxplain_attribution::{Attribution, Engine, Ledger, Method, Network, PassSpec, Table, Target};
use voxplain_autodiff::{Device as _, Plan};
use voxplain_cpu::{Cpu, Filtering};
use voxplain_cuda::Factors;
use voxplain_graph::Graph;
use voxplain_graph::rewrite::fold_batch_normalization;
use voxplain_models::Model;
use voxplain_tensor::{Error, Result};

/// How to run.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Settings {
    /// The seed of all draws.
    pub seed: u64,
    /// Bytes above the weights that a run may use; `None` for no limit.
    pub memory: Option<usize>,
    /// Threads, 0 for all cores.
    pub threads: usize,
    /// The device.
    pub device: Device,
    /// How the CPU sums convolutions of width 3.
    pub filtering: Filtering,
    /// How a GPU rounds the factors of its products, to multiply them on tensor cores: three digits, or two.
    pub factors: Factors,
}

/// A network, a case and a device.
pub struct Explainer<'m> {
    pub(crate) model: &'m Model,
    pub(crate) case: &'m Case,
    pub(crate) settings: Settings,
    pub(crate) tensors: Tensors,
    pub(crate) tensors_hash: String,
    pub(crate) model_hash: String,
    pub(crate) reduction: bool,
    /// Where evaluations are saved, if they are.
    pub(crate) state: Option<PathBuf>,
    names: Vec<String>,
    pub(crate) machine: Machine,
    pub(crate) prediction: OnceCell<Prediction>,
    merged: OnceCell<Graph>,
    supervoxels: Supervoxels,
}

/// The result of one request.
pub struct Explained<'e> {
    /// Who made it.
    pub explainer: &'e Explainer<'e>,
    /// The request.
    pub request: Request,
    /// The maps.
    pub attribution: Attribution<f32>,
    /// The network's outputs.
    pub prediction: &'e Prediction,
    /// The target in words.
    pub target_words: String,
    /// Wall-clock seconds of the attribution.
    pub seconds: f64,
    pub(crate) estimation: Estimation,
    pub(crate) key: String,
}

/// What a request would cost.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cost {
    /// Forward and backward passes of all examples.
    pub passes: (u64, u64),
    /// Floating-point operations.
    pub flops: u64,
    /// Bytes above the weights for one example at a time.
    pub bytes: usize,
    /// Seconds, from the measured speed of one gradient of this network on this machine, and of a step of what the method
    /// computes beside its passes. An upper bound for perturbation methods that recompute only what changes.
    pub seconds: f64,
}

impl<'m> Explainer<'m> {
    /// An explainer with default settings on the best CPU.
    pub fn new(model: &'m Model, case: &'m Case) -> Self {
        let names = model.graph.inputs().iter().map(|&v| model.graph.value(v).name.clone()).collect();
        let model_hash = model.to_bytes().map(|b| manifest::sha256(&b)).unwrap_or_default();
        Self {
            model,
            case,
            settings: Settings::default(),
            tensors: Tensors::new(),
            tensors_hash: String::new(),
            model_hash,
            reduction: false,
            state: None,
            names,
            machine: Machine::Cpu(Cpu::best()),
            prediction: OnceCell::new(),
            merged: OnceCell::new(),
            supervoxels: Supervoxels::default(),
        }
    }

    /// With other settings.
    ///
    /// # Errors
    /// The threads cannot be started, or there is no such device.
    pub fn with_settings(mut self, settings: Settings) -> Result<Self> {
        self.machine = settings.device.open(&settings)?;
        self.settings = settings;
        Ok(self)
    }

    /// With the tensors that requests name, and whether the output is a map weighed by the tensor `region`.
    #[must_use]
    pub fn with_tensors(mut self, tensors: Tensors, hash: String, reduction: bool) -> Self {
        (self.tensors, self.tensors_hash, self.reduction) = (tensors, hash, reduction);
        self
    }

    /// The device in words, as the manifest has it.
    pub fn device_name(&self) -> &str {
        self.machine.name()
    }

    /// The part of the device that decides bits.
    pub(crate) fn device_isa(&self) -> &str {
        self.machine.bits()
    }

    pub(crate) fn context(&self) -> Context<'_> {
        Context {
            graph: &self.model.graph,
            inputs: &self.names,
            tensors: &self.tensors,
            seed: self.settings.seed,
            cam_layer: self.model.card.cam_layer.as_deref(),
            network_inputs: &self.case.inputs,
            case: Some(self.case),
            supervoxels: &self.supervoxels,
        }
    }

    pub(crate) fn engine(&self) -> Engine<'_, Machine> {
        self.engine_on(&self.model.graph)
    }

    pub(crate) fn engine_on<'a>(&'a self, graph: &'a Graph) -> Engine<'a, Machine> {
        let weights = graph.parameters().iter().map(|p| size_of_val(&p.data[..])).sum();
        Engine::new(graph, &self.machine, self.machine.limit(self.settings.memory, weights))
    }

    /// Explains by method name with default parameters; `target` is `pred`, a class name or number, or `A-B`.
    ///
    /// # Errors
    /// As [`Explainer::run`].
    pub fn explain(&self, method: &str, target: &str) -> Result<Explained<'_>> {
        let request = Request {
            id: String::from(method),
            method: String::from(method),
            params: Map::new(),
            target: Value::from(target),
            expected: Default::default(),
        };
        self.run(&request)
    }

    /// Runs one request.
    ///
    /// # Errors
    /// The method, a parameter, the target or an input does not fit; the message names the request.
    pub fn run(&self, request: &Request) -> Result<Explained<'_>> {
        self.run_observed(request, &|_| {})
    }

    /// As [`Explainer::run`], telling `observer` how many examples have passed through the network each time some have.
    ///
    /// # Errors
    /// As [`Explainer::run`].
    pub fn run_observed(&self, request: &Request, observer: &dyn Fn(usize)) -> Result<Explained<'_>> {
        let mut engine = self.engine_on(self.graph(request)?).observed(observer);
        self.run_with(&mut engine, request)
    }

    /// Runs one request on an engine of its network.
    pub(crate) fn run_with(
        &self,
        engine: &mut Engine<'_, Machine>,
        request: &Request,
    ) -> Result<Explained<'_>> {
        let place = |e: Error| e.within(format!("request {:?}", request.id));
        let prediction = self.predict()?;
        let Aim { target, windows } = self.aim(request).map_err(place)?;
        let inputs = self.rows(&windows)?;
        let target = engine.settle(&self.settled(target)?, &inputs).map_err(place)?;
        let start = Instant::now();
        let (mut attribution, estimation) = self.attribute(request, engine, &inputs, &target)?;
        let known = self.model.graph.rewrites();
        let new = engine.graph().rewrites().iter().filter(|r| !known.contains(r));
        attribution.notes.extend(new.map(|r| format!("on the network after {r}")));
        if let Some(all) = &self.case.windows {
            join(all, &windows, &mut attribution).map_err(place)?;
        }
        let seconds = start.elapsed().as_secs_f64();
        let target_words = self.words(&target);
        let key = manifest::key(self, request);
        Ok(Explained {
            explainer: self,
            request: request.clone(),
            attribution,
            prediction,
            target_words,
            seconds,
            estimation,
            key,
        })
    }

    /// The network that a request is about: for relevance the one with stored normalisation merged into the layers before
    /// it, made once.
    pub(crate) fn graph(&self, request: &Request) -> Result<&Graph> {
        if !request.merges_normalization() {
            return Ok(&self.model.graph);
        }
        if let Some(known) = self.merged.get() {
            return Ok(known);
        }
        let merged = fold_batch_normalization(&self.model.graph)?;
        Ok(self.merged.get_or_init(|| merged))
    }

    /// What decides the bytes of a request's result.
    pub fn key(&self, request: &Request) -> String {
        manifest::key(self, request)
    }

    /// Measures a gradient of this network on this case: floating-point operations per second.
    ///
    /// # Errors
    /// As [`Explainer::run`].
    pub fn calibrate(&self) -> Result<f64> {
        let target = Target::Unit { layer: self.output_name(), index: 0 };
        let gradient = voxplain_attribution::methods::Backward::saliency(false);
        let inputs = self.rows(&[0])?;
        let examples = self.engine().examples(&inputs)? as f64;
        let mut engine = self.engine();
        let mut best = f64::INFINITY;
        for _ in 0..2 {
            let start = Instant::now();
            gradient.attribute(&mut engine, &inputs, &target)?;
            best = best.min(start.elapsed().as_secs_f64());
        }
        let table = rules::gradient();
        let plan = self.plan(&self.model.graph, Some(&table))?;
        Ok(examples * (plan.forward_flops() + plan.reverse_flops(0)).max(1) as f64 / best)
    }

    fn output_name(&self) -> String {
        let graph = &self.model.graph;
        graph.value(graph.outputs()[0]).name.clone()
    }

    /// The plan of a rule table for one example at a time; of a forward pass alone without one.
    fn plan(&self, graph: &Graph, table: Option<&dyn Table>) -> Result<Plan> {
        let spec = PassSpec {
            table,
            from: graph.outputs()[0],
            wanted: graph.inputs().to_vec(),
            captures: vec![graph.outputs()[0]],
        };
        self.engine_on(graph).plan(&spec, 1)
    }

    /// What a request would cost at a speed from [`Explainer::calibrate`]; the method itself does not run.
    ///
    /// # Errors
    /// As [`Explainer::run`] as far as that shows without running.
    pub fn cost(&self, request: &Request, speed: f64) -> Result<Cost> {
        let method = self.context().method::<f32>(request)?;
        let table = if method.passes().1 > 0 { Some(rules::table(request)?) } else { None };
        let plan = self.plan(self.graph(request)?, table.as_deref())?;
        let examples = match &self.case.windows {
            Some(windows) => windows.count(),
            None => self.engine().examples(&self.case.inputs)?,
        } as u64;
        let passes = method.passes_on(&self.model.graph);
        let (passes, allowed) = self.bounded(request, (passes.0 * examples, passes.1 * examples))?;
        let backward = if plan.reverses.is_empty() { 0 } else { plan.reverse_flops(0) };
        let forward = plan.forward_flops() / references(&plan);
        let flops = passes.0 * forward + passes.1 * backward;
        let beside = method.seconds_beside(&self.model.graph, &self.rows(&[0])?)?;
        let beside = beside * self.case.windows.as_ref().map_or(1.0, |windows| windows.count() as f64);
        let seconds = (flops as f64 / speed + beside).min(allowed);
        Ok(Cost { passes, flops, bytes: plan.arena_bytes, seconds })
    }

    /// Passes of one example of a request, as far as they are known before it runs.
    ///
    /// # Errors
    /// The method or a parameter does not fit.
    pub fn passes(&self, request: &Request) -> Result<(u64, u64)> {
        let passes = self.context().method::<f32>(request)?.passes_on(&self.model.graph);
        Ok(self.bounded(request, passes)?.0)
    }

    fn words(&self, target: &Target) -> String {
        let name = |i: usize| self.model.card.class_name(i);
        match target {
            Target::Class(list) => list.iter().map(|&i| name(i)).collect::<Vec<_>>().join(", "),
            Target::Difference(a, b) => format!("{} rather than {}", name(*a), name(*b)),
            Target::Region { class, against, .. } => {
                let classes = class.iter().map(|&i| name(i)).collect::<Vec<_>>().join(", ");
                let against = against.map_or_else(String::new, |b| format!(" rather than {}", name(b)));
                format!("{classes}{against} in a region")
            }
            Target::Unit { layer, index } => format!("unit {index} of {layer}"),
            Target::Predicted => String::from("predicted class"),
        }
    }
}

/// How many forward passes a plan's forward segment holds.
fn references(plan: &Plan) -> u64 {
    if plan.references.is_some() { 2 } else { 1 }
}

/// The maps, values and residuals of windows as those of the image that they lie in.
fn join(all: &Windows, rows: &[usize], attribution: &mut Attribution<f32>) -> Result<()> {
    for map in &mut attribution.maps {
        map.values = all.stitch(&map.values, rows)?;
    }
    let sum = |values: &mut Vec<f64>| *values = vec![values.iter().sum()];
    sum(&mut attribution.values);
    attribution.ledger = attribution.ledger.as_ref().map(Ledger::joined);
    attribution.residuals.iter_mut().for_each(sum);
    attribution.differences.iter_mut().for_each(sum);
    attribution.notes.push(format!("the sum of the maps of {} of {} windows", rows.len(), all.count()));
    Ok(())
}

impl Explained<'_> {
    /// The class with the largest probability of the first example, in words: `lobed 0.97`.
    pub fn prediction_words(&self) -> String {
        let row = self.prediction.probabilities.first();
        let best = row
            .and_then(|row| (0..row.len()).max_by(|&a, &b| row[a].total_cmp(&row[b])).map(|i| (i, row[i])));
        best.map_or_else(
            || String::from("no class vector"),
            |(i, p)| format!("{} {p:.3}", self.explainer.model.card.class_name(i)),
        )
    }

    /// Whether a budget ended the estimation before its draws did.
    pub fn is_stopped(&self) -> bool {
        self.estimation.stopped
    }

    /// One line: method, target, completeness residual, evaluations where a budget ended it, seconds.
    pub fn summary(&self) -> String {
        let residual = match (&self.attribution.residuals, &self.attribution.differences) {
            (Some(r), Some(d)) if !r.is_empty() && !d.is_empty() => {
                format!(", completeness residual {:.1e} of {:.3}", r[0], d[0])
            }
            _ => String::new(),
        };
        let ended = match self.estimation.stopped {
            true => format!(", ended by the budget after {} evaluations", self.attribution.forward_passes),
            false => String::new(),
        };
        format!("{} for {}{residual}{ended}, {:.2} s", self.request.method, self.target_words, self.seconds)
    }

    /// Writes the maps as NIfTI in the images' own grid, with the manifest; see [`crate::Format`].
    ///
    /// # Errors
    /// The inputs were arrays without geometry, or a file cannot be written.
    pub fn write_nifti(&self, folder: &Path) -> Result<()> {
        self.write(folder, &[crate::Format::Nifti]).map(|_| ())
    }
}
