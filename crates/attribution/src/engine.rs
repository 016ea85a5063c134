//! A network on a device, as methods see it: rows go in, values and signals come out; plans, batches and memory are the
//! engine's affair.

use crate::Method;
use crate::beside::Act;
use crate::inputs::{check_inputs, count_examples};
use crate::mixed::{Laid, Mixing};
use crate::parts::in_parts;
use crate::prepared::{Prepared, segment};
use crate::states::{Overlay, States};
use crate::survey::Survey;
pub use crate::table::{Rules, Table};
use crate::target::{Seeds, Target};
use std::collections::BTreeMap;
use voxplain_autodiff::{Cause, Device, Plan, Planner};
use voxplain_graph::{Graph, ValueId};
use voxplain_tensor::{Error, ErrorKind, Result, Scalar, Tensor};

/// One kind of pass: which table runs from where to where, and which forward values are read.
#[derive(Clone)]
pub struct PassSpec<'t> {
    /// The rules, or `None` for a forward pass alone.
    pub table: Option<&'t dyn Table>,
    /// Where the reverse pass starts.
    pub from: ValueId,
    /// Where its signal is wanted.
    pub wanted: Vec<ValueId>,
    /// Forward values to read.
    pub captures: Vec<ValueId>,
}

/// What the engine asks a method to fill in for a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fill {
    /// The values of graph input `i`.
    Input(usize),
    /// The values of graph input `i` of the reference.
    Reference(usize),
    /// The seed.
    Seed,
}

/// The results of one row.
#[derive(Debug)]
pub struct Row<'a, S> {
    /// The signal at every wanted value.
    pub results: Vec<&'a [S]>,
    /// The captured forward values.
    pub captures: Vec<&'a [S]>,
    /// The same of the reference run, where the table has one.
    pub reference_captures: Vec<&'a [S]>,
    /// What every node kept of this row's signal, where the table keeps books: nodes by their position in the graph.
    pub ledger: Vec<(usize, Vec<(Cause, f64)>)>,
}

/// Writes what a row needs.
pub type FillRow<'a, S> = &'a mut dyn FnMut(usize, Fill, &mut [S]);

