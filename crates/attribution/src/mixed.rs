//! Rows between two known examples that a device puts together itself ([`voxplain_autodiff::Kernel::Mix`]): the example, what
//! fills it and the labels of its entries stay there, and a row is a few numbers. Values are those of rows that the host
//! writes, bit for bit.

use crate::engine::{Engine, PassSpec};
use crate::noise_sums::NoisyRows;
use crate::path_sums::Path;
use crate::states::{Overlay, TakeValue};
use crate::tallies::Sums;
use std::ops::ControlFlow;
use std::sync::Arc;
use voxplain_autodiff::{
    Device, GridGeometry, GridSumsGeometry, MixShares, Plan, Planner, Session, ground_plan, split, sums_plan,
};
use voxplain_graph::ValueId;
use voxplain_tensor::{Error, ErrorKind, Result, Scalar, Tensor};

/// What rows are put together from; one of each for every input.
pub struct Ground<'g, S> {
    /// The example, and what its entries become where they are absent.
    pub ends: Vec<(&'g [S], &'g [S])>,
    /// How much of the example an entry has.
    pub shares: Shares<'g>,
}

/// Where the shares of a row's entries come from.
pub enum Shares<'g> {
    /// From their features.
    Labelled {
        /// Labels of the entries of every input; those from `count` on have all of the example.
        labels: Vec<&'g [u32]>,
        /// How many features there are: a row is a share for each.
        count: usize,
    },
    /// From their places in grids; a row is the nodes and shifts of one.
    Gridded(Vec<GridGeometry>),
}

/// Writes the numbers of a row for an input: `(row, input, numbers)`.
pub type FillNumbers<'a> = &'a mut dyn FnMut(usize, usize, &mut [f64]);

/// A network that puts rows together where it runs.
pub trait Mixing<S: Scalar> {
    /// Keeps what the next rows are put together from; false if there is no room, or rows are no smaller than what they
    /// stand for.
    ///
    /// # Errors
    /// The ground is not the network's, or the device failed.
    fn lay(&mut self, ground: &Ground<'_, S>) -> Result<bool>;

    /// Evaluates `rows` rows in their order until `take` breaks off; rows that run together all come.
    ///
    /// # Errors
    /// There is no ground, the memory limit leaves no room, or the device failed.
    fn mix(
        &mut self,
        from: ValueId,
        rows: usize,
        numbers: FillNumbers<'_>,
        take: TakeValue<'_, S>,
    ) -> Result<()>;

    /// For every entry of an input with a grid the sums over rows of `weight (share - level)` and of its square; none if there
    /// is no room. Needs no ground.
    ///
    /// # Errors
    /// The device failed.
    fn sums(
        &mut self,
        input: (usize, GridGeometry),
        level: f64,
        weights: &[f64],
        numbers: FillNumbers<'_>,
    ) -> Result<Option<(Vec<f64>, Vec<f64>)>>;

    /// The sums along a path of weighted signals at the inputs, which are what `spec` wants; none if there is no room, or
    /// rules compute on the host. Needs no ground.
    ///
    /// # Errors
    /// As [`crate::Network::run`].
    fn along(&mut self, spec: &PassSpec<'_>, path: &Path<'_, S>) -> Result<Option<Sums<S>>>;

    /// The sums over noisy rows of what becomes of the signals at the inputs, which are what `spec` wants: moments as
    /// `[6, length]` words ([`voxplain_autodiff::Kernel::Moments`]), or sums. None if there is no room, rules compute on the host or
    /// need a reference, or a pass keeps books. Needs no ground.
    ///
    /// # Errors
    /// As [`crate::Network::run`].
    fn noisy(&mut self, spec: &PassSpec<'_>, rows: &NoisyRows<'_, S>) -> Result<Option<Sums<S>>>;

    /// Forgets the ground.
    fn lift(&mut self);
}

/// Labels from here on are not exact in single precision.
const MOST_LABELS: usize = 1 << 24;

/// What is kept, and the session of the rows that ran last.
pub(crate) struct Laid<'a, D: Device> {
    ground: Session<'a, D>,
    shares: Vec<MixShares>,
    rows: Option<Rows<'a, D>>,
}

struct Rows<'a, D: Device> {
    from: ValueId,
    session: Session<'a, D>,
    numbers: Vec<Tensor<D::Scalar>>,
}

impl<D: Device> Laid<'_, D> {
    /// Bytes of both.
    pub fn bytes(&self) -> usize {
        let rows = self.rows.as_ref().map_or(0, |rows| rows.session.plan().arena_bytes);
        self.ground.plan().arena_bytes + rows
    }

    /// Gives back what can be made again.
    pub fn forget_rows(&mut self) {
        self.rows = None;
    }
}

