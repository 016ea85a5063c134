//! Ends at a target error, and what cannot be estimated.

use super::*;

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
    let wide = linear(&vec![1.0; 600], 0.0);
    let ones = [tensor(&[1, 600], &[1.0; 600])];
    let refuse = |method: &dyn Estimator<f64>, part: &str| {
        let mut engine = Engine::new(&wide, &Oracle, None);
        let error = method.estimate(&mut engine, &ones, &first(), &mut Run::default()).unwrap_err();
        assert!(error.message().contains(part), "{error}");
    };
    let (each, points) = (|| Features::each(&wide), SobolPoints::Seeded { seed: 0, draws: 64 });
    refuse(&Sobol { baseline: zero(), features: each(), points }, "more than the 512");
    refuse(&Owen { baseline: zero(), features: each(), orders: OwenOrders::Exact }, "use mode sampled");
    let masks = RiseMasks::Seeded { seed: 0, draws: 50 };
    let (cells, sharing) = (3, Sharing::Own);
    let rise = Rise { baseline: zero(), cells, probability: 1.0, sharing, centred: true, masks };
    fail(&rise, None, "below 1 expected");
    let volume = volume();
    let rise = Rise { probability: 0.5, cells: 1000, ..rise };
    let mut engine = Engine::new(&volume, &Oracle, None);
    let x = [tensor(&[1, 1, 2, 2, 2], &[1.0; 8])];
    let error = rise.estimate(&mut engine, &x, &first(), &mut Run::default()).unwrap_err();
    assert!(error.message().contains("use fewer cells"), "{error}");
    // The product of huge numbers is no number of any score.
    let huge = Baseline::Constant(1e200);
    fail(
        &ShapleyValues { baseline: huge, features: features() },
        None,
        "choose a fill that the network can take",
    );
}

/// A volume of eight entries, laid out flat.
fn volume() -> Graph {
    let mut b = GraphBuilder::new();
    let x = b.input("x", &[1, 1, 2, 2, 2]).unwrap();
    let y = b.node("y", Op::Reshape { sizes: vec![1, 8] }, &[x]).unwrap();
    b.finish(&[y]).unwrap()
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
