//! A row of windows with their channels side by side.

use super::{Job, PLACES};
use crate::simd::Simd;

/// The place of an entry that is 0: behind all places in a window.
pub const NOWHERE: usize = 2 * PLACES;

/// The entries of a row of windows, `[window][channel]`: the planes of channels are so far apart that they would throw each other
/// out of the caches if windows were read in turn.
#[derive(Default)]
pub struct Collected {
    channels: usize,
    values: Vec<f32>,
    /// Where in its window an entry lies, row-major.
    places: Vec<u8>,
}

impl Collected {
    /// Entries in all.
    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// By window, the entries of all channels and their places in the window, [`NOWHERE`] for those that are 0.
    pub fn windows(&self) -> impl ExactSizeIterator<Item = (&[f32], &[u8])> {
        self.values.chunks_exact(self.channels).zip(self.places.chunks_exact(self.channels))
    }
}

impl Job<'_> {
    /// Collects a row of windows of all channels of an example.
    ///
    /// # Safety
    /// The instruction set of `S` is there.
    #[inline(always)]
    pub(super) unsafe fn collect<S: Simd>(&self, example: usize, row: [usize; 2], w: &mut Collected) {
        let (channels, width) = (self.problem.source_channels, self.scatter.pooled[2]);
        w.channels = channels.max(1);
        w.values.resize(width * channels, 0.0);
        w.places.resize(width * channels, 0);
        let first = example * channels;
        for channel in 0..channels {
            if channel + 1 < channels {
                // SAFETY: as the caller says.
                unsafe { self.row(first + channel + 1, row).prefetch::<S>() };
            }
            let (windows, every) = (self.row(first + channel, row), channels);
            // SAFETY: there is room for all channels of as many windows.
            unsafe {
                let into = (w.values.as_mut_ptr().add(channel), w.places.as_mut_ptr().add(channel));
                match self.source.rectified {
                    true => windows.write::<true>(into, every),
                    false => windows.write::<false>(into, every),
                }
            }
        }
    }

    /// The windows at `z`, `y` of one plane.
    fn row(&self, plane: usize, [z, y]: [usize; 2]) -> Row<'_> {
        let (p, s) = (self.problem, self.scatter);
        let [_, height, width] = s.pooled;
        let from = ((plane * s.pooled[0] + z) * height + y) * width;
        let bytes = p.axes[2].source.div_ceil(8);
        let mut bits = None;
        if let Some(all) = self.source.bits {
            let mut lines: [&[u8]; PLACES] = [&[]; PLACES];
            for place in 0..s.window[0] * s.window[1] {
                let (z, y) = (z * s.window[0] + place / s.window[1], y * s.window[1] + place % s.window[1]);
                let line = (plane * p.axes[0].source + z) * p.axes[1].source + y;
                lines[place] = &all[line * bytes..][..bytes];
            }
            bits = Some(lines);
        }
        Row { upper: &self.source.upper[from..][..width], codes: &self.source.codes[from..][..width], bits }
    }
}

/// Windows whose bits are two bytes of each of their rows.
const TOGETHER: usize = 8;

/// A row of windows of one plane.
struct Row<'a> {
    upper: &'a [f32],
    codes: &'a [u8],
    /// Of each of the windows' rows.
    bits: Option<[&'a [u8]; PLACES]>,
}

impl Row<'_> {
    /// Asks for what is known of the windows: their planes are far apart, which no cache foresees.
    #[inline(always)]
    unsafe fn prefetch<S: Simd>(&self) {
        const LINE: usize = 64;
        // SAFETY: the caller promises the instruction set.
        unsafe {
            self.upper.chunks(LINE / size_of::<f32>()).for_each(|line| S::prefetch(line.as_ptr().cast()));
            self.codes.chunks(LINE).for_each(|line| S::prefetch(line.as_ptr()));
            self.bits.iter().flatten().for_each(|bits| S::prefetch(bits.as_ptr()));
        }
    }

    /// Writes entries, and their places or [`NOWHERE`], `every` numbers apart.
    ///
    /// # Safety
    /// There is room for as many windows.
    #[inline(always)]
    unsafe fn write<const RECTIFIED: bool>(&self, (values, places): (*mut f32, *mut u8), every: usize) {
        let parts = self.upper.chunks(TOGETHER).zip(self.codes.chunks(TOGETHER));
        let mut at = 0;
        for (part, (upper, codes)) in parts.enumerate() {
            let mut bits = self.bits_of(part);
            for (&value, &code) in upper.iter().zip(codes) {
                let code = code % NOWHERE as u8;
                let kept = bits >> (16 * (code / 2) + code % 2) & 1 == 1;
                let kept = kept & if RECTIFIED { value > 0.0 } else { value != 0.0 };
                // SAFETY: as the caller says.
                unsafe {
                    *values.add(at) = value;
                    *places.add(at) = if kept { code } else { NOWHERE as u8 };
                }
                (at, bits) = (at + every, bits >> 2);
            }
        }
    }

    /// The bits of windows `TOGETHER part..`: sixteen for each of the windows' rows.
    #[inline(always)]
    fn bits_of(&self, part: usize) -> u64 {
        let Some(lines) = &self.bits else { return u64::MAX };
        let mut bits = 0;
        for (row, line) in lines.iter().enumerate() {
            let byte = |i: usize| u64::from(line.get(2 * part + i).copied().unwrap_or(0));
            bits |= (byte(0) | byte(1) << 8) << (16 * row);
        }
        bits
    }
}
