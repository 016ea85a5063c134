//! Rules and what holds between them: hand values, exact identities, the ledger, pairs of multipliers, patterns, and rules
//! that the host computes.
#![allow(clippy::unwrap_used)]

use proptest::prelude::*;
use std::sync::Arc;
use voxplain::attribution::composites::{Line, PRESETS, table};
use voxplain::attribution::methods::*;
use voxplain::attribution::patterns::fit;
use voxplain::attribution::rules::{
    Deconvolution, GuidedBackProp, HostRule, HostSignals, Pattern, RectGrad, RevealCancel, Threshold,
};
use voxplain::attribution::{Attribution, Draws, Engine, Method, Rules, Target};
use voxplain::autodiff::{Composite, Cotangent, Device, Matcher, Relevance, Rule};
use voxplain::cpu::Cpu;
use voxplain::graph::ops::{Binary, ConvAttributes, PoolAttributes};
use voxplain::graph::{Graph, GraphBuilder, Op, ValueId};
use voxplain::tensor::{Scalar, Tensor};
use voxplain_oracle::Oracle;
use voxplain_tests::cuda::shim;
use voxplain_tests::networks::{Case, Step, case};
use voxplain_tests::relative_error;

fn run_on<D: Device>(
    graph: &Graph,
    device: &D,
    method: &dyn Method<D::Scalar>,
    x: &[Tensor<f64>],
) -> Attribution<D::Scalar> {
    let x: Vec<Tensor<D::Scalar>> = x.iter().map(Tensor::convert).collect();
    method.attribute(&mut Engine::new(graph, device, None), &x, &Target::Class(vec![0])).unwrap()
}

fn run(graph: &Graph, method: &dyn Method<f64>, x: &[f64]) -> Attribution<f64> {
    let shape = graph.shape(graph.inputs()[0]);
    run_on(graph, &Oracle, method, &[Tensor::new(&shape, x.to_vec()).unwrap()])
}

fn map<S: Scalar>(result: &Attribution<S>) -> Vec<f64> {
    result.maps.iter().flat_map(|m| m.values.data()).map(|v| v.to_f64()).collect()
}

fn close(have: &[f64], want: &[f64], tolerance: f64) {
    assert_eq!(have.len(), want.len());
    have.iter().zip(want).for_each(|(a, b)| assert!((a - b).abs() <= tolerance, "{have:?} {want:?}"));
}

fn linear(b: &mut GraphBuilder, name: &str, x: ValueId, rows: &[&[f32]], bias: &[f32]) -> ValueId {
    let sizes = [rows.len(), rows[0].len()];
    let w = b.parameter(&format!("{name}.w"), &sizes, rows.concat()).unwrap();
    let c =
        (!bias.is_empty()).then(|| b.parameter(&format!("{name}.c"), &[bias.len()], bias.to_vec()).unwrap());
    b.linear(name, x, w, c).unwrap()
}

/// `relu(relu(x1 - 1) - relu(x2))`, or `relu(relu(x1) - 1 - relu(x2))`: the same function by two networks.
fn two_ways(inside: bool) -> Graph {
    let mut b = GraphBuilder::new();
    let x = b.input("x", &[1, 2]).unwrap();
    let (first, second): (&[f32], &[f32]) = if inside { (&[-1.0, 0.0], &[]) } else { (&[], &[-1.0]) };
    let h = linear(&mut b, "a", x, &[&[1.0, 0.0], &[0.0, 1.0]], first);
    let h = b.relu("relu1", h).unwrap();
    let y = linear(&mut b, "b", h, &[&[1.0, -1.0]], second);
    let y = b.relu("relu2", y).unwrap();
    b.finish(&[y]).unwrap()
}

/// `min(x1, x2) = x1 - relu(x1 - x2)`.
fn minimum() -> Graph {
    let mut b = GraphBuilder::new();
    let x = b.input("x", &[1, 2]).unwrap();
    let d = linear(&mut b, "d", x, &[&[1.0, -1.0]], &[]);
    let h = b.relu("relu", d).unwrap();
    let a = linear(&mut b, "a", x, &[&[1.0, 0.0]], &[]);
    let y = b.node("y", Op::Binary(Binary::Sub), &[a, h]).unwrap();
    b.finish(&[y]).unwrap()
}

/// `relu(relu(x1) + relu(x2) - relu(x2))`.
fn twice() -> Graph {
    let mut b = GraphBuilder::new();
    let x = b.input("x", &[1, 2]).unwrap();
    let h = linear(&mut b, "a", x, &[&[1.0, 0.0], &[0.0, 1.0], &[0.0, 1.0]], &[]);
    let h = b.relu("relu1", h).unwrap();
    let y = linear(&mut b, "b", h, &[&[1.0, 1.0, -1.0]], &[]);
    let y = b.relu("relu2", y).unwrap();
    b.finish(&[y]).unwrap()
}

