//! What an input is compared with.

use crate::engine::example;
use voxplain_graph::Graph;
use voxplain_tensor::{Error, Result, Scalar, Tensor};

/// A baseline for every input.
#[derive(Clone, Debug, PartialEq)]
pub enum Baseline<S> {
    /// One number everywhere.
    Constant(f64),
    /// One tensor per input, of 1 example (for all) or as many as the inputs have.
    Given(Vec<Tensor<S>>),
}

impl<S: Scalar> Baseline<S> {
    /// Checks against the inputs of a call.
    ///
    /// # Errors
    /// The number, shapes or values do not fit.
    pub fn check(&self, graph: &Graph, inputs: &[Tensor<S>], examples: usize) -> Result<()> {
        let Self::Given(tensors) = self else { return Ok(()) };
        if tensors.len() != inputs.len() {
            return Err(Error::invalid(format!("{} baselines for {} inputs", tensors.len(), inputs.len())));
        }
        for (i, (b, x)) in tensors.iter().zip(inputs).enumerate() {
            let name = &graph.value(graph.inputs()[i]).name;
            let one = x.data().len() / examples;
            let rows = b.data().len() / one.max(1);
            if b.shape()[1..] != x.shape()[1..]
                || b.data().len() % one != 0
                || (rows != 1 && rows != examples)
            {
                return Err(Error::invalid(format!(
                    "the baseline of input {name:?} has shape {}; that of the input, {}, or one example of it is expected",
                    b.shape(),
                    x.shape()
                )));
            }
            if b.data().iter().any(|v| !v.to_f64().is_finite()) {
                return Err(Error::invalid(format!(
                    "the baseline of input {name:?} has values that are not finite"
                )));
            }
        }
        Ok(())
    }

    /// Writes the baseline of example `n` of input `input`.
    pub fn fill(&self, input: usize, n: usize, into: &mut [S]) {
        self.fill_part(input, n, (0, into.len()), into);
    }

    /// Writes a part of the baseline of example `n` of input `input`, from element `first` on; an example has `length`.
    pub(crate) fn fill_part(&self, input: usize, n: usize, (first, length): (usize, usize), into: &mut [S]) {
        match self {
            Self::Constant(value) => into.fill(S::from_f64(*value)),
            Self::Given(tensors) => {
                let tensor = &tensors[input];
                let rows = tensor.data().len() / length;
                let all = example(tensor, rows, if rows == 1 { 0 } else { n });
                into.copy_from_slice(&all[first..first + into.len()]);
            }
        }
    }

    /// The baseline as tensors of the inputs' shapes.
    pub fn tensors(&self, inputs: &[Tensor<S>], examples: usize) -> Vec<Tensor<S>> {
        let expand = |(i, x): (usize, &Tensor<S>)| {
            let mut out = Tensor::zeros(x.shape());
            (0..examples).for_each(|n| self.fill(i, n, super::example_mut(&mut out, examples, n)));
            out
        };
        inputs.iter().enumerate().map(expand).collect()
    }
}
