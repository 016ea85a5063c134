//! Fields of a JSON object with one sentence for each way to be wrong.

use serde_json::{Map, Value};
use voxplain_tensor::{Error, Result};

/// The object that `key` of a document is in, with the words that messages begin with.
#[derive(Clone, Copy)]
pub(super) struct Fields<'v> {
    pub(super) object: &'v Map<String, Value>,
    pub(super) place: &'static str,
}

impl<'v> Fields<'v> {
    /// The fields of `value`, which must be an object.
    pub(super) fn of(value: &'v Value, place: &'static str) -> Result<Self> {
        let object = value.as_object();
        object
            .map(|object| Self { object, place })
            .ok_or_else(|| Error::invalid(format!("{place} must be an object")))
    }

    pub(super) fn wrong(&self, key: &str, expected: &str) -> Error {
        Error::invalid(format!("{}: {key:?} must be {expected}", self.place))
    }

    /// The value of a field that is there and not null.
    pub(super) fn get(&self, key: &str) -> Option<&'v Value> {
        self.object.get(key).filter(|v| !v.is_null())
    }

    pub(super) fn text(&self, key: &str) -> Result<Option<String>> {
        let text = |v: &Value| v.as_str().map(String::from).ok_or_else(|| self.wrong(key, "a text"));
        self.get(key).map(text).transpose()
    }

    pub(super) fn number(&self, key: &str) -> Result<Option<f64>> {
        let number = |v: &Value| v.as_f64().ok_or_else(|| self.wrong(key, "a number"));
        self.get(key).map(number).transpose()
    }

    pub(super) fn texts(&self, key: &str) -> Result<Vec<String>> {
        let Some(value) = self.get(key) else { return Ok(Vec::new()) };
        let wrong = || self.wrong(key, "a list of texts");
        let list = value.as_array().ok_or_else(wrong)?;
        list.iter().map(|v| v.as_str().map(String::from).ok_or_else(wrong)).collect()
    }

    /// Texts under the keys `"0"`, `"1"`, ... with no gap.
    pub(super) fn numbered(&self, key: &str) -> Result<Vec<String>> {
        let Some(value) = self.get(key) else { return Ok(Vec::new()) };
        let wrong = || self.wrong(key, "texts under \"0\", \"1\" and so on, without a gap");
        let map = value.as_object().ok_or_else(wrong)?;
        (0..map.len())
            .map(|i| map.get(&i.to_string()).and_then(Value::as_str).map(String::from).ok_or_else(wrong))
            .collect()
    }
}
