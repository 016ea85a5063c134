//! Seconds and evaluations of perturbation methods on one network, one JSON object a line; `bench/perturbation.py` sets them
//! beside PyTorch and Captum.
//!
//! ```text
//! cargo run --release -p voxplain-bench --bin perturbation -- MODEL THREADS MODE METHODS WINDOW MASKS JOINT INPUT.npy ...
//! ```
//!
//! MODE is `parts`, `full` (every input by a full pass) or `fast` (parts by `--fast`'s filtering); METHODS are names with commas;
//! WINDOW is `1,11,11,11/1,5,5,5`, sizes and strides along all axes behind the first, cut to the inputs;
//! MASKS and JOINT are files of region numbers of the inputs' shapes with commas, or `-`: regions of single channels, and
//! regions that all channels share.

use std::error::Error;
use std::path::Path;
use std::time::Instant;
use voxplain::attribution::methods::Baseline;
use voxplain::cpu::{Cpu, Filtering};
use voxplain::graph::Graph;
use voxplain::imaging::read_npy;
use voxplain::perturbation::Features;
use voxplain::perturbation::methods::{
    Distance, Donors, FeatureAblation, FeaturePermutation, KernelRows, KernelShap, Lime, LimeRows, Occlusion,
    Permutations, ShapleySampling, Surrogate,
};
use voxplain::{Engine, Method, Model, Target, Tensor};

type Fallible<T> = Result<T, Box<dyn Error>>;

fn read(file: &str) -> Fallible<Tensor<f32>> {
    Ok(read_npy(&std::fs::read(file)?)?)
}

fn features(graph: &Graph, files: &str) -> Fallible<Option<Features>> {
    if files == "-" {
        return Ok(None);
    }
    let wide = |t: Tensor<f32>| Tensor::new(&t.shape(), t.data().iter().map(|&v| f64::from(v)).collect());
    let masks = files.split(',').map(|f| Ok(wide(read(f)?)?)).collect::<Fallible<Vec<_>>>()?;
    Ok(Some(Features::from_masks(graph, &masks)?))
}

/// The same windows over every input.
fn occlusion(graph: &Graph, window: &str) -> Fallible<Occlusion<f32>> {
    let (size, stride) = window.split_once('/').ok_or("WINDOW is SIZES/STRIDES")?;
    let along = |words: &str| -> Fallible<Vec<Vec<usize>>> {
        let sizes = words.split(',').map(str::parse).collect::<Result<Vec<usize>, _>>()?;
        let one = |&v: &_| graph.shape(v)[1..].iter().zip(&sizes).map(|(&n, &w)| n.min(w)).collect();
        Ok(graph.inputs().iter().map(one).collect())
    };
    Ok(Occlusion { baseline: Baseline::Constant(0.0), window: along(size)?, strides: along(stride)? })
}

/// A method with the settings of the study.
fn method(
    name: &str,
    regions: [Option<&Features>; 2],
    graph: &Graph,
    window: &str,
) -> Fallible<Box<dyn Method<f32>>> {
    let zero = || Baseline::Constant(0.0);
    let [own, joint] = regions.map(|f| f.cloned().ok_or("this method needs masks"));
    let orders = Permutations::Seeded { seed: 1, draws: 25, antithetic: false };
    Ok(match name {
        "Occlusion" => Box::new(occlusion(graph, window)?),
        "FeatureAblation" => Box::new(FeatureAblation { baseline: zero(), features: own? }),
        "ShapleyValueSampling" => {
            Box::new(ShapleySampling { baseline: zero(), features: own?, permutations: orders })
        }
        "FeaturePermutation" => {
            let donors = Donors::Seeded { seed: 1, draws: 1 };
            Box::new(FeaturePermutation { features: joint?, donors, others: Vec::new() })
        }
        "KernelShap" => {
            let rows = KernelRows::Captum { seed: 1, draws: 300 };
            Box::new(KernelShap { baseline: zero(), features: joint?, rows })
        }
        "Lime" => Box::new(Lime {
            baseline: zero(),
            features: own?,
            rows: LimeRows::Seeded { seed: 1, draws: 500 },
            distance: Distance::Cosine,
            kernel_width: 1.0,
            surrogate: Surrogate::Lasso(0.01),
        }),
        _ => return Err(format!("no method {name}").into()),
    })
}

/// The most memory this process has held, in megabytes.
fn peak_memory() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|l| l.starts_with("VmHWM")).unwrap_or_default();
    line.split_whitespace().nth(1).and_then(|v| v.parse::<f64>().ok()).unwrap_or(0.0) / 1024.0
}

/// Some other patients, for methods that take values from them.
fn batch(inputs: &[Tensor<f32>]) -> Fallible<Vec<Tensor<f32>>> {
    let twice = |x: &Tensor<f32>| {
        let mut sizes = x.shape().to_vec();
        sizes[0] *= 2;
        let other = x.data().iter().rev().copied();
        Tensor::new(&sizes, x.data().iter().copied().chain(other).collect())
    };
    Ok(inputs.iter().map(twice).collect::<Result<_, _>>()?)
}

fn main() -> Fallible<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [model, threads, mode, names, window, masks, joint, files @ ..] = &words[..] else {
        return Err("usage: perturbation MODEL THREADS MODE METHODS WINDOW MASKS JOINT INPUT.npy ...".into());
    };
    let model = Model::open(Path::new(model))?;
    let inputs = files.iter().map(|f| read(f)).collect::<Fallible<Vec<_>>>()?;
    let (masks, joint) = (features(&model.graph, masks)?, features(&model.graph, joint)?);
    let filtering = if mode == "fast" { Filtering::Fast } else { Filtering::default() };
    let cpu = Cpu::best().with_threads(threads.parse()?)?.with_filtering(filtering);
    for name in names.split(',') {
        let method = method(name, [masks.as_ref(), joint.as_ref()], &model.graph, window)?;
        let patients = if name == "FeaturePermutation" { batch(&inputs)? } else { inputs.clone() };
        let start = Instant::now();
        let mut done = 0;
        let mut engine = Engine::new(&model.graph, &cpu, None).observed(|n| {
            let before = done / 2000;
            done += n;
            if done / 2000 > before {
                eprintln!("{name}: {done} after {:.1} s", start.elapsed().as_secs_f64());
            }
        });
        if mode == "full" {
            engine = engine.with_full_passes();
        }
        let result = method.attribute(&mut engine, &patients, &Target::Class(vec![0]))?;
        let (seconds, passes) = (start.elapsed().as_secs_f64(), result.forward_passes);
        println!(
            "{{\"method\": {name:?}, \"mode\": {mode:?}, \"seconds\": {seconds}, \"evaluations\": {passes}, \
             \"peak_mb\": {:.0}}}",
            peak_memory()
        );
    }
    Ok(())
}
