//! Layer-wise relevance propagation: known answers, what is kept and what is absorbed, and composites.
#![allow(clippy::unwrap_used)]

use proptest::prelude::*;
use voxplain::attribution::methods::{Backward, Lrp, Scaling, Start};
use voxplain::attribution::rules::lrp::{AlphaBeta, Epsilon, GeneralizedGamma, Unweighted};
use voxplain::attribution::{Attribution, Engine, Method, Rules, Target};
use voxplain::autodiff::{Composite, Matcher, Relevance};
use voxplain::graph::ops::{ConvAttributes, PoolAttributes};
use voxplain::graph::{Graph, GraphBuilder, Op};
use voxplain::tensor::Tensor;
use voxplain_oracle::Oracle;

fn run(graph: &Graph, method: &dyn Method<f64>, x: &[f64]) -> Attribution<f64> {
    let shape = graph.shape(graph.inputs()[0]);
    let x = Tensor::new(&shape, x.to_vec()).unwrap();
    method.attribute(&mut Engine::new(graph, &Oracle, None), &[x], &Target::Class(vec![0])).unwrap()
}

fn map(result: &Attribution<f64>) -> Vec<f64> {
    result.maps[0].values.data().to_vec()
}

fn close(have: &[f64], want: &[f64]) {
    have.iter().zip(want).for_each(|(a, b)| assert!((a - b).abs() < 1e-6, "{have:?} {want:?}"));
    assert_eq!(have.len(), want.len());
}

/// Captum's `SimpleLRP`: weights all 2 (the first one may differ), ReLU, weights all 3.
fn simple(first: f32) -> Graph {
    let mut b = GraphBuilder::new();
    let x = b.input("x", &[1, 3]).unwrap();
    let mut weights = vec![2.0; 9];
    weights[0] = first;
    let (w, v) =
        (b.parameter("w", &[3, 3], weights).unwrap(), b.parameter("v", &[1, 3], vec![3.0; 3]).unwrap());
    let y = b.linear("linear", x, w, None).unwrap();
    let y = b.relu("relu", y).unwrap();
    let y = b.linear("linear2", y, v, None).unwrap();
    b.finish(&[y]).unwrap()
}

/// Relevance that starts with 1, by a rule for each of the two layers.
fn by_layers(composite: Composite<Relevance>, name: &str) -> Backward {
    let table = Rules { name: String::from(name), composite };
    Backward::with_table("lrp", std::sync::Arc::new(table), Scaling::None)
}

/// Captum's cases 35 to 37, and by hand: with weights 2 and 3 and inputs (1, 2, 3) relevance is (18, 36, 54).
#[test]
fn two_linear_layers_as_in_captum() {
    let rest = || Composite::everywhere(Unweighted { stabilizer: 1e-12, pass_normalization: false });
    let lrp = |graph: &Graph, table: Composite<Relevance>, name: &str| {
        let result = run(graph, &by_layers(table, name), &[1.0, 2.0, 3.0]);
        // The signal is linear in where it starts, and Captum starts with the output.
        map(&result).iter().map(|r| r * result.values[0]).collect::<Vec<f64>>()
    };
    let epsilon = rest().on(Matcher::Kind("Gemm".into()), Epsilon(1e-12));
    close(&lrp(&simple(2.0), epsilon, "epsilon"), &[18.0, 36.0, 54.0]);
    let gamma = |gamma| GeneralizedGamma { gamma, stabilizer: 1e-12 };
    let table = rest()
        .on(Matcher::Name("linear".into()), gamma(1.0))
        .on(Matcher::Name("linear2".into()), gamma(0.25));
    close(&lrp(&simple(-2.0), table, "gamma"), &[28.0 / 3.0, 104.0 / 3.0, 52.0]);
    let first = AlphaBeta { alpha: 1.0, beta: 0.0, stabilizer: 1e-12 };
    close(&lrp(&simple(-2.0), rest().on(Matcher::Kind("Gemm".into()), first), "alpha"), &[12.0, 33.6, 50.4]);
}

#[test]
fn two_rules_of_one_rank_are_refused() {
    let table = Composite::everywhere(Unweighted { stabilizer: 1e-6, pass_normalization: false })
        .on(Matcher::Kind("Gemm".into()), Epsilon(1e-6))
        .on(Matcher::Kind("Gemm".into()), Epsilon(1e-3));
    let error = table.resolve(&simple(2.0)).err().unwrap();
    assert!(error.message().contains("make one more specific"), "{error}");
    // A table without a rule for linear layers has no silent gradient.
    let rest = Composite::<Relevance>::empty().on(Matcher::Kind("Relu".into()), Epsilon(1e-6));
    let error = rest.resolve(&simple(2.0)).err().unwrap();
    assert!(error.message().contains("no rule of the composite"), "{error}");
}

