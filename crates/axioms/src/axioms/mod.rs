//! The axioms, one file each. Each is a function from a method and a network to a verdict; `None` where the network does
//! not meet what the axiom supposes.

mod anonymity;
mod batches;
mod completeness;
mod conservation;
mod consistency;
mod continuity;
mod demand_monotonicity;
mod dummy;
mod flip;
mod homogeneity;
mod implementation;
mod input_scale;
mod input_shift;
mod linearity;
mod mask_idempotence;
mod missing_modality;
mod neuron_scale;
mod null;
mod oddness;
mod positivity;
mod proportionality;
mod quotient;
mod sensitivity;
mod sensitivity_n;
mod symmetry;
mod targets;
mod translation;

use crate::bench::Bench;
use crate::program::Program;
use crate::verdict::Verdict;
use voxplain_autodiff::Device;
use voxplain_tensor::{Error, Result};

/// A property of attribution methods.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Axiom {
    /// The map sums to `F(x) - F(r)`.
    Completeness,
    /// The map sums to `F(x)`.
    Conservation,
    /// What alone changes the output has a part in the map.
    Sensitivity,
    /// What no path leads from has none.
    Dummy,
    /// What the function does not depend on has none.
    Null,
    /// Networks for the same function have the same map.
    Implementation,
    /// The map of a sum is the sum of the maps.
    Linearity,
    /// The map of `-F` is minus the map of `F`.
    Oddness,
    /// What the function treats alike and has equal values has equal parts.
    Symmetry,
    /// Exchanged channels have exchanged maps.
    Anonymity,
    /// Adding a constant to input, reference and what the first layer expects changes nothing.
    InputShift,
    /// The map of `c F` is `c` times the map.
    Homogeneity,
    /// Scaling a neuron and what reads it the other way changes nothing.
    NeuronScale,
    /// Other units of an input change nothing.
    InputScale,
    /// A mirrored network on a mirrored image has the mirrored map.
    Flip,
    /// A moved image has a moved map.
    Translation,
    /// Small changes of the input are small changes of the map.
    Continuity,
    /// More of what the output never falls with is no smaller part.
    DemandMonotonicity,
    /// What adds more to every set in one network than in another has no smaller part.
    Consistency,
    /// What enters only through its sum is shared in proportion.
    Proportionality,
    /// On a linear network any entries together have their own effect.
    SensitivityN,
    /// A positive output has no negative parts.
    Positivity,
    /// An example's map does not depend on its batch.
    Batches,
    /// Why a rather than b is the map of a minus the map of b.
    Targets,
    /// A modality that is as in the reference has no part.
    MissingModality,
    /// The parts of a modality's entries add up to the modality's Shapley value.
    Quotient,
    /// Taking away what was taken away changes nothing.
    MaskIdempotence,
}

/// Whether a verdict on one network settles something.
pub type Finding = Result<Option<Verdict>>;

impl Axiom {
    /// All of them, in the order of tables.
    pub const ALL: [Self; 27] = [
        Self::Completeness,
        Self::Conservation,
        Self::Sensitivity,
        Self::Dummy,
        Self::Null,
        Self::Implementation,
        Self::Linearity,
        Self::Oddness,
        Self::Symmetry,
        Self::Anonymity,
        Self::InputShift,
        Self::Homogeneity,
        Self::NeuronScale,
        Self::InputScale,
        Self::Flip,
        Self::Translation,
        Self::Continuity,
        Self::DemandMonotonicity,
        Self::Consistency,
        Self::Proportionality,
        Self::SensitivityN,
        Self::Positivity,
        Self::Batches,
        Self::Targets,
        Self::MissingModality,
        Self::Quotient,
        Self::MaskIdempotence,
    ];

