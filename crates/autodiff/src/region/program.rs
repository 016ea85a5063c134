//! From a class of rows to a plan: the network of the parts, with the pieces of the state that its nodes read.

use super::attributes::partial;
use super::links::fill;
use super::place::{Class, Part, Source};
use super::{Regions, is_input};
use crate::emitter::Emitter;
use crate::fuse::Joining;
use crate::kernel::{Kernel, WindowGeometry};
use crate::operators::{self, Context};
use crate::plan::{Plan, Slot, Storage};
use crate::planner::{collect, settle};
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::vec;
use alloc::vec::Vec;
use voxplain_graph::{Graph, GraphBuilder, Node, Origin, ValueId};
use voxplain_tensor::{Error, Result, Shape};

/// A piece of the state that is cut out for one operand.
struct Cut {
    value: ValueId,
    sizes: Vec<usize>,
    patched: bool,
    fill: f64,
}

/// The network of the parts.
struct Parts {
    graph: Graph,
    /// By value of the whole network: its part.
    of: Vec<Option<ValueId>>,
    /// By input of the parts' network: what is cut out for it, unless it is an input's changed part.
    cuts: Vec<Option<Cut>>,
    /// By target: what it needs cut out at the end.
    last: Vec<Option<Cut>>,
}

impl Regions<'_> {
    /// The plan that runs `rows` rows of a class over a session of `base`, the plan of a full pass of one example that captures
    /// [`Regions::kept`]. Its inputs are the changed parts, one for every input that changes, then a table of places
    /// `[rows, 2 rank]` for every cut. It captures the targets whole and, with `keep`, the box of every kept value that
    /// has one, in order.
    ///
    /// # Errors
    /// The plan needs more than `limit` bytes, or a node's part cannot be computed.
    pub fn plan<S>(
        &self,
        class: &Class,
        rows: usize,
        base: &Plan,
        (fused, keep, limit): (Joining, bool, Option<usize>),
    ) -> Result<Plan> {
        let parts = self.parts(class)?;
        let mut e = Emitter::with_sections(1, parts.graph.parameters().len());
        let mut slots: Vec<Option<Slot>> = vec![None; parts.graph.values().len()];
        for (i, value) in parts.graph.values().iter().enumerate() {
            if let Origin::Parameter(p) = value.origin {
                slots[i] = Some(e.external(0, value.shape, Storage::Parameter(p), &value.name));
            }
        }
        let mut inputs = Vec::new();
        for (at, &value) in
            parts.graph.inputs().iter().enumerate().filter(|(at, _)| parts.cuts[*at].is_none())
        {
            let shape = parts.graph.batched_shape(value, rows)?;
            let slot = e.external(0, shape, Storage::Dead, &format!("part {at}"));
            slots[value.index()] = Some(slot);
            inputs.push(slot);
        }
        let mut run = Run { regions: self, parts: &parts, rows, base, slots, places: Vec::new() };
        for node in parts.graph.nodes() {
            run.node(&mut e, node)?;
        }
        let mut captures = Vec::with_capacity(self.targets.len());
        for (&target, cut) in self.targets.iter().zip(&parts.last) {
            captures.push(match cut {
                Some(cut) => run.cut(&mut e, cut)?,
                None => run.part(target)?,
            });
        }
        if keep {
            let kept = self.kept.iter().filter(|v| parts.of[v.index()].is_some());
            captures.extend(kept.map(|&v| run.part(v)).collect::<Result<Vec<_>>>()?);
        }
        inputs.append(&mut run.places);
        let parameters = [parts.graph.parameters(), &e.constants].concat();
        let mut plan = Plan::forward_alone::<S>(rows, (inputs, captures), (e.slots, parameters));
        collect(&mut plan, e.sections, Vec::new(), 1);
        settle(&mut plan, fused, limit)?;
        Ok(plan)
    }

    fn parts(&self, class: &Class) -> Result<Parts> {
        let graph = self.graph;
        let mut b = GraphBuilder::new();
        let mut of: Vec<Option<ValueId>> = vec![None; graph.values().len()];
        let mut known: BTreeMap<ValueId, ValueId> = BTreeMap::new();
        let parameters = b.share_parameters(graph)?;
        for (i, _) in graph.values().iter().enumerate() {
            if let Origin::Parameter(p) = graph.values()[i].origin {
                of[i] = Some(parameters[p]);
            }
        }
        let mut cuts = Vec::new();
        for (&value, sizes) in graph.inputs().iter().zip(&class.inputs) {
            if let Some(sizes) = sizes {
                let part = b.input(&graph.value(value).name, sizes)?;
                of[value.index()] = Some(part);
                known.insert(value, part);
                cuts.push(None);
            }
        }
        for (i, node) in graph.nodes().iter().enumerate().filter(|(i, _)| self.used[*i]) {
            let made = match &class.nodes[i] {
                Some(part) => self.part_of(&mut b, node, part, &of, &mut cuts)?,
                None if !graph.value(node.output).varies => {
                    let operands = node.inputs.iter().filter_map(|v| of[v.index()]).collect::<Vec<_>>();
                    b.node(&node.name, node.op.clone(), &operands)?
                }
                None => continue,
            };
            of[node.output.index()] = Some(made);
            if graph.value(node.output).varies {
                known.insert(node.output, made);
            }
        }
        let last = self.targets.iter().zip(&class.outputs).map(|(&value, source)| match source {
            Source::Cut { sizes, patched } => {
                Some(Cut { value, sizes: sizes.clone(), patched: *patched, fill: 0.0 })
            }
            _ => None,
        });
        let last = last.collect();
        let targets: Vec<ValueId> = self.targets.iter().filter_map(|v| known.get(v).copied()).collect();
        let graph = b.finish(&targets)?;
        let mut changed: Vec<Option<ValueId>> = vec![None; of.len()];
        known.into_iter().for_each(|(whole, part)| changed[whole.index()] = Some(part));
        Ok(Parts { graph, of: changed, cuts, last })
    }

    /// Adds the part of a node, and an input for every operand that is cut out of the state.
    fn part_of(
        &self,
        b: &mut GraphBuilder,
        node: &Node,
        part: &Part,
        of: &[Option<ValueId>],
        cuts: &mut Vec<Option<Cut>>,
    ) -> Result<ValueId> {
        let mut operands = Vec::with_capacity(node.inputs.len());
        for (k, (&value, source)) in node.inputs.iter().zip(&part.operands).enumerate() {
            let there =
                || of[value.index()].ok_or_else(|| Error::internal("an operand of a part is missing"));
            operands.push(match source {
                Source::Stored | Source::Direct => there()?,
                Source::Cut { sizes, patched } => {
                    let (sizes, patched, fill) = (sizes.clone(), *patched, fill(&node.op));
                    let id = b.input(&format!("{}, operand {k}", node.name), &sizes)?;
                    cuts.push(Some(Cut { value, sizes, patched, fill }));
                    id
                }
            });
        }
        let op = partial(self.graph, node, part, &b.shape(operands[0]));
        let made = b.node(&node.name, op, &operands)?;
        if b.shape(made)[..] != part.sizes[..] {
            return Err(Error::internal(format!(
                "the part of node {:?} has shape {} instead of {:?}",
                node.name,
                b.shape(made),
                part.sizes
            )));
        }
        Ok(made)
    }
}

