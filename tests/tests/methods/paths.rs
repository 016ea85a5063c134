//! Methods that walk paths, and regions: what they add up to, and where they meet other methods.
#![allow(clippy::unwrap_used)]

use proptest::prelude::*;
use voxplain::attribution::methods::path::{BlurPath, GuidedPath, Path, StraightPath};
use voxplain::attribution::methods::{
    Backward, Baseline, BlurIg, GuidedIg, Idgi, IntegratedGradients, Steps,
};
use voxplain::attribution::{Attribution, Engine, Method, Network, Quadrature, Target, blur};
use voxplain::cpu::Cpu;
use voxplain::graph::{Graph, GraphBuilder, Op};
use voxplain::perturbation::Features;
use voxplain::perturbation::methods::Xrai;
use voxplain::tensor::Tensor;
use voxplain_oracle::Oracle;
use voxplain_tests::networks::{Case, Step, case};

fn run(graph: &Graph, method: &dyn Method<f64>, x: &Tensor<f64>) -> Attribution<f64> {
    let mut engine = Engine::new(graph, &Oracle, None);
    method.attribute(&mut engine, std::slice::from_ref(x), &Target::Class(vec![0])).unwrap()
}

fn map(result: &Attribution<f64>) -> Vec<f64> {
    result.maps[0].values.data().to_vec()
}

fn guided(r: &Tensor<f64>, steps: usize, distance: f64) -> GuidedPath {
    GuidedPath { baseline: Baseline::Given(vec![r.clone()]), steps, fraction: 0.25, distance }
}

/// `relu(x1 - 1) - relu(x2)` and a product-free smooth part, on two inputs.
fn smooth() -> Graph {
    let mut b = GraphBuilder::new();
    let x = b.input("x", &[1, 2]).unwrap();
    let w = b.parameter("w", &[3, 2], vec![1.0, 0.5, -0.7, 1.2, 0.3, -0.4]).unwrap();
    let h = b.linear("a", x, w, None).unwrap();
    let h = b.node("tanh", Op::Pointwise(voxplain::graph::ops::Pointwise::Tanh), &[h]).unwrap();
    let v = b.parameter("v", &[1, 3], vec![1.0, -2.0, 0.5]).unwrap();
    let y = b.linear("b", h, v, None).unwrap();
    b.finish(&[y]).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]

    /// IDGI gives away exactly what every step gains, on every path and every network, unless a step has no gradient.
    #[test]
    fn idgi_is_complete_on_every_path(case in case()) {
        let graph = case.graph().unwrap();
        let (x, r) = (Case::tensor(&case.x).unwrap(), Case::tensor(&case.r).unwrap());
        let paths: [Box<dyn Path>; 3] = [
            Box::new(StraightPath { baseline: Baseline::Given(vec![r.clone()]), steps: 4 }),
            Box::new(guided(&r, 4, 0.2)),
            Box::new(BlurPath { sigma: 1.5, steps: 4 }),
        ];
        for path in paths {
            let result = run(&graph, &Idgi { path }, &x);
            let (residual, difference) = (result.residuals.clone().unwrap()[0], result.differences.clone().unwrap()[0]);
            let flat = map(&run(&graph, &Backward::saliency(false), &x)).iter().all(|g| *g == 0.0);
            let scale: f64 = map(&result).iter().map(|v| v.abs()).sum::<f64>() + difference.abs() + 1e-9;
            prop_assert!(flat || residual.abs() <= 1e-9 * scale || difference.abs() < 1e-9 || stands_still(&graph, &x, &r),
                "{}: {residual} of {difference}", result.notes.join(" "));
        }
    }

    /// A guided path that may not leave the straight line is the straight line: left sums of Integrated Gradients.
    #[test]
    fn a_guided_path_on_the_line_is_integrated_gradients(case in case()) {
        let graph = case.graph().unwrap();
        let (x, r) = (Case::tensor(&case.x).unwrap(), Case::tensor(&case.r).unwrap());
        let guided = map(&run(&graph, &GuidedIg(guided(&r, 6, 0.0)), &x));
        let baseline = Baseline::Given(vec![r]);
        let steps = Steps::Fixed(Quadrature::Left, 6);
        let straight = map(&run(&graph, &IntegratedGradients { baseline, steps, multiply_by_inputs: true }, &x));
        let scale = straight.iter().fold(1e-9f64, |m, v| m.max(v.abs()));
        let off = guided.iter().zip(&straight).filter(|(a, b)| (*a - *b).abs() > 1e-7 * scale).count();
        // A kink that a rounding crosses changes the gradient of one step.
        prop_assert!(off <= 15, "{off} of 60 entries differ");
    }

    /// Every step of a guided path goes its part of the way, inside the band, and the last one arrives.
    #[test]
    fn guided_paths_keep_to_their_band(case in case(), distance in 0.0f64..1.0, fraction in 0.0f64..1.0) {
        let graph = case.graph().unwrap();
        let (x, r) = (Case::tensor(&case.x).unwrap(), Case::tensor(&case.r).unwrap());
        let path = GuidedPath { baseline: Baseline::Given(vec![r.clone()]), steps: 5, fraction, distance };
        let inputs = vec![x.clone()];
        let start = path.start(&graph, &inputs, 1).unwrap();
        let ends = voxplain::attribution::methods::path::Ends { start: &start, inputs: &inputs, examples: 1 };
        let whole: f64 = x.data().iter().zip(r.data()).map(|(x, r)| (x - r).abs()).sum();
        let mut here = start.clone();
        for k in 0..5 {
            let gradient = vec![Tensor::new(&[1, 2, 6, 5], case.tape.iter().take(60).map(|&v| f64::from(v)).collect()).unwrap()];
            here = path.next(k, ends, &here, &gradient).unwrap();
            let left: f64 = here[0].data().iter().zip(x.data()).map(|(h, x)| (h - x).abs()).sum();
            let alpha = (k + 1) as f64 / 5.0;
            prop_assert!((left - whole * (1.0 - alpha)).abs() <= 1e-6 * whole.max(1e-9), "step {k}: {left} of {whole}");
            for ((h, x), r) in here[0].data().iter().zip(x.data()).zip(r.data()) {
                if x != r {
                    let part = (h - r) / (x - r);
                    prop_assert!(part >= alpha - distance - 1e-9 && part <= alpha + distance + 1e-9, "{part} at {alpha}");
                }
            }
        }
        prop_assert_eq!(&here[0], &x);
    }

    /// Regions keep the sum of the map under them, and with one partition every region has its mean.
    #[test]
    fn regions_keep_sums(case in case()) {
        let graph = case.graph().unwrap();
        let x = Case::tensor(&case.x).unwrap();
        let base = || IntegratedGradients::<f64> {
            baseline: Baseline::Constant(0.0),
            steps: Steps::Fixed(Quadrature::GaussLegendre, 4),
            multiply_by_inputs: true,
        };
        let plain = map(&run(&graph, &base(), &x));
        let one = Xrai { bases: vec![Box::new(base())], partitions: vec![Features::grid(&graph, 2)] };
        let two = Xrai {
            bases: vec![Box::new(base())],
            partitions: vec![Features::grid(&graph, 2), Features::grid(&graph, 3)],
        };
        let size: f64 = plain.iter().map(|v| v.abs()).sum::<f64>() + 1e-12;
        for method in [&one, &two] {
            let sum: f64 = map(&run(&graph, method, &x)).iter().sum();
            prop_assert!((sum - plain.iter().sum::<f64>()).abs() <= 1e-9 * size);
        }
        let (painted, features) = (map(&run(&graph, &one, &x)), Features::grid(&graph, 2));
        for entries in features.entries(0) {
            let mean = entries.iter().map(|(_, at)| plain[*at as usize]).sum::<f64>() / entries.len() as f64;
            prop_assert!(entries.iter().all(|(_, at)| (painted[*at as usize] - mean).abs() <= 1e-9 * size));
        }
    }
}

