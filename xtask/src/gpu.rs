//! Everything that a host with a GPU and without Rust needs to test and to measure, in one folder: the program, the device
//! suite, the reference cases, the benchmark, and the script that runs them.

use crate::shell;
use std::path::{Path, PathBuf};

/// The program, and what measures the methods of few passes.
const PROGRAMS: [&str; 2] = ["voxplain", "methods"];
/// The device suites: the tests of this binary that have `gpu` in their names.
const SUITES: [&str; 1] = ["devices"];

/// What `run.sh` needs beside the programs: from the repository, to the folder.
const FILES: [(&str, &str); 3] =
    [("bench/gpu.sh", "run.sh"), ("bench/gpu.py", "gpu.py"), ("bench/architectures.py", "architectures.py")];

/// Builds the programs and fills the folder; whether all went well.
pub fn run() -> bool {
    match folder() {
        Ok(folder) => {
            println!("gpu: copy {} to the host and run ./run.sh there", folder.display());
            true
        }
        Err(error) => {
            println!("gpu: {error}");
            false
        }
    }
}

fn folder() -> Result<PathBuf, String> {
    let target =
        std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| shell::root().join("target"), PathBuf::from);
    let folder = target.join("gpu");
    let made = std::fs::remove_dir_all(&folder).or(Ok(())).and_then(|()| std::fs::create_dir_all(&folder));
    made.map_err(|e| format!("{}: {e}", folder.display()))?;
    let mut build =
        vec!["cargo", "build", "--release", "--quiet", "-p", "voxplain-cli", "-p", "voxplain-bench"];
    build.extend(PROGRAMS.iter().flat_map(|program| ["--bin", program]));
    if !shell::succeeds(&build, &[]) {
        return Err("the programs do not build".into());
    }
    for program in PROGRAMS {
        copy(&target.join("release").join(program), &folder.join(program))?;
    }
    // The profile of tests is optimised too.
    let mut tests = vec!["cargo", "test", "-p", "voxplain-tests", "--no-run"];
    tests.extend(SUITES.iter().flat_map(|suite| ["--test", suite]));
    let said = shell::errors(&tests)?;
    let suites = folder.join("suites");
    std::fs::create_dir_all(&suites).map_err(|e| format!("{}: {e}", suites.display()))?;
    for suite in SUITES {
        let program = executable(&said, suite).ok_or(format!("cargo does not say where suite {suite} is"))?;
        copy(Path::new(program), &suites.join(suite))?;
    }
    for (from, to) in FILES {
        copy(&shell::root().join(from), &folder.join(to))?;
    }
    let shared = std::env::var_os("VOXPLAIN_SHARED");
    let golden = shared.map_or_else(|| shell::root().join("../shared"), PathBuf::from).join("golden");
    if golden.is_dir() {
        let (from, to) = (golden.display().to_string(), folder.join("shared/golden").display().to_string());
        std::fs::create_dir_all(folder.join("shared")).map_err(|e| format!("{}: {e}", folder.display()))?;
        shell::output(&["cp", "-r", &from, &to])?;
    } else {
        println!("gpu: no reference cases beside the repository; the folder has none");
    }
    Ok(folder)
}

fn copy(from: &Path, to: &Path) -> Result<(), String> {
    std::fs::copy(from, to).map(drop).map_err(|e| format!("{}: {e}", from.display()))
}

/// The path in cargo's line `Executable tests/SUITE/main.rs (PATH)`.
fn executable<'s>(said: &'s str, suite: &str) -> Option<&'s str> {
    let file = format!("Executable tests/{suite}/main.rs (");
    let line = said.lines().find(|line| line.trim_start().starts_with(&file))?;
    Some(line.rsplit_once('(')?.1.trim_end_matches(')'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_suite_is_found_in_what_cargo_says() {
        let said = "    Finished `dev` profile target(s) in 1s\n  Executable tests/methods/main.rs (/t/debug/deps/methods-2)\n  \
                    Executable tests/devices/main.rs (/t/debug/deps/devices-1f)\n";
        assert_eq!(executable(said, "devices"), Some("/t/debug/deps/devices-1f"));
        assert_eq!(executable("    Finished\n", "devices"), None);
    }
}
