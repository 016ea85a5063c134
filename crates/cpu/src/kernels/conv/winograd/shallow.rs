//! Convolutions of few source channels, such as a network's first: their sums have so few terms that writing all of them
//! down and reading them again would cost more than making them. So the products of a few tiles are summed, transformed back
//! along depth in registers and along the other axes in the first cache.

use super::division::{Item, MANY};
use super::filter::MOST;
use super::transform::{transform_back, transform_data, write};
use super::{Job, Workspace, plane_positions, write_lines};
use crate::kernels::conv::tile::CHANNELS;
use crate::kernels::conv::whole_windows;
use crate::simd::Simd;

/// Vectors of tiles whose sums are in registers together, of two target channels or four.
const VECTORS: usize = 2;
/// Tiles that fill them where vectors hold eight.
pub(super) const TILES: usize = VECTORS * 8;

/// Vectors of sums of one position across depth of a target channel: two slices of each vector of tiles.
const SUMS: usize = 2 * VECTORS;

/// Numbers of the rows of all channels of an item, and what vectors may run over behind them.
fn rows_len(job: &Job<'_>, item: &Item) -> usize {
    (item.channels.1 - item.channels.0) * job.tiles.outputs() * item.pitch + 4 * MANY
}

/// Computes one item of tiles of `H` rows and `W` columns.
///
/// # Safety
/// The instruction set of `S` is there.
#[inline(always)]
pub(super) unsafe fn item<S: Simd, const H: usize, const W: usize>(
    job: &Job<'_>,
    item: &Item<'_>,
    w: &mut Workspace,
) {
    let (first, last) = item.channels;
    let channels = last - first;
    // SAFETY: as the caller says; the data of all positions are made first, and the rows of all channels before they go.
    unsafe {
        for part in 0..4 {
            transform_data::<S, H, W>(job, item, part, part * plane_positions([H, W]), w);
        }
        let one = item.lines.len() == 1;
        let short = job.output.whole_windows().filter(|_| one);
        w.collected.room(channels * H / 2, item.tiles * W / 2);
        for tile in (0..item.tiles).step_by(VECTORS * S::LANES) {
            for channel in (first..last).step_by(CHANNELS) {
                // Few products keep all sums along depth in registers; many are faster the more sums they belong to.
                match job.problem.source_channels {
                    1 => sum::<S, H, W, 1, 2>(job, item, tile, channel, w),
                    2 => sum::<S, H, W, 2, 2>(job, item, tile, channel, w),
                    3 => sum::<S, H, W, 3, 4>(job, item, tile, channel, w),
                    4 => sum::<S, H, W, 4, 4>(job, item, tile, channel, w),
                    _ => sum::<S, H, W, ANY, 4>(job, item, tile, channel, w),
                }
                finish::<S, H, W>(job, item, short.is_some(), (tile, channel), w);
            }
        }
        if let Some(pooled) = short {
            let tiles = &item.lines[0];
            let plane = tiles.image * job.problem.target_channels + first;
            for row in 0..H / 2 {
                let [z, y, x] = tiles.first;
                let first = [z, y * H / 2 + row, x * W / 2];
                let line = whole_windows::Line { plane, first, count: tiles.count * W / 2 };
                w.collected.write(job.output, pooled, row * channels..(row + 1) * channels, &line);
            }
            return;
        }
        for channel in first..last {
            let rows = w.slices.room(rows_len(job, item)).as_mut_ptr();
            write_lines::<S>(
                job,
                item,
                channel,
                rows.add((channel - first) * job.tiles.outputs() * item.pitch),
            );
        }
    }
}

/// Source channels that the compiler does not know.
const ANY: usize = 0;

/// For each of `T` target channels a number for each tile of the vectors.
type Sums<V, const T: usize> = [[V; VECTORS]; T];

/// The factors of one transformed position.
#[derive(Clone, Copy)]
struct Factors {
    data: *const f32,
    /// Numbers between source channels.
    pitch: usize,
    weights: *const f32,
    /// Source channels, unless the compiler knows them.
    channels: usize,
}

impl Factors {
    /// Adds their products to sums.
    #[inline(always)]
    unsafe fn add<S: Simd, const C: usize, const T: usize>(&self, sums: &mut Sums<S::V, T>) {
        for c in 0..if C == ANY { self.channels } else { C } {
            // SAFETY: the caller promises the instruction set, and data and weights of every source channel.
            unsafe { S::add_products(sums, self.data.add(c * self.pitch), self.weights.add(c * CHANNELS)) };
        }
    }
}

/// Sums the products of all positions of the vectors of tiles from tile `tile`, for a block of target channels from `channel` on,
/// `T` at a time, and transforms them back along depth, into `w.sums[position across depth][channel][slice][vector]`.
#[inline(always)]
unsafe fn sum<S: Simd, const H: usize, const W: usize, const C: usize, const T: usize>(
    job: &Job<'_>,
    item: &Item<'_>,
    tile: usize,
    channel: usize,
    w: &mut Workspace,
) {
    let p = job.problem;
    let positions = plane_positions([H, W]);
    let (channels, plane) = (p.source_channels, item.plane(p.source_channels));
    let data = w.data.room(item.data_len(4 * positions, channels)).as_ptr();
    let across_pitch = CHANNELS * SUMS * S::LANES;
    let sums = w.sums.room(positions * across_pitch).as_mut_ptr();
    let position_pitch = p.blocks() * channels * CHANNELS;
    let weights = job.packed[item.group * 4 * positions * position_pitch + channel * channels..].as_ptr();
    for across in 0..positions {
        for first in (0..CHANNELS).step_by(T) {
            let factors = [0, 1, 2, 3].map(|part| Factors {
                data: data.wrapping_add((part * positions + across) * plane + tile),
                pitch: item.pitch,
                weights: weights.wrapping_add((part * positions + across) * position_pitch + first),
                channels,
            });
            // SAFETY: buffers have room for every position, source channel and vector; weights are packed in blocks.
            unsafe { depth::<S, C, T>(&factors, sums.add(across * across_pitch + first * SUMS * S::LANES)) };
        }
    }
}

