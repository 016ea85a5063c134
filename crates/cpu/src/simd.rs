//! Vectors of single precision, one implementation for each instruction set, so that the kernels that decide the speed
//! are written once and keep their sums in registers by construction rather than by the optimiser's grace.
//!
//! Every method is a single instruction or a few; a body that uses them must be inlined into a function that enables the
//! instruction set, which [`per_isa`] makes.

/// The vector instructions of an instruction set.
///
/// # Safety
/// Every method needs the instruction set at run time. Pointers must be valid for the lanes that are read or written.
pub(crate) trait Simd: Copy {
    /// A vector of [`Simd::LANES`] numbers.
    type V: Copy;
    /// The same with vectors of at most eight numbers.
    type Eight: Simd;
    /// Numbers in a vector.
    const LANES: usize;
    /// How many vectors beside four rows of weights a tile of sums can have without spilling registers.
    const TILE: usize;
    /// The same vector everywhere.
    unsafe fn splat(x: f32) -> Self::V;
    /// Reads a vector from anywhere.
    unsafe fn load(p: *const f32) -> Self::V;
    /// Reads the first `n < LANES` numbers; the others are 0 and their memory is not touched.
    unsafe fn load_first(p: *const f32, n: usize) -> Self::V;
    /// Writes a vector anywhere.
    unsafe fn store(p: *mut f32, v: Self::V);
    /// `a + b`.
    unsafe fn add(a: Self::V, b: Self::V) -> Self::V;
    /// `a - b`.
    unsafe fn sub(a: Self::V, b: Self::V) -> Self::V;
    /// The larger of each pair; `b` where they do not compare.
    unsafe fn max(a: Self::V, b: Self::V) -> Self::V;
    /// Of `x` where `a > b`, of `y` elsewhere.
    unsafe fn select_greater(a: Self::V, b: Self::V, x: Self::V, y: Self::V) -> Self::V;
    /// `a b + c`, fused where the instruction set has it.
    unsafe fn mul_add(a: Self::V, b: Self::V, c: Self::V) -> Self::V;
    /// The entries of even and of odd position of `a` and `b` one behind the other.
    unsafe fn deinterleave(a: Self::V, b: Self::V) -> (Self::V, Self::V);
    /// The inverse of [`Simd::deinterleave`].
    unsafe fn interleave(even: Self::V, odd: Self::V) -> (Self::V, Self::V);
    /// One bit for each of the eight numbers at `p`, the first the least: whether it is positive.
    unsafe fn positive(p: *const f32) -> u8;
    /// Asks for the cache line at `p`, which need not be readable, where the machine can be asked.
    #[inline(always)]
    unsafe fn prefetch(_: *const u8) {}
    /// Writes whole numbers from 0 to 255 as bytes, one a lane.
    unsafe fn store_bytes(p: *mut u8, v: Self::V);

    /// The inner loop of every matrix product and convolution: `sum[c][j] += w[c] x[j]` for `J` vectors at `x` and `C`
    /// numbers at `w`.
    #[inline(always)]
    unsafe fn add_products<const C: usize, const J: usize>(
        sum: &mut [[Self::V; J]; C],
        x: *const f32,
        w: *const f32,
    ) {
        // SAFETY: the caller promises the instruction set, `J` vectors at `x` and `C` numbers at `w`.
        unsafe {
            let mut vectors = [Self::splat(0.0); J];
            for j in 0..J {
                vectors[j] = Self::load(x.add(j * Self::LANES));
            }
            for c in 0..C {
                let factor = Self::splat(*w.add(c));
                for j in 0..J {
                    sum[c][j] = Self::mul_add(factor, vectors[j], sum[c][j]);
                }
            }
        }
    }
}

/// Implements [`Simd`] by one expression a method.
macro_rules! instructions {
    ($name:ident, $v:ty, eight $eight:ty, lanes $lanes:literal, tile $tile:literal;
     $(fn $method:ident($($arg:ident: $kind:ty),*) $(-> $result:ty)? { $body:expr })*
     $(own $own:item)?) => {
        impl Simd for $name {
            type V = $v;
            type Eight = $eight;
            const LANES: usize = $lanes;
            const TILE: usize = $tile;
            $(
                #[inline(always)]
                unsafe fn $method($($arg: $kind),*) $(-> $result)? {
                    // SAFETY: the caller promises the instruction set and pointers valid for the lanes in question.
                    #[allow(unused_unsafe, reason = "bodies without instructions need none")]
                    unsafe { $body }
                }
            )*
            $($own)?
        }
    };
}

/// What every target has, four numbers at a time, without fused multiply-add.
#[derive(Clone, Copy)]
pub(crate) struct Portable;

type Four = [f32; 4];

