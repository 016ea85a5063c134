//! Measures that ask the network, and measures of concentration, where the answer is known.
#![allow(clippy::unwrap_used)]

use proptest::prelude::*;
use voxplain_metrics::{
    Change, Reading, Removal, area_under_curve, complexity, faithfulness_correlation, faithfulness_estimate,
    infidelity, sparseness,
};
use voxplain_tensor::{Result, Tensor};

type Inputs = [Tensor<f64>];

/// Two inputs of 3 and 2 entries.
fn image() -> Vec<Tensor<f64>> {
    vec![Tensor::new(&[1, 3], vec![1.0, -2.0, 4.0]).unwrap(), Tensor::new(&[1, 2], vec![0.5, 3.0]).unwrap()]
}

fn zeros() -> Vec<Tensor<f64>> {
    image().iter().map(|x| x.map(|_| 0.0)).collect()
}

const WEIGHTS: [f64; 5] = [2.0, -1.0, 0.5, 4.0, -3.0];

fn flat(x: &Inputs) -> Vec<f64> {
    x.iter().flat_map(|x| x.data().to_vec()).collect()
}

fn linear(x: &Inputs) -> Result<f64> {
    Ok(flat(x).iter().zip(WEIGHTS).map(|(x, w)| x * w).sum())
}

/// Input times gradient of [`linear`].
fn product() -> Vec<f64> {
    flat(&image()).iter().zip(WEIGHTS).map(|(x, w)| x * w).collect()
}

#[test]
fn concentration_at_its_ends() {
    let one = |n: usize| (0..n).map(|i| if i == n / 3 { -0.3 } else { 0.0 }).collect::<Vec<f64>>();
    assert_eq!(sparseness(&one(64)), Some(63.0 / 64.0));
    assert_eq!(sparseness(&[0.7; 64]), Some(0.0));
    assert_eq!(complexity(&one(64)), Some(0.0));
    assert!((complexity(&[0.7; 64]).unwrap() - 64f64.ln()).abs() < 1e-14);
    for nothing in [&[][..], &[0.0, -0.0], &[1.0, f64::NAN], &[1.0, f64::INFINITY]] {
        assert_eq!((sparseness(nothing), complexity(nothing)), (None, None), "{nothing:?}");
    }
}

/// By hand: (1, 3) has `((2 - 3) 1 + (4 - 3) 3) / (2 * 4)`, and the entropy of (1/4, 3/4).
#[test]
fn concentration_by_hand() {
    assert!((sparseness(&[-3.0, 1.0]).unwrap() - 0.25).abs() < 1e-15);
    let entropy = -(0.25 * 0.25f64.ln() + 0.75 * 0.75f64.ln());
    assert!((complexity(&[-3.0, 1.0]).unwrap() - entropy).abs() < 1e-15);
}

/// A map as a score of a mask: all of the mask above the rest, nothing to choose between them, the other way round.
#[test]
fn the_area_of_a_map_over_a_mask() {
    let mask = [0, 1, 1, 0, 0];
    let area = |map: [f64; 5]| area_under_curve(&map.map(|v| vec![v]), &mask);
    assert_eq!(area([0.1, 0.8, 0.9, 0.2, -3.0]), Some(1.0));
    assert_eq!(area([0.4; 5]), Some(0.5));
    assert_eq!(area([9.0, 1.0, 2.0, 9.0, 9.0]), Some(0.0));
    assert_eq!(area_under_curve(&[vec![0.1], vec![0.3]], &[0, 0]), None);
}

