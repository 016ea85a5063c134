//! Estimators of perturbation methods: the axioms each promises, closed forms within the errors they state, budgets, going
//! on from saved evaluations, and draws that are handed out and given back.
#![allow(clippy::unwrap_used)]

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use std::cell::Cell;
use voxplain::attribution::methods::Baseline;
use voxplain::attribution::{Attribution, Engine, Target};
use voxplain::graph::ops::Binary;
use voxplain::graph::{Graph, GraphBuilder, Op, ValueId};
use voxplain::perturbation::methods::*;
use voxplain::perturbation::{Budget, Coalition, Estimator, Features, Ledger, Precision, Run, Sharing};
use voxplain::tensor::Tensor;
use voxplain_oracle::Oracle;
use voxplain_tests::networks::{Case, case};

type Boxed = Box<dyn Estimator<f64>>;

fn tensor(sizes: &[usize], data: &[f64]) -> Tensor<f64> {
    Tensor::new(sizes, data.to_vec()).unwrap()
}

fn dense(b: &mut GraphBuilder, name: &str, x: ValueId, sizes: &[usize], w: &[f32], c: &[f32]) -> ValueId {
    let w = b.parameter(&format!("{name}.weight"), sizes, w.to_vec()).unwrap();
    let c = b.parameter(&format!("{name}.bias"), &[sizes[0]], c.to_vec()).unwrap();
    b.linear(name, x, w, Some(c)).unwrap()
}

/// `w . x + c` of one input of as many entries.
fn linear(w: &[f32], c: f32) -> Graph {
    let mut b = GraphBuilder::new();
    let x = b.input("x", &[1, w.len()]).unwrap();
    let y = dense(&mut b, "f", x, &[1, w.len()], w, &[c]);
    b.finish(&[y]).unwrap()
}

/// The product of all entries of inputs of these sizes.
fn product(sizes: &[usize]) -> Graph {
    let mut b = GraphBuilder::new();
    let mut all: Option<ValueId> = None;
    for (i, &n) in sizes.iter().enumerate() {
        let x = b.input(&format!("x{i}"), &[1, 1, n]).unwrap();
        let flat = b.node(&format!("flat{i}"), Op::Reshape { sizes: vec![1, n] }, &[x]).unwrap();
        for k in 0..n {
            let w: Vec<f32> = (0..n).map(|j| f32::from(u8::from(j == k))).collect();
            let one = dense(&mut b, &format!("pick{i}.{k}"), flat, &[1, n], &w, &[0.0]);
            let name = format!("times{i}.{k}");
            all = Some(match all {
                None => one,
                Some(so_far) => b.node(&name, Op::Binary(Binary::Mul), &[so_far, one]).unwrap(),
            });
        }
    }
    b.finish(&[all.unwrap()]).unwrap()
}

fn zero() -> Baseline<f64> {
    Baseline::Constant(0.0)
}

fn first() -> Target {
    Target::Class(vec![0])
}

fn with(graph: &Graph, method: &dyn Estimator<f64>, x: &[Tensor<f64>], run: &mut Run) -> Attribution<f64> {
    method.estimate(&mut Engine::new(graph, &Oracle, None), x, &first(), run).unwrap()
}

fn run(graph: &Graph, method: &dyn Estimator<f64>, x: &[Tensor<f64>]) -> Attribution<f64> {
    with(graph, method, x, &mut Run::default())
}

fn scores(result: &Attribution<f64>) -> Vec<f64> {
    result.scores.as_ref().unwrap().values[0].clone()
}

fn errors(result: &Attribution<f64>) -> Vec<f64> {
    result.scores.as_ref().unwrap().errors.as_ref().unwrap()[0].clone()
}

/// Every bit of a result that is a number.
fn bits(result: &Attribution<f64>) -> Vec<u64> {
    let maps = result.maps.iter().flat_map(|m| m.values.data().to_vec());
    let errors = result.scores.iter().flat_map(|s| s.errors.clone().unwrap_or_default().concat());
    maps.chain(errors).chain(result.values.clone()).map(f64::to_bits).collect()
}

