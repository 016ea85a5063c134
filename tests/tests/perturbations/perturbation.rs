//! Perturbation methods: Captum's known answers, the axioms on random games, and what is said to bad input.
#![allow(clippy::unwrap_used)]

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use voxplain::attribution::methods::Baseline;
use voxplain::attribution::{Attribution, Engine, Method, Target};
use voxplain::graph::ops::Binary;
use voxplain::graph::{Graph, GraphBuilder, Op};
use voxplain::perturbation::methods::*;
use voxplain::perturbation::{Coalition, Features, Fill, Inside, NO_FEATURE, Sharing, Spread};
use voxplain::tensor::Tensor;
use voxplain_oracle::Oracle;
use voxplain_tests::captum::{captum, dense, multi_layer, tensor};
use voxplain_tests::networks::{Case, case};
use voxplain_tests::relative_error;

fn run(graph: &Graph, method: &dyn Method<f64>, inputs: &[Tensor<f64>]) -> Attribution<f64> {
    method.attribute(&mut Engine::new(graph, &Oracle, None), inputs, &Target::Class(vec![0])).unwrap()
}

fn maps(result: &Attribution<f64>) -> Vec<f64> {
    result.maps.iter().flat_map(|m| m.values.data().to_vec()).collect()
}

fn check(id: u64, result: &Attribution<f64>) {
    let Some(expected) = captum(id) else { return };
    let error = relative_error(&maps(result), &expected);
    assert!(error < 1e-6, "case {id}: {error:e}: {:?} {expected:?}", maps(result));
}

fn zero() -> Baseline<f64> {
    Baseline::Constant(0.0)
}

#[test]
fn one_input_as_in_captum() {
    let (graph, x) = (multi_layer(1), [tensor(&[1, 3], &[20.0, 50.0, 30.0])]);
    let window = |size: usize, stride: usize, b: f64| {
        let (window, strides) = (vec![vec![size]], vec![vec![stride]]);
        run(&graph, &Occlusion { baseline: Baseline::Constant(b), window, strides }, &x)
    };
    check(17, &window(1, 1, 0.0));
    check(18, &window(2, 1, 10.0));
    check(19, &window(2, 2, 0.0));
    let mask = |rows: &[f64]| Features::from_masks(&graph, &[tensor(&[rows.len() / 3, 3], rows)]).unwrap();
    let pair = || mask(&[0.0, 0.0, 1.0]);
    let ablate = |b: f64, features: Features, x: &[Tensor<f64>]| {
        run(&graph, &FeatureAblation { baseline: Baseline::Constant(b), features }, x)
    };
    check(23, &ablate(0.0, pair(), &x));
    check(24, &ablate(4.0, pair(), &x));
    let two = [tensor(&[2, 3], &[2.0, 10.0, 3.0, 20.0, 50.0, 30.0])];
    check(25, &ablate(0.0, mask(&[0.0, 0.0, 1.0, 1.0, 1.0, 0.0]), &two));
    let shapley = |b: f64, features: Features| {
        run(&graph, &ShapleyValues { baseline: Baseline::Constant(b), features }, &x)
    };
    check(30, &shapley(0.0, Features::each(&graph)));
    check(31, &shapley(0.0, pair()));
    check(32, &shapley(4.0, pair()));
}

