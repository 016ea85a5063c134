//! The adjoint of a convolution behind a pooling, straight from the pooled signal and the winners' codes: of every window
//! at most one entry is not 0, so that most products of the dense adjoint are left out.
//!
//! Targets have few channels ([`FEW`]), which lie side by side in the sums: an entry of the source reaches the four columns
//! of its window's reach with one short row of weights for every tap along depth and height. Windows are taken in row-major
//! order; the entries of a window are parted by their place in it, so that all channels that reach the same targets are
//! summed in registers. A target's terms are thereby added in the order of the windows, of the places in them and of the
//! channels, whatever the item or thread.

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
/// Targets of an item along depth and height: few enough for the lists to stay in cache, enough to list few rows twice.
const SIZE: [usize; 2] = [8, 16];

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
}

/// An entry of the source that is not 0.
#[derive(Clone, Copy, Default)]
#[repr(C)]
struct Entry {
    /// Where the weights of its channel and its column in the window begin.
    weights: u32,
    value: f32,
}

/// Windows whose entries are listed together.
const TOGETHER: usize = 8;
/// The most rows that a window has.
const PLACES: usize = 4;

/// What one thread needs.
#[derive(Default)]
pub struct Workspace {
    /// The sums of every row of the item's targets, and of one more for what lies outside.
    sums: Buffer,
    /// All rows, parted by channel.
    rows: Buffer,
    /// Entries `[window][row of the window][channel]`, the kept ones first.
    entries: Vec<Entry>,
    /// Where the sums of every target row begin that the rows of a window reach, `[row of the window][tap]`.
    reached: Vec<u32>,
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

/// Weights as `[source channel][column in the window][tap along depth][along height][column][target channel]`, zeros where a
/// column is not reached. `weight(o, c, k)` is the weight of target channel `o`, source channel `c` and tap `k`.
pub fn pack(p: &Problem, weight: impl Fn(usize, usize, usize) -> f64, packed: &mut [f32]) {
    packed.fill(0.0);
    let (width, taps) = (p.kernel[2], p.kernel[0] * p.kernel[1]);
    for c in 0..p.source_channels {
        for k in 0..taps * width {
            for place in 0..2 {
                let row = ((c * 2 + place) * taps + k / width) * REACH;
                for o in 0..p.target_channels {
                    packed[row + (place + k % width) * FEW + o] = weight(o, c, k) as f32;
                }
            }
        }
    }
}

/// The part of an image that an item computes.
struct Item {
    example: usize,
    /// Targets along depth and height.
    targets: [Range<usize>; 2],
    /// Windows along depth and height that reach them.
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

    /// Lists where the sums of the target rows begin that the windows at `z`, `y` reach; those outside the item share one
    /// row behind the others.
    fn list_reached(&self, item: &Item, [z, y]: [usize; 2], reached: &mut Vec<u32>) {
        let (p, s) = (self.problem, self.scatter);
        let [depth, height] = [item.targets[0].len(), item.targets[1].len()];
        let target = |a: usize, from: usize, k: usize| {
            let at = from as isize - p.axes[a].phases[0][k].offset - item.targets[a].start as isize;
            (at >= 0 && (at as usize) < item.targets[a].len()).then_some(at as usize)
        };
        reached.clear();
        for place in 0..s.window[0] * s.window[1] {
            let from = [z * s.window[0] + place / s.window[1], y * s.window[1] + place % s.window[1]];
            for tap in 0..p.kernel[0] * p.kernel[1] {
                let at = (target(0, from[0], tap / p.kernel[1]), target(1, from[1], tap % p.kernel[1]));
                let row = if let (Some(z), Some(y)) = at { z * height + y } else { depth * height };
                reached.push((row * s.pitch) as u32);
            }
        }
    }

