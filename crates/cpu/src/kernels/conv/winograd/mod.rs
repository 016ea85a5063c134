//! Winograd's minimal filtering (Lavin and Gray, CVPR 2016, section 4.1; Winograd 1980) of convolutions of width 3 without
//! strides, forward and adjoint: F(2x2x2, 3x3x3) and F(2x2, 3x3), with 3.4 and 2.25 times fewer multiplications, and where the
//! user wants speed F(2x4x4, 3x3x3) and F(4x4, 3x3), with 6 and 4 times fewer.
//!
//! Outputs are made in tiles, counted from the first output of the whole image, so that a part computed alone has the same bits
//! as in a full pass. Data tiles are transformed (`B^T d B`), multiplied with the transformed weights (`G g G^T`, made in double
//! precision and rounded once) for every transformed position, and the sums over channels are transformed back
//! (`A^T m A`); the matrices of an axis are those of [`filter`]. Vectors run over tiles, so rows need no
//! particular layout. Where depth is transformed, its four positions are computed one after the other and added up in
//! place, and so are those along height in images of many channels: a quarter of the data is alive at a time, and what is alive
//! stays in the second cache. A network's first layer, with few channels, goes another way ([`shallow`]).
//!
//! Error, with `u = 2^-24`, `C` source channels, `X` the largest datum of a tile, along `n` axes tiles of two outputs and along `m`
//! axes of four: a transformed datum and what it is made of are at most `2^n 10^m X`, the transformed weights of the positions that
//! an output adds up are together at most `2^n 4^m sum |w|`, and a term passes through at most `C + 14 + 6 m` roundings (`2 C + 14 +
//! 6 m` below eight channels), so `|error| <= u (C + 14 + 6 m) 4^n 40^m X sum |w|`. The root mean square stays within twice that of the
//! plain sum with tiles of two, and within six times with two axes of four; both are tested (`tests/kernels/winograd.rs`), and what
//! is usual stands at [`crate::Filtering`].

mod cut;
mod division;
mod filter;
mod pack;
mod portions;
mod shallow;
mod transform;

pub use cut::Cut;
pub use division::Tiles;
use filter::positions;
pub(super) use filter::{MOST, back};
pub use pack::{pack, packed_len};

use super::Problem;
use super::output::{Block, Output};
use super::tile::{CHANNELS, Operands, tiles_of_blocks};
use super::whole_windows::Collected;
use crate::buffer::Buffer;
use crate::isa::Isa;
use crate::simd::{Simd, per_isa};
use division::{Item, Line, MANY, SHARE};
use transform::{RowsRead, add_up, finish_rows, transform_data};

