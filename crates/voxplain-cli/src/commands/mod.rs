//! The commands, one file each.

pub mod demo;
pub mod explain;
pub mod import;
pub mod inspect;
mod machine;
mod meter;
pub mod modalities;
pub mod phantom;
pub mod predict;
mod requests;
pub mod source;
pub mod verify;

use indicatif::{ProgressBar, ProgressStyle};

/// A progress bar over passes or units on standard error, hidden where that is no terminal.
fn progress(units: u64) -> ProgressBar {
    let bar = ProgressBar::new(units);
    if let Ok(style) = ProgressStyle::with_template("{bar:30} {pos}/{len} {msg} ({eta} left)") {
        bar.set_style(style);
    }
    bar
}

/// Bytes for people.
fn bytes(n: usize) -> String {
    match n {
        0..=9_999 => format!("{n} B"),
        10_000..=9_999_999 => format!("{:.1} kB", n as f64 / 1e3),
        10_000_000..=9_999_999_999 => format!("{:.1} MB", n as f64 / 1e6),
        _ => format!("{:.1} GB", n as f64 / 1e9),
    }
}

/// Writes a line to standard output; a closed pipe ends output quietly instead of with a panic.
fn say(line: &str) {
    use std::io::Write;
    // Nobody reads any more if this fails, so there is nobody to tell.
    let _ = writeln!(std::io::stdout(), "{line}");
}
