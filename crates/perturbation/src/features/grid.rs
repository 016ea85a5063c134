//! Blocks, and whole modalities, which are the largest blocks.

use super::{Features, sizes};
use crate::frame::Frame;
use voxplain_graph::Graph;

impl Features {
    /// Every channel of every input: the modalities.
    pub fn modalities(graph: &Graph) -> Self {
        Self::grid(graph, usize::MAX)
    }

    /// Every named input as a whole, whatever its channels: the modalities of networks that fuse features, and of channels
    /// that are copies of one image.
    pub fn inputs(graph: &Graph) -> Self {
        let row = |(i, n): (usize, usize)| vec![vec![i as u32; n]];
        Self::counted(sizes(graph).into_iter().enumerate().map(row).collect())
    }

    /// Blocks of `side` entries along every spatial axis, that of slices included, in every channel of every input.
    pub fn grid(graph: &Graph, side: usize) -> Self {
        let (mut labels, mut next) = (Vec::new(), 0u32);
        for &value in graph.inputs() {
            let frame = Frame::of(graph, value);
            let sizes = frame.image();
            let blocks: Vec<usize> = sizes.iter().map(|n| n.div_ceil(side.min(*n).max(1))).collect();
            let each = blocks.iter().product::<usize>();
            let label = |entry: usize| {
                let (channel, mut place) = frame.place(entry);
                let (mut number, mut scale) = (channel * each, 1);
                for (n, blocks) in sizes.iter().zip(&blocks).rev() {
                    number += place % n / side.min(*n).max(1) * scale;
                    scale *= blocks;
                    place /= n;
                }
                next + number as u32
            };
            let row: Vec<u32> = (0..frame.entries()).map(label).collect();
            next += (frame.channels * each) as u32;
            labels.push(vec![row]);
        }
        Self::counted(labels)
    }
}
