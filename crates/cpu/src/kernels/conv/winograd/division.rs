//! How the tiles of a convolution are divided: their sizes, the items that threads take, and the parts of tile rows in an item.

use super::portions::Portions;
use super::{Job, plane_positions};
use crate::filtering::Filtering;
use crate::kernels::conv::tile::CHANNELS;
use crate::kernels::conv::{ITEMS, Preparation, Problem, apart};
use crate::simd::Simd;
use core::ops::Range;

/// Bytes of data, sums and slices that are alive together: they and some weights fit a second cache of half a megabyte.
const CACHE_BYTES: usize = 400 << 10;
/// Channels whose sums are transformed back together.
pub(super) const SHARE: usize = 16;
/// Tiles that fill registers, as whole vectors (three of the widest, see [`Simd::PAIR`]), and more than which gain nothing.
const fn few(lanes: usize) -> usize {
    if lanes < 16 { 24 } else { 3 * lanes }
}
pub(super) const MANY: usize = 96;
/// Fewer source channels than this do not pay for buffers of sums, and want as many target channels to pay for the
/// transforms; others pay with one block of target channels.
const LEAST_CHANNELS: usize = 8;
/// As many source channels pay for adding positions along height up one by one, in tiles of two rows: a quarter of the data is
/// alive at a time.
const MANY_CHANNELS: usize = 128;
/// Weights of a tap beyond which those of larger tiles cost more than they gain where depth is not transformed: images with so
/// many channels are small, and do not fill the tiles.
const MOST_WEIGHTS: usize = 128 * 128;
/// How the tiles of a convolution are divided.
pub struct Tiles {
    /// The axis whose positions are computed one after the other: depth (0) where that is transformed too, height (1) in images of
    /// many channels.
    pub(super) parted: Option<usize>,
    /// Whether all of a tile stays near the registers, see [`super::shallow`].
    pub(super) shallow: bool,
    /// Outputs of a tile along each axis, and what decided them.
    pub(super) size: [usize; 3],
    pub(super) filtering: Filtering,
    /// Tiles along each axis.
    pub(super) count: [usize; 3],
    /// The most tiles of an item.
    pub(super) most: usize,
    /// The tiles of the items of a group that differ in them.
    portions: Portions,
    /// Channels of an item, and items that share tiles.
    channels: usize,
    chunks: usize,
}

impl Tiles {
    /// The division, if the convolution is one that Winograd's filtering computes and gains from.
    pub fn new(p: &Problem, how: Preparation) -> Option<Self> {
        let deep = p.kernel[0] == 3;
        let shallow = p.source_channels < LEAST_CHANNELS;
        let small = p.target_channels < if shallow { LEAST_CHANNELS } else { CHANNELS } || shallow && !deep;
        let empty = p.axes.iter().any(|a| a.target == 0 || a.source == 0);
        if how.filtering == Filtering::Direct || !is_of_three(p) || small || empty {
            return None;
        }
        let size = size(p, how.filtering);
        let many = p.source_channels >= MANY_CHANNELS && size[1] == 2;
        let parted = if deep { Some(0) } else { many.then_some(1) };
        let count = [0, 1, 2].map(|a| p.axes[a].target.div_ceil(size[a]));
        let few = few(how.lanes);
        let fitting = (CACHE_BYTES / (alive(p, size, shallow, parted) * size_of::<f32>())).clamp(few, MANY);
        // A shallow row that fills its vectors goes alone: that is the short way to its windows.
        let alone = shallow && count[2] >= super::shallow::TILES;
        let all = p.batch * count.iter().product::<usize>();
        let mut most = match alone {
            true => count[2].div_ceil(count[2].div_ceil(fitting)).next_multiple_of(8),
            false => fitting / few * few,
        };
        while !alone && most > few && p.groups * all.div_ceil(most) < ITEMS * how.threads {
            most -= few;
        }
        let portions = match alone {
            true => Portions::Rows { rows: all / count[2], width: count[2], most },
            false => Portions::new(all, most, how.lanes, how.threads),
        };
        let items = p.groups * portions.count();
        let wanted = if items % how.threads == 0 { how.threads } else { ITEMS * how.threads };
        let chunks = (wanted / items).clamp(1, p.target_channels.div_ceil(4 * CHANNELS));
        let channels = p.target_channels.div_ceil(chunks).next_multiple_of(CHANNELS);
        let chunks = p.target_channels.div_ceil(channels);
        Some(Self {
            parted,
            shallow,
            size,
            filtering: how.filtering,
            count,
            most,
            portions,
            channels,
            chunks,
        })
    }

    /// Whether every row is an item.
    pub(super) fn is_alone(&self) -> bool {
        matches!(self.portions, Portions::Rows { .. })
    }

    /// Whether depth is transformed too.
    pub(super) fn is_deep(&self) -> bool {
        self.parted == Some(0)
    }

    /// Rows and columns of outputs of a tile across the axis that is computed in parts.
    pub(super) fn across(&self) -> [usize; 2] {
        across(self.size, self.parted)
    }

    /// Transformed positions that are computed together.
    pub(super) fn plane(&self) -> usize {
        plane_positions(self.across())
    }

    /// Transformed positions of a tile.
    pub(super) fn positions(&self) -> usize {
        if self.parted.is_some() { 4 * self.plane() } else { self.plane() }
    }

