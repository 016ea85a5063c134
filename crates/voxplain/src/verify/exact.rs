//! Equalities that hold in every arithmetic: bit for bit.

use super::Measured;
use super::trial::{Rows, Trial, bits, rows};
use crate::device::Device;
use crate::explain::Settings;
use voxplain_axioms::edits::{neurons, rescale};
use voxplain_tensor::{Result, Tensor};

/// A neuron of every layer that can be rescaled, times 2, one network each; the worst of them.
pub fn neuron_scale(trial: &Trial<'_>) -> Result<Measured> {
    let all = neurons(&trial.graph);
    let mut worst: Option<(f64, String)> = None;
    for neuron in spaced(&all, LAYERS) {
        let graph = rescale(&trial.graph, neuron, 2.0)?;
        let (gap, text) = bits(&trial.maps(&graph, &trial.inputs)?, &trial.base);
        if worst.as_ref().is_none_or(|w| gap > w.0) {
            worst = Some((
                gap,
                format!("{text} (channel {} of {}, {} layers)", neuron.channel, neuron.layer, all.len()),
            ));
        }
    }
    Ok(match worst {
        Some((gap, text)) => Measured::Deviation(gap, 0.0, text),
        None => Measured::Nothing(String::from(
            "no layer is read by one other layer alone, through rectifiers and pooling",
        )),
    })
}

/// The most layers that are tried.
pub const LAYERS: usize = 8;

/// At most `most` of a list, evenly spaced, the first and the last among them.
pub fn spaced<T>(list: &[T], most: usize) -> Vec<&T> {
    if list.len() <= most {
        return list.iter().collect();
    }
    (0..most).map(|k| &list[k * (list.len() - 1) / (most - 1)]).collect()
}

/// The image alone, and in a batch in front of a darker copy of itself.
pub fn batches(trial: &Trial<'_>) -> Result<Measured> {
    let both = |x: &Tensor<f32>| {
        let mut sizes = x.shape().to_vec();
        sizes[0] *= 2;
        let dark: Vec<f32> = x.data().iter().map(|v| v * 0.5).collect();
        Tensor::new(&sizes, [x.data(), &dark].concat())
    };
    let pair: Vec<Tensor<f32>> = trial.inputs.iter().map(both).collect::<Result<_>>()?;
    let mut engine = trial.explainer.engine_on(&trial.graph);
    let first: Rows = match trial.method.attribute(&mut engine, &pair, &trial.target) {
        Ok(found) => rows(&trial.graph, &found),
        // Tensors of the request may be for one example only.
        Err(error) => return Ok(Measured::Nothing(format!("no batch of two: {error}"))),
    };
    let (gap, text) = bits(&first, &trial.base);
    Ok(Measured::Deviation(gap, 0.0, text))
}

/// One thread, or two where one was asked for: another run of the same plan.
pub fn threads(trial: &Trial<'_>) -> Result<Measured> {
    let own = &trial.explainer.settings;
    if own.device != Device::Cpu {
        let (gap, text) = bits(&trial.maps(&trial.graph, &trial.inputs)?, &trial.base);
        return Ok(Measured::Deviation(gap, 0.0, format!("{text} in another run")));
    }
    let threads = if own.threads == 1 { 2 } else { 1 };
    let machine = Device::Cpu.open(&Settings { threads, ..own.clone() })?;
    let (gap, text) = bits(&trial.maps_on(&machine)?, &trial.base);
    Ok(Measured::Deviation(
        gap,
        0.0,
        format!("{text} with {threads} thread{}", if threads == 1 { "" } else { "s" }),
    ))
}
