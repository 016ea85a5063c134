//! A Rust file without what it says in comments, strings and character literals: every such byte becomes a blank, so
//! that lines and columns stay and a check sees code alone.

/// What the scanner is inside of.
enum Inside {
    Code,
    LineComment,
    BlockComment(usize),
    Text,
    RawText(usize),
}

/// The code of a file; same lines, same columns.
pub fn code(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = vec![b' '; bytes.len()];
    let (mut i, mut inside) = (0, Inside::Code);
    while i < bytes.len() {
        if bytes[i] == b'\n' {
            out[i] = b'\n';
        }
        let length;
        (length, inside) = step(&bytes[i..], i.checked_sub(1).map(|p| bytes[p]), inside, &mut out[i..]);
        i += length;
    }
    String::from_utf8(out).unwrap_or_default()
}

/// Reads one token's worth of bytes and says how many, and what comes after them.
fn step(rest: &[u8], before: Option<u8>, inside: Inside, out: &mut [u8]) -> (usize, Inside) {
    match inside {
        Inside::Code => step_code(rest, before, out),
        Inside::LineComment if rest[0] == b'\n' => (1, Inside::Code),
        Inside::LineComment => (1, Inside::LineComment),
        Inside::BlockComment(depth) if rest.starts_with(b"/*") => (2, Inside::BlockComment(depth + 1)),
        Inside::BlockComment(1) if rest.starts_with(b"*/") => (2, Inside::Code),
        Inside::BlockComment(depth) if rest.starts_with(b"*/") => (2, Inside::BlockComment(depth - 1)),
        Inside::BlockComment(depth) => (1, Inside::BlockComment(depth)),
        Inside::Text if rest[0] == b'\\' && rest.get(1) != Some(&b'\n') => (2.min(rest.len()), Inside::Text),
        Inside::Text if rest[0] == b'"' => (1, Inside::Code),
        Inside::Text => (1, Inside::Text),
        Inside::RawText(hashes) if closes(rest, hashes) => (1 + hashes, Inside::Code),
        Inside::RawText(hashes) => (1, Inside::RawText(hashes)),
    }
}

fn step_code(rest: &[u8], before: Option<u8>, out: &mut [u8]) -> (usize, Inside) {
    let in_word = before.is_some_and(|b| b.is_ascii_alphanumeric() || b == b'_');
    if rest.starts_with(b"//") {
        return (2, Inside::LineComment);
    }
    if rest.starts_with(b"/*") {
        return (2, Inside::BlockComment(1));
    }
    if rest[0] == b'"' {
        return (1, Inside::Text);
    }
    if let Some(hashes) = raw_text(rest).filter(|_| !in_word || before == Some(b'b')) {
        return (2 + hashes, Inside::RawText(hashes));
    }
    if let Some(length) = character(rest) {
        return (length, Inside::Code);
    }
    out[0] = if rest[0].is_ascii() { rest[0] } else { b'x' };
    (1, Inside::Code)
}

/// The number of hashes of a raw string that begins here.
fn raw_text(rest: &[u8]) -> Option<usize> {
    let after = rest.strip_prefix(b"r")?;
    let hashes = after.iter().take_while(|b| **b == b'#').count();
    (after.get(hashes) == Some(&b'"')).then_some(hashes)
}

fn closes(rest: &[u8], hashes: usize) -> bool {
    rest[0] == b'"' && rest.len() > hashes && rest[1..=hashes].iter().all(|b| *b == b'#')
}

/// The length of a character literal that begins here; a lifetime is none.
fn character(rest: &[u8]) -> Option<usize> {
    let after = rest.strip_prefix(b"'")?;
    if after.first() == Some(&b'\\') {
        // The escaped character itself may be a quote.
        return after.iter().skip(2).position(|b| *b == b'\'').map(|end| end + 4);
    }
    let start = after[..after.len().min(4)].utf8_chunks().next()?.valid();
    let width = start.chars().next()?.len_utf8();
    (after.get(width) == Some(&b'\'')).then_some(width + 2)
}

/// The lines (from 1) on which a word of code stands alone.
pub fn lines_with_word<'a>(code: &'a str, word: &'a str) -> impl Iterator<Item = usize> + 'a {
    let part = |c: char| c.is_alphanumeric() || c == '_';
    let has = move |line: &str| line.split(|c| !part(c)).any(|w| w == word);
    code.lines().enumerate().filter(move |(_, line)| has(line)).map(|(i, _)| i + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_literals_vanish() {
        assert_eq!(code("a // b\nc"), "a     \nc");
        assert_eq!(code("a /* /* b */ */ c"), "a               c");
        assert_eq!(code("f(\"{ \\\" }\")").replace(' ', ""), "f()");
        assert_eq!(code("r#\"{\"}\"# x").trim(), "x");
        assert_eq!(code("g('{', '\\'', 'a, '\"')").replace(' ', ""), "g(,,'a,)");
        assert_eq!(code("'µ' }").trim(), "}");
        assert_eq!(code("\"a\\\n  b\" c").trim(), "c");
    }

    #[test]
    fn words_stand_alone() {
        let found: Vec<usize> = lines_with_word("unsafe_code\nunsafe{f()}\n", "unsafe").collect();
        assert_eq!(found, [2]);
    }
}
