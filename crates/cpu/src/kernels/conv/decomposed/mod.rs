//! Winograd's filtering of wide kernels and of kernels with steps, which are taken apart into pieces of at most three by three taps
//! (Huang et al., "DWM: A Decomposable Winograd Method for Convolution Acceleration", AAAI 2020): a kernel of width 5 takes half of
//! the multiplications, one of width 7 or 11 with steps a little more than half. Depth is summed tap by tap.
//!
//! An item is some rows of tiles of 2 x 2 outputs. What they read of every residue of the steps is transformed once
//! ([`data`]); pieces read the same data some tiles further on, so that at every transformed position a sum is a direct
//! convolution over tiles, which runs through the same loop. Rows of tiles lie behind each other at one pitch.

mod data;
mod pack;
mod pieces;

use super::output::{Block, Output};
use super::tile::{CHANNELS, Operands, SLACK, tiles_of_blocks};
use super::winograd::back;
use super::{ITEMS, Problem};
use crate::buffer::Buffer;
use crate::filtering::Filtering;
use crate::isa::Isa;
use crate::simd::{Simd, per_isa};
pub use pack::{pack, packed_len};
use pieces::{POSITIONS, Residue};

/// Transformed positions of a tile.
const ALL: usize = POSITIONS * POSITIONS;
/// Outputs of a tile along height and width.
const SIZE: usize = 2;
/// Bytes of an item's data, and of its sums, that stay in the second cache.
const DATA_BYTES: usize = 256 << 10;
const SUMS_BYTES: usize = 128 << 10;
/// Kernels narrower than this have tiles of their own or none; steps leave too little of them.
const LEAST_WIDTH: usize = 4;
/// Fewer target channels do not pay for the transforms.
const LEAST_CHANNELS: usize = 16;
/// Products of a tile to those of plain sums, in hundredths, that gain nothing.
const MOST_PRODUCTS: usize = 60;

/// A part of a kernel's plane: residues along height and width, and their pieces, by number.
#[derive(Clone, Copy)]
struct Plane {
    residues: [usize; 2],
    pieces: [usize; 2],
}

/// How a kernel is taken apart.
pub struct Pieces {
    /// Residues along height and width.
    residues: [Vec<Residue>; 2],
    /// For every transformed position, the parts of the kernel that have anything there, in the order of their terms.
    planes: [Vec<Plane>; ALL],
    /// How many of them there are before a position, and in all.
    before: [usize; ALL],
    all: usize,
}

impl Pieces {
    /// The pieces, if the convolution is one that gains from them. Neither sizes of the image nor paddings decide.
    pub fn new(p: &Problem, filtering: Filtering) -> Option<Self> {
        let wide = p.kernel[1] >= LEAST_WIDTH && p.kernel[2] >= LEAST_WIDTH;
        let empty = p.axes.iter().any(|a| a.target == 0 || a.source == 0);
        if filtering == Filtering::Direct || !wide || empty || p.target_channels < LEAST_CHANNELS {
            return None;
        }
        if p.axes[0].phases.len() != 1 {
            return None;
        }
        let residues = [pieces::residues(&p.axes[1])?, pieces::residues(&p.axes[2])?];
        let products = pieces::products(&residues[0]) * pieces::products(&residues[1]);
        if 100 * products > MOST_PRODUCTS * SIZE * SIZE * p.kernel[1] * p.kernel[2] {
            return None;
        }
        let planes = core::array::from_fn(|position| planes(&residues, position));
        let count = |to: usize| planes[..to].iter().map(Vec::len).sum();
        let (before, all) = (core::array::from_fn(count), count(ALL));
        Some(Self { residues, planes, before, all })
    }

    /// Tiles behind the last one whose data its pieces read, along height (0) or width (1).
    fn further(&self, axis: usize) -> usize {
        self.residues[axis].iter().map(|r| r.pieces.len() - 1).max().unwrap_or(0)
    }
}

/// The parts of a kernel that have anything at a position.
fn planes(residues: &[Vec<Residue>; 2], position: usize) -> Vec<Plane> {
    let along = |a: usize, at: usize| -> Vec<(usize, usize)> {
        let of = |(number, residue): (usize, &Residue)| -> Vec<(usize, usize)> {
            (0..residue.pieces.len()).filter(|&p| residue.has(p, at)).map(|piece| (number, piece)).collect()
        };
        residues[a].iter().enumerate().flat_map(of).collect()
    };
    let (rows, columns) = (along(0, position / POSITIONS), along(1, position % POSITIONS));
    let plane = |y: (usize, usize), x: (usize, usize)| Plane { residues: [y.0, x.0], pieces: [y.1, x.1] };
    rows.iter().flat_map(|&y| columns.iter().map(move |&x| plane(y, x))).collect()
}

