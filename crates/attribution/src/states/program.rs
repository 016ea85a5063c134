//! Plans over a state with the tensors that go in.

use super::FillPart;
use std::sync::Arc;
use voxplain_autodiff::{Device, Places, Plan, Session};
use voxplain_tensor::{Result, Scalar, Tensor};

/// A row: its number for those who fill it in, and where its boxes lie.
pub(super) type Row = (usize, Places);

/// A plan over a state with the tensors that go in.
pub(super) struct Program<'a, D: Device> {
    pub session: Session<'a, D>,
    inputs: Vec<Tensor<D::Scalar>>,
    /// Whether the place for values is another program's.
    is_lent: bool,
}

/// What a plan is taken to hold beside values, in bytes, so that there is a bound on how many are kept.
const PLAN: usize = 1 << 16;

impl<'a, D: Device> Program<'a, D> {
    pub fn new(device: &'a D, plan: Plan) -> Result<Self> {
        let inputs = plan.inputs.iter().map(|&s| Tensor::zeros(plan.slot(s).shape)).collect();
        Ok(Self { session: Session::new(device, Arc::new(plan))?, inputs, is_lent: false })
    }

    /// Bytes that it holds.
    pub fn bytes(&self) -> usize {
        let inputs: usize = self.inputs.iter().map(|x| size_of_val(x.data())).sum();
        PLAN + inputs + if self.is_lent { 0 } else { self.session.plan().arena_bytes }
    }

    /// Takes over the place of the values of `last`, where the device lets it.
    ///
    /// # Errors
    /// A place that is large enough cannot be had.
    pub fn follow(&mut self, last: &mut Self) -> Result<()> {
        if self.session.take_place(&mut last.session)? {
            (self.is_lent, last.is_lent) = (false, true);
        }
        Ok(())
    }

    /// Runs rows `rows` (numbers for `fill`) over a state; a plan of more rows repeats the last.
    pub fn run(&mut self, base: &Session<'a, D>, rows: &[Row], fill: FillPart<'_, D::Scalar>) -> Result<()> {
        let batch = self.session.plan().batch;
        let Some(last) = rows.last() else { return Ok(()) };
        let parts = last.1.inputs.iter().flatten().count();
        let changed = last.1.inputs.iter().enumerate().filter(|(_, part)| part.is_some()).map(|(i, _)| i);
        for (tensor, input) in self.inputs.iter_mut().zip(changed) {
            let length = tensor.data().len() / batch;
            for (at, into) in tensor.data_mut().chunks_exact_mut(length.max(1)).enumerate() {
                let (row, places) = rows.get(at).unwrap_or(last);
                if let Some(part) = &places.inputs[input] {
                    fill(*row, input, part, into);
                }
            }
        }
        for (cut, tensor) in self.inputs[parts..].iter_mut().enumerate() {
            let width = tensor.data().len() / batch;
            for (at, into) in tensor.data_mut().chunks_exact_mut(width.max(1)).enumerate() {
                let place = &rows.get(at).unwrap_or(last).1.cuts[cut];
                into.iter_mut().zip(place).for_each(|(v, &p)| *v = D::Scalar::from_f64(p as f64));
            }
        }
        self.session.forward_over(base, &self.inputs.iter().collect::<Vec<_>>())
    }
}
