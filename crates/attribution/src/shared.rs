//! One forward pass for several methods: the passes that they will ask for are surveyed first and planned together, with
//! one reverse segment for each, so that a second method on the same inputs runs its reverse segment alone.

use crate::engine::{Fill, FillRow, Network, PassSpec, Row, TakeRow, row_of};
use crate::{Method, Target};
use std::sync::Arc;
use voxplain_autodiff::{Device, Plan, Planner, Session};
use voxplain_graph::{Graph, Node, Op, ValueId};
use voxplain_tensor::{Error, Result, Scalar, Tensor};

/// What tells one reverse segment from another.
type Segment = (String, ValueId, Vec<ValueId>);

/// A network that runs nothing: it plans what it is asked for, and answers with zeros.
pub(crate) struct Survey<'g> {
    graph: &'g Graph,
    planner: Planner<'g>,
    batch: usize,
    segments: Vec<Segment>,
    captures: Vec<ValueId>,
}

impl<'g> Survey<'g> {
    /// A survey for `batch` examples at once.
    ///
    /// # Errors
    /// The graph cannot be planned for that many.
    pub fn new(graph: &'g Graph, batch: usize, fused: bool) -> Result<Self> {
        let planner = Planner::new(graph, batch)?.fused(fused);
        Ok(Self { graph, planner, batch, segments: Vec::new(), captures: Vec::new() })
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
    pub fn finish<D: Device>(self, device: &D, limit: Option<usize>) -> Result<Shared<'_, D>> {
        let plan = self.planner.finish::<D::Scalar>(limit)?;
        Shared::new(device, plan, self.batch, self.segments, self.captures)
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
        let Some(table) = spec.table else { return Ok(()) };
        let segment = (table.name(), spec.from, spec.wanted.clone());
        if !self.segments.contains(&segment) {
            table.add(&mut self.planner, spec.from, &spec.wanted)?;
            self.segments.push(segment);
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
            take(row, &Row { results, captures, reference_captures: Vec::new() });
        }
        Ok(())
    }
}

/// A session with a reverse segment for every surveyed pass, and the inputs that it last ran forward on.
pub(crate) struct Shared<'a, D: Device> {
    session: Session<'a, D>,
    batch: usize,
    segments: Vec<Segment>,
    captured: Vec<ValueId>,
    inputs: Vec<Tensor<D::Scalar>>,
    incoming: Vec<Tensor<D::Scalar>>,
    is_forward: bool,
}

impl<'a, D: Device> Shared<'a, D> {
    fn new(
        device: &'a D,
        plan: Plan,
        batch: usize,
        segments: Vec<Segment>,
        captured: Vec<ValueId>,
    ) -> Result<Self> {
        let room = || plan.inputs.iter().map(|&s| Tensor::zeros(plan.slot(s).shape)).collect::<Vec<_>>();
        let (inputs, incoming) = (room(), room());
        let session = Session::new(device, Arc::new(plan))?;
        Ok(Self { session, batch, segments, captured, inputs, incoming, is_forward: false })
    }

    /// The segment and the captures of a pass, if they are part of this session.
    fn find(&self, spec: &PassSpec<'_>, rows: usize) -> Option<(usize, Vec<usize>)> {
        let segment = (spec.table?.name(), spec.from, spec.wanted.clone());
        let at = self.segments.iter().position(|s| *s == segment).filter(|_| rows == self.batch)?;
        let captures = spec.captures.iter().map(|v| self.captured.iter().position(|c| c == v));
        Some((at, captures.collect::<Option<Vec<_>>>()?))
    }

    /// Runs a pass if it is part of this session; says whether it was. The forward pass runs only where the inputs have
    /// changed since the last one.
    ///
    /// # Errors
    /// The device failed.
    pub fn run(
        &mut self,
        spec: &PassSpec<'_>,
        rows: usize,
        fill: FillRow<'_, D::Scalar>,
        take: TakeRow<'_, D::Scalar>,
    ) -> Result<bool> {
        let Some((segment, captures)) = self.find(spec, rows) else { return Ok(false) };
        let mut gather = |tensor: &mut Tensor<D::Scalar>, what: Fill| {
            let length = (tensor.data().len() / rows).max(1);
            tensor
                .data_mut()
                .chunks_exact_mut(length)
                .enumerate()
                .for_each(|(row, into)| fill(row, what, into));
        };
        self.incoming.iter_mut().enumerate().for_each(|(i, t)| gather(t, Fill::Input(i)));
        let same = self.inputs.iter().zip(&self.incoming).all(|(a, b)| a.data() == b.data());
        if !self.is_forward || !same {
            std::mem::swap(&mut self.inputs, &mut self.incoming);
            self.is_forward = false;
            self.session.forward(&self.inputs.iter().collect::<Vec<_>>())?;
            self.is_forward = true;
        }
        let seed_slot = self.session.plan().reverses[segment].seed;
        let mut seed = Tensor::zeros(self.session.plan().slot(seed_slot).shape);
        gather(&mut seed, Fill::Seed);
        self.session.reverse(segment, seed.data())?;
        let results: Vec<_> =
            (0..spec.wanted.len()).map(|i| self.session.result(segment, i)).collect::<Result<_>>()?;
        let captures: Vec<_> =
            captures.into_iter().map(|i| self.session.capture(i)).collect::<Result<_>>()?;
        for row in 0..rows {
            let (results, captures) = (row_of(&results, rows, row), row_of(&captures, rows, row));
            take(row, &Row { results, captures, reference_captures: Vec::new() });
        }
        Ok(true)
    }
}
