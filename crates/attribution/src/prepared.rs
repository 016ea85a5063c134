//! A session with what goes in and out of it, for one kind of pass or for several that start from one forward pass.

use crate::Table;
use crate::engine::{Fill, FillRow, PassSpec, Row, TakeRow, row_of};
use crate::parts::{first_in_parts, in_parts};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use voxplain_autodiff::{Cause, Device, NodeBooks, Plan, Session, Slot};
use voxplain_graph::ValueId;
use voxplain_tensor::{Result, Scalar, Tensor};

/// What tells one reverse segment from another: its rules, where it starts, where its signal is wanted.
pub(crate) type Segment = (String, ValueId, Vec<ValueId>);

/// The segment of a pass; none for a forward pass alone.
pub(crate) fn segment(spec: &PassSpec<'_>) -> Option<Segment> {
    Some((spec.table.map(Table::name)?, spec.from, spec.wanted.clone()))
}

/// A session and the tensors that go in and out of it, kept because tensors of images are large enough that the system
/// takes them back whenever they are dropped, and because a pass on inputs that it saw last needs no forward pass.
pub(crate) struct Prepared<'a, D: Device> {
    session: Session<'a, D>,
    segments: Vec<Segment>,
    captured: Vec<ValueId>,
    inputs: Vec<Tensor<D::Scalar>>,
    references: Vec<Tensor<D::Scalar>>,
    captures: Vec<Tensor<D::Scalar>>,
    reference_captures: Vec<Tensor<D::Scalar>>,
    /// The seed of the segment that ran last, and its results where the device keeps them elsewhere.
    seed: Option<Tensor<D::Scalar>>,
    results: Vec<Tensor<D::Scalar>>,
    /// One row of an operand, to see whether it changes.
    row: Vec<D::Scalar>,
    /// The last seeds and results of segments that several methods ask for, while the forward values stay.
    kept: BTreeMap<usize, Kept<D::Scalar>>,
    /// Threads for comparing and copying.
    threads: usize,
    /// Whether the inputs and references are those of a run: what is not is written without a comparison.
    is_filled: bool,
    /// Whether the forward values are those of the inputs, and whether those of the reference are.
    is_forward: bool,
    has_reference: bool,
}

/// What a segment was asked and what it gave.
struct Kept<S> {
    seed: Tensor<S>,
    results: Vec<Tensor<S>>,
    /// Whether they are of the forward values that are there.
    is_current: bool,
}

fn room<S: Scalar>(plan: &Plan, slots: &[Slot]) -> Vec<Tensor<S>> {
    slots.iter().map(|&s| Tensor::zeros(plan.slot(s).shape)).collect()
}

/// Makes `tensors` such that they hold values of `slots`.
fn fit<S: Scalar>(tensors: &mut Vec<Tensor<S>>, plan: &Plan, slots: &[Slot]) {
    let fits = tensors.len() == slots.len()
        && tensors.iter().zip(slots).all(|(t, &s)| t.shape() == plan.slot(s).shape);
    if !fits {
        *tensors = room(plan, slots);
    }
}

/// Whether a bit differs: 0 and -0 are equal numbers and different operands.
fn differs<S: Scalar>(a: &[S], b: &[S]) -> bool {
    let bits = |v: &S| v.to_f64().to_bits();
    let part = |(a, b): (&[S], &[S])| a.iter().zip(b).fold(0, |all, (a, b)| all | (bits(a) ^ bits(b))) != 0;
    a.chunks(1024).zip(b.chunks(1024)).any(part)
}

/// Makes `known` what `row` is, which may become anything of its length; whether it was not.
fn replace<S: Scalar>(threads: usize, known: &mut Tensor<S>, row: &mut Vec<S>) -> Result<bool> {
    let other = |first: usize, part: &[S]| differs(part, &row[first..first + part.len()]).then_some(0);
    if first_in_parts(threads, known.data(), other).is_none() {
        return Ok(false);
    }
    let new = Tensor::new(&known.shape(), std::mem::take(row))?;
    *row = std::mem::replace(known, new).into_data();
    Ok(true)
}

/// As [`replace`] for a part of a tensor.
fn refresh<S: Scalar>(threads: usize, known: &mut [S], row: &[S]) -> bool {
    let changed = AtomicBool::new(false);
    in_parts(threads, known, |first, part| {
        let row = &row[first..first + part.len()];
        if differs(part, row) {
            part.copy_from_slice(row);
            changed.store(true, Ordering::Relaxed);
        }
    });
    changed.into_inner()
}

