//! From scores of features to maps.

use crate::features::Features;
use crate::game::Game;
use voxplain_attribution::{Attribution, Grid, Map, Scores};
use voxplain_graph::Graph;
use voxplain_tensor::{Result, Scalar, Tensor};

/// Maps in which every entry has the score of its feature, or its share of it.
pub(crate) fn maps<S: Scalar>(
    graph: &Graph,
    features: &Features,
    scores: &[Vec<f64>],
) -> Result<Vec<Map<S>>> {
    let colour = |n: usize| -> Vec<S> {
        scores[n].iter().zip(features.shares(n)).map(|(score, share)| S::from_f64(score * share)).collect()
    };
    let colours: Vec<Vec<S>> = (0..scores.len()).map(colour).collect();
    let mut maps = Vec::new();
    for (i, &value) in graph.inputs().iter().enumerate() {
        let mut data = Vec::with_capacity(scores.len() * graph.shape(value).elements());
        for (n, colours) in colours.iter().enumerate() {
            // What belongs to no feature has a number behind all of these.
            let one = |&label: &u32| colours.get(label as usize).copied().unwrap_or(S::ZERO);
            data.extend(features.of(i, n).iter().map(one));
        }
        let values = Tensor::new(&graph.batched_shape(value, scores.len())?, data)?;
        maps.push(Map { grid: Grid::Input(graph.value(value).name.clone()), values });
    }
    Ok(maps)
}

/// Scores with where they lie.
pub(crate) fn scored(
    graph: &Graph,
    features: &Features,
    values: Vec<Vec<f64>>,
    errors: Option<Vec<Vec<f64>>>,
) -> Scores {
    let regions = (0..values.len()).map(|n| features.regions(graph, n)).collect();
    Scores { values, errors, regions }
}

/// What is said of scores that are all 0.
pub(crate) const CONSTANT: &str = "the explained value stayed the same whatever was taken away, so every score is 0: the \
     model is constant here";

/// Whether no feature of any example scores more than the rounding of the explained values.
pub(crate) fn is_constant(scores: &[Vec<f64>], values: &[f64]) -> bool {
    scores.iter().zip(values).all(|(row, value)| row.iter().all(|s| s.abs() <= 1e-12 * value.abs()))
}

/// What an estimator found for every example.
#[derive(Default)]
pub(crate) struct Found {
    pub scores: Vec<Vec<f64>>,
    pub errors: Vec<Vec<f64>>,
    pub notes: Vec<String>,
}

/// The result of a game. With `efficient`, the scores of an example promise to add up to `F(x) - F(b)`.
pub(crate) fn finish<S: Scalar>(
    game: &mut Game<'_, S>,
    found: Found,
    efficient: bool,
) -> Result<Attribution<S>> {
    let (mut values, mut differences) = (Vec::new(), Vec::new());
    for n in 0..game.examples() {
        let (none, all) = game.ends(n)?;
        values.push(all);
        differences.push(all - none);
    }
    let sums = found.scores.iter().map(|s| s.iter().sum::<f64>());
    let residuals: Vec<f64> = sums.zip(&differences).map(|(s, d)| s - d).collect();
    let (graph, features) = (game.network().graph(), game.features());
    let mut notes = found.notes;
    notes.push(features.note());
    if is_constant(&found.scores, &values) {
        notes.push(String::from(CONSTANT));
    }
    Ok(Attribution {
        maps: maps(graph, features, &found.scores)?,
        values,
        residuals: efficient.then_some(residuals),
        differences: efficient.then_some(differences),
        forward_passes: game.evaluations(),
        backward_passes: 0,
        notes,
        ledger: None,
        scores: Some(scored(graph, features, found.scores, Some(found.errors).filter(|e| !e.is_empty()))),
    })
}
