//! RISE: how much more the output is where random smooth masks let an entry through.

use super::taken_away::WHOLE;
use super::{between, example, scores};
use crate::estimator::Estimator;
use crate::features::Sharing;
use crate::paint::CONSTANT;
use crate::rise_masks::Masks;
use crate::run::{Finite, Key, Run, Sink};
use voxplain_attribution::methods::Baseline;
use voxplain_attribution::{Attribution, Grid, Ground, Map, Method, Network, Seeds, Shares, Target};
use voxplain_graph::Graph;
use voxplain_tensor::{Error, ErrorKind, Result, Scalar, Tensor};

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
/// In any number of dimensions; the slices of a stack ([`crate::Frame`]) are one of them. An entry scores
/// `mean(f(x M + b (1 - M)) M(entry)) / p` (their equation 6), unbiased because every entry's mask has the mean p exactly; where
/// `centred`, the mean output is subtracted first (with `N - 1` for N), so that 0 means that an entry does not matter. Standard
/// errors are those of the mean over masks, entry by entry.
#[derive(Clone, Debug, PartialEq)]
pub struct Rise<S> {
    /// What masked entries become.
    pub baseline: Baseline<S>,
    /// Cells along every spatial axis, that of slices included; 7 in the paper.
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

/// The most numbers of a mask: as many as a large volume has entries.
const MOST_NODES: usize = 1 << 24;

/// What is evaluated.
struct Seen<'a, S: Scalar> {
    inputs: &'a [Tensor<S>],
    baseline: &'a Baseline<S>,
    masks: Masks,
    seeds: Seeds<S>,
    examples: usize,
}

impl<S: Scalar> Seen<'_, S> {
    /// Whether the network puts masked rows of an example together itself.
    fn lay(&self, network: &mut dyn Network<S>, n: usize) -> Result<bool> {
        let grids: Option<Vec<_>> = (0..self.inputs.len()).map(|i| self.masks.grid(i)).collect();
        let (Some(grids), Some(mixing)) = (grids, network.mixing()) else { return Ok(false) };
        let examples: Vec<&[S]> = self.inputs.iter().map(|x| example(x, self.examples, n)).collect();
        let mut fills: Vec<Vec<S>> = examples.iter().map(|x| x.to_vec()).collect();
        fills.iter_mut().enumerate().for_each(|(i, fill)| self.baseline.fill(i, n, fill));
        let ends = examples.into_iter().zip(fills.iter().map(Vec::as_slice)).collect();
        mixing.lay(&Ground { ends, shares: Shares::Gridded(grids) })
    }

    /// The values of masked rows that the network puts together itself; false if it has no room.
    fn mixed(&self, network: &mut dyn Network<S>, n: usize, draws: &[usize], sink: Sink<'_>) -> Result<bool> {
        let (Some(mixing), mut sink) = (network.mixing(), Finite::new(sink)) else { return Ok(false) };
        let mut numbers = |row: usize, i: usize, into: &mut [f64]| self.masks.numbers(draws[row], i, into);
        let mut take = |row: usize, v: &[S]| sink.take(row, self.seeds.value(n, v));
        match mixing.mix(self.seeds.from, draws.len(), &mut numbers, &mut take) {
            Err(error) if error.kind() == ErrorKind::Limit => {
                // What was laid would be in the way of rows that the host makes.
                mixing.lift();
                Ok(false)
            }
            mixed => mixed.and_then(|()| sink.finish()).map(|()| true),
        }
    }

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
                    *v = between(*m, *x, *v);
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
        if masks.nodes() > MOST_NODES {
            return Err(Error::invalid(format!(
                "RISE with {} cells along every axis needs {} numbers for a mask, at most {MOST_NODES}; use fewer cells",
                self.cells,
                masks.nodes()
            )));
        }
        match &self.masks {
            RiseMasks::Seeded { seed, .. } => Ok(masks.seeded(*seed, self.probability)),
            RiseMasks::Given { cells, shifts } => masks.given(cells, shifts),
        }
    }

    /// Sums over the first masks, whose values are known.
    fn maps(&self, network: &mut dyn Network<S>, seen: &Seen<'_, S>, values: &[f64]) -> Result<Maps> {
        let count = values.len() as f64;
        let mean = values.iter().sum::<f64>() / count;
        let (middle, level) = if self.centred { (mean, self.probability) } else { (0.0, 0.0) };
        let gaps: Vec<f64> = values.iter().map(|value| value - middle).collect();
        let input = |(i, x): (usize, &Tensor<S>)| {
            let length = x.data().len() / seen.examples;
            let (sums, squares) = match there(network, &seen.masks, i, (&gaps, level))? {
                Some(sums) => sums,
                None => here(&seen.masks, i, length, (&gaps, level)),
            };
            let free = if self.centred { count - 1.0 } else { count };
            let variance = |(s, q): (&f64, f64)| (q / count - (s / count).powi(2)).max(0.0) / (count - 1.0);
            let errors = sums.iter().zip(squares).map(|p| variance(p).sqrt() / self.probability).collect();
            Ok((sums.iter().map(|s| s / free / self.probability).collect(), errors))
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
        let mut laid = seen.lay(network, n)?;
        let keys: Vec<Key> = (0..self.draws() as u64).map(|draw| Key::from([draw, 0])).collect();
        let sizes = run.sizes(64, keys.len());
        let mut best = None;
        for size in sizes {
            let mut evaluate = |at: &[usize], sink: Sink<'_>| {
                laid = laid && seen.mixed(network, n, at, sink)?;
                if laid {
                    return Ok(());
                }
                let draws: Vec<Option<usize>> = at.iter().map(|&draw| Some(draw)).collect();
                seen.values(network, n, &draws, sink)
            };
            let values = run.fetch(n, &keys[..size], &mut evaluate)?;
            if values.len() < 2 {
                break;
            }
            let maps = self.maps(network, seen, &values)?;
            let stop = values.len() < size || run.wants_error() && precise(run, &maps);
            best = Some((maps, values));
            if stop {
                break;
            }
        }
        if let Some(mixing) = network.mixing() {
            mixing.lift();
        }
        best.ok_or_else(|| run.too_small(n, 3))
    }
}

/// Sums over draws of `gap (mask - level)` and of its square, for every entry of an input.
type Sums = (Vec<f64>, Vec<f64>);

/// The sums where the network runs, if it can.
fn there<S: Scalar>(
    network: &mut dyn Network<S>,
    masks: &Masks,
    i: usize,
    (gaps, level): (&[f64], f64),
) -> Result<Option<Sums>> {
    let (Some(grid), Some(mixing)) = (masks.grid(i), network.mixing()) else { return Ok(None) };
    mixing.sums((i, grid), level, gaps, &mut |draw, i, into| masks.numbers(draw, i, into))
}

fn here(masks: &Masks, i: usize, length: usize, (gaps, level): (&[f64], f64)) -> Sums {
    let (mut sums, mut squares) = (vec![0.0; length], vec![0.0; length]);
    for (draw, gap) in gaps.iter().enumerate() {
        masks.each(draw, i, &mut |at, mask| {
            for ((sum, square), m) in sums[at..].iter_mut().zip(&mut squares[at..]).zip(mask) {
                let part = gap * (m - level);
                *sum += part;
                *square += part * part;
            }
        });
    }
    (sums, squares)
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
