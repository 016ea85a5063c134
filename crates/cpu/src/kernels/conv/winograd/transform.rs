//! The transforms of data (`B^T d B`) and of sums (`A^T m A`) of tiles of `H` rows and `W` columns. Vectors run over tiles.

use super::division::{Item, Line};
use super::filter::{MOST, POSITIONS, back, transform};
use super::{Job, Workspace, plane_positions};
use crate::simd::Simd;

/// How a row of `B^T` joins two slices: the first alone, their sum or their difference.
const ALONE: u8 = 0;
const SUM: u8 = 1;
const DIFFERENCE: u8 = 2;

/// The slices of a tile that row `part` of `B^T` joins.
const JOINED: [[usize; 2]; 4] = [[0, 2], [1, 2], [2, 1], [1, 3]];

/// Data of an item's tiles, transformed along depth and height, `[row][column][tile]`. A tile has `W + 2` columns, and the two that
/// it shares with the next one are there twice: so the tiles of different lines lie side by side.
struct Split {
    /// The first number.
    at: *mut f32,
    /// Numbers between columns.
    pitch: usize,
}

impl Split {
    fn new<S: Simd>(item: &Item<'_>, positions: usize, w: &mut Workspace) -> Self {
        let pitch = item.tiles.next_multiple_of(S::LANES) + 3 * S::LANES;
        Self { at: w.rows.room(positions * pitch).as_mut_ptr(), pitch }
    }

    /// Column `column` of the tiles' row `row`, from tile `tile` on.
    fn column<const W: usize>(&self, row: usize, column: usize, tile: usize) -> *mut f32 {
        self.at.wrapping_add((row * (W + 2) + column) * self.pitch + tile)
    }
}

/// Transforms the data of an item, for one transformed position along depth where depth is transformed: positions `first ..`
/// of `w.data`.
///
/// # Safety
/// The instruction set of `S` is there.
#[inline(always)]
pub(super) unsafe fn transform_data<S: Simd, const H: usize, const W: usize>(
    job: &Job<'_>,
    item: &Item<'_>,
    part: usize,
    first: usize,
    w: &mut Workspace,
) {
    let p = job.problem;
    let channels = p.source_channels;
    let plane = item.plane(channels);
    let positions = plane_positions([H, W]);
    let split = Split::new::<S>(item, positions, w);
    let zeros = w.zeros.room(p.axes[2].source + S::LANES).as_ptr();
    let mut read = core::mem::take(&mut w.read);
    read.clear();
    read.extend(item.lines.iter().map(|line| RowsRead::new::<H>(job, line, JOINED[part])));
    let volume: usize = p.axes.iter().map(|axis| axis.source).product();
    for channel in 0..channels {
        for (line, read) in item.lines.iter().zip(&read) {
            let source = &job.source[(line.image * channels + channel) * volume..][..volume];
            let rows = read.of(source, zeros);
            // SAFETY: as the caller says.
            unsafe {
                match (job.tiles.deep, part) {
                    (false, _) => split_line::<S, H, W, ALONE>(job, line, rows, &split),
                    (true, 1) => split_line::<S, H, W, SUM>(job, line, rows, &split),
                    (true, _) => split_line::<S, H, W, DIFFERENCE>(job, line, rows, &split),
                }
            }
        }
        let data = w.data.room(item.data_len(first + positions, channels)).as_mut_ptr();
        // SAFETY: the buffers have room for every position of every tile and a vector behind.
        unsafe {
            along::<S, H, W>(&split, item.tiles, data.add(first * plane + channel * item.pitch), plane)
        };
    }
    w.read = read;
}

/// Rows of a tile that lie outside of the source.
const OUTSIDE: usize = usize::MAX;

/// The rows of two slices that a line of tiles reads, the same for all channels: where they begin in the source of one.
pub(super) struct RowsRead([[usize; POSITIONS]; 2]);

impl RowsRead {
    fn new<const H: usize>(job: &Job<'_>, line: &Line, slices: [usize; 2]) -> Self {
        let axes = &job.problem.axes;
        let start = |a: usize, size: usize| (line.first[a] * size) as isize + axes[a].low;
        // Without depth there is one slice, and tiles are one slice thick.
        let (slices, size) = if job.tiles.deep { (slices, 2) } else { ([0; 2], 1) };
        let mut rows = [[OUTSIDE; POSITIONS]; 2];
        for (rows, slice) in rows.iter_mut().zip(slices) {
            let z = start(0, size) + slice as isize;
            for (i, row) in rows.iter_mut().enumerate().take(H + 2) {
                let y = start(1, H) + i as isize;
                let inside = |at: isize, a: usize| at >= 0 && (at as usize) < axes[a].source;
                if inside(z, 0) && inside(y, 1) {
                    *row = (z as usize * axes[1].source + y as usize) * axes[2].source;
                }
            }
        }
        Self(rows)
    }