/// The methods that share a game, with features that lie in one channel each.
fn games(baseline: &Baseline<f64>, features: &Features, seed: u64) -> Vec<(&'static str, Boxed)> {
    let (b, f) = (|| baseline.clone(), || features.clone());
    let orders = |draws| Permutations::Seeded { seed, draws, antithetic: true };
    let kernel = |rows| Box::new(KernelShap { baseline: b(), features: f(), rows }) as Boxed;
    let banzhaf = |rows| Box::new(Banzhaf { baseline: b(), features: f(), rows }) as Boxed;
    let owen = |orders| Box::new(Owen { baseline: b(), features: f(), orders }) as Boxed;
    let lime = |surrogate| {
        let rows = LimeRows::Seeded { seed, draws: 70 };
        let distance = Distance::Euclidean;
        let (baseline, features) = (b(), f());
        Box::new(Lime { baseline, features, rows, distance, kernel_width: 5.0, surrogate }) as Boxed
    };
    vec![
        ("shapley", Box::new(ShapleyValues { baseline: b(), features: f() })),
        ("sampling", Box::new(ShapleySampling { baseline: b(), features: f(), permutations: orders(6) })),
        ("owen", owen(OwenOrders::Exact)),
        ("owen sampled", owen(OwenOrders::Sampled(orders(6)))),
        ("banzhaf", banzhaf(BanzhafRows::Exact)),
        ("banzhaf plain", banzhaf(BanzhafRows::Plain { seed, draws: 4 })),
        ("ablation", Box::new(FeatureAblation { baseline: b(), features: f() })),
        ("kernel", kernel(KernelRows::Exact)),
        ("kernel leverage", kernel(KernelRows::Leverage { seed, draws: 80 })),
        ("banzhaf reuse", banzhaf(BanzhafRows::Reuse { seed, draws: 70 })),
        ("lime", lime(Surrogate::LeastSquares)),
        ("lime lasso", lime(Surrogate::Lasso(1e-3))),
        (
            "sobol",
            Box::new(Sobol { baseline: b(), features: f(), points: SobolPoints::Seeded { seed, draws: 8 } }),
        ),
    ]
}

/// The methods without features, and permutation.
fn others(baseline: &Baseline<f64>, seed: u64) -> Vec<(&'static str, Boxed)> {
    let masks = RiseMasks::Seeded { seed, draws: 20 };
    let (cells, sharing) = (2, Sharing::Own);
    let rise = Rise { baseline: baseline.clone(), cells, probability: 0.5, sharing, centred: true, masks };
    let (window, strides) = (vec![vec![1, 3, 3]], vec![vec![1, 2, 2]]);
    vec![
        ("rise", Box::new(rise) as Boxed),
        ("occlusion", Box::new(Occlusion { baseline: baseline.clone(), window, strides })),
    ]
}

fn setting(case: &Case) -> (Graph, [Tensor<f64>; 1], Baseline<f64>) {
    let baseline = Baseline::Given(vec![Case::tensor(&case.r).unwrap()]);
    (case.graph().unwrap(), [Case::tensor(&case.x).unwrap()], baseline)
}

