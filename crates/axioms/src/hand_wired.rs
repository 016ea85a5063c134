//! Networks from the literature whose answers are known, for properties that random networks do not show.

use crate::problem::Problem;
use voxplain_attribution::Target;
use voxplain_graph::{Graph, GraphBuilder, ValueId};
use voxplain_tensor::{Result, Tensor};

/// A problem over `[1, n, 1]` with reference 0.
fn problem(graph: Graph, x: &[f64]) -> Result<Problem> {
    let x = Tensor::new(&[1, x.len(), 1], x.to_vec())?;
    let r = x.map(|_| 0.0);
    Ok(Problem { graph, x: vec![x], r: vec![r], target: Target::Class(vec![0]) })
}

/// A fully connected layer over `[1, n, 1]`: rows of weights and a bias for each.
fn layer(b: &mut GraphBuilder, name: &str, x: ValueId, rows: &[(&[f32], f32)]) -> Result<ValueId> {
    let sizes = [rows.len(), rows[0].0.len(), 1];
    let weights: Vec<f32> = rows.iter().flat_map(|(w, _)| w.iter().copied()).collect();
    let weight = b.parameter(&format!("{name}.weight"), &sizes, weights)?;
    let biases: Vec<f32> = rows.iter().map(|(_, bias)| *bias).collect();
    let bias = if biases.iter().all(|b| *b == 0.0) {
        None
    } else {
        Some(b.parameter(&format!("{name}.bias"), &[rows.len()], biases)?)
    };
    b.conv(name, x, weight, bias, voxplain_graph::ops::ConvAttributes::plain(1))
}

fn finish(mut b: GraphBuilder, y: ValueId) -> Result<Graph> {
    let n = b.shape(y)[1];
    let y = b.node("flat", voxplain_graph::Op::Reshape { sizes: vec![1, n] }, &[y])?;
    b.finish(&[y])
}

/// `min(x1, x2) = relu(x1) - relu(x1 - x2)` for inputs from 0: symmetric, not decreasing in either input and with a kink
/// where they are equal, along which the whole path from 0 runs.
///
/// # Errors
/// None but faults of this crate.
pub fn minimum(x: [f64; 2]) -> Result<Problem> {
    let mut b = GraphBuilder::new();
    let input = b.input("x0", &[1, 2, 1])?;
    let h = layer(&mut b, "first", input, &[(&[1.0, 0.0], 0.0), (&[1.0, -1.0], 0.0)])?;
    let h = b.relu("relu", h)?;
    let y = layer(&mut b, "second", h, &[(&[1.0, -1.0], 0.0)])?;
    problem(finish(b, y)?, &x)
}

/// `relu(x1 + x2 - 3/2)` for inputs from 0: near (1, 1) either number adds 1/2 to the other and nothing alone, where it adds 1
/// to [`minimum`].
///
/// # Errors
/// None but faults of this crate.
pub fn threshold(x: [f64; 2]) -> Result<Problem> {
    let mut b = GraphBuilder::new();
    let input = b.input("x0", &[1, 2, 1])?;
    let h = layer(&mut b, "first", input, &[(&[1.0, 1.0], -1.5)])?;
    let h = b.relu("relu", h)?;
    let y = layer(&mut b, "second", h, &[(&[1.0], 0.0)])?;
    problem(finish(b, y)?, &x)
}

/// Two networks for one function, `relu(relu(x1 - 1) - relu(x2))` and `relu(relu(x1) - 1 - relu(x2))`, at (3, 1)
/// (Sundararajan, Taly & Yan, ICML 2017, figure 7).
///
/// # Errors
/// None but faults of this crate.
pub fn two_for_one() -> Result<[Problem; 2]> {
    let make = |early: bool| -> Result<Problem> {
        let (before, behind) = if early { (-1.0, 0.0) } else { (0.0, -1.0) };
        let mut b = GraphBuilder::new();
        let x = b.input("x0", &[1, 2, 1])?;
        let h = layer(&mut b, "first", x, &[(&[1.0, 0.0], before), (&[0.0, 1.0], 0.0)])?;
        let h = b.relu("relu1", h)?;
        let h = layer(&mut b, "second", h, &[(&[1.0, -1.0], behind)])?;
        let y = b.relu("relu2", h)?;
        let y = layer(&mut b, "third", y, &[(&[1.0], 0.0)])?;
        problem(finish(b, y)?, &[3.0, 1.0])
    };
    Ok([make(true)?, make(false)?])
}

/// `relu(x1 + x2 + x3 - 2)` at (1, 1, 1) for inputs from 0, which asks for all three, as their product does; the first two
/// entries are one modality, the third is another. Owen values are (1/4, 1/4, 1/2), Shapley values 1/3 each.
///
/// # Errors
/// None but faults of this crate.
pub fn all_three() -> Result<Problem> {
    let mut b = GraphBuilder::new();
    let (pair, single) = (b.input("x0", &[1, 1, 2])?, b.input("x1", &[1, 1, 1])?);
    let weight = b.parameter("pair.weight", &[1, 1, 2], vec![1.0; 2])?;
    let sum = b.conv("pair", pair, weight, None, voxplain_graph::ops::ConvAttributes::plain(1))?;
    let both = b.node("both", voxplain_graph::Op::Concat { axis: 1 }, &[sum, single])?;
    let h = layer(&mut b, "all", both, &[(&[1.0, 1.0], -2.0)])?;
    let h = b.relu("relu", h)?;
    let y = layer(&mut b, "out", h, &[(&[1.0], 0.0)])?;
    let graph = finish(b, y)?;
    let x = vec![Tensor::new(&[1, 1, 2], vec![1.0; 2])?, Tensor::new(&[1, 1, 1], vec![1.0])?];
    let r = x.iter().map(|x| x.map(|_| 0.0)).collect();
    Ok(Problem { graph, x, r, target: Target::Class(vec![0]) })
}