/// What every node kept, from all sums of all nodes.
fn balances(books: &[NodeBooks], mut sums: &[f64]) -> Vec<(usize, Vec<(Cause, f64)>)> {
    let mut balance = |node: &NodeBooks| {
        let (own, rest) = sums.split_at(node.len());
        sums = rest;
        (node.node, node.balance(own))
    };
    books.iter().map(&mut balance).collect()
}

impl<'a, D: Device> Prepared<'a, D> {
    /// The session of `plan`, which has a reverse segment for each of `segments` and captures `captured`.
    ///
    /// # Errors
    /// The device cannot hold it.
    pub fn new(device: &'a D, plan: Plan, segments: Vec<Segment>, captured: Vec<ValueId>) -> Result<Self> {
        let (inputs, references) =
            (room(&plan, &plan.inputs), room(&plan, plan.references.as_deref().unwrap_or_default()));
        let (captures, reference_captures) =
            (room(&plan, &plan.captures), room(&plan, &plan.reference_captures));
        let session = Session::new(device, Arc::new(plan))?;
        let (seed, results, row) = (None, Vec::new(), Vec::new());
        let (kept, threads) = (BTreeMap::new(), device.threads());
        Ok(Self {
            session,
            segments,
            captured,
            inputs,
            references,
            captures,
            reference_captures,
            seed,
            results,
            row,
            kept,
            threads,
            is_filled: false,
            is_forward: false,
            has_reference: false,
        })
    }

    /// Bytes of the arena and of kept results.
    pub fn bytes(&self) -> usize {
        let kept = self.kept.values().flat_map(|kept| &kept.results);
        self.session.plan().arena_bytes + kept.map(|tensor| size_of_val(tensor.data())).sum::<usize>()
    }

    /// The segment and the captures of a pass of so many rows, if this session has them.
    pub fn find(&self, spec: &PassSpec<'_>, rows: usize) -> Option<(usize, Vec<usize>)> {
        let wanted = segment(spec)?;
        let at =
            self.segments.iter().position(|s| *s == wanted).filter(|_| rows == self.session.plan().batch)?;
        let captures = spec.captures.iter().map(|v| self.captured.iter().position(|c| c == v));
        Some((at, captures.collect::<Option<Vec<_>>>()?))
    }

    /// Keeps the results of segments that are asked for more than once, for who asks next, where all takes up to `limit` bytes.
    pub fn keep(&mut self, segments: impl Iterator<Item = usize>, limit: Option<usize>) {
        for segment in segments {
            let (bytes, plan) = (self.bytes(), self.session.plan());
            let reverse = &plan.reverses[segment];
            let elements = reverse.results.iter().map(|&s| plan.slot(s).shape.elements()).sum::<usize>();
            if limit.is_some_and(|limit| bytes + elements * size_of::<D::Scalar>() > limit) {
                continue;
            }
            let seed = Tensor::zeros(plan.slot(reverse.seed).shape);
            let kept = Kept { seed, results: room(plan, &reverse.results), is_current: false };
            self.kept.insert(segment, kept);
        }
    }

