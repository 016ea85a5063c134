//! Sums of signals at an example with Gaussian noise, draw by draw: the example goes in once, noise is made and sums are added up
//! where the network runs ([`crate::tallies`]).

use crate::draws::Draws;
use crate::tallies::Tallied;
use std::ops::Range;
use voxplain_autodiff::{Noise, Plan, Planner, Tally, noisy_plan};
use voxplain_graph::Graph;
use voxplain_tensor::{Result, Scalar, Tensor};

/// An example, its noise, and what is added up over draws.
pub struct NoisyRows<'p, S> {
    /// The example, and rows of baselines one after the other where [`Tally::Gaps`] has any, for every input.
    pub examples: Vec<(&'p [S], &'p [S])>,
    /// Which example of a call it is.
    pub number: usize,
    /// The noise of every draw.
    pub noise: Noise,
    /// What is added up.
    pub tally: Tally,
    /// How many draws there are, or for every draw the row of the baselines and the position between it and the example.
    pub draws: NoisyDraws<'p>,
    /// The seed of every draw's signal.
    pub seed: &'p [S],
}

/// What the draws of [`NoisyRows`] have beside their noise.
#[derive(Clone, Copy, Debug)]
pub enum NoisyDraws<'p> {
    /// Nothing: so many.
    Plain(usize),
    /// A row of the baselines and a position between it (0) and the example (1).
    Placed(&'p [(usize, f64)]),
}

/// Whole numbers from here on are not exact in single precision.
const MOST: usize = 1 << 24;

impl<S: Scalar> NoisyRows<'_, S> {
    /// Whether the numbers of all rows are exact in single precision.
    pub(crate) fn fits(&self) -> bool {
        self.count() < MOST && self.number < MOST && self.tally.baselines().is_none_or(|count| count < MOST)
    }

    /// The numbers of a draw.
    fn row(&self, draw: usize) -> Vec<S> {
        let mut row = vec![draw as f64, self.number as f64];
        if let NoisyDraws::Placed(places) = self.draws {
            let (baseline, position) = places[draw];
            row.extend([baseline as f64, position, 1.0 - position]);
        }
        row.into_iter().map(S::from_f64).collect()
    }
}

/// The noise of draws, if it is made from a seed; for so many inputs.
pub(crate) fn noise_of<S: Scalar>(draws: Option<&Draws<S>>, inputs: usize) -> Option<Noise> {
    match draws {
        None => Some(Noise { seed: 0, sigma: vec![0.0; inputs] }),
        Some(Draws::Seeded { seed, sigma, .. }) => {
            let sigma = (0..inputs).map(|i| sigma[if sigma.len() == 1 { 0 } else { i }]);
            Some(Noise { seed: *seed, sigma: sigma.collect() })
        }
        Some(Draws::Given(_)) => None,
    }
}

impl<S: Scalar> Tallied<S> for NoisyRows<'_, S> {
    fn held(&self, graph: &Graph, room: Option<usize>) -> Result<Plan> {
        noisy_plan::<S>(graph, self.tally, room)
    }

    fn kept(&self, input: usize) -> Vec<&[S]> {
        let both = self.examples.get(input).map_or(Vec::new(), |&(x, baselines)| vec![x, baselines]);
        let count = 1 + usize::from(self.tally.baselines().is_some());
        both.into_iter().take(count).collect()
    }

    fn make<'g>(&self, planner: Planner<'g>, held: &Plan) -> Result<Planner<'g>> {
        planner.noisy(held, &self.noise, self.tally)
    }

    fn sum(&self, planner: &mut Planner<'_>, held: &Plan) -> Result<()> {
        planner.tallied(0, held, &self.noise, self.tally)
    }

    fn count(&self) -> usize {
        match self.draws {
            NoisyDraws::Plain(count) => count,
            NoisyDraws::Placed(places) => places.len(),
        }
    }

    fn numbers(&self, rows: Range<usize>) -> Result<Vec<Tensor<S>>> {
        let numbers: Vec<S> = rows.clone().flat_map(|draw| self.row(draw)).collect();
        let gaps = self.tally.baselines().is_some();
        let count = |draw: usize| if gaps { S::ONE } else { S::from_f64((draw + 1) as f64) };
        let counts = rows.clone().map(count).collect();
        let width = numbers.len() / rows.len().max(1);
        Ok(vec![Tensor::new(&[rows.len(), width], numbers)?, Tensor::new(&[rows.len()], counts)?])
    }

    fn seed(&self) -> &[S] {
        self.seed
    }
}
