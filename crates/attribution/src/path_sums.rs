//! Weighted sums of signals at points of a straight path, made and added up where the network runs: of a path of many points
//! only its ends go in and only the sums come out. The bits are those of points and sums that the host makes one by one.

use crate::engine::{Engine, PassSpec};
use crate::mixed::roomy;
use std::sync::Arc;
use voxplain_autodiff::{Device, Kernel, Plan, Planner, Session, path_plan};
use voxplain_tensor::{Error, Result, Tensor};

/// A straight path from `b` to `x`, one of each for every input, and what is added up along it.
pub struct Path<'p, S> {
    /// `(x, b)`.
    pub ends: Vec<(&'p [S], &'p [S])>,
    /// Places from 0 at `b` to 1 at `x`, and the weights of their signals.
    pub points: &'p [(S, S)],
    /// The seed of every point's signal.
    pub seed: &'p [S],
}

/// The sums for every input.
pub type PathSums<S> = Vec<Vec<S>>;

impl<'a, D: Device> Engine<'a, D> {
    fn path_rows(&self, spec: &PassSpec<'_>, ground: &Plan, rows: usize) -> Result<Plan> {
        let mut planner = Planner::new(self.graph, rows)?.fused(self.device.joining()).along(ground)?;
        if let Some(table) = spec.table {
            table.add(&mut planner, spec.from, &spec.wanted)?;
            planner.summed(0, ground)?;
        }
        planner.finish::<D::Scalar>(self.room().map(|room| room.saturating_sub(ground.arena_bytes)))
    }

    /// The session that holds the ends of a path.
    fn path_ground(&self, path: &Path<'_, D::Scalar>, plan: Plan) -> Result<Session<'a, D>> {
        let mut inputs = Vec::new();
        for ((x, b), slots) in path.ends.iter().zip(plan.inputs.chunks(3)) {
            let shape = plan.slot(slots[0]).shape;
            inputs.push(Tensor::new(&shape, x.to_vec())?);
            inputs.push(Tensor::new(&shape, b.to_vec())?);
            inputs.push(Tensor::zeros(shape));
        }
        let mut ground = Session::new(self.device, Arc::new(plan))?;
        ground.forward(&inputs.iter().collect::<Vec<_>>())?;
        Ok(ground)
    }

    /// See [`crate::Mixing::along`].
    pub(crate) fn path_sums(
        &mut self,
        spec: &PassSpec<'_>,
        path: &Path<'_, D::Scalar>,
    ) -> Result<Option<PathSums<D::Scalar>>> {
        if spec.table.is_none() || spec.wanted != self.graph.inputs() || path.points.is_empty() {
            return Err(Error::internal("sums along a path are those of a signal at the inputs"));
        }
        let Some(held) = roomy(path_plan::<D::Scalar>(self.graph, self.room()))? else { return Ok(None) };
        let Some(single) = roomy(self.path_rows(spec, &held, 1))? else { return Ok(None) };
        if single.steps.iter().any(|step| matches!(step.kernel, Kernel::Host(_))) {
            return Ok(None);
        }
        let fitting = self.fitting(single.arena_bytes, path.points.len());
        let rows = path.points.len().div_ceil(path.points.len().div_ceil(fitting));
        let most = roomy(self.path_rows(spec, &held, rows))?;
        let (rows, bytes) = most.map_or((1, single.arena_bytes), |plan| (rows, plan.arena_bytes));
        self.give_way(held.arena_bytes + bytes);
        let mut ground = self.path_ground(path, held)?;
        let mut run: Option<Session<'a, D>> = None;
        for points in path.points.chunks(rows) {
            // The last points may be fewer.
            let session = match run.take().filter(|s| s.plan().batch == points.len()) {
                Some(session) => session,
                None => {
                    Session::new(self.device, Arc::new(self.path_rows(spec, ground.plan(), points.len())?))?
                }
            };
            let session = run.insert(session);
            add_points(session, &mut ground, points, path.seed)?;
            self.observer.iter_mut().for_each(|observer| observer(points.len()));
        }
        let sums = |i: usize| Ok(ground.capture(3 * i + 2)?.data().to_vec());
        (0..path.ends.len()).map(sums).collect::<Result<_>>().map(Some)
    }
}

/// Adds the weighted signals of some points to the sums.
fn add_points<'a, D: Device>(
    session: &mut Session<'a, D>,
    ground: &mut Session<'a, D>,
    points: &[(D::Scalar, D::Scalar)],
    seed: &[D::Scalar],
) -> Result<()> {
    let (places, weights) = points.iter().copied().unzip();
    let column = |numbers: Vec<D::Scalar>| Tensor::new(&[points.len()], numbers);
    session.forward_over(ground, &[&column(places)?, &column(weights)?])?;
    session.reverse_over(ground, 0, &seed.repeat(points.len()))?;
    (0..ground.plan().captures.len() / 3).try_for_each(|i| ground.take_result(3 * i + 2, session, 0, i))
}
