//! Which crate may know which: the arrows of the architecture, and the packages each crate has a reason for.

use super::{Problem, Source, manifest};

/// A crate, the crates of the workspace it may depend on outside tests, and packages from elsewhere.
type Row = (&'static str, &'static [&'static str], &'static [&'static str]);

const CORE: &[&str] = &["tensor", "graph", "autodiff"];
const ARROWS: [Row; 15] = [
    ("tensor", &[], &[]),
    ("graph", &["tensor"], &[]),
    ("autodiff", &["tensor", "graph"], &[]),
    ("cpu", CORE, &["matrixmultiply", "rayon", "half"]),
    ("cuda", CORE, &["cudarc", "libloading"]),
    ("oracle", CORE, &[]),
    ("models", &["tensor", "graph"], &["safetensors", "half", "serde_json", "toml"]),
    ("attribution", CORE, &[]),
    ("perturbation", &["tensor", "graph", "attribution"], &[]),
    ("metrics", &["tensor", "graph", "attribution"], &[]),
    ("axioms", &["tensor", "graph", "autodiff", "attribution", "perturbation"], &["proptest"]),
    ("imaging", &["tensor"], &["flate2", "png"]),
    ("report", &["tensor", "imaging"], &["png"]),
    ("voxplain", ALL, &["serde_json", "sha2", "ndarray"]),
    ("voxplain-cli", &["voxplain"], &["clap", "indicatif", "serde_json"]),
];
/// What the facade may see: everything but the oracle, which is for tests, and the program.
const ALL: &[&str] = &[
    "tensor",
    "graph",
    "autodiff",
    "cpu",
    "cuda",
    "models",
    "attribution",
    "perturbation",
    "metrics",
    "axioms",
    "imaging",
    "report",
];

/// The problems of one crate's manifest.
pub fn check(s: &Source) -> Vec<Problem> {
    let name = s.path.split('/').nth(1).unwrap_or("");
    let Some((_, ours, others)) = ARROWS.iter().find(|row| row.0 == name) else {
        return vec![s.problem("arrow", 1, &format!("crate {name} is not in xtask's table of arrows"))];
    };
    let mut problems = Vec::new();
    for package in manifest::dependencies(&s.text) {
        let local = package.strip_prefix("voxplain-").or((package == "voxplain").then_some("voxplain"));
        let allowed = local.map_or(others.contains(&package.as_str()), |local| ours.contains(&local));
        if !allowed {
            let line = s.text.lines().position(|l| l.contains(&package)).unwrap_or(0) + 1;
            problems.push(s.problem("arrow", line, &format!("{name} must not depend on {package}")));
        }
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(name: &str, text: &str) -> usize {
        check(&Source::new(&format!("crates/{name}/Cargo.toml"), text)).len()
    }

    #[test]
    fn forbidden_arrows_are_found() {
        assert_eq!(problems("attribution", "[dependencies]\nvoxplain-cpu.workspace = true\n"), 1);
        assert_eq!(problems("attribution", "[dev-dependencies]\nvoxplain-cpu.workspace = true\n"), 0);
        assert_eq!(problems("graph", "[dependencies]\nvoxplain-tensor = { path = \"../tensor\" }\n"), 0);
        assert_eq!(problems("cpu", "[build-dependencies]\nvoxplain-attribution = { path = \"..\" }\n"), 1);
        assert_eq!(problems("voxplain-cli", "[dependencies]\nvoxplain-models = {}\nvoxplain = {}\n"), 1);
    }

    #[test]
    fn packages_need_a_place() {
        assert_eq!(problems("tensor", "[dependencies]\nserde = \"1\"\n"), 1);
        assert_eq!(problems("somewhere", "[dependencies]\n"), 1);
    }

    #[test]
    fn the_table_has_no_cycle() {
        // Each row comes after the rows it points at, the facade's list and the two devices included.
        for (i, (name, ours, _)) in ARROWS.iter().enumerate() {
            let before = |other: &&str| ARROWS[..i].iter().any(|row| row.0 == *other);
            assert!(ours.iter().all(before), "{name} points ahead");
        }
    }
}
