//! Rules that a pass goes by, whatever they carry.

use voxplain_autodiff::{Composite, Planner, Signal};
use voxplain_graph::ValueId;
use voxplain_tensor::Result;

/// A rule table under a name, whatever its signal.
pub trait Table: Send + Sync {
    /// The name, which tells tables apart: two tables of one name must be equal.
    fn name(&self) -> String;
    /// Adds the reverse segment to a plan.
    ///
    /// # Errors
    /// The table does not fit the graph.
    fn add(&self, planner: &mut Planner<'_>, from: ValueId, wanted: &[ValueId]) -> Result<usize>;
    /// Whether the plan needs reference inputs.
    fn needs_reference(&self) -> bool;
}

/// A composite with a name.
pub struct Rules<S: Signal> {
    /// The name.
    pub name: String,
    /// The rules.
    pub composite: Composite<S>,
}

impl<S: Signal> Table for Rules<S> {
    fn name(&self) -> String {
        self.name.clone()
    }

    fn add(&self, planner: &mut Planner<'_>, from: ValueId, wanted: &[ValueId]) -> Result<usize> {
        planner.reverse(&self.composite, from, wanted)
    }

    fn needs_reference(&self) -> bool {
        self.composite.needs_reference()
    }
}
