//! Winograd's minimal filtering F(2x2x2, 3x3x3) and F(2x2, 3x3) (Lavin and Gray, CVPR 2016, section 4.1; Winograd 1980):
//! convolutions of width 3 without strides with 3.4 and 2.25 times fewer multiplications, forward and adjoint.
//!
//! Outputs are made in tiles of two along each transformed axis, counted from the first output of the whole image, so that
//! a part computed alone has the same bits as in a full pass. Data tiles are transformed (`B^T d B`), multiplied with the
//! transformed weights (`G g G^T`, made in double precision and rounded once) for every one of the 64 or 16 transformed
//! positions, and the sums over channels are transformed back (`A^T m A`). Vectors run over tiles, so rows need no
//! particular layout.
//!
//! Error: the transforms only add, so with `u = 2^-24`, `C` source channels and `X` the largest datum of a tile,
//! `|error| <= u (C + 14) 8 * 27 / 4 * X * sum |w|` in the worst case for three axes; measured, it is below that of the
//! plain sum (`tests/winograd.rs`), because sums are shorter.

use super::output::{Block, Output};
use super::{Problem, direct::CHANNELS};
use crate::buffer::Buffer;
use crate::isa::Isa;
use crate::simd::{Simd, per_isa};

/// Bytes of transformed data that stay in the second cache.
const DATA_BYTES: usize = 256 << 10;
/// Bytes of sums that do.
const SUM_BYTES: usize = 128 << 10;
/// Tiles that fill registers, and more than which gain nothing.
const FEW: usize = 24;
const MANY: usize = 96;
/// Work items that keep the threads of any machine busy.
const ITEMS: usize = 16;
/// Fewer channels than this do not pay for the transforms.
const LEAST_CHANNELS: usize = 8;
/// Numbers behind rows that vectors may run over.
const SLACK: usize = 32;

/// How the tiles of a convolution are divided.
pub struct Tiles {
    /// Whether depth is transformed too.
    deep: bool,
    /// Tiles along each axis.
    count: [usize; 3],
    /// Tiles of a piece of a tile row, a multiple of 8 unless it is the whole row.
    piece: usize,
    /// Pieces of a row, and pieces (then whole rows) of an item.
    pieces: usize,
    rows: usize,
    /// Channels of an item, and items that share tiles.
    channels: usize,
    chunks: usize,
}

impl Tiles {
    /// The division, if the convolution is one that Winograd's filtering computes and gains from.
    pub fn new(p: &Problem) -> Option<Self> {
        let plain = p.axes.iter().all(|a| a.step == 1 && a.phases.len() == 1);
        let unit = |a: usize| p.axes[a].phases[0].windows(2).all(|t| (t[1].offset - t[0].offset).abs() == 1);
        let small = p.source_channels < LEAST_CHANNELS || p.target_channels < LEAST_CHANNELS;
        let empty = p.axes.iter().any(|a| a.target == 0 || a.source == 0);
        let three = p.kernel[1] == 3 && p.kernel[2] == 3 && matches!(p.kernel[0], 1 | 3);
        if !plain || !(0..3).all(unit) || small || empty || !three {
            return None;
        }
        let deep = p.kernel[0] == 3;
        let targets = [0, 1, 2].map(|a| p.axes[a].target);
        let count = [
            if deep { targets[0].div_ceil(2) } else { targets[0] },
            targets[1].div_ceil(2),
            targets[2].div_ceil(2),
        ];
        let bytes = positions(deep) * p.source_channels * size_of::<f32>();
        let most = (DATA_BYTES / bytes).clamp(FEW, MANY);
        let pieces = count[2].div_ceil(most);
        let piece = if pieces == 1 { count[2] } else { count[2].div_ceil(pieces).next_multiple_of(8) };
        let pieces = count[2].div_ceil(piece);
        let all = count[0] * count[1] * pieces;
        let mut rows = if pieces == 1 { (most / piece).clamp(1, all) } else { 1 };
        let images = p.batch * p.groups;
        while rows > 1 && rows * piece > FEW && images * all.div_ceil(rows) < ITEMS {
            rows -= 1;
        }
        let items = images * all.div_ceil(rows);
        let chunks = (ITEMS / items).clamp(1, p.target_channels.div_ceil(4 * CHANNELS));
        let channels = p.target_channels.div_ceil(chunks).next_multiple_of(CHANNELS);
        let chunks = p.target_channels.div_ceil(channels);
        Some(Self { deep, count, piece, pieces, rows, channels, chunks })
    }

