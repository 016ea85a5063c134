//! A session with what goes in and out of it, for one kind of pass or for several that start from one forward pass.

use crate::Table;
use crate::engine::{Fill, FillRow, PassSpec, Row, TakeRow, row_of};
use std::sync::Arc;
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
    /// The seed and the results of the segment that ran last.
    seed: Option<Tensor<D::Scalar>>,
    results: Vec<Tensor<D::Scalar>>,
    /// One row of an operand, to see whether it changes.
    row: Vec<D::Scalar>,
    /// Whether the forward values are those of the inputs.
    is_forward: bool,
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
            is_forward: false,
        })
    }

    /// Bytes of the arena.
    pub fn bytes(&self) -> usize {
        self.session.plan().arena_bytes
    }

    /// The segment and the captures of a pass of so many rows, if this session has them.
    pub fn find(&self, spec: &PassSpec<'_>, rows: usize) -> Option<(usize, Vec<usize>)> {
        let wanted = segment(spec)?;
        let at =
            self.segments.iter().position(|s| *s == wanted).filter(|_| rows == self.session.plan().batch)?;
        let captures = spec.captures.iter().map(|v| self.captured.iter().position(|c| c == v));
        Some((at, captures.collect::<Option<Vec<_>>>()?))
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
        if self.gather(start, fill) || !self.is_forward {
            self.forward()?;
        }
        if let Some(segment) = segment {
            self.reverse(segment, start, fill)?;
        }
        for row in 0..count {
            let of = |tensors| row_of(tensors, count, row);
            let (mut results, captured) = (of(&self.results), of(&self.captures));
            let books = segment.map_or(&[][..], |s| &self.session.plan().reverses[s].ledger);
            let sums: Vec<f64> = results
                .split_off(results.len() - books.iter().map(NodeBooks::len).sum::<usize>())
                .iter()
                .map(|sum| sum[0].to_f64())
                .collect();
            let captures = captures.iter().map(|&i| captured[i]).collect();
            let (reference_captures, ledger) = (of(&self.reference_captures), balances(books, &sums));
            take(start + row, &Row { results, captures, reference_captures, ledger });
        }
        Ok(())
    }

    /// Fills inputs and references; whether anything changed.
    fn gather(&mut self, start: usize, fill: FillRow<'_, D::Scalar>) -> bool {
        let count = self.session.plan().batch;
        let inputs = self.inputs.iter_mut().enumerate().map(|(i, t)| (t, Fill::Input(i)));
        let references = self.references.iter_mut().enumerate().map(|(i, t)| (t, Fill::Reference(i)));
        let mut changed = false;
        for (tensor, what) in inputs.chain(references) {
            let length = (tensor.data().len() / count).max(1);
            self.row.resize(length, D::Scalar::ZERO);
            for (row, known) in tensor.data_mut().chunks_exact_mut(length).enumerate() {
                fill(start + row, what, &mut self.row);
                if differs(known, &self.row) {
                    known.copy_from_slice(&self.row);
                    changed = true;
                }
            }
        }
        changed
    }

    fn forward(&mut self) -> Result<()> {
        self.is_forward = false;
        let inputs: Vec<&Tensor<D::Scalar>> = self.inputs.iter().collect();
        if self.session.plan().references.is_some() {
            self.session.forward_with_reference(&inputs, &self.references.iter().collect::<Vec<_>>())?;
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
        fit(&mut self.results, plan, &reverse.results);
        self.session.reverse(segment, seed.data())?;
        self.seed = Some(seed);
        for (i, tensor) in self.results.iter_mut().enumerate() {
            self.session.result_into(segment, i, tensor.data_mut())?;
        }
        Ok(())
    }
}
