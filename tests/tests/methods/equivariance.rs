//! What turns with the image and with the question: maps of mirrored and rotated images by networks with mirrored and rotated
//! kernels, and maps of probabilities as combinations of maps of logits.
#![allow(clippy::unwrap_used)]

use proptest::prelude::*;
use voxplain::attribution::composites::PRESETS;
use voxplain::attribution::methods::*;
use voxplain::attribution::{Engine, Method, Quadrature, Target};
use voxplain::axioms::compose::{copy, parameter, weights};
use voxplain::graph::{Graph, GraphBuilder, Op};
use voxplain::perturbation::Features;
use voxplain::perturbation::methods::{FeatureAblation, Occlusion};
use voxplain::tensor::Tensor;
use voxplain_oracle::Oracle;
use voxplain_tests::networks::{Case, Step, case};

/// What is done to the last two axes of sizes (h, w): the new sizes, and where the entry at (i, j) goes.
#[derive(Clone, Copy, Debug)]
enum Turn {
    Mirror,
    Quarter,
}

impl Turn {
    fn sizes(self, [h, w]: [usize; 2]) -> [usize; 2] {
        if matches!(self, Self::Quarter) { [w, h] } else { [h, w] }
    }

    fn place(self, [h, w]: [usize; 2], (i, j): (usize, usize)) -> usize {
        match self {
            Self::Mirror => i * w + (w - 1 - j),
            Self::Quarter => j * h + (h - 1 - i),
        }
    }

    fn planes<T: Copy>(self, data: &[T], sizes: [usize; 2]) -> Vec<T> {
        let mut out = data.to_vec();
        for (to, from) in out.chunks_mut(sizes[0] * sizes[1]).zip(data.chunks(sizes[0] * sizes[1])) {
            from.iter()
                .enumerate()
                .for_each(|(k, &v)| to[self.place(sizes, (k / sizes[1], k % sizes[1]))] = v);
        }
        out
    }

    fn tensor(self, x: &Tensor<f64>) -> Tensor<f64> {
        let shape = x.shape();
        let sizes = [shape[2], shape[3]];
        let turned = self.sizes(sizes);
        Tensor::new(&[shape[0], shape[1], turned[0], turned[1]], self.planes(x.data(), sizes)).unwrap()
    }

    /// The network with turned kernels on turned images.
    fn graph(self, graph: &Graph) -> Graph {
        let mut values = weights(graph);
        for node in graph.nodes().iter().filter(|n| matches!(n.op, Op::Conv(_))) {
            let (p, weight) = parameter(graph, node.inputs[1]).unwrap();
            values[p] = self.planes(&values[p], [weight.shape[2], weight.shape[3]]);
        }
        let graph = graph.with_parameters(&values).unwrap();
        let mut b = GraphBuilder::new();
        let shape = graph.shape(graph.inputs()[0]);
        let turned = self.sizes([shape[2], shape[3]]);
        let x = b.input("x", &[1, shape[1], turned[0], turned[1]]).unwrap();
        let map = copy(&mut b, &graph, "", &[x], &mut |_, _, _| Ok(None)).unwrap();
        b.finish(&[map[graph.outputs()[0].index()]]).unwrap()
    }
}

/// No two entries alike, so that maxima have one winner.
fn apart(data: &[i8], phase: f64) -> Tensor<f64> {
    let mut x = Case::tensor(data).unwrap();
    x.data_mut().iter_mut().enumerate().for_each(|(k, v)| *v += 0.01 * (k as f64 + phase).sin());
    x
}

fn maps(graph: &Graph, method: &dyn Method<f64>, x: &Tensor<f64>, target: &Target) -> Vec<Tensor<f64>> {
    let found =
        method.attribute(&mut Engine::new(graph, &Oracle, None), std::slice::from_ref(x), target).unwrap();
    found.maps.into_iter().map(|m| m.values).collect()
}

