//! Direct convolution and its adjoint, without im2col.
//!
//! For one row of outputs the rows of data that it reads are copied into a small panel with zeros at both ends (a few
//! kilobytes to a few hundred, in cache). Every tap of the kernel is then a shifted view of a panel row, and one
//! register-blocked loop serves every stride, dilation, padding and group count, in both directions. An element's terms
//! are added in the order of its taps, whatever the tile, thread or batch.

use crate::isa::{Isa, madd, vectorized};
use crate::parallel::{Pool, Shared};
use std::cell::RefCell;
use voxplain_autodiff::ConvGeometry;

/// Outputs of a row that are accumulated together, and channels beside them.
const WIDE: usize = 16;
const WIDE_CHANNELS: usize = 4;
const NARROW: usize = 8;
const NARROW_CHANNELS: usize = 8;

/// A convolution as rows see it: from `source` to `target`, forward or adjoint.
struct Problem<'a> {
    groups: usize,
    /// Channels per group.
    source_channels: usize,
    target_channels: usize,
    source: [usize; 3],
    target: [usize; 3],
    kernel: [usize; 3],
    geometry: &'a ConvGeometry,
    adjoint: bool,
    /// Taps are shifts of whole rows (step 1 along the width) rather than rows of their own.
    shifted: bool,
}

impl<'a> Problem<'a> {
    fn new(g: &'a ConvGeometry, adjoint: bool) -> Self {
        let (ci, co) = (g.in_channels / g.groups, g.out_channels / g.groups);
        let (source, target) = if adjoint { (g.output, g.input) } else { (g.input, g.output) };
        let (source_channels, target_channels) = if adjoint { (co, ci) } else { (ci, co) };
        let shifted = g.stride[2] == 1;
        Self {
            groups: g.groups,
            source_channels,
            target_channels,
            source,
            target,
            kernel: g.kernel,
            geometry: g,
            adjoint,
            shifted,
        }
    }

    /// The source position along `axis` that tap `k` of target position `p` reads, if there is one.
    fn source_position(&self, axis: usize, p: usize, k: usize) -> Option<usize> {
        let g = self.geometry;
        let (stride, pad, reach) = (g.stride[axis], g.pad[axis], k * g.dilation[axis]);
        let at = if self.adjoint {
            (p + pad).checked_sub(reach).filter(|q| q % stride == 0)? / stride
        } else {
            (p * stride + reach).checked_sub(pad)?
        };
        (at < self.source[axis]).then_some(at)
    }

    /// Where along the width tap `k` of target position 0 reads, relative to the row's start, for shifted taps.
    fn shift(&self, k: usize) -> isize {
        let g = self.geometry;
        let (pad, reach) = (g.pad[2] as isize, (k * g.dilation[2]) as isize);
        if self.adjoint { pad - reach } else { reach - pad }
    }

    /// Zeros before and entries in a panel row.
    fn row_layout(&self, tile: usize) -> (usize, usize) {
        let padded = self.target[2].next_multiple_of(tile);
        if !self.shifted {
            return (0, padded);
        }
        let shifts = (0..self.kernel[2]).map(|k| self.shift(k));
        let lowest = shifts.clone().min().unwrap_or(0).min(0);
        let highest = shifts.max().unwrap_or(0).max(0);
        let before = lowest.unsigned_abs();
        (before, before + (padded + highest as usize).max(self.source[2]))
    }

    fn taps(&self) -> usize {
        self.kernel.iter().product()
    }
}

/// What one thread needs to compute rows.
#[derive(Default)]
struct Panel {
    data: Vec<f32>,
    /// For every tap that reads data: its offset in the panel, and its number among packed weights.
    taps: Vec<(u32, u32)>,
    before: usize,
    row: usize,
}

std::thread_local! {
    /// A thread's panel, kept so that only the first run of a network makes it grow.
    static PANEL: RefCell<Panel> = RefCell::new(Panel::default());
}

impl Panel {
    fn lay_out(&mut self, p: &Problem<'_>, tile: usize) {
        (self.before, self.row) = p.row_layout(tile);
    }

