//! What became of the relevance that did not arrive: per node, what was received, what was passed on, and who kept the rest.
//!
//! With it conservation is an equation instead of an inequality: the maps and the ledger together add up to what the pass
//! started with, and a node that loses relevance says so by name.

use crate::emitter::Emitter;
use crate::kernel::{Kernel, Span};
use crate::plan::Slot;
use alloc::vec::Vec;
use voxplain_tensor::Shape;

/// Who kept relevance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Cause {
    /// A bias or another constant addend.
    Bias,
    /// The stabiliser (epsilon) of a quotient.
    Stabilizer,
    /// An output without any contribution to share its relevance among.
    Dead,
    /// Whatever else the node's rule does not pass on: a rule that does not conserve, padding, a product with a constant.
    Rule,
}

impl Cause {
    /// The name in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Bias => "bias",
            Self::Stabilizer => "stabilizer",
            Self::Dead => "dead",
            Self::Rule => "rule",
        }
    }
}

/// What a rule has booked at one node.
#[derive(Clone, Debug, Default)]
pub(crate) struct Books {
    pub kept: bool,
    pub entries: Vec<(Cause, Slot)>,
    pub rest: Option<Cause>,
}

/// The sums of one node, one number per example each, as values of the plan.
#[derive(Clone, Debug)]
pub struct NodeBooks {
    /// The node, by its position in the graph.
    pub node: usize,
    /// What the node was given.
    pub received: Slot,
    /// What it passed on; nothing where it has no wanted operand.
    pub passed: Vec<Slot>,
    /// What its rule booked.
    pub booked: Vec<(Cause, Slot)>,
    /// Who has what is neither passed on nor booked.
    pub rest: Cause,
}

impl NodeBooks {
    /// All sums, in the order in which [`NodeBooks::balance`] wants their values.
    pub(crate) fn slots(&self) -> impl Iterator<Item = Slot> + '_ {
        let booked = self.booked.iter().map(|(_, slot)| *slot);
        core::iter::once(self.received).chain(self.passed.iter().copied()).chain(booked)
    }

    /// How many sums there are.
    pub fn len(&self) -> usize {
        1 + self.passed.len() + self.booked.len()
    }

    /// There is always what was received.
    pub fn is_empty(&self) -> bool {
        false
    }

    /// What the node kept, by cause, from the values of [`NodeBooks::len`] sums.
    pub fn balance(&self, sums: &[f64]) -> Vec<(Cause, f64)> {
        let (passed, booked) = sums[1..].split_at(self.passed.len());
        let mut kept: Vec<(Cause, f64)> = Vec::new();
        let rest = sums[0] - passed.iter().sum::<f64>() - booked.iter().sum::<f64>();
        let causes = self.booked.iter().map(|(cause, _)| *cause).chain([self.rest]);
        for (cause, amount) in causes.zip(booked.iter().copied().chain([rest])) {
            match kept.iter_mut().find(|(known, _)| *known == cause) {
                Some((_, sum)) => *sum += amount,
                None => kept.push((cause, amount)),
            }
        }
        kept
    }
}

/// The sum of a value over every example by itself.
pub(crate) fn sum(emitter: &mut Emitter, value: Slot, examples: usize) -> Slot {
    let shape = emitter.shape(value);
    let n = shape.elements() / examples.max(1);
    // A shape of one axis is always possible.
    let rows = Shape::new(&[examples]).unwrap_or(shape);
    emitter.emit(Kernel::Reduce(Span { outer: examples, n, inner: 1 }, 1.0), &[value], rows)
}
