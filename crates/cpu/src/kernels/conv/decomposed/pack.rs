//! Transformed weights, in double precision and rounded once.

use super::Pieces;
use super::pieces::POSITIONS;
use crate::kernels::conv::Problem;
use crate::kernels::conv::tile::CHANNELS;

/// Numbers of the transformed weights.
pub fn packed_len(p: &Problem, pieces: &Pieces) -> usize {
    p.groups * p.blocks() * CHANNELS * pieces.all * p.kernel[0] * p.source_channels
}

/// Transformed weights as `[group][position][block of channels][tap along depth][piece][source channel][channel in block]`.
/// `weight(o, c, k)` is as for the direct convolution.
pub fn pack(p: &Problem, pieces: &Pieces, weight: impl Fn(usize, usize, usize) -> f64, packed: &mut [f32]) {
    packed.fill(0.0);
    for group in 0..p.groups {
        for block in 0..p.blocks() {
            for t in block * CHANNELS..p.target_channels.min((block + 1) * CHANNELS) {
                for c in 0..p.source_channels {
                    let of = |k: usize| weight(group * p.target_channels + t, c, k);
                    let mut put = |position: usize, z: usize, piece: usize, u: f64| {
                        let at = pieces.weights_at(p, group, block, position);
                        let term = (z * pieces.planes[position].len() + piece) * p.source_channels + c;
                        packed[at + term * CHANNELS + t % CHANNELS] = u as f32;
                    };
                    transformed(p, pieces, of, &mut put);
                }
            }
        }
    }
}

impl Pieces {
    /// Where the weights of a block of target channels at a position begin.
    pub(super) fn weights_at(&self, p: &Problem, group: usize, block: usize, position: usize) -> usize {
        let each = p.kernel[0] * p.source_channels * CHANNELS;
        ((group * self.all + self.before[position]) * p.blocks() + block * self.planes[position].len()) * each
    }
}

/// Calls `put(position, tap along depth, piece, u)` with everything that a kernel of weights becomes.
fn transformed(
    p: &Problem,
    pieces: &Pieces,
    weight: impl Fn(usize) -> f64,
    put: &mut impl FnMut(usize, usize, usize, f64),
) {
    for position in 0..POSITIONS * POSITIONS {
        for (number, plane) in pieces.planes[position].iter().enumerate() {
            let [y, x] = [0, 1].map(|a| &pieces.residues[a][plane.residues[a]]);
            let (rows, columns) = (&y.pieces[plane.pieces[0]], &x.pieces[plane.pieces[1]]);
            for z in 0..p.kernel[0] {
                let mut down = [0.0; 3];
                for (sum, row) in down.iter_mut().zip(rows) {
                    let mut g = [0.0; 3];
                    for (g, column) in g.iter_mut().zip(columns) {
                        *g = weight((z * p.kernel[1] + row) * p.kernel[2] + column);
                    }
                    *sum = x.kind.weights(g)[position % POSITIONS];
                }
                put(position, z, number, y.kind.weights(down)[position / POSITIONS]);
            }
        }
    }
}
