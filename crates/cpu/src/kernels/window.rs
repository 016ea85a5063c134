//! Boxes cut out of an array that all rows share, under the rows' own patches.
//!
//! Where the pieces of a line come from depends on its row and on all axes but those that the box crosses whole, so the
//! lines of the last two axes are worked out once for each row and copied for every position of the axes before.

use crate::parallel::{Pool, Shared};
use voxplain_autodiff::WindowGeometry;
use voxplain_tensor::{Error, MAX_RANK, Result, Shape};

/// A piece of a line: so many entries from one place to another.
#[derive(Clone, Copy)]
struct Piece {
    to: usize,
    from: usize,
    count: usize,
    patched: bool,
}

/// Positions along an axis: which of them lie in the array, and which in the patch.
#[derive(Clone, Copy)]
struct Axis {
    /// Where the box begins.
    start: isize,
    size: usize,
    whole: isize,
    /// The part of the array that the patch covers.
    patch: (isize, isize),
    /// Where the patch begins.
    origin: isize,
}

impl Axis {
    fn is_inside(&self, at: isize) -> bool {
        (0..self.whole).contains(&at)
    }

    fn is_patched(&self, at: isize) -> bool {
        self.patch.0 <= at && at < self.patch.1
    }
}

/// The axes of a row.
struct Row {
    axes: [Axis; MAX_RANK],
    rank: usize,
    whole: [usize; MAX_RANK],
    patch: [usize; MAX_RANK],
}

impl Row {
    fn new(g: &WindowGeometry, places: &[f32]) -> Self {
        let rank = g.whole.rank();
        let patch = g.patch.unwrap_or(g.whole);
        let axis = |a: usize| {
            let (start, origin) = (places[a] as isize, places[rank + a] as isize);
            let end = (origin + patch[a] as isize).min(g.whole[a] as isize);
            let covered = if g.patch.is_some() { (origin.max(0), end) } else { (0, 0) };
            Axis { start, size: g.part[a], whole: g.whole[a] as isize, patch: covered, origin }
        };
        let none = Axis { start: 0, size: 1, whole: 1, patch: (0, 1), origin: 0 };
        let mut axes = [none; MAX_RANK];
        (0..rank).for_each(|a| axes[a] = axis(a));
        Self { axes, rank, whole: g.whole.strides(), patch: patch.strides() }
    }

    /// Where the array and the patch are along `axes` of the box's line of number `line`; `None` outside of the array. The
    /// place in the patch is there only where the patch is.
    fn place(&self, axes: core::ops::Range<usize>, mut line: usize) -> Option<(usize, Option<usize>)> {
        let (mut whole, mut patch) = (0, Some(0));
        for a in axes.rev() {
            let axis = &self.axes[a];
            let at = axis.start + (line % axis.size) as isize;
            line /= axis.size;
            if !axis.is_inside(at) {
                return None;
            }
            whole += at as usize * self.whole[a];
            patch = patch
                .filter(|_| axis.is_patched(at))
                .map(|p| p + (at - axis.origin) as usize * self.patch[a]);
        }
        Some((whole, patch))
    }

    /// The pieces of all lines of the last two axes, with the patch and without it.
    fn pieces(&self, patched: bool, into: &mut Vec<Piece>) {
        into.clear();
        let (first, last) = (self.rank.saturating_sub(2), self.rank.saturating_sub(1));
        let width = self.axes[last];
        let end = width.start + width.size as isize;
        let inside = (width.start.max(0), end.min(width.whole));
        for line in 0..self.axes[first..last].iter().map(|a| a.size).product() {
            let Some((whole, patch)) = self.place(first..last, line) else { continue };
            let mut push = |lo: isize, hi: isize, patch: Option<usize>| {
                if lo < hi {
                    let to = line * width.size + (lo - width.start) as usize;
                    let from = patch.map_or(whole + lo as usize, |p| p + (lo - width.origin) as usize);
                    into.push(Piece { to, from, count: (hi - lo) as usize, patched: patch.is_some() });
                }
            };
            match patch.filter(|_| patched) {
                Some(patch) => {
                    let lo = width.patch.0.clamp(inside.0, inside.1.max(inside.0));
                    let hi = width.patch.1.clamp(lo, inside.1.max(lo));
                    push(inside.0, lo, None);
                    push(lo, hi, Some(patch));
                    push(hi, inside.1, None);
                }
                None => push(inside.0, inside.1, None),
            }
        }
    }
}

