//! From blurred to sharp.

use super::{Ends, Path, Point};
use crate::blur::blur;
use voxplain_graph::Graph;
use voxplain_tensor::{Error, Result, Tensor};

/// From the image blurred by `sigma` entries along every spatial axis to the image itself, the blur shrinking in even steps
/// (Xu, Venugopalan & Sundararajan, "Attribution in scale and space", CVPR 2020, section 3). There is no baseline to choose;
/// the start is what the image is without its details. Beyond the border the border's entries are repeated, as of an image that
/// goes on; the authors' code takes zeros there, which darkens the blurred image towards its border.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BlurPath {
    /// The blur at the start, in entries.
    pub sigma: f64,
    /// The number of steps.
    pub steps: usize,
}

impl BlurPath {
    /// The point where `part` of the way, from 0 to 1, is behind.
    ///
    /// # Errors
    /// An input has no spatial axes, or the blur is out of range.
    pub fn at(&self, inputs: &Point, part: f64) -> Result<Point> {
        if !(self.sigma > 0.0 && self.sigma <= 1e3) {
            return Err(Error::invalid(format!(
                "a blur of {} entries; above 0 and at most 1000 expected",
                self.sigma
            )));
        }
        let sigma = self.sigma * (1.0 - part);
        inputs.iter().map(|x| blurred(x, sigma)).collect()
    }
}

fn blurred(x: &Tensor<f64>, sigma: f64) -> Result<Tensor<f64>> {
    let shape = x.shape();
    if shape.rank() < 3 {
        return Err(Error::unsupported(format!(
            "an input of shape {shape} has no spatial axes to blur along"
        )));
    }
    let (sizes, space) = (&shape[2..], shape.inner(1));
    let data = x.data().chunks(space).flat_map(|channel| blur(channel, sizes, sigma)).collect();
    Tensor::new(&shape, data)
}

impl Path for BlurPath {
    fn name(&self) -> &'static str {
        "blur"
    }

    fn steps(&self) -> usize {
        self.steps
    }

    fn start(&self, _: &Graph, inputs: &Point, _: usize) -> Result<Point> {
        self.at(inputs, 0.0)
    }

    fn next(&self, k: usize, ends: Ends<'_>, _: &Point, _: &Point) -> Result<Point> {
        self.at(ends.inputs, (k + 1) as f64 / self.steps as f64)
    }
}
