//! Direct convolution and its adjoint, without im2col: any stride, dilation, padding and group count, in both directions.
//!
//! A strip is some rows of outputs, of several examples side by side where images are small. The rows of data that it reads are
//! copied into a panel with zeros around, split by the residues of the stride ([`Axis`]), so that every tap of the kernel is a
//! shifted view of a panel row, and consecutive rows of outputs lie behind each other at one pitch: short rows fill vectors as
//! well as long ones, at the price of the few outputs between the rows. One register-blocked loop adds the taps of four channels,
//! or eight, and a few vectors of positions.
//! Source channels come in groups ([`Problem::near_channels`]), one after the other, so that what all target channels read
//! of a few vectors stays in the first cache, and the panel of a group in the second however many channels there are.
//! An element's terms are added in the order of the groups and of the taps, whatever the strip, tile, thread or batch.

use super::output::{Block, Output};
use super::panel::Panel;
use super::tile::{CHANNELS, Operands, SLACK, tiles_of_blocks};
use super::{ITEMS, Problem, groups_of};
use crate::buffer::Buffer;
use crate::isa::Isa;
use crate::simd::{Simd, per_isa};
use core::ops::Range;

/// Bytes of a panel, and of the sums of all channels of an item, that stay in the second cache beside weights.
const PANEL_BYTES: usize = 160 << 10;
const SUMS_BYTES: usize = 160 << 10;
/// Bytes of the data of a tile that stay in the first cache, beside weights, until the last block of channels has read them,
/// and what a tile reads of a row of a panel: its vectors, with the lines that they begin and end in.
const NEAR_BYTES: usize = 20 << 10;
const TILE_ROW_BYTES: usize = 160;
/// So many blocks of channels read the data of a tile too seldom to group source channels for them.
pub const FEW_BLOCKS: usize = 2;
/// Positions of a strip beyond which longer strips gain nothing; those that are worth sums that are not all in the second cache;
/// those that no strip is made shorter than for the sake of threads.
const POSITIONS: usize = 512;
const ENOUGH: usize = 256;
const FEW_POSITIONS: usize = 64;
/// Positions from which another example in a strip gains nothing, and bytes of the sums of several examples: few positions cost
/// more than sums that are not all in the second cache.
const FULL: usize = 96;
const MOST_SUMS_BYTES: usize = 256 << 10;
/// The width of the images, and the rows of outputs, that source channels are grouped for.
const WIDTH: usize = 128;
const ROWS: usize = 2;

/// How the outputs of a convolution are divided into work items. Depends on the problem alone.
pub struct Strips {
    /// Positions of a strip along depth and height, within a phase.
    size: [usize; 2],
    /// Examples of a strip, side by side in its panel.
    beside: usize,
    /// Strips along depth and height.
    count: [usize; 2],
    /// Blocks of [`CHANNELS`] channels in an item, and items of a group.
    blocks: usize,
    chunks: usize,
}

