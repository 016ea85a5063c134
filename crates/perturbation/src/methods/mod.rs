//! The estimators, one file each, as methods beside those of the attribution crate.

mod feature_ablation;
mod feature_permutation;
mod kernel_shap;
mod lime;
mod occlusion;
mod shapley_sampling;
mod shapley_values;
mod xrai;

pub use feature_ablation::FeatureAblation;
pub use feature_permutation::FeaturePermutation;
pub use kernel_shap::{KernelRows, KernelShap};
pub use lime::{Distance, Lime, LimeRows, Surrogate};
pub use occlusion::Occlusion;
pub use shapley_sampling::{Permutations, ShapleySampling};
pub use shapley_values::ShapleyValues;
pub use xrai::Xrai;

use crate::features::Features;
use crate::game::finite;
use crate::paint::{maps, scored};
use voxplain_attribution::{Attribution, Fill, Network, PassSpec, Seeds, Target};
use voxplain_tensor::{Result, Scalar, Tensor};

/// The explained value of `rows` inputs of example `n` that `fill(row, input, into)` writes.
fn scores<S: Scalar>(
    network: &mut dyn Network<S>,
    seeds: &Seeds<S>,
    n: usize,
    rows: usize,
    fill: &mut dyn FnMut(usize, usize, &mut [S]),
) -> Result<Vec<f64>> {
    let spec = PassSpec { table: None, from: seeds.from, wanted: Vec::new(), captures: vec![seeds.from] };
    let mut values = Vec::with_capacity(rows);
    let mut write = |row: usize, what: Fill, into: &mut [S]| {
        if let Fill::Input(i) = what {
            fill(row, i, into);
        }
    };
    network.run(&spec, rows, &mut write, &mut |_, row| values.push(seeds.value(n, row.captures[0])))?;
    finite(&values)?;
    Ok(values)
}

/// What is lost when one feature at a time has other values, for every feature that an example has:
/// `F(x) - F(x with the feature as in other)`, `other(example, feature, input)` being one example of that input.
fn one_at_a_time<'o, S: Scalar>(
    network: &mut dyn Network<S>,
    inputs: &[Tensor<S>],
    features: &Features,
    target: &Target,
    other: &dyn Fn(usize, usize, usize) -> &'o [S],
) -> Result<Attribution<S>> {
    let examples = network.examples(inputs)?;
    features.check(network, examples)?;
    let seeds = network.seeds(target, inputs)?;
    let (mut found, mut values, mut passes) = (Vec::new(), Vec::new(), 0);
    for n in 0..examples {
        let (present, entries) = (features.present(n), features.entries(n));
        let changed = scores(network, &seeds, n, present.len() + 1, &mut |row, i, into| {
            into.copy_from_slice(example(&inputs[i], examples, n));
            // The last row is the input itself.
            let Some(&feature) = present.get(row) else { return };
            let values = other(n, feature, i);
            let own = entries[feature].iter().filter(|(input, _)| *input as usize == i);
            own.for_each(|&(_, at)| into[at as usize] = values[at as usize]);
        })?;
        let whole = changed[present.len()];
        let mut row = vec![0.0; features.count()];
        present.iter().zip(&changed).for_each(|(&f, value)| row[f] = whole - value);
        found.push(row);
        values.push(whole);
        passes += present.len() as u64 + 1;
    }
    Ok(Attribution {
        maps: maps(network.graph(), features, &found)?,
        values,
        residuals: None,
        differences: None,
        forward_passes: passes,
        backward_passes: 0,
        notes: vec![features.note()],
        ledger: None,
        scores: Some(scored(network.graph(), features, found, None)),
    })
}

/// The values of example `n` of `examples`.
fn example<S: Scalar>(tensor: &Tensor<S>, examples: usize, n: usize) -> &[S] {
    let length = tensor.data().len() / examples;
    &tensor.data()[n * length..(n + 1) * length]
}
