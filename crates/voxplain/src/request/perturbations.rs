//! The perturbation methods: from parameters to estimators.

use super::Request;
use super::context::Context;
use super::parameters::Parameters;
use serde_json::Value;
use voxplain_attribution::methods::Baseline;
use voxplain_perturbation::methods::{
    Donors, FeatureAblation, FeaturePermutation, Occlusion, Owen, OwenOrders, Permutations, Rise, RiseMasks,
    ShapleySampling, ShapleyValues, Sobol, SobolPoints,
};
use voxplain_perturbation::{Budget, Coalition, Estimator, Features, Sharing};
use voxplain_tensor::{Error, Result, Scalar, Tensor};

/// Parameters of every estimator.
const COMMON: [&str; 4] = ["baseline", "inside", "budget", "save_draws"];

/// What an estimator draws at most where a budget says when to end and the request not how much to draw.
pub(super) mod most {
    pub const ORDERS: usize = 4096;
    pub const ROWS: usize = 20_000;
    pub const MASKS: usize = 100_000;
    pub const POINTS: usize = 4096;
}

impl Parameters<'_> {
    /// Refuses parameters that are neither those of every estimator nor the method's own.
    pub(super) fn only_with(&self, own: &[&str]) -> Result<()> {
        self.only(&[own, &COMMON].concat())
    }

    /// How much to draw: as asked, or as much as a budget allows up to `most`, or `default`.
    pub(super) fn draws(&self, default: usize, most: usize) -> Result<usize> {
        let open = self.map.get("budget").is_some_and(|b| !b.is_null());
        Ok(self.count("draws")?.unwrap_or(if open { most } else { default }))
    }
}

impl Request {
    /// The budget, without bounds where there is none.
    ///
    /// # Errors
    /// It is not understood; the message names the request.
    pub fn budget(&self) -> Result<Budget> {
        let parsed = match self.params.get("budget") {
            None | Some(Value::Null) => Ok(Budget::default()),
            Some(Value::String(words)) => Budget::parse(words),
            Some(other) => Budget::parse(&other.to_string()),
        };
        parsed.map_err(|e| e.within(format!("request {:?}", self.id)))
    }
}

