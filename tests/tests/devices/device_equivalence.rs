//! Every instruction set of this machine against the naive double-precision oracle, kernel by kernel, within the rounding
//! of the kernel's own terms; and every linear kernel against its adjoint on the same devices.
#![allow(clippy::unwrap_used)]

use proptest::prelude::*;
use voxplain::autodiff::Kernel;
use voxplain::cpu::{Cpu, Isa};
use voxplain::graph::ops::Pointwise;
use voxplain_oracle::suite::{PAIRS, adjoint_defect, adjoint_pair, case, disagreement, kinds};

fn cpus() -> Vec<Cpu> {
    let cpus = Isa::ALL.into_iter().filter_map(Cpu::with_isa);
    cpus.map(|cpu| cpu.with_threads(2).unwrap()).collect()
}

#[test]
fn there_is_a_device() {
    let names: Vec<&str> = cpus().iter().map(|cpu| cpu.isa().name()).collect();
    assert!(names.contains(&"scalar"), "{names:?}");
}

/// The slope of the error function needs its complement in both tails, and random kernels meet it once in a thousand.
#[test]
fn slopes_of_the_error_function_agree_in_the_tails() {
    let slopes = kinds().position(|kind| kind == "map_slope").unwrap();
    let cases = (0..20_000).map(|seed| case(slopes, 40, seed));
    let (cpus, mut compared) = (cpus(), 0);
    for case in cases.filter(|c| c.kernel == Kernel::MapSlope(Pointwise::Erf)) {
        for cpu in &cpus {
            assert_eq!(disagreement(cpu, &case).unwrap(), None);
        }
        compared += 1;
    }
    assert!(compared > 400, "{compared}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1024))]

    #[test]
    fn kernels_agree_with_the_oracle(kind in 0..kinds().len(), size in 1usize..40, seed: u64) {
        let case = case(kind, size, seed);
        for cpu in cpus() {
            prop_assert_eq!(disagreement(&cpu, &case).unwrap(), None);
        }
    }

    #[test]
    fn adjoints_belong_to_their_kernels(pair in 0..PAIRS.len(), size in 1usize..40, seed: u64) {
        let (forward, adjoint) = adjoint_pair(pair, size, seed);
        for cpu in cpus() {
            let (defect, scale) = adjoint_defect(&cpu, &forward, &adjoint).unwrap();
            prop_assert!(defect <= scale, "{}: {defect} against {scale}: {:?}", PAIRS[pair], forward.kernel);
        }
    }
}
