//! The scatter of a pooling with the mask and the rectifier behind it, in one pass over what is written.

use super::bits::keep;
use super::pool::scatter;
use crate::parallel::{Pool, Shared};
use voxplain_autodiff::PoolGeometry;

/// What a scattered row goes through.
#[derive(Clone, Copy, Default)]
pub struct Gates<'a> {
    /// Bits of the whole result, every row beginning on a byte.
    pub bits: Option<&'a [u8]>,
    /// Whether what is negative becomes 0.
    pub rectified: bool,
}

impl Gates<'_> {
    /// Finishes row number `row` of the result.
    fn apply(&self, row: usize, values: &mut [f32]) {
        if let Some(bits) = self.bits {
            let bytes = values.len().div_ceil(8);
            keep(values, &bits[row * bytes..(row + 1) * bytes]);
        }
        if self.rectified {
            values.iter_mut().for_each(|v| *v = if *v > 0.0 { *v } else { 0.0 });
        }
    }
}

/// Every `upper` in its window's winner, then the gates.
pub fn run(pool: &Pool, g: &PoolGeometry, upper: &[f32], codes: &[u8], gates: Gates<'_>, dx: &mut [f32]) {
    let (row, rows) = (g.input[2].max(1), g.input[0] * g.input[1]);
    if g.is_halving() {
        return halving(pool, g, upper, codes, gates, dx);
    }
    scatter(pool, g, upper, codes, dx);
    pool.chunks(dx, rows * row, |plane, dx| {
        dx.chunks_mut(row).enumerate().for_each(|(i, values)| gates.apply(plane * rows + i, values));
    });
}

/// One slice of windows at a time.
fn halving(pool: &Pool, g: &PoolGeometry, upper: &[f32], codes: &[u8], gates: Gates<'_>, dx: &mut [f32]) {
    let [depth, height, width] = g.input;
    // Slices, of which the last may be what windows leave.
    let slices = depth.div_ceil(g.kernel[0]);
    let (elements, dx) = (dx.len(), Shared::new(dx));
    pool.each(g.planes * slices, elements, |i| {
        let (plane, z) = (i / slices, i % slices);
        let first = z * g.kernel[0];
        let count = g.kernel[0].min(depth - first);
        let line = (plane * depth + first) * height;
        // SAFETY: slices do not overlap and each is visited once.
        let slice = unsafe { dx.slice(line * width, count * height * width) };
        slice.fill(0.0);
        if z < g.output[0] {
            let windows = g.output[1] * g.output[2];
            let from = (plane * g.output[0] + z) * windows;
            scatter_slice(g, &upper[from..from + windows], &codes[from..from + windows], slice);
        }
        slice.chunks_mut(width).enumerate().for_each(|(i, values)| gates.apply(line + i, values));
    });
}

fn scatter_slice(g: &PoolGeometry, upper: &[f32], codes: &[u8], slice: &mut [f32]) {
    let [_, height, width] = g.input;
    let [_, ky, kx] = g.kernel;
    // Where each code lies from the window's corner.
    let mut offsets = [0usize; 8];
    for (code, offset) in offsets.iter_mut().enumerate() {
        *offset = code / (ky * kx) * height * width + code / kx % ky * width + code % kx;
    }
    for (y, (upper, codes)) in upper.chunks(g.output[2]).zip(codes.chunks(g.output[2])).enumerate() {
        let corner = y * ky * width;
        for (x, (&value, &code)) in upper.iter().zip(codes).enumerate() {
            slice[corner + x * kx + offsets[usize::from(code) & 7]] = value;
        }
    }
}
