//! `cargo xtask axioms`: the table of methods and axioms, `docs/AXIOMS.md`, and the counterexamples behind it.

use crate::shell;

/// Draws networks, writes the page and the counterexamples; whether every difference from what is known has a reason.
pub fn run() -> bool {
    shell::succeeds(&["cargo", "run", "--quiet", "-p", "voxplain-axioms", "--example", "matrix"], &[])
}