/// Copies every row's box.
pub fn run(
    pool: &Pool,
    g: &WindowGeometry,
    whole: &[f32],
    patches: Option<&[f32]>,
    places: &[f32],
    y: &mut [f32],
) {
    let rank = g.whole.rank();
    let plane: usize = g.part[rank.saturating_sub(2)..].iter().product();
    let planes = g.part.elements() / plane.max(1);
    let patch = g.patch.map_or(0, |p| p.elements());
    // A few shares of every row, so that a single row keeps the threads busy too; each works the lines out anew.
    let shares = (2 * pool.threads()).div_ceil(g.rows.max(1)).clamp(1, planes.max(1));
    let shared = Shared::new(y);
    pool.each(g.rows * shares, g.rows * g.part.elements(), |item| {
        let (number, share) = (item / shares, item % shares);
        let row = Row::new(g, &places[number * 2 * rank..][..2 * rank]);
        let patches = patches.map_or(&[][..], |p| &p[number * patch..][..patch]);
        let (mut with, mut without) = (Vec::new(), Vec::new());
        row.pieces(true, &mut with);
        row.pieces(false, &mut without);
        for at in share * planes / shares..(share + 1) * planes / shares {
            // SAFETY: planes do not overlap, and each is visited once.
            let into = unsafe { shared.slice((number * planes + at) * plane, plane) };
            let place = row.place(0..rank.saturating_sub(2), at);
            copy(place, (&with, &without), (whole, patches), (into, g.fill as f32, &row, &g.part));
        }
    });
}

/// Copies the lines of one position of the leading axes.
fn copy(
    place: Option<(usize, Option<usize>)>,
    (with, without): (&[Piece], &[Piece]),
    (whole, patch): (&[f32], &[f32]),
    (into, fill, row, part): (&mut [f32], f32, &Row, &Shape),
) {
    let Some((base, over)) = place else { return into.fill(fill) };
    let two = row.rank.saturating_sub(2)..row.rank;
    let crossed =
        |a: usize| row.axes[a].start >= 0 && row.axes[a].start + part[a] as isize <= row.axes[a].whole;
    if !two.clone().all(crossed) {
        into.fill(fill);
    }
    for p in if over.is_some() { with } else { without } {
        let from = match over.filter(|_| p.patched) {
            Some(over) => &patch[over + p.from..][..p.count],
            None => &whole[base + p.from..][..p.count],
        };
        into[p.to..p.to + p.count].copy_from_slice(from);
    }
}

/// Writes a box of shape `shape` into an array of shape `whole` from position `at` on, but for what lies outside.
///
/// # Errors
/// The ranks differ.
pub fn paste(
    pool: &Pool,
    (part, shape): (&[f32], Shape),
    (into, whole): (&mut [f32], Shape),
    at: &[isize],
) -> Result<()> {
    let rank = whole.rank();
    if shape.rank() != rank || at.len() != rank || rank == 0 {
        return Err(Error::internal("a box is pasted into a value of another rank"));
    }
    let (strides, last) = (whole.strides(), rank - 1);
    let range = |a: usize| {
        let end = (at[a] + shape[a] as isize).clamp(0, whole[a] as isize);
        (at[a].clamp(0, end), end)
    };
    let (first, end) = range(last);
    let (count, width) = ((end - first) as usize, shape[last]);
    if count == 0 {
        return Ok(());
    }
    // Lines of the last two axes follow each other without divisions.
    let (lines, start, stride, height) = match last.checked_sub(1) {
        Some(a) => (shape[a], at[a], strides[a], whole[a] as isize),
        None => (1, 0, 0, 1),
    };
    let shared = Shared::new(into);
    pool.each(shape.elements() / (width * lines).max(1), shape.elements(), |outer| {
        let (mut rest, mut to, mut inside) = (outer, first as usize, true);
        for a in (0..last.saturating_sub(1)).rev() {
            let p = at[a] + (rest % shape[a]) as isize;
            rest /= shape[a];
            inside &= (0..whole[a] as isize).contains(&p);
            to += if inside { p as usize * strides[a] } else { 0 };
        }
        let rows = start.clamp(0, height)..(start + lines as isize).clamp(0, height);
        for row in rows.filter(|_| inside) {
            let from = (outer * lines + (row - start) as usize) * width + (first - at[last]) as usize;
            // SAFETY: lines of a box do not overlap where they lie inside of the array, and each is visited once.
            unsafe { shared.slice(to + row as usize * stride, count) }
                .copy_from_slice(&part[from..from + count]);
        }
    });
    Ok(())
}
