//! The division of a convolution of images on a [`Background`]: tiles that must be computed, and tiles that repeat.

use super::division::Line;
use super::portions::Portions;
use super::{Job, Tiles, Workspace};
use crate::isa::Isa;
use crate::kernels::conv::axis::{Axis, AxisGeometry};
use crate::kernels::conv::background::{Background, Columns};
use crate::kernels::conv::changed::{Kept, Unchanged};
use crate::kernels::conv::fill::Equal;
use crate::kernels::conv::output::Output;
use crate::kernels::conv::{Preparation, Problem};

/// The least share of tiles that must repeat, one in so many; and that must be a state's, which are copied without a tile that is
/// computed first.
const WORTHWHILE: usize = 8;
const WORTHWHILE_OF_STATE: usize = 20;

/// What repeats begins at multiples of so many outputs of a row, so that its bits are whole bytes.
const STEP: usize = 8;

/// What is computed and what repeats. Kept and filled anew by every run, so that runs allocate nothing.
#[derive(Default)]
pub struct Cut {
    /// Parts of tile rows that are computed.
    pub(super) live: Vec<Line>,
    /// The live parts of every item.
    pub(super) items: Vec<(usize, usize)>,
    /// Parts of tile rows that are background.
    idle: Vec<Line>,
    /// Whether what is not computed is a state's, instead of background.
    of_state: bool,
    /// By target channel: the value of background, rectified if the output is.
    values: Vec<f32>,
    /// Tiles at every face that are computed because paddings reach there.
    border: usize,
    /// Tiles along each axis, and outputs of one.
    count: [usize; 3],
    size: [usize; 3],
    /// By example and tile row: the tiles beside the border that are computed.
    between: Vec<Columns>,
}

impl Cut {
    /// Divides a convolution, if there is anything to gain.
    pub fn divide(&mut self, p: &Problem, tiles: &Tiles, background: &Background, how: Preparation) -> bool {
        let sizes = [0, 1, 2].map(|a| p.axes[a].source);
        self.forget();
        if p.groups != 1 || !tiles.is_deep() || sizes != background.sizes {
            return false;
        }
        self.of_state = background.of_state;
        let edges = [0, 1, 2].map(|a| edges(p, tiles, background, a));
        self.border = edges.iter().flatten().copied().max().unwrap_or(0);
        (self.count, self.size) = (tiles.count, tiles.size);
        for row in 0..p.batch * tiles.count[0] * tiles.count[1] {
            let (plane, y) = (row / tiles.count[1], row % tiles.count[1]);
            let (example, z) = (plane / tiles.count[0], plane % tiles.count[0]);
            let at_face = |at: usize, a: usize| at < edges[a][0] || at + edges[a][1] >= tiles.count[a];
            let between = match at_face(z, 0) || at_face(y, 1) {
                true => [0, tiles.count[2]],
                false => touched(p, tiles, background, [example, z, y]),
            };
            self.between.push(between);
            self.part(
                tiles.most,
                edges[2],
                between,
                Line { image: example, first: [z, y, 0], count: 0, at: 0 },
            );
        }
        let idle: usize = self.idle.iter().map(|line| line.count).sum();
        let least = if self.of_state { WORTHWHILE_OF_STATE } else { WORTHWHILE };
        if idle * least < self.between.len() * tiles.count[2] {
            self.forget();
            return false;
        }
        match (tiles.shallow, self.of_state) {
            (_, true) if !tiles.is_alone() => self.fill(tiles.most, how),
            (true, _) => self.group(1),
            _ => self.group(tiles.most),
        }
        true
    }

    /// Nothing is divided.
    pub fn forget(&mut self) {
        self.live.clear();
        self.items.clear();
        self.idle.clear();
        self.between.clear();
    }

    /// Whether the last run was divided.
    pub fn is_divided(&self) -> bool {
        !self.idle.is_empty()
    }