    /// Fills the panel for target row (`z`, `y`) from the channels of one group.
    fn fill(&mut self, p: &Problem<'_>, source: &[f32], z: usize, y: usize) {
        self.taps.clear();
        let plane: usize = p.source.iter().product();
        let mut rows = 0;
        for channel in 0..p.source_channels {
            let data = &source[channel * plane..(channel + 1) * plane];
            for kz in 0..p.kernel[0] {
                let Some(sz) = p.source_position(0, z, kz) else { continue };
                for ky in 0..p.kernel[1] {
                    let Some(sy) = p.source_position(1, y, ky) else { continue };
                    let start = (sz * p.source[1] + sy) * p.source[2];
                    let line = &data[start..start + p.source[2]];
                    let tap = ((channel * p.kernel[0] + kz) * p.kernel[1] + ky) * p.kernel[2];
                    rows = if p.shifted {
                        self.shifted_row(p, line, tap, rows)
                    } else {
                        self.own_rows(p, line, tap, rows)
                    };
                }
            }
        }
    }

    /// One row that all taps along the width share, each with its own shift.
    fn shifted_row(&mut self, p: &Problem<'_>, line: &[f32], tap: usize, rows: usize) -> usize {
        let start = self.claim(rows);
        self.data[start + self.before..start + self.before + line.len()].copy_from_slice(line);
        for k in 0..p.kernel[2] {
            let offset = (start + self.before) as isize + p.shift(k);
            self.taps.push((offset as u32, (tap + k) as u32));
        }
        rows + 1
    }

    /// A row for every tap along the width.
    fn own_rows(&mut self, p: &Problem<'_>, line: &[f32], tap: usize, mut rows: usize) -> usize {
        for k in 0..p.kernel[2] {
            let start = self.claim(rows);
            for x in 0..p.target[2] {
                if let Some(at) = p.source_position(2, x, k) {
                    self.data[start + x] = line[at];
                }
            }
            self.taps.push((start as u32, (tap + k) as u32));
            rows += 1;
        }
        rows
    }

    /// Makes row `rows` and clears it.
    fn claim(&mut self, rows: usize) -> usize {
        let start = rows * self.row;
        if self.data.len() < start + self.row {
            self.data.resize(start + self.row, 0.0);
        }
        self.data[start..start + self.row].fill(0.0);
        start
    }
}

impl Problem<'_> {
    /// The tile depends on the row's length alone, so batch and threads cannot change it; and both add in tap order.
    fn is_wide(&self) -> bool {
        self.target[2] > NARROW
    }

    /// Channels of a block, and packed weights of a group.
    fn blocks(&self) -> (usize, usize) {
        let block = if self.is_wide() { WIDE_CHANNELS } else { NARROW_CHANNELS };
        (block, self.target_channels.next_multiple_of(block) * self.source_channels * self.taps())
    }
}

/// Weights of one group as `[block of channels][tap][channel in block]`, zeros behind the last channel.
fn pack(p: &Problem<'_>, weights: &[f32], group: usize, block: usize, packed: &mut [f32]) {
    let taps = p.taps();
    let all = p.source_channels * taps;
    packed.fill(0.0);
    let g = p.geometry;
    let (ci, co) = (g.in_channels / g.groups, g.out_channels / g.groups);
    for t in 0..p.target_channels {
        for s in 0..p.source_channels {
            let (o, c) = if p.adjoint { (s, t) } else { (t, s) };
            let from = ((group * co + o) * ci + c) * taps;
            for k in 0..taps {
                packed[((t / block) * all + s * taps + k) * block + t % block] = weights[from + k];
            }
        }
    }
}

/// How many numbers the packed weights of a convolution or of its adjoint are.
pub fn scratch(g: &ConvGeometry, adjoint: bool) -> usize {
    Problem::new(g, adjoint).blocks().1 * g.groups
}

