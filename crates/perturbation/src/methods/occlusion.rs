//! Occlusion: what the output loses when a window is covered.

use super::taken_away::WHOLE;
use super::{example, scattered};
use crate::changes::{Part, Reference, Rows, copy_box, lines, overlay, whole};
use crate::estimator::Estimator;
use crate::paint::CONSTANT;
use crate::run::{Key, Run, Sink};
use std::ops::Range;
use voxplain_attribution::methods::Baseline;
use voxplain_attribution::{Attribution, Grid, Map, Method, Network, Seeds, Target};
use voxplain_graph::Graph;
use voxplain_tensor::{Error, Result, Scalar, Tensor};

/// Zeiler & Fergus, "Visualizing and understanding convolutional networks", ECCV 2014, section 4.2, as in Captum: a
/// window scores `F(x) - F(x covered)`, an entry gets the mean of the windows that cover it. One input at a time.
///
/// Nothing is drawn, so there is no sampling error. A budget leaves windows out, evenly over the image; an entry then has
/// the mean of the evaluated windows over it (0 where there is none), and the notes say how many are missing.
#[derive(Clone, Debug, PartialEq)]
pub struct Occlusion<S> {
    /// What covers.
    pub baseline: Baseline<S>,
    /// Per input, the window's size along every axis behind the first (channels, then space). Where an example has several
    /// rows, as a stack of slices has, the first axis may stand before them; otherwise windows cover all rows.
    pub window: Vec<Vec<usize>>,
    /// Per input, the steps along the same axes, at most as large as the window.
    pub strides: Vec<Vec<usize>>,
}

/// The windows over one example of one input.
struct Windows {
    /// Sizes of all axes.
    sizes: Vec<usize>,
    window: Vec<usize>,
    strides: Vec<usize>,
    counts: Vec<usize>,
}

impl Windows {
    fn new(graph: &Graph, input: usize, window: &[usize], strides: &[usize]) -> Result<Self> {
        let value = graph.inputs()[input];
        let (name, shape) = (&graph.value(value).name, graph.shape(value));
        let (axes, rows) = (shape.rank().saturating_sub(1), shape.first().copied().unwrap_or(1));
        let whole =
            |list: &[usize]| if list.len() == axes { [&[rows], list].concat() } else { list.to_vec() };
        let fits = |list: &[usize]| {
            (list.len() == axes || rows > 1 && list.len() == axes + 1) && list.iter().all(|&n| n > 0)
        };
        if !fits(window) || !fits(strides) {
            return Err(Error::invalid(format!(
                "windows {window:?} with strides {strides:?} for input {name:?} of shape {shape}; one positive number for \
                 each of the {axes} axes behind the first expected"
            )));
        }
        let (window, strides, sizes) = (whole(window), whole(strides), shape.to_vec());
        for a in 0..sizes.len() {
            if strides[a] > window[a] && window[a] < sizes[a] {
                return Err(Error::invalid(format!(
                    "strides {strides:?} leave entries uncovered by windows of {window:?} in input {name:?}; make them at \
                     most as large as the window"
                )));
            }
        }
        let counts = (0..sizes.len()).map(|a| sizes[a].saturating_sub(window[a]).div_ceil(strides[a]) + 1);
        let counts = counts.collect();
        Ok(Self { sizes, window, strides, counts })
    }

    fn count(&self) -> usize {
        self.counts.iter().product()
    }

    /// The entries of a window along every axis, cut off at the border.
    fn part(&self, mut number: usize) -> Part {
        let mut part = whole(&self.sizes);
        for a in (0..self.counts.len()).rev() {
            let start = number % self.counts[a] * self.strides[a];
            part[a] = start..(start + self.window[a]).min(self.sizes[a]);
            number /= self.counts[a];
        }
        part
    }

    /// Calls `line(first, length)` for the contiguous entries of a window.
    fn lines(&self, number: usize, line: impl FnMut(usize, usize)) {
        lines(&self.sizes, &self.part(number), line);
    }
}

/// What is evaluated: a network, its inputs, the windows over each and what covers them in one example.
struct Covers<'a, S: Scalar> {
    inputs: &'a [Tensor<S>],
    windows: Vec<Windows>,
    fills: Vec<Tensor<S>>,
    seeds: Seeds<S>,
    examples: usize,
}

impl<S: Scalar> Covers<'_, S> {
    /// All windows as (input, number), in an order in which a budget may end anywhere.
    fn order(&self) -> Vec<(usize, usize)> {
        let of = |i: usize| (0..self.windows[i].count()).map(move |number| (i, number));
        let all: Vec<(usize, usize)> = (0..self.windows.len()).flat_map(of).collect();
        scattered(all.len()).into_iter().map(|at| all[at]).collect()
    }

    /// The mean score of the evaluated windows over each entry of one input, in the order of their numbers, and how many
    /// entries have none.
    fn map(&self, input: usize, losses: &[((usize, usize), f64)]) -> (Vec<f64>, usize) {
        let entries = self.inputs[input].data().len() / self.examples;
        let (mut sum, mut times) = (vec![0.0; entries], vec![0.0f64; entries]);
        for ((_, number), loss) in losses.iter().filter(|((i, _), _)| *i == input) {
            self.windows[input].lines(*number, |at, len| {
                sum[at..at + len].iter_mut().for_each(|s| *s += loss);
                times[at..at + len].iter_mut().for_each(|t| *t += 1.0);
            });
        }
        sum.iter_mut().zip(&times).for_each(|(s, t)| *s /= t.max(1.0));
        let bare = times.iter().filter(|t| **t == 0.0).count();
        (sum, bare)
    }
}

