//! Class contrast: how alike the maps of two classes are as networks get deeper (Sixt, Granz & Landgraf, ICML 2020). Of
//! independent classes they should not be.

use voxplain_attribution::{Generator, Target};
use voxplain_axioms::{Bench, Problem, methods};
use voxplain_graph::GraphBuilder;
use voxplain_metrics::cosine;
use voxplain_oracle::Oracle;
use voxplain_tensor::{Result, Tensor};

const DEPTHS: [usize; 3] = [4, 8, 16];
const WIDTH: usize = 64;
pub const NETWORKS: u64 = 12;
pub const METHODS: [&str; 9] = [
    "input_x_gradient",
    "integrated_gradients",
    "deeplift",
    "guided_backprop",
    "deconvolution",
    "lrp_0",
    "lrp_gamma",
    "lrp_zplus",
    "lrp_alpha2_beta1",
];

/// Fully connected rectifier networks without biases, weights normal with variance 2 / width, two classes.
pub fn network(depth: usize, seed: u64) -> Result<Problem> {
    let generator = |stream: usize| Generator::new(seed, stream as u32);
    let normals = |stream: usize, n: usize| (0..n as u64).map(move |i| generator(stream).normal(0, i));
    let mut b = GraphBuilder::new();
    let mut y = b.input("x", &[1, WIDTH])?;
    let deviation = (2.0 / WIDTH as f64).sqrt();
    for l in 0..depth {
        let last = l + 1 == depth;
        let to = if last { 2 } else { WIDTH };
        let data: Vec<f32> = normals(l, to * WIDTH).map(|v| (v * deviation) as f32).collect();
        let w = b.parameter(&format!("w{l}"), &[to, WIDTH], data)?;
        y = b.linear(&format!("layer{l}"), y, w, None)?;
        if !last {
            y = b.relu(&format!("relu{l}"), y)?;
        }
    }
    let graph = b.finish(&[y])?;
    let x = vec![Tensor::new(&[1, WIDTH], normals(depth, WIDTH).collect())?];
    let r = vec![x[0].map(|_| 0.0)];
    Ok(Problem { graph, x, r, target: Target::Class(vec![0]) })
}

/// The mean of |cos| between the maps of the two classes.
fn mean(method: &str, depth: usize) -> Option<f64> {
    let subject = methods::named::<f64>(method)?;
    let bench = Bench { device: &Oracle, subject: &subject };
    let one = |seed: u64| -> Option<f64> {
        let problem = network(depth, seed).ok()?;
        let map = |class: usize| Some(bench.maps(&problem.about(Target::Class(vec![class]))).ok()?.concat());
        cosine(&map(0)?, &map(1)?).map(f64::abs)
    };
    let all: Option<Vec<f64>> = (0..NETWORKS).map(one).collect();
    all.map(|v| v.iter().sum::<f64>() / v.len() as f64)
}

/// A table in Markdown.
pub fn table() -> String {
    let mut out = String::from(
        "The mean |cosine| between the maps of two classes of random fully connected networks (64 wide, rectifiers, no \
         biases, 12 networks each), by depth. Near 1 the map no longer depends on the class. A trained network may differ.\n\n\
         | method | 4 layers | 8 | 16 |\n|---|---|---|---|\n",
    );
    for method in METHODS {
        let cell =
            |depth: usize| mean(method, depth).map_or_else(|| String::from("–"), |v| format!("{v:.2}"));
        let cells: Vec<String> = DEPTHS.into_iter().map(cell).collect();
        out += &format!("| {method} | {} |\n", cells.join(" | "));
    }
    out
}