/// Convolution, ReLU, overlapping maximum, a sum with a second branch, and a linear layer, without biases.
fn branches(weights: &[i8]) -> Graph {
    let mut b = GraphBuilder::new();
    let mut tape = weights.iter().cycle().map(|&w| f32::from(w) / 64.0 + 0.01);
    let mut take = |n: usize| (0..n).map(|_| tape.next().unwrap_or(0.1)).collect::<Vec<f32>>();
    let x = b.input("x", &[1, 2, 5, 4]).unwrap();
    let w = b.parameter("w", &[3, 2, 3, 3], take(54)).unwrap();
    let a = b.conv("conv1", x, w, None, ConvAttributes::padded(2, 1)).unwrap();
    let a = b.relu("relu1", a).unwrap();
    let v = b.parameter("v", &[3, 3, 1, 1], take(9)).unwrap();
    let side = b.conv("conv2", a, v, None, ConvAttributes::plain(2)).unwrap();
    let side = b.relu("relu2", side).unwrap();
    let sum = b.node("sum", Op::Binary(voxplain::graph::ops::Binary::Add), &[a, side]).unwrap();
    let mut pool = PoolAttributes::tiles(&[2, 2]);
    pool.strides = vec![1, 1];
    let y = b.node("pool", Op::MaxPool(pool), &[sum]).unwrap();
    let y = b.node("flat", Op::Reshape { sizes: vec![1, 36] }, &[y]).unwrap();
    let u = b.parameter("u", &[2, 36], take(72)).unwrap();
    let y = b.linear("fc", y, u, None).unwrap();
    b.finish(&[y]).unwrap()
}

fn lrp(name: &str, parameters: &[(&str, f64)], start: Start) -> Lrp {
    let mut all = vec![("stabilizer", 1e-12)];
    all.extend_from_slice(parameters);
    Lrp::preset(name, &all, start).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    /// Without biases every rule keeps what it is given, but for a dead layer (z+ where nothing is positive, and outputs
    /// that are 0). Weights and inputs above 0 leave none dead.
    #[test]
    fn relevance_is_kept(weights in prop::collection::vec(1i8..100, 40), x in prop::collection::vec(1i8..100, 40)) {
        let graph = branches(&weights);
        let x: Vec<f64> = x.iter().map(|&v| f64::from(v) / 50.0).collect();
        let (epsilon, box_of) = (("epsilon", 1e-12), [("low", -1.0), ("high", 3.0), ("epsilon", 1e-12)]);
        let presets: [(&str, &[(&str, f64)]); 10] = [
            ("lrp_zero", &[]),
            ("lrp_epsilon", &[epsilon]),
            ("lrp_epsilon_plus", &[epsilon]),
            ("lrp_gamma", &[]),
            ("lrp_gamma_original", &[]),
            ("lrp_epsilon_plus_flat", &[epsilon]),
            ("lrp_epsilon_gamma_box", &box_of),
            ("lrp_w_square", &[]),
            ("deep_taylor", &[]),
            ("excitation_backprop", &[]),
        ];
        for (name, parameters) in presets {
            let result = run(&graph, &lrp(name, parameters, Start::Output), &x);
            let (sum, value) = (map(&result).iter().sum::<f64>(), result.values[0]);
            prop_assert!((sum - value).abs() <= 1e-8 * value.abs(), "{name}: {sum} {value}");
        }
    }

    /// LRP with a tiny epsilon is input times gradient on a network of ReLU, maxima and sums without biases (Shrikumar et
    /// al., 2016; Kindermans et al., 2016): the same map by two ways.
    #[test]
    fn epsilon_is_input_times_gradient(weights in prop::collection::vec(any::<i8>(), 40), x in prop::collection::vec(any::<i8>(), 40)) {
        let graph = branches(&weights);
        let x: Vec<f64> = x.iter().map(|&v| f64::from(v) / 50.0 + 0.003).collect();
        let relevance = run(&graph, &lrp("lrp_epsilon", &[("epsilon", 1e-14)], Start::Output), &x);
        let product = run(&graph, &Backward::input_x_gradient(), &x);
        let scale = map(&product).iter().fold(1e-6f64, |m, v| m.max(v.abs()));
        for (a, b) in map(&relevance).iter().zip(map(&product)) {
            prop_assert!((a - b).abs() <= 1e-6 * scale, "{a} {b}");
        }
    }

    /// The flat rule does not look at the input, and what starts with 1 is what starts with the output, divided by it.
    #[test]
    fn starts_and_places(weights in prop::collection::vec(1i8..100, 40), x in prop::collection::vec(1i8..100, 40)) {
        let graph = branches(&weights);
        let x: Vec<f64> = x.iter().map(|&v| f64::from(v) / 50.0).collect();
        let epsilon = [("epsilon", 1e-12)];
        let whole = run(&graph, &lrp("lrp_epsilon_plus_flat", &epsilon, Start::Output), &x);
        let unit = run(&graph, &lrp("lrp_epsilon_plus_flat", &epsilon, Start::One), &x);
        let value = whole.values[0];
        for (a, b) in map(&whole).iter().zip(map(&unit)) {
            prop_assert!((a - b * value).abs() <= 1e-9 * value.abs());
        }
        // Both channels lie at the same places.
        let map = map(&unit);
        prop_assert!(map[..20].iter().zip(&map[20..]).all(|(a, b)| (a - b).abs() <= 1e-12));
    }
}
