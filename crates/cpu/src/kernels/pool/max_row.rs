//! The maxima of a row of windows with their winners, a tap at a time over whole vectors of windows.

use super::taps;
use crate::buffer::Buffer;
use crate::isa::Isa;
use crate::simd::{Simd, per_isa};
use voxplain_autodiff::PoolGeometry;

/// Numbers behind a row that vectors may run over.
const SLACK: usize = 16;

/// The code of a window in which nothing was larger than minus infinity.
pub const NOTHING: u32 = u32::MAX;

/// What a thread needs for a row of windows. Vectors run over windows, past the last one too.
#[derive(Default)]
pub struct MaxRow {
    /// The maxima so far.
    best: Buffer,
    /// The bits of their codes: a choice between two vectors moves bits, whatever they mean.
    codes: Buffer,
    /// The entries of a row of data by their remainder after the step of the windows, so that the entries that one tap meets
    /// lie side by side; minus infinity around them.
    parts: Buffer,
    layout: Parts,
    /// Where every tap along the row of the first window lies in the parts.
    taps: Vec<usize>,
}

/// How the parts of a row of data lie.
#[derive(Clone, Copy, Default)]
struct Parts {
    /// Numbers in front of the first entry, and between parts.
    front: usize,
    pitch: usize,
}

impl Parts {
    fn new(g: &PoolGeometry) -> Self {
        let (step, reach) = (g.stride[2], (g.kernel[2] - 1) * g.dilation[2]);
        let front = g.pad[2].div_ceil(step);
        let read = g.output[2].next_multiple_of(SLACK) + reach.div_ceil(step);
        Self { front, pitch: front + read.max(g.input[2].div_ceil(step)) + SLACK }
    }

    /// Where tap `k` of the first window lies.
    fn tap(&self, g: &PoolGeometry, k: usize) -> usize {
        let (at, step) = ((k * g.dilation[2]) as isize - g.pad[2] as isize, g.stride[2] as isize);
        let part = at.rem_euclid(step) as usize * self.pitch;
        (part + self.front).wrapping_add_signed(at.div_euclid(step))
    }
}

impl MaxRow {
    /// Prepares for rows of windows of `g`.
    pub fn begin(&mut self, g: &PoolGeometry) {
        let layout = Parts::new(g);
        self.layout = layout;
        self.taps.clear();
        self.taps.extend((0..g.kernel[2]).map(|k| layout.tap(g, k)));
        self.parts.room(layout.pitch * g.stride[2]).fill(f32::NEG_INFINITY);
    }

    /// The maxima of the windows at `place` and the bits of their codes, of which the first `g.output[2]` count. A code is the
    /// place of the first of the largest in its window; NaN is never larger.
    pub fn find(
        &mut self,
        isa: Isa,
        g: &PoolGeometry,
        plane: &[f32],
        place: [usize; 2],
    ) -> (&mut [f32], &mut [f32]) {
        let width = g.output[2].next_multiple_of(SLACK);
        self.best.room(width).fill(f32::NEG_INFINITY);
        self.codes.room(width).fill(f32::from_bits(NOTHING));
        let [z, y] = [0, 1].map(|axis| taps(g, axis, place[axis]));
        for kz in 0..z.1 {
            for ky in 0..y.1 {
                let line = (z.2 + kz * g.dilation[0]) * g.input[1] + y.2 + ky * g.dilation[1];
                let line = &plane[line * g.input[2]..(line + 1) * g.input[2]];
                let code = ((z.0 + kz) * g.kernel[1] + y.0 + ky) * g.kernel[2];
                take_line(isa, self, g, line, code as u32);
            }
        }
        (self.best.room(g.output[2]), self.codes.room(g.output[2]))
    }
}

per_isa! {
    /// Where an entry of a row of data is larger it becomes the best; `code` is that of the first tap.
    fn take_line(row: &mut MaxRow, g: &PoolGeometry, line: &[f32], code: u32) = take
}

#[inline(always)]
unsafe fn take<S: Simd>(row: &mut MaxRow, g: &PoolGeometry, line: &[f32], code: u32) {
    let layout = row.layout;
    let width = g.output[2].next_multiple_of(SLACK);
    let parts = row.parts.room(layout.pitch * g.stride[2]);
    let (best, codes) = (row.best.room(width).as_mut_ptr(), row.codes.room(width).as_mut_ptr());
    // SAFETY: the caller promises the instruction set; the best and the codes are whole vectors, and behind every tap there
    // are as many entries, says `Parts::new`.
    unsafe {
        split::<S>(g.stride[2], line, &layout, parts);
        for (k, &tap) in row.taps.iter().enumerate() {
            let entries = parts[tap..][..width].as_ptr();
            let code = S::splat(f32::from_bits(code + k as u32));
            for at in (0..width).step_by(S::LANES) {
                let (entry, before) = (S::load(entries.add(at)), S::load(best.add(at)));
                S::store(codes.add(at), S::select_greater(entry, before, code, S::load(codes.add(at))));
                S::store(best.add(at), S::select_greater(entry, before, entry, before));
            }
        }
    }
}

/// Parts the entries of a row: `parts[r][i] = line[step i + r]`.
#[inline(always)]
unsafe fn split<S: Simd>(step: usize, line: &[f32], layout: &Parts, parts: &mut [f32]) {
    let mut done = 0;
    if step == 2 {
        let (even, odd) = parts[layout.front..].split_at_mut(layout.pitch);
        while done + 2 * S::LANES <= line.len() {
            let (even, odd) = (&mut even[done / 2..][..S::LANES], &mut odd[done / 2..][..S::LANES]);
            // SAFETY: the caller promises the instruction set; all of them are whole vectors.
            unsafe {
                let (low, high) = (S::load(line[done..].as_ptr()), S::load(line[done + S::LANES..].as_ptr()));
                let (low, high) = S::deinterleave(low, high);
                S::store(even.as_mut_ptr(), low);
                S::store(odd.as_mut_ptr(), high);
            }
            done += 2 * S::LANES;
        }
    }
    if step == 1 {
        return parts[layout.front..][..line.len()].copy_from_slice(line);
    }
    for r in 0..step {
        let part = &mut parts[r * layout.pitch + layout.front + done / step..];
        let rest = line.get(done + r..).unwrap_or_default();
        part.iter_mut().zip(rest.iter().step_by(step)).for_each(|(to, &value)| *to = value);
    }
}
