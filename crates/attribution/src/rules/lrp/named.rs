//! Rules by name, so that a composite can be written down: one [`Entry`] per rule, beside the rule itself.

use super::RULES;
use super::number::{Given, Number};
use std::collections::BTreeMap;
use voxplain_autodiff::{Relevance, Rule};
use voxplain_tensor::{Error, Result};

/// A rule for relevance, whatever its type.
pub type AnyRule = Box<dyn Rule<Signal = Relevance>>;

/// The stabiliser of quotients where nothing else is said, as in Zennit.
pub const STABILIZER: f64 = 1e-6;

/// A rule under a name.
pub struct Entry {
    /// The name in composites.
    pub name: &'static str,
    /// Its parameters and their defaults; those without one must be given.
    pub parameters: &'static [(&'static str, Option<f64>)],
    /// The rule for values of the parameters, in their order.
    pub make: fn(&Given) -> Result<AnyRule>,
}

/// The rule of that name.
///
/// # Errors
/// There is no such rule or parameter, one is missing, or a value is out of range; the message says what there is.
pub fn named(name: &str, values: &BTreeMap<String, Number>) -> Result<AnyRule> {
    let entry = RULES.iter().find(|e| e.name == name).ok_or_else(|| {
        let names: Vec<&str> = RULES.iter().map(|e| e.name).collect();
        Error::invalid(format!("no rule {name:?}; there are {}", names.join(", ")))
    })?;
    let known: Vec<&str> = entry.parameters.iter().map(|(key, _)| *key).collect();
    if let Some(key) = values.keys().find(|k| !known.contains(&k.as_str())) {
        let known = if known.is_empty() { String::from("none") } else { known.join(", ") };
        return Err(Error::invalid(format!("rule {name:?} has no parameter {key:?}; it has {known}")));
    }
    let value = |(key, default): &(&str, Option<f64>)| {
        let value = values.get(*key).cloned().or(default.map(Number::One));
        value.ok_or_else(|| Error::invalid(format!("rule {name:?} needs the parameter {key}")))
    };
    let values = entry.parameters.iter().map(value).collect::<Result<Vec<Number>>>()?;
    (entry.make)(&Given { keys: known, values }).map_err(|e| e.within(format!("rule {name:?}")))
}