fn near(a: &[f64], b: &[f64], tolerance: f64) -> bool {
    let scale = a.iter().chain(b).fold(1e-6f64, |m, v| m.max(v.abs()));
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| (a - b).abs() <= tolerance * scale)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]

    /// A feature that is the same in input and baseline scores 0; scores of a difference of outputs are the difference of the
    /// scores; Shapley and Owen values add up. Random networks, 8 features in 2 modalities.
    #[test]
    fn dummy_linearity_and_efficiency(mut case in case(), seed in any::<u64>(), dummy in 0usize..8) {
        let features = Features::grid(&case.graph().unwrap(), 3);
        let labels = features.of(0, 0).to_vec();
        (0..60).filter(|&e| labels[e] as usize == dummy).for_each(|e| case.r[e] = case.x[e]);
        let (graph, x, baseline) = setting(&case);
        for (name, method) in games(&baseline, &features, seed) {
            let result = run(&graph, &*method, &x);
            let found = scores(&result);
            let scale = found.iter().fold(1e-6f64, |m, v| m.max(v.abs()));
            if !["banzhaf reuse", "lime", "lime lasso", "kernel leverage"].contains(&name) {
                prop_assert!(found[dummy].abs() <= 1e-9 * scale, "{name}: {found:?}");
            }
            if let (Some(residual), Some(difference)) = (&result.residuals, &result.differences) {
                let mass: f64 = found.iter().map(|v| v.abs()).sum();
                prop_assert!(residual[0].abs() <= 1e-10 * (mass + difference[0].abs() + 1e-6), "{name}");
            }
            // Neither an index of variance nor a penalised fit is linear.
            if !["sobol", "lime lasso"].contains(&name) {
                let of = |target: Target| {
                    let mut engine = Engine::new(&graph, &Oracle, None);
                    scores(&method.estimate(&mut engine, &x, &target, &mut Run::default()).unwrap())
                };
                let (second, gap) = (of(Target::Class(vec![1])), of(Target::Difference(0, 1)));
                let expected: Vec<f64> = found.iter().zip(&second).map(|(a, b)| a - b).collect();
                let size = second.iter().fold(scale, |m, v| m.max(v.abs()));
                let fits = gap.iter().zip(&expected).all(|(a, b)| (a - b).abs() <= 1e-8 * size);
                prop_assert!(fits, "{name}: {gap:?} {expected:?}");
            }
        }
    }

    /// Regions of a modality add up, as Owen values, to the modality's own Shapley value; two features made one score the sum
    /// of their Banzhaf values.
    #[test]
    fn groups_are_consistent(case in case(), a in 0usize..8, b in 0usize..8) {
        let (graph, x, baseline) = setting(&case);
        let regions = Features::grid(&graph, 3);
        let owen = Owen { baseline: baseline.clone(), features: regions.clone(), orders: OwenOrders::Exact };
        let owen = scores(&run(&graph, &owen, &x));
        let whole = ShapleyValues { baseline: baseline.clone(), features: Features::modalities(&graph) };
        let whole = scores(&run(&graph, &whole, &x));
        let sums = [owen[..4].iter().sum::<f64>(), owen[4..].iter().sum()];
        prop_assert!(near(&sums, &whole, 1e-9), "{sums:?} {whole:?}");
        let banzhaf = |features| {
            let method = Banzhaf { baseline: baseline.clone(), features, rows: BanzhafRows::Exact };
            scores(&run(&graph, &method, &x))
        };
        let (apart, joined) = (banzhaf(regions.clone()), {
            let merge = |l: &u32| if *l as usize == b { a as f64 } else { f64::from(*l) };
            let mask = Tensor::new(&[1, 2, 6, 5], regions.of(0, 0).iter().map(merge).collect()).unwrap();
            banzhaf(Features::from_masks(&graph, &[mask]).unwrap())
        });
        let both = if a == b { apart[a] } else { apart[a] + apart[b] };
        let scale = apart.iter().fold(1e-6f64, |m, v| m.max(v.abs()));
        prop_assert!((joined[a] - both).abs() <= 1e-9 * scale);
    }

    /// The same bits for any batch, saved in parts or not, after any break, and with a ledger that knows more than the budget
    /// allows; what is known is not evaluated again.
    #[test]
    fn a_break_changes_nothing(case in case(), seed in any::<u64>(), budget in 20u64..60) {
        let (graph, x, baseline) = setting(&case);
        let features = Features::grid(&graph, 3);
        for (name, method) in games(&baseline, &features, seed).into_iter().chain(others(&baseline, seed)) {
            let mut whole = Run::default();
            let reference = bits(&with(&graph, &*method, &x, &mut whole));
            let mut engine = Engine::new(&graph, &Oracle, None).with_rows(1);
            let mut saving = Run::default().saved_by(|_| Ok(()));
            let single = method.estimate(&mut engine, &x, &first(), &mut saving).unwrap();
            prop_assert_eq!(&bits(&single), &reference, "{} in parts", name);
            // A first run that a budget ends; some methods cannot end at any number.
            let bounded = Budget { evaluations: Some(budget), ..Budget::default() };
            let mut early = Run::new(bounded);
            let begun = method.estimate(&mut Engine::new(&graph, &Oracle, None), &x, &first(), &mut early);
            prop_assert!(early.ledger().used() <= budget, "{name}");
            let known = Ledger::from_bytes(&early.ledger().to_bytes("key"), "key").unwrap();
            let rows = Cell::new(0);
            let mut engine = Engine::new(&graph, &Oracle, None).observed(|n| rows.set(rows.get() + n as u64));
            let mut later = Run::default().with_ledger(known.clone());
            let resumed = method.estimate(&mut engine, &x, &first(), &mut later).unwrap();
            prop_assert_eq!(&bits(&resumed), &reference, "{} after a break", name);
            prop_assert_eq!(resumed.forward_passes, whole.ledger().used());
            prop_assert!(rows.get() <= later.ledger().known() - known.known(), "{name}: evaluated twice");
            if let Ok(begun) = begun {
                let full = whole.ledger().clone();
                let again = with(&graph, &*method, &x, &mut Run::new(bounded).with_ledger(full));
                prop_assert_eq!(bits(&again), bits(&begun), "{} within {} evaluations", name, budget);
                prop_assert_eq!(again.forward_passes, begun.forward_passes);
            }
        }
    }

    /// What was drawn can be given, and gives the same.
    #[test]
    fn kept_draws_give_the_same(case in case(), seed in any::<u64>()) {
        let (graph, x, baseline) = setting(&case);
        let features = Features::grid(&graph, 3);
        for (name, method) in games(&baseline, &features, seed).into_iter().chain(others(&baseline, seed)) {
            let mut run = Run::default().with_draws();
            let drawn = with(&graph, &*method, &x, &mut run);
            let Some(again) = given(name, &baseline, &features, &run) else { continue };
            prop_assert_eq!(bits(&with(&graph, &*again, &x, &mut Run::default())), bits(&drawn), "{}", name);
        }
    }
}