    /// Work items.
    pub fn items(&self, p: &Problem) -> usize {
        p.batch * p.groups * self.lines().div_ceil(self.rows) * self.chunks
    }

    /// Pieces of tile rows.
    fn lines(&self) -> usize {
        self.count[0] * self.count[1] * self.pieces
    }
}

/// Transformed positions of a tile.
fn positions(deep: bool) -> usize {
    if deep { 64 } else { 16 }
}

/// What one thread needs.
#[derive(Default)]
pub struct Workspace {
    /// Transformed data `[position][channel][tile]`.
    data: Buffer,
    /// Sums `[position][channel][tile]`.
    sums: Buffer,
    /// Rows transformed along depth and height, then finished rows.
    rows: Buffer,
    /// A row without data.
    zeros: Buffer,
}

/// Everything that the items of one call share.
pub struct Job<'a> {
    /// The convolution.
    pub problem: &'a Problem,
    /// How it is divided.
    pub tiles: &'a Tiles,
    /// The data.
    pub source: &'a [f32],
    /// Weights as [`pack`] makes them.
    pub packed: &'a [f32],
    /// Added to the sums, one per channel of all groups.
    pub bias: Option<&'a [f32]>,
    /// Where they go.
    pub output: &'a Output<'a>,
}

/// A piece of a tile row in an item.
#[derive(Clone, Copy)]
struct Line {
    /// The first tile.
    first: [usize; 3],
    /// Tiles.
    count: usize,
    /// Tiles of the item before it.
    at: usize,
}

/// One item of a job.
struct Item {
    image: usize,
    /// Channels `channels.0 .. channels.1` of the group.
    channels: (usize, usize),
    /// Pieces of tile rows.
    lines: (usize, usize),
    /// Tiles in all, and numbers between channels in the buffers.
    tiles: usize,
    pitch: usize,
}

