//! Rows whose boxes have the same sizes share plans, and rows of all classes the network behind the values at which their
//! changes have spread.

use super::groups::{Classes, classed, grouped};
use super::program::{Program, Row};
use super::tail::Tail;
use super::{Change, FillPart, TakeValue, all, joined, missing};
use crate::engine::{Engine, Fill, Network, PassSpec};
use crate::mixed::{FillNumbers, Mixing};
use std::ops::ControlFlow;
use std::sync::Arc;
use voxplain_autodiff::{Class, Device, Plan, Planner, Regions};
use voxplain_graph::Graph;
use voxplain_tensor::{Error, ErrorKind, Result, Scalar};

/// The share of a full pass's operations from which a part is not worth the copies.
const WORTHWHILE: f64 = 0.95;
/// Rows from which it is worth making a plan that those of all classes share.
pub(super) const TOGETHER: usize = 4;

/// What the rows of one evaluation have in common.
pub(super) struct Errand<'a> {
    pub(super) state: usize,
    /// The network up to the explained value, or up to where rows of all classes go on together.
    pub(super) regions: Arc<Regions<'a>>,
    /// Operations of what comes behind, and bytes that it holds and nobody counts.
    pub(super) rest: u64,
    pub(super) held: usize,
}

impl<'a> Errand<'a> {
    /// Up to the explained value.
    pub fn whole(state: usize, regions: Arc<Regions<'a>>) -> Self {
        Self { state, regions, rest: 0, held: 0 }
    }
}

/// Takes the values of some rows at the targets of their regions, of all rows for each target.
type TakeTargets<'t, S> = &'t mut dyn FnMut(&[usize], &[Vec<S>]) -> Result<ControlFlow<()>>;

