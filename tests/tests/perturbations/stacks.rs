//! A stack of slices is a volume: features, windows and masks are what they are on the same entries as `[1, channels, slices,
//! space]`, whether a network takes the slices as its leading axis or makes them its batch.
#![allow(clippy::unwrap_used)]

use voxplain::attribution::methods::Baseline;
use voxplain::attribution::{Engine, Method, Target};
use voxplain::cpu::Cpu;
use voxplain::graph::ops::{ConvAttributes, Reduction};
use voxplain::graph::{Graph, GraphBuilder, Op};
use voxplain::perturbation::methods::{FeatureAblation, Occlusion, Rise, RiseMasks};
use voxplain::perturbation::{Features, Sharing};
use voxplain::tensor::Tensor;
use voxplain_oracle::Oracle;
use voxplain_tests::captum::tensor;
use voxplain_tests::layers::numbers;

const SLICES: usize = 4;
const SPACE: [usize; 2] = [5, 6];
const HIDDEN: usize = 7;

/// A stack's place of every entry of the volume.
fn places(channels: usize) -> Vec<usize> {
    let inner = SPACE[0] * SPACE[1];
    let place = |at: usize| {
        let (channel, slice) = (at / (SLICES * inner), at / inner % SLICES);
        (slice * channels + channel) * inner + at % inner
    };
    (0..channels * SLICES * inner).map(place).collect()
}

/// `values` of the volume, in a stack's order.
fn stacked<T: Copy>(values: &[T], channels: usize) -> Vec<T> {
    let mut out = values.to_vec();
    places(channels).into_iter().zip(values).for_each(|(place, &v)| out[place] = v);
    out
}

/// Two dense layers over all entries; `slices` is what the input becomes first.
fn network(sizes: &[usize], slices: &[usize], weights: &[f32]) -> Graph {
    let mut b = GraphBuilder::new();
    let mut x = b.input("x", sizes).unwrap();
    if sizes != slices {
        x = b.node("slices", Op::Reshape { sizes: slices.to_vec() }, &[x]).unwrap();
    }
    let entries = weights.len() / HIDDEN;
    let flat = b.node("flat", Op::Reshape { sizes: vec![1, entries] }, &[x]).unwrap();
    let w = b.parameter("w", &[HIDDEN, entries], weights.to_vec()).unwrap();
    let y = b.linear("hidden", flat, w, None).unwrap();
    let y = b.relu("relu", y).unwrap();
    let w = b.parameter("out", &[2, HIDDEN], numbers(3, 2 * HIDDEN)).unwrap();
    let y = b.linear("y", y, w, None).unwrap();
    b.finish(&[y]).unwrap()
}

fn run(graph: &Graph, method: &dyn Method<f64>, x: &Tensor<f64>) -> Vec<f64> {
    let mut engine = Engine::new(graph, &Oracle, None);
    let found = method.attribute(&mut engine, std::slice::from_ref(x), &Target::Class(vec![1])).unwrap();
    found.maps[0].values.data().to_vec()
}

/// The volume and both stacks as (network, input), and what is made of their maps to compare them.
fn compare(channels: usize, what: &dyn Fn(&Graph, &Tensor<f64>) -> Vec<f64>) {
    let entries = channels * SLICES * SPACE[0] * SPACE[1];
    let (weights, x) = (numbers(1, HIDDEN * entries), numbers(2, entries));
    let x: Vec<f64> = x.into_iter().map(f64::from).collect();
    let sizes = [1, channels, SLICES, SPACE[0], SPACE[1]];
    let volume = what(&network(&sizes, &sizes, &weights), &tensor(&sizes, &x));
    let rows: Vec<f32> = weights.chunks(entries).flat_map(|row| stacked(row, channels)).collect();
    let slices = [SLICES, channels, SPACE[0], SPACE[1]];
    for sizes in [&slices[..], &[1, SLICES, channels, SPACE[0], SPACE[1]]] {
        let found = what(&network(sizes, &slices, &rows), &tensor(sizes, &stacked(&x, channels)));
        let expected = stacked(&volume, channels);
        let most = expected.iter().fold(0.0f64, |m, v| m.max(v.abs()));
        assert!(most > 0.0);
        let near = |(a, b): (&f64, &f64)| (a - b).abs() <= 1e-9 * most;
        assert!(found.len() == entries && found.iter().zip(&expected).all(near), "{sizes:?}");
    }
}

