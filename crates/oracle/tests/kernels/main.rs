//! The oracle's kernels against each other and against known values.

mod slopes;
mod suite;