/// How tiles are divided into items.
pub struct Strips {
    /// Slices of an item, and rows of tiles.
    slices: usize,
    rows: usize,
    /// Items along depth and height.
    count: [usize; 2],
    /// Tiles of a row with those that only pieces read.
    pitch: usize,
    /// Blocks of channels whose sums are there at a time.
    blocks: usize,
}

impl Strips {
    /// Divides a problem whose outputs are finished in windows of so many slices.
    pub fn new(p: &Problem, pieces: &Pieces, slices: usize, threads: usize) -> Self {
        let [height, width] = [1, 2].map(|a| p.axes[a].target.div_ceil(SIZE));
        let pitch = width + pieces.further(1);
        let planes = p.kernel[0] * p.source_channels * pieces.residues[0].len() * pieces.residues[1].len();
        let bytes = |rows: usize| ALL * planes * (rows + pieces.further(0)) * pitch * size_of::<f32>();
        let items =
            |rows: usize| p.batch * p.groups * p.axes[0].target.div_ceil(slices) * height.div_ceil(rows);
        let mut rows = 1;
        while rows < height && bytes(rows + 1) <= DATA_BYTES && items(rows + 1) >= ITEMS * threads {
            rows += 1;
        }
        let block_bytes = ALL * CHANNELS * rows * pitch * size_of::<f32>();
        let blocks = (SUMS_BYTES / block_bytes).clamp(1, p.blocks());
        let count = [p.axes[0].target.div_ceil(slices), height.div_ceil(rows)];
        Self { slices, rows, count, pitch, blocks }
    }

    /// Work items.
    pub fn items(&self, p: &Problem) -> usize {
        p.batch * p.groups * self.count[0] * self.count[1]
    }
}

/// What one thread needs.
#[derive(Default)]
pub struct Workspace {
    /// Rows of data, even columns and odd ones, as they are and transformed along height.
    lines: Buffer,
    data: Buffer,
    sums: Buffer,
    outputs: Buffer,
    /// The slices of data that are there: their taps along depth, and where they are.
    slices: Vec<(usize, usize)>,
    /// Of every term its offset in the data, and its place among packed weights; position after position, which end there.
    terms: Vec<(u32, u32)>,
    ends: [usize; ALL],
}

/// Everything that the items of one call share.
pub struct Job<'a> {
    /// The convolution.
    pub problem: &'a Problem,
    /// How its kernel is taken apart.
    pub pieces: &'a Pieces,
    /// How it is divided.
    pub strips: Strips,
    /// The data.
    pub source: &'a [f32],
    /// The weights as [`pack`] makes them.
    pub packed: &'a [f32],
    /// Added to the sums, one per channel of all groups.
    pub bias: Option<&'a [f32]>,
    /// Where they go.
    pub output: &'a Output<'a>,
}

/// One item of a job.
struct Strip {
    /// Example times groups plus group.
    image: usize,
    group: usize,
    /// The first slice, and how many.
    slice: usize,
    slices: usize,
    /// The first row of tiles, and how many.
    row: usize,
    rows: usize,
}

impl Job<'_> {
    fn strip(&self, item: usize) -> Strip {
        let (s, p) = (&self.strips, self.problem);
        let (y, rest) = (item % s.count[1], item / s.count[1]);
        let (z, image) = (rest % s.count[0], rest / s.count[0]);
        let (slice, row) = (z * s.slices, y * s.rows);
        let rows = (p.axes[1].target.div_ceil(SIZE) - row).min(s.rows);
        let slices = (p.axes[0].target - slice).min(s.slices);
        Strip { image, group: image % p.groups, slice, slices, row, rows }
    }

    /// Numbers between rows of outputs in the workspace: what vectors of tiles make of one.
    fn line(&self) -> usize {
        SIZE * self.strips.pitch.next_multiple_of(16)
    }

    /// Numbers between transformed positions of sums, and between channels of one.
    fn sums_pitch(&self) -> usize {
        (self.strips.rows * self.strips.pitch).next_multiple_of(16)
    }
}

