//! Steps that move voxels, each with its way back: a map must lie where its image lies.

use crate::geometry::Geometry;
use crate::resample::{MOST_VOXELS, Mode, resize_volume};
use crate::volume::Volume;
use voxplain_tensor::{Error, Result};

/// A step that moved voxels, and what is needed to take it back.
#[derive(Clone, Debug)]
pub(super) struct Move {
    pub(super) way: Way,
    /// Voxels before the step.
    pub(super) dims: [usize; 3],
    /// Voxels behind the step.
    pub(super) after: [usize; 3],
    /// The geometry of each channel before the step; channels share voxels, but their headers may differ in codes.
    pub(super) geometries: Vec<Geometry>,
}

/// How voxels moved.
#[derive(Clone, Copy, Debug)]
pub(super) enum Way {
    /// Axis `a` was axis `source[a]`, backwards where `flip[a]`.
    Arranged([usize; 3], [bool; 3]),
    /// Voxel `i` was voxel `i + offset`; what lay outside went or came as 0.
    Windowed([i64; 3]),
    /// The same field of view got other voxels.
    Resized,
}

impl Move {
    /// Takes the step for another volume on the images' grid.
    pub(super) fn follow(&self, volume: &Volume, mode: Mode) -> Result<Volume> {
        match self.way {
            Way::Resized => resize_volume(volume, self.after, mode),
            Way::Windowed(offset) => window(volume, offset, self.after),
            Way::Arranged(source, flip) => volume.arranged(source, flip),
        }
    }

    /// Takes the step back for map `c` of `count`.
    pub(super) fn undo(&self, volume: &Volume, (c, count): (usize, usize), mode: Mode) -> Result<Volume> {
        // Copies of a channel lie side by side, so that the first copy's header is that of the image.
        let geometry = c * (self.geometries.len() / count.max(1));
        let geometry = *self.geometries.get(geometry).ok_or_else(|| {
            Error::internal(format!("no geometry of map {c}: there are {}", self.geometries.len()))
        })?;
        let mut back = match self.way {
            // At the exact inverse coordinates of the resize.
            Way::Resized => resize_volume(volume, self.dims, mode)?,
            Way::Windowed(offset) => window(volume, offset.map(|o| -o), self.dims)?,
            Way::Arranged(source, flip) => {
                let (mut from, mut backwards) = ([0; 3], [false; 3]);
                for a in 0..3 {
                    (from[source[a]], backwards[source[a]]) = (a, flip[a]);
                }
                volume.arranged(from, backwards)?
            }
        };
        back.geometry = geometry;
        Ok(back)
    }
}

fn change(channels: &mut [Volume], by: impl Fn(&Volume) -> Result<Volume>) -> Result<()> {
    for c in channels {
        *c = by(c)?;
    }
    Ok(())
}

/// All channels go the first one's way, so that they still share a grid where two ways are equally close.
pub(super) fn orient(channels: &mut [Volume], codes: &str) -> Result<Way> {
    let mut way = None;
    for (i, c) in channels.iter().enumerate() {
        let own = c.arrangement(codes).map_err(|e| e.within(format!("channel {i}")))?;
        way.get_or_insert(own);
    }
    let (source, flip) = way.unwrap_or(([0, 1, 2], [false; 3]));
    change(channels, |c| c.arranged(source, flip))?;
    Ok(Way::Arranged(source, flip))
}

/// `n` voxels off both ends of each axis.
pub(super) fn crop(channels: &mut [Volume], n: [usize; 3]) -> Result<Way> {
    let have = channels.first().map_or([0; 3], |c| c.dims);
    let too_small = || Error::invalid(format!("{have:?} voxels are too few to crop {n:?} off both ends"));
    let mut dims = [0; 3];
    for a in 0..3 {
        dims[a] = have[a].checked_sub(2 * n[a]).filter(|&d| d > 0).ok_or_else(too_small)?;
    }
    windowed(channels, n.map(|n| n as i64), dims)
}

