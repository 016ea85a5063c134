//! What a map was made of: hashes, parameters, numbers, in one JSON that allows to make it again.

use crate::explain::{Explained, Explainer};
use crate::request::Request;
use crate::windows::Windows;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use voxplain_attribution::{Entry, Ledger, Region, Scores};
use voxplain_tensor::Tensor;

/// The SHA-256 of bytes, in hexadecimal.
pub fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|b| format!("{b:02x}")).collect()
}

/// What decides the values that a perturbation method asks for: as [`key`], but for how many it asks.
pub(crate) fn evaluation_key(explainer: &Explainer<'_>, request: &Request) -> String {
    let mut request = request.clone();
    ["draws", "budget", "save_draws"].iter().for_each(|name| drop(request.params.remove(*name)));
    key(explainer, &request)
}

/// What decides the bytes of a result: program, model, inputs, request, seed. Two units of one key are equal.
pub(crate) fn key(explainer: &Explainer<'_>, request: &Request) -> String {
    let hash = |values: &[f32]| sha256(&values.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>());
    let one = |t: &Tensor<f32>| format!("{} {}", t.shape(), hash(t.data()));
    let inputs: Vec<String> = explainer.case.inputs.iter().map(one).collect();
    let mask = explainer.case.mask.as_ref().map(|mask| hash(&mask.data));
    let tensors: Vec<&String> = explainer.tensors.keys().collect();
    let all = json!({
        "version": env!("CARGO_PKG_VERSION"),
        "model": explainer.model_hash,
        "inputs": inputs,
        "mask": mask,
        "tensors": explainer.tensors_hash,
        "keys": tensors,
        "method": request.method,
        "params": request.params,
        "target": request.target,
        "reduction": explainer.reduction,
        "seed": explainer.settings.seed,
        "device": explainer.device_isa(),
    });
    sha256(all.to_string().as_bytes())
}

/// The values of an output that is small enough to read, else its shape.
fn outputs_of_network(explained: &Explained<'_>) -> Value {
    const READABLE: usize = 4096;
    let prediction = explained.prediction;
    let count: usize = prediction.logits.iter().map(Vec::len).sum();
    if count <= READABLE { json!(prediction.logits) } else { json!({"shape": prediction.shape}) }
}

/// Per example: what every node kept, and the sum by cause.
fn ledger(ledger: &Ledger) -> Value {
    let entry = |e: &Entry| json!({"node": e.node, "cause": e.cause.name(), "amount": e.amount});
    let example = |n: usize| {
        let sums = ledger.by_cause(n).into_iter().map(|(cause, sum)| (cause.name().into(), json!(sum)));
        json!({"nodes": ledger.entries[n].iter().map(entry).collect::<Vec<_>>(),
               "causes": serde_json::Map::from_iter(sums), "total": ledger.total(n)})
    };
    (0..ledger.entries.len()).map(example).collect()
}

/// Features from which they are not listed one by one: entries by themselves, which the maps show.
const LISTED: usize = 10_000;

/// Scores of features with their errors and, feature by feature, where each lies and how large it is.
fn scores(explainer: &Explainer<'_>, scores: &Scores) -> Value {
    let region = |r: &Region| {
        let modality = explainer.modality_name(r.input, r.channel);
        json!({"modality": modality, "number": r.number, "entries": r.entries})
    };
    let listed = scores.regions.iter().all(|all| all.len() <= LISTED);
    let regions = listed.then(|| -> Vec<Vec<Value>> {
        scores.regions.iter().map(|all| all.iter().map(region).collect()).collect()
    });
    json!({"values": scores.values, "errors": scores.errors, "regions": regions})
}

/// The manifest of one result; `outputs` are names and hashes of the files written.
pub(crate) fn manifest(
    explainer: &Explainer<'_>,
    explained: &Explained<'_>,
    outputs: &[(String, String)],
) -> Value {
    let files = |list: &[(String, String)]| -> Vec<Value> {
        list.iter().map(|(name, hash)| json!({"name": name, "sha256": hash})).collect()
    };
    let a = &explained.attribution;
    let channels = |i: &crate::case::Images| {
        let spatial = i.volumes.first().map(|v| (v.dims, v.geometry.axis_codes()));
        json!({
            "modalities": i.names,
            "voxels": spatial.as_ref().map(|s| s.0),
            "orientation": spatial.and_then(|s| s.1),
        })
    };
    json!({
        "schema": 1,
        "program": {"name": "voxplain", "version": env!("CARGO_PKG_VERSION"), "device": explainer.device_name()},
        "key": explained.key,
        "model": {"sha256": explainer.model_hash, "rewrites": explainer.model.graph.rewrites()},
        "inputs": files(&explainer.case.files),
        "images": explainer.case.images.iter().flatten().map(channels).collect::<Vec<_>>(),
        "request": {"id": explained.request.id, "method": explained.request.method, "params": explained.request.params,
                    "target": explained.request.target},
        "target": {"resolved": explained.target_words, "values": a.values},
        "outputs_of_network": outputs_of_network(explained),
        "windows": explainer.case.windows.as_ref().map(Windows::count),
        "seed": explainer.settings.seed,
        "completeness": {"residuals": a.residuals, "differences": a.differences},
        "scores": a.scores.as_ref().map(|s| scores(explainer, s)),
        "rules": explainer.rules(&explained.request).unwrap_or_default(),
        "ledger": a.ledger.as_ref().map(ledger),
        "ended_by_budget": explained.estimation.stopped,
        "passes": {"forward": a.forward_passes, "backward": a.backward_passes},
        "seconds": explained.seconds,
        "notes": a.notes,
        "files": files(outputs),
        "use": "research use; not for diagnosis",
    })
}
