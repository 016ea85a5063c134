//! Pooling, and the scatter and gather by winners' codes.

use crate::arena::Plain;
use crate::parallel::{Pool, Shared};
use std::ops::Range;
use voxplain_autodiff::PoolGeometry;

/// A winner's position in its window.
pub trait Code: Plain + Send + Sync {
    /// From a position.
    fn from_position(position: usize) -> Self;
    /// Back to it.
    fn position(self) -> usize;
}

impl Code for u8 {
    fn from_position(position: usize) -> Self {
        position as u8
    }
    fn position(self) -> usize {
        usize::from(self)
    }
}

impl Code for u32 {
    fn from_position(position: usize) -> Self {
        position as u32
    }
    fn position(self) -> usize {
        self as usize
    }
}

/// Taps of a window along one axis that lie inside the data: first tap, count, data position of the first.
fn taps(g: &PoolGeometry, axis: usize, window: usize) -> (usize, usize, usize) {
    let (start, d) = (window * g.stride[axis], g.dilation[axis]);
    let first = g.pad[axis].saturating_sub(start).div_ceil(d);
    let end = (g.input[axis] + g.pad[axis]).saturating_sub(start).div_ceil(d).min(g.kernel[axis]);
    (first, end.saturating_sub(first), (start + first * d).saturating_sub(g.pad[axis]))
}

/// Calls `visit(position in window, data index)` for the taps of window `p` inside the data, row-major.
#[inline(always)]
fn window(g: &PoolGeometry, p: [usize; 3], mut visit: impl FnMut(usize, usize)) {
    let [z, y, x] = [0, 1, 2].map(|axis| taps(g, axis, p[axis]));
    for kz in 0..z.1 {
        for ky in 0..y.1 {
            let line = (z.2 + kz * g.dilation[0]) * g.input[1] + y.2 + ky * g.dilation[1];
            let code = ((z.0 + kz) * g.kernel[1] + y.0 + ky) * g.kernel[2] + x.0;
            for kx in 0..x.1 {
                visit(code + kx, line * g.input[2] + x.2 + kx * g.dilation[2]);
            }
        }
    }
}

/// The data index that a code names in window `p`; none for a window without any entry inside the data.
#[inline(always)]
fn winner(g: &PoolGeometry, p: [usize; 3], code: usize) -> Option<usize> {
    let tap = [code / (g.kernel[1] * g.kernel[2]), code / g.kernel[2] % g.kernel[1], code % g.kernel[2]];
    let at = |axis: usize| {
        let at = (p[axis] * g.stride[axis] + tap[axis] * g.dilation[axis]).checked_sub(g.pad[axis])?;
        (at < g.input[axis]).then_some(at)
    };
    Some((at(0)? * g.input[1] + at(1)?) * g.input[2] + at(2)?)
}

fn place(sizes: [usize; 3], i: usize) -> [usize; 3] {
    [i / (sizes[1] * sizes[2]), i / sizes[2] % sizes[1], i % sizes[2]]
}

fn sizes(g: &PoolGeometry) -> (usize, usize) {
    (g.input.iter().product(), g.output.iter().product())
}

/// Outputs along a row that read data through tap `k`.
fn reached(g: &PoolGeometry, k: usize) -> Range<usize> {
    let reach = k * g.dilation[2];
    let first = g.pad[2].saturating_sub(reach).div_ceil(g.stride[2]);
    let end = (g.input[2] + g.pad[2]).saturating_sub(reach).div_ceil(g.stride[2]);
    first.min(g.output[2])..end.min(g.output[2])
}

/// The maxima of one row of windows with their positions, a tap at a time over the whole row.
fn max_row(g: &PoolGeometry, plane: &[f32], place: [usize; 2], best: &mut [f32], position: &mut [u32]) {
    best.fill(f32::NEG_INFINITY);
    position.fill(u32::MAX);
    let [z, y] = [0, 1].map(|axis| taps(g, axis, place[axis]));
    for kz in 0..z.1 {
        for ky in 0..y.1 {
            let line = (z.2 + kz * g.dilation[0]) * g.input[1] + y.2 + ky * g.dilation[1];
            let line = &plane[line * g.input[2]..(line + 1) * g.input[2]];
            for kx in 0..g.kernel[2] {
                let code = (((z.0 + kz) * g.kernel[1] + y.0 + ky) * g.kernel[2] + kx) as u32;
                let reached = reached(g, kx);
                let Some(from) = (reached.start * g.stride[2] + kx * g.dilation[2]).checked_sub(g.pad[2])
                else {
                    continue;
                };
                let (best, position) = (&mut best[reached.clone()], &mut position[reached]);
                let data = line.get(from..).unwrap_or_default();
                if g.stride[2] == 1 {
                    take_larger(best, position, data.iter(), code);
                } else {
                    take_larger(best, position, data.iter().step_by(g.stride[2]), code);
                }
            }
        }
    }
}

