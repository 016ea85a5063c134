//! The transforms of data (`B^T d B`) and of sums (`A^T m A`) of tiles of `H` rows and `W` columns. Vectors run over tiles.

use super::division::{Item, Line};
use super::filter::{MOST, POSITIONS, back, positions, transform};
use super::{Job, Workspace, plane_positions};
use crate::kernels::conv::apart;
use crate::kernels::conv::axis::Axis;
use crate::simd::Simd;

/// How a row of `B^T` joins two slices: the first alone, their sum or their difference.
const ALONE: u8 = 0;
const SUM: u8 = 1;
const DIFFERENCE: u8 = 2;

/// The slices of a tile that row `part` of `B^T` joins.
const JOINED: [[usize; 2]; 4] = [[0, 2], [1, 2], [2, 1], [1, 3]];

/// What lines of tiles read of one channel, transformed along depth and height: row for row the columns of all their tiles, with
/// zeros where there is no data.
#[derive(Clone, Copy)]
struct Rows {
    /// The first number.
    at: *mut f32,
    /// Numbers between rows.
    pitch: usize,
}

impl Rows {
    /// Room for the rows of all lines of an item one behind the other, and what vectors of tiles may run over behind them.
    fn new<S: Simd>(item: &Item<'_>, size: [usize; 2], w: &mut Workspace) -> Self {
        let pitch = apart(size[1] * (item.tiles + S::LANES) + 2 * item.lines.len() + 4 * S::LANES);
        Self { at: w.rows.room(positions(size[0]) * pitch).as_mut_ptr(), pitch }
    }

    /// The rows of the line of so many columns a tile that comes after so many others.
    fn of(&self, line: &Line, width: usize, before: usize) -> Self {
        Self { at: self.column(0, width * line.at + 2 * before), ..*self }
    }

    /// Column `column` of row `row`.
    fn column(&self, row: usize, column: usize) -> *mut f32 {
        self.at.wrapping_add(row * self.pitch + column)
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
    let plane_positions = plane_positions([H, W]);
    let between = Rows::new::<S>(item, [H, W], w);
    let zeros = w.zeros.room(p.axes[2].source + S::LANES).as_ptr();
    let mut read = core::mem::take(&mut w.read);
    read.clear();
    read.extend(item.lines.iter().map(|line| RowsRead::new::<H>(job, line, JOINED[part])));
    let volume: usize = p.axes.iter().map(|axis| axis.source).product();
    let data = w.data.room(item.data_len(first + plane_positions, channels))[first * plane..].as_mut_ptr();
    for channel in 0..channels {
        for (number, (line, read)) in item.lines.iter().zip(&read).enumerate() {
            let between = between.of(line, W, number);
            let source = &job.source[(line.image * channels + channel) * volume..][..volume];
            let rows = read.of(source, zeros);
            let axis = &p.axes[2];
            // SAFETY: as the caller says; the rows are as long as the source is wide. A line that runs over its end comes before
            // the one that it runs into.
            unsafe {
                match (job.tiles.parted, part) {
                    (None, _) => across::<S, H, W, ALONE>(axis, line, rows, &between),
                    (_, 1) => across::<S, H, W, SUM>(axis, line, rows, &between),
                    _ => across::<S, H, W, DIFFERENCE>(axis, line, rows, &between),
                }
            }
        }
        // Only when all lines are written: processors wait for what is read across two vectors that were just written.
        for (number, line) in item.lines.iter().enumerate() {
            let between = between.of(line, W, number);
            // SAFETY: the data have room for every position of every tile and a vector behind; as above.
            unsafe {
                along::<S, H, W>(&between, line.count, data.add(channel * item.pitch + line.at), plane)
            };
        }
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
        let start = |a: usize| (line.first[a] * job.tiles.size[a]) as isize + axes[a].low;
        let (first, parted) = ([start(0), start(1)], job.tiles.parted.unwrap_or(0));
        // Without parts there is one slice.
        let slices = if job.tiles.parted.is_some() { slices } else { [0; 2] };
        let mut rows = [[OUTSIDE; POSITIONS]; 2];
        for (rows, slice) in rows.iter_mut().zip(slices) {
            for (i, row) in rows.iter_mut().enumerate().take(positions(H)) {
                let mut at = first;
                at[parted] += slice as isize;
                at[1 - parted] += i as isize;
                let inside = |a: usize| at[a] >= 0 && (at[a] as usize) < axes[a].source;
                if inside(0) && inside(1) {
                    *row = (at[0] as usize * axes[1].source + at[1] as usize) * axes[2].source;
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

/// A vector of each of the rows of a tile, joined with those of another slice.
#[inline(always)]
unsafe fn joined<S: Simd, const H: usize, const JOIN: u8>(
    from: &[[*const f32; POSITIONS]; 2],
    at: usize,
    width: usize,
) -> [S::V; POSITIONS] {
    // SAFETY: as for `read`.
    unsafe {
        let mut v = [S::splat(0.0); POSITIONS];
        for i in 0..positions(H) {
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

/// Joins slices of what one line of tiles reads of one channel, and transforms them across the rows.
///
/// # Safety
/// The instruction set is there; rows are as long as the source is wide.
#[inline(always)]
unsafe fn across<S: Simd, const H: usize, const W: usize, const JOIN: u8>(
    axis: &Axis,
    line: &Line,
    from: [[*const f32; POSITIONS]; 2],
    to: &Rows,
) {
    let columns = W * line.count + 2;
    let x = (line.first[2] * W) as isize + axis.low;
    let before = x.min(0).unsigned_abs().min(columns);
    let end = (x + columns as isize).clamp(0, axis.source as isize) as usize;
    let (mut column, mut at) = (before, x.max(0) as usize);
    // SAFETY: as the caller says; what is read of a row ends at its end.
    unsafe {
        let nothing = |columns: core::ops::Range<usize>| {
            for column in columns {
                (0..positions(H)).for_each(|row| *to.column(row, column) = 0.0);
            }
        };
        nothing(0..before);
        while at < end {
            let values = transform::<S, H>(joined::<S, H, JOIN>(&from, at, axis.source));
            for row in 0..positions(H) {
                S::store(to.column(row, column), values[row]);
            }
            column += S::LANES;
            at += S::LANES;
        }
        nothing(column..columns);
    }
}

/// Transforms the columns of a line's tiles along the width, row by row.
///
/// # Safety
/// The instruction set is there; rows and data have room for whole vectors of tiles.
#[inline(always)]
unsafe fn along<S: Simd, const H: usize, const W: usize>(
    rows: &Rows,
    tiles: usize,
    data: *mut f32,
    plane: usize,
) {
    for row in 0..positions(H) {
        for tile in (0..tiles).step_by(S::LANES) {
            // SAFETY: as the caller says.
            unsafe {
                let from = rows.column(row, W * tile);
                // The last two columns of a tile are the first two of the next one.
                let (own, next) = (S::load_parted::<W>(from), S::load_parted::<W>(from.add(W)));
                let mut d = [S::splat(0.0); POSITIONS];
                for column in 0..W + 2 {
                    d[column] = if column < W { own[column] } else { next[column - W] };
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
            for i in 0..positions(H) {
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
        S::store_united::<W>(row, values);
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
