//! The suite on the oracle itself: adjoints, finite differences, every kernel.

use proptest::prelude::*;
use std::collections::BTreeSet;
use voxplain_oracle::Oracle;
use voxplain_oracle::suite::{
    Differentiable, PAIRS, adjoint_defect, adjoint_pair, case, difference_defect, disagreement, kinds,
    random_case,
};

/// The names of all kernels of devices, as in [`voxplain_autodiff::Kernel::name`]; host steps are none.
const KERNELS: usize = 40;

#[test]
fn every_kernel_has_cases() {
    let names: BTreeSet<&str> = (0..kinds().len()).map(|kind| case(kind, 5, 1).kernel.name()).collect();
    assert_eq!(names.len(), KERNELS, "{names:?}");
    assert_eq!(
        (0..kinds().len() as u64).map(|i| random_case(i).kernel.name()).collect::<BTreeSet<_>>(),
        names
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn cases_run_and_agree_with_themselves(kind in 0..kinds().len(), size in 1usize..40, seed: u64) {
        prop_assert_eq!(disagreement(&Oracle, &case(kind, size, seed)).unwrap(), None);
    }

    #[test]
    fn adjoints_belong_to_their_kernels(pair in 0..PAIRS.len(), size in 1usize..40, seed: u64) {
        let (forward, adjoint) = adjoint_pair(pair, size, seed);
        let (defect, scale) = adjoint_defect(&Oracle, &forward, &adjoint).unwrap();
        prop_assert!(defect <= scale, "{}: {defect} against {scale}: {:?}", PAIRS[pair], forward.kernel);
    }

    #[test]
    fn derivatives_match_differences(kind: u64, size in 1usize..9, seed: u64) {
        let function = Differentiable::draw(kind, size);
        let (defect, scale) = difference_defect(&Oracle, function, seed).unwrap();
        prop_assert!(defect <= scale, "{defect} against {scale}: {function:?}");
    }
}
