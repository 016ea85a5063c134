//! What is computed from a change alone has the bits of a full pass, whatever the network, the change, and the batch.
#![allow(clippy::unwrap_used)]

mod networks;
mod rows;

use networks::{stages, two_stacks, volumes, wide};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use rows::{Rows, check, check_rows, cut};
use std::ops::{ControlFlow, Range};
use voxplain::attribution::methods::Baseline;
use voxplain::attribution::{Engine, Method, Network, PassSpec, Target};
use voxplain::autodiff::{CommonSizes, Device, Joining, Planner, Regions};
use voxplain::cpu::{Cpu, Filtering};
use voxplain::cuda::shim::Shim;
use voxplain::cuda::{Factors, Gpu, Products};
use voxplain::graph::Graph;
use voxplain::perturbation::Features;
use voxplain::perturbation::methods::{
    FeatureAblation, KernelRows, KernelShap, Occlusion, Permutations, ShapleySampling,
};
use voxplain::tensor::{Scalar, Tensor};
use voxplain_oracle::Oracle;
use voxplain_tests::cuda::{gpu, shim};
use voxplain_tests::layers::{Head, Layer, Layers, layers, numbers};
use voxplain_tests::networks::case;

#[test]
fn branches_and_slices_without_a_change_cost_nothing() {
    let graph = two_stacks();
    let regions = Regions::new(&graph, graph.outputs()[0], [2; 3]);
    let (class, _) =
        regions.place(&vec![Some(vec![1..2, 0..2, 0..12, 0..10]), None], &CommonSizes::default()).unwrap();
    assert!(regions.changes(&class, graph.find("a0").unwrap()));
    assert!(!regions.changes(&class, graph.find("b0").unwrap()));
    let mut planner = Planner::new(&graph, 1).unwrap();
    regions.kept().iter().for_each(|&v| {
        planner.capture(v);
    });
    let base = planner.finish::<f32>(None).unwrap();
    let plan = regions.plan::<f32>(&class, 1, &base, (Joining::Everything, false, None)).unwrap();
    // One of the six slices, and the last layer.
    let last = 2 * 16 * 2;
    assert_eq!(6 * (plan.forward_flops() - last), base.forward_flops() - last);
    let boxes = [vec![(90, 0), (0, 255), (0, 255), (0, 255)], vec![(0, 0), (0, 0), (200, 9), (9, 100)]];
    check(&Cpu::best().with_threads(2).unwrap(), &graph, &boxes, 2);
    check(&Oracle, &graph, &boxes, 2);
}

/// Windows of different classes go together through the layers over which their changes are spread, with the same bits.
#[test]
fn rows_of_all_classes_share_the_last_layers() {
    let graph = stages();
    let regions = Regions::new(&graph, graph.outputs()[0], [2; 3]);
    let window = |y: usize, x: usize| vec![Some(vec![0..1, 0..1, y..y + 5, x..x + 6])];
    let classes: Vec<_> = (0..15)
        .filter_map(|k| Some(regions.place(&window(4 * (k / 3), 5 * (k % 3)), &CommonSizes::default())?.0))
        .collect();
    let counts: Vec<_> = classes.iter().map(|class| (class, 1)).collect();
    let (head, tail) = regions.split(&counts).unwrap().unwrap();
    assert!(head.targets().iter().all(|&v| graph.value(v).name.starts_with("s1.")), "{:?}", head.targets());
    assert_eq!(tail.inputs().len(), head.targets().len());
    let linear = graph.nodes().len() - tail.nodes().len();
    assert!((8..graph.nodes().len()).contains(&linear), "{linear} nodes stay in front");
    let fractions = |k: usize| vec![(0, 0), (0, 0), (43 * (k / 3) as u8, 130), (64 * (k % 3) as u8, 170)];
    let boxes: Vec<_> = (0..15).map(fractions).collect();
    for batch in [1, 2, 5, 16] {
        check(&Cpu::best().with_threads(2).unwrap(), &graph, &boxes, batch);
    }
    check(&Oracle, &graph, &boxes[4..10], 4);
    let rows: Rows<f32> = Rows::new(&graph, &boxes);
    let cpu = Cpu::best();
    let mut engine = Engine::new(&graph, &cpu, None);
    let states = engine.states().unwrap();
    let mut fill = |_: usize, i: usize, part: &[Range<usize>], into: &mut [f32]| {
        into.copy_from_slice(&cut(&rows.shapes[i], part, &rows.base[i]));
    };
    states.enter(0, graph.outputs()[0], &mut fill).unwrap();
    let mut take = |_: usize, _: &[f32]| ControlFlow::Continue(());
    states.evaluate(0, &rows.changes, &mut fill, &mut take).unwrap();
    assert_eq!(states.walk(0, &rows.changes, &mut fill, &mut take).unwrap(), rows.changes.len());
    // What is behind the layers that steps share did not move along.
    states.evaluate(0, &rows.changes, &mut fill, &mut take).unwrap_err();
    states.enter_like(1, 0).unwrap_err();
}

