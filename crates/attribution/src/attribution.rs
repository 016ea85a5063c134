//! What a method returns.

use voxplain_tensor::{Scalar, Tensor};

/// The grid of a map.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Grid {
    /// The shape of the graph input of that name.
    Input(String),
    /// `[rows, 1, spatial]` on the grid of the layer of that name.
    Layer(String),
    /// `[rows, 1, spatial]` with the spatial sizes of the graph input of that name: one map for all its channels.
    InputSpace(String),
}

/// One map.
#[derive(Clone, Debug, PartialEq)]
pub struct Map<S> {
    /// What the values lie on.
    pub grid: Grid,
    /// The values, in units of the explained output (times input units where the method multiplies by no input).
    pub values: Tensor<S>,
}

/// The result of a method on a batch of examples.
#[derive(Clone, Debug, PartialEq)]
pub struct Attribution<S> {
    /// One map per graph input, or one on a layer's grid.
    pub maps: Vec<Map<S>>,
    /// The explained value F of each example.
    pub values: Vec<f64>,
    /// Sum of the maps (of the scores, where there are any) minus `F(x) - F(baseline)`: one number per example (per
    /// example and baseline, example by example, for DeepLiftShap). `None` for methods that promise nothing of the kind.
    pub residuals: Option<Vec<f64>>,
    /// The difference `F(x) - F(baseline)` that each residual is measured against.
    pub differences: Option<Vec<f64>>,
    /// Forward passes of single examples (a reference counts as one).
    pub forward_passes: u64,
    /// Backward passes of single examples.
    pub backward_passes: u64,
    /// What a reader of the map has to know.
    pub notes: Vec<String>,
    /// One score per feature, for methods that score features and paint their maps with them.
    pub scores: Option<Scores>,
}

/// Scores of features.
#[derive(Clone, Debug, PartialEq)]
pub struct Scores {
    /// `values[example][feature]`.
    pub values: Vec<Vec<f64>>,
    /// Standard errors of the same shape, from the estimator's own draws; infinite where they do not determine one.
    pub errors: Option<Vec<Vec<f64>>>,
    /// Where each feature lies, of the same shape.
    pub regions: Vec<Vec<Region>>,
}

/// Where a feature lies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Region {
    /// The graph input, if it lies in one only.
    pub input: Option<usize>,
    /// The channel of that input, if it lies in one only.
    pub channel: Option<usize>,
    /// Its number among the features of the same place, from 1.
    pub number: usize,
    /// How many entries it has in all inputs together; 0 for a number that no entry has.
    pub entries: usize,
}

impl<S: Scalar> Attribution<S> {
    /// The map on the grid of input `name`.
    pub fn input_map(&self, name: &str) -> Option<&Map<S>> {
        self.maps.iter().find(|m| matches!(&m.grid, Grid::Input(n) | Grid::InputSpace(n) if n == name))
    }

    /// The sum of all maps for each of `examples` examples.
    pub(crate) fn sums(maps: &[Tensor<S>], examples: usize) -> Vec<f64> {
        let sum = |n: usize| {
            let part = |map: &Tensor<S>| {
                let length = map.data().len() / examples;
                map.data()[n * length..(n + 1) * length].iter().map(|v| v.to_f64()).sum::<f64>()
            };
            maps.iter().map(part).sum()
        };
        (0..examples).map(sum).collect()
    }
}