#[test]
fn three_inputs_as_in_captum() {
    let graph = multi_layer(3);
    let x = [
        tensor(&[2, 3], &[23.0, 100.0, 0.0, 20.0, 50.0, 30.0]),
        tensor(&[2, 3], &[20.0, 50.0, 30.0, 0.0, 100.0, 0.0]),
        tensor(&[2, 3], &[0.0, 100.0, 10.0, 2.0, 10.0, 3.0]),
    ];
    let window = vec![vec![3], vec![1], vec![2]];
    let occlude = |baseline, strides: [usize; 3]| {
        let strides = strides.map(|s| vec![s]).to_vec();
        run(&graph, &Occlusion { baseline, window: window.clone(), strides }, &x)
    };
    check(20, &occlude(zero(), [1, 1, 1]));
    let given = Baseline::Given(vec![
        tensor(&[2, 3], &[1.0, 4.0, 7.0, 3.0, 6.0, 9.0]),
        tensor(&[2, 3], &[3.0; 6]),
        tensor(&[2, 3], &[4.0, 4.0, 4.0, 6.0, 6.0, 6.0]),
    ]);
    check(21, &occlude(given, [2, 1, 2]));
    let masks = |m2: &[f64], m3: &[f64]| {
        let rows = |m: &[f64]| tensor(&[m.len() / 3, 3], m);
        Features::from_masks(&graph, &[rows(&[1.0, 1.0, 1.0, 0.0, 1.0, 0.0]), rows(m2), rows(m3)]).unwrap()
    };
    let own = || masks(&[3.0, 4.0, 2.0], &[5.0, 6.0, 7.0, 5.0, 5.0, 5.0]);
    let shared = || masks(&[0.0, 1.0, 2.0], &[0.0, 1.0, 2.0, 0.0, 0.0, 0.0]);
    let ablate = |baseline, features| run(&graph, &FeatureAblation { baseline, features }, &x);
    check(26, &ablate(zero(), own()));
    let levels = Baseline::Given([2.0, 3.0, 4.0].map(|v| tensor(&[2, 3], &[v; 6])).to_vec());
    check(27, &ablate(levels, own()));
    check(28, &ablate(zero(), shared()));
    check(33, &run(&graph, &ShapleyValues { baseline: zero(), features: shared() }, &x));
}

#[test]
fn windows_end_at_the_border_and_overlap_averages() {
    let mut b = GraphBuilder::new();
    let x = b.input("x", &[1, 5]).unwrap();
    let y = dense(&mut b, "f", x, &[1, 5], &[1.0, 2.0, 4.0, 8.0, 16.0], &[0.0]);
    let graph = b.finish(&[y]).unwrap();
    let ones = [tensor(&[1, 5], &[1.0; 5])];
    let occlude = |size: usize, stride: usize| {
        run(
            &graph,
            &Occlusion { baseline: zero(), window: vec![vec![size]], strides: vec![vec![stride]] },
            &ones,
        )
    };
    check(51, &occlude(3, 3));
    check(52, &occlude(3, 2));
    assert_eq!(maps(&occlude(4, 3)), [15.0, 15.0, 15.0, 19.5, 24.0]);
}

/// Captum's case 53: a batch of one has nobody to take values from. Captum gives zeros; here it is an error.
#[test]
fn a_permutation_needs_others() {
    let graph = multi_layer(1);
    let method = FeaturePermutation {
        features: Features::each(&graph),
        donors: Donors::Seeded { seed: 1, draws: 1 },
        others: Vec::new(),
    };
    let mut engine = Engine::new(&graph, &Oracle, None);
    let one = [tensor(&[1, 3], &[1.0, 2.0, 3.0])];
    let error = Method::<f64>::attribute(&method, &mut engine, &one, &Target::Class(vec![0])).unwrap_err();
    assert!(error.message().contains("only one"), "{error}");
    // Of two examples each takes the other's.
    let two = [tensor(&[2, 3], &[1.0, 2.0, 3.0, 11.0, 12.0, 13.0])];
    let result = run(&graph, &method, &two);
    let first = maps(&result);
    assert!(first[..3].iter().all(|v| *v < 0.0) && first[3..].iter().all(|v| *v > 0.0), "{first:?}");
}

/// Blocks of the 6 x 5 pictures of random networks: 2 channels times 4 blocks.
fn blocks(graph: &Graph) -> Features {
    Features::grid(graph, 3)
}

