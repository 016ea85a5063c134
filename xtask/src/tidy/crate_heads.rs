//! What every crate must say: in one sentence what it is, in its README why it has each dependency, and in its code
//! that it forbids unsafe code or needs no standard library.

use super::{Problem, Source, manifest};

/// The crates that run without a standard library.
pub const CORE: [&str; 3] = ["tensor", "graph", "autodiff"];
/// The crates that talk to hardware.
const DEVICES: [&str; 2] = ["cpu", "cuda"];

/// The problems of a crate's manifest and README.
pub fn words(manifest: &Source, readme: Option<&str>) -> Vec<Problem> {
    let mut problems = Vec::new();
    let described = manifest::field(&manifest.text, "description").is_some_and(|d| d.split(' ').count() >= 3);
    if !described {
        problems.push(manifest.problem("words", 1, "no description in the manifest"));
    }
    let Some(readme) = readme else {
        problems.push(manifest.problem("words", 1, "no README.md beside the manifest"));
        return problems;
    };
    if !readme.lines().any(|line| !line.starts_with('#') && line.contains(' ')) {
        problems.push(manifest.problem("words", 1, "README.md has no sentence"));
    }
    for package in manifest::dependencies(&manifest.text) {
        if !package.starts_with("voxplain") && !readme.contains(&format!("`{package}`")) {
            problems.push(manifest.problem(
                "words",
                1,
                &format!("README.md gives no reason for `{package}`"),
            ));
        }
    }
    problems
}

/// The problems of a crate's `lib.rs`.
pub fn attributes(s: &Source) -> Vec<Problem> {
    let name = s.path.split('/').nth(1).unwrap_or("");
    let mut needed = Vec::new();
    if !DEVICES.contains(&name) {
        needed.push("#![forbid(unsafe_code)]");
    }
    if CORE.contains(&name) {
        needed.push("#![no_std]");
    }
    needed.retain(|attribute| !s.code.lines().any(|line| line == *attribute));
    needed.into_iter().map(|attribute| s.problem("attribute", 1, &format!("no `{attribute}`"))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_words_are_found() {
        let manifest = |text: &str| Source::new("crates/graph/Cargo.toml", text);
        let good = "description = \"Graphs of networks\"\n[dependencies]\n";
        assert_eq!(words(&manifest(good), Some("# graph\n\nGraphs of networks.\n")).len(), 0);
        assert_eq!(words(&manifest(good), None).len(), 1);
        assert_eq!(words(&manifest("[dependencies]\n"), Some("# graph\n")).len(), 2);
        assert_eq!(words(&manifest(&format!("{good}half = \"2\"\n")), Some("Graphs of networks.")).len(), 1);
    }

    #[test]
    fn missing_attributes_are_found() {
        let problems = |path: &str, text: &str| attributes(&Source::new(path, text)).len();
        assert_eq!(problems("crates/graph/src/lib.rs", "//! x\n"), 2);
        assert_eq!(problems("crates/graph/src/lib.rs", "// #![no_std]\n#![forbid(unsafe_code)]\n"), 1);
        assert_eq!(problems("crates/models/src/lib.rs", "#![forbid(unsafe_code)]\n"), 0);
        assert_eq!(problems("crates/cpu/src/lib.rs", "//! x\n"), 0);
    }
}
