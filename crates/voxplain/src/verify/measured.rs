//! What is measured, not promised: dependence on parameters, stability, class contrast, translation.

use super::Measured;
use super::exact::{LAYERS, spaced};
use super::trial::{Rows, Trial, bits, distance, rows};
use serde_json::{Value, json};
use voxplain_attribution::Target;
use voxplain_metrics::{Order, cosine, layers, noise_radius, randomised, spearman, ssim};
use voxplain_tensor::{Result, Tensor};

/// The radius of perturbations, as a part of the image's deviation, and how many are drawn.
const RADIUS: f64 = 0.02;
const DRAWS: usize = 6;

/// Spearman and structural similarity of the map with those of networks whose layers are random: from the output down, from
/// the input up, and each layer by itself.
pub fn randomisation(trial: &Trial<'_>) -> Result<Measured> {
    let names = layers(&trial.graph);
    if names.is_empty() {
        return Ok(Measured::Nothing(String::from("the network has no weighted layer")));
    }
    let numbers: Vec<usize> = (0..names.len()).collect();
    let mut list = Vec::new();
    let mut ends = Vec::new();
    for (order, word) in
        [(Order::TopDown, "top-down"), (Order::BottomUp, "bottom-up"), (Order::Independent, "alone")]
    {
        for &&at in &spaced(&numbers, LAYERS) {
            let graph = randomised(&trial.graph, at, order, trial.explainer.settings.seed)?;
            let alike = alike(trial, &trial.maps(&graph, &trial.inputs)?)?;
            let which = match order {
                Order::TopDown if at == 0 => Some(String::from("all layers")),
                Order::Independent if at == 0 || at + 1 == names.len() => {
                    Some(format!("{} alone", names[at].0))
                }
                _ => None,
            };
            let values = || format!("Spearman {}, SSIM {}", shown(alike[0]), shown(alike[1]));
            ends.extend(which.map(|w| format!("{w} random: {}", values())));
            list.push(
                json!({"order": word, "layer": names[at].0, "spearman": alike[0], "spearman_abs": alike[2],
                             "ssim": alike[1]}),
            );
        }
    }
    Ok(Measured::Numbers(ends.join("; "), Value::from(list)))
}

fn shown(value: Option<f64>) -> String {
    value.map_or_else(|| String::from("none"), |v| format!("{v:.3}"))
}

/// Spearman, structural similarity of the maps brought to [0, 1], and Spearman of magnitudes: the mean over maps.
fn alike(trial: &Trial<'_>, other: &Rows) -> Result<[Option<f64>; 3]> {
    let mut found = [Vec::new(), Vec::new(), Vec::new()];
    for ((a, b), shape) in trial.base.iter().zip(other).zip(&trial.shapes) {
        let magnitudes = |v: &[f64]| v.iter().map(|v| v.abs()).collect::<Vec<f64>>();
        found[0].extend(spearman(a, b));
        found[1].extend(ssim(&unit(a), &unit(b), shape, shape.len().saturating_sub(2))?);
        found[2].extend(spearman(&magnitudes(a), &magnitudes(b)));
    }
    Ok(found.map(|list| (!list.is_empty()).then(|| list.iter().sum::<f64>() / list.len() as f64)))
}

/// Values brought to [0, 1]; a constant map stays constant.
fn unit(values: &[f64]) -> Vec<f64> {
    let (low, high) =
        values.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), &v| (l.min(v), h.max(v)));
    let range = if high > low { high - low } else { 1.0 };
    values.iter().map(|v| (v - low) / range).collect()
}

/// The largest movement of the map over a few draws around the image.
pub fn stability(trial: &Trial<'_>) -> Result<Measured> {
    let radius = noise_radius(&trial.inputs, RADIUS);
    let seed = trial.explainer.settings.seed;
    let found = voxplain_metrics::stability(&trial.inputs, (radius, DRAWS, seed), &mut |inputs| {
        Ok(trial.maps(&trial.graph, inputs)?.concat())
    })?;
    let text = format!(
        "max-sensitivity {:.3}, local Lipschitz {:.2e} ({DRAWS} draws within {radius:.3}: lower bounds)",
        found.max_sensitivity, found.lipschitz
    );
    let numbers = json!({"max_sensitivity": found.max_sensitivity, "lipschitz": found.lipschitz, "radius": radius,
                         "draws": DRAWS});
    Ok(Measured::Numbers(text, numbers))
}

