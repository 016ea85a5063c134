//! What a figure needs to know of a volume, and nothing more: voxels, their order, and where they lie in the patient.
//!
//! The affine takes voxel indices (i, j, k) to millimetres in RAS+ space: first axis to the patient's right, second to
//! the front, third to the top (NIfTI-1 convention).

use voxplain_tensor::{Error, Result};

/// A borrowed 3D image; a 2D image has one extent of 1.
#[derive(Clone, Copy, Debug)]
pub struct Image<'a> {
    values: &'a [f32],
    dims: [usize; 3],
    strides: [usize; 3],
    affine: [[f64; 4]; 3],
    oriented: bool,
}

impl<'a> Image<'a> {
    /// An image of `dims` voxels whose voxel (i, j, k) is `values[i * strides[0] + j * strides[1] + k * strides[2]]`.
    ///
    /// `affine` is in millimetres per voxel and RAS+; `oriented` says whether the file vouches for it (a qform or sform
    /// code above 0). An affine that is not finite or has no volume counts as not vouched for.
    ///
    /// # Errors
    /// When an extent is 0, the strides reach beyond `values`, or `values` holds more or fewer voxels than `dims`.
    pub fn new(
        values: &'a [f32],
        dims: [usize; 3],
        strides: [usize; 3],
        affine: [[f64; 4]; 3],
        oriented: bool,
    ) -> Result<Self> {
        let last = (0..3)
            .try_fold(0usize, |sum, axis| {
                dims[axis].checked_sub(1)?.checked_mul(strides[axis])?.checked_add(sum)
            })
            .filter(|&last| {
                last < values.len()
                    && dims.iter().try_fold(1usize, |n, &d| n.checked_mul(d)) == Some(values.len())
            });
        if last.is_none() {
            let len = values.len();
            return Err(Error::invalid(format!("image of {dims:?} voxels does not fit {len} stored values")));
        }
        let usable = determinant(&affine).is_finite() && determinant(&affine).abs() > 1e-12;
        let affine =
            if usable { affine } else { [[1.0, 0.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0]] };
        Ok(Self { values, dims, strides, affine, oriented: oriented && usable })
    }

    /// Extents in voxels.
    pub fn dims(&self) -> [usize; 3] {
        self.dims
    }

    /// Whether the affine can be trusted to name anatomical sides.
    pub fn oriented(&self) -> bool {
        self.oriented
    }

    /// All stored values, in storage order.
    pub(crate) fn values(&self) -> &'a [f32] {
        self.values
    }

    /// The voxel (i, j, k), which must lie inside.
    pub(crate) fn at(&self, voxel: [usize; 3]) -> f32 {
        let at: usize = voxel.iter().zip(&self.strides).map(|(i, stride)| i * stride).sum();
        self.values.get(at).copied().unwrap_or(f32::NAN)
    }

    /// The column of the affine that belongs to a voxel axis, in mm.
    pub(crate) fn column(&self, axis: usize) -> [f64; 3] {
        [self.affine[0][axis], self.affine[1][axis], self.affine[2][axis]]
    }

    /// Distance between neighbouring voxels along an axis, in mm.
    pub(crate) fn spacing(&self, axis: usize) -> f64 {
        self.column(axis).iter().map(|c| c * c).sum::<f64>().sqrt()
    }

    /// The centre of a voxel in mm, RAS+.
    pub(crate) fn world(&self, voxel: [usize; 3]) -> [f64; 3] {
        [0, 1, 2].map(|row| {
            (0..3).map(|a| self.affine[row][a] * voxel[a] as f64).sum::<f64>() + self.affine[row][3]
        })
    }

    /// The voxel nearest to a point in mm, moved inside when it lies outside.
    pub(crate) fn nearest(&self, world: [f64; 3]) -> [usize; 3] {
        let whole = determinant(&self.affine);
        let offset = [0, 1, 2].map(|row| world[row] - self.affine[row][3]);
        [0, 1, 2].map(|axis| {
            let mut swapped = self.affine;
            (0..3).for_each(|row| swapped[row][axis] = offset[row]);
            let index = (determinant(&swapped) / whole).round();
            index.clamp(0.0, (self.dims[axis] - 1) as f64) as usize
        })
    }

    /// Whether both images have the same extents and lie at the same place, to a hundredth of a voxel.
    pub(crate) fn same_grid(&self, other: &Self) -> bool {
        let scale = (0..3).map(|axis| self.spacing(axis)).fold(f64::INFINITY, f64::min);
        let far =
            (0..12).any(|n| (self.affine[n / 4][n % 4] - other.affine[n / 4][n % 4]).abs() > 0.01 * scale);
        self.dims == other.dims && !far
    }
}

/// The determinant of the left 3 x 3 part.
fn determinant(m: &[[f64; 4]; 3]) -> f64 {
    m[0][0] * (m[1][1] * m[2][2] - m[1][2] * m[2][1]) - m[0][1] * (m[1][0] * m[2][2] - m[1][2] * m[2][0])
        + m[0][2] * (m[1][0] * m[2][1] - m[1][1] * m[2][0])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_go_to_millimetres_and_back() -> Result<()> {
        let affine = [[0.0, -2.0, 0.1, 30.0], [1.0, 0.2, 0.0, -9.0], [0.0, 0.0, 3.0, 4.0]];
        let values = vec![0.0; 5 * 6 * 7];
        let image = Image::new(&values, [5, 6, 7], [1, 5, 30], affine, true)?;
        assert_eq!(image.nearest(image.world([4, 2, 5])), [4, 2, 5]);
        assert_eq!(image.nearest([1e9, -1e9, 0.0]).len(), 3);
        Ok(())
    }

    #[test]
    fn a_flat_affine_is_not_trusted_and_short_data_is_refused() -> Result<()> {
        assert!(!Image::new(&[0.0], [1, 1, 1], [1, 1, 1], [[0.0; 4]; 3], true)?.oriented());
        assert!(Image::new(&[0.0], [2, 1, 1], [1, 2, 2], [[0.0; 4]; 3], true).is_err());
        assert!(Image::new(&[0.0], [0, 1, 1], [1, 1, 1], [[0.0; 4]; 3], true).is_err());
        Ok(())
    }
}