    /// Lists the entries of the windows from `first` on, at most [`TOGETHER`], of a row of windows; how many there are of
    /// each window and row.
    fn list(
        &self,
        item: &Item,
        [z, y]: [usize; 2],
        first: usize,
        w: &mut Workspace,
    ) -> [[u32; PLACES]; TOGETHER] {
        let (p, s) = (self.problem, self.scatter);
        let n = TOGETHER.min(s.pooled[2] - first);
        let channels = p.source_channels;
        let entries = w.entries[..TOGETHER * PLACES * channels].as_mut_ptr();
        let step = (p.kernel[0] * p.kernel[1] * REACH) as u32;
        let mut counts = [[0; PLACES]; TOGETHER];
        for channel in 0..channels {
            let plane = item.example * channels + channel;
            let from = ((plane * s.pooled[0] + z) * s.pooled[1] + y) * s.pooled[2] + first;
            let (upper, codes) = (&self.source.upper[from..from + n], &self.source.codes[from..from + n]);
            let bits = self.bits([plane, z, y], first);
            for t in 0..n {
                let (value, code) = (upper[t], codes[t]);
                let (place, column) = (usize::from(code / 2) % PLACES, u32::from(code & 1));
                let bit = bits[place] >> (2 * t as u32 + column) & 1 == 1;
                let kept = bit & if self.source.rectified { value > 0.0 } else { value != 0.0 };
                let count = &mut counts[t][place];
                let entry = Entry { weights: (2 * channel as u32 + column) * step, value };
                // An entry that is not kept is written over: cheaper than the choice.
                // SAFETY: `t < TOGETHER`, `place < PLACES`, and a count is at most the number of channels before this one.
                unsafe { entries.add((t * PLACES + place) * channels + *count as usize).write(entry) };
                *count += u32::from(kept);
            }
        }
        counts
    }

