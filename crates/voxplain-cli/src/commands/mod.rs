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

use indicatif::{HumanDuration, ProgressBar, ProgressState, ProgressStyle};

/// A progress bar over passes or units on standard error, hidden where that is no terminal.
fn progress(units: u64) -> ProgressBar {
    let bar = ProgressBar::new(units);
    if let Ok(style) = ProgressStyle::with_template("{bar:30} {pos}/{len} {msg} ({left})") {
        bar.set_style(style.with_key("left", left));
    }
    bar
}

/// The time that is left, once something has been measured.
fn left(state: &ProgressState, out: &mut dyn std::fmt::Write) {
    // There is nothing to be done about a bar that cannot be written.
    let _ = match state.per_sec() > 0.0 {
        true => write!(out, "{:#} left", HumanDuration(state.eta())),
        false => out.write_str("measuring"),
    };
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
