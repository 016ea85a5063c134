//! From scores of features to maps.

use crate::features::Features;
use crate::game::Game;
use voxplain_attribution::{Attribution, Grid, Map, Scores};
use voxplain_graph::Graph;
use voxplain_tensor::{Result, Scalar, Tensor};

/// Maps in which every entry has the score of its feature.
pub(crate) fn maps<S: Scalar>(
    graph: &Graph,
    features: &Features,
    scores: &[Vec<f64>],
) -> Result<Vec<Map<S>>> {
    let mut maps = Vec::new();
    for (i, &value) in graph.inputs().iter().enumerate() {
        let score = |n: usize| features.of(i, n).iter().map(move |&l| S::from_f64(scores[n][l as usize]));
        let data: Vec<S> = (0..scores.len()).flat_map(score).collect();
        let values = Tensor::new(&graph.batched_shape(value, scores.len())?, data)?;
        maps.push(Map { grid: Grid::Input(graph.value(value).name.clone()), values });
    }
    Ok(maps)
}

/// What a reader of painted maps has to know.
pub(crate) const PAINTED: &str = "every entry has the score of its whole feature, not divided by its size";

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
    let mut notes = found.notes;
    notes.push(String::from(PAINTED));
    Ok(Attribution {
        maps: maps(game.network().graph(), game.features(), &found.scores)?,
        values,
        residuals: efficient.then_some(residuals),
        differences: efficient.then_some(differences),
        forward_passes: game.evaluations(),
        backward_passes: 0,
        notes,
        scores: Some(Scores { values: found.scores, errors: Some(found.errors).filter(|e| !e.is_empty()) }),
    })
}
