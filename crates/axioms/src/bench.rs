//! Runs a method on problems: what every check is written in.

use crate::axioms::Finding;
use crate::path::quadrature_error;
use crate::problem::{Problem, converted};
use crate::shadow::Shadow;
use crate::subject::Subject;
use crate::verdict::Verdict;
use voxplain_attribution::{Attribution, Engine, Fill, Grid, Network, PassSpec};
use voxplain_autodiff::Device;
use voxplain_graph::ops::Pointwise;
use voxplain_graph::{Graph, Node, Op, ValueId};
use voxplain_tensor::{Result, Scalar, Tensor};

/// Points per node at which an integrand's variation is taken.
const FINER: usize = 32;

/// A method on a device.
pub struct Bench<'a, D: Device> {
    /// The device.
    pub device: &'a D,
    /// The method.
    pub subject: &'a Subject<D::Scalar>,
}

impl<D: Device> Bench<'_, D> {
    /// The map of every input of the first example, in the input's shape; a map for all channels is repeated over them, and
    /// inputs without a map have zeros.
    ///
    /// # Errors
    /// The method cannot explain this problem.
    pub fn maps(&self, problem: &Problem) -> Result<Vec<Vec<f64>>> {
        let method = self.subject.method(problem)?;
        let mut engine = Engine::new(&problem.graph, self.device, None);
        let found = method.attribute(&mut engine, &converted(&problem.x), &problem.target)?;
        Ok(spread(&problem.graph, &found))
    }

    /// The explained value at `inputs` instead of the problem's own.
    ///
    /// # Errors
    /// As a run of the network.
    pub fn value(&self, problem: &Problem, inputs: &[Tensor<f64>]) -> Result<f64> {
        Ok(self.values(problem, inputs)?.first().copied().unwrap_or(f64::NAN))
    }

    /// The explained value of every example of `inputs`.
    ///
    /// # Errors
    /// As a run of the network.
    pub fn values(&self, problem: &Problem, inputs: &[Tensor<f64>]) -> Result<Vec<f64>> {
        let seeds = problem.seeds::<D::Scalar>()?;
        let mut engine = Engine::new(&problem.graph, self.device, None);
        let rows = engine.values(&converted(inputs), seeds.from)?;
        Ok(rows.iter().map(|row| seeds.value(0, row)).collect())
    }

    /// What rounding can add to an entry of the map of a problem.
    ///
    /// # Errors
    /// The network has operators that the shadow does not know.
    pub fn rounding(&self, problem: &Problem) -> Result<f64> {
        Ok(self.shadow(problem)?.map(self.subject.arithmetic) * self.subject.amplification)
    }

    /// A verdict, where the tolerance is finite: a sum that is exactly 0 cannot be shared out, and nothing follows from it.
    ///
    /// # Errors
    /// None; a result so that checks can end with it.
    pub fn judge(&self, residual: f64, tolerance: f64, detail: impl Into<String>) -> Finding {
        Ok(tolerance.is_finite().then(|| Verdict::new(residual, tolerance, detail)))
    }

    /// Whether the input of a rectifier is exactly 0 at the problem's input, or two neighbours in front of a maximum are equal:
    /// there, and on a path that runs along, a slope is a matter of convention and of rounding.
    ///
    /// # Errors
    /// As a run of the network.
    pub fn on_kink(&self, problem: &Problem) -> Result<bool> {
        let rectifier = |n: &&Node| matches!(n.op, Op::Pointwise(Pointwise::Relu));
        let graph = &problem.graph;
        let before: Vec<ValueId> = graph.nodes().iter().filter(rectifier).map(|n| n.inputs[0]).collect();
        let zero = self.captured(problem, before)?.iter().flatten().any(|v| *v == 0.0);
        Ok(zero || self.ties(problem)?)
    }

    /// What a quadrature along the path may miss of the difference of the outputs; 0 for methods without one.
    ///
    /// # Errors
    /// As a run of the network.
    pub fn path_error(&self, problem: &Problem) -> Result<f64> {
        let path = self.subject.path.as_deref();
        path.map_or(Ok(0.0), |nodes| quadrature_error(self, problem, nodes, FINER))
    }

    /// Whether two neighbours along the last axis in front of a maximum are equal.
    ///
    /// # Errors
    /// As a run of the network.
    fn ties(&self, problem: &Problem) -> Result<bool> {
        let graph = &problem.graph;
        let maxima = graph.nodes().iter().filter(|n| matches!(n.op, Op::MaxPool(_)));
        let before: Vec<ValueId> = maxima.map(|n| n.inputs[0]).collect();
        let rows = self.captured(problem, before)?;
        Ok(rows.iter().any(|row| row.windows(2).any(|w| w[0] == w[1])))
    }

    fn captured(&self, problem: &Problem, captures: Vec<ValueId>) -> Result<Vec<Vec<f64>>> {
        let spec = PassSpec { table: None, from: problem.graph.outputs()[0], wanted: Vec::new(), captures };
        let inputs = converted::<D::Scalar>(&problem.x);
        let mut fill = |_: usize, what: Fill, into: &mut [D::Scalar]| {
            if let Fill::Input(i) = what {
                into.copy_from_slice(inputs[i].data());
            }
        };
        let mut found = Vec::new();
        Engine::new(&problem.graph, self.device, None).run(&spec, 1, &mut fill, &mut |_, row| {
            let wide = |row: &&[D::Scalar]| row.iter().map(|v| v.to_f64()).collect();
            found = row.captures.iter().map(wide).collect();
        })?;
        Ok(found)
    }

    /// The shadow of a problem; see [`Shadow`].
    ///
    /// # Errors
    /// As [`Bench::rounding`].
    pub fn shadow(&self, problem: &Problem) -> Result<Shadow> {
        Shadow::of(self.device, problem)
    }
}

/// The maps of the first example on the inputs' shapes.
pub fn spread<S: Scalar>(graph: &Graph, found: &Attribution<S>) -> Vec<Vec<f64>> {
    let one = |&v| {
        let info = graph.value(v);
        let length = info.shape.elements();
        let Some(map) = found.input_map(&info.name) else { return vec![0.0; length] };
        let values: Vec<f64> = map.values.data().iter().map(|v| v.to_f64()).collect();
        match map.grid {
            Grid::InputSpace(_) => {
                let inner = info.shape.inner(1);
                (0..length).map(|i| values[i % inner]).collect()
            }
            _ => values[..length].to_vec(),
        }
    };
    graph.inputs().iter().map(one).collect()
}