/// Transformed positions of a plane of so many rows and columns of outputs.
const fn plane_positions([rows, columns]: [usize; 2]) -> usize {
    positions(rows) * positions(columns)
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
    /// Parts of tile rows, and what they read.
    lines: Vec<Line>,
    read: Vec<RowsRead>,
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

/// Computes one item.
///
/// # Safety
/// The instruction set of `S` is there.
#[inline(always)]
unsafe fn item<S: Simd>(job: &Job<'_>, number: usize, w: &mut Workspace) {
    let mut lines = core::mem::take(&mut w.lines);
    let item = job.item::<S>(number, &mut lines);
    // SAFETY: as the caller says.
    unsafe {
        match (job.tiles.shallow, job.tiles.across()) {
            (true, [4, 4]) => shallow::item::<S, 4, 4>(job, &item, w),
            (true, _) => shallow::item::<S, 2, 2>(job, &item, w),
            (_, [4, 4]) => filter_item::<S, 4, 4>(job, &item, w),
            (_, [2, 4]) => filter_item::<S, 2, 4>(job, &item, w),
            (_, [1, 4]) => filter_item::<S, 1, 4>(job, &item, w),
            (_, [1, _]) => filter_item::<S, 1, 2>(job, &item, w),
            _ => filter_item::<S, 2, 2>(job, &item, w),
        }
    }
    w.lines = lines;
}

/// Computes one item of tiles of `H` rows and `W` columns across the axis that is computed in parts.
///
/// # Safety
/// The instruction set of `S` is there.
#[inline(always)]
unsafe fn filter_item<S: Simd, const H: usize, const W: usize>(
    job: &Job<'_>,
    item: &Item<'_>,
    w: &mut Workspace,
) {
    let parts = if job.tiles.parted.is_some() { 4 } else { 1 };
    for part in 0..parts {
        // SAFETY: as the caller says.
        unsafe { transform_data::<S, H, W>(job, item, part, 0, w) };
        let mut first = item.channels.0;
        while first < item.channels.1 {
            let last = (first + SHARE).min(item.channels.1);
            // SAFETY: the data of the part was just made, as were those of the parts before.
            unsafe {
                multiply::<S>(job, item, part, (first, last), w);
                if part + 1 == parts {
                    finish::<S, H, W>(job, item, (first, last), w);
                } else {
                    add_channels::<S, H, W>(job, item, part, (first, last), w);
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
    item: &Item<'_>,
    part: usize,
    (first, last): (usize, usize),
    w: &mut Workspace,
) {
    let p = job.problem;
    let (channels, plane) = (p.source_channels, job.tiles.plane());
    let data = w.data.room(item.data_len(plane, channels)).as_ptr();
    let sums = w.sums.room(item.data_len(plane, SHARE)).as_mut_ptr();
    for position in 0..plane {
        let packed = (item.group * job.tiles.positions() + part * plane + position) * p.blocks();
        let operands = |block: usize| {
            let at = (packed + first / CHANNELS + block) * channels * CHANNELS;
            Operands {
                channels: CHANNELS,
                data: data.wrapping_add(position * item.plane(channels)),
                weights: job.packed[at..][..channels * CHANNELS].as_ptr(),
                start: Some([0.0; CHANNELS]),
                sums: sums.wrapping_add(position * item.plane(SHARE) + block * CHANNELS * item.pitch),
                pitch: item.pitch,
            }
        };
        let terms = (0..channels).map(|c| (c * item.pitch, c * CHANNELS));
        let blocks = (last - first).div_ceil(CHANNELS);
        // SAFETY: the buffers have room for every position, channel and tile of the item.
        unsafe { tiles_of_blocks::<S>(item.tiles.div_ceil(S::LANES), blocks, operands, terms) };
    }
}

/// Where the sums of the first channel of a share are, and what positions along depth have added up of channel `channel`.
fn shared(job: &Job<'_>, item: &Item<'_>, channel: usize, w: &mut Workspace) -> (*const f32, *mut f32) {
    let tile = job.tiles.outputs();
    let all = (item.channels.1 - item.channels.0) * tile * item.pitch + MANY;
    let at = (channel - item.channels.0) * tile * item.pitch;
    (w.sums.room(item.data_len(job.tiles.plane(), SHARE)).as_ptr(), w.slices.room(all)[at..].as_mut_ptr())
}

/// Adds the sums of a part along depth to those of the parts before.
#[inline(always)]
unsafe fn add_channels<S: Simd, const H: usize, const W: usize>(
    job: &Job<'_>,
    item: &Item<'_>,
    part: usize,
    channels: (usize, usize),
    w: &mut Workspace,
) {
    for channel in channels.0..channels.1 {
        let (sums, slices) = shared(job, item, channel, w);
        // SAFETY: the sums of every channel of the share are there; slices have room for all channels of the item.
        unsafe {
            let sums = sums.add((channel - channels.0) * item.pitch);
            add_up::<S, H, W>(item, part, (sums, item.plane(SHARE)), slices);
        }
    }
}

/// Transforms finished sums of some channels back and hands them to the output.
#[inline(always)]
unsafe fn finish<S: Simd, const H: usize, const W: usize>(
    job: &Job<'_>,
    item: &Item<'_>,
    channels: (usize, usize),
    w: &mut Workspace,
) {
    let pitch = W * item.pitch;
    for channel in channels.0..channels.1 {
        let bias = job.bias(item, channel);
        let (sums, earlier) = shared(job, item, channel, w);
        let earlier = job.tiles.parted.map(|_| earlier.cast_const());
        let rows = w.rows.room(2 * H * pitch + MANY).as_mut_ptr();
        // SAFETY: the sums of every channel of the share are there, and the rows have room for all rows of all columns;
        // items do not share outputs.
        unsafe {
            let sums = sums.add((channel - channels.0) * item.pitch);
            finish_rows::<S, H, W>(item, (sums, item.plane(SHARE)), earlier, bias, (rows, pitch));
            write_lines::<S>(job, item, channel, rows);
        }
    }
}

/// Hands finished rows of a channel to the output, as far apart as the columns of all tiles of the item.
///
/// # Safety
/// The instruction set is there; the rows hold all columns of the item's tiles; items do not share outputs.
#[inline(always)]
unsafe fn write_lines<S: Simd>(job: &Job<'_>, item: &Item<'_>, channel: usize, rows: *mut f32) {
    let (p, [slices, height, width]) = (job.problem, job.tiles.size);
    let pitch = width * item.pitch;
    for line in item.lines {
        let first = [0, 1, 2].map(|a| line.first[a] * job.tiles.size[a]);
        let left = |a: usize, n: usize| (p.axes[a].target - first[a]).min(n);
        let count = [left(0, slices), left(1, height), left(2, width * line.count)];
        let plane = line.image * p.target_channels + channel;
        let block = Block { plane, first, step: [1; 3], count, pitch: [height * pitch, pitch] };
        // SAFETY: as the caller says.
        unsafe { job.output.write::<S>(&block, rows.add(width * line.at)) };
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
