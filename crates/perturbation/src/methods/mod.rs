//! The estimators, one file each, as methods beside those of the attribution crate.

mod banzhaf;
mod feature_ablation;
mod feature_permutation;
mod kernel_shap;
mod lime;
mod occlusion;
mod orders;
mod owen;
mod rise;
mod shapley_sampling;
mod shapley_values;
mod sobol;
mod taken_away;
mod xrai;

pub use banzhaf::{Banzhaf, BanzhafRows};
pub use feature_ablation::FeatureAblation;
pub use feature_permutation::{Donors, FeaturePermutation};
pub use kernel_shap::{KernelRows, KernelShap};
pub use lime::{Distance, Lime, LimeRows, Surrogate};
pub use occlusion::Occlusion;
pub use orders::Permutations;
pub use owen::{Owen, OwenOrders};
pub use rise::{Rise, RiseMasks};
pub use shapley_sampling::ShapleySampling;
pub use shapley_values::ShapleyValues;
pub use sobol::{Sobol, SobolPoints};
pub use xrai::Xrai;

pub(crate) use shapley_values::all as every_coalition;

use crate::run::{Finite, Sink};
use voxplain_attribution::{Fill, Network, PassSpec, Seeds};
use voxplain_tensor::{Result, Scalar, Tensor};

/// The explained values of `rows` inputs of example `n` that `fill(row, input, into)` writes, until `sink` breaks off.
pub(crate) fn scores<S: Scalar>(
    network: &mut dyn Network<S>,
    (seeds, n): (&Seeds<S>, usize),
    rows: usize,
    fill: &mut dyn FnMut(usize, usize, &mut [S]),
    sink: Sink<'_>,
) -> Result<()> {
    let spec = PassSpec { table: None, from: seeds.from, wanted: Vec::new(), captures: vec![seeds.from] };
    let batch = network.rows_at_once(&spec, rows)?.max(1);
    let mut sink = Finite::new(sink);
    for start in (0..rows).step_by(batch) {
        let mut write = |row: usize, what: Fill, into: &mut [S]| {
            if let Fill::Input(i) = what {
                fill(start + row, i, into);
            }
        };
        network.run(&spec, batch.min(rows - start), &mut write, &mut |row, r| {
            let _ = sink.take(start + row, seeds.value(n, r.captures[0]));
        })?;
        if sink.is_over() {
            break;
        }
    }
    sink.finish()
}

/// `share x + (1 - share) fill` in double precision; `x` itself where the share is 1 and `fill` itself where it is 0.
pub(crate) fn between<S: Scalar>(share: f64, x: S, fill: S) -> S {
    match share {
        1.0 => x,
        0.0 => fill,
        _ => S::from_f64(share * x.to_f64() + (1.0 - share) * fill.to_f64()),
    }
}

/// The values of example `n` of `examples`.
fn example<S: Scalar>(tensor: &Tensor<S>, examples: usize, n: usize) -> &[S] {
    let length = tensor.data().len() / examples;
    &tensor.data()[n * length..(n + 1) * length]
}

/// Positions `0..count` so that the first of them, however many, lie evenly among all: in the order of the fractions of
/// their multiples of the golden section.
fn scattered(count: usize) -> Vec<usize> {
    let fraction = |i: &usize| (*i as f64 * 0.618_033_988_749_894_8).fract();
    let mut order: Vec<usize> = (0..count).collect();
    order.sort_by(|a, b| fraction(a).total_cmp(&fraction(b)));
    order
}

#[cfg(test)]
mod tests {
    use super::scattered;

    #[test]
    fn scattered_positions_are_all_positions_and_even() {
        for count in [1, 2, 3, 7, 100, 62_500] {
            let order = scattered(count);
            let mut sorted = order.clone();
            sorted.sort_unstable();
            assert!(sorted.into_iter().eq(0..count), "{count}");
        }
        // Of the first tenth of 1000, neighbours are at most twice as far apart as if they were even.
        let mut first = scattered(1000)[..100].to_vec();
        first.sort_unstable();
        assert!(first.windows(2).all(|w| w[1] - w[0] <= 20), "{first:?}");
    }
}