/// The method with the draws of a run.
fn given(name: &str, baseline: &Baseline<f64>, features: &Features, run: &Run) -> Option<Boxed> {
    let draws = run.draws();
    let (baseline, features) = (baseline.clone(), features.clone());
    let rows = |key: &str| (0..draws[key].rows()).map(|r| draws[key].row(r).to_vec()).collect::<Vec<_>>();
    let sets = || rows("coalitions").iter().map(|r| Coalition::of(r.len(), |f| r[f] == 1.0)).collect();
    Some(match name {
        "banzhaf reuse" => Box::new(Banzhaf { baseline, features, rows: BanzhafRows::Given(sets()) }),
        "lime" => Box::new(Lime {
            baseline,
            features,
            rows: LimeRows::Given(sets()),
            distance: Distance::Euclidean,
            kernel_width: 5.0,
            surrogate: Surrogate::LeastSquares,
        }),
        "sobol" => Box::new(Sobol { baseline, features, points: SobolPoints::Given(rows("points")) }),
        "rise" => {
            let masks = RiseMasks::Given { cells: draws["masks"].clone(), shifts: draws["shifts"].clone() };
            let sharing = Sharing::Own;
            Box::new(Rise { baseline, cells: 2, probability: 0.5, sharing, centred: true, masks })
        }
        _ => return None,
    })
}

/// Two modalities of which one has two regions, multiplied: the regions share their modality's half.
#[test]
fn owen_values_of_a_product() {
    let graph = product(&[2, 1]);
    let x = [tensor(&[1, 1, 2], &[1.0, 1.0]), tensor(&[1, 1, 1], &[1.0])];
    let of = |orders| {
        let features = Features::each(&graph);
        scores(&run(&graph, &Owen { baseline: zero(), features, orders }, &x))
    };
    assert!(near(&of(OwenOrders::Exact), &[0.25, 0.25, 0.5], 1e-12));
    // All orders that keep the first two together.
    let all = [[0, 1, 2], [1, 0, 2], [2, 0, 1], [2, 1, 0]].map(|o| o.to_vec()).to_vec();
    assert!(near(&of(OwenOrders::Sampled(Permutations::Given(all))), &[0.25, 0.25, 0.5], 1e-12));
}

