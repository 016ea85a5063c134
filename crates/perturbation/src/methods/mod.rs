//! The estimators, one file each, as methods beside those of the attribution crate.

mod feature_ablation;
mod feature_permutation;
mod kernel_shap;
mod lime;
mod occlusion;
mod shapley_sampling;
mod shapley_values;

pub use feature_ablation::FeatureAblation;
pub use feature_permutation::FeaturePermutation;
pub use kernel_shap::{KernelRows, KernelShap};
pub use lime::{Distance, Lime, LimeRows, Surrogate};
pub use occlusion::Occlusion;
pub use shapley_sampling::{Permutations, ShapleySampling};
pub use shapley_values::ShapleyValues;

use crate::game::finite;
use voxplain_attribution::{Fill, Network, PassSpec, Seeds};
use voxplain_tensor::{Result, Scalar};

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

/// The values of example `n` of `examples`.
fn example<S: Scalar>(tensor: &voxplain_tensor::Tensor<S>, examples: usize, n: usize) -> &[S] {
    let length = tensor.data().len() / examples;
    &tensor.data()[n * length..(n + 1) * length]
}
