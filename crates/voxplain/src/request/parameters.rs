//! Parameters as numbers, flags and texts, with one sentence for each way to be wrong.

use serde_json::{Map, Value};
use voxplain_attribution::Method;
use voxplain_attribution::rules::lrp::Number;
use voxplain_tensor::{Error, Result};

/// The parameters of one method.
pub(super) struct Parameters<'a> {
    pub(super) map: &'a Map<String, Value>,
}

impl Parameters<'_> {
    /// Refuses parameters that the method does not have.
    pub(super) fn only(&self, known: &[&str]) -> Result<()> {
        match self.map.keys().find(|k| !known.contains(&k.as_str())) {
            Some(unknown) if known.is_empty() => {
                Err(Error::invalid(format!("parameter {unknown:?}: this method has no parameters")))
            }
            Some(unknown) => {
                Err(Error::invalid(format!("no parameter {unknown:?}; this method has {}", known.join(", "))))
            }
            None => Ok(()),
        }
    }

    pub(super) fn none<S>(&self, method: Box<dyn Method<S>>) -> Result<Box<dyn Method<S>>> {
        self.only(&[])?;
        Ok(method)
    }

    pub(super) fn flag(&self, key: &str, default: bool) -> Result<bool> {
        match self.map.get(key) {
            None => Ok(default),
            Some(v) => v.as_bool().ok_or_else(|| Error::invalid(format!("{key} must be true or false"))),
        }
    }

    pub(super) fn number(&self, key: &str) -> Result<Option<f64>> {
        match self.map.get(key) {
            None | Some(Value::Null) => Ok(None),
            Some(v) => v.as_f64().map(Some).ok_or_else(|| Error::invalid(format!("{key} must be a number"))),
        }
    }

    /// A number, or a list of one per channel.
    pub(super) fn numbers(&self, key: &str) -> Result<Option<Number>> {
        match self.map.get(key) {
            None | Some(Value::Null) => Ok(None),
            Some(v) => number_of(key, v).map(Some),
        }
    }

    pub(super) fn count(&self, key: &str) -> Result<Option<usize>> {
        match self.map.get(key) {
            None | Some(Value::Null) => Ok(None),
            Some(v) => {
                let count = v.as_u64().map(|v| Some(v as usize));
                count.ok_or_else(|| Error::invalid(format!("{key} must be a whole number, not negative")))
            }
        }
    }

    pub(super) fn text(&self, key: &str) -> Result<Option<String>> {
        match self.map.get(key) {
            None | Some(Value::Null) => Ok(None),
            Some(v) => {
                let text = v.as_str().map(|v| Some(String::from(v)));
                text.ok_or_else(|| Error::invalid(format!("{key} must be a text")))
            }
        }
    }

    /// The position of a text among those that are known; the first one where there is none.
    pub(super) fn choice(&self, key: &str, known: &[&str]) -> Result<usize> {
        let Some(text) = self.text(key)? else { return Ok(0) };
        known
            .iter()
            .position(|k| *k == text)
            .ok_or_else(|| Error::invalid(format!("{key} {text:?}; {} expected", known.join(" or "))))
    }
}

/// A JSON value that is a number or a list of them.
pub(super) fn number_of(key: &str, value: &Value) -> Result<Number> {
    let bad = || Error::invalid(format!("{key} must be a number, or a list of one number per channel"));
    match value {
        Value::Array(list) if !list.is_empty() => {
            let all = list.iter().map(|v| v.as_f64().ok_or_else(bad)).collect::<Result<Vec<f64>>>()?;
            Ok(Number::PerChannel(all))
        }
        other => other.as_f64().map(Number::One).ok_or_else(bad),
    }
}
