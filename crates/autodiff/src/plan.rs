//! A plan: a fixed list of steps with every value's place in one arena, so that memory is known before the run.

use crate::kernel::{DType, Kernel};
use crate::ledger::NodeBooks;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::Write;
use core::ops::Range;
use voxplain_graph::Parameter;
use voxplain_tensor::Shape;

/// A value of a plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Slot(pub(crate) u32);

impl Slot {
    /// The position in [`Plan::slots`].
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// Where a planned value lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Storage {
    /// In the arena at this byte offset (a multiple of 64 for f32 devices).
    Arena(usize),
    /// It is the parameter with this position.
    Parameter(usize),
    /// It is a value of the session that this one runs over ([`crate::Session::forward_over`]): this slot of that one's plan.
    Base(Slot),
    /// Nowhere: nothing reads it.
    Dead,
}

/// Shape, type and place of a planned value.
#[derive(Clone, Debug)]
pub struct SlotInfo {
    /// The shape.
    pub shape: Shape,
    /// The element type.
    pub dtype: DType,
    /// Where it lives; aliases (reshapes) have the place of what they alias.
    pub storage: Storage,
    /// The slot whose storage this one shares; itself unless it is an alias.
    pub root: Slot,
    /// The graph value or the purpose, for people.
    pub label: String,
}

/// One kernel applied to values.
#[derive(Clone, Debug)]
pub struct Step {
    /// What.
    pub kernel: Kernel,
    /// The operands.
    pub reads: Vec<Slot>,
    /// The results; `None` where nobody wants one.
    pub writes: Vec<Option<Slot>>,
    /// The node that the step belongs to, for people and errors.
    pub label: String,
}

/// A reverse segment of a plan.
#[derive(Clone, Debug)]
pub struct Reverse {
    /// The steps, as a range of [`Plan::steps`].
    pub steps: Range<usize>,
    /// Where the seed is written before the segment runs.
    pub seed: Slot,
    /// The results, in the order in which they were asked for, and behind them the sums of the ledger.
    pub results: Vec<Slot>,
    /// What the nodes received and kept, if the rule table keeps books: their sums are the last of `results`, node by node.
    pub ledger: Vec<NodeBooks>,
    /// The rules that were applied: one line per node.
    pub rules: Vec<String>,
}

/// A forward program, any number of reverse programs over it, and where every value lives.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Examples per run.
    pub batch: usize,
    /// All values.
    pub slots: Vec<SlotInfo>,
    /// All steps: the forward segment, then the reverse segments.
    pub steps: Vec<Step>,
    /// The forward segment.
    pub forward: Range<usize>,
    /// The steps of the forward segment that depend on the reference inputs alone: with the same references they need not
    /// run again.
    pub reference: Range<usize>,
    /// The reverse segments.
    pub reverses: Vec<Reverse>,
    /// The inputs, in the graph's order.
    pub inputs: Vec<Slot>,
    /// The reference inputs, if a rule asked for the reference run.
    pub references: Option<Vec<Slot>>,
    /// The forward values that may be read after the forward segment, in the order in which they were asked for.
    pub captures: Vec<Slot>,
    /// The same values of the reference run, where there is one.
    pub reference_captures: Vec<Slot>,
    /// The weights of the graph, and behind them the tensors that rules brought along.
    pub parameters: Vec<Parameter>,
    /// Bytes of the arena: the exact peak above the weights.
    pub arena_bytes: usize,
    /// Bytes of one scalar on the device that the plan was made for.
    pub scalar_bytes: usize,
}

impl Plan {
    /// A plan for `batch` examples without reverse segments or references, whose steps are still to come.
    pub(crate) fn forward_alone<S>(
        batch: usize,
        (inputs, captures): (Vec<Slot>, Vec<Slot>),
        (slots, parameters): (Vec<SlotInfo>, Vec<Parameter>),
    ) -> Self {
        Self {
            batch,
            slots,
            steps: Vec::new(),
            forward: 0..0,
            reverses: Vec::new(),
            inputs,
            references: None,
            captures,
            reference_captures: Vec::new(),
            parameters,
            arena_bytes: 0,
            scalar_bytes: size_of::<S>(),
            reference: 0..0,
        }
    }

    /// Shape, type and place of a value.
    pub fn slot(&self, slot: Slot) -> &SlotInfo {
        &self.slots[slot.index()]
    }

    /// Floating-point operations of the forward segment.
    pub fn forward_flops(&self) -> u64 {
        self.steps[self.forward.clone()].iter().map(|s| s.kernel.flops()).sum()
    }

    /// Floating-point operations of reverse segment `index`.
    pub fn reverse_flops(&self, index: usize) -> u64 {
        self.steps[self.reverses[index].steps.clone()].iter().map(|s| s.kernel.flops()).sum()
    }

    /// Every step with its operands, shapes and bytes, one per line.
    pub fn dump(&self) -> String {
        let mut text = format!("batch {}, arena {} bytes\n", self.batch, self.arena_bytes);
        for (i, step) in self.steps.iter().enumerate() {
            let name = |s: &Slot| format!("%{}{}", s.0, self.slot(*s).shape);
            let reads: Vec<String> = step.reads.iter().map(name).collect();
            let writes: Vec<String> = step.writes.iter().flatten().map(name).collect();
            let (reads, writes) = (reads.join(" "), writes.join(" "));
            // Writing to a String cannot fail.
            let _ = writeln!(text, "{i:4} {:20} {reads} -> {writes}  ; {}", step.kernel.name(), step.label);
        }
        text
    }
}
