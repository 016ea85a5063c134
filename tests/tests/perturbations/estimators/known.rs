//! Functions whose scores are known, and whether stated errors are honest.

use super::*;

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

/// Permutations of several draws: the mean over them, with an error; given donors are used as they are.
#[test]
fn permutation_averages_over_draws() {
    let graph = linear(&[1.0, 10.0], 0.0);
    let x = [tensor(&[3, 2], &[1.0, 0.0, 2.0, 5.0, 4.0, 9.0])];
    let of = |donors| FeaturePermutation { features: Features::each(&graph), donors, others: Vec::new() };
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

/// One patient gets the values of patients who are not explained; what was explained is as in a batch of all.
#[test]
fn one_patient_is_permuted_with_others() {
    let graph = linear(&[1.0, 10.0], 0.0);
    let donors = Donors::Given(vec![vec![1, 2, 0], vec![2, 1, 0]]);
    let others = vec![tensor(&[2, 2], &[2.0, 5.0, 4.0, 9.0])];
    let method = FeaturePermutation { features: Features::each(&graph), donors, others };
    let x = [tensor(&[1, 2], &[1.0, 0.0])];
    let result = run(&graph, &method, &x);
    assert_eq!(scores(&result), [-1.0, -90.0]);
    let wrong = FeaturePermutation { others: vec![tensor(&[1, 3], &[1.0, 2.0, 3.0])], ..method };
    let mut engine = Engine::new(&graph, &Oracle, None);
    let error = wrong.estimate(&mut engine, &x, &Target::Class(vec![0]), &mut Run::default()).unwrap_err();
    assert!(error.message().contains("other patients"), "{error}");
}
