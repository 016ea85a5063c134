//! Direct convolution and its adjoint, without im2col: any stride, dilation, padding and group count, in both directions.
//!
//! A strip is some rows of outputs. The rows of data that it reads are copied into a panel with zeros around, split by the
//! residues of the stride ([`Axis`]), so that every tap of the kernel is a shifted view of a panel row, and consecutive
//! rows of outputs lie behind each other at one pitch: short rows fill vectors as well as long ones, at the price of the
//! few outputs between the rows. One register-blocked loop adds the taps of four channels and a few vectors of positions.
//! An element's terms are added in the order of its taps, whatever the strip, tile, thread or batch.

use super::Problem;
use super::output::{Block, Output};
use crate::buffer::Buffer;
use crate::isa::Isa;
use crate::simd::{Simd, per_isa};

/// Channels whose sums are kept in registers together.
pub const CHANNELS: usize = 4;
/// Bytes of a panel that stay in the second cache beside weights.
const PANEL_BYTES: usize = 160 << 10;
/// Positions of a strip beyond which longer strips gain nothing.
const POSITIONS: usize = 256;
/// Work items that keep the threads of any machine busy.
const ITEMS: usize = 16;
/// Numbers behind panels and rows that vectors may run over: a tile of the widest instruction set.
const SLACK: usize = 6 * 16;

/// How the outputs of a convolution are divided into work items. Depends on the problem alone.
pub struct Strips {
    /// Positions of a strip along depth and height, within a phase.
    size: [usize; 2],
    /// Strips along depth and height.
    count: [usize; 2],
    /// Blocks of [`CHANNELS`] channels in an item, and items of a group.
    blocks: usize,
    chunks: usize,
}

impl Strips {
    /// Divides a problem whose outputs are finished in windows of `window` rows along depth and height.
    pub fn new(p: &Problem, window: [usize; 2]) -> Self {
        let most = [p.axes[0].most(), p.axes[1].most()];
        let depth = window[0];
        let bytes = |rows: usize| p.panel(depth, rows).len() * size_of::<f32>();
        let pitch = p.panel(1, 1).pitch;
        let enough = |rows: usize| rows * pitch < POSITIONS && bytes(rows + window[1]) < PANEL_BYTES;
        let mut rows = window[1];
        while rows < most[1] && enough(rows) {
            rows += window[1];
        }
        let slices = most[0].div_ceil(depth);
        let items = |rows: usize| p.batch * p.groups * slices * most[1].div_ceil(rows);
        while rows > window[1] && items(rows) < ITEMS && rows * pitch > POSITIONS / 4 {
            rows -= window[1];
        }
        let blocks = p.target_channels.div_ceil(CHANNELS);
        let chunks = (ITEMS / items(rows).max(1)).clamp(1, blocks.div_ceil(4));
        let size = [depth, rows];
        let blocks = blocks.div_ceil(chunks);
        let chunks = p.target_channels.div_ceil(CHANNELS).div_ceil(blocks);
        Self { size, count: [slices, most[1].div_ceil(rows)], blocks, chunks }
    }

    /// Work items.
    pub fn items(&self, p: &Problem) -> usize {
        p.batch * p.groups * self.count[0] * self.count[1] * self.chunks
    }
}

/// The layout of the data that a strip reads: `[channel][depth residue][slice][height residue][width residue][row][column]`.
#[derive(Clone, Copy, Debug)]
pub struct Panel {
    channels: usize,
    residues: [usize; 3],
    /// Slices, rows and columns of one residue.
    size: [usize; 3],
    /// Numbers between rows; also between rows of outputs.
    pub pitch: usize,
}

impl Panel {
    /// The layout for strips of `slices` times `rows` outputs of every phase.
    pub fn new(p: &Problem, slices: usize, rows: usize) -> Self {
        let reach = |a: usize| (p.axes[a].high - p.axes[a].low) as usize;
        let size = [slices + reach(0), rows + reach(1), p.axes[2].most() + reach(2)];
        let residues = [0, 1, 2].map(|a| p.axes[a].residues.len());
        Self { channels: p.source_channels, residues, size, pitch: size[2] }
    }

    /// Numbers of the panel.
    pub fn len(&self) -> usize {
        self.channels * self.residues.iter().product::<usize>() * self.size.iter().product::<usize>()
    }

