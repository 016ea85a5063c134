//! Modalities: one that is not seen, and two that are treated alike.

use super::Measured;
use super::trial::Trial;
use voxplain_axioms::edits::{channels, entries, scale_channel, tie_channels};
use voxplain_tensor::{Result, Tensor};

const NOT_FIRST: &str = "something else than a convolution or a linear layer reads the modality";

/// The modality with the largest part in the map loses its first weights: nothing of the map may be left on it.
pub fn dummy(trial: &Trial<'_>) -> Result<Measured> {
    let graph = &trial.graph;
    let part = |at: (usize, usize)| trial.base[at.0][entries(graph, at)].iter().map(|v| v.abs()).sum::<f64>();
    let all = channels(graph);
    let at = all.iter().copied().fold(all[0], |best, at| if part(at) > part(best) { at } else { best });
    let Some(without) = scale_channel(graph, at, 0.0)? else {
        return Ok(Measured::Nothing(String::from(NOT_FIRST)));
    };
    let map = trial.maps(&without, &trial.inputs)?;
    let left = map[at.0][entries(graph, at)].iter().map(|v| v.abs()).fold(0.0, f64::max);
    Ok(Measured::Deviation(
        left,
        0.0,
        format!("the largest entry left on {} when its weights are 0", name(trial, at)),
    ))
}

/// The first two channels of an input get one image and one set of first weights: their maps must be equal.
pub fn symmetry(trial: &Trial<'_>) -> Result<Measured> {
    let graph = &trial.graph;
    let Some(input) =
        (0..graph.inputs().len()).find(|&i| graph.shape(graph.inputs()[i]).get(1).is_some_and(|&c| c > 1))
    else {
        return Ok(Measured::Nothing(String::from("no input has two channels")));
    };
    let Some(tied) = tie_channels(graph, input, 0, 1)? else {
        return Ok(Measured::Nothing(String::from(NOT_FIRST)));
    };
    let (a, b) = (entries(graph, (input, 0)), entries(graph, (input, 1)));
    let mut inputs: Vec<Tensor<f32>> = trial.inputs.clone();
    let image = inputs[input].data()[a.clone()].to_vec();
    inputs[input].data_mut()[b.clone()].copy_from_slice(&image);
    let map = trial.maps(&tied, &inputs)?;
    let row = |range: core::ops::Range<usize>| vec![map[input][range].to_vec()];
    let gap = super::trial::distance(&row(b), &row(a));
    let names = [1, 0].map(|channel| name(trial, (input, channel)));
    let detail = format!("of the sum, where {} has the image and the weights of {}", names[0], names[1]);
    Ok(Measured::Deviation(gap, trial.control()?, detail))
}

/// The modality as the card calls it.
fn name(trial: &Trial<'_>, (input, channel): (usize, usize)) -> String {
    let value = trial.graph.value(trial.graph.inputs()[input]);
    let card = trial.explainer.model.card.inputs.iter().find(|c| c.name == value.name);
    let known = card.and_then(|c| c.channels.get(channel)).cloned();
    known.unwrap_or_else(|| format!("channel {channel} of {}", value.name))
}
