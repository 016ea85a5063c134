//! Structural similarity: whether two maps look alike, window by window.

use voxplain_tensor::{Error, Result};

/// The side of windows, cut to the map's size.
const WINDOW: usize = 7;
/// The constants of Wang et al., as parts of the squared range.
const C: [f64; 2] = [0.01 * 0.01, 0.03 * 0.03];

/// The mean structural similarity of two maps of shape `sizes` (leading axes first), over windows of 7 entries along the last
/// `spatial` axes (Wang, Bovik, Sheikh & Simoncelli, "Image quality assessment", IEEE TIP 13, 2004, equation 13, with flat
/// windows and population moments). It was made for intensities: of maps with both signs, windows whose means have opposite
/// signs count as unlike in luminance as well, so bring maps to [0, 1] first where that is not wanted. The range that the constants refer to is that of the first map; where it is constant,
/// `None`: nothing has a structure to compare.
///
/// # Errors
/// The maps do not have that shape.
pub fn ssim(a: &[f64], b: &[f64], sizes: &[usize], spatial: usize) -> Result<Option<f64>> {
    let elements: usize = sizes.iter().product();
    if a.len() != elements || b.len() != elements || spatial > sizes.len() || elements == 0 {
        return Err(Error::invalid(format!(
            "maps of {} and {} values for a shape {sizes:?} with {spatial} spatial axes",
            a.len(),
            b.len()
        )));
    }
    let (low, high) = a.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), &v| (l.min(v), h.max(v)));
    let range = high - low;
    if range.is_nan() || range <= 0.0 {
        return Ok(None);
    }
    // Around the middle of the first map, so that windows of large values do not cancel.
    let middle = low + range / 2.0;
    let shifted = |v: &[f64]| v.iter().map(|v| v - middle).collect::<Vec<f64>>();
    let (sa, sb) = (shifted(a), shifted(b));
    let mean = |v: Vec<f64>| Windows { sizes: sizes.to_vec(), values: v }.means(spatial);
    let product = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).collect::<Vec<f64>>();
    let (aa, bb, ab) = (mean(product(&sa, &sa)), mean(product(&sb, &sb)), mean(product(&sa, &sb)));
    let (ma, mb) = (mean(sa), mean(sb));
    let [c1, c2] = C.map(|c| c * range * range);
    let one = |i: usize| {
        let (va, vb, cov) = (aa[i] - ma[i] * ma[i], bb[i] - mb[i] * mb[i], ab[i] - ma[i] * mb[i]);
        let (x, y) = (ma[i] + middle, mb[i] + middle);
        let luminance = (2.0 * x * y + c1) / (x * x + y * y + c1);
        luminance * (2.0 * cov + c2) / (va.max(0.0) + vb.max(0.0) + c2)
    };
    Ok(Some((0..ma.len()).map(one).sum::<f64>() / ma.len() as f64))
}

/// An array whose windows are averaged axis by axis.
struct Windows {
    sizes: Vec<usize>,
    values: Vec<f64>,
}

impl Windows {
    /// The means of all whole windows.
    fn means(mut self, spatial: usize) -> Vec<f64> {
        for axis in self.sizes.len() - spatial..self.sizes.len() {
            self.along(axis);
        }
        self.values
    }

    fn along(&mut self, axis: usize) {
        let size = self.sizes[axis];
        let window = WINDOW.min(size);
        let (inner, count) = (self.sizes[axis + 1..].iter().product::<usize>(), size - window + 1);
        let mut out = Vec::with_capacity(self.values.len() / size * count);
        for slab in self.values.chunks(size * inner) {
            for start in 0..count {
                let sum = |i: usize| (start..start + window).map(|k| slab[k * inner + i]).sum::<f64>();
                out.extend((0..inner).map(|i| sum(i) / window as f64));
            }
        }
        self.sizes[axis] = count;
        self.values = out;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(f: impl Fn(usize, usize) -> f64) -> Vec<f64> {
        (0..9 * 8).map(|i| f(i / 8, i % 8)).collect()
    }

    fn of(a: &[f64], b: &[f64]) -> f64 {
        ssim(a, b, &[1, 9, 8], 2).ok().flatten().unwrap_or(f64::NAN)
    }

    #[test]
    fn a_map_is_like_itself_and_unlike_its_complement() {
        let a = map(|y, x| ((y * 7 + x * 3) % 5) as f64);
        let minus: Vec<f64> = a.iter().map(|v| 4.0 - v).collect();
        assert!((of(&a, &a) - 1.0).abs() < 1e-12);
        assert!(of(&a, &minus) < -0.9, "{}", of(&a, &minus));
    }

    /// One window over everything: the formula by hand for a = (0, 1) and b = (0, 2), range 1.
    #[test]
    fn a_value_by_hand() {
        let (c1, c2) = (1e-4, 9e-4);
        let want = (2.0 * 0.5 + c1) / (0.25 + 1.0 + c1) * (2.0 * 0.5 + c2) / (0.25 + 1.0 + c2);
        let found = ssim(&[0.0, 1.0], &[0.0, 2.0], &[2], 1).ok().flatten().unwrap_or(f64::NAN);
        assert!((found - want).abs() < 1e-14, "{found} {want}");
    }

    #[test]
    fn a_constant_map_has_no_structure() {
        assert_eq!(ssim(&[1.0; 4], &[0.0, 1.0, 2.0, 3.0], &[4], 1).ok(), Some(None));
        assert!(ssim(&[1.0; 4], &[0.0; 3], &[4], 1).is_err());
    }

    /// Windows never reach over the axes in front of space: two channels are two separate maps.
    #[test]
    fn channels_stay_apart() {
        let (a, b) = (map(|y, x| (y * x) as f64), map(|y, x| (y + 2 * x) as f64));
        let both = ssim(&[a.clone(), a.clone()].concat(), &[a.clone(), b.clone()].concat(), &[2, 9, 8], 2);
        let range = ssim(&a, &b, &[9, 8], 2);
        let (both, one) = (both.ok().flatten().unwrap_or(0.0), range.ok().flatten().unwrap_or(9.0));
        assert!((both - (1.0 + one) / 2.0).abs() < 1e-12, "{both} {one}");
    }
}
