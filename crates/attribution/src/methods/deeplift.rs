//! DeepLift and DeepLiftShap.

use super::{Baseline, Method, example_mut, input_maps, zeros_like};
use crate::engine::{copy, example};
use crate::parts::{BLOCK, in_parts, sum_of_blocks};
use crate::rules::DeepLiftRescale;
use crate::{Attribution, Fill, Network, PassSpec, Rules, Table, Target};
use voxplain_autodiff::{Composite, Cotangent};
use voxplain_tensor::{Error, Result, Scalar, Tensor};

/// DeepLift with the rescale rule; see [`DeepLiftRescale`]. Completeness holds to rounding:
/// the maps sum to `F(x) - F(b)`.
#[derive(Clone, Debug, PartialEq)]
pub struct DeepLift<S> {
    /// The reference.
    pub baseline: Baseline<S>,
    /// Whether multipliers are multiplied by `x - b`.
    pub multiply_by_inputs: bool,
}

/// The mean of DeepLift over several references (Lundberg & Lee, "A unified approach to interpreting model
/// predictions", NIPS 2017, section 4.2).
#[derive(Clone, Debug, PartialEq)]
pub struct DeepLiftShap<S> {
    /// One tensor `[M, ...]` per input; row m of all inputs belongs together. M may be 1.
    pub baselines: Vec<Tensor<S>>,
    /// Whether multipliers are multiplied by `x - b`.
    pub multiply_by_inputs: bool,
}

fn rescale() -> Rules<Cotangent> {
    Rules { name: String::from("deeplift_rescale"), composite: Composite::everywhere(DeepLiftRescale) }
}

/// Runs every example against its baseline.
pub(super) fn from_baseline<S: Scalar>(
    network: &mut dyn Network<S>,
    inputs: &[Tensor<S>],
    (target, table): (&Target, &dyn Table),
    baseline: &Baseline<S>,
    multiply: bool,
) -> Result<Attribution<S>> {
    let examples = network.examples(inputs)?;
    baseline.check(network.graph(), inputs, examples)?;
    let reference = |input: usize, row: usize, first: usize, into: &mut [S]| {
        let length = inputs[input].data().len() / examples;
        baseline.fill_part(input, row, (first, length), into);
    };
    attribute(network, inputs, (target, table), 1, multiply, &reference)
}

/// Writes a part of the reference of an input and a row, from an element on.
type Reference<'a, S> = &'a (dyn Fn(usize, usize, usize, &mut [S]) + Sync);

/// Runs every (example, reference) pair, `per_example` pairs each, and averages over an example's pairs.
fn attribute<S: Scalar>(
    network: &mut dyn Network<S>,
    inputs: &[Tensor<S>],
    (target, table): (&Target, &dyn Table),
    per_example: usize,
    multiply: bool,
    reference: Reference<'_, S>,
) -> Result<Attribution<S>> {
    let examples = network.examples(inputs)?;
    let seeds = network.seeds(target, inputs)?;
    let wanted = network.graph().inputs().to_vec();
    let spec = PassSpec { table: Some(table), from: seeds.from, wanted, captures: vec![seeds.from] };
    let mut maps = zeros_like(inputs);
    let (mut values, mut residuals, mut differences) = (vec![0.0; examples], Vec::new(), Vec::new());
    let share = S::from_f64(1.0 / per_example as f64);
    let threads = network.threads();
    let mut fill = |row: usize, what: Fill, into: &mut [S]| match what {
        Fill::Input(i) => copy(example(&inputs[i], examples, row / per_example), into, threads),
        Fill::Reference(i) => in_parts(threads, into, |first, part| reference(i, row, first, part)),
        Fill::Seed => into.copy_from_slice(&seeds.rows[row / per_example]),
    };
    network.run(&spec, per_example * examples, &mut fill, &mut |row, out| {
        let n = row / per_example;
        values[n] = seeds.value(n, out.captures[0]);
        let difference = values[n] - seeds.value(n, out.reference_captures[0]);
        let (mut sum, begins) = (0.0, row % per_example == 0);
        for (i, (map, multipliers)) in maps.iter_mut().zip(&out.results).enumerate() {
            let (x, total) = (example(&inputs[i], examples, n), example_mut(map, examples, n));
            sum += sum_of_blocks(threads, total, |first, total| {
                let mut b = [S::ZERO; BLOCK];
                let b = &mut b[..total.len()];
                reference(i, row, first, b);
                let part = first..first + total.len();
                add_contributions(total, begins, (&multipliers[part.clone()], &x[part], b), share, multiply)
            });
        }
        differences.push(difference);
        residuals.push(sum - difference);
    })?;
    Ok(Attribution {
        maps: input_maps(network.graph(), maps),
        values,
        residuals: Some(residuals),
        differences: Some(differences),
        forward_passes: (2 * per_example * examples) as u64,
        backward_passes: (per_example * examples) as u64,
        notes: Vec::new(),
        ledger: None,
        scores: None,
    })
}

