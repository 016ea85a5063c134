//! The methods of this workspace as subjects: the rows of the table of methods and axioms. A new method is one more row.

use crate::permuted::Permuted;
use crate::problem::{Problem, converted};
use crate::subject::{Arithmetic, Subject};
use voxplain_attribution::methods::path::{BlurPath, GuidedPath, StraightPath};
use voxplain_attribution::methods::{
    Backward, Baseline, BlurIg, Cam, CamWeights, DeepLift, DeepLiftRevealCancel, DeepLiftShap, GradientShap,
    GuidedGradCam, GuidedIg, Idgi, IntegratedGradients, Lrp, PatternKind, Patterned, ShapDraws, Smooth,
    Start, Statistic, Steps,
};
use voxplain_attribution::rules::Threshold;
use voxplain_attribution::{Draws, Generator, Interpolation, Method, Quadrature};
use voxplain_graph::Op;
use voxplain_perturbation::methods::{
    Banzhaf, BanzhafRows, Distance, FeatureAblation, KernelRows, KernelShap, Lime, LimeRows, Occlusion, Owen,
    OwenOrders, Permutations, Rise, RiseMasks, ShapleySampling, ShapleyValues, Sobol, SobolPoints, Surrogate,
    Xrai,
};
use voxplain_perturbation::{Features, Sharing};
use voxplain_tensor::{Error, Result, Scalar, Tensor};

/// Points of quadratures along the path.
const POINTS: usize = 16;
/// So small that no sum of the networks here feels it, for rules without a stabiliser of their own.
const STABILIZER: (&str, f64) = ("stabilizer", 1e-30);

type Made<S> = Result<Box<dyn Method<S>>>;

fn baseline<S: Scalar>(problem: &Problem) -> Baseline<S> {
    Baseline::Given(converted(&problem.r))
}

fn always<S: Scalar, M: Method<S> + Clone + 'static>(
    name: &str,
    arithmetic: Arithmetic,
    method: M,
) -> Subject<S> {
    Subject::new(name, arithmetic, move |_| Ok(Box::new(method.clone()) as Box<dyn Method<S>>))
}

fn made<S: Scalar, M: Method<S> + 'static>(
    name: &str,
    arithmetic: Arithmetic,
    make: fn(&Problem) -> Result<M>,
) -> Subject<S> {
    Subject::new(name, arithmetic, move |p: &Problem| -> Made<S> { Ok(Box::new(make(p)?)) })
}

/// All of them.
pub fn all<S: Scalar>() -> Vec<Subject<S>> {
    let mut list = gradients();
    list.extend(references());
    list.extend(paths());
    list.extend(activations());
    list.extend(relevances());
    list.extend(perturbations());
    list
}

/// The subject of that name, among the methods and the fills.
pub fn named<S: Scalar>(name: &str) -> Option<Subject<S>> {
    all().into_iter().chain(crate::fills::all()).find(|s| s.name == name)
}

fn gradients<S: Scalar>() -> Vec<Subject<S>> {
    use Arithmetic::{Signal, SignalTimesInput};
    vec![
        always("gradient", Signal, Backward::saliency(false)),
        always("input_x_gradient", SignalTimesInput, Backward::input_x_gradient()),
        made("smoothgrad", Signal, |_| Ok(smooth(Statistic::Mean))),
        made("smoothgrad_sq", Signal, |_| Ok(smooth(Statistic::MeanOfSquares))),
        made("vargrad", Signal, |_| Ok(smooth(Statistic::Variance))),
        always("guided_backprop", Signal, Backward::guided_backprop()),
        always("deconvolution", Signal, Backward::deconvolution()),
        always("rect_grad", SignalTimesInput, Backward::rect_grad(Threshold::Quantile(0.5))),
    ]
}

