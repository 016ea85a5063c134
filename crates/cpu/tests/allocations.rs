//! What a session allocates when it runs: nothing of a tensor's size.
//!
//! An allocator that counts bytes stands in front of the system's. The only test of this file, because the count is the
//! process's.
#![allow(clippy::unwrap_used)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use voxplain_autodiff::{Composite, Gradient, Joining, Planner, Session};
use voxplain_cpu::Cpu;
use voxplain_graph::ops::{ConvAttributes, PoolAttributes, Reduction};
use voxplain_graph::{Graph, GraphBuilder, Op, ValueId};
use voxplain_tensor::{Shape, Tensor};

struct Counting;

static BYTES: AtomicUsize = AtomicUsize::new(0);

// SAFETY: every call goes to the system's allocator unchanged; counting touches no memory of the caller.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        BYTES.fetch_add(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller's promises are those of the system's allocator.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(at, layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        BYTES.fetch_add(size, Ordering::Relaxed);
        // SAFETY: as above.
        unsafe { System.realloc(at, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn weights(b: &mut GraphBuilder, name: &str, sizes: &[usize]) -> ValueId {
    let count: usize = sizes.iter().product();
    let data: Vec<f32> = (0..count).map(|i| (i as f32 * 0.7).sin() * 0.2 + 0.3).collect();
    b.parameter(name, sizes, data).unwrap()
}

/// Two convolutions (one strided, in groups) with normalisation, ReLU and pooling, and a linear layer.
fn network(side: usize) -> Graph {
    let mut b = GraphBuilder::new();
    let x = b.input("x", &[1, 4, side, side, side]).unwrap();
    let (w, c) = (weights(&mut b, "w", &[8, 4, 3, 3, 3]), weights(&mut b, "c", &[8]));
    let y = b.conv("conv1", x, w, Some(c), ConvAttributes::padded(3, 1)).unwrap();
    let normal: Vec<ValueId> = (0..4).map(|i| weights(&mut b, &format!("n{i}"), &[8])).collect();
    let operands = [&[y], normal.as_slice()].concat();
    let y = b.node("bn", Op::BatchNormalization { epsilon: 1e-5 }, &operands).unwrap();
    let y = b.relu("relu1", y).unwrap();
    let y = b.node("pool", Op::MaxPool(PoolAttributes::tiles(&[2, 2, 2])), &[y]).unwrap();
    let w = weights(&mut b, "w2", &[6, 4, 3, 3, 3]);
    let strided = ConvAttributes { strides: vec![2; 3], groups: 2, ..ConvAttributes::padded(3, 1) };
    let y = b.conv("conv2", y, w, None, strided).unwrap();
    let y = b.relu("relu2", y).unwrap();
    let mean = Op::Reduce { reduction: Reduction::Mean, axes: vec![2, 3, 4], keep_axes: false };
    let y = b.node("mean", mean, &[y]).unwrap();
    let v = weights(&mut b, "v", &[2, 6]);
    let y = b.linear("fc", y, v, None).unwrap();
    b.finish(&[y]).unwrap()
}

/// Bytes that a gradient allocates once it has run nine times: the least of eight more runs, because a thread that got no
/// work before makes its panel when it first does, which depends on the load of the machine.
fn later_run(side: usize) -> usize {
    let graph = network(side);
    let mut planner = Planner::new(&graph, 1).unwrap().fused(Joining::Everything);
    planner.capture(graph.outputs()[0]);
    planner.reverse(&Composite::everywhere(Gradient), graph.outputs()[0], graph.inputs()).unwrap();
    let cpu = Cpu::best();
    let mut session = Session::new(&cpu, Arc::new(planner.finish::<f32>(None).unwrap())).unwrap();
    let x = Tensor::full(Shape::new(&[1, 4, side, side, side]).unwrap(), 0.5f32);
    let (mut map, mut logits) = (vec![0.0; x.data().len()], [0.0; 2]);
    let mut run = || {
        session.forward(&[&x]).unwrap();
        session.capture_into(0, &mut logits).unwrap();
        session.reverse(0, &[1.0, 0.0]).unwrap();
        session.result_into(0, 0, &mut map).unwrap();
    };
    (0..9).for_each(|_| run());
    let mut counted = || {
        let before = BYTES.load(Ordering::Relaxed);
        run();
        BYTES.load(Ordering::Relaxed) - before
    };
    (0..8).map(|_| counted()).min().unwrap()
}

#[test]
fn a_run_allocates_nothing_that_grows_with_the_data() {
    let (small, large) = (later_run(16), later_run(40));
    // 40^3 voxels of 4 channels are a megabyte.
    assert!(small <= 4096 && large <= 4096, "{small} and {large} bytes");
}