#[test]
fn faithfulness_of_a_linear_function() {
    let (x, zero) = (image(), zeros());
    let removal = Removal { inputs: &x, baseline: &zero };
    for size in 1..5 {
        let found =
            faithfulness_correlation(removal, &product(), (size, 40, 3), &mut { linear }).unwrap().unwrap();
        assert!((found - 1.0).abs() < 1e-12, "{size}: {found}");
        let found = faithfulness_estimate(removal, &product(), size, &mut { linear }).unwrap().unwrap();
        assert!((found - 1.0).abs() < 1e-12, "{size}: {found}");
    }
    let turned: Vec<f64> = product().iter().map(|v| -v).collect();
    let found = faithfulness_correlation(removal, &turned, (2, 40, 3), &mut { linear }).unwrap().unwrap();
    assert!((found + 1.0).abs() < 1e-12);
    assert_eq!(x, image(), "nothing is changed in place");
}

#[test]
fn faithfulness_has_nothing_to_say() {
    let (x, zero) = (image(), zeros());
    let removal = Removal { inputs: &x, baseline: &zero };
    let mut same = |_: &Inputs| Ok(0.1);
    assert_eq!(faithfulness_correlation(removal, &product(), (2, 9, 3), &mut same).unwrap(), None);
    assert_eq!(faithfulness_estimate(removal, &product(), 1, &mut same).unwrap(), None);
    for map in [[0.0; 5], [0.3; 5], [f64::NAN; 5]] {
        assert_eq!(faithfulness_correlation(removal, &map, (2, 9, 3), &mut { linear }).unwrap(), None);
        assert_eq!(faithfulness_estimate(removal, &map, 1, &mut { linear }).unwrap(), None);
    }
    // All entries at once are one block, and one block has no correlation.
    assert_eq!(faithfulness_estimate(removal, &product(), 5, &mut { linear }).unwrap(), None);
}

#[test]
fn what_does_not_fit_is_refused() {
    let (x, zero) = (image(), zeros());
    let removal = Removal { inputs: &x, baseline: &zero };
    let short = Removal { inputs: &x, baseline: &zero[..1] };
    let mut value = linear;
    assert!(faithfulness_correlation(removal, &[1.0; 4], (2, 9, 3), &mut value).is_err());
    assert!(faithfulness_correlation(removal, &product(), (0, 9, 3), &mut value).is_err());
    assert!(faithfulness_correlation(removal, &product(), (6, 9, 3), &mut value).is_err());
    assert!(faithfulness_estimate(removal, &product(), 0, &mut value).is_err());
    assert!(faithfulness_estimate(short, &product(), 1, &mut value).is_err());
    let noise = Change::Noise { inputs: &x, deviation: 0.1 };
    assert!(infidelity(noise, &[1.0; 6], (3, 1), &mut value).is_err());
    assert!(infidelity(noise, &WEIGHTS, (0, 1), &mut value).is_err());
    let change = Change::Removal { from: removal, size: 6, reading: Reading::Part };
    assert!(infidelity(change, &product(), (3, 1), &mut value).is_err());
}

/// The gradient of a linear function foretells every change; so do its parts, read as parts, and any multiple of either once
/// it is scaled.
#[test]
fn infidelity_of_a_linear_function() {
    let (x, zero) = (image(), zeros());
    let noise = Change::Noise { inputs: &x, deviation: 0.3 };
    let found = infidelity(noise, &WEIGHTS, (100, 1), &mut { linear }).unwrap();
    assert!(found.plain <= 2e-30 && found.scaled <= 2e-30 && found.nothing > 0.1, "{found:?}");
    let removal = |size: usize, reading: Reading| Change::Removal {
        from: Removal { inputs: &x, baseline: &zero },
        size,
        reading,
    };
    for size in 1..=5 {
        let slopes = infidelity(removal(size, Reading::Slope), &WEIGHTS, (30, 1), &mut { linear }).unwrap();
        let parts = infidelity(removal(size, Reading::Part), &product(), (30, 1), &mut { linear }).unwrap();
        assert!(slopes.plain <= 1e-28 && parts.plain <= 1e-28, "{size}: {slopes:?} {parts:?}");
    }
    let large = WEIGHTS.map(|w| -100.0 * w);
    let found = infidelity(noise, &large, (100, 1), &mut { linear }).unwrap();
    assert!(found.plain > 1.0 && found.scaled < 1e-28, "{found:?}");
    assert!((found.beta.unwrap() + 0.01).abs() < 1e-15);
}

