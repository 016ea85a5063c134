//! Finding a patient's files in a folder by the names that data sets use.

use std::path::{Path, PathBuf};
use voxplain_tensor::{Error, Result};

/// A wanted channel: its name and what data sets call it.
#[derive(Clone, Debug, PartialEq)]
pub struct Channel {
    /// The name of the modality.
    pub name: String,
    /// Other names.
    pub aliases: Vec<String>,
}

impl Channel {
    /// A channel with the names that BraTS 2018 to 2023 use for the same modality.
    pub fn new(name: impl Into<String>, aliases: &[String]) -> Self {
        let name = name.into();
        let mut all = aliases.to_vec();
        for group in [["t1", "t1n"], ["t1ce", "t1c"], ["t2", "t2w"], ["flair", "t2f"]] {
            if group.contains(&name.as_str()) {
                all.extend(group.iter().filter(|g| **g != name).map(|g| String::from(*g)));
            }
        }
        all.sort();
        all.dedup();
        Self { name, aliases: all }
    }

    /// Whether a file stem ends in one of the names behind `_` or `-`, or is one.
    fn names(&self, stem: &str) -> bool {
        std::iter::once(&self.name).chain(&self.aliases).any(|name| {
            stem.strip_suffix(name.as_str()).is_some_and(|rest| rest.is_empty() || rest.ends_with(['_', '-']))
        })
    }
}

/// A file name without the endings of images, if it has one.
fn stem(name: &str) -> Option<&str> {
    [".nii.gz", ".nii", ".npy", ".png"].iter().find_map(|ending| name.strip_suffix(ending))
}

/// The files of the wanted channels in `folder`, in their order: by modality names (`*_t1ce.nii.gz`, `*-t1c.nii.gz`,
/// `t1ce.nii`), or by nnU-Net's channel numbers (`*_0000.nii.gz`).
///
/// # Errors
/// The folder cannot be read, a channel is missing or found twice; the message lists what was found.
pub fn find_case(folder: &Path, channels: &[Channel]) -> Result<Vec<PathBuf>> {
    let shown = folder.display();
    let entries = std::fs::read_dir(folder).map_err(|e| Error::invalid(format!("{shown}: {e}")))?;
    let mut files: Vec<String> = entries
        .flatten()
        .filter_map(|e| e.file_name().into_string().ok())
        .filter(|n| stem(n).is_some())
        .collect();
    files.sort();
    let numbered = |i: usize| {
        let ending = format!("_{i:04}");
        files.iter().filter(|f| stem(f).is_some_and(|s| s.ends_with(&ending))).collect::<Vec<_>>()
    };
    let by_name: Vec<Vec<&String>> = channels
        .iter()
        .map(|c| files.iter().filter(|f| stem(f).is_some_and(|s| c.names(s))).collect())
        .collect();
    let found: Vec<Vec<&String>> =
        if by_name.iter().all(Vec::is_empty) { (0..channels.len()).map(numbered).collect() } else { by_name };
    if let Some((i, several)) = found.iter().enumerate().find(|(_, f)| f.len() > 1) {
        let list: Vec<&str> = several.iter().map(|s| s.as_str()).collect();
        return Err(Error::invalid(format!(
            "{shown}: {} files could be {}: {}. Pass {}=FILE.",
            list.len(),
            channels[i].name,
            list.join(", "),
            channels[i].name
        )));
    }
    if found.iter().any(Vec::is_empty) {
        return Err(missing(folder, channels, &found));
    }
    Ok(found.iter().flatten().map(|f| folder.join(f)).collect())
}

fn missing(folder: &Path, channels: &[Channel], found: &[Vec<&String>]) -> Error {
    let name =
        folder.file_name().map_or_else(|| folder.display().to_string(), |n| n.to_string_lossy().into_owned());
    let part = |there: bool| -> Vec<&str> {
        let wanted = channels.iter().zip(found).filter(|(_, f)| f.is_empty() != there);
        wanted.map(|(c, _)| c.name.as_str()).collect()
    };
    let (have, lack) = (part(true), part(false));
    let first = channels.iter().find(|c| c.name == lack[0]);
    let patterns: Vec<String> = first
        .into_iter()
        .flat_map(|c| std::iter::once(&c.name).chain(&c.aliases))
        .map(|n| format!("*_{n}.nii.gz"))
        .collect();
    Error::invalid(format!(
        "{name}: {} of {} modalities found ({}); {} missing. Looked for {} in {name}. Pass {}=FILE.",
        have.len(),
        channels.len(),
        have.join(", "),
        lack.join(", "),
        patterns.join(", "),
        lack[0]
    ))
}
