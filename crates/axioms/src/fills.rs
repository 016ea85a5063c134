//! Feature ablation with every fill, as subjects: the rows of the table of fills.

use crate::problem::{Problem, converted};
use crate::subject::{Arithmetic, Subject};
use voxplain_attribution::Method;
use voxplain_attribution::methods::Baseline;
use voxplain_perturbation::methods::FeatureAblation;
use voxplain_perturbation::{Features, Fill, Inside};
use voxplain_tensor::{Result, Scalar};

/// The fills by name; a reference that does not look at the image is the first row.
const FILLS: [(&str, Option<Fill>); 7] = [
    ("reference", None),
    ("constant", Some(Fill::Constant(0.5))),
    ("mean", Some(Fill::Mean)),
    ("noise", Some(Fill::Noise { seed: 3 })),
    ("blur", Some(Fill::Blur(1.0))),
    ("mirror", Some(Fill::Mirror(0))),
    ("surroundings", Some(Fill::Surroundings)),
];

/// Feature ablation of every entry, once per fill; the fill is made from the input that is explained.
pub fn all<S: Scalar>() -> Vec<Subject<S>> {
    FILLS.into_iter().map(|(name, fill)| subject(name, fill)).collect()
}

fn subject<S: Scalar>(name: &str, fill: Option<Fill>) -> Subject<S> {
    Subject::new(format!("fill {name}"), Arithmetic::Values, move |p| -> Result<Box<dyn Method<S>>> {
        let features = Features::each(&p.graph);
        let baseline = Baseline::Given(match &fill {
            None => converted(&p.r),
            Some(fill) => made(fill, p, &features)?,
        });
        Ok(Box::new(FeatureAblation { baseline, features }))
    })
}

fn made<S: Scalar>(fill: &Fill, p: &Problem, features: &Features) -> Result<Vec<voxplain_tensor::Tensor<S>>> {
    fill.make_inside(&converted(&p.x), &Inside::Everywhere, Some(features))
}
