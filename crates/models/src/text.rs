//! Files that people write: TOML or JSON, as one kind of value.

use serde_json::Value;
use voxplain_tensor::{Error, Result};

/// The value of a text in TOML or JSON; `what` names it in errors.
///
/// # Errors
/// The text is neither; the message is one sentence.
pub fn parse_text(text: &str, what: &str) -> Result<Value> {
    let start = text.trim_start();
    if start.starts_with('{') {
        return serde_json::from_str(text).map_err(|e| Error::invalid(format!("{what} is not JSON: {e}")));
    }
    // A list of JSON and a table of TOML both begin with a bracket.
    let list = if start.starts_with('[') { serde_json::from_str(text).ok() } else { None };
    list.map_or_else(|| toml::from_str(text).map_err(|e| not_toml(&e, what)), Ok)
}

/// The parser's message has a picture of the place over several lines; ours is one sentence.
fn not_toml(error: &toml::de::Error, what: &str) -> Error {
    let place = error.span().map_or_else(String::new, |s| format!(" at byte {}", s.start));
    Error::invalid(format!("{what} is neither JSON nor TOML{place}: {}", error.message()))
}
