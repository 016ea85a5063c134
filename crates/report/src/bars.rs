//! Bars with intervals, for the share of each modality: lengths from one zero line are read more exactly than colours.

use voxplain_tensor::{Error, Result};

use crate::canvas::{Area, Canvas, GREY, INK, RULE, Rgb};
use crate::font::Font;
use crate::options::{Options, Picture};
use crate::sheet::{self, DISCLAIMER, MARGIN};
use crate::text::{number, shorten};

const WIDTH: usize = 760;
const NAMES: usize = 152;
const VALUES: usize = 96;
const STEP: usize = 34;
const FOR: Rgb = [200, 60, 55];
const AGAINST: Rgb = [50, 95, 200];

/// One bar: label, value, and the interval around it as (low, high).
pub type Bar<'a> = (&'a str, f64, Option<(f64, f64)>);

/// The horizontal axis: data range and place on the sheet.
struct Axis {
    low: f64,
    high: f64,
    step: f64,
}

impl Axis {
    /// An axis over zero and all finite values, with three to eight round steps.
    fn over(bars: &[Bar<'_>]) -> Self {
        let ends = bars.iter().flat_map(|(_, value, interval)| {
            let (low, high) = interval.unwrap_or((*value, *value));
            [*value, low, high]
        });
        let (low, high) =
            ends.filter(|v| v.is_finite()).fold((0.0f64, 0.0f64), |(low, high), v| (low.min(v), high.max(v)));
        let span = if high > low { high - low } else { 1.0 };
        let step = round_step(span / 5.0);
        let high = if high > low { (high / step - 1e-9).ceil() * step } else { 1.0 };
        Self { low: (low / step + 1e-9).floor() * step, high, step }
    }

    /// The pixel column of a value.
    fn x(&self, value: f64) -> usize {
        let room = (WIDTH - 2 * MARGIN - NAMES - VALUES) as f64;
        let part = ((value - self.low) / (self.high - self.low)).clamp(0.0, 1.0);
        MARGIN + NAMES + (part * room).round() as usize
    }
}

/// The smallest of 1, 2, 5 times a power of ten that is not below `least`.
fn round_step(least: f64) -> f64 {
    let power = 10f64.powf(least.log10().floor());
    [1.0, 2.0, 5.0, 10.0]
        .into_iter()
        .map(|m| m * power)
        .find(|step| *step >= least * (1.0 - 1e-9))
        .unwrap_or(least)
}

/// A chart of horizontal bars, one per label, in the order given. A value that is not finite is written, not drawn.
///
/// # Errors
/// When there is no bar.
pub fn bar_chart(title: &str, bars: &[Bar<'_>]) -> Result<Picture> {
    Ok(Picture::from_canvas(compose(title, bars)?, &Options::default()))
}

/// The chart before it becomes a picture.
fn compose(title: &str, bars: &[Bar<'_>]) -> Result<Canvas> {
    if bars.is_empty() {
        return Err(Error::invalid("a bar chart needs at least one bar"));
    }
    let heading = sheet::heading(title, &[], WIDTH - 2 * MARGIN);
    let top = MARGIN + sheet::height(&heading) + 10;
    let bottom = top + bars.len() * STEP;
    let mut canvas = Canvas::new(WIDTH, bottom + 2 * Font::Regular.line() + 16 + MARGIN);
    sheet::write(&mut canvas, MARGIN, MARGIN, &heading);
    let axis = Axis::over(bars);
    grid(&mut canvas, &axis, top, bottom);
    for (index, bar) in bars.iter().enumerate() {
        draw(&mut canvas, &axis, bar, top + index * STEP);
    }
    canvas.fill(Area { x: axis.x(0.0), y: top, width: 1, height: bottom - top + 4 }, INK);
    let words = if bars.iter().any(|bar| bar.2.is_some()) { "; whiskers: interval" } else { "" };
    let line = format!("{DISCLAIMER}{words}");
    canvas.text(MARGIN, bottom + Font::Regular.line() + 12, &line, Font::Regular, GREY);
    Ok(canvas)
}

/// Vertical lines and numbers at the round values.
fn grid(canvas: &mut Canvas, axis: &Axis, top: usize, bottom: usize) {
    let steps = ((axis.high - axis.low) / axis.step).round().clamp(0.0, 20.0) as usize;
    for index in 0..=steps {
        let value = axis.low + axis.step * index as f64;
        // Sums of steps miss zero by a rounding error.
        let value = if value.abs() < axis.step * 1e-6 { 0.0 } else { value };
        canvas.fill(Area { x: axis.x(value), y: top, width: 1, height: bottom - top + 4 }, RULE);
        canvas.text_centred(axis.x(value), bottom + 7, &number(value), Font::Regular, GREY);
    }
}

/// One bar with its label, interval and number.
fn draw(canvas: &mut Canvas, axis: &Axis, (label, value, interval): &Bar<'_>, y: usize) {
    let label = shorten(label, (NAMES - 12) / Font::Regular.advance());
    let left = MARGIN + NAMES - 12 - Font::Regular.width(&label);
    canvas.text(left, y + (STEP - 13) / 2, &label, Font::Regular, INK);
    if value.is_finite() {
        let (from, to) = (axis.x(value.min(0.0)), axis.x(value.max(0.0)));
        let colour = if *value < 0.0 { AGAINST } else { FOR };
        canvas.fill(Area { x: from, y: y + 8, width: to - from, height: STEP - 16 }, colour);
    }
    if let Some((low, high)) = interval.filter(|(low, high)| low.is_finite() && high.is_finite()) {
        let (from, to) = (axis.x(low.min(high)), axis.x(low.max(high)));
        let middle = y + STEP / 2;
        canvas.fill(Area { x: from, y: middle, width: to - from + 1, height: 1 }, INK);
        for end in [from, to] {
            canvas.fill(Area { x: end, y: middle - 5, width: 1, height: 11 }, INK);
        }
    }
    let words = shorten(&number(*value), (VALUES - 16) / Font::Regular.advance());
    canvas.text(WIDTH - MARGIN - VALUES + 20, y + (STEP - 13) / 2, &words, Font::Regular, INK);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_bar_and_word_stays_on_the_sheet() -> Result<()> {
        let bars = [
            ("a very long name of a modality", 0.5, Some((0.4, 0.9))),
            ("t1", -0.25, None),
            ("t2", f64::NAN, None),
            ("flair", 0.0, Some((f64::NEG_INFINITY, 1.0))),
        ];
        let canvas = compose("Share of each modality", &bars)?;
        assert_eq!(canvas.lost, 0);
        assert!(compose("none", &[]).is_err());
        for value in [0.0, 1e-30, -1e30, f64::NAN] {
            assert_eq!(compose("one", &[("x", value, None)])?.lost, 0, "{value}");
        }
        Ok(())
    }

    #[test]
    fn a_longer_bar_has_more_ink() -> Result<()> {
        let canvas = compose("", &[("a", 2.0, None), ("b", 1.0, None), ("c", -1.0, None)])?;
        let ink = |colour: Rgb| canvas.pixels.chunks(3).filter(|p| *p == colour).count();
        assert!(ink(FOR) > 2 * ink(AGAINST) && ink(AGAINST) > 0);
        Ok(())
    }
}
