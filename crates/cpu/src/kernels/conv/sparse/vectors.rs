//! A few vectors side by side.

use crate::simd::Simd;

/// Reads `V` vectors.
///
/// # Safety
/// The instruction set is there; the pointer is valid for `V` vectors.
#[inline(always)]
pub(super) unsafe fn load<S: Simd, const V: usize>(from: *const f32) -> [S::V; V] {
    // SAFETY: the caller promises the instruction set and `V` vectors.
    unsafe {
        let mut vectors = [S::splat(0.0); V];
        for v in 0..V {
            vectors[v] = S::load(from.add(v * S::LANES));
        }
        vectors
    }
}

/// Adds `V` vectors of weights times `value`.
///
/// # Safety
/// The instruction set is there; the pointer is valid for `V` vectors.
#[inline(always)]
pub(super) unsafe fn add<S: Simd, const V: usize>(sums: &mut [S::V; V], value: S::V, weights: *const f32) {
    // SAFETY: the caller promises the instruction set and `V` vectors.
    unsafe {
        for v in 0..V {
            sums[v] = S::mul_add(S::load(weights.add(v * S::LANES)), value, sums[v]);
        }
    }
}

/// Writes `V` vectors.
///
/// # Safety
/// The instruction set is there; the pointer is valid for `V` vectors.
#[inline(always)]
pub(super) unsafe fn store<S: Simd, const V: usize>(to: *mut f32, vectors: [S::V; V]) {
    // SAFETY: the caller promises the instruction set and `V` vectors.
    unsafe {
        for v in 0..V {
            S::store(to.add(v * S::LANES), vectors[v]);
        }
    }
}
