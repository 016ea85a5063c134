//! The products over channels, one matrix product for every transformed position.

use super::Item;
use crate::kernels::conv::direct::CHANNELS;
use crate::simd::Simd;

/// Multiplies four channels of weights at one position with `J` vectors of tiles.
///
/// # Safety
/// The instruction set is there, and all operands have `channels` entries, `pitch` apart.
#[inline(always)]
unsafe fn multiply<S: Simd, const J: usize>(
    data: *const f32,
    weights: *const f32,
    channels: usize,
    sums: *mut f32,
    pitch: usize,
) {
    // SAFETY: as the caller says.
    unsafe {
        let mut sum = [[S::splat(0.0); J]; CHANNELS];
        let (mut data, mut weights) = (data, weights);
        for _ in 0..channels {
            S::add_products(&mut sum, data, weights);
            data = data.add(pitch);
            weights = weights.add(CHANNELS);
        }
        for c in 0..CHANNELS {
            for j in 0..J {
                S::store(sums.add(c * pitch + j * S::LANES), sum[c][j]);
            }
        }
    }
}

/// [`multiply`] for all tiles of an item.
#[inline(always)]
pub(super) unsafe fn multiply_all<S: Simd>(
    item: &Item,
    data: *const f32,
    weights: *const f32,
    channels: usize,
    sums: *mut f32,
) {
    let vectors = item.tiles.div_ceil(S::LANES);
    let mut done = 0;
    while done < vectors {
        let left = vectors - done;
        let n = left.div_ceil(left.div_ceil(S::TILE));
        // SAFETY: as the caller of `multiply` says.
        unsafe {
            let (data, sums) = (data.add(done * S::LANES), sums.add(done * S::LANES));
            match n {
                1 => multiply::<S, 1>(data, weights, channels, sums, item.pitch),
                2 => multiply::<S, 2>(data, weights, channels, sums, item.pitch),
                3 if S::TILE >= 3 => multiply::<S, 3>(data, weights, channels, sums, item.pitch),
                4 if S::TILE >= 4 => multiply::<S, 4>(data, weights, channels, sums, item.pitch),
                5 if S::TILE >= 5 => multiply::<S, 5>(data, weights, channels, sums, item.pitch),
                _ => multiply::<S, 6>(data, weights, channels, sums, item.pitch),
            }
        }
        done += n;
    }
}
