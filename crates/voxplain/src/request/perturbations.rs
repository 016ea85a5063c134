//! The perturbation methods: from parameters to methods.

use super::context::Context;
use super::parameters::Parameters;
use serde_json::Value;
use voxplain_attribution::Method;
use voxplain_perturbation::Coalition;
use voxplain_perturbation::methods::{
    Distance, FeatureAblation, FeaturePermutation, KernelRows, KernelShap, Lime, LimeRows, Occlusion,
    Permutations, ShapleySampling, ShapleyValues, Surrogate,
};
use voxplain_tensor::{Error, Result, Scalar, Tensor};

impl Context<'_> {
    /// The perturbation method of that name, if it is one.
    pub(super) fn perturbation_method<S: Scalar>(
        &self,
        method: &str,
        p: &Parameters<'_>,
    ) -> Result<Option<Box<dyn Method<S>>>> {
        Ok(Some(match method {
            "occlusion" => Box::new(self.occlusion(p)?),
            "feature_ablation" => {
                p.only(&["baseline", "mask", "spread"])?;
                Box::new(FeatureAblation { baseline: self.baseline(p)?, features: self.features(p, "each")? })
            }
            "feature_permutation" => {
                p.only(&["mask", "spread", "seed"])?;
                Box::new(FeaturePermutation {
                    features: self.features(p, "modality")?,
                    seed: self.seed_of(p)?,
                })
            }
            "shapley_values" => {
                p.only(&["baseline", "mask", "spread"])?;
                let features = self.features(p, "modality")?;
                Box::new(ShapleyValues { baseline: self.baseline(p)?, features })
            }
            "shapley_sampling" => Box::new(self.shapley_sampling(p)?),
            "kernel_shap" => Box::new(self.kernel_shap(p)?),
            "lime" => Box::new(self.lime(p)?),
            _ => return Ok(None),
        }))
    }

    fn seed_of(&self, p: &Parameters<'_>) -> Result<u64> {
        Ok(p.count("seed")?.map_or(self.seed, |s| s as u64))
    }

    /// Numbers per input, from `{input: [..]}` or one list for all inputs.
    fn numbers(&self, p: &Parameters<'_>, key: &str) -> Result<Option<Vec<Vec<usize>>>> {
        let Some(value) = p.map.get(key).filter(|v| !v.is_null()) else { return Ok(None) };
        let bad = || {
            Error::invalid(format!("{key} must be a list of whole numbers, or one for every input by name"))
        };
        let list = |v: &Value| -> Result<Vec<usize>> {
            let items = v.as_array().ok_or_else(bad)?;
            items.iter().map(|n| n.as_u64().map(|n| n as usize).ok_or_else(bad)).collect()
        };
        match value {
            Value::Object(map) => {
                let one = |name: &String| list(map.get(name).ok_or_else(bad)?);
                self.inputs.iter().map(one).collect::<Result<_>>().map(Some)
            }
            other => Ok(Some(vec![list(other)?; self.inputs.len()])),
        }
    }

    /// By default windows of 11 entries along every spatial axis at steps of 5, in one modality at a time, as the study
    /// of Jin et al. used them.
    fn occlusion<S: Scalar>(&self, p: &Parameters<'_>) -> Result<Occlusion<S>> {
        p.only(&["baseline", "window", "strides"])?;
        let default = |size: usize| -> Vec<Vec<usize>> {
            let one = |&v| {
                let shape = self.graph.shape(v);
                let axis = |a: usize| if a == 1 { 1 } else { size.min(shape[a]) };
                (1..shape.rank()).map(axis).collect()
            };
            self.graph.inputs().iter().map(one).collect()
        };
        let window = self.numbers(p, "window")?.unwrap_or_else(|| default(11));
        let strides = self.numbers(p, "strides")?.unwrap_or_else(|| default(5));
        Ok(Occlusion { baseline: self.baseline(p)?, window, strides })
    }

    /// Rows of a stored matrix.
    fn matrix(&self, key: &str) -> Result<Vec<Vec<f64>>> {
        let tensor: Tensor<f64> = self.tensor(key)?;
        if tensor.shape().rank() != 2 {
            return Err(Error::invalid(format!("tensor {key:?} of shape {} must have rows", tensor.shape())));
        }
        Ok((0..tensor.rows()).map(|r| tensor.row(r).to_vec()).collect())
    }

    fn coalitions(&self, key: &str, features: usize) -> Result<Vec<Coalition>> {
        let rows = self.matrix(key)?;
        match rows.iter().find(|r| r.len() != features || r.iter().any(|v| *v != 0.0 && *v != 1.0)) {
            None => Ok(rows.iter().map(|r| Coalition::of(features, |f| r[f] == 1.0)).collect()),
            Some(row) => Err(Error::invalid(format!(
                "tensor {key:?}: rows of {features} zeros and ones expected, one has {} entries",
                row.len()
            ))),
        }
    }

    fn shapley_sampling<S: Scalar>(&self, p: &Parameters<'_>) -> Result<ShapleySampling<S>> {
        p.only(&["baseline", "mask", "spread", "permutations", "draws", "antithetic", "seed"])?;
        let permutations = match p.text("permutations")? {
            Some(key) => {
                let order = |row: Vec<f64>| row.into_iter().map(|v| v as usize).collect();
                Permutations::Given(self.matrix(&key)?.into_iter().map(order).collect())
            }
            None => Permutations::Seeded {
                seed: self.seed_of(p)?,
                draws: p.count("draws")?.unwrap_or(26),
                antithetic: p.flag("antithetic", true)?,
            },
        };
        Ok(ShapleySampling {
            baseline: self.baseline(p)?,
            features: self.features(p, "modality")?,
            permutations,
        })
    }

    fn kernel_shap<S: Scalar>(&self, p: &Parameters<'_>) -> Result<KernelShap<S>> {
        p.only(&["baseline", "mask", "spread", "mode", "coalitions", "weights", "draws", "seed"])?;
        let features = self.features(p, "modality")?;
        let (seed, draws) = (self.seed_of(p)?, p.count("draws")?.unwrap_or(300));
        let stored = p.map.contains_key("coalitions");
        let mode = p.text("mode")?.unwrap_or_else(|| if stored { "sampled" } else { "leverage" }.into());
        let rows = match mode.as_str() {
            "exact" => KernelRows::Exact,
            "leverage" => KernelRows::Leverage { seed, draws },
            "captum" => KernelRows::Captum { seed, draws },
            "sampled" => {
                let key = |name: &str| {
                    let key = p.text(name)?;
                    key.ok_or_else(|| Error::invalid(format!("mode sampled needs a tensor {name}")))
                };
                let rows = self.coalitions(&key("coalitions")?, features.count())?;
                KernelRows::Given(rows, self.tensor::<f64>(&key("weights")?)?.data().to_vec())
            }
            other => {
                return Err(Error::invalid(format!(
                    "no mode {other:?}; exact, leverage, captum or sampled expected"
                )));
            }
        };
        Ok(KernelShap { baseline: self.baseline(p)?, features, rows })
    }

    fn lime<S: Scalar>(&self, p: &Parameters<'_>) -> Result<Lime<S>> {
        p.only(&[
            "baseline",
            "mask",
            "spread",
            "coalitions",
            "distance",
            "kernel_width",
            "surrogate",
            "draws",
            "seed",
        ])?;
        let features = self.features(p, "modality")?;
        let rows = match p.text("coalitions")? {
            Some(key) => LimeRows::Given(self.coalitions(&key, features.count())?),
            None => LimeRows::Seeded { seed: self.seed_of(p)?, draws: p.count("draws")?.unwrap_or(500) },
        };
        let distance = match p.text("distance")?.as_deref() {
            None | Some("cosine") => Distance::Cosine,
            Some("euclidean") => Distance::Euclidean,
            Some(other) => {
                return Err(Error::invalid(format!("no distance {other:?}; cosine or euclidean expected")));
            }
        };
        Ok(Lime {
            baseline: self.baseline(p)?,
            features,
            rows,
            distance,
            kernel_width: p.number("kernel_width")?.unwrap_or(1.0),
            surrogate: surrogate(p)?,
        })
    }
}

/// `{"model": "ols"}`, or `ridge` and `lasso` with `alpha`.
fn surrogate(p: &Parameters<'_>) -> Result<Surrogate> {
    let Some(value) = p.map.get("surrogate") else { return Ok(Surrogate::LeastSquares) };
    let name = value.get("model").unwrap_or(value).as_str().unwrap_or_default();
    let alpha = || {
        let alpha = value.get("alpha").and_then(Value::as_f64).filter(|a| *a >= 0.0);
        alpha.ok_or_else(|| Error::invalid(format!("surrogate {name:?} needs alpha, a number from 0")))
    };
    match name {
        "ols" => Ok(Surrogate::LeastSquares),
        "ridge" => Ok(Surrogate::Ridge(alpha()?)),
        "lasso" => Ok(Surrogate::Lasso(alpha()?)),
        _ => Err(Error::invalid(format!("no surrogate {value}; ols, ridge or lasso expected"))),
    }
}
