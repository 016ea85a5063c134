//! `unsafe` stands only in the device crates, each block and implementation under its reason.

use super::{Problem, Source, scan};

/// How far above an `unsafe` its reason may begin.
const REACH: usize = 3;

/// Whether the comment that ends in the lines above, or on the line itself, gives the reason.
fn has_reason(lines: &[&str], at: usize) -> bool {
    let says = |line: &&str| line.contains("SAFETY:");
    let near = &lines[at.saturating_sub(REACH)..=at];
    if near.iter().any(says) {
        return true;
    }
    // A reason longer than the reach: the comment block that touches it.
    let comment = |line: &&&str| line.trim_start().starts_with("//");
    let end = (at.saturating_sub(REACH)..at).rev().find(|i| comment(&&lines[*i]));
    end.is_some_and(|end| lines[..=end].iter().rev().take_while(comment).any(says))
}

/// The problems of one file.
pub fn check(s: &Source) -> Vec<Problem> {
    let device = s.path.starts_with("crates/cpu/") || s.path.starts_with("crates/cuda/");
    let lines: Vec<&str> = s.text.lines().collect();
    let code: Vec<&str> = s.code.lines().collect();
    let mut problems = Vec::new();
    for line in scan::lines_with_word(&s.code, "unsafe") {
        let declares =
            ["unsafe fn", "unsafe extern", "unsafe trait"].iter().any(|w| code[line - 1].contains(w));
        if !device {
            problems.push(s.problem("unsafe", line, "unsafe outside the device crates"));
        } else if !declares && !has_reason(&lines, line - 1) {
            problems.push(s.problem("unsafe", line, "unsafe without a `// SAFETY:` comment above"));
        }
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(path: &str, text: &str) -> usize {
        check(&Source::new(path, text)).len()
    }

    #[test]
    fn only_device_crates_may() {
        assert_eq!(problems("crates/graph/src/a.rs", "fn f() { unsafe{ g() } }"), 1);
        assert_eq!(problems("crates/graph/src/a.rs", "// unsafe is forbidden here\n"), 0);
        assert_eq!(problems("crates/graph/src/lib.rs", "#![forbid(unsafe_code)]\n"), 0);
    }

    #[test]
    fn a_reason_is_needed() {
        assert_eq!(problems("crates/cpu/src/a.rs", "let x = unsafe { g() };"), 1);
        assert_eq!(problems("crates/cpu/src/a.rs", "unsafe impl Send for A {}"), 1);
        assert_eq!(problems("crates/cpu/src/a.rs", "// SAFETY: checked above.\nunsafe { g() }"), 0);
        let far = "// SAFETY: checked.\na();\nb();\nc();\nunsafe { g() }";
        assert_eq!(problems("crates/cpu/src/a.rs", far), 1);
        let long = "// SAFETY: one\n// two\n// three\n// four\nunsafe { g() }";
        assert_eq!(problems("crates/cpu/src/a.rs", long), 0);
    }
}
