//! GradientShap, also called Expected Gradients.

use super::line::{Point, Rays, are_positive, gradient, is_zero};
use super::{Method, example_mut, input_maps, zeros_like};
use crate::engine::example;
use crate::noise_sums::noise_of;
use crate::parts::in_parts;
use crate::{Attribution, Draws, Fill, Generator, Network, NoisyDraws, NoisyRows, PassSpec, Seeds, Target};
use std::borrow::Cow;
use voxplain_autodiff::Tally;
use voxplain_tensor::{Error, Result, Scalar, Tensor};

/// Which baseline row and which point of the path each draw takes; indexed `[draw][example]`.
#[derive(Clone, Debug, PartialEq)]
pub enum ShapDraws {
    /// So many draws from a seed.
    Seeded {
        /// The seed.
        seed: u64,
        /// The number of draws.
        draws: usize,
    },
    /// Injected.
    Given {
        /// Rows of the baselines.
        baseline: Vec<Vec<usize>>,
        /// Positions in `[0, 1]`.
        alpha: Vec<Vec<f64>>,
    },
}

/// GradientShap / Expected Gradients (Erion et al., "Improving performance of deep learning models with axiomatic
/// attribution priors and expected gradients", Nature Machine Intelligence 2021; Lundberg & Lee 2017): the mean over
/// draws of `(x' - b) * dF/dx at a x' + (1 - a) b`, with `x' = x + noise`, b a random row of the baselines and a
/// uniform. A draw takes **one** row number and one a for all inputs, so that modalities stay paired.
///
/// Where all baselines are zero, there is no noise and no `a` is 0, draws are points of a line from zero, and first layers run
/// once for all draws of an example, as in [`super::IntegratedGradients`], with the same map to rounding.
#[derive(Clone, Debug, PartialEq)]
pub struct GradientShap<S> {
    /// One tensor `[M, ...]` per input; row m of all inputs belongs together.
    pub baselines: Vec<Tensor<S>>,
    /// Rows and positions.
    pub draws: ShapDraws,
    /// Noise on the inputs, with as many draws; `None` for none.
    pub noise: Option<Draws<S>>,
}

impl<S: Scalar> GradientShap<S> {
    /// Draw `k` of example `n`: baseline row and position.
    fn draw(&self, rows: usize, k: usize, n: usize) -> (usize, f64) {
        match &self.draws {
            ShapDraws::Seeded { seed, .. } => {
                // Streams above those of the noise, which are the input numbers.
                let row = Generator::new(*seed, u32::MAX - 1).below(rows, k as u32, n as u64);
                (row, Generator::new(*seed, u32::MAX).uniform(k as u32, n as u64))
            }
            ShapDraws::Given { baseline, alpha } => (baseline[k][n], alpha[k][n]),
        }
    }

    fn check(&self, inputs: &[Tensor<S>], examples: usize) -> Result<(usize, usize)> {
        if self.baselines.len() != inputs.len() {
            return Err(Error::invalid(format!(
                "{} baselines for {} inputs",
                self.baselines.len(),
                inputs.len()
            )));
        }
        let rows = |i: usize| self.baselines[i].data().len() / (inputs[i].data().len() / examples);
        let count = rows(0);
        for (i, (b, x)) in self.baselines.iter().zip(inputs).enumerate() {
            let whole = b.data().len() % (x.data().len() / examples) == 0;
            if b.shape()[1..] != x.shape()[1..] || !whole || rows(i) != count || count == 0 {
                return Err(Error::invalid(format!(
                    "baselines of input {i} have shape {}; [rows, {:?}] with the same rows for all inputs expected",
                    b.shape(),
                    &x.shape()[1..]
                )));
            }
        }
        let draws = match &self.draws {
            ShapDraws::Seeded { draws, .. } => *draws,
            ShapDraws::Given { baseline, alpha } => {
                let fits = |n: usize, m: usize| n == examples && m == examples;
                let rows_fit = baseline.iter().zip(alpha).all(|(b, a)| fits(b.len(), a.len()));
                if baseline.len() != alpha.len()
                    || !rows_fit
                    || baseline.iter().flatten().any(|&r| r >= count)
                {
                    return Err(Error::invalid(
                        "given draws must be [draws][examples] with valid baseline rows",
                    ));
                }
                baseline.len()
            }
        };
        if let Some(noise) = &self.noise {
            noise.check(inputs)?;
            if noise.count() != draws {
                return Err(Error::invalid(format!("{} draws of noise for {draws} draws", noise.count())));
            }
        }
        if draws == 0 {
            return Err(Error::invalid("at least one draw is needed"));
        }
        Ok((draws, count))
    }
}

