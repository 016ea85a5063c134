//! What happens to finished sums while they are in cache: a second operand is added, they are masked and rectified, their
//! signs are packed, windows of two are pooled with the winners' codes, and whatever is wanted of it is written.
//!
//! Each of these says exactly what the kernel of its own says: windows are looked through in row-major order after the
//! rectifier, so that in a window without positive entries the first one wins.

use crate::kernels::bits::{Part, keep_apart, keep_from, pack_part};
use crate::parallel::Shared;
use crate::simd::Simd;

/// Where sums go. Every part that is there is made.
pub struct Output<'a> {
    /// Spatial sizes of what the convolution makes.
    pub sizes: [usize; 3],
    /// The values themselves.
    pub y: Option<Shared<'a, f32>>,
    /// Added to the sums; of the shape of `y`.
    pub added: Option<&'a [f32]>,
    /// Bits, every row beginning on a byte; where one is clear the value becomes 0.
    pub mask: Option<&'a [u8]>,
    /// Whether what is negative becomes 0.
    pub rectified: bool,
    /// One bit for every positive value; every row begins on a byte.
    pub bits: Option<Shared<'a, u8>>,
    /// The values after pooling.
    pub pooled: Option<Pooled<'a>>,
}

/// Maxima of windows of one or two entries along each axis, side by side.
pub struct Pooled<'a> {
    /// Sizes of a window, each 1 or 2; the last is 2.
    pub window: [usize; 3],
    /// Spatial sizes of the result.
    pub sizes: [usize; 3],
    /// The maxima.
    pub y: Option<Shared<'a, f32>>,
    /// The winners' places in their windows, row-major.
    pub codes: Option<Shared<'a, u8>>,
}

/// A box of finished sums: rows of a plane that lie `step` apart in the target.
pub struct Block {
    /// Example times channels plus channel.
    pub plane: usize,
    /// The first target position; even where windows are pooled.
    pub first: [usize; 3],
    /// Distance of target positions along each axis.
    pub step: [usize; 3],
    /// Positions along each axis.
    pub count: [usize; 3],
    /// Distances of slices and of rows in the data.
    pub pitch: [usize; 2],
}

impl<'a> Output<'a> {
    /// The plain values alone.
    pub fn plain(sizes: [usize; 3], y: &'a mut [f32]) -> Self {
        Self {
            sizes,
            y: Some(Shared::new(y)),
            added: None,
            mask: None,
            rectified: false,
            bits: None,
            pooled: None,
        }
    }

    /// Whether what repeats in the sums repeats in everything that is made of them.
    pub fn repeats(&self) -> bool {
        let whole = self.pooled.as_ref().is_none_or(|p| p.window == [2; 3]);
        whole && self.added.is_none() && self.mask.is_none()
    }

    /// How many rows along depth and height belong together.
    pub fn window(&self) -> [usize; 2] {
        self.pooled.as_ref().map_or([1, 1], |p| [p.window[0], p.window[1]])
    }

    /// Finishes a block.
    ///
    /// # Safety
    /// The instruction set of `S` is there; `data` holds the block, each row readable up to the next multiple of the
    /// lanes; blocks of different calls that run at the same time do not overlap in the target, and where bits are wanted
    /// their rows have no steps.
    #[inline(always)]
    pub unsafe fn write<S: Simd>(&self, block: &Block, data: *mut f32) {
        for z in 0..block.count[0] {
            if let Some(y) = self.whole_rows(block) {
                let n = block.count[1] * block.count[2];
                let line =
                    (block.plane * self.sizes[0] + block.first[0] + z) * self.sizes[1] + block.first[1];
                // SAFETY: the slice lies in the data, says the caller, and rows behind each other in both.
                unsafe {
                    let values = core::slice::from_raw_parts(data.add(z * block.pitch[0]), n);
                    y.slice(line * self.sizes[2], n).copy_from_slice(values);
                }
                continue;
            }
            for y in 0..block.count[1] {
                // SAFETY: the row lies in the data, says the caller.
                let row = unsafe { data.add(z * block.pitch[0] + y * block.pitch[1]) };
                let at =
                    [block.first[0] + z * block.step[0], block.first[1] + y * block.step[1], block.first[2]];
                // SAFETY: as the caller says.
                unsafe { self.row::<S>(block, at, row) };
            }
        }
        if let Some(pooled) = &self.pooled {
            // SAFETY: as the caller says.
            unsafe { pooled.write::<S>(block, data, self.rectifies_late()) };
        }
    }

