//! A session runs one plan again and again on a device.
//!
//! Everything of a tensor's size is allocated when the session is made; [`Session::forward`], [`Session::reverse`],
//! [`Session::capture_into`] and [`Session::result_into`] allocate none. A device may use small buffers of a size that
//! does not depend on the data.

use crate::device::Device;
use crate::host::HostCall;
use crate::kernel::Kernel;
use crate::plan::{Plan, Slot, Step};
use alloc::format;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::ops::Range;
use voxplain_tensor::{Error, MAX_RANK, Result, Scalar, Tensor};

/// A plan with its memory on a device.
pub struct Session<'d, D: Device> {
    device: &'d D,
    plan: Arc<Plan>,
    memory: D::Memory,
    /// Whether the values of the last reference are there.
    has_reference: bool,
}

impl<'d, D: Device> Session<'d, D> {
    /// Allocates the memory of `plan` on `device`.
    ///
    /// # Errors
    /// The memory cannot be had, or the plan was made for another scalar size.
    pub fn new(device: &'d D, plan: Arc<Plan>) -> Result<Self> {
        if plan.scalar_bytes != size_of::<D::Scalar>() {
            return Err(Error::internal("the plan was made for another scalar type than the device's"));
        }
        let memory = device.prepare(plan.clone())?;
        Ok(Self { device, plan, memory, has_reference: false })
    }

    /// The plan.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Runs the forward segment on one tensor per graph input, each with as many rows as the plan's batch says.
    ///
    /// # Errors
    /// A tensor has another shape than the plan's input, or the plan also needs references.
    pub fn forward(&mut self, inputs: &[&Tensor<D::Scalar>]) -> Result<()> {
        if self.plan.references.is_some() {
            return Err(Error::internal("this plan needs reference inputs"));
        }
        self.write_inputs(inputs, false)?;
        self.run(self.plan.forward.clone())
    }

    /// Runs the forward segment on inputs and references together.
    ///
    /// # Errors
    /// A tensor has another shape than the plan's input, or the plan has no reference run.
    pub fn forward_with_reference(
        &mut self,
        inputs: &[&Tensor<D::Scalar>],
        references: &[&Tensor<D::Scalar>],
    ) -> Result<()> {
        self.has_reference = false;
        self.write_inputs(inputs, false)?;
        self.write_inputs(references, true)?;
        self.run(self.plan.forward.clone())?;
        self.has_reference = true;
        Ok(())
    }

    /// Runs the forward segment on other inputs beside the reference of the last [`Session::forward_with_reference`], whose
    /// values are still there.
    ///
    /// # Errors
    /// A tensor has another shape than the plan's input, or there was no such run.
    pub fn forward_beside_reference(&mut self, inputs: &[&Tensor<D::Scalar>]) -> Result<()> {
        if !self.has_reference {
            return Err(Error::internal("no reference has been run"));
        }
        let (forward, reference) = (self.plan.forward.clone(), self.plan.reference.clone());
        self.write_inputs(inputs, false)?;
        self.run(forward.start..reference.start)?;
        self.run(reference.end..forward.end)
    }

    /// As [`Session::forward`] over the values of `base`, which is a session of the plan that this one's was made for.
    ///
    /// # Errors
    /// A tensor has another shape than the plan's input.
    pub fn forward_over(&mut self, base: &Self, inputs: &[&Tensor<D::Scalar>]) -> Result<()> {
        self.write_inputs(inputs, false)?;
        let plan = self.plan.clone();
        self.device.run_steps(&mut self.memory, Some(&base.memory), &plan, plan.forward.clone())
    }

    /// Writes captured value `from` of `part`, a box, into captured value `index` of this session, from `place` on.
    ///
    /// # Errors
    /// There is no such value or the device failed.
    pub fn paste(&mut self, index: usize, part: &Self, from: usize, place: &[isize]) -> Result<()> {
        let missing = || Error::internal("no such captured value");
        let into = *self.plan.captures.get(index).ok_or_else(missing)?;
        let from = *part.plan.captures.get(from).ok_or_else(missing)?;
        self.device.paste(&mut self.memory, into, &part.memory, from, place)
    }

    /// Takes the place for values of `from`, which is not run before it takes one again: sessions that run in turn need one
    /// place, still in the caches. False where the device gives every session its own.
    ///
    /// # Errors
    /// A place that is large enough cannot be had.
    pub fn take_place(&mut self, from: &mut Self) -> Result<bool> {
        self.device.hand_over(&mut from.memory, &mut self.memory)
    }

