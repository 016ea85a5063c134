//! What PyTorch in double precision said about a network (`NAME.check.safetensors`, written by `bench/models.py`) against
//! what this program computes: the first output, and the gradient of a random linear functional of it, for inputs that
//! were not the tracing input.

use crate::{relative_error, values};
use std::collections::BTreeMap;
use voxplain::attribution::methods::{Baseline, DeepLift, IntegratedGradients, Steps};
use voxplain::attribution::{Engine, Fill, Method, Network, PassSpec, Quadrature, Rules, Target};
use voxplain::autodiff::{Composite, Device, Gradient};
use voxplain::models::Constant;
use voxplain::tensor::{Scalar, Tensor};
use voxplain::{Error, Model, Result};

/// The largest errors over all inputs, as max |got - expected| / max |expected|.
#[derive(Clone, Copy, Debug, Default)]
pub struct Parity {
    /// Of the output.
    pub output: f64,
    /// Of the gradients.
    pub gradient: f64,
}

/// Runs all examples of a check file in one batch.
///
/// # Errors
/// A tensor is missing or of another size, or the network cannot run.
pub fn compare<D: Device>(model: &Model, check: &BTreeMap<String, Constant>, device: &D) -> Result<Parity> {
    let graph = &model.graph;
    let tensor = |key: String| {
        check
            .get(&key)
            .map(values)
            .ok_or_else(|| Error::invalid(format!("the check file has no tensor {key:?}")))
    };
    let names: Vec<&str> = graph.inputs().iter().map(|&v| graph.value(v).name.as_str()).collect();
    let rows = (0..).take_while(|row| check.contains_key(&format!("{row}/output"))).count();
    let all = |part: &str| (0..rows).map(|row| tensor(format!("{row}/{part}"))).collect::<Result<Vec<_>>>();
    let inputs = names.iter().map(|n| all(&format!("input/{n}"))).collect::<Result<Vec<_>>>()?;
    let gradients = names.iter().map(|n| all(&format!("gradient/{n}"))).collect::<Result<Vec<_>>>()?;
    let (cotangents, outputs) = (all("cotangent")?, all("output")?);

    let from = graph.outputs()[0];
    let table = Rules { name: String::from("gradient"), composite: Composite::everywhere(Gradient) };
    let wanted = graph.inputs().to_vec();
    let spec = PassSpec { table: Some(&table), from, wanted, captures: vec![from] };
    let mut parity = Parity::default();
    let mut odd = None;
    Engine::new(graph, device, None).run(
        &spec,
        rows,
        &mut |row, what, into| {
            let source = match what {
                Fill::Input(i) | Fill::Reference(i) => &inputs[i][row],
                Fill::Seed => &cotangents[row],
            };
            if source.len() != into.len() {
                odd = Some(format!("{what:?} has {} values, {} are expected", source.len(), into.len()));
            }
            into.iter_mut().zip(source).for_each(|(to, &v)| *to = D::Scalar::from_f64(v));
        },
        &mut |row, found| {
            let error = |got: &[D::Scalar], expected: &[f64]| {
                relative_error(&got.iter().map(|v| v.to_f64()).collect::<Vec<_>>(), expected)
            };
            parity.output = parity.output.max(error(found.captures[0], &outputs[row]));
            for (got, expected) in found.results.iter().zip(&gradients) {
                parity.gradient = parity.gradient.max(error(got, &expected[row]));
            }
        },
    )?;
    odd.map_or(Ok(parity), |text| Err(Error::invalid(text)))
}

/// How complete DeepLift and Integrated Gradients (32 Gauss-Legendre steps) are from an input of zeros, on the first
/// input of a check file and the first class (summed over space) that the input changes: the sum of the map minus the
/// difference of the outputs, as a part of that difference, or of a thousandth of the output where the difference is
/// smaller than that.
///
/// # Errors
/// A tensor is missing, or the network cannot run.
pub fn completeness<D: Device>(
    model: &Model,
    check: &BTreeMap<String, Constant>,
    device: &D,
) -> Result<[f64; 2]> {
    let graph = &model.graph;
    let input = |&v| {
        let key = format!("0/input/{}", graph.value(v).name);
        let stored = check.get(&key).map(values);
        let stored = stored.ok_or_else(|| Error::invalid(format!("the check file has no tensor {key:?}")))?;
        Tensor::new(&graph.shape(v), stored.into_iter().map(D::Scalar::from_f64).collect())
    };
    let inputs: Vec<Tensor<D::Scalar>> = graph.inputs().iter().map(input).collect::<Result<_>>()?;
    let classes = graph.shape(graph.outputs()[0]).get(1).copied().unwrap_or(1);
    let mut engine = Engine::new(graph, device, None);
    let mut residual = |method: &dyn Method<D::Scalar>| -> Result<f64> {
        let first = |list: Option<Vec<f64>>| list.and_then(|l| l.first().copied()).unwrap_or(f64::NAN);
        for class in 0..classes {
            let found = method.attribute(&mut engine, &inputs, &Target::Class(vec![class]))?;
            let value = found.values.first().copied().unwrap_or(f64::NAN);
            let scale = first(found.differences).abs().max(1e-3 * value.abs());
            // A rectifier at the end may leave a class without any output.
            if scale > 0.0 {
                return Ok(first(found.residuals).abs() / scale);
            }
        }
        Ok(f64::NAN)
    };
    let baseline = || Baseline::Constant(0.0);
    let steps = Steps::Fixed(Quadrature::GaussLegendre, 32);
    let lift = residual(&DeepLift { baseline: baseline(), multiply_by_inputs: true })?;
    let path = residual(&IntegratedGradients { baseline: baseline(), steps, multiply_by_inputs: true })?;
    Ok([lift, path])
}