    /// Where values go, if they alone are wanted and whole rows of them lie in the data as in the target.
    fn whole_rows(&self, block: &Block) -> Option<&Shared<'a, f32>> {
        let plain = self.added.is_none() && self.mask.is_none() && !self.rectified && self.bits.is_none();
        let whole = block.count[2] == self.sizes[2] && block.pitch[1] == self.sizes[2];
        // Steps last: they were just written number by number, and processors wait for what they then read as one vector.
        self.y.as_ref().filter(|_| plain && whole && self.pooled.is_none() && block.step == [1; 3])
    }

    /// Whether the rectifier can wait until windows are read: bits are the same before it.
    fn rectifies_late(&self) -> bool {
        self.rectified && self.y.is_none() && self.added.is_none()
    }

    #[inline(always)]
    unsafe fn row<S: Simd>(&self, block: &Block, at: [usize; 3], row: *mut f32) {
        let count = block.count[2];
        let line = (block.plane * self.sizes[0] + at[0]) * self.sizes[1] + at[1];
        let start = line * self.sizes[2] + at[2];
        if let Some(mask) = self.mask {
            // SAFETY: the row holds `count` values.
            let values = unsafe { core::slice::from_raw_parts_mut(row, count) };
            let bytes = self.sizes[2].div_ceil(8);
            let mask = &mask[line * bytes..(line + 1) * bytes];
            match block.step[2] {
                1 => keep_from(at[2], values, mask),
                step => keep_apart(values, mask, at[2], step),
            }
        }
        let elsewhere = self.bits.is_some() || self.pooled.is_some();
        if let Some(y) = self.y.as_ref().filter(|_| !elsewhere && block.step[2] == 1) {
            // SAFETY: blocks do not overlap.
            let into = unsafe { y.slice(start, count) };
            // SAFETY: the row holds `count` values and can be read up to the next multiple of the lanes.
            return unsafe { self.finish::<S>(row, start, into.as_mut_ptr(), count) };
        }
        if self.added.is_some() || self.rectified && !self.rectifies_late() {
            // SAFETY: as above.
            unsafe { self.finish::<S>(row, start, row, count) };
        }
        // SAFETY: the row holds `count` values.
        let values = unsafe { core::slice::from_raw_parts(row, count) };
        if let Some(bits) = &self.bits {
            let row = line * self.sizes[2].div_ceil(8);
            let part = Part { row, first: at[2], ends: at[2] + count == self.sizes[2] };
            // SAFETY: the caller promises the instruction set; blocks do not overlap.
            unsafe { pack_part::<S>(values, &part, bits) };
        }
        if let Some(y) = &self.y {
            let reach = (count - 1) * block.step[2] + 1;
            // SAFETY: blocks do not overlap. Rows of different phases of a strided adjoint interleave, but one thread
            // computes all phases of its rows, one after the other.
            let into = unsafe { y.slice(start, reach) };
            if block.step[2] == 1 {
                into.copy_from_slice(values);
            } else {
                into.iter_mut().step_by(block.step[2]).zip(values).for_each(|(to, v)| *to = *v);
            }
        }
    }

    /// Adds to a row of `count` values what is to be added, and rectifies it where that is wanted; from `row` to `into`, which
    /// may be the row itself. `start` is its place in the result.
    ///
    /// # Safety
    /// The instruction set is there; the row can be read up to the next multiple of the lanes, and `count` values written.
    #[inline(always)]
    unsafe fn finish<S: Simd>(&self, row: *const f32, start: usize, into: *mut f32, count: usize) {
        for i in (0..count).step_by(S::LANES) {
            let left = count - i;
            // SAFETY: as the caller says; of `added` only what exists is read. Behind the row others lie that are still
            // unfinished, so that no more than it is written.
            unsafe {
                let mut v = S::load(row.add(i));
                if let Some(added) = self.added {
                    let rest = &added[start + i..start + count];
                    let whole = left >= S::LANES;
                    v = S::add(
                        v,
                        if whole { S::load(rest.as_ptr()) } else { S::load_first(rest.as_ptr(), left) },
                    );
                }
                if self.rectified {
                    v = S::max(v, S::splat(0.0));
                }
                if left >= S::LANES {
                    S::store(into.add(i), v);
                } else {
                    S::store_first(into.add(i), left, v);
                }
            }
        }
    }
}

