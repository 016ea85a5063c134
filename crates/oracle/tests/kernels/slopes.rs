//! Known values of the special functions, and slopes against the average of the derivative, which knows nothing of the
//! closed forms.

use proptest::prelude::*;
use voxplain_graph::ops::Pointwise;
use voxplain_oracle::{derivative, mean_derivative, slope, value};

const SMOOTH: [Pointwise; 13] = [
    Pointwise::Gelu,
    Pointwise::GeluTanh,
    Pointwise::Sigmoid,
    Pointwise::Silu,
    Pointwise::Mish,
    Pointwise::Tanh,
    Pointwise::Softplus,
    Pointwise::Exp,
    Pointwise::Erf,
    Pointwise::Log,
    Pointwise::Sqrt,
    Pointwise::Reciprocal,
    Pointwise::Affine { scale: -0.7, shift: 0.2 },
];

const KINKED: [(Pointwise, &[f64]); 8] = [
    (Pointwise::Relu, &[0.0]),
    (Pointwise::LeakyRelu { alpha: 0.01 }, &[0.0]),
    (Pointwise::Elu { alpha: 1.3 }, &[0.0]),
    (Pointwise::Selu { alpha: 1.67, gamma: 1.05 }, &[0.0]),
    (Pointwise::HardSigmoid { alpha: 0.25, beta: 0.5 }, &[-2.0, 2.0]),
    (Pointwise::HardSwish, &[-3.0, 3.0]),
    (Pointwise::Clip { low: -0.5, high: 1.5 }, &[-0.5, 1.5]),
    (Pointwise::Abs, &[0.0]),
];

/// The mean of the derivative over `[b, a]`, and of its absolute value: by panels of at most 1/8 between kinks.
fn by_quadrature(f: Pointwise, kinks: &[f64], a: f64, b: f64) -> (f64, f64) {
    let (low, high) = (a.min(b), a.max(b));
    let mut points = vec![low];
    points.extend(kinks.iter().copied().filter(|k| *k > low && *k < high));
    points.push(high);
    let (mut mean, mut size) = (0.0, 0.0);
    for ends in points.windows(2) {
        let panels = ((ends[1] - ends[0]) * 8.0).ceil().max(1.0);
        let at = |i: f64| ends[0] + (ends[1] - ends[0]) * i / panels;
        let share = (ends[1] - ends[0]) / (high - low) / panels;
        for i in 0..panels as usize {
            let part = share * mean_derivative(f, at(i as f64), at(i as f64 + 1.0));
            (mean, size) = (mean + part, size + part.abs());
        }
    }
    (mean, size)
}