impl<S: Scalar> GradientShap<S> {
    /// Whether draws are points of lines from zero to the inputs.
    fn draws_on_rays(&self, rows: usize, threads: usize) -> bool {
        let silent = match &self.noise {
            None => true,
            Some(Draws::Seeded { sigma, .. }) => sigma.iter().all(|&sigma| sigma == 0.0),
            Some(Draws::Given(_)) => false,
        };
        silent && (0..rows).all(|row| is_zero(&self.baselines, (row, rows), threads))
    }

    /// Puts the sums over draws into the maps of examples whose draws are points of lines from zero that the network's first layers
    /// follow; the examples that are left.
    fn on_rays(
        &self,
        network: &mut dyn Network<S>,
        (inputs, seeds): (&[Tensor<S>], &Seeds<S>),
        (draws, count): (usize, usize),
        maps: &mut [Tensor<S>],
    ) -> Result<Vec<usize>> {
        let (examples, threads) = (seeds.rows.len(), network.threads());
        let all = (0..examples).collect();
        if !self.draws_on_rays(count, threads) {
            return Ok(all);
        }
        let points =
            |n: usize| -> Vec<Point> { (0..draws).map(|k| (self.draw(count, k, n).1, 1.0)).collect() };
        let (which, left): (Vec<usize>, Vec<usize>) =
            (0..examples).partition(|&n| are_positive::<S>(&points(n)));
        let points: Vec<Vec<Point>> = which.iter().map(|&n| points(n)).collect();
        let rays = Rays { ends: inputs, seeds, which: &which, points: &points };
        if !rays.add_up(network, maps)? {
            return Ok(all);
        }
        for (map, x) in maps.iter_mut().zip(inputs) {
            map.data_mut().iter_mut().zip(x.data()).for_each(|(m, &x)| *m = *m * x);
        }
        Ok(left)
    }

    /// Puts the sums over draws into the maps of some examples where the network runs; those for which it could not.
    fn there(
        &self,
        network: &mut dyn Network<S>,
        spec: &PassSpec<'_>,
        (inputs, seeds): (&[Tensor<S>], &Seeds<S>),
        (draws, count): (usize, usize),
        (which, maps): (Vec<usize>, &mut [Tensor<S>]),
    ) -> Result<Vec<usize>> {
        let examples = seeds.rows.len();
        let (Some(noise), Some(mixing)) = (noise_of(self.noise.as_ref(), inputs.len()), network.mixing())
        else {
            return Ok(which);
        };
        let mut left = Vec::new();
        for (n, seed) in which.into_iter().map(|n| (n, &seeds.rows[n])) {
            let both = inputs.iter().zip(&self.baselines);
            let places: Vec<(usize, f64)> = (0..draws).map(|k| self.draw(count, k, n)).collect();
            let rows = NoisyRows {
                examples: both.map(|(x, b)| (example(x, examples, n), b.data())).collect(),
                number: n,
                noise: noise.clone(),
                tally: Tally::Gaps(count),
                draws: NoisyDraws::Placed(&places),
                seed,
            };
            match mixing.noisy(spec, &rows)? {
                Some(sums) => {
                    let rows = maps.iter_mut().map(|map| example_mut(map, examples, n));
                    rows.zip(&sums).for_each(|(map, sums)| map.copy_from_slice(sums));
                }
                None => left.push(n),
            }
        }
        Ok(left)
    }
}

