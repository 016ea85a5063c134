//! Which entries of the inputs belong together. Numbers run across all inputs, so that features of different modalities
//! or named inputs are never mistaken for one another, unless a mask says that they are one.

mod each;
mod grid;
mod masks;
mod regions;

pub use regions::Sharing;

use crate::frame::Frame;
use std::ops::Range;
use voxplain_attribution::{Network, Region};
use voxplain_graph::Graph;
use voxplain_tensor::{Error, Result, Scalar};

/// How a feature's score becomes the values of its entries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Spread {
    /// Every entry has the score of its whole feature, as in Captum: maps compare features.
    #[default]
    Copy,
    /// Every entry has the score divided by the feature's entries: maps add up to the scores.
    Divide,
}

/// A feature number for every entry of every input, or none.
#[derive(Clone, Debug, PartialEq)]
pub struct Features {
    /// Per input: one row for all examples, or one row per example.
    labels: Vec<Vec<Vec<u32>>>,
    count: usize,
    spread: Spread,
    /// What a mask called each feature; empty where no mask named them.
    names: Vec<u32>,
}

/// The label of entries that belong to no feature: they stay as they are.
pub const NO_FEATURE: u32 = u32::MAX;

/// The runs of one number among labels, and where they lie; those of no feature are left out.
fn runs(labels: &[u32]) -> impl Iterator<Item = (usize, Range<usize>)> {
    let mut end = 0;
    let one = move |run: &[u32]| {
        end += run.len();
        (run[0], end - run.len()..end)
    };
    let all = labels.chunk_by(|a, b| a == b).map(one);
    all.filter(|(label, _)| *label != NO_FEATURE).map(|(label, run)| (label as usize, run))
}

impl Features {
    fn counted(labels: Vec<Vec<Vec<u32>>>) -> Self {
        let most = labels.iter().flatten().flatten().filter(|l| **l != NO_FEATURE).max();
        let count = most.map_or(0, |m| *m as usize + 1);
        Self { labels, count, spread: Spread::Copy, names: Vec::new() }
    }

    /// With another way from scores to maps.
    #[must_use]
    pub fn spread(mut self, spread: Spread) -> Self {
        self.spread = spread;
        self
    }

    /// What a mask called each feature; none where no mask named them.
    pub fn names(&self) -> Option<&[u32]> {
        Some(&self.names[..]).filter(|names| !names.is_empty())
    }

    /// One more than the largest number.
    pub fn count(&self) -> usize {
        self.count
    }

    /// The numbers of the entries of input `input` for example `example`; [`NO_FEATURE`] for entries that stay.
    pub fn of(&self, input: usize, example: usize) -> &[u32] {
        let rows = &self.labels[input];
        &rows[if rows.len() == 1 { 0 } else { example }]
    }

    /// The numbers that occur for example `example`, ascending.
    pub fn present(&self, example: usize) -> Vec<usize> {
        let sizes = self.sizes(example);
        (0..self.count).filter(|&f| sizes[f] > 0).collect()
    }

    /// How many entries each feature has in example `example`, in all inputs together.
    pub fn sizes(&self, example: usize) -> Vec<usize> {
        let mut sizes = vec![0; self.count];
        for input in 0..self.labels.len() {
            runs(self.of(input, example)).for_each(|(label, run)| sizes[label] += run.len());
        }
        sizes
    }

    /// The entries of every feature for example `example`: `entries[feature]` is a list of (input, position).
    pub fn entries(&self, example: usize) -> Vec<Vec<(u32, u32)>> {
        let mut entries = vec![Vec::new(); self.count];
        for input in 0..self.labels.len() {
            for (label, run) in runs(self.of(input, example)) {
                entries[label].extend(run.map(|at| (input as u32, at as u32)));
            }
        }
        entries
    }

    /// Where each feature of an example lies, and how large it is.
    pub fn regions(&self, graph: &Graph, example: usize) -> Vec<Region> {
        let mut regions = vec![Region::default(); self.count];
        let mut seen = vec![false; self.count];
        for (input, &value) in graph.inputs().iter().enumerate() {
            let frame = Frame::of(graph, value);
            let images = self.of(input, example).chunks(frame.inner().max(1)).enumerate();
            let runs = images.flat_map(|(image, labels)| runs(labels).map(move |run| (image, run)));
            for (image, (label, run)) in runs {
                let (region, channel) = (&mut regions[label], image % frame.channels);
                let first = !std::mem::replace(&mut seen[label], true);
                let same = |place: Option<usize>, now: usize| (first || place == Some(now)).then_some(now);
                region.channel =
                    same(region.channel, channel).filter(|_| same(region.input, input).is_some());
                region.input = same(region.input, input);
                region.entries += run.len();
            }
        }
        number(&mut regions);
        regions
    }

    /// The modality of every feature of an example, numbered from 0: the channel of the input that it lies in, or the
    /// input if it spans several of its channels.
    ///
    /// # Errors
    /// A feature spans several inputs; the message names it.
    pub fn modalities_of(&self, graph: &Graph, example: usize) -> Result<Vec<usize>> {
        let regions = self.regions(graph, example);
        if let Some(at) = regions.iter().position(|r| r.input.is_none() && r.entries > 0) {
            return Err(Error::invalid(format!(
                "feature {at} lies in several inputs, so it belongs to no single modality; use features of their own for \
                 every modality, as slic"
            )));
        }
        let mut known: Vec<(Option<usize>, Option<usize>)> = Vec::new();
        let mut number = |r: &Region| {
            let place = (r.input, r.channel);
            known.iter().position(|p| *p == place).unwrap_or_else(|| {
                known.push(place);
                known.len() - 1
            })
        };
        Ok(regions.iter().map(&mut number).collect())
    }

    /// Maps from scores to values: the factor of every feature of an example.
    pub(crate) fn shares(&self, example: usize) -> Vec<f64> {
        match self.spread {
            Spread::Copy => vec![1.0; self.count],
            Spread::Divide => self.sizes(example).iter().map(|&n| 1.0 / n.max(1) as f64).collect(),
        }
    }

    /// What a reader of painted maps has to know.
    pub(crate) fn note(&self) -> String {
        String::from(match self.spread {
            Spread::Copy => "every entry has the score of its whole feature, not divided by its size",
            Spread::Divide => "every entry has its feature's score divided by the feature's entries",
        })
    }

    /// Refuses features that do not belong to this network.
    pub(crate) fn check<S: Scalar>(&self, network: &dyn Network<S>, examples: usize) -> Result<()> {
        let sizes = sizes(network.graph());
        let fits = self.labels.len() == sizes.len()
            && self.labels.iter().zip(&sizes).all(|(rows, &n)| {
                (rows.len() == 1 || rows.len() == examples) && rows.iter().all(|row| row.len() == n)
            });
        if !fits {
            return Err(Error::invalid("the features belong to another network or number of examples"));
        }
        if self.count == 0 {
            return Err(Error::invalid("there is no feature to take away: every entry belongs to none"));
        }
        Ok(())
    }
}

/// Numbers regions from 1 within their place.
fn number(regions: &mut [Region]) {
    let mut counts = std::collections::BTreeMap::new();
    for region in regions.iter_mut().filter(|r| r.entries > 0) {
        let count = counts.entry((region.input, region.channel)).or_insert(0);
        *count += 1;
        region.number = *count;
    }
}

/// Entries of one example of each input.
fn sizes(graph: &Graph) -> Vec<usize> {
    graph.inputs().iter().map(|&v| graph.shape(v).elements()).collect()
}
