//! Layer-wise relevance propagation: from parameters to composites.

use super::composite;
use super::context::Context;
use super::parameters::Parameters;
use voxplain_attribution::Method;
use voxplain_attribution::composites::{Line, Values, preset};
use voxplain_attribution::methods::{Lrp, Start};
use voxplain_tensor::{Result, Scalar};

/// The method whose lines the request holds itself.
pub(super) const COMPOSITE: &str = "composite";

/// Whether relevance is what the method propagates.
pub(super) fn is_relevance(method: &str) -> bool {
    method == COMPOSITE || preset(method).is_some()
}

impl Context<'_> {
    /// The relevance method of that name, if it is one.
    pub(super) fn relevance_method<S: Scalar>(
        &self,
        method: &str,
        p: &Parameters<'_>,
    ) -> Result<Option<Box<dyn Method<S>>>> {
        Ok(relevance(method, p)?.map(|lrp| Box::new(lrp) as Box<dyn Method<S>>))
    }
}

/// The method with its lines, if relevance is what it propagates.
pub(super) fn relevance(method: &str, p: &Parameters<'_>) -> Result<Option<Lrp>> {
    if method == COMPOSITE {
        return composite::of(p).map(Some);
    }
    let Some(preset) = preset(method) else { return Ok(None) };
    p.only(&[&["start", "batchnorm", "stabilizer"], preset.parameters].concat())?;
    Ok(Some(Lrp { name: preset.name, lines: of_preset(preset, p)?, start: start(p)? }))
}

/// Where relevance starts.
pub(super) fn start(p: &Parameters<'_>) -> Result<Start> {
    Ok(if p.choice("start", &["output", "one"])? == 0 { Start::Output } else { Start::One })
}

fn of_preset(preset: &voxplain_attribution::composites::Preset, p: &Parameters<'_>) -> Result<Vec<Line>> {
    let pass_normalization = p.choice("batchnorm", &["merged", "pass", "keep"])? == 1;
    (preset.lines)(&Values::new(&|key| p.numbers(key), pass_normalization))
}
