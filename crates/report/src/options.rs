//! The choices a reader may make, and the picture that comes out.

use crate::canvas::Canvas;
use crate::view::Display;

/// How figures are drawn; the default is meant for clinical readers.
#[derive(Clone, Debug, PartialEq)]
pub struct Options {
    /// Which side of the patient is on the left.
    pub display: Display,
    /// The share (0 to 1) of the non-zero |values| of all maps that the colour scale covers.
    pub percentile: f64,
    /// Opacity (0 to 1) of the map at the end of the scale.
    pub opacity: f32,
    /// Side of a panel in pixels; `None` takes a whole number of pixels per voxel near 180, at most 256.
    pub panel: Option<usize>,
    /// Interpolate the map linearly between voxels instead of showing each voxel as it is.
    pub smooth: bool,
    /// Draw every pixel this many times in both directions, for screens and print of high density (1 to 8).
    pub enlarge: usize,
}

impl Default for Options {
    fn default() -> Self {
        let display = Display::Radiological;
        Self { display, percentile: 0.995, opacity: 0.9, panel: None, smooth: false, enlarge: 1 }
    }
}

/// An RGB picture, 8 bits per channel, row-major from the top left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Picture {
    /// Pixels per row.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// `width * height * 3` bytes.
    pub rgb: Vec<u8>,
}

impl Picture {
    /// The finished sheet, enlarged as asked.
    pub(crate) fn from_canvas(canvas: Canvas, options: &Options) -> Self {
        let canvas = canvas.enlarge(options.enlarge.clamp(1, 8));
        Self { width: canvas.width, height: canvas.height, rgb: canvas.pixels }
    }
}