fn smooth<S: Scalar>(statistic: Statistic) -> Smooth<S> {
    let draws = Draws::Seeded { seed: 1, draws: 16, sigma: vec![0.7] };
    Smooth { base: Box::new(Backward::saliency(false)), draws, statistic }
}

/// The layer of class activation maps: the last one with channels and space.
fn layer(problem: &Problem) -> Result<String> {
    let conv = problem.graph.nodes().iter().rfind(|n| matches!(n.op, Op::Conv(_) | Op::Pointwise(_)));
    conv.map(|n| n.name.clone())
        .ok_or_else(|| Error::invalid("the network has no layer for a class activation map"))
}

fn cam(problem: &Problem, weights: CamWeights) -> Result<Cam> {
    Ok(Cam { layer: layer(problem)?, weights, relu: true, interpolation: Some(Interpolation::Linear) })
}

fn activations<S: Scalar>() -> Vec<Subject<S>> {
    use Arithmetic::{Values, ValuesTimesSignal};
    vec![
        made("gradcam", Values, |p| cam(p, CamWeights::GradCam)),
        made("hirescam", Values, |p| cam(p, CamWeights::HiResCam)),
        made("layercam", Values, |p| cam(p, CamWeights::LayerCam)),
        made("gradcam_plus_plus", Values, |p| cam(p, CamWeights::GradCamPlusPlus)),
        made("guided_gradcam", ValuesTimesSignal, |p| {
            Ok(GuidedGradCam { layer: layer(p)?, interpolation: Interpolation::Linear })
        }),
    ]
}

/// Gauss-Legendre nodes; none where they do not exist, which their own tests exclude.
fn nodes() -> Vec<(f64, f64)> {
    Quadrature::GaussLegendre.nodes(POINTS).unwrap_or_default()
}

/// Evenly spaced positions of equal weight, off the short binary fractions where kinks of exact networks lie.
fn positions() -> Vec<(f64, f64)> {
    (0..POINTS).map(|k| ((k as f64 + 0.618_034) / POINTS as f64, 1.0 / POINTS as f64)).collect()
}

fn references<S: Scalar>() -> Vec<Subject<S>> {
    use Arithmetic::SignalTimesInput as Product;
    vec![
        made("integrated_gradients", Product, |p| {
            let steps = Steps::Fixed(Quadrature::GaussLegendre, POINTS);
            Ok(IntegratedGradients { baseline: baseline(p), steps, multiply_by_inputs: true })
        })
        .along(nodes()),
        // Positions of a quadrature in place of draws: what GradientShap is in the mean.
        made("gradient_shap", Product, |p| {
            let (baseline, alpha) = positions().iter().map(|n| (vec![0], vec![n.0])).unzip();
            let draws = ShapDraws::Given { baseline, alpha };
            Ok(GradientShap { baselines: converted(&p.r), draws, noise: None })
        })
        .along(positions()),
        made("deeplift", Product, |p| Ok(DeepLift { baseline: baseline(p), multiply_by_inputs: true })),
        made("deeplift_reveal_cancel", Product, |p| {
            Ok(DeepLiftRevealCancel { baseline: baseline(p), multiply_by_inputs: true })
        }),
        made("deeplift_shap", Product, |p| {
            Ok(DeepLiftShap { baselines: converted(&p.r), multiply_by_inputs: true })
        }),
    ]
}

