//! From a graph and a list of wishes to a plan: forward steps, reverse segments by rule tables, dead steps removed,
//! memory placed.

use crate::composite::{Composite, Resolved};
use crate::emitter::Emitter;
use crate::fuse::{self, Joining};
use crate::ledger::{self, Books, Cause, NodeBooks};
use crate::memory;
use crate::operators::{self, Context, Run};
use crate::plan::{Plan, Reverse, Slot, Step, Storage};
use crate::rule::{self, Rule};
use crate::signal::Signal;
use crate::site::{Site, State, no_operand};
use alloc::format;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use core::cell::Cell;
use voxplain_graph::{Graph, Origin, ValueId};
use voxplain_tensor::{Error, Result};

/// The runs of all nodes on one set of inputs.
#[derive(Debug)]
pub(crate) struct Pass {
    pub(crate) slots: Vec<Option<Slot>>,
    runs: Vec<Run>,
    pub(crate) inputs: Vec<Slot>,
}

pub(crate) struct Segment {
    pub(crate) section: usize,
    seed: Slot,
    pub(crate) results: Vec<Slot>,
    ledger: Vec<NodeBooks>,
    rules: Vec<String>,
}

/// A reverse segment in the making: the rules and what is known at every value.
struct Walk<'c, S: Signal> {
    resolved: Resolved<'c, S>,
    needed: Vec<bool>,
    /// By value: the signal so far.
    signals: Vec<Option<S>>,
    /// By value: what rules prepared.
    states: Vec<Vec<Slot>>,
    /// Whether a ledger is kept, and what is in it.
    kept: bool,
    ledger: Vec<NodeBooks>,
}

/// Builds a [`Plan`] for one batch size.
///
/// ```
/// use voxplain_autodiff::{Composite, Gradient, Planner};
/// use voxplain_graph::GraphBuilder;
/// let mut b = GraphBuilder::new();
/// let x = b.input("x", &[1, 3])?;
/// let y = b.relu("act", x)?;
/// let graph = b.finish(&[y])?;
/// let mut planner = Planner::new(&graph, 2)?;
/// planner.reverse(&Composite::everywhere(Gradient), y, &[x])?;
/// let plan = planner.finish::<f32>(None)?;
/// assert_eq!(plan.batch, 2);
/// # Ok::<(), voxplain_tensor::Error>(())
/// ```
pub struct Planner<'g> {
    pub(crate) graph: &'g Graph,
    pub(crate) batch: usize,
    pub(crate) emitter: Emitter,
    parameters: Vec<Slot>,
    pub(crate) pass: Pass,
    reference: Option<Pass>,
    captures: Vec<ValueId>,
    pub(crate) segments: Vec<Segment>,
    fused: Joining,
}

impl<'g> Planner<'g> {
    /// Starts a plan for `batch` examples per run.
    ///
    /// # Errors
    /// The batch is 0, or a node cannot be computed for it.
    pub fn new(graph: &'g Graph, batch: usize) -> Result<Self> {
        if batch == 0 {
            return Err(Error::invalid("a plan needs at least one example"));
        }
        let mut emitter = Emitter::with_sections(own_sections(graph).end, graph.parameters().len());
        let parameters: Vec<Slot> = graph
            .parameters()
            .iter()
            .enumerate()
            .map(|(i, p)| emitter.external(0, p.shape, Storage::Parameter(i), &p.name))
            .collect();
        let pass = forward(graph, batch, &mut emitter, &parameters, false)?;
        Ok(Self {
            graph,
            batch,
            emitter,
            parameters,
            pass,
            reference: None,
            captures: Vec::new(),
            segments: Vec::new(),
            fused: Joining::Nothing,
        })
    }

    /// Which steps are joined where only the next step reads a result ([`crate::Device::joining`]); none by default.
    #[must_use]
    pub fn fused(mut self, fused: Joining) -> Self {
        self.fused = fused;
        self
    }

    /// Asks for a forward value to be readable after the forward segment; returns its number.
    pub fn capture(&mut self, value: ValueId) -> usize {
        self.captures.push(value);
        self.captures.len() - 1
    }