fn scores(result: &Attribution<f64>) -> Vec<f64> {
    result.scores.as_ref().unwrap().values[0].clone()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    /// Every way to Shapley values that sees all coalitions gives the same, and every way, however few it sees, adds up.
    #[test]
    fn shapley_values_by_all_ways(case in case(), seed in any::<u64>()) {
        let graph = case.graph().unwrap();
        let (x, r) = ([Case::tensor(&case.x).unwrap()], Case::tensor(&case.r).unwrap());
        let baseline = || Baseline::Given(vec![r.clone()]);
        let exact = run(&graph, &ShapleyValues { baseline: baseline(), features: blocks(&graph) }, &x);
        let scale = scores(&exact).iter().fold(1e-9f64, |m, v| m.max(v.abs()));
        let kernel = |rows| run(&graph, &KernelShap { baseline: baseline(), features: blocks(&graph), rows }, &x);
        for rows in [KernelRows::Exact, KernelRows::Leverage { seed, draws: 1000 }] {
            let fit = kernel(rows);
            for (a, b) in scores(&fit).iter().zip(scores(&exact)) {
                prop_assert!((a - b).abs() <= 1e-9 * scale, "{a} {b}");
            }
        }
        let sampled = |draws| {
            let permutations = Permutations::Seeded { seed, draws, antithetic: draws % 2 == 0 };
            run(&graph, &ShapleySampling { baseline: baseline(), features: blocks(&graph), permutations }, &x)
        };
        let few = [kernel(KernelRows::Leverage { seed, draws: 40 }), kernel(KernelRows::Captum { seed, draws: 60 }),
                   sampled(3), sampled(4)];
        for result in few.iter().chain([&exact]) {
            let (residual, whole) = (result.residuals.as_ref().unwrap()[0], result.differences.as_ref().unwrap()[0]);
            let mass: f64 = scores(result).iter().map(|v| v.abs()).sum();
            prop_assert!(residual.abs() <= 1e-10 * (mass + whole.abs() + 1e-6), "{residual:e} of {mass}");
        }
    }

    /// The same bits for any batch.
    #[test]
    fn sampling_is_repeatable(case in case(), seed in any::<u64>()) {
        let (whole, method, graph) = sampled(&case, seed);
        let x = [Case::tensor(&case.x).unwrap()];
        let mut engine = Engine::new(&graph, &Oracle, None).with_rows(1);
        let single = method.attribute(&mut engine, &x, &Target::Class(vec![0])).unwrap();
        prop_assert_eq!(maps(&whole), maps(&single));
    }
}

fn sampled(case: &Case, seed: u64) -> (Attribution<f64>, ShapleySampling<f64>, Graph) {
    let graph = case.graph().unwrap();
    let baseline = Baseline::Given(vec![Case::tensor(&case.r).unwrap()]);
    let permutations = Permutations::Seeded { seed, draws: 60, antithetic: true };
    let method = ShapleySampling { baseline, features: blocks(&graph), permutations };
    (run(&graph, &method, &[Case::tensor(&case.x).unwrap()]), method, graph)
}

/// The mean over many orders lies within its own error of the exact values: of 30 pairs, three standard errors hold nearly
/// all. Not all: a contribution that one coalition in a hundred makes alone may be in none of them. The cases are always the
/// same, because a statement about frequencies has no counterexample.
#[test]
fn sampling_is_honest_about_its_error() {
    let mut runner = TestRunner::deterministic();
    let (mut within, mut all) = (0, 0);
    for seed in 0..40 {
        let case = case().new_tree(&mut runner).unwrap().current();
        let (whole, method, graph) = sampled(&case, seed);
        let (baseline, features) = (method.baseline, method.features);
        let x = [Case::tensor(&case.x).unwrap()];
        let exact = run(&graph, &ShapleyValues { baseline, features }, &x);
        let errors = whole.scores.as_ref().unwrap().errors.as_ref().unwrap()[0].clone();
        for ((a, b), error) in scores(&whole).iter().zip(scores(&exact)).zip(errors) {
            within += usize::from((a - b).abs() <= 3.0 * error + 1e-9);
            all += 1;
        }
    }
    assert!(within * 100 >= all * 97, "{within} of {all} scores");
}

