//! Sums of gradients at points of straight lines, one for every example, for Integrated Gradients and what is like it.

use super::{copy, example_mut, zeros_like};
use crate::engine::example;
use crate::parts::{first_in_parts, in_parts};
use crate::{Fill, Network, PassSpec, Path, Rules, Seeds};
use voxplain_autodiff::{Composite, Cotangent, Gradient};
use voxplain_graph::rewrite::{Split, split_first_layers};
use voxplain_graph::{Graph, ValueId};
use voxplain_tensor::{ErrorKind, Result, Scalar, Tensor};

/// A place on a line, 0 at its beginning and 1 at its end, and the weight of the gradient there.
pub(super) type Point = (f64, f64);

/// The rules of the gradient.
pub(super) fn gradient() -> Rules<Cotangent> {
    Rules { name: String::from("gradient"), composite: Composite::everywhere(Gradient) }
}

/// Lines from zero: `points[k]` are those of example `which[k]` of `ends`, as many for each, and all of their places above 0.
pub(super) struct Rays<'a, S> {
    pub ends: &'a [Tensor<S>],
    pub seeds: &'a Seeds<S>,
    pub which: &'a [usize],
    pub points: &'a [Vec<Point>],
}

/// Whether all values of example `n` of `examples` are zero.
pub(super) fn is_zero<S: Scalar>(
    tensors: &[Tensor<S>],
    (n, examples): (usize, usize),
    threads: usize,
) -> bool {
    let other = |_: usize, part: &[S]| part.iter().position(|&v| v != S::ZERO);
    tensors.iter().all(|t| first_in_parts(threads, example(t, examples, n), other).is_none())
}

/// Whether the layers in front commute with all places of a line: they do with positive factors.
pub(super) fn are_positive<S: Scalar>(points: &[Point]) -> bool {
    points.iter().all(|point| S::from_f64(point.0) > S::ZERO)
}

impl<S: Scalar> Rays<'_, S> {
    /// Writes the sums over points `a` of `weight dF/dx` at `a x` into the maps of the examples, by way of the linear layers
    /// that the network begins with ([`split_first_layers`]): with `F(x) = T(P x)`, `P(a x) = a P x` and the same slopes of P
    /// all along, the sums are the signal that the sums of `dT/dh` at `a P x` give at the input. So the first layers run
    /// forward and backward for an example (and forward once more, so that nothing of them is kept meanwhile), and only T for every
    /// point. False, with nothing written, where the network has no such layers, or no room.
    ///
    /// # Errors
    /// As [`Network::run`].
    pub fn add_up(&self, network: &mut dyn Network<S>, maps: &mut [Tensor<S>]) -> Result<bool> {
        if self.which.is_empty() {
            return Ok(false);
        }
        let Some(split) = split_first_layers(network.graph(), self.seeds.from)? else { return Ok(false) };
        match self.by_parts(network, &split, maps) {
            Err(error) if error.kind() == ErrorKind::Limit => Ok(false),
            other => other,
        }
    }

    fn by_parts(&self, network: &mut dyn Network<S>, split: &Split, maps: &mut [Tensor<S>]) -> Result<bool> {
        let mut starts = Vec::with_capacity(split.heads.len());
        for input in 0..split.heads.len() {
            let Some(start) = self.start(network, split, input)? else { return Ok(false) };
            starts.push(start);
        }
        let Some(sums) = self.tail_sums(network, &split.tail, &starts)? else { return Ok(false) };
        drop(starts);
        let mut signals = Vec::with_capacity(sums.len());
        for (input, sums) in sums.into_iter().enumerate() {
            let Some(signal) = self.signal(network, split, (input, sums))? else { return Ok(false) };
            signals.push(signal);
        }
        let (threads, examples) = (network.threads(), self.seeds.rows.len());
        for (map, signal) in maps.iter_mut().zip(&signals) {
            for (row, &n) in self.which.iter().enumerate() {
                copy(example(signal, self.which.len(), row), example_mut(map, examples, n), threads);
            }
        }
        Ok(true)
    }

    /// Writes an example's end.
    fn fill(&self, input: usize, row: usize, into: &mut [S], threads: usize) {
        copy(example(&self.ends[input], self.seeds.rows.len(), self.which[row]), into, threads);
    }

    /// What the tail reads at the ends of the lines instead of an input.
    fn start(&self, network: &mut dyn Network<S>, split: &Split, input: usize) -> Result<Option<Tensor<S>>> {
        let (rows, threads) = (self.which.len(), network.threads());
        let mut made = room(&split.tail, split.tail.inputs()[input], rows)?;
        let Some(head) = &split.heads[input] else {
            (0..rows).for_each(|row| self.fill(input, row, example_mut(&mut made, rows, row), threads));
            return Ok(Some(made));
        };
        let value = head.outputs()[0];
        let spec = PassSpec { table: None, from: value, wanted: Vec::new(), captures: vec![value] };
        let done = network.beside(head, false, &mut |head| {
            let mut fill = |row: usize, _: Fill, into: &mut [S]| self.fill(input, row, into, threads);
            head.run(&spec, rows, &mut fill, &mut |row, out| {
                copy(out.captures[0], example_mut(&mut made, rows, row), threads);
            })
        })?;
        Ok(done.then_some(made))
    }

    /// The sums over points for what the tail reads.
    fn tail_sums(
        &self,
        network: &mut dyn Network<S>,
        tail: &Graph,
        ends: &[Tensor<S>],
    ) -> Result<Option<Vec<Tensor<S>>>> {
        let (mut sums, zeros) = (zeros_like(ends), zeros_like(ends));
        let rows = self.which.iter().map(|&n| self.seeds.rows[n].clone()).collect();
        let seeds = Seeds { from: tail.outputs()[0], rows };
        let lines = Lines { ends, beginnings: &zeros, seeds: &seeds };
        let which: Vec<usize> = (0..self.which.len()).collect();
        let done =
            network.beside(tail, true, &mut |tail| lines.add_up(tail, (&which, self.points), &mut sums))?;
        Ok(done.then_some(sums))
    }

    /// The signal at an input that the sums behind its first layers give.
    fn signal(
        &self,
        network: &mut dyn Network<S>,
        split: &Split,
        (input, sums): (usize, Tensor<S>),
    ) -> Result<Option<Tensor<S>>> {
        let Some(head) = &split.heads[input] else { return Ok(Some(sums)) };
        let (rows, threads) = (self.which.len(), network.threads());
        let mut made = room(head, head.inputs()[0], rows)?;
        let table = gradient();
        let wanted = head.inputs().to_vec();
        let spec = PassSpec { table: Some(&table), from: head.outputs()[0], wanted, captures: Vec::new() };
        let done = network.beside(head, false, &mut |head| {
            let mut fill = |row: usize, what: Fill, into: &mut [S]| match what {
                Fill::Seed => copy(example(&sums, rows, row), into, threads),
                _ => self.fill(input, row, into, threads),
            };
            head.run(&spec, rows, &mut fill, &mut |row, out| {
                copy(out.results[0], example_mut(&mut made, rows, row), threads);
            })
        })?;
        Ok(done.then_some(made))
    }
}

