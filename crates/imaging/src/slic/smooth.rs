//! Gaussian smoothing that does not look across a mask's border.

use super::SlicImage;

/// Weights of a Gaussian of `sigma` entries, cut off at four deviations.
fn weights(sigma: f64) -> Vec<f64> {
    let reach = (4.0 * sigma + 0.5) as i64;
    let raw: Vec<f64> = (-reach..=reach).map(|d| (-0.5 * (d as f64 / sigma).powi(2)).exp()).collect();
    let total: f64 = raw.iter().sum();
    raw.into_iter().map(|w| w / total).collect()
}

/// One axis: `n` entries at distance `stride`, the border mirrored (`d c b a | a b c d`).
fn along(data: &[f32], axis: (usize, usize), weights: &[f64]) -> Vec<f32> {
    let (n, stride) = axis;
    let reach = weights.len() as i64 / 2;
    let mirrored = |at: i64| {
        let period = 2 * n as i64;
        let at = at.rem_euclid(period);
        (if at < n as i64 { at } else { period - 1 - at }) as usize
    };
    let mut out = vec![0.0; data.len()];
    let mut line = vec![0.0f64; n + 2 * reach as usize];
    for start in (0..data.len()).filter(|i| i / stride % n == 0) {
        let entry = |i: i64| f64::from(data[start + mirrored(i) * stride]);
        line.iter_mut().enumerate().for_each(|(i, v)| *v = entry(i as i64 - reach));
        for i in 0..n {
            let sum: f64 = weights.iter().zip(&line[i..]).map(|(w, v)| w * v).sum();
            out[start + i * stride] = sum as f32;
        }
    }
    out
}

fn blurred(mut data: Vec<f32>, image: &SlicImage<'_>, sigma: f64) -> Vec<f32> {
    for axis in 0..3 {
        let (n, entries) = (image.sizes[axis], sigma / image.spacing[axis]);
        if n > 1 && entries > 1e-3 {
            let stride = image.sizes[axis + 1..].iter().product();
            data = along(&data, (n, stride), &weights(entries));
        }
    }
    data
}

/// `data` (0 outside the mask) smoothed by `sigma` in units of the spacing, from entries of the mask only.
pub(super) fn smoothed(data: Vec<f32>, mask: &[bool], image: &SlicImage<'_>, sigma: f64) -> Vec<f32> {
    if sigma == 0.0 {
        return data;
    }
    let smooth = blurred(data, image, sigma);
    if image.mask.is_none() {
        return smooth;
    }
    let share = blurred(mask.iter().map(|m| f32::from(u8::from(*m))).collect(), image, sigma);
    smooth.iter().zip(share).map(|(v, s)| if s > 1e-6 { v / s } else { 0.0 }).collect()
}
