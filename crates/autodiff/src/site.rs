//! What a rule sees at a node, and what it can emit there.

use crate::emitter::Emitter;
use crate::host::HostCall;
use crate::kernel::{BinaryFn, DType, Kernel};
use crate::ledger::{Books, Cause};
use crate::operators::{self, Context, Run, Selection};
use crate::plan::Slot;
use crate::signal::Signal;
use alloc::format;
use alloc::vec::Vec;
use core::cell::Cell;
use voxplain_graph::ops::Pointwise;
use voxplain_graph::{Class, Node, Parameter};
use voxplain_tensor::{Error, Result, Shape};

/// A node as a rule sees it: the run at the explained input, the run at the reference, and what can be emitted.
///
/// Using a forward value is all it takes to save it: the planner keeps every value until its last use.
pub struct Site<'a> {
    pub(crate) context: Context<'a>,
    pub(crate) emitter: &'a mut Emitter,
    pub(crate) run: &'a Run,
    pub(crate) reference: Option<&'a Run>,
    pub(crate) wanted: Vec<bool>,
    pub(crate) first: bool,
    pub(crate) state: State,
    pub(crate) books: Books,
    /// An operand that was asked for and is none.
    pub(crate) missing: Cell<Option<usize>>,
}

/// What rules computed before the signal came: by operand, and of the node itself.
#[derive(Clone, Debug, Default)]
pub(crate) struct State {
    pub operands: Vec<Vec<Slot>>,
    pub own: Vec<Slot>,
}

/// What a rule is told that asks for an operand that the node does not have.
pub(crate) fn no_operand(i: usize, count: usize) -> Error {
    Error::invalid(format!("the rule asks for operand {i} of a node that has {count}, counted from 0"))
}

