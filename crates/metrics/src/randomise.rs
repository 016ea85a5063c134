//! Networks with randomised parameters, for the sanity check that a map depends on them (Adebayo et al., "Sanity checks for
//! saliency maps", NeurIPS 2018, section 3).

use voxplain_attribution::Generator;
use voxplain_graph::{Graph, Node, Op, Origin};
use voxplain_tensor::{Error, Result};

/// Which layers are randomised together with a layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// The layer and all behind it: from the output down, "cascading" in the paper.
    TopDown,
    /// The layer and all before it: from the input up. Randomising from the top keeps what the lower layers pass on, which
    /// rewards maps that are noisy (Binder et al., "Shortcomings of top-down randomization-based sanity checks", CVPR 2023).
    BottomUp,
    /// The layer alone.
    Independent,
}

/// The parameters of each weighted layer (convolution, linear layer), in the order in which they run: the layer's name and
/// its own weight and bias.
pub fn layers(graph: &Graph) -> Vec<(String, Vec<usize>)> {
    let weighted = |n: &&Node| matches!(n.op, Op::Conv(_) | Op::ConvTranspose(_) | Op::Gemm(_) | Op::MatMul);
    let own = |n: &Node| {
        let parameter = |v: &voxplain_graph::ValueId| match graph.value(*v).origin {
            Origin::Parameter(p) => Some(p),
            _ => None,
        };
        (n.name.clone(), n.inputs.iter().filter_map(parameter).collect::<Vec<usize>>())
    };
    graph.nodes().iter().filter(weighted).map(own).filter(|(_, p)| !p.is_empty()).collect()
}

/// The network with the parameters of layer `at` (of [`layers`]), and of those that `order` adds, drawn anew: normal numbers
/// with the mean and deviation that each tensor had, so that activations keep their scale. The same seed draws the same
/// numbers for a layer in whatever order.
///
/// # Errors
/// There is no such layer.
pub fn randomised(graph: &Graph, at: usize, order: Order, seed: u64) -> Result<Graph> {
    let all = layers(graph);
    if at >= all.len() {
        return Err(Error::invalid(format!("no weighted layer {at}; the network has {}", all.len())));
    }
    let chosen = match order {
        Order::TopDown => at..all.len(),
        Order::BottomUp => 0..at + 1,
        Order::Independent => at..at + 1,
    };
    let mut values: Vec<Vec<f32>> = graph.parameters().iter().map(|p| p.data.to_vec()).collect();
    for &p in all[chosen].iter().flat_map(|(_, parameters)| parameters) {
        redraw(&mut values[p], seed, p as u32);
    }
    graph.with_parameters(&values)
}

fn redraw(data: &mut [f32], seed: u64, stream: u32) {
    let n = data.len().max(1) as f64;
    let mean = data.iter().map(|&w| f64::from(w)).sum::<f64>() / n;
    let variance = data.iter().map(|&w| (f64::from(w) - mean).powi(2)).sum::<f64>() / n;
    // One number has no deviation of its own; its magnitude stands for it.
    let deviation = if variance > 0.0 { variance.sqrt() } else { mean.abs() };
    let generator = Generator::new(seed, stream);
    for (i, w) in data.iter_mut().enumerate() {
        *w = (mean + deviation * generator.normal(0, i as u64)) as f32;
    }
}