    /// Where a row begins.
    fn row(&self, channel: usize, residue: [usize; 3], slice: usize, row: usize) -> usize {
        let z = (channel * self.residues[0] + residue[0]) * self.size[0] + slice;
        let plane = (z * self.residues[1] + residue[1]) * self.residues[2] + residue[2];
        (plane * self.size[1] + row) * self.pitch
    }
}

/// What one thread needs to compute strips.
#[derive(Default)]
pub struct Workspace {
    panel: Buffer,
    /// Of every tap that reads data: its offset in the panel, and its place among packed weights.
    taps: Vec<(u32, u32)>,
    rows: Buffer,
}

/// Everything that the strips of one call share.
pub struct Job<'a> {
    /// The convolution.
    pub problem: &'a Problem,
    /// How it is divided.
    pub strips: Strips,
    /// The data.
    pub source: &'a [f32],
    /// The weights of every group, as [`pack`] makes them.
    pub packed: &'a [f32],
    /// What the sums begin with, one per channel of all groups.
    pub bias: Option<&'a [f32]>,
    /// Where the sums go.
    pub output: &'a Output<'a>,
}

/// One item of a job.
struct Strip {
    example: usize,
    group: usize,
    chunk: usize,
    first: [usize; 2],
}

impl Job<'_> {
    fn strip(&self, item: usize) -> Strip {
        let s = &self.strips;
        let (chunk, rest) = (item % s.chunks, item / s.chunks);
        let (y, rest) = (rest % s.count[1], rest / s.count[1]);
        let (z, rest) = (rest % s.count[0], rest / s.count[0]);
        let (group, example) = (rest % self.problem.groups, rest / self.problem.groups);
        Strip { example, group, chunk, first: [z * s.size[0], y * s.size[1]] }
    }

    /// Copies what the strip reads into the panel.
    fn fill(&self, strip: &Strip, layout: &Panel, panel: &mut [f32]) {
        let p = self.problem;
        let volume: usize = p.axes.iter().map(|a| a.source).product();
        let from = (strip.example * p.groups + strip.group) * p.source_channels * volume;
        for channel in 0..p.source_channels {
            let data = &self.source[from + channel * volume..from + (channel + 1) * volume];
            for rz in 0..layout.residues[0] {
                for slice in 0..layout.size[0] {
                    let q = (strip.first[0] + slice) as isize + p.axes[0].low;
                    let Some(z) = p.axes[0].source_at(q, rz) else { continue };
                    let plane = p.axes[1].source * p.axes[2].source;
                    let place = (channel, rz, slice);
                    self.fill_slice(strip, layout, panel, &data[z * plane..(z + 1) * plane], place);
                }
            }
        }
    }

    fn fill_slice(
        &self,
        strip: &Strip,
        layout: &Panel,
        panel: &mut [f32],
        plane: &[f32],
        place: (usize, usize, usize),
    ) {
        let (channel, rz, slice) = place;
        let [_, height, width] = &self.problem.axes;
        for ry in 0..layout.residues[1] {
            for row in 0..layout.size[1] {
                let q = (strip.first[1] + row) as isize + height.low;
                let line = height.source_at(q, ry).map(|y| &plane[y * width.source..(y + 1) * width.source]);
                for rx in 0..layout.residues[2] {
                    let at = layout.row(channel, [rz, ry, rx], slice, row);
                    let into = &mut panel[at..at + layout.pitch];
                    match line {
                        Some(line) => width_row(width, rx, line, into),
                        None => into.fill(0.0),
                    }
                }
            }
        }
    }

    /// The taps of phase `phase` for the strip's slice `slice`, without those that read zeros alone.
    fn list_taps(
        &self,
        strip: &Strip,
        layout: &Panel,
        phase: [usize; 3],
        slice: usize,
        taps: &mut Vec<(u32, u32)>,
    ) {
        let p = self.problem;
        taps.clear();
        let lists = [0, 1, 2].map(|a| &p.axes[a].phases[phase[a]]);
        for channel in 0..p.source_channels {
            for z in lists[0] {
                let q = (strip.first[0] + slice) as isize + z.offset;
                if p.axes[0].source_at(q, z.residue).is_none() {
                    continue;
                }
                let in_slice = (slice as isize + z.offset - p.axes[0].low) as usize;
                for y in lists[1] {
                    for x in lists[2] {
                        let residue = [z.residue, y.residue, x.residue];
                        let row = layout.row(channel, residue, in_slice, (y.offset - p.axes[1].low) as usize);
                        let offset = row + (x.offset - p.axes[2].low) as usize;
                        let tap = ((channel * p.kernel[0] + z.index) * p.kernel[1] + y.index) * p.kernel[2]
                            + x.index;
                        taps.push((offset as u32, tap as u32));
                    }
                }
            }
        }
    }
}

