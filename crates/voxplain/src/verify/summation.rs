//! Completeness on a real network.

use super::Measured;
use super::trial::Trial;
use voxplain_attribution::Quadrature;
use voxplain_axioms::{Arithmetic, Bench, Subject, quadrature_error, running_error};
use voxplain_tensor::{Error, Result};

/// Residual of the sum against the running error bound with what a quadrature may miss, as far as these tell anything; against
/// the rounding of the sum itself for estimators that ask for values alone.
pub fn completeness(trial: &Trial<'_>) -> Result<Measured> {
    let first = |list: &Option<Vec<f64>>| list.as_ref().and_then(|l| l.first().copied());
    if let (Some(scores), Some(residual)) = (&trial.found.scores, first(&trial.found.residuals)) {
        let size: f64 =
            scores.values.iter().flatten().map(|s| s.abs()).sum::<f64>() + trial.found.values[0].abs();
        // Every evaluation enters with a weight of at most 1, in double precision.
        let limit = trial.found.forward_passes as f64 * 8.0 * f64::EPSILON * size;
        return Ok(Measured::Deviation(residual.abs(), limit, String::from("sum of the scores")));
    }
    if !trial.zero_baseline {
        return Ok(from_own_reference(trial, first(&trial.found.residuals)));
    }
    let problem = trial.problem();
    let machine = &trial.explainer.machine;
    let subject = Subject::new(trial.name.clone(), Arithmetic::SignalTimesInput, |_| {
        Err(Error::internal("values are asked for, not maps"))
    });
    let bench = Bench { device: machine, subject: &subject };
    let (value, reference) = (bench.value(&problem, &problem.x)?, bench.value(&problem, &problem.r)?);
    let sum: f64 = trial.base.iter().flatten().sum();
    let bound = match running_error::bound(machine, &problem) {
        Ok(bound) => bound,
        Err(error) => return Ok(Measured::Nothing(format!("no bound for this network: {error}"))),
    };
    let path = match trial.name.as_str() {
        "integrated_gradients" => quadrature_error(&bench, &problem, &nodes(trial)?, FINER)?,
        _ => 0.0,
    };
    let difference = value - reference;
    let detail = format!("sum {sum:.6}, F(x) - F(0) = {difference:.6}");
    let limit = (bound + path).min(telling(trial, value, reference)?);
    Ok(Measured::Deviation((sum - difference).abs(), limit, detail))
}

/// A bound that a steep network makes as large as the difference itself would forgive a map that misses all of it. So no more
/// than the first part of the difference may be missing, or the second of the values that it is between, unless rounding is seen
/// to move the map by more.
const MISSING: [f64; 2] = [0.05, 0.005];

/// The largest residual that still tells a complete map from another.
fn telling(trial: &Trial<'_>, value: f64, reference: f64) -> Result<f64> {
    let size: f64 = trial.base.iter().flatten().map(|v| v.abs()).sum();
    let missing = MISSING[0] * (value - reference).abs();
    let negligible = MISSING[1] * value.abs().max(reference.abs());
    Ok(missing.max(negligible).max(trial.control()? * size))
}

/// Points per node at which the variation of the integrand is taken.
const FINER: usize = 4;

/// Gauss-Legendre nodes, as many as the method ran.
fn nodes(trial: &Trial<'_>) -> Result<Vec<(f64, f64)>> {
    Quadrature::GaussLegendre.nodes((trial.found.backward_passes as usize).max(1))
}

/// With a baseline of the user's own the method's residual is shown; its bound is not known here.
fn from_own_reference(trial: &Trial<'_>, residual: Option<f64>) -> Measured {
    match residual {
        Some(residual) => {
            let numbers = serde_json::json!({ "residual": residual, "differences": trial.found.differences });
            Measured::Numbers(format!("residual {residual:.2e} from the stated baseline"), numbers)
        }
        None => Measured::Nothing(String::from("the method states no residual from this baseline")),
    }
}
