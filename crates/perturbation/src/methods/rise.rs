//! RISE: how much more the output is where random smooth masks let an entry through.

use super::taken_away::WHOLE;
use super::{example, scores};
use crate::estimator::Estimator;
use crate::features::Sharing;
use crate::paint::CONSTANT;
use crate::rise_masks::Masks;
use crate::run::{Key, Run, Sink};
use voxplain_attribution::methods::Baseline;
use voxplain_attribution::{Attribution, Grid, Map, Method, Network, Seeds, Target};
use voxplain_graph::Graph;
use voxplain_tensor::{Error, Result, Scalar, Tensor};

/// The masks that are asked.
#[derive(Clone, Debug, PartialEq)]
pub enum RiseMasks {
    /// Drawn from a seed.
    Seeded {
        /// The seed.
        seed: u64,
        /// How many.
        draws: usize,
    },
    /// Given ones, as [`Run::draws`] has them.
    Given {
        /// `[draws, nodes]`: the coarse grids of 0 and 1 of all inputs (and channels, where those have their own).
        cells: Tensor<f64>,
        /// `[draws, axes]`: how far each grid is moved along the spatial axes, in cells from 0 to 1.
        shifts: Tensor<f64>,
    },
}

/// Petsiuk, Das & Saenko, "RISE: Randomized input sampling for explanation of black-box models", BMVC 2018: coarse grids of
/// cells that are let through with some probability p, interpolated to the image's size and moved by a random part of a cell.
/// In any number of dimensions. An entry scores `mean(f(x M + b (1 - M)) M(entry)) / p` (their equation 6), unbiased because
/// every entry's mask has the mean p exactly; `centred`, the mean output is subtracted first (with `N - 1` for N), so that 0
/// means that an entry does not matter. Standard errors are those of the mean over masks, entry by entry.
#[derive(Clone, Debug, PartialEq)]
pub struct Rise<S> {
    /// What masked entries become.
    pub baseline: Baseline<S>,
    /// Cells along every spatial axis; 7 in the paper.
    pub cells: usize,
    /// The probability that a cell is let through; 1/2 in the paper.
    pub probability: f64,
    /// Whether channels have masks of their own, or one together as in the paper.
    pub sharing: Sharing,
    /// Whether the mean output is subtracted.
    pub centred: bool,
    /// The masks.
    pub masks: RiseMasks,
}

/// What is evaluated.
struct Seen<'a, S: Scalar> {
    inputs: &'a [Tensor<S>],
    baseline: &'a Baseline<S>,
    masks: Masks,
    seeds: Seeds<S>,
    examples: usize,
}

impl<S: Scalar> Seen<'_, S> {
    fn values(
        &self,
        network: &mut dyn Network<S>,
        n: usize,
        draws: &[Option<usize>],
        sink: Sink<'_>,
    ) -> Result<()> {
        let mut fill = |row: usize, i: usize, into: &mut [S]| {
            let x = example(&self.inputs[i], self.examples, n);
            let Some(draw) = draws[row] else { return into.copy_from_slice(x) };
            self.baseline.fill(i, n, into);
            self.masks.each(draw, i, &mut |at, mask| {
                for ((v, x), m) in into[at..].iter_mut().zip(&x[at..]).zip(mask) {
                    *v = S::from_f64(m * x.to_f64() + (1.0 - m) * v.to_f64());
                }
            });
        };
        scores(network, (&self.seeds, n), draws.len(), &mut fill, sink)
    }
}

/// Scores and standard errors of every entry of every input.
type Maps = Vec<(Vec<f64>, Vec<f64>)>;

impl<S: Scalar> Rise<S> {
    fn draws(&self) -> usize {
        match &self.masks {
            RiseMasks::Seeded { draws, .. } => *draws,
            RiseMasks::Given { cells, .. } => cells.rows(),
        }
    }

    fn masks(&self, graph: &Graph) -> Result<Masks> {
        if !(self.probability > 0.0 && self.probability < 1.0) {
            return Err(Error::invalid(format!(
                "RISE with probability {}; a number above 0 and below 1 expected",
                self.probability
            )));
        }
        if !(1..=1000).contains(&self.cells) || self.draws() < 2 {
            return Err(Error::invalid(format!(
                "RISE with {} cells and {} masks; 1 to 1000 cells and 2 masks or more expected",
                self.cells,
                self.draws()
            )));
        }
        let masks = Masks::new(graph, self.cells, self.sharing);
        match &self.masks {
            RiseMasks::Seeded { seed, .. } => Ok(masks.seeded(*seed, self.probability)),
            RiseMasks::Given { cells, shifts } => masks.given(cells, shifts),
        }
    }

    /// Sums over the first masks, whose values are known.
    fn maps(&self, seen: &Seen<'_, S>, values: &[f64]) -> Maps {
        let count = values.len() as f64;
        let mean = values.iter().sum::<f64>() / count;
        let (middle, level) = if self.centred { (mean, self.probability) } else { (0.0, 0.0) };
        let input = |(i, x): (usize, &Tensor<S>)| {
            let length = x.data().len() / seen.examples;
            let (mut sums, mut squares) = (vec![0.0; length], vec![0.0; length]);
            for (draw, value) in values.iter().enumerate() {
                let gap = value - middle;
                seen.masks.each(draw, i, &mut |at, mask| {
                    for ((sum, square), m) in sums[at..].iter_mut().zip(&mut squares[at..]).zip(mask) {
                        let part = gap * (m - level);
                        *sum += part;
                        *square += part * part;
                    }
                });
            }
            let free = if self.centred { count - 1.0 } else { count };
            let variance = |(s, q): (&f64, f64)| (q / count - (s / count).powi(2)).max(0.0) / (count - 1.0);
            let errors = sums.iter().zip(squares).map(|p| variance(p).sqrt() / self.probability).collect();
            (sums.iter().map(|s| s / free / self.probability).collect(), errors)
        };
        seen.inputs.iter().enumerate().map(input).collect()
    }

