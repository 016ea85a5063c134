//! A Gaussian along every spatial axis.

/// `values` of `sizes` after a Gaussian of `sigma` entries along every axis, cut off at three deviations; the border's entries
/// are repeated. With `sigma` 0 the values themselves.
pub fn blur(values: &[f64], sizes: &[usize], sigma: f64) -> Vec<f64> {
    if sigma <= 0.0 {
        return values.to_vec();
    }
    (0..sizes.len()).fold(values.to_vec(), |v, axis| along(&v, sizes, axis, sigma))
}

fn along(source: &[f64], sizes: &[usize], axis: usize, sigma: f64) -> Vec<f64> {
    let reach = (3.0 * sigma).ceil() as isize;
    let weights: Vec<f64> = (-reach..=reach).map(|d| (-0.5 * (d as f64 / sigma).powi(2)).exp()).collect();
    let total: f64 = weights.iter().sum();
    let (n, inner) = (sizes[axis], sizes[axis + 1..].iter().product::<usize>());
    let mut out = vec![0.0; source.len()];
    for (slab, sums) in source.chunks(n * inner).zip(out.chunks_mut(n * inner)) {
        for (i, sum) in sums.chunks_mut(inner).enumerate() {
            for (d, w) in (-reach..=reach).zip(&weights) {
                let k = (i as isize + d).clamp(0, n as isize - 1) as usize * inner;
                sum.iter_mut().zip(&slab[k..k + inner]).for_each(|(s, v)| *s += w * v);
            }
            sum.iter_mut().for_each(|s| *s /= total);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::blur;

    #[test]
    fn a_constant_stays_and_a_point_spreads_evenly() {
        let constant = blur(&[2.5; 20], &[4, 5], 1.5);
        assert!(constant.iter().all(|v| (v - 2.5).abs() < 1e-12));
        let mut point = vec![0.0; 49];
        point[24] = 1.0;
        let spread = blur(&point, &[7, 7], 0.8);
        assert!((spread[17] - spread[31]).abs() < 1e-15 && (spread[23] - spread[17]).abs() < 1e-15);
        assert!((spread.iter().sum::<f64>() - 1.0).abs() < 1e-12);
        assert_eq!(blur(&point, &[7, 7], 0.0), point);
    }
}
