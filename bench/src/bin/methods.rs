//! Seconds of every gradient-family method on one network, one JSON object a line; `bench/speed.py` and, on a GPU,
//! `bench/gpu.py` set them beside PyTorch and Captum.
//!
//! ```text
//! cargo run --release -p voxplain-bench --bin methods -- [--no-paths] MODEL LAYER REPEATS THREADS[,fast] INPUT.npy [INPUT.npy ...]
//! cargo run --release -p voxplain-bench --bin methods -- MODEL LAYER REPEATS cuda:0,tf32 INPUT.npy [INPUT.npy ...]
//! ```
//!
//! Factors on a GPU are single, tf32, f16 or bf16.

use std::error::Error;
use std::path::Path;
use std::time::Instant;
use voxplain::attribution::methods::{
    Backward, Baseline, Cam, DeepLift, GradientShap, GuidedGradCam, IntegratedGradients, ShapDraws, Smooth,
    Statistic, Steps,
};
use voxplain::attribution::{Draws, Interpolation, PassSpec, Quadrature};
use voxplain::autodiff::Device;
use voxplain::cpu::{Cpu, Filtering};
use voxplain::cuda::{Cuda, Factors, Products};
use voxplain::imaging::read_npy;
use voxplain::{Engine, Method, Model, Network, Target, Tensor};

/// Median seconds of `repeats` calls after one that warms up. A call is given 0 and 1 in turn, for inputs that differ from
/// those of the call before: an engine that is asked twice about the same inputs skips the forward pass.
fn median(
    repeats: usize,
    mut run: impl FnMut(usize) -> Result<(), voxplain::Error>,
) -> Result<f64, voxplain::Error> {
    run(1)?;
    let mut seconds = Vec::new();
    for turn in 0..repeats {
        let start = Instant::now();
        run(turn % 2)?;
        seconds.push(start.elapsed().as_secs_f64());
    }
    seconds.sort_by(f64::total_cmp);
    Ok(seconds[repeats / 2])
}

/// The methods with the settings of the paper, each with the number of repeats it is worth.
fn methods(
    layer: &str,
    inputs: &[Tensor<f32>],
    repeats: usize,
) -> Vec<(&'static str, Box<dyn Method<f32>>, usize)> {
    let few = repeats.min(3);
    let zero = || Baseline::Constant(0.0);
    let zeros = || inputs.iter().map(|x| Tensor::full(x.shape(), 0.0)).collect();
    let interpolation = Interpolation::Linear;
    let steps = Steps::Fixed(Quadrature::GaussLegendre, 50);
    vec![
        ("Gradient", Box::new(Backward::saliency(false)) as Box<dyn Method<f32>>, repeats),
        ("InputXGradient", Box::new(Backward::input_x_gradient()), repeats),
        ("GuidedBackprop", Box::new(Backward::guided_backprop()), repeats),
        ("Deconvolution", Box::new(Backward::deconvolution()), repeats),
        ("GradCAM", Box::new(Cam { interpolation: Some(interpolation), ..Cam::grad_cam(layer) }), repeats),
        ("GuidedGradCAM", Box::new(GuidedGradCam { layer: layer.into(), interpolation }), repeats),
        ("DeepLift", Box::new(DeepLift { baseline: zero(), multiply_by_inputs: true }), repeats),
        ("IG50", Box::new(IntegratedGradients { baseline: zero(), steps, multiply_by_inputs: true }), few),
        (
            "GradientShap5",
            Box::new(GradientShap {
                baselines: zeros(),
                draws: ShapDraws::Seeded { seed: 1, draws: 5 },
                noise: None,
            }),
            few,
        ),
        (
            "SmoothGrad10",
            Box::new(Smooth {
                base: Box::new(Backward::saliency(true)),
                draws: Draws::Seeded { seed: 1, draws: 10, sigma: vec![0.1] },
                statistic: Statistic::Mean,
            }),
            few,
        ),
    ]
}

/// Median seconds of methods asked for in one request, as the program runs them.
fn together<D: Device<Scalar = f32>>(
    model: &Model,
    device: &D,
    methods: &[&dyn Method<f32>],
    inputs: &[Vec<Tensor<f32>>; 2],
    repeats: usize,
) -> Result<f64, voxplain::Error> {
    let target = Target::Class(vec![0]);
    let mut engine = Engine::new(&model.graph, device, None);
    let wishes: Vec<_> = methods.iter().map(|m| (*m, &target)).collect();
    engine.share(&wishes, &inputs[0]);
    median(repeats, |turn| {
        methods.iter().try_for_each(|m| m.attribute(&mut engine, &inputs[turn], &target).map(drop))
    })
}

