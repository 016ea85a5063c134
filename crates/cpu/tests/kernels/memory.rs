//! The memory of sessions. What a gradient needs beside the weights on the network and image that decide the design: the first
//! blocks of a convolutional network on 4 x 128^3 voxels, in which all large values lie.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;
use voxplain_autodiff::{Composite, Gradient, Joining, Plan, Planner, Session};
use voxplain_cpu::Cpu;
use voxplain_graph::ops::{ConvAttributes, PoolAttributes};
use voxplain_graph::rewrite::split_first_layers;
use voxplain_graph::{Graph, GraphBuilder, Op, ValueId};
use voxplain_tensor::Tensor;

/// Convolution, normalisation, ReLU.
fn layer(b: &mut GraphBuilder, name: &str, x: ValueId, [input, output]: [usize; 2]) -> ValueId {
    let sizes = [output, input, 3, 3, 3];
    let w = b.parameter(&format!("{name}.w"), &sizes, vec![0.1; sizes.iter().product()]).unwrap();
    let mut operands = vec![b.conv(name, x, w, None, ConvAttributes::padded(3, 1)).unwrap()];
    for part in ["scale", "shift", "mean", "variance"] {
        operands.push(b.parameter(&format!("{name}.{part}"), &[output], vec![0.5; output]).unwrap());
    }
    let y = b.node(&format!("{name}.norm"), Op::BatchNormalization { epsilon: 1e-5 }, &operands).unwrap();
    b.relu(&format!("{name}.relu"), y).unwrap()
}

fn network() -> Graph {
    let mut b = GraphBuilder::new();
    let mut x = b.input("x", &[1, 4, 128, 128, 128]).unwrap();
    let blocks: [&[[usize; 2]]; 3] = [&[[4, 16]], &[[16, 32], [32, 32]], &[[32, 64], [64, 64]]];
    for (i, block) in blocks.iter().enumerate() {
        for (j, &channels) in block.iter().enumerate() {
            x = layer(&mut b, &format!("conv{i}.{j}"), x, channels);
        }
        x = b.node(&format!("pool{i}"), Op::MaxPool(PoolAttributes::tiles(&[2, 2, 2])), &[x]).unwrap();
    }
    b.finish(&[x]).unwrap()
}

fn gradient(fused: Joining) -> Plan {
    gradient_of(&network(), fused)
}

fn gradient_of(graph: &Graph, fused: Joining) -> Plan {
    let mut planner = Planner::new(graph, 1).unwrap().fused(fused);
    planner.reverse(&Composite::everywhere(Gradient), graph.outputs()[0], graph.inputs()).unwrap();
    planner.finish::<f32>(None).unwrap()
}

#[test]
fn a_gradient_stays_far_below_what_its_values_take() {
    let plan = gradient(Joining::Everything);
    assert!(plan.arena_bytes < 125_000_000, "{} bytes", plan.arena_bytes);
    assert!(2 * plan.arena_bytes < gradient(Joining::Nothing).arena_bytes, "joined steps keep whole images");
}

/// Points of a path from zero run the rest of the network alone, and its first layer once: neither keeps what the layer makes in
/// front of its pooling, and both take less than a pass of all.
#[test]
fn a_network_in_two_parts_takes_less_than_in_one() {
    let graph = network();
    let whole = gradient(Joining::Everything).arena_bytes;
    let split = split_first_layers(&graph, graph.outputs()[0]).unwrap().unwrap();
    let head = gradient_of(split.heads[0].as_ref().unwrap(), Joining::Everything);
    let tail = gradient_of(&split.tail, Joining::Everything);
    assert!(head.arena_bytes < 80_000_000, "{} bytes", head.arena_bytes);
    assert!(tail.arena_bytes < whole && head.arena_bytes < whole, "{} of {whole} bytes", tail.arena_bytes);
    let single = head.steps.iter().map(|step| step.kernel.name()).collect::<Vec<_>>();
    assert_eq!(single, ["conv_block", "conv_adjoint_block"]);
}

/// A small image through two layers, so that values lie over each other.
fn captured(size: usize) -> Plan {
    let mut b = GraphBuilder::new();
    let x = b.input("x", &[1, 4, size, size, size]).unwrap();
    let first = layer(&mut b, "first", x, [4, 16]);
    let second = layer(&mut b, "second", first, [16, 16]);
    let graph = b.finish(&[second]).unwrap();
    let mut planner = Planner::new(&graph, 1).unwrap().fused(Joining::Everything);
    planner.capture(second);
    planner.finish::<f32>(None).unwrap()
}

#[test]
fn sessions_that_run_in_turn_share_a_place_for_values() {
    let cpu = Cpu::best();
    let session = |size: usize| Session::new(&cpu, Arc::new(captured(size))).unwrap();
    let input = |size: usize| {
        let shape = [1, 4, size, size, size];
        let value = |i: usize| ((i * 37 % 101) as f32 / 101.0 - 0.5) * f32::from(i % 3 != 0);
        Tensor::new(&shape, (0..shape.iter().product()).map(value).collect()).unwrap()
    };
    let result = |session: &mut Session<'_, Cpu>, size: usize| {
        session.forward(&[&input(size)]).unwrap();
        session.capture(0).unwrap().data().to_vec()
    };
    let sizes = [12, 6, 16];
    let alone = sizes.map(|size| result(&mut session(size), size));
    let mut all = sizes.map(|size| Some(session(size)));
    let mut from = all[0].take().unwrap();
    result(&mut from, sizes[0]);
    let mut last = 0;
    // Smaller ones and larger ones, and every one twice.
    for next in [1, 0, 2, 1, 2, 0] {
        let mut to = all[next].take().unwrap();
        assert!(to.take_place(&mut from).unwrap());
        for _ in 0..2 {
            assert_eq!(result(&mut to, sizes[next]), alone[next], "{next} after {last}");
        }
        all[last] = Some(std::mem::replace(&mut from, to));
        last = next;
    }
}