fn boxes() -> impl Strategy<Value = Vec<Vec<(u8, u8)>>> {
    prop::collection::vec(prop::collection::vec(any::<(u8, u8)>(), 5), 1..8)
}

/// A few runs of entries of every input.
fn features(graph: &Graph) -> Features {
    let mut next = 0.0;
    let mut mask = |shape: &[usize]| {
        let n: usize = shape.iter().product();
        let each = n.div_ceil(5);
        let first = next;
        next += n.div_ceil(each) as f64;
        Tensor::new(shape, (0..n).map(|at| first + (at / each) as f64).collect()).unwrap()
    };
    let masks: Vec<Tensor<f64>> = graph.inputs().iter().map(|&v| mask(&graph.shape(v))).collect();
    Features::from_masks(graph, &masks).unwrap()
}

fn methods(graph: &Graph) -> Vec<Box<dyn Method<f32>>> {
    let (zero, features) = (|| Baseline::Constant(0.0), features(graph));
    let per_input = |of: &dyn Fn(usize) -> usize| -> Vec<Vec<usize>> {
        graph.inputs().iter().map(|&v| graph.shape(v)[1..].iter().map(|&n| of(n)).collect()).collect()
    };
    let few = Permutations::Seeded { seed: 3, draws: 3, antithetic: true };
    vec![
        Box::new(Occlusion {
            baseline: zero(),
            window: per_input(&|n| n.min(4)),
            strides: per_input(&|n| n.min(3)),
        }),
        Box::new(FeatureAblation { baseline: Baseline::Constant(0.5), features: features.clone() }),
        Box::new(ShapleySampling { baseline: zero(), features: features.clone(), permutations: few }),
        Box::new(KernelShap {
            baseline: zero(),
            features,
            rows: KernelRows::Leverage { seed: 5, draws: 24 },
        }),
    ]
}

/// The maps and values of a method by an engine, or why there are none: a pooling of nothing but padding is not finite.
fn result<D: Device<Scalar = f32>>(
    engine: &mut Engine<'_, D>,
    method: &dyn Method<f32>,
    inputs: &[Tensor<f32>],
) -> Result<Vec<Vec<u64>>, String> {
    let target = Target::Class(vec![0]);
    let found = method.attribute(engine, inputs, &target).map_err(|error| error.to_string())?;
    assert_eq!(engine.states().map_or(0, |s| s.bytes()), 0, "what was kept is given back");
    let maps = found.maps.iter().map(|m| m.values.data().iter().map(|v| v.to_f64().to_bits()).collect());
    let scores = found.scores.iter().flat_map(|s| &s.values).map(|s| s.iter().map(|v| v.to_bits()).collect());
    Ok(maps.chain(scores).chain([found.values.iter().map(|v| v.to_bits()).collect()]).collect())
}

/// An image with a background of zeros.
fn image(sizes: &[usize], seed: u64) -> Tensor<f32> {
    let mut data = numbers(seed, sizes.iter().product());
    let background = data.len() / 3;
    data[..background].fill(0.0);
    Tensor::new(sizes, data).unwrap()
}

