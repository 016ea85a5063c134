//! Verification: what a method promises, checked on the user's own network and images.
//!
//! A property either follows from the method's definition, and then a run that breaks it is a fault ([`Status::Broken`]), or
//! it is measured so that a reader can judge the map. Equalities that hold in every arithmetic are checked bit for bit;
//! others within what rounding can explain: completeness by the running error bound of [`voxplain_axioms::running_error`],
//! maps of equal networks by what a change of every weight in its last place does to this very map.

mod conservation;
mod device;
mod exact;
mod fidelity;
mod measured;
mod modalities;
mod promises;
mod rewriting;
mod summation;
mod trial;

pub use promises::promised;

use crate::explain::Explainer;
use crate::request::Request;
use serde_json::{Value, json};
use std::fmt;
use trial::Trial;
use voxplain_attribution::Method;
use voxplain_tensor::{Error, Result};

/// What can be checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Property {
    /// The map sums to `F(x) - F(baseline)`.
    Completeness,
    /// The map and the ledger of what nodes kept sum to what relevance started with.
    Conservation,
    /// A modality that the network cannot see has no part.
    DummyModality,
    /// Two modalities that the network treats alike, with equal images, have equal maps.
    ModalitySymmetry,
    /// A neuron times 2, and what reads it divided by 2, changes no bit.
    NeuronScale,
    /// The same function with its normalisation written another way has the same map.
    Implementation,
    /// Another example in the batch changes no bit.
    Batches,
    /// Another number of threads, and another run, change no bit.
    Threads,
    /// Another device agrees.
    Devices,
    /// A moved image has a moved map.
    Translation,
    /// How alike the maps of random networks are.
    Randomisation,
    /// How far small changes of the image move the map.
    Stability,
    /// How alike the maps of two classes are.
    ClassContrast,
    /// How far the map is from foretelling what changes of the image do.
    Infidelity,
    /// Over how much of the image the map is spread.
    Concentration,
}

impl Property {
    /// All of them, in the order of tables.
    pub const ALL: [Self; 15] = [
        Self::Completeness,
        Self::Conservation,
        Self::DummyModality,
        Self::ModalitySymmetry,
        Self::NeuronScale,
        Self::Implementation,
        Self::Batches,
        Self::Threads,
        Self::Devices,
        Self::Translation,
        Self::Randomisation,
        Self::Stability,
        Self::ClassContrast,
        Self::Infidelity,
        Self::Concentration,
    ];

    /// The name, as on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Completeness => "completeness",
            Self::Conservation => "conservation",
            Self::DummyModality => "dummy-modality",
            Self::ModalitySymmetry => "modality-symmetry",
            Self::NeuronScale => "neuron-scale",
            Self::Implementation => "implementation",
            Self::Batches => "batches",
            Self::Threads => "threads",
            Self::Devices => "devices",
            Self::Translation => "translation",
            Self::Randomisation => "randomisation",
            Self::Stability => "stability",
            Self::ClassContrast => "class-contrast",
            Self::Infidelity => "infidelity",
            Self::Concentration => "concentration",
        }
    }

    /// The property of that name.
    ///
    /// # Errors
    /// There is none; the message lists them.
    pub fn parse(name: &str) -> Result<Self> {
        Self::ALL.into_iter().find(|p| p.name() == name).ok_or_else(|| {
            let names: Vec<&str> = Self::ALL.iter().map(|p| p.name()).collect();
            Error::invalid(format!("no property {name:?}; there are {}", names.join(", ")))
        })
    }

    /// Whether there is something to keep or break, rather than a number to read.
    pub fn can_be_promised(self) -> bool {
        use Property::{ClassContrast, Concentration, Infidelity, Randomisation, Stability, Translation};
        !matches!(self, Translation | Randomisation | Stability | ClassContrast | Infidelity | Concentration)
    }
}

/// What became of a property.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// Promised and kept.
    Kept,
    /// Promised and broken.
    Broken,
    /// Not promised: the numbers are for the reader.
    Measured,
    /// It says nothing about this network, image or method; the detail says why.
    NotApplicable,
}