/// The most memory this process has held, in megabytes.
fn peak_memory() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|l| l.starts_with("VmHWM")).unwrap_or_default();
    line.split_whitespace().nth(1).and_then(|v| v.parse::<f64>().ok()).unwrap_or(0.0) / 1024.0
}

fn report(name: &str, seconds: f64) {
    println!("{{\"method\": {name:?}, \"seconds\": {seconds}, \"peak_mb\": {:.0}}}", peak_memory());
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut words: Vec<String> = std::env::args().skip(1).collect();
    let paths = words.first().is_none_or(|word| word != "--no-paths");
    words.drain(..usize::from(!paths));
    let [model, layer, repeats, threads, files @ ..] = &words[..] else {
        return Err(
            "usage: methods [--no-paths] MODEL LAYER REPEATS THREADS[,fast]|cuda:N,FACTORS INPUT.npy ..."
                .into(),
        );
    };
    let repeats = repeats.parse()?;
    let model = Model::open(Path::new(model))?;
    let read = |f: &String| Ok::<_, Box<dyn Error>>(read_npy(&std::fs::read(f)?)?);
    let inputs = files.iter().map(read).collect::<Result<Vec<_>, _>>()?;
    let mut other = inputs.clone();
    for tensor in &mut other {
        tensor.data_mut()[0] += 0.25;
    }
    let inputs = [inputs, other];
    match threads.strip_prefix("cuda:") {
        None => {
            let (threads, filtering) = match threads.strip_suffix(",fast") {
                Some(threads) => (threads, Filtering::Fast),
                None => (&threads[..], Filtering::default()),
            };
            let cpu = Cpu::best().with_threads(threads.parse()?)?.with_filtering(filtering);
            measure(&cpu, &model, (layer, repeats, paths), &inputs)
        }
        Some(words) => measure(&gpu(words)?, &model, (layer, repeats, paths), &inputs),
    }
}

/// The GPU and the factors of `N,FACTORS`.
fn gpu(words: &str) -> Result<Cuda, Box<dyn Error>> {
    let (number, name) = words.split_once(',').unwrap_or((words, "single"));
    let all = [Factors::Single, Factors::TensorFloat, Factors::Half, Factors::Brain];
    let factors = all.into_iter().find(|f| f.name().unwrap_or("single") == name);
    let factors = factors.ok_or(format!("factors {name:?}; single, tf32, f16 or bf16 expected"))?;
    Ok(Cuda::open(number.parse()?)?.with_products(Products { factors, ..Products::default() }))
}

fn measure<D: Device<Scalar = f32>>(
    device: &D,
    model: &Model,
    (layer, repeats, paths): (&str, usize, bool),
    inputs: &[Vec<Tensor<f32>>; 2],
) -> Result<(), Box<dyn Error>> {
    let mut engine = Engine::new(&model.graph, device, None);
    let output = model.graph.outputs()[0];
    let forward = median(repeats, |turn| engine.values(&inputs[turn], output).map(drop))?;
    report("forward", forward);
    let spec = PassSpec { table: None, from: output, wanted: Vec::new(), captures: vec![output] };
    eprintln!("forward plan: {} bytes", engine.plan(&spec, 1)?.arena_bytes);
    for (name, method, repeats) in methods(layer, &inputs[0], repeats) {
        if layer == "-" && name.contains("CAM") || !paths && method.passes().1 > 2 {
            continue;
        }
        let seconds = together(model, device, &[&*method], inputs, repeats)?;
        report(name, seconds);
    }
    let single: Vec<_> = methods(layer, &inputs[0], repeats)
        .into_iter()
        .filter(|(name, method, _)| method.passes().1 <= 2 && (layer != "-" || !name.contains("CAM")))
        .map(|(_, method, _)| method)
        .collect();
    let all: Vec<_> = single.iter().map(|m| &**m).collect();
    report(&format!("these {} in one request", all.len()), together(model, device, &all, inputs, repeats)?);
    Ok(())
}
