//! A network that was trained on patches sees a whole image window by window.
//!
//! Outputs are blended where windows overlap (Isensee et al., "nnU-Net", Nature Methods 18, 2021: weights fall off from
//! a window's middle), so that a blended output is a weighted sum of the windows' outputs. A target that is linear in
//! the blended output is then a sum of one target per window, and its map the sum of the windows' maps: exactly so for
//! methods that are linear in the target (gradient, Integrated Gradients, DeepLift), by definition for the others.

use voxplain_models::SlidingWindow;
use voxplain_tensor::{Error, Result, Scalar, Tensor};

/// The windows over one image.
#[derive(Clone, Debug, PartialEq)]
pub struct Windows {
    size: [usize; 3],
    whole: [usize; 3],
    starts: Vec<[usize; 3]>,
    /// What a voxel of a window counts.
    weights: Vec<f64>,
    /// The sum of what all windows say about a voxel of the image.
    total: Vec<f64>,
}

/// The most windows of one image; more is a mistake in the card.
const MOST: usize = 1 << 16;

impl Windows {
    /// Windows of `size` voxels over `whole`, which must not be smaller: at steps of `size (1 - overlap)`, rounded down,
    /// the last one moved back to end at the border.
    ///
    /// # Errors
    /// The image is smaller than a window, or there are more than 65536 windows.
    pub fn over(whole: [usize; 3], size: [usize; 3], how: &SlidingWindow) -> Result<Self> {
        if (0..3).any(|a| whole[a] < size[a] || size[a] == 0) {
            return Err(Error::invalid(format!(
                "windows of {size:?} voxels do not fit an image of {whole:?}"
            )));
        }
        let axis = |a: usize| {
            let step = ((size[a] as f64 * (1.0 - how.overlap)) as usize).max(1);
            let last = whole[a] - size[a];
            (0..=last.div_ceil(step)).map(|i| (i * step).min(last)).collect::<Vec<usize>>()
        };
        let axes = [axis(0), axis(1), axis(2)];
        let count = axes.iter().map(Vec::len).product::<usize>();
        if count > MOST {
            return Err(Error::limit(format!(
                "{count} windows; at most {MOST} are made, choose a smaller overlap"
            )));
        }
        let starts = axes[0].iter().flat_map(|&x| {
            let axes = &axes;
            axes[1].iter().flat_map(move |&y| axes[2].iter().map(move |&z| [x, y, z]))
        });
        let mut windows = Self {
            size,
            whole,
            starts: starts.collect(),
            weights: importance(size, how.gaussian),
            total: Vec::new(),
        };
        windows.total = windows.add_up(|_| &windows.weights);
        Ok(windows)
    }

    /// How many windows there are.
    pub fn count(&self) -> usize {
        self.starts.len()
    }

    /// The voxels of the image.
    pub fn whole(&self) -> [usize; 3] {
        self.whole
    }

    /// Calls `line(window offset, image offset, length)` for the rows of a window.
    fn lines(&self, window: usize, mut line: impl FnMut(usize, usize, usize)) {
        let ([sx, sy, sz], [_, wy, wz], [x, y, z]) = (self.size, self.whole, self.starts[window]);
        for i in 0..sx {
            for j in 0..sy {
                line((i * sy + j) * sz, ((x + i) * wy + y + j) * wz + z, sz);
            }
        }
    }

    /// The sum over windows of one array each.
    fn add_up<'v>(&'v self, of: impl Fn(usize) -> &'v [f64]) -> Vec<f64> {
        let mut sum = vec![0.0; self.whole.iter().product()];
        for window in 0..self.count() {
            let values = of(window);
            self.lines(window, |from, to, n| {
                sum[to..to + n].iter_mut().zip(&values[from..from + n]).for_each(|(s, v)| *s += v);
            });
        }
        sum
    }

    /// The parts of an image `[1, C, whole]` in some windows: `[windows, C, size]`.
    ///
    /// # Errors
    /// The image has another shape.
    pub fn cut(&self, image: &Tensor<f32>, windows: &[usize]) -> Result<Tensor<f32>> {
        let (channels, plane) =
            (image.shape().get(1).copied().unwrap_or(0), self.whole.iter().product::<usize>());
        if image.data().len() != channels * plane {
            return Err(Error::internal(format!("an image of shape {} has other windows", image.shape())));
        }
        let length: usize = self.size.iter().product();
        let mut data = vec![0.0; windows.len() * channels * length];
        for (row, &window) in windows.iter().enumerate() {
            for c in 0..channels {
                let (source, into) = (&image.data()[c * plane..], &mut data[(row * channels + c) * length..]);
                self.lines(window, |to, from, n| into[to..to + n].copy_from_slice(&source[from..from + n]));
            }
        }
        let [x, y, z] = self.size;
        Tensor::new(&[windows.len(), channels, x, y, z], data)
    }

    /// Adds the output `[C, size]` of a window, by its share, to the blended output `[C, whole]`.
    pub fn blend(&self, window: usize, output: &[f32], blended: &mut [f64]) {
        let (plane, length) = (self.total.len(), self.weights.len());
        for (output, blended) in output.chunks_exact(length).zip(blended.chunks_exact_mut(plane)) {
            self.lines(window, |from, to, n| {
                for i in 0..n {
                    let share = self.weights[from + i] / self.total[to + i];
                    blended[to + i] += share * f64::from(output[from + i]);
                }
            });
        }
    }

    /// The windows that meet a region of the image, and the part of the region that each answers for: the target
    /// `sum(output region)` of the blended output is the sum of these windows' own targets.
    ///
    /// # Errors
    /// The region has another number of voxels.
    pub fn share(&self, region: &[f64]) -> Result<(Vec<usize>, Tensor<f64>)> {
        if region.len() != self.total.len() {
            return Err(Error::internal("a region of another grid than its windows"));
        }
        let (mut seen, mut shares) = (Vec::new(), Vec::new());
        for window in 0..self.count() {
            let mut share = vec![0.0; self.weights.len()];
            self.lines(window, |to, from, n| {
                for i in 0..n {
                    share[to + i] = region[from + i] * self.weights[to + i] / self.total[from + i];
                }
            });
            if share.iter().any(|s| *s != 0.0) {
                seen.push(window);
                shares.extend(share);
            }
        }
        let [x, y, z] = self.size;
        let shares = Tensor::new(&[seen.len(), 1, x, y, z], shares)?;
        Ok((seen, shares))
    }

    /// Maps `[windows, C, size]` of some windows as one map `[1, C, whole]`: their sum.
    ///
    /// # Errors
    /// The maps have another shape.
    pub fn stitch<S: Scalar>(&self, maps: &Tensor<S>, windows: &[usize]) -> Result<Tensor<S>> {
        let shape = maps.shape();
        let [x, y, z] = self.size;
        let fits = shape.rank() == 5 && shape[0] == windows.len() && shape[2..] == [x, y, z];
        if !fits {
            return Err(Error::unsupported(format!(
                "maps of shape {shape} on windows of {:?} voxels cannot be joined; class activation maps need \
                 interpolate=linear or nearest",
                self.size
            )));
        }
        let (channels, plane, length) = (shape[1], self.total.len(), self.weights.len());
        let mut sum = vec![0.0f64; channels * plane];
        for (row, &window) in windows.iter().enumerate() {
            for c in 0..channels {
                let map = &maps.row(row)[c * length..(c + 1) * length];
                let sum = &mut sum[c * plane..(c + 1) * plane];
                self.lines(window, |from, to, n| (0..n).for_each(|i| sum[to + i] += map[from + i].to_f64()));
            }
        }
        let [x, y, z] = self.whole;
        Tensor::new(&[1, channels, x, y, z], sum.into_iter().map(S::from_f64).collect())
    }
}

