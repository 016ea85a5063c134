//! The project speaks of itself alone: no path of somebody's machine, no package mirror.

use super::{Problem, Source};

/// The one registry that lock files may name.
const REGISTRY: &str = "registry+https://github.com/rust-lang/crates.io-index";

/// What no tracked file may mention, put together here so that this file does not mention it.
fn words() -> Vec<String> {
    let folders = ["work", "root", "home", "Users"].map(|w| format!("/{w}/"));
    let hosts = ["index.crates", "static.crates", "pypi", "files.pythonhosted", "artifactory"];
    folders.into_iter().chain(hosts.map(|w| format!("{w}."))).collect()
}

/// Whether the path begins here: `framework/` and `https://x/home/` are no folders of a machine.
fn stands_alone(line: &str, at: usize) -> bool {
    !line[..at].ends_with(|c: char| c.is_alphanumeric() || matches!(c, '.' | '_' | '-' | '}' | ')'))
}

/// The problems of one file.
pub fn check(s: &Source) -> Vec<Problem> {
    let words = words();
    let lock = s.path.ends_with(".lock");
    let mut problems = Vec::new();
    for (i, line) in s.text.lines().enumerate() {
        if let Some(word) =
            words.iter().find(|w| line.find(w.as_str()).is_some_and(|at| stands_alone(line, at)))
        {
            problems.push(s.problem("machine", i + 1, &format!("mentions {word}")));
        } else if lock && line.starts_with("source = ") && !line.contains(REGISTRY) {
            problems.push(s.problem("machine", i + 1, "a source other than crates.io"));
        }
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_and_mirrors_are_found() {
        let problems = |path: &str, text: &str| check(&Source::new(path, text)).len();
        assert_eq!(problems("a.md", &format!("see {}me/a", words()[2])), 1);
        assert_eq!(problems("a.md", &format!("https://{}org/simple", words()[6])), 1);
        assert_eq!(problems("a.md", "the net/work/flow\n"), 0);
        assert_eq!(problems("Cargo.lock", "source = \"sparse+https://mirror.example/\"\n"), 1);
        assert_eq!(problems("Cargo.lock", &format!("source = \"{REGISTRY}\"\n")), 0);
    }
}
