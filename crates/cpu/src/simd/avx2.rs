//! AVX2 with FMA, which every x86_64 processor for servers and desktops has had since about 2015.

use super::Simd;
use core::arch::x86_64::*;

/// AVX2 with FMA: eight numbers, sixteen registers.
#[derive(Clone, Copy)]
pub struct Avx2;

/// Eight set masks and eight clear ones, for `load_first` and `store_first`.
static MASKS: [i32; 16] = [-1, -1, -1, -1, -1, -1, -1, -1, 0, 0, 0, 0, 0, 0, 0, 0];

/// Pairs 0, 2, 1 and 3 of a vector. The first generation of EPYC takes eight operations to exchange halves of two vectors, three
/// for this; others take one for either.
#[inline]
#[target_feature(enable = "avx2")]
fn middle_pairs_changed(v: __m256) -> __m256 {
    _mm256_castpd_ps(_mm256_permute4x64_pd::<0xd8>(_mm256_castps_pd(v)))
}

/// A vector of the four numbers at `low` and the four at `high`.
#[inline]
#[target_feature(enable = "avx2")]
unsafe fn load_halves(low: *const f32, high: *const f32) -> __m256 {
    // SAFETY: the caller promises four numbers at each.
    unsafe { _mm256_insertf128_ps::<1>(_mm256_castps128_ps256(_mm_loadu_ps(low)), _mm_loadu_ps(high)) }
}

/// The inverse of [`load_halves`].
#[inline]
#[target_feature(enable = "avx2")]
unsafe fn store_halves(low: *mut f32, high: *mut f32, v: __m256) {
    // SAFETY: the caller promises room for four numbers at each.
    unsafe {
        _mm_storeu_ps(low, _mm256_castps256_ps128(v));
        _mm_storeu_ps(high, _mm256_extractf128_ps::<1>(v));
    }
}

/// Turns rows into columns, in both halves of four vectors.
#[inline]
#[target_feature(enable = "avx2")]
fn turn(v: [__m256; 4]) -> [__m256; 4] {
    let (a, b) = (_mm256_unpacklo_ps(v[0], v[1]), _mm256_unpacklo_ps(v[2], v[3]));
    let (c, d) = (_mm256_unpackhi_ps(v[0], v[1]), _mm256_unpackhi_ps(v[2], v[3]));
    [
        _mm256_shuffle_ps::<0x44>(a, b),
        _mm256_shuffle_ps::<0xee>(a, b),
        _mm256_shuffle_ps::<0x44>(c, d),
        _mm256_shuffle_ps::<0xee>(c, d),
    ]
}

instructions! { Avx2, __m256, eight Avx2, lanes 8, tile 3, pair 0;
    fn splat(x: f32) -> __m256 { _mm256_set1_ps(x) }
    fn load(p: *const f32) -> __m256 { _mm256_loadu_ps(p) }
    fn load_first(p: *const f32, n: usize) -> __m256 {
        _mm256_maskload_ps(p, _mm256_loadu_si256(MASKS[8 - n..].as_ptr().cast()))
    }
    fn store(p: *mut f32, v: __m256) { _mm256_storeu_ps(p, v) }
    fn store_first(p: *mut f32, n: usize, v: __m256) {
        _mm256_maskstore_ps(p, _mm256_loadu_si256(MASKS[8 - n..].as_ptr().cast()), v)
    }
    fn add(a: __m256, b: __m256) -> __m256 { _mm256_add_ps(a, b) }
    fn sub(a: __m256, b: __m256) -> __m256 { _mm256_sub_ps(a, b) }
    fn max(a: __m256, b: __m256) -> __m256 { _mm256_max_ps(a, b) }
    fn select_greater(a: __m256, b: __m256, x: __m256, y: __m256) -> __m256 {
        _mm256_blendv_ps(y, x, _mm256_cmp_ps::<_CMP_GT_OQ>(a, b))
    }
    fn mul_add(a: __m256, b: __m256, c: __m256) -> __m256 { _mm256_fmadd_ps(a, b, c) }
    fn deinterleave(a: __m256, b: __m256) -> (__m256, __m256) {
        {
            let (even, odd) = (_mm256_shuffle_ps::<0x88>(a, b), _mm256_shuffle_ps::<0xdd>(a, b));
            (middle_pairs_changed(even), middle_pairs_changed(odd))
        }
    }
    fn interleave(even: __m256, odd: __m256) -> (__m256, __m256) {
        {
            let (even, odd) = (middle_pairs_changed(even), middle_pairs_changed(odd));
            (_mm256_unpacklo_ps(even, odd), _mm256_unpackhi_ps(even, odd))
        }
    }
    fn positive(p: *const f32) -> u8 {
        _mm256_movemask_ps(_mm256_cmp_ps::<_CMP_GT_OQ>(_mm256_loadu_ps(p), _mm256_setzero_ps())) as u8
    }
    fn prefetch(p: *const u8) { _mm_prefetch::<_MM_HINT_T0>(p.cast()) }
    fn store_bytes(p: *mut u8, v: __m256) {
        {
            let whole = _mm256_cvtps_epi32(v);
            let (low, high) = (_mm256_castsi256_si128(whole), _mm256_extracti128_si256::<1>(whole));
            let words = _mm_packs_epi32(low, high);
            _mm_storel_epi64(p.cast(), _mm_packus_epi16(words, words))
        }
    }
    own
    #[inline(always)]
    unsafe fn load_parted<const W: usize>(p: *const f32) -> [__m256; 4] {
        // SAFETY: the caller promises AVX2 and `W` vectors at `p`.
        unsafe {
            if W == 4 {
                let mut rows = [_mm256_setzero_ps(); 4];
                for i in 0..4 {
                    rows[i] = load_halves(p.add(4 * i), p.add(4 * i + 16));
                }
                return turn(rows);
            }
            let (a, b) = (load_halves(p, p.add(8)), load_halves(p.add(4), p.add(12)));
            [_mm256_shuffle_ps::<0x88>(a, b), _mm256_shuffle_ps::<0xdd>(a, b), a, b]
        }
    }
    #[inline(always)]
    unsafe fn store_united<const W: usize>(p: *mut f32, v: [__m256; 4]) {
        // SAFETY: the caller promises AVX2 and room for `W` vectors at `p`.
        unsafe {
            if W == 4 {
                let turned = turn(v);
                for i in 0..4 {
                    store_halves(p.add(4 * i), p.add(4 * i + 16), turned[i]);
                }
                return;
            }
            store_halves(p, p.add(8), _mm256_unpacklo_ps(v[0], v[1]));
            store_halves(p.add(4), p.add(12), _mm256_unpackhi_ps(v[0], v[1]));
        }
    }
    #[inline(always)]
    unsafe fn add_products<const C: usize, const J: usize>(sum: &mut [[__m256; J]; C], x: *const f32, w: *const f32) {
        if C == 4 && J == 3 {
            // SAFETY: the caller promises AVX2 and FMA, three vectors at `x` and four numbers at `w`.
            unsafe { four_by_three(sum.as_flattened_mut(), x, w) }
        } else {
            for c in 0..C {
                for j in 0..J {
                    // SAFETY: as above, with `J` vectors and `C` numbers.
                    unsafe { sum[c][j] = _mm256_fmadd_ps(_mm256_set1_ps(*w.add(c)), _mm256_loadu_ps(x.add(8 * j)), sum[c][j]) }
                }
            }
        }
    }
}