/// `alpha x + (1 - alpha) b`.
fn between<S: Scalar>(threads: usize, x: &[S], b: &[S], alpha: f64, into: &mut [S]) {
    let (alpha, rest) = (S::from_f64(alpha), S::from_f64(1.0 - alpha));
    in_parts(threads, into, |first, into| {
        for ((v, &x), &b) in into.iter_mut().zip(&x[first..]).zip(&b[first..]) {
            *v = alpha * x + rest * b;
        }
    });
}

/// Makes sums over draws their means.
fn divide<S: Scalar>(threads: usize, maps: &mut [Tensor<S>], draws: usize) {
    let share = S::from_f64(1.0 / draws as f64);
    for map in maps {
        in_parts(threads, map.data_mut(), |_, map| map.iter_mut().for_each(|v| *v = *v * share));
    }
}

impl<S: Scalar> Method<S> for GradientShap<S> {
    fn name(&self) -> &'static str {
        "gradient_shap"
    }

    fn passes(&self) -> (u64, u64) {
        let draws = match &self.draws {
            ShapDraws::Seeded { draws, .. } => *draws as u64,
            ShapDraws::Given { baseline, .. } => baseline.len() as u64,
        };
        (draws + 1, draws)
    }

    fn attribute(
        &self,
        network: &mut dyn Network<S>,
        inputs: &[Tensor<S>],
        target: &Target,
    ) -> Result<Attribution<S>> {
        let examples = network.examples(inputs)?;
        let (draws, rows) = self.check(inputs, examples)?;
        let seeds = network.seeds(target, inputs)?;
        let values = super::integrated_gradients::values(network, inputs, &seeds)?;
        let table = gradient();
        let wanted = network.graph().inputs().to_vec();
        let spec = PassSpec { table: Some(&table), from: seeds.from, wanted, captures: Vec::new() };
        let threads = network.threads();
        let noisy = |i: usize, k: usize, n: usize| {
            let x = example(&inputs[i], examples, n);
            let Some(noise) = &self.noise else { return Cow::Borrowed(x) };
            let mut noisy = vec![S::ZERO; x.len()];
            noise.add(k, (i, n), x, &mut noisy, threads);
            Cow::Owned(noisy)
        };
        let mut maps = zeros_like(inputs);
        let left = self.on_rays(network, (inputs, &seeds), (draws, rows), &mut maps)?;
        let left = self.there(network, &spec, (inputs, &seeds), (draws, rows), (left, &mut maps))?;
        let mut fill = |row: usize, what: Fill, into: &mut [S]| {
            let (k, n) = (row % draws, left[row / draws]);
            match what {
                Fill::Input(i) | Fill::Reference(i) => {
                    let (r, alpha) = self.draw(rows, k, n);
                    between(threads, &noisy(i, k, n), example(&self.baselines[i], rows, r), alpha, into);
                }
                Fill::Seed => into.copy_from_slice(&seeds.rows[n]),
            }
        };
        network.run(&spec, draws * left.len(), &mut fill, &mut |row, out| {
            let (k, n) = (row % draws, left[row / draws]);
            let b = self.draw(rows, k, n).0;
            for (i, (map, gradient)) in maps.iter_mut().zip(&out.results).enumerate() {
                let b = example(&self.baselines[i], rows, b);
                let x = noisy(i, k, n);
                let sum = example_mut(map, examples, n);
                in_parts(threads, sum, |first, sum| {
                    let rest = gradient[first..].iter().zip(&x[first..]).zip(&b[first..]);
                    sum.iter_mut().zip(rest).for_each(|(s, ((&g, &x), &b))| *s += g * (x - b));
                });
            }
        })?;
        divide(threads, &mut maps, draws);
        Ok(Attribution {
            maps: input_maps(network.graph(), maps),
            values,
            residuals: None,
            differences: None,
            forward_passes: ((draws + 1) * examples) as u64,
            backward_passes: (draws * examples) as u64,
            notes: vec![String::from("complete only in expectation over baselines and positions")],
            ledger: None,
            scores: None,
        })
    }
}
