//! The transforms of data (`B^T d B`) and of sums (`A^T m A`). Vectors run over tiles.

use super::{Item, Job, Line, PLANE, Workspace};
use crate::simd::Simd;

/// `B^T` of F(2, 3).
#[inline(always)]
unsafe fn transform<S: Simd>(d: [S::V; 4]) -> [S::V; 4] {
    // SAFETY: the caller promises the instruction set.
    unsafe { [S::sub(d[0], d[2]), S::add(d[1], d[2]), S::sub(d[2], d[1]), S::sub(d[1], d[3])] }
}

/// `A^T` of F(2, 3).
#[inline(always)]
unsafe fn back<S: Simd>(m: [S::V; 4]) -> [S::V; 2] {
    // SAFETY: the caller promises the instruction set.
    unsafe { [S::add(S::add(m[0], m[1]), m[2]), S::sub(S::sub(m[1], m[2]), m[3])] }
}

/// How a row of `B^T` joins two slices: the first alone, their sum or their difference.
const ALONE: u8 = 0;
const SUM: u8 = 1;
const DIFFERENCE: u8 = 2;

/// The slices of a tile that row `part` of `B^T` joins.
const JOINED: [[usize; 2]; 4] = [[0, 2], [1, 2], [2, 1], [1, 3]];

/// Transforms the data of an item, for one transformed position along depth where depth is transformed: positions `first ..`
/// of `w.data`.
///
/// # Safety
/// The instruction set of `S` is there.
#[inline(always)]
pub(super) unsafe fn transform_data<S: Simd>(
    job: &Job<'_>,
    item: &Item,
    part: usize,
    first: usize,
    w: &mut Workspace,
) {
    let channels = job.problem.source_channels;
    for channel in 0..channels {
        for line in job.lines(item) {
            // SAFETY: as the caller says.
            unsafe {
                match (job.tiles.deep, part) {
                    (false, _) => transform_line::<S, ALONE>(job, item, &line, (channel, first), [0, 0], w),
                    (true, 1) => transform_line::<S, SUM>(job, item, &line, (channel, first), JOINED[1], w),
                    (true, _) => {
                        transform_line::<S, DIFFERENCE>(job, item, &line, (channel, first), JOINED[part], w)
                    }
                }
            }
        }
    }
}

/// Transforms what one line of tiles reads of one channel, from two of its slices.
#[inline(always)]
unsafe fn transform_line<S: Simd, const JOIN: u8>(
    job: &Job<'_>,
    item: &Item,
    line: &Line,
    (channel, first): (usize, usize),
    slices: [usize; 2],
    w: &mut Workspace,
) {
    let p = job.problem;
    let [depth, height, width] = [0, 1, 2].map(|a| p.axes[a].source);
    let from = (line.image * p.source_channels + channel) * depth * height * width;
    let volume = &job.source[from..from + depth * height * width];
    let zeros = w.zeros.room(width + S::LANES).as_ptr();
    let row = |z: isize, y: isize| {
        let inside = z >= 0 && y >= 0 && (z as usize) < depth && (y as usize) < height;
        let at = |z: usize, y: usize| volume[(z * height + y) * width..][..width].as_ptr();
        if inside { at(z as usize, y as usize) } else { zeros }
    };
    let size = if job.tiles.deep { 2 } else { 1 };
    let start = |a: usize, size: usize| (line.first[a] * size) as isize + p.axes[a].low;
    let (z, y, x) = (start(0, size), start(1, 2), start(2, 2));
    let rows = slices.map(|s| core::array::from_fn(|i| row(z + s as isize, y + i as isize)));
    let pitch = (line.count + 1).next_multiple_of(S::LANES) + 2 * S::LANES;
    let split = w.rows.room(8 * pitch + S::LANES).as_mut_ptr();
    let plane = item.plane(p.source_channels);
    let data = w.data.room(item.data_len(first + PLANE, p.source_channels)).as_mut_ptr();
    // SAFETY: rows are as long as the source is wide, or zeros of that length; the buffers have room for every position of
    // every tile and a vector behind.
    unsafe {
        across::<S, JOIN>(rows, x, width, line.count, split, pitch);
        let data = data.add(first * plane + channel * item.pitch + line.at);
        along::<S>(split, pitch, line.count, data, plane);
    }
}