vectorized! {
    /// Adds the taps of one tile of `TILE` outputs for one block of channels; `out` is `[channels][TILE]`.
    fn wide_tile(panel: &[f32], taps: &[(u32, u32)], weights: &[f32], x: usize, out: &mut [[f32; WIDE]; WIDE_CHANNELS]) {
        let mut sums = *out;
        for &(offset, tap) in taps {
            let at = offset as usize + x;
            let Some(data) = panel[at..].first_chunk::<WIDE>() else { return };
            let Some(w) = weights[tap as usize * WIDE_CHANNELS..].first_chunk::<WIDE_CHANNELS>() else { return };
            for c in 0..WIDE_CHANNELS {
                for i in 0..WIDE {
                    sums[c][i] = madd::<FMA>(w[c], data[i], sums[c][i]);
                }
            }
        }
        *out = sums;
    }
}

vectorized! {
    /// As [`wide_tile`] for short rows.
    fn narrow_tile(panel: &[f32], taps: &[(u32, u32)], weights: &[f32], x: usize, out: &mut [[f32; NARROW]; NARROW_CHANNELS]) {
        let mut sums = *out;
        for &(offset, tap) in taps {
            let at = offset as usize + x;
            let Some(data) = panel[at..].first_chunk::<NARROW>() else { return };
            let Some(w) = weights[tap as usize * NARROW_CHANNELS..].first_chunk::<NARROW_CHANNELS>() else { return };
            for c in 0..NARROW_CHANNELS {
                for i in 0..NARROW {
                    sums[c][i] = madd::<FMA>(w[c], data[i], sums[c][i]);
                }
            }
        }
        *out = sums;
    }
}

/// Everything that the rows of one call share.
struct Job<'a> {
    problem: Problem<'a>,
    isa: Isa,
    source: &'a [f32],
    /// Group behind group.
    packed: &'a [f32],
    /// Packed weights of a group.
    packed_group: usize,
    bias: Option<&'a [f32]>,
    out: Shared<'a, f32>,
    wide: bool,
}

impl Job<'_> {
    /// Row (`z`, `y`) of all channels of one group of one example.
    fn row(&self, panel: &mut Panel, example: usize, group: usize, z: usize, y: usize) {
        let p = &self.problem;
        let source_plane: usize = p.source.iter().product();
        let from = (example * p.groups + group) * p.source_channels * source_plane;
        panel.fill(p, &self.source[from..from + p.source_channels * source_plane], z, y);
        if self.wide {
            self.tiles_wide(panel, example, group, z, y)
        } else {
            self.tiles_narrow(panel, example, group, z, y)
        }
    }

    /// Stores the first `count` sums of channel `channel` of `group` at position `x` of a row.
    fn store(&self, sums: &[f32], place: [usize; 4], group: usize, channel: usize, x: usize) {
        let p = &self.problem;
        let [example, _, z, y] = place;
        let all = group * p.target_channels + channel;
        let count = sums.len().min(p.target[2] - x);
        let plane = example * p.groups * p.target_channels + all;
        let at = ((plane * p.target[0] + z) * p.target[1] + y) * p.target[2] + x;
        // SAFETY: rows of different (example, group, z, y) and channels do not overlap; each is computed once.
        let row = unsafe { self.out.slice(at, count) };
        row.copy_from_slice(&sums[..count]);
    }

    fn start(&self, group: usize, channel: usize) -> f32 {
        let p = &self.problem;
        let at = group * p.target_channels + channel;
        self.bias.filter(|_| channel < p.target_channels).map_or(0.0, |b| b[at])
    }

    fn tiles_wide(&self, panel: &Panel, example: usize, group: usize, z: usize, y: usize) {
        let p = &self.problem;
        let stride = p.source_channels * p.taps() * WIDE_CHANNELS;
        for block in 0..p.target_channels.div_ceil(WIDE_CHANNELS) {
            let weights = &self.packed[group * self.packed_group + block * stride..][..stride];
            for x in (0..p.target[2]).step_by(WIDE) {
                let mut sums = [[0.0; WIDE]; WIDE_CHANNELS];
                (0..WIDE_CHANNELS)
                    .for_each(|c| sums[c] = [self.start(group, block * WIDE_CHANNELS + c); WIDE]);
                wide_tile(self.isa, &panel.data, &panel.taps, weights, x, &mut sums);
                for c in 0..WIDE_CHANNELS.min(p.target_channels - block * WIDE_CHANNELS) {
                    self.store(&sums[c], [example, group, z, y], group, block * WIDE_CHANNELS + c, x);
                }
            }
        }
    }

    fn tiles_narrow(&self, panel: &Panel, example: usize, group: usize, z: usize, y: usize) {
        let p = &self.problem;
        let stride = p.source_channels * p.taps() * NARROW_CHANNELS;
        for block in 0..p.target_channels.div_ceil(NARROW_CHANNELS) {
            let weights = &self.packed[group * self.packed_group + block * stride..][..stride];
            for x in (0..p.target[2]).step_by(NARROW) {
                let mut sums = [[0.0; NARROW]; NARROW_CHANNELS];
                (0..NARROW_CHANNELS)
                    .for_each(|c| sums[c] = [self.start(group, block * NARROW_CHANNELS + c); NARROW]);
                narrow_tile(self.isa, &panel.data, &panel.taps, weights, x, &mut sums);
                for c in 0..NARROW_CHANNELS.min(p.target_channels - block * NARROW_CHANNELS) {
                    self.store(&sums[c], [example, group, z, y], group, block * NARROW_CHANNELS + c, x);
                }
            }
        }
    }
}

