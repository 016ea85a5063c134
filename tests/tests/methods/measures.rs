//! Measures on networks, against values of other libraries' tests and against each other.
#![allow(clippy::unwrap_used)]

use voxplain::attribution::methods::{Backward, Baseline, IntegratedGradients, Steps};
use voxplain::attribution::{Engine, Method, Network, Quadrature, Target};
use voxplain::graph::{Graph, GraphBuilder};
use voxplain::metrics::{
    Change, Reading, Removal, faithfulness_correlation, faithfulness_estimate, infidelity, stability,
};
use voxplain::tensor::{Result, Tensor};
use voxplain_oracle::Oracle;
use voxplain_tests::captum::{dense, multi_layer, tensor};

/// Output 0 of a network.
fn value(graph: &Graph) -> impl FnMut(&[Tensor<f64>]) -> Result<f64> + '_ {
    let mut engine = Engine::new(graph, &Oracle, None);
    move |inputs| Ok(engine.values(inputs, graph.outputs()[0])?[0][0])
}

fn map(graph: &Graph, method: &dyn Method<f64>, inputs: &[Tensor<f64>]) -> Result<Vec<f64>> {
    let mut engine = Engine::new(graph, &Oracle, None);
    let found = method.attribute(&mut engine, inputs, &Target::Class(vec![0]))?;
    Ok(found.maps.iter().flat_map(|m| m.values.data().to_vec()).collect())
}

fn integrated(r: &[Tensor<f64>], multiply_by_inputs: bool) -> IntegratedGradients<f64> {
    let steps = Steps::Fixed(Quadrature::GaussLegendre, 50);
    IntegratedGradients { baseline: Baseline::Given(r.to_vec()), steps, multiply_by_inputs }
}

/// Captum's `test_classification_infidelity_tpl_target_w_baseline`: everything taken away, the infidelity of Integrated
/// Gradients with 50 points is the square of what the sum misses, 0.10686 of 8 times the output; with the second summand
/// in its place.
#[test]
fn infidelity_of_everything_as_in_captum() {
    let graph = multi_layer(2);
    let x = [tensor(&[1, 3], &[1.0, 2.0, 3.0]), tensor(&[1, 3], &[1.0, 2.0, 3.0])];
    let r = [tensor(&[1, 3], &[1.0; 3]), x[1].clone()];
    let parts = map(&graph, &integrated(&r, true), &x).unwrap();
    let from = Removal { inputs: &x, baseline: &r };
    let mut whole = value(&graph);
    let change = Change::Removal { from, size: 6, reading: Reading::Part };
    let found = infidelity(change, &parts, (3, 1), &mut whole).unwrap();
    assert!((64.0 * found.plain - 0.10686).abs() < 1e-5, "{found:?}");
    let miss = parts.iter().sum::<f64>() - (whole(&x).unwrap() - whole(&r).unwrap());
    assert!((found.plain - miss * miss).abs() < 1e-12);
    assert!(found.scaled < 1e-25, "one number is foretold by some multiple");
}

/// Captum's `test_basic_infidelity_single` on `relu(relu(x1 - 1) - relu(x2))` at (3, 1): of a step of (0.0009, 0.0121) the slopes
/// of Integrated Gradients, (1/2, -1/2), foretell half, and miss 0.0056.
#[test]
fn infidelity_of_a_small_step_as_in_captum() {
    let mut b = GraphBuilder::new();
    let x = b.input("x", &[1, 2]).unwrap();
    let h = dense(&mut b, "a", x, &[2, 2], &[1.0, 0.0, 0.0, 1.0], &[-1.0, 0.0]);
    let h = b.relu("relu1", h).unwrap();
    let y = dense(&mut b, "b", h, &[1, 2], &[1.0, -1.0], &[0.0]);
    let y = b.relu("relu2", y).unwrap();
    let graph = b.finish(&[y]).unwrap();
    let (x, r) = ([tensor(&[1, 2], &[3.0, 1.0])], [tensor(&[1, 2], &[3.0 - 0.0009, 1.0 - 0.0121])]);
    let from = Removal { inputs: &x, baseline: &r };
    let change = Change::Removal { from, size: 2, reading: Reading::Slope };
    let found = infidelity(change, &[0.5, -0.5], (1, 1), &mut value(&graph)).unwrap();
    assert!((found.plain - 0.0056f64.powi(2)).abs() < 1e-15, "{found:?}");
    let own = map(&graph, &integrated(&[tensor(&[1, 2], &[0.0; 2])], false), &x).unwrap();
    let found = infidelity(change, &own, (1, 1), &mut value(&graph)).unwrap();
    assert!((found.plain - 0.0000316).abs() < 1e-4, "as close as Captum's test asks: {found:?}");
}

/// A linear network and its own maps: everything is foretold, and the gradient does not move.
#[test]
fn measures_of_a_linear_network() {
    let mut b = GraphBuilder::new();
    let x = b.input("x", &[1, 4]).unwrap();
    let y = dense(&mut b, "f", x, &[1, 4], &[1.0, -2.0, 0.5, 3.0], &[0.25]);
    let graph = b.finish(&[y]).unwrap();
    let (x, zero) = ([tensor(&[1, 4], &[2.0, 1.0, -4.0, 0.5])], [tensor(&[1, 4], &[0.0; 4])]);
    let removal = Removal { inputs: &x, baseline: &zero };
    let product = map(&graph, &Backward::input_x_gradient(), &x).unwrap();
    let mut run = value(&graph);
    let correlation = faithfulness_correlation(removal, &product, (2, 20, 5), &mut run).unwrap().unwrap();
    let estimate = faithfulness_estimate(removal, &product, 1, &mut run).unwrap().unwrap();
    assert!((correlation - 1.0).abs() < 1e-12 && (estimate - 1.0).abs() < 1e-12);
    let gradient = map(&graph, &Backward::saliency(false), &x).unwrap();
    let noise = Change::Noise { inputs: &x, deviation: 0.1 };
    assert!(infidelity(noise, &gradient, (50, 2), &mut run).unwrap().plain <= 2e-30);
    let mut explain = |inputs: &[Tensor<f64>]| map(&graph, &Backward::saliency(false), inputs);
    assert_eq!(stability(&x, (0.1, 10, 3), &mut explain).unwrap().max_sensitivity, 0.0);
}