/// A vector of a row of `width` numbers, zeros behind its end.
#[inline(always)]
unsafe fn read<S: Simd>(row: *const f32, at: usize, width: usize) -> S::V {
    // SAFETY: the caller promises the instruction set and the row; nothing behind its end is read.
    unsafe {
        if at + S::LANES <= width {
            S::load(row.add(at))
        } else if at < width {
            S::load_first(row.add(at), width - at)
        } else {
            S::splat(0.0)
        }
    }
}

/// A vector of each of four rows, joined with those of another slice.
#[inline(always)]
unsafe fn four<S: Simd, const JOIN: u8>(from: &[[*const f32; 4]; 2], at: usize, width: usize) -> [S::V; 4] {
    // SAFETY: as for `read`.
    unsafe {
        let mut v = [S::splat(0.0); 4];
        for i in 0..4 {
            v[i] = read::<S>(from[0][i], at, width);
            if JOIN == SUM {
                v[i] = S::add(v[i], read::<S>(from[1][i], at, width));
            } else if JOIN == DIFFERENCE {
                v[i] = S::sub(v[i], read::<S>(from[1][i], at, width));
            }
        }
        v
    }
}

/// Joins slices and transforms four rows across, parted into even and odd columns: row `i` of the result goes to
/// `split[2 i]` (even) and `split[2 i + 1]` (odd). Column 0 is column `x` of the source; there are zeros where there is no
/// data.
#[inline(always)]
unsafe fn across<S: Simd, const JOIN: u8>(
    from: [[*const f32; 4]; 2],
    x: isize,
    width: usize,
    tiles: usize,
    split: *mut f32,
    pitch: usize,
) {
    let columns = 2 * tiles + 2;
    let before = x.min(0).unsigned_abs().min(columns);
    let first = x.max(0) as usize;
    let last = (x + columns as isize).max(0) as usize;
    let (mut column, mut at) = (before, first);
    // The first column that is read goes to the even or to the odd ones.
    let (even, odd) = (before % 2, 1 - before % 2);
    // SAFETY: as the caller of `transform_data` says; what is read of a row ends at its end.
    unsafe {
        for i in 0..8 {
            (0..(before + 1 - i % 2) / 2).for_each(|c| *split.add(i * pitch + c) = 0.0);
        }
        while at < last.min(width) {
            let low = transform::<S>(four::<S, JOIN>(&from, at, width));
            let high = transform::<S>(four::<S, JOIN>(&from, at + S::LANES, width));
            for i in 0..4 {
                let (a, b) = S::deinterleave(low[i], high[i]);
                S::store(split.add((2 * i + even) * pitch + column / 2), a);
                S::store(split.add((2 * i + odd) * pitch + column.div_ceil(2)), b);
            }
            column += 2 * S::LANES;
            at += 2 * S::LANES;
        }
        for i in 0..8 {
            ((column + 1 - i % 2) / 2..tiles + 1).for_each(|c| *split.add(i * pitch + c) = 0.0);
        }
    }
}

/// Transforms the rows that [`across`] made along the width: columns `2 t .. 2 t + 4` become four positions of tile `t`.
#[inline(always)]
unsafe fn along<S: Simd>(split: *const f32, pitch: usize, tiles: usize, data: *mut f32, plane: usize) {
    for i in 0..4 {
        for t in (0..tiles).step_by(S::LANES) {
            // SAFETY: rows and data have room for whole vectors, says the caller.
            unsafe {
                let (even, odd) = (split.add(2 * i * pitch + t), split.add((2 * i + 1) * pitch + t));
                let d = [S::load(even), S::load(odd), S::load(even.add(1)), S::load(odd.add(1))];
                let q = transform::<S>(d);
                for k in 0..4 {
                    S::store(data.add((i * 4 + k) * plane + t), q[k]);
                }
            }
        }
    }
}