impl Job<'_> {
    fn item<S: Simd>(&self, number: usize) -> Item {
        let t = self.tiles;
        let (chunk, rest) = (number % t.chunks, number / t.chunks);
        let blocks = t.lines().div_ceil(t.rows);
        let (block, image) = (rest % blocks, rest / blocks);
        let lines = (block * t.rows, (block * t.rows + t.rows).min(t.lines()));
        let tiles = (lines.0..lines.1).map(|l| self.line(l, 0).count).sum();
        // Vectors of a row may run over its end; the next row must not begin there.
        let pitch = usize::next_multiple_of(tiles, S::LANES) + S::LANES;
        let first = chunk * t.channels;
        Item {
            image,
            channels: (first, (first + t.channels).min(self.problem.target_channels)),
            lines,
            tiles,
            pitch,
        }
    }

    fn line(&self, number: usize, at: usize) -> Line {
        let t = self.tiles;
        let (piece, row) = (number % t.pieces, number / t.pieces);
        let first = [row / t.count[1], row % t.count[1], piece * t.piece];
        Line { first, count: t.piece.min(t.count[2] - first[2]), at }
    }

    fn lines(&self, item: &Item) -> impl Iterator<Item = Line> {
        let mut at = 0;
        (item.lines.0..item.lines.1).map(move |number| {
            let line = self.line(number, at);
            at += line.count;
            line
        })
    }
}

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
unsafe fn transform_data<S: Simd>(job: &Job<'_>, item: &Item, w: &mut Workspace) {
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

/// Multiplies four channels of weights at one position with `J` vectors of tiles.
///
/// # Safety
/// The instruction set is there, and all operands have `channels` entries, `pitch` apart.
#[inline(always)]
unsafe fn multiply<S: Simd, const J: usize>(
    data: *const f32,
    weights: *const f32,
    channels: usize,
    sums: *mut f32,
    pitch: usize,
) {
    // SAFETY: as the caller says.
    unsafe {
        let mut sum = [[S::splat(0.0); J]; CHANNELS];
        let (mut data, mut weights) = (data, weights);
        for _ in 0..channels {
            S::add_products(&mut sum, data, weights);
            data = data.add(pitch);
            weights = weights.add(CHANNELS);
        }
        for c in 0..CHANNELS {
            for j in 0..J {
                S::store(sums.add(c * pitch + j * S::LANES), sum[c][j]);
            }
        }
    }
}

/// [`multiply`] for all tiles of an item.
#[inline(always)]
unsafe fn multiply_all<S: Simd>(
    item: &Item,
    data: *const f32,
    weights: *const f32,
    channels: usize,
    sums: *mut f32,
) {
    let vectors = item.tiles.div_ceil(S::LANES);
    let mut done = 0;
    while done < vectors {
        let left = vectors - done;
        let n = left.div_ceil(left.div_ceil(S::TILE));
        // SAFETY: as the caller of `multiply` says.
        unsafe {
            let (data, sums) = (data.add(done * S::LANES), sums.add(done * S::LANES));
            match n {
                1 => multiply::<S, 1>(data, weights, channels, sums, item.pitch),
                2 => multiply::<S, 2>(data, weights, channels, sums, item.pitch),
                3 if S::TILE >= 3 => multiply::<S, 3>(data, weights, channels, sums, item.pitch),
                4 if S::TILE >= 4 => multiply::<S, 4>(data, weights, channels, sums, item.pitch),
                5 if S::TILE >= 5 => multiply::<S, 5>(data, weights, channels, sums, item.pitch),
                _ => multiply::<S, 6>(data, weights, channels, sums, item.pitch),
            }
        }
        done += n;
    }
}

/// Transforms the sums of one channel back into rows of outputs: two slices (or one) of two rows, `2 tiles` long.
#[inline(always)]
unsafe fn transform_back<S: Simd, const DEEP: bool>(
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

/// Computes one item.
///
/// # Safety
/// The instruction set of `S` is there.
#[inline(always)]
unsafe fn item<S: Simd>(job: &Job<'_>, number: usize, w: &mut Workspace) {
    let p = job.problem;
    let item = job.item::<S>(number);
    // SAFETY: as the caller says.
    unsafe { transform_data::<S>(job, &item, w) };
    let (n, channels) = (positions(job.tiles.deep), p.source_channels);
    let share =
        (SUM_BYTES / (n * item.pitch * size_of::<f32>())).next_multiple_of(CHANNELS).max(4 * CHANNELS);
    let share = share.max(channels / 2).next_multiple_of(CHANNELS);
    let data = w.data.room(n * channels * item.pitch + SLACK).as_ptr();
    let sums = w.sums.room(n * share * item.pitch + SLACK).as_mut_ptr();
    let group = item.image % p.groups;
    let weights = &job.packed[group * p.blocks() * CHANNELS * channels * n..];
    let mut first = item.channels.0;
    while first < item.channels.1 {
        let blocks = (item.channels.1 - first).min(share).div_ceil(CHANNELS);
        for position in 0..n {
            for block in 0..blocks {
                let at = (position * p.blocks() + first / CHANNELS + block) * channels * CHANNELS;
                // SAFETY: the buffers have room for every position, channel and tile of the item.
                unsafe {
                    let into = sums.add((position * share + block * CHANNELS) * item.pitch);
                    let from = data.add(position * channels * item.pitch);
                    multiply_all::<S>(
                        &item,
                        from,
                        weights[at..][..channels * CHANNELS].as_ptr(),
                        channels,
                        into,
                    );
                }
            }
        }
        let last = (first + share).min(item.channels.1);
        // SAFETY: as above.
        unsafe { finish::<S>(job, &item, (first, last), sums, share * item.pitch, w) };
        first = last;
    }
}

/// Transforms finished sums of some channels back and hands them to the output.
#[inline(always)]
unsafe fn finish<S: Simd>(
    job: &Job<'_>,
    item: &Item,
    channels: (usize, usize),
    sums: *const f32,
    plane: usize,
    w: &mut Workspace,
) {
    let p = job.problem;
    let (slices, pitch) = (if job.tiles.deep { 2 } else { 1 }, 2 * item.pitch);
    let rows = w.rows.room(4 * pitch + SLACK).as_mut_ptr();
    for channel in channels.0..channels.1 {
        let all = item.image % p.groups * p.target_channels + channel;
        let bias = job.bias.map_or(0.0, |b| b[all]);
        // SAFETY: the sums of every channel of the share are there, and the rows have room for four times all columns;
        // items do not share outputs.
        unsafe {
            let sums = sums.add((channel - channels.0) * item.pitch);
            if job.tiles.deep {
                transform_back::<S, true>(item, sums, plane, bias, rows, pitch);
            } else {
                transform_back::<S, false>(item, sums, plane, bias, rows, pitch);
            }
            for line in job.lines(item) {
                let first = [line.first[0] * slices, line.first[1] * 2, line.first[2] * 2];
                let left = |a: usize, n: usize| (p.axes[a].target - first[a]).min(n);
                let count = [left(0, slices), left(1, 2), left(2, 2 * line.count)];
                let plane = item.image * p.target_channels + channel;
                let block = Block { plane, first, step: [1; 3], count, pitch: [2 * pitch, pitch] };
                job.output.write::<S>(&block, rows.add(2 * line.at));
            }
        }
    }
}

per_isa! {
    /// Computes item `number` of a job.
    fn run_item(job: &Job<'_>, number: usize, workspace: &mut Workspace) = item
}

impl Job<'_> {
    /// Computes item `number`.
    pub fn run(&self, isa: Isa, number: usize, workspace: &mut Workspace) {
        run_item(isa, self, number, workspace);
    }
}

/// `G` of F(2, 3).
fn filter(g: [f64; 3]) -> [f64; 4] {
    [g[0], (g[0] + g[1] + g[2]) / 2.0, (g[0] - g[1] + g[2]) / 2.0, g[2]]
}

/// Numbers of the transformed weights.
pub fn packed_len(p: &Problem, tiles: &Tiles) -> usize {
    positions(tiles.deep) * p.groups * p.blocks() * CHANNELS * p.source_channels
}

/// Transformed weights as `[group][position][block of channels][source channel][channel in block]`.
/// `weight(o, c, k)` is as for the direct convolution, `k` in the order of shifts.
pub fn pack(p: &Problem, tiles: &Tiles, weight: impl Fn(usize, usize, usize) -> f64, packed: &mut [f32]) {
    packed.fill(0.0);
    let n = positions(tiles.deep);
    // Taps in ascending order of their shifts: the adjoint's descend.
    let order = |a: usize, k: usize| {
        if p.axes[a].phases[0][0].offset == p.axes[a].low { k } else { p.kernel[a] - 1 - k }
    };
    let tap =
        |z: usize, y: usize, x: usize| (order(0, z) * p.kernel[1] + order(1, y)) * p.kernel[2] + order(2, x);
    for group in 0..p.groups {
        for t in 0..p.target_channels {
            for c in 0..p.source_channels {
                let g = |z, y, x| weight(group * p.target_channels + t, c, tap(z, y, x));
                let u = if tiles.deep { filter_volume(g) } else { filter_plane(|y, x| g(0, y, x)).to_vec() };
                for (position, u) in u.into_iter().enumerate() {
                    let block = (group * n + position) * p.blocks() + t / CHANNELS;
                    packed[(block * p.source_channels + c) * CHANNELS + t % CHANNELS] = u as f32;
                }
            }
        }
    }
}

fn filter_plane(g: impl Fn(usize, usize) -> f64) -> [f64; 16] {
    let rows = [0, 1, 2].map(|y| filter([g(y, 0), g(y, 1), g(y, 2)]));
    let mut u = [0.0; 16];
    for x in 0..4 {
        let column = filter([rows[0][x], rows[1][x], rows[2][x]]);
        (0..4).for_each(|y| u[y * 4 + x] = column[y]);
    }
    u
}

fn filter_volume(g: impl Fn(usize, usize, usize) -> f64) -> Vec<f64> {
    let planes = [0, 1, 2].map(|z| filter_plane(|y, x| g(z, y, x)));
    let mut u = vec![0.0; 64];
    for i in 0..16 {
        let column = filter([planes[0][i], planes[1][i], planes[2][i]]);
        (0..4).for_each(|z| u[z * 16 + i] = column[z]);
    }
    u
}
