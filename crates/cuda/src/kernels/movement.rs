//! Moving elements.

use crate::backend::{Backend, Geometry};
use crate::device::GpuMemory;
use crate::operands::{Operands, THREADS, in_arena, launch};
use voxplain_autodiff::{DType, PadFill, PadGeometry, SliceGeometry, Slot, WindowGeometry};
use voxplain_tensor::{Error, MAX_RANK, Result, Shape};

const STEM: &str = "movement";
type Axes = [i64; MAX_RANK];

#[derive(Clone, Copy)]
#[repr(C)]
struct Permute {
    n: i64,
    rank: i64,
    shape: Axes,
    strides: Axes,
}
// SAFETY: numbers of eight bytes.
unsafe impl Geometry for Permute {}

#[derive(Clone, Copy)]
#[repr(C)]
struct Slice {
    n: i64,
    rank: i64,
    whole: Axes,
    part: Axes,
    begin: Axes,
    step: Axes,
}
// SAFETY: numbers of eight bytes.
unsafe impl Geometry for Slice {}

#[derive(Clone, Copy)]
#[repr(C)]
struct Pad {
    n: i64,
    rank: i64,
    mode: i64,
    value: f64,
    inner: Axes,
    padded: Axes,
    before: Axes,
}
// SAFETY: numbers of eight bytes.
unsafe impl Geometry for Pad {}

#[derive(Clone, Copy)]
#[repr(C)]
struct Window {
    n: i64,
    rank: i64,
    part_size: i64,
    patch_size: i64,
    patched: i64,
    fill: f64,
    whole: Axes,
    part: Axes,
    patch: Axes,
}
// SAFETY: numbers of eight bytes.
unsafe impl Geometry for Window {}

#[derive(Clone, Copy)]
#[repr(C)]
struct Paste {
    n: i64,
    rank: i64,
    part: Axes,
    whole: Axes,
    place: Axes,
}
// SAFETY: numbers of eight bytes.
unsafe impl Geometry for Paste {}

#[derive(Clone, Copy)]
#[repr(C)]
struct Rows {
    outer: i64,
    size: i64,
    total: i64,
    offset: i64,
}
// SAFETY: numbers of eight bytes.
unsafe impl Geometry for Rows {}

#[derive(Clone, Copy)]
#[repr(C)]
struct Constant {
    n: i64,
    value: f64,
}
// SAFETY: numbers of eight bytes.
unsafe impl Geometry for Constant {}

fn axes(shape: &Shape) -> Axes {
    let mut sizes = [1; MAX_RANK];
    sizes.iter_mut().zip(shape.iter()).for_each(|(to, &n)| *to = n as i64);
    sizes
}

pub(super) fn fill<B: Backend>(o: &Operands<B>, value: f64) -> Result<()> {
    let n = o.length();
    o.each((STEM, "fill"), n, &[o.out(n)?], &Constant { n: n as i64, value })
}

pub(super) fn permute<B: Backend>(
    o: &Operands<B>,
    shape: &Shape,
    permutation: &[usize; MAX_RANK],
) -> Result<()> {
    let (n, strides) = (shape.elements(), shape.strides());
    let mut geometry =
        Permute { n: n as i64, rank: shape.rank() as i64, shape: [1; MAX_RANK], strides: [0; MAX_RANK] };
    let mut seen = [false; MAX_RANK];
    for i in 0..shape.rank() {
        let axis = permutation[i];
        if axis >= shape.rank() || seen[axis] {
            return Err(Error::internal("an order of axes that is no permutation"));
        }
        seen[axis] = true;
        (geometry.shape[i], geometry.strides[i]) = (shape[axis] as i64, strides[axis] as i64);
    }
    o.each((STEM, "permute"), n, &[o.real(0, n)?, o.out(n)?], &geometry)
}

/// The geometry, of which `n` elements are made, after checking that the slice lies inside the whole.
fn slices(g: &SliceGeometry, n: usize) -> Result<Slice> {
    let inside = |i: usize| {
        let last = g.axes[i].begin as i64 + (g.part[i] as i64 - 1) * g.axes[i].step as i64;
        g.axes[i].begin < g.whole[i] && last >= 0 && last < g.whole[i] as i64 && g.axes[i].step != 0
    };
    let empty = g.part.elements() == 0;
    if g.whole.rank() != g.part.rank() || !(empty || (0..g.whole.rank()).all(inside)) {
        return Err(Error::internal("a slice that leaves its array"));
    }
    Ok(Slice {
        n: n as i64,
        rank: g.whole.rank() as i64,
        whole: axes(&g.whole),
        part: axes(&g.part),
        begin: g.axes.map(|a| a.begin as i64),
        step: g.axes.map(|a| a.step as i64),
    })
}

pub(super) fn slice<B: Backend>(o: &Operands<B>, g: &SliceGeometry) -> Result<()> {
    let (whole, part) = (g.whole.elements(), g.part.elements());
    o.each((STEM, "slice"), part, &[o.real(0, whole)?, o.out(part)?], &slices(g, part)?)
}