    /// Runs rows `start .. start + batch` through the forward pass, unless its operands are those of the last run, and
    /// through reverse segment `segment` if there is one; rows get the captures numbered `captures`.
    ///
    /// # Errors
    /// The device failed.
    pub fn run_rows(
        &mut self,
        start: usize,
        (segment, captures): (Option<usize>, &[usize]),
        fill: FillRow<'_, D::Scalar>,
        take: TakeRow<'_, D::Scalar>,
    ) -> Result<()> {
        let count = self.session.plan().batch;
        self.gather(start, fill)?;
        if !self.is_forward {
            self.forward()?;
        }
        if let Some(segment) = segment {
            self.reverse(segment, start, fill)?;
        }
        let results = segment.map_or(Ok(Vec::new()), |segment| self.results(segment))?;
        let books = segment.map_or(&[][..], |s| &self.session.plan().reverses[s].ledger);
        for row in 0..count {
            let part = |all: &'_ [D::Scalar]| {
                let length = all.len() / count;
                row * length..(row + 1) * length
            };
            let mut results: Vec<&[D::Scalar]> = results.iter().map(|all| &all[part(all)]).collect();
            let sums: Vec<f64> = results
                .split_off(results.len() - books.iter().map(NodeBooks::len).sum::<usize>())
                .iter()
                .map(|sum| sum[0].to_f64())
                .collect();
            let captured = row_of(&self.captures, count, row);
            let captures = captures.iter().map(|&i| captured[i]).collect();
            let reference_captures = row_of(&self.reference_captures, count, row);
            take(start + row, &Row { results, captures, reference_captures, ledger: balances(books, &sums) });
        }
        Ok(())
    }

    /// The results of the segment that ran last.
    fn results(&self, segment: usize) -> Result<Vec<&[D::Scalar]>> {
        if let Some(kept) = self.kept.get(&segment) {
            return Ok(kept.results.iter().map(Tensor::data).collect());
        }
        let count = self.session.plan().reverses[segment].results.len();
        let one = |i: usize| {
            let in_place = self.session.result_in_place(segment, i)?;
            Ok(in_place.or_else(|| self.results.get(i).map(Tensor::data)).unwrap_or_default())
        };
        (0..count).map(one).collect()
    }

    /// Fills inputs and references, and notes what the last run is no longer true of.
    fn gather(&mut self, start: usize, fill: FillRow<'_, D::Scalar>) -> Result<()> {
        let count = self.session.plan().batch;
        let inputs = (0..self.inputs.len()).map(Fill::Input);
        for what in inputs.chain((0..self.references.len()).map(Fill::Reference)) {
            let tensor = match what {
                Fill::Reference(i) => &mut self.references[i],
                Fill::Input(i) => &mut self.inputs[i],
                Fill::Seed => continue,
            };
            let length = (tensor.data().len() / count).max(1);
            let mut changed = !self.is_filled;
            if !self.is_filled {
                for (row, known) in tensor.data_mut().chunks_exact_mut(length).enumerate() {
                    fill(start + row, what, known);
                }
            } else if count == 1 {
                self.row.resize(length, D::Scalar::ZERO);
                fill(start, what, &mut self.row);
                changed = replace(self.threads, tensor, &mut self.row)?;
            } else {
                self.row.resize(length, D::Scalar::ZERO);
                for (row, known) in tensor.data_mut().chunks_exact_mut(length).enumerate() {
                    fill(start + row, what, &mut self.row);
                    changed |= refresh(self.threads, known, &self.row);
                }
            }
            if changed {
                self.is_forward = false;
                self.has_reference &= matches!(what, Fill::Input(_));
            }
        }
        self.is_filled = true;
        Ok(())
    }

    fn forward(&mut self) -> Result<()> {
        self.is_forward = false;
        self.kept.values_mut().for_each(|kept| kept.is_current = false);
        let inputs: Vec<&Tensor<D::Scalar>> = self.inputs.iter().collect();
        if self.session.plan().references.is_some() {
            if self.has_reference {
                self.session.forward_beside_reference(&inputs)?;
            } else {
                self.session.forward_with_reference(&inputs, &self.references.iter().collect::<Vec<_>>())?;
                self.has_reference = true;
            }
        } else {
            self.session.forward(&inputs)?;
        }
        for (i, tensor) in self.captures.iter_mut().enumerate() {
            self.session.capture_into(i, tensor.data_mut())?;
        }
        for (i, tensor) in self.reference_captures.iter_mut().enumerate() {
            self.session.reference_capture_into(i, tensor.data_mut())?;
        }
        self.is_forward = true;
        Ok(())
    }

    fn reverse(&mut self, segment: usize, start: usize, fill: FillRow<'_, D::Scalar>) -> Result<()> {
        let plan = self.session.plan();
        let (count, reverse) = (plan.batch, &plan.reverses[segment]);
        let shape = plan.slot(reverse.seed).shape;
        let mut seed =
            self.seed.take().filter(|s| s.shape() == shape).unwrap_or_else(|| Tensor::zeros(shape));
        let length = (seed.data().len() / count).max(1);
        for (row, into) in seed.data_mut().chunks_exact_mut(length).enumerate() {
            fill(start + row, Fill::Seed, into);
        }
        let results = reverse.results.clone();
        if let Some(kept) = self.kept.get_mut(&segment) {
            let same = !differs(kept.seed.data(), seed.data());
            if !(kept.is_current && same) {
                kept.is_current = false;
                self.session.reverse(segment, seed.data())?;
                for (i, tensor) in kept.results.iter_mut().enumerate() {
                    self.session.result_into(segment, i, tensor.data_mut())?;
                }
                kept.seed.data_mut().copy_from_slice(seed.data());
                kept.is_current = true;
            }
            self.seed = Some(seed);
            return Ok(());
        }
        self.session.reverse(segment, seed.data())?;
        self.seed = Some(seed);
        let mut elsewhere = false;
        for i in 0..results.len() {
            elsewhere |= self.session.result_in_place(segment, i)?.is_none();
        }
        if elsewhere {
            fit(&mut self.results, self.session.plan(), &results);
            for (i, tensor) in self.results.iter_mut().enumerate() {
                self.session.result_into(segment, i, tensor.data_mut())?;
            }
        }
        Ok(())
    }
}
