//! The shapes of a state dict tell most of a network, but not strides, group counts or the input's size; those are
//! options with the library's default, and what was chosen is written down so that a map can be repeated.

use std::collections::{BTreeMap, BTreeSet};
use voxplain_tensor::{Error, Result};

/// No input axis is longer; larger numbers are typing errors.
const LONGEST_AXIS: usize = 1 << 16;

/// What the shapes of a state dict cannot tell about a network.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ArchitectureOptions {
    /// Sizes of the input's spatial axes; empty takes the architecture's default.
    pub spatial: Vec<usize>,
    /// Further settings by name, such as `groups` or `strides`.
    pub settings: BTreeMap<String, String>,
}

/// Options with a record of what was asked for and what was chosen.
pub(super) struct Settings {
    options: ArchitectureOptions,
    asked: BTreeSet<String>,
    record: Vec<String>,
}

impl Settings {
    pub fn new(options: ArchitectureOptions) -> Self {
        Self { options, asked: BTreeSet::new(), record: Vec::new() }
    }

    /// Writes down something that was read from the weights or decided.
    pub fn note(&mut self, text: String) {
        if !self.record.contains(&text) {
            self.record.push(text);
        }
    }

    /// The text of a setting, or its default; noted once.
    pub fn text(&mut self, key: &str, default: &str) -> String {
        let given = self.options.settings.get(key).cloned();
        self.asked.insert(String::from(key));
        self.note(match &given {
            Some(value) => format!("{key}={value}"),
            None => format!("{key}={default} (default)"),
        });
        given.unwrap_or_else(|| String::from(default))
    }

    /// The text of a setting that has no default, if it was given.
    pub fn given(&mut self, key: &str) -> Option<String> {
        self.asked.insert(String::from(key));
        let value = self.options.settings.get(key).cloned()?;
        self.note(format!("{key}={value}"));
        Some(value)
    }

    /// One of some words.
    pub fn choice(&mut self, key: &str, words: &[&str], default: &str) -> Result<String> {
        let text = self.text(key, default);
        if words.contains(&text.as_str()) {
            return Ok(text);
        }
        Err(Error::invalid(format!("setting {key}={text}; {} expected", words.join(" or "))))
    }

    /// A whole number of at least 1.
    pub fn number(&mut self, key: &str, default: usize) -> Result<usize> {
        let text = self.text(key, &default.to_string());
        whole(key, &text)
    }

    /// One stride per level, separated by commas; a level may be one number or one per axis, as `1x2x2`. Further
    /// levels repeat the default.
    pub fn strides(
        &mut self,
        key: &str,
        levels: usize,
        axes: usize,
        default: usize,
    ) -> Result<Vec<Vec<usize>>> {
        let standard = vec![default.to_string(); levels].join(",");
        let text = self.text(key, &standard);
        let level = |part: &str| -> Result<Vec<usize>> {
            let list = part.split('x').map(|p| whole(key, p)).collect::<Result<Vec<usize>>>()?;
            match list.as_slice() {
                [one] => Ok(vec![*one; axes]),
                list if list.len() == axes => Ok(list.to_vec()),
                _ => Err(Error::invalid(format!(
                    "setting {key}={text}; one number or {axes} per level expected"
                ))),
            }
        };
        let all = text.split(',').map(level).collect::<Result<Vec<_>>>()?;
        if all.len() == levels {
            return Ok(all);
        }
        Err(Error::invalid(format!(
            "setting {key}={text}; {levels} levels with commas between them expected"
        )))
    }

    /// The input's sizes on `axes` axes.
    pub fn spatial(&mut self, axes: usize, default: Option<&[usize]>) -> Result<Vec<usize>> {
        let given = &self.options.spatial;
        let sizes = match default {
            _ if !given.is_empty() => given.clone(),
            Some(default) => default.to_vec(),
            None => {
                return Err(Error::invalid(format!(
                    "the weights do not tell the input's size; give its {axes} sizes (--spatial)"
                )));
            }
        };
        if sizes.len() != axes || sizes.iter().any(|s| !(1..=LONGEST_AXIS).contains(s)) {
            return Err(Error::invalid(format!(
                "input sizes {sizes:?}; {axes} sizes from 1 to {LONGEST_AXIS} expected by these weights"
            )));
        }
        let words: Vec<String> = sizes.iter().map(usize::to_string).collect();
        let origin = if given.is_empty() { " (default)" } else { "" };
        self.note(format!("spatial={}{origin}", words.join("x")));
        Ok(sizes)
    }

    /// What was chosen, as one line.
    ///
    /// # Errors
    /// A setting was given that the architecture does not have; the message lists those that it has.
    pub fn finish(self, architecture: &str) -> Result<String> {
        if let Some(unknown) = self.options.settings.keys().find(|key| !self.asked.contains(*key)) {
            let known: Vec<&str> = self.asked.iter().map(String::as_str).collect();
            let known = if known.is_empty() { String::from("no settings") } else { known.join(", ") };
            return Err(Error::invalid(format!(
                "{architecture} with these weights has no setting {unknown:?}; it has {known}"
            )));
        }
        let record = self.record.join(", ");
        Ok(format!("architecture {architecture}: {record}"))
    }
}

fn whole(key: &str, text: &str) -> Result<usize> {
    let number = text.trim().parse().ok().filter(|n| (1..=LONGEST_AXIS).contains(n));
    number
        .ok_or_else(|| Error::invalid(format!("setting {key}={text}; a whole number of at least 1 expected")))
}
