//! NEON, which every aarch64 has.

use super::Simd;
use core::arch::aarch64::*;

/// NEON: four numbers, thirty-two registers.
#[derive(Clone, Copy)]
pub struct Neon;

instructions! { Neon, float32x4_t, eight Neon, lanes 4, tile 5, pair 0;
    fn splat(x: f32) -> float32x4_t { vdupq_n_f32(x) }
    fn load(p: *const f32) -> float32x4_t { vld1q_f32(p) }
    fn load_first(p: *const f32, n: usize) -> float32x4_t {
        {
            let first: [f32; 4] = core::array::from_fn(|i| if i < n { *p.add(i) } else { 0.0 });
            vld1q_f32(first.as_ptr())
        }
    }
    fn store(p: *mut f32, v: float32x4_t) { vst1q_f32(p, v) }
    fn store_first(p: *mut f32, n: usize, v: float32x4_t) {
        {
            let mut all = [0f32; 4];
            vst1q_f32(all.as_mut_ptr(), v);
            (0..n).for_each(|i| *p.add(i) = all[i])
        }
    }
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
