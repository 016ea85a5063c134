//! Other networks where one runs, for methods that take it apart: on its device and in its memory.

use crate::engine::{COMFORTABLE, Engine, Network};
use voxplain_autodiff::Device;
use voxplain_graph::Graph;
use voxplain_tensor::Result;

/// Something that is done with a network.
pub type Act<'a, S> = &'a mut dyn FnMut(&mut dyn Network<S>) -> Result<()>;

impl<D: Device> Engine<'_, D> {
    /// Does something with the network of another graph. Sessions of this one stay where no limit asks for their memory and
    /// they are small, because they hold packed weights that both use.
    pub(crate) fn act_beside(
        &mut self,
        graph: &Graph,
        counted: bool,
        act: Act<'_, D::Scalar>,
    ) -> Result<bool> {
        match self.limit {
            Some(_) => self.forget_sessions(),
            None => self.give_way(COMFORTABLE / 2),
        }
        let mut other =
            Engine::new(graph, self.device, self.room()).with_rows(self.most_rows).with_mixing(self.mixing);
        other.partial = self.partial;
        if let Some(observer) = self.observer.as_mut().filter(|_| counted) {
            other.observe(observer);
        }
        act(&mut other)?;
        Ok(true)
    }
}
