//! SmoothGrad, SmoothGrad-squared and VarGrad over any method.

use super::{Method, Scaling};
use crate::engine::example;
use crate::noise_sums::noise_of;
use crate::parts::{in_parts, in_parts_of_both};
use crate::{
    Attribution, Draws, Fill, Grid, Map, Network, NoisyDraws, NoisyRows, PassSpec, Seeds, Table, Target,
};
use std::ops::Range;
use voxplain_autodiff::{Tally, from_words};
use voxplain_graph::Graph;
use voxplain_tensor::{Error, Result, Scalar, Shape, Tensor};

/// What is computed over the draws.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Statistic {
    /// The mean: SmoothGrad.
    Mean,
    /// The mean of squares: SmoothGrad-squared.
    MeanOfSquares,
    /// The population variance: VarGrad.
    Variance,
}

/// The statistic of a method's maps under Gaussian noise on the inputs. SmoothGrad: Smilkov et al., "SmoothGrad:
/// removing noise by adding noise", arXiv 1706.03825, 2017; SmoothGrad-squared: Hooker et al., NeurIPS 2019; VarGrad:
/// Adebayo et al., ICLR workshop 2018. The noise's standard deviation is absolute, in input units.
pub struct Smooth<S> {
    /// The method that is repeated. Its own baselines and draws stay as they are.
    pub base: Box<dyn Method<S>>,
    /// The noise.
    pub draws: Draws<S>,
    /// What is computed.
    pub statistic: Statistic,
}

impl<S: Scalar> Smooth<S> {
    /// Writes the inputs with a draw of noise added.
    fn add(
        &self,
        draw: usize,
        inputs: &[Tensor<S>],
        examples: usize,
        noisy: &mut [Tensor<S>],
        threads: usize,
    ) {
        for (i, (x, noisy)) in inputs.iter().zip(noisy).enumerate() {
            for n in 0..examples {
                let row = super::example_mut(noisy, examples, n);
                self.draws.add(draw, (i, n), example(x, examples, n), row, threads);
            }
        }
    }

    /// The moments of the base method's maps, of noisy inputs that are written here.
    fn here(
        &self,
        network: &mut dyn Network<S>,
        (inputs, examples): (&[Tensor<S>], usize),
        target: &Target,
    ) -> Result<Made> {
        let threads = network.threads();
        let (mut noisy, mut passes) = (inputs.to_vec(), (0, 0));
        let mut sums: Vec<Moments> = Vec::new();
        for draw in 0..self.draws.count() {
            self.add(draw, inputs, examples, &mut noisy, threads);
            let part = self.base.attribute(network, &noisy, target)?;
            passes = (passes.0 + part.forward_passes, passes.1 + part.backward_passes);
            if sums.is_empty() {
                sums = part.maps.iter().map(|map| Moments::new(map, self.statistic)).collect();
            }
            for (sums, map) in sums.iter_mut().zip(&part.maps) {
                let values = map.values.data();
                sums.add(0..values.len(), values, (draw + 1, false), threads);
            }
        }
        if sums.is_empty() {
            return Err(Error::invalid("at least one draw is needed"));
        }
        Ok((sums, passes))
    }

    /// The same by one run of all draws, if the base method is one pass: signals are added up as they come, and no map is made of
    /// any draw.
    fn rows(
        &self,
        network: &mut dyn Network<S>,
        inputs: &[Tensor<S>],
        seeds: &Seeds<S>,
    ) -> Result<Option<Made>> {
        let once = |(table, scaling): &(&dyn Table, Scaling)| {
            *scaling != Scaling::TimesInput && !table.needs_reference()
        };
        let Some((table, scaling)) = self.base.one_pass().filter(once) else { return Ok(None) };
        if !self.stays_finite(inputs) {
            return Ok(None);
        }
        let wanted = network.graph().inputs().to_vec();
        let spec = PassSpec { table: Some(table), from: seeds.from, wanted, captures: Vec::new() };
        let (examples, threads) = (seeds.rows.len(), network.threads());
        let rows = self.draws.count() * examples;
        let mut sums = self.moments(network, inputs);
        let mut fill = |row: usize, what: Fill, into: &mut [S]| match what {
            Fill::Input(i) | Fill::Reference(i) => {
                let n = row % examples;
                self.draws.add(row / examples, (i, n), example(&inputs[i], examples, n), into, threads);
            }
            Fill::Seed => into.copy_from_slice(&seeds.rows[row % examples]),
        };
        network.run(&spec, rows, &mut fill, &mut |row, out| {
            let (draw, n) = (row / examples, row % examples);
            for (sums, signal) in sums.iter_mut().zip(&out.results) {
                let part = n * signal.len()..(n + 1) * signal.len();
                sums.add(part, signal, (draw + 1, scaling == Scaling::Absolute), threads);
            }
        })?;
        Ok(Some((sums, (rows as u64, rows as u64))))
    }

