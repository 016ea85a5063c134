//! Rows with noise, and moments over rows.

use super::CHUNK;
use crate::parallel::{Pool, Shared};
use voxplain_autodiff::{NORMALS, NoiseGeometry, NoiseKind, from_words, words};
use voxplain_tensor::{Error, Result};

/// Refuses sizes that are not those of the geometry.
fn check(fits: bool) -> Result<()> {
    if fits { Ok(()) } else { Err(Error::internal("operands of noisy rows have other sizes")) }
}

/// Entries of a noisy row from entry `start` on.
fn noisy(g: &NoiseGeometry, x: &[f32], (draw, example): (f32, f32), start: usize, into: &mut [f32]) {
    into.copy_from_slice(x);
    if g.sigma == 0.0 {
        return;
    }
    // Pieces are whole blocks of numbers.
    let first = (example as u64) * g.length.div_ceil(NORMALS) as u64 + (start / NORMALS) as u64;
    let count = into.len();
    g.source.normals((draw as u32, first), count, f32::sqrt, |i, z| {
        into[i] += (g.sigma * f64::from(z)) as f32;
    });
}

/// Every row.
pub fn rows(
    pool: &Pool,
    g: &NoiseGeometry,
    (x, baselines): (&[f32], Option<&[f32]>),
    numbers: &[f32],
    y: &mut [f32],
) -> Result<()> {
    let (width, n, count) = (g.kind.numbers(), g.length, g.kind.baselines().unwrap_or(1));
    check(count > 0 && baselines.is_none_or(|b| b.len() >= count * n))?;
    check(x.len() >= n && numbers.len() >= g.rows * width && y.len() >= g.rows * n)?;
    let (pieces, shared) = (n.div_ceil(CHUNK), Shared::new(y));
    pool.each(g.rows * pieces, g.rows * n, |item| {
        let (row, start) = (item / pieces, item % pieces * CHUNK);
        let (of, length) = (&numbers[row * width..][..width], CHUNK.min(n - start));
        // SAFETY: pieces of rows do not overlap, and each is visited once.
        let into = unsafe { shared.slice(row * n + start, length) };
        noisy(g, &x[start..][..length], (of[0], of[1]), start, into);
        let Some(baselines) = baselines else { return };
        let b = &baselines[(of[2] as usize).min(count - 1) * n + start..][..length];
        match g.kind {
            NoiseKind::Noisy => {}
            NoiseKind::Between(_) => into.iter_mut().zip(b).for_each(|(v, b)| *v = of[3] * *v + of[4] * b),
            NoiseKind::Gap(_) => into.iter_mut().zip(b).for_each(|(v, b)| *v -= b),
        }
    });
    Ok(())
}

/// Entries whose moments are doubles at a time.
const TOGETHER: usize = 256;

/// The moments before, to which the rows are added one after the other.
pub fn moments(
    pool: &Pool,
    (rows, n): (usize, usize),
    [counts, x, before]: [&[f32]; 3],
    y: &mut [f32],
) -> Result<()> {
    check(counts.len() >= rows && x.len() >= rows * n && before.len() >= 6 * n && y.len() >= 6 * n)?;
    let shared = Shared::new(y);
    pool.each(n.div_ceil(TOGETHER), (rows + 1) * n, |piece| {
        let (start, length) = (piece * TOGETHER, TOGETHER.min(n - piece * TOGETHER));
        let known =
            |i: usize, first: usize| from_words([0, 1, 2].map(|k| before[(first + k) * n + start + i]));
        let (mut means, mut deviations) = ([0.0; TOGETHER], [0.0; TOGETHER]);
        for i in 0..length {
            (means[i], deviations[i]) = (known(i, 0), known(i, 3));
        }
        for (row, count) in counts[..rows].iter().enumerate() {
            let (values, count) = (&x[row * n + start..][..length], f64::from(*count));
            for ((mean, deviation), value) in means.iter_mut().zip(&mut deviations).zip(values) {
                let before = f64::from(*value) - *mean;
                *mean += before / count;
                *deviation += before * (f64::from(*value) - *mean);
            }
        }
        for (first, values) in [(0, &means), (3, &deviations)] {
            for k in 0..3 {
                // SAFETY: every piece has places of its own in every plane.
                let plane = unsafe { shared.slice((first + k) * n + start, length) };
                plane.iter_mut().zip(values).for_each(|(word, &v)| *word = words(v)[k]);
            }
        }
    });
    Ok(())
}
