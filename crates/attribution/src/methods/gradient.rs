//! One backward pass: the gradient, Guided BackProp, Deconvolution, any rule table.

use super::{Method, input_maps, signals};
use crate::parts::in_parts;
use crate::rules::{Deconvolution, GuidedBackProp, RectGrad, Threshold};
use crate::{Attribution, Network, PassSpec, Rules, Table, Target};
use std::sync::Arc;
use voxplain_autodiff::{Composite, Gradient, Rule, Signal};
use voxplain_graph::{Graph, Node, Op};
use voxplain_tensor::{Result, Scalar, Tensor};

/// What is done with the signal at the input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scaling {
    /// Nothing: the signed signal.
    None,
    /// Its magnitude.
    Absolute,
    /// Its product with the input.
    TimesInput,
}

impl Scaling {
    /// Scales a part of a map, of which `x` are the inputs.
    fn apply<S: Scalar>(self, map: &mut [S], x: &[S]) {
        match self {
            Self::None => {}
            Self::Absolute => map.iter_mut().filter(|m| **m < S::ZERO).for_each(|m| *m = -*m),
            Self::TimesInput => map.iter_mut().zip(x).for_each(|(m, &x)| *m = x * *m),
        }
    }
}

/// The signal of a rule table at the input, in one forward and one backward pass per example.
#[derive(Clone)]
pub struct Backward {
    name: &'static str,
    table: Arc<dyn Table>,
    scaling: Scaling,
}

impl Backward {
    /// A method called `name` from a rule that speaks everywhere.
    pub fn with_rule<R>(name: &'static str, rule: R, scaling: Scaling) -> Self
    where
        R: Rule + 'static,
        R::Signal: Signal,
    {
        let table = Rules { name: rule.name(), composite: Composite::everywhere(rule) };
        Self { name, table: Arc::new(table), scaling }
    }

    /// A method called `name` from a table.
    pub fn with_table(name: &'static str, table: Arc<dyn Table>, scaling: Scaling) -> Self {
        Self { name, table, scaling }
    }

    /// The gradient `dF/dx`, signed, or its magnitude (Simonyan, Vedaldi & Zisserman, "Deep inside convolutional
    /// networks", ICLR workshop 2014, section 3).
    pub fn saliency(absolute: bool) -> Self {
        let scaling = if absolute { Scaling::Absolute } else { Scaling::None };
        Self::with_rule("saliency", Gradient, scaling)
    }

    /// `x dF/dx` (Shrikumar et al., "Not just a black box", arXiv 1605.01713, 2016).
    pub fn input_x_gradient() -> Self {
        Self::with_rule("input_x_gradient", Gradient, Scaling::TimesInput)
    }

    /// Guided BackProp; see [`GuidedBackProp`].
    pub fn guided_backprop() -> Self {
        Self::with_rule("guided_backprop", GuidedBackProp, Scaling::None)
    }

    /// RectGrad times the input; see [`RectGrad`].
    pub fn rect_grad(threshold: Threshold) -> Self {
        Self::with_rule("rect_grad", RectGrad(threshold), Scaling::TimesInput)
    }

    /// Deconvolution; see [`Deconvolution`].
    pub fn deconvolution() -> Self {
        Self::with_rule("deconvolution", Deconvolution, Scaling::None)
    }
}

impl Backward {
    /// Methods that change rectifiers say so where there is none to change.
    fn notes(&self, graph: &Graph) -> Vec<String> {
        let rectifier = |node: &Node| matches!(node.op, Op::Pointwise(f) if f.is_rectifier());
        let changes = matches!(self.name, "guided_backprop" | "deconvolution" | "rect_grad");
        if changes && !graph.nodes().iter().any(rectifier) {
            return vec![String::from("the network has no ReLU, so this equals the plain gradient")];
        }
        Vec::new()
    }
}

impl<S: Scalar> Method<S> for Backward {
    fn name(&self) -> &'static str {
        self.name
    }

    fn passes(&self) -> (u64, u64) {
        (1, 1)
    }

    fn one_pass(&self) -> Option<(&dyn Table, Scaling)> {
        Some((&*self.table, self.scaling))
    }

    fn attribute(
        &self,
        network: &mut dyn Network<S>,
        inputs: &[Tensor<S>],
        target: &Target,
    ) -> Result<Attribution<S>> {
        let examples = network.examples(inputs)?;
        let seeds = network.seeds(target, inputs)?;
        let spec = PassSpec {
            table: Some(&*self.table),
            from: seeds.from,
            wanted: network.graph().inputs().to_vec(),
            captures: vec![seeds.from],
        };
        let mut values = Vec::with_capacity(examples);
        let mut maps = signals(network, inputs, &spec, &seeds.rows, &mut |n, row| {
            values.push(seeds.value(n, row.captures[0]));
        })?;
        let threads = network.threads();
        for (map, x) in maps.iter_mut().zip(inputs).filter(|_| self.scaling != Scaling::None) {
            in_parts(threads, map.data_mut(), |first, map| self.scaling.apply(map, &x.data()[first..]));
        }
        Ok(Attribution {
            maps: input_maps(network.graph(), maps),
            values,
            residuals: None,
            differences: None,
            forward_passes: examples as u64,
            backward_passes: examples as u64,
            notes: self.notes(network.graph()),
            ledger: None,
            scores: None,
        })
    }
}
