//! The device: prepares memory, moves values, and sends each step to its kernel.

use crate::arena::{Arena, place};
use crate::backgrounds::Backgrounds;
use crate::filtering::Filtering;
use crate::isa::Isa;
use crate::kernels as k;
use crate::kernels::conv::Preparation;
use crate::kernels::unpool::Gates;
use crate::operands::{Operands, convolve};
use crate::parallel::Pool;
use crate::prepared::{Packs, Prepared};
use std::sync::Arc;
use voxplain_autodiff::{Batching, DType, Device, Joining, Kernel, MixShares, Plan, Slot, Storage};
use voxplain_tensor::{Error, Result};

/// The CPU with an instruction set and a number of threads.
///
/// ```
/// use voxplain_cpu::{Cpu, Isa};
/// let cpu = Cpu::best();
/// let plain = Cpu::with_isa(Isa::Scalar).expect("every machine has it");
/// # let _ = (cpu, plain);
/// ```
pub struct Cpu {
    isa: Isa,
    pool: Pool,
    filtering: Filtering,
    packs: Packs,
    name: String,
    bits: String,
}

impl Cpu {
    /// The best instruction set of this machine, on all its cores (on one if threads cannot be started).
    pub fn best() -> Self {
        Self::build(Isa::best(), 0).unwrap_or_else(|_| Self::single(Isa::Scalar))
    }

    /// A given instruction set on all cores, if this machine has it.
    pub fn with_isa(isa: Isa) -> Option<Self> {
        isa.is_available().then(|| Self::build(isa, 0).unwrap_or_else(|_| Self::single(isa)))
    }

    /// The same on `threads` threads, 0 for all cores.
    ///
    /// # Errors
    /// The threads cannot be started.
    pub fn with_threads(self, threads: usize) -> Result<Self> {
        Ok(Self::build(self.isa, threads)?.with_filtering(self.filtering))
    }

    /// The same with convolutions summed directly, tap by tap, instead of by Winograd's filtering where it applies. Slower;
    /// errors are bounded by the terms of each output alone.
    #[must_use]
    pub fn exact(self) -> Self {
        self.with_filtering(Filtering::Direct)
    }

    /// The same with convolutions summed as `filtering` says.
    #[must_use]
    pub fn with_filtering(self, filtering: Filtering) -> Self {
        Self::on(self.isa, self.pool, filtering)
    }

    /// The most floating-point operations per second that this device reaches in a loop of multiply-adds, measured now (a
    /// fraction of a second). What benchmarks compare kernels with.
    pub fn peak(&self) -> f64 {
        crate::peak::measure(&self.pool, self.isa)
    }

    /// The number of threads.
    pub fn threads(&self) -> usize {
        self.pool.threads()
    }

    /// The instruction set.
    pub fn isa(&self) -> Isa {
        self.isa
    }

    /// What decides the last bits of results, in words: the instruction set, and how sums are made.
    pub fn bits(&self) -> &str {
        &self.bits
    }

    /// Copies by all threads: one alone cannot use the memory's whole speed.
    fn copy(&self, from: &[f32], into: &mut [f32]) {
        self.pool.chunks(into, COPIED, |i, into| into.copy_from_slice(&from[i * COPIED..][..into.len()]));
    }

    fn build(isa: Isa, threads: usize) -> Result<Self> {
        let pool = Pool::new(threads)?;
        Ok(Self::on(isa, pool, Filtering::default()))
    }

    fn single(isa: Isa) -> Self {
        Self::on(isa, Pool::single(), Filtering::default())
    }

    fn on(isa: Isa, pool: Pool, filtering: Filtering) -> Self {
        let mode = match filtering {
            Filtering::Direct => ", exact",
            Filtering::Accurate => "",
            Filtering::Fast => ", fast",
        };
        let threads = match pool.threads() {
            1 => String::from("1 thread"),
            n => format!("{n} threads"),
        };
        let name = format!("cpu ({}, {threads}){mode}", isa.name());
        Self { isa, pool, filtering, packs: Packs::default(), name, bits: format!("{}{mode}", isa.name()) }
    }
}

/// Numbers that a thread copies at a time.
const COPIED: usize = 1 << 16;

