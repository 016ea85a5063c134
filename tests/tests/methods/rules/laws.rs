//! What rules keep on random networks, and where they meet.

use super::*;

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    /// Maps and ledger add up to what relevance started with, whatever the composite keeps on the way.
    #[test]
    fn maps_and_ledger_add_up(case in case()) {
        let graph = ruled(&case).graph().unwrap();
        let x = inputs(&case);
        for preset in PRESETS {
            let bounds = [("low", -3.0), ("high", 3.0)];
            let own: &[(&str, f64)] = if preset.parameters.contains(&"low") { &bounds } else { &[] };
            let method = Lrp::preset(preset.name, &[own, &[("stabilizer", 0.01)]].concat(), Start::Output).unwrap();
            let result = run(&graph, &method, &x);
            let ledger = result.ledger.clone().unwrap();
            let (maps, kept) = (map(&result).iter().sum::<f64>(), ledger.total(0));
            let scale: f64 = ledger.entries[0].iter().map(|e| e.amount.abs()).sum::<f64>()
                + map(&result).iter().map(|v| v.abs()).sum::<f64>() + result.values[0].abs();
            prop_assert!((maps + kept - result.values[0]).abs() <= 1e-10 * scale.max(1e-12),
                "{}: {maps} + {kept} is not {}", preset.name, result.values[0]);
        }
    }

    /// The same on every operator by AttnLRP, which has a rule for all of them, and with a start of 1.
    #[test]
    fn attention_rules_cover_every_operator(case in case()) {
        let graph = case.graph().unwrap();
        let method = Lrp::preset("attn_lrp", &[("epsilon", 0.01), ("stabilizer", 0.01)], Start::One).unwrap();
        let result = run(&graph, &method, &inputs(&case));
        let ledger = result.ledger.clone().unwrap();
        let total = map(&result).iter().sum::<f64>() + ledger.total(0);
        let scale: f64 = 1.0 + ledger.entries[0].iter().map(|e| e.amount.abs()).sum::<f64>();
        prop_assert!((total - 1.0).abs() <= 1e-9 * scale, "{total}");
    }

    /// RectGrad with threshold 0 is Guided BackProp, bit for bit.
    #[test]
    fn rect_grad_of_nothing_is_guided_backprop(case in case()) {
        let graph = case.graph().unwrap();
        let x = inputs(&case);
        let rect = Backward::with_rule("rect_grad", RectGrad(Threshold::Fixed(0.0)), Scaling::None);
        let guided = Backward::with_rule("guided_backprop", GuidedBackProp, Scaling::None);
        prop_assert_eq!(map(&run(&graph, &rect, &x)), map(&run(&graph, &guided, &x)));
    }

    /// LRP-0 and gamma 0 are input times gradient with any bias; alpha-beta (1, 0) is z+; a huge gamma is z+.
    #[test]
    fn lrp_rules_meet_at_their_ends(case in case()) {
        let graph = rectified(&case, false);
        let x = inputs(&case);
        let tiny = ("stabilizer", 1e-14);
        let of = |name: &str, p: &[(&str, f64)]| map(&run(&graph, &preset(name, &[p, &[tiny]].concat()), &x));
        let product = map(&run(&graph, &Backward::input_x_gradient(), &x));
        // By value through nodes without weights, where branches may cancel: a relative comparison of well-conditioned maps.
        let ledger = run(&graph, &preset("lrp_zero", &[tiny]), &x).ledger.unwrap();
        let large = ledger.entries[0].iter().fold(0.0f64, |m, e| m.max(e.amount.abs()));
        prop_assume!(large < 1e3);
        alike(&of("lrp_zero", &[]), &product, 1e-6)?;
        alike(&of("lrp_gamma", &[("gamma", 0.0)]), &product, 1e-6)?;
        alike(&of("lrp_gamma_original", &[("gamma", 0.0)]), &product, 1e-6)?;
        alike(&of("lrp_alpha_beta", &[("alpha", 1.0)]), &of("lrp_zplus", &[]), 1e-12)?;
        alike(&of("excitation_backprop", &[]), &of_lines(&graph, "z_plus_without_bias", &x), 1e-12)?;
    }

    /// Without biases Rescale, RevealCancel of a linear network, Integrated Gradients and input times gradient are one.
    #[test]
    fn linear_networks_have_one_map(case in case()) {
        let steps = ruled(&case).steps.into_iter().filter(|s| !matches!(s, Step::Activation(_) | Step::MaxPool(_)));
        let graph = Case { steps: steps.collect(), ..case.clone() }.graph().unwrap();
        let x = inputs(&case);
        let product = map(&run(&graph, &Backward::input_x_gradient(), &x));
        alike(&map(&run(&graph, &reveal(), &x)), &product, 1e-10)?;
        alike(&map(&run(&graph, &DeepLift { baseline: zero(), multiply_by_inputs: true }, &x)), &product, 1e-10)?;
        let gradient = map(&run(&graph, &Backward::saliency(false), &x));
        let draws = Draws::Seeded { seed: 1, draws: 2, sigma: vec![0.0] };
        let smooth = Smooth { base: Box::new(Backward::saliency(false)), draws, statistic: Statistic::Mean };
        alike(&map(&run(&graph, &smooth, &x)), &gradient, 1e-12)?;
    }

    /// Rescale from 0 is input times gradient on ReLU networks without biases, as long as maxima are of values from 0: one
    /// below 0 is given to the winner at the reference.
    #[test]
    fn rescale_from_nothing_is_input_times_gradient(case in case()) {
        let mut steps: Vec<Step> = Vec::new();
        for &step in &case.steps {
            let rectified = matches!(steps.last(), Some(Step::Activation(_)));
            if rectified || !matches!(step, Step::MaxPool(_)) {
                steps.push(step);
            }
        }
        let graph = rectified(&Case { steps, ..case.clone() }, true);
        let x = inputs(&case);
        let rescale = DeepLift { baseline: zero(), multiply_by_inputs: true };
        alike(&map(&run(&graph, &rescale, &x)), &map(&run(&graph, &Backward::input_x_gradient(), &x)), 1e-9)?;
    }

    /// RevealCancel is complete on every operator.
    #[test]
    fn reveal_cancel_is_complete(case in case()) {
        let graph = case.graph().unwrap();
        let r = Case::tensor(&case.r).unwrap();
        let method = DeepLiftRevealCancel { baseline: Baseline::Given(vec![r]), multiply_by_inputs: true };
        let result = run(&graph, &method, &inputs(&case));
        let (residual, difference) = (result.residuals.clone().unwrap()[0], result.differences.clone().unwrap()[0]);
        let scale: f64 = map(&result).iter().map(|v| v.abs()).sum::<f64>() + difference.abs() + 1e-6;
        prop_assert!(residual.abs() <= 1e-7 * scale, "{residual:e} of {scale}");
    }

    /// The box rule does not see the bias, and relevance by w^2 and flat shifts with neither input nor bias.
    #[test]
    fn first_layer_rules_ignore_the_bias(weights in prop::collection::vec(any::<i8>(), 6), bias in any::<i8>()) {
        let of = |rule: &str, p: &[(&str, f64)], c: f32| {
            let mut b = GraphBuilder::new();
            let x = b.input("x", &[1, 3]).unwrap();
            let rows: Vec<f32> = weights.iter().map(|&w| f32::from(w) / 32.0).collect();
            let y = linear(&mut b, "y", x, &[&rows[..3], &rows[3..]], &[c, 0.0]);
            let graph = b.finish(&[y]).unwrap();
            let lines = [Line::new(Matcher::Everything, rule, p)];
            map(&run(&graph, &one(&lines, Start::One), &[0.3, -0.7, 1.9]))
        };
        let c = f32::from(bias) / 16.0;
        for (rule, p) in [("z_box", &[("low", -2.0), ("high", 2.0)][..]), ("w_square", &[]), ("flat", &[])] {
            prop_assert_eq!(of(rule, p, c), of(rule, p, 0.0));
        }
    }
}

