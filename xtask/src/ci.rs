//! What `.ci/run` runs once its tools are installed, stage by stage; it stops at the first stage that fails.

use crate::{shell, tidy};
use std::time::Instant;

/// The stages before the tests: what they are called and what they run.
const CHECKS: [(&str, &[&str]); 6] = [
    ("formatting", &["cargo", "fmt", "--all", "--check"]),
    ("lints", &["cargo", "clippy", "--workspace", "--all-targets", "--", "-D", "warnings"]),
    ("no_std: tensor", &["cargo", "check", "-p", "voxplain-tensor", "--no-default-features"]),
    ("no_std: graph", &["cargo", "check", "-p", "voxplain-graph", "--no-default-features"]),
    ("no_std: autodiff", &["cargo", "check", "-p", "voxplain-autodiff", "--no-default-features"]),
    ("documentation", &["cargo", "doc", "--workspace", "--no-deps", "--quiet"]),
];

/// The README's test command: what users are told to run is what CI runs. Doc tests are part of it.
fn test_command(readme: &str) -> Option<Vec<&str>> {
    let line = readme.lines().find(|line| line.starts_with("cargo test"))?;
    Some(line.split('#').next()?.split_whitespace().collect())
}

fn stage(name: &str, work: impl FnOnce() -> bool) -> bool {
    println!("\n== {name}");
    let start = Instant::now();
    let ok = work();
    println!("== {name}: {}, {:.0} s", if ok { "ok" } else { "FAILED" }, start.elapsed().as_secs_f64());
    ok
}

fn tests() -> bool {
    let readme = std::fs::read_to_string(shell::root().join("README.md")).unwrap_or_default();
    let command = test_command(&readme);
    if command.is_none() {
        println!("README.md names no test command (a line that begins with `cargo test`)");
    }
    command.is_some_and(|words| shell::succeeds(&words, &[]))
}

/// Every stage; whether all succeeded.
pub fn run() -> bool {
    let deny = [("RUSTDOCFLAGS", "-D warnings")];
    stage("tidy", tidy::run)
        && CHECKS.iter().all(|(name, words)| stage(name, || shell::succeeds(words, &deny)))
        && stage("the README's test command", tests)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_test_command_comes_from_the_readme() {
        let readme = "```sh\ncargo run -- demo   # the job\ncargo test --workspace   # all\n```\n";
        assert_eq!(test_command(readme), Some(vec!["cargo", "test", "--workspace"]));
        assert_eq!(test_command("no command\n"), None);
    }

    #[test]
    fn the_readme_names_one() {
        let readme = std::fs::read_to_string(shell::root().join("README.md")).unwrap_or_default();
        assert!(test_command(&readme).is_some());
    }
}