instructions! { Portable, Four, eight Portable, lanes 4, tile 2;
    fn splat(x: f32) -> Four { [x; 4] }
    fn load(p: *const f32) -> Four { p.cast::<Four>().read_unaligned() }
    fn load_first(p: *const f32, n: usize) -> Four { core::array::from_fn(|i| if i < n { *p.add(i) } else { 0.0 }) }
    fn store(p: *mut f32, v: Four) { p.cast::<Four>().write_unaligned(v) }
    fn add(a: Four, b: Four) -> Four { core::array::from_fn(|i| a[i] + b[i]) }
    fn sub(a: Four, b: Four) -> Four { core::array::from_fn(|i| a[i] - b[i]) }
    fn max(a: Four, b: Four) -> Four { core::array::from_fn(|i| if a[i] > b[i] { a[i] } else { b[i] }) }
    fn select_greater(a: Four, b: Four, x: Four, y: Four) -> Four {
        core::array::from_fn(|i| if a[i] > b[i] { x[i] } else { y[i] })
    }
    fn mul_add(a: Four, b: Four, c: Four) -> Four { core::array::from_fn(|i| a[i] * b[i] + c[i]) }
    fn deinterleave(a: Four, b: Four) -> (Four, Four) { ([a[0], a[2], b[0], b[2]], [a[1], a[3], b[1], b[3]]) }
    fn interleave(e: Four, o: Four) -> (Four, Four) { ([e[0], o[0], e[1], o[1]], [e[2], o[2], e[3], o[3]]) }
    fn positive(p: *const f32) -> u8 { (0..8).fold(0, |bits, i| bits | u8::from(*p.add(i) > 0.0) << i) }
    fn store_bytes(p: *mut u8, v: Four) { p.cast::<[u8; 4]>().write(v.map(|x| x as u8)) }
}

#[cfg(target_arch = "x86_64")]
mod avx2 {
    use super::Simd;
    use core::arch::x86_64::*;

    /// AVX2 with FMA: eight numbers, sixteen registers.
    #[derive(Clone, Copy)]
    pub struct Avx2;

    /// Eight set masks and eight clear ones, for `load_first`.
    static MASKS: [i32; 16] = [-1, -1, -1, -1, -1, -1, -1, -1, 0, 0, 0, 0, 0, 0, 0, 0];

