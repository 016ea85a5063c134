//! A map of class 1 says nothing until class 1 has a name: what the numbers going in and coming out mean.

use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use voxplain_tensor::{Error, Result};

/// One input of the network, as a user knows it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CardInput {
    /// The graph input's name.
    pub name: String,
    /// The modality in each channel.
    pub channels: Vec<String>,
    /// Other names of modalities in file names.
    pub aliases: BTreeMap<String, Vec<String>>,
    /// Preprocessing steps, in order, in the words of the imaging crate.
    pub steps: Vec<String>,
}

/// The card of a model; every part may be missing.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Card {
    /// `classification`, `segmentation` or `regression`.
    pub task: Option<String>,
    /// Class names, by output index.
    pub classes: Vec<String>,
    /// `logits`, `probabilities` or `sigmoid-logit`.
    pub output: Option<String>,
    /// The decision threshold on the probability.
    pub threshold: Option<f64>,
    /// The layer that class activation maps use by default.
    pub cam_layer: Option<String>,
    /// The inputs.
    pub inputs: Vec<CardInput>,
    /// `as-stored`, or axis codes such as `RAS`.
    pub orientation: Option<String>,
    /// Fields that this program does not know, as JSON text by name; kept when the card is saved.
    pub other: BTreeMap<String, String>,
}

/// The fields that [`Card`] knows.
const FIELDS: [&str; 7] = ["task", "classes", "output", "threshold", "cam_layer", "inputs", "orientation"];

impl Card {
    /// Reads a card.
    ///
    /// # Errors
    /// The text is not JSON or a field has another type; the message names the field.
    pub fn parse(json: &str) -> Result<Self> {
        let value: Value = serde_json::from_str(json)
            .map_err(|e| Error::invalid(format!("the model card is not JSON: {e}")))?;
        if !value.is_object() {
            return Err(Error::invalid("the model card must be a JSON object"));
        }
        let inputs = match value.get("inputs") {
            None | Some(Value::Null) => Vec::new(),
            Some(Value::Array(items)) => items.iter().map(parse_input).collect::<Result<_>>()?,
            Some(_) => return Err(wrong("inputs", "a list")),
        };
        let threshold = match value.get("threshold") {
            None | Some(Value::Null) => None,
            Some(v) => Some(v.as_f64().ok_or_else(|| wrong("threshold", "a number"))?),
        };
        Ok(Self {
            task: text(&value, "task")?,
            classes: texts(value.get("classes"), "classes")?,
            output: output(&value)?,
            threshold,
            cam_layer: text(&value, "cam_layer")?,
            inputs,
            orientation: text(&value, "orientation")?,
            other: others(&value),
        })
    }

    /// The card as JSON; the same card gives the same text.
    pub fn to_json(&self) -> String {
        let mut map = Map::new();
        let mut put = |key: &str, value: Value| {
            let empty = value.is_null() || value.as_array().is_some_and(Vec::is_empty);
            if !empty {
                map.insert(String::from(key), value);
            }
        };
        put("task", json!(self.task));
        put("classes", json!(self.classes));
        put("output", json!(self.output));
        put("threshold", json!(self.threshold));
        put("cam_layer", json!(self.cam_layer));
        put("orientation", json!(self.orientation));
        let input = |i: &CardInput| json!({"name": i.name, "channels": i.channels, "aliases": i.aliases, "steps": i.steps});
        put("inputs", Value::Array(self.inputs.iter().map(input).collect()));
        for (key, text) in self.other.iter().filter(|(key, _)| !FIELDS.contains(&key.as_str())) {
            map.insert(key.clone(), serde_json::from_str(text).unwrap_or_else(|_| json!(text)));
        }
        Value::Object(map).to_string()
    }

    /// The class index that `name` means: a class name or a number.
    ///
    /// # Errors
    /// There is no such class; the message lists them.
    pub fn class(&self, name: &str) -> Result<usize> {
        if let Some(index) = self.classes.iter().position(|c| c == name) {
            return Ok(index);
        }
        name.parse().map_err(|_| {
            let known =
                if self.classes.is_empty() { String::from("by number") } else { self.classes.join(", ") };
            Error::invalid(format!("no class {name:?}; the model's classes are {known}"))
        })
    }

    /// The name of class `index`.
    pub fn class_name(&self, index: usize) -> String {
        self.classes.get(index).cloned().unwrap_or_else(|| format!("class {index}"))
    }
}

/// What the card says beyond the known fields.
fn others(value: &Value) -> BTreeMap<String, String> {
    let all = value.as_object().into_iter().flatten();
    all.filter(|(key, _)| !FIELDS.contains(&key.as_str())).map(|(k, v)| (k.clone(), v.to_string())).collect()
}

fn wrong(key: &str, expected: &str) -> Error {
    Error::invalid(format!("model card: {key:?} must be {expected}"))
}

fn output(value: &Value) -> Result<Option<String>> {
    match text(value, "output")? {
        Some(o) if !["logits", "probabilities", "sigmoid-logit"].contains(&o.as_str()) => {
            Err(wrong("output", "\"logits\", \"probabilities\" or \"sigmoid-logit\""))
        }
        other => Ok(other),
    }
}

fn text(value: &Value, key: &str) -> Result<Option<String>> {
    match value.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(s)) => Ok(Some(s.clone())),
        Some(_) => Err(wrong(key, "a text")),
    }
}

fn texts(value: Option<&Value>, key: &str) -> Result<Vec<String>> {
    match value {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(Value::Array(items)) => items
            .iter()
            .map(|v| v.as_str().map(String::from).ok_or_else(|| wrong(key, "a list of texts")))
            .collect(),
        Some(_) => Err(wrong(key, "a list of texts")),
    }
}

fn parse_input(value: &Value) -> Result<CardInput> {
    if !value.is_object() {
        return Err(wrong("inputs", "a list of objects"));
    }
    let mut aliases = BTreeMap::new();
    match value.get("aliases") {
        None | Some(Value::Null) => {}
        Some(Value::Object(map)) => {
            for (key, names) in map {
                aliases.insert(key.clone(), texts(Some(names), "aliases")?);
            }
        }
        Some(_) => return Err(wrong("aliases", "an object of lists of texts")),
    }
    Ok(CardInput {
        name: text(value, "name")?.unwrap_or_default(),
        channels: texts(value.get("channels"), "channels")?,
        aliases,
        steps: texts(value.get("steps"), "steps")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_of_others_survive() {
        let text = r#"{"classes":["LGG","HGG"],"site":{"id":7},"task":"classification"}"#;
        let card = Card::parse(text).unwrap();
        assert_eq!(card.other["site"], r#"{"id":7}"#);
        assert_eq!(card.to_json(), text);
    }
}
