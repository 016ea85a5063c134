//! Inputs that differ from a known one in a part: perturbation methods ask for thousands of them, and what the part cannot
//! reach need not be computed again ([`voxplain_autodiff::Regions`]). The values are those of full passes, bit for bit.

mod classes;
mod groups;
mod program;
mod programs;
mod tail;
mod walk;

use crate::engine::Engine;
use crate::mixed::FillNumbers;
use programs::Programs;
use std::collections::BTreeMap;
use std::ops::{ControlFlow, Range};
use std::sync::Arc;
use voxplain_autodiff::{Device, Dirty, Plan, Planner, Regions, Session};
use voxplain_graph::ValueId;
use voxplain_tensor::{Error, MAX_RANK, Result, Scalar, Tensor};
use walk::Walk;

/// What a row may differ in: for every input and each axis of one example the entries from the first to the last that may
/// differ; `None` for inputs that are those of the state.
pub type Change = Dirty;

/// Writes what the input of a row has in a box: `(row, input, box, values)`.
pub type FillPart<'a, S> = &'a mut dyn FnMut(usize, usize, &[Range<usize>], &mut [S]);

/// Receives the explained value of a row; rows come in any order. `Break` ends the evaluation after the rows that ran together
/// with this one, which still come.
pub type TakeValue<'a, S> = &'a mut dyn FnMut(usize, &[S]) -> ControlFlow<()>;

/// Known states of a network, and inputs that differ from them in parts. One value of the graph at a time.
pub trait States<S: Scalar> {
    /// Runs the example that `fill` writes (as row 0) to `from`, keeps it as state `state`, and returns the value. The states
    /// of another `from` are forgotten.
    ///
    /// # Errors
    /// The state does not fit the memory limit, or the device failed.
    fn enter(&mut self, state: usize, from: ValueId, fill: FillPart<'_, S>) -> Result<Vec<S>>;

    /// Makes state `state` the same as state `like`, which has not moved: cheaper than running it.
    ///
    /// # Errors
    /// There is no such state, the memory limit leaves no room, or the device failed.
    fn enter_like(&mut self, state: usize, like: usize) -> Result<()>;

    /// Evaluates one row for each of `changes`, each as a change of state `state`, until `take` breaks off. What `fill` writes
    /// must be what the state has outside of the row's change. Rows of one call share batches, so few large calls are faster.
    ///
    /// # Errors
    /// There is no such state, it has moved, the memory limit leaves no room, or the device failed.
    fn evaluate(
        &mut self,
        state: usize,
        changes: &[Change],
        fill: FillPart<'_, S>,
        take: TakeValue<'_, S>,
    ) -> Result<()>;

    /// As [`States::evaluate`]; rows for which full passes are as good are put together where the network runs, from what was
    /// laid there ([`crate::Mixing::lay`]) and their numbers.
    ///
    /// # Errors
    /// As [`States::evaluate`], or nothing was laid.
    fn evaluate_mixed(
        &mut self,
        state: usize,
        changes: &[Change],
        fill: FillPart<'_, S>,
        numbers: FillNumbers<'_>,
        take: TakeValue<'_, S>,
    ) -> Result<()>;

    /// Moves state `state` along `changes`: each row differs in its change from the row before, the first from the state. Values
    /// come in the order of rows, some of them late. `Break` ends the walk; the state is then that of the last row whose value
    /// came. How many rows that are. [`States::evaluate`] and [`States::enter_like`] may refuse a state that moved.
    ///
    /// # Errors
    /// As [`States::evaluate`]; the state is then forgotten.
    fn walk(
        &mut self,
        state: usize,
        changes: &[Change],
        fill: FillPart<'_, S>,
        take: TakeValue<'_, S>,
    ) -> Result<usize>;

    /// Forgets all states.
    fn leave(&mut self);

    /// Bytes that states and the plans over them hold now.
    fn bytes(&self) -> usize;
}

/// A known state.
struct State<'a, D: Device> {
    session: Session<'a, D>,
    /// What is explained of it.
    value: Vec<D::Scalar>,
    /// Whether values behind a tail's inputs are of where it was before it moved.
    is_behind: bool,
}

/// The states of an engine.
pub(crate) struct Overlay<'a, D: Device> {
    regions: Arc<Regions<'a>>,
    plan: Arc<Plan>,
    states: BTreeMap<usize, State<'a, D>>,
    /// What moves a state.
    programs: Programs<'a, D>,
    walk: Option<Walk<'a, D>>,
}

impl<'a, D: Device> Overlay<'a, D> {
    /// The value that is explained.
    fn target(&self) -> ValueId {
        self.regions.targets()[0]
    }

    /// Bytes of all states, programs and the tail of walks.
    pub fn bytes(&self) -> usize {
        let states = self.states.len() * self.plan.arena_bytes;
        states + self.programs.bytes() + self.walk.as_ref().map_or(0, Walk::bytes)
    }
}

fn missing() -> Error {
    Error::internal("there is no such state, or it has moved")
}

/// `Break` if either is.
fn joined(a: ControlFlow<()>, b: ControlFlow<()>) -> ControlFlow<()> {
    if a.is_break() { a } else { b }
}

/// The box of everything.
fn all(shape: &[usize]) -> Vec<Range<usize>> {
    shape.iter().map(|&n| 0..n).collect()
}

