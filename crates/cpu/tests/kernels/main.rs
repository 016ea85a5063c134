//! The kernels: against plain sums, as adjoints of each other, and bit for bit however they run. `allocations.rs` is a binary
//! of its own: it counts what its whole process allocates.

mod adjoint;
mod background;
mod bitwise;
mod common;
mod memory;
mod naive;
mod winograd;
