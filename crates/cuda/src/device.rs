//! The device: prepares memory, moves values, and sends each step to its kernel.

use crate::backend::{Backend, bytes_of_slice, bytes_of_slice_mut};
use crate::kernels::{self, axis_map::Table};
use crate::operands::Operands;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use voxplain_autodiff::{DType, Device, Kernel, Plan, Slot, Step, Storage};
use voxplain_tensor::{Error, Result};

/// How convolutions multiply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Products {
    /// Tensor cores: factors rounded to 10 bits behind the point (tf32), sums in single precision. PyTorch's default for
    /// convolutions on a GPU; off by default here, because maps then agree with other devices to three digits only.
    pub tensor_float: bool,
    /// The fewest channels of a result, and the shortest inner sum, that are multiplied in tiles.
    pub least: usize,
}

impl Default for Products {
    fn default() -> Self {
        Self { tensor_float: false, least: 8 }
    }
}

/// Weights of a graph, and where they are on the device.
type Shared<Buffer> = (Weak<[f32]>, Weak<Buffer>);

/// A GPU, or what stands in for one.
pub struct Gpu<B: Backend> {
    backend: B,
    products: Products,
    /// The weights that sessions share, beside those of the plans that they were uploaded from.
    weights: Mutex<Vec<Shared<B::Buffer>>>,
}

impl<B: Backend> Gpu<B> {
    /// The device over a backend.
    pub fn new(backend: B) -> Self {
        Self { backend, products: Products::default(), weights: Mutex::default() }
    }

    /// With other products.
    #[must_use]
    pub fn with_products(mut self, products: Products) -> Self {
        self.products = products;
        self
    }

    /// The backend.
    pub fn backend(&self) -> &B {
        &self.backend
    }
}

/// By the first and the last step of a range: how often it ran, and its recording.
type Recordings<R> = HashMap<(usize, usize), (usize, Option<R>)>;

/// The memory of one session.
pub struct GpuMemory<B: Backend> {
    pub(crate) plan: Arc<Plan>,
    pub(crate) parameters: Vec<Arc<B::Buffer>>,
    pub(crate) arena: B::Buffer,
    /// Room for what a step does not keep, and how many numbers it holds.
    pub(crate) scratch: (B::Buffer, usize),
    /// The sparse matrices of the plan, by the address of the matrix that the plan keeps alive.
    pub(crate) tables: HashMap<usize, Table<B::Buffer>>,
    recordings: Mutex<Recordings<B::Recording>>,
}

/// After how many runs one by one a range of steps is recorded.
const RUNS_BEFORE_RECORDING: usize = 1;

impl<B: Backend> Gpu<B> {
    fn stored(&self, data: &[f32]) -> Result<Arc<B::Buffer>> {
        let mut buffer = self.backend.allocate(size_of_val(data).max(1))?;
        self.backend.upload(&mut buffer, 0, bytes_of_slice(data))?;
        Ok(Arc::new(buffer))
    }

    /// The weights on the device, uploaded once for all sessions that live at the same time.
    fn shared(&self, data: &Arc<[f32]>) -> Result<Arc<B::Buffer>> {
        let mut weights = self.weights.lock().unwrap_or_else(PoisonError::into_inner);
        weights.retain(|(data, buffer)| data.strong_count() > 0 && buffer.strong_count() > 0);
        let same = |known: &Weak<[f32]>| known.upgrade().is_some_and(|known| Arc::ptr_eq(&known, data));
        let known = weights.iter().find(|(known, _)| same(known));
        if let Some(buffer) = known.and_then(|(_, buffer)| buffer.upgrade()) {
            return Ok(buffer);
        }
        let buffer = self.stored(data)?;
        weights.push((Arc::downgrade(data), Arc::downgrade(&buffer)));
        Ok(buffer)
    }

    /// Where a value of reals lies in the arena.
    fn offset(plan: &Plan, slot: Slot, elements: usize) -> Result<usize> {
        let info = plan.slot(slot);
        match info.storage {
            Storage::Arena(_) if info.shape.elements() != elements => {
                Err(Error::internal("a value is copied with another length"))
            }
            Storage::Arena(offset) if info.dtype == DType::Real => Ok(offset),
            _ => Err(Error::internal(format!("value {} has no place of numbers in the arena", info.label))),
        }
    }

