//! The rule trait: what a backward rule sees at a node and what it may emit.
//!
//! A rule is written per structural class and for one type of signal. The signal owns the defaults of every class, so a
//! rule states only how it differs; a class for which the signal has no meaningful default is an error, never a silent
//! gradient. Rules hang on graph nodes: reuse, functional calls and adjacency cannot matter, and fan-out is summed
//! before the next rule.

use crate::emitter::Emitter;
use crate::kernel::{BinaryFn, Kernel};
use crate::operators::{self, Context, Run, Selection};
use crate::plan::Slot;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use voxplain_graph::ops::Pointwise;
use voxplain_graph::{Class, Node};
use voxplain_tensor::{Error, Result, Shape};

/// What flows backwards. The type keeps signals of different meaning apart: a relevance rule and a gradient rule cannot
/// stand in one composite.
pub trait Signal: Clone + 'static {
    /// The signal at the value that is explained, from the seed that the caller writes.
    fn seed(slot: Slot) -> Self;
    /// The value to hand out where this signal was asked for.
    fn result(&self, emitter: &mut Emitter) -> Slot;
    /// Both signals added, at fan-out.
    fn add(&self, other: &Self, emitter: &mut Emitter) -> Self;
    /// What a node of `class` does to the signal where no rule says otherwise.
    ///
    /// # Errors
    /// The class has no meaningful default for this signal.
    fn default_rule(class: Class, site: &mut Site<'_>, upper: &Self) -> Result<Vec<Option<Self>>>;
}

/// A cotangent or multiplier: the default of every class is the gradient.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cotangent(pub Slot);

impl Signal for Cotangent {
    fn seed(slot: Slot) -> Self {
        Self(slot)
    }

    fn result(&self, _emitter: &mut Emitter) -> Slot {
        self.0
    }

    fn add(&self, other: &Self, emitter: &mut Emitter) -> Self {
        Self(emitter.add(self.0, other.0))
    }

    fn default_rule(_class: Class, site: &mut Site<'_>, upper: &Self) -> Result<Vec<Option<Self>>> {
        Ok(site.vjp(upper.0)?.into_iter().map(|g| g.map(Self)).collect())
    }
}

/// A relevance, in units of the explained output. Affine layers have no default, because there are many LRP rules: one
/// must be chosen. Activations pass relevance on, selections give it to the winner, products share it equally.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Relevance(pub Slot);

impl Signal for Relevance {
    fn seed(slot: Slot) -> Self {
        Self(slot)
    }

    fn result(&self, _emitter: &mut Emitter) -> Slot {
        self.0
    }

    fn add(&self, other: &Self, emitter: &mut Emitter) -> Self {
        Self(emitter.add(self.0, other.0))
    }

    fn default_rule(class: Class, site: &mut Site<'_>, upper: &Self) -> Result<Vec<Option<Self>>> {
        match class {
            Class::Pointwise => Ok(site.to_first(*upper)),
            Class::Select => Ok(site.vjp(upper.0)?.into_iter().map(|g| g.map(Self)).collect()),
            Class::Bilinear => {
                let half = Self(site.emitter().scale(upper.0, 0.5));
                Ok((0..site.node().inputs.len()).map(|i| site.wants(i).then_some(half)).collect())
            }
            Class::Affine | Class::Normalise | Class::Opaque => Err(Error::unsupported(format!(
                "relevance has no default for {} nodes; give the composite a rule for {}",
                class.name(),
                site.node().op.kind()
            ))),
        }
    }
}

/// A backward rule for signals of one type. Every method has the signal's default; override what differs.
///
/// The result has one entry per operand of the node: `Some` where the signal reaches an operand that
/// [`Site::wants`], in the operand's shape.
pub trait Rule: Send + Sync {
    /// What flows backwards.
    type Signal: Signal;

    /// The rule's name with its parameters, recorded with every map.
    fn name(&self) -> String;

    /// Whether the rule looks at the reference run; the plan then needs reference inputs.
    fn needs_reference(&self) -> bool {
        false
    }

    /// Convolution, linear layers, stored normalisation, sums, pooling averages, shape changes.
    ///
    /// # Errors
    /// The rule does not define this class.
    fn affine(&self, site: &mut Site<'_>, upper: &Self::Signal) -> Result<Vec<Option<Self::Signal>>> {
        Self::Signal::default_rule(Class::Affine, site, upper)
    }

    /// Activations.
    ///
    /// # Errors
    /// The rule does not define this class.
    fn pointwise(&self, site: &mut Site<'_>, upper: &Self::Signal) -> Result<Vec<Option<Self::Signal>>> {
        Self::Signal::default_rule(Class::Pointwise, site, upper)
    }

    /// Max pooling and maximum over axes.
    ///
    /// # Errors
    /// The rule does not define this class.
    fn select(&self, site: &mut Site<'_>, upper: &Self::Signal) -> Result<Vec<Option<Self::Signal>>> {
        Self::Signal::default_rule(Class::Select, site, upper)
    }

    /// Products of two values that both vary.
    ///
    /// # Errors
    /// The rule does not define this class.
    fn bilinear(&self, site: &mut Site<'_>, upper: &Self::Signal) -> Result<Vec<Option<Self::Signal>>> {
        Self::Signal::default_rule(Class::Bilinear, site, upper)
    }

    /// Softmax; instance, group and layer normalisation.
    ///
    /// # Errors
    /// The rule does not define this class.
    fn normalise(&self, site: &mut Site<'_>, upper: &Self::Signal) -> Result<Vec<Option<Self::Signal>>> {
        Self::Signal::default_rule(Class::Normalise, site, upper)
    }

    /// Anything else.
    ///
    /// # Errors
    /// The rule does not define this class.
    fn opaque(&self, site: &mut Site<'_>, upper: &Self::Signal) -> Result<Vec<Option<Self::Signal>>> {
        Self::Signal::default_rule(Class::Opaque, site, upper)
    }
}

/// The gradient: every class keeps the default of [`Cotangent`].
#[derive(Clone, Copy, Debug, Default)]
pub struct Gradient;

impl Rule for Gradient {
    type Signal = Cotangent;
    fn name(&self) -> String {
        String::from("gradient")
    }
}

/// Applies the method of `rule` for the class of the node at `site`.
pub(crate) fn apply<S: Signal>(
    rule: &dyn Rule<Signal = S>,
    site: &mut Site<'_>,
    upper: &S,
) -> Result<Vec<Option<S>>> {
    match site.class() {
        Class::Affine => rule.affine(site, upper),
        Class::Pointwise => rule.pointwise(site, upper),
        Class::Select => rule.select(site, upper),
        Class::Bilinear => rule.bilinear(site, upper),
        Class::Normalise => rule.normalise(site, upper),
        Class::Opaque => rule.opaque(site, upper),
    }
}

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

    /// Operand `i` at the explained input.
    pub fn input(&self, i: usize) -> Slot {
        self.run.inputs[i]
    }

    /// The node's value at the explained input.
    pub fn output(&self) -> Slot {
        self.run.output
    }

    /// Operand `i` at the reference.
    ///
    /// # Errors
    /// The rule did not declare [`Rule::needs_reference`].
    pub fn reference_input(&self, i: usize) -> Result<Slot> {
        Ok(self.reference_run()?.inputs[i])
    }

    /// The node's value at the reference.
    ///
    /// # Errors
    /// The rule did not declare [`Rule::needs_reference`].
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