/// Some windows of one example, each covered alone; none for the example itself.
struct Covered<'c, 'a, S: Scalar> {
    covers: &'c Covers<'a, S>,
    example: usize,
    windows: Vec<Option<(usize, usize)>>,
}

impl<S: Scalar> Rows<S> for Covered<'_, '_, S> {
    fn count(&self) -> usize {
        self.windows.len()
    }

    fn candidate(&self, row: usize) -> Vec<Option<Part>> {
        let mut change = vec![None; self.covers.inputs.len()];
        if let Some((input, number)) = self.windows[row] {
            change[input] = Some(self.covers.windows[input].part(number));
        }
        change
    }

    fn known(&self, input: usize, into: &mut [S]) {
        into.copy_from_slice(example(&self.covers.inputs[input], self.covers.examples, self.example));
    }

    fn write(&self, row: usize, input: usize, part: &[Range<usize>], into: &mut [S]) {
        let c = self.covers;
        let [x, fill] = [&c.inputs[input], &c.fills[input]].map(|t| example(t, c.examples, self.example));
        let sizes = &c.windows[input].sizes;
        copy_box(sizes, part, x, into);
        let Some((_, number)) = self.windows[row].filter(|(i, _)| *i == input) else { return };
        let window = c.windows[input].part(number);
        overlay(sizes, part, &window, fill, into);
    }
}

impl<S: Scalar> Occlusion<S> {
    fn covers<'a>(
        &'a self,
        network: &mut dyn Network<S>,
        inputs: &'a [Tensor<S>],
        target: &Target,
    ) -> Result<Covers<'a, S>> {
        let examples = network.examples(inputs)?;
        self.baseline.check(network.graph(), inputs, examples)?;
        if self.window.len() != inputs.len() || self.strides.len() != inputs.len() {
            return Err(Error::invalid(format!(
                "windows for {} inputs and strides for {}; the network has {}",
                self.window.len(),
                self.strides.len(),
                inputs.len()
            )));
        }
        let one = |i: usize| Windows::new(network.graph(), i, &self.window[i], &self.strides[i]);
        let windows = (0..inputs.len()).map(one).collect::<Result<_>>()?;
        let seeds = network.seeds(target, inputs)?;
        Ok(Covers { inputs, windows, fills: self.baseline.tensors(inputs, examples), seeds, examples })
    }
}

impl<S: Scalar> Method<S> for Occlusion<S> {
    fn name(&self) -> &'static str {
        "occlusion"
    }

    fn passes(&self) -> (u64, u64) {
        (1, 0)
    }

    fn passes_on(&self, graph: &Graph) -> (u64, u64) {
        let one = |i: usize| {
            let windows = Windows::new(graph, i, self.window.get(i)?, self.strides.get(i)?).ok()?;
            Some(windows.count() as u64 + 1)
        };
        ((0..graph.inputs().len()).filter_map(one).sum(), 0)
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

impl<S: Scalar> Estimator<S> for Occlusion<S> {
    fn estimate(
        &self,
        network: &mut dyn Network<S>,
        inputs: &[Tensor<S>],
        target: &Target,
        run: &mut Run,
    ) -> Result<Attribution<S>> {
        let covers = self.covers(network, inputs, target)?;
        let order = covers.order();
        let keys: Vec<Key> = order.iter().map(|&(i, number)| Key::from([i as u64, number as u64])).collect();
        run.open(covers.examples);
        let (mut data, mut values) = (vec![Vec::new(); inputs.len()], Vec::new());
        let mut notes = vec![String::from(
            "every entry has the mean score of the windows over it; nothing is drawn, so there is no sampling error",
        )];
        let mut reference = Reference::default();
        for n in 0..covers.examples {
            let mut score = |windows: Vec<Option<(usize, usize)>>, sink: Sink<'_>| {
                let rows = Covered { covers: &covers, example: n, windows };
                reference.values(network, (&covers.seeds, n), &rows, sink)
            };
            let mut alone = |at: &[usize], sink: Sink<'_>| score(vec![None; at.len()], sink);
            let whole = run.require(n, &[Key::from(WHOLE)], &mut alone)?[0];
            let mut covered =
                |at: &[usize], sink: Sink<'_>| score(at.iter().map(|&i| Some(order[i])).collect(), sink);
            let known = run.fetch(n, &keys, &mut covered)?;
            if known.is_empty() {
                return Err(run.too_small(n, 2));
            }
            let mut losses: Vec<_> = order.iter().zip(&known).map(|(&w, v)| (w, whole - v)).collect();
            losses.sort_unstable_by_key(|(window, _)| *window);
            let maps: Vec<_> = (0..inputs.len()).map(|i| covers.map(i, &losses)).collect();
            if known.len() < order.len() {
                notes.push(unfinished(n, known.len(), order.len(), maps.iter().map(|m| m.1).sum()));
            }
            if losses.iter().all(|(_, loss)| *loss == 0.0) {
                notes.push(String::from(CONSTANT));
            }
            data.iter_mut().zip(maps).for_each(|(d, m)| d.extend(m.0.into_iter().map(S::from_f64)));
            values.push(whole);
        }
        reference.leave(network);
        let graph = network.graph();
        let map = |(i, data): (usize, Vec<S>)| {
            let name = graph.value(graph.inputs()[i]).name.clone();
            Ok(Map { grid: Grid::Input(name), values: Tensor::new(&inputs[i].shape(), data)? })
        };
        Ok(Attribution {
            maps: data.into_iter().enumerate().map(map).collect::<Result<_>>()?,
            values,
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

/// What a budget left out.
fn unfinished(n: usize, done: usize, all: usize, bare: usize) -> String {
    format!(
        "example {n}: the budget ended after {done} of {all} windows; {bare} entries have none over them and are 0"
    )
}
