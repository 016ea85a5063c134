//! The quaternion form of NIfTI to an affine and back, apart from the rest of the geometry because it is the one place
//! where an affine may lose something: a quaternion cannot hold shear.

/// The affine of NIfTI's method 2: quaternion (b, c, d), offsets, voxel sizes and the sign of the third axis.
pub(crate) fn to_affine(bcd: [f64; 3], offset: [f64; 3], spacing: [f64; 3], qfac: f64) -> [[f64; 4]; 3] {
    let [b, c, d] = bcd;
    let squares = b * b + c * c + d * d;
    let (a, b, c, d) = if squares < 1.0 - 1e-7 {
        ((1.0 - squares).sqrt(), b, c, d)
    } else {
        let n = squares.sqrt();
        (0.0, b / n, c / n, d / n)
    };
    let r = [
        [a * a + b * b - c * c - d * d, 2.0 * (b * c - a * d), 2.0 * (b * d + a * c)],
        [2.0 * (b * c + a * d), a * a + c * c - b * b - d * d, 2.0 * (c * d - a * b)],
        [2.0 * (b * d - a * c), 2.0 * (c * d + a * b), a * a + d * d - b * b - c * c],
    ];
    let third = if qfac < 0.0 { -1.0 } else { 1.0 };
    let size = [spacing[0], spacing[1], spacing[2] * third];
    [0, 1, 2].map(|i| [r[i][0] * size[0], r[i][1] * size[1], r[i][2] * size[2], offset[i]])
}

/// Quaternion (b, c, d), offsets, voxel sizes and the sign of the third axis of an affine. A quaternion cannot hold
/// shear; of a sheared affine it holds the closest rotation, as other NIfTI software does.
pub(crate) fn from_affine(affine: &[[f64; 4]; 3]) -> ([f64; 3], [f64; 3], [f64; 3], f64) {
    let size = [0, 1, 2].map(|c| (0..3).map(|r| affine[r][c] * affine[r][c]).sum::<f64>().sqrt());
    let mut r = [[0.0; 3]; 3];
    for i in 0..3 {
        (0..3).for_each(|c| {
            r[i][c] = if size[c] > 0.0 { affine[i][c] / size[c] } else { f64::from(u8::from(i == c)) }
        });
    }
    let qfac = if determinant(&r) < 0.0 { -1.0 } else { 1.0 };
    (0..3).for_each(|i| r[i][2] *= qfac);
    let offset = [affine[0][3], affine[1][3], affine[2][3]];
    (vector(&closest_rotation(r)), offset, size.map(|s| if s > 0.0 { s } else { 1.0 }), qfac)
}

fn determinant(r: &[[f64; 3]; 3]) -> f64 {
    r[0][0] * (r[1][1] * r[2][2] - r[1][2] * r[2][1]) - r[0][1] * (r[1][0] * r[2][2] - r[1][2] * r[2][0])
        + r[0][2] * (r[1][0] * r[2][1] - r[1][1] * r[2][0])
}

/// The rotation of the polar decomposition, by Newton's iteration: the mean of a matrix and its inverse transpose
/// (Higham, SIAM J. Sci. Stat. Comput. 1986). A matrix without inverse stays as it is.
fn closest_rotation(mut r: [[f64; 3]; 3]) -> [[f64; 3]; 3] {
    for _ in 0..32 {
        let d = determinant(&r);
        if !d.is_finite() || d.abs() < 1e-12 {
            return r;
        }
        let cofactor = |i: usize, c: usize| {
            let (i1, i2, c1, c2) = ((i + 1) % 3, (i + 2) % 3, (c + 1) % 3, (c + 2) % 3);
            r[i1][c1] * r[i2][c2] - r[i1][c2] * r[i2][c1]
        };
        let next = [0, 1, 2].map(|i| [0, 1, 2].map(|c| 0.5 * (r[i][c] + cofactor(i, c) / d)));
        let moved = (0..9).fold(0.0f64, |m, k| m.max((next[k / 3][k % 3] - r[k / 3][k % 3]).abs()));
        r = next;
        if moved < 1e-15 {
            break;
        }
    }
    r
}

fn vector(r: &[[f64; 3]; 3]) -> [f64; 3] {
    let a = 1.0 + r[0][0] + r[1][1] + r[2][2];
    if a > 0.5 {
        let a = 0.5 * a.sqrt();
        return [
            (r[2][1] - r[1][2]) / (4.0 * a),
            (r[0][2] - r[2][0]) / (4.0 * a),
            (r[1][0] - r[0][1]) / (4.0 * a),
        ];
    }
    let squares = [
        1.0 + r[0][0] - r[1][1] - r[2][2],
        1.0 + r[1][1] - r[0][0] - r[2][2],
        1.0 + r[2][2] - r[0][0] - r[1][1],
    ];
    let largest = (0..3).fold(0, |best, i| if squares[i] > squares[best] { i } else { best });
    let root = 0.5 * squares[largest].max(0.0).sqrt();
    let (i, j, k) = (largest, (largest + 1) % 3, (largest + 2) % 3);
    let mut v = [0.0; 3];
    v[i] = root;
    v[j] = (r[i][j] + r[j][i]) / (4.0 * root);
    v[k] = (r[i][k] + r[k][i]) / (4.0 * root);
    // The real part must come out positive.
    let a = (r[k][j] - r[j][k]) / (4.0 * root);
    if a < 0.0 { v.map(|x| -x) } else { v }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn rotations_come_back(
            q in prop::array::uniform4(-1.0f64..1.0),
            size in prop::array::uniform3(0.2f64..5.0),
            mirrored: bool,
        ) {
            let n = q.iter().map(|v| v * v).sum::<f64>().sqrt();
            prop_assume!(n > 0.1);
            let sign = if q[0] < 0.0 { -1.0 } else { 1.0 };
            let bcd = [q[1], q[2], q[3]].map(|v| sign * v / n);
            let affine = to_affine(bcd, [1.0, -2.0, 3.0], size, if mirrored { -1.0 } else { 1.0 });
            let (b, offset, s, qfac) = from_affine(&affine);
            let again = to_affine(b, offset, s, qfac);
            for (x, y) in affine.iter().flatten().zip(again.iter().flatten()) {
                prop_assert!((x - y).abs() < 1e-6, "{affine:?} {again:?}");
            }
        }

        #[test]
        fn of_a_sheared_affine_the_closest_rotation_is_kept(shear in -0.4f64..0.4) {
            let affine = [[1.0, shear, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0]];
            let (bcd, offset, _, qfac) = from_affine(&affine);
            let back = to_affine(bcd, offset, [1.0; 3], qfac);
            // The angle of the rotation is half that of the shear: both axes give way alike.
            prop_assert!((back[0][1] + back[1][0]).abs() < 1e-9);
            prop_assert!((back[0][1].asin() - 0.5 * shear.atan()).abs() < 1e-9);
        }
    }
}