/// Writes the numbers of a row as threes of reals.
fn put<S: Scalar>(into: &mut [S], row: usize, input: usize, numbers: FillNumbers<'_>) {
    let mut doubles = vec![0.0; into.len() / 3];
    numbers(row, input, &mut doubles);
    for (three, v) in into.chunks_exact_mut(3).zip(doubles) {
        three.copy_from_slice(&split(v));
    }
}

fn shares_of<S>(ground: &Ground<'_, S>) -> Vec<MixShares> {
    match &ground.shares {
        Shares::Labelled { count, .. } => vec![MixShares::Labelled { count: *count }; ground.ends.len()],
        Shares::Gridded(grids) => grids.iter().map(|&grid| MixShares::Gridded(grid)).collect(),
    }
}

/// Whether the numbers of a row are fewer than the entries that they stand for.
fn is_worthwhile(shares: &[MixShares], lengths: impl Iterator<Item = usize>) -> bool {
    let labels = |s: &MixShares| !matches!(s, MixShares::Labelled { count } if *count >= MOST_LABELS);
    let numbers: usize = shares.iter().map(|s| 3 * s.numbers()).sum();
    numbers < lengths.sum() && shares.iter().all(labels)
}

/// `None` in the place of an error that says that there is no room.
pub(crate) fn roomy<T>(made: Result<T>) -> Result<Option<T>> {
    match made {
        Err(error) if error.kind() == ErrorKind::Limit => Ok(None),
        other => other.map(Some),
    }
}

impl<'a, D: Device> Engine<'a, D> {
    /// Whether rows between known examples are put together on the device, as it prefers unless this is said; never visible
    /// in the results.
    #[must_use]
    pub fn with_mixing(mut self, mixing: bool) -> Self {
        self.mixing = mixing;
        self
    }

    /// Bytes of what is known of examples.
    pub(crate) fn held(&self) -> usize {
        self.overlay.as_ref().map_or(0, Overlay::bytes) + self.laid.as_ref().map_or(0, Laid::bytes)
    }

    pub(crate) fn room(&self) -> Option<usize> {
        self.limit.map(|limit| limit.saturating_sub(self.held()))
    }

    fn laid(&mut self) -> Result<&mut Laid<'a, D>> {
        self.laid.as_mut().ok_or_else(|| Error::internal("nothing was laid to put rows together from"))
    }

    fn mixed_plan(&mut self, from: ValueId, rows: usize) -> Result<Plan> {
        let (room, graph, fused) = (self.room(), self.graph, self.device.joining());
        let laid = self.laid()?;
        let mut planner = Planner::new(graph, rows)?.fused(fused).mixed(laid.ground.plan(), &laid.shares)?;
        planner.capture(from);
        planner.finish::<D::Scalar>(room)
    }

    /// Makes sure that there is a session for rows up to `from`.
    fn prepare_rows(&mut self, from: ValueId, rows: usize) -> Result<()> {
        let known = self.laid()?.rows.take();
        let single = self.mixed_plan(from, 1)?;
        let fitting = self.fitting(single.arena_bytes, rows);
        let batch = rows.div_ceil(rows.div_ceil(fitting));
        if let Some(known) = known.filter(|k| k.from == from && k.session.plan().batch == batch) {
            self.laid()?.rows = Some(known);
            return Ok(());
        }
        let plan = roomy(self.mixed_plan(from, batch))?.unwrap_or(single);
        self.give_way(plan.arena_bytes);
        let numbers = plan.inputs.iter().map(|&s| Tensor::zeros(plan.slot(s).shape)).collect();
        let session = Session::new(self.device, Arc::new(plan))?;
        self.laid()?.rows = Some(Rows { from, session, numbers });
        Ok(())
    }
}