impl Pooled<'_> {
    /// Pools a block, whose values are rectified first if `rectify`.
    #[inline(always)]
    unsafe fn write<S: Simd>(&self, block: &Block, data: *const f32, rectify: bool) {
        let first = [0, 1, 2].map(|a| block.first[a] / self.window[a]);
        let end = [0, 1, 2].map(|a| ((block.first[a] + block.count[a]) / self.window[a]).min(self.sizes[a]));
        let count = end[2].saturating_sub(first[2]);
        for z in first[0]..end[0] {
            for y in first[1]..end[1] {
                let corner = [z * self.window[0] - block.first[0], y * self.window[1] - block.first[1]];
                let line = (block.plane * self.sizes[0] + z) * self.sizes[1] + y;
                let windows = Windows {
                    start: line * self.sizes[2] + first[2],
                    count,
                    columns: block.count[2],
                    rectify,
                };
                let [slice, row] = block.pitch;
                // SAFETY: whole windows lie in the block.
                unsafe {
                    let at = data.add(corner[0] * slice + corner[1] * row);
                    match self.window {
                        [1, 1, _] => self.row::<S, 1>([at], &windows),
                        [1, _, _] => self.row::<S, 2>([at, at.add(row)], &windows),
                        [_, 1, _] => self.row::<S, 2>([at, at.add(slice)], &windows),
                        _ => {
                            self.row::<S, 4>([at, at.add(row), at.add(slice), at.add(slice + row)], &windows)
                        }
                    }
                }
            }
        }
    }

    /// One row of windows, each of two columns of `N` rows. Codes are counted as numbers in the lanes of the values.
    #[inline(always)]
    unsafe fn row<S: Simd, const N: usize>(&self, rows: [*const f32; N], windows: &Windows) {
        for i in (0..windows.count).step_by(S::LANES) {
            let n = S::LANES.min(windows.count - i);
            // SAFETY: whole windows lie in the block, whose rows are readable up to the next multiple of the lanes; windows
            // of different blocks do not overlap.
            unsafe {
                let (best, code) = maxima::<S, N>(&rows, 2 * i, windows);
                if let Some(y) = &self.y {
                    S::store_first(y.slice(windows.start + i, n).as_mut_ptr(), n, best);
                }
                if let Some(codes) = &self.codes {
                    store_first_bytes::<S>(codes.slice(windows.start + i, n), code);
                }
            }
        }
    }
}

/// A row of windows in a block.
struct Windows {
    /// The first window's place in the result.
    start: usize,
    /// How many there are.
    count: usize,
    /// Columns of the block.
    columns: usize,
    /// Whether what is negative becomes 0 first.
    rectify: bool,
}

/// The maxima of a vector of windows from column `column`, and the first winners' places.
#[inline(always)]
unsafe fn maxima<S: Simd, const N: usize>(
    rows: &[*const f32; N],
    column: usize,
    windows: &Windows,
) -> (S::V, S::V) {
    // SAFETY: as for `Pooled::row`; of the pair of vectors the second may begin beyond the row, and is then not read.
    unsafe {
        let (mut best, mut code) = (S::splat(0.0), S::splat(0.0));
        // What is not a number never wins.
        let least = S::splat(if windows.rectify { 0.0 } else { f32::NEG_INFINITY });
        for r in 0..N {
            let from = rows[r].add(column);
            let whole = column + S::LANES < windows.columns;
            let second = if whole { S::load(from.add(S::LANES)) } else { S::splat(0.0) };
            let (mut even, mut odd) = S::deinterleave(S::load(from), second);
            (even, odd) = (S::max(even, least), S::max(odd, least));
            if r == 0 {
                best = even;
            } else {
                keep_better::<S>(even, 2.0 * r as f32, &mut best, &mut code);
            }
            keep_better::<S>(odd, 2.0 * r as f32 + 1.0, &mut best, &mut code);
        }
        (best, code)
    }
}

/// Takes `v` and its place where it exceeds the best so far.
///
/// # Safety
/// The instruction set of `S` is there.
#[inline(always)]
pub(super) unsafe fn keep_better<S: Simd>(v: S::V, place: f32, best: &mut S::V, code: &mut S::V) {
    // SAFETY: as the caller says.
    unsafe {
        *code = S::select_greater(v, *best, S::splat(place), *code);
        *best = S::select_greater(v, *best, v, *best);
    }
}

/// Writes the first lanes of a vector of small whole numbers as bytes, as many as `into` has room for.
#[inline(always)]
unsafe fn store_first_bytes<S: Simd>(into: &mut [u8], v: S::V) {
    // SAFETY: the caller promises the instruction set; the largest vector has 16 lanes.
    unsafe {
        if into.len() == S::LANES {
            return S::store_bytes(into.as_mut_ptr(), v);
        }
        let mut all = [0u8; 16];
        S::store_bytes(all.as_mut_ptr(), v);
        into.copy_from_slice(&all[..into.len()]);
    }
}
