//! Composites in files: a list of nodes, rule and parameters, as TOML or JSON.
//!
//! ```toml
//! start = "output"          # or "one"
//! batchnorm = "merged"      # into the layers before it; or "keep"
//! [[rule]]
//! on = "everything"         # class NAME, kind OPERATOR, first, first OPERATOR, input NAME, glob PATTERN, name NODE
//! rule = "unweighted"
//! [[rule]]
//! on = "kind Conv"
//! rule = "generalized_gamma"
//! gamma = 0.25
//! [[rule]]
//! on = "input flair"
//! rule = "z_box"
//! low = [-2, 0]             # numbers, or one per channel
//! high = [6, 1]
//! [[rule]]
//! on = "kind ConvTranspose"
//! rule = "z_plus"
//! optional = true           # for networks without such nodes too; without it every line has to name some
//! ```

use super::parameters::{Parameters, number_of};
use super::relevances::{COMPOSITE, start};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use voxplain_attribution::composites::{Line, table};
use voxplain_attribution::methods::Lrp;
use voxplain_autodiff::Matcher;
use voxplain_models::parse_text;
use voxplain_tensor::{Error, Result};

/// The parameters of a `composite` request that a file says.
///
/// # Errors
/// It is neither TOML nor JSON, or a line names no nodes, no rule or a wrong parameter; the message names the line.
pub fn parse_composite(text: &str) -> Result<Map<String, Value>> {
    let value = parse_text(text, "the composite")?;
    let map = match value {
        Value::Array(list) => Map::from_iter([(String::from("rule"), Value::Array(list))]),
        Value::Object(map) => map,
        _ => return Err(Error::invalid("a composite is a list of rules")),
    };
    if let Some(key) = map.keys().find(|k| !KEYS.contains(&k.as_str())) {
        return Err(Error::invalid(format!(
            "the composite has {key:?}; rule, start and batchnorm are known"
        )));
    }
    table(&of(&Parameters { map: &map })?.lines)?;
    Ok(map)
}

/// What a composite has.
const KEYS: [&str; 3] = ["rule", "start", "batchnorm"];

/// The method of a `composite` request.
pub(super) fn of(p: &Parameters<'_>) -> Result<Lrp> {
    p.only(&KEYS)?;
    p.choice("batchnorm", &["merged", "keep"])?;
    Ok(Lrp { name: COMPOSITE, lines: lines(p.map)?, start: start(p)? })
}

/// The lines of a `composite` request.
fn lines(map: &Map<String, Value>) -> Result<Vec<Line>> {
    let list = map.get("rule").and_then(Value::as_array).filter(|list| !list.is_empty());
    let list = list.ok_or_else(|| Error::invalid("a composite needs a list of rules; see --composite"))?;
    let place = |i: usize| move |e: Error| e.within(format!("rule {} of the composite", i + 1));
    list.iter().enumerate().map(|(i, value)| line(value).map_err(place(i))).collect()
}

fn line(value: &Value) -> Result<Line> {
    let map = value.as_object().ok_or_else(|| Error::invalid("a table with \"on\" and \"rule\" expected"))?;
    let text = |key: &str| match map.get(key) {
        None => Err(Error::invalid(format!("a text {key:?} is missing"))),
        Some(value) => value.as_str().ok_or_else(|| Error::invalid(format!("{key:?} must be a text"))),
    };
    let (on, rule) = (Matcher::parse(text("on")?)?, String::from(text("rule")?));
    let optional = Parameters { map }.flag("optional", false)?;
    let mut parameters = BTreeMap::new();
    for (key, value) in map.iter().filter(|(k, _)| !["on", "rule", "optional"].contains(&k.as_str())) {
        parameters.insert(key.clone(), number_of(key, value)?);
    }
    Ok(Line { on, rule, parameters, required: !optional })
}
