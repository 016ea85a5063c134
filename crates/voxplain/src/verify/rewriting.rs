//! Implementation invariance by rewrites that exporters make: normalisation folded into the layer before it or standing by
//! itself, channels in another order, a layer as two groups that are joined, sums with their operands exchanged.

use super::Measured;
use super::trial::{Trial, distance};
use voxplain_axioms::rewrites::Rewrite;
use voxplain_graph::Graph;
use voxplain_graph::rewrite::fold_batch_normalization;
use voxplain_tensor::Result;

/// The rewrites of networks, besides those of their normalisation.
const OTHERS: [(Rewrite, &str); 3] = [
    (Rewrite::Reordered, "channels reordered"),
    (Rewrite::Grouped, "layers in two groups"),
    (Rewrite::Exchanged, "sums exchanged"),
];

/// The maps of the networks that compute the same; the worst of them.
pub fn implementation(trial: &Trial<'_>) -> Result<Measured> {
    let (mut tried, mut refused) = (Vec::new(), None);
    for (graph, what) in others(&trial.graph)? {
        match trial.maps(&graph, &trial.inputs) {
            Ok(map) => tried.push((distance(&map, &trial.base), what)),
            // The layer of a class activation map may be one that is folded away.
            Err(error) => refused = Some(format!("{what}: {error}")),
        }
    }
    // A distance that is no number is worse than any.
    let worse = |a: &(f64, _), b: &(f64, _)| if b.0 > a.0 || b.0.is_nan() { *b } else { *a };
    let Some((gap, what)) = tried.iter().copied().reduce(|a, b| worse(&a, &b)) else {
        let nothing = || String::from("there is no convolution that could be written another way");
        return Ok(Measured::Nothing(refused.unwrap_or_else(nothing)));
    };
    let names: Vec<&str> = tried.iter().map(|t| t.1).filter(|name| *name != what).collect();
    let rest = if names.is_empty() { String::new() } else { format!("; no more by {}", names.join(", ")) };
    Ok(Measured::Deviation(gap, trial.control()?, format!("of the sum, {what}{rest}")))
}

/// The network with its normalisation folded, or, where there is none to fold, with one that does nothing; and the others.
fn others(graph: &Graph) -> Result<Vec<(Graph, &'static str)>> {
    let mut list = Vec::new();
    let folded = fold_batch_normalization(graph)?;
    if folded.nodes().len() < graph.nodes().len() {
        list.push((folded, "normalisation folded"));
    } else if let Some(other) = Rewrite::Normalised.apply(graph)? {
        list.push((other, "normalisation that does nothing inserted"));
    }
    for (rewrite, what) in OTHERS {
        list.extend(rewrite.apply(graph)?.map(|other| (other, what)));
    }
    Ok(list)
}
