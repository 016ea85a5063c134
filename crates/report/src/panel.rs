//! One panel: a slice of one image in millimetres, with or without the map, marked with the patient's sides.

use crate::canvas::{Area, BLACK, Canvas, RULE};
use crate::colour::Scale;
use crate::font::Font;
use crate::view::{Display, Plane, View};

/// The outline of a segmentation on signed and on sequential maps.
pub(crate) const OUTLINE: [[u8; 3]; 2] = [[255, 225, 60], [70, 235, 235]];
/// The marks at the focus.
const MARK: [u8; 3] = [60, 255, 110];
/// Pixels left bare on each side of the focus and length of each mark.
const GAP: usize = 9;
const ARM: usize = 7;

/// What all panels of a figure share.
pub(crate) struct Style {
    /// Side of the square panel in pixels.
    pub side: usize,
    /// Pixels per millimetre.
    pub zoom: f64,
    pub display: Display,
    pub scale: Scale,
    /// Opacity of a map at the end of the scale, 0 to 1.
    pub opacity: f32,
    /// Whether the map is interpolated linearly; else nearest voxel.
    pub smooth: bool,
}

/// What one panel shows.
pub(crate) struct Content<'a> {
    pub underlay: View<'a>,
    /// Display window of the underlay: black, white.
    pub window: (f32, f32),
    pub map: Option<View<'a>>,
    pub outline: Option<View<'a>>,
    /// View index of the focus.
    pub focus: [usize; 3],
    pub plane: Plane,
}

/// One pixel column or row: the two voxels around its centre and the weight of the second.
#[derive(Clone, Copy)]
struct Tap {
    below: usize,
    above: usize,
    weight: f32,
}

impl Tap {
    /// The closer of the two voxels.
    fn nearest(self) -> usize {
        if self.weight < 0.5 { self.below } else { self.above }
    }
}

/// Where each of `pixels` pixels falls on `voxels` voxels; `mirrored` runs from the last voxel to the first.
fn taps(pixels: usize, voxels: usize, mirrored: bool) -> Vec<Tap> {
    let last = (voxels - 1) as f64;
    let tap = |pixel: usize| {
        let place = ((pixel as f64 + 0.5) / pixels as f64 * voxels as f64 - 0.5).clamp(0.0, last);
        let below = place.floor() as usize;
        Tap { below, above: (below + 1).min(voxels - 1), weight: (place - place.floor()) as f32 }
    };
    (0..pixels).map(|pixel| tap(if mirrored { pixels - 1 - pixel } else { pixel })).collect()
}

/// The picture grid of a slice: its place on the sheet and the voxels behind each pixel.
struct Cut {
    area: Area,
    columns: Vec<Tap>,
    rows: Vec<Tap>,
    axes: [usize; 3],
    slice: usize,
}

impl Cut {
    fn new(content: &Content<'_>, style: &Style, x: usize, y: usize) -> Self {
        let axes = content.plane.axes();
        let view = &content.underlay;
        let pixels = |axis: usize| {
            let exact = view.dims[axis] as f64 * view.spacing[axis] * style.zoom;
            (exact.round() as usize).clamp(1, style.side)
        };
        let (width, height) = (pixels(axes[0]), pixels(axes[1]));
        let area = Area { x: x + (style.side - width) / 2, y: y + (style.side - height) / 2, width, height };
        let mirrored = view.image.oriented() && style.display == Display::Radiological;
        Self {
            area,
            columns: taps(width, view.dims[axes[0]], mirrored),
            rows: taps(height, view.dims[axes[1]], true),
            axes,
            slice: content.focus[axes[2]],
        }
    }

    /// The value of the voxel at (column, row) of the slice.
    fn voxel(&self, view: &View<'_>, column: usize, row: usize) -> f32 {
        let mut index = [0; 3];
        index[self.axes[0]] = column;
        index[self.axes[1]] = row;
        index[self.axes[2]] = self.slice;
        view.at(index)
    }

    /// The value under pixel (x, y) of the slice, nearest voxel.
    fn nearest(&self, view: &View<'_>, x: usize, y: usize) -> f32 {
        self.voxel(view, self.columns[x].nearest(), self.rows[y].nearest())
    }

    /// The value under pixel (x, y), linear; the nearest voxel where a neighbour is missing.
    fn linear(&self, view: &View<'_>, x: usize, y: usize) -> f32 {
        let (column, row) = (self.columns[x], self.rows[y]);
        let line = |r: usize| {
            let (a, b) = (self.voxel(view, column.below, r), self.voxel(view, column.above, r));
            a * (1.0 - column.weight) + b * column.weight
        };
        let value = line(row.below) * (1.0 - row.weight) + line(row.above) * row.weight;
        if value.is_finite() { value } else { self.nearest(view, x, y) }
    }
}