/// On a linear model every estimator gives `w (x - b)` summed over the feature; a modality that is not looked at gets 0,
/// and two that are alike get the same.
#[test]
fn closed_form_on_a_linear_model() {
    let mut b = GraphBuilder::new();
    let x = b.input("x", &[1, 4, 2]).unwrap();
    let flat = b.node("flat", Op::Reshape { sizes: vec![1, 8] }, &[x]).unwrap();
    let y = dense(&mut b, "f", flat, &[1, 8], &[1.0, 2.0, 0.0, 0.0, -1.5, 3.0, 2.0, 1.0], &[0.7]);
    let graph = b.finish(&[y]).unwrap();
    let input = [tensor(&[1, 4, 2], &[1.0, 2.0, 5.0, 7.0, -1.0, 0.5, 2.0, 1.0])];
    let expected = [5.0, 0.0, 3.0, 5.0];
    let features = || Features::modalities(&graph);
    let ols = |surrogate, draws| Lime {
        baseline: zero(),
        features: features(),
        rows: LimeRows::Seeded { seed: 3, draws },
        distance: Distance::Cosine,
        kernel_width: 1.0,
        surrogate,
    };
    let leverage = KernelRows::Leverage { seed: 1, draws: 12 };
    let captum = KernelRows::Captum { seed: 1, draws: 40 };
    let permutations = Permutations::Seeded { seed: 9, draws: 2, antithetic: false };
    let methods: [Box<dyn Method<f64>>; 7] = [
        Box::new(FeatureAblation { baseline: zero(), features: features() }),
        Box::new(ShapleyValues { baseline: zero(), features: features() }),
        Box::new(ShapleySampling { baseline: zero(), features: features(), permutations }),
        Box::new(KernelShap { baseline: zero(), features: features(), rows: leverage }),
        Box::new(KernelShap { baseline: zero(), features: features(), rows: captum }),
        Box::new(ols(Surrogate::LeastSquares, 60)),
        Box::new(ols(Surrogate::Lasso(0.0), 60)),
    ];
    for method in methods {
        let found = scores(&run(&graph, &*method, &input));
        for (a, b) in found.iter().zip(expected) {
            assert!((a - b).abs() < 1e-9, "{}: {found:?}", method.name());
        }
    }
    let surrogate = run(&graph, &ols(Surrogate::LeastSquares, 60), &input);
    assert!(surrogate.notes[0].contains("R^2 = 1.0000"), "{:?}", surrogate.notes);
    // Fewer given rows than unknowns: said, not hidden.
    let rows = LimeRows::Given([[0, 1, 2], [1, 2, 3]].map(|s| Coalition::of(4, |f| s.contains(&f))).to_vec());
    let few = run(&graph, &Lime { rows, ..ols(Surrogate::LeastSquares, 0) }, &input);
    assert!(few.notes.iter().any(|n| n.contains("use more draws or ridge")), "{:?}", few.notes);
}

#[test]
fn bad_input_is_one_sentence() {
    let graph = multi_layer(1);
    let refuse = |masks: &[Tensor<f64>], part: &str| {
        let error = Features::from_masks(&graph, masks).unwrap_err();
        assert!(error.message().contains(part), "{error}");
    };
    refuse(&[], "0 masks for 1 inputs");
    refuse(&[tensor(&[1, 4], &[0.0; 4])], "the mask of input \"x0\" has shape");
    refuse(&[tensor(&[1, 3], &[0.0, 0.5, 1.0])], "holds 0.5");
    refuse(&[tensor(&[1, 3], &[0.0, -1.0, 1.0])], "holds -1");
    let x = [tensor(&[1, 3], &[1.0, 2.0, 3.0])];
    let fail = |method: &dyn Method<f64>, x: &[Tensor<f64>], part: &str| {
        let mut engine = Engine::new(&graph, &Oracle, None);
        let error = method.attribute(&mut engine, x, &Target::Class(vec![0])).unwrap_err();
        assert!(error.message().contains(part), "{error}");
    };
    let wide = linear(21);
    let values = ShapleyValues { baseline: zero(), features: Features::each(&wide) };
    let mut engine = Engine::new(&wide, &Oracle, None);
    let error =
        values.attribute(&mut engine, &[tensor(&[1, 21], &[1.0; 21])], &Target::Class(vec![0])).unwrap_err();
    assert!(error.message().contains("at most 20 features"), "{error}");
    let single = Features::from_masks(&graph, &[tensor(&[1, 3], &[0.0; 3])]).unwrap();
    let rows = KernelRows::Exact;
    fail(&KernelShap { baseline: zero(), features: single, rows }, &x, "at least two features");
    let rows = KernelRows::Given(vec![Coalition::empty(2)], vec![1.0]);
    fail(
        &KernelShap { baseline: zero(), features: Features::each(&graph), rows },
        &x,
        "a coalition of 2 features",
    );
    let permutations = Permutations::Given(vec![vec![0, 1, 1]]);
    let features = Features::each(&graph);
    fail(&ShapleySampling { baseline: zero(), features, permutations }, &x, "row 0 is no order");
    let strides = vec![vec![3]];
    fail(&Occlusion { baseline: zero(), window: vec![vec![1]], strides }, &x, "leave entries uncovered");
}

