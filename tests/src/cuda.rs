//! The CUDA device in tests: a GPU where there is one, and the kernels on the CPU where there is a C++ compiler. What is
//! missing is printed, and fails where `VOXPLAIN_REQUIRE_SHIM` says that it must be there, as CI does.

use std::sync::{Arc, LazyLock};
use voxplain::cuda::shim::{Kernels, Shim, has_compiler};
use voxplain::cuda::{Cuda, Gpu};

/// The first GPU; without one, says that the test did not run.
pub fn gpu() -> Option<Cuda> {
    match Cuda::open(0) {
        Ok(gpu) => Some(gpu),
        Err(error) => {
            println!("SKIPPED on CUDA: {error}");
            None
        }
    }
}

static KERNELS: LazyLock<Option<Arc<Kernels>>> = LazyLock::new(|| match Kernels::all() {
    Ok(kernels) => Some(Arc::new(kernels)),
    Err(error) => {
        let missing = !has_compiler() && std::env::var_os("VOXPLAIN_REQUIRE_SHIM").is_none();
        assert!(missing, "{error}");
        println!("SKIPPED on the shim of CUDA: there is no C++ compiler (c++)");
        None
    }
});

/// The kernels on the CPU, with the threads of a block in this order.
pub fn shim(order: u32) -> Option<Gpu<Shim>> {
    KERNELS.clone().map(|kernels| Shim::device(kernels, order))
}
