//! The project's chores: `cargo xtask tidy` checks what the compiler cannot, `cargo xtask ci` runs what CI runs, `cargo
//! xtask fuzz` runs the fuzz targets.

mod checks;

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().map_or_else(PathBuf::new, Path::to_path_buf)
}

/// Runs a command in the root and says whether it succeeded.
fn run(words: &[&str]) -> bool {
    println!("$ {}", words.join(" "));
    let status = Command::new(words[0]).args(&words[1..]).current_dir(root()).status();
    status.is_ok_and(|s| s.success())
}

fn tidy() -> bool {
    let problems = checks::all(&root());
    problems.iter().for_each(|p| println!("{p}"));
    println!("tidy: {} problems", problems.len());
    problems.is_empty()
}

/// The stages of CI after installation, in order.
const STAGES: [&[&str]; 5] = [
    &["cargo", "fmt", "--all", "--check"],
    &["cargo", "clippy", "--workspace", "--all-targets", "--", "-D", "warnings"],
    &["cargo", "build", "-p", "voxplain-autodiff", "--no-default-features"],
    &["cargo", "test", "--workspace"],
    &["cargo", "build", "--release", "-p", "voxplain-cli"],
];

fn ci() -> bool {
    STAGES.iter().all(|stage| run(stage)) && tidy()
}

/// The fuzz targets, one file each.
fn targets() -> Vec<String> {
    let files = std::fs::read_dir(root().join("fuzz/targets")).into_iter().flatten().flatten();
    let mut names: Vec<String> =
        files.filter_map(|f| f.path().file_stem().map(|s| s.to_string_lossy().into_owned())).collect();
    names.sort();
    names
}

fn fuzz(seconds: &str, only: Option<&str>) -> bool {
    let limit = format!("-max_total_time={seconds}");
    let wanted = targets().into_iter().filter(|t| only.is_none_or(|o| o == t));
    let one = |target: String| {
        // New inputs go beside the build; the committed corpus only seeds.
        let (found, seeds) = (format!("target/fuzz-corpus/{target}"), format!("fuzz/corpus/{target}"));
        let made = std::fs::create_dir_all(root().join(&found)).is_ok();
        let words =
            ["cargo", "+nightly", "fuzz", "run", "--fuzz-dir", "fuzz", &target, &found, &seeds, "--", &limit];
        made && run(&[&words[..], &["-rss_limit_mb=2048", "-timeout=20"]].concat())
    };
    // Every target runs, also behind one that fails.
    let failed = wanted.map(one).filter(|ok| !ok).count();
    failed == 0
}

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let word = |i: usize| words.get(i).map(String::as_str);
    let ok = match word(0) {
        Some("tidy") => tidy(),
        Some("ci") => ci(),
        Some("fuzz") => fuzz(word(1).unwrap_or("60"), word(2)),
        _ => {
            println!("usage: cargo xtask tidy | ci | fuzz [SECONDS] [TARGET]");
            false
        }
    };
    if ok { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
