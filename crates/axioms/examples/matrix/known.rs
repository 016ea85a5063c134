//! What the literature and an earlier study say about methods and axioms, and why the table may differ.

use crate::Row;
use crate::page::sign;
use voxplain_axioms::{Axiom, Cell};

/// A cell that is not as expected.
pub struct Difference {
    /// The method.
    pub method: String,
    /// The axiom.
    pub axiom: &'static str,
    /// What was expected.
    pub expected: &'static str,
    /// What was found.
    pub found: &'static str,
    /// Why.
    pub reason: &'static str,
}

/// The axioms that the earlier study has columns for, in their order, and then those that follow from theorems about sums and
/// from definitions: only averages of what an entry adds are consistent (Young 1985), relevance of one sign stays of one sign.
const COLUMNS: [Axiom; 23] = [
    Axiom::Completeness,
    Axiom::Conservation,
    Axiom::Sensitivity,
    Axiom::Dummy,
    Axiom::Null,
    Axiom::Implementation,
    Axiom::Linearity,
    Axiom::Oddness,
    Axiom::Symmetry,
    Axiom::InputShift,
    Axiom::Homogeneity,
    Axiom::NeuronScale,
    Axiom::InputScale,
    Axiom::Continuity,
    Axiom::DemandMonotonicity,
    Axiom::Proportionality,
    Axiom::Consistency,
    Axiom::SensitivityN,
    Axiom::Positivity,
    Axiom::Batches,
    Axiom::Targets,
    Axiom::MissingModality,
    Axiom::MaskIdempotence,
];

/// `=` bit for bit, `+` holds, `x` fails, `?` statistical or under a condition that drawn networks do not keep, `.` not
/// applicable. The second word has the columns from consistency on.
const EXPECTED: &[(&str, &str)] = &[
    ("gradient", "xxx=+++=x===xx.x .x.=+x."),
    ("input_x_gradient", "xxx=+++=xx===xx+ x+.=+.."),
    ("smoothgrad", "xx?=+++=?===x+.x .x.=+x."),
    ("guided_backprop", "xxx=xxxxx===xx.x .x.=.x."),
    ("deconvolution", "xxx=xxxxx===xx.x .x.=.x."),
    ("rect_grad", "xxx=xxxxx===xx.x x..=.x."),
    ("integrated_gradients", "+x+=+++=x+===xx+ x+.=+=."),
    ("gradient_shap", "?.?=++++?++++?x? x+..+=."),
    ("deeplift", "+x+=xx+=x+===xx? x+.=+=."),
    ("deeplift_reveal_cancel", "+x+=xx+=++===??? x+.=+=."),
    ("gradcam", "xxxxxxxxx++=+x.x x..=.x."),
    ("guided_gradcam", "xxx=xxxxx++=xx.x ...=.x."),
    ("lrp_0", "xxx=+++=xx===xx+ x+.=+.."),
    ("lrp_epsilon", "xxx=xxx=xxxx=?x+ x..=.x."),
    ("lrp_gamma", "xxx=xxx=xx===xx+ x..=.x."),
    ("lrp_zplus", "xxx=xxxxxx===xx+ x.+=.x."),
    ("excitation_backprop", "xxx=xxxxxx===xx+ x.+=.x."),
    ("lrp_alpha2_beta1", "xxx=xxxxxx===xx+ x..=.x."),
    ("lrp_w_square", "x++=xxx=x+=xx+.x ..+=.x."),
    ("lrp_flat", "x++xx?+=++===+.x ..+=.x."),
    ("pattern_attribution", "x?x?xxx+x++++x.x ...=..."),
    ("feature_ablation", "xx+=+++=++===++x ++.=+=="),
    ("occlusion", "xx+xx+++x+++++.x ?..=+=="),
    ("shapley_values", "+x+=+++=++===++x ++.=+=="),
    ("shapley_sampling", "+.+==+++?++++++x ++.=+=="),
    ("owen", "+x+=+++=++===++x ++.=+=="),
    ("feature_permutation", "xx?=++++?.+++?.x +..=+=="),
    ("kernel_shap", "+.???+++?+++++?x ?+.=+?="),
    ("lime", "xx???+++?x++x?.x ?..=+?="),
];

