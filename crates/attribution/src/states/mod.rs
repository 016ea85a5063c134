//! Inputs that differ from a known one in a part: perturbation methods ask for thousands of them, and what the part cannot
//! reach need not be computed again ([`voxplain_autodiff::Regions`]). The values are those of full passes, bit for bit.

mod classes;
mod groups;
mod program;
mod tail;

use crate::engine::Engine;
use crate::mixed::FillNumbers;
use classes::Errand;
use program::Program;
use std::collections::BTreeMap;
use std::ops::{ControlFlow, Range};
use std::sync::Arc;
use voxplain_autodiff::{Class, CommonSizes, Device, Dirty, Plan, Planner, Regions, Session};
use voxplain_graph::ValueId;
use voxplain_tensor::{Error, Result, Scalar, Tensor};

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

    /// Evaluates one row for each of `changes`, each as a change of state `state`, until `take` breaks off. What `fill` writes
    /// must be what the state has outside of the row's change. Rows of one call share batches, so few large calls are faster.
    ///
    /// # Errors
    /// There is no such state, the memory limit leaves no room, or the device failed.
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

    /// Makes state `state` that of row 0, which differs from it in `change`, and returns the value.
    ///
    /// # Errors
    /// As [`States::evaluate`]; the state is then forgotten.
    fn advance(&mut self, state: usize, change: &Change, fill: FillPart<'_, S>) -> Result<Vec<S>>;

    /// Forgets all states.
    fn leave(&mut self);

    /// Bytes that states and the plans over them hold now.
    fn bytes(&self) -> usize;
}

/// Parts of inputs grow to multiples of this where a state moves, so that regions of similar sizes share a plan.
const GRAIN: usize = 4;
/// Bytes of plans that are kept for states that move.
const PROGRAMS: usize = 256 << 20;

