//! Every file opens with why it exists.

use super::{Problem, Source};

/// The problems of one file.
pub fn check(s: &Source) -> Vec<Problem> {
    // Inner attributes may come first.
    let first = s.text.lines().find(|line| !line.trim().is_empty() && !line.starts_with("#!["));
    if first.is_some_and(|line| line.starts_with("//! ") && line.len() > 8) {
        return Vec::new();
    }
    vec![s.problem("head", 1, "no `//!` line that says why the file exists")]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_heads_are_found() {
        let problems = |text: &str| check(&Source::new("crates/graph/src/a.rs", text)).len();
        assert_eq!(problems("fn f() {}\n"), 1);
        assert_eq!(problems("//!\nfn f() {}\n"), 1);
        assert_eq!(problems(""), 1);
        assert_eq!(problems("#![no_main]\n//! Why it is here.\n"), 0);
    }
}