/// Draws a panel with its top left corner at (x, y).
pub(crate) fn draw(canvas: &mut Canvas, x: usize, y: usize, content: &Content<'_>, style: &Style) {
    let panel = Area { x, y, width: style.side, height: style.side };
    canvas.fill(panel, BLACK);
    let cut = Cut::new(content, style, x, y);
    paint(canvas, &cut, content, style);
    if let (Some(mask), Some(_)) = (&content.outline, &content.map) {
        outline(canvas, &cut, mask, OUTLINE[usize::from(!style.scale.signed)]);
    }
    mark(canvas, &cut, content);
    if content.underlay.image.oriented() {
        letters(canvas, panel, content.plane, style.display);
    }
    canvas.frame(panel, RULE);
}

/// The image in grey and the map over it.
fn paint(canvas: &mut Canvas, cut: &Cut, content: &Content<'_>, style: &Style) {
    let (low, high) = content.window;
    for py in 0..cut.area.height {
        for px in 0..cut.area.width {
            let value = cut.linear(&content.underlay, px, py);
            let grey = ((value - low) / (high - low) * 255.0).clamp(0.0, 255.0);
            // A missing voxel is NaN here, and the cast makes it black.
            let grey = grey.round() as u8;
            canvas.put(cut.area.x + px, cut.area.y + py, [grey; 3]);
            let Some(map) = &content.map else { continue };
            let value = if style.smooth { cut.linear(map, px, py) } else { cut.nearest(map, px, py) };
            let (colour, opacity) = style.scale.paint(value);
            canvas.blend(cut.area.x + px, cut.area.y + py, colour, opacity * style.opacity);
        }
    }
}

/// The one-pixel inner border of a mask (voxels above 0.5).
fn outline(canvas: &mut Canvas, cut: &Cut, mask: &View<'_>, colour: [u8; 3]) {
    let Area { width, height, .. } = cut.area;
    let inside = |x: usize, y: usize| x < width && y < height && cut.nearest(mask, x, y) > 0.5;
    for y in 0..height {
        for x in 0..width {
            let around = [(x.wrapping_sub(1), y), (x + 1, y), (x, y.wrapping_sub(1)), (x, y + 1)];
            if inside(x, y) && around.into_iter().any(|(x, y)| !inside(x, y)) {
                canvas.put(cut.area.x + x, cut.area.y + y, colour);
            }
        }
    }
}

/// Four thin marks that point at the focus and leave it bare.
fn mark(canvas: &mut Canvas, cut: &Cut, content: &Content<'_>) {
    let Area { x, y, width, height } = cut.area;
    let middle = |taps: &[Tap], index: usize| {
        let hits: Vec<usize> = (0..taps.len()).filter(|&at| taps[at].nearest() == index).collect();
        hits.get(hits.len() / 2).copied()
    };
    let column = middle(&cut.columns, content.focus[cut.axes[0]]);
    let row = middle(&cut.rows, content.focus[cut.axes[1]]);
    let (Some(column), Some(row)) = (column, row) else { return };
    for step in GAP..GAP + ARM {
        for (px, py) in [(column.wrapping_sub(step), row), (column + step, row)] {
            if px < width {
                canvas.blend(x + px, y + py, MARK, 1.0);
            }
        }
        for (px, py) in [(column, row.wrapping_sub(step)), (column, row + step)] {
            if py < height {
                canvas.blend(x + px, y + py, MARK, 1.0);
            }
        }
    }
}

/// The patient's sides at left, right, top and bottom of a panel.
pub(crate) fn sides(plane: Plane, display: Display) -> [&'static str; 4] {
    let mirrored = display == Display::Radiological;
    let [left, right] = match (plane, mirrored) {
        (Plane::Sagittal, true) => ["A", "P"],
        (Plane::Sagittal, false) => ["P", "A"],
        (_, true) => ["R", "L"],
        (_, false) => ["L", "R"],
    };
    let [top, bottom] = if plane == Plane::Axial { ["A", "P"] } else { ["S", "I"] };
    [left, right, top, bottom]
}

/// Writes the four letters inside the panel's edges.
fn letters(canvas: &mut Canvas, panel: Area, plane: Plane, display: Display) {
    let [left, right, top, bottom] = sides(plane, display);
    let font = Font::Regular;
    let Area { x, y, width, height } = panel;
    let (centre, middle) = (x + (width - font.advance()) / 2, y + (height - font.height()) / 2);
    canvas.text_halo(x + 4, middle, left, font);
    canvas.text_halo(x + width - font.advance() - 4, middle, right, font);
    canvas.text_halo(centre, y + 3, top, font);
    canvas.text_halo(centre, y + height - font.height() - 3, bottom, font);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_zooms_repeat_voxels_evenly() {
        let near: Vec<usize> = taps(6, 3, false).into_iter().map(Tap::nearest).collect();
        assert_eq!(near, [0, 0, 1, 1, 2, 2]);
        let mirrored: Vec<usize> = taps(6, 3, true).into_iter().map(Tap::nearest).collect();
        assert_eq!(mirrored, [2, 2, 1, 1, 0, 0]);
    }

    #[test]
    fn letters_follow_the_display() {
        assert_eq!(sides(Plane::Axial, Display::Radiological), ["R", "L", "A", "P"]);
        assert_eq!(sides(Plane::Coronal, Display::Neurological), ["L", "R", "S", "I"]);
        assert_eq!(sides(Plane::Sagittal, Display::Radiological), ["A", "P", "S", "I"]);
    }
}
