//! Boxes over a state. A row of a perturbation method changes a part of a known state, mostly of no box's shape: a supervoxel
//! fills half of the box around it. Where the operands of a convolution are those of the state its results are too, so they
//! are copied from there. Nothing is assumed: inputs are compared with the state, and what is known of a result follows from
//! what was computed for it.

use super::background::{Background, Columns, Other, widen};
use super::output::Output;
use crate::parallel::{Pool, Shared};
use core::ops::Range;
use voxplain_autodiff::WindowGeometry;

/// What is known of the patches of a window.
pub enum Patch<'a> {
    /// Nothing yet: they are compared with the state.
    Compared,
    /// Where they differ from the state.
    Known(&'a Background),
    /// They may differ anywhere.
    Anything,
}

/// The operands of a window: the state's images, the rows' patches, and where boxes and patches begin.
#[derive(Clone, Copy)]
pub struct Boxes<'a> {
    /// Shapes; of rank 5, and one example each.
    pub geometry: &'a WindowGeometry,
    /// The state's images `[channel][depth][height][width]`.
    pub whole: &'a [f32],
    /// The patches of all rows.
    pub patches: &'a [f32],
    /// By row: the first entry of the box along every axis, then of the patch.
    pub places: &'a [f32],
}

/// Axes of an array of images.
const RANK: usize = 5;

impl Boxes<'_> {
    /// Where the box and the patch of a row begin along an axis.
    fn starts(&self, row: usize, axis: usize) -> [isize; 2] {
        let places = &self.places[row * 2 * RANK..][..2 * RANK];
        [places[axis] as isize, places[RANK + axis] as isize]
    }

    /// The columns of a line of a patch that differ from the state, of those that lie in it.
    fn differing(&self, row: usize, [z, y]: [usize; 2], inside: [usize; 2]) -> Columns {
        let (whole, Some(patch)) = (self.geometry.whole, self.geometry.patch) else { return [0, 0] };
        let at = |a: usize, i: usize| (self.starts(row, a)[1] + i as isize) as usize;
        let mut columns = [inside[1] - inside[0], 0];
        for c in 0..patch[1] {
            let line = ((row * patch[1] + c) * patch[2] + z) * patch[3] + y;
            let own = &self.patches[line * patch[4]..][inside[0]..inside[1]];
            let line = (at(1, c) * whole[2] + at(2, z)) * whole[3] + at(3, y);
            let state = &self.whole[line * whole[4] + at(4, inside[0])..][..own.len()];
            widen(&mut columns, own, Other::Row(state));
        }
        columns.map(|at| inside[0] + at)
    }
}

impl Background {
    /// Notes where boxes may differ from the state, if these are images.
    pub fn find_changed(&mut self, pool: &Pool, boxes: Boxes<'_>, patch: &Patch<'_>) {
        self.forget();
        let g = boxes.geometry;
        let Some(patched) = g.patch else { return };
        if g.whole.rank() != RANK || g.part[0] != 1 || patched[0] != 1 || g.whole[0] != 1 {
            return;
        }
        let sizes = [2, 3, 4].map(|a| g.part[a]);
        (self.of_state, self.border, self.sizes) = (true, [0; 3], sizes);
        (self.rows, self.lines) = ([1; 2], [sizes[0], sizes[1]]);
        self.values.clear();
        self.live.resize(g.rows * sizes[0] * sizes[1], [sizes[2], 0]);
        let shared = Shared::new(&mut self.live);
        pool.each(g.rows * patched[2], g.rows * patched.elements(), |slice| {
            let (row, z) = (slice / patched[2], slice % patched[2]);
            // Where an entry of the patch lies in the box, if it does, and in the array.
            let inside = |a: usize, i: usize| {
                let [start, origin] = boxes.starts(row, a);
                let at = origin + i as isize;
                let is_there = (0..g.whole[a] as isize).contains(&at);
                usize::try_from(at - start).ok().filter(|&to| is_there && to < g.part[a])
            };
            let Some(depth) = inside(2, z) else { return };
            // SAFETY: slices of a patch lie in slices of their own.
            let lines = unsafe { shared.slice((row * sizes[0] + depth) * sizes[1], sizes[1]) };
            let [start, origin] = boxes.starts(row, 4);
            let clip = |at: isize| at.clamp(0, g.whole[4] as isize).clamp(start, start + sizes[2] as isize);
            let columns = [clip(origin), clip(origin + patched[4] as isize)].map(|at| at - origin);
            if columns[0] >= columns[1] {
                return;
            }
            let columns = columns.map(|at| at as usize);
            for y in 0..patched[3] {
                let Some(line) = inside(3, y) else { continue };
                let [from, to] = match patch {
                    Patch::Compared => boxes.differing(row, [z, y], columns),
                    Patch::Known(known) => known.columns(row, z as isize, y as isize),
                    Patch::Anything => columns,
                };
                let [from, to] = [from.max(columns[0]), to.min(columns[1])];
                if from < to {
                    lines[line] = [from, to].map(|at| (origin + at as isize - start) as usize);
                }
            }
        });
    }
}

/// What an output of a convolution without steps is made of along an axis.
#[derive(Clone, Copy)]
pub struct Reach {
    /// The first entry that output 0 reads, which may lie in a padding.
    pub low: isize,
    /// How many an output reads.
    pub width: usize,
    /// How many outputs share their rounding, from multiples of it on.
    pub shared: usize,
}

impl Reach {
    /// What the outputs `from .. to` are made of.
    fn read(&self, from: usize, to: usize) -> Range<isize> {
        let (from, to) = (from / self.shared * self.shared, to.next_multiple_of(self.shared));
        from as isize + self.low..to as isize + self.low + self.width as isize - 1
    }

