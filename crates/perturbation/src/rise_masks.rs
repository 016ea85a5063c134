//! Random smooth masks over images of any number of dimensions: coarse grids of cells that are open or closed, interpolated
//! linearly. Every entry's mask is a weighted mean of cells, so its expectation is that of a cell.

use crate::features::Sharing;
use crate::frame::Frame;
use voxplain_attribution::{Generator, GridGeometry};
use voxplain_graph::Graph;
use voxplain_tensor::{Error, Result, Tensor};

/// The coarse grid over one input.
struct Layer {
    frame: Frame,
    /// Sizes of the axes that the grid lies over: slices, where there are several, and space.
    sizes: Vec<usize>,
    /// Grids: one for all channels, or one each.
    grids: usize,
    /// Nodes of one grid.
    nodes: usize,
    /// The first node among those of all inputs.
    first: usize,
}

enum Source {
    Seeded { seed: u64, probability: f64 },
    Given { cells: Tensor<f64>, shifts: Tensor<f64> },
}

/// Masks for the inputs of a network.
pub(crate) struct Masks {
    layers: Vec<Layer>,
    cells: usize,
    source: Source,
}

const STREAM: u32 = 0x5249_5345;

impl Masks {
    /// Masks of `cells` cells along every spatial axis and along the slices of a stack, all open until a source is given.
    pub fn new(graph: &Graph, cells: usize, sharing: Sharing) -> Self {
        let mut first = 0;
        let layer = |&value| {
            let frame = Frame::of(graph, value);
            let sizes = frame.image();
            let grids = if sharing == Sharing::Joint { 1 } else { frame.channels };
            // A grid that is moved by a part of a cell reaches one cell further, and interpolation one node.
            let nodes = (cells + 2).saturating_pow(sizes.len() as u32);
            first += grids * nodes;
            Layer { frame, sizes, grids, nodes, first: first - grids * nodes }
        };
        let layers = graph.inputs().iter().map(layer).collect();
        Self { layers, cells, source: Source::Seeded { seed: 0, probability: 1.0 } }
    }

    /// With cells open with this probability.
    pub fn seeded(self, seed: u64, probability: f64) -> Self {
        Self { source: Source::Seeded { seed, probability }, ..self }
    }

    /// With given cells and shifts.
    pub fn given(self, cells: &Tensor<f64>, shifts: &Tensor<f64>) -> Result<Self> {
        let (nodes, axes, draws) = (self.nodes(), self.axes(), cells.rows());
        let fits = cells.data().len() == draws * nodes && shifts.data().len() == draws * axes;
        let inside = |t: &Tensor<f64>| t.data().iter().all(|v| (0.0..=1.0).contains(v));
        if !fits || !inside(cells) || !inside(shifts) {
            return Err(Error::invalid(format!(
                "cells of shape {} with shifts of shape {}; [draws, {nodes}] and [draws, {axes}] with numbers from 0 to 1 \
                 expected for this network",
                cells.shape(),
                shifts.shape()
            )));
        }
        Ok(Self { source: Source::Given { cells: cells.clone(), shifts: shifts.clone() }, ..self })
    }

    /// Nodes of the grids of all inputs together.
    pub fn nodes(&self) -> usize {
        self.layers.last().map_or(0, |l| l.first + l.grids * l.nodes)
    }

    fn axes(&self) -> usize {
        self.layers.iter().map(|l| l.sizes.len()).max().unwrap_or(0)
    }

    fn cell(&self, draw: usize, node: usize) -> f64 {
        match &self.source {
            Source::Given { cells, .. } => cells.data()[draw * self.nodes() + node],
            Source::Seeded { seed, probability } => {
                let open = Generator::new(*seed, STREAM).uniform(draw as u32, node as u64) < *probability;
                f64::from(u8::from(open))
            }
        }
    }

    fn shift(&self, draw: usize, axis: usize) -> f64 {
        match &self.source {
            Source::Given { shifts, .. } => shifts.data()[draw * self.axes() + axis],
            Source::Seeded { seed, .. } => {
                Generator::new(*seed, STREAM + 1).uniform(draw as u32, axis as u64)
            }
        }
    }

    /// Cells of the first draws, as they are given.
    pub fn cells(&self, draws: usize) -> Result<Tensor<f64>> {
        let nodes = self.nodes();
        let data = (0..draws).flat_map(|d| (0..nodes).map(move |n| (d, n))).map(|(d, n)| self.cell(d, n));
        Tensor::new(&[draws, nodes], data.collect())
    }

    /// Shifts of the first draws, as they are given.
    pub fn shifts(&self, draws: usize) -> Result<Tensor<f64>> {
        let axes = self.axes();
        let data = (0..draws).flat_map(|d| (0..axes).map(move |a| (d, a))).map(|(d, a)| self.shift(d, a));
        Tensor::new(&[draws, axes], data.collect())
    }

