//! What flows backwards, as types: a signal owns the default of every structural class.

use crate::emitter::Emitter;
use crate::kernel::BinaryFn;
use crate::ledger::Cause;
use crate::plan::Slot;
use crate::site::Site;
use alloc::format;
use alloc::vec;
use alloc::vec::Vec;
use voxplain_graph::Class;
use voxplain_graph::ops::Pointwise;
use voxplain_tensor::{Error, Result};

/// What flows backwards. The type keeps signals of different meaning apart: a relevance rule and a gradient rule cannot
/// stand in one composite.
pub trait Signal: Clone + 'static {
    /// The signal at the value that is explained, from the seed that the caller writes.
    fn seed(slot: Slot) -> Self;
    /// The value to hand out where this signal was asked for.
    fn result(&self, emitter: &mut Emitter) -> Slot;
    /// Both signals added, at fan-out.
    fn add(&self, other: &Self, emitter: &mut Emitter) -> Self;
    /// The value whose sum is what the signal carries, for signals that ought to be kept; the ledger adds it up.
    fn mass(&self) -> Option<Slot> {
        None
    }
    /// The values that the signal is, each in the shape of the value that it is about; what has another shape is refused.
    fn slots(&self) -> Vec<Slot> {
        Vec::new()
    }
    /// What a node of `class` does to the signal where no rule says otherwise.
    ///
    /// # Errors
    /// The class has no meaningful default for this signal.
    fn default_rule(class: Class, site: &mut Site<'_>, upper: &Self) -> Result<Vec<Option<Self>>>;
}

/// A cotangent or multiplier: the default of every class is the gradient.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cotangent(pub Slot);

impl Signal for Cotangent {
    fn seed(slot: Slot) -> Self {
        Self(slot)
    }

    fn result(&self, _emitter: &mut Emitter) -> Slot {
        self.0
    }

    fn add(&self, other: &Self, emitter: &mut Emitter) -> Self {
        Self(emitter.add(self.0, other.0))
    }

    fn slots(&self) -> Vec<Slot> {
        vec![self.0]
    }

    fn default_rule(_class: Class, site: &mut Site<'_>, upper: &Self) -> Result<Vec<Option<Self>>> {
        Ok(site.vjp(upper.0)?.into_iter().map(|g| g.map(Self)).collect())
    }
}

/// A relevance, in units of the explained output. Affine layers have no default, because there are many LRP rules: one
/// must be chosen. Activations pass relevance on, selections give it to the winner, products share it equally.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Relevance(pub Slot);

impl Signal for Relevance {
    fn seed(slot: Slot) -> Self {
        Self(slot)
    }

    fn result(&self, _emitter: &mut Emitter) -> Slot {
        self.0
    }

    fn add(&self, other: &Self, emitter: &mut Emitter) -> Self {
        Self(emitter.add(self.0, other.0))
    }

    fn mass(&self) -> Option<Slot> {
        Some(self.0)
    }

    fn slots(&self) -> Vec<Slot> {
        vec![self.0]
    }

    fn default_rule(class: Class, site: &mut Site<'_>, upper: &Self) -> Result<Vec<Option<Self>>> {
        match class {
            Class::Pointwise => Ok(site.to_first(*upper)),
            Class::Select => Ok(site.vjp(upper.0)?.into_iter().map(|g| g.map(Self)).collect()),
            Class::Bilinear => halves(site, upper.0),
            Class::Affine | Class::Normalise | Class::Opaque => Err(Error::unsupported(format!(
                "relevance has no default for {} nodes; give the composite a rule for {}",
                class.name(),
                site.node().op.kind()
            ))),
        }
    }
}

/// Half of the relevance for each factor of a product. Where a factor has another shape than the result (matrices, a gate
/// that is repeated), its half comes by value, `x_i sum_j dy_j/dx_i R_j / (2 y_j)`; an output of 0 keeps its relevance.
fn halves(site: &mut Site<'_>, upper: Slot) -> Result<Vec<Option<Relevance>>> {
    let operands = 0..site.node().inputs.len();
    let shape = site.shape(upper);
    if operands.clone().all(|i| site.shape(site.input(i)) == shape) {
        let half = Relevance(site.emitter().scale(upper, 0.5));
        return Ok(operands.map(|i| site.wants(i).then_some(half)).collect());
    }
    let twice = site.output();
    let twice = site.emitter().scale(twice, 2.0);
    let size = site.map(Pointwise::Abs, twice);
    let quotient = site.emitter().binary(BinaryFn::DivOrZero, upper, twice);
    let quotient = site.emitter().binary(BinaryFn::Gate, quotient, size);
    site.book_rest(Cause::Dead);
    site.by_value(quotient).map(|all| all.into_iter().map(|s| s.map(Relevance)).collect())
}

/// Two multipliers, one for the part of a difference that is above 0 and one for the part below: `m+ P + m- N` is what a
/// value whose difference is `P + N` contributes (Shrikumar et al., 2017, section 3.5.3). No class has a default: what is
/// split must be put together by a rule that knows how it was split.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PosNeg {
    /// The multiplier of the positive part.
    pub positive: Slot,
    /// The multiplier of the negative part.
    pub negative: Slot,
}

impl PosNeg {
    /// One multiplier for both parts.
    pub fn both(slot: Slot) -> Self {
        Self { positive: slot, negative: slot }
    }
}

impl Signal for PosNeg {
    fn seed(slot: Slot) -> Self {
        Self::both(slot)
    }

    /// The mean; rules give inputs one multiplier for both parts.
    fn result(&self, emitter: &mut Emitter) -> Slot {
        if self.positive == self.negative {
            return self.positive;
        }
        let sum = emitter.add(self.positive, self.negative);
        emitter.scale(sum, 0.5)
    }

    fn add(&self, other: &Self, emitter: &mut Emitter) -> Self {
        let positive = emitter.add(self.positive, other.positive);
        if self.positive == self.negative && other.positive == other.negative {
            return Self::both(positive);
        }
        Self { positive, negative: emitter.add(self.negative, other.negative) }
    }

    fn slots(&self) -> Vec<Slot> {
        vec![self.positive, self.negative]
    }

    fn default_rule(class: Class, site: &mut Site<'_>, _upper: &Self) -> Result<Vec<Option<Self>>> {
        Err(Error::unsupported(format!(
            "a pair of multipliers has no default for {} nodes; give the composite a rule for {}",
            class.name(),
            site.node().op.kind()
        )))
    }
}
