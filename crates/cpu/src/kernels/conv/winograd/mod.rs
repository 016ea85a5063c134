//! Winograd's minimal filtering F(2x2x2, 3x3x3) and F(2x2, 3x3) (Lavin and Gray, CVPR 2016, section 4.1; Winograd 1980):
//! convolutions of width 3 without strides with 3.4 and 2.25 times fewer multiplications, forward and adjoint.
//!
//! Outputs are made in tiles of two along each transformed axis, counted from the first output of the whole image, so that
//! a part computed alone has the same bits as in a full pass. Data tiles are transformed (`B^T d B`), multiplied with the
//! transformed weights (`G g G^T`, made in double precision and rounded once) for every one of the 64 or 16 transformed
//! positions, and the sums over channels are transformed back (`A^T m A`). Vectors run over tiles, so rows need no
//! particular layout.
//!
//! Error, with `u = 2^-24`, `C` source channels, `X` the largest datum of a tile and `n` transformed axes: a transformed datum
//! is at most `2^n X`, the transformed weights of the positions that an output adds up are together at most `2^n sum |w|`,
//! and a term passes through at most `C + 14` roundings, so `|error| <= u (C + 14) 4^n X sum |w|`. The root mean square stays
//! within twice that of the plain sum; both are tested (`tests/winograd.rs`).

mod pack;
mod transform;

pub use pack::{pack, packed_len};

use super::output::{Block, Output};
use super::tile::{CHANNELS, Operands, tiles};
use super::{ITEMS, Problem};
use crate::buffer::Buffer;
use crate::isa::Isa;
use crate::simd::{Simd, per_isa};
use transform::{transform_back, transform_data};

/// Bytes of transformed data. More than the second cache holds: what counts is that one position's share, which all
/// channels read one after the other, fits the first.
const DATA_BYTES: usize = 1 << 20;
/// Bytes of sums that do.
const SUM_BYTES: usize = 128 << 10;
/// Tiles that fill registers, and more than which gain nothing.
const FEW: usize = 24;
const MANY: usize = 96;
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
                    let operands = Operands {
                        data: data.add(position * channels * item.pitch),
                        weights: weights[at..][..channels * CHANNELS].as_ptr(),
                        start: [0.0; CHANNELS],
                        sums: sums.add((position * share + block * CHANNELS) * item.pitch),
                        pitch: item.pitch,
                    };
                    let terms = (0..channels).map(|c| (c * item.pitch, c * CHANNELS));
                    tiles::<S>(item.tiles.div_ceil(S::LANES), operands, terms);
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
