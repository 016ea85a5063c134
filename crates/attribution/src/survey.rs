//! One forward pass for several methods: the passes that they will ask for are surveyed first and planned together, with
//! one reverse segment for each, so that a second method on the same inputs runs its reverse segment alone ([`Prepared`]).

use crate::engine::{FillRow, Network, PassSpec, Row, TakeRow};
use crate::prepared::{Prepared, Segment, segment};
use crate::{Method, Target};
use voxplain_autodiff::{Device, Joining, Planner};
use voxplain_graph::{Graph, Node, Op, ValueId};
use voxplain_tensor::{Error, Result, Scalar, Tensor};

/// A network that runs nothing: it plans what it is asked for, and answers with zeros.
pub(crate) struct Survey<'g> {
    graph: &'g Graph,
    planner: Planner<'g>,
    batch: usize,
    segments: Vec<Segment>,
    /// By segment: how often it is asked for.
    asked: Vec<usize>,
    captures: Vec<ValueId>,
}

impl<'g> Survey<'g> {
    /// A survey for `batch` examples at once.
    ///
    /// # Errors
    /// The graph cannot be planned for that many.
    pub fn new(graph: &'g Graph, batch: usize, fused: Joining) -> Result<Self> {
        let planner = Planner::new(graph, batch)?.fused(fused);
        Ok(Self { graph, planner, batch, segments: Vec::new(), asked: Vec::new(), captures: Vec::new() })
    }

    /// Asks a method what it will run. A method that cannot run is not in the plan, and says why when it runs.
    pub fn ask<S: Scalar>(&mut self, method: &dyn Method<S>, inputs: &[Tensor<S>], target: &Target) {
        let _ = method.attribute(self, inputs, target);
    }

    /// Whether there is anything to share.
    pub fn is_worthwhile(&self) -> bool {
        self.segments.len() > 1
    }

    /// The session of all passes together.
    ///
    /// # Errors
    /// The plan needs more than `limit` bytes, or the device cannot hold it.
    pub fn finish<D: Device>(self, device: &D, limit: Option<usize>) -> Result<Prepared<'_, D>> {
        let plan = self.planner.finish::<D::Scalar>(limit)?;
        let mut prepared = Prepared::new(device, plan, self.segments, self.captures)?;
        prepared.keep((0..self.asked.len()).filter(|&segment| self.asked[segment] > 1), limit);
        Ok(prepared)
    }

    /// Whether reading a value would keep a device from joining it with the normalisation behind it, which changes the last
    /// bits of everything else.
    fn parts(&self, value: ValueId) -> bool {
        let nodes = self.graph.nodes();
        let made = nodes.iter().any(|n| n.output == value && matches!(n.op, Op::Conv(_)));
        let followed =
            |n: &Node| matches!(n.op, Op::BatchNormalization { .. }) && n.inputs.first() == Some(&value);
        made && nodes.iter().any(followed)
    }

    fn add(&mut self, spec: &PassSpec<'_>) -> Result<()> {
        if spec.captures.iter().any(|&v| self.parts(v)) {
            return Err(Error::unsupported("passes that read inside of what devices join are not shared"));
        }
        for &value in &spec.captures {
            if !self.captures.contains(&value) {
                self.captures.push(value);
                self.planner.capture(value);
            }
        }
        let (Some(table), Some(segment)) = (spec.table, segment(spec)) else { return Ok(()) };
        if let Some(at) = self.segments.iter().position(|s| *s == segment) {
            self.asked[at] += 1;
        } else {
            table.add(&mut self.planner, spec.from, &spec.wanted)?;
            self.segments.push(segment);
            self.asked.push(1);
        }
        Ok(())
    }
}

impl<S: Scalar> Network<S> for Survey<'_> {
    fn graph(&self) -> &Graph {
        self.graph
    }

    fn run(
        &mut self,
        spec: &PassSpec<'_>,
        rows: usize,
        _: FillRow<'_, S>,
        take: TakeRow<'_, S>,
    ) -> Result<()> {
        let reference = spec.table.is_some_and(crate::Table::needs_reference);
        if rows != self.batch || reference {
            return Err(Error::unsupported("passes of another batch, or with a reference, are not shared"));
        }
        self.add(spec)?;
        let zeros = |values: &[ValueId]| -> Vec<Vec<S>> {
            values.iter().map(|&v| vec![S::ZERO; self.graph.shape(v).elements()]).collect()
        };
        let (results, captures) = (zeros(&spec.wanted), zeros(&spec.captures));
        for row in 0..rows {
            let results = results.iter().map(|v| &v[..]).collect();
            let captures = captures.iter().map(|v| &v[..]).collect();
            take(row, &Row { results, captures, reference_captures: Vec::new(), ledger: Vec::new() });
        }
        Ok(())
    }
}
