//! Files and functions are short.

use super::{Problem, Source};

/// Lines of a file and of a function.
type Limits = (usize, usize);

const LIBRARY: Limits = (420, 60);
/// Tests, the oracle, examples and chores.
const OTHER: Limits = (600, 80);

/// The functions of a file: name, first line (from 0) and number of lines.
fn functions(code: &str) -> Vec<(&str, usize, usize)> {
    let mut found = Vec::new();
    let mut line_of = 0;
    let mut at = 0;
    for (i, _) in code.match_indices("fn ") {
        line_of += code[at..i].matches('\n').count();
        at = i;
        if code[..i].ends_with(|c: char| c.is_alphanumeric() || c == '_') {
            continue;
        }
        let name = code[i + 3..].split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap_or("");
        if let Some(end) = body_end(&code[i..]).filter(|_| !name.is_empty()) {
            found.push((name, line_of, code[i..i + end].matches('\n').count() + 1));
        }
    }
    found
}

/// Where the body of the function that begins here ends; none for a declaration.
fn body_end(code: &str) -> Option<usize> {
    let (mut braces, mut brackets) = (0_i32, 0_i32);
    for (i, c) in code.bytes().enumerate() {
        match c {
            b'(' | b'[' => brackets += 1,
            b')' | b']' => brackets -= 1,
            b'{' => braces += 1,
            b'}' if braces == 1 => return Some(i),
            b'}' => braces -= 1,
            b';' if braces == 0 && brackets == 0 => return None,
            _ => {}
        }
        if braces < 0 || (braces == 0 && brackets < 0) {
            return None;
        }
    }
    None
}

/// The problems of one file.
pub fn check(s: &Source) -> Vec<Problem> {
    let (file, function) = if s.is_library() { LIBRARY } else { OTHER };
    let mut problems = Vec::new();
    let lines = s.text.lines().count();
    if lines > file {
        problems.push(s.problem("file", lines, &format!("{lines} lines, {file} at most")));
    }
    for (name, line, lines) in functions(&s.code) {
        if lines > function {
            let mut problem =
                s.problem("function", line + 1, &format!("`{name}` has {lines} lines, {function} at most"));
            problem.item = name.into();
            problems.push(problem);
        }
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::*;

    fn function(lines: usize) -> String {
        format!("impl A {{\n    const fn f<T>(x: [u8; 2]) -> T\n    where\n{}    }}\n}}\n", {
            format!("        T: B,\n    {{\n{}", "        step('}');\n".repeat(lines - 5))
        })
    }

    fn problems(path: &str, text: &str) -> usize {
        check(&Source::new(path, text)).len()
    }

    #[test]
    fn long_functions_are_found() {
        assert_eq!(problems("crates/graph/src/a.rs", &function(60)), 0);
        assert_eq!(problems("crates/graph/src/a.rs", &function(61)), 1);
        assert_eq!(problems("crates/graph/tests/a.rs", &function(61)), 0);
        assert_eq!(problems("crates/oracle/src/a.rs", &function(81)), 1);
    }

    #[test]
    fn long_files_are_found() {
        assert_eq!(problems("crates/graph/src/a.rs", &"//! x\n".repeat(420)), 0);
        assert_eq!(problems("crates/graph/src/a.rs", &"//! x\n".repeat(421)), 1);
        assert_eq!(problems("tests/tests/a.rs", &"//! x\n".repeat(421)), 0);
    }

    #[test]
    fn declarations_and_pointers_have_no_body() {
        assert_eq!(
            functions("trait A { fn f(&self); fn g() {} }\nstruct B { c: fn(u8) -> u8 }"),
            [("g", 0, 1)]
        );
    }
}
