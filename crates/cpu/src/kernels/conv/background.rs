//! Images on a background. Most of a medical image is air: voxels of one value (0 after skull stripping), and far from the
//! patient every activation of a network repeats as well. A convolution that knows where its operand is nothing but background
//! computes the background's results once and writes them wherever they belong, with the same bits: the same operands
//! in the same order give the same sums. Nothing is assumed: the background of an image is found in it, and that of
//! an activation is what the convolution before it wrote.

use crate::parallel::{Pool, Shared};
use core::ops::Range;

/// The least share of an image that must be background, one in so many, to be worth the bookkeeping.
const WORTHWHILE: usize = 8;

/// Columns `start .. end` of a row.
pub type Columns = [usize; 2];

/// What is known of a value with rows along depth, height and width.
///
/// Kept and filled anew by every run, so that runs allocate nothing.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Background {
    /// Whether what is not live is what a state has there, instead of the background's values ([`super::changed`]).
    pub of_state: bool,
    /// By channel: the background's value.
    pub values: Vec<f32>,
    /// By axis: so near to a face of the image there is no background, because paddings reach there.
    pub border: [usize; 3],
    /// Spatial sizes.
    pub sizes: [usize; 3],
    /// Rows along depth and along height for which one entry of `live` stands.
    pub rows: [usize; 2],
    /// Entries of `live` along depth and along height.
    pub lines: [usize; 2],
    /// For every example and its rows: the columns that are not background, beside the border. Empty if nothing is known.
    pub live: Vec<Columns>,
}

impl Background {
    /// Nothing is known.
    pub fn forget(&mut self) {
        self.live.clear();
    }

    /// Whether something is known.
    pub fn is_known(&self) -> bool {
        !self.live.is_empty()
    }

    /// Finds the background of images `[example][channel][depth][height][width]`, if there is enough of it: the value of
    /// most corners of the first example.
    pub fn find(&mut self, pool: &Pool, images: &[f32], channels: usize, sizes: [usize; 3]) {
        self.forget();
        let volume: usize = sizes.iter().product();
        let (lines, width) = (sizes[0] * sizes[1], sizes[2]);
        if volume == 0 || channels == 0 {
            return;
        }
        let examples = images.len() / (channels * volume);
        (self.of_state, self.border, self.sizes) = (false, [0; 3], sizes);
        (self.rows, self.lines) = ([1; 2], [sizes[0], sizes[1]]);
        self.values.clear();
        self.values.extend(images.chunks_exact(volume).take(channels).map(|image| of_corners(image, sizes)));
        self.live.resize(examples * lines, [width, 0]);
        let (values, shared) = (&self.values, Shared::new(&mut self.live));
        pool.each(examples * sizes[0], images.len(), |slice| {
            // SAFETY: every slice has rows of its own.
            let rows = unsafe { shared.slice(slice * sizes[1], sizes[1]) };
            for (y, columns) in rows.iter_mut().enumerate() {
                let (example, line) = (slice / sizes[0], slice % sizes[0] * sizes[1] + y);
                for (c, value) in values.iter().enumerate() {
                    let row = &images[((example * channels + c) * lines + line) * width..][..width];
                    widen(columns, row, Other::Value(*value));
                }
            }
        });
        if !self.is_worthwhile() {
            self.forget();
        }
    }

    fn is_worthwhile(&self) -> bool {
        let all = self.live.len() * self.sizes[2];
        let live: usize = self.live.iter().map(|[start, end]| end.saturating_sub(*start)).sum();
        (all - live) * WORTHWHILE >= all
    }

    /// Whether the zeros of a padding are background too.
    fn is_void(&self) -> bool {
        self.border == [0; 3] && self.values.iter().all(|v| v.to_bits() == 0)
    }

    /// Whether position `at` along an axis, which may lie in a padding, is too near to the image's faces.
    pub fn is_near(&self, axis: usize, at: isize) -> bool {
        let (border, size) = (self.border[axis] as isize, self.sizes[axis] as isize);
        !self.of_state && !self.is_void() && (at < border || at >= size - border)
    }

    /// The columns of a row that are not background; none of a row outside of the image.
    pub fn columns(&self, example: usize, z: isize, y: isize) -> Columns {
        let inside = |at: isize, axis: usize| at >= 0 && (at as usize) < self.sizes[axis];
        if !inside(z, 0) || !inside(y, 1) {
            return [usize::MAX, 0];
        }
        let line = (z as usize / self.rows[0]) * self.lines[1] + y as usize / self.rows[1];
        self.live[example * self.lines[0] * self.lines[1] + line]
    }
}