/// Receives what a row gave.
pub type TakeRow<'a, S> = &'a mut dyn FnMut(usize, &Row<'_, S>);

/// What methods need of a network: its graph and a way to run passes. Object-safe, so that methods know no device.
pub trait Network<S: Scalar> {
    /// The graph.
    fn graph(&self) -> &Graph;

    /// Runs `rows` single examples through a pass: `fill` writes what a row needs, `take` receives its results; rows
    /// come in order. How many run at once is not visible in the results.
    ///
    /// # Errors
    /// The table does not fit the graph, the memory limit is too small for one example, or the device failed.
    fn run(
        &mut self,
        spec: &PassSpec<'_>,
        rows: usize,
        fill: FillRow<'_, S>,
        take: TakeRow<'_, S>,
    ) -> Result<()>;

    /// How many of `rows` rows run at once, for methods that may stop between rows: parts of this size cost no more than all
    /// of them in one call.
    ///
    /// # Errors
    /// As [`Network::run`].
    fn rows_at_once(&mut self, _spec: &PassSpec<'_>, rows: usize) -> Result<usize> {
        Ok(rows)
    }

    /// Evaluation of inputs that differ from known ones in parts, where the device can.
    fn states(&mut self) -> Option<&mut dyn States<S>> {
        None
    }

    /// Rows that are put together where the network runs, where the device prefers that.
    fn mixing(&mut self) -> Option<&mut dyn Mixing<S>> {
        None
    }

    /// Does something with another network where this one runs, in its room; false, with nothing done, where that cannot be.
    /// Progress counts the other's rows as rows of this one if they are `counted`. Errors are those of `act`.
    fn beside(&mut self, _graph: &Graph, _counted: bool, _act: Act<'_, S>) -> Result<bool> {
        Ok(false)
    }

    /// How many threads a method may use for its own arithmetic; never visible in the results.
    fn threads(&self) -> usize {
        1
    }

    /// The number of examples of `inputs`, which must be one tensor per graph input.
    ///
    /// # Errors
    /// Shapes that do not fit the graph; the message names the input.
    fn examples(&self, inputs: &[Tensor<S>]) -> Result<usize> {
        check_inputs(self.graph(), inputs, self.threads())
    }

    /// The values of output `value` for every example.
    ///
    /// # Errors
    /// As [`Network::run`].
    fn values(&mut self, inputs: &[Tensor<S>], value: ValueId) -> Result<Vec<Vec<S>>> {
        let rows = self.examples(inputs)?;
        let spec = PassSpec { table: None, from: value, wanted: Vec::new(), captures: vec![value] };
        let (mut out, threads) = (Vec::with_capacity(rows), self.threads());
        self.run(
            &spec,
            rows,
            &mut |row, what, into| {
                if let Fill::Input(i) = what {
                    copy(example(&inputs[i], rows, row), into, threads);
                }
            },
            &mut |_, row| out.push(row.captures[0].to_vec()),
        )?;
        Ok(out)
    }

    /// The target with [`Target::Predicted`] replaced by the class of the largest output of each example.
    ///
    /// # Errors
    /// As [`Network::run`].
    fn settle(&mut self, target: &Target, inputs: &[Tensor<S>]) -> Result<Target> {
        if *target != Target::Predicted {
            return Ok(target.clone());
        }
        let output = self.graph().outputs()[0];
        let shape = self.graph().shape(output);
        let classes = shape.get(1).copied().unwrap_or(1);
        if shape.elements() != classes * shape[0] || shape[0] != 1 {
            return Err(Error::invalid(format!(
                "the output of shape {shape} has no single predicted class; name a target, as CLASS, or CLASS@pred for the \
                 voxels that a segmentation gives the class"
            )));
        }
        Ok(Target::predicted(&self.values(inputs, output)?))
    }

    /// The seeds of a target for these inputs.
    ///
    /// # Errors
    /// The target does not exist, or as [`Network::run`].
    fn seeds(&mut self, target: &Target, inputs: &[Tensor<S>]) -> Result<Seeds<S>> {
        let examples = self.examples(inputs)?;
        self.settle(target, inputs)?.resolve(self.graph(), examples)
    }
}

/// Copies by so many threads: one alone cannot use the memory's whole speed.
pub(crate) fn copy<S: Scalar>(from: &[S], into: &mut [S], threads: usize) {
    in_parts(threads, into, |first, part| part.copy_from_slice(&from[first..first + part.len()]));
}

/// The values of example `n` of `examples` of `tensor`.
pub(crate) fn example<S: Scalar>(tensor: &Tensor<S>, examples: usize, n: usize) -> &[S] {
    let length = tensor.data().len() / examples;
    &tensor.data()[n * length..(n + 1) * length]
}

/// Sessions for one kind of pass.
type Key = (String, ValueId, Vec<ValueId>, Vec<ValueId>, usize);

/// [`Network`] on a [`Device`]. Keeps the sessions of past passes as long as they fit the memory limit.
pub struct Engine<'a, D: Device> {
    pub(crate) graph: &'a Graph,
    pub(crate) device: &'a D,
    pub(crate) limit: Option<usize>,
    pub(crate) most_rows: usize,
    sessions: BTreeMap<Key, Prepared<'a, D>>,
    /// Bytes that one example needs, by pass.
    single: BTreeMap<Key, usize>,
    pub(crate) observer: Option<Box<dyn FnMut(usize) + 'a>>,
    /// The passes of several methods in one.
    shared: Option<Prepared<'a, D>>,
    /// Whether inputs may be evaluated by what changed.
    pub(crate) partial: bool,
    pub(crate) overlay: Option<Overlay<'a, D>>,
    /// Whether rows are put together on the device, and from what.
    pub(crate) mixing: bool,
    pub(crate) laid: Option<Laid<'a, D>>,
}

/// Bytes of arenas up to which rows are batched and sessions are kept where no limit is set.
pub(crate) const COMFORTABLE: usize = 1 << 30;

