//! How long things are, and what must not be written down.

use super::Source;

/// Lines of a file and of a function of library code, and of everything else.
const LIBRARY: (usize, usize) = (480, 70);
const OTHER: (usize, usize) = (600, 110);

/// Files and functions that are long for a reason.
const LONG_FUNCTIONS: [(&str, &str); 3] = [
    ("crates/cpu/src/device.rs", "run: one arm per kernel, so that a missing kernel does not compile"),
    ("crates/cpu/src/kernels/slope.rs", "one arm per function"),
    ("crates/report/src/font/", "tables"),
];

/// Files and functions are short.
pub fn lengths(s: &Source) -> Vec<String> {
    if LONG_FUNCTIONS.iter().any(|(path, _)| s.path.starts_with(path)) {
        return Vec::new();
    }
    let (file, function) = if s.is_library() { LIBRARY } else { OTHER };
    let mut problems = Vec::new();
    let lines: Vec<&str> = s.text.lines().collect();
    if lines.len() > file {
        problems.push(format!("{}: {} lines, {file} at most", s.path, lines.len()));
    }
    let mut start: Option<(usize, usize)> = None;
    for (i, line) in lines.iter().enumerate() {
        let indent = line.len() - line.trim_start().len();
        let code = line.trim_start();
        let begins =
            ["fn ", "pub fn ", "pub(crate) fn ", "pub(super) fn "].iter().any(|w| code.starts_with(w));
        if begins && !code.ends_with(';') {
            start = Some((i, indent));
        }
        if let Some((from, _)) = start.filter(|(from, depth)| i > *from && indent == *depth && code == "}") {
            if i - from + 1 > function {
                problems.push(format!(
                    "{}:{}: a function of {} lines, {function} at most",
                    s.path,
                    from + 1,
                    i - from + 1
                ));
            }
            start = None;
        }
    }
    problems
}

/// No trailing blanks and no endless lines.
pub fn lines(s: &Source) -> Vec<String> {
    let problem = |(i, line): (usize, &str)| {
        let long = line.chars().count() > 140;
        (long || line.ends_with([' ', '\t']))
            .then(|| format!("{}:{}: trailing blank or over 140 columns", s.path, i + 1))
    };
    s.text.lines().enumerate().filter_map(problem).collect()
}

/// The project speaks of itself alone: no path of a machine, no registry.
pub fn machine_paths(files: &[Source]) -> Vec<String> {
    let slash = "/";
    let words: Vec<String> = ["work", "root", "home"]
        .iter()
        .map(|w| format!("{slash}{w}{slash}"))
        .chain([format!("index.crates{}io", ".")])
        .collect();
    let found = |s: &Source| {
        let word = words.iter().find(|w| s.text.contains(w.as_str()))?;
        Some(format!("{}: mentions {word}", s.path))
    };
    files.iter().filter_map(found).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(text: String) -> Source {
        Source { path: "crates/graph/src/a.rs".into(), text }
    }

    #[test]
    fn long_functions_and_files_are_found() {
        let body = "    step();\n".repeat(200);
        assert_eq!(lengths(&source(format!("fn f() {{\n{body}}}\n"))).len(), 1);
        assert_eq!(lengths(&source("//! x\n".repeat(500))).len(), 1);
        assert_eq!(lengths(&source("fn f() {\n    step();\n}\n".into())).len(), 0);
    }

    #[test]
    fn blanks_and_paths_are_found() {
        assert_eq!(lines(&source("let x = 1; \n".into())).len(), 1);
        assert_eq!(machine_paths(&[source(format!("see /{}/a", "home"))]).len(), 1);
    }
}
