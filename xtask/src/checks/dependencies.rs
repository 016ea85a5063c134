//! Which crate may know which, and how much comes with it.

use super::Source;
use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

/// The crates of the workspace that each crate may depend on (outside tests).
const ARROWS: [(&str, &[&str]); 11] = [
    ("tensor", &[]),
    ("graph", &["tensor"]),
    ("autodiff", &["tensor", "graph"]),
    ("cpu", &["tensor", "graph", "autodiff"]),
    ("oracle", &["tensor", "graph", "autodiff"]),
    ("models", &["tensor", "graph"]),
    ("attribution", &["tensor", "graph", "autodiff"]),
    ("imaging", &["tensor"]),
    ("report", &["tensor", "imaging"]),
    ("voxplain", &["tensor", "graph", "autodiff", "cpu", "models", "attribution", "imaging", "report"]),
    ("voxplain-cli", &["voxplain"]),
];

/// The most crates in a tree (the crate itself included), and the features it is counted with.
const BUDGETS: [(&str, &[&str], usize); 5] = [
    ("voxplain-tensor", &["--no-default-features"], 1),
    ("voxplain-graph", &["--no-default-features"], 2),
    ("voxplain-autodiff", &["--no-default-features"], 3),
    // The embedded profile: our four crates and at most five from elsewhere.
    ("voxplain-cpu", &["--no-default-features"], 9),
    ("voxplain", &[], 60),
];

/// The `[dependencies]` of a manifest that are crates of this workspace.
fn workspace_dependencies(text: &str) -> Vec<String> {
    let mut inside = false;
    let mut found = Vec::new();
    for line in text.lines() {
        if line.starts_with('[') {
            inside = line.trim() == "[dependencies]";
        } else if inside {
            let name = line.split([' ', '=', '.']).next().unwrap_or("");
            if name == "voxplain" || name.starts_with("voxplain-") {
                found.push(String::from(name.strip_prefix("voxplain-").unwrap_or(name)));
            }
        }
    }
    found
}

/// No arrow that the design does not have.
pub fn arrows(manifests: &[Source]) -> Vec<String> {
    let mut problems = Vec::new();
    for manifest in manifests {
        let name = manifest.path.split('/').nth(1).unwrap_or("");
        let Some((_, allowed)) = ARROWS.iter().find(|(n, _)| *n == name) else {
            problems.push(format!("{}: crate {name} is not in the table of arrows", manifest.path));
            continue;
        };
        for dependency in workspace_dependencies(&manifest.text) {
            if !allowed.contains(&dependency.as_str()) {
                problems.push(format!("{}: {name} must not depend on {dependency}", manifest.path));
            }
        }
    }
    problems
}

/// No tree larger than its budget.
pub fn trees(root: &Path) -> Vec<String> {
    let mut problems = Vec::new();
    for (package, features, budget) in BUDGETS {
        let output = Command::new("cargo")
            .args(["tree", "-e", "normal", "--prefix", "none", "--no-dedupe", "-p", package])
            .args(features)
            .current_dir(root)
            .output();
        let text = output.map(|o| String::from_utf8_lossy(&o.stdout).into_owned()).unwrap_or_default();
        let crates: BTreeSet<&str> =
            text.lines().filter_map(|l| l.split(' ').next()).filter(|n| !n.is_empty()).collect();
        println!("{package} {}: {} crates, {budget} at most", features.join(" "), crates.len());
        if crates.is_empty() || crates.len() > budget {
            problems.push(format!("{package}: {} crates in its tree, {budget} at most", crates.len()));
        }
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forbidden_arrows_are_found() {
        let manifest =
            |text: &str| Source { path: "crates/attribution/Cargo.toml".into(), text: text.into() };
        let bad = manifest("[dependencies]\nvoxplain-cpu = { workspace = true }\n");
        assert_eq!(arrows(&[bad]).len(), 1);
        let tests_may =
            manifest("[dependencies]\nvoxplain-graph = {}\n[dev-dependencies]\nvoxplain-cpu = {}\n");
        assert_eq!(arrows(&[tests_may]).len(), 0);
    }
}