/// A panel row: the entries of one residue with zeros where there is no data.
fn width_row(width: &super::axis::Axis, residue: usize, line: &[f32], into: &mut [f32]) {
    if width.step == 1 {
        let before = width.low.min(0).unsigned_abs().min(into.len());
        let skip = width.low.max(0) as usize;
        let n = line.len().saturating_sub(skip).min(into.len() - before);
        into[..before].fill(0.0);
        into[before..before + n].copy_from_slice(&line[line.len().min(skip)..][..n]);
        into[before + n..].fill(0.0);
        return;
    }
    for (i, to) in into.iter_mut().enumerate() {
        *to = width.source_at(i as isize + width.low, residue).map_or(0.0, |at| line[at]);
    }
}

/// Adds the taps of `J` vectors of positions for four channels.
///
/// # Safety
/// The instruction set is there; every tap can be read `J` vectors wide from `panel`, its weights from `weights`; `sums` has
/// four rows of `J` vectors, `pitch` apart.
#[inline(always)]
unsafe fn tile<S: Simd, const J: usize>(
    panel: *const f32,
    taps: &[(u32, u32)],
    weights: *const f32,
    start: [f32; CHANNELS],
    sums: *mut f32,
    pitch: usize,
) {
    // SAFETY: as the caller says.
    unsafe {
        let mut sum: [[S::V; J]; CHANNELS] = start.map(|s| [S::splat(s); J]);
        for &(offset, tap) in taps {
            S::add_products(&mut sum, panel.add(offset as usize), weights.add(tap as usize * CHANNELS));
        }
        for c in 0..CHANNELS {
            for j in 0..J {
                S::store(sums.add(c * pitch + j * S::LANES), sum[c][j]);
            }
        }
    }
}

/// As [`tile`] for `vectors` vectors, from 1 to the most of the instruction set.
#[inline(always)]
unsafe fn tiles<S: Simd>(
    vectors: usize,
    panel: *const f32,
    taps: &[(u32, u32)],
    weights: *const f32,
    start: [f32; CHANNELS],
    sums: *mut f32,
    pitch: usize,
) {
    let mut done = 0;
    while done < vectors {
        // Equal shares: a last tile of one vector would wait for its own sums.
        let left = vectors - done;
        let n = left.div_ceil(left.div_ceil(S::TILE));
        // SAFETY: as the caller of this function says.
        unsafe {
            let (panel, sums) = (panel.add(done * S::LANES), sums.add(done * S::LANES));
            match n {
                1 => tile::<S, 1>(panel, taps, weights, start, sums, pitch),
                2 => tile::<S, 2>(panel, taps, weights, start, sums, pitch),
                3 if S::TILE >= 3 => tile::<S, 3>(panel, taps, weights, start, sums, pitch),
                4 if S::TILE >= 4 => tile::<S, 4>(panel, taps, weights, start, sums, pitch),
                5 if S::TILE >= 5 => tile::<S, 5>(panel, taps, weights, start, sums, pitch),
                _ => tile::<S, 6>(panel, taps, weights, start, sums, pitch),
            }
        }
        done += n;
    }
}

/// Computes one item.
///
/// # Safety
/// The instruction set of `S` is there.
#[inline(always)]
unsafe fn item<S: Simd>(job: &Job<'_>, item: usize, w: &mut Workspace) {
    let p = job.problem;
    let strip = job.strip(item);
    let layout = p.panel(job.strips.size[0], job.strips.size[1]);
    job.fill(&strip, &layout, w.panel.room(layout.len() + SLACK));
    let phases = [0, 1, 2].map(|a| p.axes[a].phases.len());
    for fz in 0..phases[0] {
        for fy in 0..phases[1] {
            for fx in 0..phases[2] {
                // SAFETY: as the caller says.
                unsafe { phase::<S>(job, &strip, &layout, [fz, fy, fx], w) };
            }
        }
    }
}