/// Reasons, by method and axiom.
const REASONS: &[(&str, Axiom, &str)] = &[
    (
        "smoothgrad",
        Axiom::Continuity,
        "The mean over all noise is continuous; that of 16 draws jumps by a sixteenth where one of them crosses a kink.",
    ),
    (
        "gradcam",
        Axiom::Symmetry,
        "One map for all channels treats them alike by construction, in any network: the axiom is kept for nothing.",
    ),
    (
        "gradcam",
        Axiom::Continuity,
        "Here the layer is the last one with space, behind which the network is linear: weights are constants, and the \
         rectified sum of activations is continuous. Before other rectifiers it would not be.",
    ),
    ("guided_gradcam", Axiom::Homogeneity, "Both factors grow with F, so the product grows with its square."),
    (
        "lrp_gamma",
        Axiom::Proportionality,
        "It holds for entries of one sign; gamma favours contributions of the sign of the sum, so entries of both signs do \
         not share in proportion.",
    ),
    (
        "lrp_zplus",
        Axiom::Proportionality,
        "It holds for entries of one sign; negative contributions get nothing, so entries of both signs do not share in \
         proportion.",
    ),
    (
        "lrp_zplus",
        Axiom::DemandMonotonicity,
        "On the minimum z+ gives everything to the first number on both sides of the kink, and no drawn network breaks it.",
    ),
    (
        "lrp_alpha2_beta1",
        Axiom::Proportionality,
        "It holds for entries of one sign; contributions of both signs are weighed by 2 and -1.",
    ),
    (
        "occlusion",
        Axiom::Dummy,
        "The expectation is for voxels, which windows blur. The axiom is tried here on channels, and a window covers one.",
    ),
    (
        "occlusion",
        Axiom::Null,
        "The expectation is for voxels, which windows blur. The axiom is tried here on channels, and a window covers one.",
    ),
    (
        "occlusion",
        Axiom::Symmetry,
        "The expectation is for voxels: at borders fewer windows cover. Channels are covered alike.",
    ),
    (
        "shapley_sampling",
        Axiom::Null,
        "Each order adds `f + g - g`, which is rounded before the difference is taken.",
    ),
    (
        "rect_grad",
        Axiom::InputShift,
        "The expectation is for the multiplier. The method's map is the multiplier times the input, as its paper has it.",
    ),
    (
        "rect_grad",
        Axiom::InputScale,
        "The expectation is for the multiplier. The method's map is the multiplier times the input, as its paper has it.",
    ),
    (
        "rect_grad",
        Axiom::Proportionality,
        "The expectation is for the multiplier. Times the input, what enters through its sum is shared in proportion.",
    ),
    (
        "excitation_backprop",
        Axiom::DemandMonotonicity,
        "As z+: on the minimum everything goes to the first number on both sides of the kink.",
    ),
    (
        "excitation_backprop",
        Axiom::Proportionality,
        "As z+: it holds for entries of one sign; negative contributions get nothing.",
    ),
    (
        "lrp_w_square",
        Axiom::Conservation,
        "The expectation is for weights that are not all 0: a unit without weights has nobody to give its relevance to.",
    ),
    (
        "lrp_w_square",
        Axiom::Sensitivity,
        "The expectation is for reference outputs of 0: the map shares out F(x), which is 0 here while F(r) is not.",
    ),
    (
        "lrp_w_square",
        Axiom::Continuity,
        "The expectation is for weighted layers alone. The mean over space shares by value, and its sum crosses 0.",
    ),
    (
        "lrp_flat",
        Axiom::Sensitivity,
        "The expectation is for reference outputs of 0: the map shares out F(x), which is 0 here while F(r) is not.",
    ),
    (
        "lrp_flat",
        Axiom::Linearity,
        "The expectation is for fully connected networks, where the map is F(x) in equal parts. The mean over space shares by \
         value, which is not linear in the network.",
    ),
    (
        "lrp_flat",
        Axiom::Continuity,
        "The expectation is for weighted layers alone. The mean over space shares by value, and its sum crosses 0.",
    ),
    (
        "pattern_attribution",
        Axiom::Oddness,
        "The signal starts with 1 (Kindermans et al., ICLR 2018), whatever the output is: the map does not turn with it.",
    ),
    (
        "pattern_attribution",
        Axiom::Homogeneity,
        "The signal starts with 1 (Kindermans et al., ICLR 2018), whatever the output is: the map does not grow with it.",
    ),
    (
        "pattern_attribution",
        Axiom::InputShift,
        "It holds without rectifiers. The estimator for units with one subtracts the product of the mean input over samples \
         where the unit is positive and of its mean output over all samples, so a constant in the input does not drop out.",
    ),
    (
        "lrp_zplus",
        Axiom::Positivity,
        "The expectation is for weighted layers, and without space it holds. The mean over space shares by value, also by what is \
         negative.",
    ),
    (
        "excitation_backprop",
        Axiom::Positivity,
        "As z+: without space it holds; the mean over space shares by value, also by what is negative.",
    ),
    (
        "lrp_w_square",
        Axiom::Positivity,
        "As z+: without space it holds; the mean over space shares by value, also by what is negative.",
    ),
    (
        "lrp_flat",
        Axiom::Positivity,
        "As z+: without space it holds; the mean over space shares by value, also by what is negative.",
    ),
];

fn words(sign: char) -> &'static str {
    match sign {
        '=' | '≡' => "equal bit for bit",
        '+' | '✓' => "holds",
        'x' | '✗' => "fails",
        _ => "nothing",
    }
}

fn agrees(expected: char, cell: &Cell) -> bool {
    match expected {
        '=' => cell.holds() && cell.exact,
        '+' => cell.holds(),
        'x' => !cell.broken.is_empty(),
        _ => true,
    }
}

/// The differences that have a reason, and those that have none.
pub fn differences(rows: &[Row]) -> (Vec<Difference>, Vec<String>) {
    let (mut explained, mut rest) = (Vec::new(), Vec::new());
    for row in rows {
        let Some((_, expected)) = EXPECTED.iter().find(|(name, _)| *name == row.method) else { continue };
        for (axiom, sign_expected) in COLUMNS.into_iter().zip(expected.chars().filter(|c| *c != ' ')) {
            let Some(cell) = row.cells.iter().find(|c| c.axiom == axiom) else { continue };
            if agrees(sign_expected, cell) {
                continue;
            }
            let (expected, found) = (words(sign_expected), words(sign(cell)));
            match REASONS.iter().find(|(m, a, _)| *m == row.method && *a == axiom) {
                Some((_, _, reason)) => explained.push(Difference {
                    method: row.method.clone(),
                    axiom: axiom.name(),
                    expected,
                    found,
                    reason,
                }),
                None => {
                    rest.push(format!("{}, {}: expected {expected}, found {found}", row.method, axiom.name()))
                }
            }
        }
    }
    (explained, rest)
}
