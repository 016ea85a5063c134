//! What an item reads, transformed: of every slice, channel and pair of residues, tile by tile, one row of tiles behind the other.

use super::pieces::{Kind, POSITIONS, Residue, transform};
use super::{ALL, Job, SIZE, Strip, Workspace};
use crate::kernels::conv::axis::Axis;
use crate::kernels::conv::panel::every_from;
use crate::kernels::conv::tile::SLACK;
use crate::simd::Simd;

/// Transforms the data of the slices that were listed.
///
/// # Safety
/// The instruction set of `S` is there.
#[inline(always)]
pub unsafe fn transform_data<S: Simd>(job: &Job<'_>, strip: &Strip, w: &mut Workspace) {
    let p = job.problem;
    let volume: usize = p.axes.iter().map(|a| a.source).product();
    let plane = p.axes[1].source * p.axes[2].source;
    let [apart, part] = job.data_pitch();
    let slices = core::mem::take(&mut w.slices);
    w.data.room(ALL * job.data_plane() + SLACK);
    for (slice, &(_, z)) in slices.iter().enumerate() {
        for (y, rows) in job.pieces.residues[0].iter().enumerate() {
            for (x, columns) in job.pieces.residues[1].iter().enumerate() {
                for channel in 0..p.source_channels {
                    let from = (strip.image * p.source_channels + channel) * volume + z * plane;
                    let source = &job.source[from..from + plane];
                    let at = job.data_part(slice, [y, x]) * part + channel * apart;
                    // SAFETY: as the caller says; the part lies in the data.
                    unsafe { transform_part::<S>(job, strip, source, [rows, columns], at, w) };
                }
            }
        }
    }
    w.slices = slices;
}

/// Transforms what is read of one plane under one pair of residues, to offset `at` of every position.
#[inline(always)]
unsafe fn transform_part<S: Simd>(
    job: &Job<'_>,
    strip: &Strip,
    source: &[f32],
    [rows, columns]: [&Residue; 2],
    at: usize,
    w: &mut Workspace,
) {
    let axes = &job.problem.axes;
    let (pitch, plane) = (job.strips.pitch, job.data_plane());
    let line = (pitch + 1).next_multiple_of(16) + 16;
    let tiles = strip.rows + job.pieces.further(0);
    let count = SIZE * (tiles - 1) + rows.kind.taps() + 1;
    // Of every row the even columns and the odd ones, and behind them those of one row of tiles transformed along height.
    let lines = w.lines.room((count + POSITIONS) * 2 * line);
    for row in 0..count {
        let q = (SIZE * strip.row + row) as isize + rows.base;
        let from = axes[1].source_at(q, rows.place).map(|y| &source[y * axes[2].source..][..axes[2].source]);
        for parity in 0..2 {
            let into = &mut lines[(2 * row + parity) * line..][..pitch + 1];
            match from {
                Some(from) => part_row(&axes[2], columns, parity, from, into),
                None => into.fill(0.0),
            }
        }
    }
    let lines = lines.as_mut_ptr();
    let data = w.data.room(ALL * plane + SLACK)[at..].as_mut_ptr();
    for tile in 0..tiles {
        // SAFETY: as the caller says; all rows that the tiles read were just laid out, lines end with slack.
        unsafe {
            let (from, down) = (lines.add(2 * SIZE * tile * line), lines.add(2 * count * line));
            match rows.kind {
                Kind::One => along_height::<S, 1>(from, 2 * line, down),
                Kind::Two => along_height::<S, 2>(from, 2 * line, down),
                Kind::Three => along_height::<S, 3>(from, 2 * line, down),
            }
            for y in (0..POSITIONS).filter(|&y| rows.kind.has(y)) {
                let (from, into) = (down.add(2 * y * line), data.add(y * POSITIONS * plane + tile * pitch));
                match columns.kind {
                    Kind::One => along_width::<S, 1>(from, line, pitch, into, plane),
                    Kind::Two => along_width::<S, 2>(from, line, pitch, into, plane),
                    Kind::Three => along_width::<S, 3>(from, line, pitch, into, plane),
                }
            }
        }
    }
}

/// Transforms the rows of a row of tiles, of `line` numbers each, along height.
///
/// # Safety
/// The instruction set of `S` is there; `K + 1` rows can be read, [`POSITIONS`] written, whole vectors all of them.
#[inline(always)]
unsafe fn along_height<S: Simd, const K: usize>(from: *const f32, line: usize, into: *mut f32) {
    // SAFETY: as the caller says.
    unsafe {
        for i in (0..line).step_by(S::LANES) {
            let mut d = [S::splat(0.0); POSITIONS];
            for row in 0..K + 1 {
                d[row] = S::load(from.add(row * line + i));
            }
            let made = transform::<S, K>(d);
            for y in 0..POSITIONS {
                S::store(into.add(y * line + i), made[y]);
            }
        }
    }
}

/// Transforms a row of tiles along width: even columns, and odd ones `line` numbers on.
///
/// # Safety
/// The instruction set of `S` is there; behind `tiles + 1` columns whole vectors can be read, and behind tiles written: a row that
/// runs over its end comes before the one that it runs into.
#[inline(always)]
unsafe fn along_width<S: Simd, const K: usize>(
    from: *const f32,
    line: usize,
    tiles: usize,
    into: *mut f32,
    plane: usize,
) {
    // SAFETY: as the caller says.
    unsafe {
        for tile in (0..tiles).step_by(S::LANES) {
            let mut d = [S::splat(0.0); POSITIONS];
            for column in 0..K + 1 {
                d[column] = S::load(from.add(column % 2 * line + column / 2 + tile));
            }
            let made = transform::<S, K>(d);
            for x in 0..POSITIONS {
                S::store(into.add(x * plane + tile), made[x]);
            }
        }
    }
}

/// Every second entry of a row under a residue, from shift `base` plus `parity` on, with zeros where there is no data.
fn part_row(width: &Axis, residue: &Residue, parity: usize, line: &[f32], into: &mut [f32]) {
    let first =
        (residue.base + parity as isize) * width.step as isize + width.residues[residue.place] as isize;
    every_from(line, first, SIZE * width.step, into);
}