/// The value of most of an image's corners.
fn of_corners(image: &[f32], sizes: [usize; 3]) -> f32 {
    let at = |corner: usize, a: usize| (corner >> a & 1) * (sizes[a] - 1);
    let value = |corner: usize| image[(at(corner, 0) * sizes[1] + at(corner, 1)) * sizes[2] + at(corner, 2)];
    let equal = |v: f32| (0..8).filter(|&corner| value(corner).to_bits() == v.to_bits()).count();
    // The first of the most frequent.
    (1..8).map(value).fold(value(0), |best, v| if equal(v) > equal(best) { v } else { best })
}

/// Widens columns by those of a row in which it differs from another one.
pub(super) fn widen(columns: &mut Columns, row: &[f32], other: Other<'_>) {
    let ahead = columns[0].min(row.len());
    if let Some(start) = first(&row[..ahead], other.part(0..ahead)) {
        *columns = [start, columns[1].max(start + 1)];
    }
    let behind = columns[1].min(row.len());
    if let Some(end) = behind_last(&row[behind..], other.part(behind..row.len())) {
        *columns = [columns[0].min(behind + end - 1), behind + end];
    }
}

/// What a row is compared with.
#[derive(Clone, Copy)]
pub(super) enum Other<'r> {
    /// One value everywhere.
    Value(f32),
    /// A row of the same length.
    Row(&'r [f32]),
}

impl Other<'_> {
    fn part(&self, range: Range<usize>) -> Self {
        match *self {
            Self::Value(value) => Self::Value(value),
            Self::Row(row) => Self::Row(&row[range]),
        }
    }

    /// Whether any of these numbers, from `at` on, has other bits.
    fn differs(&self, part: &[f32], at: usize) -> bool {
        let bits = match *self {
            Self::Value(value) => part.iter().fold(0, |all, v| all | (v.to_bits() ^ value.to_bits())),
            Self::Row(row) => {
                part.iter().zip(&row[at..]).fold(0, |all, (v, w)| all | (v.to_bits() ^ w.to_bits()))
            }
        };
        bits != 0
    }
}

/// Numbers that are looked at together.
const TOGETHER: usize = 16;

fn first(row: &[f32], other: Other<'_>) -> Option<usize> {
    let mut parts = (0..row.len()).step_by(TOGETHER);
    let part = parts.find(|&at| other.differs(&row[at..row.len().min(at + TOGETHER)], at))?;
    (part..row.len()).find(|&at| other.differs(&row[at..=at], at))
}

fn behind_last(row: &[f32], other: Other<'_>) -> Option<usize> {
    let mut parts = (0..row.len()).step_by(TOGETHER).map(|behind| row.len() - behind);
    let end = parts.find(|&end| {
        let at = end.saturating_sub(TOGETHER);
        other.differs(&row[at..end], at)
    })?;
    (0..end).rev().find(|&at| other.differs(&row[at..=at], at)).map(|at| at + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn live_columns_are_those_that_differ() {
        let mut images = vec![1.0f32; 2 * 2 * 3 * 2 * 8];
        // Example 0, channel 1, slice 2, row 1, columns 3 and 5; example 1, channel 0, slice 0, row 0, column 7.
        images[((3 + 2) * 2 + 1) * 8 + 3] = 2.0;
        images[((3 + 2) * 2 + 1) * 8 + 5] = 0.0;
        images[(6 * 2) * 8 + 7] = 0.5;
        let mut found = Background::default();
        found.find(&Pool::single(), &images, 2, [3, 2, 8]);
        assert!(found.is_known());
        let columns = |e, z, y| match found.columns(e, z, y) {
            [a, b] if a < b => Some([a, b]),
            _ => None,
        };
        assert_eq!(columns(0, 2, 1), Some([3, 6]));
        assert_eq!(columns(1, 0, 0), Some([7, 8]));
        assert_eq!((columns(0, 0, 0), columns(1, 2, 1), columns(0, -1, 0)), (None, None, None));
        assert!(found.is_near(0, -1) && !found.is_near(0, 0), "only zeros go with a padding");
    }

    #[test]
    fn an_image_without_background_has_none() {
        let images: Vec<f32> = (0..64).map(|i| i as f32).collect();
        let mut found = Background::default();
        found.find(&Pool::single(), &images, 1, [4, 4, 4]);
        assert!(!found.is_known());
    }
}
