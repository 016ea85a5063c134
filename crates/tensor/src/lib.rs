//! Shapes, host tensors, scalars and the one error type, because every other crate has to agree on them.
//!
//! This crate knows nothing of operators, graphs, devices or files. It is `no_std` + `alloc`, has no dependency and no
//! `unsafe` code. Tensors are contiguous and row-major (`[N, C, D, H, W]` and shorter); strided views live only at the
//! edges of the system, because strides inside kernels are where other engines went wrong again and again.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(feature = "std")]
extern crate std;

mod error;
mod scalar;
mod shape;
mod tensor;

pub use error::{Error, ErrorKind, Result};
pub use scalar::Scalar;
pub use shape::{MAX_RANK, Shape};
pub use tensor::Tensor;
