//! The rule trait: what a backward rule sees at a node and what it may emit.
//!
//! A rule is written per structural class and for one type of signal. The signal owns the defaults of every class, so a
//! rule states only how it differs; a class for which the signal has no meaningful default is an error, never a silent
//! gradient. Rules hang on graph nodes: reuse, functional calls and adjacency cannot matter, and fan-out is summed
//! before the next rule.

use crate::plan::Slot;
use crate::signal::{Cotangent, Signal};
use crate::site::Site;
use alloc::string::String;
use alloc::vec::Vec;
use voxplain_graph::Class;
use voxplain_tensor::Result;

/// A backward rule for signals of one type. Every method has the signal's default; override what differs.
///
/// The result has one entry per operand of the node: `Some` where the signal reaches an operand that
/// [`Site::wants`], in the operand's shape.
pub trait Rule: Send + Sync {
    /// What flows backwards.
    type Signal: Signal;

    /// The rule's name with its parameters, recorded with every map.
    fn name(&self) -> String;

    /// Whether the rule looks at the reference run; the plan then needs reference inputs.
    fn needs_reference(&self) -> bool {
        false
    }

    /// What the rule computes of a node before anything flows back, in the order of the network: a forward pass of its own.
    /// The values are there as [`Site::state`] of whoever reads the node, and as [`Site::own_state`] of the node.
    ///
    /// # Errors
    /// The rule does not define this node.
    fn prepare(&self, _site: &mut Site<'_>) -> Result<Vec<Slot>> {
        Ok(Vec::new())
    }

    /// Convolution, linear layers, stored normalisation, sums, pooling averages, shape changes.
    ///
    /// # Errors
    /// The rule does not define this class.
    fn affine(&self, site: &mut Site<'_>, upper: &Self::Signal) -> Result<Vec<Option<Self::Signal>>> {
        Self::Signal::default_rule(Class::Affine, site, upper)
    }

    /// Activations.
    ///
    /// # Errors
    /// The rule does not define this class.
    fn pointwise(&self, site: &mut Site<'_>, upper: &Self::Signal) -> Result<Vec<Option<Self::Signal>>> {
        Self::Signal::default_rule(Class::Pointwise, site, upper)
    }

    /// Max pooling and maximum over axes.
    ///
    /// # Errors
    /// The rule does not define this class.
    fn select(&self, site: &mut Site<'_>, upper: &Self::Signal) -> Result<Vec<Option<Self::Signal>>> {
        Self::Signal::default_rule(Class::Select, site, upper)
    }

    /// Products of two values that both vary.
    ///
    /// # Errors
    /// The rule does not define this class.
    fn bilinear(&self, site: &mut Site<'_>, upper: &Self::Signal) -> Result<Vec<Option<Self::Signal>>> {
        Self::Signal::default_rule(Class::Bilinear, site, upper)
    }

    /// Softmax; instance, group and layer normalisation.
    ///
    /// # Errors
    /// The rule does not define this class.
    fn normalise(&self, site: &mut Site<'_>, upper: &Self::Signal) -> Result<Vec<Option<Self::Signal>>> {
        Self::Signal::default_rule(Class::Normalise, site, upper)
    }

    /// Anything else.
    ///
    /// # Errors
    /// The rule does not define this class.
    fn opaque(&self, site: &mut Site<'_>, upper: &Self::Signal) -> Result<Vec<Option<Self::Signal>>> {
        Self::Signal::default_rule(Class::Opaque, site, upper)
    }
}

/// The gradient: every class keeps the default of [`Cotangent`].
#[derive(Clone, Copy, Debug, Default)]
pub struct Gradient;

impl Rule for Gradient {
    type Signal = Cotangent;
    fn name(&self) -> String {
        String::from("gradient")
    }
}

/// Applies the method of `rule` for the class of the node at `site`.
pub(crate) fn apply<S: Signal>(
    rule: &dyn Rule<Signal = S>,
    site: &mut Site<'_>,
    upper: &S,
) -> Result<Vec<Option<S>>> {
    match site.class() {
        Class::Affine => rule.affine(site, upper),
        Class::Pointwise => rule.pointwise(site, upper),
        Class::Select => rule.select(site, upper),
        Class::Bilinear => rule.bilinear(site, upper),
        Class::Normalise => rule.normalise(site, upper),
        Class::Opaque => rule.opaque(site, upper),
    }
}
