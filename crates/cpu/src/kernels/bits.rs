//! One bit per element, from the least significant; every row begins on a byte.

use super::CHUNK;
use crate::parallel::{Pool, Shared};
use crate::simd::{Portable, Simd};
use core::sync::atomic::Ordering;

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

/// A part of a row of bits that others may write too at the same time.
pub struct Part {
    /// The byte that the row begins on.
    pub row: usize,
    /// The part's first entry in the row.
    pub first: usize,
    /// Whether it ends the row.
    pub ends: bool,
}

/// The bits of `values > 0` of a part of a row.
///
/// # Safety
/// The instruction set of `S` is there, and no two threads write the same bits.
#[inline(always)]
pub unsafe fn pack_part<S: Simd>(values: &[f32], part: &Part, bits: &Shared<'_, u8>) {
    let (head, rest) = values.split_at((part.first.next_multiple_of(8) - part.first).min(values.len()));
    let (whole, tail) = rest.split_at(if part.ends { rest.len() } else { rest.len() / 8 * 8 });
    let at = part.row + part.first.div_ceil(8);
    merge(head, part.first % 8, part.ends, bits, part.row + part.first / 8);
    // SAFETY: these bytes have no bits of others; the caller promises the instruction set.
    unsafe { pack::<S>(whole, bits.slice(at, whole.len().div_ceil(8))) };
    merge(tail, 0, false, bits, at + whole.len() / 8);
}

/// Sets bit `skip` and those behind it of a byte of which others write other bits; if the row ends there, all to the end.
fn merge(values: &[f32], skip: usize, ends: bool, bits: &Shared<'_, u8>, at: usize) {
    if values.is_empty() {
        return;
    }
    let end = if ends { 8 } else { skip + values.len() };
    let own = (skip..end).fold(0, |own, i| own | 1u8 << i);
    let set = values.iter().enumerate().fold(0, |set, (i, v)| set | u8::from(*v > 0.0) << (skip + i));
    bits.byte(at).fetch_and(!own, Ordering::Relaxed);
    bits.byte(at).fetch_or(set, Ordering::Relaxed);
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

/// As [`keep`] where the values begin at entry `first` of the row that the bits are of.
#[inline(always)]
pub fn keep_from(first: usize, values: &mut [f32], bits: &[u8]) {
    let count = (first.next_multiple_of(8) - first).min(values.len());
    let (head, rest) = values.split_at_mut(count);
    keep_apart(head, bits, first, 1);
    keep(rest, &bits[first.div_ceil(8).min(bits.len())..]);
}

/// As [`keep_from`] for values that lie `step` apart in their row.
pub fn keep_apart(values: &mut [f32], bits: &[u8], first: usize, step: usize) {
    for (i, v) in values.iter_mut().enumerate() {
        let at = first + i * step;
        if bits[at / 8] >> (at % 8) & 1 == 0 {
            *v = 0.0;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_rows_make_the_bits_of_rows_and_leave_those_of_others() {
        let values: Vec<f32> = (0..23).map(|i| if i * 7 % 5 < 2 { 1.0 } else { -1.0 }).collect();
        let mut whole = [0u8; 3];
        // SAFETY: the portable vectors need nothing.
        unsafe { pack::<Portable>(&values, &mut whole) };
        for first in 0..=23 {
            for end in first..=23 {
                let mut bits = [0xa5u8, 0x5a, 0xa5];
                let shared = Shared::new(&mut bits);
                for (first, end) in [(first, end), (0, first), (end, 23)] {
                    let part = Part { row: 0, first, ends: end == 23 };
                    // SAFETY: one thread, and the portable vectors need nothing.
                    unsafe { pack_part::<Portable>(&values[first..end], &part, &shared) };
                }
                assert_eq!(bits, whole, "{first}..{end}");
            }
        }
    }

    #[test]
    fn parts_of_rows_are_kept_as_rows_are() {
        let bits = [0b1011_0010u8, 0b0110_1101, 0b0100_1010];
        let mut whole = [1f32; 23];
        keep(&mut whole, &bits);
        for first in 0..=23 {
            for end in first..=23 {
                let mut part = vec![1f32; end - first];
                keep_from(first, &mut part, &bits);
                assert_eq!(part, whole[first..end], "{first}..{end}");
            }
        }
    }
}
