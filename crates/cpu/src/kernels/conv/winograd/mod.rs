//! Winograd's minimal filtering F(2x2x2, 3x3x3) and F(2x2, 3x3) (Lavin and Gray, CVPR 2016, section 4.1; Winograd 1980):
//! convolutions of width 3 without strides with 3.4 and 2.25 times fewer multiplications, forward and adjoint.
//!
//! Outputs are made in tiles of two along each transformed axis, counted from the first output of the whole image, so that
//! a part computed alone has the same bits as in a full pass. Data tiles are transformed (`B^T d B`), multiplied with the
//! transformed weights (`G g G^T`, made in double precision and rounded once) for every one of the 64 or 16 transformed
//! positions, and the sums over channels are transformed back (`A^T m A`). Vectors run over tiles, so rows need no
//! particular layout. Where depth is transformed, its four positions are computed one after the other and added up in
//! place: a quarter of the data is alive at a time, and what is alive stays in the second cache. A network's first layer, with
//! few channels, goes another way ([`shallow`]).
//!
//! Error, with `u = 2^-24`, `C` source channels, `X` the largest datum of a tile and `n` transformed axes: a transformed datum
//! is at most `2^n X`, the transformed weights of the positions that an output adds up are together at most `2^n sum |w|`,
//! and a term passes through at most `C + 14` roundings (`2 C + 14` below eight channels), so `|error| <= u (C + 14) 4^n X
//! sum |w|`. The root mean square stays within twice that of the plain sum; both are tested (`tests/winograd.rs`).

mod cut;
mod pack;
mod shallow;
mod transform;

pub use cut::Cut;
pub use pack::{pack, packed_len};

use super::output::{Block, Output};
use super::tile::{CHANNELS, Operands, tiles};
use super::whole_windows::Collected;
use super::{ITEMS, Problem, apart};
use crate::buffer::Buffer;
use crate::isa::Isa;
use crate::simd::{Simd, per_isa};
use transform::{add_up, finish_rows, transform_data};

/// Bytes of data, sums and slices that are alive together: they and some weights fit a second cache of half a megabyte.
const CACHE_BYTES: usize = 400 << 10;
/// Channels whose sums are transformed back together.
const SHARE: usize = 16;
/// Transformed positions of a tile across depth, which are computed together.
const PLANE: usize = 16;
/// Tiles that fill registers, and more than which gain nothing.
const FEW: usize = 24;
const MANY: usize = 96;
/// Fewer source channels than this do not pay for buffers of sums, and want as many target channels to pay for the
/// transforms; others pay with one block of target channels.
const LEAST_CHANNELS: usize = 8;
/// How the tiles of a convolution are divided.
pub struct Tiles {
    /// Whether depth is transformed too.
    deep: bool,
    /// Whether all of a tile stays near the registers, see [`shallow`].
    shallow: bool,
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
        let deep = p.kernel[0] == 3;
        let shallow = p.source_channels < LEAST_CHANNELS;
        let small = p.target_channels < if shallow { LEAST_CHANNELS } else { CHANNELS } || shallow && !deep;
        let empty = p.axes.iter().any(|a| a.target == 0 || a.source == 0);
        let three = p.kernel[1] == 3 && p.kernel[2] == 3 && matches!(p.kernel[0], 1 | 3);
        if !plain || !(0..3).all(unit) || small || empty || !three {
            return None;
        }
        let targets = [0, 1, 2].map(|a| p.axes[a].target);
        let count = [
            if deep { targets[0].div_ceil(2) } else { targets[0] },
            targets[1].div_ceil(2),
            targets[2].div_ceil(2),
        ];
        let alive = match (shallow, deep) {
            (true, _) => positions(deep) * p.source_channels,
            (_, true) => PLANE * (p.source_channels + SHARE) + 8 * p.target_channels,
            _ => PLANE * (p.source_channels + SHARE),
        };
        let most = (CACHE_BYTES / (alive * size_of::<f32>())).clamp(FEW, MANY);
        let pieces = count[2].div_ceil(most);
        let piece = if pieces == 1 { count[2] } else { count[2].div_ceil(pieces).next_multiple_of(8) };
        let pieces = count[2].div_ceil(piece);
        let all = p.batch * count[0] * count[1] * pieces;
        let mut rows = if pieces == 1 { (most / piece).clamp(1, all) } else { 1 };
        while rows > 1 && rows * piece > FEW && p.groups * all.div_ceil(rows) < ITEMS {
            rows -= 1;
        }
        let items = p.groups * all.div_ceil(rows);
        let chunks = (ITEMS / items).clamp(1, p.target_channels.div_ceil(4 * CHANNELS));
        let channels = p.target_channels.div_ceil(chunks).next_multiple_of(CHANNELS);
        let chunks = p.target_channels.div_ceil(channels);
        Some(Self { deep, shallow, count, piece, pieces, rows, channels, chunks })
    }

    /// Pieces of tile rows of all examples.
    fn lines(&self, p: &Problem) -> usize {
        p.batch * self.count[0] * self.count[1] * self.pieces
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
    /// What positions along depth have added to the outputs so far `[channel][slice][row][column][tile]`.
    slices: Buffer,
    /// Rows transformed along depth and height, then finished rows.
    rows: Buffer,
    /// A row without data.
    zeros: Buffer,
    /// Windows of a pooling.
    collected: Collected,
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
    /// What of the tiles is computed, if not all.
    pub cut: Option<&'a Cut>,
}

