//! A region as its surroundings would continue: nothing stands out, so what the network loses is the region's content
//! and not an edge that was made by taking it away.

use super::Plane;
use crate::features::NO_FEATURE;
use std::collections::{BTreeMap, HashMap};

/// Rounds of relaxation at most, and the change (over the range of the known values) at which they end.
const ROUNDS: usize = 400;
const SETTLED: f64 = 1e-5;
/// Over-relaxation, which makes Gauss and Seidel's rounds few.
const OMEGA: f64 = 1.8;

/// Every feature's entries solve Laplace's equation between the entries around it: each is the mean of its neighbours
/// (along the spatial axes, inside only). A feature without neighbours of another gets the channel's mean.
pub(super) fn fill(plane: &Plane<'_>, labels: &[u32]) -> Vec<f64> {
    let mut out = plane.values.to_vec();
    let mut members: BTreeMap<u32, Vec<usize>> = BTreeMap::new();
    for (at, &label) in labels.iter().enumerate() {
        if label != NO_FEATURE && plane.inside[at] {
            members.entry(label).or_default().push(at);
        }
    }
    let mean = plane.statistics().0;
    // Features do not see each other's fills, so their order does not matter.
    for entries in members.values() {
        let label = labels[entries[0]];
        for (at, value) in entries.iter().zip(relaxed(plane, labels, label, entries, mean)) {
            out[*at] = value;
        }
    }
    out
}

/// Positions of the neighbours of an entry that are inside.
fn neighbours(plane: &Plane<'_>, at: usize) -> Vec<usize> {
    let mut found = Vec::with_capacity(6);
    let mut stride = 1;
    for &n in plane.sizes.iter().rev() {
        let place = at / stride % n;
        found.extend((place > 0).then(|| at - stride));
        found.extend((place + 1 < n).then(|| at + stride));
        stride *= n;
    }
    found.retain(|&o| plane.inside[o]);
    found
}

fn relaxed(plane: &Plane<'_>, labels: &[u32], label: u32, entries: &[usize], mean: f64) -> Vec<f64> {
    let place: HashMap<usize, usize> = entries.iter().enumerate().map(|(i, &at)| (at, i)).collect();
    // Of each entry: the unknown neighbours, the sum of the known ones, how many there are of both.
    let (mut unknown, mut known, mut counts) = (Vec::new(), Vec::new(), Vec::new());
    let (mut low, mut high, mut total, mut borders) = (f64::INFINITY, f64::NEG_INFINITY, 0.0, 0usize);
    for &at in entries {
        let all = neighbours(plane, at);
        let outside: Vec<f64> =
            all.iter().filter(|o| labels[**o] != label).map(|&o| plane.values[o]).collect();
        for &v in &outside {
            (low, high, total, borders) = (low.min(v), high.max(v), total + v, borders + 1);
        }
        known.push(outside.iter().sum::<f64>());
        counts.push(all.len());
        unknown.push(all.iter().filter_map(|o| place.get(o).copied()).collect::<Vec<usize>>());
    }
    if borders == 0 {
        return vec![mean; entries.len()];
    }
    let mut values = vec![total / borders as f64; entries.len()];
    for _ in 0..ROUNDS {
        let mut change = 0.0f64;
        for i in 0..values.len() {
            if counts[i] > 0 {
                let around = known[i] + unknown[i].iter().map(|&j| values[j]).sum::<f64>();
                let step = OMEGA * (around / counts[i] as f64 - values[i]);
                values[i] += step;
                change = change.max(step.abs());
            }
        }
        if change <= SETTLED * (high - low) {
            break;
        }
    }
    values
}