fn zero() -> Baseline<f64> {
    Baseline::Constant(0.0)
}

fn reveal() -> DeepLiftRevealCancel<f64> {
    DeepLiftRevealCancel { baseline: zero(), multiply_by_inputs: true }
}

fn preset(name: &str, parameters: &[(&str, f64)]) -> Lrp {
    Lrp::preset(name, parameters, Start::Output).unwrap()
}

/// Values by hand and by an independent implementation (CE2, CE3, CE6 and the sketches).
#[test]
fn hand_values() {
    let (f, g, x) = (two_ways(true), two_ways(false), [3.0, 1.0]);
    close(&map(&run(&f, &reveal(), &x)), &[1.5, -0.5], 1e-12);
    close(&map(&run(&g, &reveal(), &x)), &[1.5, -0.5], 1e-12);
    close(&map(&run(&minimum(), &reveal(), &[1.0, 2.0])), &[0.5, 0.5], 1e-12);
    close(&map(&run(&minimum(), &reveal(), &[1.0, 1.0])), &[0.5, 0.5], 1e-12);
    close(&map(&run(&twice(), &reveal(), &[1.0, 2.0])), &[2.0 / 3.0, 1.0 / 3.0], 1e-12);
    close(&map(&run(&f, &preset("lrp_zero", &[]), &x)), &[3.0, -1.0], 1e-12);
    let epsilon = |graph: &Graph| map(&run(graph, &preset("lrp_epsilon", &[("epsilon", 0.1)]), &x));
    close(&epsilon(&f), &[2.597403, -0.826446], 2e-6);
    let tiny = ("stabilizer", 1e-12);
    let gamma = |graph: &Graph| map(&run(graph, &preset("lrp_gamma", &[("gamma", 0.25), tiny]), &x));
    close(&gamma(&f), &[2.272727, -0.666667], 2e-6);
    close(&gamma(&g), &[2.142857, -0.571429], 2e-6);
    let of_twice = |name: &str| map(&run(&twice(), &preset(name, &[tiny]), &[1.0, 2.0]));
    close(&of_twice("lrp_zplus"), &[1.0 / 3.0, 2.0 / 3.0], 1e-9);
    close(&of_twice("lrp_alpha_beta"), &[4.0 / 3.0, 2.0 / 3.0], 1e-9);
    close(&map(&run(&f, &preset("lrp_w_square", &[tiny]), &x)), &[0.5, 0.5], 1e-9);
    close(&map(&run(&f, &preset("lrp_flat", &[tiny]), &x)), &[0.5, 0.5], 1e-9);
    let rect = Backward::with_rule("rect_grad", RectGrad(Threshold::Fixed(0.0)), Scaling::None);
    close(&map(&run(&f, &rect, &x)), &[1.0, 0.0], 1e-12);
    let deconvolution = Backward::with_rule("deconvolution", Deconvolution, Scaling::None);
    close(&map(&run(&f, &deconvolution, &x)), &[1.0, 0.0], 1e-12);
}