/// The memory of one session.
pub struct CpuMemory {
    pub(crate) plan: Arc<Plan>,
    parameters: Vec<Arc<[f32]>>,
    pub(crate) arena: Arena,
    /// By step: what convolutions need.
    prepared: Vec<Option<Prepared>>,
    /// Room for weights that the plan computes itself, packed.
    scratch: Vec<f32>,
    /// Where values only repeat.
    backgrounds: Backgrounds,
}

/// The room that the largest convolution with weights of its own needs.
fn scratch(prepared: &[Option<Prepared>]) -> usize {
    let own = prepared.iter().flatten().filter(|p| p.packed.is_none());
    own.map(|p| p.convolution.packed_len()).max().unwrap_or(0)
}

impl Device for Cpu {
    type Scalar = f32;
    type Memory = CpuMemory;

    fn prepare(&self, plan: Arc<Plan>) -> Result<CpuMemory> {
        let arena = Arena::new(plan.arena_bytes)?;
        let parameters: Vec<Arc<[f32]>> = plan.parameters.iter().map(|p| p.data.clone()).collect();
        let prepared = self.packs.prepare(self.preparation(), &plan, &parameters);
        let scratch = vec![0.0; scratch(&prepared)];
        Ok(CpuMemory { plan, parameters, arena, prepared, scratch, backgrounds: Backgrounds::default() })
    }

    fn write(&self, memory: &mut CpuMemory, slot: Slot, data: &[f32]) -> Result<()> {
        if matches!(memory.plan.slot(slot).storage, Storage::Dead) {
            return Ok(());
        }
        let (offset, count) = place::<f32>(&memory.plan, slot)?;
        if count != data.len() {
            return Err(Error::internal("a value is written with another length"));
        }
        memory.backgrounds.forget(slot);
        // SAFETY: `memory` is borrowed exclusively and no step runs, so no other view is alive.
        let into = unsafe { memory.arena.view().write::<f32>(offset, count) };
        self.copy(data, into);
        Ok(())
    }

    fn read(&self, memory: &CpuMemory, slot: Slot, data: &mut [f32]) -> Result<()> {
        if let Storage::Parameter(p) = memory.plan.slot(slot).storage {
            data.copy_from_slice(&memory.parameters[p]);
            return Ok(());
        }
        let (offset, count) = place::<f32>(&memory.plan, slot)?;
        if count != data.len() {
            return Err(Error::internal("a value is read with another length"));
        }
        self.copy(memory.arena.reals(offset, count), data);
        Ok(())
    }

    fn view<'m>(&self, memory: &'m CpuMemory, slot: Slot) -> Result<Option<&'m [f32]>> {
        if let Storage::Parameter(p) = memory.plan.slot(slot).storage {
            return Ok(Some(&memory.parameters[p]));
        }
        let (offset, count) = place::<f32>(&memory.plan, slot)?;
        Ok(Some(memory.arena.reals(offset, count)))
    }

    fn set_parameter(&self, memory: &mut CpuMemory, parameter: usize, data: &[f32]) -> Result<()> {
        memory.parameters[parameter] = data.into();
        let CpuMemory { plan, parameters, prepared, .. } = memory;
        self.packs.replace(self.preparation(), plan, parameter, parameters, prepared);
        Ok(())
    }

    fn run(&self, memory: &mut CpuMemory, base: Option<&CpuMemory>, step: usize) -> Result<()> {
        self.run_step(memory, base, step)
    }

    fn batching(&self) -> Batching {
        Batching::CACHED
    }

    fn paste(
        &self,
        base: &mut CpuMemory,
        into: Slot,
        memory: &CpuMemory,
        part: Slot,
        at: &[isize],
    ) -> Result<()> {
        let (offset, count) = place::<f32>(&memory.plan, part)?;
        let (shape, whole) = (memory.plan.slot(part).shape, base.plan.slot(into).shape);
        let (to, room) = place::<f32>(&base.plan, into)?;
        base.backgrounds.forget(into);
        // SAFETY: `base` is borrowed exclusively and no step runs, so no other view of its arena is alive.
        let into = unsafe { base.arena.view().write::<f32>(to, room) };
        k::window::paste(&self.pool, (memory.arena.reals(offset, count), shape), (into, whole), at)
    }

    fn hand_over(&self, from: &mut CpuMemory, to: &mut CpuMemory) -> Result<bool> {
        if from.arena.bytes() < to.plan.arena_bytes {
            to.arena = Arena::new(to.plan.arena_bytes)?;
            from.arena = Arena::new(0)?;
        } else {
            to.arena = std::mem::replace(&mut from.arena, Arena::new(0)?);
        }
        [from, to].into_iter().for_each(|memory| memory.backgrounds.forget_all());
        Ok(true)
    }

    fn tile(&self) -> [usize; 3] {
        self.filtering.tile()
    }

    fn joining(&self) -> Joining {
        Joining::Everything
    }

    fn threads(&self) -> usize {
        self.pool.threads()
    }

    fn mixing(&self) -> bool {
        false
    }

    fn name(&self) -> &str {
        &self.name
    }
}