    /// The grid over an input as a network can interpolate it: if it has so few axes, and its channels' images lie one behind
    /// the other.
    pub fn grid(&self, input: usize) -> Option<GridGeometry> {
        let Layer { frame, sizes, grids, .. } = self.layers.get(input)?;
        if frame.slices > 1 && frame.channels > 1 {
            return None;
        }
        let mut last = [1; 3];
        last.get_mut(3usize.checked_sub(sizes.len())?..)?.copy_from_slice(sizes);
        let (channels, grids, axes) = (frame.channels, *grids, sizes.len());
        Some(GridGeometry { sizes: last, axes, cells: self.cells, channels, grids })
    }

    /// The numbers of a draw for it: the nodes of its grids, then the shifts.
    pub fn numbers(&self, draw: usize, input: usize, into: &mut [f64]) {
        let layer = &self.layers[input];
        let nodes = layer.grids * layer.nodes;
        into[..nodes].iter_mut().enumerate().for_each(|(i, v)| *v = self.cell(draw, layer.first + i));
        into[nodes..].iter_mut().enumerate().for_each(|(axis, v)| *v = self.shift(draw, axis));
    }

    /// Calls `visit(first entry, mask)` for every channel of every slice of an input.
    pub fn each(&self, draw: usize, input: usize, visit: &mut dyn FnMut(usize, &[f64])) {
        let layer = &self.layers[input];
        for grid in 0..layer.grids {
            let first = layer.first + grid * layer.nodes;
            let coarse: Vec<f64> = (first..first + layer.nodes).map(|node| self.cell(draw, node)).collect();
            let mask = (0..layer.sizes.len())
                .fold(coarse, |values, axis| self.along(&values, &layer.sizes, axis, self.shift(draw, axis)));
            let channels = if layer.grids == 1 { 0..layer.frame.channels } else { grid..grid + 1 };
            let inner = layer.frame.inner();
            for (slice, mask) in mask.chunks(inner.max(1)).enumerate() {
                let first = slice * layer.frame.channels;
                channels.clone().for_each(|channel| visit((first + channel) * inner, mask));
            }
        }
    }

    /// Interpolates along one axis, those before it being interpolated already: entry i lies at cell `(i + 1/2) / size of a
    /// cell + shift`.
    fn along(&self, values: &[f64], sizes: &[usize], axis: usize, shift: f64) -> Vec<f64> {
        let (n, nodes) = (sizes[axis], self.cells + 2);
        let inner = nodes.pow((sizes.len() - axis - 1) as u32);
        let mut out = Vec::with_capacity(values.len() / nodes * n);
        for block in values.chunks(nodes * inner) {
            for i in 0..n {
                let place = (i as f64 + 0.5) * self.cells as f64 / n as f64 + shift;
                let low = (place as usize).min(self.cells);
                let part = place - low as f64;
                let (a, b) = (&block[low * inner..][..inner], &block[(low + 1) * inner..][..inner]);
                out.extend(a.iter().zip(b).map(|(a, b)| a + part * (b - a)));
            }
        }
        out
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use voxplain_graph::GraphBuilder;

    fn masks(sizes: &[usize]) -> Masks {
        let mut b = GraphBuilder::new();
        let x = b.input("x", sizes).unwrap();
        let y = b.relu("y", x).unwrap();
        Masks::new(&b.finish(&[y]).unwrap(), 3, Sharing::Own)
    }

    #[test]
    fn masks_are_open_with_their_probability_everywhere() {
        let masks = masks(&[1, 2, 5, 4]).seeded(3, 0.25);
        let (draws, mut mean) = (20_000, vec![0.0; 40]);
        for draw in 0..draws {
            masks.each(draw, 0, &mut |at, mask| {
                assert!(mask.iter().all(|m| (0.0..=1.0).contains(m)));
                mean[at..].iter_mut().zip(mask).for_each(|(s, m)| *s += m / draws as f64);
            });
        }
        // Five standard errors of a cell's own mean, which is the worst case.
        let most = 5.0 * (0.25f64 * 0.75 / draws as f64).sqrt();
        assert!(mean.iter().all(|m| (m - 0.25).abs() < most), "{mean:?}");
    }

    #[test]
    fn kept_masks_are_the_same() {
        let drawn = masks(&[1, 2, 5, 4]).seeded(9, 0.5);
        let (cells, shifts) = (drawn.cells(4).unwrap(), drawn.shifts(4).unwrap());
        let again = masks(&[1, 2, 5, 4]).given(&cells, &shifts).unwrap();
        let all = |masks: &Masks| {
            let mut all = Vec::new();
            (0..4).for_each(|draw| masks.each(draw, 0, &mut |_, mask| all.extend_from_slice(mask)));
            all
        };
        assert_eq!(all(&drawn), all(&again));
    }
}
