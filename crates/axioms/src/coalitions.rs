//! The game behind a problem: what the network says where only some parts of the input are there.

use crate::bench::Bench;
use crate::edits::{channels, entries};
use crate::problem::Problem;
use core::ops::Range;
use voxplain_autodiff::Device;
use voxplain_tensor::{Result, Tensor};

/// A part of an input that is there or not: which input, and which of its row-major values.
pub type Part = (usize, Range<usize>);

/// Every channel as one part.
pub fn by_channel(problem: &Problem) -> Vec<Part> {
    channels(&problem.graph).into_iter().map(|at| (at.0, entries(&problem.graph, at))).collect()
}

/// Every entry as one part, input by input.
pub fn by_entry(problem: &Problem) -> Vec<Part> {
    let of = |(i, x): (usize, &Tensor<f64>)| (0..x.data().len()).map(move |k| (i, k..k + 1));
    problem.x.iter().enumerate().flat_map(of).collect()
}

/// The explained value of every set of `parts`, part k being there in set s where bit k of s is set: values of the input
/// there, of the reference elsewhere.
///
/// # Errors
/// As a run of the network.
pub fn values<D: Device>(bench: &Bench<'_, D>, problem: &Problem, parts: &[Part]) -> Result<Vec<f64>> {
    bench.values(problem, &rows(problem, parts)?)
}

/// One example per set.
fn rows(problem: &Problem, parts: &[Part]) -> Result<Vec<Tensor<f64>>> {
    let one = |(i, (x, r)): (usize, (&Tensor<f64>, &Tensor<f64>))| {
        let mut data = Vec::new();
        for set in 0..1usize << parts.len() {
            let mut row = r.data().to_vec();
            for (_, (_, own)) in parts.iter().enumerate().filter(|(k, p)| p.0 == i && set >> k & 1 == 1) {
                row[own.clone()].copy_from_slice(&x.data()[own.clone()]);
            }
            data.extend(row);
        }
        let mut sizes = x.shape().to_vec();
        sizes[0] = 1 << parts.len();
        Tensor::new(&sizes, data)
    };
    problem.x.iter().zip(&problem.r).enumerate().map(one).collect()
}