/// One output that is the sum of `n` entries.
fn linear(n: usize) -> Graph {
    let mut b = GraphBuilder::new();
    let x = b.input("x", &[1, n]).unwrap();
    let y = dense(&mut b, "f", x, &[1, n], &vec![1.0; n], &[0.0]);
    b.finish(&[y]).unwrap()
}

/// Draws that cannot tell the scores apart are refused before anything is evaluated, and so are regressions without end.
#[test]
fn more_features_than_samples_can_identify() {
    let refused = |n: usize, method: &dyn Method<f64>, part: &str| {
        let graph = linear(n);
        let mut engine = Engine::new(&graph, &Oracle, None);
        let x = [tensor(&[1, n], &vec![1.0; n])];
        let error = method.attribute(&mut engine, &x, &Target::Class(vec![0])).unwrap_err();
        assert!(error.message().contains(part), "{error}");
    };
    let kernel = |n: usize, rows| KernelShap { baseline: zero(), features: Features::each(&linear(n)), rows };
    let lime = |n: usize, surrogate, draws| Lime {
        baseline: zero(),
        features: Features::each(&linear(n)),
        rows: LimeRows::Seeded { seed: 1, draws },
        distance: Distance::Cosine,
        kernel_width: 1.0,
        surrogate,
    };
    refused(9, &kernel(9, KernelRows::Leverage { seed: 1, draws: 15 }), "takes 16 draws or more");
    refused(9, &kernel(9, KernelRows::Captum { seed: 1, draws: 9 }), "takes 10 draws or more");
    refused(9, &lime(9, Surrogate::LeastSquares, 9), "takes 10 draws or more");
    refused(2000, &kernel(2000, KernelRows::Leverage { seed: 1, draws: 20_000 }), "at most 1024");
    refused(2000, &lime(2000, Surrogate::Ridge(1.0), 20_000), "at most 1024");
    // Some more than the least are enough.
    for rows in [KernelRows::Leverage { seed: 1, draws: 24 }, KernelRows::Leverage { seed: 5, draws: 32 }] {
        let found = run(&linear(9), &kernel(9, rows), &[tensor(&[1, 9], &[1.0; 9])]);
        assert!(scores(&found).iter().all(|s| (s - 1.0).abs() < 1e-9), "{:?}", scores(&found));
        assert!(!found.notes.iter().any(|n| n.contains("determine")), "{:?}", found.notes);
    }
}

/// An atlas's labels: numbers between them are no features, and cost nothing.
#[test]
fn gaps_between_labels_are_no_features() {
    let graph = linear(4);
    let mask = |labels: &[f64]| Features::from_masks(&graph, &[tensor(&[1, 4], labels)]).unwrap();
    let atlas = mask(&[2.0, 2035.0, 41.0, 2.0]);
    assert_eq!((atlas.count(), atlas.of(0, 0)), (3, &[0, 2, 1, 0][..]));
    assert_eq!(atlas.names(), Some(&[2, 41, 2035][..]));
    // Draws may have a column for every number.
    let last = |width| atlas.columns(width).map(|c| c[2]);
    assert_eq!([3, 2036, 2034, 7].map(last), [Some(2), Some(2035), Some(2033), None]);
    let found =
        run(&graph, &ShapleyValues { baseline: zero(), features: atlas }, &[tensor(&[1, 4], &[1.0; 4])]);
    assert_eq!(scores(&found), [2.0, 1.0, 1.0]);
}