impl<'a, D: Device> Engine<'a, D> {
    /// Runs rows by full passes.
    fn run_whole(
        &mut self,
        rows: &[usize],
        fill: FillPart<'_, D::Scalar>,
        take: TakeValue<'_, D::Scalar>,
    ) -> Result<ControlFlow<()>> {
        let (from, shapes) = (self.overlay()?.target(), self.input_shapes());
        let spec = PassSpec { table: None, from, wanted: Vec::new(), captures: vec![from] };
        let batch = self.rows_at_once(&spec, rows.len())?;
        for rows in rows.chunks(batch.max(1)) {
            let mut write = |row: usize, what: Fill, into: &mut [D::Scalar]| {
                if let Fill::Input(i) = what {
                    fill(rows[row], i, &all(&shapes[i]), into);
                }
            };
            let mut flow = ControlFlow::Continue(());
            self.run(&spec, rows.len(), &mut write, &mut |row, r| {
                flow = joined(flow, take(rows[row], r.captures[0]));
            })?;
            if flow.is_break() {
                return Ok(flow);
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    /// Runs rows by full passes on inputs that are put together where the network runs.
    fn run_mixed(
        &mut self,
        rows: &[usize],
        numbers: FillNumbers<'_>,
        take: TakeValue<'_, D::Scalar>,
    ) -> Result<()> {
        let from = self.overlay()?.target();
        let mut of = |at: usize, input: usize, into: &mut [f64]| numbers(rows[at], input, into);
        self.mix(from, rows.len(), &mut of, &mut |at, value| take(rows[at], value))
    }

    /// The plan of `rows` rows of a class, if a part is worth it and fits.
    pub(super) fn region_plan(
        &mut self,
        errand: &Errand<'a>,
        class: &Class,
        rows: usize,
        keep: bool,
    ) -> Result<Option<Plan>> {
        let fused = self.device.joining();
        let overlay = self.overlay()?;
        let plan = errand.regions.plan::<D::Scalar>(class, rows, &overlay.plan, (fused, keep, None))?;
        let share = plan.forward_flops() as f64 / rows as f64 + errand.rest as f64;
        let whole = overlay.plan.forward_flops() as f64;
        if whole > 0.0 && share > WORTHWHILE * whole {
            return Ok(None);
        }
        match self.make_room(plan.arena_bytes + errand.held) {
            Ok(()) => Ok(Some(plan)),
            Err(error) if error.kind() == ErrorKind::Limit => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The plan of as many rows of a class at once as the device likes and the memory limit leaves room for; `single` is that
    /// of one row.
    fn widest_plan(&mut self, errand: &Errand<'a>, class: &Class, rows: usize, single: Plan) -> Result<Plan> {
        let room = self.device.batching().parts;
        let mut fitting = (room / single.arena_bytes.max(1)).clamp(1, self.most_rows.min(rows));
        while fitting > 1 {
            // Equal batches, so that the last one repeats few rows.
            let batch = rows.div_ceil(rows.div_ceil(fitting));
            if let Some(plan) = self.region_plan(errand, class, batch, false)? {
                return Ok(plan);
            }
            fitting = batch / 2;
        }
        Ok(single)
    }

    /// Runs the rows of one class up to the targets of its regions, and gives those back that are not worth it.
    fn run_class(
        &mut self,
        errand: &Errand<'a>,
        (class, rows): (&Class, Vec<Row>),
        fill: FillPart<'_, D::Scalar>,
        take: TakeTargets<'_, D::Scalar>,
    ) -> Result<(ControlFlow<()>, Vec<usize>)> {
        let Some(single) = self.region_plan(errand, class, 1, false)? else {
            return Ok((ControlFlow::Continue(()), rows.iter().map(|row| row.0).collect()));
        };
        let plan = self.widest_plan(errand, class, rows.len(), single)?;
        let mut program = Program::new(self.device, plan)?;
        let plan = program.session.plan().clone();
        let length = |&slot: &_| vec![D::Scalar::ZERO; plan.slot(slot).shape.elements()];
        let mut values: Vec<Vec<D::Scalar>> = plan.captures.iter().map(length).collect();
        let overlay = self.overlay.as_ref().ok_or_else(|| Error::internal("no state was entered"))?;
        let base = &overlay.states.get(&errand.state).ok_or_else(missing)?.session;
        for rows in rows.chunks(plan.batch) {
            program.run(base, rows, fill)?;
            for (i, values) in values.iter_mut().enumerate() {
                program.session.capture_into(i, values)?;
            }
            let flow = take(&rows.iter().map(|row| row.0).collect::<Vec<_>>(), &values)?;
            self.observer.iter_mut().for_each(|observer| observer(rows.len()));
            if flow.is_break() {
                return Ok((flow, Vec::new()));
            }
        }
        Ok((ControlFlow::Continue(()), Vec::new()))
    }

    /// Runs the rows of all classes, and by full passes those that are not worth less.
    fn run_classes(
        &mut self,
        errand: &Errand<'a>,
        classes: Classes,
        fill: FillPart<'_, D::Scalar>,
        take: TakeTargets<'_, D::Scalar>,
    ) -> Result<(ControlFlow<()>, Vec<usize>)> {
        let mut others = Vec::new();
        for (class, rows) in classes {
            let (flow, left) = self.run_class(errand, (&class, rows), fill, take)?;
            others.extend(left);
            if flow.is_break() {
                return Ok((flow, Vec::new()));
            }
        }
        Ok((ControlFlow::Continue(()), others))
    }

    /// The tail of so many rows, and an errand up to it, where it fits.
    pub(super) fn split(
        &mut self,
        state: usize,
        classes: &Classes,
    ) -> Result<Option<(Errand<'a>, Tail<'a, D>)>> {
        let rows: usize = classes.values().map(Vec::len).sum();
        if rows < TOGETHER || self.most_rows < 2 {
            return Ok(None);
        }
        let counts: Vec<(&Class, usize)> = classes.iter().map(|(c, rows)| (c, rows.len())).collect();
        let Some((regions, graph)) = self.overlay()?.regions.split(&counts)? else { return Ok(None) };
        let single = self.tail_plan(&graph, 1)?;
        // No more than the device likes, whatever is allowed: values are to come soon.
        let likes = self.device.batching();
        let most = self.most_rows.min(rows).min(likes.rows);
        let fitting = (likes.parts / single.arena_bytes.max(1)).clamp(1, most);
        let plan = self.tail_plan(&graph, rows.div_ceil(rows.div_ceil(fitting)))?;
        match self.make_room(plan.arena_bytes) {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::Limit => return Ok(None),
            Err(error) => return Err(error),
        }
        let (rest, held) = (single.forward_flops(), plan.arena_bytes);
        let errand = Errand { state, regions: Arc::new(regions), rest, held };
        Ok(Some((errand, Tail::new(self.device, plan)?)))
    }

    fn tail_plan(&self, graph: &Graph, rows: usize) -> Result<Plan> {
        let mut planner = Planner::new(graph, rows)?.fused(self.device.joining());
        planner.capture(graph.outputs()[0]);
        planner.finish::<D::Scalar>(None)
    }

    /// Evaluates rows as changes of a state, until `take` breaks off.
    pub(super) fn evaluate_rows(
        &mut self,
        state: usize,
        changes: &[Change],
        (fill, numbers): (FillPart<'_, D::Scalar>, Option<FillNumbers<'_>>),
        take: TakeValue<'_, D::Scalar>,
    ) -> Result<()> {
        let overlay = self.overlay()?;
        let known = overlay.states.get(&state).ok_or_else(missing)?;
        if known.is_behind {
            return Err(Error::unsupported(
                "a state that has moved cannot be evaluated from; enter it again",
            ));
        }
        let value = &known.value;
        let (classes, same) = classed(&overlay.regions, changes);
        let mut flow = ControlFlow::Continue(());
        same.iter().for_each(|&row| flow = joined(flow, take(row, value)));
        let whole = Errand::whole(state, overlay.regions.clone());
        self.observer.iter_mut().for_each(|observer| observer(same.len()));
        if flow.is_break() {
            return Ok(());
        }
        let split = if classes.len() < 2 { None } else { self.split(state, &classes)? };
        let (flow, others) = match split {
            None => {
                let length = self.graph.shape(whole.regions.targets()[0]).elements();
                let classes = grouped(&whole.regions, changes, classes);
                self.run_classes(&whole, classes, fill, &mut |rows, values| {
                    let mut flow = ControlFlow::Continue(());
                    // What was computed is taken even where it is more than was needed.
                    for (&row, v) in rows.iter().zip(values[0].chunks_exact(length)) {
                        flow = joined(flow, take(row, v));
                    }
                    Ok(flow)
                })?
            }
            Some((part, mut tail)) => {
                let (classes, _) = classed(&part.regions, changes);
                let classes = grouped(&part.regions, changes, classes);
                let push: TakeTargets<'_, _> = &mut |rows, values| tail.push(rows, values, take);
                let (flow, others) = self.run_classes(&part, classes, fill, push)?;
                (if flow.is_break() { flow } else { tail.run(take)? }, others)
            }
        };
        match numbers {
            _ if flow.is_break() || others.is_empty() => Ok(()),
            Some(numbers) => self.run_mixed(&others, numbers, take),
            None => self.run_whole(&others, fill, take).map(|_| ()),
        }
    }
}
