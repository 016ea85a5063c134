//! Measures where the answer is known.
#![allow(clippy::unwrap_used)]

use proptest::prelude::*;
use voxplain_graph::{Graph, GraphBuilder};
use voxplain_metrics::{Order, cosine, layers, noise_radius, randomised, spearman, ssim, stability};
use voxplain_tensor::Tensor;

fn network() -> Graph {
    let mut b = GraphBuilder::new();
    let x = b.input("x", &[1, 3]).unwrap();
    let mut y = x;
    for i in 0..3 {
        let weights: Vec<f32> = (0..9).map(|k| (k as f32 + i as f32) * 0.3 - 1.0).collect();
        let w = b.parameter(&format!("w{i}"), &[3, 3], weights).unwrap();
        let c = b.parameter(&format!("c{i}"), &[3], vec![0.5; 3]).unwrap();
        y = b.linear(&format!("fc{i}"), y, w, Some(c)).unwrap();
        y = b.relu(&format!("relu{i}"), y).unwrap();
    }
    b.finish(&[y]).unwrap()
}

/// Which parameters differ from the network's own.
fn changed(graph: &Graph, at: usize, order: Order) -> Vec<String> {
    let other = randomised(graph, at, order, 7).unwrap();
    let pairs = graph.parameters().iter().zip(other.parameters());
    pairs.filter(|(a, b)| a.data != b.data).map(|(a, _)| a.name.clone()).collect()
}

#[test]
fn orders_randomise_what_they_say() {
    let graph = network();
    let names: Vec<String> = layers(&graph).into_iter().map(|(n, _)| n).collect();
    assert_eq!(names, ["fc0", "fc1", "fc2"]);
    assert_eq!(changed(&graph, 1, Order::Independent), ["w1", "c1"]);
    assert_eq!(changed(&graph, 1, Order::TopDown), ["w1", "c1", "w2", "c2"]);
    assert_eq!(changed(&graph, 1, Order::BottomUp), ["w0", "c0", "w1", "c1"]);
    assert!(randomised(&graph, 3, Order::TopDown, 7).is_err());
    // The same numbers for a layer in whatever order.
    let one = randomised(&graph, 1, Order::Independent, 7).unwrap();
    let all = randomised(&graph, 0, Order::TopDown, 7).unwrap();
    assert_eq!(one.parameters()[2].data, all.parameters()[2].data);
}

/// The gradient of a linear function does not move: max-sensitivity 0. Input times gradient moves by `w d`.
#[test]
fn stability_of_a_linear_function() {
    let x = vec![Tensor::new(&[1, 4], vec![1.0, -2.0, 0.0, 3.0]).unwrap()];
    let w = [2.0, -1.0, 0.5, 4.0];
    let radius = noise_radius(&x, 0.1);
    let gradient = stability(&x, (radius, 20, 1), &mut |_| Ok(w.to_vec())).unwrap();
    assert_eq!((gradient.max_sensitivity, gradient.lipschitz), (0.0, 0.0));
    let product = |x: &[Tensor<f64>]| Ok(x[0].data().iter().zip(w).map(|(x, w)| x * w).collect());
    let found = stability(&x, (radius, 200, 1), &mut { product }).unwrap();
    assert!(found.lipschitz <= 4.0 && found.lipschitz > 3.0, "{found:?}");
    let most = radius * w.iter().map(|w| w * w).sum::<f64>().sqrt();
    let size = [2.0f64, 2.0, 0.0, 12.0].iter().map(|v| v * v).sum::<f64>().sqrt();
    assert!(found.max_sensitivity <= most / size, "{found:?}");
}

#[test]
fn the_radius_is_in_units_of_the_image() {
    let x = |c: f64| vec![Tensor::new(&[1, 5], vec![0.0, c, 3.0 * c, 0.0, 5.0 * c]).unwrap()];
    let one = noise_radius(&x(1.0), 0.5);
    assert!((one - 0.5 * (8.0f64 / 3.0).sqrt()).abs() < 1e-15);
    assert!((noise_radius(&x(1000.0), 0.5) - 1000.0 * one).abs() < 1e-9);
    assert_eq!(noise_radius(&[Tensor::new(&[1, 2], vec![4.0, 4.0]).unwrap()], 0.5), 0.0);
}

fn maps() -> impl Strategy<Value = (Vec<f64>, Vec<f64>)> {
    (2usize..40).prop_flat_map(|n| {
        let map = || prop::collection::vec((-20i8..20).prop_map(f64::from), n);
        (map(), map())
    })
}

proptest! {
    /// Ranks do not see a growing function; similarity is symmetric where it promises to be; and nothing is changed in place.
    #[test]
    fn measures_keep_their_invariances((a, b) in maps()) {
        let grown: Vec<f64> = a.iter().map(|v| v * v * v + 2.0 * v).collect();
        prop_assert_eq!(spearman(&grown, &b), spearman(&a, &b));
        prop_assert_eq!(spearman(&a, &b), spearman(&b, &a));
        let double: Vec<f64> = a.iter().map(|v| 2.0 * v).collect();
        match (cosine(&double, &b), cosine(&a, &b)) {
            (Some(x), Some(y)) => prop_assert!((x - y).abs() < 1e-12),
            (x, y) => prop_assert_eq!(x, y),
        }
        if let Some(value) = ssim(&a, &b, &[a.len()], 1).unwrap() {
            prop_assert!(value.abs() <= 1.0 + 1e-12, "{value}");
            // Units do not matter.
            let scaled = |v: &[f64]| v.iter().map(|v| v * 1e6).collect::<Vec<f64>>();
            let large = ssim(&scaled(&a), &scaled(&b), &[a.len()], 1).unwrap();
            prop_assert!((large.unwrap() - value).abs() < 1e-9);
        }
    }
}
