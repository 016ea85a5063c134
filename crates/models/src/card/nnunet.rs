//! nnU-Net's `dataset.json` names channels and labels, in the forms of its first and second version; spacing and
//! normalisation are in its plans and have to be stated by hand.

use super::fields::Fields;
use super::monai::input_of;
use super::{Card, SlidingWindow};
use serde_json::Value;
use voxplain_tensor::Result;

pub(super) fn is_dataset(value: &Value) -> bool {
    value.get("labels").is_some_and(Value::is_object)
        && (value.get("channel_names").is_some() || value.get("modality").is_some())
}

/// What the data set says that a card can hold.
pub(super) fn card(value: &Value) -> Result<Card> {
    let fields = Fields::of(value, "dataset.json")?;
    let key = if fields.get("channel_names").is_some() { "channel_names" } else { "modality" };
    Ok(Card {
        task: Some("segmentation".into()),
        classes: labels(fields)?,
        inputs: vec![input_of("", &fields.numbered(key)?)],
        sliding_window: Some(SlidingWindow { overlap: 0.5, gaussian: true }),
        ..Card::default()
    })
}

/// Class names by output channel: `{"tumour": 1}` of version 2 or `{"1": "tumour"}` of version 1. Labels that are
/// lists are regions, one output channel each in their order and none for the background.
fn labels(fields: Fields<'_>) -> Result<Vec<String>> {
    let map = fields.object["labels"].as_object();
    let map = map.ok_or_else(|| fields.wrong("labels", "an object"))?;
    if map.values().all(Value::is_string) {
        return fields.numbered("labels");
    }
    let regions = map.values().any(Value::is_array);
    let mut classes: Vec<(u64, String)> = Vec::new();
    for (name, value) in map.iter().filter(|(name, _)| !(regions && *name == "background")) {
        let index = if regions { order(fields, value) } else { value.as_u64() };
        let index = index.ok_or_else(|| fields.wrong("labels", "numbers or lists of numbers by name"))?;
        classes.push((index, name.clone()));
    }
    classes.sort();
    if classes.iter().enumerate().any(|(i, class)| class.0 != i as u64) {
        return Err(fields.wrong("labels", "one per output channel, numbered from 0 without a gap"));
    }
    Ok(classes.into_iter().map(|(_, name)| name).collect())
}

/// Where a region comes among the output channels. `regions_class_order` holds the label that each region paints, and
/// later regions paint over earlier ones, so a region's own label is the first of its members in that order.
fn order(fields: Fields<'_>, value: &Value) -> Option<u64> {
    let members: Vec<u64> = match value {
        Value::Array(list) => list.iter().map(Value::as_u64).collect::<Option<_>>()?,
        other => vec![other.as_u64()?],
    };
    let order = fields.get("regions_class_order")?.as_array()?;
    let place = |m: &u64| order.iter().position(|o| o.as_u64() == Some(*m)).map(|p| p as u64);
    members.iter().map(place).collect::<Option<Vec<_>>>()?.into_iter().min()
}
