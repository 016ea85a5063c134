//! The methods of a published study with its settings, so that its maps can be compared with.

use super::Request;
use serde_json::{Map, Value, json};
use voxplain_graph::Graph;
use voxplain_perturbation::Frame;

impl Request {
    /// The request of a method with default parameters, of the predicted class.
    pub fn named(method: &str) -> Self {
        Self {
            id: String::from(method),
            method: String::from(method),
            params: Map::new(),
            target: Value::from("pred"),
            expected: Default::default(),
        }
    }

    fn with(method: &str, params: Value) -> Self {
        Self { params: params.as_object().cloned().unwrap_or_default(), ..Self::named(method) }
    }
}

/// Slices that a window covers, and its steps along them.
const SLICES: usize = 5;

/// Windows of `size` along every spatial axis of every input: in one modality at a time where channels are modalities, in all
/// channels where inputs are (their channels are copies).
fn windows(graph: &Graph, size: usize) -> Value {
    let several = graph.inputs().len() > 1;
    let one = |&value| {
        let frame = Frame::of(graph, value);
        let slices = (frame.slices > 1).then_some(SLICES.min(frame.slices));
        let channels = if several { frame.channels } else { 1 };
        let space = frame.space.iter().map(|&n| size.min(n));
        let all: Vec<usize> = slices.into_iter().chain([channels]).chain(space).collect();
        (graph.value(value).name.clone(), json!(all))
    };
    Value::Object(graph.inputs().iter().map(one).collect())
}

/// The methods of Jin, Li & Hamarneh, "Evaluating explainable AI on a multi-modal medical imaging task: can existing
/// algorithms fulfill clinical requirements?", AAAI 2022, and Jin et al., "Guidelines and evaluation of clinical explainable AI
/// in medical image analysis", MedIA 84, 2023, with their settings. CAMs only if the network's card names a layer.
///
/// Corrected against their program: SmoothGrad averages signed gradients; supervoxels of different modalities or inputs never
/// share a number, and those of all modalities together (Kernel SHAP, feature permutation) are made from all of them instead of
/// one; occlusion's noise has the statistics of the foreground and stays in it; Kernel SHAP adds up exactly; orders come in
/// reversed pairs; DeepLift is complete at every layer. Feature permutation takes
/// values from the other patients of the batch and from the one of `--reference`; one patient alone cannot have it.
pub fn study(graph: &Graph, cams: bool) -> Vec<Request> {
    let several = graph.inputs().len() > 1;
    // 50 supervoxels of the brain, 30 of each plane of a knee.
    let segments = if several { 30 } else { 50 };
    let joint = format!("slic joint segments={segments} compactness=0.1 sigma=2");
    let own = if several { joint.clone() } else { joint.replace("joint ", "") };
    let with = Request::with;
    let all = vec![
        with("saliency", json!({})),
        with("input_x_gradient", json!({})),
        with("guided_backprop", json!({})),
        with("deconvolution", json!({})),
        with("deeplift", json!({"baseline": 0})),
        with("integrated_gradients", json!({"baseline": 0, "n_steps": 50})),
        with("gradient_shap", json!({"draws": 5, "sigma": 0})),
        with("smoothgrad", json!({"draws": 10, "sigma": 1})),
        with("gradcam", json!({})),
        with("guided_gradcam", json!({})),
        with("feature_ablation", json!({"baseline": 0, "mask": own})),
        with("kernel_shap", json!({"baseline": 0, "mask": joint, "draws": 300, "mode": "captum"})),
        with(
            "lime",
            json!({"baseline": 0, "mask": own, "draws": 500, "distance": "cosine", "kernel_width": 1}),
        ),
        with("shapley_sampling", json!({"baseline": 0, "mask": own, "draws": 26})),
        with("feature_permutation", json!({"mask": joint, "draws": 1})),
        with(
            "occlusion",
            json!({"baseline": "noise", "window": windows(graph, 11), "strides": windows(graph, 5)}),
        ),
    ];
    all.into_iter().filter(|r| cams || !r.method.contains("cam")).collect()
}
