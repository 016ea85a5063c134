//! Conductance and internal influence are no methods of the program, but a library user has all that they need: values and
//! gradients of a layer along a path. Captum's known answers, cases 41 to 46, from the engine's passes.
#![allow(clippy::unwrap_used)]

use voxplain::attribution::methods::{Baseline, IntegratedGradients, Steps};
use voxplain::attribution::{Engine, Fill, Method, Network, PassSpec, Quadrature, Rules, Target};
use voxplain::autodiff::{Composite, Gradient};
use voxplain::graph::{Graph, GraphBuilder};
use voxplain::tensor::Tensor;
use voxplain_oracle::Oracle;
use voxplain_tests::captum::dense;

/// `MultiLayer`: identity, ones with biases (-10, 1, 1, 1), ReLU, ones with biases (-1, 1).
fn multi_layer() -> Graph {
    let mut b = GraphBuilder::new();
    let x = b.input("x", &[1, 3]).unwrap();
    let eye = [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0];
    let y = dense(&mut b, "linear0", x, &[3, 3], &eye, &[0.0; 3]);
    let y = dense(&mut b, "linear1", y, &[4, 3], &[1.0; 12], &[-10.0, 1.0, 1.0, 1.0]);
    let y = b.relu("relu", y).unwrap();
    let y = dense(&mut b, "linear2", y, &[2, 4], &[1.0; 8], &[-1.0, 1.0]);
    b.finish(&[y]).unwrap()
}

/// The gradient of output 0 at a layer and the layer's value, at every node of the path.
fn along(layer: &str, x: [f64; 3], from: [f64; 3], nodes: &[(f64, f64)]) -> Vec<(Vec<f64>, Vec<f64>)> {
    let graph = multi_layer();
    let value = graph.find(layer).unwrap();
    let table = Rules { name: "gradient".into(), composite: Composite::everywhere(Gradient) };
    let spec = PassSpec {
        table: Some(&table),
        from: graph.outputs()[0],
        wanted: vec![value],
        captures: vec![value],
    };
    let mut found = Vec::new();
    let mut fill = |row: usize, what: Fill, into: &mut [f64]| match what {
        Fill::Seed => into.copy_from_slice(&[1.0, 0.0]),
        _ => (0..3).for_each(|i| into[i] = from[i] + nodes[row].0 * (x[i] - from[i])),
    };
    Engine::new(&graph, &Oracle, None)
        .run(&spec, nodes.len(), &mut fill, &mut |_, row| {
            found.push((row.results[0].to_vec(), row.captures[0].to_vec()));
        })
        .unwrap();
    found
}

fn close(have: &[f64], want: &[f64], tolerance: f64) {
    assert_eq!(have.len(), want.len());
    have.iter().zip(want).for_each(|(a, b)| assert!((a - b).abs() <= tolerance, "{have:?} {want:?}"));
}

/// The mean gradient of a layer along the path (Leino et al., 2018).
#[test]
fn internal_influence() {
    let nodes = Quadrature::GaussLegendre.nodes(500).unwrap();
    let mean = |x: [f64; 3], from: [f64; 3]| {
        let rows = along("linear1", x, from, &nodes);
        let one = |i: usize| rows.iter().zip(&nodes).map(|(row, node)| row.0[i] * node.1).sum::<f64>();
        (0..4).map(one).collect::<Vec<f64>>()
    };
    close(&mean([0.0, 100.0, 0.0], [0.0; 3]), &[0.900_506, 1.0, 1.0, 1.0], 1e-6);
    let from = [0.0, -20.0, 0.0];
    close(&mean([0.0, 80.0, 0.0], from), &[0.701_263_8, 0.811_131_4, 0.811_131_4, 0.811_131_4], 1e-6);
}

/// Gradients of a layer at the beginning of each step times the step (Dhamdhere et al., 2019).
#[test]
fn conductance() {
    let nodes = Quadrature::GaussLegendre.nodes(501).unwrap();
    let of = |layer: &str| {
        let rows = along(layer, [0.0, 100.0, 0.0], [0.0; 3], &nodes);
        let step = |i: usize| {
            let pairs = rows.windows(2);
            pairs.map(|w| w[0].0[i] * (w[1].1[i] - w[0].1[i])).sum::<f64>()
        };
        (0..rows[0].0.len()).map(step).collect::<Vec<f64>>()
    };
    // What Captum gives; its tests have 90, 100 and 390, which the ends of the path miss.
    close(&of("linear1"), &[89.994_453, 99.998_856, 99.998_856, 99.998_856], 1e-3);
    close(&of("linear0"), &[0.0, 389.991_028, 0.0], 1e-3);
}

/// The conductance of an output is its Integrated Gradients.
#[test]
fn conductance_of_a_neuron() {
    let graph = multi_layer();
    let of = |x: [f64; 3], multiply_by_inputs| {
        let steps = Steps::Fixed(Quadrature::GaussLegendre, 500);
        let method = IntegratedGradients { baseline: Baseline::Constant(0.0), steps, multiply_by_inputs };
        let x = [Tensor::new(&[1, 3], x.to_vec()).unwrap()];
        let mut engine = Engine::new(&graph, &Oracle, None);
        method.attribute(&mut engine, &x, &Target::Class(vec![0])).unwrap().maps[0].values.data().to_vec()
    };
    close(&of([0.0, 100.0, 0.0], true), &[0.0, 390.050_6, 0.0], 1e-4);
    close(&of([100.0; 3], false), &[3.966_949_9; 3], 1e-6);
}
