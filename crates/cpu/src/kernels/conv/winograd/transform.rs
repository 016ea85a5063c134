//! The transforms of data (`B^T d B`) and of sums (`A^T m A`). Vectors run over the columns of an image and over tiles.

use super::{Item, Job, Line, SLACK, Workspace, positions};
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

/// Transforms the data of an item into `w.data`.
///
/// # Safety
/// The instruction set of `S` is there.
#[inline(always)]
pub(super) unsafe fn transform_data<S: Simd>(job: &Job<'_>, item: &Item, w: &mut Workspace) {
    let p = job.problem;
    let [depth, height, width] = [0, 1, 2].map(|a| p.axes[a].source);
    let channels = p.source_channels;
    let data = w.data.room(positions(job.tiles.deep) * channels * item.pitch + SLACK).as_mut_ptr();
    let pitch = (2 * job.tiles.piece + 2).next_multiple_of(S::LANES) + 2 * S::LANES;
    let rows = w.rows.room(16 * pitch + SLACK).as_mut_ptr();
    let zeros = w.zeros.room(width + SLACK).as_ptr();
    for channel in 0..channels {
        let from = (item.image * channels + channel) * depth * height * width;
        let volume = &job.source[from..from + depth * height * width];
        for line in job.lines(item) {
            let row = |z: isize, y: isize| {
                let inside = z >= 0 && y >= 0 && (z as usize) < depth && (y as usize) < height;
                if inside {
                    volume[(z as usize * height + y as usize) * width..][..width].as_ptr()
                } else {
                    zeros
                }
            };
            let start = |a: usize, size: usize| (line.first[a] * size) as isize + p.axes[a].low;
            let (x, y) = (start(2, 2), start(1, 2));
            let columns = 2 * line.count + 2;
            // SAFETY: rows are as long as the source is wide, or zeros of that length; the buffers have room for every
            // position of every tile.
            unsafe {
                if job.tiles.deep {
                    let z = start(0, 2);
                    let from = core::array::from_fn(|i| row(z + i as isize / 4, y + i as isize % 4));
                    across::<S, 16>(from, x, width, columns, rows, pitch);
                    along::<S, 16>(
                        rows,
                        pitch,
                        &line,
                        data.add(channel * item.pitch + line.at),
                        channels * item.pitch,
                    );
                } else {
                    let z = start(0, 1);
                    let from = core::array::from_fn(|i| row(z, y + i as isize));
                    across::<S, 4>(from, x, width, columns, rows, pitch);
                    along::<S, 4>(
                        rows,
                        pitch,
                        &line,
                        data.add(channel * item.pitch + line.at),
                        channels * item.pitch,
                    );
                }
            }
        }
    }
}

/// Transforms `N` rows (4 of height, or 4 by 4 of depth and height) across rows, columns `x ..` of the source going to
/// columns `0 .. columns` of `rows`, zeros where there is no data.
#[inline(always)]
unsafe fn across<S: Simd, const N: usize>(
    from: [*const f32; N],
    x: isize,
    width: usize,
    columns: usize,
    rows: *mut f32,
    pitch: usize,
) {
    let first = x.min(0).unsigned_abs().min(columns);
    let last = (width as isize - x).clamp(first as isize, columns as isize) as usize;
    // SAFETY: as the caller of `transform_data` says; what is read of a row ends at its end.
    unsafe {
        for i in 0..N {
            let row = rows.add(i * pitch);
            (0..first).for_each(|c| *row.add(c) = 0.0);
        }
        let mut c = first;
        while c < last {
            let at = (x + c as isize) as usize;
            let left = width - at;
            let mut d = [S::splat(0.0); N];
            for i in 0..N {
                d[i] = if left >= S::LANES {
                    S::load(from[i].add(at))
                } else {
                    S::load_first(from[i].add(at), left)
                };
            }
            if N == 16 {
                for j in 0..4 {
                    let q = transform::<S>([d[j], d[4 + j], d[8 + j], d[12 + j]]);
                    (0..4).for_each(|i| d[i * 4 + j] = q[i]);
                }
            }
            for i in 0..N / 4 {
                let q = transform::<S>([d[i * 4], d[i * 4 + 1], d[i * 4 + 2], d[i * 4 + 3]]);
                (0..4).for_each(|j| S::store(rows.add((i * 4 + j) * pitch + c), q[j]));
            }
            c += S::LANES;
        }
        for i in 0..N {
            let row = rows.add(i * pitch);
            (last..columns).for_each(|c| *row.add(c) = 0.0);
        }
    }
}

/// Transforms `N` rows along the width: columns `2 t .. 2 t + 4` become four positions of tile `t`.
#[inline(always)]
unsafe fn along<S: Simd, const N: usize>(
    rows: *const f32,
    pitch: usize,
    line: &Line,
    data: *mut f32,
    plane: usize,
) {
    for i in 0..N {
        for t in (0..line.count).step_by(S::LANES) {
            // SAFETY: rows and data have room for whole vectors, says the caller.
            unsafe {
                let row = rows.add(i * pitch + 2 * t);
                let (d0, d1) = S::deinterleave(S::load(row), S::load(row.add(S::LANES)));
                let (d2, d3) = S::deinterleave(S::load(row.add(2)), S::load(row.add(S::LANES + 2)));
                let q = transform::<S>([d0, d1, d2, d3]);
                (0..4).for_each(|k| S::store(data.add((i * 4 + k) * plane + t), q[k]));
            }
        }
    }
}

/// Transforms the sums of one channel back into rows of outputs: two slices (or one) of two rows, `2 tiles` long.
#[inline(always)]
pub(super) unsafe fn transform_back<S: Simd, const DEEP: bool>(
    item: &Item,
    sums: *const f32,
    plane: usize,
    bias: f32,
    rows: *mut f32,
    pitch: usize,
) {
    let slices = if DEEP { 2 } else { 1 };
    for t in (0..item.tiles).step_by(S::LANES) {
        // SAFETY: sums and rows have room for whole vectors, says the caller.
        unsafe {
            let mut s = [[S::splat(0.0); 4]; 4];
            for k in 0..4 {
                let at = |i: usize, j: usize| S::load(sums.add(((i * 4 + j) * 4 + k) * plane + t));
                if DEEP {
                    let mut half = [[S::splat(0.0); 4]; 2];
                    for j in 0..4 {
                        let q = back::<S>([at(0, j), at(1, j), at(2, j), at(3, j)]);
                        (half[0][j], half[1][j]) = (q[0], q[1]);
                    }
                    for z in 0..2 {
                        let q = back::<S>(half[z]);
                        (s[2 * z][k], s[2 * z + 1][k]) = (q[0], q[1]);
                    }
                } else {
                    let q = back::<S>([at(0, 0), at(0, 1), at(0, 2), at(0, 3)]);
                    (s[0][k], s[1][k]) = (q[0], q[1]);
                }
            }
            for row in 0..2 * slices {
                let q = back::<S>(s[row]);
                let bias = S::splat(bias);
                let (a, b) = S::interleave(S::add(q[0], bias), S::add(q[1], bias));
                S::store(rows.add(row * pitch + 2 * t), a);
                S::store(rows.add(row * pitch + 2 * t + S::LANES), b);
            }
        }
    }
}
