//! Conservation of relevance on a real network: nothing is lost or made on the way but what the ledger says.

use super::Measured;
use super::trial::Trial;
use crate::device::Machine;
use voxplain_attribution::composites::table;
use voxplain_attribution::methods::{Lrp, Start};
use voxplain_attribution::{Engine, Fill, Network, PassSpec, Rules};
use voxplain_axioms::running_error::{OWN, unit};
use voxplain_graph::ValueId;
use voxplain_tensor::Result;

/// The bound grows with the size of images, though devices add up in parts; more than this part of the relevance is a leak in
/// any case.
const LEAK: f64 = 1e-3;

/// Values whose relevance is kept at once.
const AT_ONCE: usize = 8;

/// The maps and the ledger against what relevance started with, within the rounding of the sums that a ledger is made of.
pub fn conservation(trial: &Trial<'_>) -> Result<Measured> {
    let (Some(ledger), Some(lrp)) = (&trial.found.ledger, &trial.relevance) else {
        return Ok(Measured::Nothing(String::from(
            "the method propagates no relevance, so nothing keeps any",
        )));
    };
    let mut engine = trial.explainer.engine_on(&trial.graph);
    let seeds = engine.seeds(&trial.target, &trial.inputs)?;
    let output = engine.values(&trial.inputs, seeds.from)?.swap_remove(0);
    let start: Vec<f32> = match lrp.start {
        Start::Output => seeds.rows[0].iter().zip(&output).map(|(s, o)| s * o).collect(),
        Start::One => seeds.rows[0].clone(),
    };
    let started: f64 = start.iter().map(|v| f64::from(*v)).sum();
    let sum: f64 = trial.base.iter().flatten().sum();
    let kept = ledger.total(0);
    let size: f64 = trial.base.iter().flatten().map(|v| v.abs()).sum::<f64>() + started.abs();
    let limit = rounding(trial, lrp, &mut engine, (seeds.from, &start))?.min(LEAK * size);
    let detail = format!("sum {sum:.6}, kept {kept:.6}, started with {started:.6}");
    Ok(Measured::Deviation((sum + kept - started).abs(), limit, detail))
}

/// A sum of `n` numbers is off by at most `n u` of the sum of their magnitudes; every value's relevance is summed when it is passed
/// on and when it is received.
fn rounding(
    trial: &Trial<'_>,
    lrp: &Lrp,
    engine: &mut Engine<'_, Machine>,
    (from, start): (ValueId, &[f32]),
) -> Result<f64> {
    let graph = &trial.graph;
    let rules = Rules { name: format!("{:?} everywhere", lrp.lines), composite: table(&lrp.lines)? };
    let outputs = graph.nodes().iter().map(|n| n.output).filter(|v| graph.value(*v).varies);
    let all: Vec<ValueId> = outputs.chain(graph.inputs().iter().copied()).collect();
    let mut fill = |_: usize, what: Fill, into: &mut [f32]| match what {
        Fill::Input(i) | Fill::Reference(i) => into.copy_from_slice(trial.inputs[i].data()),
        Fill::Seed => into.copy_from_slice(start),
    };
    let mut mass = 0.0;
    for wanted in all.chunks(AT_ONCE) {
        let spec = PassSpec { table: Some(&rules), from, wanted: wanted.to_vec(), captures: Vec::new() };
        engine.run(&spec, 1, &mut fill, &mut |_, row| {
            let size = |row: &[f32]| row.iter().map(|v| f64::from(v.abs())).sum::<f64>();
            mass += row.results.iter().map(|row| (row.len() as f64 + OWN) * size(row)).sum::<f64>();
        })?;
    }
    Ok(2.0 * unit::<f32>() * mass)
}
