//! One bit per element, from the least significant; every row begins on a byte.

use super::CHUNK;
use crate::parallel::Pool;
use crate::simd::{Portable, Simd};

/// The bits of `values > 0` of one row.
///
/// # Safety
/// The instruction set of `S` is there.
#[inline(always)]
pub unsafe fn pack<S: Simd>(values: &[f32], into: &mut [u8]) {
    for (byte, eight) in into.iter_mut().zip(values.chunks(8)) {
        *byte = if eight.len() == 8 {
            // SAFETY: the caller promises the instruction set; eight numbers are there.
            unsafe { S::positive(eight.as_ptr()) }
        } else {
            eight.iter().enumerate().fold(0, |bits, (i, v)| bits | u8::from(*v > 0.0) << i)
        };
    }
}

/// For every byte the bits as whole words.
static WORDS: [[u32; 8]; 256] = words();

const fn words() -> [[u32; 8]; 256] {
    let mut words = [[0; 8]; 256];
    let mut i = 0;
    while i < 256 * 8 {
        if ((i / 8) >> (i % 8)) & 1 == 1 {
            words[i / 8][i % 8] = u32::MAX;
        }
        i += 1;
    }
    words
}

/// Sets the values of one row to 0 where their bits are clear.
#[inline(always)]
pub fn keep(values: &mut [f32], bits: &[u8]) {
    for (eight, &byte) in values.chunks_mut(8).zip(bits) {
        let words = &WORDS[usize::from(byte)];
        match eight.first_chunk_mut::<8>() {
            Some(eight) => (0..8).for_each(|i| eight[i] = f32::from_bits(eight[i].to_bits() & words[i])),
            None => eight.iter_mut().zip(words).for_each(|(v, w)| *v = f32::from_bits(v.to_bits() & w)),
        }
    }
}

/// Rows of `row` elements in a part.
fn rows(row: usize) -> usize {
    CHUNK.div_ceil(row)
}

/// The bits of rows of `row` elements.
pub fn positive(pool: &Pool, row: usize, x: &[f32], bits: &mut [u8]) {
    let bytes = row.div_ceil(8);
    pool.costly_chunks(bits, rows(row) * bytes, 8, |i, bits| {
        let x = &x[i * rows(row) * row..];
        for (bits, x) in bits.chunks_mut(bytes).zip(x.chunks(row)) {
            // SAFETY: the portable vectors need nothing.
            unsafe { pack::<Portable>(x, bits) };
        }
    });
}

/// `upper` where the bit is set, else 0, in rows of `row` elements.
pub fn mask(pool: &Pool, row: usize, upper: &[f32], bits: &[u8], y: &mut [f32]) {
    let bytes = row.div_ceil(8);
    pool.chunks(y, rows(row) * row, |i, y| {
        let at = i * rows(row);
        y.copy_from_slice(&upper[at * row..at * row + y.len()]);
        y.chunks_mut(row).zip(bits[at * bytes..].chunks(bytes)).for_each(|(y, bits)| keep(y, bits));
    });
}