    /// The outputs that are made of any of the entries `from .. to`, of `count`.
    fn readers(&self, [from, to]: Columns, count: usize) -> Columns {
        let inside = |at: isize| at.clamp(0, count as isize) as usize;
        let first = inside(from as isize + 1 - self.width as isize - self.low);
        let end = inside(to as isize - self.low);
        [first / self.shared * self.shared, end.next_multiple_of(self.shared).min(count)]
    }
}

impl Background {
    /// Notes where the results of a convolution of `sizes`, or the maxima of its windows, may differ from the state's, given
    /// where its operand does.
    pub fn follow(&mut self, source: &Self, reach: [Reach; 3], sizes: [usize; 3], window: [usize; 3]) {
        self.forget();
        self.sizes = [0, 1, 2].map(|a| sizes[a] / window[a]);
        (self.of_state, self.border) = (true, [0; 3]);
        (self.rows, self.lines) = ([1; 2], [self.sizes[0], self.sizes[1]]);
        self.values.clear();
        let examples = source.live.len() / (source.lines[0] * source.lines[1]).max(1);
        let read = |a: usize, at: usize| reach[a].read(at * window[a], (at + 1) * window[a]);
        for row in 0..examples * self.lines[0] * self.lines[1] {
            let (plane, y) = (row / self.lines[1], row % self.lines[1]);
            let (example, z) = (plane / self.lines[0], plane % self.lines[0]);
            let (mut from, mut to) = (usize::MAX, 0);
            for [start, end] in
                read(0, z).flat_map(|z| read(1, y).map(move |y| source.columns(example, z, y)))
            {
                if start < end {
                    (from, to) = (from.min(start), to.max(end));
                }
            }
            let [first, end] = if from < to { reach[2].readers([from, to], sizes[2]) } else { [0, 0] };
            self.live.push(match first < end {
                true => [first / window[2], end.div_ceil(window[2]).min(self.sizes[2])],
                false => [self.sizes[2], 0],
            });
        }
    }
}

/// What the state has of a result: images `[channel][depth][height][width]` of one example, and where the boxes of rows begin.
#[derive(Clone, Copy)]
pub struct Kept<'a> {
    /// The images.
    pub whole: &'a [f32],
    /// Their spatial sizes.
    pub sizes: [usize; 3],
    /// By row: the first entry of another box along every axis, then that of this one.
    pub places: &'a [f32],
}

impl Kept<'_> {
    /// Where a row of the box of an example begins, as a line of one channel, and its first column; `None` outside.
    fn line(&self, example: usize, [z, y]: [usize; 2]) -> Option<(usize, isize)> {
        let origin = |axis: usize| self.places[example * 2 * RANK + RANK + 2 + axis] as isize;
        let inside = |axis: usize, i: usize| {
            usize::try_from(origin(axis) + i as isize).ok().filter(|&at| at < self.sizes[axis])
        };
        Some((inside(0, z)? * self.sizes[1] + inside(1, y)?, origin(2)))
    }
}

/// A box of sums that are the state's.
pub struct Unchanged {
    /// The example, the channel, and how many there are.
    pub example: usize,
    pub channel: usize,
    pub channels: usize,
    /// The first position; even where windows are pooled.
    pub first: [usize; 3],
    /// Positions along each axis.
    pub count: [usize; 3],
}

impl Output<'_> {
    /// Whether one value alone is made, of the sums alone, so that it can be copied.
    pub fn is_one(&self) -> bool {
        let pooled = self.pooled.as_ref();
        let whole = pooled.is_none_or(|p| p.window == [2; 3] && p.codes.is_none());
        let one = self.y.is_some() != pooled.is_some_and(|p| p.y.is_some());
        whole && one && self.added.is_none() && self.mask.is_none() && self.bits.is_none()
    }

    /// Copies a box from the state; what lies outside of the state's images stays as it is.
    ///
    /// # Safety
    /// Boxes of calls that run at the same time do not overlap.
    pub unsafe fn keep(&self, kept: &Kept<'_>, part: &Unchanged) {
        let pooled = self.pooled.as_ref().filter(|_| self.y.is_none());
        let (out, sizes, window) = match (&self.y, pooled.map(|p| (&p.y, p.sizes, p.window))) {
            (Some(y), _) => (y, self.sizes, [1; 3]),
            (None, Some((Some(y), sizes, window))) => (y, sizes, window),
            _ => return,
        };
        let first = [0, 1, 2].map(|a| part.first[a] / window[a]);
        let end = [0, 1, 2].map(|a| ((part.first[a] + part.count[a]) / window[a]).min(sizes[a]));
        let plane = part.example * part.channels + part.channel;
        let lines = (first[0]..end[0]).flat_map(|z| (first[1]..end[1]).map(move |y| [z, y]));
        for [z, y] in lines {
            let Some((line, column)) = kept.line(part.example, [z, y]) else { continue };
            let width = kept.sizes[2];
            let clip = |at: usize| (column + at as isize).clamp(0, width as isize) as usize;
            let (from, to) = (clip(first[2]), clip(end[2]));
            if from < to {
                let state = part.channel * kept.sizes[0] * kept.sizes[1] + line;
                let values = &kept.whole[state * width..][from..to];
                let at = (from as isize - column) as usize;
                let row = (plane * sizes[0] + z) * sizes[1] + y;
                // SAFETY: as the caller says.
                unsafe { out.slice(row * sizes[2] + at, values.len()) }.copy_from_slice(values);
            }
        }
    }
}