impl Cpu {
    /// What convolutions are prepared by, and for.
    fn preparation(&self) -> (&Pool, Preparation) {
        let (lanes, threads) = (self.isa.lanes(), self.pool.threads());
        (&self.pool, Preparation { filtering: self.filtering, lanes, threads })
    }

    fn run_step(&self, memory: &mut CpuMemory, base: Option<&CpuMemory>, at: usize) -> Result<()> {
        let view = memory.arena.view();
        let missing = || Error::internal("there is no such step");
        let (plan, prepared) = (&memory.plan, memory.prepared.get(at).ok_or_else(missing)?);
        let step = plan.steps.get(at).ok_or_else(missing)?;
        let o = Operands::new((plan, step), &memory.parameters, view, base)?;
        let (pool, isa, scratch) = (&self.pool, self.isa, &mut memory.scratch);
        let backgrounds = &mut memory.backgrounds;
        match &step.kernel {
            Kernel::Conv(_)
            | Kernel::ConvAdjoint(_)
            | Kernel::ConvBlock(..)
            | Kernel::ConvAdjointBlock(..) => {
                let prepared =
                    prepared.as_ref().ok_or_else(|| Error::internal("a convolution was not prepared"))?;
                backgrounds.look(pool, (plan, at), prepared, &o)?;
                convolve(pool, isa, prepared, &o, scratch, backgrounds.known(&o, at)?)?;
                backgrounds.note((step, at), prepared);
            }
            Kernel::Unpool(g, rectified) => {
                let bits = if step.reads.len() > 2 { Some(o.coded(2)?) } else { None };
                let gates = Gates { bits, rectified: *rectified };
                k::unpool::run(pool, g, o.real(0)?, o.coded(1)?, gates, o.out()?);
            }
            Kernel::ConvWeightAdjoint(g) => {
                k::conv_weight::adjoint(pool, isa, g, o.real(0)?, o.real(1)?, o.out()?)
            }
            Kernel::MatMul(g) => k::matmul::run(pool, isa, g, o.real(0)?, o.real(1)?, o.out()?),
            Kernel::BatchNorm(g) => {
                let parameters = [o.real(1)?, o.real(2)?, o.real(3)?, o.real(4)?];
                k::normalize::batch(pool, isa, g, o.real(0)?, parameters, o.out()?);
            }
            Kernel::BatchNormAdjoint(g) => {
                k::normalize::batch_adjoint(pool, isa, g, o.real(0)?, o.real(1)?, o.real(2)?, o.out()?);
            }
            Kernel::AveragePool(g) => k::pool::average(pool, g, o.real(0)?, o.out()?),
            Kernel::AveragePoolAdjoint(g) => k::pool::average_adjoint(pool, g, o.real(0)?, o.out()?),
            Kernel::AxisMap(s, m) => k::axis_map::run(pool, *s, m, o.real(0)?, o.out()?),
            Kernel::Permute(s, p) => k::movement::permute(pool, *s, p, o.real(0)?, o.out()?),
            Kernel::Slice(g) => k::movement::slice(pool, g, o.real(0)?, o.out()?),
            Kernel::Embed(g) => k::movement::embed(pool, g, o.real(0)?, o.out()?),
            Kernel::Pad(g) => k::movement::pad(pool, g, o.real(0)?, o.out()?),
            Kernel::PadAdjoint(g) => k::movement::pad_adjoint(g, o.real(0)?, o.out()?),
            Kernel::Window(g) => {
                let patches = if g.patch.is_some() { Some(o.real(1)?) } else { None };
                let places = o.real(1 + usize::from(g.patch.is_some()))?;
                k::window::run(pool, g, o.real(0)?, patches, places, o.out()?);
                backgrounds.note_box(pool, (plan, at), &memory.prepared, &o)?;
            }
            Kernel::Mix(g) => {
                let labelled = matches!(g.shares, MixShares::Labelled { .. });
                let labels = if labelled { Some(o.real(2)?) } else { None };
                let numbers = o.real(2 + usize::from(labelled))?;
                k::mix::run(pool, g, (o.real(0)?, o.real(1)?), labels, numbers, o.out()?)?;
            }
            Kernel::GridSums(g) => k::mix::sums(pool, g, o.real(0)?, o.real(1)?, o.out()?)?,
            Kernel::Accumulate { rows, length } => {
                k::mix::accumulate(pool, (*rows, *length), [o.real(0)?, o.real(1)?, o.real(2)?], o.out()?)?;
            }
            Kernel::Noise(g) => {
                let baselines = if g.kind.baselines().is_some() { Some(o.real(1)?) } else { None };
                let numbers = o.real(1 + usize::from(baselines.is_some()))?;
                k::noise::rows(pool, g, (o.real(0)?, baselines), numbers, o.out()?)?;
            }
            Kernel::Moments { rows, length } => {
                k::noise::moments(pool, (*rows, *length), [o.real(0)?, o.real(1)?, o.real(2)?], o.out()?)?;
            }
            Kernel::Concat { outer, sizes } => {
                let parts = (0..sizes.len()).map(|i| o.real(i)).collect::<Result<Vec<_>>>()?;
                k::movement::concat(*outer, sizes, &parts, o.out()?);
            }
            Kernel::Reduce(s, scale) => k::reduce::sum(pool, *s, *scale, o.real(0)?, o.out()?),
            Kernel::Repeat(s, scale) => k::reduce::repeat(pool, *s, *scale, o.real(0)?, o.out()?),
            Kernel::Map(f) => k::pointwise::map(pool, isa, *f, o.real(0)?, o.out()?),
            Kernel::MapGradient(f) => k::pointwise::gradient(pool, *f, o.real(0)?, o.real(1)?, o.out()?),
            Kernel::MapSlope(f) => {
                k::pointwise::slope(pool, isa, *f, [o.real(0)?, o.real(1)?, o.real(2)?], o.out()?)
            }
            Kernel::PositiveBits => {
                let bits = o.result::<u8>(0)?.ok_or_else(|| Error::internal("a step without a result"))?;
                k::bits::positive(pool, o.row(step.writes[0])?, o.real(0)?, bits);
            }
            Kernel::Mask => {
                k::bits::mask(pool, o.row(step.reads.get(1).copied())?, o.real(0)?, o.coded(1)?, o.out()?);
            }
            Kernel::Binary(f, g) => k::binary::run(pool, isa, *f, g, o.real(0)?, o.real(1)?, o.out()?),
            Kernel::MaxPool(g) => match g.code() {
                DType::Byte => k::pool::max::<u8>(pool, isa, g, o.real(0)?, o.result(0)?, o.result(1)?),
                _ => k::pool::max::<u32>(pool, isa, g, o.real(0)?, o.result(0)?, o.result(1)?),
            },
            Kernel::MaxScatter(g) => match o.dtype(1)? {
                DType::Byte => {
                    k::unpool::run(pool, g, o.real(0)?, o.coded(1)?, Gates::default(), o.out()?);
                }
                _ => k::pool::scatter::<u32>(pool, g, o.real(0)?, o.coded(1)?, o.out()?),
            },
            Kernel::MaxGather(g) => match o.dtype(1)? {
                DType::Byte => k::pool::gather::<u8>(pool, g, o.real(0)?, o.coded(1)?, o.out()?),
                _ => k::pool::gather::<u32>(pool, g, o.real(0)?, o.coded(1)?, o.out()?),
            },
            Kernel::Normalize(s, epsilon) => {
                k::normalize::forward(pool, *s, *epsilon, o.real(0)?, o.result(0)?, o.result(1)?);
            }
            Kernel::NormalizeAdjoint(s) => {
                k::normalize::adjoint(pool, *s, [o.real(0)?, o.real(1)?, o.real(2)?], o.out()?);
            }
            Kernel::Softmax(s, log) => k::softmax::forward(pool, *s, *log, o.real(0)?, o.out()?),
            Kernel::SoftmaxAdjoint(s, log) => {
                k::softmax::adjoint(pool, *s, *log, o.real(0)?, o.real(1)?, o.out()?)
            }
            Kernel::Fill(value) => o.out()?.fill(*value as f32),
            Kernel::Host(call) => return Err(call.refusal()),
        }
        Ok(())
    }
}
