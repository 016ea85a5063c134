//! The adjoint of a convolution behind a pooling, straight from the pooled signal and the winners' codes: of every window
//! at most one entry is not 0, so that most products of the dense adjoint are left out.
//!
//! Targets have few channels ([`FEW`]), which lie side by side in the sums: an entry of the source reaches the four columns
//! of its window's reach with one short row of weights. For every source channel the entries of each row are listed, last
//! column first, and every row of targets adds up the lists of the rows that reach it in the order of the kernel's taps. A
//! target's terms are thereby added in the order of the dense adjoint, and have its bits.

use super::output::{Block, Output};
use super::{ITEMS, Problem};
use crate::buffer::Buffer;
use crate::isa::Isa;
use crate::simd::{Simd, per_isa};
use core::ops::Range;
use voxplain_autodiff::PoolGeometry;

/// Target channels, of which sums have four.
pub const FEW: usize = 4;
/// Columns that the entries of a window of two reach with a kernel of width 3.
const COLUMNS: usize = 4;
/// Numbers of the sums that an entry changes, and of the weights that it is multiplied with.
const REACH: usize = COLUMNS * FEW;
/// Targets of an item along depth and height: sums and lists stay in the second cache.
const SIZE: [usize; 2] = [4, 16];

/// The signal of a pooling whose windows have one or two entries along depth and height, and two along the rows.
pub struct Pooled<'a> {
    /// The signal.
    pub upper: &'a [f32],
    /// The winners' places in their windows, row-major.
    pub codes: &'a [u8],
    /// Bits of the pooling's input, every row beginning on a byte; where one is clear the signal becomes 0.
    pub bits: Option<&'a [u8]>,
    /// Whether what is negative becomes 0.
    pub rectified: bool,
}

/// How the adjoint is computed.
pub struct Scatter {
    window: [usize; 2],
    /// Windows along each axis.
    pooled: [usize; 3],
    /// Targets of an item along depth and height, and items along each.
    size: [usize; 2],
    count: [usize; 2],
    /// Numbers between rows of sums.
    pitch: usize,
}

impl Scatter {
    /// The way for an adjoint behind `pool`, which must be one that
    /// [`voxplain_autodiff::ConvGeometry::scatters_from`] allows.
    pub fn new(p: &Problem, pool: &PoolGeometry) -> Self {
        let target = p.target();
        let items = |size: [usize; 2]| p.batch * target[0].div_ceil(size[0]) * target[1].div_ceil(size[1]);
        let mut size = [SIZE[0].min(target[0]).max(1), SIZE[1].min(target[1]).max(1)];
        while size[1] > 4 && items(size) < ITEMS {
            size[1] /= 2;
        }
        // The last window's reach, and whole vectors of the columns that are targets.
        let columns = (2 * pool.output[2] + 2).max(p.first_column() + target[2].next_multiple_of(16));
        Self {
            window: [pool.kernel[0], pool.kernel[1]],
            pooled: pool.output,
            size,
            count: [target[0].div_ceil(size[0]), target[1].div_ceil(size[1])],
            pitch: columns * FEW,
        }
    }

    /// Work items.
    pub fn items(&self, p: &Problem) -> usize {
        p.batch * self.count[0] * self.count[1]
    }
}

impl Problem {
    /// The column of sums that is the first target: zeros in front of the convolution's input.
    fn first_column(&self) -> usize {
        self.axes[2].high.max(0) as usize
    }

    /// The source position that tap `k` of target `t` along an axis reads, if it lies inside.
    fn reads(&self, axis: usize, t: usize, k: usize) -> Option<usize> {
        let a = &self.axes[axis];
        a.source_at(t as isize + a.phases[0][k].offset, 0)
    }
}

/// An entry of the source that is not 0.
#[derive(Clone, Copy, Default)]
struct Entry {
    /// Where its window's reach begins in a row of sums, a multiple of 8, plus its place in the window.
    at: u32,
    value: f32,
}

/// What one thread needs.
#[derive(Default)]
pub struct Workspace {
    sums: Buffer,
    /// The rows of one channel of sums, one behind the other.
    rows: Buffer,
    /// The entries of every source row that the item reads, each in a place for a whole row, and their numbers.
    entries: Vec<Entry>,
    counts: Vec<usize>,
}

/// Everything that the items of one call share.
pub struct Job<'a> {
    /// The convolution.
    pub problem: &'a Problem,
    /// How it is computed.
    pub scatter: &'a Scatter,
    /// The data.
    pub source: &'a Pooled<'a>,
    /// Weights as [`pack`] makes them.
    pub packed: &'a [f32],
    /// Where the sums go.
    pub output: &'a Output<'a>,
}

/// Numbers of the packed weights.
pub fn packed_len(p: &Problem) -> usize {
    p.source_channels * p.kernel[0] * p.kernel[1] * 2 * REACH
}

