//! Joining steps whose results only the next step reads, so that a device finishes sums while they are in cache and never
//! stores what nobody else wants.
//!
//! Forward, a convolution takes up the normalisation, the sum, the rectifier (with its bits) and the pooling (with its
//! codes) behind it; in reverse, the adjoint of a convolution takes up the normalisation's adjoint before it and the mask
//! and rectifier behind it, the scatter of a pooling takes up the mask and rectifier behind it, and the adjoint of a
//! convolution with few channels takes up the scatter before it, whose sparse signal is then never stored. A joined step
//! computes what its parts would; nothing is joined across a value that is captured, wanted, or read by anyone else.

use crate::geometry::{ConvGeometry, PoolGeometry};
use crate::kernel::{AdjointFinish, BinaryFn, BroadcastGeometry, ConvFinish, DType, Kernel, PooledStart};
use crate::plan::{Plan, Slot, Step, Storage};
use alloc::vec;
use alloc::vec::Vec;
use voxplain_graph::ops::Pointwise;
use voxplain_tensor::MAX_RANK;

/// What a device wants joined.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Joining {
    /// Nothing.
    #[default]
    Nothing,
    /// Steps after which a device stores a value that the rest of the step is computed from: every such value has a place in
    /// the arena, so that the memory of a plan is all that it needs.
    Stored,
    /// Everything, with no place for what lies between.
    Everything,
}

/// Joins what can be joined in every segment of `plan`, which has not been placed in memory yet.
pub(crate) fn fuse(plan: &mut Plan, joining: Joining) {
    if joining == Joining::Nothing {
        return;
    }
    let mut fuser = Fuser::new(plan, joining == Joining::Stored);
    for i in 0..plan.steps.len() {
        fuser.join(i);
    }
    let Fuser { steps, .. } = fuser;
    let mut kept: Vec<Step> = Vec::with_capacity(plan.steps.len());
    let mut starts = vec![0; plan.steps.len() + 1];
    for (i, step) in steps.into_iter().enumerate() {
        starts[i] = kept.len();
        kept.extend(step);
    }
    starts[plan.steps.len()] = kept.len();
    plan.steps = kept;
    plan.forward = starts[plan.forward.start]..starts[plan.forward.end];
    plan.reference = starts[plan.reference.start]..starts[plan.reference.end];
    for reverse in &mut plan.reverses {
        reverse.steps = starts[reverse.steps.start]..starts[reverse.steps.end];
    }
}

/// The steps in the making: a joined step stands where its last part stood, and its other parts are gone.
struct Fuser<'p> {
    plan: &'p Plan,
    steps: Vec<Option<Step>>,
    /// By root: the steps that read it.
    readers: Vec<Vec<usize>>,
    /// By root: whether someone outside the steps reads it.
    wanted: Vec<bool>,
    /// By root: the step that makes it.
    maker: Vec<Option<usize>>,
    /// By step: whether it is part of a joined step.
    taken: Vec<bool>,
    /// Whether what lies between the parts of a step needs a place.
    stored: bool,
}

/// The end of a chain of steps that is being joined.
struct Chain {
    /// The steps taken up, the first the convolution.
    parts: Vec<usize>,
    /// The value behind the last of them.
    value: Slot,
}

impl<'p> Fuser<'p> {
    fn new(plan: &'p Plan, stored: bool) -> Self {
        let n = plan.slots.len();
        let (mut readers, mut wanted, mut maker) = (vec![Vec::new(); n], vec![false; n], vec![None; n]);
        let root = |slot: Slot| plan.slots[slot.index()].root.index();
        for (i, step) in plan.steps.iter().enumerate() {
            for &read in &step.reads {
                readers[root(read)].push(i);
            }
            step.writes.iter().flatten().for_each(|&w| maker[root(w)] = Some(i));
        }
        let results = plan.reverses.iter().flat_map(|r| &r.results);
        let outside = plan.captures.iter().chain(&plan.reference_captures).chain(results);
        outside.for_each(|&s| wanted[root(s)] = true);
        let steps = plan.steps.iter().cloned().map(Some).collect();
        Self { plan, steps, readers, wanted, maker, taken: vec![false; plan.steps.len()], stored }
    }

