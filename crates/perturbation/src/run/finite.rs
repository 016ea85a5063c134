//! Values that no score can be made of.

use super::Sink;
use std::ops::ControlFlow;
use voxplain_tensor::{Error, Result};

/// Passes values on up to the first that is not finite. Once it or its receiver has broken off it stays so.
pub(crate) struct Finite<'s> {
    sink: Sink<'s>,
    bad: Option<f64>,
    flow: ControlFlow<()>,
}

impl<'s> Finite<'s> {
    pub fn new(sink: Sink<'s>) -> Self {
        Self { sink, bad: None, flow: ControlFlow::Continue(()) }
    }

    /// A value that goes on to the receiver.
    pub fn take(&mut self, at: usize, value: f64) -> ControlFlow<()> {
        if !value.is_finite() {
            self.bad = self.bad.or(Some(value));
            self.flow = ControlFlow::Break(());
        } else if (self.sink)(at, value).is_break() {
            self.flow = ControlFlow::Break(());
        }
        self.flow
    }

    /// Whether it has broken off.
    pub fn is_over(&self) -> bool {
        self.flow.is_break()
    }

    /// Refuses values that were not finite.
    pub fn finish(self) -> Result<()> {
        self.bad.map_or(Ok(()), finite)
    }
}

/// Refuses a value that is not finite.
pub(crate) fn finite(value: f64) -> Result<()> {
    if value.is_finite() {
        return Ok(());
    }
    Err(Error::invalid(format!(
        "the explained value became {value} when parts of the input were taken away; choose a fill that the network can take"
    )))
}
