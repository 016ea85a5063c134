//! What the compiler cannot check. Every check is a function from text to problems, with a test that feeds it a
//! violation.

mod dependencies;
mod layout;
mod source;

use std::path::{Path, PathBuf};

/// A source file of the repository.
pub struct Source {
    /// Its path from the root, with forward slashes.
    pub path: String,
    /// Its text.
    pub text: String,
}

impl Source {
    /// Whether it is library code, which users run.
    pub fn is_library(&self) -> bool {
        self.path.starts_with("crates/")
            && self.path.contains("/src/")
            && !self.path.starts_with("crates/oracle/")
    }
}

/// Every check over the whole repository.
pub fn all(root: &Path) -> Vec<String> {
    let sources = sources(root);
    let mut problems: Vec<String> = Vec::new();
    for s in &sources {
        problems.extend(source::unsafe_code(s));
        problems.extend(source::leftovers(s));
        problems.extend(source::heads(s));
        problems.extend(layout::lengths(s));
        problems.extend(layout::lines(s));
    }
    problems.extend(layout::machine_paths(&tracked(root)));
    problems.extend(dependencies::arrows(&sources_manifests(root)));
    problems.extend(dependencies::trees(root));
    problems
}

fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        let name = entry.file_name().to_string_lossy().into_owned();
        if path.is_dir() && !name.starts_with('.') && name != "target" && name != "corpus" {
            walk(&path, found);
        } else if path.is_file() {
            found.push(path);
        }
    }
}

fn read(root: &Path, wanted: impl Fn(&str) -> bool) -> Vec<Source> {
    let mut files = Vec::new();
    walk(root, &mut files);
    files.sort();
    let load = |path: PathBuf| {
        let relative = path.strip_prefix(root).ok()?.to_string_lossy().replace('\\', "/");
        if !wanted(&relative) {
            return None;
        }
        Some(Source { path: relative, text: std::fs::read_to_string(&path).ok()? })
    };
    files.into_iter().filter_map(load).collect()
}

fn sources(root: &Path) -> Vec<Source> {
    read(root, |p| p.ends_with(".rs"))
}

fn sources_manifests(root: &Path) -> Vec<Source> {
    read(root, |p| p.starts_with("crates/") && p.ends_with("Cargo.toml"))
}

fn tracked(root: &Path) -> Vec<Source> {
    let text = [".rs", ".toml", ".md", ".yml", ".json", ".sh"];
    read(root, |p| text.iter().any(|e| p.ends_with(e)) || p == ".ci/run")
}
