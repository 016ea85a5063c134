//! Writing steps: every operator and rule speaks to the plan through this type.

use crate::kernel::{BinaryFn, BroadcastGeometry, DType, Kernel, Span};
use crate::plan::{Slot, SlotInfo, Step, Storage};
use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;
use voxplain_graph::Parameter;
use voxplain_graph::ops::Pointwise;
use voxplain_tensor::{MAX_RANK, Shape};

/// Collects steps and values. Steps go to the current section; sections run in order, so that a rule can add a step
/// right behind the forward step whose result it wants to save in a smaller form.
#[derive(Debug, Default)]
pub struct Emitter {
    pub(crate) slots: Vec<SlotInfo>,
    pub(crate) sections: Vec<Vec<Step>>,
    made_in: Vec<usize>,
    bits: BTreeMap<Slot, Slot>,
    current: usize,
    label: String,
    /// Tensors that rules bring along; their numbers follow those of the graph's `parameters`.
    pub(crate) constants: Vec<Parameter>,
    parameters: usize,
}

impl Emitter {
    /// An emitter with `sections` sections for a graph of so many parameters.
    pub(crate) fn with_sections(sections: usize, parameters: usize) -> Self {
        Self { sections: vec![Vec::new(); sections], parameters, ..Self::default() }
    }

    /// Adds a section at the end and returns its number.
    pub(crate) fn add_section(&mut self) -> usize {
        self.sections.push(Vec::new());
        self.sections.len() - 1
    }

    /// Directs what follows to `section`, labelled for people.
    pub(crate) fn enter(&mut self, section: usize, label: &str) {
        self.current = section;
        self.label = String::from(label);
    }

    /// A value that no step makes (an input, a seed, a parameter) and that is there when `section` begins.
    pub(crate) fn external(&mut self, section: usize, shape: Shape, storage: Storage, label: &str) -> Slot {
        self.push(shape, DType::Real, storage, String::from(label), section)
    }

    /// A tensor that is none of the graph's parameters; the same tensor is stored once.
    pub fn constant(&mut self, parameter: &Parameter) -> Slot {
        let known = self.constants.iter().position(|p| Arc::ptr_eq(&p.data, &parameter.data));
        let at = known.unwrap_or_else(|| {
            self.constants.push(parameter.clone());
            self.constants.len() - 1
        });
        self.external(0, parameter.shape, Storage::Parameter(self.parameters + at), &parameter.name)
    }

    /// Emits a kernel with one result of reals.
    pub fn emit(&mut self, kernel: Kernel, reads: &[Slot], shape: Shape) -> Slot {
        self.emit_typed(kernel, reads, &[(shape, DType::Real)])[0]
    }

    /// Emits a kernel with several or typed results.
    pub fn emit_typed(&mut self, kernel: Kernel, reads: &[Slot], results: &[(Shape, DType)]) -> Vec<Slot> {
        self.emit_in(self.current, kernel, reads, results)
    }

    fn emit_in(
        &mut self,
        section: usize,
        kernel: Kernel,
        reads: &[Slot],
        results: &[(Shape, DType)],
    ) -> Vec<Slot> {
        let label = self.label.clone();
        let made: Vec<Slot> = results
            .iter()
            .map(|&(shape, dtype)| self.push(shape, dtype, Storage::Dead, label.clone(), section))
            .collect();
        let writes = made.iter().map(|&s| Some(s)).collect();
        self.sections[section].push(Step { kernel, reads: reads.to_vec(), writes, label });
        made
    }

    /// Emits a kernel whose one result is a value that nothing made so far.
    pub(crate) fn emit_into(&mut self, kernel: Kernel, reads: Vec<Slot>, into: Slot) {
        let label = self.label.clone();
        self.sections[self.current].push(Step { kernel, reads, writes: vec![Some(into)], label });
    }

    fn push(&mut self, shape: Shape, dtype: DType, storage: Storage, label: String, section: usize) -> Slot {
        let slot = Slot(self.slots.len() as u32);
        self.slots.push(SlotInfo { shape, dtype, storage, root: slot, label });
        self.made_in.push(section);
        slot
    }