    /// Outputs of a tile along each axis.
    pub fn sizes(&self) -> [usize; 3] {
        self.size
    }

    /// Outputs of a tile.
    pub fn outputs(&self) -> usize {
        self.size.iter().product()
    }
}

/// Whether a convolution is of width 3 along height and width, and 3 or 1 along depth, without strides and dilations.
fn is_of_three(p: &Problem) -> bool {
    let plain = p.axes.iter().all(|a| a.step == 1 && a.phases.len() == 1);
    let unit = |a: usize| p.axes[a].phases[0].windows(2).all(|t| (t[1].offset - t[0].offset).abs() == 1);
    plain && (0..3).all(unit) && p.kernel[1] == 3 && p.kernel[2] == 3 && matches!(p.kernel[0], 1 | 3)
}

/// Outputs of a tile along each axis.
fn size(p: &Problem, filtering: Filtering) -> [usize; 3] {
    let [depth, height, width] = filtering.tile();
    let heavy = p.source_channels * p.target_channels > MOST_WEIGHTS;
    if p.kernel[0] == 3 { [depth, height, width] } else { [1, if heavy { 2 } else { height }, width] }
}

/// Rows and columns of a tile across the axis that is computed in parts.
fn across(size: [usize; 3], parted: Option<usize>) -> [usize; 2] {
    [if parted == Some(1) { 1 } else { size[1] }, size[2]]
}

/// Numbers of a tile that are alive together.
fn alive(p: &Problem, size: [usize; 3], shallow: bool, parted: Option<usize>) -> usize {
    let plane = plane_positions(across(size, parted));
    match (shallow, parted) {
        (true, _) => 4 * plane * p.source_channels,
        (_, None) => plane * (p.source_channels + SHARE),
        _ => plane * (p.source_channels + SHARE) + size.iter().product::<usize>() * p.target_channels,
    }
}

/// A part of a tile row in an item.
#[derive(Clone, Copy)]
pub(super) struct Line {
    /// Example times groups plus group.
    pub(super) image: usize,
    /// The first tile.
    pub(super) first: [usize; 3],
    /// Tiles.
    pub(super) count: usize,
    /// Tiles of the item before it.
    pub(super) at: usize,
}

/// One item of a job.
pub(super) struct Item<'l> {
    pub(super) group: usize,
    /// Channels `channels.0 .. channels.1` of the group.
    pub(super) channels: (usize, usize),
    /// Parts of tile rows.
    pub(super) lines: &'l [Line],
    /// Tiles in all, and numbers between channels in the buffers.
    pub(super) tiles: usize,
    pub(super) pitch: usize,
}

impl Item<'_> {
    /// Numbers between transformed positions of `channels` channels.
    pub(super) fn plane(&self, channels: usize) -> usize {
        apart(channels * self.pitch)
    }

    /// Numbers of `positions` transformed positions of `channels` channels, and what vectors may run over behind them.
    pub(super) fn data_len(&self, positions: usize, channels: usize) -> usize {
        positions * self.plane(channels) + 2 * MANY
    }
}

impl Job<'_> {
    /// Work items.
    pub fn items(&self) -> usize {
        let (t, p) = (self.tiles, self.problem);
        p.groups * self.cut.map_or_else(|| t.portions.count(), |cut| cut.items.len()) * t.chunks
    }

    /// Item `number`, whose lines go to `lines`.
    pub(super) fn item<'l, S: Simd>(&self, number: usize, lines: &'l mut Vec<Line>) -> Item<'l> {
        let (t, p) = (self.tiles, self.problem);
        let (chunk, rest) = (number % t.chunks, number / t.chunks);
        lines.clear();
        let group = match self.cut {
            Some(cut) => {
                let (first, last) = cut.items[rest];
                lines.extend_from_slice(&cut.live[first..last]);
                0
            }
            None => {
                let portions = t.portions.count();
                let (group, portion) = (rest / portions, rest % portions);
                self.list(group, t.portions.tiles(portion), lines);
                group
            }
        };
        let mut tiles = 0;
        for line in lines.iter_mut() {
            line.at = tiles;
            tiles += line.count;
        }
        // Vectors of a row may run over its end; the next row must not begin there.
        let pitch = usize::next_multiple_of(tiles, S::LANES) + S::LANES;
        let first = chunk * t.channels;
        Item { group, channels: (first, (first + t.channels).min(p.target_channels)), lines, tiles, pitch }
    }

    /// Lists the parts of rows that tiles, counted through all rows of a group, lie in.
    fn list(&self, group: usize, tiles: Range<usize>, lines: &mut Vec<Line>) {
        let [depth, height, width] = self.tiles.count;
        let mut tile = tiles.start;
        while tile < tiles.end {
            let (row, x) = (tile / width, tile % width);
            let (plane, y) = (row / height, row % height);
            let (example, z) = (plane / depth, plane % depth);
            let count = (width - x).min(tiles.end - tile);
            let image = example * self.problem.groups + group;
            lines.push(Line { image, first: [z, y, x], count, at: 0 });
            tile += count;
        }
    }

    pub(super) fn bias(&self, item: &Item<'_>, channel: usize) -> f32 {
        self.bias.map_or(0.0, |b| b[item.group * self.problem.target_channels + channel])
    }
}