/// Whether the gradient vanishes somewhere on the straight path or its blurred and guided kin: networks that are dead
/// somewhere promise nothing there.
fn stands_still(graph: &Graph, x: &Tensor<f64>, r: &Tensor<f64>) -> bool {
    let blurred = |sigma: f64| {
        let data = x.data().chunks(30).flat_map(|c| blur(c, &[6, 5], sigma)).collect();
        Tensor::new(&[1, 2, 6, 5], data).unwrap()
    };
    let between = |t: f64| r.zip(x, |r, x| r + t * (x - r)).unwrap();
    let still =
        |p: Tensor<f64>| map(&run(graph, &Backward::saliency(false), &p)).iter().all(|g| g.abs() < 1e-12);
    (0..20).any(|k| still(between(f64::from(k) / 20.0)) || still(blurred(1.5 - 1.5 * f64::from(k) / 20.0)))
}

/// On a linear network Blur IG shares out `F(x) - F(blurred x)` exactly; on a smooth one its residual shrinks with steps.
#[test]
fn blur_ig_adds_up_towards_the_blurred_image() {
    let linear = Case {
        steps: vec![Step::Conv(3), Step::AveragePool, Step::Conv(2)],
        tape: (0..64).map(|i| (i * 37 % 101) as i8 - 50).collect(),
        x: (0..60).map(|i| (i * 53 % 127) as i8).collect(),
        r: vec![0; 60],
    };
    let x = Case::tensor(&linear.x).unwrap();
    let exact = run(&linear.graph().unwrap(), &BlurIg(BlurPath { sigma: 2.0, steps: 1 }), &x);
    assert!(exact.residuals.unwrap()[0].abs() <= 1e-9 * exact.differences.unwrap()[0].abs());
    let mut curved = linear;
    curved.steps = vec![Step::Conv(3), Step::Activation(5), Step::Conv(2), Step::Activation(5)];
    let graph = curved.graph().unwrap();
    let residual =
        |steps| run(&graph, &BlurIg(BlurPath { sigma: 2.0, steps }), &x).residuals.unwrap()[0].abs();
    assert!(residual(64) < residual(4) / 20.0, "{} {}", residual(64), residual(4));
}

