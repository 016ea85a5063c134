//! Captum's known answers for perturbation methods that its file has on images, and those that its tests have beside the file.
//! `perturbation.rs` has the others. `layer_values.rs` has conductance and internal influence.
#![allow(clippy::unwrap_used)]

use voxplain::attribution::methods::Baseline;
use voxplain::attribution::{Attribution, Engine, Method, Target};
use voxplain::graph::ops::{Binary, ConvAttributes};
use voxplain::graph::{Graph, GraphBuilder, Op};
use voxplain::perturbation::Features;
use voxplain::perturbation::methods::*;
use voxplain::tensor::Tensor;
use voxplain_oracle::Oracle;
use voxplain_tests::captum::{captum, dense, multi_layer, tensor};
use voxplain_tests::relative_error;

/// `ConvNet_One_Conv` of the sum of two images: a convolution of ones, ReLU, a linear layer, ReLU.
fn one_conv() -> Graph {
    let mut b = GraphBuilder::new();
    let (x, y) = (b.input("x", &[1, 1, 4, 4]).unwrap(), b.input("y", &[1, 1, 4, 4]).unwrap());
    let x = b.node("sum", Op::Binary(Binary::Add), &[x, y]).unwrap();
    let w = b.parameter("w", &[2, 1, 3, 3], vec![1.0; 18]).unwrap();
    let c = b.parameter("c", &[2], vec![-50.0, -75.0]).unwrap();
    let y = b.conv("conv1", x, w, Some(c), ConvAttributes::plain(2)).unwrap();
    let y = b.relu("relu1", y).unwrap();
    let y = b.node("flat", Op::Reshape { sizes: vec![1, 8] }, &[y]).unwrap();
    let row = [1.0, 1.0, 1.0, 1.0, 1.0, -1.0, -1.0, -1.0];
    let y = dense(&mut b, "fc1", y, &[4, 8], &row.repeat(4), &[0.0; 4]);
    let y = b.relu("relu2", y).unwrap();
    b.finish(&[y]).unwrap()
}

fn run(graph: &Graph, method: &dyn Method<f64>, inputs: &[Tensor<f64>]) -> Vec<f64> {
    let found: Attribution<f64> =
        method.attribute(&mut Engine::new(graph, &Oracle, None), inputs, &Target::Class(vec![0])).unwrap();
    found.maps.iter().flat_map(|m| m.values.data().to_vec()).collect()
}

fn close(have: &[f64], want: &[f64], tolerance: f64) {
    assert_eq!(have.len(), want.len());
    have.iter().zip(want).for_each(|(a, b)| assert!((a - b).abs() <= tolerance, "{have:?} {want:?}"));
}

fn zero() -> Baseline<f64> {
    Baseline::Constant(0.0)
}

/// X235 of Captum's tests.
fn x235() -> [Tensor<f64>; 1] {
    [tensor(&[1, 3], &[20.0, 50.0, 30.0])]
}

/// The first two rows of Captum's three inputs.
fn three() -> [Tensor<f64>; 3] {
    [
        tensor(&[2, 3], &[23.0, 100.0, 0.0, 20.0, 50.0, 30.0]),
        tensor(&[2, 3], &[20.0, 50.0, 30.0, 0.0, 100.0, 0.0]),
        tensor(&[2, 3], &[0.0, 100.0, 10.0, 2.0, 10.0, 3.0]),
    ]
}

/// Masks of which features lie in several inputs.
fn shared_features(graph: &Graph) -> Features {
    let rows = |m: &[f64]| tensor(&[m.len() / 3, 3], m);
    let masks = [
        rows(&[1.0, 1.0, 1.0, 0.0, 1.0, 0.0]),
        rows(&[0.0, 1.0, 2.0]),
        rows(&[0.0, 1.0, 2.0, 0.0, 0.0, 0.0]),
    ];
    Features::from_masks(graph, &masks).unwrap()
}

/// Cases 22, 22b and 29: windows and single pixels of two images.
#[test]
fn images_as_in_captum() {
    let graph = one_conv();
    let image: Vec<f64> = (0..16).map(f64::from).collect();
    let x = [tensor(&[1, 1, 4, 4], &image), tensor(&[1, 1, 4, 4], &[1.0; 16])];
    let occlude = |window: [[usize; 3]; 2], strides: [[usize; 3]; 2]| {
        let [window, strides] = [window, strides].map(|list| list.map(|w| w.to_vec()).to_vec());
        run(&graph, &Occlusion { baseline: zero(), window, strides }, &x)
    };
    let windows = occlude([[1, 2, 3], [1, 1, 2]], [[1, 2, 1], [1, 1, 2]]);
    let pixels = run(&graph, &FeatureAblation { baseline: zero(), features: Features::each(&graph) }, &x);
    for (id, have) in [(22, windows), (29, pixels)] {
        let Some(want) = captum(id) else { return };
        assert!(relative_error(&have, &want) < 1e-6, "case {id}: {have:?} {want:?}");
    }
    close(&occlude([[1, 4, 4]; 2], [[1, 1, 1]; 2]), &[[67.0; 16], [13.0; 16]].concat(), 1e-9);
}

