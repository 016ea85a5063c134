//! NIfTI-1 and NIfTI-2, plain or gzipped.
//!
//! Written here rather than taken from a crate because maps need both forms with their codes kept, and NIfTI-2.

mod header;
mod read;
mod write;

pub use read::{read_nifti, read_nifti_bytes};
pub use write::{WriteOptions, write_nifti};
