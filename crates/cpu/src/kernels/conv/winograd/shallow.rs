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

/// Target channels and vectors of tiles whose sums are in registers together.
const TOGETHER: usize = 2;
const VECTORS: usize = 2;
/// Tiles that fill them where vectors hold eight.
pub(super) const TILES: usize = VECTORS * 8;

/// Vectors of sums of one position across depth: of each channel two slices of each vector of tiles.
const SUMS: usize = TOGETHER * 2 * VECTORS;

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
            for channel in (first..last).step_by(TOGETHER) {
                match job.problem.source_channels {
                    1 => sum::<S, H, W, 1>(job, item, tile, channel, w),
                    2 => sum::<S, H, W, 2>(job, item, tile, channel, w),
                    3 => sum::<S, H, W, 3>(job, item, tile, channel, w),
                    4 => sum::<S, H, W, 4>(job, item, tile, channel, w),
                    _ => sum::<S, H, W, ANY>(job, item, tile, channel, w),
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

/// Source channels that the compiler does not know.
const ANY: usize = 0;

impl Factors {
    #[inline(always)]
    fn channels<const C: usize>(&self) -> usize {
        if C == ANY { self.channels } else { C }
    }
}

type Sums<V> = [[V; VECTORS]; TOGETHER];

/// Adds the products of one position.
#[inline(always)]
unsafe fn add<S: Simd, const C: usize>(sums: &mut Sums<S::V>, f: Factors) {
    for c in 0..f.channels::<C>() {
        // SAFETY: the caller promises the instruction set, and data and weights of every source channel.
        unsafe { S::add_products(sums, f.data.add(c * f.pitch), f.weights.add(c * CHANNELS)) };
    }
}

/// Sums the products of all positions of the vectors of tiles from tile `tile`, and transforms them back along depth, into
/// `w.sums[position across depth][channel][slice][vector]`.
#[inline(always)]
unsafe fn sum<S: Simd, const H: usize, const W: usize, const C: usize>(
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
    let across_pitch = SUMS * S::LANES;
    let sums = w.sums.room(positions * across_pitch).as_mut_ptr();
    let group = &job.packed[item.group * 4 * positions * p.blocks() * channels * CHANNELS..];
    let weights = group[channel / CHANNELS * channels * CHANNELS..].as_ptr();
    let position_pitch = p.blocks() * channels * CHANNELS;
    for across in 0..positions {
        // SAFETY: buffers have room for every position, source channel and vector; weights are packed in blocks.
        unsafe {
            let factors = |part: usize| Factors {
                data: data.wrapping_add((part * positions + across) * plane + tile),
                pitch: item.pitch,
                weights: weights
                    .wrapping_add((part * positions + across) * position_pitch + channel % CHANNELS),
                channels,
            };
            let (mut upper, mut lower) = depth::<S, C>(factors(1), factors(2));
            add::<S, C>(&mut upper, factors(0));
            let mut last = [[S::splat(0.0); VECTORS]; TOGETHER];
            add::<S, C>(&mut last, factors(3));
            for c in 0..TOGETHER {
                for v in 0..VECTORS {
                    let to = sums.add(across * across_pitch + (2 * c * VECTORS + v) * S::LANES);
                    lower[c][v] = S::sub(lower[c][v], last[c][v]);
                    S::store(to, upper[c][v]);
                    S::store(to.add(VECTORS * S::LANES), lower[c][v]);
                }
            }
        }
    }
}

/// The sums of the second and third position along depth, added and subtracted.
#[inline(always)]
unsafe fn depth<S: Simd, const C: usize>(second: Factors, third: Factors) -> (Sums<S::V>, Sums<S::V>) {
    // SAFETY: as the caller says.
    unsafe {
        let (mut a, mut b) = ([[S::splat(0.0); VECTORS]; TOGETHER], [[S::splat(0.0); VECTORS]; TOGETHER]);
        for c in 0..second.channels::<C>() {
            S::add_products(&mut a, second.data.add(c * second.pitch), second.weights.add(c * CHANNELS));
            S::add_products(&mut b, third.data.add(c * third.pitch), third.weights.add(c * CHANNELS));
        }
        let (mut upper, mut lower) = (a, a);
        for c in 0..TOGETHER {
            for v in 0..VECTORS {
                (upper[c][v], lower[c][v]) = (S::add(a[c][v], b[c][v]), S::sub(a[c][v], b[c][v]));
            }
        }
        (upper, lower)
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
    let sums = w.sums.room(plane_positions([H, W]) * SUMS * S::LANES).as_ptr();
    let rows = w.slices.room(rows_len(job, item)).as_mut_ptr();
    for c in 0..TOGETHER.min(item.channels.1 - channel) {
        let bias = job.bias(item, channel + c);
        let channel = channel + c - item.channels.0;
        for v in 0..VECTORS.min((item.tiles - tile).div_ceil(S::LANES)) {
            let tile = tile + v * S::LANES;
            // SAFETY: the sums of both slices are there; the rows have room for whole vectors of columns.
            unsafe {
                let upper = sums.add((2 * c * VECTORS + v) * S::LANES);
                let slices = [
                    transform_back::<S, H, W>(upper, SUMS * S::LANES, 0),
                    transform_back::<S, H, W>(upper.add(VECTORS * S::LANES), SUMS * S::LANES, 0),
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