    /// The shape of a value.
    pub fn shape(&self, slot: Slot) -> Shape {
        self.slots[slot.index()].shape
    }

    /// The same elements under another shape, at no cost.
    pub fn reshape(&mut self, slot: Slot, shape: Shape) -> Slot {
        let info = self.slots[slot.index()].clone();
        let made = self.push(shape, info.dtype, info.storage, info.label, self.made_in[slot.index()]);
        self.slots[made.index()].root = info.root;
        made
    }

    /// One bit per element, set where `x > 0`, computed where `x` is made so that `x` need not be kept.
    pub fn positive_bits(&mut self, x: Slot) -> Slot {
        let root = self.slots[x.index()].root;
        if let Some(&bits) = self.bits.get(&root) {
            return bits;
        }
        let (section, shape) = (self.made_in[root.index()], self.shape(x));
        let bits = self.emit_in(section, Kernel::PositiveBits, &[x], &[(shape, DType::Bits)])[0];
        self.bits.insert(root, bits);
        bits
    }

    /// `f(x)`.
    pub fn map(&mut self, f: Pointwise, x: Slot) -> Slot {
        let shape = self.shape(x);
        self.emit(Kernel::Map(f), &[x], shape)
    }

    /// `scale x`.
    pub fn scale(&mut self, x: Slot, scale: f64) -> Slot {
        if scale == 1.0 { x } else { self.map(Pointwise::Affine { scale, shift: 0.0 }, x) }
    }

    /// A constant.
    pub fn fill(&mut self, value: f64, shape: Shape) -> Slot {
        self.emit(Kernel::Fill(value), &[], shape)
    }

    /// Arithmetic of two values of one shape (or at least of one number of elements).
    pub fn binary(&mut self, f: BinaryFn, a: Slot, b: Slot) -> Slot {
        let shape = self.shape(a);
        let strides = shape.strides();
        self.emit(Kernel::Binary(f, BroadcastGeometry { shape, a: strides, b: strides }), &[a, b], shape)
    }

    /// `a + b`.
    pub fn add(&mut self, a: Slot, b: Slot) -> Slot {
        self.binary(BinaryFn::Add, a, b)
    }

    /// `a - b`.
    pub fn sub(&mut self, a: Slot, b: Slot) -> Slot {
        self.binary(BinaryFn::Sub, a, b)
    }

    /// `a * b`.
    pub fn mul(&mut self, a: Slot, b: Slot) -> Slot {
        self.binary(BinaryFn::Mul, a, b)
    }

    /// Arithmetic of an array `[outer, n, inner]` with one number per entry of `n`.
    pub fn along(&mut self, f: BinaryFn, a: Slot, span: Span, b: Slot) -> Slot {
        let mut geometry = BroadcastGeometry {
            // Three sizes of an existing array cannot exceed it.
            shape: Shape::new(&[span.outer, span.n, span.inner]).unwrap_or_else(|_| self.shape(a)),
            a: [0; MAX_RANK],
            b: [0; MAX_RANK],
        };
        geometry.a = geometry.shape.strides();
        geometry.b[1] = 1;
        let shape = self.shape(a);
        self.emit(Kernel::Binary(f, geometry), &[a, b], shape)
    }

    /// The sum of an array `[outer, n, inner]` over everything but `n`, of shape `shape`.
    pub fn sum_outside(&mut self, x: Slot, span: Span, shape: Shape) -> Slot {
        let rows = Shape::new(&[span.outer, span.n]).unwrap_or(shape);
        let mut sum = x;
        if span.inner > 1 {
            let within = Span { outer: span.outer * span.n, n: span.inner, inner: 1 };
            sum = self.emit(Kernel::Reduce(within, 1.0), &[sum], rows);
        }
        self.emit(Kernel::Reduce(Span { outer: 1, n: span.outer, inner: span.n }, 1.0), &[sum], shape)
    }
}
