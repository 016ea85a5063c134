//! Every kernel of `kernels/*.cu` on the CPU against the naive double-precision oracle, through the same launches that a
//! GPU gets, in several orders of threads; and faults put into the sources on purpose, which must be found.
#![allow(clippy::unwrap_used)]

use proptest::prelude::*;
use std::sync::{Arc, LazyLock};
use voxplain_cuda::shim::{Kernels, Shim, has_compiler};
use voxplain_oracle::suite::{PAIRS, adjoint_defect, adjoint_pair, case, disagreement, kinds};

/// Orders of threads: forwards, backwards, and two permutations.
const ORDERS: [u32; 4] = [0, 1, 2, 5];

/// All kernels, compiled once; none without a C++ compiler. Where `VOXPLAIN_REQUIRE_SHIM` is set, as in CI, that fails.
static KERNELS: LazyLock<Option<Arc<Kernels>>> = LazyLock::new(|| {
    if !has_compiler() {
        assert!(std::env::var_os("VOXPLAIN_REQUIRE_SHIM").is_none(), "there is no C++ compiler");
        println!("SKIPPED: the CUDA kernels are not tested, there is no C++ compiler (c++)");
        return None;
    }
    Some(Arc::new(Kernels::all().unwrap()))
});

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    #[test]
    fn kernels_agree_with_the_oracle(
        kind in 0..kinds().len(), size in 1usize..24, seed: u64, order in 0..ORDERS.len()
    ) {
        let Some(kernels) = KERNELS.clone() else { return Ok(()) };
        let case = case(kind, size, seed);
        let device = Shim::device(kernels, ORDERS[order]);
        prop_assert_eq!(disagreement(&device, &case).unwrap(), None);
    }

    #[test]
    fn adjoints_belong_to_their_kernels(pair in 0..PAIRS.len(), size in 1usize..16, seed: u64) {
        let Some(kernels) = KERNELS.clone() else { return Ok(()) };
        let (forward, adjoint) = adjoint_pair(pair, size, seed);
        let (defect, scale) = adjoint_defect(&Shim::device(kernels, 1), &forward, &adjoint).unwrap();
        prop_assert!(defect <= scale, "{}: {defect} against {scale}: {:?}", PAIRS[pair], forward.kernel);
    }
}
