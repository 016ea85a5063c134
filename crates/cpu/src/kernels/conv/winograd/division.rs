//! How the tiles of a convolution are divided: their sizes, the items that threads take, and the parts of tile rows in an item.

use super::{Job, plane_positions};
use crate::filtering::Filtering;
use crate::kernels::conv::tile::CHANNELS;
use crate::kernels::conv::{ITEMS, Preparation, Problem, apart};
use crate::simd::Simd;

/// Bytes of data, sums and slices that are alive together: they and some weights fit a second cache of half a megabyte.
const CACHE_BYTES: usize = 400 << 10;
/// Channels whose sums are transformed back together.
pub(super) const SHARE: usize = 16;
/// Tiles that fill registers, and more than which gain nothing.
const FEW: usize = 24;
pub(super) const MANY: usize = 96;
/// Fewer source channels than this do not pay for buffers of sums, and want as many target channels to pay for the
/// transforms; others pay with one block of target channels.
const LEAST_CHANNELS: usize = 8;
/// Weights of a tap beyond which those of larger tiles cost more than they gain where depth is not transformed: images with so
/// many channels are small, and do not fill the tiles.
const MOST_WEIGHTS: usize = 128 * 128;
/// Parts of a row begin at multiples of so many outputs, so that rows of bits of different parts share no byte.
pub(super) const STEP: usize = 8;

/// How the tiles of a convolution are divided.
pub struct Tiles {
    /// Whether depth is transformed too.
    pub(super) deep: bool,
    /// Whether all of a tile stays near the registers, see [`super::shallow`].
    pub(super) shallow: bool,
    /// Outputs of a tile along each axis, and what decided them.
    pub(super) size: [usize; 3],
    pub(super) filtering: Filtering,
    /// Tiles along each axis.
    pub(super) count: [usize; 3],
    /// The most tiles of an item.
    pub(super) most: usize,
    /// The tiles at which items begin, and the end of the last, counted through all rows of a group.
    starts: Vec<usize>,
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
        let count = [0, 1, 2].map(|a| p.axes[a].target.div_ceil(size[a]));
        let fitting = (CACHE_BYTES / (alive(p, size, shallow) * size_of::<f32>())).clamp(FEW, MANY);
        // A shallow row that fills its vectors goes alone: that is the short way to its windows.
        let alone = shallow && count[2] >= super::shallow::TILES;
        let all = p.batch * count.iter().product::<usize>();
        let mut most = match alone {
            true => count[2].div_ceil(count[2].div_ceil(fitting)).next_multiple_of(8),
            false => fitting / FEW * FEW,
        };
        while !alone && most > FEW && p.groups * all.div_ceil(most) < ITEMS * how.threads {
            most -= FEW;
        }
        let starts = starts(all, count[2], (most, STEP / size[2]), alone);
        let items = p.groups * (starts.len() - 1);
        let wanted = if items % how.threads == 0 { how.threads } else { ITEMS * how.threads };
        let chunks = (wanted / items).clamp(1, p.target_channels.div_ceil(4 * CHANNELS));
        let channels = p.target_channels.div_ceil(chunks).next_multiple_of(CHANNELS);
        let chunks = p.target_channels.div_ceil(channels);
        Some(Self { deep, shallow, size, filtering: how.filtering, count, most, starts, channels, chunks })
    }

    /// Transformed positions across depth, which are computed together.
    pub(super) fn plane(&self) -> usize {
        plane_positions([self.size[1], self.size[2]])
    }

    /// Transformed positions of a tile.
    pub(super) fn positions(&self) -> usize {
        if self.deep { 4 * self.plane() } else { self.plane() }
    }

    /// Outputs of a tile.
    pub fn outputs(&self) -> usize {
        self.size.iter().product()
    }

    /// Items of a group that differ in their tiles.
    fn blocks(&self) -> usize {
        self.starts.len() - 1
    }
}

/// Divides `all` tiles, in rows of `width`, into parts of at most `most`, which end with rows or at multiples of `step` tiles of
/// one, and with every row if they are to be `alone`.
fn starts(all: usize, width: usize, (most, step): (usize, usize), alone: bool) -> Vec<usize> {
    let mut starts = vec![0];
    let mut tile = 0;
    while tile < all {
        let row_end = (tile / width + 1) * width;
        let end = (tile + most).min(if alone { row_end } else { all });
        // A part that holds no whole step ends with its row all the same, which is then not longer than a step.
        let cut = if end == all { end } else { end - end % width % step };
        tile = if cut > tile { cut } else { row_end };
        starts.push(tile);
    }
    starts
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

/// Numbers of a tile that are alive together.
fn alive(p: &Problem, size: [usize; 3], shallow: bool) -> usize {
    let plane = plane_positions([size[1], size[2]]);
    match (shallow, size[0]) {
        (true, _) => 4 * plane * p.source_channels,
        (_, 1) => plane * (p.source_channels + SHARE),
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
        p.groups * self.cut.map_or_else(|| t.blocks(), |cut| cut.items.len()) * t.chunks
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
                let (group, block) = (rest / t.blocks(), rest % t.blocks());
                self.list(group, t.starts[block], t.starts[block + 1], lines);
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

    /// Lists the parts of rows between two tiles, counted through all rows of a group.
    fn list(&self, group: usize, first: usize, end: usize, lines: &mut Vec<Line>) {
        let [depth, height, width] = self.tiles.count;
        let mut tile = first;
        while tile < end {
            let (row, x) = (tile / width, tile % width);
            let (plane, y) = (row / height, row % height);
            let (example, z) = (plane / depth, plane % depth);
            let count = (width - x).min(end - tile);
            let image = example * self.problem.groups + group;
            lines.push(Line { image, first: [z, y, x], count, at: 0 });
            tile += count;
        }
    }

    pub(super) fn bias(&self, item: &Item<'_>, channel: usize) -> f32 {
        self.bias.map_or(0.0, |b| b[item.group * self.problem.target_channels + channel])
    }
}

#[cfg(test)]
mod tests {
    use super::starts;

    #[test]
    fn parts_are_no_longer_than_they_may_be_and_end_where_bytes_do() {
        assert_eq!(starts(56, 14, (24, 4), false), [0, 22, 46, 56]);
        assert_eq!(starts(64, 16, (24, 2), false), [0, 24, 48, 64]);
        assert_eq!(starts(70, 35, (16, 4), true), [0, 16, 32, 35, 51, 67, 70]);
        assert_eq!(starts(6, 2, (3, 4), false), [0, 2, 4, 6]);
        for (width, most, step) in [(1, 24, 4), (7, 23, 4), (33, 96, 2), (96, 72, 4)] {
            let all = 5 * width;
            let starts = starts(all, width, (most, step), false);
            assert_eq!((starts[0], starts[starts.len() - 1]), (0, all));
            for part in starts.windows(2) {
                assert!(part[0] < part[1] && part[1] - part[0] <= most, "{part:?}");
                assert!(part[1] == all || part[1] % width % step == 0, "{part:?}");
            }
        }
    }
}