/// Adds a share of the contributions `m (x - b)`, or of the multipliers, to a map, or begins it, and returns the contributions' sum.
/// A map that begins is not read: reading its memory before it was written would be answered by a page of zeros, given away again.
fn add_contributions<S: Scalar>(
    map: &mut [S],
    begins: bool,
    (multipliers, x, b): (&[S], &[S], &[S]),
    share: S,
    multiply: bool,
) -> f64 {
    // As many sums side by side: one would wait for its own last addition.
    let mut sums = [0.0; 8];
    let entries = map.chunks_mut(sums.len()).zip(multipliers.chunks(8)).zip(x.chunks(8)).zip(b.chunks(8));
    for (((map, multipliers), x), b) in entries {
        for (i, to) in map.iter_mut().enumerate() {
            let contribution = multipliers[i] * (x[i] - b[i]);
            sums[i] += contribution.to_f64();
            let before = if begins { S::ZERO } else { *to };
            *to = before + share * if multiply { contribution } else { multipliers[i] };
        }
    }
    sums.iter().sum()
}

impl<S: Scalar> Method<S> for DeepLift<S> {
    fn name(&self) -> &'static str {
        "deeplift"
    }

    fn passes(&self) -> (u64, u64) {
        (2, 1)
    }

    fn attribute(
        &self,
        network: &mut dyn Network<S>,
        inputs: &[Tensor<S>],
        target: &Target,
    ) -> Result<Attribution<S>> {
        from_baseline(network, inputs, (target, &rescale()), &self.baseline, self.multiply_by_inputs)
    }
}

impl<S: Scalar> Method<S> for DeepLiftShap<S> {
    fn name(&self) -> &'static str {
        "deeplift_shap"
    }

    fn passes(&self) -> (u64, u64) {
        let rows = self.baselines.first().map_or(1, Tensor::rows) as u64;
        (2 * rows, rows)
    }

    fn attribute(
        &self,
        network: &mut dyn Network<S>,
        inputs: &[Tensor<S>],
        target: &Target,
    ) -> Result<Attribution<S>> {
        let examples = network.examples(inputs)?;
        let one = |i: usize| inputs[i].data().len() / examples;
        let rows = self.baselines.first().map_or(0, |b| b.data().len() / one(0).max(1));
        let fits = |(i, b): (usize, &Tensor<S>)| {
            b.shape()[1..] == inputs[i].shape()[1..] && b.data().len() == rows * one(i)
        };
        if self.baselines.len() != inputs.len() || rows == 0 || !self.baselines.iter().enumerate().all(fits) {
            return Err(Error::invalid("baselines must be one tensor [M, ...] per input with the same M"));
        }
        let reference = |input: usize, row: usize, first: usize, into: &mut [S]| {
            let all = example(&self.baselines[input], rows, row % rows);
            into.copy_from_slice(&all[first..first + into.len()]);
        };
        attribute(network, inputs, (target, &rescale()), rows, self.multiply_by_inputs, &reference)
    }
}
