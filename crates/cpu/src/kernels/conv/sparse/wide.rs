//! Targets of more than a few channels: blocks of channels lie side by side in the sums, and an entry of the source reaches
//! three columns of them with three rows of weights for every tap along depth and height.
//!
//! An item goes through its rows of targets; for every tap, all of a row's source entries are walked through from the first
//! column to the last, with the sums of the three columns that are reached in registers. The weights of one tap stay in the first
//! cache meanwhile. A target's terms are added in the order of the taps, then of the source's columns and channels, whatever the
//! item or thread.

use super::collected::Collected;
use super::lists::{Entry, Lists};
use super::vectors::{add, load, store};
use super::{Item, Job};
use crate::buffer::Buffer;
use crate::kernels::conv::output::Block;
use crate::kernels::conv::{Problem, apart};
use crate::simd::{Simd, per_isa};

/// Columns that an entry reaches with a kernel of width 3.
const REACH: usize = 3;
/// Target channels that are summed together, where there are more than half as many.
const BLOCK: usize = 32;
/// Lanes of the widest registers.
const LANES: usize = 16;
/// Rows of windows of a slice that a row of targets reads.
const OPEN: usize = 3;

/// Target channels that are summed together.
fn block(p: &Problem) -> usize {
    if p.target_channels > BLOCK / 2 { BLOCK } else { BLOCK / 2 }
}

/// Blocks of target channels.
fn blocks(p: &Problem) -> usize {
    p.target_channels.div_ceil(block(p))
}

/// Numbers of the weights of a tap and a block.
fn tap_len(p: &Problem) -> usize {
    p.source_channels * REACH * block(p)
}

/// Numbers of the packed weights.
pub(super) fn packed_len(p: &Problem) -> usize {
    p.plane_taps() * blocks(p) * tap_len(p)
}

/// Weights as `[tap along depth and height][block][source channel][column][target channel in block]`, zeros where the
/// kernel is less wide.
pub(super) fn pack(p: &Problem, weight: impl Fn(usize, usize, usize) -> f64, packed: &mut [f32]) {
    let (width, block) = (p.kernel[2], block(p));
    for k in 0..p.plane_taps() * width {
        for o in 0..p.target_channels {
            let tap = (k / width * blocks(p) + o / block) * tap_len(p);
            for c in 0..p.source_channels {
                packed[tap + (c * REACH + k % width) * block + o % block] = weight(o, c, k) as f32;
            }
        }
    }
}

/// What one thread needs.
#[derive(Default)]
pub struct Workspace {
    /// A row of sums of every slice `[slice][column][channel of the block]`.
    sums: Buffer,
    /// Finished rows, parted by channel.
    rows: Buffer,
    /// A row of windows.
    collected: Collected,
    /// Rows of windows `[slice][row modulo OPEN]`, and the row that each is.
    lists: Vec<Lists>,
    listed: Vec<Option<usize>>,
}

/// Computes one item.
///
/// # Safety
/// The instruction set of `S` is there.
#[inline(always)]
unsafe fn item<S: Simd>(job: &Job<'_>, number: usize, w: &mut Workspace) {
    let item = job.item(number);
    let open = item.windows[0].len() * OPEN;
    w.lists.resize_with(w.lists.len().max(open), Lists::default);
    w.listed.clear();
    w.listed.resize(open, None);
    for y in item.targets[1].clone() {
        for part in 0..blocks(job.problem) {
            // SAFETY: as the caller says.
            unsafe {
                match block(job.problem) {
                    BLOCK => row::<S, BLOCK>(job, &item, y, part, w),
                    _ => row::<S, { BLOCK / 2 }>(job, &item, y, part, w),
                }
            }
        }
    }
}

/// Computes row `y` of all slices of an item and block `part` of its channels.
#[inline(always)]
unsafe fn row<S: Simd, const B: usize>(job: &Job<'_>, item: &Item, y: usize, part: usize, w: &mut Workspace) {
    let (p, s) = (job.problem, job.scatter);
    let pitch = s.columns * B;
    w.sums.room(item.targets[0].len() * pitch).fill(0.0);
    let inside = |a: usize, at: usize, tap: usize| {
        let from = at as isize + p.axes[a].phases[0][tap].offset;
        (from >= 0 && (from as usize) < s.pooled[a] * s.window[a]).then_some(from as usize)
    };
    for tap in 0..p.plane_taps() {
        let Some(from_y) = inside(1, y, tap % p.kernel[1]) else { continue };
        let weights = &job.packed[(tap * blocks(p) + part) * tap_len(p)..][..tap_len(p)];
        for (slice, z) in item.targets[0].clone().enumerate() {
            let Some(from_z) = inside(0, z, tap / p.kernel[1]) else { continue };
            let window = [from_z / s.window[0], from_y / s.window[1]];
            let place = from_z % s.window[0] * s.window[1] + from_y % s.window[1];
            // SAFETY: as the caller says; weights are there for every channel, and sums for all columns.
            unsafe {
                let lists = list::<S>(job, item, window, (B, w));
                let lists = &w.lists[lists];
                let sums = &mut w.sums.room((slice + 1) * pitch)[slice * pitch..];
                let (weights, sums) = (weights.as_ptr(), sums.as_mut_ptr());
                let columns = lists.windows(2 * place).zip(lists.windows(2 * place + 1));
                match B / S::LANES {
                    1 => walk::<S, 1>(columns, weights, sums),
                    2 => walk::<S, 2>(columns, weights, sums),
                    4 => walk::<S, 4>(columns, weights, sums),
                    _ => walk::<S, 8>(columns, weights, sums),
                }
            }
        }
    }
    // SAFETY: as the caller says.
    unsafe { finish::<S, B>(job, item, y, part, w) };
}