impl Strips {
    /// Divides a problem whose outputs are finished in windows of `window` rows along depth and height over threads.
    pub fn new(p: &Problem, window: [usize; 2], threads: usize) -> Self {
        let wanted = ITEMS * threads;
        let most = [p.axes[0].most(), p.axes[1].most()];
        let pitch = p.panel([1; 2], 1).pitch;
        let items =
            |[depth, rows]: [usize; 2]| p.batch * p.groups * most[0].div_ceil(depth) * most[1].div_ceil(rows);
        let [mut depth, mut rows] = window;
        let grows = |rows: usize| {
            let next = [depth, rows + window[1]];
            let near = p.panel_bytes(next, 1) < PANEL_BYTES;
            near && (rows * pitch < ENOUGH || rows * pitch < POSITIONS && p.sums_bytes(next, 1) <= SUMS_BYTES)
        };
        while rows < most[1] && grows(rows) {
            rows += window[1];
        }
        while rows > window[1] && items([depth, rows]) < wanted && rows * pitch > FEW_POSITIONS {
            rows -= window[1];
        }
        // Slices that read almost the same are copied together.
        while depth < most[0].min(p.axes[0].reach + 1) {
            let next = [depth + window[0], rows];
            let near = p.panel_bytes(next, 1) < PANEL_BYTES && p.sums_bytes(next, 1) <= SUMS_BYTES;
            if !near || items(next) < wanted {
                break;
            }
            depth = next[0];
        }
        let size = [depth, rows];
        let most_chunks = p.blocks().div_ceil(4);
        let beside =
            if rows < most[1] { 1 } else { p.beside(size, items(size), wanted.div_ceil(most_chunks)) };
        let items = items(size).div_ceil(p.batch.max(1)) * p.batch.div_ceil(beside);
        let chunks = (wanted / items.max(1)).clamp(1, most_chunks);
        let block_bytes = p.sums_bytes(size, beside) / p.blocks().max(1);
        let most_bytes = if beside > 1 { MOST_SUMS_BYTES } else { SUMS_BYTES };
        let blocks = p.blocks().div_ceil(chunks).min((most_bytes / block_bytes.max(1)).max(4));
        let chunks = p.blocks().div_ceil(blocks);
        let count = [most[0].div_ceil(depth), most[1].div_ceil(rows)];
        Self { size, beside, count, blocks, chunks }
    }

    /// Work items.
    pub fn items(&self, p: &Problem) -> usize {
        p.batch.div_ceil(self.beside) * p.groups * self.count[0] * self.count[1] * self.chunks
    }
}

/// What one thread needs to compute strips.
#[derive(Default)]
pub struct Workspace {
    panel: Buffer,
    /// Of every tap that reads data: its offset in the panel, and its place among packed weights.
    taps: Vec<(u32, u32)>,
    /// The sums of every phase, channel and slice.
    sums: Buffer,
    rows: Vec<Rows>,
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
    /// The first example, and how many there are.
    pub example: usize,
    pub examples: usize,
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
        let (group, example) = (rest % self.problem.groups, rest / self.problem.groups * s.beside);
        let examples = s.beside.min(self.problem.batch - example);
        Strip { example, examples, group, chunk, first: [z * s.size[0], y * s.size[1]] }
    }
}

/// Where the sums of a phase are among those of an item.
struct Rows {
    phase: [usize; 3],
    /// Positions along each axis.
    count: [usize; 3],
    /// Numbers between slices.
    slice: usize,
    /// The first.
    at: usize,
}

impl Rows {
    /// Numbers between channels.
    fn pitch(&self) -> usize {
        self.slice * self.count[0]
    }
}

impl Job<'_> {
    /// The blocks of target channels of a strip.
    fn blocks(&self, strip: &Strip) -> Range<usize> {
        let first = strip.chunk * self.strips.blocks;
        first..(first + self.strips.blocks).min(self.problem.blocks())
    }

    /// Lists the phases that have positions in a strip; numbers of all their sums.
    fn list_rows(&self, strip: &Strip, layout: &Panel, lanes: usize, rows: &mut Vec<Rows>) -> usize {
        let (p, size) = (self.problem, self.strips.size);
        let phases = [0, 1, 2].map(|a| p.axes[a].phases.len());
        let channels = self.blocks(strip).len() * CHANNELS;
        let mut at = 0;
        rows.clear();
        for number in 0..phases.iter().product() {
            let phase = [number / phases[2] / phases[1], number / phases[2] % phases[1], number % phases[2]];
            let left = |a: usize| p.axes[a].count(phase[a]).saturating_sub(strip.first[a]).min(size[a]);
            let count = [left(0), left(1), p.axes[2].count(phase[2])];
            if !count.contains(&0) {
                let positions = layout.positions(count);
                let slice = positions.next_multiple_of(lanes).next_multiple_of(16);
                rows.push(Rows { phase, count, slice, at });
                at += channels * slice * count[0];
            }
        }
        at
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
    let layout = p.panel(job.strips.size, job.strips.beside);
    let mut rows = core::mem::take(&mut w.rows);
    let room = job.list_rows(&strip, &layout, S::LANES, &mut rows);
    let in_place = job.in_place(&strip, &layout);
    for near in groups_of(p.source_channels, p.near_channels()) {
        if in_place.is_none() {
            job.fill(&strip, &layout, &near, w.panel.room(layout.len() + SLACK));
        }
        for rows in &rows {
            // SAFETY: as the caller says; there is room for the sums of all phases.
            unsafe { add_products::<S>(job, &strip, &layout, &near, (rows, room), in_place, w) };
        }
    }
    let sums = w.sums.room(room + SLACK).as_mut_ptr();
    for rows in &rows {
        // SAFETY: the rows were just computed; items do not share outputs.
        unsafe { finish::<S>(job, &strip, &layout, rows, sums.add(rows.at)) };
    }
    w.rows = rows;
}

