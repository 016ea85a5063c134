//! Ranges of entries along one axis: which entries of an operand a range of results reads, and which results read a range
//! of an operand.

use voxplain_graph::ops::AxisTap;

/// Entries `.0 .. .1`; may lie outside of the data, and is empty where `.1 <= .0`.
pub(super) type Range = (isize, isize);

/// The numbers of a window along an axis.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Taps {
    pub kernel: isize,
    pub stride: isize,
    pub dilation: isize,
    pub pad: isize,
}

impl Taps {
    /// Distance between the first and the last tap.
    fn span(&self) -> isize {
        (self.kernel - 1) * self.dilation
    }

    /// What positions `lo .. hi` read: `p * stride + k * dilation - pad`.
    fn read(&self, (lo, hi): Range) -> Range {
        (lo * self.stride - self.pad, (hi - 1) * self.stride + self.span() - self.pad + 1)
    }

    /// The positions that may read some of `lo .. hi`.
    fn readers(&self, (lo, hi): Range) -> Range {
        let first = -(self.span() - self.pad - lo).div_euclid(self.stride);
        (first, (hi - 1 + self.pad).div_euclid(self.stride) + 1)
    }
}

/// How results depend on an operand along an axis.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Reach<'g> {
    /// Result `p` reads entry `begin + p * step`.
    Step { begin: isize, step: isize },
    /// Result `p` reads the entries `p * stride + k * dilation - pad`.
    Window(Taps),
    /// Entry `q` goes to the results `q * stride + k * dilation - pad`: the adjoint of a window.
    Spread(Taps),
    /// Result `p` reads the entries of its tap.
    Resize(&'g [AxisTap]),
}

/// Entry `p` reads entry `p`.
pub(super) const SAME: Reach<'static> = Reach::Step { begin: 0, step: 1 };

impl Reach<'_> {
    /// The entries that results `range` read.
    pub fn needs(&self, range: Range) -> Range {
        match self {
            Self::Step { begin, step } => {
                let (a, b) = (begin + range.0 * step, begin + (range.1 - 1) * step);
                (a.min(b), a.max(b) + 1)
            }
            Self::Window(t) => t.read(range),
            // Also the entry that goes to the first result or in front of it, so that pads can say where results begin.
            Self::Spread(t) => {
                let (first, end) = t.readers(range);
                (first.min((range.0 + t.pad).div_euclid(t.stride)), end)
            }
            Self::Resize(taps) => {
                let first = range.0.clamp(0, taps.len() as isize - 1) as usize;
                let last = range.1.clamp(first as isize + 1, taps.len() as isize) as usize;
                let read = || taps[first..last].iter().flat_map(entries);
                let (low, high) = (read().min().unwrap_or(0), read().max().unwrap_or(0));
                (low as isize, high as isize + 1)
            }
        }
    }

    /// The results that read some of the entries `range`, and perhaps a few more.
    pub fn touched(&self, range: Range) -> Range {
        match self {
            Self::Step { begin, step } => {
                // Both ends of the range as results, rounded inwards.
                let (a, b) = if *step > 0 { (range.0, range.1 - 1) } else { (range.1 - 1, range.0) };
                (-(begin - a).div_euclid(*step), (b - begin).div_euclid(*step) + 1)
            }
            Self::Window(t) => t.readers(range),
            Self::Spread(t) => t.read(range),
            Self::Resize(taps) => {
                let reads =
                    |t: &AxisTap| entries(t).any(|at| range.0 <= at as isize && (at as isize) < range.1);
                let first = taps.iter().position(reads).unwrap_or(0);
                let end = taps.iter().rposition(reads).map_or(first, |last| last + 1);
                (first as isize, end as isize)
            }
        }
    }
}

/// The entries that a tap reads with a weight.
fn entries(tap: &AxisTap) -> impl Iterator<Item = usize> + '_ {
    (0..2).filter(|&i| tap.weight[i] != 0.0).map(|i| tap.at[i])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every result that reads an entry of the range is touched, and what it reads is needed.
    fn check(reach: Reach<'_>, reads: impl Fn(isize) -> alloc::vec::Vec<isize>) {
        for lo in -3..9isize {
            for hi in lo + 1..10 {
                let (first, end) = reach.touched((lo, hi));
                for p in -20..40 {
                    let read = reads(p).into_iter().any(|q| lo <= q && q < hi);
                    assert!(!read || (first <= p && p < end), "{reach:?} {lo}..{hi}: {p}");
                }
                let needs = reach.needs((lo, hi));
                for q in (lo..hi).flat_map(&reads) {
                    assert!(needs.0 <= q && q < needs.1, "{reach:?} {lo}..{hi}: {q}");
                }
            }
        }
    }

    #[test]
    fn ranges_hold_all_that_is_read() {
        for code in 0..3 * 3 * 3 * 3 {
            let (kernel, stride) = (code % 3 + 1, code / 3 % 3 + 1);
            let (dilation, pad) = (code / 9 % 3 + 1, code / 27 % 3);
            let t = Taps { kernel, stride, dilation, pad };
            check(Reach::Window(t), |p| (0..kernel).map(|k| p * stride + k * dilation - pad).collect());
            let back = |p: isize, k: isize| {
                let from = p + pad - k * dilation;
                (from.rem_euclid(stride) == 0).then(|| from / stride)
            };
            check(Reach::Spread(t), |p| (0..kernel).filter_map(|k| back(p, k)).collect());
        }
        for step in [-3, -2, -1, 1, 2, 3] {
            check(Reach::Step { begin: 4, step }, |p| alloc::vec![4 + p * step]);
        }
    }
}
