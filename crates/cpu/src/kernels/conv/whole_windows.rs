//! The short way of finished sums that are still in registers and lie in whole windows of a pooling: their bits and maxima are
//! made without writing them down as rows first. The results are those of [`Output::write`], bit for bit.
//!
//! A line of windows of all channels is collected before it is copied to where it belongs: planes of channels lie a power of
//! two apart, so that a few bytes for each of them at a time would push one another out of every cache.

use super::output::{Output, Pooled, keep_better};
use crate::buffer::Buffer;
use crate::simd::Simd;

/// The values of a vector of windows of two slices, two rows and two columns.
pub type Windows<V> = [[[V; 2]; 2]; 2];

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
    /// Numbers between channels, a multiple of the lanes.
    pitch: usize,
    maxima: Buffer,
    codes: Vec<u8>,
    /// Of every channel four rows of a quarter of the pitch.
    bits: Vec<u8>,
}

impl Collected {
    /// Makes room for lines of `count` windows of `channels` channels.
    pub fn room(&mut self, channels: usize, count: usize) {
        self.pitch = count.next_multiple_of(LANES);
        let all = channels * self.pitch;
        self.maxima.room(all);
        self.codes.resize(self.codes.len().max(all), 0);
        self.bits.resize(self.bits.len().max(all), 0);
    }

    /// Takes the windows of a vector of channel `channel` from window `at` of the line, a multiple of the lanes.
    ///
    /// # Safety
    /// The instruction set of `S` is there; there is room for the channel and the windows.
    #[inline(always)]
    pub unsafe fn take<S: Simd>(
        &mut self,
        output: &Output<'_>,
        channel: usize,
        at: usize,
        values: Windows<S::V>,
    ) {
        let [[[a, b], [c, d]], [[e, f], [g, h]]] = values;
        let from = channel * self.pitch + at;
        // SAFETY: as the caller says.
        unsafe {
            if output.bits.is_some() {
                let bits = self.bits.as_mut_ptr().add(channel * self.pitch + at / 4);
                let row = self.pitch / 4;
                row_of_bits::<S>(a, b, bits);
                row_of_bits::<S>(c, d, bits.add(row));
                row_of_bits::<S>(e, f, bits.add(2 * row));
                row_of_bits::<S>(g, h, bits.add(3 * row));
            }
            let least = S::splat(if output.rectified { 0.0 } else { f32::NEG_INFINITY });
            let (mut best, mut code) = (S::max(a, least), S::splat(0.0));
            keep_better::<S>(b, 1.0, &mut best, &mut code);
            keep_better::<S>(c, 2.0, &mut best, &mut code);
            keep_better::<S>(d, 3.0, &mut best, &mut code);
            keep_better::<S>(e, 4.0, &mut best, &mut code);
            keep_better::<S>(f, 5.0, &mut best, &mut code);
            keep_better::<S>(g, 6.0, &mut best, &mut code);
            keep_better::<S>(h, 7.0, &mut best, &mut code);
            S::store(self.maxima.room(from + S::LANES).as_mut_ptr().add(from), best);
            S::store_bytes(self.codes.as_mut_ptr().add(from), code);
        }
    }

    /// Copies what was taken of a line to the output.
    ///
    /// # Safety
    /// Lines of calls that run at the same time do not overlap.
    pub unsafe fn write(&mut self, output: &Output<'_>, pooled: &Pooled<'_>, channels: usize, line: &Line) {
        for channel in 0..channels {
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
        let to = (((line.plane + channel) * sizes[0] + z) * sizes[1] + y) * sizes[2] + x;
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
            let to = ((line.plane + channel) * sizes[0] + z) * sizes[1] + y;
            // SAFETY: as the caller says.
            let into = unsafe { bits.slice(to * sizes[2].div_ceil(8) + first[2] / 4, bytes) };
            into.copy_from_slice(&self.bits[from..from + bytes]);
            // Of columns behind the last there are no bits.
            into[whole..].iter_mut().for_each(|last| *last &= (1u8 << (columns % 8)) - 1);
        }
    }
}

/// The bits of a row of columns, given the even and the odd ones.
#[inline(always)]
unsafe fn row_of_bits<S: Simd>(even: S::V, odd: S::V, into: *mut u8) {
    let mut row = [0f32; 2 * LANES];
    // SAFETY: the caller promises the instruction set and room for the bits of two vectors.
    unsafe {
        let (a, b) = S::interleave(even, odd);
        S::store(row.as_mut_ptr(), a);
        S::store(row.as_mut_ptr().add(S::LANES), b);
        for byte in 0..S::LANES / 4 {
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