/// Regions of two inputs that have the same numbers are never one feature; entries of no region stay; maps of divided
/// scores add up.
#[test]
fn regions_belong_to_their_modality() {
    let mut b = GraphBuilder::new();
    let x = b.input("x", &[1, 2, 3]).unwrap();
    let y = b.input("y", &[1, 1, 3]).unwrap();
    let flat = |b: &mut GraphBuilder, name: &str, v, n| {
        b.node(name, Op::Reshape { sizes: vec![1, n] }, &[v]).unwrap()
    };
    let (p, q) = (flat(&mut b, "p", x, 6), flat(&mut b, "q", y, 3));
    let p = dense(&mut b, "f", p, &[1, 6], &[1.0; 6], &[0.0]);
    let q = dense(&mut b, "g", q, &[1, 3], &[1.0; 3], &[0.0]);
    let sum = b.node("sum", Op::Binary(Binary::Add), &[p, q]).unwrap();
    let graph = b.finish(&[sum]).unwrap();
    let maps_of = [tensor(&[1, 1, 3], &[1.0, 1.0, 0.0]), tensor(&[1, 1, 3], &[0.0, 1.0, 7.0])];
    let own = Features::of_regions(&graph, &maps_of, Sharing::Own).unwrap();
    assert_eq!(own.of(0, 0), [0, 0, NO_FEATURE, 1, 1, NO_FEATURE]);
    assert_eq!(own.of(1, 0), [NO_FEATURE, 2, 3]);
    assert_eq!(own.modalities_of(&graph, 0).unwrap(), [0, 1, 2, 2]);
    let joint = Features::of_regions(&graph, &maps_of, Sharing::Joint).unwrap();
    assert_eq!(joint.of(0, 0), [0, 0, NO_FEATURE, 0, 0, NO_FEATURE]);
    assert_eq!(joint.of(1, 0), [NO_FEATURE, 1, 2]);
    let inputs = [tensor(&[1, 2, 3], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]), tensor(&[1, 1, 3], &[7.0, 8.0, 9.0])];
    let method = ShapleyValues { baseline: zero(), features: own.spread(Spread::Divide) };
    let result = run(&graph, &method, &inputs);
    assert_eq!(scores(&result), [3.0, 9.0, 8.0, 9.0]);
    assert_eq!(maps(&result), [1.5, 1.5, 0.0, 4.5, 4.5, 0.0, 0.0, 8.0, 9.0]);
    let regions = &result.scores.as_ref().unwrap().regions[0];
    assert_eq!(
        (regions[1].input, regions[1].channel, regions[1].number, regions[1].entries),
        (Some(0), Some(1), 1, 2)
    );
}

/// A region of a ramp, filled from its surroundings, is the ramp again; the foreground decides what is touched.
#[test]
fn fills_keep_to_the_foreground() {
    let mut b = GraphBuilder::new();
    let x = b.input("x", &[1, 1, 7]).unwrap();
    let y = b.relu("relu", x).unwrap();
    let graph = b.finish(&[y]).unwrap();
    let ramp = [tensor(&[1, 1, 7], &[0.0, 1.0, 2.0, 90.0, 4.0, 5.0, 6.0])];
    let hole = [tensor(&[1, 1, 7], &[0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0])];
    let features = Features::of_regions(&graph, &hole, Sharing::Own).unwrap();
    let filled = Fill::Surroundings.make_inside(&ramp, &Inside::Foreground, Some(&features)).unwrap();
    assert!((filled[0].data()[3] - 3.0).abs() < 1e-3, "{:?}", filled[0]);
    assert!(Fill::Surroundings.make(&ramp).unwrap_err().message().contains("needs regions"));
    let five = Fill::Constant(5.0).make_inside(&ramp, &Inside::Foreground, None).unwrap();
    assert_eq!(five[0].data(), [0.0, 5.0, 5.0, 5.0, 5.0, 5.0, 5.0]);
    let given = Inside::Given(vec![tensor(&[1, 1, 7], &[0.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0])]);
    assert_eq!(Fill::Mean.make_inside(&ramp, &given, None).unwrap()[0].data()[..4], [0.0, 1.5, 1.5, 90.0]);
    // Another patient's values, where they are wanted.
    let other = vec![tensor(&[1, 1, 7], &[7.0; 7])];
    let kept = |inside: &Inside<f64>| inside.keep(&ramp, other.clone()).unwrap()[0].data().to_vec();
    assert_eq!(kept(&Inside::Foreground), [0.0, 7.0, 7.0, 7.0, 7.0, 7.0, 7.0]);
    assert_eq!(kept(&given), [0.0, 7.0, 7.0, 90.0, 4.0, 5.0, 6.0]);
    assert!(Inside::Everywhere.keep(&ramp, vec![tensor(&[1, 1, 6], &[7.0; 6])]).is_err());
}