/// A piece of a tile row in an item.
#[derive(Clone, Copy)]
struct Line {
    /// Example times groups plus group.
    image: usize,
    /// The first tile.
    first: [usize; 3],
    /// Tiles.
    count: usize,
    /// Tiles of the item before it.
    at: usize,
}

/// One item of a job.
struct Item {
    group: usize,
    /// Channels `channels.0 .. channels.1` of the group.
    channels: (usize, usize),
    /// Pieces of tile rows.
    lines: (usize, usize),
    /// Tiles in all, and numbers between channels in the buffers.
    tiles: usize,
    pitch: usize,
}

impl Item {
    /// Numbers between transformed positions of `channels` channels.
    fn plane(&self, channels: usize) -> usize {
        apart(channels * self.pitch)
    }

    /// Numbers of `positions` transformed positions of `channels` channels, and what vectors may run over behind them.
    fn data_len(&self, positions: usize, channels: usize) -> usize {
        positions * self.plane(channels) + 2 * MANY
    }
}

impl Job<'_> {
    /// Work items.
    pub fn items(&self) -> usize {
        let (t, p) = (self.tiles, self.problem);
        let blocks = self.cut.map_or_else(|| t.lines(p).div_ceil(t.rows), |cut| cut.items.len());
        p.groups * blocks * t.chunks
    }

    fn item<S: Simd>(&self, number: usize) -> Item {
        let (t, p) = (self.tiles, self.problem);
        let (chunk, rest) = (number % t.chunks, number / t.chunks);
        let (group, lines) = match self.cut {
            Some(cut) => (0, cut.items[rest]),
            None => {
                let blocks = t.lines(p).div_ceil(t.rows);
                let first = rest % blocks * t.rows;
                (rest / blocks, (first, (first + t.rows).min(t.lines(p))))
            }
        };
        let tiles = (lines.0..lines.1).map(|l| self.line(l, group, 0).count).sum();
        // Vectors of a row may run over its end; the next row must not begin there.
        let pitch = usize::next_multiple_of(tiles, S::LANES) + S::LANES;
        let first = chunk * t.channels;
        Item { group, channels: (first, (first + t.channels).min(p.target_channels)), lines, tiles, pitch }
    }

    fn line(&self, number: usize, group: usize, at: usize) -> Line {
        if let Some(cut) = self.cut {
            return Line { at, ..cut.live[number] };
        }
        let t = self.tiles;
        let (piece, row) = (number % t.pieces, number / t.pieces);
        let (y, rest) = (row % t.count[1], row / t.count[1]);
        let (z, example) = (rest % t.count[0], rest / t.count[0]);
        let first = [z, y, piece * t.piece];
        Line {
            image: example * self.problem.groups + group,
            first,
            count: t.piece.min(t.count[2] - first[2]),
            at,
        }
    }

    fn bias(&self, item: &Item, channel: usize) -> f32 {
        self.bias.map_or(0.0, |b| b[item.group * self.problem.target_channels + channel])
    }

    fn lines(&self, item: &Item) -> impl Iterator<Item = Line> {
        let mut at = 0;
        (item.lines.0..item.lines.1).map(move |number| {
            let line = self.line(number, item.group, at);
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
    let item = job.item::<S>(number);
    if job.tiles.shallow {
        // SAFETY: as the caller says.
        return unsafe { shallow::item::<S>(job, &item, w) };
    }
    let parts = if job.tiles.deep { 4 } else { 1 };
    for part in 0..parts {
        // SAFETY: as the caller says.
        unsafe { transform_data::<S>(job, &item, part, 0, w) };
        let mut first = item.channels.0;
        while first < item.channels.1 {
            let last = (first + SHARE).min(item.channels.1);
            // SAFETY: the data of the part was just made, as were those of the parts before.
            unsafe {
                multiply::<S>(job, &item, part, (first, last), w);
                if part + 1 == parts {
                    finish::<S>(job, &item, (first, last), w);
                } else {
                    add_channels::<S>(&item, part, (first, last), w);
                }
            }
            first = last;
        }
    }
}

/// Sums products over channels, for the transformed positions of one part and some target channels.
#[inline(always)]
unsafe fn multiply<S: Simd>(
    job: &Job<'_>,
    item: &Item,
    part: usize,
    (first, last): (usize, usize),
    w: &mut Workspace,
) {
    let p = job.problem;
    let channels = p.source_channels;
    let data = w.data.room(item.data_len(PLANE, channels)).as_ptr();
    let sums = w.sums.room(item.data_len(PLANE, SHARE)).as_mut_ptr();
    let positions = positions(job.tiles.deep);
    for position in 0..PLANE {
        let packed = (item.group * positions + part * PLANE + position) * p.blocks();
        for block in 0..(last - first).div_ceil(CHANNELS) {
            let at = (packed + first / CHANNELS + block) * channels * CHANNELS;
            // SAFETY: the buffers have room for every position, channel and tile of the item.
            unsafe {
                let operands = Operands {
                    data: data.add(position * item.plane(channels)),
                    weights: job.packed[at..][..channels * CHANNELS].as_ptr(),
                    start: Some([0.0; CHANNELS]),
                    sums: sums.add(position * item.plane(SHARE) + block * CHANNELS * item.pitch),
                    pitch: item.pitch,
                };
                let terms = (0..channels).map(|c| (c * item.pitch, c * CHANNELS));
                tiles::<S>(item.tiles.div_ceil(S::LANES), operands, terms);
            }
        }
    }
}

/// Where the sums of the first channel of a share are, and what positions along depth have added up of channel `channel`.
fn shared(item: &Item, channel: usize, w: &mut Workspace) -> (*const f32, *mut f32) {
    let all = (item.channels.1 - item.channels.0) * 8 * item.pitch + MANY;
    let at = (channel - item.channels.0) * 8 * item.pitch;
    (w.sums.room(item.data_len(PLANE, SHARE)).as_ptr(), w.slices.room(all)[at..].as_mut_ptr())
}

/// Adds the sums of a part along depth to those of the parts before.
#[inline(always)]
unsafe fn add_channels<S: Simd>(item: &Item, part: usize, channels: (usize, usize), w: &mut Workspace) {
    for channel in channels.0..channels.1 {
        let (sums, slices) = shared(item, channel, w);
        // SAFETY: the sums of every channel of the share are there; slices have room for all channels of the item.
        unsafe {
            let sums = sums.add((channel - channels.0) * item.pitch);
            add_up::<S>(item, part, (sums, item.plane(SHARE)), slices);
        }
    }
}

/// Transforms finished sums of some channels back and hands them to the output.
#[inline(always)]
unsafe fn finish<S: Simd>(job: &Job<'_>, item: &Item, channels: (usize, usize), w: &mut Workspace) {
    let pitch = 2 * item.pitch;
    for channel in channels.0..channels.1 {
        let bias = job.bias(item, channel);
        let (sums, earlier) = shared(item, channel, w);
        let earlier = job.tiles.deep.then_some(earlier.cast_const());
        let rows = w.rows.room(4 * pitch + MANY).as_mut_ptr();
        // SAFETY: the sums of every channel of the share are there, and the rows have room for four times all columns;
        // items do not share outputs.
        unsafe {
            let sums = sums.add((channel - channels.0) * item.pitch);
            finish_rows::<S>(item, (sums, item.plane(SHARE)), earlier, bias, (rows, pitch));
            write_lines::<S>(job, item, channel, rows);
        }
    }
}

/// Hands finished rows of a channel to the output, twice `item.pitch` numbers apart.
///
/// # Safety
/// The instruction set is there; the rows hold all columns of the item's tiles; items do not share outputs.
#[inline(always)]
unsafe fn write_lines<S: Simd>(job: &Job<'_>, item: &Item, channel: usize, rows: *mut f32) {
    let (p, pitch) = (job.problem, 2 * item.pitch);
    let slices = if job.tiles.deep { 2 } else { 1 };
    for line in job.lines(item) {
        let first = [line.first[0] * slices, line.first[1] * 2, line.first[2] * 2];
        let left = |a: usize, n: usize| (p.axes[a].target - first[a]).min(n);
        let count = [left(0, slices), left(1, 2), left(2, 2 * line.count)];
        let plane = line.image * p.target_channels + channel;
        let block = Block { plane, first, step: [1; 3], count, pitch: [2 * pitch, pitch] };
        // SAFETY: as the caller says.
        unsafe { job.output.write::<S>(&block, rows.add(2 * line.at)) };
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