/// Sums the products of the four positions along depth and transforms them back: of every target channel the vectors of the
/// upper slice at `sums`, then those of the lower.
#[inline(always)]
unsafe fn depth<S: Simd, const C: usize, const T: usize>(factors: &[Factors; 4], sums: *mut f32) {
    // SAFETY: as the caller of `sum` says, who made room for the sums.
    unsafe {
        let none = [[S::splat(0.0); VECTORS]; T];
        let (mut second, mut third) = (none, none);
        factors[1].add::<S, C, T>(&mut second);
        // Sums that registers cannot hold are written here: compilers find worse moments to.
        let written = T > 2;
        if written {
            store::<S, T>(sums, second);
        }
        factors[2].add::<S, C, T>(&mut third);
        if written {
            second = load::<S, T>(sums);
        }
        let (mut upper, mut lower) = (none, none);
        for t in 0..T {
            for v in 0..VECTORS {
                upper[t][v] = S::add(second[t][v], third[t][v]);
                lower[t][v] = S::sub(second[t][v], third[t][v]);
            }
        }
        let below = sums.add(VECTORS * S::LANES);
        if written {
            store::<S, T>(below, lower);
        }
        factors[0].add::<S, C, T>(&mut upper);
        store::<S, T>(sums, upper);
        let mut last = none;
        factors[3].add::<S, C, T>(&mut last);
        if written {
            lower = load::<S, T>(below);
        }
        for t in 0..T {
            for v in 0..VECTORS {
                lower[t][v] = S::sub(lower[t][v], last[t][v]);
            }
        }
        store::<S, T>(below, lower);
    }
}

/// The sums of one slice.
#[inline(always)]
unsafe fn load<S: Simd, const T: usize>(from: *const f32) -> Sums<S::V, T> {
    // SAFETY: the caller promises the instruction set and the sums of both slices.
    unsafe {
        let mut sums = [[S::splat(0.0); VECTORS]; T];
        for t in 0..T {
            for v in 0..VECTORS {
                sums[t][v] = S::load(from.add((t * SUMS + v) * S::LANES));
            }
        }
        sums
    }
}

/// The inverse of [`load`].
#[inline(always)]
unsafe fn store<S: Simd, const T: usize>(to: *mut f32, sums: Sums<S::V, T>) {
    // SAFETY: the caller promises the instruction set and room for the sums of both slices.
    unsafe {
        for t in 0..T {
            for v in 0..VECTORS {
                S::store(to.add((t * SUMS + v) * S::LANES), sums[t][v]);
            }
        }
    }
}

/// Transforms what [`sum`] made back and collects whole windows, or writes it to rows, `2 H` of each channel, in `w.slices`.
#[inline(always)]
unsafe fn finish<S: Simd, const H: usize, const W: usize>(
    job: &Job<'_>,
    item: &Item<'_>,
    short: bool,
    (tile, channel): (usize, usize),
    w: &mut Workspace,
) {
    let across_pitch = CHANNELS * SUMS * S::LANES;
    let sums = w.sums.room(plane_positions([H, W]) * across_pitch).as_ptr();
    let rows = w.slices.room(rows_len(job, item)).as_mut_ptr();
    for c in 0..CHANNELS.min(item.channels.1 - channel) {
        let bias = job.bias(item, channel + c);
        let channel = channel + c - item.channels.0;
        for v in 0..VECTORS.min((item.tiles - tile).div_ceil(S::LANES)) {
            let tile = tile + v * S::LANES;
            // SAFETY: the sums of both slices are there; the rows have room for whole vectors of columns.
            unsafe {
                let upper = sums.add((c * SUMS + v) * S::LANES);
                let slices = [
                    transform_back::<S, H, W>(upper, across_pitch, 0),
                    transform_back::<S, H, W>(upper.add(VECTORS * S::LANES), across_pitch, 0),
                ];
                if short {
                    collect::<S, H, W>(job, item, slices, bias, (tile, channel), w);
                    continue;
                }
                let at = channel * job.tiles.outputs() * item.pitch + W * tile;
                for row in 0..2 * H {
                    let to = rows.add(at + row * W * item.pitch);
                    write::<S, W>(to, slices[row / H][row % H], bias);
                }
            }
        }
    }
}

/// Hands the outputs of a vector of tiles over as windows of two.
#[inline(always)]
unsafe fn collect<S: Simd, const H: usize, const W: usize>(
    job: &Job<'_>,
    item: &Item<'_>,
    slices: [[[S::V; MOST]; MOST]; 2],
    bias: f32,
    (tile, channel): (usize, usize),
    w: &mut Workspace,
) {
    let channels = item.channels.1 - item.channels.0;
    // SAFETY: as the caller says.
    unsafe {
        let bias = S::splat(bias);
        for pair in 0..H / 2 {
            let mut rows = [[bias; MOST]; 4];
            for row in 0..4 {
                for column in 0..W {
                    rows[row][column] = S::add(slices[row / 2][2 * pair + row % 2][column], bias);
                }
            }
            w.collected.take::<S, W>(job.output, pair * channels + channel, tile, rows);
        }
    }
}
