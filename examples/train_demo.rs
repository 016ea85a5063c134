//! Trains the demo network on phantoms, with this engine's own parameter gradients, and saves it with its card.
//!
//! Usage: `cargo run --release -p voxplain-examples --example train_demo -- OUT.safetensors [STEPS]`.
//! The network sees four modalities of 32^3 voxels and tells round from lobed lesions; only t1ce (always) and flair (in
//! 70 % of cases) show the class's own shape, t1 and t2 never do.

use std::path::Path;
use std::sync::Arc;
use voxplain::Model;
use voxplain::autodiff::{Composite, Gradient, Planner, Session};
use voxplain::cpu::Cpu;
use voxplain::graph::ops::{ConvAttributes, PoolAttributes, Reduction};
use voxplain::graph::{Graph, GraphBuilder, Op, ValueId};
use voxplain::imaging::{Lesion, MODALITIES, Phantom, PhantomOptions, Pipeline, atomic_write};
use voxplain::models::{Card, CardInput};
use voxplain::tensor::{Result, Tensor};

const SIZE: usize = 32;
const BATCH: usize = 16;
const CHANNELS: [usize; 4] = [4, 8, 16, 32];
const TEST_SEEDS: std::ops::Range<u64> = 1_000_000..1_000_400;

/// Numbers from a linear congruence (Knuth's MMIX constants), enough for initial weights.
struct Uniform(u64);

impl Uniform {
    fn next(&mut self, bound: f32) -> f32 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 40) as f32 / (1u64 << 24) as f32 * 2.0 - 1.0) * bound
    }
}

fn build() -> Result<Graph> {
    let mut b = GraphBuilder::new();
    let mut uniform = Uniform(7);
    let mut current = b.input("x", &[1, 4, SIZE, SIZE, SIZE])?;
    for layer in 1..CHANNELS.len() {
        let (from, to) = (CHANNELS[layer - 1], CHANNELS[layer]);
        let bound = (6.0 / (from * 27) as f32).sqrt();
        let weights: Vec<f32> = (0..to * from * 27).map(|_| uniform.next(bound)).collect();
        let weight = b.parameter(&format!("conv{layer}.weight"), &[to, from, 3, 3, 3], weights)?;
        let bias = b.parameter(&format!("conv{layer}.bias"), &[to], vec![0.0; to])?;
        let name = format!("conv{layer}");
        current = b.conv(&name, current, weight, Some(bias), ConvAttributes::padded(3, 1))?;
        current = b.relu(&format!("relu{layer}"), current)?;
        if layer + 1 < CHANNELS.len() {
            current =
                b.node(&format!("pool{layer}"), Op::MaxPool(PoolAttributes::tiles(&[2, 2, 2])), &[current])?;
        }
    }
    head(&mut b, current, &mut uniform)
}

/// Global maximum and mean side by side, then one linear layer.
fn head(b: &mut GraphBuilder, features: ValueId, uniform: &mut Uniform) -> Result<Graph> {
    let width = CHANNELS[CHANNELS.len() - 1];
    let reduce = |reduction| Op::Reduce { reduction, axes: vec![2, 3, 4], keep_axes: false };
    let most = b.node("global_max", reduce(Reduction::Max), &[features])?;
    let mean = b.node("global_mean", reduce(Reduction::Mean), &[features])?;
    let both = b.node("features", Op::Concat { axis: 1 }, &[most, mean])?;
    let weights: Vec<f32> = (0..4 * width).map(|_| uniform.next(0.1)).collect();
    let weight = b.parameter("fc.weight", &[2, 2 * width], weights)?;
    let bias = b.parameter("fc.bias", &[2], vec![0.0; 2])?;
    let logits = b.linear("fc", both, weight, Some(bias))?;
    std::mem::take(b).finish(&[logits])
}

/// A phantom's network input and class.
fn example(seed: u64, pipeline: &Pipeline) -> Result<(Vec<f32>, usize)> {
    let options = PhantomOptions { dims: [SIZE; 3], spacing: [5.0; 3], seed, ..PhantomOptions::default() };
    let phantom = Phantom::generate(&options)?;
    let prepared = pipeline.apply(&phantom.volumes)?;
    Ok((prepared.tensor.into_data(), usize::from(phantom.class == Lesion::Lobed)))
}

fn batch(seeds: impl Iterator<Item = u64>, pipeline: &Pipeline) -> Result<(Tensor<f32>, Vec<usize>)> {
    let (mut data, mut labels) = (Vec::new(), Vec::new());
    for seed in seeds {
        let (x, label) = example(seed, pipeline)?;
        data.extend(x);
        labels.push(label);
    }
    Ok((Tensor::new(&[labels.len(), 4, SIZE, SIZE, SIZE], data)?, labels))
}

/// The gradient of the mean cross-entropy in the logits, and the loss.
fn loss(logits: &Tensor<f32>, labels: &[usize]) -> (Vec<f32>, f64, usize) {
    let (mut seed, mut total, mut right) = (Vec::new(), 0.0, 0);
    for (n, &label) in labels.iter().enumerate() {
        let row = logits.row(n);
        let most = row[0].max(row[1]);
        let sum: f32 = row.iter().map(|v| (v - most).exp()).sum();
        for (k, v) in row.iter().enumerate() {
            let p = (v - most).exp() / sum;
            seed.push((p - f32::from(u8::from(k == label))) / labels.len() as f32);
        }
        total -= f64::from(row[label] - most - sum.ln());
        right += usize::from((row[1] > row[0]) == (label == 1));
    }
    (seed, total / labels.len() as f64, right)
}

