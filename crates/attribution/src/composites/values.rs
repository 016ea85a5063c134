//! The values of a composite's parameters.

use crate::rules::lrp::{Number, STABILIZER};
use voxplain_tensor::{Error, Result};

/// Where a composite looks up its parameters.
pub struct Values<'a> {
    lookup: &'a dyn Fn(&str) -> Result<Option<Number>>,
    /// Whether stored normalisation passes relevance unchanged.
    pass_normalization: bool,
}

impl<'a> Values<'a> {
    /// Parameters from a function that knows them by name.
    pub fn new(lookup: &'a dyn Fn(&str) -> Result<Option<Number>>, pass_normalization: bool) -> Self {
        Self { lookup, pass_normalization }
    }

    /// A parameter, or its default.
    ///
    /// # Errors
    /// It is no number.
    pub fn number(&self, key: &str, default: f64) -> Result<f64> {
        Ok(self.optional(key)?.unwrap_or(default))
    }

    /// A parameter that may be missing.
    ///
    /// # Errors
    /// It is no number.
    pub fn optional(&self, key: &str) -> Result<Option<f64>> {
        (self.lookup)(key)?.map(|number| number.one(key)).transpose()
    }

    /// The bounds of the inputs, `low` and `high`, if they are given: numbers, or one per channel.
    ///
    /// # Errors
    /// Only one of them is.
    pub fn bounds(&self) -> Result<Option<[Number; 2]>> {
        match ((self.lookup)("low")?, (self.lookup)("high")?) {
            (Some(low), Some(high)) => Ok(Some([low, high])),
            (None, None) => Ok(None),
            _ => Err(Error::invalid("low and high, the bounds of the inputs, must be given together")),
        }
    }

    /// The stabiliser of every quotient but those of the epsilon rule.
    ///
    /// # Errors
    /// It is no number.
    pub fn stabilizer(&self) -> Result<f64> {
        self.number("stabilizer", STABILIZER)
    }

    /// The rule of nodes without weights.
    pub(super) fn rest(&self) -> &'static str {
        if self.pass_normalization { "unweighted_pass_normalization" } else { "unweighted" }
    }
}
