//! Features as masks name them: equal numbers are one feature, wherever they are.

use super::Features;
use voxplain_graph::Graph;
use voxplain_tensor::{Error, Result, Tensor};

/// The most features: more is a mask of something else.
pub(super) const MOST: usize = 1 << 26;

/// A mask's value as a number.
pub(super) fn whole(value: f64, name: &str) -> Result<u32> {
    let whole = value >= 0.0 && value < MOST as f64 && value.fract() == 0.0;
    whole.then_some(value as u32).ok_or_else(|| {
        Error::invalid(format!(
            "the mask of input {name:?} holds {value}; whole numbers from 0 to {} expected",
            MOST - 1
        ))
    })
}

/// Numbers the labels that occur from 0 on; returns what they were.
fn close_gaps(labels: &mut [Vec<Vec<u32>>]) -> Vec<u32> {
    let most = labels.iter().flatten().flatten().max().map_or(0, |&l| l as usize + 1);
    let mut place = vec![0; most];
    labels.iter().flatten().flatten().for_each(|&l| place[l as usize] = 1);
    let names: Vec<u32> = (0..most as u32).filter(|&l| place[l as usize] == 1).collect();
    names.iter().zip(0..).for_each(|(&l, number)| place[l as usize] = number);
    labels.iter_mut().flatten().flatten().for_each(|l| *l = place[*l as usize]);
    names
}

impl Features {
    /// Features from masks of whole numbers, one per input, of the input's shape with one row for all examples or one
    /// row each. Equal numbers are one feature, in whatever inputs they are, as in Captum. Features are numbered in the order of
    /// their numbers in the masks; numbers that occur nowhere, as those between an atlas's labels, are none.
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
            let all: Vec<u32> = mask.data().iter().map(|&v| whole(v, name)).collect::<Result<_>>()?;
            labels.push(all.chunks(one).map(<[u32]>::to_vec).collect());
        }
        let names = close_gaps(&mut labels);
        Ok(Self { names, ..Self::counted(labels) })
    }

    /// The column of every feature in draws of `width` columns: one for each feature, or one for each number that a mask
    /// could have had, from 0 or from its least, as Captum has them.
    pub fn columns(&self, width: usize) -> Option<Vec<usize>> {
        let least = self.names.first().map_or(0, |&l| l as usize);
        let span = self.names.last().map_or(0, |&l| l as usize + 1);
        let from = |first: usize| self.names.iter().map(|&l| l as usize - first).collect();
        match width {
            w if w == self.count() => Some((0..w).collect()),
            w if w == span => Some(from(0)),
            w if w == span - least => Some(from(least)),
            _ => None,
        }
    }
}
