//! Axioms, and the same bits in parts, after a break and from given draws, on random networks.

use super::*;

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
        // The merged number leaves no gap behind.
        let place = a - usize::from(b < a);
        prop_assert!((joined[place] - both).abs() <= 1e-9 * scale);
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