/// Captum's LRP cases with other layers than linear ones: its numbers.
#[test]
fn captum_values() {
    let mut b = GraphBuilder::new();
    let x = b.input("x", &[1, 1, 4, 4]).unwrap();
    let (w, c) = (
        b.parameter("w", &[2, 1, 3, 3], vec![1.0; 18]).unwrap(),
        b.parameter("c", &[2], vec![-50.0, -75.0]).unwrap(),
    );
    let y = b.conv("conv", x, w, Some(c), ConvAttributes::plain(2)).unwrap();
    let y = b.relu("relu1", y).unwrap();
    let y = b.node("flat", Op::Reshape { sizes: vec![1, 8] }, &[y]).unwrap();
    let row: &[f32] = &[1.0, 1.0, 1.0, 1.0, 1.0, -1.0, -1.0, -1.0];
    let y = linear(&mut b, "fc", y, &[row; 4], &[]);
    let y = b.relu("relu2", y).unwrap();
    let graph = b.finish(&[y]).unwrap();
    let image: Vec<f64> = (0..16).map(f64::from).collect();
    let mut want = image.clone();
    [0, 4, 8].iter().for_each(|&i| want[i] = 0.0);
    want[12..].fill(0.0);
    // Captum's test prints rows (0, 1, 2, 3), (0, 5, 6, 7), (0, 9, 10, 11), 0: input times gradient.
    let product = map(&run(&graph, &Backward::input_x_gradient(), &image));
    close(&map(&run(&graph, &preset("lrp_epsilon", &[("epsilon", 1e-12)]), &image)), &product, 1e-6);
    close(&product, &want, 1e-9);
    let mut b = GraphBuilder::new();
    let x = b.input("x", &[1, 1, 2, 2, 2]).unwrap();
    let y = b.node("pool", Op::MaxPool(PoolAttributes::tiles(&[2, 2, 2])), &[x]).unwrap();
    let y = b.node("flat", Op::Reshape { sizes: vec![1, 1] }, &[y]).unwrap();
    let graph = b.finish(&[y]).unwrap();
    let cube: Vec<f64> = (1..=8).map(f64::from).collect();
    close(
        &map(&run(&graph, &preset("lrp_epsilon", &[]), &cube)),
        &[0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 8.0],
        1e-12,
    );
    let mut b = GraphBuilder::new();
    let x = b.input("x", &[1, 2]).unwrap();
    let y = linear(&mut b, "linear", x, &[&[5.0, 5.0], &[5.0, 5.0]], &[]);
    let y = b.node("skip", Op::Binary(Binary::Add), &[y, x]).unwrap();
    let graph = b.finish(&[y]).unwrap();
    let x = Tensor::new(&[1, 2], vec![2.0, 3.0]).unwrap();
    let method = preset("lrp_epsilon", &[("epsilon", 1e-12), ("stabilizer", 1e-12)]);
    let result =
        method.attribute(&mut Engine::new(&graph, &Oracle, None), &[x], &Target::Class(vec![1])).unwrap();
    close(&map(&result), &[10.0, 18.0], 1e-9);
}

/// The same steps without what LRP's presets have no rule for.
fn ruled(case: &Case) -> Case {
    let steps = case
        .steps
        .iter()
        .filter(|s| !matches!(s, Step::Normalise | Step::Gate | Step::Divide | Step::Softmax));
    Case { steps: steps.copied().collect(), ..case.clone() }
}

/// The same steps with ReLU for every activation, and no biases if `bare`.
fn rectified(case: &Case, bare: bool) -> Graph {
    let steps = ruled(case)
        .steps
        .into_iter()
        .map(|s| if matches!(s, Step::Activation(_)) { Step::Activation(0) } else { s });
    let graph = Case { steps: steps.collect(), ..case.clone() }.graph().unwrap();
    if !bare {
        return graph;
    }
    let biases: Vec<usize> = graph
        .nodes()
        .iter()
        .filter_map(|n| n.inputs.get(2))
        .filter_map(|&v| match graph.value(v).origin {
            voxplain::graph::Origin::Parameter(p) => Some(p),
            _ => None,
        })
        .collect();
    let all = graph.parameters().iter().enumerate();
    let values: Vec<Vec<f32>> = all
        .map(|(i, p)| if biases.contains(&i) { vec![0.0; p.data.len()] } else { p.data.to_vec() })
        .collect();
    graph.with_parameters(&values).unwrap()
}

fn inputs(case: &Case) -> Vec<f64> {
    Case::tensor(&case.x).unwrap().data().iter().map(|v| v + 0.0037).collect()
}

fn alike(a: &[f64], b: &[f64], tolerance: f64) -> Result<(), TestCaseError> {
    let scale = a.iter().chain(b).fold(1e-9f64, |m, v| m.max(v.abs()));
    for (a, b) in a.iter().zip(b) {
        prop_assert!((a - b).abs() <= tolerance * scale, "{a} {b} of {scale}");
    }
    Ok(())
}

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

fn one(lines: &[Line], start: Start) -> Lrp {
    Lrp { name: "lrp", lines: lines.to_vec(), start }
}

/// One rule for weighted layers, values for the rest.
fn of_lines(graph: &Graph, rule: &str, x: &[f64]) -> Vec<f64> {
    let tiny = [("stabilizer", 1e-14)];
    let mut lines = vec![Line::new(Matcher::Everything, "unweighted", &tiny)];
    lines.extend(["Conv", "Gemm"].map(|kind| Line::new(Matcher::Kind(kind.into()), rule, &tiny)));
    map(&run(graph, &one(&lines, Start::Output), x))
}

