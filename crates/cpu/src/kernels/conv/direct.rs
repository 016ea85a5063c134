//! Direct convolution and its adjoint, without im2col: any stride, dilation, padding and group count, in both directions.
//!
//! A strip is some rows of outputs. The rows of data that it reads are copied into a panel with zeros around, split by the
//! residues of the stride ([`Axis`]), so that every tap of the kernel is a shifted view of a panel row, and consecutive
//! rows of outputs lie behind each other at one pitch: short rows fill vectors as well as long ones, at the price of the
//! few outputs between the rows. One register-blocked loop adds the taps of four channels and a few vectors of positions.
//! An element's terms are added in the order of its taps, whatever the strip, tile, thread or batch.

use super::output::{Block, Output};
use super::panel::Panel;
use super::tile::{CHANNELS, Operands, tiles, tiles_of_blocks};
use super::{ITEMS, Problem};
use crate::buffer::Buffer;
use crate::isa::Isa;
use crate::simd::{Simd, per_isa};
use core::ops::Range;

/// Bytes of a panel that stay in the second cache beside weights.
const PANEL_BYTES: usize = 160 << 10;
/// Bytes of the data of a tile that stay in the first cache, beside weights, until the last block of channels has read them.
const NEAR_BYTES: usize = 12 << 10;
/// Positions of a strip beyond which longer strips gain nothing.
const POSITIONS: usize = 256;
/// Numbers behind panels and rows that vectors may run over: a tile of the widest instruction set.
pub const SLACK: usize = 6 * 16;

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
pub struct Strip {
    /// The example.
    pub example: usize,
    /// The group of channels.
    pub group: usize,
    chunk: usize,
    /// The first position along depth and height, within a phase.
    pub first: [usize; 2],
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
    let in_place = job.in_place(&strip, &layout);
    if in_place.is_none() {
        job.fill(&strip, &layout, w.panel.room(layout.len() + SLACK));
    }
    let phases = [0, 1, 2].map(|a| p.axes[a].phases.len());
    for fz in 0..phases[0] {
        for fy in 0..phases[1] {
            for fx in 0..phases[2] {
                // SAFETY: as the caller says.
                unsafe { phase::<S>(job, &strip, &layout, [fz, fy, fx], in_place, w) };
            }
        }
    }
}

#[inline(always)]
unsafe fn phase<S: Simd>(
    job: &Job<'_>,
    strip: &Strip,
    layout: &Panel,
    phase: [usize; 3],
    in_place: Option<usize>,
    w: &mut Workspace,
) {
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
        match in_place {
            Some(_) => job.list_channels(&mut w.taps),
            None => job.list_taps(strip, layout, phase, z, &mut w.taps),
        }
        let panel = match in_place {
            Some(from) => job.source[from..].as_ptr(),
            None => w.panel.room(layout.len() + SLACK).as_ptr(),
        };
        let operands = |number: usize| {
            let block = first + number;
            let weights =
                &job.packed[(strip.group * p.blocks() + block) * taps * CHANNELS..][..taps * CHANNELS];
            let start = core::array::from_fn(|c| job.start(strip.group, block * CHANNELS + c));
            let sums = rows.wrapping_add(number * CHANNELS * pitch + z * slice);
            Operands { data: panel, weights: weights.as_ptr(), start, sums, pitch }
        };
        let terms = w.taps.iter().map(|&(at, tap)| (at as usize, tap as usize * CHANNELS));
        let near = w.taps.len() * S::TILE * S::LANES * size_of::<f32>() < p.kernel[2] * NEAR_BYTES;
        // SAFETY: the taps were listed for this panel, whose slack covers the last tile (in place, `in_place` made sure
        // that the source goes on for as long); the rows have room for all blocks.
        unsafe {
            if near {
                tiles_of_blocks::<S>(vectors, last - first, operands, terms);
            } else {
                for number in 0..last - first {
                    tiles::<S>(vectors, operands(number), terms.clone());
                }
            }
        }
    }
    let finished =
        Block { plane: 0, first: [at(0), at(1), at(2)], step, count, pitch: [slice, layout.pitch] };
    // SAFETY: the rows were just computed; items do not share outputs.
    unsafe { finish::<S>(job, strip, first..last, finished, rows) };
}

/// Finishes the rows of some blocks of channels, each channel `count[0]` slices behind the one before.
///
/// # Safety
/// As [`Output::write`] says, for every channel of the blocks.
#[inline(always)]
unsafe fn finish<S: Simd>(job: &Job<'_>, strip: &Strip, blocks: Range<usize>, like: Block, rows: *mut f32) {
    let p = job.problem;
    let channels = blocks.start * CHANNELS..p.target_channels.min(blocks.end * CHANNELS);
    let pitch = like.pitch[0] * like.count[0];
    for (number, channel) in channels.enumerate() {
        let plane = (strip.example * p.groups + strip.group) * p.target_channels + channel;
        // SAFETY: as the caller says.
        unsafe { job.output.write::<S>(&Block { plane, ..like }, rows.add(number * pitch)) };
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

/// Weights as `[group][block of channels][tap along depth][along height][source channel][tap along width][channel in block]`,
/// zeros behind the last channel: the order in which terms are added.
/// `weight(o, c, k)` is the weight of target channel `o` (all groups), source channel `c` and tap `k`.
pub fn pack(p: &Problem, weight: impl Fn(usize, usize, usize) -> f64, packed: &mut [f32]) {
    let (taps, width) = (p.kernel.iter().product::<usize>(), p.kernel[2]);
    let block = p.source_channels * taps * CHANNELS;
    packed.fill(0.0);
    for group in 0..p.groups {
        for t in 0..p.target_channels {
            let from = (group * p.blocks() + t / CHANNELS) * block + t % CHANNELS;
            for c in 0..p.source_channels {
                for k in 0..taps {
                    let at = (k / width * p.source_channels + c) * width + k % width;
                    packed[from + at * CHANNELS] = weight(group * p.target_channels + t, c, k) as f32;
                }
            }
        }
    }
}
