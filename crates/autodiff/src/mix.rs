//! Plans for rows that are put together on the device: what they are made of stays there in a session of its own, and a row
//! is a few numbers ([`Kernel::Mix`]).

use crate::emitter::Emitter;
use crate::kernel::{BinaryFn, BroadcastGeometry, GridSumsGeometry, Kernel, MixGeometry, MixShares};
use crate::plan::{Plan, Slot, Storage};
use crate::planner::{Planner, collect, settle};
use alloc::format;
use alloc::vec::Vec;
use voxplain_graph::Graph;
use voxplain_tensor::{Error, MAX_RANK, Result, Scalar, Shape};

/// A double as three reals whose sum it is, so that devices of single precision are given all of its digits. Exact from
/// `2^-100` on; a real of double precision is the first of the three.
pub fn split<S: Scalar>(value: f64) -> [S; 3] {
    let first = S::from_f64(value);
    let rest = value - first.to_f64();
    let second = S::from_f64(rest);
    [first, second, S::from_f64(rest - second.to_f64())]
}

/// The bits of a double as three whole numbers below `2^22`, the upper ones first, which reals of single precision hold as they
/// are: no number is lost, however small or large.
pub fn words<S: Scalar>(value: f64) -> [S; 3] {
    let bits = value.to_bits();
    [bits >> 42, bits >> 21 & WORD, bits & WORD].map(|word| S::from_f64(word as f64))
}

/// The double of these [`words`].
pub fn from_words<S: Scalar>(words: [S; 3]) -> f64 {
    let [high, middle, low] = words.map(|word| word.to_f64() as u64);
    f64::from_bits(high << 42 | middle << 21 | low)
}

/// The lower words have 21 bits.
const WORD: u64 = (1 << 21) - 1;

/// How many values of the ground an input has: the example, what fills it, and labels where there are any.
fn held(shares: &MixShares) -> usize {
    if matches!(shares, MixShares::Labelled { .. }) { 3 } else { 2 }
}

/// The shares, one for every input, after checking that they cover it.
fn given<'s>(graph: &Graph, shares: &'s [MixShares]) -> Result<&'s [MixShares]> {
    let fits = |(shares, &value): (&MixShares, &_)| match shares {
        MixShares::Labelled { .. } => true,
        MixShares::Gridded(grid) => grid.length() == graph.shape(value).elements(),
    };
    if shares.len() == graph.inputs().len() && shares.iter().zip(graph.inputs()).all(fits) {
        return Ok(shares);
    }
    Err(Error::internal("shares for other inputs than the graph's"))
}

/// The plan of a session that holds what rows are put together from: for every input of the graph an example, what fills it,
/// and the labels of its entries where shares go by label. These are its inputs and what it captures; it has no steps.
///
/// # Errors
/// The shares are not those of the graph's inputs, or the plan needs more than `limit` bytes.
pub fn ground_plan<S>(graph: &Graph, shares: &[MixShares], limit: Option<usize>) -> Result<Plan> {
    let mut e = Emitter::with_sections(1, 0);
    let mut slots = Vec::new();
    for (shares, &value) in given(graph, shares)?.iter().zip(graph.inputs()) {
        let name = &graph.value(value).name;
        for what in &["example", "fill", "labels"][..held(shares)] {
            let label = format!("{what} of input {name:?}");
            slots.push(e.external(0, graph.shape(value), Storage::Dead, &label));
        }
    }
    finish::<S>(e, 1, (slots.clone(), slots), limit)
}

/// The plan of a session that holds the ends of straight paths and sums along them: for every input of the graph it captures
/// `x`, `b` and the sums. Its inputs are `x` and `b`; its steps are the zeros that the sums begin with.
///
/// # Errors
/// The plan needs more than `limit` bytes.
pub fn path_plan<S>(graph: &Graph, limit: Option<usize>) -> Result<Plan> {
    let mut e = Emitter::with_sections(1, 0);
    let (mut inputs, mut captures) = (Vec::new(), Vec::new());
    e.enter(0, "sums");
    for &value in graph.inputs() {
        for what in ["end", "beginning"] {
            let label = format!("{what} of input {:?}", graph.value(value).name);
            inputs.push(e.external(0, graph.shape(value), Storage::Dead, &label));
            captures.extend(inputs.last());
        }
        captures.push(e.fill(0.0, graph.shape(value)));
    }
    finish::<S>(e, 1, (inputs, captures), limit)
}

