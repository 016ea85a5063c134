//! How much comes with each crate: the size of its dependency tree against a budget.

use super::{Problem, Source};
use crate::shell;
use std::collections::BTreeSet;

/// A package, the features it is counted with, and the most packages from elsewhere that may come with it.
type Budget = (&'static str, &'static [&'static str], usize);

const BARE: &[&str] = &["--no-default-features"];
const BUDGETS: [Budget; 16] = [
    ("voxplain-tensor", BARE, 0),
    ("voxplain-graph", BARE, 0),
    ("voxplain-autodiff", BARE, 0),
    ("voxplain-attribution", &[], 0),
    ("voxplain-perturbation", &[], 0),
    ("voxplain-metrics", &[], 0),
    ("voxplain-axioms", &[], 0),
    ("voxplain-oracle", &[], 0),
    ("voxplain-report", &[], 0),
    // The embedded profile.
    ("voxplain-cpu", BARE, 5),
    ("voxplain-cpu", &[], 9),
    ("voxplain-cuda", &[], 4),
    ("voxplain-imaging", &[], 12),
    ("voxplain-models", &[], 28),
    // ARCHITECTURE.md says what made it more than the design's 45.
    ("voxplain", &[], 54),
    ("voxplain-cli", &[], 75),
];

/// The packages of a tree, and those of them that are not ours, as `name version`.
fn packages(tree: &str) -> (usize, BTreeSet<String>) {
    let name = |line: &str| line.split(' ').take(2).collect::<Vec<_>>().join(" ");
    let all: BTreeSet<String> = tree.lines().filter(|line| !line.is_empty()).map(name).collect();
    let count = all.len();
    let ours = |name: &String| name.starts_with("voxplain ") || name.starts_with("voxplain-");
    (count, all.into_iter().filter(|name| !ours(name)).collect())
}

fn over(budget: &Budget, tree: &str) -> Option<String> {
    let (package, features, most) = budget;
    let (count, others) = packages(tree);
    let label = format!("{package} {}", features.join(" "));
    println!("{:<44} {count:>3} crates, {:>2} from elsewhere, {most:>2} at most", label.trim(), others.len());
    if count == 0 {
        return Some(format!("{}: its tree is empty", label.trim()));
    }
    let names: Vec<&str> = others.iter().map(String::as_str).collect();
    (others.len() > *most).then(|| {
        format!(
            "{}: {} crates from elsewhere, {most} at most: {}",
            label.trim(),
            names.len(),
            names.join(", ")
        )
    })
}

/// The problems of every crate that exists.
pub fn check(manifests: &[Source]) -> Vec<Problem> {
    let name = |m: &Source| super::manifest::field(&m.text, "name").map(String::from);
    let existing: BTreeSet<String> = manifests.iter().filter_map(name).collect();
    let mut problems = Vec::new();
    for package in existing.iter().filter(|name| !BUDGETS.iter().any(|b| b.0 == name.as_str())) {
        problems.push(Problem::general("tree", &format!("{package} has no budget in xtask")));
    }
    for budget in BUDGETS.iter().filter(|b| existing.contains(b.0)) {
        let words = ["cargo", "tree", "-e", "normal", "--prefix", "none", "--no-dedupe", "-p", budget.0];
        let problem = match shell::output(&[&words, budget.1].concat()) {
            Ok(tree) => over(budget, &tree),
            Err(error) => Some(error),
        };
        problems.extend(problem.map(|text| Problem::general("tree", &text)));
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trees_over_budget_are_found() {
        let tree =
            "voxplain-graph v0.1.0 (x)\nvoxplain-tensor v0.1.0 (y)\nsyn v2.0.1\nsyn v3.0.0\nsyn v2.0.1 (*)\n";
        assert_eq!(packages(tree).0, 4);
        assert!(over(&("voxplain-graph", BARE, 1), tree).is_some_and(|p| p.contains("syn v3.0.0")));
        assert!(over(&("voxplain-graph", BARE, 2), tree).is_none());
        assert!(over(&("voxplain-graph", BARE, 2), "").is_some());
    }
}
