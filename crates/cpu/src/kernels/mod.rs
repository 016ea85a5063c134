//! The kernels, one file per family, with the stems of the CUDA sources and of the oracle.

pub mod axis_map;
pub mod binary;
pub mod bits;
pub mod conv;
pub mod conv_weight;
pub mod matmul;
pub mod mix;
pub mod movement;
pub mod noise;
pub mod normalize;
pub mod pointwise;
pub mod pool;
pub mod reduce;
mod slope;
pub mod softmax;
mod special;

/// Elements that one thread takes at a time in elementwise kernels.
const CHUNK: usize = 1 << 13;
pub mod unpool;
pub mod window;
