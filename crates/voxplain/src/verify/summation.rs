//! Completeness on a real network.

use super::Measured;
use super::trial::Trial;
use voxplain_attribution::Quadrature;
use voxplain_axioms::{Arithmetic, Bench, Subject, quadrature_error, running_error};
use voxplain_tensor::{Error, Result};

/// Residual of the sum against the running error bound, with what a quadrature may miss; against the rounding of the sum
/// itself for estimators that ask for values alone.
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
    let detail = format!("sum {sum:.6}, F(x) - F(0) = {:.6}", value - reference);
    Ok(Measured::Deviation((sum - (value - reference)).abs(), bound + path, detail))
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