    fn root(&self, slot: Slot) -> usize {
        self.plan.slots[slot.index()].root.index()
    }

    /// The segment that a step belongs to: 0 forward, `1 + k` for reverse segment `k`.
    fn segment(&self, step: usize) -> usize {
        self.plan.reverses.iter().position(|r| r.steps.contains(&step)).map_or(0, |k| k + 1)
    }

    /// The steps that read a value; none if someone outside reads it too, a step that is joined already, or a step of
    /// another segment, which may run any number of times after this one.
    fn readers(&self, slot: Slot) -> &[usize] {
        let root = self.root(slot);
        let home = self.maker[root].map(|i| self.segment(i));
        let open = |&i: &usize| !self.taken[i] && Some(self.segment(i)) == home;
        if !self.wanted[root] && self.readers[root].iter().all(open) { &self.readers[root] } else { &[] }
    }

    /// The only reader of a value, if it reads it once.
    fn only_reader(&self, slot: Slot) -> Option<(usize, &'p Step)> {
        match self.readers(slot) {
            [one] => Some((*one, &self.plan.steps[*one])),
            _ => None,
        }
    }

    fn join(&mut self, i: usize) {
        let step = &self.plan.steps[i];
        if self.taken[i] {
            return;
        }
        match (&step.kernel, step.writes.first()) {
            (Kernel::Conv(g), Some(Some(y))) => self.join_conv(i, *g, *y),
            (Kernel::ConvAdjoint(g), Some(Some(dx))) => self.join_adjoint(i, *g, *dx),
            (Kernel::MaxScatter(g), Some(Some(dx))) => self.join_scatter(i, *g, *dx),
            _ => {}
        }
    }

    /// Puts `step` where the last of `parts` stood and removes the others.
    fn replace(&mut self, parts: &[usize], at: usize, step: Step) {
        for &part in parts {
            (self.steps[part], self.taken[part]) = (None, true);
        }
        self.steps[at] = Some(step);
    }

    fn join_conv(&mut self, i: usize, g: ConvGeometry, y: Slot) {
        let step = &self.plan.steps[i];
        let mut finish = ConvFinish { biased: step.reads.len() > 2, ..ConvFinish::default() };
        let mut reads = step.reads.clone();
        let mut chain = Chain { parts: vec![i], value: y };
        self.take_norm(&mut chain, &mut finish, &mut reads);
        self.take_sum(&mut chain, &mut finish, &mut reads);
        let mut writes = vec![None; 4];
        self.take_rectifier(&g, &mut chain, &mut finish, &mut writes);
        let before = chain.value;
        self.take_pool(&g, &mut chain, &mut finish, &mut writes);
        let pooled = finish.pool.is_some();
        if !pooled
            || self.stored
            || self.wanted[self.root(before)]
            || self.readers[self.root(before)].len() > 1
        {
            writes[0] = Some(before);
        }
        if chain.parts.len() == 1 {
            return;
        }
        // The step must stand before everything that reads its results, which is behind the first part that made one,
        // and behind everything that it reads.
        let made = writes.iter().flatten().filter_map(|&w| self.maker[self.root(w)]).min();
        let needs = reads.iter().filter_map(|&r| self.maker[self.root(r)]).max();
        let Some(at) = made.filter(|&at| needs.is_none_or(|n| n < at)) else { return };
        let label = self.plan.steps[*chain.parts.last().unwrap_or(&i)].label.clone();
        self.replace(&chain.parts, at, Step { kernel: Kernel::ConvBlock(g, finish), reads, writes, label });
    }

    fn take_norm(&self, chain: &mut Chain, finish: &mut ConvFinish, reads: &mut Vec<Slot>) {
        let Some((at, step)) = self.only_reader(chain.value) else { return };
        let (Kernel::BatchNorm(n), Some(Some(y))) = (&step.kernel, step.writes.first()) else { return };
        if self.root(step.reads[0]) == self.root(chain.value) && self.are_parameters(&step.reads[1..]) {
            finish.norm = Some(n.epsilon);
            reads.extend_from_slice(&step.reads[1..]);
            chain.parts.push(at);
            chain.value = *y;
        }
    }

