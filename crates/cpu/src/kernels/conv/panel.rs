//! What a strip of a direct convolution reads, laid out so that every tap is a shift.

use super::axis::Axis;
use super::direct::{FEW_BLOCKS, Job, Strip};
use super::tile::SLACK;
use super::{Problem, apart};
use core::ops::Range;

/// The layout of the data that a strip reads: `[channel][depth residue][slice][height residue][width residue][row][column]`.
#[derive(Clone, Copy, Debug)]
pub struct Panel {
    channels: usize,
    residues: [usize; 3],
    /// Slices and rows of one residue.
    size: [usize; 2],
    /// Numbers between channels.
    apart: usize,
    /// Numbers between rows; also between rows of outputs. Zeros that end a row are those that the next one begins with.
    pub pitch: usize,
    /// Numbers between the rows of examples side by side, which are one row of the panel.
    pub width: usize,
    beside: usize,
    /// How many zeros rows share.
    shared: usize,
}

impl Panel {
    /// The layout for strips of `slices` times `rows` outputs of every phase, so many examples and so many source channels.
    pub fn new(p: &Problem, [slices, rows]: [usize; 2], beside: usize, channels: usize) -> Self {
        let reach = |a: usize| (p.axes[a].high - p.axes[a].low) as usize;
        let shared = p.axes[2].zeros().min(reach(2));
        let width = p.axes[2].most() + reach(2) - shared;
        let pitch = beside * width;
        let size = [slices + reach(0), rows + reach(1)];
        let residues = [0, 1, 2].map(|a| p.axes[a].residues.len());
        let channel = residues.iter().product::<usize>() * size.iter().product::<usize>() * pitch + shared;
        Self { channels, residues, size, apart: apart(channel), pitch, width, beside, shared }
    }

    /// Positions from the first of so many along each axis to the last of the last example, with those between rows.
    pub fn positions(&self, count: [usize; 3]) -> usize {
        (count[1] - 1) * self.pitch + (self.beside - 1) * self.width + count[2]
    }

    /// Numbers of the panel.
    pub fn len(&self) -> usize {
        self.channels * self.apart
    }

    /// Where a row begins.
    fn row(&self, channel: usize, residue: [usize; 3], slice: usize, row: usize) -> usize {
        let z = residue[0] * self.size[0] + slice;
        let plane = (z * self.residues[1] + residue[1]) * self.residues[2] + residue[2];
        channel * self.apart + (plane * self.size[1] + row) * self.pitch
    }
}

