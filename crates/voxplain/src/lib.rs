//! The promised API of voxplain: open a network, explain it on images, write what was found.
//!
//! ```no_run
//! use voxplain::{Case, Explainer, Model};
//! # fn main() -> voxplain::Result<()> {
//! let model = Model::open("glioma.safetensors".as_ref())?;
//! let case = Case::open(&model, &["BraTS20_Training_001".into()])?;
//! let explainer = Explainer::new(&model, &case);
//! let result = explainer.explain("integrated_gradients", "pred")?;
//! result.write_nifti("out".as_ref())?;
//! # Ok(())
//! # }
//! ```
#![forbid(unsafe_code)]

mod aim;
#[cfg(feature = "ndarray")]
pub mod arrays;
mod case;
mod check;
mod device;
mod estimation;
mod explain;
mod figures;
mod manifest;
mod modalities;
mod output;
mod prediction;
mod region;
pub mod request;
mod rules;
mod together;
pub mod verify;
mod windows;

pub use case::{Case, Images, preparation};
pub use check::{Comparison, check};
pub use device::Device;
pub use estimation::reference_tensors;
pub use explain::{Explained, Explainer, Settings};
pub use manifest::sha256;
pub use modalities::{ModalityImportance, ModalityOutputs, ModalityQuestion, Worth, parse_labels};
pub use output::Format;
pub use prediction::Prediction;
pub use rules::rules;
pub use together::Together;
pub use windows::Windows;

pub use voxplain_attribution as attribution;
pub use voxplain_autodiff as autodiff;
pub use voxplain_axioms as axioms;
pub use voxplain_cpu as cpu;
pub use voxplain_cuda as cuda;
pub use voxplain_graph as graph;
pub use voxplain_imaging as imaging;
pub use voxplain_metrics as metrics;
pub use voxplain_models as models;
pub use voxplain_perturbation as perturbation;
pub use voxplain_report as report;
pub use voxplain_tensor as tensor;

/// Tries every axiom on a propagation rule: `check_rule!(rule)`, `check_rule!(rule, claims: [Axiom, ...])`, on the best CPU or
/// `on: &device`. The rule is an expression that is evaluated anew for every network and starts with the explained value if
/// its signal is relevance. The [`axioms::Report`] says which axioms held, prints the smallest network for each that did
/// not, and [`axioms::Report::holds`] whether every claim did.
///
/// ```
/// use voxplain::autodiff::Gradient;
/// use voxplain::{axioms::Axiom, check_rule};
/// let report = check_rule!(Gradient, claims: [Axiom::Linearity, Axiom::Implementation, Axiom::NeuronScale]);
/// assert!(report.holds(), "{report}");
/// assert!(!report.cell(Axiom::Completeness).is_none_or(|cell| cell.holds()));
/// ```
#[macro_export]
macro_rules! check_rule {
    ($rule:expr) => {
        $crate::check_rule!($rule, claims: [])
    };
    ($rule:expr, claims: [$($claim:expr),* $(,)?]) => {
        $crate::check_rule!($rule, claims: [$($claim),*], on: &$crate::cpu::Cpu::best())
    };
    ($rule:expr, claims: [$($claim:expr),* $(,)?], on: $device:expr) => {
        $crate::axioms::check_rule($device, move || $rule, &[$($claim),*])
    };
}

pub use voxplain_attribution::{Attribution, Engine, Method, Network, Target};
pub use voxplain_cuda::Factors;
pub use voxplain_models::Model;
pub use voxplain_tensor::{Error, ErrorKind, Result, Tensor};
