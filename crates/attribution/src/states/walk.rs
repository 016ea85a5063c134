//! A state that moves: rows of which each differs in a part from the one before. Every step computes what its part reaches and
//! moves the state there; what comes behind the values at which changes have spread over almost everything is computed for
//! many steps together, and that part of the state stays where it was.

use super::classes::{Errand, TOGETHER};
use super::groups::classed;
use super::program::{Program, Row};
use super::tail::Tail;
use super::{Change, FillPart, States, TakeValue, joined, missing};
use crate::engine::Engine;
use std::ops::ControlFlow;
use std::sync::Arc;
use voxplain_autodiff::{Class, CommonSizes, Device, Regions};
use voxplain_tensor::{Error, Result, Scalar};

/// How states move. Made once: what is behind the tail's inputs is no longer known of a state that moved.
pub(super) struct Walk<'a, D: Device> {
    /// The network up to the explained value, or up to the tail.
    regions: Arc<Regions<'a>>,
    /// Operations of the tail.
    rest: u64,
    tail: Option<Tail<'a, D>>,
    /// By target of the regions: its value after a step.
    values: Vec<Vec<D::Scalar>>,
    /// Whether there were rows enough to think of a tail.
    is_settled: bool,
}

impl<'a, D: Device> Walk<'a, D> {
    /// Bytes that the tail holds.
    pub fn bytes(&self) -> usize {
        self.tail.as_ref().map_or(0, Tail::bytes)
    }

    /// Forgets the rows that wait.
    pub fn forget(&mut self) {
        self.tail.iter_mut().for_each(Tail::forget);
    }

    fn errand(&self, state: usize) -> Errand<'a> {
        Errand { state, regions: self.regions.clone(), rest: self.rest, held: 0 }
    }
}

/// A row of a walk and where its boxes lie.
struct Step {
    state: usize,
    class: Class,
    row: Row,
}

impl<'a, D: Device> Engine<'a, D> {
    fn moves(&mut self) -> Result<&mut Walk<'a, D>> {
        self.overlay()?.walk.as_mut().ok_or_else(|| Error::internal("no walk was prepared"))
    }

    /// Decides how states move, given the first rows.
    fn prepare_walk(&mut self, state: usize, changes: &[Change]) -> Result<()> {
        if self.overlay()?.walk.as_ref().is_some_and(|w| w.is_settled || changes.len() < TOGETHER) {
            return Ok(());
        }
        let regions = self.overlay()?.regions.clone();
        let is_settled = changes.len() >= TOGETHER;
        let split = match is_settled {
            true => self.split(state, &classed(&regions, changes).0)?,
            false => None,
        };
        let (errand, tail) = match split {
            Some((errand, tail)) => (errand, Some(tail)),
            None => (Errand::whole(state, regions), None),
        };
        let length = |&value: &_| vec![D::Scalar::ZERO; self.graph.shape(value).elements()];
        let values = errand.regions.targets().iter().map(length).collect();
        let (regions, rest) = (errand.regions, errand.rest);
        self.overlay()?.walk = Some(Walk { regions, rest, tail, values, is_settled });
        Ok(())
    }

    /// Moves a state along rows until `take` breaks off; how many.
    pub(super) fn walk_rows(
        &mut self,
        state: usize,
        changes: &[Change],
        fill: FillPart<'_, D::Scalar>,
        take: TakeValue<'_, D::Scalar>,
    ) -> Result<usize> {
        self.prepare_walk(state, changes)?;
        let mut latest = self.overlay()?.states.get(&state).ok_or_else(missing)?.value.clone();
        let mut flow = ControlFlow::Continue(());
        let mut moved = 0;
        while moved < changes.len() && flow.is_continue() {
            let row = moved;
            flow = match self.moves()?.regions.place(&changes[row], &CommonSizes::default()) {
                Some((class, places)) => {
                    self.step(Step { state, class, row: (row, places) }, fill, (&mut latest, take))?
                }
                None => self.stay(row, &latest, take)?,
            };
            self.observer.iter_mut().for_each(|observer| observer(1));
            moved += 1;
        }
        let _ = self.catch_up((&mut latest, take))?;
        self.overlay()?.states.get_mut(&state).ok_or_else(missing)?.value = latest;
        Ok(moved)
    }

    /// A row that has the value of the one before.
    fn stay(
        &mut self,
        row: usize,
        latest: &[D::Scalar],
        take: TakeValue<'_, D::Scalar>,
    ) -> Result<ControlFlow<()>> {
        Ok(match self.moves()?.tail.as_mut().is_some_and(|tail| tail.repeat(row)) {
            true => ControlFlow::Continue(()),
            false => take(row, latest),
        })
    }

    /// Runs the rows that wait for the tail.
    fn catch_up(
        &mut self,
        (latest, take): (&mut Vec<D::Scalar>, TakeValue<'_, D::Scalar>),
    ) -> Result<ControlFlow<()>> {
        match &mut self.moves()?.tail {
            Some(tail) => tail.run(&mut |row, value| note(latest, take, row, value)),
            None => Ok(ControlFlow::Continue(())),
        }
    }

    /// Moves a state by one row, by a full pass where that is as good.
    fn step(
        &mut self,
        step: Step,
        fill: FillPart<'_, D::Scalar>,
        (latest, take): (&mut Vec<D::Scalar>, TakeValue<'_, D::Scalar>),
    ) -> Result<ControlFlow<()>> {
        if !self.has_program(&step)? {
            let flow = self.catch_up((latest, take))?;
            let from = self.overlay()?.target();
            let value =
                self.enter(step.state, from, &mut |_, i, part, into| fill(step.row.0, i, part, into))?;
            return Ok(joined(flow, note(latest, take, step.row.0, &value)));
        }
        let overlay = self.overlay()?;
        let known = overlay.states.get_mut(&step.state).ok_or_else(missing)?;
        let program = overlay.programs.next(&step.class)?;
        let walk = overlay.walk.as_mut().ok_or_else(missing)?;
        known.is_behind |= walk.tail.is_some();
        program.run(&known.session, core::slice::from_ref(&step.row), fill)?;
        for (i, value) in walk.values.iter_mut().enumerate() {
            program.session.capture_into(i, value)?;
        }
        let (row, places) = &step.row;
        let boxes = places.boxes.iter().enumerate().filter_map(|(at, place)| Some((at, place.as_ref()?)));
        for (part, (at, place)) in boxes.enumerate() {
            known.session.paste(at, &program.session, part + walk.values.len(), place)?;
        }
        let mut note = |row: usize, value: &[D::Scalar]| note(latest, take, row, value);
        match &mut walk.tail {
            Some(tail) => tail.push(&[*row], &walk.values, &mut note),
            None => Ok(note(*row, &walk.values[0])),
        }
    }

    /// Sees to it that there is a program for a step; false where a full pass is as good.
    fn has_program(&mut self, step: &Step) -> Result<bool> {
        if self.overlay()?.programs.contains(&step.class) {
            return Ok(true);
        }
        let errand = self.moves()?.errand(step.state);
        let Some(plan) = self.region_plan(&errand, &step.class, 1, true)? else { return Ok(false) };
        let program = Program::new(self.device, plan)?;
        self.overlay()?.programs.keep(step.class.clone(), program);
        Ok(true)
    }
}

/// Hands a value on, which is the latest.
fn note<S: Scalar>(latest: &mut Vec<S>, take: TakeValue<'_, S>, row: usize, value: &[S]) -> ControlFlow<()> {
    latest.clear();
    latest.extend_from_slice(value);
    take(row, value)
}