/// Equal features of a symmetric network score the same; on a linear network every additive method gives `w (x - b)`.
#[test]
fn symmetry_and_the_linear_closed_form() {
    let graph = product(&[3]);
    let x = [tensor(&[1, 1, 3], &[1.5, 1.5, 0.5])];
    for (name, method) in games(&Baseline::Constant(0.25), &Features::each(&graph), 5) {
        let found = scores(&run(&graph, &*method, &x));
        if ["shapley", "owen", "banzhaf", "ablation", "kernel"].contains(&name) {
            assert!((found[0] - found[1]).abs() < 1e-12, "{name}: {found:?}");
        }
    }
    let (graph, x) = (linear(&[1.0, -2.0, 0.5, 3.0], 0.7), [tensor(&[1, 4], &[1.0, 2.0, 4.0, -1.0])]);
    for (name, method) in games(&Baseline::Constant(0.5), &Features::each(&graph), 5) {
        let found = scores(&run(&graph, &*method, &x));
        let expected = [0.5, -3.0, 1.75, -4.5];
        match name {
            "banzhaf reuse" | "sobol" | "lime lasso" => {}
            _ => assert!(near(&found, &expected, 1e-9), "{name}: {found:?}"),
        }
    }
}

/// How many of all pairs of a value and its truth lie within three standard errors.
fn within(found: &[f64], truth: &[f64], errors: &[f64]) -> (usize, usize) {
    let inside = found.iter().zip(truth).zip(errors).filter(|((f, t), e)| (*f - *t).abs() <= 3.0 * *e + 1e-9);
    (inside.count(), truth.len())
}

/// Closed forms of RISE and Sobol indices, within three of their own standard errors for nearly all seeds.
#[test]
fn masks_and_points_on_known_functions() {
    let (graph, x) = (linear(&[1.0, -2.0, 0.5], 0.7), [tensor(&[1, 3], &[1.0, 2.0, 4.0])]);
    let (mut inside, mut all) = (0, 0);
    let mut count = |(a, b): (usize, usize)| (inside, all) = (inside + a, all + b);
    let squares = [1.0, 16.0, 4.0].map(|v: f64| v / 21.0);
    let pair = product(&[2]);
    let ones = [tensor(&[1, 1, 2], &[1.0, 1.0])];
    for seed in 0..20 {
        let rise = |centred| {
            let masks = RiseMasks::Seeded { seed, draws: 400 };
            let sharing = Sharing::Own;
            let method = Rise { baseline: zero(), cells: 3, probability: 0.25, sharing, centred, masks };
            let mut run = Run::default().with_draws();
            let map = with(&graph, &method, &x, &mut run).maps[0].values.data().to_vec();
            (map, run.draws()["errors/x"].data().to_vec())
        };
        // Independent entries of probability p: `(1 - p) w x`, and the mean output above it.
        let (map, errors) = rise(true);
        count(within(&map, &[0.75, -3.0, 1.5], &errors));
        let (map, errors) = rise(false);
        let mean = 0.7 + 0.25 * (1.0 - 4.0 + 2.0);
        count(within(&map, &[mean + 0.75, mean - 3.0, mean + 1.5], &errors));
        let sobol = |graph: &Graph, x: &[Tensor<f64>], draws| {
            let points = SobolPoints::Seeded { seed, draws };
            run(graph, &Sobol { baseline: zero(), features: Features::each(graph), points }, x)
        };
        // Additive: shares of the variance. A product of two: 4/7 each, by hand.
        let result = sobol(&graph, &x, 64);
        count(within(&scores(&result), &squares, &errors_of(&result)));
        let result = sobol(&pair, &ones, 256);
        count(within(&scores(&result), &[4.0 / 7.0; 2], &errors_of(&result)));
    }
    assert!(inside * 100 >= all * 97, "{inside} of {all}");
}

fn errors_of(result: &Attribution<f64>) -> Vec<f64> {
    errors(result)
}

