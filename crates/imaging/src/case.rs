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

    /// Whether `text` is one of the names.
    fn is_called(&self, text: &str) -> bool {
        self.name == text || self.aliases.iter().any(|a| a == text)
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

/// The file names of a folder, and `NAME/FILE` of folders in it that are named as a channel; sorted, without hidden
/// ones (such as `._a_t1.nii.gz`, which macOS leaves on foreign disks).
fn files(folder: &Path, channels: &[Channel]) -> Result<Vec<String>> {
    let list = |at: &Path| -> Result<Vec<String>> {
        let entries = std::fs::read_dir(at).map_err(|e| {
            Error::invalid(format!("{}: {e}; give the folder that holds the patient's images", at.display()))
        })?;
        let names = entries.flatten().filter_map(|e| e.file_name().into_string().ok());
        Ok(names.filter(|n| !n.starts_with('.')).collect())
    };
    let mut files = Vec::new();
    for name in list(folder)? {
        let inner = folder.join(&name);
        if stem(&name).is_some() && !inner.is_dir() {
            files.push(name);
        } else if channels.iter().any(|c| c.is_called(&name)) && inner.is_dir() {
            let images = list(&inner)?.into_iter().filter(|n| stem(n).is_some());
            files.extend(images.map(|n| format!("{name}/{n}")));
        }
    }
    files.sort();
    Ok(files)
}

/// Whether a listed file is of the channel: by its folder's name if it lies in one, else by its own.
fn belongs(file: &str, channel: &Channel) -> bool {
    match file.split_once('/') {
        Some((inner, _)) => channel.is_called(inner),
        None => stem(file).is_some_and(|s| channel.names(s)),
    }
}

/// The files of the wanted channels in `folder`, in their order: by modality names (`*_t1ce.nii.gz`, `*-t1c.nii.gz`,
/// `t1ce.nii`, `axial.npy`, `axial/0000.npy`), or by nnU-Net's channel numbers (`*_0000.nii.gz`).
///
/// # Errors
/// The folder cannot be read, a channel is missing or found twice; the message lists what was found.
pub fn find_case(folder: &Path, channels: &[Channel]) -> Result<Vec<PathBuf>> {
    let files = files(folder, channels)?;
    let numbered = |i: usize| {
        let ending = format!("_{i:04}");
        files.iter().filter(|f| stem(f).is_some_and(|s| s.ends_with(&ending))).collect::<Vec<_>>()
    };
    let by_name: Vec<Vec<&String>> =
        channels.iter().map(|c| files.iter().filter(|f| belongs(f, c)).collect()).collect();
    let found: Vec<Vec<&String>> =
        if by_name.iter().all(Vec::is_empty) { (0..channels.len()).map(numbered).collect() } else { by_name };
    if let Some((channel, several)) = channels.iter().zip(&found).find(|(_, f)| f.len() > 1) {
        return Err(ambiguous(folder, channel, several));
    }
    if found.iter().any(Vec::is_empty) {
        return Err(missing(folder, channels, &found));
    }
    Ok(found.iter().flatten().map(|f| folder.join(f)).collect())
}

/// Files that a message lists.
const LISTED: usize = 6;

fn ambiguous(folder: &Path, channel: &Channel, several: &[&String]) -> Error {
    let mut list: Vec<&str> = several.iter().take(LISTED).map(|s| s.as_str()).collect();
    if several.len() > LISTED {
        list.push("...");
    }
    Error::invalid(format!(
        "{}: {} files could be {}: {}. Pass {}=FILE.",
        folder.display(),
        several.len(),
        channel.name,
        list.join(", "),
        channel.name
    ))
}

fn missing(folder: &Path, channels: &[Channel], found: &[Vec<&String>]) -> Error {
    let name =
        folder.file_name().map_or_else(|| folder.display().to_string(), |n| n.to_string_lossy().into_owned());
    let part = |there: bool| -> Vec<&str> {
        let wanted = channels.iter().zip(found).filter(|(_, f)| f.is_empty() != there);
        wanted.map(|(c, _)| c.name.as_str()).collect()
    };
    let (have, lack) = (part(true), part(false));
    let first = channels.iter().zip(found).position(|(_, f)| f.is_empty()).unwrap_or(0);
    let names = channels.get(first).into_iter().flat_map(|c| std::iter::once(&c.name).chain(&c.aliases));
    // Either sign is taken before a name; BraTS 2023 writes `-`.
    let sign = |n: &String| if ["t1n", "t1c", "t2w", "t2f"].contains(&n.as_str()) { '-' } else { '_' };
    let mut patterns: Vec<String> = names.map(|n| format!("*{}{n}.nii.gz", sign(n))).collect();
    if have.is_empty() {
        patterns.push(format!("*_{first:04}.nii.gz"));
    }
    let have = if have.is_empty() { "none".into() } else { have.join(", ") };
    Error::invalid(format!(
        "{name}: {} of {} modalities found ({have}); {} missing. Looked for {} in {name}. Pass {}=FILE.",
        channels.len() - lack.len(),
        channels.len(),
        lack.join(", "),
        patterns.join(", "),
        lack.first().unwrap_or(&"NAME")
    ))
}
