//! A propagation rule as a method: everywhere in the network, started as its signal means.

use crate::problem::{Problem, converted};
use crate::subject::{Arithmetic, Subject};
use std::any::TypeId;
use voxplain_attribution::{Attribution, Fill, Grid, Map, Method, Network, PassSpec, Rules, Table, Target};
use voxplain_autodiff::{Composite, Relevance, Rule};
use voxplain_tensor::{Result, Scalar, Tensor};

/// A rule that speaks at every node. Relevance starts with the explained value; every other signal starts with 1 and, if the
/// rule looks at a reference, is multiplied by the distance from it.
struct RuleMethod<S> {
    table: Box<dyn Table>,
    relevance: bool,
    reference: Vec<Tensor<S>>,
}

/// The subject of a rule; `make` makes the rule anew for every network.
pub fn subject<S: Scalar, R: Rule + 'static>(make: impl Fn() -> R + Send + Sync + 'static) -> Subject<S> {
    let rule = make();
    let relevance = TypeId::of::<R::Signal>() == TypeId::of::<Relevance>();
    let arithmetic = match (relevance, rule.needs_reference()) {
        (true, _) => Arithmetic::Relevance,
        (_, true) => Arithmetic::SignalTimesInput,
        _ => Arithmetic::Signal,
    };
    Subject::new(rule.name(), arithmetic, move |problem: &Problem| {
        let rule = make();
        let table = Rules { name: rule.name(), composite: Composite::everywhere(rule) };
        let method = RuleMethod { table: Box::new(table), relevance, reference: converted(&problem.r) };
        Ok(Box::new(method) as Box<dyn Method<S>>)
    })
}

impl<S: Scalar> RuleMethod<S> {
    /// Row `n` of input `i` of the reference, which has one example for all.
    fn reference(&self, i: usize) -> &[S] {
        self.reference[i].data()
    }
}

fn part<S>(tensor: &Tensor<S>, n: usize, length: usize) -> &[S]
where
    S: Scalar,
{
    &tensor.data()[n * length..(n + 1) * length]
}

impl<S: Scalar> Method<S> for RuleMethod<S> {
    fn name(&self) -> &'static str {
        "rule"
    }

    fn passes(&self) -> (u64, u64) {
        (2, 1)
    }

    fn attribute(
        &self,
        network: &mut dyn Network<S>,
        inputs: &[Tensor<S>],
        target: &Target,
    ) -> Result<Attribution<S>> {
        let seeds = network.seeds(target, inputs)?;
        let outputs = network.values(inputs, seeds.from)?;
        let values = outputs.iter().enumerate().map(|(n, row)| seeds.value(n, row)).collect();
        let wanted = network.graph().inputs().to_vec();
        let names: Vec<String> = wanted.iter().map(|&v| network.graph().value(v).name.clone()).collect();
        let spec = PassSpec { table: Some(&*self.table), from: seeds.from, wanted, captures: Vec::new() };
        let mut maps: Vec<Tensor<S>> = inputs.iter().map(|x| Tensor::zeros(x.shape())).collect();
        let mut fill = |n: usize, what: Fill, into: &mut [S]| match what {
            Fill::Input(i) => into.copy_from_slice(part(&inputs[i], n, into.len())),
            Fill::Reference(i) => into.copy_from_slice(self.reference(i)),
            Fill::Seed => {
                let start = |(&s, &o): (&S, &S)| if self.relevance { s * o } else { s };
                into.iter_mut().zip(seeds.rows[n].iter().zip(&outputs[n])).for_each(|(to, p)| *to = start(p));
            }
        };
        let times = self.table.needs_reference() && !self.relevance;
        network.run(&spec, outputs.len(), &mut fill, &mut |n, row| {
            for (i, (map, signal)) in maps.iter_mut().zip(&row.results).enumerate() {
                let length = signal.len();
                let delta = part(&inputs[i], n, length).iter().zip(self.reference(i)).map(|(&x, &r)| x - r);
                let into = map.data_mut()[n * length..(n + 1) * length].iter_mut();
                into.zip(signal.iter().zip(delta))
                    .for_each(|(to, (&s, d))| *to = if times { s * d } else { s });
            }
        })?;
        let grids = names.into_iter().map(Grid::Input);
        Ok(Attribution {
            maps: grids.zip(maps).map(|(grid, values)| Map { grid, values }).collect(),
            values,
            residuals: None,
            differences: None,
            forward_passes: 2 * outputs.len() as u64,
            backward_passes: outputs.len() as u64,
            notes: Vec::new(),
            ledger: None,
            scores: None,
        })
    }
}
