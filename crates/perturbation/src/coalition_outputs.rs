//! A network's whole output for every coalition of a few features, from which any measure's Shapley values follow.

use crate::features::{Features, NO_FEATURE};
use crate::methods::every_coalition;
use crate::run::finite;
use voxplain_attribution::methods::Baseline;
use voxplain_attribution::{Fill, Network, PassSpec};
use voxplain_tensor::{Result, Scalar, Tensor};

/// The first output for every example and every coalition of at most 20 features, coalitions numbered by their bits: the
/// values of `[example][coalition]` in row-major order. Features outside a coalition have the baseline's values.
///
/// # Errors
/// Inputs, baseline or features do not fit the network, there are too many features, or an output is not finite.
pub fn coalition_outputs<S: Scalar>(
    network: &mut dyn Network<S>,
    inputs: &[Tensor<S>],
    baseline: &Baseline<S>,
    features: &Features,
) -> Result<Vec<Vec<Vec<f64>>>> {
    let examples = network.examples(inputs)?;
    baseline.check(network.graph(), inputs, examples)?;
    features.check(network, examples)?;
    let coalitions = every_coalition(features.count())?;
    let output = network.graph().outputs()[0];
    let spec = PassSpec { table: None, from: output, wanted: Vec::new(), captures: vec![output] };
    let mut all = Vec::with_capacity(examples);
    for n in 0..examples {
        let mut fill = |row: usize, what: Fill, into: &mut [S]| {
            let Fill::Input(i) = what else { return };
            baseline.fill(i, n, into);
            let x = &inputs[i].data()[n * into.len()..][..into.len()];
            for ((v, &x), &label) in into.iter_mut().zip(x).zip(features.of(i, n)) {
                if label == NO_FEATURE || coalitions[row].contains(label as usize) {
                    *v = x;
                }
            }
        };
        let mut rows: Vec<Vec<f64>> = Vec::with_capacity(coalitions.len());
        network.run(&spec, coalitions.len(), &mut fill, &mut |_, row| {
            rows.push(row.captures[0].iter().map(|v| v.to_f64()).collect());
        })?;
        rows.iter().flatten().try_for_each(|v| finite(*v))?;
        all.push(rows);
    }
    Ok(all)
}
