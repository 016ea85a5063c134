//! Layer-wise relevance propagation with a composite of rules.

use super::{Method, input_maps, signals};
use crate::rules::lrp::{AlphaBeta, Epsilon, Flat, GeneralizedGamma, Unweighted, ZBox, ZPlus};
use crate::{Attribution, Network, PassSpec, Rules, Target};
use voxplain_autodiff::{Composite, Matcher, Relevance};
use voxplain_graph::Graph;
use voxplain_tensor::{Result, Scalar, Tensor};

/// What convolutions do.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum LayerRule {
    /// [`Epsilon`].
    Epsilon(f64),
    /// [`ZPlus`].
    ZPlus,
    /// [`GeneralizedGamma`].
    Gamma(f64),
    /// [`AlphaBeta`] with alpha 2 and beta 1.
    Alpha2Beta1,
}

/// What the first weighted layer of every input does instead.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum FirstRule {
    /// The same as the others.
    Same,
    /// [`Flat`], convolution or linear layer.
    Flat,
    /// [`ZBox`] from the lowest to the highest input, convolutions only.
    Box(f64, f64),
}

/// Where relevance starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// With the explained value itself, so that maps share it out.
    Output,
    /// With 1.
    One,
}

/// LRP with the composites of Zennit (Anders et al., "Software for dataset-wide XAI", 2021): EpsilonPlus,
/// EpsilonPlusFlat, EpsilonGammaBox, EpsilonAlpha2Beta1 and EpsilonAlpha2Beta1Flat are combinations of these. Stored
/// normalisation should be merged into the layers before it first (`fold_batch_normalization`): rules see what a layer
/// computes, and a normalisation by itself is none.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Lrp {
    /// Convolutions.
    pub convolution: LayerRule,
    /// Linear layers.
    pub linear: LayerRule,
    /// The first weighted layer of every input.
    pub first: FirstRule,
    /// The stabiliser of every quotient but those of the epsilon rule.
    pub stabilizer: f64,
    /// Whether a normalisation that is still there passes relevance unchanged instead of sharing it by value.
    pub pass_normalization: bool,
    /// Where relevance starts.
    pub start: Start,
}

impl Lrp {
    /// The table of rules.
    pub fn composite(&self) -> Composite<Relevance> {
        let (stabilizer, pass_normalization) = (self.stabilizer, self.pass_normalization);
        let mut table = Composite::everywhere(Unweighted { stabilizer, pass_normalization });
        for kind in ["Conv", "ConvTranspose"] {
            table = self.on(table, Matcher::Kind(kind.into()), self.convolution);
        }
        for kind in ["Gemm", "MatMul"] {
            table = self.on(table, Matcher::Kind(kind.into()), self.linear);
        }
        match self.first {
            FirstRule::Same => table,
            FirstRule::Flat => table.on(Matcher::FirstWeighted, Flat { stabilizer }),
            FirstRule::Box(low, high) => {
                table.on(Matcher::FirstOfKind("Conv".into()), ZBox { low, high, stabilizer })
            }
        }
    }

    fn on(&self, table: Composite<Relevance>, at: Matcher, rule: LayerRule) -> Composite<Relevance> {
        let stabilizer = self.stabilizer;
        match rule {
            LayerRule::Epsilon(epsilon) => table.on(at, Epsilon(epsilon)),
            LayerRule::ZPlus => table.on(at, ZPlus { stabilizer }),
            LayerRule::Gamma(gamma) => table.on(at, GeneralizedGamma { gamma, stabilizer }),
            LayerRule::Alpha2Beta1 => table.on(at, AlphaBeta { alpha: 2.0, beta: 1.0, stabilizer }),
        }
    }

    /// One line per node of `graph`: which rule speaks there.
    ///
    /// # Errors
    /// The composite does not fit the graph.
    pub fn explain(&self, graph: &Graph) -> Result<Vec<String>> {
        Ok(self.composite().resolve(graph)?.explain(graph))
    }
}

impl<S: Scalar> Method<S> for Lrp {
    fn name(&self) -> &'static str {
        "lrp"
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
        let examples = network.examples(inputs)?;
        let seeds = network.seeds(target, inputs)?;
        // Relevance starts with what the output is, so the output has to be known before.
        let outputs = network.values(inputs, seeds.from)?;
        let values: Vec<f64> = outputs.iter().enumerate().map(|(n, row)| seeds.value(n, row)).collect();
        let table = Rules { name: format!("{self:?}"), composite: self.composite() };
        let wanted = network.graph().inputs().to_vec();
        let spec = PassSpec { table: Some(&table), from: seeds.from, wanted, captures: Vec::new() };
        let started = |(seed, output): (&Vec<S>, &Vec<S>)| match self.start {
            Start::Output => seed.iter().zip(output).map(|(&s, &o)| s * o).collect(),
            Start::One => seed.clone(),
        };
        let rows: Vec<Vec<S>> = seeds.rows.iter().zip(&outputs).map(started).collect();
        let maps = signals(network, inputs, &spec, &rows, &mut |_, _| {})?;
        let sums = Attribution::sums(&maps, examples);
        let whole = |row: &Vec<S>| row.iter().map(|v| v.to_f64()).sum::<f64>();
        let kept = sums.iter().zip(&rows).map(|(sum, row)| format!("{:.4}", sum / whole(row)));
        let kept = kept.collect::<Vec<_>>().join(", ");
        Ok(Attribution {
            maps: input_maps(network.graph(), maps),
            values,
            residuals: None,
            differences: None,
            forward_passes: 2 * examples as u64,
            backward_passes: examples as u64,
            notes: vec![format!(
                "part of the relevance that reached the input: {kept}; biases and stabilisers took the rest"
            )],
            scores: None,
        })
    }
}