impl Site<'_> {
    /// The node.
    pub fn node(&self) -> &Node {
        self.context.node
    }

    /// The structural class of the node here.
    pub fn class(&self) -> Class {
        let varies: Vec<bool> = (0..self.node().inputs.len()).map(|i| self.context.varies(i)).collect();
        self.node().op.class(&varies)
    }

    /// Whether this is the first weighted layer on a path from a graph input; every input has at least one.
    pub fn is_first(&self) -> bool {
        self.first
    }

    /// Whether operand `i` depends on a graph input; weights and other constants do not.
    pub fn varies(&self, i: usize) -> bool {
        self.context.varies(i)
    }

    /// The number of examples that run at once; the leading axis of every value holds them one after the other.
    pub fn examples(&self) -> usize {
        self.context.batch
    }

    /// What [`Rule::prepare`](crate::Rule::prepare) computed at the node that made operand `i`; nothing for inputs.
    pub fn state(&self, i: usize) -> Vec<Slot> {
        self.state.operands.get(i).cloned().unwrap_or_default()
    }

    /// What [`Rule::prepare`](crate::Rule::prepare) computed here.
    pub fn own_state(&self) -> Vec<Slot> {
        self.state.own.clone()
    }

    /// Enters into the ledger that of the relevance given to this node `amounts` went to `cause`; see [`crate::NodeBooks`].
    pub fn book(&mut self, cause: Cause, amounts: Slot) {
        self.books.entries.push((cause, amounts));
    }

    /// Says where the relevance goes that the node keeps and that is booked nowhere.
    pub fn book_rest(&mut self, cause: Cause) {
        self.books.rest = Some(cause);
    }

    /// Whether anyone reads the ledger.
    pub fn keeps_books(&self) -> bool {
        self.books.kept
    }

    /// A tensor that the rule brings along, as weights are.
    pub fn constant(&mut self, parameter: &Parameter) -> Slot {
        self.emitter.constant(parameter)
    }

    /// Values that the host computes of `reads` wherever the plan runs; see [`HostCall`].
    pub fn on_host(&mut self, call: HostCall, reads: &[Slot], shapes: &[Shape]) -> Vec<Slot> {
        let results: Vec<_> = shapes.iter().map(|&shape| (shape, DType::Real)).collect();
        self.emitter.emit_typed(Kernel::Host(call), reads, &results)
    }

    /// Refuses signals that do not fit the operands: as many, each in its operand's shape.
    pub(crate) fn check<S: Signal>(&self, lower: &[Option<S>]) -> Result<()> {
        let operands = self.node().inputs.len();
        if lower.len() != operands {
            return Err(Error::invalid(format!("{} signals returned for {operands} operands", lower.len())));
        }
        for (i, signal) in lower.iter().enumerate() {
            let wanted = self.shape(self.run.inputs[i]);
            let slots = signal.iter().flat_map(S::slots);
            if let Some(shape) = slots.map(|slot| self.shape(slot)).find(|shape| *shape != wanted) {
                return Err(Error::invalid(format!(
                    "a signal of shape {shape} returned for operand {i}, whose shape is {wanted}"
                )));
            }
        }
        Ok(())
    }

    /// Where steps are written.
    pub fn emitter(&mut self) -> &mut Emitter {
        self.emitter
    }

    /// Whether the signal at operand `i` is needed further down.
    pub fn wants(&self, i: usize) -> bool {
        self.wanted.get(i).copied().unwrap_or(false)
    }

    /// A result that gives `signal` to the first operand and nothing to the others.
    pub fn to_first<S>(&self, signal: S) -> Vec<Option<S>> {
        let mut out: Vec<Option<S>> = (0..self.node().inputs.len()).map(|_| None).collect();
        if self.wants(0) {
            out[0] = Some(signal);
        }
        out
    }

    /// Operand `i` at the explained input. Where the node has no such operand, the plan fails with an error that names the node.
    pub fn input(&self, i: usize) -> Slot {
        self.run.inputs.get(i).copied().unwrap_or_else(|| {
            self.missing.set(Some(i));
            self.run.output
        })
    }

    /// The node's value at the explained input.
    pub fn output(&self) -> Slot {
        self.run.output
    }

    /// Operand `i` at the reference.
    ///
    /// # Errors
    /// The rule did not declare [`crate::Rule::needs_reference`], or the node has no such operand.
    pub fn reference_input(&self, i: usize) -> Result<Slot> {
        let operands = &self.reference_run()?.inputs;
        operands.get(i).copied().ok_or_else(|| no_operand(i, operands.len()))
    }

    /// The node's value at the reference.
    ///
    /// # Errors
    /// The rule did not declare [`crate::Rule::needs_reference`].
    pub fn reference_output(&self) -> Result<Slot> {
        Ok(self.reference_run()?.output)
    }

    fn reference_run(&self) -> Result<&Run> {
        self.reference.ok_or_else(|| Error::internal("the rule uses the reference run without declaring it"))
    }

    /// The gradient of this node: the vector-Jacobian product of `upper` at the explained input.
    ///
    /// # Errors
    /// A wanted operand cannot be differentiated.
    pub fn vjp(&mut self, upper: Slot) -> Result<Vec<Option<Slot>>> {
        operators::vjp(&self.context, self.emitter, self.run, upper, &self.wanted)
    }

    /// `x_i sum_j dy_j/dx_i s_j` for every wanted operand: what each has of the node's value, weighed by `s`.
    ///
    /// # Errors
    /// A wanted operand cannot be differentiated.
    pub fn by_value(&mut self, s: Slot) -> Result<Vec<Option<Slot>>> {
        let mut lower = Vec::new();
        for (i, back) in self.vjp(s)?.into_iter().enumerate() {
            let input = self.input(i);
            lower.push(back.map(|back| self.emitter.mul(input, back)));
        }
        Ok(lower)
    }

    /// The node that made operand `i`, if one did.
    pub fn maker(&self, i: usize) -> Option<&Node> {
        let made = *self.node().inputs.get(i)?;
        self.context.graph.nodes().iter().find(|n| n.output == made)
    }

    /// As [`Site::vjp`], for a normalisation with its scale taken as a constant: `inverse (u - mean(u))` with
    /// `u = scale upper`, the adjoint of `scale inverse (x - mean(x)) + bias`.
    ///
    /// # Errors
    /// The node is no normalisation with statistics of its data.
    pub fn frozen_vjp(&mut self, upper: Slot) -> Result<Slot> {
        operators::frozen_vjp(&self.context, self.emitter, self.run, upper)
    }

    /// `f(x)` elementwise.
    pub fn map(&mut self, f: Pointwise, x: Slot) -> Slot {
        self.emitter.map(f, x)
    }

    /// `upper` where positive, else 0.
    pub fn rectify(&mut self, upper: Slot) -> Slot {
        self.emitter.map(Pointwise::Relu, upper)
    }

    /// A pointwise node's divided difference between the explained input and the reference, times `upper`:
    /// `upper (f(x) - f(x')) / (x - x')`, in closed form, the derivative where both are equal.
    ///
    /// # Errors
    /// The node is not pointwise or there is no reference.
    pub fn slope(&mut self, upper: Slot) -> Result<Slot> {
        let reference = self
            .reference
            .ok_or_else(|| Error::internal("the rule uses the reference run without declaring it"))?;
        operators::slope(&self.context, self.emitter, self.run, reference, upper)
    }

    /// A pointwise node's divided difference between two points of one's own, times `upper`.
    ///
    /// # Errors
    /// The node is not pointwise.
    pub fn slope_between(&mut self, upper: Slot, points: [Slot; 2]) -> Result<Slot> {
        operators::slope_between(&self.context, self.emitter, self.run, [upper, points[0], points[1]])
    }

    /// The codes of the winners at the explained input and at the reference of a selecting node.
    ///
    /// # Errors
    /// The node does not select or there is no reference.
    pub fn winners(&self) -> Result<[Slot; 2]> {
        let codes = |run: &Run| {
            run.auxiliary.first().copied().ok_or_else(|| Error::internal("the node does not select"))
        };
        Ok([codes(self.run)?, codes(self.reference_run()?)?])
    }

    /// The entry of operand `x` that `codes` names, for every output of a selecting node.
    ///
    /// # Errors
    /// The node does not select.
    pub fn gather(&mut self, x: Slot, codes: Slot) -> Result<Slot> {
        Ok(Selection::of(&self.context)?.gather(self.emitter, x, codes))
    }

    /// `values` added to the entries that `codes` names; the adjoint of [`Site::gather`].
    ///
    /// # Errors
    /// The node does not select.
    pub fn scatter(&mut self, values: Slot, codes: Slot) -> Result<Slot> {
        Ok(Selection::of(&self.context)?.scatter(self.emitter, values, codes))
    }

    /// The multipliers of a normalising node, a softmax or a quotient between the reference and the explained input:
    /// the node is decomposed into affine parts, activations and products, each with its closed divided difference, so
    /// that `sum(m (x - x')) = <upper, y - y'>` holds to rounding.
    ///
    /// # Errors
    /// There is no reference, or the node has no decomposition.
    pub fn decomposed_slope(&mut self, upper: Slot) -> Result<Vec<Option<Slot>>> {
        let reference = self
            .reference
            .ok_or_else(|| Error::internal("the rule uses the reference run without declaring it"))?;
        operators::decomposed_slope(&self.context, self.emitter, [self.run, reference], upper, &self.wanted)
    }

    /// The gradient averaged over the straight path from the reference to the explained input, by Gauss-Legendre
    /// quadrature with `nodes` = (position in `[0, 1]`, weight): integrated gradients of this node alone. Complete for
    /// every differentiable node up to the quadrature error.
    ///
    /// # Errors
    /// There is no reference, or a wanted operand cannot be differentiated.
    pub fn path_vjp(&mut self, upper: Slot, nodes: &[(f64, f64)]) -> Result<Vec<Option<Slot>>> {
        let reference = self.reference_run()?.inputs.clone();
        let mut total: Vec<Option<Slot>> = alloc::vec![None; self.run.inputs.len()];
        for &(position, weight) in nodes {
            let point = self.point(&reference, position);
            let run = operators::forward(&self.context, self.emitter, &point)?;
            let scaled = self.emitter.scale(upper, weight);
            let part = operators::vjp(&self.context, self.emitter, &run, scaled, &self.wanted)?;
            for (sum, term) in total.iter_mut().zip(part) {
                *sum = match (*sum, term) {
                    (Some(a), Some(b)) => Some(self.emitter.add(a, b)),
                    (a, b) => a.or(b),
                };
            }
        }
        Ok(total)
    }

    fn point(&mut self, reference: &[Slot], position: f64) -> Vec<Slot> {
        (0..reference.len())
            .map(|i| {
                if self.context.varies(i) {
                    self.emitter.binary(BinaryFn::Lerp(position), reference[i], self.run.inputs[i])
                } else {
                    reference[i]
                }
            })
            .collect()
    }

    /// The shape of a value.
    pub fn shape(&self, slot: Slot) -> Shape {
        self.emitter.shape(slot)
    }

    /// Emits any kernel with one result of reals.
    pub fn emit(&mut self, kernel: Kernel, reads: &[Slot], shape: Shape) -> Slot {
        self.emitter.emit(kernel, reads, shape)
    }

    /// The node's value at other operands than it had: `operands` stand in for the inputs.
    ///
    /// # Errors
    /// The operands do not fit the node.
    pub fn forward_at(&mut self, operands: &[Slot]) -> Result<Slot> {
        Ok(operators::forward(&self.context, self.emitter, operands)?.output)
    }

    /// The gradient of this node taken at other operands than it had: `operands` stand in for the inputs.
    ///
    /// # Errors
    /// A wanted operand cannot be differentiated.
    pub fn vjp_at(&mut self, operands: &[Slot], upper: Slot) -> Result<Vec<Option<Slot>>> {
        let run = operators::forward(&self.context, self.emitter, operands)?;
        operators::vjp(&self.context, self.emitter, &run, upper, &self.wanted)
    }
}
