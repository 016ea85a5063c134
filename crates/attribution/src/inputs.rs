//! Whether tensors are what a network takes.

use crate::parts::first_in_parts;
use voxplain_graph::Graph;
use voxplain_tensor::{Error, Result, Scalar, Tensor};

/// The first entry that is not finite. Whether there is one is seen by blocks: times 0, only what is finite is 0.
fn not_finite<S: Scalar>(data: &[S]) -> Option<usize> {
    let mut lanes = [S::ZERO; 16];
    let blocks = data.chunks_exact(lanes.len());
    let rest = blocks.remainder();
    for block in blocks {
        for (lane, &v) in lanes.iter_mut().zip(block) {
            *lane += v * S::ZERO;
        }
    }
    let clean = |v: &S| v.to_f64().is_finite();
    let all = lanes.iter().all(clean) && rest.iter().all(clean);
    if all { None } else { data.iter().position(|v| !clean(v)) }
}

/// The number of examples of `inputs`, one tensor per graph input, whatever is in them.
///
/// # Errors
/// Shapes that do not fit the graph; the message names the input.
pub(crate) fn count_examples<S: Scalar>(graph: &Graph, inputs: &[Tensor<S>]) -> Result<usize> {
    if inputs.len() != graph.inputs().len() {
        return Err(Error::invalid(format!(
            "{} inputs given, the network has {}",
            inputs.len(),
            graph.inputs().len()
        )));
    }
    let mut examples = None;
    for (&value, tensor) in graph.inputs().iter().zip(inputs) {
        let info = graph.value(value);
        let (have, want) = (tensor.shape(), info.shape);
        let fits =
            have.rank() == want.rank() && have[1..] == want[1..] && have[0] % want[0] == 0 && have[0] > 0;
        if !fits || examples.is_some_and(|n| n != have[0] / want[0]) {
            return Err(Error::invalid(format!(
                "input {:?} has shape {have}; {:?} with any number of examples in front (the same for all inputs) is \
                 expected",
                info.name,
                &want[1..]
            )));
        }
        examples = Some(have[0] / want[0]);
    }
    examples.ok_or_else(|| Error::invalid("the network has no inputs"))
}

/// As [`count_examples`], where every value must be finite; looked through by so many threads.
///
/// # Errors
/// As [`count_examples`], or a value that is not finite; the message names the input.
pub(crate) fn check_inputs<S: Scalar>(graph: &Graph, inputs: &[Tensor<S>], threads: usize) -> Result<usize> {
    let examples = count_examples(graph, inputs)?;
    for (&value, tensor) in graph.inputs().iter().zip(inputs) {
        if let Some(at) = first_in_parts(threads, tensor.data(), |_, part| not_finite(part)) {
            return Err(Error::invalid(format!(
                "input {:?}: element {at} is not finite; NaN and infinite voxels must be replaced first",
                graph.value(value).name
            )));
        }
    }
    Ok(examples)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_entry_that_is_not_finite_is_found_wherever_it_is() {
        for length in [1, 15, 16, 17, 40] {
            let data = vec![-f32::MAX; length];
            assert_eq!(not_finite(&data), None);
            for at in 0..length {
                for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
                    let mut data = data.clone();
                    data[at] = bad;
                    assert_eq!(not_finite(&data), Some(at));
                }
            }
        }
    }
}
