//! Training frameworks leave descriptions beside their weights; reading them saves typing and typing errors.

use super::{Card, monai, nnunet};
use serde_json::Value;
use std::path::{Path, PathBuf};
use voxplain_tensor::Result;

/// Where descriptions lie, seen from the folder of the model: a MONAI bundle has `models/` beside `configs/`, nnU-Net
/// has `fold_0/` below its `dataset.json`.
const PLACES: [&str; 5] =
    ["metadata.json", "configs/metadata.json", "../configs/metadata.json", "dataset.json", "../dataset.json"];

/// The card that a MONAI bundle's `metadata.json` or nnU-Net's `dataset.json` beside `model` gives, and where it lay.
/// Files of these names that hold something else are none of ours.
///
/// # Errors
/// A description is there, but a field of it has another type; the message names the file and the field.
pub fn companion_card(model: &Path) -> Result<Option<(PathBuf, Card)>> {
    let folder = model.parent().unwrap_or(Path::new(""));
    for place in PLACES {
        let path = folder.join(place);
        let text = std::fs::read_to_string(&path).ok();
        let value: Option<Value> = text.and_then(|t| serde_json::from_str(&t).ok());
        let card = match value {
            Some(v) if monai::is_metadata(&v) => monai::card(&v),
            Some(v) if nnunet::is_dataset(&v) => nnunet::card(&v),
            _ => continue,
        };
        return card.map(|card| Some((path.clone(), card))).map_err(|e| e.within(path.display()));
    }
    Ok(None)
}