/// Input times gradient read as slopes is another map, and not faithful: the reading matters.
#[test]
fn parts_are_no_slopes() {
    let x = image();
    let found =
        infidelity(Change::Noise { inputs: &x, deviation: 0.3 }, &product(), (50, 1), &mut { linear });
    let found = found.unwrap();
    assert!(found.scaled > 0.1 && found.scaled <= found.plain && found.scaled <= found.nothing, "{found:?}");
}

/// A map of zeros foretells nothing: its infidelity is the mean square of the effects, and no factor helps.
#[test]
fn a_map_of_zeros() {
    let x = image();
    let found = infidelity(Change::Noise { inputs: &x, deviation: 0.3 }, &[0.0; 5], (50, 1), &mut { linear });
    let found = found.unwrap();
    assert_eq!(found.beta, None);
    assert_eq!((found.plain, found.scaled), (found.nothing, found.nothing));
}

/// Taking everything away asks for completeness: the infidelity of parts is the squared residual.
#[test]
fn everything_taken_away_is_completeness() {
    let (x, zero) = (image(), zeros());
    let from = Removal { inputs: &x, baseline: &zero };
    let mut map = product();
    map[3] += 0.25;
    let change = Change::Removal { from, size: 5, reading: Reading::Part };
    let found = infidelity(change, &map, (3, 1), &mut { linear }).unwrap();
    assert!((found.plain - 0.0625).abs() < 1e-15, "{found:?}");
}

proptest! {
    /// Neither units nor order of entries matter to concentration, and both stay in their ranges.
    #[test]
    fn concentration_keeps_its_invariances(
        list in prop::collection::vec((-20i8..20).prop_map(f64::from), 1..40),
        power in -300i32..300,
    ) {
        let scaled: Vec<f64> = list.iter().rev().map(|v| v * 10f64.powi(power)).collect();
        for (one, two, most) in [
            (sparseness(&list), sparseness(&scaled), 1.0),
            (complexity(&list), complexity(&scaled), (list.len() as f64).ln() + 1e-12),
        ] {
            prop_assert_eq!(one.is_some(), list.iter().any(|v| *v != 0.0));
            prop_assert_eq!(one.is_some(), two.is_some());
            if let (Some(one), Some(two)) = (one, two) {
                prop_assert!((one - two).abs() < 1e-12 && (-1e-15..=most).contains(&one), "{one} {two}");
            }
        }
    }

    /// Every question is about the image with one set of entries as in the baseline, never about what an earlier one left; sets
    /// have their size and cover all entries.
    #[test]
    fn nothing_adds_up(size in 1usize..5, seed in 0u64..1000) {
        let x = image();
        let baseline: Vec<Tensor<f64>> = x.iter().map(|t| t.map(|v| v + 1.0)).collect();
        let removal = Removal { inputs: &x, baseline: &baseline };
        let mut asked = Vec::new();
        let mut value = |inputs: &Inputs| {
            asked.push(flat(inputs));
            linear(inputs)
        };
        faithfulness_correlation(removal, &product(), (size, 30, seed), &mut value).unwrap();
        faithfulness_estimate(removal, &product(), size, &mut value).unwrap();
        let change = Change::Removal { from: removal, size, reading: Reading::Part };
        infidelity(change, &product(), (30, seed), &mut value).unwrap();
        let (own, other) = (flat(&x), flat(&baseline));
        let mut seen = [false; 5];
        for row in &asked {
            let away: Vec<usize> = (0..5).filter(|&i| row[i] != own[i]).collect();
            prop_assert!(away.iter().all(|&i| row[i] == other[i]));
            prop_assert!(away.is_empty() || away.len() == size || away.len() == 5 % size);
            away.iter().for_each(|&i| seen[i] = true);
        }
        prop_assert!(seen.iter().all(|s| *s));
    }
}
