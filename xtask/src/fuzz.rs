//! Runs the fuzz targets with cargo-fuzz on nightly, two at a time where there are two cores. Each starts from its committed
//! corpus and from the regressions: inputs that once crashed it. What it finds itself stays in the build folder.

use crate::shell;
use std::sync::Mutex;

/// What to run, and for how long each.
#[derive(Debug, PartialEq)]
struct Options {
    seconds: u32,
    target: Option<String>,
}

fn parse(words: &[&str]) -> Result<Options, String> {
    let mut options = Options { seconds: 60, target: None };
    let mut words = words.iter();
    while let Some(&word) = words.next() {
        if word == "--seconds" {
            let number = words.next().and_then(|n| n.parse().ok());
            options.seconds = number.ok_or("--seconds needs a whole number")?;
        } else if word.starts_with('-') || options.target.is_some() {
            return Err(format!("fuzz: unexpected {word}"));
        } else {
            options.target = Some(word.to_string());
        }
    }
    Ok(options)
}

/// The fuzz targets, one file each.
fn targets() -> Vec<String> {
    let files = std::fs::read_dir(shell::root().join("fuzz/targets")).into_iter().flatten().flatten();
    let stem = |file: std::fs::DirEntry| Some(file.path().file_stem()?.to_string_lossy().into_owned());
    let mut names: Vec<String> = files.filter_map(stem).collect();
    names.sort();
    names
}

/// One target; where another may run beside it, its output is shown when it has ended. The first folder is where new inputs
/// go; the others only seed.
fn one(target: &str, seconds: u32, alone: bool) -> bool {
    let root = shell::root();
    let found = format!("target/fuzz-corpus/{target}");
    let seeds = [format!("fuzz/corpus/{target}"), format!("fuzz/regressions/{target}")];
    let limit = format!("-max_total_time={seconds}");
    let mut words = vec!["cargo", "+nightly", "fuzz", "run", "--fuzz-dir", "fuzz", target, &found];
    words.extend(seeds.iter().filter(|folder| root.join(folder).is_dir()).map(String::as_str));
    words.extend(["--", &limit, "-rss_limit_mb=2048", "-timeout=20", "-print_final_stats=1"]);
    if let Err(error) = std::fs::create_dir_all(root.join(&found)) {
        println!("{found}: {error}");
        return false;
    }
    if alone {
        return shell::succeeds(&words, &[]);
    }
    let (succeeded, said) = shell::collected(&words);
    println!("$ {}\n{said}", words.join(" "));
    succeeded
}

/// Runs all of them, a core each, at most two at a time for the memory that each may take; those that failed.
fn all(targets: &[String], seconds: u32) -> Vec<&String> {
    let (next, failed) = (Mutex::new(targets.iter()), Mutex::new(Vec::new()));
    let take = || next.lock().ok()?.next();
    let work = || {
        while let Some(target) = take() {
            if !one(target, seconds, targets.len() == 1) {
                if let Ok(mut failed) = failed.lock() {
                    failed.push(target);
                }
            }
        }
    };
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| (0..cores.min(2)).for_each(|_| drop(scope.spawn(work))));
    failed.into_inner().unwrap_or_default()
}

/// Every target runs, also behind one that fails; whether all succeeded.
pub fn run(words: &[&str]) -> bool {
    let options = match parse(words) {
        Ok(options) => options,
        Err(error) => {
            println!("{error}");
            return false;
        }
    };
    let wanted: Vec<String> =
        targets().into_iter().filter(|t| options.target.as_ref().is_none_or(|only| only == t)).collect();
    if wanted.is_empty() {
        println!("no such fuzz target; there are: {}", targets().join(", "));
        return false;
    }
    // All at once, on all cores; a run then finds its target built.
    let mut build = vec!["cargo", "+nightly", "fuzz", "build", "--fuzz-dir", "fuzz"];
    build.extend(options.target.as_deref());
    if !shell::succeeds(&build, &[]) {
        return false;
    }
    let failed = all(&wanted, options.seconds);
    println!("fuzz: {} targets, {} s each, failed: {failed:?}", wanted.len(), options.seconds);
    failed.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_read() {
        let expected = Options { seconds: 5, target: Some("onnx".into()) };
        assert_eq!(parse(&["--seconds", "5", "onnx"]), Ok(expected));
        assert!(parse(&["--seconds", "soon"]).is_err());
        assert!(parse(&["onnx", "npy"]).is_err());
    }

    #[test]
    fn every_target_has_a_corpus_and_an_entry() {
        let manifest = std::fs::read_to_string(shell::root().join("fuzz/Cargo.toml")).unwrap_or_default();
        assert!(!targets().is_empty());
        for target in targets() {
            assert!(manifest.contains(&format!("targets/{target}.rs")), "{target} is not in fuzz/Cargo.toml");
            let seeds = std::fs::read_dir(shell::root().join("fuzz/corpus").join(&target));
            assert!(seeds.is_ok_and(|mut s| s.next().is_some()), "{target} has no seed corpus");
        }
    }
}
