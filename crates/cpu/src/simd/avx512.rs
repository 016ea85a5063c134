//! AVX-512, where the compiler knows it (see build.rs).

use super::Simd;
use core::arch::x86_64::*;

/// AVX-512: sixteen numbers, thirty-two registers.
#[derive(Clone, Copy)]
pub struct Avx512;

/// Positions 0, 2, 4, ... and 1, 3, 5, ... of two vectors, for `deinterleave`.
const EVEN: [i32; 16] = [0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30];
const ODD: [i32; 16] = [1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31];
/// The first and the second half of two vectors taken in turn, for `interleave`.
const FIRST: [i32; 16] = [0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23];
const SECOND: [i32; 16] = [8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31];

instructions! { Avx512, __m512, eight super::Avx2, lanes 16, tile 6, pair 3;
    fn splat(x: f32) -> __m512 { _mm512_set1_ps(x) }
    fn load(p: *const f32) -> __m512 { _mm512_loadu_ps(p) }
    fn load_first(p: *const f32, n: usize) -> __m512 { _mm512_maskz_loadu_ps(((1u32 << n) - 1) as u16, p) }
    fn store(p: *mut f32, v: __m512) { _mm512_storeu_ps(p, v) }
    fn store_first(p: *mut f32, n: usize, v: __m512) { _mm512_mask_storeu_ps(p, ((1u32 << n) - 1) as u16, v) }
    fn add(a: __m512, b: __m512) -> __m512 { _mm512_add_ps(a, b) }
    fn sub(a: __m512, b: __m512) -> __m512 { _mm512_sub_ps(a, b) }
    fn max(a: __m512, b: __m512) -> __m512 { _mm512_max_ps(a, b) }
    fn select_greater(a: __m512, b: __m512, x: __m512, y: __m512) -> __m512 {
        _mm512_mask_blend_ps(_mm512_cmp_ps_mask::<_CMP_GT_OQ>(a, b), y, x)
    }
    fn mul_add(a: __m512, b: __m512, c: __m512) -> __m512 { _mm512_fmadd_ps(a, b, c) }
    fn deinterleave(a: __m512, b: __m512) -> (__m512, __m512) {
        {
            let index = |entries: &[i32; 16]| _mm512_loadu_si512(entries.as_ptr().cast());
            (_mm512_permutex2var_ps(a, index(&EVEN), b), _mm512_permutex2var_ps(a, index(&ODD), b))
        }
    }
    fn interleave(even: __m512, odd: __m512) -> (__m512, __m512) {
        {
            let index = |entries: &[i32; 16]| _mm512_loadu_si512(entries.as_ptr().cast());
            (_mm512_permutex2var_ps(even, index(&FIRST), odd), _mm512_permutex2var_ps(even, index(&SECOND), odd))
        }
    }
    fn positive(p: *const f32) -> u8 {
        _mm256_movemask_ps(_mm256_cmp_ps::<_CMP_GT_OQ>(_mm256_loadu_ps(p), _mm256_setzero_ps())) as u8
    }
    fn prefetch(p: *const u8) { _mm_prefetch::<_MM_HINT_T0>(p.cast()) }
    fn store_bytes(p: *mut u8, v: __m512) {
        _mm_storeu_si128(p.cast(), _mm512_cvtepi32_epi8(_mm512_cvtps_epi32(v)))
    }
}
