//! Methods that walk a path: from parameters to methods.

use super::context::Context;
use super::parameters::Parameters;
use super::rules::extremes;
use serde_json::{Map, Value};
use voxplain_attribution::methods::path::{BlurPath, GuidedPath, Path, StraightPath};
use voxplain_attribution::methods::{Baseline, BlurIg, GuidedIg, Idgi, IntegratedGradients, Steps};
use voxplain_attribution::{Method, Quadrature};
use voxplain_perturbation::methods::Xrai;
use voxplain_tensor::{Error, Result, Scalar};

const GUIDED: [&str; 5] = ["baseline", "steps", "fraction", "distance", "mask"];
const BLUR: [&str; 2] = ["sigma", "steps"];

impl Context<'_> {
    /// The path method of that name, if it is one.
    pub(super) fn path_method<S: Scalar>(
        &self,
        method: &str,
        p: &Parameters<'_>,
    ) -> Result<Option<Box<dyn Method<S>>>> {
        Ok(Some(match method {
            "guided_ig" => {
                p.only(&GUIDED)?;
                Box::new(GuidedIg(self.guided(p)?))
            }
            "blur_ig" => {
                p.only(&BLUR)?;
                Box::new(BlurIg(blurred(p)?))
            }
            "idgi" => {
                let which = p.choice("path", &["straight", "guided", "blur"])?;
                let known: &[&str] = [&["baseline", "steps", "mask"][..], &GUIDED, &BLUR][which];
                p.only(&[&["path"], known].concat())?;
                let path: Box<dyn Path> = match which {
                    0 => Box::new(StraightPath { baseline: self.baseline(p)?, steps: steps(p, 50)? }),
                    1 => Box::new(self.guided(p)?),
                    _ => Box::new(blurred(p)?),
                };
                Box::new(Idgi { path })
            }
            "xrai" => Box::new(self.xrai(p)?),
            _ => return Ok(None),
        }))
    }

    fn guided(&self, p: &Parameters<'_>) -> Result<GuidedPath> {
        Ok(GuidedPath {
            baseline: self.baseline(p)?,
            steps: steps(p, 200)?,
            fraction: p.number("fraction")?.unwrap_or(0.25),
            distance: p.number("distance")?.unwrap_or(0.02),
        })
    }

    /// By default over Integrated Gradients from the darkest and from the brightest value of every channel.
    fn xrai<S: Scalar>(&self, p: &Parameters<'_>) -> Result<Xrai<S>> {
        p.only(&["base", "base_params", "steps", "mask", "scales"])?;
        let empty = Map::new();
        let params = p.map.get("base_params").and_then(Value::as_object).unwrap_or(&empty);
        let bases = match p.text("base")? {
            Some(base) => vec![self.named(&base, params).map_err(|e| e.within("base"))?],
            None => {
                let steps = Steps::Fixed(Quadrature::GaussLegendre, steps(p, 50)?);
                let from = |largest: bool| -> Result<Box<dyn Method<S>>> {
                    let baseline = Baseline::Given(extremes(self.network_inputs, largest)?);
                    Ok(Box::new(IntegratedGradients { baseline, steps, multiply_by_inputs: true }))
                };
                vec![from(false)?, from(true)?]
            }
        };
        Ok(Xrai { bases, partitions: self.partitions(p)? })
    }

    /// The regions of `mask`, or supervoxels of every number of segments in `scales`.
    fn partitions(&self, p: &Parameters<'_>) -> Result<Vec<voxplain_perturbation::Features>> {
        let Some(scales) = p.map.get("scales") else { return Ok(vec![self.features(p, "slic")?]) };
        let bad = || Error::invalid("scales must be a list of numbers of segments, as [30, 100]");
        let scales = scales.as_array().filter(|list| !list.is_empty()).ok_or_else(bad)?;
        let one = |scale: &Value| {
            let words = format!("slic segments={}", scale.as_u64().filter(|n| *n > 0).ok_or_else(bad)?);
            let map = Map::from_iter([(String::from("mask"), Value::from(words))]);
            self.features(&Parameters { map: &map }, "slic")
        };
        scales.iter().map(one).collect()
    }
}

fn steps(p: &Parameters<'_>, default: usize) -> Result<usize> {
    match p.count("steps")?.unwrap_or(default) {
        0 => Err(Error::invalid("steps 0; at least one expected")),
        n => Ok(n),
    }
}

fn blurred(p: &Parameters<'_>) -> Result<BlurPath> {
    Ok(BlurPath { sigma: p.number("sigma")?.unwrap_or(10.0), steps: steps(p, 50)? })
}
