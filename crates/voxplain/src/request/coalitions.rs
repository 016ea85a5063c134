//! The methods that fit or average values of coalitions: from parameters to estimators.

use super::context::Context;
use super::parameters::Parameters;
use super::perturbations::most;
use serde_json::Value;
use voxplain_perturbation::methods::{
    Banzhaf, BanzhafRows, Distance, KernelRows, KernelShap, Lime, LimeRows, Surrogate,
};
use voxplain_tensor::{Error, Result, Scalar};

impl Context<'_> {
    pub(super) fn banzhaf<S: Scalar>(&self, p: &Parameters<'_>) -> Result<Banzhaf<S>> {
        p.only_with(&["mask", "spread", "mode", "coalitions", "draws", "seed"])?;
        let (features, seed) = (self.features(p, "modality")?, self.seed_of(p)?);
        let rows = match (p.text("coalitions")?, p.choice("mode", &["reuse", "plain", "exact"])?) {
            (Some(key), _) => BanzhafRows::Given(self.coalitions(&key, &features)?),
            (None, 0) => BanzhafRows::Reuse { seed, draws: p.draws(1000, most::ROWS)? },
            (None, 1) => BanzhafRows::Plain { seed, draws: p.draws(25, most::ORDERS)? },
            (None, _) => BanzhafRows::Exact,
        };
        Ok(Banzhaf { baseline: self.baseline(p)?, features, rows })
    }

    pub(super) fn kernel_shap<S: Scalar>(&self, p: &Parameters<'_>) -> Result<KernelShap<S>> {
        p.only_with(&["mask", "spread", "mode", "coalitions", "weights", "draws", "seed"])?;
        let features = self.features(p, "modality")?;
        // As many rows as the study, or what twice identifies the scores of more features.
        let (seed, draws) = (self.seed_of(p)?, p.draws(300.max(4 * features.count()), most::ROWS)?);
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
                let rows = self.coalitions(&key("coalitions")?, &features)?;
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

    pub(super) fn lime<S: Scalar>(&self, p: &Parameters<'_>) -> Result<Lime<S>> {
        p.only_with(&[
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
            Some(key) => LimeRows::Given(self.coalitions(&key, &features)?),
            None => {
                let draws = p.draws(500.max(2 * features.count()), most::ROWS)?;
                LimeRows::Seeded { seed: self.seed_of(p)?, draws }
            }
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