    fn take_sum(&self, chain: &mut Chain, finish: &mut ConvFinish, reads: &mut Vec<Slot>) {
        let Some((at, step)) = self.only_reader(chain.value) else { return };
        let Kernel::Binary(BinaryFn::Add, g) = &step.kernel else { return };
        let [a, b] = step.reads[..] else { return };
        let other = if self.root(a) == self.root(chain.value) { b } else { a };
        let elements = |s: Slot| self.plan.slot(s).shape.elements();
        let same = is_plain(g, &g.a) && is_plain(g, &g.b) && elements(other) == elements(chain.value);
        // The other operand must be there already where the convolution is made anyway.
        if let (true, Some(Some(y))) = (same && self.root(a) != self.root(b), step.writes.first()) {
            finish.added = true;
            reads.push(other);
            chain.parts.push(at);
            chain.value = *y;
        }
    }

    /// A rectifier may share its operand with the step that keeps its bits, and with no other.
    fn take_rectifier(
        &self,
        g: &ConvGeometry,
        chain: &mut Chain,
        finish: &mut ConvFinish,
        writes: &mut [Option<Slot>],
    ) {
        let readers = self.readers(chain.value);
        let find = |kernel: &Kernel| readers.iter().copied().find(|&i| self.plan.steps[i].kernel == *kernel);
        let (relu, bits) = (find(&Kernel::Map(Pointwise::Relu)), find(&Kernel::PositiveBits));
        let count = usize::from(relu.is_some()) + usize::from(bits.is_some());
        // Rows of bits begin on bytes, so both must mean the same by a row.
        let rows = |i: usize| self.plan.steps[i].writes[0].is_none_or(|b| self.row(b) == g.output[2]);
        let Some(relu) = relu.filter(|_| readers.len() == count && bits.is_none_or(rows)) else { return };
        let Some(Some(y)) = self.plan.steps[relu].writes.first() else { return };
        finish.rectified = true;
        chain.parts.push(relu);
        chain.value = *y;
        if let Some(bits) = bits {
            writes[1] = self.plan.steps[bits].writes[0];
            chain.parts.push(bits);
        }
    }

    fn take_pool(
        &self,
        g: &ConvGeometry,
        chain: &mut Chain,
        finish: &mut ConvFinish,
        writes: &mut [Option<Slot>],
    ) {
        let root = self.root(chain.value);
        // Other readers may have the values before pooling, which are then made too.
        let pool = self.readers[root].iter().copied().find_map(|i| match &self.plan.steps[i].kernel {
            Kernel::MaxPool(p) if is_halving(p, g) && !self.taken[i] && self.segment(i) == 0 => Some((i, *p)),
            _ => None,
        });
        let Some((at, pool)) = pool else { return };
        finish.pool = Some(pool);
        let made = &self.plan.steps[at].writes;
        writes[2] = made.first().copied().flatten();
        writes[3] = made.get(1).copied().flatten();
        chain.parts.push(at);
    }

    fn join_adjoint(&mut self, i: usize, g: ConvGeometry, dx: Slot) {
        let step = &self.plan.steps[i];
        let (mut finish, mut reads, mut parts) = (AdjointFinish::default(), step.reads.clone(), vec![i]);
        let before = self.maker[self.root(reads[0])].filter(|&at| {
            let from = &self.plan.steps[at];
            !self.stored
                && matches!(from.kernel, Kernel::BatchNormAdjoint(_))
                && !self.taken[at]
                && self.only_reader(reads[0]).is_some()
                && self.same_shape(from.reads[0], reads[0])
                && self.are_parameters(&from.reads[1..])
        });
        if let Some((at, Step { kernel: Kernel::BatchNormAdjoint(n), reads: from, .. })) =
            before.map(|at| (at, &self.plan.steps[at]))
        {
            finish.norm = Some(n.epsilon);
            reads[0] = from[0];
            reads.extend_from_slice(&from[1..]);
            parts.push(at);
        }
        finish.pooled = self.take_scatter(&g, &mut reads, &mut parts);
        let (value, bits, rectified) = self.take_gates(dx, &mut parts);
        (finish.masked, finish.rectified) = (bits.is_some(), rectified);
        reads.extend(bits);
        if parts.len() > 1 {
            let at = *parts.iter().max().unwrap_or(&i);
            let label = step.label.clone();
            self.replace(
                &parts,
                at,
                Step { kernel: Kernel::ConvAdjointBlock(g, finish), reads, writes: vec![Some(value)], label },
            );
        }
    }

