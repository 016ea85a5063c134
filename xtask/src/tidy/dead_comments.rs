//! No code that was commented out: version control remembers it.

use super::{Problem, Source};

/// Whether a comment's text reads as Rust: a statement, a block's edge, an attribute.
fn is_code(text: &str) -> bool {
    let text = text.trim();
    let statement = ["let ", "use ", "pub ", "fn ", "return ", "mod ", "impl ", "struct "];
    let opens = text.ends_with('{') && text.contains([')', '=', '>']);
    let calls = text.ends_with(");") || text.ends_with(")?;") || text.ends_with("};");
    let begins = statement.iter().any(|w| text.starts_with(w)) && text.ends_with([';', '{', ',']);
    let edge = matches!(text, "}" | "{" | "})" | "});" | "};") || text.starts_with("#[");
    let assigns = text.ends_with(';') && text.contains(" = ");
    opens || calls || begins || edge || assigns
}

/// The problems of one file. Documentation may show code.
pub fn check(s: &Source) -> Vec<Problem> {
    let mut problems = Vec::new();
    for (i, line) in s.text.lines().enumerate() {
        let text = line.trim_start();
        let comment = text.strip_prefix("//").filter(|t| !t.starts_with(['/', '!']));
        if comment.is_some_and(is_code) {
            problems.push(s.problem("dead comment", i + 1, "code that was commented out"));
        }
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dead_code_is_found() {
        let problems = |text: &str| check(&Source::new("crates/graph/src/a.rs", text)).len();
        assert_eq!(problems("// let x = f(y);\n"), 1);
        assert_eq!(problems("    // if x > 0 {\n    // }\n"), 2);
        assert_eq!(problems("// self.run(plan)?;\n"), 1);
        assert_eq!(problems("// Let x be the input; then y = f(x) is its image.\n"), 0);
        assert_eq!(problems("/// let x = f(y);\n"), 0);
    }
}
