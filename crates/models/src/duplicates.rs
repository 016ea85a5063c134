//! JSON readers keep one of two equal keys without a word, so a file could show one graph to a reviewer and another to
//! this program; equal keys are looked for before anything is read.

use std::collections::HashSet;
use voxplain_tensor::{Error, Result};

/// Refuses text in which an object has a key twice. Text that is not JSON passes: its reader says so.
///
/// # Errors
/// A key is there twice; the message names it.
pub(crate) fn refuse(text: &str, what: &str) -> Result<()> {
    let bytes = text.as_bytes();
    let mut open: Vec<HashSet<String>> = Vec::new();
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        match byte {
            b'{' | b'[' => open.push(HashSet::new()),
            b'}' | b']' => {
                open.pop();
            }
            b'"' => {
                let end = end_of_string(bytes, at);
                let rest = bytes.get(end..).unwrap_or(&[]);
                let is_key = rest.iter().find(|b| !b.is_ascii_whitespace()) == Some(&b':');
                if let (true, Some(keys)) = (is_key, open.last_mut()) {
                    let key: String =
                        serde_json::from_str(text.get(at..end).unwrap_or("")).unwrap_or_default();
                    if !keys.insert(key.clone()) {
                        return Err(Error::invalid(format!(
                            "{what} has {key:?} twice; names must be unique, write the file again"
                        )));
                    }
                }
                at = end - 1;
            }
            _ => {}
        }
        at += 1;
    }
    Ok(())
}

/// The position behind the string that begins at `start`.
fn end_of_string(bytes: &[u8], start: usize) -> usize {
    let mut at = start + 1;
    while let Some(&byte) = bytes.get(at) {
        match byte {
            b'"' => return at + 1,
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
    bytes.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_keys_of_one_object_are_refused() {
        for text in [r#"{"a":1,"a":2}"#, r#"{"x":{"b":[],"\u0062" : 0}}"#, r#"[{"a\"":1,"a\"":1}]"#] {
            assert!(refuse(text, "the header").unwrap_err().message().contains("twice"), "{text}");
        }
        for text in [r#"{"a":{"a":"a"},"b":["a","a"]}"#, "", "\"", "}{\"", r#"{"\"#] {
            refuse(text, "the header").unwrap();
        }
    }
}
