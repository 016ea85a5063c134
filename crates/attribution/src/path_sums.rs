//! Weighted sums of signals at points of a straight path: of a path of many points only its ends go in and only the sums come out
//! ([`crate::tallies`]).

use crate::tallies::Tallied;
use std::ops::Range;
use voxplain_autodiff::{Plan, Planner, path_plan};
use voxplain_graph::Graph;
use voxplain_tensor::{Result, Scalar, Tensor};

/// A straight path from `b` to `x`, one of each for every input, and what is added up along it.
pub struct Path<'p, S> {
    /// `(x, b)`.
    pub ends: Vec<(&'p [S], &'p [S])>,
    /// Places from 0 at `b` to 1 at `x`, and the weights of their signals.
    pub points: &'p [(S, S)],
    /// The seed of every point's signal.
    pub seed: &'p [S],
}

impl<S: Scalar> Tallied<S> for Path<'_, S> {
    fn held(&self, graph: &Graph, room: Option<usize>) -> Result<Plan> {
        path_plan::<S>(graph, room)
    }

    fn kept(&self, input: usize) -> Vec<&[S]> {
        self.ends.get(input).map_or(Vec::new(), |&(x, b)| vec![x, b])
    }

    fn make<'g>(&self, planner: Planner<'g>, held: &Plan) -> Result<Planner<'g>> {
        planner.along(held)
    }

    fn sum(&self, planner: &mut Planner<'_>, held: &Plan) -> Result<()> {
        planner.summed(0, held)
    }

    fn count(&self) -> usize {
        self.points.len()
    }

    fn numbers(&self, rows: Range<usize>) -> Result<Vec<Tensor<S>>> {
        let (places, weights): (Vec<S>, Vec<S>) = self.points[rows.clone()].iter().copied().unzip();
        Ok(vec![Tensor::new(&[rows.len()], places)?, Tensor::new(&[rows.len()], weights)?])
    }

    fn seed(&self) -> &[S] {
        self.seed
    }
}
