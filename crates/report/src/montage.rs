//! The main figure of one method: what the network saw in each modality, beside the bare image it saw it in.
//!
//! One row per modality; per plane the image alone and the map over it, at the same size, because clinicians go back to
//! the source image (Jin et al., Artificial Intelligence in Medicine 2024). All rows share one colour scale, so that a
//! weak map looks weak.

use voxplain_tensor::{Error, Result};

use crate::canvas::{Area, Canvas, GREY, INK};
use crate::colour::Scale;
use crate::font::Font;
use crate::image::Image;
use crate::options::{Options, Picture};
use crate::panel::{Content, Style, draw};
use crate::sheet::{self, BAR, DISCLAIMER, MARGIN, NAMES, SPACE};
use crate::stats::window;
use crate::text::{number, shorten, wrap};
use crate::view::{Plane, View};

/// One modality of a [`Montage`].
#[derive(Clone, Copy, Debug)]
pub struct Row<'a> {
    /// Name of the modality.
    pub name: &'a str,
    /// The image, in any unit.
    pub underlay: Image<'a>,
    /// The attribution map on the grid of the image.
    pub map: Image<'a>,
    /// Words under the name, such as `share 42 %`.
    pub share: &'a str,
}

/// The figure of one method on one patient.
#[derive(Clone, Debug)]
pub struct Montage<'a> {
    /// First line, bold.
    pub title: &'a str,
    /// Lines under the title: prediction, probability, method, target, completeness residual.
    pub lines: &'a [String],
    /// The modalities, from top to bottom.
    pub rows: &'a [Row<'a>],
    /// The voxel all planes go through: file indices (from 0) of the first row's image.
    pub focus: [usize; 3],
    /// A segmentation on the grid of the images (inside above 0.5), outlined on the maps.
    pub outline: Option<Image<'a>>,
    /// Unit of the map, such as `logit per voxel`.
    pub unit: &'a str,
    /// How to draw.
    pub options: Options,
}

/// A montage laid out: what is drawn where.
struct Plan<'a> {
    views: Vec<View<'a>>,
    planes: Vec<Plane>,
    style: Style,
    heading: Vec<(Font, String)>,
    footer: Vec<(Font, String)>,
    width: usize,
}

