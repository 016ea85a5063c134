//! What a method returns.

use std::collections::BTreeMap;
use voxplain_autodiff::Cause;
use voxplain_graph::Graph;
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
    /// What the nodes kept of the relevance, for methods that propagate one.
    pub ledger: Option<Ledger>,
    /// One score per feature, for methods that score features and paint their maps with them.
    pub scores: Option<Scores>,
}

/// What became of the relevance that reached no input: of each example, the maps and the ledger together add up to what the
/// pass started with (the explained value, or 1).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Ledger {
    /// Per example: what each node kept, from the output down, nodes that kept nothing left out.
    pub entries: Vec<Vec<Entry>>,
}

/// What one node kept.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// The node's name.
    pub node: String,
    /// Who has it.
    pub cause: Cause,
    /// How much, in units of the explained value.
    pub amount: f64,
}

impl Ledger {
    /// The sum of all entries of example `n`.
    pub fn total(&self, n: usize) -> f64 {
        self.entries[n].iter().map(|e| e.amount).sum()
    }

    /// The sum by cause of example `n`, in the order of [`Cause`].
    pub fn by_cause(&self, n: usize) -> BTreeMap<Cause, f64> {
        let mut sums = BTreeMap::new();
        for entry in &self.entries[n] {
            *sums.entry(entry.cause).or_insert(0.0) += entry.amount;
        }
        sums
    }

    /// The ledger of one example from what the nodes of `graph` kept.
    pub(crate) fn of(graph: &Graph, kept: &[(usize, Vec<(Cause, f64)>)]) -> Vec<Entry> {
        let entry = |node: usize, &(cause, amount): &(Cause, f64)| Entry {
            node: graph.nodes()[node].name.clone(),
            cause,
            amount,
        };
        let all = kept.iter().flat_map(|(node, kept)| kept.iter().map(|k| entry(*node, k)));
        all.filter(|e| e.amount != 0.0).collect()
    }

    /// The sum of all examples as one, for windows of one image.
    #[must_use]
    pub fn joined(&self) -> Self {
        let mut sum: Vec<Entry> = Vec::new();
        for entry in self.entries.iter().flatten() {
            match sum.iter_mut().find(|e| e.node == entry.node && e.cause == entry.cause) {
                Some(known) => known.amount += entry.amount,
                None => sum.push(entry.clone()),
            }
        }
        Self { entries: vec![sum] }
    }
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
