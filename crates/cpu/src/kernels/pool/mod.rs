//! Pooling, and the scatter and gather by winners' codes.

mod max_row;

use crate::arena::Plain;
use crate::isa::Isa;
use crate::parallel::{Pool, Shared};
use max_row::{MaxRow, NOTHING};
use std::cell::RefCell;
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
type Taps = (usize, usize, usize);

fn taps(g: &PoolGeometry, axis: usize, window: usize) -> Taps {
    let (start, d) = (window * g.stride[axis], g.dilation[axis]);
    let first = g.pad[axis].saturating_sub(start).div_ceil(d);
    let end = (g.input[axis] + g.pad[axis]).saturating_sub(start).div_ceil(d).min(g.kernel[axis]);
    (first, end.saturating_sub(first), (start + first * d).saturating_sub(g.pad[axis]))
}

/// Calls `visit(position in window, data index)` for the taps of a window inside the data, row-major.
#[inline(always)]
fn window(g: &PoolGeometry, [z, y, x]: [Taps; 3], mut visit: impl FnMut(usize, usize)) {
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

std::thread_local! {
    /// A thread's buffers, kept so that only the first run of a network makes them grow.
    static MAX_ROW: RefCell<MaxRow> = RefCell::new(MaxRow::default());
}

/// A window in which nothing was larger than minus infinity: its first entry, unless that is NaN and another is not. Its code.
fn settle(g: &PoolGeometry, plane: &[f32], p: [usize; 3], value: &mut f32) -> u32 {
    let (mut any, mut code) = (false, 0);
    *value = f32::NEG_INFINITY;
    window(g, [0, 1, 2].map(|axis| taps(g, axis, p[axis])), |position, at| {
        if !any || (value.is_nan() && !plane[at].is_nan()) {
            (*value, code, any) = (plane[at], position as u32, true);
        }
    });
    code
}

/// The maximum of every window and, where wanted, its code.
pub fn max<C: Code>(
    pool: &Pool,
    isa: Isa,
    g: &PoolGeometry,
    x: &[f32],
    y: Option<&mut [f32]>,
    codes: Option<&mut [C]>,
) {
    let (input, output) = sizes(g);
    let width = g.output[2];
    let (y, codes) = (y.map(Shared::new), codes.map(Shared::new));
    let rows = g.output[0] * g.output[1];
    let cost = x.len().saturating_mul(g.kernel.iter().product());
    let plane = |p: usize, found: &mut MaxRow| {
        let plane = &x[p * input..(p + 1) * input];
        found.begin(g);
        for row in 0..rows {
            let place = [row / g.output[1], row % g.output[1]];
            let (best, found) = found.find(isa, g, plane, place);
            for (i, (value, bits)) in best.iter_mut().zip(found.iter_mut()).enumerate() {
                if bits.to_bits() == NOTHING {
                    *bits = f32::from_bits(settle(g, plane, [place[0], place[1], i], value));
                }
            }
            let at = p * output + row * width;
            // SAFETY: the rows of different planes do not overlap and each plane is visited once.
            unsafe {
                if let Some(y) = &y {
                    y.slice(at, width).copy_from_slice(best);
                }
                if let Some(codes) = &codes {
                    let into = codes.slice(at, width);
                    let position = |bits: &f32| C::from_position(bits.to_bits() as usize);
                    into.iter_mut().zip(found.iter()).for_each(|(code, bits)| *code = position(bits));
                }
            }
        }
    };
    pool.each(g.planes, cost, |p| MAX_ROW.with_borrow_mut(|found| plane(p, found)));
}

/// Windows of at most so many entries have their places in a table.
const TABLE: usize = 256;

/// Where every code lies from its window's corner, and where the corners are: for windows that all have entries inside the data.
struct Places {
    offsets: [isize; TABLE],
    strides: [isize; 3],
    first: isize,
}

impl Places {
    /// The places of windows that are not too large; none where a window may lie in padding alone.
    fn new(g: &PoolGeometry) -> Option<Self> {
        let codes: usize = g.kernel.iter().product();
        let has_entries = |axis: usize| (0..g.output[axis]).all(|at| taps(g, axis, at).1 > 0);
        if codes > TABLE || !(0..3).all(has_entries) {
            return None;
        }
        let [_, height, width] = g.input.map(|n| n as isize);
        let flat = |at: [usize; 3]| (at[0] as isize * height + at[1] as isize) * width + at[2] as isize;
        let mut offsets = [0; TABLE];
        for (code, offset) in offsets.iter_mut().enumerate().take(codes) {
            let tap = place(g.kernel, code);
            *offset = flat([0, 1, 2].map(|axis| tap[axis] * g.dilation[axis]));
        }
        let strides =
            [g.stride[0] as isize * height * width, g.stride[1] as isize * width, g.stride[2] as isize];
        Some(Self { offsets, strides, first: -flat(g.pad) })
    }

    /// Calls `visit(window, data index)` for every window of a plane.
    #[inline(always)]
    fn each<C: Code>(&self, g: &PoolGeometry, codes: &[C], mut visit: impl FnMut(usize, usize)) {
        let width = g.output[2].max(1);
        for (row, codes) in codes.chunks(width).enumerate() {
            let [z, y] = [row / g.output[1], row % g.output[1]].map(|at| at as isize);
            let mut corner = self.first + z * self.strides[0] + y * self.strides[1];
            for (x, code) in codes.iter().enumerate() {
                visit(row * width + x, (corner + self.offsets[code.position() % TABLE]) as usize);
                corner += self.strides[2];
            }
        }
    }
}

/// Every `upper` added to its window's winner.
pub fn scatter<C: Code>(pool: &Pool, g: &PoolGeometry, upper: &[f32], codes: &[C], dx: &mut [f32]) {
    let (input, output) = sizes(g);
    let places = Places::new(g);
    pool.chunks(dx, input, |p, dx| {
        dx.fill(0.0);
        let (upper, codes) = (&upper[p * output..][..output], &codes[p * output..][..output]);
        if let Some(places) = &places {
            return places.each(g, codes, |i, at| dx[at] += upper[i]);
        }
        for i in 0..output {
            if let Some(winner) = winner(g, place(g.output, i), codes[i].position()) {
                dx[winner] += upper[i];
            }
        }
    });
}

/// The entry that the code names in every window; as in [`max`], minus infinity for a window without entries.
pub fn gather<C: Code>(pool: &Pool, g: &PoolGeometry, x: &[f32], codes: &[C], y: &mut [f32]) {
    let (input, output) = sizes(g);
    let places = Places::new(g);
    pool.chunks(y, output, |p, y| {
        let (plane, codes) = (&x[p * input..][..input], &codes[p * output..][..output]);
        if let Some(places) = &places {
            return places.each(g, codes, |i, at| y[i] = plane[at]);
        }
        for (i, y) in y.iter_mut().enumerate() {
            let winner = winner(g, place(g.output, i), codes[i].position());
            *y = winner.map_or(f32::NEG_INFINITY, |at| plane[at]);
        }
    });
}

/// How many taps of a window along one axis its average counts.
fn counted(g: &PoolGeometry, axis: usize, at: usize) -> usize {
    if !g.include_pad {
        return taps(g, axis, at).1;
    }
    // Taps inside data and padding; what ceil mode adds beyond does not count.
    let end = g.input[axis] + g.pad[axis] + g.pad_end[axis];
    (0..g.kernel[axis]).filter(|k| at * g.stride[axis] + k * g.dilation[axis] < end).count()
}

/// Calls `visit(window, its taps, what its average divides by)` for every window of a plane.
fn each_window(g: &PoolGeometry, mut visit: impl FnMut(usize, [Taps; 3], f32)) {
    let mut window = 0;
    for z in 0..g.output[0] {
        for y in 0..g.output[1] {
            let (slices, rows) = (taps(g, 0, z), taps(g, 1, y));
            let counted_before = counted(g, 0, z) * counted(g, 1, y);
            for x in 0..g.output[2] {
                let divisor = ((counted_before * counted(g, 2, x)) as f32).max(1.0);
                visit(window, [slices, rows, taps(g, 2, x)], divisor);
                window += 1;
            }
        }
    }
}

/// The average of every window.
pub fn average(pool: &Pool, g: &PoolGeometry, x: &[f32], y: &mut [f32]) {
    let (input, output) = sizes(g);
    pool.chunks(y, output, |p, y| {
        let plane = &x[p * input..(p + 1) * input];
        each_window(g, |i, taps, divisor| {
            let mut sum = 0.0f64;
            window(g, taps, |_, k| sum += f64::from(plane[k]));
            y[i] = (sum / f64::from(divisor)) as f32;
        });
    });
}

/// The adjoint of [`average`].
pub fn average_adjoint(pool: &Pool, g: &PoolGeometry, upper: &[f32], dx: &mut [f32]) {
    let (input, output) = sizes(g);
    pool.chunks(dx, input, |p, dx| {
        dx.fill(0.0);
        each_window(g, |i, taps, divisor| {
            let share = upper[p * output + i] / divisor;
            window(g, taps, |_, k| dx[k] += share);
        });
    });
}
