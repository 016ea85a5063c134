//! Tables of rules for relevance as data: lines of (nodes, rule, parameters), so that a composite can be named, written to a
//! file, printed and recorded. One file per named composite.
//!
//! To add one: a file with its [`Preset`], and its line in [`PRESETS`].

mod alpha_beta;
mod attention;
mod deep_taylor;
mod epsilon_alpha2_beta1;
mod epsilon_gamma_box;
mod epsilon_plus;
mod excitation_backprop;
mod single;
mod values;

pub use values::Values;

use crate::rules::lrp::{Number, named};
use std::collections::BTreeMap;
use std::fmt;
use voxplain_autodiff::{Composite, Matcher, Relevance};
use voxplain_tensor::{Error, Result};

/// One line of a composite: which nodes, which rule, with which parameters.
#[derive(Clone, Debug, PartialEq)]
pub struct Line {
    /// The nodes.
    pub on: Matcher,
    /// The rule's name in [`crate::rules::lrp::RULES`].
    pub rule: String,
    /// Its parameters; those that are missing have their defaults.
    pub parameters: BTreeMap<String, Number>,
    /// Whether a network without such nodes is refused. Nodes, patterns and inputs that are named have to be there in any case.
    pub required: bool,
}

impl Line {
    /// A line with parameters, for networks with such nodes and without.
    pub fn new(on: Matcher, rule: &str, parameters: &[(&str, f64)]) -> Self {
        let parameters =
            parameters.iter().map(|(key, value)| (String::from(*key), Number::One(*value))).collect();
        Self { on, rule: String::from(rule), parameters, required: false }
    }

    /// With one more parameter, which may have a number per channel.
    #[must_use]
    pub fn with(mut self, key: &str, value: Number) -> Self {
        self.parameters.insert(String::from(key), value);
        self
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.on, self.rule)?;
        self.parameters.iter().try_for_each(|(key, value)| write!(f, " {key}={value}"))
    }
}

/// The table of these lines, with a ledger.
///
/// # Errors
/// A line names no rule, or a parameter is wrong; the message names the line.
pub fn table(lines: &[Line]) -> Result<Composite<Relevance>> {
    let mut table = Composite::empty().with_books();
    for (i, line) in lines.iter().enumerate() {
        let place = |e: Error| e.within(format!("line {} of the composite ({})", i + 1, line.on));
        let rule = named(&line.rule, &line.parameters).map_err(place)?;
        table = if line.required {
            table.on_required(line.on.clone(), rule)
        } else {
            table.on_boxed(line.on.clone(), rule)
        };
    }
    Ok(table)
}

/// A composite under a name.
pub struct Preset {
    /// The name, as in requests.
    pub name: &'static str,
    /// The parameters that it has, besides `stabilizer`.
    pub parameters: &'static [&'static str],
    /// Its lines for values of the parameters.
    pub lines: fn(&Values<'_>) -> Result<Vec<Line>>,
}

/// The composites that requests can name.
pub const PRESETS: &[Preset] = &[
    single::ZERO,
    single::EPSILON,
    single::ZPLUS,
    single::GAMMA,
    single::GAMMA_ORIGINAL,
    single::GAMMA_CAPTUM,
    single::W_SQUARE,
    single::FLAT,
    alpha_beta::PRESET,
    epsilon_plus::PLAIN,
    epsilon_plus::FLAT,
    epsilon_gamma_box::PRESET,
    epsilon_alpha2_beta1::PLAIN,
    epsilon_alpha2_beta1::FLAT,
    deep_taylor::PRESET,
    excitation_backprop::PRESET,
    attention::PRESET,
];

/// The composite of that name, if there is one.
pub fn preset(name: &str) -> Option<&'static Preset> {
    PRESETS.iter().find(|p| p.name == name)
}

const CONVOLUTIONS: [&str; 2] = ["Conv", "ConvTranspose"];
const LINEAR: [&str; 2] = ["Gemm", "MatMul"];

/// Lines for everything: a rule for convolutions, one for linear layers, and values for the rest.
fn layers(values: &Values<'_>, convolution: Rule<'_>, linear: Rule<'_>) -> Result<Vec<Line>> {
    let stabilizer = values.stabilizer()?;
    let mut lines = vec![Line::new(Matcher::Everything, values.rest(), &[("stabilizer", stabilizer)])];
    for (kinds, (rule, parameters)) in [(CONVOLUTIONS, convolution), (LINEAR, linear)] {
        let on = kinds.iter().map(|kind| Matcher::Kind(String::from(*kind)));
        lines.extend(on.map(|on| Line::new(on, rule, parameters)));
    }
    Ok(lines)
}

/// A rule's name and parameters.
type Rule<'a> = (&'a str, &'a [(&'a str, f64)]);
