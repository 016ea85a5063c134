//! Where voxels lie in the patient: the two affines of NIfTI, axis codes, and their exact changes under flips,
//! permutations, crops and resizes.

/// One of the two affines of a NIfTI file.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Form {
    /// The NIfTI code: 0 unknown, 1 scanner, 2 aligned, 3 Talairach, 4 MNI.
    pub code: i16,
    /// Voxel indices to millimetres (RAS+): row r is `[a, b, c, t]`.
    pub affine: [[f64; 4]; 3],
}

/// The geometry of a volume: both forms with their codes, and units.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Geometry {
    /// The quaternion form.
    pub qform: Form,
    /// The general affine.
    pub sform: Form,
    /// The NIfTI unit codes (space and time).
    pub units: u8,
}

impl Geometry {
    /// A scanner geometry with this affine in both forms.
    pub fn from_affine(affine: [[f64; 4]; 3]) -> Self {
        Self { qform: Form { code: 1, affine }, sform: Form { code: 1, affine }, units: 2 }
    }

    /// Voxels of this size in millimetres, orientation unknown.
    pub fn unknown(spacing: [f64; 3]) -> Self {
        let mut affine = [[0.0; 4]; 3];
        (0..3).for_each(|i| affine[i][i] = spacing[i]);
        Self { qform: Form { code: 0, affine }, sform: Form { code: 0, affine }, units: 2 }
    }

    /// The affine that counts: the sform if its code is set, else the qform.
    pub fn affine(&self) -> [[f64; 4]; 3] {
        if self.sform.code > 0 { self.sform.affine } else { self.qform.affine }
    }

    /// Whether the file says how the patient lies.
    pub fn is_oriented(&self) -> bool {
        (self.sform.code > 0 || self.qform.code > 0) && self.axis_signs().is_some()
    }

    /// Voxel sizes in millimetres along the three array axes.
    pub fn spacing(&self) -> [f64; 3] {
        let a = self.affine();
        [0, 1, 2].map(|axis| (0..3).map(|r| a[r][axis] * a[r][axis]).sum::<f64>().sqrt())
    }

    /// For every array axis the world axis it runs along most (0 right, 1 front, 2 top) and its sign; `None` if the
    /// affine is degenerate.
    pub fn axis_signs(&self) -> Option<[(usize, f64); 3]> {
        let (a, spacing) = (self.affine(), self.spacing());
        if !spacing.iter().all(|s| s.is_finite() && *s > 0.0) {
            return None;
        }
        let mut pairs: Vec<(f64, usize, usize)> = Vec::new();
        for axis in 0..3 {
            (0..3).for_each(|world| pairs.push(((a[world][axis] / spacing[axis]).abs(), axis, world)));
        }
        pairs.sort_by(|p, q| q.0.total_cmp(&p.0));
        let (mut out, mut taken) = ([None; 3], [false; 3]);
        for (_, axis, world) in pairs {
            if out[axis].is_none() && !taken[world] {
                out[axis] = Some((world, a[world][axis].signum()));
                taken[world] = true;
            }
        }
        Some([out[0]?, out[1]?, out[2]?])
    }

    /// The letters of the directions in which the array axes run, as `RAS`; `None` where the file does not say. Of
    /// oblique axes it is the closest direction.
    ///
    /// ```
    /// use voxplain_imaging::Geometry;
    /// let brats = Geometry::from_affine([[-1.0, 0.0, 0.0, 0.0], [0.0, -1.0, 0.0, 239.0], [0.0, 0.0, 1.0, 0.0]]);
    /// assert_eq!(brats.axis_codes().as_deref(), Some("LPS"));
    /// assert_eq!(brats.world([10.0, 0.0, 5.0]), [-10.0, 239.0, 5.0]);
    /// assert_eq!(Geometry::unknown([1.0; 3]).axis_codes(), None);
    /// ```
    pub fn axis_codes(&self) -> Option<String> {
        let signs = self.axis_signs().filter(|_| self.is_oriented())?;
        let letter = |(world, sign): (usize, f64)| {
            if sign > 0.0 { ['R', 'A', 'S'][world] } else { ['L', 'P', 'I'][world] }
        };
        Some(signs.into_iter().map(letter).collect())
    }

    /// The geometry of an array whose index `j` along axis `a` is index `scale[a] * j + offset[a]` of this one along
    /// axis `source[a]`.
    #[must_use]
    pub fn mapped(&self, source: [usize; 3], scale: [f64; 3], offset: [f64; 3]) -> Self {
        let change = |form: &Form| {
            let mut affine = [[0.0; 4]; 3];
            for r in 0..3 {
                affine[r][3] = form.affine[r][3];
                for a in 0..3 {
                    affine[r][a] = form.affine[r][source[a]] * scale[a];
                    affine[r][3] += form.affine[r][source[a]] * offset[a];
                }
            }
            Form { code: form.code, affine }
        };
        Self { qform: change(&self.qform), sform: change(&self.sform), units: self.units }
    }

    /// Millimetres of voxel `index`.
    pub fn world(&self, index: [f64; 3]) -> [f64; 3] {
        let a = self.affine();
        [0, 1, 2].map(|r| a[r][0] * index[0] + a[r][1] * index[1] + a[r][2] * index[2] + a[r][3])
    }

    /// The (fractional) voxel at `world` millimetres; `None` if the affine is degenerate.
    pub fn voxel(&self, world: [f64; 3]) -> Option<[f64; 3]> {
        let a = self.affine();
        let d = [0, 1, 2].map(|r| world[r] - a[r][3]);
        let minor =
            |r: [usize; 2], c: [usize; 2]| a[r[0]][c[0]] * a[r[1]][c[1]] - a[r[0]][c[1]] * a[r[1]][c[0]];
        let determinant = a[0][0] * minor([1, 2], [1, 2]) - a[0][1] * minor([1, 2], [0, 2])
            + a[0][2] * minor([1, 2], [0, 1]);
        if !determinant.is_finite() || determinant == 0.0 {
            return None;
        }
        let rest = |i: usize| [[1, 2], [0, 2], [0, 1]][i];
        let entry = |row: usize, column: usize| {
            let sign = if (row + column) % 2 == 0 { 1.0 } else { -1.0 };
            sign * minor(rest(column), rest(row)) / determinant
        };
        Some([0, 1, 2].map(|i| (0..3).map(|j| entry(i, j) * d[j]).sum()))
    }
}
