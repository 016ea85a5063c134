//! Targets of at most [`FEW`] channels: an entry of the source reaches the four columns of its window's reach with one short row
//! of weights for every tap along depth and height.
//!
//! An item goes through its windows row by row of all its slices, so that the few rows of sums that are still open stay in
//! the second cache, and hands rows on as soon as no window reaches them any more. The entries of a window are parted by
//! their place in it, so that all channels that reach the same targets are summed in registers. A target's terms are added
//! in the order of the rows, slices and columns of the windows, then of the places in them and of the channels, whatever the
//! item or thread.

use super::collected::Collected;
use super::lists::{Entry, Lists};
use super::vectors::{add, load, store};
use super::{Item, Job, PLACES, Scatter};
use crate::buffer::Buffer;
use crate::kernels::conv::Problem;
use crate::kernels::conv::output::Block;
use crate::simd::{Simd, per_isa};

/// Target channels, of which sums have four.
pub const FEW: usize = 4;
/// Columns that the entries of a window of two reach with a kernel of width 3.
const COLUMNS: usize = 4;
/// Numbers of the sums that an entry changes, and of the weights that it is multiplied with.
pub(super) const REACH: usize = COLUMNS * FEW;

/// What one thread needs.
#[derive(Default)]
pub struct Workspace {
    /// The open rows of sums of every slice `[slice][row]`, and one for each tap for what lies outside.
    sums: Buffer,
    /// Finished rows, parted by channel.
    rows: Buffer,
    /// A row of windows, and its entries.
    collected: Collected,
    lists: Lists,
    /// Where every row of sums begins that the rows of a window reach, `[row of the window][tap]`.
    reached: Vec<u32>,
}

/// Numbers of the packed weights.
pub(super) fn packed_len(p: &Problem) -> usize {
    p.source_channels * p.plane_taps() * 2 * REACH
}

/// Weights as `[source channel][column in the window][tap along depth][along height][column][target channel]`, zeros where a
/// column is not reached. `weight(o, c, k)` is the weight of target channel `o`, source channel `c` and tap `k`.
pub(super) fn pack(p: &Problem, weight: impl Fn(usize, usize, usize) -> f64, packed: &mut [f32]) {
    let (width, taps) = (p.kernel[2], p.plane_taps());
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

impl Scatter {
    /// Numbers between rows of sums.
    fn pitch(&self) -> usize {
        self.columns * FEW
    }
}

impl Job<'_> {
    /// Rows of sums of a slice that are open at a time.
    fn open(&self) -> usize {
        self.scatter.window[1] + self.problem.kernel[1] - 1
    }

    /// Where the row of sums begins that collects target row `y` of slice `z` of an item.
    fn sums_of(&self, z: usize, y: usize) -> usize {
        (z * self.open() + y % self.open()) * self.scatter.pitch()
    }

    /// Lists where the sums of the target rows begin that the windows at `z`, `y` reach; those outside the item have rows
    /// behind the others, one for each tap. Which rows of a window reach the item.
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
            for tap in 0..p.plane_taps() {
                let at = (target(0, from[0], tap / p.kernel[1]), target(1, from[1], tap % p.kernel[1]));
                let row = match at {
                    (Some(z), Some(y)) => self.sums_of(z - item.targets[0].start, y),
                    _ => outside + tap * s.pitch(),
                };
                *inside |= row < outside;
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
    w.sums.room(job.sums_of(item.targets[0].len(), 0) + p.plane_taps() * s.pitch()).fill(0.0);
    let mut finished = item.targets[1].start;
    for y in item.windows[1].clone() {
        let open = (y * s.window[1]) as isize - p.axes[1].high;
        // SAFETY: as the caller says.
        unsafe { finish::<S>(job, &item, &mut finished, open.max(0) as usize, w) };
        for z in item.windows[0].clone() {
            let inside = job.list_reached(&item, [z, y], &mut w.reached);
            // SAFETY: as the caller says; the sums have room for every row that was listed.
            unsafe {
                job.collect::<S>(item.example, [z, y], &mut w.collected);
                w.lists.fill(&w.collected, |channel, place| {
                    (place / 2, (2 * channel + place % 2) * p.plane_taps() * REACH)
                });
                add_windows::<S>(job, inside, w);
            }
        }
    }
    // SAFETY: as the caller says.
    unsafe { finish::<S>(job, &item, &mut finished, item.targets[1].end, w) };
}

/// Adds the listed row of windows to the sums that the rows of a window reach which are `inside`.
#[inline(always)]
unsafe fn add_windows<S: Simd>(job: &Job<'_>, inside: [bool; PLACES], w: &mut Workspace) {
    let taps = job.problem.plane_taps();
    let end = w.reached.iter().max().map_or(0, |&row| row as usize) + job.scatter.pitch();
    let sums = w.sums.room(end).as_mut_ptr();
    for (place, reached) in w.reached.chunks_exact(taps).enumerate().filter(|(place, _)| inside[*place]) {
        let row = |tap: usize| sums.wrapping_add(reached[tap] as usize);
        let mut tap = 0;
        while tap < taps {
            let (windows, weights) = (w.lists.windows(place), job.packed[tap * REACH..].as_ptr());
            // SAFETY: an entry's reach lies in its row of sums, as `Scatter::new` made rows long enough for the last window,
            // and weights are there for both columns of the window and all taps.
            tap += unsafe {
                match taps - tap {
                    6.. => walk::<S, 6>(windows, weights, core::array::from_fn(|i| row(tap + i))),
                    3.. => walk::<S, 3>(windows, weights, core::array::from_fn(|i| row(tap + i))),
                    _ => walk::<S, 1>(windows, weights, [row(tap)]),
                }
            };
        }
    }
}

/// Adds the entries of a row of windows, times the weights of `N` taps, to the rows of sums that these reach; `N`.
///
/// # Safety
/// The instruction set is there; weights can be read for every channel and column, and the rows read and written, two columns
/// more than there are columns of windows.
#[inline(always)]
unsafe fn walk<'l, S: Simd, const N: usize>(
    windows: impl Iterator<Item = &'l [Entry]>,
    weights: *const f32,
    rows: [*mut f32; N],
) -> usize {
    // SAFETY: as the caller says.
    unsafe {
        match S::Eight::LANES {
            8 => walk_vectors::<S::Eight, 1, N>(windows, weights, rows),
            _ => walk_vectors::<S::Eight, 2, N>(windows, weights, rows),
        }
    }
    N
}

