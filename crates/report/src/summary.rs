//! All methods on one sheet, because maps of different methods answer different questions and a reader must see that.
//!
//! Columns are methods, rows are modalities, one plane through one voxel. Units differ between methods, so each column
//! has its own scale, shared by its rows, and prints it.

use voxplain_tensor::{Error, Result};

use crate::canvas::{Area, Canvas, GREY, INK};
use crate::colour::Scale;
use crate::font::Font;
use crate::image::Image;
use crate::montage::labels;
use crate::options::{Options, Picture};
use crate::panel::{Content, Style, draw};
use crate::sheet::{self, BAR, DISCLAIMER, MARGIN, NAMES, SPACE};
use crate::stats::window;
use crate::text::{count, number, shorten, wrap};
use crate::view::{Plane, View};

/// One modality: a row of a [`SummarySheet`].
#[derive(Clone, Copy, Debug)]
pub struct Modality<'a> {
    /// Name of the modality.
    pub name: &'a str,
    /// The image, in any unit.
    pub underlay: Image<'a>,
}

/// One method: a column of a [`SummarySheet`].
#[derive(Clone, Debug)]
pub struct Column<'a> {
    /// Name of the method.
    pub name: &'a str,
    /// One map per modality on the modality's grid; `None` where the method has none.
    pub maps: Vec<Option<Image<'a>>>,
}

/// The figure that compares methods on one patient.
#[derive(Clone, Debug)]
pub struct SummarySheet<'a> {
    /// First line, bold.
    pub title: &'a str,
    /// Lines under the title.
    pub lines: &'a [String],
    /// Rows, from top to bottom.
    pub modalities: &'a [Modality<'a>],
    /// Columns, from left to right, after a column with the images alone.
    pub methods: &'a [Column<'a>],
    /// The voxel the axial plane goes through: file indices (from 0) of the first modality's image.
    pub focus: [usize; 3],
    /// A segmentation on the grid of the images (inside above 0.5), outlined on the maps.
    pub outline: Option<Image<'a>>,
    /// How to draw.
    pub options: Options,
}

impl<'a> SummarySheet<'a> {
    /// Draws the figure.
    ///
    /// # Errors
    /// When there is no modality, a method does not give one entry per modality, a map or the outline is not on its
    /// image's grid, or the focus lies outside.
    pub fn render(&self) -> Result<Picture> {
        Ok(Picture::from_canvas(self.compose()?, &self.options))
    }

    /// The figure before enlarging.
    pub(crate) fn compose(&self) -> Result<Canvas> {
        self.check()?;
        let views: Vec<View<'a>> = self.modalities.iter().map(|row| View::new(row.underlay)).collect();
        let styles: Vec<Style> = self.methods.iter().map(|method| self.style(&views, method)).collect();
        let bare = sheet::style(&views, Scale::of(&[], 1.0), &self.options);
        let panels = ((self.methods.len() + 1) * (bare.side + SPACE)).max(400);
        let width = MARGIN + NAMES + panels + 12 + BAR + MARGIN;
        let heading = sheet::heading(self.title, self.lines, width - 2 * MARGIN);
        let footer = self.footer(&views, &styles, width - 2 * MARGIN);
        let top = MARGIN + sheet::height(&heading) + 8;
        let body = top + 3 * Font::Regular.line();
        let below = body + self.modalities.len() * (bare.side + SPACE) + 8;
        let mut canvas = Canvas::new(width, below + sheet::height(&footer) + MARGIN - 4);
        sheet::write(&mut canvas, MARGIN, MARGIN, &heading);
        self.captions(&mut canvas, &styles, bare.side, top);
        for (row, view) in views.iter().enumerate() {
            self.row(&mut canvas, view, row, &bare, &styles, body + row * (bare.side + SPACE));
        }
        let area = Area { x: width - MARGIN - BAR, y: body, width: BAR, height: below - 12 - body };
        self.bar(&mut canvas, area, &styles);
        sheet::write(&mut canvas, MARGIN, below, &footer);
        Ok(canvas)
    }

    fn check(&self) -> Result<()> {
        let Some(first) = self.modalities.first() else {
            return Err(Error::invalid("a summary sheet needs at least one modality"));
        };
        let dims = first.underlay.dims();
        if (0..3).any(|axis| self.focus[axis] >= dims[axis]) {
            let focus = self.focus;
            return Err(Error::invalid(format!(
                "focus voxel {focus:?} lies outside the image of {dims:?} voxels"
            )));
        }
        for method in self.methods {
            let (maps, rows) = (method.maps.len(), self.modalities.len());
            if maps != rows {
                return Err(Error::invalid(format!("{}: {maps} maps for {rows} modalities", method.name)));
            }
            for (map, row) in method.maps.iter().zip(self.modalities) {
                map.iter().try_for_each(|map| sheet::same_grid(row.name, "map", &row.underlay, map))?;
            }
        }
        self.outline
            .iter()
            .try_for_each(|mask| sheet::same_grid("outline", "segmentation", &first.underlay, mask))
    }

