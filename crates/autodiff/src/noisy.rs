//! Plans for rows of an example with noise: the example, baselines and sums over rows stay on the device in a session of their own,
//! and a row is a few numbers ([`Kernel::Noise`]).

use crate::emitter::Emitter;
use crate::kernel::{Kernel, NoiseGeometry, NoiseKind};
use crate::mix::finish;
use crate::plan::{Plan, Slot, Storage};
use crate::planner::Planner;
use crate::random::Philox;
use alloc::format;
use alloc::vec::Vec;
use voxplain_graph::Graph;
use voxplain_graph::ops::Pointwise;
use voxplain_tensor::{Error, Result, Shape};

/// Gaussian noise on the inputs of rows: input number i has the numbers of stream i.
#[derive(Clone, Debug, PartialEq)]
pub struct Noise {
    /// The seed.
    pub seed: u64,
    /// The standard deviation of every input.
    pub sigma: Vec<f64>,
}

/// What rows are and what is added up over them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tally {
    /// Points between noisy example and one of so many baselines; the sums of signals times `x' - b`, one row after the other.
    Gaps(usize),
    /// Noisy examples; the [`Kernel::Moments`] of signals.
    Signals,
    /// The same of the signals' magnitudes.
    Magnitudes,
    /// The same of the products of signals and noisy inputs.
    Products,
}

impl Tally {
    /// How many baselines there are to choose from.
    pub fn baselines(self) -> Option<usize> {
        if let Self::Gaps(count) = self { Some(count) } else { None }
    }

    /// What the inputs of the rows are.
    fn kind(self) -> NoiseKind {
        self.baselines().map_or(NoiseKind::Noisy, NoiseKind::Between)
    }
}

/// The plan of a session that holds what noisy rows are made of and their sums: for every input of the graph it captures the
/// example, the baselines where there are any, and the sums (the words of moments, `[6, length]`, or sums of the example's shape).
/// Its inputs are the examples and baselines; its steps are the zeros that the sums begin with.
///
/// # Errors
/// The plan needs more than `limit` bytes.
pub fn noisy_plan<S>(graph: &Graph, tally: Tally, limit: Option<usize>) -> Result<Plan> {
    let mut e = Emitter::with_sections(1, 0);
    let (mut inputs, mut captures) = (Vec::new(), Vec::new());
    e.enter(0, "sums");
    for &value in graph.inputs() {
        let (shape, name) = (graph.shape(value), &graph.value(value).name);
        let rows = tally.baselines().map(|count| Shape::new(&[count, shape.elements()])).transpose()?;
        for (what, shape) in [("example", Some(shape)), ("baselines", rows)] {
            let Some(shape) = shape else { continue };
            inputs.push(e.external(0, shape, Storage::Dead, &format!("{what} of input {name:?}")));
            captures.extend(inputs.last());
        }
        let sums = if rows.is_some() { shape } else { Shape::new(&[6, shape.elements()])? };
        captures.push(e.fill(0.0, sums));
    }
    finish::<S>(e, 1, (inputs, captures), limit)
}

/// Emits noisy rows of input `input` of what the ground holds for it, into a value that nothing made so far or into a new one.
fn emit_rows(
    e: &mut Emitter,
    noise: &Noise,
    (kind, input, into): (NoiseKind, usize, Option<Slot>),
    (ground, kept): (&Plan, &[Slot]),
    numbers: Slot,
) -> Result<Slot> {
    let missing = || Error::internal("noise for other inputs than the graph's");
    let sigma = *noise.sigma.get(input).ok_or_else(missing)?;
    let length = ground.slot(*kept.first().ok_or_else(missing)?).shape.elements();
    let rows = e.shape(numbers)[0];
    let held = &kept[..1 + usize::from(kind.baselines().is_some())];
    let hold = |&slot: &Slot| e.external(0, ground.slot(slot).shape, Storage::Base(slot), "ground");
    let reads: Vec<Slot> = held.iter().map(hold).chain([numbers]).collect();
    let source = Philox { seed: noise.seed, stream: input as u32 };
    let kernel = Kernel::Noise(NoiseGeometry { rows, length, source, sigma, kind });
    match into {
        None => Ok(e.emit(kernel, &reads, Shape::new(&[rows, length])?)),
        Some(into) => {
            e.emit_into(kernel, reads, into);
            Ok(into)
        }
    }
}

impl Planner<'_> {
    /// Puts every input together from the example and the noise of the rows, and the baselines, that a session of `ground`
    /// ([`noisy_plan`], of the same tally) holds. The plan's inputs are then the numbers of the rows, the same for all inputs
    /// (`[rows, NoiseKind::numbers]`), and a number for each that [`Planner::tallied`] takes: its count from 1 on where there are
    /// moments, 1 where there are sums.
    ///
    /// # Errors
    /// The ground or the noise is that of another graph, or the batch is too large.
    pub fn noisy(mut self, ground: &Plan, noise: &Noise, tally: Tally) -> Result<Self> {
        let kind = tally.kind();
        let shapes = [Shape::new(&[self.batch, kind.numbers()])?, Shape::new(&[self.batch])?];
        let mut external = |i: usize, label: &str| self.emitter.external(0, shapes[i], Storage::Dead, label);
        let (numbers, counts) = (external(0, "numbers of the rows"), external(1, "counts"));
        self.emitter.enter(0, "noise");
        let kept = ground.captures.chunks(ground.captures.len() / self.pass.inputs.len().max(1));
        for (i, (&input, kept)) in self.pass.inputs.iter().zip(kept).enumerate() {
            emit_rows(&mut self.emitter, noise, (kind, i, Some(input)), (ground, kept), numbers)?;
        }
        self.pass.inputs = [numbers, counts].to_vec();
        Ok(self)
    }

    /// Adds up the results of reverse segment `segment`, which begin with one for each input of the graph, over the rows of
    /// [`Planner::noisy`].
    ///
    /// # Errors
    /// There is no such segment, it has other results, or the batch is too large.
    pub fn tallied(&mut self, segment: usize, ground: &Plan, noise: &Noise, tally: Tally) -> Result<()> {
        let inputs: Vec<Slot> =
            self.graph.inputs().iter().filter_map(|v| self.pass.slots[v.index()]).collect();
        let numbers = *self.pass.inputs.first().ok_or_else(|| Error::internal("a plan without rows"))?;
        let kept: Vec<&[Slot]> =
            ground.captures.chunks(ground.captures.len() / inputs.len().max(1)).collect();
        self.sum_results(segment, ground, |e, i, [counts, result, before]| {
            let term = match tally {
                Tally::Signals => result,
                Tally::Magnitudes => e.map(Pointwise::Abs, result),
                Tally::Products => e.mul(inputs[i], result),
                Tally::Gaps(count) => {
                    let rows = (NoiseKind::Gap(count), i, None);
                    let gap = emit_rows(e, noise, rows, (ground, kept[i]), numbers)?;
                    e.mul(result, gap)
                }
            };
            let (rows, shape) = (e.shape(numbers)[0], e.shape(before));
            let kernel = match tally {
                Tally::Gaps(_) => Kernel::Accumulate { rows, length: shape.elements() },
                _ => Kernel::Moments { rows, length: shape.elements() / 6 },
            };
            Ok(e.emit(kernel, &[counts, term, before], shape))
        })
    }
}