/// Weights as `[source channel][tap along depth][along height][place in the window][column][target channel]`, zeros where a
/// column is not reached. `weight(o, c, k)` is the weight of target channel `o`, source channel `c` and tap `k`.
pub fn pack(p: &Problem, weight: impl Fn(usize, usize, usize) -> f64, packed: &mut [f32]) {
    packed.fill(0.0);
    let (taps, width) = (p.kernel.iter().product::<usize>(), p.kernel[2]);
    for c in 0..p.source_channels {
        for k in 0..taps {
            for place in 0..2 {
                let row = ((c * taps + k) / width * 2 + place) * REACH;
                for o in 0..p.target_channels {
                    packed[row + (place + k % width) * FEW + o] = weight(o, c, k) as f32;
                }
            }
        }
    }
}

/// The part of an image that an item computes, and the rows of the source that it reads.
struct Item {
    example: usize,
    /// Targets along depth and height.
    targets: [Range<usize>; 2],
    /// Windows along depth and height whose rows are listed.
    windows: [Range<usize>; 2],
}

impl Job<'_> {
    fn item(&self, number: usize) -> Item {
        let (p, s) = (self.problem, self.scatter);
        let (y, rest) = (number % s.count[1], number / s.count[1]);
        let (z, example) = (rest % s.count[0], rest / s.count[0]);
        let targets =
            [(0, z), (1, y)].map(|(a, i)| i * s.size[a]..((i + 1) * s.size[a]).min(p.axes[a].target));
        let windows = [0, 1].map(|a| {
            let (first, last) = (targets[a].start as isize, targets[a].end as isize - 1);
            let low = (first + p.axes[a].low).max(0) as usize / s.window[a];
            let high = (last + p.axes[a].high).max(-1) + 1;
            low..(high as usize).div_ceil(s.window[a]).clamp(low, s.pooled[a].max(low))
        });
        Item { example, targets, windows }
    }

    /// Rows of the source that an item lists along depth and height.
    fn listed(&self, item: &Item) -> [usize; 2] {
        [0, 1].map(|a| item.windows[a].len() * self.scatter.window[a])
    }

    /// The number of a source row among those that an item lists, if it has one.
    fn row(&self, item: &Item, z: usize, y: usize) -> Option<usize> {
        let listed = self.listed(item);
        let first = [0, 1].map(|a| item.windows[a].start * self.scatter.window[a]);
        let (z, y) = (z.checked_sub(first[0])?, y.checked_sub(first[1])?);
        (z < listed[0] && y < listed[1]).then_some(z * listed[1] + y)
    }

    /// Lists the entries of a source channel.
    fn list(&self, item: &Item, channel: usize, w: &mut Workspace) {
        let (p, s) = (self.problem, self.scatter);
        let listed = self.listed(item);
        w.counts.clear();
        w.counts.resize(listed[0] * listed[1], 0);
        if w.entries.len() < w.counts.len() * s.pooled[2] {
            w.entries.resize(w.counts.len() * s.pooled[2], Entry::default());
        }
        let plane = item.example * p.source_channels + channel;
        for z in item.windows[0].clone() {
            for y in item.windows[1].clone() {
                self.list_windows(item, [plane, z, y], w);
            }
        }
    }

    /// Lists the entries of a row of windows, the last first.
    fn list_windows(&self, item: &Item, [plane, z, y]: [usize; 3], w: &mut Workspace) {
        let (p, s) = (self.problem, self.scatter);
        let count = s.pooled[2];
        let from = ((plane * s.pooled[0] + z) * s.pooled[1] + y) * count;
        let (upper, codes) = (&self.source.upper[from..from + count], &self.source.codes[from..from + count]);
        let [depth, height, width] = [0, 1, 2].map(|a| p.axes[a].source);
        let bytes = width.div_ceil(8);
        // By place in the window along depth and height: the list's number, and the row's bits.
        let (mut lists, mut bits) = ([0; 4], [&[][..]; 4]);
        let places = s.window[0] * s.window[1];
        for place in 0..places {
            let (z, y) = (z * s.window[0] + place / s.window[1], y * s.window[1] + place % s.window[1]);
            lists[place] = self.row(item, z, y).unwrap_or(0);
            let line = (plane * depth + z) * height + y;
            bits[place] = self.source.bits.map_or(&[][..], |b| &b[line * bytes..(line + 1) * bytes]);
        }
        for t in (0..count).rev() {
            let code = usize::from(codes[t]);
            let (place, column) = (code / 2 & (places - 1), code & 1);
            let kept = !self.source.rectified || upper[t] > 0.0;
            let value = if kept { upper[t] } else { 0.0 };
            let x = 2 * t + column;
            let bit = bits[place].get(x / 8).is_none_or(|b| b >> (x % 8) & 1 == 1);
            let list = lists[place];
            w.entries[list * count + w.counts[list]] = Entry { at: (t * 2 * FEW + column) as u32, value };
            // What is not kept is written over by the next.
            w.counts[list] += usize::from(bit && value != 0.0);
        }
    }
}

