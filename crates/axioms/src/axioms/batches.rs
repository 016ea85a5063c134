//! Batch independence: the map of an example has the same bits alone and beside others.

use super::Finding;
use crate::bench::Bench;
use crate::bench::spread;
use crate::problem::{Problem, converted};
use crate::verdict::difference;
use voxplain_attribution::Engine;
use voxplain_autodiff::Device;
use voxplain_tensor::{Result, Tensor};

/// The input alone, and in front of the reference as a second example.
pub fn check<D: Device>(bench: &Bench<'_, D>, problem: &Problem) -> Finding {
    let both = |(x, r): (&Tensor<f64>, &Tensor<f64>)| {
        let mut sizes = x.shape().to_vec();
        sizes[0] *= 2;
        Tensor::new(&sizes, [x.data(), r.data()].concat())
    };
    let pair: Vec<Tensor<f64>> = problem.x.iter().zip(&problem.r).map(both).collect::<Result<_>>()?;
    let method = bench.subject.method(problem)?;
    let mut engine = Engine::new(&problem.graph, bench.device, None);
    let found = method.attribute(&mut engine, &converted(&pair), &problem.target)?;
    let (gap, at) = difference(&spread(&problem.graph, &found), &bench.maps(problem)?);
    bench.judge(gap, 0.0, at)
}
