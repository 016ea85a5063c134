//! The operands of a step as device addresses, checked against the sizes that the kernel's geometry says it touches: a
//! plan is plain data that anyone can make, and a kernel that leaves its operands would spoil others or fail far away.

use crate::backend::{Backend, Geometry, Launch, bytes_of};
use crate::device::{GpuMemory, Products};
use std::cell::RefCell;
use voxplain_autodiff::{DType, Plan, Slot, Step, Storage};
use voxplain_tensor::{Error, Result};

/// Threads of a block, everywhere (`THREADS` in `kernels/common.cuh`).
pub(crate) const THREADS: usize = 256;
/// The most blocks of a launch.
const MOST_BLOCKS: usize = i32::MAX as usize;

/// A step about to run.
pub(crate) struct Operands<'a, B: Backend> {
    backend: &'a B,
    products: Products,
    memory: &'a GpuMemory<B>,
    /// Where the values lie that the plan has of another session.
    base: Option<&'a GpuMemory<B>>,
    step: &'a Step,
    /// The results that were asked for.
    writes: RefCell<Vec<(u64, usize)>>,
}

/// The bytes of the arena that a value has.
fn range(plan: &Plan, slot: Slot) -> (usize, usize) {
    let info = plan.slot(slot);
    let Storage::Arena(offset) = info.storage else { return (0, 0) };
    (offset, offset.saturating_add(info.dtype.bytes(info.shape, size_of::<f32>())))
}

fn overlap(plan: &Plan, a: Slot, b: Slot) -> bool {
    let (a, b) = (range(plan, a), range(plan, b));
    a.0.max(b.0) < a.1.min(b.1)
}

/// Refuses a value of another type or of fewer elements.
fn check(plan: &Plan, slot: Slot, dtype: DType, elements: usize) -> Result<()> {
    let info = plan.slot(slot);
    if info.dtype == dtype && info.shape.elements() >= elements {
        return Ok(());
    }
    let (label, shape) = (&info.label, info.shape);
    Err(Error::internal(format!(
        "value {label} of shape {shape} is too small or of another type for its kernel"
    )))
}

/// The address of a value that lies in a session's arena.
pub(crate) fn in_arena<B: Backend>(backend: &B, memory: &GpuMemory<B>, slot: Slot) -> Result<u64> {
    let info = memory.plan.slot(slot);
    let Storage::Arena(_) = info.storage else {
        return Err(Error::internal(format!("value {} has no place", info.label)));
    };
    let (from, to) = range(&memory.plan, slot);
    if to > memory.plan.arena_bytes || from % 4 != 0 {
        return Err(Error::internal("a value lies outside the arena"));
    }
    Ok(backend.address(&memory.arena) + from as u64)
}

