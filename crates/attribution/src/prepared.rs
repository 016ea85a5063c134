//! A session with what goes in and out of it.

use crate::engine::{Fill, FillRow, Row, TakeRow, row_of};
use std::sync::Arc;
use voxplain_autodiff::{Device, Plan, Session, Slot};
use voxplain_tensor::{Result, Tensor};

/// A session and the tensors that go in and out of it, kept because tensors of images are large enough that the system
/// takes them back whenever they are dropped.
pub(crate) struct Prepared<'a, D: Device> {
    pub session: Session<'a, D>,
    inputs: Vec<Tensor<D::Scalar>>,
    references: Vec<Tensor<D::Scalar>>,
    seed: Option<Tensor<D::Scalar>>,
    results: Vec<Tensor<D::Scalar>>,
    captures: Vec<Tensor<D::Scalar>>,
    reference_captures: Vec<Tensor<D::Scalar>>,
}

impl<'a, D: Device> Prepared<'a, D> {
    /// The session of `plan` on `device`.
    ///
    /// # Errors
    /// The device cannot hold it.
    pub fn new(device: &'a D, plan: Plan) -> Result<Self> {
        let room =
            |slots: &[Slot]| slots.iter().map(|&s| Tensor::zeros(plan.slot(s).shape)).collect::<Vec<_>>();
        let reverse = plan.reverses.first();
        let (inputs, references) = (room(&plan.inputs), room(plan.references.as_deref().unwrap_or_default()));
        let (captures, reference_captures) = (room(&plan.captures), room(&plan.reference_captures));
        let seed = reverse.map(|r| Tensor::zeros(plan.slot(r.seed).shape));
        let results = reverse.map_or_else(Vec::new, |r| room(&r.results));
        let session = Session::new(device, Arc::new(plan))?;
        Ok(Self { session, inputs, references, seed, results, captures, reference_captures })
    }

    /// Runs rows `start .. start + count`, as many as the plan's batch.
    ///
    /// # Errors
    /// The device failed.
    pub fn run_rows(
        &mut self,
        (start, count): (usize, usize),
        fill: FillRow<'_, D::Scalar>,
        take: TakeRow<'_, D::Scalar>,
    ) -> Result<()> {
        let mut gather = |tensor: &mut Tensor<D::Scalar>, what: Fill| {
            let length = tensor.data().len() / count;
            for (row, into) in tensor.data_mut().chunks_exact_mut(length.max(1)).enumerate() {
                fill(start + row, what, into);
            }
        };
        self.inputs.iter_mut().enumerate().for_each(|(i, t)| gather(t, Fill::Input(i)));
        self.references.iter_mut().enumerate().for_each(|(i, t)| gather(t, Fill::Reference(i)));
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
        if let Some(seed) = &mut self.seed {
            gather(seed, Fill::Seed);
            self.session.reverse(0, seed.data())?;
            for (i, tensor) in self.results.iter_mut().enumerate() {
                self.session.result_into(0, i, tensor.data_mut())?;
            }
        }
        for row in 0..count {
            let of = |tensors| row_of(tensors, count, row);
            let (results, captures) = (of(&self.results), of(&self.captures));
            take(start + row, &Row { results, captures, reference_captures: of(&self.reference_captures) });
        }
        Ok(())
    }
}
