//! What follows from a method's definition.

use super::Property;
use crate::request::Request;

/// The properties that the method of a request promises. Whatever a method is, bits do not depend on batches and threads.
/// Sums hold where the reference is stated and the product with the distance from it is not left out; class activation maps
/// are one for all modalities; regressions on drawn rows promise nothing to an entry; the epsilon of relevance is no
/// multiple of the layer, so that scales matter to it, and flat relevance looks at places, not weights. What relevance keeps on
/// its way is in its ledger.
pub fn promised(request: &Request) -> Vec<Property> {
    use Property::{
        Batches, Completeness, Conservation, Devices, DummyModality, Implementation, ModalitySymmetry,
        NeuronScale, Threads,
    };
    let product =
        request.params.get("multiply_by_inputs").and_then(serde_json::Value::as_bool).unwrap_or(true);
    let (complete, functional, signals): (&[_], &[_], &[_]) = (
        &[Completeness, DummyModality, ModalitySymmetry, NeuronScale, Implementation],
        &[DummyModality, ModalitySymmetry, NeuronScale, Implementation],
        &[DummyModality, ModalitySymmetry, NeuronScale],
    );
    let own: &[Property] = match request.method.as_str() {
        "integrated_gradients" | "deeplift" | "deeplift_shap" if product => complete,
        "shapley_values" => complete,
        // Drawn orders do not treat two modalities alike.
        "shapley_sampling" => &[Completeness, DummyModality, NeuronScale, Implementation],
        "kernel_shap" => &[Completeness, NeuronScale, Implementation],
        "saliency" | "gradient" | "input_x_gradient" | "smoothgrad" | "smoothgrad_sq" | "vargrad" => {
            functional
        }
        "integrated_gradients" | "deeplift" | "deeplift_shap" => functional,
        "gradient_shap" | "expected_gradients" | "feature_ablation" | "occlusion" => functional,
        // Not the same for every network of a function in general, but for normalisation that is written another way.
        "guided_backprop" | "deconvolution" => functional,
        // Positive and negative parts are those of a layer as it is written.
        "deeplift_reveal_cancel" if product => &[Completeness, DummyModality, ModalitySymmetry, NeuronScale],
        // Paths touch kinks, where the way a network is written decides the gradient.
        "guided_gradcam" | "rect_grad" | "deeplift_reveal_cancel" | "blur_ig" | "idgi" => signals,
        // Which entries move first is decided between neighbours.
        "guided_ig" => &[DummyModality, NeuronScale],
        "gradcam" | "hirescam" | "layercam" | "gradcam_plus_plus" => &[NeuronScale],
        "lrp_zero"
        | "lrp_epsilon"
        | "lrp_zplus"
        | "lrp_gamma"
        | "lrp_gamma_original"
        | "lrp_gamma_captum"
        | "lrp_alpha_beta"
        | "lrp_w_square"
        | "lrp_epsilon_plus"
        | "lrp_alpha2_beta1"
        | "excitation_backprop"
        | "attn_lrp" => &[Conservation, DummyModality, ModalitySymmetry],
        "lrp_flat" | "lrp_epsilon_plus_flat" | "lrp_alpha2_beta1_flat" => &[Conservation, ModalitySymmetry],
        // Bounds may differ by modality.
        "lrp_epsilon_gamma_box" | "deep_taylor" => &[Conservation, DummyModality],
        "composite" => &[Conservation],
        "lime" => &[NeuronScale],
        _ => &[],
    };
    let batches: &[Property] = if request.method == "feature_permutation" { &[] } else { &[Batches] };
    [own, batches, &[Threads, Devices]].concat()
}
