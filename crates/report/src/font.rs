//! Two bitmap fonts inside the program, because a figure must look the same on a cluster node, a scanner and a laptop.
//!
//! Printable ASCII only. A few common characters outside it are replaced by their ASCII look-alike, all others by `?`.

mod bold;
mod regular;

/// Which of the embedded fonts to write with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Font {
    /// 8 x 13 pixels.
    Regular,
    /// 9 x 15 pixels, bold.
    Bold,
}

impl Font {
    /// Advance of one character in pixels.
    pub(crate) fn advance(self) -> usize {
        match self {
            Font::Regular => 8,
            Font::Bold => 9,
        }
    }

    /// Height of one glyph in pixels.
    pub(crate) fn height(self) -> usize {
        match self {
            Font::Regular => 13,
            Font::Bold => 15,
        }
    }

    /// Distance between two baselines in pixels.
    pub(crate) fn line(self) -> usize {
        self.height() + 4
    }

    /// Width of `text` in pixels.
    pub(crate) fn width(self, text: &str) -> usize {
        text.chars().count() * self.advance()
    }

    /// The pixel rows of `c`, leftmost pixel in the top bit.
    pub(crate) fn rows(self, c: char) -> &'static [u16] {
        let index = (ascii(c) as usize).saturating_sub(32).min(94);
        match self {
            Font::Regular => &regular::REGULAR[index],
            Font::Bold => &bold::BOLD[index],
        }
    }
}

/// `c`, or the printable ASCII character that stands for it.
fn ascii(c: char) -> u8 {
    match c {
        ' '..='~' => c as u8,
        '\u{2010}'..='\u{2015}' | '\u{2212}' => b'-',
        '\u{2018}' | '\u{2019}' => b'\'',
        '\u{201c}' | '\u{201d}' => b'"',
        '\u{b5}' | '\u{3bc}' => b'u',
        '\u{d7}' => b'x',
        '\t' | '\u{a0}' => b' ',
        _ => b'?',
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_printable_character_has_ink_and_its_own_shape() {
        for font in [Font::Regular, Font::Bold] {
            let mut seen = std::collections::HashSet::new();
            for c in '!'..='~' {
                assert!(font.rows(c).iter().any(|&row| row != 0), "{c}");
                assert!(seen.insert(font.rows(c)), "{c} looks like another character");
                assert_eq!(font.rows(c).len(), font.height());
            }
            assert!(font.rows(' ').iter().all(|&row| row == 0));
        }
    }

    #[test]
    fn characters_outside_ascii_are_replaced() {
        assert_eq!(Font::Regular.rows('\u{2212}'), Font::Regular.rows('-'));
        assert_eq!(Font::Regular.rows('\u{4e2d}'), Font::Regular.rows('?'));
    }
}