impl Planner<'_> {
    /// Puts every input together from what a session of `ground` ([`ground_plan`], of the same `shares`) holds, so that
    /// the plan's inputs are the numbers of the rows alone; it then runs over such a session.
    ///
    /// # Errors
    /// The shares are not those of the graph's inputs.
    pub fn mixed(mut self, ground: &Plan, shares: &[MixShares]) -> Result<Self> {
        self.emitter.enter(0, "mix");
        let given = given(self.graph, shares)?;
        let missing = || Error::internal("the ground lacks a value");
        let mut kept = ground.captures.iter();
        for (at, &shares) in given.iter().enumerate() {
            let input = self.pass.inputs[at];
            let length = self.graph.shape(self.graph.inputs()[at]).elements();
            let mut reads = Vec::new();
            for _ in 0..held(&shares) {
                let value = *kept.next().ok_or_else(missing)?;
                let shape = ground.slot(value).shape;
                reads.push(self.emitter.external(0, shape, Storage::Base(value), "ground"));
            }
            let numbers = Shape::new(&[self.batch, shares.numbers(), 3])?;
            let numbers = self.emitter.external(0, numbers, Storage::Dead, "numbers of the rows");
            reads.push(numbers);
            let kernel = Kernel::Mix(MixGeometry { rows: self.batch, length, shares });
            self.emitter.emit_into(kernel, reads, input);
            self.pass.inputs[at] = numbers;
        }
        Ok(self)
    }

    /// Puts every input together as points `b + t (x - b)` of straight paths, from what a session of `ground`
    /// ([`path_plan`]) holds. The plan's inputs are then the `t` of the rows and their weights, and reverse segments that
    /// are added by [`Planner::summed`] end with what the ground holds plus the weighted sums of their results over the rows.
    ///
    /// # Errors
    /// The batch is too large.
    pub fn along(mut self, ground: &Plan) -> Result<Self> {
        let number = Shape::new(&[self.batch])?;
        let mut number = |label: &str| self.emitter.external(0, number, Storage::Dead, label);
        let (at, weights) = (number("places on the path"), number("weights"));
        self.emitter.enter(0, "path");
        for (&input, ends) in self.pass.inputs.iter().zip(ground.captures.chunks(3)) {
            point(&mut self.emitter, self.batch, (ground, ends), at, input)?;
        }
        self.pass.inputs = [at, weights].to_vec();
        Ok(self)
    }

    /// Adds up the results of reverse segment `segment`, one for each input of the graph ([`Planner::along`]).
    ///
    /// # Errors
    /// There is no such segment, or it has other results.
    pub fn summed(&mut self, segment: usize, ground: &Plan) -> Result<()> {
        let rows = self.batch;
        self.sum_results(segment, ground, |e, _, [weights, result, before]| {
            let shape = e.shape(before);
            let kernel = Kernel::Accumulate { rows, length: shape.elements() };
            Ok(e.emit(kernel, &[weights, result, before], shape))
        })
    }

    /// Puts what `add(input, [weights, result, before])` emits in the place of the results of a segment at the inputs: the
    /// weights are the plan's last input, and `before` is the last value that the ground holds for an input.
    pub(crate) fn sum_results(
        &mut self,
        segment: usize,
        ground: &Plan,
        mut add: impl FnMut(&mut Emitter, usize, [Slot; 3]) -> Result<Slot>,
    ) -> Result<()> {
        let (inputs, weights) = (self.graph.inputs().len(), self.pass.inputs.last().copied());
        let segment = self.segments.get_mut(segment).ok_or_else(|| Error::internal("no such segment"))?;
        self.emitter.enter(segment.section, "sums over rows");
        let weights = weights.filter(|_| segment.results.len() >= inputs);
        let weights = weights.ok_or_else(|| Error::internal("sums of other results than the inputs'"))?;
        let kept = ground.captures.chunks(ground.captures.len() / inputs.max(1));
        for (i, (result, kept)) in segment.results.iter_mut().zip(kept).enumerate() {
            let last = *kept.last().ok_or_else(|| Error::internal("the ground lacks a value"))?;
            let before = (ground.slot(last).shape, Storage::Base(last));
            let before = self.emitter.external(segment.section, before.0, before.1, "sums");
            *result = add(&mut self.emitter, i, [weights, *result, before])?;
        }
        Ok(())
    }
}

/// Emits the points `b + t (x - b)` of all rows into an input.
fn point(
    e: &mut Emitter,
    rows: usize,
    (ground, ends): (&Plan, &[Slot]),
    at: Slot,
    input: Slot,
) -> Result<()> {
    let n = ground.slot(ends[0]).shape.elements();
    let mut end =
        |i: usize| e.external(0, ground.slot(ends[i]).shape, Storage::Base(ends[i]), "end of the path");
    let (x, b) = (end(0), end(1));
    let (one, all) = (Shape::new(&[1, n])?, Shape::new(&[rows, n])?);
    // Strides of a row for all, of a number for each row, and of all entries.
    let [same, each, own] = [[0, 1], [1, 0], [n, 1]].map(|[row, entry]| {
        let mut strides = [0; MAX_RANK];
        (strides[0], strides[1]) = (row, entry);
        strides
    });
    let binary = |f, shape, a, b| Kernel::Binary(f, BroadcastGeometry { shape, a, b });
    let gap = e.emit(binary(BinaryFn::Sub, one, same, same), &[x, b], one);
    let step = e.emit(binary(BinaryFn::Mul, all, each, same), &[at, gap], all);
    e.emit_into(binary(BinaryFn::Add, all, same, own), [b, step].to_vec(), input);
    Ok(())
}

/// The plan of [`Kernel::GridSums`]: its inputs are the weights and the numbers of the rows, and it captures the sums.
///
/// # Errors
/// The plan needs more than `limit` bytes.
pub fn sums_plan<S>(geometry: GridSumsGeometry, limit: Option<usize>) -> Result<Plan> {
    let mut e = Emitter::with_sections(1, 0);
    let (rows, grid) = (geometry.rows, geometry.grid);
    let mut input = |sizes: &[usize], label: &str| -> Result<Slot> {
        Ok(e.external(0, Shape::new(sizes)?, Storage::Dead, label))
    };
    let inputs = [input(&[rows, 3], "weights")?, input(&[rows, grid.numbers(), 3], "numbers of the rows")?];
    e.enter(0, "sums over rows");
    let sums = e.emit(Kernel::GridSums(geometry), &inputs, Shape::new(&[2, grid.length(), 3])?);
    finish::<S>(e, rows, (inputs.to_vec(), [sums].to_vec()), limit)
}

pub(crate) fn finish<S>(
    e: Emitter,
    batch: usize,
    (inputs, captures): (Vec<Slot>, Vec<Slot>),
    limit: Option<usize>,
) -> Result<Plan> {
    let mut plan = Plan::forward_alone::<S>(batch, (inputs, captures), (e.slots, Vec::new()));
    collect(&mut plan, e.sections, Vec::new(), 1);
    settle(&mut plan, crate::fuse::Joining::Nothing, limit)?;
    Ok(plan)
}
