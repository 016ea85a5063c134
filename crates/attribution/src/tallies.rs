//! Sums over rows that stay where the network runs: what rows are made of goes in once, a row is a few numbers, and only the sums
//! come out. The bits are those of rows and sums that the host makes one by one.

use crate::engine::{Engine, PassSpec};
use crate::mixed::roomy;
use std::ops::Range;
use std::sync::Arc;
use voxplain_autodiff::{Device, Kernel, Plan, Planner, Session};
use voxplain_graph::Graph;
use voxplain_tensor::{Error, Result, Scalar, Tensor};

/// The sums for every input of the graph.
pub type Sums<S> = Vec<Vec<S>>;

/// Rows of one kind, and the sums of their signals at the inputs.
pub(crate) trait Tallied<S: Scalar> {
    /// The plan of the session that holds what rows are made of and, as the last value for every input, the sums.
    fn held(&self, graph: &Graph, room: Option<usize>) -> Result<Plan>;

    /// What that session is given for an input.
    fn kept(&self, input: usize) -> Vec<&[S]>;

    /// Makes the inputs of a plan.
    fn make<'g>(&self, planner: Planner<'g>, held: &Plan) -> Result<Planner<'g>>;

    /// Adds up the signals of a plan's first segment.
    fn sum(&self, planner: &mut Planner<'_>, held: &Plan) -> Result<()>;

    /// How many rows there are.
    fn count(&self) -> usize;

    /// The numbers of some rows, in the shapes of the plan's inputs.
    fn numbers(&self, rows: Range<usize>) -> Result<Vec<Tensor<S>>>;

    /// The seed of every row's signal.
    fn seed(&self) -> &[S];
}

impl<'a, D: Device> Engine<'a, D> {
    fn rows_plan(
        &self,
        spec: &PassSpec<'_>,
        tallied: &dyn Tallied<D::Scalar>,
        held: &Plan,
        rows: usize,
    ) -> Result<Plan> {
        let planner = Planner::new(self.graph, rows)?.fused(self.device.joining());
        let mut planner = tallied.make(planner, held)?;
        if let Some(table) = spec.table {
            table.add(&mut planner, spec.from, &spec.wanted)?;
            tallied.sum(&mut planner, held)?;
        }
        planner.finish::<D::Scalar>(self.room().map(|room| room.saturating_sub(held.arena_bytes)))
    }

    /// The session that holds what rows are made of.
    fn holding(&self, tallied: &dyn Tallied<D::Scalar>, plan: Plan) -> Result<Session<'a, D>> {
        let kept = (0..self.graph.inputs().len()).flat_map(|i| tallied.kept(i));
        let shaped = kept.zip(&plan.inputs).map(|(v, &slot)| Tensor::new(&plan.slot(slot).shape, v.to_vec()));
        let inputs = shaped.collect::<Result<Vec<_>>>()?;
        let mut session = Session::new(self.device, Arc::new(plan))?;
        session.forward(&inputs.iter().collect::<Vec<_>>())?;
        Ok(session)
    }

    /// The sums; none if there is no room, if rules compute on the host, or if a pass gives more than the signals of one run.
    pub(crate) fn tally(
        &mut self,
        spec: &PassSpec<'_>,
        tallied: &dyn Tallied<D::Scalar>,
    ) -> Result<Option<Sums<D::Scalar>>> {
        let count = tallied.count();
        let Some(table) = spec.table.filter(|_| spec.wanted == self.graph.inputs() && count > 0) else {
            return Err(Error::internal("sums over rows are those of a signal at the inputs"));
        };
        if table.needs_reference() {
            return Ok(None);
        }
        let Some(held) = roomy(tallied.held(self.graph, self.room()))? else { return Ok(None) };
        let Some(single) = roomy(self.rows_plan(spec, tallied, &held, 1))? else { return Ok(None) };
        let here = single.steps.iter().any(|step| matches!(step.kernel, Kernel::Host(_)));
        if here || single.reverses.iter().any(|reverse| !reverse.ledger.is_empty()) {
            return Ok(None);
        }
        let fitting = self.fitting(single.arena_bytes, count);
        let rows = count.div_ceil(count.div_ceil(fitting));
        let most = roomy(self.rows_plan(spec, tallied, &held, rows))?;
        let (rows, bytes) = most.map_or((1, single.arena_bytes), |plan| (rows, plan.arena_bytes));
        self.give_way(held.arena_bytes + bytes);
        let mut holding = self.holding(tallied, held)?;
        self.add_all(spec, tallied, &mut holding, rows)?;
        let inputs = self.graph.inputs().len();
        let width = holding.plan().captures.len() / inputs.max(1);
        let sums = |i: usize| Ok(holding.capture(width * (i + 1) - 1)?.into_data());
        (0..inputs).map(sums).collect::<Result<_>>().map(Some)
    }

    /// Runs all rows, so many at once.
    fn add_all(
        &mut self,
        spec: &PassSpec<'_>,
        tallied: &dyn Tallied<D::Scalar>,
        holding: &mut Session<'a, D>,
        most: usize,
    ) -> Result<()> {
        let (count, mut run) = (tallied.count(), None::<Session<'a, D>>);
        for start in (0..count).step_by(most) {
            let rows = start..count.min(start + most);
            // The last rows may be fewer.
            let session = match run.take().filter(|session| session.plan().batch == rows.len()) {
                Some(session) => session,
                None => {
                    let plan = self.rows_plan(spec, tallied, holding.plan(), rows.len())?;
                    Session::new(self.device, Arc::new(plan))?
                }
            };
            let (session, width) = (run.insert(session), rows.len());
            let numbers = tallied.numbers(rows)?;
            session.forward_over(holding, &numbers.iter().collect::<Vec<_>>())?;
            session.reverse_over(holding, 0, &tallied.seed().repeat(width))?;
            take_sums(session, holding)?;
            self.observer.iter_mut().for_each(|observer| observer(width));
        }
        Ok(())
    }
}

/// Keeps what the sums have become.
fn take_sums<'a, D: Device>(session: &Session<'a, D>, holding: &mut Session<'a, D>) -> Result<()> {
    let inputs = session.plan().reverses.first().map_or(0, |reverse| reverse.results.len());
    let width = holding.plan().captures.len() / inputs.max(1);
    (0..inputs).try_for_each(|i| holding.take_result(width * (i + 1) - 1, session, 0, i))
}