    /// The rows of one channel, or `zeros`.
    #[inline(always)]
    fn of(&self, source: &[f32], zeros: *const f32) -> [[*const f32; POSITIONS]; 2] {
        let row = |at: usize| if at == OUTSIDE { zeros } else { source.as_ptr().wrapping_add(at) };
        [self.0[0].map(row), self.0[1].map(row)]
    }
}

/// Joins slices of what one line of tiles reads of one channel, transforms them across the rows, and splits the columns.
///
/// # Safety
/// The instruction set is there; rows are as long as the source is wide.
#[inline(always)]
unsafe fn split_line<S: Simd, const H: usize, const W: usize, const JOIN: u8>(
    job: &Job<'_>,
    line: &Line,
    rows: [[*const f32; POSITIONS]; 2],
    split: &Split,
) {
    let width = &job.problem.axes[2];
    let x = (line.first[2] * W) as isize + width.low;
    // SAFETY: as the caller says; the split rows have room for all tiles and three vectors behind.
    unsafe {
        across::<S, H, W, JOIN>(rows, x, width.source, line, split);
        // The last two columns of a tile are the first two of the next one.
        for row in 0..H + 2 {
            for column in 0..2 {
                for tile in (line.at..line.at + line.count).step_by(S::LANES) {
                    let next = S::load(split.column::<W>(row, column, tile + 1));
                    S::store(split.column::<W>(row, W + column, tile), next);
                }
            }
        }
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

/// A vector of each of the `H + 2` rows of a tile, joined with those of another slice.
#[inline(always)]
unsafe fn joined<S: Simd, const H: usize, const JOIN: u8>(
    from: &[[*const f32; POSITIONS]; 2],
    at: usize,
    width: usize,
) -> [S::V; POSITIONS] {
    // SAFETY: as for `read`.
    unsafe {
        let mut v = [S::splat(0.0); POSITIONS];
        for i in 0..H + 2 {
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

/// Joins slices and transforms rows across, parted into columns `0 .. W` of the tiles. The first column is column `x` of the
/// source; there are zeros where there is no data.
#[inline(always)]
unsafe fn across<S: Simd, const H: usize, const W: usize, const JOIN: u8>(
    from: [[*const f32; POSITIONS]; 2],
    x: isize,
    width: usize,
    line: &Line,
    split: &Split,
) {
    let columns = W * line.count + 2;
    let before = x.min(0).unsigned_abs().min(columns);
    let last = (x + columns as isize).max(0) as usize;
    let (mut column, mut at) = (before, x.max(0) as usize);
    let place = |row: usize, column: usize| split.column::<W>(row, column % W, line.at + column / W);
    // SAFETY: as the caller of `transform_data` says; what is read of a row ends at its end.
    unsafe {
        let nothing = |columns: core::ops::Range<usize>| {
            for column in columns {
                (0..H + 2).for_each(|row| *place(row, column) = 0.0);
            }
        };
        nothing(0..before);
        while at < last.min(width) {
            let mut vectors = [[S::splat(0.0); POSITIONS]; MOST];
            for v in 0..W {
                vectors[v] = transform::<S, H>(joined::<S, H, JOIN>(&from, at + v * S::LANES, width));
            }
            for row in 0..H + 2 {
                let mut values = [S::splat(0.0); MOST];
                for v in 0..W {
                    values[v] = vectors[v][row];
                }
                let parted = part::<S, W>(values);
                for v in 0..W {
                    S::store(place(row, column + v), parted[v]);
                }
            }
            column += W * S::LANES;
            at += W * S::LANES;
        }
        nothing(column..columns);
    }
}

/// `W` vectors of columns as the vectors of every `W`th column.
#[inline(always)]
unsafe fn part<S: Simd, const W: usize>(v: [S::V; MOST]) -> [S::V; MOST] {
    // SAFETY: the caller promises the instruction set.
    unsafe {
        let (even, odd) = S::deinterleave(v[0], v[1]);
        if W == 2 {
            return [even, odd, v[2], v[3]];
        }
        let (more_even, more_odd) = S::deinterleave(v[2], v[3]);
        let ((first, third), (second, fourth)) =
            (S::deinterleave(even, more_even), S::deinterleave(odd, more_odd));
        [first, second, third, fourth]
    }
}

/// The inverse of [`part`].
///
/// # Safety
/// The instruction set of `S` is there.
#[inline(always)]
pub(in crate::kernels::conv) unsafe fn unite<S: Simd, const W: usize>(v: [S::V; MOST]) -> [S::V; MOST] {
    // SAFETY: the caller promises the instruction set.
    unsafe {
        if W == 2 {
            let (a, b) = S::interleave(v[0], v[1]);
            return [a, b, v[2], v[3]];
        }
        let ((even, more_even), (odd, more_odd)) = (S::interleave(v[0], v[2]), S::interleave(v[1], v[3]));
        let ((a, b), (c, d)) = (S::interleave(even, odd), S::interleave(more_even, more_odd));
        [a, b, c, d]
    }
}

/// Transforms the columns of all tiles along the width, row by row.
#[inline(always)]
unsafe fn along<S: Simd, const H: usize, const W: usize>(
    split: &Split,
    tiles: usize,
    data: *mut f32,
    plane: usize,
) {
    for row in 0..H + 2 {
        for tile in (0..tiles).step_by(S::LANES) {
            // SAFETY: rows and data have room for whole vectors, says the caller.
            unsafe {
                let mut d = [S::splat(0.0); POSITIONS];
                for column in 0..W + 2 {
                    d[column] = S::load(split.column::<W>(row, column, tile));
                }
                let q = transform::<S, W>(d);
                for column in 0..W + 2 {
                    S::store(data.add((row * (W + 2) + column) * plane + tile), q[column]);
                }
            }
        }
    }
}

/// Transforms the sums of one channel and of all positions across depth back: `H` rows of `W` columns of every tile, the
/// vector of tiles at `t`.
///
/// # Safety
/// The instruction set is there; the sums hold whole vectors of tiles.
#[inline(always)]
pub(super) unsafe fn transform_back<S: Simd, const H: usize, const W: usize>(
    sums: *const f32,
    plane: usize,
    t: usize,
) -> [[S::V; MOST]; MOST] {
    // SAFETY: sums have room for whole vectors, says the caller.
    unsafe {
        let mut m = [[S::splat(0.0); POSITIONS]; MOST];
        for k in 0..W + 2 {
            let mut d = [S::splat(0.0); POSITIONS];
            for i in 0..H + 2 {
                d[i] = S::load(sums.add((i * (W + 2) + k) * plane + t));
            }
            let q = back::<S, H>(d);
            for row in 0..H {
                m[row][k] = q[row];
            }
        }
        let mut rows = [[S::splat(0.0); MOST]; MOST];
        for row in 0..H {
            rows[row] = back::<S, W>(m[row]);
        }
        rows
    }
}

/// Writes `W` columns of a row of outputs.
///
/// # Safety
/// The instruction set is there; the row has room for `W` vectors.
#[inline(always)]
pub(super) unsafe fn write<S: Simd, const W: usize>(row: *mut f32, columns: [S::V; MOST], bias: f32) {
    // SAFETY: as the caller says.
    unsafe {
        let bias = S::splat(bias);
        let mut values = columns;
        for v in 0..W {
            values[v] = S::add(columns[v], bias);
        }
        let united = unite::<S, W>(values);
        for v in 0..W {
            S::store(row.add(v * S::LANES), united[v]);
        }
    }
}

/// Transforms the sums of one channel and the last positions along depth back into rows of outputs: one slice, or the two
/// whose other parts [`add_up`] has summed, of `H` rows each, `W tiles` long.
///
/// # Safety
/// The instruction set is there; the operands hold whole vectors of tiles.
#[inline(always)]
pub(super) unsafe fn finish_rows<S: Simd, const H: usize, const W: usize>(
    item: &Item<'_>,
    (sums, plane): (*const f32, usize),
    slices: Option<*const f32>,
    bias: f32,
    (rows, pitch): (*mut f32, usize),
) {
    for t in (0..item.tiles).step_by(S::LANES) {
        // SAFETY: as the caller says.
        unsafe {
            let m = transform_back::<S, H, W>(sums, plane, t);
            for row in 0..H {
                let to = rows.add(row * pitch + W * t);
                let Some(slices) = slices else {
                    write::<S, W>(to, m[row], bias);
                    continue;
                };
                let (mut upper, mut lower) = (m[row], m[row]);
                for column in 0..W {
                    let at = slices.add((row * W + column) * item.pitch + t);
                    upper[column] = S::load(at);
                    lower[column] = S::sub(S::load(at.add(H * W * item.pitch)), m[row][column]);
                }
                write::<S, W>(to, upper, bias);
                write::<S, W>(to.add(H * pitch), lower, bias);
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
pub(super) unsafe fn add_up<S: Simd, const H: usize, const W: usize>(
    item: &Item<'_>,
    part: usize,
    (sums, plane): (*const f32, usize),
    slices: *mut f32,
) {
    for t in (0..item.tiles).step_by(S::LANES) {
        // SAFETY: as the caller says.
        unsafe {
            let m = transform_back::<S, H, W>(sums, plane, t);
            for i in 0..H * W {
                let v = m[i / W][i % W];
                let upper = slices.add(i * item.pitch + t);
                let lower = upper.add(H * W * item.pitch);
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
