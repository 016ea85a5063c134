//! One axis of a convolution or of its adjoint, brought to a common form without strides.
//!
//! Target positions are split into `phases` by their remainder (one phase forward, one for every step of the stride in the
//! adjoint), source positions into `residues` (the other way round). Target `p = phases q + f` then reads, through each
//! of its taps, source `residues (q + offset) + residue`: within a phase and a residue a tap is a mere shift, whatever the
//! stride, dilation and padding. Positions outside the source are zeros.

/// A tap of a phase.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tap {
    /// Its place in the kernel along the axis.
    pub index: usize,
    /// Its source residue, as a place in [`Axis::residues`].
    pub residue: usize,
    /// Its shift.
    pub offset: isize,
}

/// An axis in the common form.
#[derive(Clone, Debug)]
pub struct Axis {
    /// Size of the source.
    pub source: usize,
    /// Size of the target.
    pub target: usize,
    /// The taps of each target phase, in the order of the kernel.
    pub phases: Vec<Vec<Tap>>,
    /// The source residues that some tap reads.
    pub residues: Vec<usize>,
    /// Distance of source positions of one residue.
    pub step: usize,
    /// The lowest and the highest shift of all taps.
    pub low: isize,
    /// See `low`.
    pub high: isize,
    /// The most by which `high` is above `low` under any padding.
    pub reach: usize,
}

/// The numbers of a convolution along one axis.
#[derive(Clone, Copy, Debug)]
pub struct AxisGeometry {
    /// Size of the convolution's input.
    pub input: usize,
    /// Size of its output.
    pub output: usize,
    /// Taps.
    pub kernel: usize,
    /// Step.
    pub stride: usize,
    /// Zeros in front of the input.
    pub pad: usize,
    /// Distance of taps.
    pub dilation: usize,
}

impl Axis {
    /// The axis of the convolution (`adjoint` false) or of its adjoint.
    pub fn new(g: AxisGeometry, adjoint: bool) -> Self {
        let (source, target) = if adjoint { (g.output, g.input) } else { (g.input, g.output) };
        let (count, step) = if adjoint { (g.stride, 1) } else { (1, g.stride) };
        let reach = |k: usize| (k * g.dilation) as isize - g.pad as isize;
        let stride = g.stride as isize;
        let taps = |phase: usize| -> Vec<(usize, usize, isize)> {
            let forward = |k| (k, reach(k).rem_euclid(stride) as usize, reach(k).div_euclid(stride));
            let back = |k| {
                let from = phase as isize - reach(k);
                (from.rem_euclid(stride) == 0).then(|| (k, 0, from.div_euclid(stride)))
            };
            let all = 0..g.kernel;
            if adjoint { all.filter_map(back).collect() } else { all.map(forward).collect() }
        };
        let phases: Vec<Vec<(usize, usize, isize)>> = (0..count).map(taps).collect();
        let all = || phases.iter().flatten();
        let mut residues: Vec<usize> = all().map(|t| t.1).collect();
        residues.sort_unstable();
        residues.dedup();
        let (low, high) = (all().map(|t| t.2).min().unwrap_or(0), all().map(|t| t.2).max().unwrap_or(0));
        let place = |r: usize| residues.iter().position(|&s| s == r).unwrap_or(0);
        let tap = |&(index, r, offset): &(usize, usize, isize)| Tap { index, residue: place(r), offset };
        let phases = phases.iter().map(|taps| taps.iter().map(tap).collect()).collect();
        let span = (g.kernel.max(1) - 1) * g.dilation + if adjoint { g.stride - 1 } else { 0 };
        let reach = if adjoint { span / g.stride } else { span.div_ceil(g.stride) };
        Self { source, target, phases, residues, step, low, high, reach }
    }

    /// The number of target positions of phase `f`.
    pub fn count(&self, f: usize) -> usize {
        self.target.saturating_sub(f).div_ceil(self.phases.len())
    }

    /// The number of positions of the largest phase.
    pub fn most(&self) -> usize {
        self.count(0)
    }

    /// Of the positions that taps read, how many before the first of the source, or behind its last if these are fewer, under
    /// every residue.
    pub fn zeros(&self) -> usize {
        let positions = || self.low..self.most() as isize + self.high;
        let outside = |residue: usize| {
            let before = positions().take_while(|&q| self.source_at(q, residue).is_none()).count();
            let behind = positions().rev().take_while(|&q| self.source_at(q, residue).is_none()).count();
            before.min(behind)
        };
        (0..self.residues.len()).map(outside).min().unwrap_or(0)
    }

    /// The source position that shift `offset` of position `q` reads for a residue, if it lies inside.
    pub fn source_at(&self, q: isize, residue: usize) -> Option<usize> {
        let at = q * self.step as isize + self.residues[residue] as isize;
        (at >= 0 && (at as usize) < self.source).then_some(at as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every pair (source, tap) that the definition names is found, and no other.
    #[test]
    fn the_common_form_says_the_same() {
        for code in 0..6 * 4 * 4 * 4 * 3 {
            let (kernel, stride) = (code % 4 + 1, code / 4 % 4 + 1);
            let (pad, dilation, input) = (code / 16 % 4, code / 64 % 3 + 1, code / 192 % 6 + 4);
            let span = (kernel - 1) * dilation + 1;
            if input + 2 * pad < span {
                continue;
            }
            let output = (input + 2 * pad - span) / stride + 1;
            let g = AxisGeometry { input, output, kernel, stride, pad, dilation };
            for adjoint in [false, true] {
                let axis = Axis::new(g, adjoint);
                assert!(axis.high - axis.low <= axis.reach as isize, "{g:?} {adjoint}");
                // What decides how source channels are grouped is the same under every padding.
                assert_eq!(
                    axis.residues.len(),
                    Axis::new(AxisGeometry { pad: 0, ..g }, adjoint).residues.len()
                );
                // What rows share are zeros of every residue, at both ends of what taps read.
                let (zeros, end) = (axis.zeros() as isize, axis.most() as isize + axis.high);
                for (i, residue) in (0..zeros).flat_map(|i| (0..axis.residues.len()).map(move |r| (i, r))) {
                    assert_eq!(axis.source_at(axis.low + i, residue), None, "{g:?} {adjoint}");
                    assert_eq!(axis.source_at(end - 1 - i, residue), None, "{g:?} {adjoint}");
                }
                for p in 0..axis.target {
                    let (q, f) = (p / axis.phases.len(), p % axis.phases.len());
                    let reads = |t: &Tap| Some((t.index, axis.source_at(q as isize + t.offset, t.residue)?));
                    let found: Vec<_> = axis.phases[f].iter().filter_map(reads).collect();
                    let expected = |k: usize| {
                        let at = |o: usize| (o * stride + k * dilation).checked_sub(pad);
                        let source = if adjoint { (0..output).find(|&o| at(o) == Some(p)) } else { at(p) };
                        Some((k, source.filter(|&s| s < axis.source)?))
                    };
                    assert_eq!(
                        found,
                        (0..kernel).filter_map(expected).collect::<Vec<_>>(),
                        "{g:?} {adjoint} {p}"
                    );
                }
            }
        }
    }
}
