//! Values of a rule's parameters.

use std::fmt;
use voxplain_tensor::{Error, Result};

/// A parameter's value: one number, or one for each channel of the layer's input.
#[derive(Clone, Debug, PartialEq)]
pub enum Number {
    /// One number.
    One(f64),
    /// One per channel, in the order of the input's axis 1.
    PerChannel(Vec<f64>),
}

impl From<f64> for Number {
    fn from(value: f64) -> Self {
        Self::One(value)
    }
}

impl Number {
    /// The number, where there is only one.
    ///
    /// # Errors
    /// There is one per channel; the message names `key`.
    pub fn one(&self, key: &str) -> Result<f64> {
        match self {
            Self::One(value) => Ok(*value),
            Self::PerChannel(_) => Err(Error::invalid(format!("{key} {self}; one number expected"))),
        }
    }

    /// All numbers that there are.
    pub fn all(&self) -> &[f64] {
        match self {
            Self::One(value) => std::slice::from_ref(value),
            Self::PerChannel(values) => values,
        }
    }
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::One(value) => write!(f, "{value}"),
            Self::PerChannel(values) => write!(f, "{values:?}"),
        }
    }
}

/// The values of all parameters of a rule, in the order of its entry.
pub struct Given {
    pub(super) keys: Vec<&'static str>,
    pub(super) values: Vec<Number>,
}

impl Given {
    /// The only number of parameter `i`.
    ///
    /// # Errors
    /// It has one per channel.
    pub fn one(&self, i: usize) -> Result<f64> {
        self.values[i].one(self.keys[i])
    }

    /// The only number of parameter `i`, which has to be 0 or more.
    ///
    /// # Errors
    /// It is below 0, not finite, or there is one per channel.
    pub fn not_negative(&self, i: usize) -> Result<f64> {
        let value = self.one(i)?;
        if value.is_finite() && value >= 0.0 {
            return Ok(value);
        }
        Err(Error::invalid(format!("{} {value}; a number from 0 expected", self.keys[i])))
    }

    /// Parameter `i`, whatever it is.
    pub fn number(&self, i: usize) -> Number {
        self.values[i].clone()
    }
}