    /// The maps of one example, from as many masks as the budget allows.
    fn one(
        &self,
        network: &mut dyn Network<S>,
        seen: &Seen<'_, S>,
        n: usize,
        run: &mut Run,
    ) -> Result<(Maps, Vec<f64>)> {
        let keys: Vec<Key> = (0..self.draws() as u64).map(|draw| Key::from([draw, 0])).collect();
        let sizes = run.sizes(64, keys.len());
        let mut best = None;
        for size in sizes {
            let mut evaluate = |at: &[usize], sink: Sink<'_>| {
                let draws: Vec<Option<usize>> = at.iter().map(|&draw| Some(draw)).collect();
                seen.values(network, n, &draws, sink)
            };
            let values = run.fetch(n, &keys[..size], &mut evaluate)?;
            if values.len() < 2 {
                break;
            }
            let maps = self.maps(seen, &values);
            let stop = values.len() < size || run.wants_error() && precise(run, &maps);
            best = Some((maps, values));
            if stop {
                break;
            }
        }
        best.ok_or_else(|| run.too_small(n, 3))
    }
}

fn precise(run: &mut Run, maps: &Maps) -> bool {
    let scores: Vec<f64> = maps.iter().flat_map(|m| m.0.iter().copied()).collect();
    let errors: Vec<f64> = maps.iter().flat_map(|m| m.1.iter().copied()).collect();
    run.is_precise(&scores, &errors)
}

/// What the masks of one example determine.
fn note(n: usize, maps: &Maps, values: &[f64]) -> String {
    let most =
        |lists: &mut dyn Iterator<Item = &Vec<f64>>| lists.flatten().fold(0.0f64, |m, v| m.max(v.abs()));
    let (score, error) = (most(&mut maps.iter().map(|m| &m.0)), most(&mut maps.iter().map(|m| &m.1)));
    let constant = values.iter().all(|v| *v == values[0]);
    format!(
        "example {n}: {} masks; the largest standard error of an entry is {error:.3e}, the largest score {score:.3e}{}{}",
        values.len(),
        if constant { "; " } else { "" },
        if constant { CONSTANT } else { "" }
    )
}

impl<S: Scalar> Method<S> for Rise<S> {
    fn name(&self) -> &'static str {
        "rise"
    }

    fn passes(&self) -> (u64, u64) {
        (self.draws() as u64 + 1, 0)
    }

    fn attribute(
        &self,
        network: &mut dyn Network<S>,
        inputs: &[Tensor<S>],
        target: &Target,
    ) -> Result<Attribution<S>> {
        self.estimate(network, inputs, target, &mut Run::default())
    }
}

impl<S: Scalar> Estimator<S> for Rise<S> {
    fn estimate(
        &self,
        network: &mut dyn Network<S>,
        inputs: &[Tensor<S>],
        target: &Target,
        run: &mut Run,
    ) -> Result<Attribution<S>> {
        let examples = network.examples(inputs)?;
        self.baseline.check(network.graph(), inputs, examples)?;
        let masks = self.masks(network.graph())?;
        let seeds = network.seeds(target, inputs)?;
        let seen = Seen { inputs, baseline: &self.baseline, masks, seeds, examples };
        run.open(examples);
        let (mut data, mut errors) = (vec![Vec::new(); inputs.len()], vec![Vec::new(); inputs.len()]);
        let (mut wholes, mut notes) = (Vec::new(), Vec::new());
        for n in 0..examples {
            let mut alone =
                |at: &[usize], sink: Sink<'_>| seen.values(network, n, &vec![None; at.len()], sink);
            wholes.push(run.require(n, &[Key::from(WHOLE)], &mut alone)?[0]);
            let (maps, values) = self.one(network, &seen, n, run)?;
            notes.push(note(n, &maps, &values));
            for (i, (scores, doubt)) in maps.into_iter().enumerate() {
                data[i].extend(scores.into_iter().map(S::from_f64));
                errors[i].extend(doubt);
            }
            run.keep("masks", || seen.masks.cells(values.len()))?;
            run.keep("shifts", || seen.masks.shifts(values.len()))?;
        }
        let graph = network.graph();
        let name = |i: usize| graph.value(graph.inputs()[i]).name.clone();
        for (i, errors) in errors.into_iter().enumerate() {
            run.keep(&format!("errors/{}", name(i)), || Tensor::new(&inputs[i].shape(), errors))?;
        }
        let map = |(i, data)| {
            Ok(Map { grid: Grid::Input(name(i)), values: Tensor::new(&inputs[i].shape(), data)? })
        };
        Ok(Attribution {
            maps: data.into_iter().enumerate().map(map).collect::<Result<_>>()?,
            values: wholes,
            residuals: None,
            differences: None,
            forward_passes: run.ledger().used(),
            backward_passes: 0,
            notes,
            ledger: None,
            scores: None,
        })
    }
}
