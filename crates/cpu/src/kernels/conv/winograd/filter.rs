//! One axis of Winograd's filtering: `B^T` for data, `G` for weights and `A^T` for sums, of F(2, 3) and F(4, 3).
//!
//! F(2, 3) is made from the points 0, 1, -1 and infinity, F(4, 3) from 0, 1, -1, 1/2, -2 and infinity: a point beside its negative
//! inverse (Barabasz, Anderson, Soodhalter and Gregg, ACM Trans. Math. Software 46, 2020) had 0.4 times the largest error of the usual
//! 0, 1, -1, 2, -2. Rows of `B^T` whose coefficients add up to 0 are written in differences of neighbours, so that equal data become
//! zeros to the bit: that is what lets a background be computed once.

use crate::simd::Simd;

/// The most outputs of a tile along an axis, and the most transformed positions.
pub const MOST: usize = 4;
pub const POSITIONS: usize = MOST + 2;

/// Positions of `outputs` outputs of a tile along an axis: along one without taps beside the own, every output is one.
pub const fn positions(outputs: usize) -> usize {
    if outputs == 1 { 1 } else { outputs + 2 }
}

/// `B^T` of F(`M`, 3): `M + 2` data become as many positions. One stays what it is.
///
/// # Safety
/// The instruction set of `S` is there.
#[inline(always)]
pub(super) unsafe fn transform<S: Simd, const M: usize>(d: [S::V; POSITIONS]) -> [S::V; POSITIONS] {
    // SAFETY: as the caller says.
    unsafe {
        if M == 1 {
            return d;
        }
        if M == 2 {
            let none = S::splat(0.0);
            return [
                S::sub(d[0], d[2]),
                S::add(d[1], d[2]),
                S::sub(d[2], d[1]),
                S::sub(d[1], d[3]),
                none,
                none,
            ];
        }
        let (half, three_halves, five_halves) = (S::splat(0.5), S::splat(1.5), S::splat(2.5));
        let mut e = [S::splat(0.0); POSITIONS - 1];
        for i in 0..POSITIONS - 1 {
            e[i] = S::sub(d[i + 1], d[i]);
        }
        [
            S::mul_add(five_halves, e[2], S::mul_add(half, e[1], S::sub(e[3], e[0]))),
            S::mul_add(five_halves, d[3], S::mul_add(half, d[2], S::sub(d[4], d[1]))),
            S::mul_add(three_halves, e[2], S::sub(e[3], e[1])),
            S::mul_add(S::splat(3.0), e[2], S::mul_add(S::splat(2.0), e[1], e[3])),
            S::mul_add(half, S::sub(e[2], e[1]), e[3]),
            S::mul_add(five_halves, e[3], S::mul_add(half, e[2], S::sub(e[4], e[1]))),
        ]
    }
}

/// `A^T` of F(`M`, 3): sums of `M + 2` positions become `M` outputs. One stays what it is.
///
/// # Safety
/// The instruction set of `S` is there.
#[inline(always)]
pub(in crate::kernels::conv) unsafe fn back<S: Simd, const M: usize>(m: [S::V; POSITIONS]) -> [S::V; MOST] {
    // SAFETY: as the caller says.
    unsafe {
        if M == 1 {
            return [m[0], m[1], m[2], m[3]];
        }
        let (sum, difference) = (S::add(m[1], m[2]), S::sub(m[1], m[2]));
        if M == 2 {
            let none = S::splat(0.0);
            return [S::add(m[0], sum), S::sub(difference, m[3]), none, none];
        }
        [
            S::add(S::add(m[0], sum), S::add(m[3], m[4])),
            S::mul_add(S::splat(-2.0), m[4], S::mul_add(S::splat(0.5), m[3], difference)),
            S::mul_add(S::splat(4.0), m[4], S::mul_add(S::splat(0.25), m[3], sum)),
            S::mul_add(S::splat(-8.0), m[4], S::mul_add(S::splat(0.125), m[3], S::add(difference, m[5]))),
        ]
    }
}

/// `G` of F(`outputs`, 3): the positions of three weights, `outputs + 2` of them.
pub(super) fn weights(outputs: usize, g: [f64; 3]) -> [f64; POSITIONS] {
    let at = |point: f64| g[0] + point * (g[1] + point * g[2]);
    if outputs == 2 {
        return [g[0], at(1.0) / 2.0, at(-1.0) / 2.0, g[2], 0.0, 0.0];
    }
    [g[0], at(1.0) / 3.0, at(-1.0) / -3.0, at(0.5) * (-16.0 / 15.0), at(-2.0) / 15.0, g[2]]
}