    /// Runs reverse segment `index` from `seed`, which has the shape of the value that the segment starts at.
    /// May be called many times after one forward run.
    ///
    /// # Errors
    /// The seed has another number of elements.
    pub fn reverse(&mut self, index: usize, seed: &[D::Scalar]) -> Result<()> {
        let reverse =
            self.plan.reverses.get(index).ok_or_else(|| Error::internal("no such reverse segment"))?;
        let (slot, steps) = (reverse.seed, reverse.steps.clone());
        self.write(slot, seed)?;
        self.run(steps)
    }

    /// As [`Session::reverse`] over the values of `base`, of segments without steps of the host.
    ///
    /// # Errors
    /// The seed has another number of elements.
    pub fn reverse_over(&mut self, base: &Self, index: usize, seed: &[D::Scalar]) -> Result<()> {
        let reverse =
            self.plan.reverses.get(index).ok_or_else(|| Error::internal("no such reverse segment"))?;
        let (slot, steps) = (reverse.seed, reverse.steps.clone());
        self.write(slot, seed)?;
        let plan = self.plan.clone();
        self.device.run_steps(&mut self.memory, Some(&base.memory), &plan, steps)
    }

    /// Writes result `result` of reverse segment `segment` of `of` over captured value `index` of this session, of the same
    /// shape.
    ///
    /// # Errors
    /// There is no such value or the device failed.
    pub fn take_result(&mut self, index: usize, of: &Self, segment: usize, result: usize) -> Result<()> {
        let missing = || Error::internal("no such value");
        let into = *self.plan.captures.get(index).ok_or_else(missing)?;
        let from = of.plan.reverses.get(segment).and_then(|r| r.results.get(result)).ok_or_else(missing)?;
        let place = [0; MAX_RANK];
        let rank = self.plan.slot(into).shape.rank();
        self.device.paste(&mut self.memory, into, &of.memory, *from, &place[..rank])
    }

    /// Copies captured forward value `index` out.
    ///
    /// # Errors
    /// There is no such value or the device failed.
    pub fn capture(&self, index: usize) -> Result<Tensor<D::Scalar>> {
        self.read(self.plan.captures.get(index))
    }

    /// As [`Session::capture`], into a buffer that the caller keeps.
    ///
    /// # Errors
    /// There is no such value, the length differs, or the device failed.
    pub fn capture_into(&self, index: usize, data: &mut [D::Scalar]) -> Result<()> {
        self.read_into(self.plan.captures.get(index), data)
    }

    /// Copies captured forward value `index` of the reference run out.
    ///
    /// # Errors
    /// There is no such value or the device failed.
    pub fn reference_capture(&self, index: usize) -> Result<Tensor<D::Scalar>> {
        self.read(self.plan.reference_captures.get(index))
    }

    /// As [`Session::reference_capture`], into a buffer that the caller keeps.
    ///
    /// # Errors
    /// There is no such value, the length differs, or the device failed.
    pub fn reference_capture_into(&self, index: usize, data: &mut [D::Scalar]) -> Result<()> {
        self.read_into(self.plan.reference_captures.get(index), data)
    }

    /// Copies result `result` of reverse segment `index` out, after that segment ran and before another does.
    ///
    /// # Errors
    /// There is no such value or the device failed.
    pub fn result(&self, index: usize, result: usize) -> Result<Tensor<D::Scalar>> {
        self.read(self.plan.reverses.get(index).and_then(|r| r.results.get(result)))
    }

    /// As [`Session::result`], into a buffer that the caller keeps.
    ///
    /// # Errors
    /// There is no such value, the length differs, or the device failed.
    pub fn result_into(&self, index: usize, result: usize, data: &mut [D::Scalar]) -> Result<()> {
        self.read_into(self.plan.reverses.get(index).and_then(|r| r.results.get(result)), data)
    }

    /// Result `result` of reverse segment `index` where the device keeps it, if that is this machine's memory; else as
    /// [`Session::result`].
    ///
    /// # Errors
    /// There is no such value.
    pub fn result_in_place(&self, index: usize, result: usize) -> Result<Option<&[D::Scalar]>> {
        let slot = self.plan.reverses.get(index).and_then(|r| r.results.get(result));
        let slot = slot.ok_or_else(|| Error::internal("no such value"))?;
        self.device.view(&self.memory, *slot)
    }