impl<'a, D: Device> Engine<'a, D> {
    /// A network on a device, with an optional limit in bytes for what runs above the weights.
    pub fn new(graph: &'a Graph, device: &'a D, limit: Option<usize>) -> Self {
        let (sessions, single) = (BTreeMap::new(), BTreeMap::new());
        let (observer, shared, overlay) = (None, None, None);
        Self {
            graph,
            device,
            limit,
            most_rows: device.batching().rows,
            sessions,
            single,
            observer,
            shared,
            partial: true,
            overlay,
            mixing: device.mixing(),
            laid: None,
        }
    }

    /// Evaluates every input by a full pass ([`Network::states`] is then `None`); never visible in the results.
    #[must_use]
    pub fn with_full_passes(mut self) -> Self {
        self.partial = false;
        self
    }

    /// Gives back the memory of sessions that can be made again.
    pub(crate) fn forget_sessions(&mut self) {
        self.laid.iter_mut().for_each(Laid::forget_rows);
        self.sessions.clear();
        self.shared = None;
    }

    /// The most examples that run at once; never visible in the results.
    #[must_use]
    pub fn with_rows(mut self, rows: usize) -> Self {
        self.most_rows = rows.max(1);
        self
    }

    /// Calls `observer` with the number of examples whenever some have run, for progress.
    #[must_use]
    pub fn observed(mut self, observer: impl FnMut(usize) + 'a) -> Self {
        self.observer = Some(Box::new(observer));
        self
    }

    /// Calls `observer` from now on; see [`Engine::observed`].
    pub fn observe(&mut self, observer: impl FnMut(usize) + 'a) {
        self.observer = Some(Box::new(observer));
    }

    /// Prepares to run `methods` on `inputs` one after the other with one forward pass for all of their passes that start
    /// from it. Whatever cannot be shared (references, noise, paths, targets that are not settled) runs by itself, and so
    /// does everything if the memory limit leaves no room.
    pub fn share(&mut self, methods: &[(&dyn Method<D::Scalar>, &Target)], inputs: &[Tensor<D::Scalar>]) {
        self.shared = None;
        let Ok(examples) = count_examples(self.graph, inputs) else { return };
        let Ok(mut survey) = Survey::new(self.graph, examples, self.device.joining()) else { return };
        let single = |method: &dyn Method<D::Scalar>| matches!(method.passes(), (1..=2, 1..=2));
        for (method, target) in methods.iter().filter(|(method, _)| single(*method)) {
            survey.ask(*method, inputs, target);
        }
        let limit = self.limit.unwrap_or(COMFORTABLE);
        if survey.is_worthwhile() {
            self.shared = survey.finish(self.device, Some(limit)).ok();
        }
    }

    /// The plan that `rows` examples at once would run.
    ///
    /// # Errors
    /// As [`Network::run`].
    pub fn plan(&self, spec: &PassSpec<'_>, rows: usize) -> Result<Plan> {
        let mut planner = Planner::new(self.graph, rows)?.fused(self.device.joining());
        for &value in &spec.captures {
            planner.capture(value);
        }
        if let Some(table) = spec.table {
            table.add(&mut planner, spec.from, &spec.wanted)?;
        }
        let held = self.held();
        planner.finish::<D::Scalar>(self.limit.map(|limit| limit.saturating_sub(held)))
    }

    /// Bytes of the arena of one example, known without a session, which several examples at once will not use.
    fn bytes_of_one(&mut self, spec: &PassSpec<'_>) -> Result<usize> {
        let key = Self::key(spec, 1);
        if let Some(&bytes) = self.single.get(&key) {
            return Ok(bytes);
        }
        let bytes = self.plan(spec, 1)?.arena_bytes;
        self.single.insert(key, bytes);
        Ok(bytes)
    }

    /// How many of `rows` rows run at once where one needs so many bytes.
    pub(crate) fn fitting(&self, single: usize, rows: usize) -> usize {
        let comfortable = self.device.batching().whole;
        let budget = self.limit.unwrap_or(comfortable).min(comfortable);
        (budget / single.max(1)).clamp(1, self.most_rows.min(rows.max(1)))
    }

