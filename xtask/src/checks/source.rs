//! What a source file says: unsafe code and its reasons, what was left behind, why a module exists.

use super::Source;

/// `unsafe` only in the device crates, each under a SAFETY comment.
pub fn unsafe_code(s: &Source) -> Vec<String> {
    let allowed = s.path.starts_with("crates/cpu/") || s.path.starts_with("crates/cuda/");
    let lines: Vec<&str> = s.text.lines().collect();
    let mut problems = Vec::new();
    for (i, line) in lines.iter().enumerate() {
        let code = line.split("//").next().unwrap_or("");
        let uses = ["unsafe {", "unsafe impl", "unsafe fn", "unsafe extern"].iter().any(|w| code.contains(w));
        if !uses || s.path.starts_with("xtask/") {
            continue;
        }
        if !allowed {
            problems.push(format!("{}:{}: unsafe outside the device crates", s.path, i + 1));
        } else if !code.contains("unsafe fn")
            && !lines[i.saturating_sub(8)..=i].iter().any(|l| l.contains("SAFETY:") || l.contains("# Safety"))
        {
            problems.push(format!("{}:{}: unsafe without a SAFETY comment above", s.path, i + 1));
        }
    }
    problems
}

/// Nothing is left behind.
pub fn leftovers(s: &Source) -> Vec<String> {
    if s.path.starts_with("xtask/") {
        return Vec::new();
    }
    let words = [
        "todo!(",
        "unimplemented!(",
        "dbg!(",
        "// TODO",
        "// FIXME",
        "// XXX",
        "#[ignore",
        "allow(dead_code",
    ];
    let found = |(i, line): (usize, &str)| {
        let word = words.iter().find(|w| line.contains(*w))?;
        // Helpers that each test file uses in part are not dead.
        let shared_helpers = s.path.ends_with("tests/common/mod.rs") && word.contains("dead_code");
        (!shared_helpers).then(|| format!("{}:{}: {word} left behind", s.path, i + 1))
    };
    s.text.lines().enumerate().filter_map(found).collect()
}

/// Every file opens with why it exists.
pub fn heads(s: &Source) -> Vec<String> {
    if s.text.trim_start().starts_with("//!") || s.text.trim_start().starts_with("#![no_main]") {
        return Vec::new();
    }
    vec![format!("{}:1: no module documentation", s.path)]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(path: &str, text: &str) -> Source {
        Source { path: path.into(), text: text.into() }
    }

    #[test]
    fn unsafe_code_is_found() {
        assert_eq!(unsafe_code(&source("crates/graph/src/a.rs", "unsafe { f() }")).len(), 1);
        assert_eq!(unsafe_code(&source("crates/cpu/src/a.rs", "unsafe { f() }")).len(), 1);
        assert_eq!(
            unsafe_code(&source("crates/cpu/src/a.rs", "// SAFETY: checked\nunsafe { f() }")).len(),
            0
        );
    }

    #[test]
    fn leftovers_are_found() {
        assert_eq!(leftovers(&source("crates/a.rs", "fn f() {\n    todo!()\n}")).len(), 1);
        assert_eq!(leftovers(&source("crates/a.rs", "fn f() {}")).len(), 0);
    }

    #[test]
    fn missing_heads_are_found() {
        assert_eq!(heads(&source("crates/a.rs", "fn f() {}")).len(), 1);
        assert_eq!(heads(&source("crates/a.rs", "//! Why.\nfn f() {}")).len(), 0);
    }
}
