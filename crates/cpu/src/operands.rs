//! The operands of a step as slices, and a convolution's as its kernels want them.

use crate::arena::{Plain, View, place};
use crate::device::CpuMemory;
use crate::isa::Isa;
use crate::kernels::conv::changed::{Boxes, Kept};
use crate::kernels::conv::output::{Output, Pooled};
use crate::kernels::conv::sparse;
use crate::kernels::conv::{Convolution, Known, Source};
use crate::parallel::{Pool, Shared};
use crate::prepared::Prepared;
use std::sync::Arc;
use voxplain_autodiff::{AdjointFinish, DType, Kernel, Plan, Slot, Step, Storage};
use voxplain_tensor::{Error, Result};

/// Whether two values share bytes of the arena.
fn overlap(plan: &Plan, a: Slot, b: Slot) -> bool {
    let range = |slot: Slot| {
        let info = plan.slot(slot);
        let Storage::Arena(offset) = info.storage else { return 0..0 };
        offset..offset.saturating_add(info.dtype.bytes(info.shape, size_of::<f32>()))
    };
    let (a, b) = (range(a), range(b));
    a.start.max(b.start) < a.end.min(b.end)
}

/// The operands of a step.
pub(crate) struct Operands<'a> {
    plan: &'a Plan,
    parameters: &'a [Arc<[f32]>],
    view: View,
    step: &'a Step,
    /// What the plan runs over.
    base: Option<&'a CpuMemory>,
}

impl<'a> Operands<'a> {
    /// The operands of `step`, after checking what the views below rely on: that its results overlap neither its
    /// operands nor each other. The planner promises it, but plans are plain data that anyone can make.
    pub fn new(
        (plan, step): (&'a Plan, &'a Step),
        parameters: &'a [Arc<[f32]>],
        view: View,
        base: Option<&'a CpuMemory>,
    ) -> Result<Self> {
        let writes = || step.writes.iter().flatten();
        for (i, &write) in writes().enumerate() {
            let others = step.reads.iter().chain(writes().skip(i + 1));
            if others.into_iter().any(|&other| overlap(plan, write, other)) {
                return Err(Error::internal("a result of a step overlaps another operand"));
            }
        }
        Ok(Self { plan, parameters, view, step, base })
    }

    pub fn slot(&self, i: usize) -> Result<Slot> {
        self.step.reads.get(i).copied().ok_or_else(|| Error::internal("a step lacks an operand"))
    }

    /// Operand `i`, of reals.
    pub fn real(&self, i: usize) -> Result<&'a [f32]> {
        self.of_reals(self.slot(i)?)
    }

    fn of_reals(&self, slot: Slot) -> Result<&'a [f32]> {
        match self.plan.slot(slot).storage {
            Storage::Parameter(p) => Ok(&self.parameters[p]),
            Storage::Base(kept) => {
                let base = self
                    .base
                    .ok_or_else(|| Error::internal("a plan without the session that it runs over"))?;
                let (offset, count) = place::<f32>(&base.plan, kept)?;
                Ok(base.arena.reals(offset, count))
            }
            _ => self.typed(slot),
        }
    }

    /// Operand `i`, of another type.
    pub fn coded<T: Plain>(&self, i: usize) -> Result<&'a [T]> {
        self.typed(self.slot(i)?)
    }

    fn typed<T: Plain>(&self, slot: Slot) -> Result<&'a [T]> {
        let (offset, count) = place::<T>(self.plan, slot)?;
        // SAFETY: `new` checked that no result of the step overlaps an operand, and the only exclusive views of a
        // running step are of its results.
        Ok(unsafe { self.view.read(offset, count) })
    }

    /// The operands of a window over images of a state with a patch.
    pub fn boxes(&self) -> Result<Option<Boxes<'a>>> {
        let Kernel::Window(geometry) = &self.step.kernel else { return Ok(None) };
        if geometry.patch.is_none() || self.base.is_none() {
            return Ok(None);
        }
        let (whole, patches, places) = (self.real(0)?, self.real(1)?, self.real(2)?);
        Ok(Some(Boxes { geometry, whole, patches, places }))
    }

    /// What the state has of the one result of this step, if that is a patch over images of it later.
    pub fn kept(&self) -> Result<Option<Kept<'a>>> {
        let mut results = self.step.writes.iter().flatten();
        let (Some(&result), None) = (results.next(), results.next()) else { return Ok(None) };
        let is_over = |step: &&Step| {
            // The patch has all channels of the state's images.
            let Kernel::Window(g) = &step.kernel else { return false };
            let fits = g.whole.rank() == 5 && g.patch.is_some_and(|patch| patch[1] == g.whole[1]);
            fits && step.reads.get(1) == Some(&result)
        };
        let Some(window) = self.plan.steps.iter().find(is_over) else { return Ok(None) };
        let (Some(&whole), Some(&places)) = (window.reads.first(), window.reads.get(2)) else {
            return Ok(None);
        };
        let is_base = matches!(self.plan.slot(whole).storage, Storage::Base(_));
        if !is_base || self.base.is_none() || overlap(self.plan, result, places) {
            return Ok(None);
        }
        let shape = self.plan.slot(whole).shape;
        let sizes = [2, 3, 4].map(|a| shape[a]);
        Ok(Some(Kept { whole: self.of_reals(whole)?, sizes, places: self.of_reals(places)? }))
    }

    /// Whether result `i` is wanted.
    pub fn wants(&self, i: usize) -> Option<Slot> {
        self.step.writes.get(i).copied().flatten()
    }

    /// Result `i`, if it is wanted.
    pub fn result<T: Plain>(&self, i: usize) -> Result<Option<&'a mut [T]>> {
        let Some(slot) = self.wants(i) else { return Ok(None) };
        let (offset, count) = place::<T>(self.plan, slot)?;
        // SAFETY: as above; a step takes each of its results once, and results do not overlap each other.
        Ok(Some(unsafe { self.view.write(offset, count) }))
    }

    /// The first result, of reals.
    pub fn out(&self) -> Result<&'a mut [f32]> {
        self.result(0)?.ok_or_else(|| Error::internal("a step without a result"))
    }

    /// The length of a row of bits.
    pub fn row(&self, bits: Option<Slot>) -> Result<usize> {
        let slot = bits.ok_or_else(|| Error::internal("a step without its bits"))?;
        Ok(self.plan.slot(slot).shape.last().copied().unwrap_or(1).max(1))
    }

    /// The type of operand `i`.
    pub fn dtype(&self, i: usize) -> Result<DType> {
        Ok(self.plan.slot(self.slot(i)?).dtype)
    }
}