impl<D: Device> Mixing<D::Scalar> for Engine<'_, D> {
    fn lay(&mut self, ground: &Ground<'_, D::Scalar>) -> Result<bool> {
        self.lift();
        let shares = shares_of(ground);
        if !is_worthwhile(&shares, ground.ends.iter().map(|(x, _)| x.len())) {
            return Ok(false);
        }
        let plan = ground_plan::<D::Scalar>(self.graph, &shares, self.room());
        let Some(plan) = roomy(plan)? else { return Ok(false) };
        self.give_way(plan.arena_bytes);
        let mut slots = plan.inputs.iter().map(|&s| plan.slot(s).shape);
        let mut inputs = Vec::new();
        for (i, (x, fill)) in ground.ends.iter().enumerate() {
            let mut push = |data: Vec<D::Scalar>| -> Result<()> {
                let shape = slots.next().ok_or_else(|| Error::internal("a ground of more inputs"))?;
                inputs.push(Tensor::new(&shape, data)?);
                Ok(())
            };
            push(x.to_vec())?;
            push(fill.to_vec())?;
            if let Shares::Labelled { labels, count } = &ground.shares {
                let label = |&l: &u32| D::Scalar::from_f64((l as usize).min(*count) as f64);
                push(labels[i].iter().map(label).collect())?;
            }
        }
        let mut session = Session::new(self.device, Arc::new(plan))?;
        session.forward(&inputs.iter().collect::<Vec<_>>())?;
        self.laid = Some(Laid { ground: session, shares, rows: None });
        Ok(true)
    }

    fn mix(
        &mut self,
        from: ValueId,
        rows: usize,
        numbers: FillNumbers<'_>,
        take: TakeValue<'_, D::Scalar>,
    ) -> Result<()> {
        if rows == 0 {
            return Ok(());
        }
        self.prepare_rows(from, rows)?;
        let mut values = vec![D::Scalar::ZERO; 0];
        let mut start = 0;
        while start < rows {
            let laid = self.laid()?;
            let missing = || Error::internal("the session of the rows is missing");
            let run = laid.rows.as_mut().ok_or_else(missing)?;
            let batch = run.session.plan().batch;
            for (input, tensor) in run.numbers.iter_mut().enumerate() {
                let width = tensor.data().len() / batch;
                // The last batch repeats its last row.
                for (at, into) in tensor.data_mut().chunks_exact_mut(width.max(1)).enumerate() {
                    put(into, (start + at).min(rows - 1), input, numbers);
                }
            }
            run.session.forward_over(&laid.ground, &run.numbers.iter().collect::<Vec<_>>())?;
            let plan = run.session.plan();
            values.resize(plan.slot(plan.captures[0]).shape.elements(), D::Scalar::ZERO);
            run.session.capture_into(0, &mut values)?;
            let count = batch.min(rows - start);
            let mut flow = ControlFlow::Continue(());
            for (at, value) in values.chunks_exact(values.len() / batch).take(count).enumerate() {
                if take(start + at, value).is_break() {
                    flow = ControlFlow::Break(());
                }
            }
            self.observer.iter_mut().for_each(|observer| observer(count));
            if flow.is_break() {
                return Ok(());
            }
            start += count;
        }
        Ok(())
    }

    fn sums(
        &mut self,
        (input, grid): (usize, GridGeometry),
        level: f64,
        weights: &[f64],
        numbers: FillNumbers<'_>,
    ) -> Result<Option<(Vec<f64>, Vec<f64>)>> {
        let geometry = GridSumsGeometry { rows: weights.len(), grid, level };
        let mut plan = roomy(sums_plan::<D::Scalar>(geometry, self.room()))?;
        if plan.is_none() {
            self.forget_sessions();
            plan = roomy(sums_plan::<D::Scalar>(geometry, self.room()))?;
        }
        let Some(plan) = plan else { return Ok(None) };
        self.give_way(plan.arena_bytes);
        let threes: Vec<D::Scalar> = weights.iter().flat_map(|&w| split(w)).collect();
        let threes = Tensor::new(&plan.slot(plan.inputs[0]).shape, threes)?;
        let mut table = Tensor::zeros(plan.slot(plan.inputs[1]).shape);
        let width = 3 * grid.numbers();
        for (row, into) in table.data_mut().chunks_exact_mut(width).enumerate() {
            put(into, row, input, numbers);
        }
        let mut session = Session::new(self.device, Arc::new(plan))?;
        session.forward(&[&threes, &table])?;
        let all = session.capture(0)?;
        let whole = |three: &[D::Scalar]| three.iter().fold(0.0, |sum, v| sum + v.to_f64());
        let mut sums: Vec<f64> = all.data().chunks_exact(3).map(whole).collect();
        let squares = sums.split_off(grid.length());
        Ok(Some((sums, squares)))
    }

    fn along(&mut self, spec: &PassSpec<'_>, path: &Path<'_, D::Scalar>) -> Result<Option<Sums<D::Scalar>>> {
        self.tally(spec, path)
    }

    fn noisy(
        &mut self,
        spec: &PassSpec<'_>,
        rows: &NoisyRows<'_, D::Scalar>,
    ) -> Result<Option<Sums<D::Scalar>>> {
        if rows.fits() { self.tally(spec, rows) } else { Ok(None) }
    }

    fn lift(&mut self) {
        self.laid = None;
    }
}
