//! No test is left out without a word: files of test suites are modules of their binary, and where a manifest says that a
//! target has no tests it has none.

use super::{Problem, Source};

/// The file that a file of a suite is a module of, if both are there: the `main.rs` or `mod.rs` of its folder, or of the
/// folder above for a `mod.rs`; and the module's name.
fn parent<'s>(s: &'s Source, sources: &'s [Source]) -> Option<(&'s Source, &'s str)> {
    let (folder, file) = s.path.rsplit_once('/')?;
    let (folder, name) = match file {
        "main.rs" => return None,
        "mod.rs" => folder.rsplit_once('/')?,
        _ => (folder, file.strip_suffix(".rs")?),
    };
    let roots = ["main.rs", "mod.rs"].map(|root| format!("{folder}/{root}"));
    Some((sources.iter().find(|other| roots.contains(&other.path))?, name))
}

/// Suites whose tests nobody would run.
fn modules(sources: &[Source]) -> Vec<Problem> {
    let suites = sources.iter().filter(|s| s.path.contains("tests/") && s.path.ends_with(".rs"));
    let forgotten = suites.filter(|s| {
        let names =
            |(root, name): (&Source, &str)| root.code.lines().any(|l| l.trim() == format!("mod {name};"));
        !s.path.contains("/src/") && !parent(s, sources).is_none_or(names)
    });
    forgotten.map(|s| s.problem("unreached", 1, "no `mod` names this file: its tests do not run")).collect()
}

/// Tests of targets that are said to have none.
fn targets(sources: &[Source]) -> Vec<Problem> {
    let mut problems = Vec::new();
    for manifest in sources.iter().filter(|s| s.path.ends_with("/Cargo.toml")) {
        let package = manifest.path.trim_end_matches("Cargo.toml");
        if !manifest.text.lines().any(|line| line.trim() == "test = false") {
            continue;
        }
        let code = sources.iter().filter(|s| s.path.starts_with(&format!("{package}src/")));
        let with_tests = code.filter(|s| s.code.contains("#[test]"));
        let text = format!("{} says `test = false`: this test does not run", manifest.path);
        problems.extend(with_tests.map(|s| s.problem("unreached", 1, &text)));
    }
    problems
}

/// The problems of all files together.
pub fn check(sources: &[Source]) -> Vec<Problem> {
    [modules(sources), targets(sources)].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suites_that_nobody_names_are_found() {
        let problems = |main: &str| {
            let suite = Source::new("tests/tests/devices/cuda.rs", "//! Why.\n");
            let inner = Source::new("tests/tests/devices/rules/mod.rs", "//! Why.\n");
            check(&[Source::new("tests/tests/devices/main.rs", main), suite, inner]).len()
        };
        assert_eq!(problems("mod cuda;\nmod rules;\n"), 0);
        assert_eq!(problems("// mod cuda;\nmod rules;\n"), 1);
        assert_eq!(problems(""), 2);
        assert_eq!(check(&[Source::new("crates/cpu/tests/allocations.rs", "//! Why.\n")]).len(), 0);
    }

    #[test]
    fn tests_of_targets_without_tests_are_found() {
        let problems = |manifest: &str, code: &str| {
            check(&[Source::new("bench/Cargo.toml", manifest), Source::new("bench/src/bin/a.rs", code)]).len()
        };
        assert_eq!(problems("[[bin]]\ntest = false\n", "#[test]\nfn f() {}\n"), 1);
        assert_eq!(problems("[[bin]]\ntest = false\n", "fn f() {}\n"), 0);
        assert_eq!(problems("[[bin]]\n", "#[test]\nfn f() {}\n"), 0);
    }
}