/// Three standard errors of every sampling estimator hold nearly all of the truths; the cases are always the same, because
/// a statement about frequencies has no counterexample.
#[test]
fn errors_are_honest() {
    let mut runner = TestRunner::deterministic();
    let mut found = std::collections::BTreeMap::new();
    for seed in 0..30u64 {
        let case = case().new_tree(&mut runner).unwrap().current();
        let (graph, x, baseline) = setting(&case);
        let features = Features::grid(&graph, 3);
        let truth = |rows: &dyn Estimator<f64>| scores(&run(&graph, rows, &x));
        let shapley = truth(&ShapleyValues { baseline: baseline.clone(), features: features.clone() });
        let kernel = KernelShap {
            baseline: baseline.clone(),
            features: features.clone(),
            rows: KernelRows::Leverage { seed, draws: 60 },
        };
        let banzhaf = |rows| Banzhaf { baseline: baseline.clone(), features: features.clone(), rows };
        let exact = truth(&banzhaf(BanzhafRows::Exact));
        let owen = |orders| Owen { baseline: baseline.clone(), features: features.clone(), orders };
        let groups = truth(&owen(OwenOrders::Exact));
        let orders = Permutations::Seeded { seed, draws: 60, antithetic: true };
        let pairs: [(&str, Boxed, &Vec<f64>); 4] = [
            ("kernel", Box::new(kernel), &shapley),
            ("reuse", Box::new(banzhaf(BanzhafRows::Reuse { seed, draws: 100 })), &exact),
            ("plain", Box::new(banzhaf(BanzhafRows::Plain { seed, draws: 40 })), &exact),
            ("owen", Box::new(owen(OwenOrders::Sampled(orders))), &groups),
        ];
        for (name, method, truth) in pairs {
            let result = run(&graph, &*method, &x);
            let (a, b) = within(&scores(&result), truth, &errors(&result));
            let sum = found.entry(name).or_insert((0, 0));
            *sum = (sum.0 + a, sum.1 + b);
        }
    }
    for (name, (inside, all)) in &found {
        assert!(inside * 100 >= all * 96, "{name}: {inside} of {all}");
    }
}

/// A target error ends an estimation as soon as the error is reached, and the errors are then at most that.
#[test]
fn an_estimation_ends_at_its_target_error() {
    let graph = product(&[4]);
    let x = [tensor(&[1, 1, 4], &[1.0, 1.2, 0.8, 1.1])];
    let permutations = Permutations::Seeded { seed: 1, draws: 4000, antithetic: false };
    let method = ShapleySampling { baseline: zero(), features: Features::each(&graph), permutations };
    let to = |error| {
        let mut run = Run::new(Budget { error: Some(error), ..Budget::default() });
        let result = with(&graph, &method, &x, &mut run);
        assert!(run.is_stopped());
        (errors(&result), scores(&result), result.notes)
    };
    let (errors, _, coarse) = to(Precision::Absolute(0.05));
    assert!(errors.iter().all(|e| *e <= 0.05), "{errors:?}");
    let (errors, scores, fine) = to(Precision::Relative(0.1));
    let most = scores.iter().fold(0.0f64, |m, v| m.max(v.abs()));
    assert!(errors.iter().all(|e| *e <= 0.1 * most), "{errors:?} {scores:?}");
    assert_ne!(coarse, fine);
    // No time at all is said, not waited for.
    let mut run = Run::new(Budget { seconds: Some(1e-9), ..Budget::default() });
    let mut engine = Engine::new(&graph, &Oracle, None);
    let error = method.estimate(&mut engine, &x, &first(), &mut run).unwrap_err();
    assert!(error.message().contains("time ended before"), "{error}");
}

