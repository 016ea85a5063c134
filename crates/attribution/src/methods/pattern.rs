//! PatternNet and PatternAttribution with patterns fitted to sample inputs.

use super::{Backward, Method, Scaling};
use crate::patterns::fit;
use crate::rules::Pattern;
use crate::{Attribution, Network, Target};
use std::sync::Arc;
use voxplain_tensor::{Result, Scalar, Tensor};

/// Which of the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PatternKind {
    /// PatternNet.
    Net,
    /// PatternAttribution.
    Attribution,
}

/// Fits patterns to samples, then goes back through them once; see [`Pattern`]. A map is an estimate of the signal
/// (PatternNet) or of what speaks for the output (PatternAttribution), for a seed of 1.
#[derive(Clone, Debug, PartialEq)]
pub struct Patterned<S> {
    /// Which of the two.
    pub kind: PatternKind,
    /// One tensor per input, samples in front: as many as there are, in the form that the network wants.
    pub samples: Vec<Tensor<S>>,
}

impl<S: Scalar> Method<S> for Patterned<S> {
    fn name(&self) -> &'static str {
        match self.kind {
            PatternKind::Net => "pattern_net",
            PatternKind::Attribution => "pattern_attribution",
        }
    }

    fn passes(&self) -> (u64, u64) {
        let samples = self.samples.first().map_or(0, Tensor::rows) as u64;
        (1 + 4 * samples, 1 + 4 * samples)
    }

    fn attribute(
        &self,
        network: &mut dyn Network<S>,
        inputs: &[Tensor<S>],
        target: &Target,
    ) -> Result<Attribution<S>> {
        let samples = network.examples(&self.samples).map_err(|e| e.within("samples of patterns"))?;
        let patterns = Arc::new(fit(network, &self.samples)?);
        let (name, rule) = match self.kind {
            PatternKind::Net => ("pattern_net", Pattern::net(patterns)),
            PatternKind::Attribution => ("pattern_attribution", Pattern::attribution(patterns)),
        };
        let mut result = Backward::with_rule(name, rule, Scaling::None).attribute(network, inputs, target)?;
        result.notes.push(format!("patterns fitted to {samples} samples"));
        result.forward_passes += 4 * samples as u64;
        result.backward_passes += 4 * samples as u64;
        Ok(result)
    }
}