    /// How many rows to run at once: as many as stay small, at least one.
    fn chunk(&mut self, spec: &PassSpec<'_>, rows: usize) -> Result<usize> {
        let single = self.bytes_of_one(spec)?;
        let fitting = self.fitting(single, rows);
        match self.prepared(spec, fitting) {
            Ok(_) => Ok(fitting),
            Err(error) if error.kind() == ErrorKind::Limit && fitting > 1 => Ok(1),
            Err(error) => Err(error),
        }
    }

    fn key(spec: &PassSpec<'_>, rows: usize) -> Key {
        let table = spec.table.map_or_else(String::new, Table::name);
        (table, spec.from, spec.wanted.clone(), spec.captures.clone(), rows)
    }

    /// Gives sessions back that so many bytes more leave no room for.
    pub(crate) fn give_way(&mut self, bytes: usize) {
        let limit = self.limit.unwrap_or(COMFORTABLE);
        let needed = bytes + self.held() + self.shared.as_ref().map_or(0, Prepared::bytes);
        if needed + self.sessions.values().map(Prepared::bytes).sum::<usize>() > limit {
            self.sessions.clear();
        }
        // What the user allows is a limit; what is comfortable is not worth a forward pass per method.
        if self.limit.is_some() && needed > limit {
            self.shared = None;
        }
    }

    /// Makes sure that there is a session, and returns its arena's bytes.
    fn prepared(&mut self, spec: &PassSpec<'_>, rows: usize) -> Result<usize> {
        let key = Self::key(spec, rows);
        if let Some(known) = self.sessions.get(&key) {
            return Ok(known.bytes());
        }
        let plan = self.plan(spec, rows)?;
        let bytes = plan.arena_bytes;
        self.give_way(bytes);
        let segments = segment(spec).into_iter().collect();
        self.sessions.insert(key, Prepared::new(self.device, plan, segments, spec.captures.clone())?);
        Ok(bytes)
    }
}

impl<D: Device> Network<D::Scalar> for Engine<'_, D> {
    fn graph(&self) -> &Graph {
        self.graph
    }

    fn states(&mut self) -> Option<&mut dyn States<D::Scalar>> {
        if self.partial { Some(self) } else { None }
    }

    fn mixing(&mut self) -> Option<&mut dyn Mixing<D::Scalar>> {
        if self.mixing { Some(self) } else { None }
    }

    fn rows_at_once(&mut self, spec: &PassSpec<'_>, rows: usize) -> Result<usize> {
        self.chunk(spec, rows)
    }

    fn beside(&mut self, graph: &Graph, counted: bool, act: Act<'_, D::Scalar>) -> Result<bool> {
        self.act_beside(graph, counted, act)
    }

    fn threads(&self) -> usize {
        self.device.threads()
    }

    fn run(
        &mut self,
        spec: &PassSpec<'_>,
        rows: usize,
        fill: FillRow<'_, D::Scalar>,
        take: TakeRow<'_, D::Scalar>,
    ) -> Result<()> {
        if rows == 0 {
            return Ok(());
        }
        let found = self.shared.as_mut().and_then(|s| s.find(spec, rows).map(|found| (s, found)));
        if let Some((shared, (segment, captures))) = found {
            shared.run_rows(0, (Some(segment), &captures), fill, take)?;
            self.observer.iter_mut().for_each(|observer| observer(rows));
            return Ok(());
        }
        let captures: Vec<usize> = (0..spec.captures.len()).collect();
        let chunk = self.chunk(spec, rows)?;
        let mut start = 0;
        while start < rows {
            let count = chunk.min(rows - start);
            self.prepared(spec, count)?;
            let prepared = self
                .sessions
                .get_mut(&Self::key(spec, count))
                .ok_or_else(|| Error::internal("a session is missing"))?;
            prepared.run_rows(start, (spec.table.map(|_| 0), &captures), fill, take)?;
            start += count;
            if let Some(observer) = &mut self.observer {
                observer(count);
            }
        }
        Ok(())
    }
}

/// Row `row` of `count` of every tensor.
pub(crate) fn row_of<S: Scalar>(tensors: &[Tensor<S>], count: usize, row: usize) -> Vec<&[S]> {
    tensors.iter().map(|t| example(t, count, row)).collect()
}