/// Computes one item.
///
/// # Safety
/// The instruction set of `S` is there.
#[inline(always)]
unsafe fn item<S: Simd>(job: &Job<'_>, number: usize, w: &mut Workspace) {
    let (p, s) = (job.problem, job.scatter);
    let item = job.item(number);
    let [depth, height] = [item.targets[0].len(), item.targets[1].len()];
    w.sums.room(depth * height * s.pitch).fill(0.0);
    for channel in 0..p.source_channels {
        job.list(&item, channel, w);
        let weights = &job.packed[channel * p.kernel[0] * p.kernel[1] * 2 * REACH..];
        for (i, z) in item.targets[0].clone().enumerate() {
            for (j, y) in item.targets[1].clone().enumerate() {
                let sums =
                    &mut w.sums.room(depth * height * s.pitch)[(i * height + j) * s.pitch..][..s.pitch];
                for kz in 0..p.kernel[0] {
                    let Some(from_z) = p.reads(0, z, kz) else { continue };
                    for ky in 0..p.kernel[1] {
                        let row = p.reads(1, y, ky).and_then(|from_y| job.row(&item, from_z, from_y));
                        let Some(row) = row else { continue };
                        let entries = &w.entries[row * s.pooled[2]..][..w.counts[row]];
                        let weights = &weights[(kz * p.kernel[1] + ky) * 2 * REACH..][..2 * REACH];
                        // SAFETY: as the caller says.
                        unsafe { add::<S>(entries, weights, sums) };
                    }
                }
            }
        }
    }
    // SAFETY: as the caller says.
    unsafe { finish::<S>(job, &item, w) };
}

/// Adds the entries of one row, times the weights of one tap along depth and height, to a row of sums.
#[inline(always)]
unsafe fn add<S: Simd>(entries: &[Entry], weights: &[f32], sums: &mut [f32]) {
    assert!(weights.len() >= 2 * REACH && sums.len() >= REACH, "a row of sums or of weights is too short");
    let last = (sums.len() - REACH) as u32;
    for entry in entries {
        debug_assert!(entry.at & !7 <= last, "an entry lies behind its row");
        // SAFETY: the caller promises the instruction set; an entry's reach lies in the row, as `Scatter::new` made rows long
        // enough for the last window, and weights are there for both places in the window.
        unsafe {
            let value = S::splat(entry.value);
            let into = sums.as_mut_ptr().add((entry.at & !7) as usize);
            let weights = weights.as_ptr().add((entry.at & 7) as usize * REACH);
            for i in 0..REACH / S::LANES {
                let sum = S::load(into.add(i * S::LANES));
                let factor = S::load(weights.add(i * S::LANES));
                S::store(into.add(i * S::LANES), S::mul_add(factor, value, sum));
            }
        }
    }
}

/// Parts the sums by channel and hands them to the output.
#[inline(always)]
unsafe fn finish<S: Simd>(job: &Job<'_>, item: &Item, w: &mut Workspace) {
    let (p, s) = (job.problem, job.scatter);
    let [depth, height] = [item.targets[0].len(), item.targets[1].len()];
    let (lines, width) = (depth * height, p.axes[2].target);
    let pitch = width.next_multiple_of(16);
    let sums = w.sums.room(lines * s.pitch);
    let rows = w.rows.room(FEW * lines * pitch);
    for line in 0..lines {
        let from = &sums[line * s.pitch + p.first_column() * FEW..(line + 1) * s.pitch];
        for x in (0..width).step_by(S::LANES) {
            // SAFETY: the caller promises the instruction set; rows of sums hold whole vectors of columns behind the first
            // target, says `Scatter::new`, and so do the parted rows.
            unsafe {
                let vector = |i: usize| S::load(from[x * FEW..][..FEW * S::LANES].as_ptr().add(i * S::LANES));
                let (even, odd) = S::deinterleave(vector(0), vector(1));
                let (more_even, more_odd) = S::deinterleave(vector(2), vector(3));
                let (first, third) = S::deinterleave(even, more_even);
                let (second, fourth) = S::deinterleave(odd, more_odd);
                for (channel, v) in [first, second, third, fourth].into_iter().enumerate() {
                    S::store(rows[(channel * lines + line) * pitch + x..][..S::LANES].as_mut_ptr(), v);
                }
            }
        }
    }
    for channel in 0..p.target_channels {
        let block = Block {
            plane: item.example * p.target_channels + channel,
            first: [item.targets[0].start, item.targets[1].start, 0],
            step: [1; 3],
            count: [depth, height, width],
            pitch: [height * pitch, pitch],
        };
        // SAFETY: the rows were just made, whole vectors long; items do not share outputs.
        unsafe { job.output.write::<S>(&block, rows[channel * lines * pitch..].as_mut_ptr()) };
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