    /// The name in words, as tables and claims have it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Completeness => "completeness",
            Self::Conservation => "conservation",
            Self::Sensitivity => "sensitivity",
            Self::Dummy => "dummy",
            Self::Null => "null",
            Self::Implementation => "implementation",
            Self::Linearity => "linearity",
            Self::Oddness => "oddness",
            Self::Symmetry => "symmetry",
            Self::Anonymity => "anonymity",
            Self::InputShift => "input-shift",
            Self::Homogeneity => "homogeneity",
            Self::NeuronScale => "neuron-scale",
            Self::InputScale => "input-scale",
            Self::Flip => "flip",
            Self::Translation => "translation",
            Self::Continuity => "continuity",
            Self::DemandMonotonicity => "demand-monotonicity",
            Self::Consistency => "consistency",
            Self::Proportionality => "proportionality",
            Self::SensitivityN => "sensitivity-n",
            Self::Positivity => "positivity",
            Self::Batches => "batches",
            Self::Targets => "targets",
            Self::MissingModality => "missing-modality",
            Self::Quotient => "quotient",
            Self::MaskIdempotence => "mask-idempotence",
        }
    }

    /// The axiom of that name.
    ///
    /// # Errors
    /// There is none; the message lists them.
    pub fn named(name: &str) -> Result<Self> {
        Self::ALL.into_iter().find(|a| a.name() == name).ok_or_else(|| {
            let names: Vec<&str> = Self::ALL.iter().map(|a| a.name()).collect();
            Error::invalid(format!("no axiom {name:?}; there are {}", names.join(", ")))
        })
    }

    /// What is tried, each by itself: different ways to break the axiom.
    pub fn variants(self) -> &'static [&'static str] {
        match self {
            Self::Dummy => &["channel", "all of an input"],
            Self::Null => null::VARIANTS,
            Self::Implementation => implementation::VARIANTS,
            Self::Linearity => &["2f + 3g", "2f - 3g"],
            Self::Symmetry => &["symmetric implementation", "min(x1, x2)"],
            Self::Continuity | Self::DemandMonotonicity => &["drawn networks", "min(x1, x2)"],
            Self::Consistency => consistency::VARIANTS,
            Self::SensitivityN => sensitivity_n::VARIANTS,
            Self::Positivity => &["any network", "without space"],
            Self::Quotient => quotient::VARIANTS,
            Self::MaskIdempotence => mask_idempotence::VARIANTS,
            _ => &[""],
        }
    }

    /// Checks a method on a network.
    ///
    /// # Errors
    /// The method cannot explain this network.
    pub fn check<D: Device>(self, bench: &Bench<'_, D>, program: &Program, variant: usize) -> Finding {
        match self {
            Self::Completeness => completeness::check(bench, &program.problem()?),
            Self::Conservation => conservation::check(bench, &program.problem()?),
            Self::Sensitivity => sensitivity::check(bench, &program.problem()?),
            Self::Dummy => dummy::check(bench, &program.problem()?, variant),
            Self::Null => null::check(bench, program, variant),
            Self::Implementation => implementation::check(bench, &program.problem()?, variant),
            Self::Linearity => linearity::check(bench, program, variant),
            Self::Oddness => oddness::check(bench, &program.problem()?),
            Self::Symmetry => symmetry::check(bench, &program.problem()?, variant),
            Self::Anonymity => anonymity::check(bench, &program.problem()?),
            Self::InputShift => input_shift::check(bench, &program.problem()?),
            Self::Homogeneity => homogeneity::check(bench, &program.problem()?),
            Self::NeuronScale => neuron_scale::check(bench, &program.problem()?),
            Self::InputScale => input_scale::check(bench, &program.problem()?),
            Self::Flip => flip::check(bench, &program.problem()?),
            Self::Translation => translation::check(bench, program),
            Self::Continuity => continuity::check(bench, &program.problem()?, variant),
            Self::DemandMonotonicity => demand_monotonicity::check(bench, &program.problem()?, variant),
            Self::Consistency => consistency::check(bench, program, variant),
            Self::Proportionality => proportionality::check(bench, &program.problem()?),
            Self::SensitivityN => sensitivity_n::check(bench, &program.problem()?, variant),
            Self::Positivity => positivity::check(bench, &program.problem()?, variant),
            Self::Batches => batches::check(bench, &program.problem()?),
            Self::Targets => targets::check(bench, &program.problem()?),
            Self::MissingModality => missing_modality::check(bench, &program.problem()?),
            Self::Quotient => quotient::check(bench, &program.problem()?, variant),
            Self::MaskIdempotence => mask_idempotence::check(bench, &program.problem()?, variant),
        }
    }
}