/// Adds the products of the source channels `near` to the sums of a phase.
#[inline(always)]
unsafe fn add_products<S: Simd>(
    job: &Job<'_>,
    strip: &Strip,
    layout: &Panel,
    near: &Range<usize>,
    (rows, room): (&Rows, usize),
    in_place: Option<usize>,
    w: &mut Workspace,
) {
    let blocks = job.blocks(strip);
    let positions = layout.positions(rows.count);
    let sums = w.sums.room(room + SLACK)[rows.at..].as_mut_ptr();
    let volume: usize = job.problem.axes.iter().map(|a| a.source).product();
    let panel = match in_place {
        Some(from) => job.source[from + near.start * volume..].as_ptr(),
        None => w.panel.room(layout.len() + SLACK).as_ptr(),
    };
    // Slices differ only in the taps that fall outside.
    for z in 0..rows.count[0] {
        match in_place {
            Some(_) => job.list_channels(near.len(), &mut w.taps),
            None => job.list_taps(strip, layout, rows.phase, z, near.len(), &mut w.taps),
        }
        let operands = |number: usize| {
            let block = blocks.start + number;
            Operands {
                data: panel,
                weights: job.weights(strip.group, block, near).as_ptr(),
                channels: job.problem.target_channels - block * CHANNELS,
                start: (near.start == 0).then(|| job.start(strip.group, block)),
                sums: sums.wrapping_add(number * CHANNELS * rows.pitch() + z * rows.slice),
                pitch: rows.pitch(),
            }
        };
        let terms = w.taps.iter().map(|&(at, tap)| (at as usize, tap as usize * CHANNELS));
        // SAFETY: the taps were listed for this panel, whose slack covers the last tile (in place, `in_place` made sure that
        // the source goes on for as long); the sums have room for all blocks.
        unsafe { tiles_of_blocks::<S>(positions.div_ceil(S::LANES), blocks.len(), operands, terms) };
    }
}

/// Hands the sums of a phase to the output.
///
/// # Safety
/// As [`Output::write`] says, for every channel of the strip.
#[inline(always)]
unsafe fn finish<S: Simd>(job: &Job<'_>, strip: &Strip, layout: &Panel, rows: &Rows, sums: *mut f32) {
    let (p, blocks) = (job.problem, job.blocks(strip));
    let step = [0, 1, 2].map(|a| p.axes[a].phases.len());
    let at = |a: usize| strip.first.get(a).map_or(0, |q| q * step[a]) + rows.phase[a];
    let channels = blocks.start * CHANNELS..p.target_channels.min(blocks.end * CHANNELS);
    for (number, channel) in channels.enumerate() {
        for beside in 0..strip.examples {
            let example = strip.example + beside;
            let plane = (example * p.groups + strip.group) * p.target_channels + channel;
            let pitch = [rows.slice, layout.pitch];
            let block = Block { plane, first: [at(0), at(1), at(2)], step, count: rows.count, pitch };
            // SAFETY: as the caller says.
            unsafe { job.output.write::<S>(&block, sums.add(number * rows.pitch() + beside * layout.width)) };
        }
    }
}