pub(super) fn embed<B: Backend>(o: &Operands<B>, g: &SliceGeometry) -> Result<()> {
    let (whole, part) = (g.whole.elements(), g.part.elements());
    o.each((STEM, "embed"), whole, &[o.real(0, part)?, o.out(whole)?], &slices(g, whole)?)
}

/// The geometry, of which `n` elements are made, after checking that mirrors reach no further than the array.
fn pads(g: &PadGeometry, n: usize) -> Result<Pad> {
    let (mode, value) = match g.fill {
        PadFill::Constant(value) => (0, value),
        PadFill::Edge => (1, 0.0),
        PadFill::Reflect => (2, 0.0),
    };
    let reaches = |i: usize| {
        let (size, before) = (g.inner[i] as i64, g.before[i] as i64);
        size > before && g.padded[i] as i64 - before < 2 * size
    };
    if g.inner.rank() != g.padded.rank() || (mode == 2 && !(0..g.inner.rank()).all(reaches)) {
        return Err(Error::internal("padding that reaches further than its array"));
    }
    Ok(Pad {
        n: n as i64,
        rank: g.inner.rank() as i64,
        mode,
        value,
        inner: axes(&g.inner),
        padded: axes(&g.padded),
        before: g.before.map(|b| b as i64),
    })
}

pub(super) fn pad<B: Backend>(o: &Operands<B>, g: &PadGeometry) -> Result<()> {
    let (inner, padded) = (g.inner.elements(), g.padded.elements());
    o.each((STEM, "pad"), padded, &[o.real(0, inner)?, o.out(padded)?], &pads(g, padded)?)
}

pub(super) fn pad_adjoint<B: Backend>(o: &Operands<B>, g: &PadGeometry) -> Result<()> {
    let (inner, padded) = (g.inner.elements(), g.padded.elements());
    o.each((STEM, "pad_adjoint"), inner, &[o.real(0, padded)?, o.out(inner)?], &pads(g, inner)?)
}

pub(super) fn window<B: Backend>(o: &Operands<B>, g: &WindowGeometry) -> Result<()> {
    let (rank, n) = (g.whole.rank(), g.rows * g.part.elements());
    let patch = g.patch.unwrap_or(g.whole);
    if g.part.rank() != rank || patch.rank() != rank {
        return Err(Error::internal("a box and its array of different ranks"));
    }
    let table = 2 * rank * g.rows;
    let (patches, places) = match g.patch {
        Some(patch) => (o.real(1, g.rows * patch.elements())?, o.real(2, table)?),
        None => (o.real(1, table)?, o.real(1, table)?),
    };
    let geometry = Window {
        n: n as i64,
        rank: rank as i64,
        part_size: g.part.elements() as i64,
        patch_size: patch.elements() as i64,
        patched: i64::from(g.patch.is_some()),
        fill: g.fill,
        whole: axes(&g.whole),
        part: axes(&g.part),
        patch: axes(&patch),
    };
    o.each((STEM, "window"), n, &[o.real(0, g.whole.elements())?, patches, places, o.out(n)?], &geometry)
}

/// Writes a value of one session, a box, into a value of another from position `place` on; see
/// [`voxplain_autodiff::Device::paste`].
pub(crate) fn paste<B: Backend>(
    backend: &B,
    (base, into): (&GpuMemory<B>, Slot),
    (memory, part): (&GpuMemory<B>, Slot),
    place: &[isize],
) -> Result<()> {
    let (to, from) = (base.plan.slot(into), memory.plan.slot(part));
    let (n, rank) = (from.shape.elements(), to.shape.rank());
    let reals = to.dtype == DType::Real && from.dtype == DType::Real;
    if from.shape.rank() != rank || place.len() != rank || !reals {
        return Err(Error::internal("a box is pasted into a value of another rank or type"));
    }
    let mut at = [0; MAX_RANK];
    at.iter_mut().zip(place).for_each(|(to, &p)| *to = p as i64);
    let (shape, whole) = (axes(&from.shape), axes(&to.shape));
    let geometry = Paste { n: n as i64, rank: rank as i64, part: shape, whole, place: at };
    let pointers = [in_arena(backend, memory, part)?, in_arena(backend, base, into)?];
    let writes = [(pointers[1], to.shape.elements() * size_of::<f32>())];
    // SAFETY: the kernel takes two arrays and this structure; both lie in arenas of sessions that are borrowed, as large
    // as their shapes say, which is all that the kernel reads and writes.
    unsafe { launch(backend, (STEM, "paste"), n.div_ceil(THREADS), &pointers, &geometry, &writes) }
}

/// One launch per operand.
pub(super) fn concat<B: Backend>(o: &Operands<B>, outer: usize, sizes: &[usize]) -> Result<()> {
    let total: usize = sizes.iter().sum();
    let y = o.out(outer * total)?;
    let mut offset = 0;
    for (i, &size) in sizes.iter().enumerate() {
        let [outer_, size_, total, at] = [outer, size, total, offset].map(|v| v as i64);
        let rows = Rows { outer: outer_, size: size_, total, offset: at };
        o.each((STEM, "concat"), outer * size, &[o.real(i, outer * size)?, y], &rows)?;
        offset += size;
    }
    Ok(())
}
