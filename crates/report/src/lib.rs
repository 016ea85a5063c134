//! Figures of attribution maps, because a map that a reader cannot place in the patient is worse than none.
//!
//! A figure here never guesses: sides of the patient come from the affine or are withheld, all modalities share one
//! printed colour scale, the bare image stands beside every overlay, and what was clipped or missing is counted in
//! words under the panels. Nothing is drawn that depends on the machine: fonts and colour tables are in the program.
//!
//! [`Montage`] is the main figure of one method, [`SummarySheet`] puts methods side by side, [`bar_chart`] shows shares
//! of the modalities.
#![forbid(unsafe_code)]

mod bars;
mod canvas;
mod colour;
mod font;
mod image;
mod montage;
mod options;
mod panel;
mod sheet;
mod stats;
mod summary;
mod text;
mod view;

pub use bars::{Bar, bar_chart};
pub use image::Image;
pub use montage::{Montage, Row, share_words};
pub use options::{Options, Picture};
pub use summary::{Column, Modality, SummarySheet};
pub use view::Display;