#[inline(always)]
unsafe fn phase<S: Simd>(job: &Job<'_>, strip: &Strip, layout: &Panel, phase: [usize; 3], w: &mut Workspace) {
    let p = job.problem;
    let size = job.strips.size;
    let left = |a: usize| p.axes[a].count(phase[a]).saturating_sub(strip.first[a]).min(size[a]);
    let count = [left(0), left(1), p.axes[2].count(phase[2])];
    if count.contains(&0) {
        return;
    }
    let positions = (count[1] - 1) * layout.pitch + count[2];
    let vectors = positions.div_ceil(S::LANES);
    let slice = (vectors * S::LANES).next_multiple_of(16);
    let pitch = slice * count[0];
    let step = [0, 1, 2].map(|a| p.axes[a].phases.len());
    let at = |a: usize| strip.first.get(a).map_or(0, |q| q * step[a]) + phase[a];
    let taps = p.kernel.iter().product::<usize>() * p.source_channels;
    let first = strip.chunk * job.strips.blocks;
    let last = (first + job.strips.blocks).min(p.target_channels.div_ceil(CHANNELS));
    let rows = w.rows.room((last - first) * CHANNELS * pitch + SLACK).as_mut_ptr();
    // Slices differ only in the taps that fall outside, so lists are made once for each, before the channels.
    for z in 0..count[0] {
        job.list_taps(strip, layout, phase, z, &mut w.taps);
        for block in first..last {
            let weights =
                &job.packed[(strip.group * p.blocks() + block) * taps * CHANNELS..][..taps * CHANNELS];
            let start = core::array::from_fn(|c| job.start(strip.group, block * CHANNELS + c));
            let panel = w.panel.room(layout.len() + SLACK).as_ptr();
            // SAFETY: the taps were listed for this panel, whose slack covers the last tile; the rows have room for all
            // blocks.
            unsafe {
                let sums = rows.add((block - first) * CHANNELS * pitch + z * slice);
                tiles::<S>(vectors, panel, &w.taps, weights.as_ptr(), start, sums, pitch);
            }
        }
    }
    for block in first..last {
        for c in 0..CHANNELS.min(p.target_channels - block * CHANNELS) {
            let channel = strip.group * p.target_channels + block * CHANNELS + c;
            let plane = strip.example * p.groups * p.target_channels + channel;
            let finished =
                Block { plane, first: [at(0), at(1), at(2)], step, count, pitch: [slice, layout.pitch] };
            let from = ((block - first) * CHANNELS + c) * pitch;
            // SAFETY: the rows were just computed; items do not share outputs.
            unsafe { job.output.write::<S>(&finished, rows.add(from)) };
        }
    }
}

impl Job<'_> {
    fn start(&self, group: usize, channel: usize) -> f32 {
        let p = self.problem;
        let at = group * p.target_channels + channel;
        self.bias.filter(|_| channel < p.target_channels).map_or(0.0, |b| b[at])
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

/// Numbers of the packed weights.
pub fn packed_len(p: &Problem) -> usize {
    p.groups * p.blocks() * p.source_channels * p.kernel.iter().product::<usize>() * CHANNELS
}

/// Weights as `[group][block of channels][source channel][tap][channel in block]`, zeros behind the last channel.
/// `weight(o, c, k)` is the weight of target channel `o` (all groups), source channel `c` and tap `k`.
pub fn pack(p: &Problem, weight: impl Fn(usize, usize, usize) -> f64, packed: &mut [f32]) {
    let taps: usize = p.kernel.iter().product();
    let block = p.source_channels * taps * CHANNELS;
    packed.fill(0.0);
    for group in 0..p.groups {
        for t in 0..p.target_channels {
            let from = (group * p.blocks() + t / CHANNELS) * block + t % CHANNELS;
            for c in 0..p.source_channels {
                for k in 0..taps {
                    packed[from + (c * taps + k) * CHANNELS] =
                        weight(group * p.target_channels + t, c, k) as f32;
                }
            }
        }
    }
}
