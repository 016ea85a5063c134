//! GFLOP/s of every convolution of GeneNet (4x128^3), forward and adjoint: the median of five runs each.

use std::sync::Arc;
use std::time::Instant;
use voxplain_autodiff::{Composite, Gradient, Planner, Session};
use voxplain_cpu::Cpu;
use voxplain_graph::GraphBuilder;
use voxplain_graph::ops::ConvAttributes;
use voxplain_tensor::{Result, Tensor};

const LAYERS: [(usize, usize, usize); 11] = [
    (4, 16, 128),
    (16, 32, 64),
    (32, 32, 64),
    (32, 64, 32),
    (64, 64, 32),
    (64, 128, 16),
    (128, 128, 16),
    (128, 128, 8),
    (128, 128, 8),
    (128, 128, 4),
    (128, 128, 4),
];

fn main() -> Result<()> {
    let cpu = Cpu::best();
    println!("{}", voxplain_autodiff::Device::name(&cpu));
    let mut totals = [0.0, 0.0];
    for (input, output, size) in LAYERS {
        let mut b = GraphBuilder::new();
        let x = b.input("x", &[1, input, size, size, size])?;
        let weight = b.parameter("w", &[output, input, 3, 3, 3], vec![0.01; output * input * 27])?;
        let y = b.conv("conv", x, weight, None, ConvAttributes::padded(3, 1))?;
        let graph = b.finish(&[y])?;
        let mut planner = Planner::new(&graph, 1)?;
        planner.capture(y);
        planner.reverse(&Composite::everywhere(Gradient), y, &[x])?;
        let plan = planner.finish::<f32>(None)?;
        let flops = plan.forward_flops() as f64;
        let mut session = Session::new(&cpu, Arc::new(plan))?;
        let data = Tensor::full(graph.shape(x), 0.5f32);
        let seed = vec![0.5f32; graph.shape(y).elements()];
        let mut times = [Vec::new(), Vec::new()];
        for _ in 0..5 {
            let start = Instant::now();
            session.forward(&[&data])?;
            times[0].push(start.elapsed().as_secs_f64());
            let start = Instant::now();
            session.reverse(0, &seed)?;
            times[1].push(start.elapsed().as_secs_f64());
        }
        times.iter_mut().for_each(|t| t.sort_by(f64::total_cmp));
        let [forward, adjoint] = [times[0][2], times[1][2]];
        totals[0] += forward;
        totals[1] += adjoint;
        println!(
            "{input:4} -> {output:4} @ {size:3}^3  forward {:6.1} GFLOP/s {:7.1} ms   adjoint {:6.1} GFLOP/s {:7.1} ms",
            flops / forward * 1e-9,
            forward * 1e3,
            flops / adjoint * 1e-9,
            adjoint * 1e3
        );
    }
    println!("total forward {:.3} s, adjoint {:.3} s", totals[0], totals[1]);
    Ok(())
}