impl Context<'_> {
    /// The perturbation method of that name, if it is one.
    pub(super) fn perturbation_method<S: Scalar>(
        &self,
        method: &str,
        p: &Parameters<'_>,
    ) -> Result<Option<Box<dyn Estimator<S>>>> {
        Ok(Some(match method {
            "occlusion" => Box::new(self.occlusion(p)?),
            "feature_ablation" => {
                p.only_with(&["mask", "spread"])?;
                Box::new(FeatureAblation { baseline: self.baseline(p)?, features: self.features(p, "each")? })
            }
            "feature_permutation" => Box::new(self.feature_permutation(p)?),
            "shapley_values" => {
                p.only_with(&["mask", "spread"])?;
                let features = self.features(p, "modality")?;
                Box::new(ShapleyValues { baseline: self.baseline(p)?, features })
            }
            "shapley_sampling" => Box::new(self.shapley_sampling(p)?),
            "owen" => Box::new(self.owen(p)?),
            "banzhaf" => Box::new(self.banzhaf(p)?),
            "kernel_shap" => Box::new(self.kernel_shap(p)?),
            "lime" => Box::new(self.lime(p)?),
            "rise" => Box::new(self.rise(p)?),
            "sobol" => Box::new(self.sobol(p)?),
            _ => return Ok(None),
        }))
    }

    /// The estimator of a request, if its method is one.
    ///
    /// # Errors
    /// A parameter is unknown or does not fit; the message names the request.
    pub fn estimator<S: Scalar>(&self, request: &Request) -> Result<Option<Box<dyn Estimator<S>>>> {
        let made = self.perturbation_method(&request.method, &Parameters { map: &request.params });
        made.map_err(|e| e.within(format!("request {:?}", request.id)))
    }

    /// The baseline of a request.
    ///
    /// # Errors
    /// As [`Context::method`].
    pub(crate) fn baseline_of<S: Scalar>(&self, request: &Request) -> Result<Baseline<S>> {
        self.baseline(&Parameters { map: &request.params })
    }

    pub(super) fn seed_of(&self, p: &Parameters<'_>) -> Result<u64> {
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
        p.only_with(&["window", "strides"])?;
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
    pub(super) fn matrix(&self, key: &str) -> Result<Vec<Vec<f64>>> {
        let tensor: Tensor<f64> = self.tensor(key)?;
        if tensor.shape().rank() != 2 {
            return Err(Error::invalid(format!("tensor {key:?} of shape {} must have rows", tensor.shape())));
        }
        Ok((0..tensor.rows()).map(|r| tensor.row(r).to_vec()).collect())
    }

    /// Rows of a stored matrix of whole numbers.
    fn whole(&self, key: &str) -> Result<Vec<Vec<usize>>> {
        let one = |v: f64| match v >= 0.0 && v < 2f64.powi(53) && v.fract() == 0.0 {
            true => Ok(v as usize),
            false => Err(Error::invalid(format!("tensor {key:?} holds {v}; whole numbers from 0 expected"))),
        };
        self.matrix(key)?.into_iter().map(|row| row.into_iter().map(one).collect()).collect()
    }

    pub(super) fn coalitions(&self, key: &str, features: &Features) -> Result<Vec<Coalition>> {
        let (rows, count) = (self.matrix(key)?, features.count());
        let width = rows.first().map_or(0, Vec::len);
        let binary = rows.iter().flatten().all(|v| *v == 0.0 || *v == 1.0);
        match features.columns(width).filter(|_| binary) {
            Some(at) => Ok(rows.iter().map(|r| Coalition::of(count, |f| r[at[f]] == 1.0)).collect()),
            None => Err(Error::invalid(format!(
                "tensor {key:?}: rows of {count} zeros and ones expected, they have {width} entries{}",
                if binary { "" } else { ", not all 0 or 1" }
            ))),
        }
    }

    /// Stored orders, of features or of all numbers that a mask could have had.
    fn orders(&self, key: &str, features: &Features) -> Result<Vec<Vec<usize>>> {
        let rows = self.whole(key)?;
        let Some(at) = features.columns(rows.first().map_or(0, Vec::len)) else { return Ok(rows) };
        let place = |column: &usize| at.iter().position(|c| c == column);
        Ok(rows.iter().map(|row| row.iter().filter_map(place).collect()).collect())
    }

    /// Another patient, named by `--reference` or as the tensors `reference/<input>`, joins the batch.
    fn feature_permutation<S: Scalar>(&self, p: &Parameters<'_>) -> Result<FeaturePermutation<S>> {
        p.only_with(&["mask", "spread", "seed", "draws", "permutations"])?;
        let donors = match p.text("permutations")? {
            Some(key) => Donors::Given(self.whole(&key)?),
            None => Donors::Seeded { seed: self.seed_of(p)?, draws: p.draws(5, most::ORDERS)? },
        };
        let others = self.reference().unwrap_or_default();
        Ok(FeaturePermutation { features: self.features(p, "modality")?, donors, others })
    }

    fn permutations(&self, p: &Parameters<'_>, features: &Features) -> Result<Permutations> {
        Ok(match p.text("permutations")? {
            Some(key) => Permutations::Given(self.orders(&key, features)?),
            None => Permutations::Seeded {
                seed: self.seed_of(p)?,
                draws: p.draws(26, most::ORDERS)?,
                antithetic: p.flag("antithetic", true)?,
            },
        })
    }

    fn shapley_sampling<S: Scalar>(&self, p: &Parameters<'_>) -> Result<ShapleySampling<S>> {
        p.only_with(&["mask", "spread", "permutations", "draws", "antithetic", "seed"])?;
        let features = self.features(p, "modality")?;
        let permutations = self.permutations(p, &features)?;
        Ok(ShapleySampling { baseline: self.baseline(p)?, features, permutations })
    }

    fn owen<S: Scalar>(&self, p: &Parameters<'_>) -> Result<Owen<S>> {
        p.only_with(&["mask", "spread", "mode", "permutations", "draws", "antithetic", "seed"])?;
        let features = self.features(p, "slic")?;
        let orders = match p.choice("mode", &["sampled", "exact"])? {
            0 => OwenOrders::Sampled(self.permutations(p, &features)?),
            _ => OwenOrders::Exact,
        };
        Ok(Owen { baseline: self.baseline(p)?, features, orders })
    }

    fn rise<S: Scalar>(&self, p: &Parameters<'_>) -> Result<Rise<S>> {
        p.only_with(&["cells", "probability", "sharing", "centred", "masks", "shifts", "draws", "seed"])?;
        let masks = match (p.text("masks")?, p.text("shifts")?) {
            (Some(cells), Some(shifts)) => {
                RiseMasks::Given { cells: self.tensor(&cells)?, shifts: self.tensor(&shifts)? }
            }
            (None, None) => RiseMasks::Seeded { seed: self.seed_of(p)?, draws: p.draws(2000, most::MASKS)? },
            _ => return Err(Error::invalid("given masks need both tensors, masks and shifts")),
        };
        Ok(Rise {
            baseline: self.baseline(p)?,
            cells: p.count("cells")?.unwrap_or(7),
            probability: p.number("probability")?.unwrap_or(0.5),
            sharing: [Sharing::Own, Sharing::Joint][p.choice("sharing", &["own", "joint"])?],
            centred: p.flag("centred", true)?,
            masks,
        })
    }

    fn sobol<S: Scalar>(&self, p: &Parameters<'_>) -> Result<Sobol<S>> {
        p.only_with(&["mask", "spread", "points", "draws", "seed"])?;
        let points = match p.text("points")? {
            Some(key) => SobolPoints::Given(self.matrix(&key)?),
            None => SobolPoints::Seeded { seed: self.seed_of(p)?, draws: p.draws(64, most::POINTS)? },
        };
        Ok(Sobol { baseline: self.baseline(p)?, features: self.features(p, "modality")?, points })
    }
}