/// Runs a convolution or an adjoint with whatever was joined to it, on an operand of which something may be known.
pub(crate) fn convolve(
    pool: &Pool,
    isa: Isa,
    prepared: &Prepared,
    o: &Operands<'_>,
    scratch: &mut Vec<f32>,
    known: Option<Known<'_>>,
) -> Result<()> {
    let convolution = &prepared.convolution;
    let packed = match &prepared.packed {
        Some(packed) => &packed[..],
        None => {
            let length = convolution.packed_len();
            scratch.resize(scratch.len().max(length), 0.0);
            convolution.pack(pool, o.real(1)?, prepared.scale.as_deref(), &mut scratch[..length]);
            &scratch[..length]
        }
    };
    let own_bias = match &o.step.kernel {
        Kernel::Conv(_) => o.step.reads.len() > 2,
        Kernel::ConvBlock(_, finish) => finish.biased && finish.norm.is_none(),
        _ => false,
    };
    let bias = if own_bias { Some(o.real(2)?) } else { prepared.shift.as_deref() };
    let output = output(convolution, o)?;
    if !convolution.run((pool, isa), &source(o)?, packed, bias, &output, known) {
        return Err(Error::internal("a convolution was prepared for another operand"));
    }
    Ok(())
}

/// What a convolution reads: its first operand, or that with the codes and bits of a pooling.
fn source<'a>(o: &Operands<'a>) -> Result<Source<'a>> {
    let Kernel::ConvAdjointBlock(_, AdjointFinish { pooled: Some(pooled), norm, .. }) = &o.step.kernel else {
        return Ok(Source::Dense(o.real(0)?));
    };
    let codes = if norm.is_some() { 4 } else { 2 };
    Ok(Source::Pooled(sparse::Pooled {
        upper: o.real(0)?,
        codes: o.coded(codes)?,
        bits: if pooled.masked { Some(o.coded(codes + 1)?) } else { None },
        rectified: pooled.rectified,
    }))
}

fn output<'a>(convolution: &Convolution, o: &Operands<'a>) -> Result<Output<'a>> {
    let sizes = convolution.target();
    Ok(match &o.step.kernel {
        Kernel::ConvBlock(_, finish) => {
            let before = 2 + usize::from(finish.biased) + if finish.norm.is_some() { 4 } else { 0 };
            let pooled = finish.pool.as_ref().map(|p| -> Result<Pooled<'a>> {
                let (y, codes) = (o.result(2)?.map(Shared::new), o.result(3)?.map(Shared::new));
                Ok(Pooled { window: p.kernel, sizes: p.output, y, codes })
            });
            Output {
                sizes,
                y: o.result(0)?.map(Shared::new),
                added: if finish.added { Some(o.real(before)?) } else { None },
                mask: None,
                rectified: finish.rectified,
                bits: o.result(1)?.map(Shared::new),
                pooled: pooled.transpose()?,
            }
        }
        Kernel::ConvAdjointBlock(_, finish) => {
            let before = finish.bits_operand();
            let mask = if finish.masked { Some(o.coded(before)?) } else { None };
            Output { mask, rectified: finish.rectified, ..Output::plain(sizes, o.out()?) }
        }
        _ => Output::plain(sizes, o.out()?),
    })
}
