//! The parts that all figures of maps share: one scale, one size, the colour bar, and the words under the panels.

use voxplain_tensor::{Error, Result};

use crate::canvas::{Area, BLACK, Canvas, GREY, INK, RULE, WHITE, mix};
use crate::colour::Scale;
use crate::font::Font;
use crate::image::Image;
use crate::options::Options;
use crate::panel::Style;
use crate::text::{count, number, shorten, wrap};
use crate::view::{Display, View};

/// Space around a figure in pixels.
pub(crate) const MARGIN: usize = 16;
/// Space between neighbouring panels in pixels.
pub(crate) const SPACE: usize = 4;
/// Width of the column of row names in pixels.
pub(crate) const NAMES: usize = 128;
/// Width of the column with the colour bar in pixels.
pub(crate) const BAR: usize = 112;
/// The line that stands under every figure.
pub(crate) const DISCLAIMER: &str = "research use; not for diagnosis";

/// Refuses a map that does not lie on the image it explains.
pub(crate) fn same_grid(name: &str, what: &str, image: &Image<'_>, other: &Image<'_>) -> Result<()> {
    if image.same_grid(other) {
        return Ok(());
    }
    let (a, b) = (image.dims(), other.dims());
    let place = if a == b {
        "at another place (their affines differ)".to_string()
    } else {
        format!("of {b:?} voxels")
    };
    let hint = "resample it to the image first";
    Err(Error::invalid(format!("{name}: the image has {a:?} voxels, the {what} is {place}; {hint}")))
}

