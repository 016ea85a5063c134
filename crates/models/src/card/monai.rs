//! A MONAI bundle's `metadata.json` names channels and classes; preprocessing is code there and has to be stated by hand.

use super::fields::Fields;
use super::{Card, CardInput, SlidingWindow};
use serde_json::Value;
use std::collections::BTreeMap;
use voxplain_tensor::Result;

pub(super) fn is_metadata(value: &Value) -> bool {
    value.get("network_data_format").is_some()
}

/// What the bundle says that a card can hold.
pub(super) fn card(value: &Value) -> Result<Card> {
    const PLACE: &str = "bundle metadata: \"network_data_format\"";
    let format = Fields::of(&value["network_data_format"], PLACE)?;
    let mut card = Card::default();
    for (name, input) in named(format, "inputs")? {
        let fields = Fields::of(input, PLACE)?;
        let channels = fields.numbered("channel_def")?;
        card.inputs.push(input_of(name, &channels));
        if fields.get("is_patch_data") == Some(&Value::Bool(true)) {
            card.sliding_window = Some(SlidingWindow { overlap: 0.5, gaussian: true });
        }
    }
    if let Some((_, output)) = named(format, "outputs")?.first() {
        let fields = Fields::of(output, PLACE)?;
        card.classes = fields.numbered("channel_def")?;
        let kind = fields.text("format")?.unwrap_or_default();
        card.task = match kind.as_str() {
            "segmentation" => Some("segmentation".into()),
            "classes" | "labels" | "probabilities" | "logits" => Some("classification".into()),
            _ => None,
        };
    }
    for key in ["version", "task", "authors", "intended_use", "data_source"] {
        if let Some(said) = value.get(key) {
            card.other.insert(format!("bundle_{key}"), said.to_string());
        }
    }
    Ok(card)
}

fn named<'v>(format: Fields<'v>, key: &str) -> Result<Vec<(&'v String, &'v Value)>> {
    match format.get(key) {
        None => Ok(Vec::new()),
        Some(value) => Ok(value.as_object().ok_or_else(|| format.wrong(key, "an object"))?.iter().collect()),
    }
}

/// An input whose channels go by names that files have: lower case, no blanks; the bundle's own spelling is an alias.
pub(super) fn input_of(name: &str, channels: &[String]) -> CardInput {
    let mut aliases: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut names = Vec::new();
    for channel in channels {
        let plain: String = channel
            .trim()
            .to_lowercase()
            .chars()
            .map(|c| if c.is_alphanumeric() { c } else { '_' })
            .collect();
        if plain != *channel {
            aliases.entry(plain.clone()).or_default().push(channel.clone());
        }
        names.push(plain);
    }
    CardInput { name: String::from(name), channels: names, aliases, steps: Vec::new() }
}