/// The quantile of RectGrad is taken per example: a batch gives what its examples give alone, on every device.
#[test]
fn rect_grad_sees_one_example_at_a_time() {
    let case = Case {
        steps: vec![
            Step::Conv(3),
            Step::Activation(0),
            Step::MaxPool(true),
            Step::Conv(2),
            Step::Activation(0),
        ],
        tape: (0..64).map(|i| (i * 37 % 101) as i8 - 50).collect(),
        x: (0..60).map(|i| (i * 53 % 127) as i8).collect(),
        r: (0..60).map(|i| (i * 29 % 113) as i8 - 60).collect(),
    };
    let graph = case.graph().unwrap();
    let rect = Backward::rect_grad(Threshold::Quantile(0.6));
    let (a, b) = (Case::tensor(&case.x).unwrap(), Case::tensor(&case.r).unwrap());
    let both = Tensor::new(&[2, 2, 6, 5], [a.data(), b.data()].concat()).unwrap();
    let together = map(&run_on(&graph, &Oracle, &rect, &[both]));
    let alone = [a, b].map(|x| map(&run_on(&graph, &Oracle, &rect, &[x]))).concat();
    assert_eq!(together, alone);
    let plain = map(&run(&graph, &Backward::input_x_gradient(), &inputs(&case)));
    assert!(alone.iter().zip(&plain).any(|(a, b)| a != b));
}
