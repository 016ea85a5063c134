//! Networks in which changes spread in ways of their own.

use voxplain::graph::ops::{Binary, ConvAttributes, PoolAttributes, Reduction};
use voxplain::graph::{Graph, GraphBuilder, Op};
use voxplain_tests::layers::numbers;

/// Two stacks of slices, each slice through layers of its own stack, the largest of every feature over a stack, and one linear
/// layer over both.
pub fn two_stacks() -> Graph {
    let mut b = GraphBuilder::new();
    let mut features = Vec::new();
    for stack in ["a", "b"] {
        let mut x = b.input(stack, &[3, 2, 12, 10]).unwrap();
        for (i, channels) in [2, 8, 8].windows(2).enumerate() {
            let name = format!("{stack}{i}");
            let sizes = [channels[1], channels[0], 3, 3];
            let w = b
                .parameter(&format!("{name}.w"), &sizes, numbers(9 + i as u64, sizes.iter().product()))
                .unwrap();
            x = b.conv(&name, x, w, None, ConvAttributes::padded(2, 1)).unwrap();
            x = b.relu(&format!("{name}.relu"), x).unwrap();
            x = b.node(&format!("{name}.pool"), Op::MaxPool(PoolAttributes::tiles(&[2, 2])), &[x]).unwrap();
        }
        let mean = Op::Reduce { reduction: Reduction::Mean, axes: vec![2, 3], keep_axes: false };
        x = b.node(&format!("{stack}.mean"), mean, &[x]).unwrap();
        x = b.node(&format!("{stack}.stack"), Op::Reshape { sizes: vec![1, 3, 8] }, &[x]).unwrap();
        let most = Op::Reduce { reduction: Reduction::Max, axes: vec![1], keep_axes: false };
        features.push(b.node(&format!("{stack}.max"), most, &[x]).unwrap());
    }
    let both = b.node("both", Op::Concat { axis: 1 }, &features).unwrap();
    let w = b.parameter("w", &[2, 16], numbers(4, 32)).unwrap();
    let y = b.linear("y", both, w, None).unwrap();
    b.finish(&[y]).unwrap()
}

/// Three stages of two convolutions, a residual one in each, and a linear layer.
pub fn stages() -> Graph {
    let mut b = GraphBuilder::new();
    let mut x = b.input("x", &[1, 2, 24, 20]).unwrap();
    for (stage, channels) in [2, 4, 6, 8].windows(2).enumerate() {
        for (part, from) in channels.iter().enumerate() {
            let name = format!("s{stage}{part}");
            let sizes = [channels[1], *from, 3, 3];
            let data = numbers(3 + stage as u64, sizes.iter().product());
            let w = b.parameter(&format!("{name}.w"), &sizes, data).unwrap();
            let y = b.conv(&name, x, w, None, ConvAttributes::padded(2, 1)).unwrap();
            x = match part {
                0 => y,
                _ => b.node(&format!("{name}.add"), Op::Binary(Binary::Add), &[x, y]).unwrap(),
            };
            x = b.relu(&format!("{name}.relu"), x).unwrap();
        }
        let pool = Op::MaxPool(PoolAttributes::tiles(&[2, 2]));
        x = b.node(&format!("s{stage}.pool"), pool, &[x]).unwrap();
    }
    let x = b.node("flat", Op::Reshape { sizes: vec![1, 8 * 3 * 2] }, &[x]).unwrap();
    let w = b.parameter("w", &[2, 48], numbers(4, 96)).unwrap();
    let y = b.linear("y", x, w, None).unwrap();
    b.finish(&[y]).unwrap()
}

/// Kernels that are taken apart: a stem of width 7 with steps, one of width 5 without, one of width 11 with steps of 4.
pub fn wide() -> Graph {
    let mut b = GraphBuilder::new();
    let mut x = b.input("x", &[1, 3, 61, 54]).unwrap();
    for (i, (from, width, stride)) in [(3, 7, 2), (16, 5, 1), (18, 11, 4)].into_iter().enumerate() {
        let (name, to) = (format!("c{i}"), 16 + 2 * i);
        let sizes = [to, from, width, width];
        let w = b.parameter(&format!("{name}.w"), &sizes, numbers(i as u64, sizes.iter().product())).unwrap();
        let bias = b.parameter(&format!("{name}.b"), &[to], numbers(9, to)).unwrap();
        let conv = ConvAttributes { strides: vec![stride; 2], ..ConvAttributes::padded(2, width / 2) };
        x = b.conv(&name, x, w, Some(bias), conv).unwrap();
        x = b.relu(&format!("{name}.relu"), x).unwrap();
        if i == 0 {
            x = b.node("pool", Op::MaxPool(PoolAttributes::tiles(&[2, 2])), &[x]).unwrap();
        }
    }
    let last = b.shape(x);
    let n: usize = last.iter().product();
    let x = b.node("flat", Op::Reshape { sizes: vec![1, n] }, &[x]).unwrap();
    let w = b.parameter("w", &[2, n], numbers(4, 2 * n)).unwrap();
    let y = b.linear("y", x, w, None).unwrap();
    b.finish(&[y]).unwrap()
}

/// Volumes through layers whose channels are many enough for Winograd's filtering: alone, in front of a pooling, and with what
/// came before added.
pub fn volumes() -> Graph {
    let mut b = GraphBuilder::new();
    let mut x = b.input("x", &[1, 2, 19, 22, 34]).unwrap();
    let channels = [2, 16, 16, 20, 20, 16];
    for (i, pair) in channels.windows(2).enumerate() {
        let (name, sizes) = (format!("c{i}"), [pair[1], pair[0], 3, 3, 3]);
        let w = b.parameter(&format!("{name}.w"), &sizes, numbers(i as u64, sizes.iter().product())).unwrap();
        let bias = b.parameter(&format!("{name}.b"), &[pair[1]], numbers(9, pair[1])).unwrap();
        let y = b.conv(&name, x, w, Some(bias), ConvAttributes::padded(3, 1)).unwrap();
        let added = Op::Binary(Binary::Add);
        let y = if i == 3 { b.node("c3.add", added, &[x, y]).unwrap() } else { y };
        x = b.relu(&format!("{name}.relu"), y).unwrap();
        if i % 2 == 1 {
            let pool = Op::MaxPool(PoolAttributes::tiles(&[2, 2, 2]));
            x = b.node(&format!("{name}.pool"), pool, &[x]).unwrap();
        }
    }
    let n: usize = b.shape(x).iter().product();
    let x = b.node("flat", Op::Reshape { sizes: vec![1, n] }, &[x]).unwrap();
    let w = b.parameter("w", &[2, n], numbers(4, 2 * n)).unwrap();
    let y = b.linear("y", x, w, None).unwrap();
    b.finish(&[y]).unwrap()
}
