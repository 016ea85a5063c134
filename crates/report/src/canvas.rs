//! The sheet that figures are drawn on: RGB pixels, rectangles and text, because no drawing library earns its weight
//! here.
//!
//! Drawing outside the sheet is never a fault; text that runs off it is counted, and tests hold that count at zero.

use crate::font::Font;

/// Red, green, blue, 0 to 255.
pub(crate) type Rgb = [u8; 3];

pub(crate) const WHITE: Rgb = [255, 255, 255];
pub(crate) const BLACK: Rgb = [0, 0, 0];
pub(crate) const INK: Rgb = [28, 30, 36];
pub(crate) const GREY: Rgb = [96, 100, 110];
pub(crate) const RULE: Rgb = [205, 208, 214];

/// A rectangle in pixels: left, top, width, height.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Area {
    pub x: usize,
    pub y: usize,
    pub width: usize,
    pub height: usize,
}

/// A sheet of RGB pixels, row-major from the top left.
pub(crate) struct Canvas {
    pub width: usize,
    pub height: usize,
    pub pixels: Vec<u8>,
    /// Glyphs that did not fit on the sheet.
    pub lost: usize,
}

impl Canvas {
    /// A white sheet.
    pub(crate) fn new(width: usize, height: usize) -> Self {
        Self { width, height, pixels: vec![255; width * height * 3], lost: 0 }
    }

    /// The colour at (x, y); black outside.
    pub(crate) fn get(&self, x: usize, y: usize) -> Rgb {
        if x >= self.width || y >= self.height {
            return BLACK;
        }
        let at = (y * self.width + x) * 3;
        [self.pixels[at], self.pixels[at + 1], self.pixels[at + 2]]
    }

    /// Sets the pixel at (x, y).
    pub(crate) fn put(&mut self, x: usize, y: usize, colour: Rgb) {
        if x < self.width && y < self.height {
            let at = (y * self.width + x) * 3;
            self.pixels[at..at + 3].copy_from_slice(&colour);
        }
    }

    /// Lays `colour` over the pixel at (x, y) with `opacity` 0 to 1.
    pub(crate) fn blend(&mut self, x: usize, y: usize, colour: Rgb, opacity: f32) {
        let under = self.get(x, y);
        self.put(x, y, mix(under, colour, opacity));
    }

    /// Fills a rectangle.
    pub(crate) fn fill(&mut self, area: Area, colour: Rgb) {
        for y in area.y..area.y + area.height {
            for x in area.x..area.x + area.width {
                self.put(x, y, colour);
            }
        }
    }

    /// Draws the one-pixel border of a rectangle.
    pub(crate) fn frame(&mut self, area: Area, colour: Rgb) {
        let Area { x, y, width, height } = area;
        self.fill(Area { height: 1, ..area }, colour);
        self.fill(Area { width: 1, ..area }, colour);
        self.fill(Area { x, y: (y + height).saturating_sub(1), width, height: 1 }, colour);
        self.fill(Area { x: (x + width).saturating_sub(1), y, width: 1, height }, colour);
    }

    /// Writes `text` with its top left corner at (x, y).
    pub(crate) fn text(&mut self, x: usize, y: usize, text: &str, font: Font, colour: Rgb) {
        for (index, c) in text.chars().enumerate() {
            let left = x + index * font.advance();
            if left + font.advance() > self.width || y + font.height() > self.height {
                self.lost += 1;
            }
            for (row, &bits) in font.rows(c).iter().enumerate() {
                for column in (0..font.advance()).filter(|column| bits << column & 0x8000 != 0) {
                    self.put(left + column, y + row, colour);
                }
            }
        }
    }

    /// Writes `text` centred on `x`.
    pub(crate) fn text_centred(&mut self, x: usize, y: usize, text: &str, font: Font, colour: Rgb) {
        self.text(x.saturating_sub(font.width(text) / 2), y, text, font, colour);
    }

    /// Writes `text` in white with a dark halo, readable on any image.
    pub(crate) fn text_halo(&mut self, x: usize, y: usize, text: &str, font: Font) {
        for (dx, dy) in [(0, 1), (2, 1), (1, 0), (1, 2), (0, 0), (2, 0), (0, 2), (2, 2)] {
            self.text((x + dx).saturating_sub(1), (y + dy).saturating_sub(1), text, font, BLACK);
        }
        self.text(x, y, text, font, WHITE);
    }

    /// The sheet with every pixel repeated `factor` times in both directions.
    pub(crate) fn enlarge(self, factor: usize) -> Self {
        if factor <= 1 {
            return self;
        }
        let mut large = Self::new(self.width * factor, self.height * factor);
        large.lost = self.lost;
        for y in 0..large.height {
            for x in 0..large.width {
                large.put(x, y, self.get(x / factor, y / factor));
            }
        }
        large
    }
}

/// `under` covered by `over` with `opacity` 0 to 1.
pub(crate) fn mix(under: Rgb, over: Rgb, opacity: f32) -> Rgb {
    let part = |u: u8, o: u8| (f32::from(u) + (f32::from(o) - f32::from(u)) * opacity).round() as u8;
    [part(under[0], over[0]), part(under[1], over[1]), part(under[2], over[2])]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_that_runs_off_is_counted_and_harmless() {
        let mut canvas = Canvas::new(20, 13);
        canvas.text(0, 0, "ab", Font::Regular, INK);
        assert_eq!(canvas.lost, 0);
        canvas.text(0, 0, "abc", Font::Regular, INK);
        canvas.text(0, 5, "a", Font::Regular, INK);
        assert_eq!(canvas.lost, 2);
    }

    #[test]
    fn enlarging_repeats_pixels() {
        let mut canvas = Canvas::new(2, 1);
        canvas.put(1, 0, INK);
        let large = canvas.enlarge(3);
        assert_eq!((large.width, large.height), (6, 3));
        assert_eq!((large.get(2, 2), large.get(3, 0)), (WHITE, INK));
    }
}