/// Adam (Kingma & Ba, ICLR 2015) for one tensor.
struct Adam {
    first: Vec<f32>,
    second: Vec<f32>,
}

impl Adam {
    fn step(&mut self, weights: &mut [f32], gradient: &[f32], t: i32, rate: f32) {
        let (c1, c2) = (1.0 - 0.9f32.powi(t), 1.0 - 0.999f32.powi(t));
        for (i, &g) in gradient.iter().enumerate() {
            self.first[i] = 0.9 * self.first[i] + 0.1 * g;
            self.second[i] = 0.999 * self.second[i] + 0.001 * g * g;
            weights[i] -= rate * (self.first[i] / c1) / ((self.second[i] / c2).sqrt() + 1e-8);
        }
    }
}

fn train(graph: &Graph, cpu: &Cpu, pipeline: &Pipeline, steps: usize) -> Result<Vec<Vec<f32>>> {
    let output = graph.outputs()[0];
    let parameters: Vec<ValueId> =
        graph.parameters().iter().map(|p| graph.find(&p.name)).collect::<Result<_>>()?;
    let mut planner = Planner::new(graph, BATCH)?;
    planner.capture(output);
    planner.reverse(&Composite::everywhere(Gradient), output, &parameters)?;
    let mut session = Session::new(cpu, Arc::new(planner.finish::<f32>(None)?))?;
    let mut weights: Vec<Vec<f32>> = graph.parameters().iter().map(|p| p.data.to_vec()).collect();
    let zeros = |w: &Vec<f32>| Adam { first: vec![0.0; w.len()], second: vec![0.0; w.len()] };
    let mut optimisers: Vec<Adam> = weights.iter().map(zeros).collect();
    let (mut smooth, mut right) = (0.7, 0.5);
    for step in 0..steps {
        let first = (step * BATCH) as u64;
        let (x, labels) = batch(first..first + BATCH as u64, pipeline)?;
        session.forward(&[&x])?;
        let (seed, value, hits) = loss(&session.capture(0)?, &labels);
        session.reverse(0, &seed)?;
        let rate = 2e-3 * (1.0 - step as f32 / steps as f32);
        for (i, w) in weights.iter_mut().enumerate() {
            optimisers[i].step(w, session.result(0, i)?.data(), step as i32 + 1, rate);
            session.set_parameter(i, w)?;
        }
        smooth = 0.98 * smooth + 0.02 * value;
        right = 0.98 * right + 0.02 * hits as f64 / BATCH as f64;
        if step % 50 == 49 {
            println!("step {:5}: loss {smooth:.3}, accuracy {right:.3}", step + 1);
        }
    }
    Ok(weights)
}

fn accuracy(graph: &Graph, cpu: &Cpu, pipeline: &Pipeline) -> Result<f64> {
    let mut planner = Planner::new(graph, BATCH)?;
    planner.capture(graph.outputs()[0]);
    let mut session = Session::new(cpu, Arc::new(planner.finish::<f32>(None)?))?;
    let (mut right, mut start) = (0, TEST_SEEDS.start);
    while start < TEST_SEEDS.end {
        let (x, labels) = batch(start..start + BATCH as u64, pipeline)?;
        session.forward(&[&x])?;
        right += loss(&session.capture(0)?, &labels).2;
        start += BATCH as u64;
    }
    Ok(right as f64 / (TEST_SEEDS.end - TEST_SEEDS.start) as f64)
}

fn card() -> Card {
    Card {
        task: Some("classification".into()),
        classes: vec!["round".into(), "lobed".into()],
        output: Some("logits".into()),
        threshold: Some(0.5),
        cam_layer: Some("relu3".into()),
        inputs: vec![CardInput {
            name: "x".into(),
            channels: MODALITIES.map(String::from).to_vec(),
            steps: vec![
                "orient RAS".into(),
                "zscore nonzero per-channel".into(),
                format!("resize {SIZE} {SIZE} {SIZE} area"),
            ],
            ..CardInput::default()
        }],
        orientation: Some("RAS".into()),
        ..Card::default()
    }
}

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let out = arguments.next().unwrap_or_else(|| String::from("demo.safetensors"));
    let steps = arguments.next().and_then(|s| s.parse().ok()).unwrap_or(1500);
    let (cpu, card) = (Cpu::best(), card());
    let pipeline = Pipeline::parse(&card.inputs[0].steps)?;
    let graph = build()?;
    let weights = train(&graph, &cpu, &pipeline, steps)?;
    let graph = graph.with_parameters(&weights)?;
    println!(
        "test accuracy on {} phantoms: {:.4}",
        TEST_SEEDS.end - TEST_SEEDS.start,
        accuracy(&graph, &cpu, &pipeline)?
    );
    let bytes = Model { graph, card, notes: Vec::new() }.to_bytes()?;
    atomic_write(Path::new(&out), |file| Ok(file.write_all(&bytes)?))?;
    println!("{out}: {} bytes", bytes.len());
    Ok(())
}
