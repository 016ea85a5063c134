//! Outputs of which every sum is the same: what [`Output::write`] would make of them, by filling rows.

use super::output::{Output, Pooled};

/// A box of equal values; where windows are pooled it is made of whole ones, but at the upper faces of the image.
pub struct Equal {
    /// Example times channels plus channel.
    pub plane: usize,
    /// The first position; even, and where bits are wanted a multiple of 8 along the width.
    pub first: [usize; 3],
    /// Positions along each axis.
    pub count: [usize; 3],
    /// The value, rectified if the output is.
    pub value: f32,
}

impl Output<'_> {
    /// Finishes a box of equal values.
    ///
    /// # Safety
    /// Boxes of calls that run at the same time do not overlap.
    pub unsafe fn fill(&self, equal: &Equal) {
        let Equal { plane, first, count, value } = *equal;
        for z in first[0]..first[0] + count[0] {
            for y in first[1]..first[1] + count[1] {
                let line = (plane * self.sizes[0] + z) * self.sizes[1] + y;
                if let Some(y) = &self.y {
                    // SAFETY: as the caller says.
                    unsafe { y.slice(line * self.sizes[2] + first[2], count[2]) }.fill(value);
                }
                if let Some(bits) = &self.bits {
                    let at = line * self.sizes[2].div_ceil(8) + first[2] / 8;
                    // SAFETY: as the caller says.
                    let bits = unsafe { bits.slice(at, count[2].div_ceil(8)) };
                    bits.fill(if value > 0.0 { u8::MAX } else { 0 });
                    // Of columns behind the last there are no bits.
                    bits[count[2] / 8..].iter_mut().for_each(|last| *last &= (1u8 << (count[2] % 8)) - 1);
                }
            }
        }
        if let Some(pooled) = &self.pooled {
            // SAFETY: as the caller says.
            unsafe { pooled.fill(equal) };
        }
    }
}

impl Pooled<'_> {
    /// Of equal values the first wins.
    unsafe fn fill(&self, equal: &Equal) {
        let first = [0, 1, 2].map(|a| equal.first[a] / self.window[a]);
        let end = [0, 1, 2].map(|a| ((equal.first[a] + equal.count[a]) / self.window[a]).min(self.sizes[a]));
        let count = end[2].saturating_sub(first[2]);
        for z in first[0]..end[0] {
            for row in first[1]..end[1] {
                let at = ((equal.plane * self.sizes[0] + z) * self.sizes[1] + row) * self.sizes[2] + first[2];
                // SAFETY: as the caller says.
                unsafe {
                    if let Some(y) = &self.y {
                        y.slice(at, count).fill(equal.value);
                    }
                    if let Some(codes) = &self.codes {
                        codes.slice(at, count).fill(0);
                    }
                }
            }
        }
    }
}