/// The states of an engine.
pub(crate) struct Overlay<'a, D: Device> {
    regions: Arc<Regions<'a>>,
    plan: Arc<Plan>,
    states: BTreeMap<usize, (Session<'a, D>, Vec<D::Scalar>)>,
    /// Programs that move a state, and when each ran last.
    programs: BTreeMap<Class, (Program<'a, D>, u64)>,
    clock: u64,
}

impl<'a, D: Device> Overlay<'a, D> {
    /// The value that is explained.
    fn target(&self) -> ValueId {
        self.regions.targets()[0]
    }

    /// Bytes of all states and programs.
    pub fn bytes(&self) -> usize {
        let programs: usize = self.programs.values().map(|(p, _)| p.session.plan().arena_bytes).sum();
        self.states.len() * self.plan.arena_bytes + programs
    }
}

/// `Break` if either is.
fn joined(a: ControlFlow<()>, b: ControlFlow<()>) -> ControlFlow<()> {
    if a.is_break() { a } else { b }
}

/// The box of everything.
fn all(shape: &[usize]) -> Vec<Range<usize>> {
    shape.iter().map(|&n| 0..n).collect()
}

/// A box that begins at a multiple of `grain` and is a multiple of it long, as far as the data goes.
fn grown(change: &Change, shapes: &[Vec<usize>], grain: usize) -> Change {
    let along = |(r, &n): (&Range<usize>, &usize)| {
        let length = (r.end - r.start / grain * grain).next_multiple_of(grain).min(n);
        let start = (r.start / grain * grain).min(n - length);
        start..start + length
    };
    let one = |(part, shape): (&Option<Vec<Range<usize>>>, &Vec<usize>)| {
        part.as_ref().map(|p| p.iter().zip(shape).map(along).collect())
    };
    change.iter().zip(shapes).map(one).collect()
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
        let (states, programs) = (BTreeMap::new(), BTreeMap::new());
        self.overlay = Some(Overlay { regions, plan, states, programs, clock: 0 });
        Ok(())
    }

    /// Refuses what would exceed the limit beside the states; gives back sessions that could be made again.
    fn make_room(&mut self, bytes: usize) -> Result<()> {
        let Some(limit) = self.limit else { return Ok(()) };
        if let Some(overlay) = self.overlay.as_mut().filter(|o| o.bytes() + bytes > limit) {
            overlay.programs.clear();
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

    fn input_shapes(&self) -> Vec<Vec<usize>> {
        self.graph.inputs().iter().map(|&v| self.graph.shape(v).to_vec()).collect()
    }

    /// Moves a state by a program; `None` where a full pass is as good.
    fn move_state(
        &mut self,
        state: usize,
        change: &Change,
        fill: FillPart<'_, D::Scalar>,
    ) -> Result<Option<Vec<D::Scalar>>> {
        let Some((class, places)) = self.overlay()?.regions.place(change, &CommonSizes::default()) else {
            return Ok(self.overlay()?.states.get(&state).map(|s| s.1.clone()));
        };
        if !self.overlay()?.programs.contains_key(&class) {
            let regions = self.overlay()?.regions.clone();
            let plan = self.region_plan(&Errand::whole(state, regions), &class, 1, true)?;
            let Some(plan) = plan else { return Ok(None) };
            let program = Program::new(self.device, plan)?;
            self.overlay()?.keep(class.clone(), program);
        }
        let overlay = self.overlay()?;
        overlay.clock += 1;
        let missing = || Error::internal("there is no such state");
        let (base, value) = overlay.states.get_mut(&state).ok_or_else(missing)?;
        let (program, used) = overlay.programs.get_mut(&class).ok_or_else(missing)?;
        *used = overlay.clock;
        program.run(base, &[(0, places.clone())], fill)?;
        program.session.capture_into(0, value)?;
        let boxes = places.boxes.iter().enumerate().filter_map(|(at, place)| Some((at, place.as_ref()?)));
        for (part, (at, place)) in boxes.enumerate() {
            base.paste(at, &program.session, part + 1, place)?;
        }
        Ok(Some(value.clone()))
    }
}

impl<'a, D: Device> Overlay<'a, D> {
    /// Keeps a program; those that ran longest ago go when there are too many.
    fn keep(&mut self, class: Class, program: Program<'a, D>) {
        let bytes = |p: &Program<'a, D>| p.session.plan().arena_bytes;
        let mut held: usize = self.programs.values().map(|(p, _)| bytes(p)).sum();
        while held + bytes(&program) > PROGRAMS && !self.programs.is_empty() {
            let oldest =
                self.programs.iter().min_by_key(|(_, (_, used))| *used).map(|(class, _)| class.clone());
            held -= oldest.and_then(|c| self.programs.remove(&c)).map_or(0, |(p, _)| bytes(&p));
        }
        self.programs.insert(class, (program, self.clock));
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
        let plan = self.overlay()?.plan.clone();
        if !self.overlay()?.states.contains_key(&state) {
            self.make_room(plan.arena_bytes)?;
            let session = Session::new(self.device, plan.clone())?;
            self.overlay()?.states.insert(state, (session, Vec::new()));
        }
        let mut inputs: Vec<Tensor<D::Scalar>> =
            plan.inputs.iter().map(|&s| Tensor::zeros(plan.slot(s).shape)).collect();
        for (i, tensor) in inputs.iter_mut().enumerate() {
            fill(0, i, &all(&tensor.shape()), tensor.data_mut());
        }
        let known = self.overlay()?.states.get_mut(&state);
        let (session, value) = known.ok_or_else(|| Error::internal("a state is missing"))?;
        session.forward(&inputs.iter().collect::<Vec<_>>())?;
        *value = session.capture(0)?.data().to_vec();
        Ok(value.clone())
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

    fn advance(
        &mut self,
        state: usize,
        change: &Change,
        fill: FillPart<'_, D::Scalar>,
    ) -> Result<Vec<D::Scalar>> {
        let change = grown(change, &self.input_shapes(), GRAIN);
        let moved = self.move_state(state, &change, fill);
        match moved {
            Ok(Some(value)) => {
                self.observer.iter_mut().for_each(|observer| observer(1));
                Ok(value)
            }
            Ok(None) => {
                let from = self.overlay()?.target();
                let value = self.enter(state, from, fill)?;
                self.observer.iter_mut().for_each(|observer| observer(1));
                Ok(value)
            }
            Err(error) => {
                self.overlay()?.states.remove(&state);
                Err(error)
            }
        }
    }

    fn leave(&mut self) {
        self.overlay = None;
    }

    fn bytes(&self) -> usize {
        self.overlay.as_ref().map_or(0, Overlay::bytes)
    }
}
