//! The small networks of Captum's own tests, and its known answers on them.
#![allow(clippy::unwrap_used)]

use crate::shared;
use serde_json::Value;
use voxplain::graph::ops::Binary;
use voxplain::graph::{Graph, GraphBuilder, Op, ValueId};
use voxplain::tensor::Tensor;

/// A tensor of these numbers, as many as the sizes say.
pub fn tensor(sizes: &[usize], data: &[f64]) -> Tensor<f64> {
    Tensor::new(sizes, data.to_vec()).unwrap()
}

/// A linear layer `name` with weights `w` of `sizes` (out, in) and biases `c`.
pub fn dense(b: &mut GraphBuilder, name: &str, x: ValueId, sizes: &[usize], w: &[f32], c: &[f32]) -> ValueId {
    let w = b.parameter(&format!("{name}.weight"), sizes, w.to_vec()).unwrap();
    let c = b.parameter(&format!("{name}.bias"), &[sizes[0]], c.to_vec()).unwrap();
    b.linear(name, x, w, Some(c)).unwrap()
}

/// `MultiLayer` of the sum of its inputs of three: ones with biases (-10, 1, 1, 1), ReLU, ones with biases (-1, 1).
pub fn multi_layer(inputs: usize) -> Graph {
    let mut b = GraphBuilder::new();
    let mut x = b.input("x0", &[1, 3]).unwrap();
    for i in 1..inputs {
        let next = b.input(&format!("x{i}"), &[1, 3]).unwrap();
        x = b.node(&format!("sum{i}"), Op::Binary(Binary::Add), &[x, next]).unwrap();
    }
    let y = dense(&mut b, "linear1", x, &[4, 3], &[1.0; 12], &[-10.0, 1.0, 1.0, 1.0]);
    let y = b.relu("relu", y).unwrap();
    let y = dense(&mut b, "linear2", y, &[2, 4], &[1.0; 8], &[-1.0, 1.0]);
    b.finish(&[y]).unwrap()
}

/// What Captum gave for a case of `captum_cases.json`; none without the reference material.
pub fn captum(id: u64) -> Option<Vec<f64>> {
    fn numbers(value: &Value) -> Vec<f64> {
        match value {
            Value::Array(items) => items.iter().flat_map(numbers).collect(),
            other => vec![other.as_f64().unwrap()],
        }
    }
    let text = std::fs::read_to_string(shared("reference")?.join("captum_cases.json")).unwrap();
    let cases: Vec<Value> = serde_json::from_str(&text).unwrap();
    Some(numbers(&cases.iter().find(|c| c["id"] == id).unwrap()["captum"]))
}