/// Room for a value of `rows` examples.
fn room<S: Scalar>(graph: &Graph, value: ValueId, rows: usize) -> Result<Tensor<S>> {
    Ok(Tensor::zeros(graph.batched_shape(value, rows)?))
}

/// Lines from beginnings to ends.
pub(super) struct Lines<'a, S> {
    pub ends: &'a [Tensor<S>],
    pub beginnings: &'a [Tensor<S>],
    pub seeds: &'a Seeds<S>,
}

impl<S: Scalar> Lines<'_, S> {
    /// Adds the sums over points of `weight dF/dx` at `b + a (x - b)` to the maps of examples `which`, one pass for each point;
    /// every example has as many.
    ///
    /// # Errors
    /// As [`Network::run`].
    pub fn add_up(
        &self,
        network: &mut dyn Network<S>,
        (which, points): (&[usize], &[Vec<Point>]),
        maps: &mut [Tensor<S>],
    ) -> Result<()> {
        let table = gradient();
        let wanted = network.graph().inputs().to_vec();
        let spec = PassSpec { table: Some(&table), from: self.seeds.from, wanted, captures: Vec::new() };
        let mut left = Vec::new();
        for (&n, points) in which.iter().zip(points) {
            if !self.there(network, &spec, (n, points), maps)? {
                left.push((n, points));
            }
        }
        let Some(count) = left.first().map(|(_, points)| points.len()) else { return Ok(()) };
        let (examples, threads) = (self.seeds.rows.len(), network.threads());
        let mut fill = |row: usize, what: Fill, into: &mut [S]| {
            let (n, points) = left[row / count];
            match what {
                Fill::Input(i) | Fill::Reference(i) => {
                    let ends =
                        (example(&self.ends[i], examples, n), example(&self.beginnings[i], examples, n));
                    between(threads, ends, S::from_f64(points[row % count].0), into);
                }
                Fill::Seed => into.copy_from_slice(&self.seeds.rows[n]),
            }
        };
        network.run(&spec, count * left.len(), &mut fill, &mut |row, out| {
            let (n, points) = left[row / count];
            let weight = S::from_f64(points[row % count].1);
            for (map, gradient) in maps.iter_mut().zip(&out.results) {
                in_parts(threads, example_mut(map, examples, n), |first, sum| {
                    sum.iter_mut().zip(&gradient[first..]).for_each(|(s, &g)| *s += weight * g);
                });
            }
        })
    }

    /// The sums for example `n` where the network runs; false if it cannot.
    fn there(
        &self,
        network: &mut dyn Network<S>,
        spec: &PassSpec<'_>,
        (n, points): (usize, &[Point]),
        maps: &mut [Tensor<S>],
    ) -> Result<bool> {
        let Some(mixing) = network.mixing() else { return Ok(false) };
        let examples = self.seeds.rows.len();
        let points: Vec<(S, S)> =
            points.iter().map(|&(at, weight)| (S::from_f64(at), S::from_f64(weight))).collect();
        let both = self.ends.iter().zip(self.beginnings);
        let ends = both.map(|(x, b)| (example(x, examples, n), example(b, examples, n))).collect();
        let path = Path { ends, points: &points, seed: &self.seeds.rows[n] };
        let Some(sums) = mixing.along(spec, &path)? else { return Ok(false) };
        maps.iter_mut()
            .zip(&sums)
            .for_each(|(map, sums)| example_mut(map, examples, n).copy_from_slice(sums));
        Ok(true)
    }
}

/// `b + at (x - b)`.
fn between<S: Scalar>(threads: usize, (x, b): (&[S], &[S]), at: S, into: &mut [S]) {
    in_parts(threads, into, |first, into| {
        for ((v, &x), &b) in into.iter_mut().zip(&x[first..]).zip(&b[first..]) {
            *v = b + at * (x - b);
        }
    });
}
