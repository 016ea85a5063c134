//! The short way of finished sums that are still in registers and lie in whole windows of a pooling: their bits and maxima are
//! made without writing them down as rows first. The results are those of [`Output::write`], bit for bit.
//!
//! A line of windows of all channels is collected before it is copied to where it belongs: planes of channels lie a power of
//! two apart, so that a few bytes for each of them at a time would push one another out of every cache.

use super::output::{Output, Pooled, keep_better};
use super::winograd::MOST;
use crate::buffer::Buffer;
use crate::simd::Simd;
use core::ops::Range;

/// The most lanes of a vector.
const LANES: usize = 16;

/// A line of windows.
#[derive(Clone, Copy)]
pub struct Line {
    /// Example times channels plus the first channel.
    pub plane: usize,
    /// The first window.
    pub first: [usize; 3],
    /// How many there are.
    pub count: usize,
}

/// What has been made of a line.
#[derive(Default)]
pub struct Collected {
    /// Numbers between channels: windows of whole vectors of the widest tiles.
    pitch: usize,
    maxima: Buffer,
    codes: Vec<u8>,
    /// Of every channel four rows of a quarter of the pitch.
    bits: Vec<u8>,
}

impl Collected {
    /// Makes room for lines of `count` windows of `channels` channels.
    pub fn room(&mut self, channels: usize, count: usize) {
        self.pitch = count.next_multiple_of(MOST / 2 * LANES);
        let all = channels * self.pitch;
        self.maxima.room(all);
        self.codes.resize(self.codes.len().max(all), 0);
        self.bits.resize(self.bits.len().max(all), 0);
    }

    /// Takes a vector of tiles of channel `channel` from tile `tile` on, a multiple of the lanes: two slices of two rows of `W`
    /// columns, `W / 2` windows side by side.
    ///
    /// # Safety
    /// The instruction set of `S` is there; there is room for the channel and the windows.
    #[inline(always)]
    pub unsafe fn take<S: Simd, const W: usize>(
        &mut self,
        output: &Output<'_>,
        channel: usize,
        tile: usize,
        rows: [[S::V; MOST]; 4],
    ) {
        let from = channel * self.pitch + tile * W / 2;
        // SAFETY: as the caller says.
        unsafe {
            if output.bits.is_some() {
                let bits = self.bits.as_mut_ptr().add(channel * self.pitch + tile * W / 8);
                for row in 0..4 {
                    row_of_bits::<S, W>(rows[row], bits.add(row * self.pitch / 4));
                }
            }
            let (mut best, mut code) = winners::<S>(output, &rows, 0);
            let maxima = self.maxima.room(from + W / 2 * S::LANES).as_mut_ptr().add(from);
            let codes = self.codes.as_mut_ptr().add(from);
            if W == 4 {
                let (next_best, next_code) = winners::<S>(output, &rows, 2);
                let (more_best, more_code);
                (best, more_best) = S::interleave(best, next_best);
                (code, more_code) = S::interleave(code, next_code);
                S::store(maxima.add(S::LANES), more_best);
                S::store_bytes(codes.add(S::LANES), more_code);
            }
            S::store(maxima, best);
            S::store_bytes(codes, code);
        }
    }

    /// Copies what was taken of channels to the output, as a line.
    ///
    /// # Safety
    /// Lines of calls that run at the same time do not overlap.
    pub unsafe fn write(
        &mut self,
        output: &Output<'_>,
        pooled: &Pooled<'_>,
        channels: Range<usize>,
        line: &Line,
    ) {
        for (plane, channel) in (line.plane..).zip(channels) {
            let line = &Line { plane, ..*line };
            // SAFETY: as the caller says.
            unsafe {
                self.write_bits(output, channel, line);
                self.write_maxima(pooled, channel, line);
            }
        }
    }

    unsafe fn write_maxima(&mut self, pooled: &Pooled<'_>, channel: usize, line: &Line) {
        let ([z, y, x], sizes) = (line.first, pooled.sizes);
        if z >= sizes[0] || y >= sizes[1] || x >= sizes[2] {
            return;
        }
        let count = line.count.min(sizes[2] - x);
        let from = channel * self.pitch;
        let to = ((line.plane * sizes[0] + z) * sizes[1] + y) * sizes[2] + x;
        // SAFETY: as the caller says.
        unsafe {
            if let Some(y) = &pooled.y {
                y.slice(to, count).copy_from_slice(&self.maxima.room(from + count)[from..]);
            }
            if let Some(codes) = &pooled.codes {
                codes.slice(to, count).copy_from_slice(&self.codes[from..from + count]);
            }
        }
    }

    unsafe fn write_bits(&self, output: &Output<'_>, channel: usize, line: &Line) {
        let Some(bits) = &output.bits else { return };
        let (first, sizes) = (line.first, output.sizes);
        let columns = (2 * line.count).min(sizes[2] - 2 * first[2]);
        let (bytes, whole) = (columns.div_ceil(8), columns / 8);
        for row in 0..4 {
            let (z, y) = (2 * first[0] + row / 2, 2 * first[1] + row % 2);
            if z >= sizes[0] || y >= sizes[1] {
                continue;
            }
            let from = channel * self.pitch + row * self.pitch / 4;
            let to = (line.plane * sizes[0] + z) * sizes[1] + y;
            // SAFETY: as the caller says.
            let into = unsafe { bits.slice(to * sizes[2].div_ceil(8) + first[2] / 4, bytes) };
            into.copy_from_slice(&self.bits[from..from + bytes]);
            // Of columns behind the last there are no bits.
            into[whole..].iter_mut().for_each(|last| *last &= (1u8 << (columns % 8)) - 1);
        }
    }
}

/// The maxima of windows of two columns from column `column` of the tiles, and the first winners' places.
#[inline(always)]
unsafe fn winners<S: Simd>(output: &Output<'_>, rows: &[[S::V; MOST]; 4], column: usize) -> (S::V, S::V) {
    // SAFETY: the caller promises the instruction set.
    unsafe {
        let least = S::splat(if output.rectified { 0.0 } else { f32::NEG_INFINITY });
        let (mut best, mut code) = (S::max(rows[0][column], least), S::splat(0.0));
        for place in 1..8 {
            keep_better::<S>(rows[place / 2][column + place % 2], place as f32, &mut best, &mut code);
        }
        (best, code)
    }
}

/// The bits of a row of `W` columns of a vector of tiles.
#[inline(always)]
unsafe fn row_of_bits<S: Simd, const W: usize>(columns: [S::V; MOST], into: *mut u8) {
    let mut row = [0f32; MOST * LANES];
    // SAFETY: the caller promises the instruction set and room for the bits of `W` vectors.
    unsafe {
        S::store_united::<W>(row.as_mut_ptr(), columns);
        for byte in 0..W * S::LANES / 8 {
            *into.add(byte) = S::positive(row.as_ptr().add(8 * byte));
        }
    }
}

impl Output<'_> {
    /// The pooling, if all that is wanted are bits and maxima of windows of two along every axis.
    pub fn whole_windows(&self) -> Option<&Pooled<'_>> {
        let plain = self.y.is_none() && self.added.is_none() && self.mask.is_none();
        self.pooled.as_ref().filter(|pooled| plain && pooled.window == [2; 3])
    }
}
