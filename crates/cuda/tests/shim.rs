//! Every kernel of `kernels/*.cu` on the CPU against the naive double-precision oracle, through the same launches that a
//! GPU gets, in several orders of threads; and faults put into the sources on purpose, which must be found.
#![allow(clippy::unwrap_used)]

use proptest::prelude::*;
use std::sync::{Arc, LazyLock};
use voxplain_autodiff::{Kernel, MatMulGeometry, MatrixStrides};
use voxplain_cuda::shim::{Kernels, Shim, has_compiler};
use voxplain_cuda::{Factors, Gpu, Products};
use voxplain_oracle::Oracle;
use voxplain_oracle::suite::{
    KernelCase, Operand, Output, PAIRS, adjoint_defect, adjoint_pair, bounds, case, disagreement, kinds,
    run_kernel,
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
const TILED: Products = Products { factors: Factors::Single, least: 1 };
/// For those that have none.
const DIRECT: Products = Products { factors: Factors::Single, least: usize::MAX };

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
const FAULTS: [(&str, &str, &str, &str); 27] = [
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
    ("mix", "mix", "labels[at] < (float)g.count", "labels[at] <= (float)g.count"),
    ("mix", "mix_grid", "step *= g.cells + 2", "step *= g.cells + 1"),
    ("mix", "grid_sums", "row < g.rows; row++", "row + 1 < g.rows; row++"),
    ("mix", "accumulate", "float sum = before[at]", "float sum = 0"),
    ("noise", "noise", "at >= g.length", "at > g.length"),
    ("noise", "noise", "round < 10", "round < 9"),
    ("noise", "noise_gap", "min((i64)of[2], g.baselines - 1)", "min((i64)of[2], g.baselines - 2)"),
    ("noise", "moments", "row < g.rows; row++", "row + 1 < g.rows; row++"),
    // A rounding of single precision in what has to be a double.
    ("noise", "moments", "mean = __dadd_rn(mean", "mean = (float)__dadd_rn(mean"),
    // Ties and signs.
    ("pool", "max_pool", "entry > best", "entry >= best"),
    ("bits", "positive_bits", "> 0.0f", ">= 0.0f"),
];

/// The formats of tensor cores.
const ROUNDED: [Factors; 3] = [Factors::TensorFloat, Factors::Half, Factors::Brain];
/// The kinds of cases that are products.
const PRODUCTS: [&str; 3] = ["conv", "conv_adjoint", "matmul"];
/// What factors of 16 bits that are too small for their digits lose, summed over the terms of the cases.
const FAINT: f64 = 1e-3;

fn tiled(factors: Factors) -> Products {
    Products { factors, ..TILED }
}

fn number(kind: &str) -> usize {
    kinds().position(|k| k == kind).unwrap()
}

/// Digits behind the point, and the exponent below which they are counted from it.
fn format(factors: Factors) -> (i32, i32) {
    match factors {
        Factors::Single => (23, -126),
        Factors::TensorFloat => (10, -126),
        Factors::Half => (10, -14),
        Factors::Brain => (7, -126),
    }
}

/// What the rounding of two factors costs their product: `2 u + u^2`.
fn cost(factors: Factors) -> f64 {
    let u = 2f64.powi(-format(factors).0 - 1);
    2.0 * u + u * u
}

/// The nearest number of a format; tensor cores round halves of tf32 away from 0, the others to even.
fn nearest(x: f64, factors: Factors) -> f64 {
    let (digits, least) = format(factors);
    let exponent = if x == 0.0 { least } else { (x.abs().log2().floor() as i32).max(least) };
    let step = 2f64.powi(exponent - digits);
    let steps = x / step;
    step * if factors == Factors::TensorFloat { steps.round() } else { steps.round_ties_even() }
}

/// The number of terms of an entry of the result.
fn terms(kernel: &Kernel) -> f64 {
    let taps = |g: &voxplain_autodiff::ConvGeometry| g.kernel.iter().product::<usize>() / g.groups;
    (match kernel {
        Kernel::Conv(g) => taps(g) * g.in_channels + 1,
        Kernel::ConvAdjoint(g) => taps(g) * g.out_channels,
        Kernel::MatMul(g) => g.k + 1,
        _ => 0,
    }) as f64
}

/// Whether a device with these factors says what the oracle says of the rounded factors, within the suite's bound for sums in
/// single precision.
fn agrees(device: &Gpu<Shim>, case: &KernelCase, factors: Factors) -> bool {
    let mut rounded = case.clone();
    let single = factors == Factors::TensorFloat && matches!(case.kernel, Kernel::MatMul(_));
    for operand in rounded.operands.iter_mut().take(if single { 0 } else { 2 }) {
        if let Operand::Real(data) = operand {
            data.iter_mut().for_each(|v| *v = nearest(*v, factors));
        }
    }
    let Ok(got) = run_kernel(device, case) else { return false };
    let exact = run_kernel(&Oracle, &rounded).unwrap();
    let bounds = bounds(&rounded, f64::from(f32::EPSILON)).unwrap();
    let close = |((got, exact), bound): ((&f32, &f64), &f64)| (f64::from(*got) - exact).abs() <= *bound;
    got[0].iter().zip(&exact[0]).zip(&bounds[0]).all(close)
}

/// As [`FAULTS`], in what multiplies factors of 16 bits.
const FAULTS_OF_HALVES: [(&str, &str, &str, &str); 5] = [
    ("conv_gemm", "conv", "first[0], first[LEFT]", "first[LEFT], first[0]"),
    ("conv_gemm", "conv_adjoint", "e / 2 * 8) * LEFT", "e % 2 * 8) * LEFT"),
    ("matmul", "matmul", "products.multiply(left + now", "products.multiply(left + next"),
    ("matmul", "matmul", "        __syncthreads();\n        products", "        products"),
    (
        "matmul",
        "matmul",
        "first + k < g.k;\n            i64 from = inside ? (first +",
        "true;\n            i64 from = inside ? (first +",
    ),
];

#[test]
fn faults_in_products_of_halves_are_found() {
    if KERNELS.is_none() {
        return;
    }
    for (family, kind, from, to) in FAULTS_OF_HALVES {
        let kernels = Kernels::compile(&[family], |_, text| {
            assert!(text.contains(from), "{family}.cu no longer has {from:?}");
            text.replace(from, to)
        });
        let kernels = Arc::new(kernels.unwrap());
        let device = |order| Shim::device(kernels.clone(), order).with_products(tiled(Factors::Half));
        let fails = |seed: u64| {
            let case = case(number(kind), 23, seed);
            ORDERS.iter().any(|&order| !agrees(&device(order), &case, Factors::Half))
        };
        assert!((0..60).any(fails), "{family}.cu: nothing shows that {from:?} became {to:?}");
    }
}

/// What stands beside a factor that is 1: numbers with halves, at the ends of the formats, and beyond.
#[test]
fn factors_round_to_the_nearest_number_of_their_format() {
    let Some(kernels) = KERNELS.clone() else { return };
    let power = |e: i32| 2f64.powi(e);
    let ends =
        [65504.0, 65519.0, power(-14), power(-24), 1.5 * power(-24), power(-25), 1.5 * power(-25), 0.0];
    let halves = [10, 11, 7, 8, 9].into_iter().flat_map(|d| [1.0, 3.0, 5.0].map(|odd| 1.0 + odd * power(-d)));
    let numbers: Vec<f64> = ends.into_iter().chain(halves).flat_map(|v| [v, -v, v * 1.25]).collect();
    let n = numbers.len();
    let strides = MatrixStrides { batch: 0, row: 1, column: 1 };
    let g = MatMulGeometry { batch: 1, m: n, k: 1, n: 1, a: strides, b: strides, alpha: 1.0 };
    let operands = vec![Operand::Real(numbers.clone()), Operand::Real(vec![1.0])];
    let outputs = vec![Output::Real(n)];
    let case = KernelCase { kernel: Kernel::MatMul(g), operands, outputs, stored: false, variable: 0 };
    for factors in [Factors::Half, Factors::Brain] {
        let device = Shim::device(kernels.clone(), 0).with_products(tiled(factors));
        let got = run_kernel(&device, &case).unwrap().swap_remove(0);
        for (&x, got) in numbers.iter().zip(got) {
            let whole = nearest(f64::from(x as f32), factors);
            let expected = if factors == Factors::Half && whole.abs() > 65504.0 {
                f64::INFINITY * x.signum()
            } else {
                whole
            };
            assert_eq!(f64::from(got), expected, "{x:e} as {factors:?}");
        }
    }
}

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

    /// On tensor cores a product is that of the rounded factors, within the roundings of the sum; so what the rounding costs
    /// is what [`Factors`] says.
    #[test]
    fn tensor_cores_round_their_factors_once(
        kind in 0..PRODUCTS.len(), factors in 0..ROUNDED.len(), size in 1usize..24, seed: u64, order in 0..ORDERS.len()
    ) {
        let Some(kernels) = KERNELS.clone() else { return Ok(()) };
        let (case, factors) = (case(number(PRODUCTS[kind]), size, seed), ROUNDED[factors]);
        let device = |order: usize| Shim::device(kernels.clone(), ORDERS[order]).with_products(tiled(factors));
        prop_assert!(agrees(&device(order), &case, factors), "{:?} {:?}", factors, case.kernel);
        prop_assert_eq!(bits(&device(order), &case), bits(&device((order + 1) % ORDERS.len()), &case));
        let (given, exact) = (run_kernel(&device(order), &case).unwrap(), run_kernel(&Oracle, &case).unwrap());
        // The suite's bound is the sum of the terms' absolute values times a unit for each of them and a few more.
        let single = f64::from(f32::EPSILON);
        let plain = &bounds(&case, single).unwrap()[0];
        for ((got, exact), bound) in given[0].iter().zip(&exact[0]).zip(plain) {
            let bound = bound * (1.0 + cost(factors) / (single * (terms(&case.kernel) + 2.0)));
            prop_assert!((f64::from(*got) - exact).abs() <= bound + FAINT, "{got} {exact} {bound} {:?}", case.kernel);
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
