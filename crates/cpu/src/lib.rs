//! The kernel set on the CPU.
//!
//! Every result is bitwise independent of the number of threads, of how a batch is split and of how often a plan ran:
//! work is divided over output elements only, and the order in which an element's terms are added depends on nothing
//! but the element. The instruction set is chosen at run time; all of a machine's are available in one process, so that
//! tests can compare them.
//!
//! `unsafe` appears in three places: typed views of the arena, calls of functions compiled for an instruction set that
//! was detected, and the border to `matrixmultiply`.

mod arena;
mod backgrounds;
mod buffer;
mod device;
mod filtering;
mod isa;
mod kernels;
mod operands;
mod pages;
mod parallel;
mod peak;
mod prepared;
mod simd;

pub use device::{Cpu, CpuMemory};
pub use filtering::Filtering;
pub use isa::Isa;
