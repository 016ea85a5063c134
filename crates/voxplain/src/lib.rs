//! The promised API of voxplain: open a network, explain it on images, write what was found.
#![forbid(unsafe_code)]

pub mod request;

pub use voxplain_attribution as attribution;
pub use voxplain_autodiff as autodiff;
pub use voxplain_cpu as cpu;
pub use voxplain_graph as graph;
pub use voxplain_imaging as imaging;
pub use voxplain_models as models;
pub use voxplain_report as report;
pub use voxplain_tensor as tensor;

pub use voxplain_attribution::{Attribution, Engine, Method, Network, Target};
pub use voxplain_models::Model;
pub use voxplain_tensor::{Error, ErrorKind, Result, Tensor};
