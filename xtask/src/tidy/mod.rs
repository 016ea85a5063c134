//! What the compiler cannot check. Every check is a function from text to problems in a file of its own, with a test
//! that feeds it a violation.

mod allow;
mod arrows;
mod crate_heads;
mod dead_comments;
mod heads;
mod leftovers;
mod lengths;
mod lines;
mod machine;
mod manifest;
mod scan;
mod trees;
mod unreached;
mod unsafe_code;

use crate::shell;
use std::collections::BTreeSet;

/// Something to put right.
#[derive(Clone, Debug)]
struct Problem {
    /// The check's name, as the list of exceptions uses it.
    check: &'static str,
    path: String,
    line: usize,
    /// The function at fault, where there is one.
    item: String,
    text: String,
}

impl Problem {
    fn list(line: usize, text: &str) -> Problem {
        Problem { check: "allow", path: LIST.into(), line, item: String::new(), text: text.into() }
    }

    fn general(check: &'static str, text: &str) -> Problem {
        Problem { check, path: String::new(), line: 0, item: String::new(), text: text.into() }
    }
}

/// A text file of the repository.
struct Source {
    /// Its path from the root, with forward slashes.
    path: String,
    text: String,
    /// The text without comments and literals, where it is Rust.
    code: String,
}

impl Source {
    fn new(path: &str, text: &str) -> Source {
        let code = if path.ends_with(".rs") { scan::code(text) } else { String::new() };
        Source { path: path.into(), text: text.into(), code }
    }

    /// Whether it is library code, which users run.
    fn is_library(&self) -> bool {
        self.path.starts_with("crates/")
            && self.path.contains("/src/")
            && !self.path.starts_with("crates/oracle/")
    }

    fn problem(&self, check: &'static str, line: usize, text: &str) -> Problem {
        Problem { check, path: self.path.clone(), line, item: String::new(), text: text.into() }
    }
}

const LIST: &str = "xtask/tidy-allow.txt";

/// The text files that version control has or would take: what is ignored is nobody's business.
fn sources() -> Result<Vec<Source>, String> {
    let listed = shell::output(&["git", "ls-files", "--cached", "--others", "--exclude-standard"])?;
    let paths: BTreeSet<&str> = listed.lines().filter(|p| !p.starts_with("fuzz/corpus/")).collect();
    let read = |path: &str| Some(Source::new(path, &std::fs::read_to_string(shell::root().join(path)).ok()?));
    Ok(paths.into_iter().filter_map(read).collect())
}

fn is_manifest(s: &Source) -> bool {
    s.path.starts_with("crates/") && s.path.ends_with("/Cargo.toml")
}

fn is_library_root(s: &Source) -> bool {
    s.path.starts_with("crates/") && s.path.ends_with("/src/lib.rs")
}

/// The checks that read one file.
fn of_text(sources: &[Source]) -> Vec<Problem> {
    let everywhere: [fn(&Source) -> Vec<Problem>; 2] = [lines::check, machine::check];
    let rust: [fn(&Source) -> Vec<Problem>; 5] =
        [unsafe_code::check, lengths::check, heads::check, leftovers::check, dead_comments::check];
    let mut problems = Vec::new();
    for s in sources {
        problems.extend(everywhere.iter().flat_map(|check| check(s)));
        if s.path.ends_with(".rs") {
            problems.extend(rust.iter().flat_map(|check| check(s)));
        }
        if is_library_root(s) {
            problems.extend(crate_heads::attributes(s));
        }
        if is_manifest(s) {
            let readme = s.path.replace("Cargo.toml", "README.md");
            let readme = sources.iter().find(|other| other.path == readme);
            problems.extend(arrows::check(s));
            problems.extend(crate_heads::words(s, readme.map(|r| r.text.as_str())));
        }
    }
    problems.extend(unreached::check(sources));
    let list = sources.iter().find(|s| s.path == LIST).map_or("", |s| s.text.as_str());
    allow::apply(list, problems)
}

/// Every check over the whole repository; whether there was nothing to say.
pub fn run() -> bool {
    let sources = match sources() {
        Ok(sources) => sources,
        Err(error) => {
            println!("tidy: {error}");
            return false;
        }
    };
    let mut problems = of_text(&sources);
    let (manifests, rest): (Vec<Source>, Vec<Source>) = sources.into_iter().partition(is_manifest);
    problems.extend(trees::check(&manifests));
    for p in &problems {
        let place = if p.line > 0 { format!("{}:{}: ", p.path, p.line) } else { String::new() };
        println!("{place}{} [{}]", p.text, p.check);
    }
    println!("tidy: {} files, {} problems", manifests.len() + rest.len(), problems.len());
    problems.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_repository_is_tidy() {
        let problems = sources().map(|sources| of_text(&sources));
        assert!(problems.as_ref().is_ok_and(Vec::is_empty), "{problems:#?}");
    }

    #[test]
    fn every_kind_of_file_meets_its_checks() {
        let library = Source::new("crates/graph/src/lib.rs", "fn f() { unsafe { g() } } \n");
        let mut found: Vec<&str> = of_text(&[library]).iter().map(|p| p.check).collect();
        found.sort();
        assert_eq!(found, ["attribute", "attribute", "blank", "head", "unsafe"]);
        let manifest = Source::new("crates/graph/Cargo.toml", "[dependencies]\nhalf = \"2\"\n");
        let found: Vec<&str> = of_text(&[manifest]).iter().map(|p| p.check).collect();
        assert_eq!(found, ["arrow", "words", "words"]);
    }
}