/// Gradients and differences along paths other than the straight line, in as many steps as quadratures have points.
fn paths<S: Scalar>() -> Vec<Subject<S>> {
    use Arithmetic::SignalTimesInput as Product;
    let blurred = BlurPath { sigma: 2.0, steps: POINTS };
    let guided =
        |p: &Problem| GuidedPath { baseline: baseline(p), steps: POINTS, fraction: 0.25, distance: 0.02 };
    vec![
        Subject::new("guided_ig", Product, move |p| Ok(Box::new(GuidedIg(guided(p))) as Box<dyn Method<S>>)),
        always("blur_ig", Product, BlurIg(blurred)),
        made("idgi", Product, |p| {
            Ok(Idgi { path: Box::new(StraightPath { baseline: baseline(p), steps: POINTS }) })
        }),
        // Regions of two entries and of a channel; the base is complete, and means keep sums.
        made("xrai", Product, |p| {
            let steps = Steps::Fixed(Quadrature::GaussLegendre, POINTS);
            let base = IntegratedGradients { baseline: baseline(p), steps, multiply_by_inputs: true };
            let partitions = vec![Features::grid(&p.graph, 2), Features::modalities(&p.graph)];
            Ok(Xrai { bases: vec![Box::new(base)], partitions })
        })
        .along(nodes()),
    ]
}

/// A row, its composite and the parameters.
type Composed = (&'static str, &'static str, &'static [(&'static str, f64)]);

/// The composites with parameters.
const COMPOSITES: [Composed; 16] = [
    ("lrp_0", "lrp_zero", &[STABILIZER]),
    ("lrp_epsilon", "lrp_epsilon", &[("epsilon", 0.1)]),
    ("lrp_gamma", "lrp_gamma", &[("gamma", 0.25), STABILIZER]),
    ("lrp_gamma_original", "lrp_gamma_original", &[("gamma", 0.25), STABILIZER]),
    ("lrp_gamma_captum", "lrp_gamma_captum", &[("gamma", 0.25), STABILIZER]),
    ("lrp_zplus", "lrp_zplus", &[STABILIZER]),
    ("excitation_backprop", "excitation_backprop", &[STABILIZER]),
    ("lrp_alpha2_beta1", "lrp_alpha_beta", &[("alpha", 2.0), ("beta", 1.0), STABILIZER]),
    ("lrp_w_square", "lrp_w_square", &[STABILIZER]),
    ("lrp_flat", "lrp_flat", &[STABILIZER]),
    ("deep_taylor", "deep_taylor", &[STABILIZER]),
    ("lrp_epsilon_plus", "lrp_epsilon_plus", &[("epsilon", 0.1), STABILIZER]),
    ("lrp_epsilon_plus_flat", "lrp_epsilon_plus_flat", &[("epsilon", 0.1), STABILIZER]),
    ("lrp_alpha2_beta1_flat", "lrp_alpha2_beta1_flat", &[("epsilon", 0.1), STABILIZER]),
    ("attn_lrp", "attn_lrp", &[("epsilon", 0.1)]),
    (
        "lrp_epsilon_gamma_box",
        "lrp_epsilon_gamma_box",
        &[("epsilon", 0.1), ("gamma", 0.25), ("low", -8.0), ("high", 8.0), STABILIZER],
    ),
];

fn relevances<S: Scalar>() -> Vec<Subject<S>> {
    let one = |&(row, composite, parameters): &Composed| {
        Subject::new(row, Arithmetic::Relevance, move |_| -> Made<S> {
            Ok(Box::new(Lrp::preset(composite, parameters, Start::Output)?))
        })
    };
    let net = made("pattern_net", Arithmetic::ValuesTimesSignal, |p| {
        Ok(Patterned { kind: PatternKind::Net, samples: samples(p)? })
    });
    let attribution = made("pattern_attribution", Arithmetic::ValuesTimesSignal, |p| {
        Ok(Patterned { kind: PatternKind::Attribution, samples: samples(p)? })
    });
    COMPOSITES.iter().map(one).chain([net, attribution]).collect()
}

