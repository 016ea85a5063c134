//! Words and numbers cut to the room that a figure has, because a label that runs off the picture says nothing.

/// `text` in lines of at most `columns` characters, broken at spaces; a longer word is cut.
pub(crate) fn wrap(text: &str, columns: usize) -> Vec<String> {
    let columns = columns.max(1);
    let mut lines = Vec::new();
    let mut line = String::new();
    for word in text.split_whitespace().flat_map(|word| pieces(word, columns)) {
        let used = line.chars().count();
        if used > 0 && used + 1 + word.chars().count() > columns {
            lines.push(std::mem::take(&mut line));
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(&word);
    }
    if !line.is_empty() {
        lines.push(line);
    }
    lines
}

/// A word in pieces of at most `columns` characters.
fn pieces(word: &str, columns: usize) -> Vec<String> {
    let characters: Vec<char> = word.chars().collect();
    characters.chunks(columns).map(|piece| piece.iter().collect()).collect()
}

/// `text` on one line of at most `columns` characters, ending in `..` when cut.
pub(crate) fn shorten(text: &str, columns: usize) -> String {
    if text.chars().count() <= columns {
        return text.to_string();
    }
    text.chars().take(columns.saturating_sub(2)).chain("..".chars()).take(columns).collect()
}

/// A number with three significant digits, in plain or scientific notation, whichever is shorter to read.
pub(crate) fn number(value: f64) -> String {
    if value == 0.0 {
        return "0".to_string();
    }
    if !value.is_finite() {
        return format!("{value}");
    }
    let size = value.abs();
    if !(1e-3..1e5).contains(&size) {
        return format!("{value:.2e}");
    }
    let decimals = (2 - size.log10().floor() as i32).clamp(0, 5) as usize;
    trim(format!("{value:.decimals$}"))
}

/// A decimal number without zeros that say nothing.
fn trim(text: String) -> String {
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_string() } else { text }
}

/// An integer with a blank between groups of three digits.
pub(crate) fn count(value: u64) -> String {
    let digits = value.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index) % 3 == 0 {
            out.push(' ');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_stay_inside_the_room() {
        let lines = wrap("a verylongmodalityname with words", 8);
        assert_eq!(lines, ["a", "verylong", "modality", "name", "with", "words"]);
        assert!(wrap("", 5).is_empty());
        assert_eq!(shorten("abcdef", 4), "ab..");
        assert_eq!(shorten("abcdef", 1), ".");
    }

    #[test]
    fn numbers_are_short() {
        let shown: Vec<String> = [0.0, 1.0, -0.5, 0.01234, 1234.6, 1.5e-7, 2.5e9].map(number).into();
        assert_eq!(shown, ["0", "1", "-0.5", "0.0123", "1235", "1.50e-7", "2.50e9"]);
        assert_eq!(count(1_234_567), "1 234 567");
        assert_eq!(count(12), "12");
    }
}
