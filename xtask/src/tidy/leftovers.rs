//! Nothing is left behind: no reminders, no stubs, no tests that do not run.

use super::{Problem, Source};

/// What code must not hold, without its blanks.
const STUBS: [&str; 5] = ["todo!(", "unimplemented!(", "dbg!(", "#[ignore", "allow(dead_code"];
/// What comments must not hold.
const REMINDERS: [&str; 3] = ["TODO", "FIXME", "XXX"];

/// The reminder in a line's comment, as a word.
fn reminder(line: &str) -> Option<&'static str> {
    let comment = &line[line.find("//")?..];
    let part = |c: char| c.is_alphanumeric() || c == '_';
    REMINDERS.into_iter().find(|word| comment.split(|c| !part(c)).any(|w| w == *word))
}

/// The problems of one file.
pub fn check(s: &Source) -> Vec<Problem> {
    let mut problems = Vec::new();
    for (i, (line, code)) in s.text.lines().zip(s.code.lines()).enumerate() {
        let stub = STUBS.into_iter().find(|word| code.contains(word));
        // A line that differs only in its literals has no comment of its own.
        let commented = code.trim_end().len() < line.trim_end().len();
        if let Some(word) = stub.or_else(|| reminder(line).filter(|_| commented)) {
            problems.push(s.problem("leftover", i + 1, &format!("`{word}` left behind")));
        }
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leftovers_are_found() {
        let problems = |text: &str| check(&Source::new("crates/graph/src/a.rs", text)).len();
        assert_eq!(problems("fn f() {\n    todo!()\n}\n"), 1);
        assert_eq!(problems("#[ignore = \"slow\"]\nfn f() {}\n"), 1);
        assert_eq!(problems(&format!("let x = 1; // {}: later\n", REMINDERS[0])), 1);
        assert_eq!(problems("let x = \"todo!()\"; // a stub's text\n"), 0);
    }
}