    /// Replaces the values of parameter `index` (in the graph's order) for the runs of this session: training, and
    /// sanity checks by randomised weights.
    ///
    /// # Errors
    /// There is no such parameter or the number of values differs.
    pub fn set_parameter(&mut self, index: usize, data: &[D::Scalar]) -> Result<()> {
        self.has_reference = false;
        match self.plan.parameters.get(index) {
            Some(p) if p.data.len() == data.len() => self.device.set_parameter(&mut self.memory, index, data),
            Some(p) => Err(Error::invalid(format!(
                "{} values for parameter {:?} of shape {}",
                data.len(),
                p.name,
                p.shape
            ))),
            None => {
                Err(Error::invalid(format!("no parameter {index}; there are {}", self.plan.parameters.len())))
            }
        }
    }

    fn read(&self, slot: Option<&Slot>) -> Result<Tensor<D::Scalar>> {
        let slot = *slot.ok_or_else(|| Error::internal("no such captured value"))?;
        let mut tensor = Tensor::full(self.plan.slot(slot).shape, D::Scalar::ZERO);
        self.device.read(&self.memory, slot, tensor.data_mut())?;
        Ok(tensor)
    }

    fn read_into(&self, slot: Option<&Slot>, data: &mut [D::Scalar]) -> Result<()> {
        let slot = *slot.ok_or_else(|| Error::internal("no such value"))?;
        let elements = self.plan.slot(slot).shape.elements();
        if elements != data.len() {
            return Err(Error::invalid(format!("a buffer of {} for {elements} values", data.len())));
        }
        self.device.read(&self.memory, slot, data)
    }

    fn write(&mut self, slot: Slot, data: &[D::Scalar]) -> Result<()> {
        let shape = self.plan.slot(slot).shape;
        if shape.elements() != data.len() {
            return Err(Error::invalid(format!("{} values for a value of shape {shape}", data.len())));
        }
        self.device.write(&mut self.memory, slot, data)
    }

    fn write_inputs(&mut self, tensors: &[&Tensor<D::Scalar>], reference: bool) -> Result<()> {
        let plan = self.plan.clone();
        let slots = if reference { plan.references.as_ref() } else { Some(&plan.inputs) };
        let slots = slots.ok_or_else(|| Error::internal("this plan has no reference run"))?;
        if slots.len() != tensors.len() {
            return Err(Error::invalid(format!("{} inputs given, {} expected", tensors.len(), slots.len())));
        }
        for (&slot, tensor) in slots.iter().zip(tensors) {
            let info = plan.slot(slot);
            if info.shape != tensor.shape() {
                return Err(Error::invalid(format!(
                    "{}: shape {} given, {} expected",
                    info.label,
                    tensor.shape(),
                    info.shape
                )));
            }
            self.device.write(&mut self.memory, slot, tensor.data())?;
        }
        Ok(())
    }

    /// Runs steps on the device, and those of the host between them.
    fn run(&mut self, steps: Range<usize>) -> Result<()> {
        let plan = self.plan.clone();
        let mut start = steps.start;
        for at in steps.clone() {
            if let Kernel::Host(call) = &plan.steps[at].kernel {
                if start < at {
                    self.device.run_steps(&mut self.memory, None, &plan, start..at)?;
                }
                self.run_here(call, &plan.steps[at]).map_err(|e| e.within(format!("step {}", call.name)))?;
                start = at + 1;
            }
        }
        if start < steps.end || steps.is_empty() {
            return self.device.run_steps(&mut self.memory, None, &plan, start..steps.end);
        }
        Ok(())
    }

    /// A step of the host: operands come from the device and results go back to it.
    fn run_here(&mut self, call: &HostCall, step: &Step) -> Result<()> {
        let mut operands: Vec<Vec<f64>> = Vec::with_capacity(step.reads.len());
        for read in &step.reads {
            operands.push(self.read(Some(read))?.data().iter().map(|v| v.to_f64()).collect());
        }
        let operands: Vec<&[f64]> = operands.iter().map(Vec::as_slice).collect();
        let results = (call.function)(&operands)?;
        if results.len() != step.writes.len() {
            let (given, wanted) = (results.len(), step.writes.len());
            return Err(Error::invalid(format!("{given} results of {wanted}")));
        }
        for (&write, values) in step.writes.iter().zip(&results) {
            if let Some(slot) = write {
                let values: Vec<D::Scalar> = values.iter().map(|&v| D::Scalar::from_f64(v)).collect();
                self.write(slot, &values)?;
            }
        }
        Ok(())
    }
}
