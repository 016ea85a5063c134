//! The border to the devices: prepare a plan, move values in and out, run one step.

use crate::plan::{Plan, Slot};
use alloc::format;
use alloc::sync::Arc;
use core::ops::Range;
use voxplain_tensor::{Error, Result, Scalar};

/// Something that runs plans. It knows the kernels and nothing of graphs, rules or methods.
pub trait Device {
    /// The element type.
    type Scalar: Scalar;
    /// The memory of one session: the plan, its arena, the weights as the device wants them.
    type Memory;

    /// Allocates everything that runs of `plan` need.
    ///
    /// # Errors
    /// The memory cannot be had.
    fn prepare(&self, plan: Arc<Plan>) -> Result<Self::Memory>;

    /// Copies a row-major array of [`crate::DType::Real`] into a value. The length has been checked.
    ///
    /// # Errors
    /// The device failed.
    fn write(&self, memory: &mut Self::Memory, slot: Slot, data: &[Self::Scalar]) -> Result<()>;

    /// Copies a value of [`crate::DType::Real`] out in row-major order. The length has been checked.
    ///
    /// # Errors
    /// The device failed.
    fn read(&self, memory: &Self::Memory, slot: Slot, data: &mut [Self::Scalar]) -> Result<()>;

    /// Replaces the values of a parameter for this session. The length has been checked.
    ///
    /// # Errors
    /// The device failed.
    fn set_parameter(&self, memory: &mut Self::Memory, parameter: usize, data: &[Self::Scalar])
    -> Result<()>;

    /// Runs step number `step` of the plan that `memory` was prepared for.
    ///
    /// # Errors
    /// The device failed; a verified plan has no other reason to.
    fn run(&self, memory: &mut Self::Memory, step: usize) -> Result<()>;

    /// Whether this device runs plans over the values of other sessions ([`Device::run_over`], [`Device::paste`]).
    fn overlays(&self) -> bool {
        false
    }

    /// As [`Device::run`], where `base` holds the values that the plan has as [`crate::Storage::Base`].
    ///
    /// # Errors
    /// The device failed, or it does not overlay.
    fn run_over(&self, memory: &mut Self::Memory, base: &Self::Memory, step: usize) -> Result<()> {
        let _ = (memory, base, step);
        Err(Error::unsupported(format!("{} does not run plans over other sessions", self.name())))
    }

    /// Writes a box of reals, a value of `memory` of the shape `part` after leading axes of size 1, into a value of `base`
    /// from position `place` on; what lies outside of that value is left out.
    ///
    /// # Errors
    /// The device failed, or it does not overlay.
    fn paste(
        &self,
        base: &mut Self::Memory,
        into: Slot,
        memory: &Self::Memory,
        part: Slot,
        place: &[isize],
    ) -> Result<()> {
        let _ = (base, into, memory, part, place);
        Err(Error::unsupported(format!("{} does not run plans over other sessions", self.name())))
    }

    /// Whether this device gains from joined steps ([`crate::Kernel::ConvBlock`] and its like), which planners make only for
    /// devices that say so.
    fn fuses(&self) -> bool {
        false
    }

    /// Runs a range of the steps of `plan`, which `memory` was prepared for. A device may record the range and do it at
    /// once the next time.
    ///
    /// # Errors
    /// As [`Device::run`], with the step's label in front.
    fn run_steps(&self, memory: &mut Self::Memory, plan: &Plan, steps: Range<usize>) -> Result<()> {
        for step in steps {
            self.run(memory, step).map_err(|e| e.within(format!("step {}", plan.steps[step].label)))?;
        }
        Ok(())
    }

    /// The name, for manifests: device, instruction set.
    fn name(&self) -> &str;
}
