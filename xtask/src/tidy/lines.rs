//! Lines end where their text ends and fit a screen.

use super::{Problem, Source};

/// Columns of a line. rustfmt breaks code at 110; this bounds what it leaves alone, comments and texts. Markdown tables
/// and links cannot be broken, and what tools write nobody reads.
const COLUMNS: usize = 140;
const UNBOUNDED: [&str; 5] = [".md", ".lock", ".counterexamples", ".ptx", ".proptest-regressions"];
/// Where proptest keeps draws that once failed.
const REGRESSIONS: &str = "/proptest-regressions/";

/// The problems of one file.
pub fn check(s: &Source) -> Vec<Problem> {
    let unbounded = UNBOUNDED.iter().any(|end| s.path.ends_with(end)) || s.path.contains(REGRESSIONS);
    let wide = !unbounded;
    let mut problems = Vec::new();
    for (i, line) in s.text.lines().enumerate() {
        let columns = line.chars().count();
        if line.ends_with([' ', '\t', '\r']) {
            problems.push(s.problem("blank", i + 1, "blanks at the end of the line"));
        }
        if wide && columns > COLUMNS {
            problems.push(s.problem("columns", i + 1, &format!("{columns} columns, {COLUMNS} at most")));
        }
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blanks_and_endless_lines_are_found() {
        let problems = |path: &str, text: &str| check(&Source::new(path, text)).len();
        assert_eq!(problems("a.rs", "let x = 1; \n"), 1);
        assert_eq!(problems("a.rs", &"x".repeat(COLUMNS + 1)), 1);
        assert_eq!(problems("a.rs", &"µ".repeat(COLUMNS)), 0);
        assert_eq!(problems("a.md", &"x".repeat(COLUMNS + 1)), 0);
    }
}
