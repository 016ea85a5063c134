//! Regions of space, in every modality by itself or in all modalities of an input at once.

use super::masks::whole;
use super::{Features, NO_FEATURE};
use crate::frame::Frame;
use std::collections::BTreeMap;
use voxplain_graph::Graph;
use voxplain_tensor::{Error, Result, Tensor};

/// Whether modalities share regions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sharing {
    /// A region of each modality is a feature of its own: region x modality.
    Own,
    /// A region is one feature in all channels of its input.
    Joint,
}

impl Features {
    /// Features from maps of regions, one per input: `[1 or examples, 1 or channels, spatial]` of whole numbers (the slices of
    /// a stack, [`Frame`], are the first spatial axis), where 0 is no region, so that the entry always stays as it is. Numbers
    /// of different inputs, and with [`Sharing::Own`] of different channels, never mean the same feature; gaps in them cost
    /// nothing.
    ///
    /// # Errors
    /// A map has another shape, holds something else than whole numbers, or there is no region at all.
    pub fn of_regions(graph: &Graph, maps: &[Tensor<f64>], sharing: Sharing) -> Result<Self> {
        if maps.len() != graph.inputs().len() {
            return Err(Error::invalid(format!(
                "{} maps of regions for {} inputs",
                maps.len(),
                graph.inputs().len()
            )));
        }
        let (mut labels, mut next) = (Vec::new(), 0u32);
        for (map, &value) in maps.iter().zip(graph.inputs()) {
            let (name, frame) = (&graph.value(value).name, Frame::of(graph, value));
            let (have, channels, image) = (map.shape(), frame.channels, frame.image());
            let given = have.get(1).copied().unwrap_or(1);
            let fits = have.get(2..).unwrap_or(&[]) == image && (given == 1 || given == channels);
            if !fits || map.data().is_empty() {
                return Err(Error::invalid(format!(
                    "the regions of input {name:?} have shape {have}; [1, 1, ...] or [1, {channels}, ...] with {image:?} behind \
                     expected"
                )));
            }
            let numbers: Vec<u32> = map.data().iter().map(|&v| whole(v, name)).collect::<Result<_>>()?;
            let one = |row: &[u32]| expand(row, &frame, sharing, next);
            let rows: Vec<Vec<u32>> = numbers.chunks(given * frame.entries() / channels).map(one).collect();
            let used = rows.iter().flatten().filter(|l| **l != NO_FEATURE).max();
            next = used.map_or(next, |last| last + 1);
            labels.push(rows);
        }
        let features = Self::counted(labels);
        if features.count == 0 {
            return Err(Error::invalid("the maps of regions hold no region: every entry is 0"));
        }
        Ok(features)
    }
}

/// The labels of all channels of one example, numbered from `first`.
fn expand(regions: &[u32], frame: &Frame, sharing: Sharing, first: u32) -> Vec<u32> {
    let space = frame.entries() / frame.channels;
    let entry = |at: usize| {
        let (channel, place) = frame.place(at);
        let region = regions[if regions.len() > space { channel * space + place } else { place }];
        Some((if sharing == Sharing::Own { channel } else { 0 }, region)).filter(|_| region != 0)
    };
    let mut numbers: BTreeMap<(usize, u32), u32> =
        (0..frame.entries()).filter_map(entry).map(|key| (key, 0)).collect();
    numbers.values_mut().zip(first..).for_each(|(number, next)| *number = next);
    (0..frame.entries()).map(|at| entry(at).map_or(NO_FEATURE, |key| numbers[&key])).collect()
}
