//! The baseline that a request names: what takes the place of what is taken away.

use super::context::Context;
use super::parameters::Parameters;
use serde_json::Value;
use voxplain_attribution::methods::Baseline;
use voxplain_perturbation::{Fill, Inside};
use voxplain_tensor::{Error, Result, Scalar, Tensor};

impl Context<'_> {
    /// `baseline` is a number, a tensor per input, or words: `zero`, `mean`, `noise`, `blur SIGMA`, `mirror AXIS`,
    /// `surroundings` (of the regions that `mask` names), or `reference`, another patient's values, the tensors
    /// `reference/<input>`. `inside` says where it is written: `everywhere`, the `foreground` (where the input is not 0), or where
    /// a tensor per input is not 0; elsewhere the input stays. Mean, noise and surroundings keep to the foreground by
    /// themselves.
    pub(super) fn baseline<S: Scalar>(&self, p: &Parameters<'_>) -> Result<Baseline<S>> {
        let inside = self.inside(p)?;
        let fill = match p.map.get("baseline") {
            None | Some(Value::Null) => Fill::Constant(0.0),
            Some(Value::Number(n)) => Fill::Constant(n.as_f64().unwrap_or(0.0)),
            Some(Value::String(words)) if words == "reference" => {
                return self.kept_inside(self.reference().ok_or_else(no_reference)?, inside);
            }
            Some(Value::String(words)) => fill(words, self.seed)?,
            Some(map) => return self.kept_inside(self.per_input(map, "baseline")?, inside),
        };
        if let (Fill::Constant(value), None | Some(Inside::Everywhere)) = (&fill, &inside) {
            return Ok(Baseline::Constant(*value));
        }
        let own = matches!(fill, Fill::Mean | Fill::Noise { .. } | Fill::Surroundings);
        let inside = inside.unwrap_or(if own { Inside::Foreground } else { Inside::Everywhere });
        let inputs = self.images::<S>();
        let features = match fill {
            Fill::Surroundings if !p.map.contains_key("mask") => {
                return Err(Error::invalid(
                    "a fill from the surroundings needs regions; add mask, as slic or grid 16",
                ));
            }
            Fill::Surroundings => Some(self.features(p, "modality")?),
            _ => None,
        };
        Ok(Baseline::Given(fill.make_inside(&inputs, &inside, features.as_ref())?))
    }

    /// Another patient's inputs, if they were given.
    pub(super) fn reference<S: Scalar>(&self) -> Option<Vec<Tensor<S>>> {
        self.inputs.iter().map(|name| self.tensor(&format!("reference/{name}")).ok()).collect()
    }

    fn images<S: Scalar>(&self) -> Vec<Tensor<S>> {
        self.network_inputs.iter().map(Tensor::convert).collect()
    }

    fn inside<S: Scalar>(&self, p: &Parameters<'_>) -> Result<Option<Inside<S>>> {
        match p.map.get("inside") {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(words)) if words == "everywhere" => Ok(Some(Inside::Everywhere)),
            Some(Value::String(words)) if words == "foreground" => Ok(Some(Inside::Foreground)),
            Some(map @ Value::Object(_)) => Ok(Some(Inside::Given(self.per_input(map, "inside")?))),
            Some(other) => Err(Error::invalid(format!(
                "inside {other}; everywhere, foreground or a tensor per input expected"
            ))),
        }
    }

    /// Given values where they are wanted, the input's elsewhere.
    fn kept_inside<S: Scalar>(
        &self,
        tensors: Vec<Tensor<S>>,
        inside: Option<Inside<S>>,
    ) -> Result<Baseline<S>> {
        match inside {
            None | Some(Inside::Everywhere) => Ok(Baseline::Given(tensors)),
            Some(inside) => Ok(Baseline::Given(inside.keep(&self.images(), tensors)?)),
        }
    }
}

fn no_reference() -> Error {
    Error::invalid(
        "baseline reference is another patient, and none was given; name one with --reference FOLDER, or store its \
         tensors as reference/<input>",
    )
}

/// `zero`, `mean`, `noise`, `blur 2.5`, `mirror 0` or `surroundings`.
fn fill(words: &str, seed: u64) -> Result<Fill> {
    let bad = || {
        Error::invalid(format!(
            "no baseline {words:?}; zero, a number, mean, noise, blur SIGMA, mirror AXIS, surroundings, reference or a tensor \
             per input expected"
        ))
    };
    let (name, number) = words.split_once(' ').map_or((words, None), |(n, v)| (n, Some(v)));
    Ok(match (name, number) {
        ("zero", None) => Fill::Constant(0.0),
        ("mean", None) => Fill::Mean,
        ("noise", None) => Fill::Noise { seed },
        ("surroundings", None) => Fill::Surroundings,
        ("blur", Some(sigma)) => Fill::Blur(sigma.parse().map_err(|_| bad())?),
        ("mirror", Some(axis)) => Fill::Mirror(axis.parse().map_err(|_| bad())?),
        _ => return Err(bad()),
    })
}
