//! Several requests on one case, so that those that start from the same forward pass share it.

use crate::device::Machine;
use crate::explain::{Explained, Explainer};
use crate::request::{ESTIMATORS, Request};
use voxplain_attribution::{Engine, Method, Network, Target};
use voxplain_tensor::Result;

/// What a request runs, and on which target.
type Wish = (Box<dyn Method<f32>>, Target);

/// An explainer that has been told which requests will come, in any order. Every result is the same, bit for bit, as that of
/// [`Explainer::run`].
pub struct Together<'e> {
    explainer: &'e Explainer<'e>,
    engine: Engine<'e, Machine>,
    observer: &'e dyn Fn(usize),
}

impl<'m> Explainer<'m> {
    /// Prepares to run `requests` one after the other: those of a single pass, of one target or of several, share the
    /// forward pass. `observer` hears how many examples have passed through the network each time some have. A request that
    /// cannot run is found out when it runs.
    pub fn together<'e>(&'e self, requests: &[Request], observer: &'e dyn Fn(usize)) -> Together<'e> {
        let mut engine = self.engine();
        let known: Vec<_> =
            requests.iter().filter_map(|r| self.shareable(r, &mut engine).ok().flatten()).collect();
        if let (Ok(inputs), None) = (self.rows(&[0]), &self.case.windows) {
            let methods: Vec<(&dyn Method<f32>, &Target)> = known.iter().map(|(m, t)| (&**m, t)).collect();
            engine.share(&methods, &inputs);
        }
        engine.observe(observer);
        Together { explainer: self, engine, observer }
    }

    /// The method and the settled target of a request that runs on the network as it is.
    fn shareable(&self, request: &Request, engine: &mut Engine<'_, Machine>) -> Result<Option<Wish>> {
        let estimated = ESTIMATORS.contains(&request.method.as_str());
        if estimated || request.merges_normalization() || self.case.windows.is_some() {
            return Ok(None);
        }
        let method = self.context().method::<f32>(request)?;
        if method.passes().1 == 0 {
            return Ok(None);
        }
        let aim = self.aim(request)?;
        let inputs = self.rows(&aim.windows)?;
        Ok(Some((method, engine.settle(&self.settled(aim.target)?, &inputs)?)))
    }
}

impl<'e> Together<'e> {
    /// Runs one request; any, not only those that were announced.
    ///
    /// # Errors
    /// As [`Explainer::run`].
    pub fn run(&mut self, request: &Request) -> Result<Explained<'e>> {
        if request.merges_normalization() {
            return self.explainer.run_observed(request, self.observer);
        }
        self.explainer.run_with(&mut self.engine, request)
    }
}
