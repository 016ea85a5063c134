//! Eigenvalues of symmetric matrices by Jacobi's rotations: slow for thousands of unknowns, exact to rounding for the
//! few hundred here, and it cannot fail.

/// Eigenvalues and, as rows, eigenvectors of a symmetric `n` by `n` matrix.
pub(super) fn symmetric(mut a: Vec<f64>, n: usize) -> (Vec<f64>, Vec<f64>) {
    let mut vectors = vec![0.0; n * n];
    (0..n).for_each(|i| vectors[i * n + i] = 1.0);
    // Every sweep squares what is off the diagonal; 60 are far more than are ever needed.
    for _ in 0..60 {
        let off: f64 =
            (0..n).flat_map(|i| (0..i).map(move |j| (i, j))).map(|(i, j)| a[i * n + j].powi(2)).sum();
        let on: f64 = (0..n).map(|i| a[i * n + i].powi(2)).sum();
        if off <= 1e-32 * on || off == 0.0 {
            break;
        }
        for p in 0..n {
            for q in p + 1..n {
                rotate(&mut a, &mut vectors, n, p, q);
            }
        }
    }
    ((0..n).map(|i| a[i * n + i]).collect(), vectors)
}

/// Makes entry (p, q) zero (Golub & Van Loan, "Matrix Computations", section 8.5).
fn rotate(a: &mut [f64], vectors: &mut [f64], n: usize, p: usize, q: usize) {
    let off = a[p * n + q];
    if off == 0.0 {
        return;
    }
    let half = (a[q * n + q] - a[p * n + p]) / (2.0 * off);
    let t = half.signum() / (half.abs() + half.hypot(1.0));
    let t = if half == 0.0 { 1.0 } else { t };
    let c = 1.0 / t.hypot(1.0);
    let s = t * c;
    for k in 0..n {
        let (x, y) = (a[k * n + p], a[k * n + q]);
        (a[k * n + p], a[k * n + q]) = (c * x - s * y, s * x + c * y);
    }
    for k in 0..n {
        let (x, y) = (a[p * n + k], a[q * n + k]);
        (a[p * n + k], a[q * n + k]) = (c * x - s * y, s * x + c * y);
    }
    for k in 0..n {
        let (x, y) = (vectors[p * n + k], vectors[q * n + k]);
        (vectors[p * n + k], vectors[q * n + k]) = (c * x - s * y, s * x + c * y);
    }
}

/// The pseudo-inverse of a symmetric matrix that has no negative eigenvalues but by rounding, and its rank.
pub(super) fn pseudo_inverse(a: Vec<f64>, n: usize) -> (Vec<f64>, usize) {
    let (values, vectors) = symmetric(a, n);
    let most = values.iter().fold(0.0f64, |m, &v| m.max(v));
    let kept = |v: f64| v > most * 1e-12 * n as f64;
    let mut inverse = vec![0.0; n * n];
    for (value, vector) in values.iter().zip(vectors.chunks(n)).filter(|(v, _)| kept(**v)) {
        for i in 0..n {
            for j in 0..n {
                inverse[i * n + j] += vector[i] * vector[j] / value;
            }
        }
    }
    (inverse, values.iter().filter(|v| kept(**v)).count())
}
