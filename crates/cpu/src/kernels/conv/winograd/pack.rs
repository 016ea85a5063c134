//! The transform of weights (`G g G^T`), in double precision, rounded once.

use super::Tiles;
use super::filter::{POSITIONS, weights};
use crate::kernels::conv::Problem;
use crate::kernels::conv::tile::CHANNELS;

/// Numbers of the transformed weights.
pub fn packed_len(p: &Problem, tiles: &Tiles) -> usize {
    tiles.positions() * p.groups * p.blocks() * CHANNELS * p.source_channels
}

/// Transformed weights as `[group][position][block of channels][source channel][channel in block]`.
/// `weight(o, c, k)` is as for the direct convolution, `k` in the order of shifts.
pub fn pack(p: &Problem, tiles: &Tiles, weight: impl Fn(usize, usize, usize) -> f64, packed: &mut [f32]) {
    packed.fill(0.0);
    let n = tiles.positions();
    let [_, rows, columns] = tiles.size;
    // Taps in ascending order of their shifts: the adjoint's descend.
    let order = |a: usize, k: usize| {
        if p.axes[a].phases[0][0].offset == p.axes[a].low { k } else { p.kernel[a] - 1 - k }
    };
    let tap =
        |z: usize, y: usize, x: usize| (order(0, z) * p.kernel[1] + order(1, y)) * p.kernel[2] + order(2, x);
    for group in 0..p.groups {
        for t in 0..p.target_channels {
            for c in 0..p.source_channels {
                let g = |z, y, x| weight(group * p.target_channels + t, c, tap(z, y, x));
                let slices =
                    [0, 1, 2].map(|z| plane([rows, columns], |y, x| g(z.min(p.kernel[0] - 1), y, x)));
                for position in 0..n {
                    let (part, at) = (position / tiles.plane(), position % tiles.plane());
                    let u = match tiles.deep {
                        true => weights(2, [slices[0][at], slices[1][at], slices[2][at]])[part],
                        false => slices[0][at],
                    };
                    let block = (group * n + position) * p.blocks() + t / CHANNELS;
                    packed[(block * p.source_channels + c) * CHANNELS + t % CHANNELS] = u as f32;
                }
            }
        }
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