/// Transforms the sums of one channel and of [`PLANE`] positions back: two rows of two columns of every tile, the vector
/// of tiles at `t`.
///
/// # Safety
/// The instruction set is there; the sums hold whole vectors of tiles.
#[inline(always)]
pub(super) unsafe fn transform_back<S: Simd>(sums: *const f32, plane: usize, t: usize) -> [[S::V; 2]; 2] {
    // SAFETY: sums have room for whole vectors, says the caller.
    unsafe {
        let mut m = [[S::splat(0.0); 4]; 2];
        for k in 0..4 {
            let mut d = [S::splat(0.0); 4];
            for i in 0..4 {
                d[i] = S::load(sums.add((i * 4 + k) * plane + t));
            }
            let q = back::<S>(d);
            (m[0][k], m[1][k]) = (q[0], q[1]);
        }
        [back::<S>(m[0]), back::<S>(m[1])]
    }
}

/// Writes two columns of a row of outputs.
///
/// # Safety
/// The instruction set is there; the row has room for two vectors.
#[inline(always)]
pub(super) unsafe fn write<S: Simd>(row: *mut f32, columns: [S::V; 2], bias: f32) {
    // SAFETY: the caller promises the instruction set and room for two vectors.
    unsafe {
        let bias = S::splat(bias);
        let (a, b) = S::interleave(S::add(columns[0], bias), S::add(columns[1], bias));
        S::store(row, a);
        S::store(row.add(S::LANES), b);
    }
}

/// Transforms the sums of one channel and the last positions along depth back into rows of outputs: one slice, or the two
/// whose other parts [`add_up`] has summed, of two rows each, `2 tiles` long.
///
/// # Safety
/// The instruction set is there; the operands hold whole vectors of tiles.
#[inline(always)]
pub(super) unsafe fn finish_rows<S: Simd>(
    item: &Item,
    (sums, plane): (*const f32, usize),
    slices: Option<*const f32>,
    bias: f32,
    (rows, pitch): (*mut f32, usize),
) {
    for t in (0..item.tiles).step_by(S::LANES) {
        // SAFETY: as the caller says.
        unsafe {
            let m = transform_back::<S>(sums, plane, t);
            for row in 0..2 {
                let to = rows.add(row * pitch + 2 * t);
                let Some(slices) = slices else {
                    write::<S>(to, m[row], bias);
                    continue;
                };
                let upper = slices.add(2 * row * item.pitch + t);
                let lower = upper.add(4 * item.pitch);
                write::<S>(to, [S::load(upper), S::load(upper.add(item.pitch))], bias);
                let last = [S::load(lower), S::load(lower.add(item.pitch))];
                let lower = [S::sub(last[0], m[row][0]), S::sub(last[1], m[row][1])];
                write::<S>(to.add(2 * pitch), lower, bias);
            }
        }
    }
}

/// Transforms the sums of one channel and of position `part` along depth back, and adds them to the two slices of outputs
/// that they belong to: row `part` of `A` along depth.
///
/// # Safety
/// The instruction set is there; the operands hold whole vectors of tiles; `part < 3`.
#[inline(always)]
pub(super) unsafe fn add_up<S: Simd>(
    item: &Item,
    part: usize,
    (sums, plane): (*const f32, usize),
    slices: *mut f32,
) {
    for t in (0..item.tiles).step_by(S::LANES) {
        // SAFETY: as the caller says.
        unsafe {
            let m = transform_back::<S>(sums, plane, t);
            for i in 0..4 {
                let v = m[i / 2][i % 2];
                let (upper, lower) = (slices.add(i * item.pitch + t), slices.add((4 + i) * item.pitch + t));
                match part {
                    0 => S::store(upper, v),
                    1 => {
                        S::store(upper, S::add(S::load(upper), v));
                        S::store(lower, v);
                    }
                    _ => {
                        S::store(upper, S::add(S::load(upper), v));
                        S::store(lower, S::sub(S::load(lower), v));
                    }
                }
            }
        }
    }
}

const _: () = assert!(PLANE == 16, "four positions along two axes");