impl Job<'_> {
    /// What the sums of the channels of a block begin with.
    fn start(&self, group: usize, block: usize) -> [f32; CHANNELS] {
        let p = self.problem;
        core::array::from_fn(|c| {
            let channel = block * CHANNELS + c;
            let at = group * p.target_channels + channel;
            self.bias.filter(|_| channel < p.target_channels).map_or(0.0, |b| b[at])
        })
    }

    /// The weights of a block of target channels and of the source channels `near`.
    fn weights(&self, group: usize, block: usize, near: &Range<usize>) -> &[f32] {
        let p = self.problem;
        let taps = p.kernel.iter().product::<usize>() * CHANNELS;
        let at = (group * p.source_channels + near.start) * p.blocks() + block * near.len();
        &self.packed[at * taps..][..near.len() * taps]
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

/// Weights as `[group][group of source channels][block of channels][tap along depth][along height][source channel][tap along
/// width][channel in block]`, zeros behind the last channel: the order in which terms are added.
/// `weight(o, c, k)` is the weight of target channel `o` (all groups), source channel `c` and tap `k`.
pub fn pack(p: &Problem, weight: impl Fn(usize, usize, usize) -> f64, packed: &mut [f32]) {
    let (taps, width) = (p.kernel.iter().product::<usize>(), p.kernel[2]);
    packed.fill(0.0);
    for group in 0..p.groups {
        for near in groups_of(p.source_channels, p.near_channels()) {
            for t in 0..p.target_channels {
                let from = (group * p.source_channels + near.start) * p.blocks() + t / CHANNELS * near.len();
                for c in near.clone() {
                    for k in 0..taps {
                        let at = (k / width * near.len() + c - near.start) * width + k % width;
                        packed[(from * taps + at) * CHANNELS + t % CHANNELS] =
                            weight(group * p.target_channels + t, c, k) as f32;
                    }
                }
            }
        }
    }
}

impl Problem {
    /// How many examples share a strip of whole images, so that small ones fill vectors and registers. Of one example in each
    /// there are `items`, and `least` are to be left.
    fn beside(&self, size: [usize; 2], items: usize, least: usize) -> usize {
        let positions = size[1] * self.panel([1; 2], 1).pitch;
        let fits = |&beside: &usize| {
            let near = self.panel_bytes(size, beside) < PANEL_BYTES;
            near && self.sums_bytes(size, beside) <= MOST_SUMS_BYTES && items / beside >= least
        };
        (2..=self.batch.min(FULL.div_ceil(positions.max(1)))).take_while(fits).last().unwrap_or(1)
    }

    /// Bytes of the panel of a strip of so many positions along depth and height and so many examples, and of the sums of all
    /// its channels.
    fn panel_bytes(&self, size: [usize; 2], beside: usize) -> usize {
        self.panel(size, beside).len() * size_of::<f32>()
    }

    fn sums_bytes(&self, [depth, rows]: [usize; 2], beside: usize) -> usize {
        let phases: usize = self.axes.iter().map(|a| a.phases.len()).product();
        self.blocks() * CHANNELS * phases * depth * rows * self.panel([1; 2], beside).pitch * size_of::<f32>()
    }

    /// Source channels whose products are summed before those of others: as many as tiles find in the first cache, or, where
    /// too few blocks of channels read them again, as leave a panel room for strips of some length. Neither sizes of the image nor
    /// paddings decide: a part of an image has the sums of the whole, and its packed weights.
    pub(super) fn near_channels(&self) -> usize {
        let rows = self.kernel[0] * self.kernel[1] * self.axes[2].residues.len().min(self.kernel[2]);
        let along =
            |a: usize, positions: usize| self.axes[a].residues.len() * (positions + self.axes[a].reach);
        let panel = along(0, 1) * along(1, ROWS) * along(2, WIDTH);
        let most = match self.blocks() > FEW_BLOCKS {
            true => NEAR_BYTES / (rows * TILE_ROW_BYTES).max(1),
            false => PANEL_BYTES / (panel * size_of::<f32>()).max(1),
        };
        most.clamp(1, self.source_channels.max(1))
    }
}