/// LRP-epsilon of linear layers and the gradient of ReLU as closures on the host.
fn host_epsilon(epsilon: f64) -> HostRule<Relevance> {
    HostRule::new("host_epsilon", move |n| {
        let (x, y) = (n.inputs[0].data, n.output.data);
        if n.node.op.kind() == "Relu" {
            return Ok(vec![Some(n.upper.data.to_vec())]);
        }
        let (w, outputs) = (n.inputs[1], n.inputs[1].shape[0]);
        let features = w.shape[1];
        let mut lower = vec![0.0; x.len()];
        for example in 0..n.examples {
            for j in 0..outputs {
                let at = example * outputs + j;
                let s = n.upper.data[at] / (y[at] + if y[at] >= 0.0 { epsilon } else { -epsilon });
                for i in 0..features {
                    lower[example * features + i] += x[example * features + i] * w.data[j * features + i] * s;
                }
            }
        }
        let mut signals: HostSignals = vec![None; n.inputs.len()];
        signals[0] = Some(lower);
        Ok(signals)
    })
}

/// Signals of every device with a rule on the host, beside the same rule by kernels.
fn host_agrees<D: Device>(device: &D, tolerance: f64) {
    let graph = two_ways(true);
    let x = Tensor::new(&[3, 2], vec![3.0, 1.0, 2.5, 0.25, 4.0, -1.0]).unwrap();
    let method = |table: Composite<Relevance>, name: &str| {
        Backward::with_table("lrp", Arc::new(Rules { name: name.into(), composite: table }), Scaling::None)
    };
    let host = method(Composite::everywhere(host_epsilon(0.1)), "host");
    let lines = [("everything", "unweighted", 0.1), ("kind Gemm", "epsilon", 0.1)];
    let lines = lines.map(|(on, rule, v)| {
        let key = if rule == "epsilon" { "epsilon" } else { "stabilizer" };
        Line::new(Matcher::parse(on).unwrap(), rule, &[(key, v)])
    });
    let kernels = method(table(&lines).unwrap(), "kernels");
    let (a, b) =
        (run_on(&graph, device, &host, std::slice::from_ref(&x)), run_on(&graph, device, &kernels, &[x]));
    let (a, b) = (map(&a), map(&b));
    assert!(relative_error(&a, &b) <= tolerance, "{a:?} {b:?}");
    assert!(b.iter().any(|v| *v != 0.0));
}

#[test]
fn a_rule_on_the_host_works_on_every_device() {
    host_agrees(&Oracle, 1e-12);
    host_agrees(&Cpu::best(), 1e-5);
    if let Some(device) = shim(0) {
        host_agrees(&device, 1e-5);
    }
}