/// Inputs to fit patterns to: from the reference some way towards the input and beyond, every entry by itself, so that samples
/// move and grow with the input.
fn samples<S: Scalar>(problem: &Problem) -> Result<Vec<Tensor<S>>> {
    const SAMPLES: usize = 32;
    let one = |(i, (x, r)): (usize, (&Tensor<f64>, &Tensor<f64>))| {
        let draws = Generator::new(11, i as u32);
        let part = |s: usize, k: usize| 3.0 * draws.uniform(s as u32, k as u64) - 1.0;
        let entry = |s, (k, (x, r)): (usize, (&f64, &f64))| S::from_f64(r + part(s, k) * (x - r));
        let row = |s| x.data().iter().zip(r.data()).enumerate().map(move |e| entry(s, e));
        let mut sizes = x.shape().to_vec();
        sizes[0] = SAMPLES;
        Tensor::new(&sizes, (0..SAMPLES).flat_map(row).collect())
    };
    problem.x.iter().zip(&problem.r).enumerate().map(one).collect()
}

fn perturbations<S: Scalar>() -> Vec<Subject<S>> {
    use Arithmetic::Values;
    let all_bits = |n: usize| (1u64 << n.min(20)) as f64;
    let mut list = vec![
        made("feature_ablation", Values, |p| {
            let features = Features::each(&p.graph);
            Ok(FeatureAblation { baseline: baseline(p), features })
        }),
        made("occlusion", Values, |p| Ok(occlusion(p))),
        made("shapley_values", Values, |p| {
            Ok(ShapleyValues { baseline: baseline(p), features: Features::each(&p.graph) })
        }),
    ];
    list.push(
        made("shapley_sampling", Values, |p| {
            let permutations = Permutations::Seeded { seed: 3, draws: 8, antithetic: true };
            Ok(ShapleySampling { baseline: baseline(p), features: Features::each(&p.graph), permutations })
        })
        .amplified(8.0),
    );
    list.push(made("banzhaf", Values, |p| {
        let features = Features::each(&p.graph);
        Ok(Banzhaf { baseline: baseline(p), features, rows: BanzhafRows::Exact })
    }));
    list.push(made("owen", Values, |p| {
        Ok(Owen { baseline: baseline(p), features: Features::each(&p.graph), orders: OwenOrders::Exact })
    }));
    list.push(made("feature_permutation", Values, |p| Ok(Permuted::of(p))));
    // Regressions on as many rows as there may be coalitions of 12 entries.
    list.push(
        made("kernel_shap", Values, |p| {
            let rows = KernelRows::Leverage { seed: 5, draws: 64 };
            Ok(KernelShap { baseline: baseline(p), features: Features::each(&p.graph), rows })
        })
        .amplified(all_bits(12)),
    );
    list.push(made("lime", Values, |p| Ok(lime(p))).amplified(all_bits(12)));
    list.push(made("rise", Values, |p| Ok(rise(p))).amplified(2.0));
    list.push(
        made("sobol", Values, |p| {
            let points = SobolPoints::Seeded { seed: 9, draws: 16 };
            Ok(Sobol { baseline: baseline(p), features: Features::each(&p.graph), points })
        })
        .amplified(all_bits(12)),
    );
    list
}

/// Windows of two entries, overlapping, in one channel at a time.
fn occlusion<S: Scalar>(p: &Problem) -> Occlusion<S> {
    let window = p.x.iter().map(|x| vec![1, x.shape()[2].min(2)]).collect();
    let strides = p.x.iter().map(|_| vec![1, 1]).collect();
    Occlusion { baseline: baseline(p), window, strides }
}

/// Two cells along the image, channels with masks of their own.
fn rise<S: Scalar>(p: &Problem) -> Rise<S> {
    Rise {
        baseline: baseline(p),
        cells: 2,
        probability: 0.5,
        sharing: Sharing::Own,
        centred: true,
        masks: RiseMasks::Seeded { seed: 13, draws: 64 },
    }
}

fn lime<S: Scalar>(p: &Problem) -> Lime<S> {
    Lime {
        baseline: baseline(p),
        features: Features::each(&p.graph),
        rows: LimeRows::Seeded { seed: 7, draws: 64 },
        distance: Distance::Cosine,
        kernel_width: 0.75,
        surrogate: Surrogate::LeastSquares,
    }
}
