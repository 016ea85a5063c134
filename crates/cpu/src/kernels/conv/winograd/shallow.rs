//! Convolutions of few source channels, such as a network's first: their sums have so few terms that writing all of them
//! down and reading them again would cost more than making them. So the products of a few tiles are summed, transformed back
//! along depth in registers and along the other axes in the first cache.

use super::transform::{transform_back, transform_data, write};
use super::{Item, Job, MANY, PLANE, Workspace, positions, write_lines};
use crate::kernels::conv::tile::CHANNELS;
use crate::kernels::conv::whole_windows;
use crate::simd::Simd;

/// Target channels and vectors of tiles whose sums are in registers together.
const TOGETHER: usize = 2;
const VECTORS: usize = 2;

/// Vectors of sums of one position across depth: of each channel two slices of each vector of tiles.
const SUMS: usize = TOGETHER * 2 * VECTORS;

/// Numbers of the rows of all channels of an item, and what vectors may run over behind them.
fn rows_len(item: &Item) -> usize {
    (item.channels.1 - item.channels.0) * 8 * item.pitch + MANY
}

/// Computes one item.
///
/// # Safety
/// The instruction set of `S` is there.
#[inline(always)]
pub(super) unsafe fn item<S: Simd>(job: &Job<'_>, item: &Item, w: &mut Workspace) {
    let (first, last) = item.channels;
    let channel_rows = 8 * item.pitch;
    // SAFETY: as the caller says; the data of all positions are made first, and the rows of all channels before they go.
    unsafe {
        for part in 0..4 {
            transform_data::<S>(job, item, part, part * PLANE, w);
        }
        let one = item.lines.1 - item.lines.0 == 1;
        let short = job.output.whole_windows().filter(|_| one);
        w.collected.room(last - first, item.tiles);
        for tile in (0..item.tiles).step_by(VECTORS * S::LANES) {
            for channel in (first..last).step_by(TOGETHER) {
                match job.problem.source_channels {
                    1 => sum::<S, 1>(job, item, tile, channel, w),
                    2 => sum::<S, 2>(job, item, tile, channel, w),
                    3 => sum::<S, 3>(job, item, tile, channel, w),
                    4 => sum::<S, 4>(job, item, tile, channel, w),
                    _ => sum::<S, ANY>(job, item, tile, channel, w),
                }
                finish::<S>(job, item, short.is_some(), (tile, channel), w);
            }
        }
        if let Some(pooled) = short {
            let line = job.line(item.lines.0, item.group, 0);
            let plane = line.image * job.problem.target_channels + first;
            let line = whole_windows::Line { plane, first: line.first, count: line.count };
            w.collected.write(job.output, pooled, last - first, &line);
            return;
        }
        for channel in first..last {
            let rows = w.slices.room(rows_len(item)).as_mut_ptr();
            write_lines::<S>(job, item, channel, rows.add((channel - first) * channel_rows));
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
unsafe fn sum<S: Simd, const C: usize>(
    job: &Job<'_>,
    item: &Item,
    tile: usize,
    channel: usize,
    w: &mut Workspace,
) {
    let p = job.problem;
    let (channels, plane) = (p.source_channels, item.plane(p.source_channels));
    let data = w.data.room(item.data_len(positions(true), channels)).as_ptr();
    let across_pitch = SUMS * S::LANES;
    let sums = w.sums.room(PLANE * across_pitch).as_mut_ptr();
    let group = &job.packed[item.group * positions(true) * p.blocks() * channels * CHANNELS..];
    let weights = group[channel / CHANNELS * channels * CHANNELS..].as_ptr();
    let position_pitch = p.blocks() * channels * CHANNELS;
    for across in 0..PLANE {
        // SAFETY: buffers have room for every position, source channel and vector; weights are packed in blocks.
        unsafe {
            let factors = |part: usize| Factors {
                data: data.wrapping_add((part * PLANE + across) * plane + tile),
                pitch: item.pitch,
                weights: weights.wrapping_add((part * PLANE + across) * position_pitch + channel % CHANNELS),
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

/// Transforms what [`sum`] made back and collects whole windows, or writes it to rows, four of each channel, in `w.slices`.
#[inline(always)]
unsafe fn finish<S: Simd>(
    job: &Job<'_>,
    item: &Item,
    short: bool,
    (tile, channel): (usize, usize),
    w: &mut Workspace,
) {
    let sums = w.sums.room(PLANE * SUMS * S::LANES).as_ptr();
    let rows = w.slices.room(rows_len(item)).as_mut_ptr();
    for c in 0..TOGETHER.min(item.channels.1 - channel) {
        let (channel, bias) = (channel + c, job.bias(item, channel + c));
        for v in 0..VECTORS.min((item.tiles - tile).div_ceil(S::LANES)) {
            let tile = tile + v * S::LANES;
            // SAFETY: the sums of both slices are there; the rows have room for whole vectors of columns.
            unsafe {
                let upper = sums.add((2 * c * VECTORS + v) * S::LANES);
                let lower = upper.add(VECTORS * S::LANES);
                let mut values = [
                    transform_back::<S>(upper, SUMS * S::LANES, 0),
                    transform_back::<S>(lower, SUMS * S::LANES, 0),
                ];
                if short {
                    let bias = S::splat(bias);
                    for row in 0..4 {
                        let [even, odd] = values[row / 2][row % 2];
                        values[row / 2][row % 2] = [S::add(even, bias), S::add(odd, bias)];
                    }
                    w.collected.take::<S>(job.output, channel - item.channels.0, tile, values);
                } else {
                    let at = (channel - item.channels.0) * 8 * item.pitch + 2 * tile;
                    for row in 0..4 {
                        write::<S>(rows.add(at + row * 2 * item.pitch), values[row / 2][row % 2], bias);
                    }
                }
            }
        }
    }
}