#[test]
fn bad_estimations_are_one_sentence() {
    let graph = product(&[3]);
    let x = [tensor(&[1, 1, 3], &[1.0, 2.0, 3.0])];
    let fail = |method: &dyn Estimator<f64>, budget: Option<u64>, part: &str| {
        let mut run = Run::new(Budget { evaluations: budget, ..Budget::default() });
        let mut engine = Engine::new(&graph, &Oracle, None);
        let error = method.estimate(&mut engine, &x, &first(), &mut run).unwrap_err();
        assert!(error.message().contains(part), "{error}");
    };
    for (name, method) in games(&zero(), &Features::each(&graph), 1).into_iter().chain(others(&zero(), 1)) {
        if name != "occlusion" {
            fail(&*method, Some(1), "a budget of 1 evaluations (per example) is too small");
        }
    }
    let permutations = Permutations::Given(vec![vec![0, 2, 1]]);
    let mut b = GraphBuilder::new();
    let p = b.input("p", &[1, 1, 2]).unwrap();
    let q = b.input("q", &[1, 1, 2]).unwrap();
    let sum = b.node("sum", Op::Binary(Binary::Add), &[p, q]).unwrap();
    let flat = b.node("flat", Op::Reshape { sizes: vec![1, 2] }, &[sum]).unwrap();
    let two = b.finish(&[flat]).unwrap();
    let features = Features::each(&two);
    let orders = OwenOrders::Sampled(Permutations::Given(vec![vec![0, 2, 1, 3]]));
    let owen = Owen { baseline: zero(), features, orders };
    let pair = [tensor(&[1, 1, 2], &[1.0; 2]), tensor(&[1, 1, 2], &[1.0; 2])];
    let error = owen
        .estimate(&mut Engine::new(&two, &Oracle, None), &pair, &first(), &mut Run::default())
        .unwrap_err();
    assert!(error.message().contains("keep each modality together"), "{error}");
    let features = || Features::each(&graph);
    fail(&ShapleySampling { baseline: zero(), features: features(), permutations }, Some(2), "too small");
    let points = SobolPoints::Seeded { seed: 0, draws: 2 };
    fail(&Sobol { baseline: zero(), features: features(), points }, None, "at least 4 needed");
    let many = Features::from_masks(&graph, &[tensor(&[1, 1, 3], &[0.0, 1.0, 600.0])]).unwrap();
    let points = SobolPoints::Seeded { seed: 0, draws: 64 };
    fail(&Sobol { baseline: zero(), features: many.clone(), points }, None, "more than the 512");
    fail(&Owen { baseline: zero(), features: many, orders: OwenOrders::Exact }, None, "use mode sampled");
    let masks = RiseMasks::Seeded { seed: 0, draws: 50 };
    let (cells, sharing) = (3, Sharing::Own);
    let rise = Rise { baseline: zero(), cells, probability: 1.0, sharing, centred: true, masks };
    fail(&rise, None, "below 1 expected");
    // The product of huge numbers is no number of any score.
    let huge = Baseline::Constant(1e200);
    fail(
        &ShapleyValues { baseline: huge, features: features() },
        None,
        "choose a fill that the network can take",
    );
}

/// A network that does not look at its input scores 0 everywhere and says why.
#[test]
fn a_constant_network_is_said_to_be_one() {
    let graph = linear(&[0.0, 0.0, 0.0], 2.0);
    let x = [tensor(&[1, 3], &[1.0, 2.0, 3.0])];
    for (name, method) in games(&zero(), &Features::each(&graph), 3) {
        let result = run(&graph, &*method, &x);
        assert!(scores(&result).iter().all(|s| s.abs() <= 1e-12), "{name}");
        assert!(
            result.notes.iter().any(|n| n.contains("the model is constant")),
            "{name}: {:?}",
            result.notes
        );
    }
    let (window, strides) = (vec![vec![1]], vec![vec![1]]);
    let result = run(&graph, &Occlusion { baseline: zero(), window, strides }, &x);
    assert!(result.notes.iter().any(|n| n.contains("the model is constant")));
}

/// Permutations of several draws: the mean over them, with an error; given donors are used as they are.
#[test]
fn permutation_averages_over_draws() {
    let graph = linear(&[1.0, 10.0], 0.0);
    let x = [tensor(&[3, 2], &[1.0, 0.0, 2.0, 5.0, 4.0, 9.0])];
    let of = |donors| FeaturePermutation { features: Features::each(&graph), donors };
    let given = Donors::Given(vec![vec![1, 2, 0], vec![1, 0, 2], vec![2, 0, 1], vec![0, 2, 1]]);
    let result = run(&graph, &of(given), &x);
    // Example 0, feature 0: from 1 to 2 and to 4; feature 1: from 0 to 5 and to itself.
    assert_eq!(scores(&result), [-2.0, -25.0]);
    assert_eq!(errors(&result), [1.0, 25.0]);
    let mut run = Run::default().with_draws();
    let seeded = with(&graph, &of(Donors::Seeded { seed: 4, draws: 7 }), &x, &mut run);
    let rows = &run.draws()["permutations"];
    let donors = (0..rows.rows()).map(|r| rows.row(r).iter().map(|v| *v as usize).collect()).collect();
    assert_eq!(bits(&with(&graph, &of(Donors::Given(donors)), &x, &mut Run::default())), bits(&seeded));
}
