//! The adjoint of a convolution behind a pooling, straight from the pooled signal and the winners' codes: of every window
//! at most one entry is not 0, so that most products of the dense adjoint are left out.
//!
//! Targets have few channels ([`FEW`]), which lie side by side in the sums: an entry of the source reaches the four columns
//! of its window's reach with one short row of weights. The entries of each source row are listed, last column first, and a
//! row of targets adds up the lists that reach it in the order of the kernel's taps and of the channels. Its terms are
//! thereby added in the order of the dense adjoint, and have its bits.

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

    /// The source position that tap `k` of target `t` along an axis reads, if it lies inside.
    fn reads(&self, axis: usize, t: usize, k: usize) -> Option<usize> {
        let a = &self.axes[axis];
        a.source_at(t as isize + a.phases[0][k].offset, 0)
    }
}

/// An entry of the source that is not 0.
#[derive(Clone, Copy, Default)]
#[repr(C)]
struct Entry {
    /// Where its window's reach begins in a row of sums, a multiple of 8, plus its place in the window.
    at: u32,
    value: f32,
}

/// What one thread needs.
#[derive(Default)]
pub struct Workspace {
    /// One row of targets.
    sums: Buffer,
    /// All rows, parted by channel.
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

/// Weights as `[tap along depth][along height][source channel][place in the window][column][target channel]`, zeros where a
/// column is not reached. `weight(o, c, k)` is the weight of target channel `o`, source channel `c` and tap `k`.
pub fn pack(p: &Problem, weight: impl Fn(usize, usize, usize) -> f64, packed: &mut [f32]) {
    packed.fill(0.0);
    let width = p.kernel[2];
    for c in 0..p.source_channels {
        for k in 0..p.kernel.iter().product::<usize>() {
            for place in 0..2 {
                let row = ((k / width * p.source_channels + c) * 2 + place) * REACH;
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

    /// The number of a source row among those that an item lists of every channel, if it is there.
    fn row(&self, item: &Item, z: usize, y: usize) -> Option<usize> {
        let (listed, first) = (self.listed(item), self.first(item));
        let (z, y) = (z.checked_sub(first[0])?, y.checked_sub(first[1])?);
        (z < listed[0] && y < listed[1]).then_some(z * listed[1] + y)
    }

    /// The first source row that an item lists along depth and height.
    fn first(&self, item: &Item) -> [usize; 2] {
        [0, 1].map(|a| item.windows[a].start * self.scatter.window[a])
    }

    /// Lists the entries of all source channels.
    fn list(&self, item: &Item, w: &mut Workspace) {
        let (p, s) = (self.problem, self.scatter);
        let rows = self.listed(item).iter().product::<usize>();
        w.counts.clear();
        w.counts.resize(p.source_channels * rows, 0);
        if w.entries.len() < w.counts.len() * s.pooled[2] {
            w.entries.resize(w.counts.len() * s.pooled[2], Entry::default());
        }
        for channel in 0..p.source_channels {
            let plane = item.example * p.source_channels + channel;
            for z in item.windows[0].clone() {
                for y in item.windows[1].clone() {
                    self.list_windows(item, [plane, z, y], channel * rows, w);
                }
            }
        }
    }

    /// Lists the entries of a row of windows, the last first; `before` lists are those of other channels.
    fn list_windows(&self, item: &Item, [plane, z, y]: [usize; 3], before: usize, w: &mut Workspace) {
        let (p, s) = (self.problem, self.scatter);
        let (count, first, height) = (s.pooled[2], self.first(item), self.listed(item)[1]);
        let from = ((plane * s.pooled[0] + z) * s.pooled[1] + y) * count;
        let (upper, codes) = (&self.source.upper[from..from + count], &self.source.codes[from..from + count]);
        let bytes = p.axes[2].source.div_ceil(8);
        let mut rows = [Listed::default(); 4];
        let places = s.window[0] * s.window[1];
        for (place, row) in rows.iter_mut().take(places).enumerate() {
            let (z, y) = (z * s.window[0] + place / s.window[1], y * s.window[1] + place % s.window[1]);
            row.list = before + (z - first[0]) * height + y - first[1];
            let line = (plane * p.axes[0].source + z) * p.axes[1].source + y;
            row.bits = self.source.bits.map(|b| &b[line * bytes..(line + 1) * bytes]);
        }
        let windows = Windows { upper, codes, rectified: self.source.rectified };
        let counts = match places {
            1 => windows.list::<1>(&rows, &mut w.entries),
            2 => windows.list::<2>(&rows, &mut w.entries),
            _ => windows.list::<4>(&rows, &mut w.entries),
        };
        (0..places).for_each(|place| w.counts[rows[place].list] = counts[place]);
    }
}

/// A source row that is listed: the number of its list, and its bits.
#[derive(Clone, Copy, Default)]
struct Listed<'a> {
    list: usize,
    bits: Option<&'a [u8]>,
}

/// A row of windows.
struct Windows<'a> {
    upper: &'a [f32],
    codes: &'a [u8],
    rectified: bool,
}

impl Windows<'_> {
    /// Lists the entries of the row, the last first, by their places in windows of so many rows; the numbers of entries.
    /// Every list is written to and only one goes on, which costs less than the choice of one.
    #[inline(always)]
    fn list<const PLACES: usize>(&self, rows: &[Listed<'_>; 4], entries: &mut [Entry]) -> [usize; 4] {
        let (count, mut counts) = (self.codes.len(), [0; 4]);
        let last = rows.iter().take(PLACES).map(|r| r.list).max().unwrap_or(0);
        assert!((last + 1) * count <= entries.len(), "a list lies outside the entries");
        let lists: [*mut Entry; PLACES] =
            core::array::from_fn(|place| entries[rows[place].list * count..].as_mut_ptr());
        for (t, (&value, &code)) in self.upper.iter().zip(self.codes).enumerate().rev() {
            let (place, column) = (usize::from(code) / 2 % PLACES, usize::from(code) & 1);
            let x = 2 * t + column;
            let bit = rows[place].bits.is_none_or(|bits| bits[x / 8] >> (x % 8) & 1 == 1);
            let kept = bit & if self.rectified { value > 0.0 } else { value != 0.0 };
            let entry = Entry { at: (t * 2 * FEW + column) as u32, value };
            for other in 0..PLACES {
                // SAFETY: a list has room for `count` entries, as was just checked, and this window is not the first of more
                // than it has had.
                unsafe { lists[other].add(counts[other]).write(entry) };
                counts[other] += usize::from(kept & (place == other));
            }
        }
        counts
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
    let (lines, pitch) = (depth * height, p.axes[2].target.next_multiple_of(16));
    job.list(&item, w);
    for (i, z) in item.targets[0].clone().enumerate() {
        for (j, y) in item.targets[1].clone().enumerate() {
            let sums = w.sums.room(s.pitch);
            sums.fill(0.0);
            // SAFETY: as the caller says.
            unsafe {
                job.add_taps::<S>(&item, [z, y], (&w.entries, &w.counts), sums);
                let rows = &mut w.rows.room(FEW * lines * pitch)[(i * height + j) * pitch..];
                part::<S>(&sums[p.first_column() * FEW..], p.axes[2].target, rows, lines * pitch);
            }
        }
    }
    for channel in 0..p.target_channels {
        let block = Block {
            plane: item.example * p.target_channels + channel,
            first: [item.targets[0].start, item.targets[1].start, 0],
            step: [1; 3],
            count: [depth, height, p.axes[2].target],
            pitch: [height * pitch, pitch],
        };
        let rows = w.rows.room(FEW * lines * pitch)[channel * lines * pitch..].as_mut_ptr();
        // SAFETY: the rows were just made, whole vectors long; items do not share outputs.
        unsafe { job.output.write::<S>(&block, rows) };
    }
}

impl Job<'_> {
    /// Adds everything that reaches a row of targets.
    #[inline(always)]
    unsafe fn add_taps<S: Simd>(
        &self,
        item: &Item,
        [z, y]: [usize; 2],
        (entries, counts): (&[Entry], &[usize]),
        sums: &mut [f32],
    ) {
        let (p, count) = (self.problem, self.scatter.pooled[2]);
        let rows = self.listed(item).iter().product::<usize>();
        for tap in 0..p.kernel[0] * p.kernel[1] {
            let from = (p.reads(0, z, tap / p.kernel[1]), p.reads(1, y, tap % p.kernel[1]));
            let (Some(from_z), Some(from_y)) = from else { continue };
            let Some(row) = self.row(item, from_z, from_y) else { continue };
            let weights =
                &self.packed[tap * p.source_channels * 2 * REACH..][..p.source_channels * 2 * REACH];
            for (channel, weights) in weights.chunks_exact(2 * REACH).enumerate() {
                let row = channel * rows + row;
                // SAFETY: the caller promises the instruction set.
                unsafe { add::<S>(&entries[row * count..][..counts[row]], weights, sums) };
            }
        }
    }
}

/// Adds the entries of a source row, times the weights of one channel and one tap along depth and height.
#[inline(always)]
unsafe fn add<S: Simd>(entries: &[Entry], weights: &[f32], sums: &mut [f32]) {
    for entry in entries {
        let (at, place) = ((entry.at & !7) as usize, (entry.at & 7) as usize * REACH);
        debug_assert!(at + REACH <= sums.len() && place + REACH <= weights.len());
        // SAFETY: the caller promises the instruction set; an entry's reach lies in its row of sums, as `Scatter::new` made
        // rows long enough for the last window, and weights are there for both places in the window.
        unsafe {
            let value = S::splat(entry.value);
            let (into, weights) = (sums.as_mut_ptr().add(at), weights.as_ptr().add(place));
            for i in 0..REACH / S::LANES {
                let sum = S::load(into.add(i * S::LANES));
                let factor = S::load(weights.add(i * S::LANES));
                S::store(into.add(i * S::LANES), S::mul_add(factor, value, sum));
            }
        }
    }
}

/// Parts a row of sums by channel into rows that are `plane` numbers apart.
#[inline(always)]
unsafe fn part<S: Simd>(sums: &[f32], width: usize, rows: &mut [f32], plane: usize) {
    for x in (0..width).step_by(S::LANES) {
        let from = &sums[x * FEW..][..FEW * S::LANES];
        // SAFETY: the caller promises the instruction set; the slices hold whole vectors.
        unsafe {
            let vector = |i: usize| S::load(from[i * S::LANES..].as_ptr());
            let (even, odd) = S::deinterleave(vector(0), vector(1));
            let (more_even, more_odd) = S::deinterleave(vector(2), vector(3));
            let (first, third) = S::deinterleave(even, more_even);
            let (second, fourth) = S::deinterleave(odd, more_odd);
            for (channel, v) in [first, second, third, fourth].into_iter().enumerate() {
                S::store(rows[channel * plane + x..][..S::LANES].as_mut_ptr(), v);
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
