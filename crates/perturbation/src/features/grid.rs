//! Blocks, and whole modalities, which are the largest blocks.

use super::{Features, sizes};
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

    /// Blocks of `side` entries along every spatial axis, in every channel of every input. Axis 1 is that of channels.
    pub fn grid(graph: &Graph, side: usize) -> Self {
        let (mut labels, mut next) = (Vec::new(), 0u32);
        for &value in graph.inputs() {
            let shape = graph.shape(value);
            let sizes = &shape[shape.rank().min(1)..];
            let side = |axis: usize| if axis == 0 { 1 } else { side.min(sizes[axis]).max(1) };
            let blocks: Vec<usize> = (0..sizes.len()).map(|a| sizes[a].div_ceil(side(a))).collect();
            let label = |mut entry: usize| {
                let (mut number, mut scale) = (0, 1);
                for a in (0..sizes.len()).rev() {
                    number += entry % sizes[a] / side(a) * scale;
                    scale *= blocks[a];
                    entry /= sizes[a];
                }
                next + number as u32
            };
            let one = sizes.iter().product::<usize>();
            let row: Vec<u32> = (0..shape.elements()).map(|e| label(e % one)).collect();
            next += blocks.iter().product::<usize>() as u32;
            labels.push(vec![row]);
        }
        Self::counted(labels)
    }
}
