//! One bit per element.

use super::CHUNK;
use crate::parallel::Pool;

/// Sets the bit of every positive element, least significant first; bits behind the last element are 0.
pub fn positive(pool: &Pool, x: &[f32], bits: &mut [u8]) {
    pool.chunks(bits, CHUNK / 8, |i, bits| {
        let x = &x[i * CHUNK..];
        for (k, byte) in bits.iter_mut().enumerate() {
            let part = &x[k * 8..x.len().min(k * 8 + 8)];
            *byte = part.iter().enumerate().fold(0, |b, (j, &v)| b | (u8::from(v > 0.0) << j));
        }
    });
}

/// `upper` where the bit is set, else 0.
pub fn mask(pool: &Pool, upper: &[f32], bits: &[u8], y: &mut [f32]) {
    pool.chunks(y, CHUNK, |i, y| {
        let at = i * CHUNK;
        for (k, y) in y.iter_mut().enumerate() {
            let set = bits[(at + k) / 8] >> ((at + k) % 8) & 1 == 1;
            *y = if set { upper[at + k] } else { 0.0 };
        }
    });
}
