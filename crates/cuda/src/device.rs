//! The device: prepares memory, moves values, and sends each step to its kernel.

use crate::backend::{Backend, bytes_of_slice, bytes_of_slice_mut};
use crate::kernels::{self, axis_map::Table};
use crate::operands::Operands;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use voxplain_autodiff::{Batching, DType, Device, Joining, Kernel, Plan, Slot, Step, Storage};
use voxplain_tensor::{Error, Result};

/// How the factors of products are rounded before they are multiplied; sums are in single precision. A product of `n` terms
/// is off by at most `2 u + u^2` of the sum of its terms' absolute values, beside the roundings of the sum.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Factors {
    /// Not at all.
    #[default]
    Single,
    /// Convolutions on tensor cores with `u = 2^-11` (10 bits behind the point, the range of single precision). PyTorch's
    /// default for convolutions on a GPU.
    TensorFloat,
    /// Convolutions and matrix products on tensor cores with `u = 2^-11`: IEEE's 16 bits. Factors below `2^-14` are off by
    /// `2^-25` at most instead, and those from 65520 on are infinite.
    Half,
    /// The same with `u = 2^-8` and the range of single precision (bfloat16).
    Brain,
}

impl Factors {
    /// The name of the format, as options and manifests have it; none for single precision.
    pub fn name(self) -> Option<&'static str> {
        match self {
            Self::Single => None,
            Self::TensorFloat => Some("tf32"),
            Self::Half => Some("f16"),
            Self::Brain => Some("bf16"),
        }
    }
}

/// How convolutions and matrix products multiply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Products {
    /// The rounding of factors. Off by default, because maps then agree with other devices to three digits or two only.
    pub factors: Factors,
    /// The fewest channels of a convolution's result, and the shortest inner sum, that are multiplied in tiles; others are
    /// summed directly, in single precision.
    pub least: usize,
}

impl Default for Products {
    fn default() -> Self {
        Self { factors: Factors::Single, least: 8 }
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

/// What was run: the first and the last step, and the addresses of the memory and the plan of the session run over.
type Ran = (usize, usize, u64, usize);

/// A range of steps that was run.
struct Recorded<R> {
    runs: usize,
    recording: Option<R>,
    /// Held so that its address names it.
    _base: Option<Arc<Plan>>,
}

/// The memory of one session.
pub struct GpuMemory<B: Backend> {
    pub(crate) plan: Arc<Plan>,
    pub(crate) parameters: Vec<Arc<B::Buffer>>,
    pub(crate) arena: B::Buffer,
    /// Room for what a step does not keep, and how many numbers it holds.
    pub(crate) scratch: (B::Buffer, usize),
    /// The sparse matrices of the plan, by the address of the matrix that the plan keeps alive.
    pub(crate) tables: HashMap<usize, Table<B::Buffer>>,
    recordings: Mutex<HashMap<Ran, Recorded<B::Recording>>>,
}

/// After how many runs one by one a range of steps is recorded.
const RUNS_BEFORE_RECORDING: usize = 1;
/// The most recordings of a session: it may run over sessions that come and go.
const RECORDINGS: usize = 64;

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

    fn step(&self, memory: &GpuMemory<B>, base: Option<&GpuMemory<B>>, step: &Step) -> Result<()> {
        let operands = Operands::new((&self.backend, self.products), memory, base, step)?;
        kernels::run(&operands, &step.kernel)
    }

    fn one_by_one(&self, memory: &GpuMemory<B>, base: Option<&GpuMemory<B>>, steps: &[Step]) -> Result<()> {
        let one = |step: &Step| self.step(memory, base, step);
        steps.iter().try_for_each(|step| one(step).map_err(|e| e.within(format!("step {}", step.label))))
    }

    /// Records the steps; none where the backend cannot or nothing is launched.
    fn record(
        &self,
        memory: &GpuMemory<B>,
        base: Option<&GpuMemory<B>>,
        steps: &[Step],
    ) -> Result<Option<B::Recording>> {
        if !self.backend.begin_recording()? {
            return Ok(None);
        }
        let launched = self.one_by_one(memory, base, steps);
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

    fn run(&self, memory: &mut GpuMemory<B>, base: Option<&GpuMemory<B>>, step: usize) -> Result<()> {
        let step = memory.plan.steps.get(step).ok_or_else(|| Error::internal("there is no such step"))?;
        self.step(memory, base, step)
    }

    fn paste(
        &self,
        base: &mut GpuMemory<B>,
        into: Slot,
        memory: &GpuMemory<B>,
        part: Slot,
        place: &[isize],
    ) -> Result<()> {
        kernels::movement::paste(&self.backend, (base, into), (memory, part), place)
    }

    /// Thousands of rows keep all multiprocessors busy, and a launch costs the same for one row.
    fn batching(&self) -> Batching {
        Batching { rows: 4096, parts: 1 << 30, whole: 1 << 30 }
    }

    fn mixing(&self) -> bool {
        true
    }

    fn joining(&self) -> Joining {
        Joining::Stored
    }

    /// Steps run one by one the first time, are recorded the second time where the backend can, and done at once from
    /// then on: a plan is run once for a single map, and thousands of times for a perturbation.
    fn run_steps(
        &self,
        memory: &mut GpuMemory<B>,
        base: Option<&GpuMemory<B>>,
        plan: &Plan,
        steps: Range<usize>,
    ) -> Result<()> {
        let address = base.map_or(0, |base| self.backend.address(&base.arena));
        let of = base.map(|base| base.plan.clone());
        let ran = (steps.start, steps.end, address, of.as_ref().map_or(0, |plan| Arc::as_ptr(plan) as usize));
        let mut recordings = memory.recordings.lock().unwrap_or_else(PoisonError::into_inner);
        if recordings.len() >= RECORDINGS && !recordings.contains_key(&ran) {
            recordings.clear();
        }
        let recorded = recordings.entry(ran).or_insert(Recorded { runs: 0, recording: None, _base: of });
        if recorded.runs == RUNS_BEFORE_RECORDING {
            recorded.recording = self.record(memory, base, &plan.steps[steps.clone()])?;
        }
        recorded.runs += 1;
        match &recorded.recording {
            // SAFETY: the launches were checked when they were recorded, for the blocks of this memory and for those at
            // the address of `base`, a memory of the same plan; both live.
            Some(recording) => unsafe { self.backend.replay(recording) },
            None => self.one_by_one(memory, base, &plan.steps[steps]),
        }
    }

    fn name(&self) -> &str {
        self.backend.name()
    }
}
