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

/// The axioms that the earlier study has columns for, in their order.
const COLUMNS: [Axiom; 16] = [
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
];

/// `=` bit for bit, `+` holds, `x` fails, `?` statistical or under a condition that drawn networks do not keep, `.` not
/// applicable.
const EXPECTED: [(&str, &str); 20] = [
    ("gradient", "xxx=+++=x===xx.x"),
    ("input_x_gradient", "xxx=+++=xx===xx+"),
    ("smoothgrad", "xx?=+++=?===x+.x"),
    ("guided_backprop", "xxx=xxxxx===xx.x"),
    ("deconvolution", "xxx=xxxxx===xx.x"),
    ("integrated_gradients", "+x+=+++=x+===xx+"),
    ("gradient_shap", "?.?=++++?++++?x?"),
    ("deeplift", "+x+=xx+=x+===xx?"),
    ("gradcam", "xxxxxxxxx++=+x.x"),
    ("guided_gradcam", "xxx=xxxxx++=xx.x"),
    ("lrp_0", "xxx=+++=xx===xx+"),
    ("lrp_epsilon", "xxx=xxx=xxxx=?x+"),
    ("lrp_gamma", "xxx=xxx=xx===xx+"),
    ("lrp_zplus", "xxx=xxxxxx===xx+"),
    ("lrp_alpha2_beta1", "xxx=xxxxxx===xx+"),
    ("feature_ablation", "xx+=+++=++===++x"),
    ("occlusion", "xx+xx+++x+++++.x"),
    ("shapley_values", "+x+=+++=++===++x"),
    ("shapley_sampling", "+.+==+++?++++++x"),
    ("kernel_shap", "+.???+++?+++++?x"),
];

/// Reasons, by method and axiom.
const REASONS: [(&str, Axiom, &str); 12] = [
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
        for (axiom, sign_expected) in COLUMNS.into_iter().zip(expected.chars()) {
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