/// Where a datum is larger it becomes the best. What is found first stays, and NaN is never larger.
#[inline(always)]
fn take_larger<'a>(best: &mut [f32], position: &mut [u32], data: impl Iterator<Item = &'a f32>, code: u32) {
    for ((best, position), &v) in best.iter_mut().zip(position).zip(data) {
        let larger = v > *best;
        *best = if larger { v } else { *best };
        *position = if larger { code } else { *position };
    }
}

/// Windows in which nothing was larger than minus infinity: their first entry, unless that is NaN and another is not.
fn settle(g: &PoolGeometry, plane: &[f32], p: [usize; 3], value: &mut f32, code: &mut u32) {
    let mut any = false;
    window(g, p, |position, at| {
        if !any || (value.is_nan() && !plane[at].is_nan()) {
            (*value, *code, any) = (plane[at], position as u32, true);
        }
    });
    if !any {
        (*value, *code) = (f32::NEG_INFINITY, 0);
    }
}

/// The maximum of every window and, where wanted, its code.
pub fn max<C: Code>(
    pool: &Pool,
    g: &PoolGeometry,
    x: &[f32],
    y: Option<&mut [f32]>,
    codes: Option<&mut [C]>,
) {
    let (input, output) = sizes(g);
    let width = g.output[2].max(1);
    let (y, codes) = (y.map(Shared::new), codes.map(Shared::new));
    let rows = g.output[0] * g.output[1];
    let cost = x.len().saturating_mul(g.kernel.iter().product());
    pool.each(g.planes, cost, |p| {
        let plane = &x[p * input..(p + 1) * input];
        let (mut best, mut position) = (vec![0.0; width], vec![0; width]);
        for row in 0..rows {
            let place = [row / g.output[1], row % g.output[1]];
            max_row(g, plane, place, &mut best, &mut position);
            for (i, (value, code)) in best.iter_mut().zip(&mut position).enumerate() {
                if *code == u32::MAX {
                    settle(g, plane, [place[0], place[1], i], value, code);
                }
            }
            let at = p * output + row * width;
            // SAFETY: the rows of different planes do not overlap and each plane is visited once.
            unsafe {
                if let Some(y) = &y {
                    y.slice(at, width).copy_from_slice(&best);
                }
                if let Some(codes) = &codes {
                    let into = codes.slice(at, width);
                    into.iter_mut().zip(&position).for_each(|(c, &k)| *c = C::from_position(k as usize));
                }
            }
        }
    });
}

/// Every `upper` added to its window's winner.
pub fn scatter<C: Code>(pool: &Pool, g: &PoolGeometry, upper: &[f32], codes: &[C], dx: &mut [f32]) {
    let (input, output) = sizes(g);
    pool.chunks(dx, input, |p, dx| {
        dx.fill(0.0);
        for i in 0..output {
            let at = p * output + i;
            if let Some(winner) = winner(g, place(g.output, i), codes[at].position()) {
                dx[winner] += upper[at];
            }
        }
    });
}

/// The entry that the code names in every window; as in [`max`], minus infinity for a window without entries.
pub fn gather<C: Code>(pool: &Pool, g: &PoolGeometry, x: &[f32], codes: &[C], y: &mut [f32]) {
    let (input, output) = sizes(g);
    pool.chunks(y, output, |p, y| {
        let plane = &x[p * input..(p + 1) * input];
        for (i, y) in y.iter_mut().enumerate() {
            let winner = winner(g, place(g.output, i), codes[p * output + i].position());
            *y = winner.map_or(f32::NEG_INFINITY, |at| plane[at]);
        }
    });
}

/// What the average of window `p` divides by.
fn divisor(g: &PoolGeometry, p: [usize; 3]) -> f32 {
    let count = |axis: usize| {
        if !g.include_pad {
            return taps(g, axis, p[axis]).1;
        }
        // Taps inside data and padding; what ceil mode adds beyond does not count.
        let end = g.input[axis] + g.pad[axis] + g.pad_end[axis];
        let inside = |k: &usize| p[axis] * g.stride[axis] + k * g.dilation[axis] < end;
        (0..g.kernel[axis]).filter(inside).count()
    };
    ((count(0) * count(1) * count(2)) as f32).max(1.0)
}

/// The average of every window.
pub fn average(pool: &Pool, g: &PoolGeometry, x: &[f32], y: &mut [f32]) {
    let (input, output) = sizes(g);
    pool.chunks(y, output, |p, y| {
        let plane = &x[p * input..(p + 1) * input];
        for (i, y) in y.iter_mut().enumerate() {
            let at = place(g.output, i);
            let mut sum = 0.0f64;
            window(g, at, |_, k| sum += f64::from(plane[k]));
            *y = (sum / f64::from(divisor(g, at))) as f32;
        }
    });
}

/// The adjoint of [`average`].
pub fn average_adjoint(pool: &Pool, g: &PoolGeometry, upper: &[f32], dx: &mut [f32]) {
    let (input, output) = sizes(g);
    pool.chunks(dx, input, |p, dx| {
        dx.fill(0.0);
        for i in 0..output {
            let at = place(g.output, i);
            let share = upper[p * output + i] / divisor(g, at);
            window(g, at, |_, k| dx[k] += share);
        }
    });
}