/// Side of a panel in pixels and pixels per mm such that every plane of every view fits.
pub(crate) fn size(views: &[View<'_>], options: &Options) -> (usize, f64) {
    let extent = |view: &View<'_>| (0..3).map(|a| view.dims[a] as f64 * view.spacing[a]).fold(0.0, f64::max);
    let longest = views.iter().map(extent).fold(1e-9, f64::max);
    let finest = views.iter().flat_map(|view| view.spacing).fold(f64::INFINITY, f64::min);
    let voxels = longest / finest;
    let whole = voxels * (180.0 / voxels).round().max(1.0);
    let automatic = if (150.0..=256.0).contains(&whole) { whole } else { whole.clamp(180.0, 256.0) };
    let side = options.panel.unwrap_or(automatic.round() as usize).clamp(48, 2048);
    (side, side as f64 / longest)
}

/// The style of all panels of a figure.
pub(crate) fn style(views: &[View<'_>], scale: Scale, options: &Options) -> Style {
    let (side, zoom) = size(views, options);
    let opacity = if options.opacity.is_finite() { options.opacity.clamp(0.0, 1.0) } else { 1.0 };
    Style { side, zoom, display: options.display, scale, opacity, smooth: options.smooth }
}

/// Title and lines at the top, wrapped to `columns` characters of the text font.
pub(crate) fn heading(title: &str, lines: &[String], width: usize) -> Vec<(Font, String)> {
    let bold = wrap(title, width / Font::Bold.advance()).into_iter().map(|line| (Font::Bold, line));
    let rest = lines.iter().flat_map(|line| wrap(line, width / Font::Regular.advance()));
    bold.chain(rest.map(|line| (Font::Regular, line))).collect()
}

/// The height of lines in pixels.
pub(crate) fn height(lines: &[(Font, String)]) -> usize {
    lines.iter().map(|(font, _)| font.line()).sum()
}

/// Writes lines below each other and gives the y below the last.
pub(crate) fn write(canvas: &mut Canvas, x: usize, mut y: usize, lines: &[(Font, String)]) -> usize {
    for (index, (font, line)) in lines.iter().enumerate() {
        let colour = if *font == Font::Bold || index == 0 || line == DISCLAIMER { INK } else { GREY };
        canvas.text(x, y, line, *font, colour);
        y += font.line();
    }
    y
}

/// What a figure of nothing says.
pub(crate) const ZERO: &str = "map is zero everywhere";

/// The words about sides of the patient.
pub(crate) fn sides(views: &[View<'_>], display: Display) -> String {
    if views.iter().any(|view| !view.image.oriented()) {
        return "orientation unknown: letters withheld, axes shown as stored in the file".to_string();
    }
    let words = match display {
        Display::Radiological => "radiological: patient right is on the left of the picture",
        Display::Neurological => "neurological: patient left is on the left of the picture",
    };
    let tilt = views.iter().map(|view| view.tilt).fold(0.0, f64::max);
    if tilt < 0.5 {
        return words.to_string();
    }
    format!("{words}; oblique volume: letters name the nearest axis, up to {tilt:.0} degrees off")
}

/// The words about the colour scale.
pub(crate) fn scale_words(scale: &Scale, unit: &str) -> Vec<String> {
    let mut lines = Vec::new();
    if scale.coloured == 0 {
        lines.push(ZERO.to_string());
    } else {
        let sign = if scale.signed { "+/-" } else { "0 to " };
        let percent = number(scale.percentile * 100.0);
        let end = number(f64::from(scale.limit));
        let (clipped, coloured) = (count(scale.clipped), count(scale.coloured));
        lines.push(format!(
            "scale {sign}{end} {unit}: {percent} % percentile of the non-zero |map| of all rows; {clipped} of {coloured} voxels clipped"
        ));
        lines.push(meaning(scale.signed).to_string());
    }
    if scale.missing > 0 {
        lines.push(format!("{} map voxels are not finite and are left transparent", count(scale.missing)));
    }
    lines
}

/// What the colours mean.
fn meaning(signed: bool) -> &'static str {
    if signed {
        "red speaks for the target, blue against it; opacity grows with |value|, zero is transparent"
    } else {
        "no negative values: one sequential scale; opacity grows with the value, zero is transparent"
    }
}

/// Draws unit, bar and ticks into `area`. The left half of the bar lies on black, the right half on white, as the map
/// lies on dark and bright tissue.
pub(crate) fn colour_bar(
    canvas: &mut Canvas,
    area: Area,
    style: &Style,
    unit: &str,
    ends: Option<[&str; 2]>,
) {
    let room = area.width / Font::Regular.advance();
    let mut top = area.y;
    for line in wrap(unit, room).iter().take(3) {
        canvas.text(area.x, top, &shorten(line, room), Font::Regular, INK);
        top += Font::Regular.line();
    }
    let bar = Area {
        x: area.x,
        y: top + 8,
        width: 28,
        height: area.height.saturating_sub(top + 16 - area.y).max(2),
    };
    if style.scale.coloured == 0 {
        canvas.frame(bar, RULE);
        canvas.text(bar.x + bar.width + 8, bar.y + bar.height / 2 - 6, "0", Font::Regular, INK);
        return;
    }
    let low = if style.scale.signed { -style.scale.limit } else { 0.0 };
    for row in 0..bar.height {
        let place = 1.0 - row as f32 / (bar.height - 1) as f32;
        let (colour, opacity) = style.scale.paint(low + (style.scale.limit - low) * place);
        for (part, under) in [(0, BLACK), (1, WHITE)] {
            let x = bar.x + part * bar.width / 2;
            let shown = mix(under, colour, opacity * style.opacity);
            canvas.fill(Area { x, y: bar.y + row, width: bar.width / 2, height: 1 }, shown);
        }
    }
    canvas.frame(bar, RULE);
    ticks(canvas, bar, low, style.scale.limit, ends);
}

/// Five ticks beside the bar; `ends` replaces the numbers by words at both ends.
fn ticks(canvas: &mut Canvas, bar: Area, low: f32, high: f32, ends: Option<[&str; 2]>) {
    for tick in 0..=4 {
        let part = tick as f32 / 4.0;
        let value = f64::from(low + (high - low) * part);
        let y = bar.y + ((bar.height - 1) as f32 * (1.0 - part)).round() as usize;
        canvas.fill(Area { x: bar.x + bar.width, y, width: 4, height: 1 }, INK);
        let label = match (ends, tick) {
            (Some([low, _]), 0) => low.to_string(),
            (Some([_, high]), 4) => high.to_string(),
            (Some(_), _) if value != 0.0 => continue,
            _ => number(value),
        };
        canvas.text(bar.x + bar.width + 10, y.saturating_sub(6), &label, Font::Regular, INK);
    }
}