impl Status {
    /// In one word or two.
    pub fn name(self) -> &'static str {
        match self {
            Self::Kept => "kept",
            Self::Broken => "BROKEN",
            Self::Measured => "measured",
            Self::NotApplicable => "not applicable",
        }
    }
}

/// What a check measured.
#[derive(Clone, Debug, PartialEq)]
pub enum Measured {
    /// How far the property is missed, how far it may be, and where or of what.
    Deviation(f64, f64, String),
    /// Numbers without a limit, as text and as JSON.
    Numbers(String, Value),
    /// Why there is nothing to measure.
    Nothing(String),
}

/// One property of one method on one network and image.
#[derive(Clone, Debug, PartialEq)]
pub struct Checked {
    /// The method, as requested.
    pub method: String,
    /// The property.
    pub property: Property,
    /// What became of it.
    pub status: Status,
    /// What was measured.
    pub measured: Measured,
}

impl Checked {
    fn new(method: &str, property: Property, promised: bool, measured: Measured) -> Self {
        let status = match &measured {
            Measured::Nothing(_) => Status::NotApplicable,
            // A residual that is no number is above every limit.
            Measured::Deviation(residual, limit, _) if promised && *residual <= *limit => Status::Kept,
            Measured::Deviation(..) if promised => Status::Broken,
            _ => Status::Measured,
        };
        Self { method: String::from(method), property, status, measured }
    }

    /// For machines.
    pub fn json(&self) -> Value {
        let (residual, limit, detail, numbers) = match &self.measured {
            Measured::Deviation(residual, limit, detail) => {
                (json!(residual), json!(limit), detail, Value::Null)
            }
            Measured::Numbers(detail, numbers) => (Value::Null, Value::Null, detail, numbers.clone()),
            Measured::Nothing(detail) => (Value::Null, Value::Null, detail, Value::Null),
        };
        json!({
            "method": self.method,
            "property": self.property.name(),
            "status": self.status.name().to_lowercase(),
            "residual": residual,
            "limit": limit,
            "detail": detail,
            "numbers": numbers,
        })
    }
}

/// What the columns of a [`Checked`] line are, for the top of a table.
pub const HEADER: &str = "method                 property           status             off by  allowed  what";

/// One line of the table under [`HEADER`].
impl fmt::Display for Checked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:22} {:18} {:15}", self.method, self.property.name(), self.status.name())?;
        match &self.measured {
            Measured::Deviation(residual, limit, detail) => {
                write!(f, "{residual:10.2e} {limit:8.1e}  {detail}")
            }
            Measured::Numbers(detail, _) | Measured::Nothing(detail) => write!(f, "{:21}{detail}", ""),
        }
    }
}

impl<'m> Explainer<'m> {
    /// Checks `properties` of the method of a request on its target, on the first example of the case. Promised are those of
    /// [`promised`] and of `also`.
    ///
    /// # Errors
    /// The method, a parameter or the target does not fit, or a run fails.
    pub fn verify(
        &self,
        request: &Request,
        properties: &[Property],
        also: &[Property],
    ) -> Result<Vec<Checked>> {
        let method = self.context().method::<f32>(request)?;
        let trial = Trial::of_request(self, request, &*method)?;
        let mut promises = promised(request);
        promises.extend(also);
        trial.check(&request.id, properties, &promises)
    }

    /// Checks `properties` of any method on a target (as in requests), of which `promises` are promised.
    ///
    /// # Errors
    /// As [`Explainer::verify`].
    pub fn verify_method(
        &self,
        method: &dyn Method<f32>,
        target: &str,
        properties: &[Property],
        promises: &[Property],
    ) -> Result<Vec<Checked>> {
        let request = Request {
            id: String::from(method.name()),
            method: String::from(method.name()),
            params: Default::default(),
            target: Value::from(target),
            expected: Default::default(),
        };
        Trial::of_request(self, &request, method)?.check(&request.id, properties, promises)
    }
}
