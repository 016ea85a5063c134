//! The kernel set on NVIDIA GPUs.
//!
//! The kernels are in `kernels/*.cu` at the repository's root; [`Gpu`] is the host's side of them: it gives every step
//! of a plan its addresses, its numbers and its number of blocks, and knows of CUDA only what a [`Backend`] must do.
//! There are two backends. [`Driver`] is CUDA, loaded when [`Cuda::open`] asks for it, so that the same program runs on
//! machines without. `Shim` (feature `shim`) compiles the same kernel sources with the system's C++ compiler and runs
//! them on the CPU, so that tests see every kernel and every launch on machines without a GPU.
//!
//! Every result is bitwise the same in every run on one GPU: no kernel adds from two threads into one place.

mod backend;
mod device;
mod driver;
mod images;
mod kernels;
mod operands;
#[cfg(feature = "shim")]
pub mod shim;

pub use backend::{Backend, Launch};
pub use device::{Factors, Gpu, GpuMemory, Products};
pub use driver::{Cuda, Driver};