    /// The bits of the windows from `first` on, a multiple of 4, for each of their rows; all set where there are none.
    fn bits(&self, [plane, z, y]: [usize; 3], first: usize) -> [u16; PLACES] {
        let (p, s) = (self.problem, self.scatter);
        let Some(bits) = self.source.bits else { return [u16::MAX; PLACES] };
        let bytes = p.axes[2].source.div_ceil(8);
        let mut words = [0; PLACES];
        for (place, word) in words.iter_mut().enumerate().take(s.window[0] * s.window[1]) {
            let (z, y) = (z * s.window[0] + place / s.window[1], y * s.window[1] + place % s.window[1]);
            let line = (plane * p.axes[0].source + z) * p.axes[1].source + y;
            *word = match &bits[line * bytes + first / 4..(line + 1) * bytes] {
                [low, high, ..] => u16::from_le_bytes([*low, *high]),
                [low] => u16::from(*low),
                [] => 0,
            };
        }
        words
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
    let lines = item.targets[0].len() * item.targets[1].len();
    w.sums.room((lines + 1) * s.pitch).fill(0.0);
    let most = TOGETHER * PLACES * p.source_channels;
    if w.entries.len() < most {
        w.entries.resize(most, Entry::default());
    }
    for z in item.windows[0].clone() {
        for y in item.windows[1].clone() {
            job.list_reached(&item, [z, y], &mut w.reached);
            for first in (0..s.pooled[2]).step_by(TOGETHER) {
                let counts = job.list(&item, [z, y], first, w);
                // SAFETY: as the caller says; the sums have room for every row that was listed.
                unsafe { add_windows::<S>(job, first, &counts, w) };
            }
        }
    }
    // SAFETY: as the caller says.
    unsafe { finish::<S>(job, &item, w) };
}

/// Adds the listed entries of the windows from `first` on to the sums that they reach.
#[inline(always)]
unsafe fn add_windows<S: Simd>(
    job: &Job<'_>,
    first: usize,
    counts: &[[u32; PLACES]; TOGETHER],
    w: &mut Workspace,
) {
    let (p, s) = (job.problem, job.scatter);
    let taps = p.kernel[0] * p.kernel[1];
    let outside = w.reached.iter().copied().max().unwrap_or(0);
    let sums = w.sums.room(outside as usize + s.pitch).as_mut_ptr();
    let windows = TOGETHER.min(s.pooled[2] - first);
    for (t, counts) in counts.iter().enumerate().take(windows) {
        let at = (first + t) * 2 * FEW;
        for (place, reached) in w.reached.chunks_exact(taps).enumerate() {
            let entries = &w.entries[(t * PLACES + place) * p.source_channels..][..counts[place] as usize];
            let mut tap = 0;
            while tap < taps && !entries.is_empty() {
                let n = (taps - tap).min(3);
                // SAFETY: an entry's reach lies in its row of sums, as `Scatter::new` made rows long enough for the last
                // window, and weights are there for both columns of the window and all taps.
                unsafe {
                    let weights = job.packed[tap * REACH..].as_ptr();
                    let row = |i: usize| sums.wrapping_add(reached[tap + i] as usize + at);
                    match n {
                        1 => add::<S, 1>(entries, weights, [row(0)]),
                        2 => add::<S, 2>(entries, weights, [row(0), row(1)]),
                        _ => add::<S, 3>(entries, weights, [row(0), row(1), row(2)]),
                    }
                }
                tap += n;
            }
        }
    }
}

/// Adds entries, times the weights of `N` taps, to the rows that these reach.
#[inline(always)]
unsafe fn add<S: Simd, const N: usize>(entries: &[Entry], weights: *const f32, rows: [*mut f32; N]) {
    // SAFETY: the caller promises the instruction set and what is read and written. Rows that lie outside the item are one,
    // and what is in it is lost.
    unsafe {
        let mut sums = [[S::splat(0.0); REACH / 4]; N];
        for i in 0..N {
            for v in 0..REACH / S::LANES {
                sums[i][v] = S::load(rows[i].add(v * S::LANES));
            }
        }
        for entry in entries {
            let (value, weights) = (S::splat(entry.value), weights.add(entry.weights as usize));
            for i in 0..N {
                for v in 0..REACH / S::LANES {
                    let factor = S::load(weights.add(i * REACH + v * S::LANES));
                    sums[i][v] = S::mul_add(factor, value, sums[i][v]);
                }
            }
        }
        for i in 0..N {
            for v in 0..REACH / S::LANES {
                S::store(rows[i].add(v * S::LANES), sums[i][v]);
            }
        }
    }
}

/// Parts the finished sums of an item by channel and hands them to the output.
#[inline(always)]
unsafe fn finish<S: Simd>(job: &Job<'_>, item: &Item, w: &mut Workspace) {
    let (p, s) = (job.problem, job.scatter);
    let [depth, height] = [item.targets[0].len(), item.targets[1].len()];
    let (lines, pitch) = (depth * height, p.axes[2].target.next_multiple_of(16));
    let sums = w.sums.room(lines * s.pitch);
    let rows = w.rows.room(FEW * lines * pitch);
    for line in 0..lines {
        let sums = &sums[line * s.pitch + p.first_column() * FEW..];
        // SAFETY: as the caller says.
        unsafe { part::<S>(sums, p.axes[2].target, &mut rows[line * pitch..], lines * pitch) };
    }
    for channel in 0..p.target_channels {
        let block = Block {
            plane: item.example * p.target_channels + channel,
            first: [item.targets[0].start, item.targets[1].start, 0],
            step: [1; 3],
            count: [depth, height, p.axes[2].target],
            pitch: [height * pitch, pitch],
        };
        // SAFETY: the rows were just made, whole vectors long; items do not share outputs.
        unsafe { job.output.write::<S>(&block, rows[channel * lines * pitch..].as_mut_ptr()) };
    }
}

/// Parts a row of sums by channel into rows that are `plane` numbers apart.
#[inline(always)]
unsafe fn part<S: Simd>(sums: &[f32], width: usize, rows: &mut [f32], plane: usize) {
    for x in (0..width).step_by(S::LANES) {
        let from = &sums[x * FEW..][..FEW * S::LANES];
        // SAFETY: the caller promises the instruction set; the slices hold whole vectors.
        unsafe {
            let mut vectors = [S::splat(0.0); FEW];
            for i in 0..FEW {
                vectors[i] = S::load(from[i * S::LANES..].as_ptr());
            }
            let (even, odd) = S::deinterleave(vectors[0], vectors[1]);
            let (more_even, more_odd) = S::deinterleave(vectors[2], vectors[3]);
            let (first, third) = S::deinterleave(even, more_even);
            let (second, fourth) = S::deinterleave(odd, more_odd);
            vectors = [first, second, third, fourth];
            for channel in 0..FEW {
                S::store(rows[channel * plane + x..][..S::LANES].as_mut_ptr(), vectors[channel]);
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
