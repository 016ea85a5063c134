//! A volume: voxels in file order with their geometry.

use crate::geometry::Geometry;
use voxplain_tensor::{Error, Result, Tensor};

/// Voxel values in single precision and where they lie.
#[derive(Clone, Debug, PartialEq)]
pub struct Volume {
    /// Sizes along the three array axes.
    pub dims: [usize; 3],
    /// Values; voxel (x, y, z) is at `x + dims[0] * (y + dims[1] * z)`, as in NIfTI.
    pub data: Vec<f32>,
    /// Where voxels lie in the patient.
    pub geometry: Geometry,
}

impl Volume {
    /// A volume of these sizes.
    ///
    /// # Errors
    /// The number of values is not the product of the sizes, or a size is 0.
    pub fn new(dims: [usize; 3], data: Vec<f32>, geometry: Geometry) -> Result<Self> {
        let count = dims.iter().try_fold(1usize, |n, &d| n.checked_mul(d));
        if dims.contains(&0) || count != Some(data.len()) {
            return Err(Error::invalid(format!(
                "{} values do not fill a volume of {dims:?} voxels",
                data.len()
            )));
        }
        Ok(Self { dims, data, geometry })
    }

    /// The index of voxel (x, y, z) in `data`.
    pub fn index(&self, x: usize, y: usize, z: usize) -> usize {
        x + self.dims[0] * (y + self.dims[1] * z)
    }

    /// The values as an array `[x, y, z]` in row-major order (x slowest), as NumPy readers show a NIfTI file and as
    /// networks take it.
    ///
    /// # Errors
    /// None for a volume made by [`Volume::new`].
    ///
    /// ```
    /// use voxplain_imaging::{Geometry, Volume};
    /// let data = vec![0.0, 1.0, 2.0, 3.0];
    /// let volume = Volume::new([2, 2, 1], data, Geometry::unknown([1.0; 3]))?;
    /// // The file runs along x first, the array along z and y first.
    /// assert_eq!(volume.to_array()?.data(), [0.0, 2.0, 1.0, 3.0]);
    /// assert_eq!(Volume::from_array(&volume.to_array()?, volume.geometry)?, volume);
    /// # Ok::<(), voxplain_tensor::Error>(())
    /// ```
    pub fn to_array(&self) -> Result<Tensor<f32>> {
        let [nx, ny, nz] = self.dims;
        let mut out = Vec::with_capacity(self.data.len());
        for x in 0..nx {
            for y in 0..ny {
                out.extend((0..nz).map(|z| self.data[self.index(x, y, z)]));
            }
        }
        Tensor::new(&self.dims, out)
    }

    /// A volume from an array `[x, y, z]` in row-major order.
    ///
    /// # Errors
    /// The array has not three axes.
    pub fn from_array(array: &Tensor<f32>, geometry: Geometry) -> Result<Self> {
        let shape = array.shape();
        let [nx, ny, nz]: [usize; 3] = shape[..]
            .try_into()
            .map_err(|_| Error::invalid(format!("an array of shape {shape} is no volume")))?;
        let mut data = Vec::with_capacity(nx * ny * nz);
        for z in 0..nz {
            for y in 0..ny {
                data.extend((0..nx).map(|x| array.data()[(x * ny + y) * nz + z]));
            }
        }
        Self::new([nx, ny, nz], data, geometry)
    }

    /// The same voxels with the array axes along `codes` (as `RAS`), flipped and permuted without interpolation.
    ///
    /// # Errors
    /// The orientation is unknown, or the codes are not three directions of different axes.
    pub fn oriented(&self, codes: &str) -> Result<Self> {
        let (source, flip) = self.arrangement(codes)?;
        self.arranged(source, flip)
    }

    /// The axes and flips for [`Volume::arranged`] that bring the array axes closest to `codes`.
    ///
    /// # Errors
    /// As [`Volume::oriented`].
    pub fn arrangement(&self, codes: &str) -> Result<([usize; 3], [bool; 3])> {
        let g = &self.geometry;
        let have = g.axis_signs().filter(|_| g.is_oriented()).ok_or_else(|| {
            let why = if g.sform.code > 0 || g.qform.code > 0 {
                "its affine has no volume"
            } else {
                "both form codes are 0"
            };
            Error::invalid(format!(
                "the image does not say how the patient lies ({why}), so its axes cannot be arranged as {codes}; repair the \
                 image's header first"
            ))
        })?;
        let wanted = parse_codes(codes)?;
        let (mut source, mut flip) = ([0; 3], [false; 3]);
        for (axis, (world, sign)) in wanted.into_iter().enumerate() {
            let from = have.iter().position(|h| h.0 == world).unwrap_or(axis);
            source[axis] = from;
            flip[axis] = have[from].1 != sign;
        }
        Ok((source, flip))
    }

    /// Axis `a` of the result is axis `source[a]` of this volume, backwards where `flip[a]`.
    ///
    /// # Errors
    /// `source` is not a permutation.
    pub fn arranged(&self, source: [usize; 3], flip: [bool; 3]) -> Result<Self> {
        let mut seen = source;
        seen.sort_unstable();
        if seen != [0, 1, 2] {
            return Err(Error::invalid(format!("{source:?} is no permutation of the axes")));
        }
        let dims = source.map(|s| self.dims[s]);
        let (mut scale, mut offset) = ([1.0; 3], [0.0; 3]);
        for a in (0..3).filter(|&a| flip[a]) {
            (scale[a], offset[a]) = (-1.0, (dims[a] - 1) as f64);
        }
        let mut data = Vec::with_capacity(self.data.len());
        for z in 0..dims[2] {
            for y in 0..dims[1] {
                for x in 0..dims[0] {
                    let mut at = [0; 3];
                    for (a, i) in [x, y, z].into_iter().enumerate() {
                        at[source[a]] = if flip[a] { dims[a] - 1 - i } else { i };
                    }
                    data.push(self.data[self.index(at[0], at[1], at[2])]);
                }
            }
        }
        Self::new(dims, data, self.geometry.mapped(source, scale, offset))
    }
}

/// World axis and sign of three letters.
pub(crate) fn parse_codes(codes: &str) -> Result<[(usize, f64); 3]> {
    let letter = |c: char| match c {
        'R' => Some((0, 1.0)),
        'L' => Some((0, -1.0)),
        'A' => Some((1, 1.0)),
        'P' => Some((1, -1.0)),
        'S' => Some((2, 1.0)),
        'I' => Some((2, -1.0)),
        _ => None,
    };
    let parsed: Vec<_> = codes.chars().filter_map(letter).collect();
    let mut axes: Vec<usize> = parsed.iter().map(|p| p.0).collect();
    axes.sort_unstable();
    match (<[(usize, f64); 3]>::try_from(parsed), codes.len(), axes.as_slice()) {
        (Ok(parsed), 3, [0, 1, 2]) => Ok(parsed),
        _ => Err(Error::invalid(format!("axis codes {codes:?}; three letters such as RAS or LPS expected"))),
    }
}
