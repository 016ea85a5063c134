//! The kernel set in double precision, as naively as it can be written, so that tests have something to trust: kernels
//! of real devices are compared with it one by one, and whole methods run on it against references of other libraries.
//!
//! Nothing here is shared with the devices: the loops go over every output and every tap, in the words of the kernel's
//! documentation.
#![forbid(unsafe_code)]

mod conv;
mod device;
mod elementwise;
mod movement;
mod pool;
mod statistics;

pub use device::{Oracle, OracleMemory};
pub use elementwise::{derivative, slope, value};