/// The cosine with the map of another class: near 1, the map does not say why this class.
pub fn class_contrast(trial: &Trial<'_>) -> Result<Measured> {
    let shape = trial.graph.shape(trial.graph.outputs()[0]);
    let classes = shape.get(1).copied().unwrap_or(1);
    let (Target::Class(class), true) = (&trial.target, classes > 1) else {
        return Ok(Measured::Nothing(String::from("the target is not one of several classes")));
    };
    let other = (class[0] + 1) % classes;
    let mut engine = trial.explainer.engine_on(&trial.graph);
    let found = trial.method.attribute(&mut engine, &trial.inputs, &Target::Class(vec![other]))?;
    let map = rows(&trial.graph, &found);
    let value = cosine(&trial.base.concat(), &map.concat());
    let text =
        format!("cosine {} with the map of {}", shown(value), trial.explainer.model.card.class_name(other));
    Ok(Measured::Numbers(text, json!({"class": class[0], "other": other, "cosine": value})))
}

/// The image moved along its last axis by as much as the network's strides allow, where the border that moves out is empty.
/// Padding and borders make networks see a moved image differently, so the output is compared as well.
pub fn translation(trial: &Trial<'_>) -> Result<Measured> {
    let Some(step) = stride(trial) else {
        return Ok(Measured::Nothing(String::from("the network has no convolutions over the image")));
    };
    let widths: Vec<usize> = trial.inputs.iter().map(|x| x.shape().last().copied().unwrap_or(1)).collect();
    let empty =
        trial.inputs.iter().zip(&widths).all(|(x, &w)| {
            x.data().chunks(w).all(|row| w > step && row[w - step..].iter().all(|v| *v == 0.0))
        });
    if !empty {
        return Ok(Measured::Nothing(format!("the last {step} entries of some row are not empty")));
    }
    let moved: Vec<Tensor<f32>> = trial
        .inputs
        .iter()
        .zip(&widths)
        .map(|(x, &w)| Tensor::new(&x.shape(), shifted(x.data(), w, step)))
        .collect::<Result<_>>()?;
    let want: Rows = trial.base.iter().zip(&widths).map(|(row, &w)| shifted(row, w, step)).collect();
    let mut engine = trial.explainer.engine_on(&trial.graph);
    let found = trial.method.attribute(&mut engine, &moved, &trial.target)?;
    let have = rows(&trial.graph, &found);
    let (gap, worst) = (distance(&have, &want), bits(&have, &want));
    let [before, after] = [trial.found.values[0], found.values[0]];
    let text = format!(
        "moved by {step}: F(x) {before:.4} becomes {after:.4}, the map differs by {gap:.2e} of its sum, {}",
        worst.1
    );
    let numbers = json!({"step": step, "relative": gap, "largest": worst.0, "value": before, "moved": after});
    Ok(Measured::Numbers(text, numbers))
}

/// Rows of `width` moved by `step` to larger indices, zeros moving in.
fn shifted<T: Copy + Default>(data: &[T], width: usize, step: usize) -> Vec<T> {
    let row = |row: &[T]| [&vec![T::default(); step][..], &row[..width - step]].concat();
    data.chunks(width).flat_map(row).collect()
}

/// How many entries of the image one entry of the coarsest layer with space stands for.
fn stride(trial: &Trial<'_>) -> Option<usize> {
    let graph = &trial.graph;
    let (input, rank) = (graph.shape(*graph.inputs().first()?), graph.shape(*graph.inputs().first()?).rank());
    let size = input.last().copied()?;
    let coarse = graph.nodes().iter().filter(|n| matches!(n.op, voxplain_graph::Op::Conv(_)));
    let widths =
        coarse.map(|n| graph.shape(n.output)).filter(|s| s.rank() == rank).filter_map(|s| s.last().copied());
    widths.min().map(|w| (size / w.max(1)).max(1))
}
