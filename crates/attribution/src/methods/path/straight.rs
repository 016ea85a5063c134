//! The straight line.

use super::{Ends, Path, Point};
use crate::methods::Baseline;
use voxplain_graph::Graph;
use voxplain_tensor::{Result, Tensor};

/// From the baseline to the input along a straight line, in even steps.
#[derive(Clone, Debug, PartialEq)]
pub struct StraightPath {
    /// Where it starts.
    pub baseline: Baseline<f64>,
    /// The number of steps.
    pub steps: usize,
}

impl Path for StraightPath {
    fn name(&self) -> &'static str {
        "straight"
    }

    fn steps(&self) -> usize {
        self.steps
    }

    fn start(&self, graph: &Graph, inputs: &Point, examples: usize) -> Result<Point> {
        self.baseline.check(graph, inputs, examples)?;
        Ok(self.baseline.tensors(inputs, examples))
    }

    fn next(&self, k: usize, ends: Ends<'_>, _: &Point, _: &Point) -> Result<Point> {
        if k + 1 == self.steps {
            return Ok(ends.inputs.clone());
        }
        let at = (k + 1) as f64 / self.steps as f64;
        let between = |(b, x): (&Tensor<f64>, &Tensor<f64>)| b.zip(x, |b, x| b + at * (x - b));
        ends.start.iter().zip(ends.inputs).map(between).collect()
    }
}