#[test]
fn rise_masks_all_slices() {
    for (channels, sharing) in [(1, Sharing::Own), (3, Sharing::Joint), (3, Sharing::Own)] {
        compare(channels, &|graph, x| {
            let masks = RiseMasks::Seeded { seed: 4, draws: 40 };
            let baseline = Baseline::Constant(0.5);
            let (cells, probability) = (2, 0.5);
            run(graph, &Rise { baseline, cells, probability, sharing, centred: true, masks }, x)
        });
    }
}

#[test]
fn blocks_and_modalities() {
    for features in [Features::modalities, |graph: &Graph| Features::grid(graph, 2)] {
        compare(3, &|graph, x| {
            let features = features(graph);
            run(graph, &FeatureAblation { baseline: Baseline::Constant(0.0), features }, x)
        });
    }
}

#[test]
fn maps_of_regions() {
    let entries = SLICES * SPACE[0] * SPACE[1];
    for (given, sharing) in [(1, Sharing::Joint), (1, Sharing::Own), (3, Sharing::Own)] {
        let labels: Vec<f64> = (0..given * entries).map(|i| (i * i % 11 / 2) as f64).collect();
        let map = tensor(&[1, given, SLICES, SPACE[0], SPACE[1]], &labels);
        compare(3, &|graph, x| {
            let features = Features::of_regions(graph, std::slice::from_ref(&map), sharing).unwrap();
            run(graph, &FeatureAblation { baseline: Baseline::Constant(0.0), features }, x)
        });
    }
}

/// The first axis stands before the others in the windows of either stack.
#[test]
fn windows_over_slices() {
    compare(3, &|graph, x| {
        let of = |channels: usize, space: [usize; 3]| match graph.shape(graph.inputs()[0])[..] {
            [1, 3, ..] => vec![[&[channels], &space[..]].concat()],
            _ => vec![vec![space[0], channels, space[1], space[2]]],
        };
        let (window, strides) = (of(3, [2, 3, 4]), of(3, [1, 2, 3]));
        run(graph, &Occlusion { baseline: Baseline::Constant(0.0), window, strides }, x)
    });
}

/// A convolution that sees slice by slice, and the maximum over slices; what changed alone has the bits of full passes.
#[test]
fn windows_over_slices_compute_what_they_change() {
    let slices = [SLICES, 3, 9, 8];
    for sizes in [&slices[..], &[1, SLICES, 3, 9, 8]] {
        let mut b = GraphBuilder::new();
        let mut x = b.input("x", sizes).unwrap();
        if sizes.len() > slices.len() {
            x = b.node("slices", Op::Reshape { sizes: slices.to_vec() }, &[x]).unwrap();
        }
        let w = b.parameter("w", &[4, 3, 3, 3], numbers(1, 108)).unwrap();
        let y = b.conv("conv", x, w, None, ConvAttributes::padded(2, 1)).unwrap();
        let y = b.relu("relu", y).unwrap();
        let mean = Op::Reduce { reduction: Reduction::Mean, axes: vec![2, 3], keep_axes: false };
        let y = b.node("mean", mean, &[y]).unwrap();
        let stack = b.node("stack", Op::Reshape { sizes: vec![1, SLICES, 4] }, &[y]).unwrap();
        let most = Op::Reduce { reduction: Reduction::Max, axes: vec![1], keep_axes: false };
        let y = b.node("most", most, &[stack]).unwrap();
        let graph = b.finish(&[y]).unwrap();
        let x = Tensor::new(sizes, numbers(2, SLICES * 3 * 72)).unwrap();
        let (window, strides) = (vec![vec![2, 3, 4, 3]], vec![vec![1, 3, 2, 3]]);
        let method: Occlusion<f32> = Occlusion { baseline: Baseline::Constant(0.25), window, strides };
        let cpu = Cpu::best().with_threads(2).unwrap();
        let map = |engine: Engine<'_, Cpu>| {
            let mut engine = engine;
            let found =
                method.attribute(&mut engine, std::slice::from_ref(&x), &Target::Class(vec![1])).unwrap();
            found.maps[0].values.data().iter().map(|v| v.to_bits()).collect::<Vec<u32>>()
        };
        let parts = map(Engine::new(&graph, &cpu, None));
        assert!(parts == map(Engine::new(&graph, &cpu, None).with_full_passes()), "{sizes:?}");
        assert!(parts.iter().any(|bits| *bits != parts[0]));
    }
}