    instructions! { Avx2, __m256, eight Avx2, lanes 8, tile 3;
        fn splat(x: f32) -> __m256 { _mm256_set1_ps(x) }
        fn load(p: *const f32) -> __m256 { _mm256_loadu_ps(p) }
        fn load_first(p: *const f32, n: usize) -> __m256 {
            _mm256_maskload_ps(p, _mm256_loadu_si256(MASKS[8 - n..].as_ptr().cast()))
        }
        fn store(p: *mut f32, v: __m256) { _mm256_storeu_ps(p, v) }
        fn add(a: __m256, b: __m256) -> __m256 { _mm256_add_ps(a, b) }
        fn sub(a: __m256, b: __m256) -> __m256 { _mm256_sub_ps(a, b) }
        fn max(a: __m256, b: __m256) -> __m256 { _mm256_max_ps(a, b) }
        fn select_greater(a: __m256, b: __m256, x: __m256, y: __m256) -> __m256 {
            _mm256_blendv_ps(y, x, _mm256_cmp_ps::<_CMP_GT_OQ>(a, b))
        }
        fn mul_add(a: __m256, b: __m256, c: __m256) -> __m256 { _mm256_fmadd_ps(a, b, c) }
        fn deinterleave(a: __m256, b: __m256) -> (__m256, __m256) {
            {
                let (low, high) = (_mm256_permute2f128_ps::<0x20>(a, b), _mm256_permute2f128_ps::<0x31>(a, b));
                (_mm256_shuffle_ps::<0x88>(low, high), _mm256_shuffle_ps::<0xdd>(low, high))
            }
        }
        fn interleave(even: __m256, odd: __m256) -> (__m256, __m256) {
            {
                let (low, high) = (_mm256_unpacklo_ps(even, odd), _mm256_unpackhi_ps(even, odd));
                (_mm256_permute2f128_ps::<0x20>(low, high), _mm256_permute2f128_ps::<0x31>(low, high))
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
}
#[cfg(target_arch = "x86_64")]
pub(crate) use avx2::Avx2;

// Compiled only where the compiler knows AVX-512 (see build.rs).
#[cfg(all(target_arch = "x86_64", avx512))]
#[allow(clippy::incompatible_msrv)]
mod avx512 {
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

    instructions! { Avx512, __m512, eight super::Avx2, lanes 16, tile 6;
        fn splat(x: f32) -> __m512 { _mm512_set1_ps(x) }
        fn load(p: *const f32) -> __m512 { _mm512_loadu_ps(p) }
        fn load_first(p: *const f32, n: usize) -> __m512 { _mm512_maskz_loadu_ps(((1u32 << n) - 1) as u16, p) }
        fn store(p: *mut f32, v: __m512) { _mm512_storeu_ps(p, v) }
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
}
#[cfg(all(target_arch = "x86_64", avx512))]
pub(crate) use avx512::Avx512;

#[cfg(target_arch = "aarch64")]
mod neon {
    use super::Simd;
    use core::arch::aarch64::*;

    /// NEON: four numbers, thirty-two registers.
    #[derive(Clone, Copy)]
    pub struct Neon;

    instructions! { Neon, float32x4_t, eight Neon, lanes 4, tile 5;
        fn splat(x: f32) -> float32x4_t { vdupq_n_f32(x) }
        fn load(p: *const f32) -> float32x4_t { vld1q_f32(p) }
        fn load_first(p: *const f32, n: usize) -> float32x4_t {
            {
                let first: [f32; 4] = core::array::from_fn(|i| if i < n { *p.add(i) } else { 0.0 });
                vld1q_f32(first.as_ptr())
            }
        }
        fn store(p: *mut f32, v: float32x4_t) { vst1q_f32(p, v) }
        fn add(a: float32x4_t, b: float32x4_t) -> float32x4_t { vaddq_f32(a, b) }
        fn sub(a: float32x4_t, b: float32x4_t) -> float32x4_t { vsubq_f32(a, b) }
        fn max(a: float32x4_t, b: float32x4_t) -> float32x4_t { vbslq_f32(vcgtq_f32(a, b), a, b) }
        fn select_greater(a: float32x4_t, b: float32x4_t, x: float32x4_t, y: float32x4_t) -> float32x4_t {
            vbslq_f32(vcgtq_f32(a, b), x, y)
        }
        fn mul_add(a: float32x4_t, b: float32x4_t, c: float32x4_t) -> float32x4_t { vfmaq_f32(c, a, b) }
        fn deinterleave(a: float32x4_t, b: float32x4_t) -> (float32x4_t, float32x4_t) {
            (vuzp1q_f32(a, b), vuzp2q_f32(a, b))
        }
        fn interleave(even: float32x4_t, odd: float32x4_t) -> (float32x4_t, float32x4_t) {
            (vzip1q_f32(even, odd), vzip2q_f32(even, odd))
        }
        fn positive(p: *const f32) -> u8 {
            {
                let weights = vld1q_u32([1, 2, 4, 8].as_ptr());
                let bits = |p| vaddvq_u32(vandq_u32(vcgtq_f32(vld1q_f32(p), vdupq_n_f32(0.0)), weights));
                (bits(p) | bits(p.add(4)) << 4) as u8
            }
        }
        fn store_bytes(p: *mut u8, v: float32x4_t) {
            {
                let words = vmovn_u32(vcvtq_u32_f32(v));
                let bytes = vreinterpret_u32_u8(vmovn_u16(vcombine_u16(words, words)));
                p.cast::<u32>().write_unaligned(vget_lane_u32::<0>(bytes))
            }
        }
    }
}
#[cfg(target_arch = "aarch64")]
pub(crate) use neon::Neon;

/// Compiles a body that is generic over [`Simd`] for every instruction set and calls the one that is asked for. An
/// [`crate::Isa`] that is not available must not be passed; [`crate::Cpu`] checks.
macro_rules! per_isa {
    ($(#[$meta:meta])* $vis:vis fn $name:ident($($arg:ident: $kind:ty),* $(,)?) = $body:ident) => {
        $(#[$meta])*
        $vis fn $name(isa: $crate::isa::Isa, $($arg: $kind),*) {
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx2,fma")]
            unsafe fn avx2($($arg: $kind),*) {
                // SAFETY: this function enables what the body needs.
                unsafe { $body::<$crate::simd::Avx2>($($arg),*) }
            }
            #[cfg(all(target_arch = "x86_64", avx512))]
            #[target_feature(enable = "avx512f,avx512vl,avx2,fma")]
            unsafe fn avx512($($arg: $kind),*) {
                // SAFETY: this function enables what the body needs.
                unsafe { $body::<$crate::simd::Avx512>($($arg),*) }
            }
            match isa {
                #[cfg(target_arch = "x86_64")]
                // SAFETY: `Cpu` is only made with an instruction set that this machine was found to have.
                $crate::isa::Isa::Avx2 => unsafe { avx2($($arg),*) },
                #[cfg(all(target_arch = "x86_64", avx512))]
                // SAFETY: as above.
                $crate::isa::Isa::Avx512 => unsafe { avx512($($arg),*) },
                #[cfg(target_arch = "aarch64")]
                // SAFETY: every aarch64 has NEON.
                $crate::isa::Isa::Neon => unsafe { $body::<$crate::simd::Neon>($($arg),*) },
                // SAFETY: the portable body needs nothing.
                _ => unsafe { $body::<$crate::simd::Portable>($($arg),*) },
            }
        }
    };
}
pub(crate) use per_isa;
