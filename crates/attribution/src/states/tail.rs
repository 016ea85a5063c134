//! The last nodes of a network, for rows of all classes together.

use super::{TakeValue, joined};
use std::ops::ControlFlow;
use std::sync::Arc;
use voxplain_autodiff::{Device, Plan, Session};
use voxplain_tensor::{Result, Scalar, Tensor};

/// A plan of several rows, and the rows that wait until there are enough of them.
pub(super) struct Tail<'a, D: Device> {
    session: Session<'a, D>,
    inputs: Vec<Tensor<D::Scalar>>,
    values: Vec<D::Scalar>,
    /// How many rows wait, and of everyone who wants to know a value the row that it is of and its own number.
    filled: usize,
    waiting: Vec<(usize, usize)>,
}

impl<'a, D: Device> Tail<'a, D> {
    /// The tail of `plan`, which captures the explained value alone.
    pub fn new(device: &'a D, plan: Plan) -> Result<Self> {
        let inputs = plan.inputs.iter().map(|&s| Tensor::zeros(plan.slot(s).shape)).collect();
        let length = plan.slot(plan.captures[0]).shape.elements();
        let session = Session::new(device, Arc::new(plan))?;
        Ok(Self { session, inputs, values: vec![D::Scalar::ZERO; length], filled: 0, waiting: Vec::new() })
    }

    /// Adds rows, given the values of all of them at each of the tail's inputs, and runs whenever there are enough.
    pub fn push(
        &mut self,
        rows: &[usize],
        values: &[Vec<D::Scalar>],
        take: TakeValue<'_, D::Scalar>,
    ) -> Result<ControlFlow<()>> {
        let batch = self.session.plan().batch;
        let mut flow = ControlFlow::Continue(());
        for (at, &row) in rows.iter().enumerate() {
            for (input, values) in self.inputs.iter_mut().zip(values) {
                let length = input.data().len() / batch;
                let into = &mut input.data_mut()[self.filled * length..][..length];
                into.copy_from_slice(&values[at * length..][..length]);
            }
            self.waiting.push((self.filled, row));
            self.filled += 1;
            if self.filled == batch {
                flow = joined(flow, self.run(take)?);
            }
        }
        Ok(flow)
    }

    /// Gives row `row` the value of the last one that waits, if one does.
    pub fn repeat(&mut self, row: usize) -> bool {
        if let Some(last) = self.filled.checked_sub(1) {
            self.waiting.push((last, row));
        }
        self.filled > 0
    }

    /// Forgets the rows that wait.
    pub fn forget(&mut self) {
        self.filled = 0;
        self.waiting.clear();
    }

    /// Bytes that it holds.
    pub fn bytes(&self) -> usize {
        self.session.plan().arena_bytes
    }

    /// Runs the rows that wait.
    pub fn run(&mut self, take: TakeValue<'_, D::Scalar>) -> Result<ControlFlow<()>> {
        let mut flow = ControlFlow::Continue(());
        if self.waiting.is_empty() {
            return Ok(flow);
        }
        self.session.forward(&self.inputs.iter().collect::<Vec<_>>())?;
        self.session.capture_into(0, &mut self.values)?;
        let length = self.values.len() / self.session.plan().batch;
        self.filled = 0;
        for (at, row) in self.waiting.drain(..) {
            flow = joined(flow, take(row, &self.values[at * length..][..length]));
        }
        Ok(flow)
    }
}
