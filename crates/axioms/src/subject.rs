//! A method under test: how to make it for a network, and of which kind its roundings are.

use crate::problem::Problem;
use voxplain_attribution::Method;
use voxplain_tensor::{Result, Scalar};

/// What a map is made of, which decides how rounding enters it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arithmetic {
    /// Products of weights along paths: the gradient family.
    Signal,
    /// The same times the input (or its distance from the reference).
    SignalTimesInput,
    /// Quotients by what layers add up to: relevance.
    Relevance,
    /// Values of the network, and sums of products of its activations.
    Values,
    /// Values times a signal: guided class activation maps.
    ValuesTimesSignal,
}

/// Makes the method for a network and a reference.
type Make<S> = Box<dyn Fn(&Problem) -> Result<Box<dyn Method<S>>> + Send + Sync>;

/// A method under test.
pub struct Subject<S> {
    /// Its name, for tables.
    pub name: String,
    /// How rounding enters.
    pub arithmetic: Arithmetic,
    /// By how much sums over evaluations magnify the rounding of one: 1 for means, more for regressions.
    pub amplification: f64,
    /// Positions and weights on the path, where the map is a quadrature.
    pub path: Option<Vec<(f64, f64)>>,
    make: Make<S>,
}

impl<S: Scalar> Subject<S> {
    /// A method called `name`, made by `make` for each network.
    pub fn new(
        name: impl Into<String>,
        arithmetic: Arithmetic,
        make: impl Fn(&Problem) -> Result<Box<dyn Method<S>>> + Send + Sync + 'static,
    ) -> Self {
        Self { name: name.into(), arithmetic, amplification: 1.0, path: None, make: Box::new(make) }
    }

    /// With sums that magnify rounding by `amplification`.
    #[must_use]
    pub fn amplified(mut self, amplification: f64) -> Self {
        self.amplification = amplification;
        self
    }

    /// With a quadrature along the path from the reference.
    #[must_use]
    pub fn along(mut self, path: Vec<(f64, f64)>) -> Self {
        self.path = Some(path);
        self
    }

    /// The method for a problem.
    ///
    /// # Errors
    /// The method cannot explain this network.
    pub fn method(&self, problem: &Problem) -> Result<Box<dyn Method<S>>> {
        (self.make)(problem)
    }
}
