//! Every shape that decides the speed of a network, against the machine's own peak, in one run.
//!
//! ```text
//! cargo run --release -p voxplain-bench --bin kernels -- [THREADS [PART-OF-A-NAME]]
//! ```

use std::error::Error;
use std::sync::Arc;
use std::time::Instant;
use voxplain::autodiff::{Composite, Gradient, Planner, Session};
use voxplain::cpu::Cpu;
use voxplain::graph::ops::ConvAttributes;
use voxplain::graph::{GraphBuilder, Op};
use voxplain::tensor::Tensor;

/// A convolution layer: batch, channels in and out, image sizes, kernel, stride, groups.
struct Layer {
    name: &'static str,
    batch: usize,
    channels: [usize; 2],
    image: &'static [usize],
    kernel: &'static [usize],
    stride: usize,
    groups: usize,
}

const fn layer(
    name: &'static str,
    batch: usize,
    channels: [usize; 2],
    image: &'static [usize],
    kernel: &'static [usize],
) -> Layer {
    Layer { name, batch, channels, image, kernel, stride: 1, groups: 1 }
}

const CUBE: &[usize] = &[3, 3, 3];
const SQUARE: &[usize] = &[3, 3];

const LAYERS: &[Layer] = &[
    layer("genenet conv1", 1, [4, 16], &[128, 128, 128], CUBE),
    layer("genenet conv2a", 1, [16, 32], &[64, 64, 64], CUBE),
    layer("genenet conv2b", 1, [32, 32], &[64, 64, 64], CUBE),
    layer("genenet conv3a", 1, [32, 64], &[32, 32, 32], CUBE),
    layer("genenet conv3b", 1, [64, 64], &[32, 32, 32], CUBE),
    layer("genenet conv4a", 1, [64, 128], &[16, 16, 16], CUBE),
    layer("genenet conv4b", 1, [128, 128], &[16, 16, 16], CUBE),
    layer("genenet conv5", 1, [128, 128], &[8, 8, 8], CUBE),
    layer("genenet conv6", 1, [128, 128], &[4, 4, 4], CUBE),
    Layer { stride: 2, ..layer("resnet stem", 8, [3, 64], &[224, 224], &[7, 7]) },
    layer("resnet 56", 8, [64, 64], &[56, 56], SQUARE),
    Layer { stride: 2, ..layer("resnet 56 to 28", 8, [64, 128], &[56, 56], SQUARE) },
    layer("resnet 28", 8, [128, 128], &[28, 28], SQUARE),
    layer("resnet 14", 8, [256, 256], &[14, 14], SQUARE),
    layer("resnet 7", 8, [512, 512], &[7, 7], SQUARE),
    layer("densenet 1x1", 1, [128, 128], &[24, 24, 24], &[1, 1, 1]),
    layer("densenet 3x3", 1, [128, 32], &[24, 24, 24], CUBE),
    Layer { groups: 96, ..layer("depthwise", 1, [96, 96], &[112, 112], SQUARE) },
];

/// Median seconds of `run` after one call that warms up.
fn median(mut run: impl FnMut() -> Result<(), Box<dyn Error>>) -> Result<f64, Box<dyn Error>> {
    run()?;
    let mut seconds = Vec::new();
    for _ in 0..7 {
        let start = Instant::now();
        run()?;
        seconds.push(start.elapsed().as_secs_f64());
    }
    seconds.sort_by(f64::total_cmp);
    Ok(seconds[3])
}

fn measure(layer: &Layer, cpu: &Cpu) -> Result<(f64, f64, f64), Box<dyn Error>> {
    let rank = layer.kernel.len();
    let [ci, co] = layer.channels;
    let mut b = GraphBuilder::new();
    let x = b.input("x", &[&[1, ci][..], layer.image].concat())?;
    let shape = [&[co, ci / layer.groups][..], layer.kernel].concat();
    let count = shape.iter().product::<usize>();
    let weights = Tensor::new(&shape, (0..count).map(|i| (i * 37 % 101) as f32 / 101.0 - 0.5).collect())?;
    let w = b.parameter("w", &shape, weights.data().to_vec())?;
    let pads: Vec<usize> = layer.kernel.iter().map(|k| k / 2).collect();
    let attributes = ConvAttributes {
        strides: vec![layer.stride; rank],
        pads_begin: pads.clone(),
        pads_end: pads,
        dilations: vec![1; rank],
        groups: layer.groups,
    };
    let y = b.node("y", Op::Conv(attributes), &[x, w])?;
    let graph = b.finish(&[y])?;
    let mut planner = Planner::new(&graph, layer.batch)?;
    planner.capture(y);
    planner.reverse(&Composite::everywhere(Gradient), y, &[x])?;
    let plan = Arc::new(planner.finish::<f32>(None)?);
    let flops = plan.forward_flops() as f64;
    let mut session = Session::new(cpu, plan.clone())?;
    let input = plan.slot(plan.inputs[0]).shape;
    let data =
        Tensor::new(&input, (0..input.elements()).map(|i| (i * 73 % 127) as f32 / 127.0 - 0.5).collect())?;
    let forward = median(|| Ok(session.forward(&[&data])?))?;
    let seed = vec![0.5; plan.slot(plan.reverses[0].seed).shape.elements()];
    let back = median(|| Ok(session.reverse(0, &seed)?))?;
    Ok((flops, forward, back))
}

fn main() -> Result<(), Box<dyn Error>> {
    let threads = std::env::args().nth(1).map_or(Ok(0), |t| t.parse())?;
    let cpu = Cpu::best().with_threads(threads)?;
    let exact = Cpu::best().with_threads(threads)?.exact();
    println!("{} threads, {:?}", cpu.threads(), cpu.isa());
    println!(
        "{:18} {:>6} {:>9} {:>9} {:>7} {:>9} {:>7} {:>9} {:>7}",
        "layer", "GFLOP", "GFLOP/s", "direct", "peak", "forward", "peak", "adjoint", "peak"
    );
    let part = std::env::args().nth(2).unwrap_or_default();
    for layer in LAYERS.iter().filter(|l| l.name.contains(&part)) {
        let (flops, direct, _) = measure(layer, &exact)?;
        let before = cpu.peak();
        let (_, forward, back) = measure(layer, &cpu)?;
        // Clocks change from second to second: the peak is of the same seconds as the layer.
        let peak = (before + cpu.peak()) / 2.0;
        let share = |seconds: f64| flops / seconds / peak * 100.0;
        let ms = |seconds: f64| seconds * 1e3;
        println!(
            "{:18} {:6.2} {:9.0} {:6.2} ms {:5.0} % {:6.2} ms {:5.0} % {:6.2} ms {:5.0} %",
            layer.name,
            flops / 1e9,
            peak / 1e9,
            ms(direct),
            share(direct),
            ms(forward),
            share(forward),
            ms(back),
            share(back)
        );
    }
    Ok(())
}