/// Computes one item.
///
/// # Safety
/// The instruction set of `S` is there.
#[inline(always)]
unsafe fn item<S: Simd>(job: &Job<'_>, number: usize, w: &mut Workspace) {
    let strip = job.strip(number);
    let blocks = job.problem.blocks();
    // Slices of a window are finished together, so that with several the data of each are made anew for every share of channels.
    let mut first = 0;
    while first < blocks {
        let last = (first + job.strips.blocks).min(blocks);
        for slice in 0..strip.slices {
            // SAFETY: as the caller says; sums are made of the data of the same slice, and outputs of these sums.
            unsafe {
                if first == 0 || strip.slices > 1 {
                    job.list_slices(strip.slice + slice, w);
                    data::transform_data::<S>(job, &strip, w);
                    job.list_terms(w);
                }
                multiply::<S>(job, &strip, (first, last), w);
                make_outputs::<S>(job, &strip, slice, (first, last), w);
            }
        }
        // SAFETY: the outputs of these channels were just made; items do not share any.
        unsafe { write::<S>(job, &strip, (first, last), w) };
        first = last;
    }
}

impl Job<'_> {
    /// Lists the slices of data that output slice `slice` reads.
    fn list_slices(&self, slice: usize, w: &mut Workspace) {
        let axis = &self.problem.axes[0];
        w.slices.clear();
        for tap in &axis.phases[0] {
            if let Some(z) = axis.source_at(slice as isize + tap.offset, tap.residue) {
                w.slices.push((tap.index, z));
            }
        }
    }

    /// Numbers between channels of a part of the data, and between its parts: one for every slice and pair of residues.
    fn data_pitch(&self) -> [usize; 2] {
        let channel = (self.strips.rows + self.pieces.further(0)) * self.strips.pitch;
        [channel, channel * self.problem.source_channels]
    }

    /// Numbers between transformed positions of the data, with slack behind the last row of tiles.
    fn data_plane(&self) -> usize {
        let parts = self.problem.kernel[0] * self.pieces.residues[0].len() * self.pieces.residues[1].len();
        super::apart(parts * self.data_pitch()[1] + SLACK)
    }

    /// The part of the data of slice number `slice` and of residues `[y, x]`.
    fn data_part(&self, slice: usize, [y, x]: [usize; 2]) -> usize {
        (slice * self.pieces.residues[0].len() + y) * self.pieces.residues[1].len() + x
    }

    /// Lists the terms of the sums at every position.
    fn list_terms(&self, w: &mut Workspace) {
        let channels = self.problem.source_channels;
        let [apart, part] = self.data_pitch();
        w.terms.clear();
        for (planes, end) in self.pieces.planes.iter().zip(&mut w.ends) {
            for (slice, &(tap, _)) in w.slices.iter().enumerate() {
                for (number, plane) in planes.iter().enumerate() {
                    let at = self.data_part(slice, plane.residues) * part
                        + plane.pieces[0] * self.strips.pitch
                        + plane.pieces[1];
                    let weights = (tap * planes.len() + number) * channels;
                    let term = |c: usize| ((at + c * apart) as u32, (weights + c) as u32);
                    w.terms.extend((0..channels).map(term));
                }
            }
            *end = w.terms.len();
        }
    }
}

/// Sums the products of blocks `first .. last` of target channels at every position.
#[inline(always)]
unsafe fn multiply<S: Simd>(job: &Job<'_>, strip: &Strip, (first, last): (usize, usize), w: &mut Workspace) {
    let (p, pitch) = (job.problem, job.sums_pitch());
    let tiles = (strip.rows - 1) * job.strips.pitch + p.axes[2].target.div_ceil(SIZE);
    let plane = (last - first) * CHANNELS * pitch;
    let data = w.data.room(ALL * job.data_plane() + SLACK).as_ptr();
    let sums = w.sums.room(ALL * plane + SLACK).as_mut_ptr();
    for position in 0..ALL {
        let begin = if position == 0 { 0 } else { w.ends[position - 1] };
        let terms = w.terms[begin..w.ends[position]].iter();
        let terms = terms.map(|&(at, weights)| (at as usize, weights as usize * CHANNELS));
        let weights_of = |block: usize| {
            let at = job.pieces.weights_at(p, strip.group, first + block, position);
            let each = job.pieces.planes[position].len() * p.kernel[0] * p.source_channels * CHANNELS;
            job.packed[at..at + each].as_ptr()
        };
        let operands = |block: usize| Operands {
            channels: p.target_channels - (first + block) * CHANNELS,
            data: data.wrapping_add(position * job.data_plane()),
            weights: weights_of(block),
            start: Some([0.0; CHANNELS]),
            sums: sums.wrapping_add(position * plane + block * CHANNELS * pitch),
            pitch,
        };
        // SAFETY: terms lie in the data, behind which there is slack for the last tile, and in the weights of their position;
        // the sums have room for all channels.
        unsafe { tiles_of_blocks::<S>(tiles.div_ceil(S::LANES), last - first, operands, terms) };
    }
}

