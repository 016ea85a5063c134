//! Methods that are one where theory says so: limits, networks of a kind, and the same thing under two names.

use super::*;
use voxplain::attribution::Quadrature;
use voxplain::autodiff::Gradient;
use voxplain::graph::ops::Reduction;
use voxplain::perturbation::Features;
use voxplain::perturbation::methods::{FeatureAblation, Occlusion, ShapleyValues};

/// So small that no sum feels it.
const TINY: (&str, f64) = ("stabilizer", 1e-14);

/// Two layers with a rectifier between them, from three numbers to one; biases where there are any.
fn two_layers(weights: &[i8], biases: &[f32]) -> Graph {
    let row = |k: usize| -> Vec<f32> { weights[3 * k..3 * k + 3].iter().map(|&w| f32::from(w)).collect() };
    let mut b = GraphBuilder::new();
    let x = b.input("x", &[1, 3]).unwrap();
    let h = linear(&mut b, "a", x, &[&row(0), &row(1), &row(2)], biases);
    let h = b.relu("relu", h).unwrap();
    let y = linear(&mut b, "b", h, &[&row(3)], &[]);
    b.finish(&[y]).unwrap()
}

fn numbers(count: usize, least: i8) -> impl Strategy<Value = Vec<i8>> {
    prop::collection::vec(least..=4i8, count)
}

fn wide(x: &[i8]) -> Vec<f64> {
    x.iter().map(|&v| f64::from(v)).collect()
}

fn rescale(graph: &Graph, x: &[f64]) -> Vec<f64> {
    map(&run(graph, &DeepLift { baseline: zero(), multiply_by_inputs: true }, x))
}

fn along(graph: &Graph, x: &[f64], quadrature: Quadrature, points: usize) -> Vec<f64> {
    let steps = Steps::Fixed(quadrature, points);
    map(&run(graph, &IntegratedGradients { baseline: zero(), steps, multiply_by_inputs: true }, x))
}

proptest! {
    /// Gamma of 2^30 is z+ with its bias: what is left of the negative contributions is a part in 2^30.
    #[test]
    fn a_huge_gamma_is_z_plus(weights in numbers(12, -4), biases in numbers(3, -4), x in numbers(3, -4)) {
        let graph = two_layers(&weights, &biases.iter().map(|&b| f32::from(b)).collect::<Vec<f32>>());
        let of = |name: &str, own: &[(&str, f64)]| run(&graph, &preset(name, &[own, &[TINY]].concat()), &wide(&x));
        let plus = of("lrp_zplus", &[]);
        // Below 0 gamma favours what is negative, and z+ what is positive.
        prop_assume!(plus.values[0] > 0.0);
        let huge = of("lrp_gamma", &[("gamma", 2f64.powi(30))]);
        for (a, b) in map(&huge).iter().zip(map(&plus)) {
            // Contributions of at most 4 * 4 * 3 + 4, two layers, against positive ones of at least 1.
            prop_assert!((a - b).abs() <= 2.0 * 52.0 * 2f64.powi(-30) * plus.values[0], "{a} {b}");
        }
    }

    /// Where everything that enters a unit has one sign there is nothing to cancel, and RevealCancel is Rescale.
    #[test]
    fn contributions_of_one_sign_have_nothing_to_reveal(weights in numbers(9, 0), out in numbers(3, -4), x in numbers(3, 0)) {
        let graph = two_layers(&[weights, out].concat(), &[-3.0, -0.5, 1.0]);
        let revealed = map(&run(&graph, &reveal(), &wide(&x)));
        alike(&revealed, &rescale(&graph, &wide(&x)), 1e-12)?;
    }

    /// One map of a linear network: input times gradient, LRP-0, Integrated Gradients, Rescale, RevealCancel, Shapley values,
    /// and what is missing without an entry.
    #[test]
    fn a_linear_network_has_one_map(weights in numbers(6, -4), bias in -4i8..4, x in numbers(3, -4)) {
        let row = |k: usize| weights[3 * k..3 * k + 3].iter().map(|&w| f32::from(w)).collect::<Vec<f32>>();
        let mut b = GraphBuilder::new();
        let input = b.input("x", &[1, 3]).unwrap();
        let h = linear(&mut b, "a", input, &[&row(0), &row(1)], &[f32::from(bias) + 0.5, 0.5]);
        let y = linear(&mut b, "b", h, &[&[2.0, -3.0]], &[1.0]);
        let (graph, x) = (b.finish(&[y]).unwrap(), wide(&x));
        let product = map(&run(&graph, &Backward::with_rule("product", Gradient, Scaling::TimesInput), &x));
        let features = || Features::each(&graph);
        for other in [
            along(&graph, &x, Quadrature::GaussLegendre, 3),
            rescale(&graph, &x),
            map(&run(&graph, &reveal(), &x)),
            map(&run(&graph, &ShapleyValues { baseline: zero(), features: features() }, &x)),
            map(&run(&graph, &FeatureAblation { baseline: zero(), features: features() }, &x)),
        ] {
            alike(&other, &product, 1e-12)?;
        }
        let relevance = run(&graph, &preset("lrp_zero", &[TINY]), &x);
        // Whole numbers and a half: no sum that is shared out is 0, but for the output.
        if relevance.values[0] != 0.0 {
            alike(&map(&relevance), &product, 1e-9)?;
        }
    }

    /// With one reference and positions of a midpoint rule Expected Gradients is Integrated Gradients. Of smooth networks: at
    /// kinks the rounding of a position decides.
    #[test]
    fn expected_gradients_from_one_reference(case in case()) {
        let smooth = |s: Step| match s {
            Step::MaxPool(_) => Step::AveragePool,
            Step::Activation(f) => Step::Activation(3 + f % 4),
            other => other,
        };
        let smooth = Case { steps: case.steps.iter().copied().map(smooth).collect(), ..case.clone() };
        let (graph, x, r) = (smooth.graph().unwrap(), inputs(&case), Case::tensor(&case.r).unwrap());
        let alpha: Vec<Vec<f64>> = (0..8).map(|k| vec![(f64::from(k) + 0.5) / 8.0]).collect();
        let draws = ShapDraws::Given { baseline: vec![vec![0]; 8], alpha };
        let expected = GradientShap { baselines: vec![r.clone()], draws, noise: None };
        let integrated = IntegratedGradients {
            baseline: Baseline::Given(vec![r]),
            steps: Steps::Fixed(Quadrature::Middle, 8),
            multiply_by_inputs: true,
        };
        let (a, b) = (map(&run(&graph, &expected, &x)), map(&run(&graph, &integrated, &x)));
        let scale = b.iter().fold(0.0f64, |m, v| m.max(v.abs()));
        for (a, b) in a.iter().zip(&b) {
            // Maps may be nothing but what is left of a softmax that adds up to 1.
            prop_assert!((a - b).abs() <= 1e-10 * scale + 1e-15, "{a} {b}");
        }
    }

    /// A window of one entry is one feature.
    #[test]
    fn occlusion_by_single_entries_is_ablation(case in case()) {
        let (graph, x) = (case.graph().unwrap(), inputs(&case));
        let window = || vec![vec![1, 1, 1]];
        let occluded = run(&graph, &Occlusion { baseline: zero(), window: window(), strides: window() }, &x);
        let ablated = run(&graph, &FeatureAblation { baseline: zero(), features: Features::each(&graph) }, &x);
        prop_assert_eq!(map(&occluded), map(&ablated));
    }
}

