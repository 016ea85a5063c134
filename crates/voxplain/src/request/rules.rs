//! Methods that are a rule with parameters: RectGrad, patterns, RevealCancel.

use super::context::Context;
use super::parameters::Parameters;
use serde_json::Value;
use voxplain_attribution::Method;
use voxplain_attribution::methods::{Backward, DeepLiftRevealCancel, PatternKind, Patterned};
use voxplain_attribution::rules::Threshold;
use voxplain_models::read_tensors;
use voxplain_tensor::{Error, Result, Scalar, Tensor};

impl Context<'_> {
    /// The method of that name, if it is one of these.
    pub(super) fn rule_method<S: Scalar>(
        &self,
        method: &str,
        p: &Parameters<'_>,
    ) -> Result<Option<Box<dyn Method<S>>>> {
        Ok(Some(match method {
            "rect_grad" => {
                p.only(&["quantile", "threshold"])?;
                Box::new(Backward::rect_grad(threshold(p)?))
            }
            "pattern_net" => Box::new(self.patterned(p, PatternKind::Net)?),
            "pattern_attribution" => Box::new(self.patterned(p, PatternKind::Attribution)?),
            "deeplift_reveal_cancel" => {
                p.only(&["baseline", "multiply_by_inputs"])?;
                let (baseline, multiply_by_inputs) = (self.baseline(p)?, p.flag("multiply_by_inputs", true)?);
                Box::new(DeepLiftRevealCancel { baseline, multiply_by_inputs })
            }
            _ => return Ok(None),
        }))
    }

    /// Samples are a tensor per input, or a file that has them as `input/NAME`.
    fn patterned<S: Scalar>(&self, p: &Parameters<'_>, kind: PatternKind) -> Result<Patterned<S>> {
        p.only(&["samples", "batchnorm"])?;
        p.choice("batchnorm", &["merged", "keep"])?;
        let samples = match p.map.get("samples") {
            Some(Value::String(path)) => {
                let data =
                    std::fs::read(path).map_err(|e| Error::invalid(format!("samples {path:?}: {e}")))?;
                let (tensors, _) = read_tensors(&data).map_err(|e| e.within(format!("samples {path:?}")))?;
                let file = Context { tensors: &tensors, ..*self };
                file.stored_inputs().map_err(|e| e.within(format!("samples {path:?}")))?
            }
            Some(map) => self.per_input(map, "samples")?,
            None => {
                return Err(Error::invalid(
                    "patterns are fitted to samples; add --set samples=FILE.safetensors with input/NAME for every input",
                ));
            }
        };
        Ok(Patterned { kind, samples })
    }
}

fn threshold(p: &Parameters<'_>) -> Result<Threshold> {
    match (p.number("quantile")?, p.number("threshold")?) {
        (None, None) => Ok(Threshold::Quantile(0.98)),
        (Some(q), None) if (0.0..=1.0).contains(&q) => Ok(Threshold::Quantile(q)),
        (Some(q), None) => Err(Error::invalid(format!("quantile {q}; a number from 0 to 1 expected"))),
        (None, Some(tau)) => Ok(Threshold::Fixed(tau)),
        _ => Err(Error::invalid("quantile and threshold exclude each other")),
    }
}

/// Tensors of one row with the smallest or the largest value of every channel.
pub(super) fn extremes<S: Scalar>(inputs: &[Tensor<f32>], largest: bool) -> Result<Vec<Tensor<S>>> {
    let worse = |a: f32, b: f32| if largest { a.max(b) } else { a.min(b) };
    let one = |x: &Tensor<f32>| -> Result<Tensor<S>> {
        let space = x.shape().inner(1).max(1);
        let channel = |values: &[f32]| {
            let extreme = values.iter().copied().reduce(worse).unwrap_or(0.0);
            vec![S::from_f64(f64::from(extreme)); values.len()]
        };
        Tensor::new(&x.shape(), x.data().chunks(space).flat_map(channel).collect())
    };
    inputs.iter().map(one).collect()
}
