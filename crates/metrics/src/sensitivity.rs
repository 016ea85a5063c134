//! How much a map moves when its input moves a little.

use voxplain_attribution::Generator;
use voxplain_tensor::{Result, Scalar, Tensor};

/// The largest movement over some draws.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Stability {
    /// `max |A(x + d) - A(x)| / |A(x)|` (Yeh et al., "On the (in)fidelity and sensitivity of explanations", NeurIPS 2019,
    /// equation 3, per unit of the map); infinite for a map of zeros that moves, 0 for one that does not.
    pub max_sensitivity: f64,
    /// `max |A(x + d) - A(x)| / |d|` in Euclidean norms: a lower bound of the local Lipschitz constant (Alvarez-Melis &
    /// Jaakkola, "On the robustness of interpretability methods", 2018, equation 1).
    pub lipschitz: f64,
}

/// `part` of the deviation of the values that are not 0 (all, where none is 0), so that a radius has the units of the image.
/// 0 for constant images.
pub fn noise_radius<S: Scalar>(inputs: &[Tensor<S>], part: f64) -> f64 {
    let all = || inputs.iter().flat_map(Tensor::data).map(|v| v.to_f64());
    let inside: Vec<f64> = all().filter(|v| *v != 0.0).collect();
    let n = inside.len().max(1) as f64;
    let mean = inside.iter().sum::<f64>() / n;
    part * (inside.iter().map(|v| (v - mean) * (v - mean)).sum::<f64>() / n).sqrt()
}

/// The map of some inputs, all of it in one row.
pub type Explain<'a, S> = &'a mut dyn FnMut(&[Tensor<S>]) -> Result<Vec<f64>>;

/// The largest movement of `explain` over `draws` inputs drawn uniformly from the cube of side `2 radius` around `inputs`.
/// A lower bound: more draws find more. A constant map is perfectly stable, so the number means nothing without a measure of
/// what the map says.
///
/// # Errors
/// As `explain`.
pub fn stability<S: Scalar>(
    inputs: &[Tensor<S>],
    (radius, draws, seed): (f64, usize, u64),
    explain: Explain<'_, S>,
) -> Result<Stability> {
    let own = explain(inputs)?;
    let scale = norm(own.iter().copied());
    let mut worst = Stability { max_sensitivity: 0.0, lipschitz: 0.0 };
    for draw in 0..draws {
        let moved: Vec<Tensor<S>> =
            inputs.iter().enumerate().map(|(i, x)| around(x, radius, seed, (draw, i))).collect();
        let step = moved.iter().zip(inputs).flat_map(|(a, b)| a.data().iter().zip(b.data()));
        let step = norm(step.map(|(a, b)| a.to_f64() - b.to_f64()));
        let gap = norm(explain(&moved)?.iter().zip(&own).map(|(a, b)| a - b));
        worst.max_sensitivity = worst.max_sensitivity.max(ratio(gap, scale));
        worst.lipschitz = worst.lipschitz.max(ratio(gap, step));
    }
    Ok(worst)
}

fn around<S: Scalar>(x: &Tensor<S>, radius: f64, seed: u64, (draw, input): (usize, usize)) -> Tensor<S> {
    let generator = Generator::new(seed, input as u32);
    let mut out = x.clone();
    for (i, v) in out.data_mut().iter_mut().enumerate() {
        *v += S::from_f64(radius * (2.0 * generator.uniform(draw as u32, i as u64) - 1.0));
    }
    out
}

fn norm(values: impl Iterator<Item = f64>) -> f64 {
    values.map(|v| v * v).sum::<f64>().sqrt()
}

fn ratio(a: f64, b: f64) -> f64 {
    if a == 0.0 { 0.0 } else { a / b }
}