/// [`walk`] where `V` vectors are the two columns of a window: the sums of these and of the next two are in registers.
///
/// # Safety
/// As for [`walk`].
#[inline(always)]
unsafe fn walk_vectors<'l, S: Simd, const V: usize, const N: usize>(
    windows: impl Iterator<Item = &'l [Entry]>,
    weights: *const f32,
    mut rows: [*mut f32; N],
) {
    const HALF: usize = REACH / 2;
    // SAFETY: as the caller says.
    unsafe {
        let mut own = [[S::splat(0.0); V]; N];
        for i in 0..N {
            own[i] = load::<S, V>(rows[i]);
        }
        for entries in windows {
            let mut next = [[S::splat(0.0); V]; N];
            for i in 0..N {
                next[i] = load::<S, V>(rows[i].add(HALF));
            }
            for entry in entries {
                let (value, weights) = (S::splat(entry.value), weights.add(entry.weights as usize));
                for i in 0..N {
                    add::<S, V>(&mut own[i], value, weights.add(i * REACH));
                    add::<S, V>(&mut next[i], value, weights.add(i * REACH + HALF));
                }
            }
            for i in 0..N {
                store::<S, V>(rows[i], own[i]);
                own[i] = next[i];
                rows[i] = rows[i].add(HALF);
            }
        }
        for i in 0..N {
            store::<S, V>(rows[i], own[i]);
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
                let line = &mut sums[job.sums_of(z, *from + y)..][..s.pitch()];
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
            let vectors = S::load_parted::<FEW>(from.as_ptr());
            for channel in 0..FEW {
                S::store(rows[channel * plane + x..][..S::LANES].as_mut_ptr(), vectors[channel]);
            }
        }
    }
}

per_isa! {
    /// Computes item `number` of a job.
    pub(super) fn run_item(job: &Job<'_>, number: usize, workspace: &mut Workspace) = item
}