    fn one_by_one(&self, memory: &GpuMemory<B>, steps: &[Step]) -> Result<()> {
        steps.iter().try_for_each(|step| {
            let operands = Operands::new(&self.backend, self.products, memory, step)?;
            kernels::run(&operands, &step.kernel).map_err(|e| e.within(format!("step {}", step.label)))
        })
    }

    /// Records the steps; none where the backend cannot or nothing is launched.
    fn record(&self, memory: &GpuMemory<B>, steps: &[Step]) -> Result<Option<B::Recording>> {
        if !self.backend.begin_recording()? {
            return Ok(None);
        }
        let launched = self.one_by_one(memory, steps);
        let recording = self.backend.end_recording();
        launched.and(recording)
    }
}

impl<B: Backend> Device for Gpu<B> {
    type Scalar = f32;
    type Memory = GpuMemory<B>;

    fn prepare(&self, plan: Arc<Plan>) -> Result<GpuMemory<B>> {
        let arena = self.backend.allocate(plan.arena_bytes.max(1))?;
        let parameters = plan.parameters.iter().map(|p| self.shared(&p.data)).collect::<Result<_>>()?;
        let mut tables = HashMap::new();
        for step in &plan.steps {
            if let Kernel::AxisMap(_, matrix) = &step.kernel {
                let key = Arc::as_ptr(matrix) as usize;
                if let Entry::Vacant(entry) = tables.entry(key) {
                    entry.insert(Table::new(&self.backend, matrix)?);
                }
            }
        }
        let scratch = plan.steps.iter().map(kernels::conv::scratch).max().unwrap_or(0);
        let scratch = (self.backend.allocate((scratch * size_of::<f32>()).max(1))?, scratch);
        Ok(GpuMemory { plan, parameters, arena, scratch, tables, recordings: Mutex::default() })
    }

    fn write(&self, memory: &mut GpuMemory<B>, slot: Slot, data: &[f32]) -> Result<()> {
        if matches!(memory.plan.slot(slot).storage, Storage::Dead) {
            return Ok(());
        }
        let offset = Self::offset(&memory.plan, slot, data.len())?;
        self.backend.upload(&mut memory.arena, offset, bytes_of_slice(data))
    }

    fn read(&self, memory: &GpuMemory<B>, slot: Slot, data: &mut [f32]) -> Result<()> {
        if let Storage::Parameter(p) = memory.plan.slot(slot).storage {
            return self.backend.download(&memory.parameters[p], 0, bytes_of_slice_mut(data));
        }
        let offset = Self::offset(&memory.plan, slot, data.len())?;
        self.backend.download(&memory.arena, offset, bytes_of_slice_mut(data))
    }

    fn set_parameter(&self, memory: &mut GpuMemory<B>, parameter: usize, data: &[f32]) -> Result<()> {
        // Other sessions keep theirs, and recordings know the old address.
        memory.parameters[parameter] = self.stored(data)?;
        memory.recordings.lock().unwrap_or_else(PoisonError::into_inner).clear();
        Ok(())
    }

    fn run(&self, memory: &mut GpuMemory<B>, step: usize) -> Result<()> {
        let step = memory.plan.steps.get(step).ok_or_else(|| Error::internal("there is no such step"))?;
        let operands = Operands::new(&self.backend, self.products, memory, step)?;
        kernels::run(&operands, &step.kernel)
    }

    fn fuses(&self) -> bool {
        true
    }

    /// Steps run one by one the first time, are recorded the second time where the backend can, and done at once from
    /// then on: a plan is run once for a single map, and thousands of times for a perturbation.
    fn run_steps(&self, memory: &mut GpuMemory<B>, plan: &Plan, steps: Range<usize>) -> Result<()> {
        let mut recordings = memory.recordings.lock().unwrap_or_else(PoisonError::into_inner);
        let (runs, recording) = recordings.entry((steps.start, steps.end)).or_insert((0, None));
        if *runs == RUNS_BEFORE_RECORDING {
            *recording = self.record(memory, &plan.steps[steps.clone()])?;
        }
        *runs += 1;
        match recording {
            // SAFETY: the launches were checked when they were recorded, for the blocks of this memory, which lives.
            Some(recording) => unsafe { self.backend.replay(recording) },
            None => self.one_by_one(memory, &plan.steps[steps]),
        }
    }

    fn name(&self) -> &str {
        self.backend.name()
    }
}