/// `x1 x2` is a polynomial along the path: every quadrature of second order gives the integral, however many points it has and
/// wherever they lie.
#[test]
fn the_integral_does_not_depend_on_its_points() {
    let mut b = GraphBuilder::new();
    let x = b.input("x", &[1, 2]).unwrap();
    let (one, two) =
        (linear(&mut b, "one", x, &[&[1.0, 0.0]], &[]), linear(&mut b, "two", x, &[&[0.0, 1.0]], &[]));
    let y = b.node("product", Op::Binary(Binary::Mul), &[one, two]).unwrap();
    let graph = b.finish(&[y]).unwrap();
    for quadrature in [Quadrature::GaussLegendre, Quadrature::Middle, Quadrature::Trapezoid] {
        for points in [2, 5, 16] {
            close(&along(&graph, &[3.0, -5.0], quadrature, points), &[-7.5, -7.5], 1e-13);
        }
    }
}

/// Behind a mean over space and a linear layer GradCAM is the class activation map (Zhou et al., CVPR 2016), by the size of the
/// image: `1 / n sum_c w_c A_c`.
#[test]
fn grad_cam_is_the_class_activation_map() {
    let mut b = GraphBuilder::new();
    let x = b.input("x", &[1, 1, 3, 3]).unwrap();
    let kernel: Vec<f32> = (0..27).map(|i| (i as f32 * 1.3).sin()).collect();
    let w = b.parameter("w", &[3, 1, 3, 3], kernel.clone()).unwrap();
    let a = b.conv("conv", x, w, None, ConvAttributes::padded(2, 1)).unwrap();
    let mean = Op::Reduce { reduction: Reduction::Mean, axes: vec![2, 3], keep_axes: false };
    let mean = b.node("mean", mean, &[a]).unwrap();
    let y = linear(&mut b, "fc", mean, &[&[0.5, -1.5, 2.0], &[1.0, 1.0, 1.0]], &[]);
    let graph = b.finish(&[y]).unwrap();
    let image: Vec<f64> = (0..9).map(|i| (f64::from(i) * 0.7).cos()).collect();
    let at = |c: usize, row: i32, column: i32| -> f64 {
        let tap = |k: i32| {
            let (i, j) = (row + k / 3 - 1, column + k % 3 - 1);
            let inside = (0..3).contains(&i) && (0..3).contains(&j);
            if inside { f64::from(kernel[9 * c + k as usize]) * image[(3 * i + j) as usize] } else { 0.0 }
        };
        (0..9).map(tap).sum()
    };
    let cam =
        |k: i32| (0.5 * at(0, k / 3, k % 3) - 1.5 * at(1, k / 3, k % 3) + 2.0 * at(2, k / 3, k % 3)) / 9.0;
    close(&map(&run(&graph, &Cam::grad_cam("conv"), &image)), &(0..9).map(cam).collect::<Vec<f64>>(), 1e-12);
}