impl<'a, D: Device> Engine<'a, D> {
    fn overlay(&mut self) -> Result<&mut Overlay<'a, D>> {
        self.overlay.as_mut().ok_or_else(|| Error::internal("no state was entered"))
    }

    /// The overlay for `from`; what others hold is given back first.
    fn prepare_overlay(&mut self, from: ValueId) -> Result<()> {
        if self.overlay.as_ref().is_some_and(|o| o.target() == from) {
            return Ok(());
        }
        self.overlay = None;
        let regions = Arc::new(Regions::new(self.graph, from, self.device.tile()));
        let mut planner = Planner::new(self.graph, 1)?.fused(self.device.joining());
        regions.kept().iter().for_each(|&v| {
            planner.capture(v);
        });
        let plan = Arc::new(planner.finish::<D::Scalar>(self.limit)?);
        let (states, programs) = (BTreeMap::new(), Programs::default());
        self.overlay = Some(Overlay { regions, plan, states, programs, walk: None });
        Ok(())
    }

    /// Refuses what would exceed the limit beside the states; gives back sessions that could be made again.
    fn make_room(&mut self, bytes: usize) -> Result<()> {
        let Some(limit) = self.limit else { return Ok(()) };
        if let Some(overlay) = self.overlay.as_mut().filter(|o| o.bytes() + bytes > limit) {
            overlay.programs = Programs::default();
        }
        self.forget_sessions();
        let held = self.held();
        if held + bytes <= limit {
            return Ok(());
        }
        Err(Error::limit(format!(
            "{bytes} bytes are needed beside {held} bytes of known states, the limit is {limit}"
        )))
    }

    /// Sees to it that state `state` has memory.
    fn make_state(&mut self, state: usize) -> Result<()> {
        if self.overlay()?.states.contains_key(&state) {
            return Ok(());
        }
        let plan = self.overlay()?.plan.clone();
        self.make_room(plan.arena_bytes)?;
        let session = Session::new(self.device, plan)?;
        self.overlay()?.states.insert(state, State { session, value: Vec::new(), is_behind: false });
        Ok(())
    }

    fn input_shapes(&self) -> Vec<Vec<usize>> {
        self.graph.inputs().iter().map(|&v| self.graph.shape(v).to_vec()).collect()
    }
}

impl<D: Device> States<D::Scalar> for Engine<'_, D> {
    fn enter(
        &mut self,
        state: usize,
        from: ValueId,
        fill: FillPart<'_, D::Scalar>,
    ) -> Result<Vec<D::Scalar>> {
        self.prepare_overlay(from)?;
        self.make_state(state)?;
        let plan = self.overlay()?.plan.clone();
        let mut inputs: Vec<Tensor<D::Scalar>> =
            plan.inputs.iter().map(|&s| Tensor::zeros(plan.slot(s).shape)).collect();
        for (i, tensor) in inputs.iter_mut().enumerate() {
            fill(0, i, &all(&tensor.shape()), tensor.data_mut());
        }
        let known = self.overlay()?.states.get_mut(&state);
        let known = known.ok_or_else(missing)?;
        known.session.forward(&inputs.iter().collect::<Vec<_>>())?;
        (known.value, known.is_behind) = (known.session.capture(0)?.data().to_vec(), false);
        Ok(known.value.clone())
    }

    fn enter_like(&mut self, state: usize, like: usize) -> Result<()> {
        if state == like {
            return Ok(());
        }
        self.make_state(state)?;
        let states = &mut self.overlay()?.states;
        let mut made = states.remove(&state).ok_or_else(missing)?;
        let model = states.get(&like).filter(|model| !model.is_behind).ok_or_else(missing)?;
        let plan = model.session.plan();
        for (at, &slot) in plan.captures.iter().enumerate() {
            made.session.paste(at, &model.session, at, &[0; MAX_RANK][..plan.slot(slot).shape.rank()])?;
        }
        (made.value, made.is_behind) = (model.value.clone(), false);
        states.insert(state, made);
        Ok(())
    }

    fn evaluate(
        &mut self,
        state: usize,
        changes: &[Change],
        fill: FillPart<'_, D::Scalar>,
        take: TakeValue<'_, D::Scalar>,
    ) -> Result<()> {
        self.evaluate_rows(state, changes, (fill, None), take)
    }

    fn evaluate_mixed(
        &mut self,
        state: usize,
        changes: &[Change],
        fill: FillPart<'_, D::Scalar>,
        numbers: FillNumbers<'_>,
        take: TakeValue<'_, D::Scalar>,
    ) -> Result<()> {
        self.evaluate_rows(state, changes, (fill, Some(numbers)), take)
    }

    fn walk(
        &mut self,
        state: usize,
        changes: &[Change],
        fill: FillPart<'_, D::Scalar>,
        take: TakeValue<'_, D::Scalar>,
    ) -> Result<usize> {
        let walked = self.walk_rows(state, changes, fill, take);
        if walked.is_err() {
            let overlay = self.overlay()?;
            overlay.states.remove(&state);
            overlay.walk.iter_mut().for_each(Walk::forget);
        }
        walked
    }

    fn leave(&mut self) {
        self.overlay = None;
    }

    fn bytes(&self) -> usize {
        self.overlay.as_ref().map_or(0, Overlay::bytes)
    }
}
