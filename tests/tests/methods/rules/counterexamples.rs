//! Small networks from the literature that tell methods apart, with the value of every method by hand.

use super::*;
use voxplain::attribution::Quadrature;
use voxplain::autodiff::Gradient;
use voxplain::perturbation::Features;
use voxplain::perturbation::methods::{FeatureAblation, ShapleyValues};

const TINY: (&str, f64) = ("stabilizer", 1e-12);

/// Integrated Gradients with an even number of steps that puts kinks at halves and thirds between two of them.
fn integrated(graph: &Graph, x: &[f64]) -> Vec<f64> {
    let steps = Steps::Fixed(Quadrature::Middle, 600);
    map(&run(graph, &IntegratedGradients { baseline: zero(), steps, multiply_by_inputs: true }, x))
}

fn rescale(graph: &Graph, x: &[f64]) -> Vec<f64> {
    map(&run(graph, &DeepLift { baseline: zero(), multiply_by_inputs: true }, x))
}

fn revealed(graph: &Graph, x: &[f64]) -> Vec<f64> {
    map(&run(graph, &reveal(), x))
}

fn shapley(graph: &Graph, x: &[f64]) -> Vec<f64> {
    map(&run(graph, &ShapleyValues { baseline: zero(), features: Features::each(graph) }, x))
}

fn ablated(graph: &Graph, x: &[f64]) -> Vec<f64> {
    map(&run(graph, &FeatureAblation { baseline: zero(), features: Features::each(graph) }, x))
}

fn relevance(graph: &Graph, name: &str, parameters: &[(&str, f64)], x: &[f64]) -> Vec<f64> {
    map(&run(graph, &preset(name, &[parameters, &[TINY]].concat()), x))
}

/// The gradient, times the input if asked, and what rules make of it.
fn by_rule<R: Rule<Signal = Cotangent> + 'static>(
    graph: &Graph,
    rule: R,
    scaling: Scaling,
    x: &[f64],
) -> Vec<f64> {
    map(&run(graph, &Backward::with_rule("rule", rule, scaling), x))
}

fn product(graph: &Graph, x: &[f64]) -> Vec<f64> {
    by_rule(graph, Gradient, Scaling::TimesInput, x)
}

/// `sum of out_j relu(rows_j x + c_j) + last` over inputs in one vector.
fn hidden(rows: &[&[f32]], c: &[f32], out: &[f32], last: &[f32]) -> Graph {
    let mut b = GraphBuilder::new();
    let x = b.input("x", &[1, rows[0].len()]).unwrap();
    let h = linear(&mut b, "a", x, rows, c);
    let h = b.relu("relu", h).unwrap();
    let y = linear(&mut b, "b", h, &[out], last);
    b.finish(&[y]).unwrap()
}

/// `1 - relu(1 - x)` at 2: what looks at the slope alone sees nothing (Shrikumar et al., ICML 2017, figure 1).
#[test]
fn a_saturated_unit() {
    let (graph, x) = (hidden(&[&[-1.0]], &[1.0], &[-1.0], &[1.0]), [2.0]);
    let gradients = [
        by_rule(&graph, Gradient, Scaling::None, &x),
        product(&graph, &x),
        by_rule(&graph, GuidedBackProp, Scaling::None, &x),
        by_rule(&graph, Deconvolution, Scaling::None, &x),
        by_rule(&graph, RectGrad(Threshold::Fixed(0.0)), Scaling::None, &x),
    ];
    gradients.iter().for_each(|m| assert_eq!(m, &[0.0]));
    for (name, own) in [
        ("lrp_zero", None),
        ("lrp_epsilon", Some(("epsilon", 0.1))),
        ("lrp_gamma", Some(("gamma", 0.25))),
        ("lrp_zplus", None),
        ("lrp_alpha_beta", None),
    ] {
        close(&relevance(&graph, name, own.as_slice(), &x), &[0.0], 0.0);
    }
    for map in [
        integrated(&graph, &x),
        rescale(&graph, &x),
        revealed(&graph, &x),
        shapley(&graph, &x),
        ablated(&graph, &x),
    ] {
        close(&map, &[1.0], 1e-12);
    }
    for name in ["lrp_w_square", "lrp_flat"] {
        close(&relevance(&graph, name, &[], &x), &[1.0], 1e-9);
    }
}