/// Cases 28b, 29b and 33b: levels to ablate to, and two rows at once.
#[test]
fn rows_as_in_captum() {
    let graph = multi_layer(3);
    let levels = Baseline::Given([2.0, 3.0, 4.0].map(|v| tensor(&[1, 3], &[v; 3])).to_vec());
    let ablate = |baseline, features| run(&graph, &FeatureAblation { baseline, features }, &three());
    let together = [
        [1040.0, 1040.0, 1040.0, 184.0, 580.0, 184.0],
        [52.0, 1040.0, 132.0, 184.0, 580.0, -12.0],
        [52.0, 1040.0, 132.0, 184.0, 184.0, 184.0],
    ];
    close(&ablate(levels, shared_features(&graph)), &together.concat(), 1e-9);
    let rows = [[3.0, 0.0, 0.0], [0.0, 1.0, 0.0], [1.0, 2.0, 3.0]];
    let given = Baseline::Given(rows.map(|r| tensor(&[1, 3], &r)).to_vec());
    let alone = [
        [80.0, 400.0, 0.0, 68.0, 200.0, 120.0],
        [80.0, 196.0, 120.0, 0.0, 396.0, 0.0],
        [-4.0, 392.0, 28.0, 4.0, 32.0, 0.0],
    ];
    close(&ablate(given, Features::each(&graph)), &alone.concat(), 1e-9);
    let (graph, two) = (multi_layer(1), [tensor(&[2, 3], &[2.0, 10.0, 3.0, 20.0, 50.0, 30.0])]);
    let shapley = ShapleyValues { baseline: zero(), features: Features::each(&graph) };
    let want = [7.0, 32.5, 10.5, 76.66666, 196.66666, 116.66666];
    close(&run(&graph, &shapley, &two), &want, 1e-5);
}

/// Cases 54 to 56. Captum samples and allows 1; all coalitions give the closed form.
#[test]
fn kernel_shap_as_in_captum() {
    let graph = multi_layer(1);
    let kernel = |graph: &Graph, baseline, x: &[Tensor<f64>]| {
        let features = Features::each(graph);
        run(graph, &KernelShap { baseline, features, rows: KernelRows::Exact }, x)
    };
    let given = Baseline::Given(vec![tensor(&[1, 3], &[10.0, 20.0, 10.0])]);
    close(&kernel(&graph, given, &x235()), &[40.0, 120.0, 80.0], 1e-8);
    let third = 2.0 / 3.0;
    close(&kernel(&graph, zero(), &x235()), &[76.0 + third, 196.0 + third, 116.0 + third], 1e-8);
    let graph = multi_layer(3);
    let x = [[23.0, 0.0, 0.0], [20.0, 0.0, 50.0], [0.0, 100.0, 10.0]].map(|row| tensor(&[1, 3], &row));
    close(&kernel(&graph, zero(), &x), &[90.0, 0.0, 0.0, 78.0, 0.0, 198.0, 0.0, 398.0, 38.0], 1e-8);
}

/// Cases 58 to 60: the lasso with a penalty of 1 on a wide kernel, within the 1 that Captum allows its samples.
#[test]
fn lime_as_in_captum() {
    let lime = |graph: &Graph, baseline, features, x: &[Tensor<f64>]| {
        let rows = LimeRows::Seeded { seed: 1, draws: 500 };
        let surrogate = Surrogate::Lasso(1.0);
        let method =
            Lime { baseline, features, rows, distance: Distance::Cosine, kernel_width: 10.0, surrogate };
        run(graph, &method, x)
    };
    let graph = multi_layer(1);
    let pair = || Features::from_masks(&graph, &[tensor(&[1, 3], &[0.0, 0.0, 1.0])]).unwrap();
    let alone = lime(&graph, zero(), Features::each(&graph), &x235());
    close(&alone, &[73.3716, 193.3349, 113.3349], 1.0);
    close(&lime(&graph, zero(), pair(), &x235()), &[271.0, 271.0, 111.0], 1.0);
    close(&lime(&graph, Baseline::Constant(4.0), pair(), &x235()), &[244.0, 244.0, 100.0], 1.0);
    let graph = multi_layer(3);
    let rows = three().map(|x| tensor(&[1, 3], &x.data()[3..]));
    let rows_of = |m: &[f64]| tensor(&[1, 3], m);
    let masks = [rows_of(&[0.0, 1.0, 0.0]), rows_of(&[0.0, 1.0, 2.0]), rows_of(&[0.0; 3])];
    let features = Features::from_masks(&graph, &masks).unwrap();
    let want = [251.0, 591.0, 251.0, 251.0, 591.0, 0.0, 251.0, 251.0, 251.0];
    close(&lime(&graph, zero(), features, &rows), &want, 1.0);
}

/// Case 61: a column that is the same in every example scores 0, others do not.
#[test]
fn a_constant_column() {
    let graph = multi_layer(1);
    let donors = Donors::Seeded { seed: 3, draws: 1 };
    let x = [tensor(&[3, 3], &[4.0, 20.0, 30.0, 4.0, 50.0, 10.0, 4.0, 70.0, 90.0])];
    let map =
        run(&graph, &FeaturePermutation { features: Features::each(&graph), donors, others: Vec::new() }, &x);
    assert!(map.chunks(3).all(|row| row[0] == 0.0));
    assert!((1..3).all(|k| map.chunks(3).any(|row| row[k] != 0.0)), "{map:?}");
}
