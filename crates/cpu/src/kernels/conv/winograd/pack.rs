//! The transform of weights (`G g G^T`), in double precision, rounded once.

use super::filter::{POSITIONS, weights};
use super::{Tiles, plane_positions};
use crate::kernels::conv::Problem;
use crate::kernels::conv::tile::CHANNELS;
use crate::parallel::{Pool, Shared};

/// Numbers of the transformed weights.
pub fn packed_len(p: &Problem, tiles: &Tiles) -> usize {
    tiles.positions() * p.groups * p.blocks() * CHANNELS * p.source_channels
}

/// Transformed weights as `[group][position][block of channels][source channel][channel in block]`.
/// `weight(o, c, k)` is as for the direct convolution, `k` in the order of shifts.
pub fn pack(
    pool: &Pool,
    (p, tiles): (&Problem, &Tiles),
    weight: impl Fn(usize, usize, usize) -> f64 + Sync + Send,
    packed: &mut [f32],
) {
    let (n, blocks) = (tiles.positions(), p.blocks());
    // Taps in ascending order of their shifts: the adjoint's descend.
    let order = |a: usize, k: usize| {
        if p.axes[a].phases[0][0].offset == p.axes[a].low { k } else { p.kernel[a] - 1 - k }
    };
    let tap =
        |z: usize, y: usize, x: usize| (order(0, z) * p.kernel[1] + order(1, y)) * p.kernel[2] + order(2, x);
    let shared = Shared::new(packed);
    pool.each(p.groups * blocks, packed_len(p, tiles), |item| {
        let (group, block) = (item / blocks, item % blocks);
        // All channels of a block at once: what is written then lies together.
        let mut all = [[0.0f32; CHANNELS]; MOST_POSITIONS];
        for c in 0..p.source_channels {
            for (k, t) in (block * CHANNELS..(block + 1) * CHANNELS).enumerate() {
                let there = t < p.target_channels;
                let g = |z: usize, y: usize, x: usize| match there {
                    true => weight(group * p.target_channels + t, c, tap(z.min(p.kernel[0] - 1), y, x)),
                    false => 0.0,
                };
                transformed(tiles, g, |position, u| all[position][k] = u as f32);
            }
            for (position, channels) in all.iter().enumerate().take(n) {
                let at = ((group * n + position) * blocks + block) * p.source_channels + c;
                // SAFETY: every group, position, block and channel has a place of its own, visited once.
                unsafe { shared.slice(at * CHANNELS, CHANNELS) }.copy_from_slice(channels);
            }
        }
    });
}

/// The most transformed positions of a tile.
const MOST_POSITIONS: usize = 4 * POSITIONS * POSITIONS;

/// Calls `put` with every transformed position of a kernel of weights.
fn transformed(tiles: &Tiles, g: impl Fn(usize, usize, usize) -> f64, mut put: impl FnMut(usize, f64)) {
    let [_, rows, columns] = tiles.size;
    let count = plane_positions([rows, columns]);
    let slice = |z: usize| plane([rows, columns], |y, x| g(z, y, x));
    let first = slice(0);
    if !tiles.is_deep() {
        return (0..count).for_each(|at| put(at, first[at]));
    }
    let (second, third) = (slice(1), slice(2));
    for at in 0..count {
        let parts = weights(2, [first[at], second[at], third[at]]);
        (0..4).for_each(|part| put(part * count + at, parts[part]));
    }
}

/// The positions across depth of a slice of weights.
fn plane([rows, columns]: [usize; 2], g: impl Fn(usize, usize) -> f64) -> [f64; POSITIONS * POSITIONS] {
    let across = [0, 1, 2].map(|x| weights(rows, [g(0, x), g(1, x), g(2, x)]));
    let mut u = [0.0; POSITIONS * POSITIONS];
    for row in 0..rows + 2 {
        let along = weights(columns, [across[0][row], across[1][row], across[2][row]]);
        let at = row * (columns + 2);
        u[at..at + columns + 2].copy_from_slice(&along[..columns + 2]);
    }
    u
}
