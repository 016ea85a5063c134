//! A map of class 1 says nothing until class 1 has a name: what the numbers going in and coming out mean.
//!
//! People write cards (TOML or JSON); MONAI bundles and nnU-Net's data sets come with files that say part of the same.

mod companion;
mod fields;
mod monai;
mod nnunet;

pub use companion::companion_card;

use crate::text::parse_text;
use fields::Fields;
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

/// How a network for patches sees a whole image: windows of its input's size, blended where they overlap.
#[derive(Clone, Debug, PartialEq)]
pub struct SlidingWindow {
    /// The part of a window that the next one covers too, from 0 to below 1.
    pub overlap: f64,
    /// Whether the middle of a window counts more than its rim (a Gaussian of deviation size / 8, as in nnU-Net and
    /// MONAI); otherwise all its voxels count alike.
    pub gaussian: bool,
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
    /// `as-stored`, or axis codes such as `RAS`: the array axes that the network was trained on.
    pub orientation: Option<String>,
    /// For networks that see patches of an image.
    pub sliding_window: Option<SlidingWindow>,
    /// Fields that this program does not know, as JSON text by name; kept when the card is saved.
    pub other: BTreeMap<String, String>,
}

/// The fields that [`Card`] knows.
const FIELDS: [&str; 9] = [
    "task",
    "classes",
    "output",
    "threshold",
    "cam_layer",
    "inputs",
    "input",
    "orientation",
    "sliding_window",
];

impl Card {
    /// Reads a card: our own in TOML or JSON, a MONAI bundle's `metadata.json`, or nnU-Net's `dataset.json`, told apart
    /// by what they hold.
    ///
    /// # Errors
    /// The text is neither TOML nor JSON or a field has another type; the message names the field.
    ///
    /// ```
    /// let card = voxplain_models::Card::parse(
    ///     "task = 'classification'\nclasses = ['LGG', 'HGG']\n[[input]]\nname = 'x'\nchannels = ['t1', 'flair']\n",
    /// )?;
    /// assert_eq!(card.class("HGG")?, 1);
    /// assert_eq!(card.inputs[0].channels, ["t1", "flair"]);
    /// # Ok::<(), voxplain_tensor::Error>(())
    /// ```
    pub fn parse(text: &str) -> Result<Self> {
        let value = parse_text(text, "the model card")?;
        if monai::is_metadata(&value) {
            return monai::card(&value);
        }
        if nnunet::is_dataset(&value) {
            return nnunet::card(&value);
        }
        Self::from_value(&value)
    }

    /// Our own form.
    fn from_value(value: &Value) -> Result<Self> {
        let fields = Fields::of(value, "model card")?;
        let inputs = match (fields.get("inputs"), fields.get("input")) {
            (Some(_), Some(_)) => return Err(fields.wrong("inputs", "given once, not as \"input\" too")),
            (Some(Value::Array(items)), None) | (None, Some(Value::Array(items))) => {
                items.iter().map(parse_input).collect::<Result<_>>()?
            }
            (None, None) => Vec::new(),
            _ => return Err(fields.wrong("inputs", "a list")),
        };
        if fields.number("threshold")?.is_some_and(|t| !(0.0..=1.0).contains(&t)) {
            return Err(fields.wrong("threshold", "a probability, from 0 to 1"));
        }
        Ok(Self {
            task: choice(fields, "task", &["classification", "segmentation", "regression"])?,
            classes: fields.texts("classes")?,
            output: choice(fields, "output", &["logits", "probabilities", "sigmoid-logit"])?,
            threshold: fields.number("threshold")?,
            cam_layer: fields.text("cam_layer")?,
            inputs,
            orientation: fields.text("orientation")?,
            sliding_window: fields.get("sliding_window").map(sliding_window).transpose()?,
            other: others(fields.object),
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
        let window = |w: &SlidingWindow| json!({"overlap": w.overlap, "blend": if w.gaussian { "gaussian" } else { "constant" }});
        put("sliding_window", self.sliding_window.as_ref().map_or(Value::Null, window));
        let input = |i: &CardInput| json!({"name": i.name, "channels": i.channels, "aliases": i.aliases, "steps": i.steps});
        put("inputs", Value::Array(self.inputs.iter().map(input).collect()));
        for (key, text) in self.other.iter().filter(|(key, _)| !FIELDS.contains(&key.as_str())) {
            map.insert(key.clone(), serde_json::from_str(text).unwrap_or_else(|_| json!(text)));
        }
        Value::Object(map).to_string()
    }

    /// Gives the card's only input the name of the network's only input: files of other programs use names of their
    /// own.
    #[must_use]
    pub fn for_inputs(mut self, names: &[&str]) -> Self {
        if let ([input], [name]) = (self.inputs.as_mut_slice(), names) {
            input.name = String::from(*name);
        }
        self
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
fn others(object: &Map<String, Value>) -> BTreeMap<String, String> {
    let unknown = object.iter().filter(|(key, _)| !FIELDS.contains(&key.as_str()));
    unknown.map(|(k, v)| (k.clone(), v.to_string())).collect()
}

/// A text out of a few.
fn choice(fields: Fields<'_>, key: &str, known: &[&str]) -> Result<Option<String>> {
    match fields.text(key)? {
        Some(o) if !known.contains(&o.as_str()) => {
            let known: Vec<String> = known.iter().map(|k| format!("{k:?}")).collect();
            Err(fields.wrong(key, &known.join(" or ")))
        }
        other => Ok(other),
    }
}

fn sliding_window(value: &Value) -> Result<SlidingWindow> {
    let fields = Fields::of(value, "model card: \"sliding_window\"")?;
    let overlap = fields.number("overlap")?.unwrap_or(0.5);
    if !(0.0..1.0).contains(&overlap) {
        return Err(fields.wrong("overlap", "at least 0 and below 1"));
    }
    let blend = choice(fields, "blend", &["gaussian", "constant"])?;
    Ok(SlidingWindow { overlap, gaussian: blend.as_deref() != Some("constant") })
}

fn parse_input(value: &Value) -> Result<CardInput> {
    let fields = Fields::of(value, "model card: an entry of \"inputs\"")?;
    let known = ["name", "channels", "aliases", "steps"];
    if let Some(key) = fields.object.keys().find(|key| !known.contains(&key.as_str())) {
        return Err(Error::invalid(format!(
            "model card: an entry of \"inputs\" has a field {key:?}; {} are known",
            known.join(", ")
        )));
    }
    let mut aliases = BTreeMap::new();
    if let Some(value) = fields.get("aliases") {
        let map = Fields::of(value, "model card: \"aliases\"")?;
        for key in map.object.keys() {
            aliases.insert(key.clone(), map.texts(key)?);
        }
    }
    Ok(CardInput {
        name: fields.text("name")?.unwrap_or_default(),
        channels: fields.texts("channels")?,
        aliases,
        steps: fields.texts("steps")?,
    })
}