/// A closure that answers in a wrong shape is an error that names the node; so is one that fails by itself.
#[test]
fn a_wrong_closure_is_an_error() {
    let x = Tensor::new(&[1, 2], vec![3.0f32, 1.0]).unwrap();
    let cpu = Cpu::best();
    let graph = two_ways(true);
    let rule = HostRule::<Cotangent>::new("short", |_| Ok(vec![Some(vec![1.0])]));
    let method = Backward::with_rule("short", rule, Scaling::None);
    let error =
        method.attribute(&mut Engine::new(&graph, &cpu, None), &[x], &Target::Class(vec![0])).unwrap_err();
    assert!(error.message().contains("must give operand 0 a signal of shape"), "{error}");
    assert!(error.message().contains("\"relu2\"") || error.message().contains("\"b\""), "{error}");
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

/// The pattern of one linear layer by its definition, from samples with known moments.
#[test]
fn patterns_by_their_definition() {
    let rows: [&[f32]; 2] = [&[3.0, -4.0, 0.5], &[0.25, 1.0, -2.0]];
    let graph = |relu: bool| {
        let mut b = GraphBuilder::new();
        let x = b.input("x", &[1, 3]).unwrap();
        let y = linear(&mut b, "layer", x, &rows, &[0.5, -0.25]);
        let y = if relu { b.relu("relu", y).unwrap() } else { y };
        b.finish(&[y]).unwrap()
    };
    let n = 17;
    let samples: Vec<f64> = (0..3 * n).map(|i| f64::from((i * 29 % 37) as i32 - 18) / 10.0).collect();
    for relu in [false, true] {
        let graph = graph(relu);
        let x = Tensor::new(&[n, 3], samples.clone()).unwrap();
        let patterns = fit(&mut Engine::new(&graph, &Oracle, None), &[x]).unwrap();
        let have = &patterns.by_node["layer"].data;
        for (j, row) in rows.iter().enumerate() {
            let bias = [0.5, -0.25][j];
            let y: Vec<f64> = samples
                .chunks(3)
                .map(|x| bias + x.iter().zip(*row).map(|(x, w)| x * f64::from(*w)).sum::<f64>())
                .collect();
            let counted: Vec<usize> = (0..n).filter(|&k| !relu || y[k] > 0.0).collect();
            let mean = y.iter().sum::<f64>() / n as f64;
            let over =
                |f: &dyn Fn(usize) -> f64| counted.iter().map(|&k| f(k)).sum::<f64>() / counted.len() as f64;
            let covariance =
                |i: usize| over(&|k| samples[3 * k + i] * y[k]) - over(&|k| samples[3 * k + i]) * mean;
            let norm: f64 = (0..3).map(|i| f64::from(row[i]) * covariance(i)).sum();
            let want: Vec<f64> = (0..3).map(|i| covariance(i) / norm).collect();
            let own: Vec<f64> = have[3 * j..3 * j + 3].iter().map(|&v| f64::from(v)).collect();
            close(&own, &want, 1e-6);
        }
        // PatternAttribution of one layer is w a, and what it gives out is all of the seed.
        let rule = Pattern::attribution(Arc::new(patterns.clone()));
        let method = Backward::with_rule("pattern_attribution", rule, Scaling::None);
        let result = map(&run(&graph, &method, &[1.0, -0.5, 0.25]));
        assert!((result.iter().sum::<f64>() - 1.0).abs() < 1e-6, "{result:?}");
    }
}

/// Patterns of a convolution add up with its weights to 1 at every output that was seen, on the CPU as on the oracle.
#[test]
fn patterns_of_convolutions() {
    let mut b = GraphBuilder::new();
    let x = b.input("x", &[1, 2, 5, 4]).unwrap();
    let weights: Vec<f32> = (0..54).map(|i| ((i * 31 % 47) as f32 - 23.0) / 20.0).collect();
    let w = b.parameter("w", &[3, 2, 3, 3], weights.clone()).unwrap();
    let y = b.conv("conv", x, w, None, ConvAttributes::padded(2, 1)).unwrap();
    let y = b.relu("relu", y).unwrap();
    let y = b.node("flat", Op::Reshape { sizes: vec![1, 60] }, &[y]).unwrap();
    let graph = b.finish(&[y]).unwrap();
    let data: Vec<f64> = (0..240).map(|i| f64::from((i * 53 % 101) as i32 - 50) / 25.0).collect();
    let x = Tensor::new(&[6, 2, 5, 4], data).unwrap();
    let exact = fit(&mut Engine::new(&graph, &Oracle, None), &[x.clone()]).unwrap();
    let cpu = Cpu::best();
    let single = fit(&mut Engine::new(&graph, &cpu, None), &[x.convert::<f32>()]).unwrap();
    let (a, b) = (&exact.by_node["conv"].data, &single.by_node["conv"].data);
    for j in 0..3 {
        let own = 18 * j..18 * j + 18;
        let sum: f64 = a[own.clone()].iter().zip(&weights[own]).map(|(a, w)| f64::from(a * w)).sum();
        assert!((sum - 1.0).abs() < 1e-5, "{sum}");
    }
    let wide = |v: &[f32]| v.iter().map(|&v| f64::from(v)).collect::<Vec<f64>>();
    assert!(relative_error(&wide(b), &wide(a)) < 1e-3);
}

/// What nobody defined is an error with the node's name, never a silent gradient.
#[test]
fn pairs_of_multipliers_have_no_default() {
    struct Forgot;
    impl Rule for Forgot {
        type Signal = voxplain::autodiff::PosNeg;
        fn name(&self) -> String {
            String::from("forgot")
        }
    }
    let method = Backward::with_rule("forgot", Forgot, Scaling::None);
    let x = Tensor::new(&[1, 2], vec![3.0, 1.0]).unwrap();
    let graph = two_ways(true);
    let error =
        method.attribute(&mut Engine::new(&graph, &Oracle, None), &[x], &Target::Class(vec![0])).unwrap_err();
    assert!(error.message().contains("a pair of multipliers has no default"), "{error}");
    let _ = RevealCancel;
}

/// A composite that names a node or an input that is not there says so, and so does a text that names no nodes.
#[test]
fn matchers_that_match_nothing() {
    let graph = two_ways(true);
    let line = |on: &str| Line::new(Matcher::parse(on).unwrap(), "epsilon", &[]);
    for on in ["name relu9", "glob conv*", "input flair"] {
        let composite = table(&[Line::new(Matcher::Everything, "unweighted", &[]), line(on)]).unwrap();
        let error = composite.resolve(&graph).err().unwrap();
        assert!(error.message().contains("matches nothing in this network"), "{error}");
    }
    assert!(Matcher::parse("layer 3").unwrap_err().message().contains("names no nodes"));
    for text in
        ["everything", "class affine", "kind Conv", "first", "first Conv", "input x", "glob a*b", "name a b"]
    {
        assert_eq!(Matcher::parse(text).unwrap().to_string(), text);
    }
}
