//! Inputs that differ from a known one in a part: perturbation methods ask for thousands of them, and what the part cannot
//! reach need not be computed again ([`voxplain_autodiff::Regions`]). The values are those of full passes, bit for bit.

use crate::engine::{Engine, Fill, Network, PassSpec};
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;
use voxplain_autodiff::{Class, Device, Dirty, Places, Plan, Planner, Regions, Session};
use voxplain_graph::ValueId;
use voxplain_tensor::{Error, ErrorKind, Result, Scalar, Tensor};

/// What a row may differ in: for every input and each axis of one example the entries from the first to the last that may
/// differ; `None` for inputs that are those of the state.
pub type Change = Dirty;

/// Writes what the input of a row has in a box: `(row, input, box, values)`.
pub type FillPart<'a, S> = &'a mut dyn FnMut(usize, usize, &[Range<usize>], &mut [S]);

/// Receives the explained value of a row; rows come in any order.
pub type TakeValue<'a, S> = &'a mut dyn FnMut(usize, &[S]);

/// Known states of a network, and inputs that differ from them in parts. One value of the graph at a time.
pub trait States<S: Scalar> {
    /// Runs the example that `fill` writes (as row 0) to `from`, keeps it as state `state`, and returns the value. The states
    /// of another `from` are forgotten.
    ///
    /// # Errors
    /// The state does not fit the memory limit, or the device failed.
    fn enter(&mut self, state: usize, from: ValueId, fill: FillPart<'_, S>) -> Result<Vec<S>>;

    /// Evaluates one row for each of `changes`, each as a change of state `state`. What `fill` writes must be what the state
    /// has outside of the row's change.
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
/// The share of a full pass's operations from which a part is not worth the copies.
const WORTHWHILE: f64 = 0.95;
/// Bytes of plans that are kept for states that move.
const PROGRAMS: usize = 256 << 20;

/// A plan over a state with the tensors that go in.
struct Program<'a, D: Device> {
    session: Session<'a, D>,
    inputs: Vec<Tensor<D::Scalar>>,
}

/// The states of an engine.
pub(crate) struct Overlay<'a, D: Device> {
    regions: Regions<'a>,
    plan: Arc<Plan>,
    states: BTreeMap<usize, (Session<'a, D>, Vec<D::Scalar>)>,
    /// Programs that move a state, and when each ran last.
    programs: BTreeMap<Class, (Program<'a, D>, u64)>,
    clock: u64,
}

impl<D: Device> Overlay<'_, D> {
    /// Bytes of all states and programs.
    pub fn bytes(&self) -> usize {
        let programs: usize = self.programs.values().map(|(p, _)| p.session.plan().arena_bytes).sum();
        self.states.len() * self.plan.arena_bytes + programs
    }
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

impl<'a, D: Device> Program<'a, D> {
    fn new(device: &'a D, plan: Plan) -> Result<Self> {
        let inputs = plan.inputs.iter().map(|&s| Tensor::zeros(plan.slot(s).shape)).collect();
        Ok(Self { session: Session::new(device, Arc::new(plan))?, inputs })
    }

    /// Runs rows `rows` (numbers for `fill`) over a state; a plan of more rows repeats the last.
    fn run(
        &mut self,
        base: &Session<'a, D>,
        rows: &[(usize, &Change, Places)],
        fill: FillPart<'_, D::Scalar>,
    ) -> Result<()> {
        let batch = self.session.plan().batch;
        let Some(last) = rows.last() else { return Ok(()) };
        let parts = last.1.iter().flatten().count();
        let changed = last.1.iter().enumerate().filter(|(_, part)| part.is_some()).map(|(i, _)| i);
        for (tensor, input) in self.inputs.iter_mut().zip(changed) {
            let length = tensor.data().len() / batch;
            for (at, into) in tensor.data_mut().chunks_exact_mut(length.max(1)).enumerate() {
                let (row, change, _) = rows.get(at).unwrap_or(last);
                if let Some(part) = &change[input] {
                    fill(*row, input, part, into);
                }
            }
        }
        for (cut, tensor) in self.inputs[parts..].iter_mut().enumerate() {
            let width = tensor.data().len() / batch;
            for (at, into) in tensor.data_mut().chunks_exact_mut(width.max(1)).enumerate() {
                let place = &rows.get(at).unwrap_or(last).2.cuts[cut];
                into.iter_mut().zip(place).for_each(|(v, &p)| *v = D::Scalar::from_f64(p as f64));
            }
        }
        self.session.forward_over(base, &self.inputs.iter().collect::<Vec<_>>())
    }
}

impl<'a, D: Device> Engine<'a, D> {
    fn overlay(&mut self) -> Result<&mut Overlay<'a, D>> {
        self.overlay.as_mut().ok_or_else(|| Error::internal("no state was entered"))
    }

    /// The overlay for `from`; what others hold is given back first.
    fn prepare_overlay(&mut self, from: ValueId) -> Result<()> {
        if self.overlay.as_ref().is_some_and(|o| o.regions.target() == from) {
            return Ok(());
        }
        self.overlay = None;
        let regions = Regions::new(self.graph, from);
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
        let held = self.overlay.as_ref().map_or(0, Overlay::bytes);
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

    /// Runs rows by full passes.
    fn run_whole(
        &mut self,
        rows: &[usize],
        fill: FillPart<'_, D::Scalar>,
        take: TakeValue<'_, D::Scalar>,
    ) -> Result<()> {
        let (from, shapes) = (self.overlay()?.regions.target(), self.input_shapes());
        let spec = PassSpec { table: None, from, wanted: Vec::new(), captures: vec![from] };
        let mut write = |row: usize, what: Fill, into: &mut [D::Scalar]| {
            if let Fill::Input(i) = what {
                fill(rows[row], i, &all(&shapes[i]), into);
            }
        };
        self.run(&spec, rows.len(), &mut write, &mut |row, r| take(rows[row], r.captures[0]))
    }

    /// The plan of `rows` rows of a class, if a part is worth it and fits.
    fn region_plan(&mut self, class: &Class, rows: usize, keep: bool) -> Result<Option<Plan>> {
        let fused = self.device.joining();
        let overlay = self.overlay()?;
        let plan = overlay.regions.plan::<D::Scalar>(class, rows, &overlay.plan, (fused, keep, None))?;
        let share = plan.forward_flops() as f64 / rows as f64;
        let whole = overlay.plan.forward_flops() as f64;
        if whole > 0.0 && share > WORTHWHILE * whole {
            return Ok(None);
        }
        match self.make_room(plan.arena_bytes) {
            Ok(()) => Ok(Some(plan)),
            Err(error) if error.kind() == ErrorKind::Limit => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The plan of as many rows of a class at once as the device likes and the memory limit leaves room for; `single` is that
    /// of one row.
    fn widest_plan(&mut self, class: &Class, rows: usize, single: Plan) -> Result<Plan> {
        let room = self.device.batching().parts;
        let mut fitting = (room / single.arena_bytes.max(1)).clamp(1, self.most_rows.min(rows));
        while fitting > 1 {
            // Equal batches, so that the last one repeats few rows.
            let batch = rows.div_ceil(rows.div_ceil(fitting));
            if let Some(plan) = self.region_plan(class, batch, false)? {
                return Ok(plan);
            }
            fitting = batch / 2;
        }
        Ok(single)
    }

    /// Runs the rows of one class.
    fn run_class(
        &mut self,
        (state, class): (usize, &Class),
        rows: Vec<(usize, &Change, Places)>,
        fill: FillPart<'_, D::Scalar>,
        take: TakeValue<'_, D::Scalar>,
    ) -> Result<()> {
        let Some(single) = self.region_plan(class, 1, false)? else {
            let rows: Vec<usize> = rows.iter().map(|row| row.0).collect();
            return self.run_whole(&rows, fill, take);
        };
        let plan = self.widest_plan(class, rows.len(), single)?;
        let batch = plan.batch;
        let mut program = Program::new(self.device, plan)?;
        let overlay = self.overlay.as_ref().ok_or_else(|| Error::internal("no state was entered"))?;
        let (base, _) =
            overlay.states.get(&state).ok_or_else(|| Error::internal("there is no such state"))?;
        let length = self.graph.shape(overlay.regions.target()).elements();
        let mut values = vec![D::Scalar::ZERO; length * batch];
        for rows in rows.chunks(batch) {
            program.run(base, rows, fill)?;
            program.session.capture_into(0, &mut values)?;
            for (row, value) in rows.iter().zip(values.chunks_exact(length)) {
                take(row.0, value);
            }
            if let Some(observer) = &mut self.observer {
                observer(rows.len());
            }
        }
        Ok(())
    }

    /// Moves a state by a program; `None` where a full pass is as good.
    fn move_state(
        &mut self,
        state: usize,
        change: &Change,
        fill: FillPart<'_, D::Scalar>,
    ) -> Result<Option<Vec<D::Scalar>>> {
        let Some((class, places)) = self.overlay()?.regions.place(change) else {
            return Ok(self.overlay()?.states.get(&state).map(|s| s.1.clone()));
        };
        if !self.overlay()?.programs.contains_key(&class) {
            let Some(plan) = self.region_plan(&class, 1, true)? else { return Ok(None) };
            let program = Program::new(self.device, plan)?;
            self.overlay()?.keep(class.clone(), program);
        }
        let overlay = self.overlay()?;
        overlay.clock += 1;
        let missing = || Error::internal("there is no such state");
        let (base, value) = overlay.states.get_mut(&state).ok_or_else(missing)?;
        let (program, used) = overlay.programs.get_mut(&class).ok_or_else(missing)?;
        *used = overlay.clock;
        program.run(base, &[(0, change, places.clone())], fill)?;
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
        let overlay = self.overlay()?;
        let (_, value) =
            overlay.states.get(&state).ok_or_else(|| Error::internal("there is no such state"))?;
        let mut classes: BTreeMap<Class, Vec<(usize, &Change, Places)>> = BTreeMap::new();
        let mut same = 0;
        for (row, change) in changes.iter().enumerate() {
            match overlay.regions.place(change) {
                Some((class, places)) => classes.entry(class).or_default().push((row, change, places)),
                None => {
                    take(row, value);
                    same += 1;
                }
            }
        }
        self.observer.iter_mut().for_each(|observer| observer(same));
        for (class, rows) in classes {
            self.run_class((state, &class), rows, fill, take)?;
        }
        Ok(())
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
                let from = self.overlay()?.regions.target();
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
