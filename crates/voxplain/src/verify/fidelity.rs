//! What a map says, beside how it behaves: whether it foretells what changes of the image do, and over how much of the image it is
//! spread.

use super::Measured;
use super::trial::Trial;
use serde_json::{Value, json};
use voxplain_attribution::Network;
use voxplain_metrics::{Change, Infidelity, Reading, Removal, complexity, noise_radius, sparseness};
use voxplain_tensor::{Result, Tensor};

/// The deviation of the noise, as a part of the image's, and how many changes are drawn of either kind.
const DEVIATION: f64 = 0.02;
const DRAWS: usize = 12;
/// One entry in so many is taken away.
const SHARE: usize = 8;

/// The infidelity of the map under its best factor, as a part of that of a map of zeros: read as slopes, under noise, and read
/// as parts of the output, where a random eighth of the image is 0. Which of the two fits depends on the method.
pub fn infidelity(trial: &Trial<'_>) -> Result<Measured> {
    let (inputs, map) = (&trial.inputs, trial.base.concat());
    let zero: Vec<Tensor<f32>> = inputs.iter().map(|x| x.map(|_| 0.0)).collect();
    let mut engine = trial.explainer.engine_on(&trial.graph);
    let seeds = engine.seeds(&trial.target, inputs)?;
    let mut value = |x: &[Tensor<f32>]| Ok(seeds.value(0, &engine.values(x, seeds.from)?[0]));
    let changes = [
        Change::Noise { inputs, deviation: noise_radius(inputs, DEVIATION) },
        Change::Removal {
            from: Removal { inputs, baseline: &zero },
            size: (map.len() / SHARE).max(1),
            reading: Reading::Part,
        },
    ];
    let mut found = Vec::new();
    for change in changes {
        let seed = trial.explainer.settings.seed;
        found.push(voxplain_metrics::infidelity(change, &map, (DRAWS, seed), &mut value)?);
    }
    let [slopes, parts] = [0, 1].map(|k| share(&found[k]));
    let shown = |v: Option<f64>| v.map_or_else(|| String::from("none"), |v| format!("{v:.3}"));
    let text = format!("of slopes {}, of parts {} ({DRAWS} changes each)", shown(slopes), shown(parts));
    let numbers = json!({"slopes": numbers(&found[0]), "parts": numbers(&found[1]), "draws": DRAWS});
    Ok(Measured::Numbers(text, numbers))
}

/// What is left of a map of zeros' infidelity; `None` where no change did anything.
fn share(f: &Infidelity) -> Option<f64> {
    (f.nothing > 0.0).then(|| f.scaled / f.nothing)
}

fn numbers(f: &Infidelity) -> Value {
    json!({
        "share": share(f),
        "plain": f.plain,
        "scaled": f.scaled,
        "beta": f.beta,
        "nothing": f.nothing,
    })
}

/// The Gini index of the map, and its entropy as a part of the largest that there is.
pub fn concentration(trial: &Trial<'_>) -> Measured {
    let map = trial.base.concat();
    let (Some(gini), Some(entropy)) = (sparseness(&map), complexity(&map)) else {
        return Measured::Nothing(String::from("the map is 0 everywhere or has values that are not finite"));
    };
    let most = (map.len() as f64).ln();
    let text = format!("sparseness {gini:.3}, complexity {entropy:.2} of at most {most:.2}");
    Measured::Numbers(text, json!({"sparseness": gini, "complexity": entropy, "most": most}))
}
