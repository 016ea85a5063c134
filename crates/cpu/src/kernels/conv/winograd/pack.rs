//! The transform of weights (`G g G^T`), in double precision, rounded once.

use super::{Tiles, positions};
use crate::kernels::conv::Problem;
use crate::kernels::conv::tile::CHANNELS;

/// `G` of F(2, 3).
fn filter(g: [f64; 3]) -> [f64; 4] {
    [g[0], (g[0] + g[1] + g[2]) / 2.0, (g[0] - g[1] + g[2]) / 2.0, g[2]]
}

/// Numbers of the transformed weights.
pub fn packed_len(p: &Problem, tiles: &Tiles) -> usize {
    positions(tiles.deep) * p.groups * p.blocks() * CHANNELS * p.source_channels
}

/// Transformed weights as `[group][position][block of channels][source channel][channel in block]`.
/// `weight(o, c, k)` is as for the direct convolution, `k` in the order of shifts.
pub fn pack(p: &Problem, tiles: &Tiles, weight: impl Fn(usize, usize, usize) -> f64, packed: &mut [f32]) {
    packed.fill(0.0);
    let n = positions(tiles.deep);
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
                let u = if tiles.deep { filter_volume(g) } else { filter_plane(|y, x| g(0, y, x)).to_vec() };
                for (position, u) in u.into_iter().enumerate() {
                    let block = (group * n + position) * p.blocks() + t / CHANNELS;
                    packed[(block * p.source_channels + c) * CHANNELS + t % CHANNELS] = u as f32;
                }
            }
        }
    }
}

fn filter_plane(g: impl Fn(usize, usize) -> f64) -> [f64; 16] {
    let rows = [0, 1, 2].map(|y| filter([g(y, 0), g(y, 1), g(y, 2)]));
    let mut u = [0.0; 16];
    for x in 0..4 {
        let column = filter([rows[0][x], rows[1][x], rows[2][x]]);
        (0..4).for_each(|y| u[y * 4 + x] = column[y]);
    }
    u
}

fn filter_volume(g: impl Fn(usize, usize, usize) -> f64) -> Vec<f64> {
    let planes = [0, 1, 2].map(|z| filter_plane(|y, x| g(z, y, x)));
    let mut u = vec![0.0; 64];
    for i in 0..16 {
        let column = filter([planes[0][i], planes[1][i], planes[2][i]]);
        (0..4).for_each(|z| u[z * 16 + i] = column[z]);
    }
    u
}
