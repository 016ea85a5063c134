//! The gradient, CAM and DeepLift families: from parameters to methods.

use super::context::Context;
use super::parameters::Parameters;
use serde_json::{Map, Value};
use voxplain_attribution::methods::{
    Backward, Cam, CamWeights, DeepLift, DeepLiftShap, GradientShap, GuidedGradCam, IntegratedGradients,
    ShapDraws, Smooth, Statistic, Steps,
};
use voxplain_attribution::{Draws, Interpolation, Method, Quadrature};
use voxplain_tensor::{Error, Result, Scalar, Tensor};

impl Context<'_> {
    /// The gradient, CAM or DeepLift method of that name, if it is one.
    pub(super) fn gradient_method<S: Scalar>(
        &self,
        method: &str,
        p: &Parameters<'_>,
    ) -> Result<Option<Box<dyn Method<S>>>> {
        Ok(Some(match method {
            "saliency" | "gradient" => {
                p.only(&["abs"])?;
                Box::new(Backward::saliency(p.flag("abs", false)?))
            }
            "input_x_gradient" => p.none(Box::new(Backward::input_x_gradient()))?,
            "guided_backprop" => p.none(Box::new(Backward::guided_backprop()))?,
            "deconvolution" => p.none(Box::new(Backward::deconvolution()))?,
            "integrated_gradients" => Box::new(self.integrated_gradients(p)?),
            "gradient_shap" | "expected_gradients" => Box::new(self.gradient_shap(p)?),
            "smoothgrad" => self.smooth(p, Statistic::Mean)?,
            "smoothgrad_sq" => self.smooth(p, Statistic::MeanOfSquares)?,
            "vargrad" => self.smooth(p, Statistic::Variance)?,
            "deeplift" => {
                p.only(&["baseline", "multiply_by_inputs", "eps"])?;
                let (baseline, multiply_by_inputs) = (self.baseline(p)?, p.flag("multiply_by_inputs", true)?);
                Box::new(DeepLift { baseline, multiply_by_inputs })
            }
            "deeplift_shap" => {
                p.only(&["baseline", "baselines", "multiply_by_inputs", "eps"])?;
                let baselines = self.baselines(p.map.get("baselines").or(p.map.get("baseline")))?;
                let multiply_by_inputs = p.flag("multiply_by_inputs", true)?;
                Box::new(DeepLiftShap { baselines, multiply_by_inputs })
            }
            "gradcam" => Box::new(self.cam(p, CamWeights::GradCam)?),
            "hirescam" => Box::new(self.cam(p, CamWeights::HiResCam)?),
            "layercam" => Box::new(self.cam(p, CamWeights::LayerCam)?),
            "gradcam_plus_plus" => Box::new(self.cam(p, CamWeights::GradCamPlusPlus)?),
            "guided_gradcam" => {
                p.only(&["layer", "interpolate"])?;
                let interpolation =
                    Interpolation::parse(&p.text("interpolate")?.unwrap_or_else(|| "nearest".into()))?;
                Box::new(GuidedGradCam { layer: self.layer(p)?, interpolation })
            }
            _ => return Ok(None),
        }))
    }

    fn layer(&self, p: &Parameters<'_>) -> Result<String> {
        let default = self.cam_layer.map(String::from);
        p.text("layer")?.or(default).ok_or_else(|| {
            Error::invalid("class activation maps need a layer (--set layer=NAME); inspect lists the layers")
        })
    }

    fn cam(&self, p: &Parameters<'_>, weights: CamWeights) -> Result<Cam> {
        p.only(&["layer", "relu", "interpolate"])?;
        let interpolation = p.text("interpolate")?.map(|name| Interpolation::parse(&name)).transpose()?;
        Ok(Cam { layer: self.layer(p)?, weights, relu: p.flag("relu", false)?, interpolation })
    }

    /// Rows of baselines for every input; one row of zeros where none are given.
    fn baselines<S: Scalar>(&self, value: Option<&Value>) -> Result<Vec<Tensor<S>>> {
        let zero = |x: &Tensor<f32>| Ok(Tensor::zeros(x.shape().with(0, 1)?));
        match value {
            Some(map) => self.per_input(map, "baselines"),
            None => self.network_inputs.iter().map(zero).collect(),
        }
    }

    fn integrated_gradients<S: Scalar>(&self, p: &Parameters<'_>) -> Result<IntegratedGradients<S>> {
        p.only(&["baseline", "multiply_by_inputs", "n_steps", "steps", "quadrature", "tolerance"])?;
        let n = p.count("n_steps")?.or(p.count("steps")?);
        let steps = match p.number("tolerance")? {
            Some(tolerance) => Steps::Adaptive { tolerance, most: n.unwrap_or(512) },
            None => {
                let quadrature = p.text("quadrature")?.unwrap_or_else(|| "gausslegendre".into());
                Steps::Fixed(Quadrature::parse(&quadrature)?, n.unwrap_or(50))
            }
        };
        let multiply_by_inputs = p.flag("multiply_by_inputs", true)?;
        Ok(IntegratedGradients { baseline: self.baseline(p)?, steps, multiply_by_inputs })
    }

    fn gradient_shap<S: Scalar>(&self, p: &Parameters<'_>) -> Result<GradientShap<S>> {
        p.only(&["baselines", "baseline_index", "alpha", "noise", "draws", "sigma", "seed"])?;
        let draws = p.count("draws")?.unwrap_or(5);
        let seed = p.count("seed")?.map_or(self.seed, |s| s as u64);
        let baselines = self.baselines(p.map.get("baselines"))?;
        let given = match (p.text("baseline_index")?, p.text("alpha")?) {
            (Some(index), Some(alpha)) => {
                let rows = |t: Tensor<f64>| (0..t.rows()).map(|k| t.row(k).to_vec()).collect::<Vec<_>>();
                let baseline = rows(self.tensor(&index)?);
                let baseline =
                    baseline.into_iter().map(|r| r.into_iter().map(|v| v as usize).collect()).collect();
                Some(ShapDraws::Given { baseline, alpha: rows(self.tensor(&alpha)?) })
            }
            (None, None) => None,
            _ => return Err(Error::invalid("baseline_index and alpha must be given together")),
        };
        let noise = match (p.map.get("noise"), p.number("sigma")?) {
            (Some(map), _) => Some(Draws::Given(self.per_input(map, "noise")?)),
            (None, Some(sigma)) => Some(Draws::Seeded { seed, draws, sigma: vec![sigma] }),
            (None, None) => None,
        };
        Ok(GradientShap { baselines, draws: given.unwrap_or(ShapDraws::Seeded { seed, draws }), noise })
    }

    fn smooth<S: Scalar>(&self, p: &Parameters<'_>, statistic: Statistic) -> Result<Box<dyn Method<S>>> {
        p.only(&["noise", "base", "base_params", "draws", "sigma", "seed"])?;
        let base = p.text("base")?.unwrap_or_else(|| "saliency".into());
        let empty = Map::new();
        let params = p.map.get("base_params").and_then(Value::as_object).unwrap_or(&empty);
        let base = if base == "saliency" && params.is_empty() {
            Box::new(Backward::saliency(false))
        } else {
            self.named(&base, params).map_err(|e| e.within("base"))?
        };
        let draws = match p.map.get("noise") {
            Some(map) => Draws::Given(self.per_input(map, "noise")?),
            None => Draws::Seeded {
                seed: p.count("seed")?.map_or(self.seed, |s| s as u64),
                draws: p.count("draws")?.unwrap_or(10),
                sigma: vec![p.number("sigma")?.unwrap_or(1.0)],
            },
        };
        Ok(Box::new(Smooth { base, draws, statistic }))
    }
}
