//! Methods that share a forward pass give what they give alone, bit for bit, and joined steps what single steps give.
#![allow(clippy::unwrap_used)]

use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use std::sync::Arc;
use voxplain::attribution::methods::{Backward, Baseline, Cam, DeepLift};
use voxplain::attribution::{Engine, Method, Target};
use voxplain::autodiff::{Composite, Device, Gradient, Joining, Plan, Planner, Session};
use voxplain::cpu::Cpu;
use voxplain::graph::ops::{Binary, ConvAttributes, PoolAttributes};
use voxplain::graph::{Graph, GraphBuilder, Op};
use voxplain::tensor::Tensor;
use voxplain_oracle::Oracle;
use voxplain_tests::cuda::{gpu, shim};
use voxplain_tests::networks::{Case, case};

/// A network of everything that a convolution can be joined with.
#[derive(Clone, Debug)]
struct Blocks {
    channels: [usize; 3],
    image: Vec<usize>,
    /// Of kernels, along height and width.
    width: usize,
    norm: bool,
    bias: bool,
    residual: bool,
    pool: bool,
}

fn numbers(seed: u64, n: usize) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    (0..n)
        .map(|_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 40) as f32 / (1u64 << 23) as f32 - 1.0
        })
        .collect()
}

impl Blocks {
    fn conv(
        &self,
        b: &mut GraphBuilder,
        name: &str,
        x: voxplain::graph::ValueId,
        sizes: [usize; 2],
    ) -> voxplain::graph::ValueId {
        let rank = self.image.len();
        let mut kernel = vec![3; rank];
        kernel[rank - 2..].fill(self.width);
        let pads: Vec<usize> = kernel.iter().map(|k| k / 2).collect();
        let shape = [&[sizes[1], sizes[0]][..], &kernel].concat();
        let w = b
            .parameter(&format!("{name}.w"), &shape, numbers(sizes[0] as u64 + 7, shape.iter().product()))
            .unwrap();
        let mut operands = vec![x, w];
        if self.bias {
            operands.push(b.parameter(&format!("{name}.b"), &[sizes[1]], numbers(3, sizes[1])).unwrap());
        }
        let attributes =
            ConvAttributes { pads_begin: pads.clone(), pads_end: pads, ..ConvAttributes::plain(rank) };
        let mut y = b.node(name, Op::Conv(attributes), &operands).unwrap();
        if self.norm {
            let mut more = vec![y];
            for (i, part) in ["scale", "shift", "mean", "variance"].into_iter().enumerate() {
                let values = numbers(i as u64 + 20, sizes[1])
                    .into_iter()
                    .map(|v| if i % 3 == 0 { v.abs() + 0.5 } else { v });
                more.push(
                    b.parameter(&format!("{name}.{part}"), &[sizes[1]], values.collect::<Vec<_>>()).unwrap(),
                );
            }
            y = b.node(&format!("{name}.norm"), Op::BatchNormalization { epsilon: 1e-5 }, &more).unwrap();
        }
        y
    }

    fn graph(&self) -> Graph {
        let [ci, co, last] = self.channels;
        let mut b = GraphBuilder::new();
        let x = b.input("x", &[&[1, ci][..], &self.image].concat()).unwrap();
        let first = self.conv(&mut b, "first", x, [ci, co]);
        let first = b.relu("first.relu", first).unwrap();
        let mut y = self.conv(&mut b, "second", first, [co, co]);
        if self.residual {
            y = b.node("sum", Op::Binary(Binary::Add), &[y, first]).unwrap();
        }
        y = b.relu("second.relu", y).unwrap();
        if self.pool {
            let rank = self.image.len();
            let pool = PoolAttributes {
                kernel: vec![2; rank],
                strides: vec![2; rank],
                pads_begin: vec![0; rank],
                pads_end: vec![0; rank],
                dilations: vec![1; rank],
                count_include_pad: false,
                ceil_mode: false,
            };
            y = b.node("pool", Op::MaxPool(pool), &[y]).unwrap();
        }
        let y = self.conv(&mut b, "third", y, [co, last]);
        b.finish(&[y]).unwrap()
    }
}

fn blocks() -> impl Strategy<Value = Blocks> {
    let image = prop_oneof![
        proptest::collection::vec(2usize..20, 2),
        (2usize..6, 2usize..8, 2usize..24).prop_map(|(z, y, x)| vec![z, y, x])
    ];
    // Few channels, and as many as wide kernels want to be taken apart.
    let some = prop_oneof![
        ([1usize..10, 1usize..14, 1usize..10], Just(3)),
        ([1usize..5, 16usize..19, 1usize..5], Just(5))
    ];
    (some, image, any::<[bool; 4]>()).prop_map(|((channels, width), image, flags)| Blocks {
        channels,
        image,
        width,
        norm: flags[0],
        bias: flags[1],
        residual: flags[2],
        pool: flags[3],
    })
}

