//! Parameter dependence: how alike a map is to that of a network whose layers are random (Adebayo et al., "Sanity checks for
//! saliency maps", NeurIPS 2018). A map that stays does not say what the network has learned.

use crate::contrast::{METHODS, NETWORKS, network};
use voxplain_axioms::{Bench, methods};
use voxplain_metrics::{Order, cosine, randomised};
use voxplain_oracle::Oracle;

const DEPTH: usize = 8;
/// Columns: which layers are random, and in which order that is.
const COLUMNS: [(&str, usize, Order); 4] = [
    ("last layer", DEPTH - 1, Order::TopDown),
    ("upper half", DEPTH / 2, Order::TopDown),
    ("lower half", DEPTH / 2 - 1, Order::BottomUp),
    ("all layers", 0, Order::TopDown),
];

/// The mean of |cos| between the map and that of a network with random layers.
fn mean(method: &str, at: usize, order: Order) -> Option<f64> {
    let subject = methods::named::<f64>(method)?;
    let bench = Bench { device: &Oracle, subject: &subject };
    let one = |seed: u64| -> Option<f64> {
        let problem = network(DEPTH, seed).ok()?;
        let other = problem.on(randomised(&problem.graph, at, order, seed + NETWORKS).ok()?);
        cosine(&bench.maps(&problem).ok()?.concat(), &bench.maps(&other).ok()?.concat()).map(f64::abs)
    };
    let all: Option<Vec<f64>> = (0..NETWORKS).map(one).collect();
    all.map(|v| v.iter().sum::<f64>() / v.len() as f64)
}

/// A table in Markdown.
pub fn table() -> String {
    let names: Vec<&str> = COLUMNS.iter().map(|c| c.0).collect();
    let mut out = format!(
        "The mean |cosine| of a map with that of the same network with other random weights in some layers (the networks of \
         the table above, {DEPTH} layers). Near 1 the map does not depend on these weights. `voxplain verify` asks the same of \
         a trained network.\n\n| method | {} |\n|---|{}\n",
        names.join(" | "),
        "---|".repeat(names.len())
    );
    for method in METHODS {
        let cell = |&(_, at, order): &(&str, usize, Order)| {
            mean(method, at, order).map_or_else(|| String::from("–"), |v| format!("{v:.2}"))
        };
        out += &format!("| {method} | {} |\n", COLUMNS.iter().map(cell).collect::<Vec<_>>().join(" | "));
    }
    out
}
