//! The escape hatch: a step that the host computes, whatever the device.

use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use voxplain_tensor::{Error, Result};

/// What a host step computes: from its operands in row-major order to its results, each of the length of its value.
pub type HostFunction = dyn Fn(&[&[f64]]) -> Result<Vec<Vec<f64>>> + Send + Sync;

/// A step that no device knows: the session copies the operands to the host, calls the function in double precision and
/// copies the results back, so that a run is split there and goes on. It works on every device and costs two copies.
#[derive(Clone)]
pub struct HostCall {
    /// The name printed in plans.
    pub name: String,
    /// What is computed.
    pub function: Arc<HostFunction>,
}

impl HostCall {
    /// A call of `function`.
    pub fn new(
        name: &str,
        function: impl Fn(&[&[f64]]) -> Result<Vec<Vec<f64>>> + Send + Sync + 'static,
    ) -> Self {
        Self { name: String::from(name), function: Arc::new(function) }
    }
}

impl HostCall {
    /// What a device answers that is given this step all the same.
    pub fn refusal(&self) -> Error {
        Error::internal(format!("step {} is the host's, not a device's", self.name))
    }
}

impl fmt::Debug for HostCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HostCall({})", self.name)
    }
}

/// Two calls are equal if they call the same function.
impl PartialEq for HostCall {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.function, &other.function)
    }
}