/// The plan of the output and its gradient for two examples.
fn planned<S>(graph: &Graph, joining: Joining) -> Plan {
    let (x, y) = (graph.inputs()[0], graph.outputs()[0]);
    let mut planner = Planner::new(graph, 2).unwrap().fused(joining);
    planner.capture(y);
    planner.reverse(&Composite::everywhere(Gradient), y, &[x]).unwrap();
    planner.finish::<S>(None).unwrap()
}

/// The output and the gradient of the output, weighed by `seed`, on a device.
fn gradient<D: Device>(device: &D, graph: &Graph, joining: Joining) -> (Vec<Vec<f64>>, Vec<&'static str>)
where
    D::Scalar: voxplain::tensor::Scalar,
{
    use voxplain::tensor::Scalar as _;
    let plan = Arc::new(planned::<D::Scalar>(graph, joining));
    let steps = plan.steps.iter().map(|s| s.kernel.name()).collect();
    let shape = plan.slot(plan.inputs[0]).shape;
    let of = |v: Vec<f32>| v.into_iter().map(|v| D::Scalar::from_f64(f64::from(v))).collect::<Vec<_>>();
    let data = Tensor::new(&shape, of(numbers(1, shape.elements()))).unwrap();
    let seed = of(numbers(2, plan.slot(plan.reverses[0].seed).shape.elements()));
    let mut session = Session::new(device, plan).unwrap();
    session.forward(&[&data]).unwrap();
    session.reverse(0, &seed).unwrap();
    let read = |t: Tensor<D::Scalar>| t.data().iter().map(|v| v.to_f64()).collect::<Vec<_>>();
    (vec![read(session.capture(0).unwrap()), read(session.result(0, 0).unwrap())], steps)
}

fn relative(a: &[f64], b: &[f64]) -> f64 {
    let (difference, size) =
        a.iter().zip(b).fold((0.0, 0.0), |(d, s), (a, b)| (d + (a - b) * (a - b), s + b * b));
    if size == 0.0 { f64::sqrt(difference) } else { f64::sqrt(difference / size) }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    /// Joined and single steps: the same bits where no normalisation is folded and no pooling's winners are summed in an order
    /// of their own, both close to the oracle, and less to do.
    #[test]
    fn joined_steps_say_what_single_steps_say(blocks in blocks()) {
        let graph = blocks.graph();
        let cpu = Cpu::best();
        let (single, many) = gradient(&cpu, &graph, Joining::Nothing);
        let (joined, few) = gradient(&cpu, &graph, Joining::Everything);
        let (oracle, _) = gradient(&Oracle, &graph, Joining::Nothing);
        let (oracle_joined, _) = gradient(&Oracle, &graph, Joining::Everything);
        // Whatever can be joined is: what is left forward are convolutions, and gradients of the sum's two operands.
        let left = |name: &str| few.iter().filter(|&&n| n == name).count();
        prop_assert!(few.len() < many.len());
        for name in ["batch_norm", "batch_norm_adjoint", "map", "positive_bits", "max_pool"] {
            prop_assert_eq!(left(name), 0, "{} in {:?}", name, few);
        }
        prop_assert_eq!(left("binary"), usize::from(blocks.residual), "{:?}", few);
        // The signal of the pooling goes straight into the adjoint that alone reads it, where channels are few or windows large,
        // and kernels of width 3.
        let sparse = blocks.width == 3 && (blocks.channels[1] <= 4 || blocks.image.len() == 3);
        let winners = blocks.pool && !blocks.residual && sparse;
        if sparse && !blocks.residual {
            prop_assert_eq!(left("unpool") + left("max_scatter"), 0, "{:?}", few);
        }
        for ((single, joined), (oracle, oracle_joined)) in
            single.iter().zip(&joined).zip(oracle.iter().zip(&oracle_joined))
        {
            prop_assert_eq!(oracle, oracle_joined);
            if !blocks.norm && !winners {
                prop_assert_eq!(single, joined);
            } else if !blocks.norm {
                prop_assert!(relative(joined, single) < 1e-5, "{}", relative(joined, single));
            }
        }
        // Outputs; a gradient may stand at a kink of the rectifier that rounding moves.
        prop_assert!(relative(&joined[0], &oracle[0]) < 1e-5, "{}", relative(&joined[0], &oracle[0]));
    }

    /// A reference that stays is not run again, and one that changes is.
    #[test]
    fn a_reference_kept_says_what_a_new_one_says(case in case()) {
        let graph = case.graph().unwrap();
        let shape = Case::tensor(&case.x).unwrap().shape();
        let data = case_data(&case);
        let x = [1.0f32, -0.5].map(|scale| [Tensor::new(&shape, data.iter().map(|v| v * scale).collect()).unwrap()]);
        let cpu = Cpu::best();
        let mut engine = Engine::new(&graph, &cpu, None);
        let target = Target::Class(vec![0]);
        for (i, baseline) in [(0, 0.0), (1, 0.0), (0, 0.25), (0, 0.25), (1, 0.25), (0, 0.0)] {
            let method = DeepLift { baseline: Baseline::Constant(baseline), multiply_by_inputs: true };
            let alone = method.attribute(&mut Engine::new(&graph, &cpu, None), &x[i], &target);
            let again = method.attribute(&mut engine, &x[i], &target);
            prop_assert_eq!(alone.ok(), again.ok());
        }
    }

    /// Methods asked together and one by one.
    #[test]
    fn methods_together_say_what_they_say_alone(case in case()) {
        together_and_alone(&Cpu::best(), &case)?;
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]

    /// On a GPU joined steps have the bits of single ones, and a session takes what its plan says and the weights: there is
    /// room for nothing else but a line for each channel.
    #[test]
    fn on_cuda_joined_steps_say_the_same_in_the_memory_of_the_plan(blocks in blocks(), order in 0u32..2) {
        let (graph, Some(device)) = (blocks.graph(), shim(order)) else { return Ok(()) };
        let (single, many) = gradient(&device, &graph, Joining::Nothing);
        let Some(device) = shim(order) else { return Ok(()) };
        let (joined, few) = gradient(&device, &graph, device.joining());
        prop_assert!(few.len() < many.len());
        if !blocks.norm {
            prop_assert_eq!(&single, &joined);
        }
        let (oracle, _) = gradient(&Oracle, &graph, Joining::Nothing);
        prop_assert!(relative(&joined[0], &oracle[0]) < 1e-5, "{}", relative(&joined[0], &oracle[0]));
        let plan = planned::<f32>(&graph, device.joining());
        let weights: usize = plan.parameters.iter().map(|p| size_of_val(&p.data[..])).sum();
        let (most, said) = (device.backend().most_bytes(), plan.arena_bytes + weights);
        prop_assert!((said..=said + 256).contains(&most), "{most} bytes were taken, {said} said");
    }

    #[test]
    fn on_cuda_methods_together_say_what_they_say_alone(case in case()) {
        let Some(device) = shim(1) else { return Ok(()) };
        together_and_alone(&device, &case)?;
    }
}

#[test]
fn methods_together_say_what_they_say_alone_on_a_gpu() {
    let Some(device) = gpu() else { return };
    let mut runner = TestRunner::new(ProptestConfig::with_cases(32));
    runner.run(&case(), |case| together_and_alone(&device, &case)).unwrap();
}

fn together_and_alone<D: Device<Scalar = f32>>(device: &D, case: &Case) -> Result<(), TestCaseError> {
    let graph = case.graph().unwrap();
    let x = [Tensor::new(&Case::tensor(&case.x).unwrap().shape(), case_data(case)).unwrap()];
    let target = Target::Class(vec![0]);
    let layer = graph.nodes().last().map(|n| n.name.clone()).unwrap_or_default();
    let methods: Vec<Box<dyn Method<f32>>> = vec![
        Box::new(Backward::saliency(false)),
        Box::new(Backward::input_x_gradient()),
        Box::new(Backward::guided_backprop()),
        Box::new(Backward::deconvolution()),
        Box::new(Cam::grad_cam(layer)),
        Box::new(DeepLift { baseline: Baseline::Constant(0.0), multiply_by_inputs: true }),
    ];
    let mut together = Engine::new(&graph, device, None);
    let wishes: Vec<(&dyn Method<f32>, &Target)> = methods.iter().map(|m| (&**m, &target)).collect();
    together.share(&wishes, &x);
    for method in methods.iter().chain(&methods) {
        let alone = method.attribute(&mut Engine::new(&graph, device, None), &x, &target);
        let shared = method.attribute(&mut together, &x, &target);
        match (alone, shared) {
            (Ok(alone), Ok(shared)) => prop_assert_eq!(alone, shared),
            (Err(alone), Err(shared)) => prop_assert_eq!(alone.to_string(), shared.to_string()),
            (alone, shared) => prop_assert!(false, "{:?} {:?}", alone.is_ok(), shared.is_ok()),
        }
    }
    Ok(())
}

fn case_data(case: &Case) -> Vec<f32> {
    Case::tensor(&case.x).unwrap().data().iter().map(|&v| v as f32).collect()
}
