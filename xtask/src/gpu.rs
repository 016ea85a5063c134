//! Everything that a host with a GPU and without Rust needs to test and to measure, in one folder: the program, the device
//! suite, the reference cases, the benchmark, and the script that runs them.

use crate::shell;
use std::path::{Path, PathBuf};

/// What `run.sh` needs beside the two programs: from the repository, to the folder.
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
    let build = ["cargo", "build", "--release", "--quiet", "-p", "voxplain-cli"];
    if !shell::succeeds(&build, &[]) {
        return Err("the program does not build".into());
    }
    copy(&target.join("release/voxplain"), &folder.join("voxplain"))?;
    let tests = ["cargo", "test", "--release", "-p", "voxplain-tests", "--test", "cuda", "--no-run"];
    let said = shell::errors(&tests)?;
    let suite = executable(&said).ok_or("cargo does not say where the device suite is")?;
    copy(Path::new(suite), &folder.join("device-suite"))?;
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

/// The path in cargo's line `Executable tests/cuda.rs (PATH)`.
fn executable(said: &str) -> Option<&str> {
    let line = said.lines().find(|line| line.trim_start().starts_with("Executable"))?;
    Some(line.rsplit_once('(')?.1.trim_end_matches(')'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_suite_is_found_in_what_cargo_says() {
        let said = "    Finished `release` profile [optimized] target(s) in 1s\n  Executable tests/cuda.rs (/t/release/deps/cuda-1f)\n";
        assert_eq!(executable(said), Some("/t/release/deps/cuda-1f"));
        assert_eq!(executable("    Finished\n"), None);
    }
}