/// A plan in the making.
struct Run<'r, 'g> {
    regions: &'r Regions<'g>,
    parts: &'r Parts,
    rows: usize,
    base: &'r Plan,
    /// By value of the parts' network.
    slots: Vec<Option<Slot>>,
    places: Vec<Slot>,
}

impl Run<'_, '_> {
    fn node(&mut self, e: &mut Emitter, node: &Node) -> Result<()> {
        e.enter(0, &node.name);
        let mut operands = Vec::with_capacity(node.inputs.len());
        for &value in &node.inputs {
            if self.slots[value.index()].is_none() {
                let Origin::Input(at) = self.parts.graph.value(value).origin else {
                    return Err(Error::internal("a part is used before it is made"));
                };
                let cut =
                    self.parts.cuts[at].as_ref().ok_or_else(|| Error::internal("a part without a cut"))?;
                self.slots[value.index()] = Some(self.cut(e, cut)?);
            }
            operands.extend(self.slots[value.index()]);
        }
        let context = Context { graph: &self.parts.graph, node, batch: self.rows };
        let run = operators::forward(&context, e, &operands)
            .map_err(|e| e.within(format!("a part of node {:?} ({})", node.name, node.op.kind())))?;
        self.slots[node.output.index()] = Some(run.output);
        Ok(())
    }

    /// The slot of the part of a value of the whole network.
    fn part(&self, value: ValueId) -> Result<Slot> {
        let part = self.parts.of[value.index()];
        part.and_then(|p| self.slots[p.index()]).ok_or_else(|| Error::internal("a value without a part"))
    }

    fn cut(&mut self, e: &mut Emitter, cut: &Cut) -> Result<Slot> {
        let (graph, whole) = (self.regions.graph, self.regions.graph.shape(cut.value));
        let kept = self.regions.kept_at(cut.value).and_then(|at| self.base.captures.get(at).copied());
        let kept =
            kept.ok_or_else(|| Error::internal(format!("{:?} is not kept", graph.value(cut.value).name)))?;
        let base = e.external(0, whole, Storage::Base(kept), &graph.value(cut.value).name);
        let mut reads = vec![base];
        let mut patch = None;
        if cut.patched {
            let slot = self.part(cut.value)?;
            let part = self.parts.of[cut.value.index()].map(|p| self.parts.graph.shape(p));
            (patch, reads) = (part, vec![base, slot]);
        }
        let places = e.external(0, Shape::new(&[self.rows, 2 * whole.rank()])?, Storage::Dead, "places");
        self.places.push(places);
        reads.push(places);
        let part = Shape::new(&cut.sizes)?;
        let rows = self.rows;
        let leading = part[0].checked_mul(rows).ok_or_else(|| Error::limit("the batch is too large"))?;
        let geometry = WindowGeometry { rows, whole, part, patch, fill: cut.fill };
        debug_assert!(!cut.patched || patch.is_some() || is_input(graph, cut.value));
        Ok(e.emit(Kernel::Window(geometry), &reads, part.with(0, leading)?))
    }
}
