//! The adjoint of a convolution behind a pooling, straight from the pooled signal and the winners' codes: of every window
//! at most one entry is not 0, so that most products of the dense adjoint are left out.
//!
//! Targets have few channels ([`FEW`]), which lie side by side in the sums: an entry of the source reaches the four columns
//! of its window's reach with one short row of weights for every tap along depth and height. An item goes through its
//! windows row by row of all its slices, so that the few rows of sums that are still open stay in the second cache, and
//! hands rows on as soon as no window reaches them any more. The entries of a window are parted by their place in it, so
//! that all channels that reach the same targets are summed in registers. A target's terms are added in the order of the
//! rows, slices and columns of the windows, then of the places in them and of the channels, whatever the item or thread.

mod collected;

use super::output::{Block, Output};
use super::{ITEMS, Problem};
use crate::buffer::Buffer;
use crate::isa::Isa;
use crate::simd::{Simd, per_isa};
use collected::Collected;
use core::ops::Range;
use voxplain_autodiff::PoolGeometry;

/// Target channels, of which sums have four.
pub const FEW: usize = 4;
/// Columns that the entries of a window of two reach with a kernel of width 3.
const COLUMNS: usize = 4;
/// Numbers of the sums that an entry changes, and of the weights that it is multiplied with.
const REACH: usize = COLUMNS * FEW;
/// Slices of targets of an item: their open rows of sums stay in the second cache.
const DEPTH: usize = 16;
/// Rows of an item where more items are wanted: fewer would list many windows twice.
const LEAST_ROWS: usize = 16;

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
        let mut size = [DEPTH.min(target[0]).max(1), target[1].max(1)];
        while size[1] > LEAST_ROWS && items(size) < ITEMS {
            size[1] = size[1].div_ceil(2);
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

/// The most rows that a window has.
const PLACES: usize = 4;
/// What one thread needs.
#[derive(Default)]
pub struct Workspace {
    /// The open rows of sums of every slice `[slice][row]`, and one more for what lies outside.
    sums: Buffer,
    /// Finished rows, parted by channel.
    rows: Buffer,
    /// A row of windows.
    collected: Collected,
    /// Where every row of sums begins that the rows of a window reach, `[row of the window][tap]`.
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

    /// Rows of sums of a slice that are open at a time.
    fn open(&self) -> usize {
        self.scatter.window[1] + self.problem.kernel[1] - 1
    }

    /// Where the row of sums begins that collects target row `y` of slice `z` of an item.
    fn sums_of(&self, z: usize, y: usize) -> usize {
        (z * self.open() + y % self.open()) * self.scatter.pitch
    }

    /// Lists where the sums of the target rows begin that the windows at `z`, `y` reach; those outside the item share one
    /// row behind the others. Which rows of a window reach the item.
    fn list_reached(&self, item: &Item, [z, y]: [usize; 2], reached: &mut Vec<u32>) -> [bool; PLACES] {
        let (p, s) = (self.problem, self.scatter);
        let target = |a: usize, from: usize, k: usize| {
            let at = from as isize - p.axes[a].phases[0][k].offset;
            (at >= 0 && item.targets[a].contains(&(at as usize))).then_some(at as usize)
        };
        let outside = self.sums_of(item.targets[0].len(), 0);
        let mut inside = [false; PLACES];
        reached.clear();
        for (place, inside) in inside.iter_mut().enumerate().take(s.window[0] * s.window[1]) {
            let from = [z * s.window[0] + place / s.window[1], y * s.window[1] + place % s.window[1]];
            for tap in 0..p.kernel[0] * p.kernel[1] {
                let at = (target(0, from[0], tap / p.kernel[1]), target(1, from[1], tap % p.kernel[1]));
                let row = match at {
                    (Some(z), Some(y)) => self.sums_of(z - item.targets[0].start, y),
                    _ => outside,
                };
                *inside |= row != outside;
                reached.push(row as u32);
            }
        }
        inside
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
    w.sums.room(job.sums_of(item.targets[0].len(), 0) + s.pitch).fill(0.0);
    let mut finished = item.targets[1].start;
    for y in item.windows[1].clone() {
        let open = (y * s.window[1]) as isize - p.axes[1].high;
        // SAFETY: as the caller says.
        unsafe { finish::<S>(job, &item, &mut finished, open.max(0) as usize, w) };
        for z in item.windows[0].clone() {
            let inside = job.list_reached(&item, [z, y], &mut w.reached);
            // SAFETY: as the caller says; the sums have room for every row that was listed.
            unsafe {
                job.collect::<S>(&item, [z, y], &mut w.collected);
                add_windows::<S>(job, inside, w);
            }
        }
    }
    // SAFETY: as the caller says.
    unsafe { finish::<S>(job, &item, &mut finished, item.targets[1].end, w) };
}

/// Adds the collected row of windows to the sums that the rows of a window reach which are `inside`.
#[inline(always)]
unsafe fn add_windows<S: Simd>(job: &Job<'_>, inside: [bool; PLACES], w: &mut Workspace) {
    let taps = job.problem.kernel[0] * job.problem.kernel[1];
    let end = w.reached.iter().max().map_or(0, |&row| row as usize) + job.scatter.pitch;
    let sums = w.sums.room(end).as_mut_ptr();
    for t in 0..job.scatter.pooled[2] {
        for (place, reached) in w.reached.chunks_exact(taps).enumerate().filter(|(place, _)| inside[*place]) {
            let window = w.collected.window(t, place, taps);
            let row = |tap: usize| sums.wrapping_add(reached[tap] as usize + t * 2 * FEW);
            let mut tap = 0;
            while tap < taps {
                let weights = job.packed[tap * REACH..].as_ptr();
                // SAFETY: an entry's reach lies in its row of sums, as `Scatter::new` made rows long enough for the last
                // window, and weights are there for both columns of the window and all taps.
                tap += unsafe {
                    match taps - tap {
                        1 => window.add::<S, 1>(weights, [row(tap)]),
                        2 => window.add::<S, 2>(weights, core::array::from_fn(|i| row(tap + i))),
                        3 => window.add::<S, 3>(weights, core::array::from_fn(|i| row(tap + i))),
                        4 => window.add::<S, 4>(weights, core::array::from_fn(|i| row(tap + i))),
                        9 if S::LANES == REACH => {
                            window.add::<S, 9>(weights, core::array::from_fn(|i| row(tap + i)))
                        }
                        _ => window.add::<S, 5>(weights, core::array::from_fn(|i| row(tap + i))),
                    }
                };
            }
        }
    }
}

/// Parts the sums of an item's rows from `from` to before `to` by channel, hands them to the output and clears them.
#[inline(always)]
unsafe fn finish<S: Simd>(job: &Job<'_>, item: &Item, from: &mut usize, to: usize, w: &mut Workspace) {
    let (p, s) = (job.problem, job.scatter);
    let to = to.min(item.targets[1].end);
    let (depth, pitch) = (item.targets[0].len(), p.axes[2].target.next_multiple_of(16));
    let sums = w.sums.room(job.sums_of(depth, 0));
    while *from < to {
        let height = (to - *from).min(job.open());
        let plane = depth * height * pitch;
        let rows = w.rows.room(FEW * plane);
        for z in 0..depth {
            for y in 0..height {
                let line = &mut sums[job.sums_of(z, *from + y)..][..s.pitch];
                let row = &mut rows[(z * height + y) * pitch..];
                // SAFETY: as the caller says.
                unsafe { part::<S>(&line[p.first_column() * FEW..], p.axes[2].target, row, plane) };
                line.fill(0.0);
            }
        }
        for channel in 0..p.target_channels {
            let block = Block {
                plane: item.example * p.target_channels + channel,
                first: [item.targets[0].start, *from, 0],
                step: [1; 3],
                count: [depth, height, p.axes[2].target],
                pitch: [height * pitch, pitch],
            };
            // SAFETY: the rows were just made, whole vectors long; items do not share outputs.
            unsafe { job.output.write::<S>(&block, rows[channel * plane..].as_mut_ptr()) };
        }
        *from += height;
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