/// Two networks for one function at (3, 1) (Sundararajan, Taly & Yan, ICML 2017, figure 7).
#[test]
fn two_networks_for_one_function() {
    let (f, g, x) = (two_ways(true), two_ways(false), [3.0, 1.0]);
    close(&rescale(&f, &x), &[2.0, -1.0], 1e-12);
    close(&rescale(&g, &x), &[1.5, -0.5], 1e-12);
    let epsilon = |graph: &Graph| relevance(graph, "lrp_epsilon", &[("epsilon", 0.1)], &x)[0];
    close(&[epsilon(&f), epsilon(&g)], &[2.597, 2.639], 5e-4);
    let gamma = |graph: &Graph| relevance(graph, "lrp_gamma", &[("gamma", 0.25)], &x)[0];
    close(&[gamma(&f), gamma(&g)], &[2.273, 2.143], 5e-4);
    for graph in [&f, &g] {
        close(&integrated(graph, &x), &[1.5, -0.5], 1e-12);
        close(&shapley(graph, &x), &[1.5, -0.5], 1e-12);
        close(&revealed(graph, &x), &[1.5, -0.5], 1e-12);
        close(&product(graph, &x), &[3.0, -1.0], 1e-12);
        close(&relevance(graph, "lrp_zero", &[], &x), &[3.0, -1.0], 1e-9);
    }
}

/// `x1 + relu(x2) - relu(x2)` at (1, 2) does not depend on the second number, and many methods blame it.
#[test]
fn a_number_that_cancels() {
    let (graph, x) =
        (hidden(&[&[1.0, 0.0], &[0.0, 1.0], &[0.0, 1.0]], &[], &[1.0, 1.0, -1.0], &[]), [1.0, 2.0]);
    let second = |map: Vec<f64>| map[1];
    assert_eq!(second(by_rule(&graph, GuidedBackProp, Scaling::None, &x)), 1.0);
    assert_eq!(second(by_rule(&graph, Deconvolution, Scaling::None, &x)), 1.0);
    assert_eq!(second(by_rule(&graph, RectGrad(Threshold::Fixed(0.0)), Scaling::None, &x)), 1.0);
    let of = |name: &str, own: &[(&str, f64)]| second(relevance(&graph, name, own, &x));
    close(&[of("lrp_gamma", &[("gamma", 0.25)])], &[2.0 / 7.0], 1e-9);
    for name in ["lrp_zplus", "excitation_backprop", "lrp_alpha_beta", "lrp_w_square"] {
        close(&[of(name, &[])], &[2.0 / 3.0], 1e-9);
    }
    close(&[of("lrp_flat", &[])], &[0.5], 1e-9);
    close(&[of("lrp_zero", &[])], &[0.0], 1e-9);
    for map in [integrated(&graph, &x), rescale(&graph, &x), shapley(&graph, &x), ablated(&graph, &x)] {
        close(&map, &[1.0, 0.0], 1e-12);
    }
    close(&revealed(&twice(), &x), &[2.0 / 3.0, 1.0 / 3.0], 1e-12);
}

/// The identity, and `relu(x) - relu(-x)`, at -1.
#[test]
fn the_identity_written_twice() {
    let mut b = GraphBuilder::new();
    let x = b.input("x", &[1, 1]).unwrap();
    let y = linear(&mut b, "y", x, &[&[1.0]], &[]);
    let plain = b.finish(&[y]).unwrap();
    let (bent, x) = (hidden(&[&[1.0], &[-1.0]], &[], &[1.0, -1.0], &[]), [-1.0]);
    let guided = |graph: &Graph| by_rule(graph, GuidedBackProp, Scaling::None, &x);
    assert_eq!([guided(&plain), guided(&bent)], [[1.0], [0.0]]);
    let alpha = |graph: &Graph| relevance(graph, "lrp_alpha_beta", &[("alpha", 2.0), ("beta", 1.0)], &x)[0];
    close(&[alpha(&plain), alpha(&bent)], &[1.0, 2.0], 1e-9);
    let epsilon = |graph: &Graph| relevance(graph, "lrp_epsilon", &[("epsilon", 0.1)], &x)[0];
    assert!((epsilon(&plain) - epsilon(&bent)).abs() > 0.01);
    close(&product(&plain, &x), &product(&bent, &x), 0.0);
}

