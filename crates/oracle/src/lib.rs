//! The kernel set in double precision, as naively as it can be written, so that tests have something to trust: kernels
//! of real devices are compared with it one by one, and whole methods run on it against references of other libraries.
//!
//! Nothing here is shared with the devices: the loops go over every output and every tap, in the words of the kernel's
//! documentation. The [`suite`] holds cases of every kernel as data, which run on any device.
#![forbid(unsafe_code)]

mod axis_map;
mod binary;
mod bits;
mod conv;
mod device;
mod joined;
mod matmul;
mod mix;
mod movement;
mod noise;
mod normalize;
mod pointwise;
mod pool;
mod reduce;
mod slope;
mod softmax;
mod special;
pub mod suite;

pub use device::{Oracle, OracleMemory};
pub use pointwise::{derivative, value};
pub use slope::{mean_derivative, slope};