impl Montage<'_> {
    /// Draws the figure.
    ///
    /// # Errors
    /// When there is no row, a map or the outline is not on its image's grid, or the focus lies outside.
    pub fn render(&self) -> Result<Picture> {
        Ok(Picture::from_canvas(self.compose()?, &self.options))
    }

    /// The figure before enlarging.
    pub(crate) fn compose(&self) -> Result<Canvas> {
        self.check()?;
        let plan = self.plan();
        let top = MARGIN + sheet::height(&plan.heading) + 8;
        let head = 2 * Font::Regular.line();
        let body = self.rows.len() * (plan.style.side + SPACE) - SPACE;
        let below = top + head + body + 12;
        let mut canvas = Canvas::new(plan.width, below + sheet::height(&plan.footer) + MARGIN - 4);
        sheet::write(&mut canvas, MARGIN, MARGIN, &plan.heading);
        self.columns(&mut canvas, &plan, top);
        for row in 0..self.rows.len() {
            self.row(&mut canvas, &plan, row, top + head + row * (plan.style.side + SPACE));
        }
        let bar = Area { x: plan.width - MARGIN - BAR, y: top + head, width: BAR, height: body };
        sheet::colour_bar(&mut canvas, bar, &plan.style, self.unit, None);
        sheet::write(&mut canvas, MARGIN, below, &plan.footer);
        Ok(canvas)
    }

    fn check(&self) -> Result<()> {
        let Some(first) = self.rows.first() else {
            return Err(Error::invalid("a montage needs at least one modality"));
        };
        let dims = first.underlay.dims();
        if (0..3).any(|axis| self.focus[axis] >= dims[axis]) {
            let focus = self.focus;
            return Err(Error::invalid(format!(
                "focus voxel {focus:?} lies outside the image of {dims:?} voxels"
            )));
        }
        self.rows.iter().try_for_each(|row| sheet::same_grid(row.name, "map", &row.underlay, &row.map))?;
        match &self.outline {
            Some(mask) => sheet::same_grid("outline", "segmentation", &first.underlay, mask),
            None => Ok(()),
        }
    }

    fn plan(&self) -> Plan<'_> {
        let views: Vec<View<'_>> = self.rows.iter().map(|row| View::new(row.underlay)).collect();
        let maps: Vec<&[f32]> = self.rows.iter().map(|row| row.map.values()).collect();
        let style = sheet::style(&views, Scale::of(&maps, self.options.percentile), &self.options);
        let planes = views.first().map(View::planes).unwrap_or_default();
        let panels = (planes.len() * 2 * (style.side + SPACE) + (planes.len() - 1) * 2 * SPACE).max(400);
        let width = MARGIN + NAMES + panels + 16 + BAR + MARGIN;
        let mut heading = sheet::heading(self.title, self.lines, width - 2 * MARGIN);
        if style.scale.coloured == 0 {
            heading.push((Font::Bold, sheet::ZERO.to_string()));
        }
        let footer = self.footer(&views, &style, width - 2 * MARGIN);
        Plan { views, planes, style, heading, footer, width }
    }

    /// The lines under the panels.
    fn footer(&self, views: &[View<'_>], style: &Style, width: usize) -> Vec<(Font, String)> {
        let mut lines = vec![sheet::sides(views, self.options.display), self.place()];
        lines.extend(sheet::scale_words(&style.scale, self.unit));
        if self.outline.is_some() {
            let colour = if style.scale.signed { "yellow" } else { "cyan" };
            lines.push(format!("{colour} line: outline of the segmentation"));
        }
        lines.push(DISCLAIMER.to_string());
        let columns = width / Font::Regular.advance();
        lines.iter().flat_map(|line| wrap(line, columns)).map(|line| (Font::Regular, line)).collect()
    }

    /// The words about the focus.
    fn place(&self) -> String {
        let [i, j, k] = self.focus;
        let voxel = format!("planes through voxel ({i}, {j}, {k}) of the file, counted from 0");
        match self.rows.first() {
            Some(row) if row.underlay.oriented() => {
                let world = row.underlay.world(self.focus);
                let side = |axis: usize, letters: [&str; 2]| {
                    format!("{} {:.1}", letters[usize::from(world[axis] < 0.0)], world[axis].abs())
                };
                let [x, y, z] = [side(0, ["R", "L"]), side(1, ["A", "P"]), side(2, ["S", "I"])];
                format!("{voxel}: {x}, {y}, {z} mm from the scanner's origin; green marks point at it")
            }
            _ => format!("{voxel}; green marks point at it"),
        }
    }

    /// The headings over the panels.
    fn columns(&self, canvas: &mut Canvas, plan: &Plan<'_>, y: usize) {
        let oriented = plan.views.iter().all(|view| view.image.oriented());
        for (index, plane) in plan.planes.iter().enumerate() {
            let x = plan.left(index, 0);
            canvas.text_centred(x + plan.style.side + SPACE / 2, y, plane.name(oriented), Font::Regular, INK);
            for (part, word) in ["image", "with map"].into_iter().enumerate() {
                let centre = plan.left(index, part) + plan.style.side / 2;
                canvas.text_centred(centre, y + Font::Regular.line() - 2, word, Font::Regular, GREY);
            }
        }
    }

    /// One modality.
    fn row(&self, canvas: &mut Canvas, plan: &Plan<'_>, index: usize, y: usize) {
        let row = &self.rows[index];
        labels(canvas, MARGIN, y, row.name, row.share);
        let focus = if index == 0 || row.underlay.same_grid(&self.rows[0].underlay) {
            self.focus
        } else {
            row.underlay.nearest(self.rows[0].underlay.world(self.focus))
        };
        let view = plan.views[index];
        let outline = self.outline.filter(|mask| mask.same_grid(&row.underlay)).map(|mask| view.of(mask));
        let limits = window(row.underlay.values());
        for (column, &plane) in plan.planes.iter().enumerate() {
            for (part, map) in [None, Some(view.of(row.map))].into_iter().enumerate() {
                let focus = view.find(focus);
                let content = Content { underlay: view, window: limits, map, outline, focus, plane };
                draw(canvas, plan.left(column, part), y, &content, &plan.style);
            }
        }
    }
}

impl Plan<'_> {
    /// Left edge of a panel.
    fn left(&self, plane: usize, part: usize) -> usize {
        MARGIN + NAMES + (plane * 2 + part) * (self.style.side + SPACE) + plane * 2 * SPACE
    }
}

/// Name and share of a row.
pub(crate) fn labels(canvas: &mut Canvas, x: usize, y: usize, name: &str, words: &str) {
    let room = NAMES - 8;
    let mut lines: Vec<(Font, String)> = wrap(name, room / Font::Bold.advance())
        .iter()
        .take(3)
        .map(|line| (Font::Bold, shorten(line, room / Font::Bold.advance())))
        .collect();
    let rest = wrap(words, room / Font::Regular.advance());
    lines.extend(rest.into_iter().take(4).map(|line| (Font::Regular, line)));
    sheet::write(canvas, x, y + 4, &lines);
}

/// Words for a share of the whole attribution: `share 42 %`.
pub fn share_words(share: f64) -> String {
    if share.is_finite() { format!("share {} %", number(share * 100.0)) } else { "share unknown".to_string() }
}

#[cfg(test)]
mod tests;