/// 1 everywhere, or a Gaussian about the middle of deviation size / 8, not below a thousandth of its largest value.
fn importance(size: [usize; 3], gaussian: bool) -> Vec<f64> {
    let axis = |a: usize, i: usize| {
        let (middle, deviation) = ((size[a] as f64 - 1.0) / 2.0, size[a] as f64 / 8.0);
        (-0.5 * ((i as f64 - middle) / deviation).powi(2)).exp()
    };
    let count: usize = size.iter().product();
    if !gaussian {
        return vec![1.0; count];
    }
    let at =
        |i: usize| axis(0, i / (size[1] * size[2])) * axis(1, i / size[2] % size[1]) * axis(2, i % size[2]);
    let most = (0..count).map(at).fold(0.0, f64::max);
    (0..count).map(|i| (at(i) / most).max(1e-3)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn windows() -> impl Strategy<Value = (Windows, Vec<f64>)> {
        let axis = || (1usize..5).prop_flat_map(|size| (Just(size), size..9));
        ((axis(), axis(), axis()), 0.0..0.9f64, any::<bool>(), any::<u64>()).prop_map(
            |((x, y, z), overlap, gaussian, seed)| {
                let how = SlidingWindow { overlap, gaussian };
                let windows = Windows::over([x.1, y.1, z.1], [x.0, y.0, z.0], &how).unwrap();
                let count: usize = windows.whole.iter().product();
                let random =
                    (0..count as u64).map(|i| ((i + 1).wrapping_mul(seed | 1) >> 40) as f64 / 1e7 - 0.5);
                (windows, random.collect())
            },
        )
    }

    proptest! {
        /// Blending what all windows cut out of an image is the image; the shares of a region add up to the region.
        #[test]
        fn windows_cover_everything_once((windows, values) in windows()) {
            let [x, y, z] = windows.whole();
            let all: Vec<usize> = (0..windows.count()).collect();
            let image = Tensor::new(&[1, 1, x, y, z], values.iter().map(|&v| v as f32).collect()).unwrap();
            let cut = windows.cut(&image, &all).unwrap();
            let mut blended = vec![0.0; values.len()];
            all.iter().for_each(|&w| windows.blend(w, cut.row(w), &mut blended));
            for (have, want) in blended.iter().zip(image.data()) {
                prop_assert!((have - f64::from(*want)).abs() < 1e-12);
            }
            let (seen, shares) = windows.share(&values).unwrap();
            let joined = windows.stitch(&shares, &seen).unwrap();
            for (have, want) in joined.data().iter().zip(&values) {
                prop_assert!((have - want).abs() < 1e-12);
            }
        }
    }

    #[test]
    fn places_are_those_of_monai() {
        // monai.data.utils.dense_patch_slices((10,), (4,), (2,)) and of an overlap that does not divide.
        let along = |whole: usize, size: usize, overlap: f64| {
            let how = SlidingWindow { overlap, gaussian: false };
            let windows = Windows::over([whole, 1, 1], [size, 1, 1], &how).unwrap();
            windows.starts.iter().map(|s| s[0]).collect::<Vec<_>>()
        };
        assert_eq!(along(10, 4, 0.5), [0, 2, 4, 6]);
        assert_eq!(along(10, 4, 0.25), [0, 3, 6]);
        assert_eq!(along(11, 4, 0.0), [0, 4, 7]);
        assert_eq!(along(4, 4, 0.5), [0]);
        assert!(
            Windows::over([3, 1, 1], [4, 1, 1], &SlidingWindow { overlap: 0.0, gaussian: true }).is_err()
        );
    }
}
