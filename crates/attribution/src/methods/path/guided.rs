//! The path that avoids what the gradient shouts about.

use super::{Ends, Path, Point};
use crate::engine::example;
use crate::methods::{Baseline, example_mut};
use voxplain_graph::Graph;
use voxplain_tensor::{Error, Result};

/// In every step those entries move first whose gradient is smallest, within `distance` of the straight line, until the
/// step's part of the way is done (Kapishnikov et al., "Guided Integrated Gradients: an adaptive path method for removing
/// noise", CVPR 2021, algorithm 1). The entries of all inputs are one list.
#[derive(Clone, Debug, PartialEq)]
pub struct GuidedPath {
    /// Where it starts.
    pub baseline: Baseline<f64>,
    /// The number of steps.
    pub steps: usize,
    /// The part of the entries that moves at once, from 0 to 1.
    pub fraction: f64,
    /// How far, as a part of the whole way, an entry may be before or behind the straight line; 1 for no limit.
    pub distance: f64,
}

/// One example: where the path began, where it leads and where it is, all entries in one list.
struct Walk<'a> {
    start: &'a [f64],
    end: &'a [f64],
    here: Vec<f64>,
}

/// Parts of the way that count as none.
const NOTHING: f64 = 1e-9;

impl Walk<'_> {
    /// Where entry `i` is at part `alpha` of the straight line.
    fn at(&self, alpha: f64, i: usize) -> f64 {
        if alpha >= 1.0 { self.end[i] } else { self.start[i] + alpha * (self.end[i] - self.start[i]) }
    }

    /// The way that is left, as a sum of magnitudes.
    fn left(&self) -> f64 {
        self.here.iter().zip(self.end).map(|(h, e)| (e - h).abs()).sum()
    }

    /// Whether entry `i` is before part `alpha` of its way.
    fn is_before(&self, alpha: f64, i: usize) -> bool {
        let way = self.end[i] - self.start[i];
        way != 0.0 && (self.here[i] - self.start[i]) / way < alpha
    }

    /// Takes entries with small gradients to part `most` until `target` of the way is left.
    fn step(&mut self, gradient: &[f64], fraction: f64, (least, most): (f64, f64), target: f64) {
        for i in 0..self.here.len() {
            if self.is_before(least, i) {
                self.here[i] = self.at(least, i);
            }
        }
        loop {
            let excess = self.left() - target;
            let open: Vec<usize> =
                (0..self.here.len()).filter(|&i| self.here[i] != self.at(most, i)).collect();
            if excess <= NOTHING * (1.0 + target) || open.is_empty() {
                return;
            }
            let chosen = smallest(&open, gradient, fraction, self.here.len());
            let way: f64 = chosen.iter().map(|&i| (self.at(most, i) - self.here[i]).abs()).sum();
            let part = (excess / way.max(f64::MIN_POSITIVE)).min(1.0);
            for &i in &chosen {
                let to = self.at(most, i);
                self.here[i] = if part < 1.0 { self.here[i] + part * (to - self.here[i]) } else { to };
            }
            if part < 1.0 {
                return;
            }
        }
    }
}

/// Of the entries that are `open` those whose gradient is at most the quantile `fraction` of all `n` entries, closed ones
/// counting as infinite; at least one.
fn smallest(open: &[usize], gradient: &[f64], fraction: f64, n: usize) -> Vec<usize> {
    let mut sizes: Vec<f64> = open.iter().map(|&i| gradient[i].abs()).collect();
    let at = (fraction.clamp(0.0, 1.0) * (n - 1) as f64).floor() as usize;
    let at = at.min(sizes.len() - 1);
    let threshold = *sizes.select_nth_unstable_by(at, f64::total_cmp).1;
    open.iter().copied().filter(|&i| gradient[i].abs() <= threshold).collect()
}

/// All entries of example `n` of all inputs.
fn joined(point: &Point, examples: usize, n: usize) -> Vec<f64> {
    point.iter().flat_map(|t| example(t, examples, n)).copied().collect()
}

impl Path for GuidedPath {
    fn name(&self) -> &'static str {
        "guided"
    }

    fn steps(&self) -> usize {
        self.steps
    }

    fn start(&self, graph: &Graph, inputs: &Point, examples: usize) -> Result<Point> {
        let fits = (0.0..=1.0).contains(&self.fraction) && (0.0..=1.0).contains(&self.distance);
        if !fits {
            return Err(Error::invalid(
                "the fraction and the distance of a guided path must lie between 0 and 1",
            ));
        }
        self.baseline.check(graph, inputs, examples)?;
        Ok(self.baseline.tensors(inputs, examples))
    }

    fn next(&self, k: usize, ends: Ends<'_>, here: &Point, gradient: &Point) -> Result<Point> {
        let alpha = (k + 1) as f64 / self.steps as f64;
        let band = ((alpha - self.distance).max(0.0), (alpha + self.distance).min(1.0));
        let mut next = here.clone();
        let examples = ends.examples;
        for n in 0..examples {
            let (first, last) = (joined(ends.start, examples, n), joined(ends.inputs, examples, n));
            let whole: f64 = first.iter().zip(&last).map(|(a, b)| (b - a).abs()).sum();
            let mut walk = Walk { start: &first, end: &last, here: joined(here, examples, n) };
            walk.step(&joined(gradient, examples, n), self.fraction, band, whole * (1.0 - alpha));
            let arrived = if k + 1 == self.steps { last.clone() } else { walk.here };
            let mut rest = &arrived[..];
            for tensor in &mut next {
                let own = example_mut(tensor, examples, n);
                own.copy_from_slice(&rest[..own.len()]);
                rest = &rest[own.len()..];
            }
        }
        Ok(next)
    }
}