fn same_maps<D: Device<Scalar = f32>>(device: &D, graph: &Graph, tight: bool) {
    let inputs: Vec<Tensor<f32>> = graph.inputs().iter().map(|&v| image(&graph.shape(v), 5)).collect();
    let output = graph.outputs()[0];
    let mut whole = Engine::new(graph, device, None).with_full_passes();
    let spec = PassSpec { table: None, from: output, wanted: vec![], captures: vec![output] };
    // Room for one example, and for no state beside it.
    let limit = tight.then(|| whole.plan(&spec, 1).unwrap().arena_bytes);
    for method in methods(graph) {
        let full = result(&mut whole, &*method, &inputs);
        let part = result(&mut Engine::new(graph, device, limit), &*method, &inputs);
        assert!(full == part, "{}: {:?} and {:?}", method.name(), full.err(), part.err());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn parts_of_wide_kernels_have_the_bits_of_the_whole(boxes in boxes(), batch in 1usize..4) {
        let graph = wide();
        for filtering in [Filtering::Accurate, Filtering::Fast, Filtering::Direct] {
            check(&Cpu::best().with_threads(2).unwrap().with_filtering(filtering), &graph, &boxes, batch);
        }
    }

    /// What of a box is the state's is copied instead of computed.
    #[test]
    fn changes_of_no_boxs_shape_have_the_bits_of_the_whole(
        boxes in boxes(), radius in 0.0f64..0.8, slope in -1.0f64..1.0, batch in 1usize..4, way in 0usize..3,
    ) {
        let graph = volumes();
        let cpu = Cpu::best().with_threads(1 + batch % 2).unwrap();
        let cpu = [cpu.with_filtering(Filtering::Fast), Cpu::best(), Cpu::best().exact()].into_iter().nth(way).unwrap();
        // A ball, and a slanted layer through it.
        let keep = |at: &[f64]| {
            let [z, y, x] = [2, 3, 4].map(|a| at[a] - 0.5);
            z * z + y * y + x * x < radius * radius && (x - slope * y).abs() < 0.3
        };
        check_rows(&cpu, &graph, &Rows::new(&graph, &boxes).thinned(keep), batch);
    }

    #[test]
    fn maps_are_the_same_however_inputs_are_evaluated(net in layers(), tight in any::<bool>()) {
        same_maps(&Cpu::best().with_threads(2).unwrap(), &net.graph().unwrap(), tight);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 120, ..ProptestConfig::default() })]

    #[test]
    fn a_part_has_the_bits_of_the_whole(net in layers(), boxes in boxes(), batch in 1usize..5, way in 0usize..3) {
        let filtering = [Filtering::Direct, Filtering::Accurate, Filtering::Fast][way];
        let cpu = Cpu::best().with_threads(1).unwrap().with_filtering(filtering);
        check(&cpu, &net.graph().unwrap(), &boxes, batch);
    }

    #[test]
    fn so_it_has_in_double_precision(net in layers(), boxes in boxes()) {
        check(&Oracle, &net.graph().unwrap(), &boxes[..boxes.len().min(2)], 2);
    }

    #[test]
    fn so_it_has_in_networks_of_every_operator(case in case(), boxes in boxes()) {
        check(&Cpu::best().with_threads(2).unwrap(), &case.graph().unwrap(), &boxes, 3);
    }
}

/// Direct sums group source channels, and packed weights are shared by sessions: in groups of another size for a part of the
/// image, weights were not those of their channels.
#[test]
fn parts_share_the_weights_and_the_sums_of_the_whole() {
    let net = |image: &[usize], layers: &[Layer]| {
        let (image, layers) = (image.to_vec(), layers.to_vec());
        Layers { image, slices: 1, channels: 3, layers, head: Head::None }.graph().unwrap()
    };
    let few = net(&[7, 4, 4], &[Layer::Conv(1, [38, 179, 40, 5, 0])]);
    // As the last layer of a network that segments: from many channels to two.
    let wide = net(&[24, 200], &[Layer::Conv(64, [2, 0, 1, 0, 0]), Layer::Conv(2, [2, 0, 1, 0, 0])]);
    let boxes: Vec<_> =
        [0, 90, 200].iter().map(|&at| vec![(0, 0), (0, 0), (at, 0), (at, 0), (0, 0)]).collect();
    for graph in [few, wide] {
        for threads in [1, 2] {
            check(&Cpu::best().with_threads(threads).unwrap(), &graph, &boxes, 1);
        }
    }
}

/// The kernels of the GPU on the CPU, with tiles for products of every size, or with factors of 16 bits.
fn shimmed(order: u32, (tiled, half): (bool, bool)) -> Option<Gpu<Shim>> {
    let least = if tiled { 1 } else { Products::default().least };
    let factors = if half { Factors::Half } else { Factors::Single };
    Some(shim(order)?.with_products(Products { factors, least }))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]

    #[test]
    fn so_it_has_on_cuda(
        net in layers(), boxes in boxes(), batch in 1usize..5, order in 0u32..2, products in any::<(bool, bool)>()
    ) {
        let Some(device) = shimmed(order, products) else { return Ok(()) };
        check(&device, &net.graph().unwrap(), &boxes, batch);
    }

    #[test]
    fn so_it_has_on_cuda_in_networks_of_every_operator(
        case in case(), boxes in boxes(), products in any::<(bool, bool)>()
    ) {
        let Some(device) = shimmed(0, products) else { return Ok(()) };
        check(&device, &case.graph().unwrap(), &boxes, 3);
    }
}

#[test]
fn so_it_has_on_a_gpu() {
    let Some(device) = gpu() else { return };
    let mut runner = TestRunner::new(ProptestConfig::with_cases(64));
    let checked = runner.run(&(layers(), boxes(), 1usize..5, any::<bool>()), |(net, boxes, batch, tight)| {
        let graph = net.graph().unwrap();
        check(&device, &graph, &boxes, batch);
        same_maps(&device, &graph, tight);
        Ok(())
    });
    checked.unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 6, ..ProptestConfig::default() })]

    #[test]
    fn maps_are_the_same_on_cuda(net in layers(), tight in any::<bool>()) {
        let Some(device) = shimmed(1, (true, false)) else { return Ok(()) };
        same_maps(&device, &net.graph().unwrap(), tight);
    }
}