    /// Whether no draw leads beyond the numbers, which is an error of the base method: those of a seed alone, of which no number
    /// is larger than 7 deviations.
    fn stays_finite(&self, inputs: &[Tensor<S>]) -> bool {
        let Some(noise) = noise_of(Some(&self.draws), inputs.len()) else { return false };
        inputs.iter().zip(&noise.sigma).all(|(x, sigma)| {
            let largest = x.data().iter().fold(0.0f64, |largest, v| largest.max(v.to_f64().abs()));
            S::from_f64(largest + 8.0 * sigma).to_f64().is_finite()
        })
    }

    /// Moments of nothing, of maps at the inputs.
    fn moments(&self, network: &dyn Network<S>, inputs: &[Tensor<S>]) -> Vec<Moments> {
        let maps = super::input_maps(network.graph(), super::zeros_like(inputs));
        maps.iter().map(|map| Moments::new(map, self.statistic)).collect()
    }

    /// The same where the network runs, if the base method is one pass there and the noise is made from a seed.
    fn there(
        &self,
        network: &mut dyn Network<S>,
        inputs: &[Tensor<S>],
        seeds: &Seeds<S>,
    ) -> Result<Option<Made>> {
        let (Some((table, scaling)), Some(noise)) =
            (self.base.one_pass(), noise_of(Some(&self.draws), inputs.len()))
        else {
            return Ok(None);
        };
        if network.mixing().is_none() || !self.stays_finite(inputs) {
            return Ok(None);
        }
        let wanted = network.graph().inputs().to_vec();
        let spec = PassSpec { table: Some(table), from: seeds.from, wanted, captures: Vec::new() };
        let (examples, draws, threads) = (seeds.rows.len(), self.draws.count(), network.threads());
        let mut sums = self.moments(network, inputs);
        let Some(mixing) = network.mixing() else { return Ok(None) };
        for (n, seed) in seeds.rows.iter().enumerate() {
            let rows = NoisyRows {
                examples: inputs.iter().map(|x| (example(x, examples, n), &[][..])).collect(),
                number: n,
                noise: noise.clone(),
                tally: tally(scaling),
                draws: NoisyDraws::Plain(draws),
                seed,
            };
            let Some(made) = mixing.noisy(&spec, &rows)? else { return Ok(None) };
            sums.iter_mut().zip(&made).for_each(|(sums, words)| sums.set(n, words, draws, threads));
        }
        let rows = (draws * examples) as u64;
        Ok(Some((sums, (rows, rows))))
    }
}

/// The moments of every map, and the forward and backward passes behind them.
type Made = (Vec<Moments>, (u64, u64));

/// What is added up where maps are scaled signals.
fn tally(scaling: Scaling) -> Tally {
    match scaling {
        Scaling::None => Tally::Signals,
        Scaling::Absolute => Tally::Magnitudes,
        Scaling::TimesInput => Tally::Products,
    }
}

impl<S: Scalar> Method<S> for Smooth<S> {
    fn name(&self) -> &'static str {
        match self.statistic {
            Statistic::Mean => "smoothgrad",
            Statistic::MeanOfSquares => "smoothgrad_sq",
            Statistic::Variance => "vargrad",
        }
    }

    fn passes(&self) -> (u64, u64) {
        let (draws, (forward, backward)) = (self.draws.count() as u64, self.base.passes());
        (draws * forward + 1, draws * backward)
    }

    fn seconds_beside(&self, graph: &Graph, inputs: &[Tensor<S>]) -> Result<f64> {
        Ok(self.draws.count() as f64 * self.base.seconds_beside(graph, inputs)?)
    }

    fn attribute(
        &self,
        network: &mut dyn Network<S>,
        inputs: &[Tensor<S>],
        target: &Target,
    ) -> Result<Attribution<S>> {
        let examples = network.examples(inputs)?;
        self.draws.check(inputs)?;
        // The class is chosen once, on the clean inputs.
        let target = network.settle(target, inputs)?;
        let seeds = target.resolve::<S>(network.graph(), examples)?;
        let values = super::integrated_gradients::values(network, inputs, &seeds)?;
        let made = match self.there(network, inputs, &seeds)? {
            None => self.rows(network, inputs, &seeds)?,
            made => made,
        };
        let (sums, (forward, backward)) = match made {
            Some(made) => made,
            None => self.here(network, (inputs, examples), &target)?,
        };
        let threads = network.threads();
        let maps = sums.iter().map(|s| s.map(threads)).collect::<Result<_>>()?;
        let name = self.base.name();
        Ok(Attribution {
            maps,
            values,
            residuals: None,
            differences: None,
            forward_passes: forward + examples as u64,
            backward_passes: backward,
            notes: vec![format!("over {} draws of {name}", self.draws.count())],
            ledger: None,
            scores: None,
        })
    }
}

