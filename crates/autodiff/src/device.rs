//! The border to the devices: prepare a plan, move values in and out, run one step.

use crate::fuse::Joining;
use crate::plan::{Plan, Slot};
use alloc::format;
use alloc::sync::Arc;
use core::ops::Range;
use voxplain_tensor::{Result, Scalar};

/// How much a device likes to run at once; never visible in results.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Batching {
    /// The most rows of a plan.
    pub rows: usize,
    /// Bytes of the arena of a plan over a state ([`crate::Regions`]), for all of its rows.
    pub parts: usize,
    /// Bytes of the arena of a full pass, for all of its rows.
    pub whole: usize,
}

impl Batching {
    /// For devices whose caches hold some megabytes: few enough rows to stay there, enough to read large weights once for.
    pub const CACHED: Self = Self { rows: 32, parts: 16 << 20, whole: 128 << 20 };
}

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

    /// A value of [`crate::DType::Real`] in row-major order where it is, if that is this machine's memory.
    ///
    /// # Errors
    /// The device failed.
    fn view<'m>(&self, _memory: &'m Self::Memory, _slot: Slot) -> Result<Option<&'m [Self::Scalar]>> {
        Ok(None)
    }

    /// Replaces the values of a parameter for this session. The length has been checked.
    ///
    /// # Errors
    /// The device failed.
    fn set_parameter(&self, memory: &mut Self::Memory, parameter: usize, data: &[Self::Scalar])
    -> Result<()>;

    /// Runs step number `step` of the plan that `memory` was prepared for. `base` holds the values that the plan has as
    /// [`crate::Storage::Base`], where there are any.
    ///
    /// # Errors
    /// The device failed; a verified plan has no other reason to.
    fn run(&self, memory: &mut Self::Memory, base: Option<&Self::Memory>, step: usize) -> Result<()>;

    /// Writes a box of reals, a value of `memory` of the shape `part` after leading axes of size 1, into a value of `base`
    /// from position `place` on; what lies outside of that value is left out.
    ///
    /// # Errors
    /// The device failed.
    fn paste(
        &self,
        base: &mut Self::Memory,
        into: Slot,
        memory: &Self::Memory,
        part: Slot,
        place: &[isize],
    ) -> Result<()>;

    /// Lets `to` have the place of the values of `from`, whose own are lost and which is not run before it is given a place
    /// again. False where every memory keeps its own, and nothing happened.
    ///
    /// # Errors
    /// A place that is large enough cannot be had.
    fn hand_over(&self, _from: &mut Self::Memory, _to: &mut Self::Memory) -> Result<bool> {
        Ok(false)
    }

    /// How much this device likes to run at once.
    fn batching(&self) -> Batching;

    /// Outputs of a convolution of width 3 without strides that are computed together along depth, height and width, counted
    /// from the first of an image: parts of an image begin there ([`crate::Regions`]). Of wider kernels at most two may be
    /// computed together along height and width, with strides too, and one along depth.
    fn tile(&self) -> [usize; 3] {
        [2; 3]
    }

    /// Which steps this device gains from when they are joined ([`crate::Kernel::ConvBlock`] and its like); every device
    /// runs them all.
    fn joining(&self) -> Joining {
        Joining::Nothing
    }

    /// Whether rows between two known examples are to be put together on the device ([`crate::Kernel::Mix`]) rather than
    /// written; every device can.
    fn mixing(&self) -> bool;

    /// Runs a range of the steps of `plan`, which `memory` was prepared for, over `base` as [`Device::run`]. A device may
    /// record the range and do it at once the next time.
    ///
    /// # Errors
    /// As [`Device::run`], with the step's label in front.
    fn run_steps(
        &self,
        memory: &mut Self::Memory,
        base: Option<&Self::Memory>,
        plan: &Plan,
        steps: Range<usize>,
    ) -> Result<()> {
        for step in steps {
            self.run(memory, base, step).map_err(|e| e.within(format!("step {}", plan.steps[step].label)))?;
        }
        Ok(())
    }

    /// How many threads of the host it uses, which methods may use too while it waits for them.
    fn threads(&self) -> usize {
        1
    }

    /// The name, for manifests: device, instruction set.
    fn name(&self) -> &str;
}
