//! Pooling, and the scatter and gather by winners' codes.

use crate::arena::Plain;
use crate::parallel::Pool;
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

/// The maximum of every window and, where wanted, its code.
pub fn max<C: Code>(
    pool: &Pool,
    g: &PoolGeometry,
    x: &[f32],
    y: Option<&mut [f32]>,
    codes: Option<&mut [C]>,
) {
    let (input, output) = sizes(g);
    let best = |plane: &[f32], i: usize| {
        let (mut value, mut code, mut any) = (f32::NEG_INFINITY, 0, false);
        window(g, place(g.output, i), |position, at| {
            if !any || plane[at] > value || (value.is_nan() && !plane[at].is_nan()) {
                (value, code, any) = (plane[at], position, true);
            }
        });
        (value, code)
    };
    match (y, codes) {
        (Some(y), Some(codes)) => {
            let codes = crate::parallel::Shared::new(codes);
            pool.chunks(y, output, |p, y| {
                // SAFETY: the codes of different planes do not overlap and each plane is visited once.
                let codes = unsafe { codes.slice(p * output, output) };
                for (i, (y, c)) in y.iter_mut().zip(codes).enumerate() {
                    let (value, code) = best(&x[p * input..(p + 1) * input], i);
                    (*y, *c) = (value, C::from_position(code));
                }
            });
        }
        (Some(y), None) => pool.chunks(y, output, |p, y| {
            y.iter_mut().enumerate().for_each(|(i, y)| *y = best(&x[p * input..(p + 1) * input], i).0);
        }),
        (None, Some(codes)) => pool.chunks(codes, output, |p, codes| {
            let plane = &x[p * input..(p + 1) * input];
            codes.iter_mut().enumerate().for_each(|(i, c)| *c = C::from_position(best(plane, i).1));
        }),
        (None, None) => {}
    }
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