/// `sum[3 c + j] += w[c] x[j]`. Twelve sums, three vectors and one factor are all sixteen registers; compilers spill one
/// of the sums, which halves the speed, so the registers are assigned here.
#[inline]
#[target_feature(enable = "avx2,fma")]
unsafe fn four_by_three(sum: &mut [__m256], x: *const f32, w: *const f32) {
    let Some(s) = sum.first_chunk_mut::<12>() else { return };
    // SAFETY: the caller promises AVX2 and FMA and the memory that is read; nothing else is touched.
    unsafe {
        core::arch::asm!(
            "vmovups {x0}, ymmword ptr [{x}]",
            "vmovups {x1}, ymmword ptr [{x} + 32]",
            "vmovups {x2}, ymmword ptr [{x} + 64]",
            "vbroadcastss {f}, dword ptr [{w}]",
            "vfmadd231ps {s0}, {f}, {x0}",
            "vfmadd231ps {s1}, {f}, {x1}",
            "vfmadd231ps {s2}, {f}, {x2}",
            "vbroadcastss {f}, dword ptr [{w} + 4]",
            "vfmadd231ps {s3}, {f}, {x0}",
            "vfmadd231ps {s4}, {f}, {x1}",
            "vfmadd231ps {s5}, {f}, {x2}",
            "vbroadcastss {f}, dword ptr [{w} + 8]",
            "vfmadd231ps {s6}, {f}, {x0}",
            "vfmadd231ps {s7}, {f}, {x1}",
            "vfmadd231ps {s8}, {f}, {x2}",
            "vbroadcastss {f}, dword ptr [{w} + 12]",
            "vfmadd231ps {s9}, {f}, {x0}",
            "vfmadd231ps {s10}, {f}, {x1}",
            "vfmadd231ps {s11}, {f}, {x2}",
            x = in(reg) x,
            w = in(reg) w,
            f = out(ymm_reg) _,
            x0 = out(ymm_reg) _,
            x1 = out(ymm_reg) _,
            x2 = out(ymm_reg) _,
            s0 = inout(ymm_reg) s[0],
            s1 = inout(ymm_reg) s[1],
            s2 = inout(ymm_reg) s[2],
            s3 = inout(ymm_reg) s[3],
            s4 = inout(ymm_reg) s[4],
            s5 = inout(ymm_reg) s[5],
            s6 = inout(ymm_reg) s[6],
            s7 = inout(ymm_reg) s[7],
            s8 = inout(ymm_reg) s[8],
            s9 = inout(ymm_reg) s[9],
            s10 = inout(ymm_reg) s[10],
            s11 = inout(ymm_reg) s[11],
            options(readonly, nostack, preserves_flags),
        );
    }
}