impl<'a, B: Backend> Operands<'a, B> {
    /// The operands of `step`, after checking that its results overlap neither its operands nor each other.
    pub fn new(
        (backend, products): (&'a B, Products),
        memory: &'a GpuMemory<B>,
        base: Option<&'a GpuMemory<B>>,
        step: &'a Step,
    ) -> Result<Self> {
        let writes = || step.writes.iter().flatten();
        for (i, &write) in writes().enumerate() {
            let mut others = step.reads.iter().chain(writes().skip(i + 1));
            if others.any(|&other| overlap(&memory.plan, write, other)) {
                return Err(Error::internal("a result of a step overlaps another operand"));
            }
        }
        Ok(Self { backend, products, memory, base, step, writes: RefCell::default() })
    }

    /// How convolutions multiply.
    pub fn products(&self) -> Products {
        self.products
    }

    /// The number of operands.
    pub fn reads(&self) -> usize {
        self.step.reads.len()
    }

    /// What was made for the step when the plan was prepared.
    pub fn memory(&self) -> &GpuMemory<B> {
        self.memory
    }

    /// The backend.
    pub fn backend(&self) -> &B {
        self.backend
    }

    fn slot(&self, i: usize) -> Result<Slot> {
        self.step.reads.get(i).copied().ok_or_else(|| Error::internal("a step lacks an operand"))
    }

    /// The address of a value of `elements` elements at least.
    fn place(&self, slot: Slot, dtype: DType, elements: usize) -> Result<u64> {
        check(&self.memory.plan, slot, dtype, elements)?;
        match self.memory.plan.slot(slot).storage {
            Storage::Parameter(p) => {
                let buffer =
                    self.memory.parameters.get(p).ok_or_else(|| Error::internal("no such parameter"))?;
                Ok(self.backend.address(buffer))
            }
            Storage::Base(kept) => {
                let missing = || Error::internal("a plan without the session that it runs over");
                let base = self.base.ok_or_else(missing)?;
                check(&base.plan, kept, dtype, elements)?;
                in_arena(self.backend, base, kept)
            }
            _ => in_arena(self.backend, self.memory, slot),
        }
    }

    /// Operand `i`, of `elements` reals at least.
    pub fn real(&self, i: usize, elements: usize) -> Result<u64> {
        self.place(self.slot(i)?, DType::Real, elements)
    }

    /// Operand `i`, of another type.
    pub fn coded(&self, i: usize, dtype: DType, elements: usize) -> Result<u64> {
        self.place(self.slot(i)?, dtype, elements)
    }

    /// Result `i`, or 0 if nobody wants it.
    pub fn wanted(&self, i: usize, dtype: DType, elements: usize) -> Result<u64> {
        let Some(slot) = self.step.writes.get(i).copied().flatten() else { return Ok(0) };
        if matches!(self.memory.plan.slot(slot).storage, Storage::Parameter(_)) {
            return Err(Error::internal("a parameter is written as a value"));
        }
        let address = self.place(slot, dtype, elements)?;
        let bytes = dtype.bytes(self.memory.plan.slot(slot).shape, size_of::<f32>());
        self.writes.borrow_mut().push((address, bytes));
        Ok(address)
    }

    /// The first result, of `elements` reals.
    pub fn out(&self, elements: usize) -> Result<u64> {
        match self.wanted(0, DType::Real, elements)? {
            0 => Err(Error::internal("a step without a result")),
            address => Ok(address),
        }
    }

    /// The address of `elements` numbers of scratch memory behind the first `from`.
    pub fn scratch(&self, from: usize, elements: usize) -> Result<u64> {
        let size = size_of::<f32>();
        if from + elements > self.memory.scratch.1 {
            return Err(Error::internal("a step needs more scratch memory than its plan said"));
        }
        let address = self.backend.address(&self.memory.scratch.0) + (from * size) as u64;
        self.writes.borrow_mut().push((address, elements * size));
        Ok(address)
    }

    fn row(&self, slot: Slot) -> usize {
        self.memory.plan.slot(slot).shape.last().copied().unwrap_or(1).max(1)
    }

    /// The length of a row of operand `i`.
    pub fn read_row(&self, i: usize) -> Result<usize> {
        Ok(self.row(self.slot(i)?))
    }

    /// The length of a row of result `i`.
    pub fn written_row(&self, i: usize) -> usize {
        self.step.writes.get(i).copied().flatten().map_or(1, |slot| self.row(slot))
    }

    /// The number of elements of the first result.
    pub fn length(&self) -> usize {
        let first = self.step.writes.first().copied().flatten();
        first.map_or(0, |slot| self.memory.plan.slot(slot).shape.elements())
    }

    /// Starts a kernel with a thread for each of `n` elements.
    pub fn each<G: Geometry>(
        &self,
        name: (&'static str, &'static str),
        n: usize,
        pointers: &[u64],
        geometry: &G,
    ) -> Result<()> {
        self.blocks(name, n.div_ceil(THREADS), pointers, geometry)
    }

    /// Starts a kernel (family, name) with so many blocks; none at all are fine.
    pub fn blocks<G: Geometry>(
        &self,
        (family, kernel): (&'static str, &'static str),
        blocks: usize,
        pointers: &[u64],
        geometry: &G,
    ) -> Result<()> {
        // SAFETY: the functions of `kernels` pass what their kernel declares, with addresses from this type, which
        // checked that each operand is as large as the geometry says; buffers live as long as the memory.
        unsafe { launch(self.backend, (family, kernel), blocks, pointers, geometry, &self.writes.borrow()) }
    }
}

/// Starts a kernel with so many blocks; none at all are fine.
///
/// # Safety
/// As [`Backend::launch`].
pub(crate) unsafe fn launch<B: Backend, G: Geometry>(
    backend: &B,
    (family, kernel): (&'static str, &'static str),
    blocks: usize,
    pointers: &[u64],
    geometry: &G,
    writes: &[(u64, usize)],
) -> Result<()> {
    if blocks == 0 {
        return Ok(());
    }
    if blocks > MOST_BLOCKS {
        let text =
            format!("{kernel}: {blocks} blocks, a GPU starts {MOST_BLOCKS} at most; use a smaller batch");
        return Err(Error::limit(text));
    }
    let (geometry, threads, blocks) = (bytes_of(geometry), THREADS as u32, blocks as u32);
    // SAFETY: the caller's promise.
    unsafe { backend.launch(&Launch { family, kernel, blocks, threads, pointers, geometry, writes }) }
}

/// A size as the kernels take it.
pub(crate) fn int(n: usize) -> Result<i32> {
    i32::try_from(n).map_err(|_| Error::limit(format!("a size of {n} is more than the GPU kernels count")))
}

/// Three of them.
pub(crate) fn ints(n: [usize; 3]) -> Result<[i32; 3]> {
    Ok([int(n[0])?, int(n[1])?, int(n[2])?])
}
