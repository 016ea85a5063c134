//! Occlusion: what the output loses when a window is covered.

use super::{example, scores};
use voxplain_attribution::methods::Baseline;
use voxplain_attribution::{Attribution, Grid, Map, Method, Network, Target};
use voxplain_graph::Graph;
use voxplain_tensor::{Error, Result, Scalar, Tensor};

/// Zeiler & Fergus, "Visualizing and understanding convolutional networks", ECCV 2014, section 4.2, as in Captum: a
/// window scores `F(x) - F(x covered)`, an entry gets the mean of the windows that cover it. One input at a time.
#[derive(Clone, Debug, PartialEq)]
pub struct Occlusion<S> {
    /// What covers.
    pub baseline: Baseline<S>,
    /// Per input, the window's size along every axis behind the first (channels, then space).
    pub window: Vec<Vec<usize>>,
    /// Per input, the steps along the same axes, at most as large as the window.
    pub strides: Vec<Vec<usize>>,
}

/// The windows over one example of one input.
struct Windows<'a> {
    /// Sizes of all axes; the first one is not cut.
    sizes: Vec<usize>,
    window: &'a [usize],
    strides: &'a [usize],
    counts: Vec<usize>,
}

impl<'a> Windows<'a> {
    fn new(graph: &Graph, input: usize, window: &'a [usize], strides: &'a [usize]) -> Result<Self> {
        let value = graph.inputs()[input];
        let (name, shape) = (&graph.value(value).name, graph.shape(value));
        let axes = shape.rank().saturating_sub(1);
        let fits = |list: &[usize]| list.len() == axes && list.iter().all(|&n| n > 0);
        if !fits(window) || !fits(strides) {
            return Err(Error::invalid(format!(
                "windows {window:?} with strides {strides:?} for input {name:?} of shape {shape}; one positive number for \
                 each of the {axes} axes behind the first expected"
            )));
        }
        let sizes = shape.to_vec();
        for a in 0..axes {
            if strides[a] > window[a] && window[a] < sizes[a + 1] {
                return Err(Error::invalid(format!(
                    "strides {strides:?} leave entries uncovered by windows of {window:?} in input {name:?}; make them at \
                     most as large as the window"
                )));
            }
        }
        let counts =
            (0..axes).map(|a| sizes[a + 1].saturating_sub(window[a]).div_ceil(strides[a]) + 1).collect();
        Ok(Self { sizes, window, strides, counts })
    }

    fn count(&self) -> usize {
        self.counts.iter().product()
    }

    /// Calls `line(first, length)` for the contiguous entries of a window, cut off at the border.
    fn lines(&self, mut number: usize, mut line: impl FnMut(usize, usize)) {
        let axes = self.counts.len();
        let mut ranges = vec![(0, self.sizes[0])];
        ranges.resize(axes + 1, (0, 0));
        for a in (0..axes).rev() {
            let start = number % self.counts[a] * self.strides[a];
            ranges[a + 1] = (start, (start + self.window[a]).min(self.sizes[a + 1]));
            number /= self.counts[a];
        }
        let (last_start, last_end) = ranges[axes];
        let outer: usize = ranges[..axes].iter().map(|r| r.1 - r.0).product();
        for mut i in 0..outer {
            let (mut at, mut scale) = (0, self.sizes[axes]);
            for a in (0..axes).rev() {
                let span = ranges[a].1 - ranges[a].0;
                at += (ranges[a].0 + i % span) * scale;
                scale *= self.sizes[a];
                i /= span;
            }
            line(at + last_start, last_end - last_start);
        }
    }
}

impl<S: Scalar> Occlusion<S> {
    /// The mean score of the windows over each entry of one input of one example.
    fn one(
        &self,
        network: &mut dyn Network<S>,
        (inputs, examples): (&[Tensor<S>], usize),
        (input, n): (usize, usize),
        seeds: &voxplain_attribution::Seeds<S>,
    ) -> Result<(f64, Vec<f64>, usize)> {
        let windows = Windows::new(network.graph(), input, &self.window[input], &self.strides[input])?;
        let mut cover = vec![S::ZERO; example(&inputs[input], examples, n).len()];
        self.baseline.fill(input, n, &mut cover);
        // The last row is the input itself.
        let count = windows.count();
        let values = scores(network, seeds, n, count + 1, &mut |row, i, into| {
            into.copy_from_slice(example(&inputs[i], examples, n));
            if i == input && row < count {
                windows.lines(row, |at, len| into[at..at + len].copy_from_slice(&cover[at..at + len]));
            }
        })?;
        let whole = values[count];
        let (mut sum, mut times) = (vec![0.0; cover.len()], vec![0.0f64; cover.len()]);
        for (number, value) in values[..count].iter().enumerate() {
            windows.lines(number, |at, len| {
                sum[at..at + len].iter_mut().for_each(|s| *s += whole - value);
                times[at..at + len].iter_mut().for_each(|t| *t += 1.0);
            });
        }
        sum.iter_mut().zip(&times).for_each(|(s, t)| *s /= t.max(1.0));
        Ok((whole, sum, count + 1))
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
        let seeds = network.seeds(target, inputs)?;
        let (mut maps, mut values, mut passes) = (Vec::new(), vec![0.0; examples], 0);
        for (i, input) in inputs.iter().enumerate() {
            let mut data = Vec::with_capacity(input.data().len());
            for (n, value) in values.iter_mut().enumerate() {
                let (whole, scores, rows) = self.one(network, (inputs, examples), (i, n), &seeds)?;
                *value = whole;
                passes += rows as u64;
                data.extend(scores.into_iter().map(S::from_f64));
            }
            let graph = network.graph();
            let name = graph.value(graph.inputs()[i]).name.clone();
            maps.push(Map { grid: Grid::Input(name), values: Tensor::new(&input.shape(), data)? });
        }
        Ok(Attribution {
            maps,
            values,
            residuals: None,
            differences: None,
            forward_passes: passes,
            backward_passes: 0,
            notes: vec![String::from("every entry has the mean score of the windows over it")],
            ledger: None,
            scores: None,
        })
    }
}
