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
//! ```

use super::parameters::number_of;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use voxplain_attribution::composites::{Line, table};
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
    if let Some(key) = map.keys().find(|k| !["rule", "start", "batchnorm"].contains(&k.as_str())) {
        return Err(Error::invalid(format!(
            "the composite has {key:?}; rule, start and batchnorm are known"
        )));
    }
    table(&lines(&map)?)?;
    Ok(map)
}

/// The lines of a `composite` request.
pub(super) fn lines(map: &Map<String, Value>) -> Result<Vec<Line>> {
    let list = map.get("rule").and_then(Value::as_array).filter(|list| !list.is_empty());
    let list = list.ok_or_else(|| Error::invalid("a composite needs a list of rules; see --composite"))?;
    let place = |i: usize| move |e: Error| e.within(format!("rule {} of the composite", i + 1));
    list.iter().enumerate().map(|(i, value)| line(value).map_err(place(i))).collect()
}

fn line(value: &Value) -> Result<Line> {
    let text = |key: &str| {
        let text = value.get(key).and_then(Value::as_str);
        text.ok_or_else(|| Error::invalid(format!("a text {key:?} is missing")))
    };
    let (on, rule) = (Matcher::parse(text("on")?)?, String::from(text("rule")?));
    let mut parameters = BTreeMap::new();
    let others = value.as_object().into_iter().flatten().filter(|(k, _)| *k != "on" && *k != "rule");
    for (key, value) in others {
        parameters.insert(key.clone(), number_of(key, value)?);
    }
    Ok(Line { on, rule, parameters })
}