/// A pair: a centre, and a distance from 1e-12 to 8.
fn pair() -> impl Strategy<Value = (f64, f64)> {
    let distance = (-12.0f64..0.9).prop_map(|e| 10f64.powf(e));
    (-20.0f64..20.0, distance, any::<bool>()).prop_map(|(c, d, up)| (c, if up { c + d } else { c - d }))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn smooth_slopes_are_mean_derivatives(f in 0..SMOOTH.len(), (a, b) in pair()) {
        let f = SMOOTH[f];
        let positive = matches!(f, Pointwise::Log | Pointwise::Sqrt | Pointwise::Reciprocal);
        let (a, b) = if positive { (a.abs() + 1.0, b.abs() + 1.0) } else { (a, b) };
        let (mean, size) = by_quadrature(f, &[], a, b);
        let s = slope(f, a, b);
        prop_assert_eq!(s, slope(f, b, a));
        prop_assert!((s - mean).abs() <= 1e-12 * size, "{:?} {} {}: {} against {}", f, a, b, s, mean);
    }

    #[test]
    fn kinked_slopes_are_mean_derivatives(f in 0..KINKED.len(), (a, b) in pair()) {
        // Centres on a kink as often as not.
        let (f, kinks) = KINKED[f];
        let on = kinks[0] + (b - a) * 0.37;
        for (a, b) in [(a / 5.0, a / 5.0 + (b - a)), (kinks[0], kinks[0] + (b - a)), (on, on - (b - a))] {
            if a == b { continue; }
            let (mean, size) = by_quadrature(f, kinks, a, b);
            let s = slope(f, a, b);
            prop_assert!((s - mean).abs() <= 1e-12 * size, "{:?} {} {}: {} against {}", f, a, b, s, mean);
        }
    }

    #[test]
    fn slopes_are_complete(f in 0..SMOOTH.len() + KINKED.len(), a in 0.5f64..700.0, b in 0.5f64..700.0, signs in 0..4) {
        let f = SMOOTH.iter().copied().chain(KINKED.iter().map(|k| k.0)).nth(f).unwrap();
        let positive = matches!(f, Pointwise::Log | Pointwise::Sqrt | Pointwise::Reciprocal);
        let (a, b) = match signs {
            _ if positive => (a, b),
            0 => (a, b),
            1 => (-a, b),
            2 => (a, -b),
            _ => (-a, -b),
        };
        let (s, fa, fb) = (slope(f, a, b), value(f, a), value(f, b));
        prop_assert!(s.is_finite() && derivative(f, a).is_finite());
        // In the far tails values are subnormal and keep fewer digits than others.
        let least = f64::MIN_POSITIVE * (1.0 + (a - b).abs());
        let rounding = 8.0 * f64::EPSILON * (fa.abs() + fb.abs() + (s * (a - b)).abs() + least);
        prop_assert!((s * (a - b) - (fa - fb)).abs() <= rounding, "{:?} {} {}", f, a, b);
    }
}

#[test]
fn a_slope_at_one_point_is_the_derivative() {
    for f in SMOOTH.into_iter().chain(KINKED.map(|k| k.0)) {
        for x in [0.5, 1.0, 3.0, 700.0] {
            assert_eq!(slope(f, x, x), derivative(f, x), "{f:?}");
        }
    }
    assert_eq!((slope(Pointwise::Relu, 0.0, 0.0), slope(Pointwise::Abs, 0.0, 0.0)), (0.0, 0.0));
    assert_eq!((slope(Pointwise::Softplus, 2e-17, 1e-17), slope(Pointwise::Relu, 1.0, -1.0)), (0.5, 0.5));
}

#[test]
fn special_functions_have_their_known_values() {
    // To 17 digits, from arbitrary-precision arithmetic.
    let known = [
        (Pointwise::Erf, 0.1, 0.112_462_916_018_284_89),
        (Pointwise::Erf, 0.5, 0.520_499_877_813_046_5),
        (Pointwise::Erf, 1.0, 0.842_700_792_949_714_9),
        (Pointwise::Erf, 2.0, 0.995_322_265_018_952_7),
        (Pointwise::Erf, -3.0, -0.999_977_909_503_001_4),
        (Pointwise::Gelu, 1.0, 0.8413447460685429),
        (Pointwise::Gelu, -1.0, -0.15865525393145705),
        (Pointwise::Gelu, -8.0, -4.976768459417427e-15),
        (Pointwise::GeluTanh, -8.0, -3.1077829375011112e-21),
        (Pointwise::Mish, 1.0, 0.8650983882673103),
        (Pointwise::Mish, -30.0, -2.807286890651921e-12),
        (Pointwise::Softplus, -40.0, 4.248354255291589e-18),
        (Pointwise::Sigmoid, -40.0, 4.248354255291589e-18),
        (Pointwise::Silu, 2.0, 1.7615941559557649),
    ];
    for (f, x, expected) in known {
        let got = value(f, x);
        // The argument of an exponential is off by half a unit in the last place: at -8 that is 32 units.
        assert!((got / expected - 1.0).abs() <= 1e-14 * (1.0 + x.abs()), "{f:?} {x}: {got:e}");
    }
}