/// To the box of the voxels above 0 in any channel, and `margin` voxels more where the image goes on.
pub(super) fn crop_foreground(channels: &mut [Volume], margin: usize) -> Result<Way> {
    let have = channels.first().map_or([0; 3], |c| c.dims);
    let (mut low, mut high) = (have, [0; 3]);
    for volume in channels.iter() {
        for (i, _) in volume.data.iter().enumerate().filter(|(_, v)| **v > 0.0) {
            let at = [i % have[0], i / have[0] % have[1], i / have[0] / have[1]];
            for a in 0..3 {
                (low[a], high[a]) = (low[a].min(at[a]), high[a].max(at[a] + 1));
            }
        }
    }
    if high == [0; 3] {
        return Err(Error::invalid("no voxel is above 0, so there is no foreground to crop to"));
    }
    let start = [0, 1, 2].map(|a| low[a].saturating_sub(margin));
    let dims = [0, 1, 2].map(|a| (high[a] + margin).min(have[a]) - start[a]);
    windowed(channels, start.map(|s| s as i64), dims)
}

/// To `dims` voxels about the centre, rounded as MONAI does: the middle voxel `size / 2` stays the middle one when
/// voxels go, and of an odd number of new voxels the extra one lies at the far end.
pub(super) fn pad_or_crop(channels: &mut [Volume], dims: [usize; 3]) -> Result<Way> {
    let have = channels.first().map_or([0; 3], |c| c.dims);
    let offset = [0, 1, 2].map(|a| {
        let (have, want) = (have[a] as i64, dims[a] as i64);
        if have >= want { have / 2 - want / 2 } else { -((want - have) / 2) }
    });
    windowed(channels, offset, dims)
}

fn windowed(channels: &mut [Volume], offset: [i64; 3], dims: [usize; 3]) -> Result<Way> {
    change(channels, |c| window(c, offset, dims))?;
    Ok(Way::Windowed(offset))
}

/// To `dims` voxels over the same field of view.
pub(super) fn resize(channels: &mut [Volume], dims: [usize; 3], mode: Mode) -> Result<Way> {
    change(channels, |c| resize_volume(c, dims, mode))?;
    Ok(Way::Resized)
}

/// To voxels of about `spacing` mm over the same field of view.
pub(super) fn resample(channels: &mut [Volume], spacing: [f64; 3], mode: Mode) -> Result<Way> {
    let Some(first) = channels.first() else { return Ok(Way::Resized) };
    let have = first.geometry.spacing();
    let size = |a: usize| (first.dims[a] as f64 * have[a] / spacing[a]).round().max(1.0);
    let dims = [size(0), size(1), size(2)];
    if dims.iter().product::<f64>() > MOST_VOXELS as f64 {
        return Err(Error::limit(format!(
            "voxels of {spacing:?} mm would be {dims:?}; choose larger voxels or crop first"
        )));
    }
    resize(channels, dims.map(|d| d as usize), mode)
}

/// Voxel `i` of the result is voxel `i + offset`, or 0 where there is none.
fn window(volume: &Volume, offset: [i64; 3], dims: [usize; 3]) -> Result<Volume> {
    let total = dims.iter().try_fold(1usize, |n, &d| n.checked_mul(d)).filter(|&n| n <= MOST_VOXELS);
    let total = total
        .ok_or_else(|| Error::limit(format!("{dims:?} voxels are more than {MOST_VOXELS}; choose fewer")))?;
    let geometry = volume.geometry.mapped([0, 1, 2], [1.0; 3], offset.map(|o| o as f64));
    let mut out = Volume::new(dims, vec![0.0; total], geometry)?;
    // The part of each axis, in voxels of the result, that the volume covers.
    let covered = |a: usize| {
        let low = (-offset[a]).clamp(0, dims[a] as i64);
        let high = (volume.dims[a] as i64 - offset[a]).clamp(low, dims[a] as i64);
        (low as usize, high as usize)
    };
    let ((x0, x1), (y0, y1), (z0, z1)) = (covered(0), covered(1), covered(2));
    if x0 == x1 {
        return Ok(out);
    }
    let source = |i: usize, a: usize| (i as i64 + offset[a]) as usize;
    for z in z0..z1 {
        for y in y0..y1 {
            let from = volume.index(source(x0, 0), source(y, 1), source(z, 2));
            let to = out.index(x0, y, z);
            out.data[to..to + x1 - x0].copy_from_slice(&volume.data[from..from + x1 - x0]);
        }
    }
    Ok(out)
}
