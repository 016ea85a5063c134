//! Infidelity: how far a map is from the effects of changes that it should foretell.

use crate::removal::{Evaluate, Removal, check_length, subset};
use voxplain_attribution::Generator;
use voxplain_tensor::{Error, Result, Scalar, Tensor};

/// What an entry of a map stands for; a number for the one is meaningless as the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reading {
    /// The output per unit of the entry: gradients, and maps that are not multiplied by the input.
    Slope,
    /// A part of the output: what is multiplied by the distance from the baseline.
    Part,
}

/// What is done to the image.
#[derive(Clone, Copy, Debug)]
pub enum Change<'a, S> {
    /// Normal noise of this deviation, in the units of the image, for maps of slopes.
    Noise {
        /// The inputs of one example.
        inputs: &'a [Tensor<S>],
        /// The deviation of every entry; see [`crate::noise_radius`].
        deviation: f64,
    },
    /// Random sets of entries as in a baseline: `I = x - r` there, 0 elsewhere.
    Removal {
        /// The image and the baseline.
        from: Removal<'a, S>,
        /// Entries in a set; all of them ask for completeness.
        size: usize,
        /// How the map is read.
        reading: Reading,
    },
}

/// How far a map is from effects.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Infidelity {
    /// `E[(I a - (F(x) - F(x - I)))^2]` (Yeh et al., "On the (in)fidelity and sensitivity of explanations", NeurIPS 2019,
    /// definition 2.1), in squared units of the output.
    pub plain: f64,
    /// The same for `beta a`, so that a map is not blamed for its units (their section 2.2).
    pub scaled: f64,
    /// `E[I a (F(x) - F(x - I))] / E[(I a)^2]`, which makes it smallest; `None` where the map foretells nothing.
    pub beta: Option<f64>,
    /// `E[(F(x) - F(x - I))^2]`: what a map of zeros gets.
    pub nothing: f64,
}

/// The infidelity over `draws` changes from a seed.
///
/// # Errors
/// Lengths do not fit, there are no draws, `size` is 0 or more than there are entries, or as `value`.
pub fn infidelity<S: Scalar>(
    change: Change<'_, S>,
    map: &[f64],
    (draws, seed): (usize, u64),
    value: Evaluate<'_, S>,
) -> Result<Infidelity> {
    let inputs = change.check(map)?;
    if draws == 0 {
        return Err(Error::invalid("infidelity over 0 draws; at least 1 expected"));
    }
    let whole = value(inputs)?;
    let (mut said, mut done) = (Vec::new(), Vec::new());
    for draw in 0..draws {
        let (foretold, changed) = change.draw(map, (seed, draw));
        said.push(foretold);
        done.push(whole - value(&changed)?);
    }
    Ok(of_pairs(&said, &done))
}

/// From what was foretold and what came of it.
fn of_pairs(said: &[f64], done: &[f64]) -> Infidelity {
    let mean = |f: &dyn Fn(f64, f64) -> f64| {
        said.iter().zip(done).map(|(s, d)| f(*s, *d)).sum::<f64>() / said.len() as f64
    };
    let beta = Some(mean(&|s, d| s * d) / mean(&|s, _| s * s)).filter(|b| b.is_finite());
    let with = |beta: f64| mean(&|s, d| (beta * s - d).powi(2));
    Infidelity { plain: with(1.0), scaled: with(beta.unwrap_or(0.0)), beta, nothing: with(0.0) }
}

impl<'a, S: Scalar> Change<'a, S> {
    /// The image, if map and image belong together.
    fn check(&self, map: &[f64]) -> Result<&'a [Tensor<S>]> {
        match self {
            Self::Noise { inputs, .. } => {
                check_length(map, inputs.iter().map(|x| x.data().len()).sum())?;
                Ok(inputs)
            }
            Self::Removal { from, size, .. } => {
                from.check(map)?;
                let all = from.entries();
                if *size == 0 || *size > all {
                    return Err(Error::invalid(format!(
                        "sets of {size} of {all} entries; between 1 and all expected"
                    )));
                }
                Ok(from.inputs)
            }
        }
    }

    /// What the map foretells of a change, and the changed image.
    fn draw(&self, map: &[f64], (seed, draw): (u64, usize)) -> (f64, Vec<Tensor<S>>) {
        match self {
            Self::Noise { inputs, deviation } => noisy(inputs, *deviation, map, (seed, draw)),
            Self::Removal { from, size, reading } => {
                let set = subset(map.len(), *size, (seed, draw));
                let distance = distances(from);
                let one = |&i: &usize| if *reading == Reading::Part { map[i] } else { map[i] * distance(i) };
                (set.iter().map(one).sum(), from.without(&set))
            }
        }
    }
}

/// `x - r` of an entry.
fn distances<S: Scalar>(from: &Removal<'_, S>) -> impl Fn(usize) -> f64 {
    let flat = |list: &[Tensor<S>]| {
        list.iter().flat_map(|x| x.data().iter().map(|v| v.to_f64())).collect::<Vec<f64>>()
    };
    let (x, r) = (flat(from.inputs), flat(from.baseline));
    move |i| x[i] - r[i]
}

/// `x - I`, with the I that is left of the draw in the image's precision.
fn noisy<S: Scalar>(
    inputs: &[Tensor<S>],
    deviation: f64,
    map: &[f64],
    (seed, draw): (u64, usize),
) -> (f64, Vec<Tensor<S>>) {
    let (mut foretold, mut slopes) = (0.0, map.iter());
    let mut changed = inputs.to_vec();
    for (i, x) in changed.iter_mut().enumerate() {
        let generator = Generator::new(seed, i as u32);
        for (k, (v, a)) in x.data_mut().iter_mut().zip(&mut slopes).enumerate() {
            let before = v.to_f64();
            *v = S::from_f64(before - deviation * generator.normal(draw as u32, k as u64));
            foretold += a * (before - v.to_f64());
        }
    }
    (foretold, changed)
}