    /// Adds a reverse segment: the signal of `composite`, seeded at `from`, at every value of `wanted` (inputs,
    /// intermediate values, parameters). A value that the signal does not reach gets zeros. Returns its number.
    ///
    /// # Errors
    /// A node between has no rule, or its rule does not define the node's class; the message names the node.
    pub fn reverse<S: Signal>(
        &mut self,
        composite: &Composite<S>,
        from: ValueId,
        wanted: &[ValueId],
    ) -> Result<usize> {
        let resolved = composite.resolve(self.graph)?;
        if composite.needs_reference() && self.reference.is_none() {
            self.reference =
                Some(forward(self.graph, self.batch, &mut self.emitter, &self.parameters, true)?);
        }
        let section = self.emitter.add_section();
        self.emitter.enter(section, "seed");
        let seed_shape = self.graph.batched_shape(from, self.batch)?;
        let seed = self.emitter.external(section, seed_shape, Storage::Dead, "seed");
        let values = self.graph.values().len();
        let mut walk = Walk {
            resolved,
            needed: needed(self.graph, wanted),
            signals: vec![None; values],
            states: vec![Vec::new(); values],
            kept: composite.keeps_books(),
            ledger: Vec::new(),
        };
        self.prepare(&mut walk, section)?;
        walk.signals[from.index()] = Some(S::seed(seed));
        for i in (0..self.graph.nodes().len()).rev() {
            self.emitter.enter(section, &self.graph.nodes()[i].name);
            self.descend(&mut walk, i)?;
        }
        self.emitter.enter(section, "result");
        let mut results = Vec::with_capacity(wanted.len());
        for &value in wanted {
            let shape = self.graph.batched_shape(value, self.batch)?;
            results.push(match &walk.signals[value.index()] {
                Some(signal) => signal.result(&mut self.emitter),
                None => self.emitter.fill(0.0, shape),
            });
        }
        results.extend(walk.ledger.iter().flat_map(NodeBooks::slots));
        let rules = walk.resolved.explain(self.graph);
        self.segments.push(Segment { section, seed, results, ledger: walk.ledger, rules });
        Ok(self.segments.len() - 1)
    }

    /// Lets every rule compute what it wants of its node before the signal comes.
    fn prepare<S: Signal>(&mut self, walk: &mut Walk<'_, S>, section: usize) -> Result<()> {
        for (i, node) in self.graph.nodes().iter().enumerate() {
            self.emitter.enter(section, &node.name);
            if self.graph.value(node.output).varies {
                walk.states[node.output.index()] = self.at_node(walk, i, |rule, site| rule.prepare(site))?.0;
            }
        }
        Ok(())
    }

    /// Takes the signal at the result of node `i` to its operands.
    fn descend<S: Signal>(&mut self, walk: &mut Walk<'_, S>, i: usize) -> Result<()> {
        let node = &self.graph.nodes()[i];
        let Some(upper) = walk.signals[node.output.index()].clone() else { return Ok(()) };
        if !node.inputs.iter().any(|v| walk.needed[v.index()]) {
            return Ok(());
        }
        let (lower, books) = self.at_node(walk, i, |rule, site| {
            let lower = rule::apply(rule, site, &upper)?;
            site.check(&lower)?;
            Ok(lower)
        })?;
        if walk.kept {
            walk.ledger.extend(self.close(i, &upper, &lower, books));
        }
        for (&value, signal) in node.inputs.iter().zip(lower) {
            let Some(signal) = signal else { continue };
            let there = walk.signals[value.index()].take();
            walk.signals[value.index()] =
                Some(there.map_or(signal.clone(), |s| s.add(&signal, &mut self.emitter)));
        }
        Ok(())
    }

    /// The sums of what a node was given, passed on and booked.
    fn close<S: Signal>(
        &mut self,
        node: usize,
        upper: &S,
        lower: &[Option<S>],
        books: Books,
    ) -> Option<NodeBooks> {
        let (emitter, batch) = (&mut self.emitter, self.batch);
        let received = ledger::sum(emitter, upper.mass()?, batch);
        let masses = lower.iter().flatten().filter_map(S::mass);
        let passed = masses.map(|mass| ledger::sum(emitter, mass, batch)).collect();
        let booked = books.entries.iter().map(|&(cause, slot)| (cause, ledger::sum(emitter, slot, batch)));
        let booked = booked.collect();
        Some(NodeBooks { node, received, passed, booked, rest: books.rest.unwrap_or(Cause::Rule) })
    }

