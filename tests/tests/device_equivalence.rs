//! Every instruction set of this machine against the naive double-precision oracle, kernel by kernel, within the rounding
//! of the kernel's own terms; and every linear kernel against its adjoint on the same devices.
#![allow(clippy::unwrap_used)]

use proptest::prelude::*;
use voxplain::cpu::{Cpu, Isa};
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