/// The methods with their reference turned along.
fn methods(graph: &Graph, r: &Tensor<f64>) -> Vec<Box<dyn Method<f64>>> {
    let baseline = || Baseline::Given(vec![r.clone()]);
    let window = || vec![vec![1, 2, 2]];
    let mut list: Vec<Box<dyn Method<f64>>> = vec![
        Box::new(Backward::saliency(false)),
        Box::new(Backward::input_x_gradient()),
        Box::new(Backward::guided_backprop()),
        Box::new(Backward::deconvolution()),
        Box::new(IntegratedGradients {
            baseline: baseline(),
            steps: Steps::Fixed(Quadrature::Middle, 5),
            multiply_by_inputs: true,
        }),
        Box::new(DeepLift { baseline: baseline(), multiply_by_inputs: true }),
        Box::new(DeepLiftRevealCancel { baseline: baseline(), multiply_by_inputs: true }),
        Box::new(FeatureAblation { baseline: baseline(), features: Features::each(graph) }),
        Box::new(Occlusion { baseline: baseline(), window: window(), strides: vec![vec![1, 1, 1]] }),
    ];
    for preset in PRESETS.iter().filter(|p| p.parameters.contains(&"epsilon")) {
        let own = [("epsilon", 0.25), ("stabilizer", 0.25)];
        list.extend(
            Lrp::preset(preset.name, &own, Start::Output).ok().map(|m| Box::new(m) as Box<dyn Method<f64>>),
        );
    }
    list
}

/// Maps far below the weights, which are of the size of 1, are what is left where terms of their size cancel: rounding.
fn alike(name: &str, a: &[f64], b: &[f64], tolerance: f64) -> Result<(), TestCaseError> {
    let scale = a.iter().chain(b).fold(1e-3f64, |m, v| m.max(v.abs()));
    for (a, b) in a.iter().zip(b) {
        prop_assert!((a - b).abs() <= tolerance * scale, "{name}: {a} {b} of {scale}");
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    /// Supposes padding alike on all sides and windows that step by 1, so that none is left over at one end, and no maxima of what
    /// was rectified: of equal entries the first wins, and which is first turns along.
    #[test]
    fn turned_images_have_turned_maps(case in case(), quarter in any::<bool>()) {
        let turn = if quarter { Turn::Quarter } else { Turn::Mirror };
        let fits = |s: &Step| !matches!(s, Step::MaxPool(false) | Step::AveragePool | Step::Normalise | Step::Gate
            | Step::Divide | Step::Softmax);
        let mut rectified = false;
        let unique = |s: &Step| {
            rectified |= matches!(s, Step::Activation(_));
            !(rectified && matches!(s, Step::MaxPool(_)))
        };
        let steps: Vec<Step> = case.steps.iter().copied().filter(fits).filter(unique).collect();
        let graph = Case { steps, ..case.clone() }.graph().unwrap();
        let (x, r) = (apart(&case.x, 0.0), apart(&case.r, 40.0));
        let (other, class) = (turn.graph(&graph), Target::Class(vec![0]));
        let turned = methods(&other, &turn.tensor(&r));
        for (method, moved) in methods(&graph, &r).iter().zip(&turned) {
            let want = turn.tensor(&maps(&graph, &**method, &x, &class)[0]);
            let have = &maps(&other, &**moved, &turn.tensor(&x), &class)[0];
            prop_assert_eq!(have.shape(), want.shape());
            alike(method.name(), have.data(), want.data(), 1e-6)?;
        }
    }

    /// The map of a probability is that of the logits by the chain rule, `p_a sum_k (1[k = a] - p_k) A(f_k)`, for methods that
    /// are linear in the slope at the image; the map of a difference of logits is the difference of the maps.
    #[test]
    fn probabilities_by_the_chain_rule(case in case()) {
        let logits = case.graph().unwrap();
        let mut b = GraphBuilder::new();
        let x = b.input("x", &[1, 2, 6, 5]).unwrap();
        let map = copy(&mut b, &logits, "", &[x], &mut |_, _, _| Ok(None)).unwrap();
        let p = b.node("probabilities", Op::Softmax { axis: 1 }, &[map[logits.outputs()[0].index()]]).unwrap();
        let graph = b.finish(&[p]).unwrap();
        let x = apart(&case.x, 0.0);
        let mut engine = Engine::new(&graph, &Oracle, None);
        let p = voxplain::Network::values(&mut engine, std::slice::from_ref(&x), graph.outputs()[0]).unwrap().remove(0);
        let methods: [&dyn Method<f64>; 2] = [&Backward::saliency(false), &Backward::input_x_gradient()];
        for method in methods {
            let of = |graph: &Graph, target: Target| maps(graph, method, &x, &target)[0].data().to_vec();
            let each = [0, 1].map(|k| of(&logits, Target::Class(vec![k])));
            let entries = each[0].iter().zip(&each[1]);
            let contrast: Vec<f64> = entries.map(|(a, b)| a - b).collect();
            alike("difference", &of(&logits, Target::Difference(0, 1)), &contrast, 1e-10)?;
            let chained: Vec<f64> = contrast.iter().map(|c| p[0] * p[1] * c).collect();
            alike("probability", &of(&graph, Target::Class(vec![0])), &chained, 1e-8)?;
        }
    }
}