    /// What `act` makes of the rule at node `i` and its site, with what was booked.
    fn at_node<S: Signal, T>(
        &mut self,
        walk: &Walk<'_, S>,
        i: usize,
        act: impl FnOnce(&dyn Rule<Signal = S>, &mut Site<'_>) -> Result<T>,
    ) -> Result<(T, Books)> {
        let node = &self.graph.nodes()[i];
        let rule = walk.resolved.rule(i);
        let state = State {
            operands: node.inputs.iter().map(|v| walk.states[v.index()].clone()).collect(),
            own: walk.states[node.output.index()].clone(),
        };
        let mut site = Site {
            context: Context { graph: self.graph, node, batch: self.batch },
            emitter: &mut self.emitter,
            run: &self.pass.runs[i],
            reference: self.reference.as_ref().map(|p| &p.runs[i]),
            wanted: node.inputs.iter().map(|v| walk.needed[v.index()]).collect(),
            first: walk.resolved.is_first(i),
            state,
            books: Books { kept: walk.kept, ..Books::default() },
            missing: Cell::new(None),
        };
        let place =
            |e: Error| e.within(format!("rule {} at node {:?} ({})", rule.name(), node.name, node.op.kind()));
        let made = act(rule, &mut site);
        if let Some(i) = site.missing.get() {
            return Err(place(no_operand(i, node.inputs.len())));
        }
        Ok((made.map_err(place)?, site.books))
    }

    /// Ends planning for scalars of type `S`: removes what nothing needs, places every value.
    ///
    /// # Errors
    /// The plan needs more than `limit` bytes above the weights; the message names the largest step.
    pub fn finish<S>(self, limit: Option<usize>) -> Result<Plan> {
        let slot = |pass: &Pass, value: ValueId| {
            pass.slots[value.index()].ok_or_else(|| Error::internal("a captured value was not computed"))
        };
        let captures = self.captures.iter().map(|&v| slot(&self.pass, v)).collect::<Result<Vec<_>>>()?;
        let reference_captures = match &self.reference {
            Some(pass) => self.captures.iter().map(|&v| slot(pass, v)).collect::<Result<Vec<_>>>()?,
            None => Vec::new(),
        };
        let mut plan = Plan {
            batch: self.batch,
            slots: self.emitter.slots,
            steps: Vec::new(),
            forward: 0..0,
            reverses: Vec::new(),
            inputs: self.pass.inputs,
            references: self.reference.map(|p| p.inputs),
            captures,
            reference_captures,
            parameters: [self.graph.parameters(), &self.emitter.constants].concat(),
            arena_bytes: 0,
            scalar_bytes: size_of::<S>(),
            reference: 0..0,
        };
        collect(&mut plan, self.emitter.sections, self.segments, own_sections(self.graph).start);
        settle(&mut plan, self.fused, limit)?;
        Ok(plan)
    }
}

/// The sections of the nodes' steps on the explained inputs. Before them are one of the inputs themselves and, because a
/// reference that stays the same need not be run again, those of the reference: its inputs, and a section for every node.
fn own_sections(graph: &Graph) -> core::ops::Range<usize> {
    let nodes = graph.nodes().len();
    2 + nodes..2 + 2 * nodes
}

/// Joins the steps of a plan where that is wanted, and gives every value its place.
pub(crate) fn settle(plan: &mut Plan, joining: Joining, limit: Option<usize>) -> Result<()> {
    fuse::fuse(plan, joining);
    memory::place(plan);
    if let Some((a, b)) = memory::collision(plan) {
        return Err(Error::internal(format!("values {a:?} and {b:?} of the plan overlap")));
    }
    check_limit(plan, limit)
}

/// Emits the forward steps of every node, for the explained inputs or for the reference.
fn forward(
    graph: &Graph,
    batch: usize,
    emitter: &mut Emitter,
    parameters: &[Slot],
    reference: bool,
) -> Result<Pass> {
    let mut slots: Vec<Option<Slot>> = vec![None; graph.values().len()];
    let mut inputs = Vec::new();
    for (i, value) in graph.values().iter().enumerate() {
        if let Origin::Parameter(p) = value.origin {
            slots[i] = Some(parameters[p]);
        }
    }
    for &value in graph.inputs() {
        let name = &graph.value(value).name;
        let label =
            if reference { format!("reference of input {name:?}") } else { format!("input {name:?}") };
        let slot = emitter.external(
            usize::from(reference),
            graph.batched_shape(value, batch)?,
            Storage::Dead,
            &label,
        );
        slots[value.index()] = Some(slot);
        inputs.push(slot);
    }
    let mut runs = Vec::with_capacity(graph.nodes().len());
    for (i, node) in graph.nodes().iter().enumerate() {
        emitter.enter(if reference { 2 + i } else { own_sections(graph).start + i }, &node.name);
        let missing = || Error::internal(format!("node {:?} uses a value before it is made", node.name));
        let operands: Vec<Slot> =
            node.inputs.iter().map(|v| slots[v.index()].ok_or_else(missing)).collect::<Result<_>>()?;
        let context = Context { graph, node, batch };
        let run = operators::forward(&context, emitter, &operands)
            .map_err(|e| e.within(format!("node {:?} ({})", node.name, node.op.kind())))?;
        slots[node.output.index()] = Some(run.output);
        runs.push(run);
    }
    Ok(Pass { slots, runs, inputs })
}

/// For every value whether a wanted value lies before it (or is it).
fn needed(graph: &Graph, wanted: &[ValueId]) -> Vec<bool> {
    let mut needed = vec![false; graph.values().len()];
    wanted.iter().for_each(|v| needed[v.index()] = true);
    for node in graph.nodes() {
        if node.inputs.iter().any(|v| needed[v.index()]) {
            needed[node.output.index()] = true;
        }
    }
    needed
}

/// Joins the sections, of which number `own` is the first behind those of the reference, into the plan's step list without
/// the steps that nothing needs.
pub(crate) fn collect(plan: &mut Plan, mut sections: Vec<Vec<Step>>, segments: Vec<Segment>, own: usize) {
    let mut live = vec![false; plan.slots.len()];
    let roots: Vec<usize> = plan.slots.iter().map(|s| s.root.index()).collect();
    let results = segments.iter().flat_map(|s| &s.results);
    plan.captures
        .iter()
        .chain(&plan.reference_captures)
        .chain(results)
        .for_each(|s| live[roots[s.index()]] = true);
    for section in sections.iter_mut().rev() {
        let mut kept: Vec<Step> = Vec::new();
        for mut step in section.drain(..).rev() {
            for write in &mut step.writes {
                *write = write.filter(|s| live[roots[s.index()]]);
            }
            if step.writes.iter().any(Option::is_some) {
                step.reads.iter().for_each(|s| live[roots[s.index()]] = true);
                kept.push(step);
            }
        }
        kept.reverse();
        *section = kept;
    }
    let first_reverse = segments.first().map_or(sections.len(), |s| s.section);
    let before = sections.first().map_or(0, Vec::len);
    plan.reference = before..sections[..own].iter().map(Vec::len).sum();
    sections[..first_reverse].iter_mut().for_each(|s| plan.steps.append(s));
    plan.forward = 0..plan.steps.len();
    for segment in segments {
        let start = plan.steps.len();
        plan.steps.append(&mut sections[segment.section]);
        let steps = start..plan.steps.len();
        let Segment { seed, results, ledger, rules, .. } = segment;
        plan.reverses.push(Reverse { steps, seed, results, ledger, rules });
    }
}

fn check_limit(plan: &Plan, limit: Option<usize>) -> Result<()> {
    let Some(limit) = limit.filter(|&l| plan.arena_bytes > l) else { return Ok(()) };
    let bytes = |step: &Step| -> usize {
        let slots = step.reads.iter().chain(step.writes.iter().flatten());
        slots.map(|&s| plan.slot(s).dtype.bytes(plan.slot(s).shape, plan.scalar_bytes)).sum()
    };
    let largest = plan.steps.iter().max_by_key(|s| bytes(s));
    Err(Error::limit(format!(
        "{} bytes are needed above the weights for {} examples at once, the limit is {limit}; the largest step is {} \
         with {} bytes",
        plan.arena_bytes,
        plan.batch,
        largest.map_or("none", |s| s.label.as_str()),
        largest.map_or(0, bytes)
    )))
}