/// Running mean and sum of squared deviations per element (Welford), in double precision so that a variance never comes
/// out negative.
struct Moments {
    grid: Grid,
    sizes: Vec<usize>,
    statistic: Statistic,
    means: Vec<f64>,
    /// Sums of squared deviations, where the statistic has need of them.
    deviations: Vec<f64>,
    count: f64,
}

impl Moments {
    fn new<S: Scalar>(map: &Map<S>, statistic: Statistic) -> Self {
        let n = map.values.data().len();
        let deviations = if statistic == Statistic::Mean { 0 } else { n };
        Self {
            grid: map.grid.clone(),
            sizes: map.values.shape().to_vec(),
            statistic,
            means: vec![0.0; n],
            deviations: vec![0.0; deviations],
            count: 0.0,
        }
    }

    /// Adds draw number `count`, from 1 on, of a part: the values or their magnitudes.
    fn add<S: Scalar>(
        &mut self,
        part: Range<usize>,
        values: &[S],
        (count, absolute): (usize, bool),
        threads: usize,
    ) {
        self.count = count as f64;
        let count = self.count;
        let value = |v: &S| if absolute { v.to_f64().abs() } else { v.to_f64() };
        let step = |mean: f64, value: f64| mean + (value - mean) / count;
        let means = &mut self.means[part.clone()];
        if self.statistic == Statistic::Mean {
            return in_parts(threads, means, |first, means| {
                let values = values[first..].iter().map(value);
                if count == 1.0 {
                    // What was never written is not read: the system would answer with a page of zeros and give another one away.
                    means.iter_mut().zip(values).for_each(|(mean, value)| *mean = value);
                } else {
                    means.iter_mut().zip(values).for_each(|(mean, value)| *mean = step(*mean, value));
                }
            });
        }
        let both = (means, &mut self.deviations[part]);
        in_parts_of_both(threads, both, |first, means, deviations| {
            let values = values[first..].iter().map(value);
            for ((mean, deviation), value) in means.iter_mut().zip(deviations).zip(values) {
                let before = value - *mean;
                *mean = step(*mean, value);
                *deviation += before * (value - *mean);
            }
        });
    }

    /// Takes the moments of example `n` over so many draws from their words.
    fn set<S: Scalar>(&mut self, n: usize, words: &[S], draws: usize, threads: usize) {
        let length = words.len() / 6;
        self.count = draws as f64;
        for (first, moments) in [(0, &mut self.means), (3, &mut self.deviations)] {
            let Some(moments) = moments.get_mut(n * length..(n + 1) * length) else { continue };
            in_parts(threads, moments, |start, moments| {
                for (i, moment) in (start..).zip(moments) {
                    *moment = from_words([0, 1, 2].map(|k| words[(first + k) * length + i]));
                }
            });
        }
    }

    fn map<S: Scalar>(&self, threads: usize) -> Result<Map<S>> {
        let mut values = Tensor::zeros(Shape::new(&self.sizes)?);
        in_parts(threads, values.data_mut(), |first, values| {
            for (i, value) in (first..).zip(values) {
                let mean = self.means[i];
                let variance = || self.deviations[i] / self.count;
                *value = S::from_f64(match self.statistic {
                    Statistic::Mean => mean,
                    Statistic::MeanOfSquares => variance() + mean * mean,
                    Statistic::Variance => variance(),
                });
            }
        });
        Ok(Map { grid: self.grid.clone(), values })
    }
}
