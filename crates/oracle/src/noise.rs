//! Rows with noise, entry by entry, and moments over rows. The noise is that of single precision, whatever the scalar, and
//! moments are sums of double precision in the order of the rows, so that both are defined to the bit.

use voxplain_autodiff::{NORMALS, NoiseGeometry, NoiseKind, from_words, words};

/// The normal numbers of an example.
fn normals(g: &NoiseGeometry, draw: u32, example: u64) -> Vec<f64> {
    let mut all = vec![0.0; g.length];
    let first = example * g.length.div_ceil(NORMALS) as u64;
    g.source.normals((draw, first), g.length, f32::sqrt, |i, z| all[i] = f64::from(z));
    all
}

pub(crate) fn rows(g: &NoiseGeometry, x: &[&[f64]]) -> Vec<f64> {
    let row = |of: &[f64]| -> Vec<f64> {
        let z = normals(g, of[0] as u32, of[1] as u64);
        let noisy = |i: usize| x[0][i] + g.sigma * z[i];
        let other = |i: usize| x[1][of[2] as usize * g.length + i];
        let entry = |i: usize| match g.kind {
            NoiseKind::Noisy => noisy(i),
            NoiseKind::Between(_) => of[3] * noisy(i) + of[4] * other(i),
            NoiseKind::Gap(_) => noisy(i) - other(i),
        };
        (0..g.length).map(entry).collect()
    };
    x[x.len() - 1].chunks(g.kind.numbers()).take(g.rows).flat_map(row).collect()
}

pub(crate) fn moments((rows, n): (usize, usize), x: &[&[f64]]) -> Vec<f64> {
    let mut all = vec![0.0; 6 * n];
    for entry in 0..n {
        let known = |first: usize| from_words([0, 1, 2].map(|k| x[2][(first + k) * n + entry]));
        let (mut mean, mut deviation) = (known(0), known(3));
        for row in 0..rows {
            let value = x[1][row * n + entry];
            let before = value - mean;
            mean += before / x[0][row];
            deviation += before * (value - mean);
        }
        for (first, value) in [(0, mean), (3, deviation)] {
            words(value).into_iter().enumerate().for_each(|(k, word)| all[(first + k) * n + entry] = word);
        }
    }
    all
}