/// Rows that one thread takes at a time: whole planes where there are many, fewer where there are few (2D).
fn strip(planes: usize, height: usize) -> usize {
    const ITEMS: usize = 64;
    height.div_ceil(ITEMS.div_ceil(planes.max(1))).max(1)
}

/// The operands of a call: data, weights, bias, and room for packed weights ([`scratch`]).
pub struct ConvOperands<'a> {
    /// What is convolved.
    pub source: &'a [f32],
    /// In the layout of the graph.
    pub weights: &'a [f32],
    /// One per channel of the result.
    pub bias: Option<&'a [f32]>,
    /// Contents do not matter; grows where it is too short.
    pub scratch: &'a mut Vec<f32>,
}

fn run(pool: &Pool, isa: Isa, problem: Problem<'_>, operands: ConvOperands<'_>, out: &mut [f32]) {
    let wide = problem.is_wide();
    let tile = if wide { WIDE } else { NARROW };
    let (block, packed_group) = problem.blocks();
    let room = packed_group * problem.groups;
    if operands.scratch.len() < room {
        operands.scratch.resize(room, 0.0);
    }
    let packed = &mut operands.scratch[..room];
    for (group, part) in packed.chunks_exact_mut(packed_group.max(1)).enumerate() {
        pack(&problem, operands.weights, group, block, part);
    }
    let elements = out.len() * problem.source_channels * problem.taps();
    let (groups, [depth, height, _]) = (problem.groups, problem.target);
    let batch = problem.geometry.batch;
    let (source, bias, out) = (operands.source, operands.bias, Shared::new(out));
    let job = Job { problem, isa, source, packed, packed_group, bias, out, wide };
    let strip = strip(batch * groups * depth, height);
    let strips = height.div_ceil(strip);
    pool.each(batch * groups * depth * strips, elements, |i| {
        let (i, first) = (i / strips, i % strips * strip);
        let (z, group, example) = (i % depth, (i / depth) % groups, i / depth / groups);
        PANEL.with_borrow_mut(|panel| {
            panel.lay_out(&job.problem, tile);
            for y in first..height.min(first + strip) {
                job.row(panel, example, group, z, y);
            }
        });
    });
}

/// `y = w * x + bias`.
pub fn forward(pool: &Pool, isa: Isa, g: &ConvGeometry, operands: ConvOperands<'_>, y: &mut [f32]) {
    run(pool, isa, Problem::new(g, false), operands, y);
}

/// The adjoint in x: every entry of `dx` gathers what the outputs that read it send back.
pub fn adjoint(pool: &Pool, isa: Isa, g: &ConvGeometry, operands: ConvOperands<'_>, dx: &mut [f32]) {
    run(pool, isa, Problem::new(g, true), operands, dx);
}
