//! Implementation invariance by the rewrites that exporters make: normalisation folded into the layer before it, or standing
//! by itself.

use super::Measured;
use super::trial::{Trial, distance};
use voxplain_axioms::rewrites::Rewrite;
use voxplain_graph::Graph;
use voxplain_graph::rewrite::fold_batch_normalization;
use voxplain_tensor::Result;

/// The map of the network with its normalisation folded; of one without any to fold, with one that does nothing behind every
/// convolution.
pub fn implementation(trial: &Trial<'_>) -> Result<Measured> {
    let Some((graph, what)) = other(&trial.graph)? else {
        return Ok(Measured::Nothing(String::from(
            "there is no normalisation to fold and no convolution to put one behind",
        )));
    };
    let map = match trial.maps(&graph, &trial.inputs) {
        Ok(map) => map,
        // The layer of a class activation map may be one that is folded away.
        Err(error) => return Ok(Measured::Nothing(format!("{what}: {error}"))),
    };
    Ok(Measured::Deviation(distance(&map, &trial.base), trial.control()?, format!("of the sum, {what}")))
}

fn other(graph: &Graph) -> Result<Option<(Graph, &'static str)>> {
    let folded = fold_batch_normalization(graph)?;
    if folded.nodes().len() < graph.nodes().len() {
        return Ok(Some((folded, "normalisation folded")));
    }
    Ok(Rewrite::Normalised.apply(graph)?.map(|g| (g, "normalisation that does nothing inserted")))
}
