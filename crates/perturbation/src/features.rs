//! Which entries of the inputs belong together. Numbers run across all inputs, so that features of different modalities
//! or named inputs are never mistaken for one another, unless a mask says that they are one.

use voxplain_attribution::Network;
use voxplain_graph::Graph;
use voxplain_tensor::{Error, Result, Scalar, Tensor};

/// A feature number for every entry of every input.
#[derive(Clone, Debug, PartialEq)]
pub struct Features {
    /// Per input: one row for all examples, or one row per example.
    labels: Vec<Vec<Vec<u32>>>,
    count: usize,
}

/// The most features: more is a mask of something else.
const MOST: usize = 1 << 26;

impl Features {
    /// Features from masks of whole numbers, one per input, of the input's shape with one row for all examples or one
    /// row each.
    ///
    /// # Errors
    /// A mask has another shape, or holds something else than whole numbers from 0; the message names the input.
    pub fn from_masks(graph: &Graph, masks: &[Tensor<f64>]) -> Result<Self> {
        if masks.len() != graph.inputs().len() {
            return Err(Error::invalid(format!("{} masks for {} inputs", masks.len(), graph.inputs().len())));
        }
        let mut labels = Vec::new();
        for (mask, &value) in masks.iter().zip(graph.inputs()) {
            let (name, want, have) = (&graph.value(value).name, graph.shape(value), mask.shape());
            let one = want.elements();
            let fits = have.rank() == want.rank()
                && have.get(1..) == want.get(1..)
                && mask.data().len() % one.max(1) == 0
                && !mask.data().is_empty();
            if !fits {
                return Err(Error::invalid(format!(
                    "the mask of input {name:?} has shape {have}; that of the input, {want}, with one row for all examples \
                     or one each expected"
                )));
            }
            let number = |v: &f64| {
                let whole = *v >= 0.0 && *v < MOST as f64 && v.fract() == 0.0;
                whole.then_some(*v as u32).ok_or_else(|| {
                    Error::invalid(format!(
                        "the mask of input {name:?} holds {v}; whole numbers from 0 to {} expected",
                        MOST - 1
                    ))
                })
            };
            let all: Vec<u32> = mask.data().iter().map(number).collect::<Result<_>>()?;
            labels.push(all.chunks(one).map(<[u32]>::to_vec).collect());
        }
        Ok(Self::counted(labels))
    }

    /// Every entry by itself.
    pub fn each(graph: &Graph) -> Self {
        let mut next = 0u32;
        let one = |n: usize| {
            let row = (0..n as u32).map(|i| next + i).collect();
            next += n as u32;
            vec![row]
        };
        Self::counted(sizes(graph).into_iter().map(one).collect())
    }

    /// Every channel of every input: the modalities.
    pub fn modalities(graph: &Graph) -> Self {
        Self::grid(graph, usize::MAX)
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

    fn counted(labels: Vec<Vec<Vec<u32>>>) -> Self {
        let most = labels.iter().flatten().flatten().max();
        let count = most.map_or(0, |m| *m as usize + 1);
        Self { labels, count }
    }

    /// One more than the largest number.
    pub fn count(&self) -> usize {
        self.count
    }

    /// The numbers of the entries of input `input` for example `example`.
    pub fn of(&self, input: usize, example: usize) -> &[u32] {
        let rows = &self.labels[input];
        &rows[if rows.len() == 1 { 0 } else { example }]
    }

    /// The numbers that occur for example `example`, ascending.
    pub fn present(&self, example: usize) -> Vec<usize> {
        let mut seen = vec![false; self.count];
        (0..self.labels.len()).flat_map(|i| self.of(i, example)).for_each(|&l| seen[l as usize] = true);
        (0..self.count).filter(|&f| seen[f]).collect()
    }

    /// The entries of every feature for example `example`: `entries[feature]` is a list of (input, position).
    pub fn entries(&self, example: usize) -> Vec<Vec<(u32, u32)>> {
        let mut entries = vec![Vec::new(); self.count];
        for input in 0..self.labels.len() {
            for (at, &label) in self.of(input, example).iter().enumerate() {
                entries[label as usize].push((input as u32, at as u32));
            }
        }
        entries
    }

    /// Refuses features that do not belong to this network.
    pub(crate) fn check<S: Scalar>(&self, network: &dyn Network<S>, examples: usize) -> Result<()> {
        let sizes = sizes(network.graph());
        let fits = self.labels.len() == sizes.len()
            && self.labels.iter().zip(&sizes).all(|(rows, &n)| {
                (rows.len() == 1 || rows.len() == examples) && rows.iter().all(|row| row.len() == n)
            });
        if !fits || self.count == 0 {
            return Err(Error::invalid("the features belong to another network or number of examples"));
        }
        Ok(())
    }
}

/// Entries of one example of each input.
fn sizes(graph: &Graph) -> Vec<usize> {
    graph.inputs().iter().map(|&v| graph.shape(v).elements()).collect()
}
