//! PatternNet and PatternAttribution.

use std::collections::BTreeMap;
use std::sync::Arc;
use voxplain_autodiff::{Cotangent, Rule, Signal, Site};
use voxplain_graph::{Class, Node, Op, Parameter};
use voxplain_tensor::{Error, Result};

/// A pattern for every weighted layer, in the shape of its weights; see [`crate::patterns::fit`].
#[derive(Clone, Debug, Default)]
pub struct Patterns {
    /// By the name of the layer's node.
    pub by_node: BTreeMap<String, Parameter>,
}

impl Patterns {
    /// A number that tells sets of patterns apart (FNV-1a over their bits).
    fn fingerprint(&self) -> u64 {
        let bits = self.by_node.values().flat_map(|p| p.data.iter().map(|v| u64::from(v.to_bits())));
        bits.fold(0xcbf2_9ce4_8422_2325, |hash, bits| (hash ^ bits).wrapping_mul(0x0100_0000_01b3))
    }
}

/// Which of two that patterns are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Net,
    Attribution,
}

/// Back through patterns instead of weights (Kindermans et al., "Learning how to explain neural networks: PatternNet and
/// PatternAttribution", ICLR 2018, section 4): in a weighted layer `g_in = a^T g` (PatternNet, an estimate of the signal)
/// or `g_in = (w a)^T g` (PatternAttribution, how much of the signal speaks for the output). Rectifiers and everything else
/// keep their gradient.
#[derive(Clone, Debug)]
pub struct Pattern {
    patterns: Arc<Patterns>,
    kind: Kind,
}

impl Pattern {
    /// PatternNet.
    pub fn net(patterns: Arc<Patterns>) -> Self {
        Self { patterns, kind: Kind::Net }
    }

    /// PatternAttribution.
    pub fn attribution(patterns: Arc<Patterns>) -> Self {
        Self { patterns, kind: Kind::Attribution }
    }
}

/// Whether a node is a layer that has weights and so a pattern: `varies[i]` says whether operand i depends on an input.
pub(crate) fn has_weights(node: &Node, varies: impl Fn(usize) -> bool) -> bool {
    let layer = matches!(node.op, Op::Conv(_) | Op::ConvTranspose(_) | Op::Gemm(_) | Op::MatMul);
    layer && varies(0) && !varies(1)
}

impl Rule for Pattern {
    type Signal = Cotangent;

    fn name(&self) -> String {
        let kind = if self.kind == Kind::Net { "net" } else { "attribution" };
        format!("pattern_{kind}({:016x})", self.patterns.fingerprint())
    }

    fn affine(&self, site: &mut Site<'_>, upper: &Cotangent) -> Result<Vec<Option<Cotangent>>> {
        if !has_weights(site.node(), |i| site.varies(i)) {
            return Cotangent::default_rule(Class::Affine, site, upper);
        }
        let pattern = self.patterns.by_node.get(&site.node().name).ok_or_else(|| {
            Error::invalid(
                "there is no pattern for this layer; fit patterns on the network that is explained",
            )
        })?;
        let weights = site.input(1);
        if pattern.shape != site.shape(weights) {
            return Err(Error::invalid(format!(
                "the pattern of shape {} does not fit the weights",
                pattern.shape
            )));
        }
        let mut pattern = site.constant(pattern);
        if self.kind == Kind::Attribution {
            pattern = site.emitter().mul(weights, pattern);
        }
        let mut operands: Vec<_> = (0..site.node().inputs.len()).map(|i| site.input(i)).collect();
        operands[1] = pattern;
        Ok(site.vjp_at(&operands, upper.0)?.into_iter().map(|g| g.map(Cotangent)).collect())
    }
}