    /// The scatter of a pooling, joined with its gates already, that makes the signal of an adjoint and nothing else reads.
    fn take_scatter(
        &self,
        g: &ConvGeometry,
        reads: &mut Vec<Slot>,
        parts: &mut Vec<usize>,
    ) -> Option<PooledStart> {
        let at = self.maker[self.root(reads[0])].filter(|_| !self.stored)?;
        let step = self.steps[at].as_ref()?;
        let (pool, rectified) = match step.kernel {
            Kernel::MaxScatter(pool) => (pool, false),
            Kernel::Unpool(pool, rectified) => (pool, rectified),
            _ => return None,
        };
        if self.only_reader(reads[0]).is_none() || !g.scatters_from(&pool) {
            return None;
        }
        reads[0] = step.reads[0];
        reads.extend_from_slice(&step.reads[1..]);
        parts.push(at);
        Some(PooledStart { pool, masked: step.reads.len() > 2, rectified })
    }

    fn join_scatter(&mut self, i: usize, g: PoolGeometry, dx: Slot) {
        let step = &self.plan.steps[i];
        let mut parts = vec![i];
        let (value, bits, rectified) = self.take_gates(dx, &mut parts);
        if parts.len() == 1 || g.code() != DType::Byte || bits.is_some_and(|b| self.row(b) != g.input[2]) {
            return;
        }
        let mut reads = step.reads.clone();
        reads.extend(bits);
        let at = *parts.iter().max().unwrap_or(&i);
        let label = step.label.clone();
        self.replace(
            &parts,
            at,
            Step { kernel: Kernel::Unpool(g, rectified), reads, writes: vec![Some(value)], label },
        );
    }

    /// A mask and a rectifier behind a value, in any order; the value behind them, the mask's bits, whether rectified.
    fn take_gates(&self, value: Slot, parts: &mut Vec<usize>) -> (Slot, Option<Slot>, bool) {
        let (mut value, mut bits, mut rectified) = (value, None, false);
        while let Some((at, step)) = self.only_reader(value) {
            let Some(Some(next)) = step.writes.first() else { break };
            match &step.kernel {
                Kernel::Mask if bits.is_none() && self.same_shape(step.reads[1], value) => {
                    bits = Some(step.reads[1])
                }
                Kernel::Map(Pointwise::Relu) if !rectified => rectified = true,
                _ => break,
            }
            parts.push(at);
            value = *next;
        }
        (value, bits, rectified)
    }

    /// Devices fold a normalisation into the weights when a plan is prepared.
    fn are_parameters(&self, slots: &[Slot]) -> bool {
        slots.iter().all(|&s| matches!(self.plan.slot(s).storage, Storage::Parameter(_)))
    }

    /// Elements of a row of a value.
    fn row(&self, slot: Slot) -> usize {
        self.plan.slot(slot).shape.last().copied().unwrap_or(1)
    }

    fn same_shape(&self, a: Slot, b: Slot) -> bool {
        self.plan.slot(a).shape == self.plan.slot(b).shape
    }
}

/// Whether an operand is as large as the result. Along axes of size 1 any stride will do.
fn is_plain(g: &BroadcastGeometry, strides: &[usize; MAX_RANK]) -> bool {
    let plain = g.shape.strides();
    (0..g.shape.rank()).all(|a| g.shape[a] == 1 || strides[a] == plain[a])
}

/// Whether a pooling halves the outputs of a convolution, its rows among them; slices only of a convolution that sums over
/// slices, because devices finish no others together.
fn is_halving(p: &PoolGeometry, g: &ConvGeometry) -> bool {
    let slices = p.kernel[0] == 1 || g.kernel[0] > 1;
    let whole = p.input == g.output && p.planes == g.batch * g.out_channels;
    p.is_halving() && p.kernel[2] == 2 && slices && whole
}