impl Job<'_> {
    /// Where the source itself can stand for the panel: in a convolution of width 1 without strides or padding rows of
    /// outputs lie in the source as they would in the panel. Not at its very end, behind which vectors would read.
    pub fn in_place(&self, strip: &Strip, layout: &Panel) -> Option<usize> {
        let p = self.problem;
        if !p.axes.iter().all(is_whole)
            || layout.size[0] != 1
            || layout.beside != 1
            || p.blocks() > FEW_BLOCKS
        {
            return None;
        }
        let [depth, height, width] = [0, 1, 2].map(|a| p.axes[a].source);
        let volume = depth * height * width;
        let channels = (strip.example * p.groups + strip.group) * p.source_channels;
        let from = channels * volume + (strip.first[0] * height + strip.first[1]) * width;
        let end = from + (p.source_channels - 1) * volume + layout.size[1] * width + SLACK;
        (end <= self.source.len() && p.source_channels * volume < u32::MAX as usize).then_some(from)
    }

    /// The taps of a convolution of width 1 in the source itself: one of each of `channels` channels.
    pub fn list_channels(&self, channels: usize, taps: &mut Vec<(u32, u32)>) {
        let volume: usize = self.problem.axes.iter().map(|a| a.source).product();
        taps.clear();
        taps.extend((0..channels).map(|c| ((c * volume) as u32, c as u32)));
    }

    /// Copies what the strip reads of the channels `near` into the panel.
    pub fn fill(&self, strip: &Strip, layout: &Panel, near: &Range<usize>, panel: &mut [f32]) {
        let p = self.problem;
        let volume: usize = p.axes.iter().map(|a| a.source).product();
        for channel in near.clone() {
            panel[layout.row(channel - near.start, [layout.residues[0], 0, 0], 0, 0)..][..layout.shared]
                .fill(0.0);
            for rz in 0..layout.residues[0] {
                for slice in 0..layout.size[0] {
                    let q = (strip.first[0] + slice) as isize + p.axes[0].low;
                    let Some(z) = p.axes[0].source_at(q, rz) else {
                        // No tap reads it, but the slice before ends with its first zeros.
                        panel[layout.row(channel - near.start, [rz, 0, 0], slice, 0)..][..layout.shared]
                            .fill(0.0);
                        continue;
                    };
                    let plane = p.axes[1].source * p.axes[2].source;
                    for beside in 0..layout.beside {
                        let image = (strip.example + beside) * p.groups + strip.group;
                        let from = (image * p.source_channels + channel) * volume + z * plane;
                        let data =
                            if beside < strip.examples { &self.source[from..from + plane] } else { &[] };
                        let place = (channel - near.start, rz, slice, beside);
                        self.fill_slice(strip, layout, panel, data, place);
                    }
                }
            }
        }
    }

    /// Copies what the strip reads of a slice of one example, or zeros where there is none.
    fn fill_slice(
        &self,
        strip: &Strip,
        layout: &Panel,
        panel: &mut [f32],
        plane: &[f32],
        place: (usize, usize, usize, usize),
    ) {
        let (channel, rz, slice, beside) = place;
        let [_, height, width] = &self.problem.axes;
        if is_whole(height) && is_whole(width) && layout.pitch == width.source {
            let first = strip.first[1] * width.source;
            let n = (plane.len() - first).min(layout.size[1] * layout.pitch);
            let at = layout.row(channel, [rz, 0, 0], slice, 0);
            return panel[at..at + n].copy_from_slice(&plane[first..first + n]);
        }
        for ry in 0..layout.residues[1] {
            for row in 0..layout.size[1] {
                let q = (strip.first[1] + row) as isize + height.low;
                let there = height.source_at(q, ry).filter(|_| !plane.is_empty());
                let line = there.map(|y| &plane[y * width.source..(y + 1) * width.source]);
                for rx in 0..layout.residues[2] {
                    let at = layout.row(channel, [rz, ry, rx], slice, row) + beside * layout.width;
                    let into = &mut panel[at..at + layout.width];
                    match line {
                        Some(line) => width_row(width, rx, line, into),
                        None => into.fill(0.0),
                    }
                }
            }
        }
    }

    /// The taps of phase `phase` for the strip's slice `slice` and `channels` source channels, without those that read zeros
    /// alone.
    pub fn list_taps(
        &self,
        strip: &Strip,
        layout: &Panel,
        phase: [usize; 3],
        slice: usize,
        channels: usize,
        taps: &mut Vec<(u32, u32)>,
    ) {
        let p = self.problem;
        taps.clear();
        let lists = [0, 1, 2].map(|a| &p.axes[a].phases[phase[a]]);
        for z in lists[0] {
            let q = (strip.first[0] + slice) as isize + z.offset;
            if p.axes[0].source_at(q, z.residue).is_none() {
                continue;
            }
            let in_slice = (slice as isize + z.offset - p.axes[0].low) as usize;
            for y in lists[1] {
                let in_rows = (y.offset - p.axes[1].low) as usize;
                for channel in 0..channels {
                    let tap = ((z.index * p.kernel[1] + y.index) * channels + channel) * p.kernel[2];
                    for x in lists[2] {
                        let row = layout.row(channel, [z.residue, y.residue, x.residue], in_slice, in_rows);
                        let offset = row + (x.offset - p.axes[2].low) as usize;
                        taps.push((offset as u32, (tap + x.index) as u32));
                    }
                }
            }
        }
    }
}

/// Whether a position reads the source there and nothing else, so that rows stay as they are.
fn is_whole(axis: &Axis) -> bool {
    axis.step == 1 && axis.phases.len() == 1 && (axis.low, axis.high) == (0, 0) && axis.source == axis.target
}

/// A panel row: the entries of one residue with zeros where there is no data.
fn width_row(width: &Axis, residue: usize, line: &[f32], into: &mut [f32]) {
    let first = width.low * width.step as isize + width.residues[residue] as isize;
    every_from(line, first, width.step, into);
}

/// Every `step`th entry of a line from `first` on, with zeros where there is none.
pub(super) fn every_from(line: &[f32], first: isize, step: usize, into: &mut [f32]) {
    let before = first.min(0).unsigned_abs().div_ceil(step).min(into.len());
    let (outside, inside) = into.split_at_mut(before);
    outside.fill(0.0);
    let from = (first + (before * step) as isize).max(0) as usize;
    let from = &line[from.min(line.len())..];
    let n = from.len().div_ceil(step).min(inside.len());
    match step {
        1 => inside[..n].copy_from_slice(&from[..n]),
        2 => every::<2>(from, &mut inside[..n]),
        4 => every::<4>(from, &mut inside[..n]),
        8 => every::<8>(from, &mut inside[..n]),
        _ => inside.iter_mut().zip(from.iter().step_by(step)).for_each(|(to, value)| *to = *value),
    }
    inside[n..].fill(0.0);
}

/// Every `N`th number of a line, from the first on: a loop that compilers make vectors of.
fn every<const N: usize>(line: &[f32], into: &mut [f32]) {
    let whole = line.chunks_exact(N);
    let last = whole.remainder().first();
    let count = whole.len().min(into.len());
    into.iter_mut().zip(whole).for_each(|(to, values)| *to = values[0]);
    if let (Some(to), Some(value)) = (into.get_mut(count), last) {
        *to = *value;
    }
}