/// The residual of Guided IG shrinks with its steps, the explained value is F, and a batch is its examples.
#[test]
fn guided_ig_converges() {
    let graph = smooth();
    let x = Tensor::new(&[2, 2], vec![0.8, -1.1, 0.3, 0.9]).unwrap();
    let method = |steps| {
        GuidedIg(GuidedPath { baseline: Baseline::Constant(0.0), steps, fraction: 0.25, distance: 0.1 })
    };
    let mut engine = Engine::new(&graph, &Oracle, None);
    let values = engine.values(std::slice::from_ref(&x), graph.outputs()[0]).unwrap();
    let fine = run(&graph, &method(400), &x);
    assert_eq!(fine.values, values.concat());
    let coarse = run(&graph, &method(20), &x);
    for (fine, coarse) in fine.residuals.unwrap().iter().zip(coarse.residuals.unwrap()) {
        assert!(fine.abs() < coarse.abs() / 10.0, "{fine} {coarse}");
    }
    let alone: Vec<f64> = [[0.8, -1.1], [0.3, 0.9]]
        .iter()
        .flat_map(|x| map(&run(&graph, &method(20), &Tensor::new(&[1, 2], x.to_vec()).unwrap())))
        .collect();
    assert_eq!(map(&run(&graph, &method(20), &x)), alone);
}

fn convolutions() -> Case {
    Case {
        steps: vec![
            Step::Conv(3),
            Step::Activation(5),
            Step::AveragePool,
            Step::Conv(2),
            Step::Activation(4),
        ],
        tape: (0..64).map(|i| (i * 37 % 101) as i8 - 50).collect(),
        x: (0..60).map(|i| (i * 53 % 127) as i8).collect(),
        r: vec![0; 60],
    }
}

/// Single precision gives the maps of double precision.
#[test]
fn paths_in_single_precision() {
    let case = convolutions();
    let (graph, x, cpu) = (case.graph().unwrap(), Case::tensor(&case.x).unwrap(), Cpu::best());
    let blurred = BlurIg(BlurPath { sigma: 1.5, steps: 8 });
    let exact = map(&run(&graph, &blurred, &x));
    let mut engine = Engine::new(&graph, &cpu, None);
    let single: Attribution<f32> =
        blurred.attribute(&mut engine, &[x.convert()], &Target::Class(vec![0])).unwrap();
    let single: Vec<f64> = single.maps[0].values.data().iter().map(|&v| f64::from(v)).collect();
    assert!(voxplain_tests::relative_error(&single, &exact) < 1e-4);
}

fn path_methods(r: &Tensor<f64>, steps: usize) -> [Box<dyn Method<f64>>; 3] {
    let path = Box::new(StraightPath { baseline: Baseline::Given(vec![r.clone()]), steps });
    [
        Box::new(GuidedIg(guided(r, steps, 0.2))),
        Box::new(BlurIg(BlurPath { sigma: 1.0, steps })),
        Box::new(Idgi { path }),
    ]
}

#[test]
fn what_a_map_says_it_cost_is_what_was_run() {
    let case = convolutions();
    let (graph, x, r) =
        (case.graph().unwrap(), Case::tensor(&case.x).unwrap(), Case::tensor(&case.r).unwrap());
    for method in path_methods(&r, 5) {
        let rows = std::cell::Cell::new(0u64);
        let mut engine = Engine::new(&graph, &Oracle, None).observed(|n| rows.set(rows.get() + n as u64));
        let x = std::slice::from_ref(&x);
        let result = method.attribute(&mut engine, x, &Target::Class(vec![0])).unwrap();
        assert_eq!(result.forward_passes, rows.get(), "{}", method.name());
        assert_eq!((result.forward_passes, result.backward_passes), method.passes(), "{}", method.name());
    }
}

#[test]
fn a_path_without_steps_is_refused() {
    let case = convolutions();
    let (graph, x, r) =
        (case.graph().unwrap(), Case::tensor(&case.x).unwrap(), Case::tensor(&case.r).unwrap());
    for method in path_methods(&r, 0) {
        let mut engine = Engine::new(&graph, &Oracle, None);
        let error = method.attribute(&mut engine, std::slice::from_ref(&x), &Target::Class(vec![0]));
        assert!(error.unwrap_err().message().contains("at least one step"), "{}", method.name());
    }
}
