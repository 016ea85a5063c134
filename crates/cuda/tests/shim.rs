//! Every kernel of `kernels/*.cu` on the CPU against the naive double-precision oracle, through the same launches that a
//! GPU gets, in several orders of threads; and faults put into the sources on purpose, which must be found.
#![allow(clippy::unwrap_used)]

use proptest::prelude::*;
use std::sync::{Arc, LazyLock};
use voxplain_autodiff::Kernel;
use voxplain_cuda::shim::{Kernels, Shim, has_compiler};
use voxplain_cuda::{Gpu, Products};
use voxplain_oracle::Oracle;
use voxplain_oracle::suite::{
    KernelCase, PAIRS, adjoint_defect, adjoint_pair, bounds, case, disagreement, kinds, run_kernel,
};

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

/// Tiles for products of every size, so that small cases meet them.
const TILED: Products = Products { tensor_float: false, least: 1 };
/// For those that have none.
const DIRECT: Products = Products { tensor_float: false, least: usize::MAX };

fn bits(device: &Gpu<Shim>, case: &KernelCase) -> Vec<Vec<u32>> {
    let results = run_kernel(device, case).unwrap();
    results.into_iter().map(|r| r.into_iter().map(f32::to_bits).collect()).collect()
}

/// What is wrong with a device, as far as cases of these kinds show: the number of the case that showed it first.
fn first_failure(kernels: &Arc<Kernels>, kind: &str) -> Option<u64> {
    let kind = kinds().position(|k| k == kind).unwrap();
    let fails = |seed: u64, order: u32| {
        let device = Shim::device(kernels.clone(), order).with_products(TILED);
        !matches!(disagreement(&device, &case(kind, 23, seed)), Ok(None))
    };
    (0..60).find(|&seed| ORDERS.iter().any(|&order| fails(seed, order)))
}

/// File, kind of case that meets the fault, what stands in the source, what is put in its place.
const FAULTS: [(&str, &str, &str, &str); 18] = [
    // Missing barriers: before and after a tile is used, after one thread's work, inside and before a tree.
    ("matmul", "matmul", "        __syncthreads();\n        for", "        for"),
    ("matmul", "matmul", "right[j][x];\n        __syncthreads();", "right[j][x];"),
    ("normalize", "batch_norm", "    }\n    __syncthreads();\n    for", "    }\n    for"),
    ("normalize", "normalize", "    shared[t] = value;\n    __syncthreads();", "    shared[t] = value;"),
    ("normalize", "normalize_adjoint", "shared[t + half];\n        __syncthreads();", "shared[t + half];"),
    (
        "conv_weight",
        "conv_weight_adjoint",
        "shared[t + half];\n        __syncthreads();",
        "shared[t + half];",
    ),
    // The barrier that keeps a second sum from spoiling the first.
    ("normalize", "normalize", "    int t = threadIdx.x;\n    __syncthreads();", "    int t = threadIdx.x;"),
    // A barrier that not all threads reach.
    (
        "matmul",
        "matmul",
        "        __syncthreads();\n        for",
        "        if (threadIdx.x < 9) __syncthreads();\n        for",
    ),
    // The same around slices that are copied while others are used, and a copy that is not waited for.
    ("conv_gemm", "conv", "        __syncthreads();\n        products", "        products"),
    (
        "conv_gemm",
        "conv",
        "right + now * DEPTH * RIGHT);\n        __syncthreads();",
        "right + now * DEPTH * RIGHT);",
    ),
    ("conv_gemm", "conv_adjoint", "copies_wait<1>();", ""),
    ("conv_gemm", "conv", "copies_wait<0>();", "copies_wait<1>();"),
    // One too far, one too few.
    ("conv_gemm", "conv", "at < g.input[axis]", "at <= g.input[axis]"),
    ("conv_gemm", "conv_adjoint", "p < g.output[axis]", "p < g.output[axis] - 1"),
    ("movement", "fill", "if (i < g.n) y", "if (i <= g.n) y"),
    ("reduce", "reduce", "k < g.s.n", "k + 1 < g.s.n"),
    // Ties and signs.
    ("pool", "max_pool", "entry > best", "entry >= best"),
    ("bits", "positive_bits", "> 0.0f", ">= 0.0f"),
];

#[test]
fn faults_in_the_sources_are_found() {
    if KERNELS.is_none() {
        return;
    }
    for (family, kind, from, to) in FAULTS {
        let found = Kernels::compile(&[family], |_, text| {
            assert!(text.contains(from), "{family}.cu no longer has {from:?}");
            text.replace(from, to)
        });
        let found = first_failure(&Arc::new(found.unwrap()), kind);
        assert!(found.is_some(), "{family}.cu: nothing shows that {from:?} became {to:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    #[test]
    fn kernels_agree_with_the_oracle(
        kind in 0..kinds().len(), size in 1usize..24, seed: u64, order in 0..ORDERS.len()
    ) {
        let Some(kernels) = KERNELS.clone() else { return Ok(()) };
        let case = case(kind, size, seed);
        let products = if seed % 2 == 0 { TILED } else { DIRECT };
        let device = Shim::device(kernels.clone(), ORDERS[order]).with_products(products);
        prop_assert_eq!(disagreement(&device, &case).unwrap(), None);
        // Whatever the order, the same bits.
        let other = Shim::device(kernels, ORDERS[(order + 1) % ORDERS.len()]).with_products(products);
        prop_assert_eq!(bits(&device, &case), bits(&other, &case), "{:?}", case.kernel);
    }

    /// On tensor cores every factor is rounded to 2^-11 of itself, so a sum is off by 2^-10 of the sum of its terms'
    /// absolute values, beside the roundings of single precision.
    #[test]
    fn tensor_cores_round_their_factors_once(adjoint: bool, size in 1usize..24, seed: u64, order in 0..ORDERS.len()) {
        let Some(kernels) = KERNELS.clone() else { return Ok(()) };
        let name = if adjoint { "conv_adjoint" } else { "conv" };
        let case = case(kinds().position(|k| k == name).unwrap(), size, seed);
        let (Kernel::Conv(g) | Kernel::ConvAdjoint(g)) = case.kernel else { return Ok(()) };
        let products = Products { tensor_float: true, least: 1 };
        let device = Shim::device(kernels, ORDERS[order]).with_products(products);
        let (got, exact) = (run_kernel(&device, &case).unwrap(), run_kernel(&Oracle, &case).unwrap());
        let channels = if adjoint { g.out_channels } else { g.in_channels } / g.groups;
        let terms = (channels * g.kernel.iter().product::<usize>()) as f64;
        let single = f64::from(f32::EPSILON);
        for ((got, exact), bound) in got[0].iter().zip(&exact[0]).zip(&bounds(&case, single).unwrap()[0]) {
            // The suite's bound is the sum of absolute values times (terms + 2 or more) units.
            let bound = bound * (1.0 + 1.001 * 2f64.powi(-10) / (single * (terms + 2.0)));
            prop_assert!((f64::from(*got) - exact).abs() <= bound, "{got} {exact} {bound} {g:?}");
        }
    }

    #[test]
    fn adjoints_belong_to_their_kernels(pair in 0..PAIRS.len(), size in 1usize..16, seed: u64) {
        let Some(kernels) = KERNELS.clone() else { return Ok(()) };
        let (forward, adjoint) = adjoint_pair(pair, size, seed);
        let (defect, scale) = adjoint_defect(&Shim::device(kernels, 1), &forward, &adjoint).unwrap();
        prop_assert!(defect <= scale, "{}: {defect} against {scale}: {:?}", PAIRS[pair], forward.kernel);
    }
}
