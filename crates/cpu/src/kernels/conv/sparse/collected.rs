//! A row of windows with their channels side by side, and what is added of one window.

use super::{Item, Job, PLACES, REACH};
use crate::simd::Simd;

/// Channels whose places are compared at once.
const TOGETHER: usize = 16;
/// The place of an entry that is 0.
const NOWHERE: u8 = u8::MAX;

/// The entries of a row of windows, `[window][channel]`: the planes of channels are so far apart that they would throw each other
/// out of the caches if windows were read in turn.
#[derive(Default)]
pub struct Collected {
    /// Numbers between windows.
    pitch: usize,
    values: Vec<f32>,
    /// The row of its window in which an entry lies, and its column there.
    places: Vec<u8>,
    columns: Vec<u8>,
}

impl Collected {
    /// The entries of window `t` that lie in its row `place`, with weights of `taps` taps.
    pub fn window(&self, t: usize, place: usize, taps: usize) -> Window<'_> {
        let part = t * self.pitch..(t + 1) * self.pitch;
        Window {
            values: &self.values[part.clone()],
            places: &self.places[part.clone()],
            columns: &self.columns[part],
            place: place as u8,
            taps,
        }
    }
}

impl Job<'_> {
    /// Collects a row of windows of all channels.
    ///
    /// # Safety
    /// The instruction set of `S` is there.
    #[inline(always)]
    pub(super) unsafe fn collect<S: Simd>(&self, item: &Item, row: [usize; 2], w: &mut Collected) {
        let (channels, width) = (self.problem.source_channels, self.scatter.pooled[2]);
        let pitch = channels.next_multiple_of(TOGETHER);
        w.pitch = pitch;
        w.values.resize(width * pitch, 0.0);
        w.columns.resize(width * pitch, 0);
        w.places.clear();
        w.places.resize(width * pitch, NOWHERE);
        let first = item.example * channels;
        for channel in 0..channels {
            if channel + 1 < channels {
                // SAFETY: as the caller says.
                unsafe { self.row(first + channel + 1, row).prefetch::<S>() };
            }
            let windows = self.row(first + channel, row);
            for (t, (&value, &code)) in windows.upper.iter().zip(windows.codes).enumerate() {
                let (place, column) = (usize::from(code / 2) % PLACES, usize::from(code & 1));
                let bit = 2 * t + column;
                let kept = windows.bits[place].is_none_or(|bits| bits[bit / 8] >> (bit % 8) & 1 == 1);
                let kept = kept & if self.source.rectified { value > 0.0 } else { value != 0.0 };
                let at = t * pitch + channel;
                w.values[at] = value;
                w.places[at] = if kept { place as u8 } else { NOWHERE };
                w.columns[at] = column as u8;
            }
        }
    }

    /// The windows at `z`, `y` of one plane.
    fn row(&self, plane: usize, [z, y]: [usize; 2]) -> Row<'_> {
        let (p, s) = (self.problem, self.scatter);
        let [_, height, width] = s.pooled;
        let from = ((plane * s.pooled[0] + z) * height + y) * width;
        let bytes = p.axes[2].source.div_ceil(8);
        let bits = core::array::from_fn(|place| {
            let (z, y) = (z * s.window[0] + place / s.window[1], y * s.window[1] + place % s.window[1]);
            let line = (plane * p.axes[0].source + z) * p.axes[1].source + y;
            let bits = self.source.bits.filter(|_| place < s.window[0] * s.window[1]);
            bits.map(|bits| &bits[line * bytes..][..bytes])
        });
        Row { upper: &self.source.upper[from..][..width], codes: &self.source.codes[from..][..width], bits }
    }
}

/// A row of windows of one plane.
struct Row<'a> {
    upper: &'a [f32],
    codes: &'a [u8],
    /// Of each of the windows' rows.
    bits: [Option<&'a [u8]>; PLACES],
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
}

/// The entries of one window.
pub struct Window<'a> {
    /// By channel: its entry, the row of the window in which it lies, and the column.
    values: &'a [f32],
    places: &'a [u8],
    columns: &'a [u8],
    /// The row whose entries are added.
    place: u8,
    /// Taps along depth and height.
    taps: usize,
}

impl Window<'_> {
    /// Adds the entries of one place, times the weights of `N` taps, to the rows that these reach; `N`.
    ///
    /// # Safety
    /// The instruction set is there; weights of every channel and column can be read from `weights` on, and the rows read
    /// and written. Rows that lie outside the item may be one, and what is in it is lost.
    #[inline(always)]
    pub unsafe fn add<S: Simd, const N: usize>(&self, weights: *const f32, rows: [*mut f32; N]) -> usize {
        // SAFETY: as the caller says; channels are compared in whole groups.
        unsafe {
            let mut sums = [[S::splat(0.0); REACH / 4]; N];
            for i in 0..N {
                for v in 0..REACH / S::LANES {
                    sums[i][v] = S::load(rows[i].add(v * S::LANES));
                }
            }
            for first in (0..self.places.len()).step_by(TOGETHER) {
                let mut found = S::equal_bytes(self.places.as_ptr().add(first), self.place);
                while found != 0 {
                    let channel = first + found.trailing_zeros() as usize;
                    found &= found - 1;
                    let column = usize::from(*self.columns.as_ptr().add(channel));
                    let weights = weights.add((2 * channel + column) * self.taps * REACH);
                    let value = S::splat(*self.values.as_ptr().add(channel));
                    for i in 0..N {
                        for v in 0..REACH / S::LANES {
                            let factor = S::load(weights.add(i * REACH + v * S::LANES));
                            sums[i][v] = S::mul_add(factor, value, sums[i][v]);
                        }
                    }
                }
            }
            for i in 0..N {
                for v in 0..REACH / S::LANES {
                    S::store(rows[i].add(v * S::LANES), sums[i][v]);
                }
            }
        }
        N
    }
}
