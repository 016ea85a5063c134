//! Estimators of perturbation methods: the axioms each promises, closed forms within the errors they state, budgets, going
//! on from saved evaluations, and draws that are handed out and given back.
#![allow(clippy::unwrap_used)]

mod known;
mod laws;
mod refusals;

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use std::cell::Cell;
use voxplain::attribution::methods::Baseline;
use voxplain::attribution::{Attribution, Engine, Target};
use voxplain::graph::ops::Binary;
use voxplain::graph::{Graph, GraphBuilder, Op, ValueId};
use voxplain::perturbation::methods::*;
use voxplain::perturbation::{Budget, Coalition, Estimator, Features, Ledger, Precision, Run, Sharing};
use voxplain::tensor::Tensor;
use voxplain_oracle::Oracle;
use voxplain_tests::captum::{dense, tensor};
use voxplain_tests::networks::{Case, case};

type Boxed = Box<dyn Estimator<f64>>;

/// `w . x + c` of one input of as many entries.
fn linear(w: &[f32], c: f32) -> Graph {
    let mut b = GraphBuilder::new();
    let x = b.input("x", &[1, w.len()]).unwrap();
    let y = dense(&mut b, "f", x, &[1, w.len()], w, &[c]);
    b.finish(&[y]).unwrap()
}

/// The product of all entries of inputs of these sizes.
fn product(sizes: &[usize]) -> Graph {
    let mut b = GraphBuilder::new();
    let mut all: Option<ValueId> = None;
    for (i, &n) in sizes.iter().enumerate() {
        let x = b.input(&format!("x{i}"), &[1, 1, n]).unwrap();
        let flat = b.node(&format!("flat{i}"), Op::Reshape { sizes: vec![1, n] }, &[x]).unwrap();
        for k in 0..n {
            let w: Vec<f32> = (0..n).map(|j| f32::from(u8::from(j == k))).collect();
            let one = dense(&mut b, &format!("pick{i}.{k}"), flat, &[1, n], &w, &[0.0]);
            let name = format!("times{i}.{k}");
            all = Some(match all {
                None => one,
                Some(so_far) => b.node(&name, Op::Binary(Binary::Mul), &[so_far, one]).unwrap(),
            });
        }
    }
    b.finish(&[all.unwrap()]).unwrap()
}

fn zero() -> Baseline<f64> {
    Baseline::Constant(0.0)
}

fn first() -> Target {
    Target::Class(vec![0])
}

fn with(graph: &Graph, method: &dyn Estimator<f64>, x: &[Tensor<f64>], run: &mut Run) -> Attribution<f64> {
    method.estimate(&mut Engine::new(graph, &Oracle, None), x, &first(), run).unwrap()
}

fn run(graph: &Graph, method: &dyn Estimator<f64>, x: &[Tensor<f64>]) -> Attribution<f64> {
    with(graph, method, x, &mut Run::default())
}

fn scores(result: &Attribution<f64>) -> Vec<f64> {
    result.scores.as_ref().unwrap().values[0].clone()
}

fn errors(result: &Attribution<f64>) -> Vec<f64> {
    result.scores.as_ref().unwrap().errors.as_ref().unwrap()[0].clone()
}

/// Every bit of a result that is a number.
fn bits(result: &Attribution<f64>) -> Vec<u64> {
    let maps = result.maps.iter().flat_map(|m| m.values.data().to_vec());
    let errors = result.scores.iter().flat_map(|s| s.errors.clone().unwrap_or_default().concat());
    maps.chain(errors).chain(result.values.clone()).map(f64::to_bits).collect()
}

/// The methods that share a game, with features that lie in one channel each.
fn games(baseline: &Baseline<f64>, features: &Features, seed: u64) -> Vec<(&'static str, Boxed)> {
    let (b, f) = (|| baseline.clone(), || features.clone());
    let orders = |draws| Permutations::Seeded { seed, draws, antithetic: true };
    let kernel = |rows| Box::new(KernelShap { baseline: b(), features: f(), rows }) as Boxed;
    let banzhaf = |rows| Box::new(Banzhaf { baseline: b(), features: f(), rows }) as Boxed;
    let owen = |orders| Box::new(Owen { baseline: b(), features: f(), orders }) as Boxed;
    let lime = |surrogate| {
        let rows = LimeRows::Seeded { seed, draws: 70 };
        let distance = Distance::Euclidean;
        let (baseline, features) = (b(), f());
        Box::new(Lime { baseline, features, rows, distance, kernel_width: 5.0, surrogate }) as Boxed
    };
    vec![
        ("shapley", Box::new(ShapleyValues { baseline: b(), features: f() })),
        ("sampling", Box::new(ShapleySampling { baseline: b(), features: f(), permutations: orders(6) })),
        ("owen", owen(OwenOrders::Exact)),
        ("owen sampled", owen(OwenOrders::Sampled(orders(6)))),
        ("banzhaf", banzhaf(BanzhafRows::Exact)),
        ("banzhaf plain", banzhaf(BanzhafRows::Plain { seed, draws: 4 })),
        ("ablation", Box::new(FeatureAblation { baseline: b(), features: f() })),
        ("kernel", kernel(KernelRows::Exact)),
        ("kernel leverage", kernel(KernelRows::Leverage { seed, draws: 80 })),
        ("banzhaf reuse", banzhaf(BanzhafRows::Reuse { seed, draws: 70 })),
        ("lime", lime(Surrogate::LeastSquares)),
        ("lime lasso", lime(Surrogate::Lasso(1e-3))),
        (
            "sobol",
            Box::new(Sobol { baseline: b(), features: f(), points: SobolPoints::Seeded { seed, draws: 8 } }),
        ),
    ]
}

/// The methods without features, and permutation.
fn others(baseline: &Baseline<f64>, seed: u64) -> Vec<(&'static str, Boxed)> {
    let masks = RiseMasks::Seeded { seed, draws: 20 };
    let (cells, sharing) = (2, Sharing::Own);
    let rise = Rise { baseline: baseline.clone(), cells, probability: 0.5, sharing, centred: true, masks };
    let (window, strides) = (vec![vec![1, 3, 3]], vec![vec![1, 2, 2]]);
    vec![
        ("rise", Box::new(rise) as Boxed),
        ("occlusion", Box::new(Occlusion { baseline: baseline.clone(), window, strides })),
    ]
}

fn setting(case: &Case) -> (Graph, [Tensor<f64>; 1], Baseline<f64>) {
    let baseline = Baseline::Given(vec![Case::tensor(&case.r).unwrap()]);
    (case.graph().unwrap(), [Case::tensor(&case.x).unwrap()], baseline)
}

fn near(a: &[f64], b: &[f64], tolerance: f64) -> bool {
    let scale = a.iter().chain(b).fold(1e-6f64, |m, v| m.max(v.abs()));
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| (a - b).abs() <= tolerance * scale)
}