/// The place of the lists of a row of windows, which are made if they are not there yet.
#[inline(always)]
unsafe fn list<S: Simd>(
    job: &Job<'_>,
    item: &Item,
    [z, y]: [usize; 2],
    (block, w): (usize, &mut Workspace),
) -> usize {
    let at = (z - item.windows[0].start) * OPEN + y % OPEN;
    if w.listed[at] != Some(y) {
        // SAFETY: as the caller says.
        unsafe { job.collect::<S>(item.example, [z, y], &mut w.collected) };
        w.lists[at].fill(&w.collected, |channel, place| (place, channel * REACH * block));
        w.listed[at] = Some(y);
    }
    at
}

/// Adds the entries of a row, times the weights of one tap, to a row of sums of blocks of `V` vectors.
///
/// # Safety
/// The instruction set is there; weights can be read for every channel, and two columns more of sums than there are entries.
#[inline(always)]
unsafe fn walk<'l, S: Simd, const V: usize>(
    columns: impl Iterator<Item = (&'l [Entry], &'l [Entry])>,
    weights: *const f32,
    mut sums: *mut f32,
) {
    let block = V * S::LANES;
    // SAFETY: as the caller says.
    unsafe {
        let (mut first, mut second) = (load::<S, V>(sums), load::<S, V>(sums.add(block)));
        for (even, odd) in columns {
            for entries in [even, odd] {
                let mut third = load::<S, V>(sums.add(2 * block));
                for entry in entries {
                    let (value, weights) = (S::splat(entry.value), weights.add(entry.weights as usize));
                    add::<S, V>(&mut first, value, weights);
                    add::<S, V>(&mut second, value, weights.add(block));
                    add::<S, V>(&mut third, value, weights.add(2 * block));
                }
                store::<S, V>(sums, first);
                (first, second) = (second, third);
                sums = sums.add(block);
            }
        }
        store::<S, V>(sums, first);
        store::<S, V>(sums.add(block), second);
    }
}

/// Hands the finished rows of all slices to the output.
#[inline(always)]
unsafe fn finish<S: Simd, const B: usize>(
    job: &Job<'_>,
    item: &Item,
    y: usize,
    part: usize,
    w: &mut Workspace,
) {
    let p = job.problem;
    let (width, depth) = (p.axes[2].target, item.targets[0].len());
    let (row, slice) = (width.next_multiple_of(LANES), job.scatter.columns * B);
    let plane = apart(depth * row);
    let sums = w.sums.room(depth * slice);
    let rows = w.rows.room(B * plane);
    for z in 0..depth {
        let from = &sums[z * slice + p.first_column() * B..];
        // SAFETY: as the caller says; a row of sums has whole vectors of the columns that are targets.
        unsafe { turn::<S, B>(from, width, &mut rows[z * row..], plane) };
    }
    for channel in 0..B.min(p.target_channels - part * B) {
        let block = Block {
            plane: item.example * p.target_channels + part * B + channel,
            first: [item.targets[0].start, y, 0],
            step: [1; 3],
            count: [depth, 1, width],
            pitch: [row, row],
        };
        // SAFETY: the rows were just made, whole vectors long; items do not share outputs.
        unsafe { job.output.write::<S>(&block, rows[channel * plane..].as_mut_ptr()) };
    }
}

/// Turns `[column][channel]` into one row for each channel, `plane` numbers apart.
///
/// # Safety
/// The instruction set is there.
#[inline(always)]
unsafe fn turn<S: Simd, const B: usize>(from: &[f32], width: usize, rows: &mut [f32], plane: usize) {
    for x in (0..width).step_by(S::LANES) {
        for channel in (0..B).step_by(S::LANES) {
            // SAFETY: the caller promises the instruction set; the slices hold whole vectors.
            unsafe {
                let mut vectors = [S::splat(0.0); LANES];
                for i in 0..S::LANES {
                    vectors[i] = S::load(from[(x + i) * B + channel..][..S::LANES].as_ptr());
                }
                // Every round moves one bit of the column's number from the vector's place to the lane's.
                for _ in 0..S::LANES.ilog2() {
                    let before = vectors;
                    for i in 0..S::LANES / 2 {
                        let (even, odd) = S::deinterleave(before[2 * i], before[2 * i + 1]);
                        (vectors[i], vectors[i + S::LANES / 2]) = (even, odd);
                    }
                }
                for i in 0..S::LANES {
                    S::store(rows[(channel + i) * plane + x..][..S::LANES].as_mut_ptr(), vectors[i]);
                }
            }
        }
    }
}

per_isa! {
    /// Computes item `number` of a job.
    pub(super) fn run_item(job: &Job<'_>, number: usize, workspace: &mut Workspace) = item
}