    /// The style of a method's column: its own scale over all its maps.
    fn style(&self, views: &[View<'_>], method: &Column<'_>) -> Style {
        let maps: Vec<&[f32]> = method.maps.iter().flatten().map(Image::values).collect();
        sheet::style(views, Scale::of(&maps, self.options.percentile), &self.options)
    }

    /// Name and scale over each column.
    fn captions(&self, canvas: &mut Canvas, styles: &[Style], side: usize, y: usize) {
        let centre = |column: usize| MARGIN + NAMES + column * (side + SPACE) + side / 2;
        let room = side / Font::Regular.advance();
        canvas.text_centred(centre(0), y + Font::Regular.line(), "image", Font::Regular, INK);
        for (index, (method, style)) in self.methods.iter().zip(styles).enumerate() {
            let lines = wrap(method.name, room);
            let first = 2 - lines.len().clamp(1, 2);
            for (line, words) in lines.iter().take(2).enumerate() {
                let y = y + (first + line) * Font::Regular.line();
                canvas.text_centred(centre(index + 1), y, words, Font::Regular, INK);
            }
            let words = shorten(&limits(&style.scale), room);
            canvas.text_centred(
                centre(index + 1),
                y + 2 * Font::Regular.line() - 2,
                &words,
                Font::Regular,
                GREY,
            );
        }
    }

    /// One modality through all methods.
    fn row(
        &self,
        canvas: &mut Canvas,
        view: &View<'_>,
        row: usize,
        bare: &Style,
        styles: &[Style],
        y: usize,
    ) {
        let modality = &self.modalities[row];
        labels(canvas, MARGIN, y, modality.name, "");
        let first = &self.modalities[0].underlay;
        let same = modality.underlay.same_grid(first);
        let voxel = if same { self.focus } else { modality.underlay.nearest(first.world(self.focus)) };
        let plane = view.planes().first().copied().unwrap_or(Plane::Axial);
        let limits = window(modality.underlay.values());
        let content = |map: Option<Image<'a>>| Content {
            underlay: *view,
            window: limits,
            map: map.map(|map| view.of(map)),
            outline: self.outline.filter(|mask| mask.same_grid(&modality.underlay)).map(|mask| view.of(mask)),
            focus: view.find(voxel),
            plane,
        };
        let left = |column: usize| MARGIN + NAMES + column * (bare.side + SPACE);
        draw(canvas, left(0), y, &content(None), bare);
        for (index, (method, style)) in self.methods.iter().zip(styles).enumerate() {
            draw(canvas, left(index + 1), y, &content(method.maps[row]), style);
            if method.maps[row].is_none() {
                canvas.text_halo(left(index + 1) + 8, y + 8, "no map", Font::Regular);
            }
        }
    }

    /// One bar for the signed methods or, when there are none, for the unsigned.
    fn bar(&self, canvas: &mut Canvas, area: Area, styles: &[Style]) {
        let kinds: Vec<&Style> = [true, false].iter().filter_map(|&signed| find(styles, signed)).collect();
        let height = (area.height / kinds.len().max(1)).min(260);
        for (index, style) in kinds.into_iter().enumerate() {
            let (unit, ends) = if style.scale.signed {
                ("signed methods", ["-limit", "+limit"])
            } else {
                ("unsigned methods", ["0", "limit"])
            };
            let part = Area { y: area.y + index * height, height, ..area };
            sheet::colour_bar(canvas, part, style, unit, Some(ends));
        }
    }

    /// The lines under the panels.
    fn footer(&self, views: &[View<'_>], styles: &[Style], width: usize) -> Vec<(Font, String)> {
        let percent = number(self.options.percentile * 100.0);
        let mut lines = vec![
            sheet::sides(views, self.options.display),
            format!("each column has its own scale, printed above it: {percent} % percentile of its non-zero |map|"),
            "opacity grows with |value|, zero is transparent; signed: red speaks for the target, blue against it".to_string(),
        ];
        let clipped: u64 = styles.iter().map(|style| style.scale.clipped).sum();
        let coloured: u64 = styles.iter().map(|style| style.scale.coloured).sum();
        lines.push(format!("{} of {} non-zero voxels of all maps clipped", count(clipped), count(coloured)));
        let missing: u64 = styles.iter().map(|style| style.scale.missing).sum();
        if missing > 0 {
            lines.push(format!("{} map voxels are not finite and are left transparent", count(missing)));
        }
        if self.outline.is_some() {
            lines.push("yellow (signed) or cyan line: outline of the segmentation".to_string());
        }
        lines.push(DISCLAIMER.to_string());
        let columns = width / Font::Regular.advance();
        lines.iter().flat_map(|line| wrap(line, columns)).map(|line| (Font::Regular, line)).collect()
    }
}

/// The first style with a coloured map of the given kind.
fn find(styles: &[Style], signed: bool) -> Option<&Style> {
    styles.iter().find(|style| style.scale.coloured > 0 && style.scale.signed == signed)
}

/// The ends of a column's scale in words.
fn limits(scale: &Scale) -> String {
    match (scale.coloured, scale.signed) {
        (0, _) => "zero everywhere".to_string(),
        (_, true) => format!("+/-{}", number(f64::from(scale.limit))),
        (_, false) => format!("0 to {}", number(f64::from(scale.limit))),
    }
}