/// `F - G + x3` with both networks for one function: a method that depends on the implementation and is linear at the
/// output blames what the function does not depend on.
#[test]
fn a_difference_that_is_nothing() {
    let mut b = GraphBuilder::new();
    let x = b.input("x", &[1, 3]).unwrap();
    let h = linear(
        &mut b,
        "a",
        x,
        &[&[1.0, 0.0, 0.0], &[0.0, 1.0, 0.0], &[1.0, 0.0, 0.0], &[0.0, 0.0, 1.0]],
        &[-1.0, 0.0, 0.0, 0.0],
    );
    let h = b.relu("relu1", h).unwrap();
    let rows: [&[f32]; 3] = [&[1.0, -1.0, 0.0, 0.0], &[0.0, -1.0, 1.0, 0.0], &[0.0, 0.0, 0.0, 1.0]];
    let h = linear(&mut b, "b", h, &rows, &[0.0, -1.0, 0.0]);
    let h = b.relu("relu2", h).unwrap();
    let y = linear(&mut b, "c", h, &[&[1.0, -1.0, 1.0]], &[]);
    let graph = b.finish(&[y]).unwrap();
    let x = [3.0, 1.0, 1.0];
    close(&rescale(&graph, &x), &[0.5, -0.5, 1.0], 1e-12);
    close(&integrated(&graph, &x), &[0.0, 0.0, 1.0], 1e-12);
    close(&shapley(&graph, &x), &[0.0, 0.0, 1.0], 1e-12);
}

/// `min(x1, x2)`: along the kink a convention decides, and beside it everything moves to the other number.
#[test]
fn the_smaller_of_two_numbers() {
    let graph = minimum();
    type OfEntries = fn(&Graph, &[f64]) -> Vec<f64>;
    let methods: [OfEntries; 3] = [integrated, rescale, product];
    for method in methods {
        close(&method(&graph, &[1.0, 1.0]), &[1.0, 0.0], 1e-12);
        close(&method(&graph, &[1.001, 1.0]), &[0.0, 1.0], 1e-9);
    }
    for x in [[1.0, 1.0], [1.001, 1.0], [1.0, 1.001]] {
        close(&shapley(&graph, &x), &[0.5, 0.5], 1e-12);
        close(&revealed(&graph, &x), &[0.5, 0.5], 1e-12);
    }
}

/// `relu(x1 + x2 - 1)` at (2, 1): parts in proportion, or by turns.
#[test]
fn a_sum_with_a_threshold() {
    let (graph, x) = (hidden(&[&[1.0, 1.0]], &[-1.0], &[1.0], &[]), [2.0, 1.0]);
    for map in [integrated(&graph, &x), rescale(&graph, &x), revealed(&graph, &x)] {
        close(&map, &[4.0 / 3.0, 2.0 / 3.0], 1e-12);
    }
    close(&shapley(&graph, &x), &[1.5, 0.5], 1e-12);
}

/// A hidden unit in two halves: quantiles over units and squares of weights notice, others do not.
#[test]
fn a_unit_in_two_halves() {
    let whole = hidden(&[&[1.0, 0.0], &[0.0, 1.0], &[1.0, 1.0]], &[], &[1.0, 2.0, 0.5], &[]);
    let split =
        hidden(&[&[1.0, 0.0], &[0.0, 1.0], &[0.0, 1.0], &[1.0, 1.0]], &[], &[1.0, 1.0, 1.0, 0.5], &[]);
    let x = [1.0, 1.0];
    let both = |of: &dyn Fn(&Graph) -> Vec<f64>| (of(&whole), of(&split));
    let rect = both(&|g| map(&run(g, &Backward::rect_grad(Threshold::Quantile(0.5)), &x)));
    assert!(relative_error(&rect.1, &rect.0) > 0.1, "{rect:?}");
    let squares = both(&|g| relevance(g, "lrp_w_square", &[], &x));
    assert!(relative_error(&squares.1, &squares.0) > 0.01, "{squares:?}");
    for name in ["lrp_zero", "lrp_gamma", "lrp_zplus", "lrp_alpha_beta"] {
        let (a, b) = both(&|g| relevance(g, name, &[], &x));
        close(&a, &b, 1e-11);
    }
    for of in [integrated, rescale, revealed, shapley, ablated, product] {
        close(&of(&whole, &x), &of(&split, &x), 1e-15);
    }
}

/// An input that no weight reads: the flat rule looks at places alone.
#[test]
fn an_input_without_weights() {
    let (graph, x) = (hidden(&[&[1.0, 0.0]], &[], &[1.0], &[]), [2.0, 3.0]);
    close(&relevance(&graph, "lrp_flat", &[], &x), &[1.0, 1.0], 1e-9);
    for name in ["lrp_zero", "lrp_gamma", "lrp_zplus", "lrp_w_square"] {
        close(&relevance(&graph, name, &[], &x), &[2.0, 0.0], 1e-9);
    }
}