    /// Parts one row, of which the tiles `between` and those at its ends are live.
    fn part(&mut self, most: usize, ends: [usize; 2], between: Columns, row: Line) {
        // A state has no bits.
        let (count, step) = (self.count[2], if self.of_state { 1 } else { STEP / self.size[2] });
        let up = |at: usize| at.next_multiple_of(step).min(count);
        let down = |at: usize| at / step * step;
        let mut live = [[0, ends[0]], between, [count - ends[1].min(count), count]];
        live.iter_mut()
            .for_each(|part| *part = [down(part[0]), if part[0] < part[1] { up(part[1]) } else { 0 }]);
        let mut at = 0;
        while at < count {
            let inside = live.iter().filter(|part| part[0] <= at && at < part[1]).map(|part| part[1]).max();
            let next = live.iter().map(|part| part[0]).filter(|&start| start > at).min().unwrap_or(count);
            let end = inside.unwrap_or(next.min(count)).min(at + most.next_multiple_of(step)).min(count);
            let line = Line { first: [row.first[0], row.first[1], at], count: end - at, ..row };
            if inside.is_some() {
                self.live.push(line)
            } else {
                self.idle.push(line)
            }
            at = end;
        }
    }

    /// Makes items of live parts, of `most` tiles where they are small.
    fn group(&mut self, most: usize) {
        let (mut first, mut tiles) = (0, 0);
        for (i, line) in self.live.iter().enumerate() {
            if i > first && tiles + line.count > most {
                self.items.push((first, i));
                (first, tiles) = (i, 0);
            }
            tiles += line.count;
        }
        if first < self.live.len() {
            self.items.push((first, self.live.len()));
        }
    }

    /// Makes items that are whole vectors of tiles, and equal where they are few, of live parts of any length.
    fn fill(&mut self, most: usize, how: Preparation) {
        let all: usize = self.live.iter().map(|line| line.count).sum();
        let portions = Portions::new(all, most, how.lanes, how.threads);
        let whole = self.live.len();
        let (mut line, mut done) = (0, 0);
        for number in 0..portions.count() {
            let (first, mut left) = (self.live.len(), portions.tiles(number).len());
            while left > 0 {
                let from = self.live[line];
                let count = (from.count - done).min(left);
                let [z, y, x] = from.first;
                self.live.push(Line { first: [z, y, x + done], count, ..from });
                (left, done) = (left - count, done + count);
                if done == from.count {
                    (line, done) = (line + 1, 0);
                }
            }
            self.items.push((first - whole, self.live.len() - whole));
        }
        self.live.drain(..whole);
    }

    /// Computes a tile of background once for all that repeat. False if its values differ: of equal data all products but
    /// those of one transformed position are zeros, so only the signs of zeros can.
    pub fn repeat_once(
        &mut self,
        job: &Job<'_>,
        isa: Isa,
        background: &Background,
        w: &mut Workspace,
    ) -> bool {
        let p = job.problem;
        let axes = job.tiles.size.map(|output| {
            let axis = AxisGeometry { input: output + 2, output, kernel: 3, stride: 1, pad: 0, dilation: 1 };
            Axis::new(axis, false)
        });
        let (source_channels, target_channels, kernel) = (p.source_channels, p.target_channels, p.kernel);
        let one = Problem { batch: 1, groups: 1, source_channels, target_channels, kernel, axes };
        let how = Preparation { filtering: job.tiles.filtering, lanes: isa.lanes(), threads: 1 };
        let Some(tiles) = Tiles::new(&one, how) else {
            return false;
        };
        let (inputs, outputs) = (job.tiles.size.iter().map(|n| n + 2).product(), job.tiles.outputs());
        let data: Vec<f32> =
            background.values.iter().flat_map(|&v| core::iter::repeat_n(v, inputs)).collect();
        let mut made = vec![0.0; outputs * target_channels];
        let output = Output { rectified: job.output.rectified, ..Output::plain(job.tiles.size, &mut made) };
        let tile = Job { problem: &one, tiles: &tiles, source: &data, output: &output, cut: None, ..*job };
        (0..tile.items()).for_each(|i| tile.run(isa, i, w));
        self.values.clear();
        self.values.extend(made.chunks(outputs).map(|tile| tile[0]));
        made.chunks(outputs).all(|tile| tile.iter().all(|v| v.to_bits() == tile[0].to_bits()))
    }

