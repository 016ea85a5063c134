//! One axis taken apart: taps of one residue lie side by side, and two or three of them at a time are a piece that Winograd's
//! filtering of two outputs computes. All pieces of a residue read the same transformed data, each its own tile.
//!
//! A pair of outputs of three taps is F(2, 3), made from the points 0, 1, -1 and infinity; of two taps F(2, 2), from 0, 1 and
//! infinity; of one tap the two products themselves. Their sums are added up in the places of F(2, 3)'s, so that one transform makes
//! outputs of them all. An even number of taps is pairs; an odd one pairs and three at the end, all as F(2, 3), where a pair leaves out
//! infinity. So every output is made of the data under its kernel alone.

use crate::kernels::conv::axis::{Axis, Tap};
use crate::simd::Simd;

/// Transformed positions along an axis.
pub const POSITIONS: usize = 4;

/// How the data of a residue are transformed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// One tap.
    One,
    /// Pairs of taps.
    Two,
    /// Pairs, and three at the end.
    Three,
}

impl Kind {
    /// Taps of the widest piece; a tile reads one datum more.
    pub fn taps(self) -> usize {
        match self {
            Self::One => 1,
            Self::Two => 2,
            Self::Three => 3,
        }
    }

    /// Whether there is anything at a position.
    pub fn has(self, position: usize) -> bool {
        match self {
            Self::One => position % 3 == 0,
            Self::Two => position != 2,
            Self::Three => true,
        }
    }

    /// The weights of a piece at every position.
    pub fn weights(self, g: [f64; 3]) -> [f64; POSITIONS] {
        match self {
            Self::One => [g[0], 0.0, 0.0, -g[0]],
            Self::Two => [g[0], g[0] + g[1], 0.0, g[1]],
            Self::Three => [g[0], (g[0] + g[1] + g[2]) / 2.0, (g[0] - g[1] + g[2]) / 2.0, g[2]],
        }
    }
}

/// The data of a tile at every position, of the kind of `K` taps.
///
/// # Safety
/// The instruction set of `S` is there.
#[inline(always)]
pub unsafe fn transform<S: Simd, const K: usize>(d: [S::V; POSITIONS]) -> [S::V; POSITIONS] {
    // SAFETY: as the caller says.
    unsafe {
        match K {
            1 => [d[0], d[0], d[0], d[1]],
            2 => [S::sub(d[0], d[1]), d[1], d[1], S::sub(d[1], d[2])],
            _ => [S::sub(d[0], d[2]), S::add(d[1], d[2]), S::sub(d[2], d[1]), S::sub(d[1], d[3])],
        }
    }
}

/// The taps of a residue.
#[derive(Clone, Debug)]
pub struct Residue {
    /// Its place in [`Axis::residues`].
    pub place: usize,
    /// The shift of its first tap.
    pub base: isize,
    /// How its data are transformed.
    pub kind: Kind,
    /// Places in the kernel of the taps of every piece; its tile is as many tiles on as there are pieces before it.
    pub pieces: Vec<Vec<usize>>,
}

impl Residue {
    /// The taps of one residue, if they lie side by side.
    fn new(axis: &Axis, place: usize) -> Option<Self> {
        let mut taps: Vec<&Tap> = axis.phases[0].iter().filter(|tap| tap.residue == place).collect();
        taps.sort_unstable_by_key(|tap| tap.offset);
        if taps.windows(2).any(|t| t[1].offset != t[0].offset + 1) {
            return None;
        }
        let base = taps.first()?.offset;
        let kind = match taps.len() {
            1 => Kind::One,
            n if n % 2 == 0 => Kind::Two,
            _ => Kind::Three,
        };
        let pairs = (taps.len() / 2).max(1);
        let piece = |i: usize| {
            let end = if i + 1 == pairs { taps.len() } else { 2 * i + 2 };
            taps[2 * i..end].iter().map(|tap| tap.index).collect()
        };
        Some(Self { place, base, kind, pieces: (0..pairs).map(piece).collect() })
    }

    /// Whether piece `piece` has anything at a position.
    pub fn has(&self, piece: usize, position: usize) -> bool {
        let pair = self.kind == Kind::Three && piece + 1 < self.pieces.len();
        self.kind.has(position) && !(pair && position == 3)
    }