/// Units whose contributions have one sign: alpha 2, beta 1 makes of R either 2 R or -R.
#[test]
fn contributions_of_one_sign() {
    let mut b = GraphBuilder::new();
    let x = b.input("x", &[1, 1]).unwrap();
    let y = linear(&mut b, "y", x, &[&[1.0]], &[]);
    let graph = b.finish(&[y]).unwrap();
    let of = |x: f64| relevance(&graph, "lrp_alpha_beta", &[("alpha", 2.0), ("beta", 1.0)], &[x]);
    close(&of(1.0), &[2.0], 1e-9);
    close(&of(-1.0), &[1.0], 1e-9);
    // An output below 0: z+ has nobody to give it to, and the ledger has it as dead.
    let result = run(&graph, &preset("lrp_zplus", &[("stabilizer", 0.0)]), &[-1.0]);
    assert_eq!((map(&result), result.ledger.unwrap().total(0)), (vec![0.0], -1.0));
}

/// `relu(x - 1)` at 2: input times gradient counts the threshold as the input's.
#[test]
fn a_threshold() {
    let graph = hidden(&[&[1.0]], &[-1.0], &[1.0], &[]);
    assert_eq!(product(&graph, &[2.0]), [2.0]);
    close(&rescale(&graph, &[2.0]), &[1.0], 0.0);
    close(&integrated(&graph, &[2.0]), &[1.0], 1e-12);
}

/// DeepLIFT's own tests: one unit with weights (1, 2, 3, 4) and bias -1, or all of them negated, against a reference of 0.
#[test]
fn one_unit_of_deeplift() {
    let weights = [1.0f32, 2.0, 3.0, 4.0];
    let negated = weights.map(|w| -w);
    for (w, bias, level, factor) in [
        (weights, -1.0, 1.0, 0.9),
        (weights, -1.0, 2.0, 0.95),
        (negated, 1.0, 1.0, 0.1),
        (negated, 1.0, 2.0, 0.05),
    ] {
        let graph = hidden(&[&w], &[bias], &[1.0], &[]);
        let multipliers = DeepLift { baseline: zero(), multiply_by_inputs: false };
        let want = w.map(|w| factor * f64::from(w));
        close(&map(&run(&graph, &multipliers, &[level; 4])), &want, 1e-12);
    }
}

/// `x1 x2 x3` at 1 with modalities {1, 2} and {3}: how entries add up to modalities depends on the method.
#[test]
fn sums_over_modalities() {
    use voxplain::perturbation::methods::{Owen, OwenOrders};
    let mut b = GraphBuilder::new();
    let (pair, single) = (b.input("pair", &[1, 1, 2]).unwrap(), b.input("single", &[1, 1, 1]).unwrap());
    let part = |b: &mut GraphBuilder, at: f32| {
        let w = b.parameter(&format!("pick{at}"), &[1, 1, 2], vec![1.0 - at, at]).unwrap();
        b.conv(&format!("entry{at}"), pair, w, None, ConvAttributes::plain(1)).unwrap()
    };
    let (first, second) = (part(&mut b, 0.0), part(&mut b, 1.0));
    let y = b.node("both", Op::Binary(Binary::Mul), &[first, second]).unwrap();
    let y = b.node("all", Op::Binary(Binary::Mul), &[y, single]).unwrap();
    let y = b.node("flat", Op::Reshape { sizes: vec![1, 1] }, &[y]).unwrap();
    let graph = b.finish(&[y]).unwrap();
    let x = [Tensor::new(&[1, 1, 2], vec![1.0; 2]).unwrap(), Tensor::new(&[1, 1, 1], vec![1.0]).unwrap()];
    let of = |method: &dyn Method<f64>| map(&run_on(&graph, &Oracle, method, &x));
    let third = 1.0 / 3.0;
    close(&of(&ShapleyValues { baseline: zero(), features: Features::each(&graph) }), &[third; 3], 1e-12);
    let steps = Steps::Fixed(Quadrature::GaussLegendre, 4);
    close(
        &of(&IntegratedGradients { baseline: zero(), steps, multiply_by_inputs: true }),
        &[third; 3],
        1e-12,
    );
    let owen = Owen { baseline: zero(), features: Features::each(&graph), orders: OwenOrders::Exact };
    close(&of(&owen), &[0.25, 0.25, 0.5], 1e-12);
    let whole = [vec![0.0, 0.0], vec![1.0]];
    let masks: Vec<Tensor<f64>> =
        whole.iter().map(|m| Tensor::new(&[1, 1, m.len()], m.clone()).unwrap()).collect();
    let modalities = Features::from_masks(&graph, &masks).unwrap();
    let scores =
        run_on(&graph, &Oracle, &ShapleyValues { baseline: zero(), features: modalities }, &x).scores;
    close(&scores.unwrap().values[0], &[0.5, 0.5], 1e-12);
}
