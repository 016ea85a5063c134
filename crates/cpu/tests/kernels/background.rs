//! Images on a background have the bits that they have where no background is found: beside an image of noise, which leads
//! the batch and decides what would count as background.
#![allow(clippy::unwrap_used, missing_docs)]

use super::common::{bits, cases, cpus, numbers};
use proptest::prelude::*;
use std::sync::Arc;
use voxplain_autodiff::{Composite, Gradient, Planner, Session};
use voxplain_cpu::{Cpu, Filtering};
use voxplain_graph::ops::{Binary, ConvAttributes, PoolAttributes};
use voxplain_graph::{Graph, GraphBuilder, Op, ValueId};
use voxplain_tensor::{Shape, Tensor};

/// Convolutions with rectifiers, some of them followed by a pooling.
#[derive(Clone, Debug)]
struct Blocks {
    channels: Vec<usize>,
    pools: Vec<bool>,
    pads: Vec<usize>,
    image: [usize; 3],
    /// Added to every bias: far below 0, what paddings do not reach becomes 0.
    shift: f32,
    /// Whether it begins with a sum and a rectifier, as the rest of a network does whose first layer has run, and rectifies
    /// behind poolings.
    begun: bool,
    seed: u64,
}

impl Blocks {
    fn graph(&self) -> (Graph, Vec<ValueId>) {
        let mut b = GraphBuilder::new();
        let sizes = [&[1, self.channels[0]][..], &self.image].concat();
        let mut x = b.input("x", &sizes).unwrap();
        let mut values = Vec::new();
        if self.begun {
            let channels = self.channels[0];
            let added = b.parameter("added", &[1, channels, 1, 1, 1], numbers(self.seed, channels)).unwrap();
            x = b.node("sum", Op::Binary(Binary::Add), &[x, added]).unwrap();
            x = b.relu("rectified", x).unwrap();
        }
        for (i, pair) in self.channels.windows(2).enumerate() {
            let shape = [pair[1], pair[0], 3, 3, 3];
            let seed = self.seed ^ i as u64;
            let w = b.parameter(&format!("w{i}"), &shape, numbers(seed, shape.iter().product())).unwrap();
            let bias = numbers(seed + 7, pair[1]).into_iter().map(|v| v + self.shift).collect::<Vec<f32>>();
            let bias = b.parameter(&format!("b{i}"), &[pair[1]], bias).unwrap();
            let smallest = b.shape(x)[2..].iter().copied().min().unwrap();
            let pad = ConvAttributes::padded(3, if smallest < 5 { 1 } else { self.pads[i] });
            x = b.conv(&format!("conv{i}"), x, w, Some(bias), pad).unwrap();
            if !self.begun {
                x = b.relu(&format!("relu{i}"), x).unwrap();
            }
            let smallest = b.shape(x)[2..].iter().copied().min().unwrap();
            if self.pools[i] && smallest >= 4 {
                x = b.node(&format!("pool{i}"), Op::MaxPool(PoolAttributes::tiles(&[2; 3])), &[x]).unwrap();
            }
            if self.begun {
                x = b.relu(&format!("relu{i}"), x).unwrap();
            }
            values.push(x);
        }
        (b.finish(&[x]).unwrap(), values)
    }
}

/// The values of every block and the gradient, of the last of some images.
fn last_of(cpu: &Cpu, graph: &Graph, values: &[ValueId], images: &[Vec<f32>]) -> Vec<Vec<u32>> {
    let mut planner =
        Planner::new(graph, images.len()).unwrap().fused(voxplain_autodiff::Joining::Everything);
    for &value in values {
        planner.capture(value);
    }
    let output = graph.outputs()[0];
    planner.reverse(&Composite::everywhere(Gradient), output, graph.inputs()).unwrap();
    let plan = Arc::new(planner.finish::<f32>(None).unwrap());
    let mut session = Session::new(cpu, plan.clone()).unwrap();
    let shape: Shape = plan.slot(plan.inputs[0]).shape;
    session.forward(&[&Tensor::new(&shape, images.concat()).unwrap()]).unwrap();
    session.reverse(0, &vec![1.0; plan.slot(plan.reverses[0].seed).shape.elements()]).unwrap();
    let mut all: Vec<Tensor<f32>> = (0..values.len()).map(|i| session.capture(i).unwrap()).collect();
    all.push(session.result(0, 0).unwrap());
    all.iter().map(|t| bits(&t.data()[t.data().len() / images.len() * (images.len() - 1)..])).collect()
}

/// Noise in a box, `background` elsewhere.
fn image(blocks: &Blocks, background: f32, corner: [usize; 3], sizes: [usize; 3]) -> Vec<f32> {
    let [depth, height, width] = blocks.image;
    let noise = numbers(blocks.seed + 99, blocks.channels[0] * depth * height * width);
    let inside = |i: usize| {
        let at = [i / (height * width) % depth, i / width % height, i % width];
        (0..3).all(|a| at[a] >= corner[a] && at[a] < corner[a] + sizes[a])
    };
    noise.iter().enumerate().map(|(i, &v)| if inside(i) { v } else { background }).collect()
}

fn blocks() -> impl Strategy<Value = Blocks> {
    let channels = (1usize..10, prop::collection::vec(8usize..12, 1..4));
    let flags = (prop::collection::vec(any::<bool>(), 3), prop::collection::vec(0usize..3, 3));
    let shift = prop_oneof![Just(0f32), -3f32..0f32];
    (channels, flags, shift, [6usize..18, 6usize..18, 8usize..40], any::<u64>()).prop_map(
        |((first, rest), (pools, pads), shift, image, seed)| {
            let channels = [&[first][..], &rest].concat();
            Blocks { channels, pools, pads, image, shift, begun: seed % 2 == 1, seed: seed >> 1 }
        },
    )
}

proptest! {
    #![proptest_config(cases(64))]

    #[test]
    fn an_image_on_a_background_has_the_bits_of_any_other(
        blocks in blocks(), background in prop_oneof![Just(0f32), Just(-0f32), -1f32..1f32, -1f32..1f32],
        corner in [0usize..12, 0usize..12, 0usize..40], sizes in [0usize..6, 0usize..6, 0usize..10], fast: bool,
    ) {
        let (graph, values) = blocks.graph();
        let image = image(&blocks, background, corner, sizes);
        let noise = numbers(blocks.seed + 5, image.len());
        for cpu in cpus() {
            let cpu = if fast { cpu.with_filtering(Filtering::Fast) } else { cpu };
            let alone = last_of(&cpu, &graph, &values, std::slice::from_ref(&image));
            let beside = last_of(&cpu, &graph, &values, &[noise.clone(), image.clone()]);
            prop_assert_eq!(&alone, &beside, "{}", cpu.bits());
            let twice = last_of(&cpu, &graph, &values, &[image.clone(), image.clone()]);
            prop_assert_eq!(alone, twice, "{}, twice", cpu.bits());
        }
    }
}