/// Transforms the sums of blocks `first .. last` back: rows of outputs of slice `slice` of an item.
#[inline(always)]
unsafe fn make_outputs<S: Simd>(
    job: &Job<'_>,
    strip: &Strip,
    slice: usize,
    (first, last): (usize, usize),
    w: &mut Workspace,
) {
    let (p, pitch, line) = (job.problem, job.sums_pitch(), job.line());
    let channels = (last - first) * CHANNELS;
    let plane = channels * pitch;
    let sums = w.sums.room(ALL * plane + SLACK).as_ptr();
    let rows = SIZE * job.strips.rows;
    let all = channels * job.strips.slices * rows * line;
    let outputs = w.outputs.room(all).as_mut_ptr();
    let tiles = p.axes[2].target.div_ceil(SIZE);
    for channel in 0..channels.min(p.target_channels - first * CHANNELS) {
        let number = strip.group * p.target_channels + first * CHANNELS + channel;
        let bias = job.bias.map_or(0.0, |bias| bias[number]);
        for row in 0..strip.rows {
            let at = ((channel * job.strips.slices + slice) * rows + SIZE * row) * line;
            for tile in (0..tiles).step_by(S::LANES) {
                // SAFETY: as the caller says; sums end with slack, lines with whole vectors.
                unsafe {
                    let from = sums.add(channel * pitch + row * job.strips.pitch + tile);
                    let [above, below] = tile_outputs::<S>(from, plane, S::splat(bias));
                    let into = outputs.add(at + SIZE * tile);
                    S::store_united::<SIZE>(into, above);
                    S::store_united::<SIZE>(into.add(line), below);
                }
            }
        }
    }
}

/// The two rows of outputs of a vector of tiles: even columns, and odd ones.
#[inline(always)]
unsafe fn tile_outputs<S: Simd>(sums: *const f32, plane: usize, bias: S::V) -> [[S::V; 4]; 2] {
    // SAFETY: the caller promises the instruction set and a vector at every position.
    unsafe {
        let mut across = [[S::splat(0.0); 4]; POSITIONS];
        for y in 0..POSITIONS {
            let mut m = [S::splat(0.0); 6];
            for x in 0..POSITIONS {
                m[x] = S::load(sums.add((y * POSITIONS + x) * plane));
            }
            across[y] = back::<S, 2>(m);
        }
        let mut rows = [[S::splat(0.0); 4]; 2];
        for x in 0..SIZE {
            let mut m = [S::splat(0.0); 6];
            for y in 0..POSITIONS {
                m[y] = across[y][x];
            }
            let made = back::<S, 2>(m);
            for y in 0..SIZE {
                rows[y][x] = S::add(made[y], bias);
            }
        }
        rows
    }
}

/// Hands the outputs of blocks `first .. last` on.
///
/// # Safety
/// As [`Output::write`] says, for every channel of them.
#[inline(always)]
unsafe fn write<S: Simd>(job: &Job<'_>, strip: &Strip, (first, last): (usize, usize), w: &mut Workspace) {
    let (p, line) = (job.problem, job.line());
    let rows = SIZE * job.strips.rows;
    let channels = first * CHANNELS..p.target_channels.min(last * CHANNELS);
    let apart = job.strips.slices * rows * line;
    let outputs = w.outputs.room(channels.len() * apart).as_mut_ptr();
    let height = (p.axes[1].target - SIZE * strip.row).min(SIZE * strip.rows);
    for (number, channel) in channels.enumerate() {
        let block = Block {
            plane: strip.image * p.target_channels + channel,
            first: [strip.slice, SIZE * strip.row, 0],
            step: [1; 3],
            count: [strip.slices, height, p.axes[2].target],
            pitch: [rows * line, line],
        };
        // SAFETY: as the caller says; lines are whole vectors.
        unsafe { job.output.write::<S>(&block, outputs.add(number * apart)) };
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