    /// Notes the background of the values of an output of these sizes.
    pub fn note_values(&self, sizes: [usize; 3], known: &mut Background) {
        self.note(known, self.size, sizes);
    }

    /// Notes the background of the maxima of the windows of two that tiles are made of.
    pub fn note_maxima(&self, sizes: [usize; 3], known: &mut Background) {
        self.note(known, self.size.map(|n| n / 2), sizes);
    }

    fn note(&self, known: &mut Background, size: [usize; 3], sizes: [usize; 3]) {
        known.of_state = false;
        known.values.clone_from(&self.values);
        (known.border, known.sizes, known.rows) = (size.map(|n| n * self.border), sizes, [size[0], size[1]]);
        known.lines = [self.count[0], self.count[1]];
        known.live.clear();
        known.live.extend(self.between.iter().map(|&[start, end]| [size[2] * start, size[2] * end]));
    }
}

/// Tiles at the lower and at the upper face whose data are too near to it along an axis.
fn edges(p: &Problem, tiles: &Tiles, background: &Background, axis: usize) -> [usize; 2] {
    let near = |tile: &usize| {
        let size = tiles.size[axis] as isize;
        let first = size * *tile as isize + p.axes[axis].low;
        (first..first + size + 2).any(|at| background.is_near(axis, at))
    };
    let count = tiles.count[axis];
    [(0..count).take_while(near).count(), (0..count).rev().take_while(near).count()]
}

/// The tiles of a row whose data are not all background.
fn touched(p: &Problem, tiles: &Tiles, background: &Background, [example, z, y]: [usize; 3]) -> Columns {
    let start = |at: usize, axis: usize| (tiles.size[axis] * at) as isize + p.axes[axis].low;
    let (mut first, mut end) = (usize::MAX, 0);
    let [slices, rows] = [0, 1].map(|axis| tiles.size[axis] as isize + 2);
    for row in 0..slices * rows {
        let [from, to] = background.columns(example, start(z, 0) + row / rows, start(y, 1) + row % rows);
        if from < to {
            (first, end) = (first.min(from), end.max(to));
        }
    }
    if first >= end {
        return [0, 0];
    }
    let (low, width) = (p.axes[2].low, tiles.size[2] as isize);
    // Tile `t` of `w` outputs reads columns `w t + low .. w t + low + w + 2`.
    let from = (first as isize - low - 2).div_euclid(width).max(0) as usize;
    let to = (end as isize - low + width - 1).div_euclid(width).max(0) as usize;
    [from.min(tiles.count[2]), to.min(tiles.count[2])]
}

impl Job<'_> {
    /// Writes what repeats in one channel, or is the state's: every channel's memory is walked through once.
    pub fn repeat(&self, example_channel: usize, kept: Option<&Kept<'_>>) {
        let (Some(cut), p) = (self.cut, self.problem) else { return };
        let (example, channel) = (example_channel / p.target_channels, example_channel % p.target_channels);
        for line in cut.idle.iter().filter(|line| line.image == example) {
            let size = self.tiles.size;
            let first = [0, 1, 2].map(|a| line.first[a] * size[a]);
            let left = |a: usize, n: usize| (p.axes[a].target - first[a]).min(n);
            let count = [left(0, size[0]), left(1, size[1]), left(2, size[2] * line.count)];
            match kept {
                Some(kept) => {
                    let part = Unchanged { example, channel, channels: p.target_channels, first, count };
                    // SAFETY: parts do not overlap, nor do channels.
                    unsafe { self.output.keep(kept, &part) };
                }
                None => {
                    let value = cut.values[channel];
                    // SAFETY: as above.
                    unsafe { self.output.fill(&Equal { plane: example_channel, first, count, value }) };
                }
            }
        }
    }

    /// How often [`Job::repeat`] is to be called.
    pub fn repeats(&self) -> usize {
        self.cut.map_or(0, |_| self.problem.batch * self.problem.target_channels)
    }
}