    /// Products for a pair of outputs.
    fn products(&self) -> usize {
        let of = |piece: usize| (0..POSITIONS).filter(|&at| self.has(piece, at)).count();
        (0..self.pieces.len()).map(of).sum()
    }
}

/// All residues of an axis in the order of their taps, which no padding changes, if taps of each lie side by side and no target
/// position is left to another phase.
pub fn residues(axis: &Axis) -> Option<Vec<Residue>> {
    if axis.phases.len() != 1 || axis.residues.is_empty() {
        return None;
    }
    let all = (0..axis.residues.len()).map(|place| Residue::new(axis, place));
    let mut all = all.collect::<Option<Vec<Residue>>>()?;
    all.sort_unstable_by_key(|residue| residue.pieces[0][0]);
    Some(all)
}

/// Products for a pair of outputs.
pub fn products(residues: &[Residue]) -> usize {
    residues.iter().map(Residue::products).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::conv::axis::AxisGeometry;
    use crate::simd::Portable;

    fn axis(kernel: usize, stride: usize, pad: usize, adjoint: bool) -> Axis {
        let input = 40;
        let output = (input + 2 * pad - kernel) / stride + 1;
        Axis::new(AxisGeometry { input, output, kernel, stride, pad, dilation: 1 }, adjoint)
    }

    /// Pairs of outputs of whole numbers, of which products and sums are exact, are those of the definition.
    #[test]
    fn pieces_add_up_to_the_convolution() {
        for (kernel, stride, adjoint) in
            (1..12).flat_map(|k| (1..5).map(move |s| (k, s, false)).chain([(k, 1, true)]))
        {
            let axis = axis(kernel, stride, kernel / 2, adjoint);
            let residues = residues(&axis).expect("taps lie side by side");
            let datum = |at: usize| ((at * 7 + 3) % 11) as f32 - 5.0;
            let weight = |k: usize| ((k * 5 + 1) % 7) as f64 * 2.0 - 6.0;
            let read = |q: isize, place: usize| axis.source_at(q, place).map_or(0.0, datum);
            for q in (0..axis.target - 1).step_by(2) {
                let mut sums = [0.0f32; POSITIONS];
                for (residue, (piece, taps)) in
                    residues.iter().flat_map(|r| r.pieces.iter().enumerate().map(move |p| (r, p)))
                {
                    let mut g = [0.0; 3];
                    taps.iter().zip(&mut g).for_each(|(&k, g)| *g = weight(k));
                    let first = q as isize + 2 * piece as isize + residue.base;
                    let weights = residue.kind.weights(g);
                    let d = core::array::from_fn(|i| [read(first + i as isize, residue.place); 4]);
                    // SAFETY: every machine has the portable instruction set.
                    let data = unsafe {
                        match residue.kind {
                            Kind::One => transform::<Portable, 1>(d),
                            Kind::Two => transform::<Portable, 2>(d),
                            Kind::Three => transform::<Portable, 3>(d),
                        }
                    };
                    for at in (0..POSITIONS).filter(|&at| residue.has(piece, at)) {
                        sums[at] += data[at][0] * weights[at] as f32;
                    }
                    let left_out = (0..POSITIONS).filter(|&at| !residue.has(piece, at));
                    assert!(left_out.into_iter().all(|at| weights[at] == 0.0), "{kernel} {stride}");
                }
                let made = [sums[0] + (sums[1] + sums[2]), (sums[1] - sums[2]) - sums[3]];
                let sum = |q: usize| -> f32 {
                    let product = |t: &Tap| read(q as isize + t.offset, t.residue) * weight(t.index) as f32;
                    axis.phases[0].iter().map(product).sum()
                };
                assert_eq!(
                    made,
                    [sum(q), sum(q + 1)],
                    "width {kernel}, step {stride}, adjoint {adjoint}, {q}"
                );
            }
        }
    }

    #[test]
    fn products_are_fewer() {
        let of = |kernel, stride| products(&residues(&axis(kernel, stride, 0, false)).expect("side by side"));
        assert_eq!(
            [of(3, 1), of(5, 1), of(7, 1), of(7, 2), of(11, 4), of(3, 2), of(1, 1)],
            [4, 7, 10, 10, 15, 5, 2]
        );
    }
}
