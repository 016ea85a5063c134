//! Normalisation with stored statistics and with statistics of the data.

use crate::backend::{Backend, Geometry};
use crate::operands::{Operands, THREADS};
use voxplain_autodiff::{ChannelGeometry, DType, Span};
use voxplain_tensor::Result;

const STEM: &str = "normalize";
/// Entries of a plane that one block takes.
const CHUNK: usize = 4 * THREADS;

#[derive(Clone, Copy)]
#[repr(C)]
struct Channels {
    channels: i64,
    inner: i64,
    chunks: i64,
    epsilon: f64,
}
// SAFETY: numbers of eight bytes.
unsafe impl Geometry for Channels {}

#[derive(Clone, Copy)]
#[repr(C)]
struct Groups {
    n: i64,
    epsilon: f64,
}
// SAFETY: numbers of eight bytes.
unsafe impl Geometry for Groups {}

/// The structure, and the number of blocks.
fn channels(g: &ChannelGeometry) -> (Channels, usize) {
    let chunks = g.inner.div_ceil(CHUNK);
    let [channels, inner, count] = [g.channels, g.inner, chunks].map(|v| v as i64);
    (Channels { channels, inner, chunks: count, epsilon: g.epsilon }, g.batch * g.channels * chunks)
}

pub(super) fn batch<B: Backend>(o: &Operands<B>, g: &ChannelGeometry) -> Result<()> {
    let (n, c) = (g.batch * g.channels * g.inner, g.channels);
    let pointers = [o.real(0, n)?, o.real(1, c)?, o.real(2, c)?, o.real(3, c)?, o.real(4, c)?, o.out(n)?];
    let (geometry, blocks) = channels(g);
    o.blocks((STEM, "batch_norm"), blocks, &pointers, &geometry)
}

pub(super) fn batch_adjoint<B: Backend>(o: &Operands<B>, g: &ChannelGeometry) -> Result<()> {
    let (n, c) = (g.batch * g.channels * g.inner, g.channels);
    scale(o, g, &[o.real(0, n)?, o.real(1, c)?, o.real(2, c)?, o.out(n)?])
}

/// The adjoint between addresses that were checked: upper, scale, variance, result.
pub(super) fn scale<B: Backend>(o: &Operands<B>, g: &ChannelGeometry, pointers: &[u64; 4]) -> Result<()> {
    let (geometry, blocks) = channels(g);
    o.blocks((STEM, "batch_norm_adjoint"), blocks, pointers, &geometry)
}

/// A factor and a shift for each of `count` channels, between addresses that were checked: bias or 0, scale, shift, mean,
/// variance, result.
pub(super) fn lines<B: Backend>(
    o: &Operands<B>,
    count: usize,
    epsilon: f64,
    pointers: &[u64; 6],
) -> Result<()> {
    let geometry = Channels { channels: count as i64, inner: 1, chunks: 1, epsilon };
    o.each((STEM, "batch_norm_lines"), count, pointers, &geometry)
}

pub(super) fn forward<B: Backend>(o: &Operands<B>, s: Span, epsilon: f64) -> Result<()> {
    let n = s.outer * s.n;
    let (y, inverse) = (o.wanted(0, DType::Real, n)?, o.wanted(1, DType::Real, s.outer)?);
    let geometry = Groups { n: s.n as i64, epsilon };
    o.blocks((STEM, "normalize"), s.outer, &[o.real(0, n)?, y, inverse], &geometry)
}

pub(super) fn adjoint<B: Backend>(o: &Operands<B>, s: Span) -> Result<()> {
    let n = s.outer * s.n;
    let pointers = [o.real(0, n)?, o.real(1, n)?, o.real(2, s.outer)?, o.out(n)?];
    o.blocks((STEM, "normalize_adjoint"), s.outer, &pointers, &Groups { n: s.n as i64, epsilon: 0.0 })
}
