//! From the changed part of the inputs to a box of every value.

use super::common_sizes::{CommonSizes, span};
use super::links::{is_mixed, is_whole, keeps_outside, needed, reached};
use super::reach::Range;
use super::{Regions, is_input};
use alloc::vec;
use alloc::vec::Vec;
use voxplain_graph::ops::AxisTap;
use voxplain_graph::{Node, Op, ValueId};

/// The changed part of every input: for each axis of one example the first entry and the one behind the last; `None` where
/// nothing changed.
pub type Dirty = Vec<Option<Vec<core::ops::Range<usize>>>>;

/// What plans are made for: the sizes of the boxes of all values, and which node reads what of them. Rows of one class share
/// a plan.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Class {
    /// The sizes of the changed part of every input.
    pub(super) inputs: Vec<Option<Vec<usize>>>,
    /// By node, those that change.
    pub(super) nodes: Vec<Option<Part>>,
    /// By target.
    pub(super) outputs: Vec<Source>,
}

/// The part of a node's result that is computed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Part {
    pub sizes: Vec<usize>,
    /// Per axis whether it is all of the result, computed as in a full pass.
    pub whole: Vec<bool>,
    pub operands: Vec<Source>,
    /// Of a resizing, the taps of the part along the axes of which it is a part.
    pub taps: Vec<Option<Vec<PlacedTap>>>,
}

/// Entries from where the operand's part begins, and the bits of their weights.
pub(super) type PlacedTap = ([isize; 2], [u64; 2]);

/// Where an operand comes from.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Source {
    /// A weight, or computed from weights.
    Stored,
    /// The box of the operand is what the node reads.
    Direct,
    /// A part of the state of these sizes, with the operand's box over it if it has one.
    Cut { sizes: Vec<usize>, patched: bool },
}

/// Where the boxes of one row lie.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Places {
    /// The boxes of the inputs that are filled in.
    pub inputs: Dirty,
    /// For every part of the state that is cut out, in the order of the plan: where it begins along every axis, then where
    /// the patch over it does.
    pub cuts: Vec<Vec<isize>>,
    /// For every kept value ([`Regions::kept`]) where its box begins, if it has one.
    pub boxes: Vec<Option<Vec<isize>>>,
}

/// A box with what of it changed.
#[derive(Clone, Debug)]
struct Placed {
    /// What may have changed: within the box and the value.
    dirty: Vec<Range>,
    /// What is computed.
    part: Vec<Range>,
    whole: Vec<bool>,
}

impl Class {
    /// The sizes of the changed part of input `i`.
    pub fn input(&self, i: usize) -> Option<&[usize]> {
        self.inputs.get(i)?.as_deref()
    }

    /// How many entries of the result of node `i` are computed.
    pub(super) fn changed(&self, i: usize) -> f64 {
        self.nodes[i].as_ref().map_or(0.0, |part| part.sizes.iter().map(|&n| n as f64).product())
    }
}

impl Regions<'_> {
    /// The class of a row and where its boxes lie, which are as large as `common` asks for; `None` if the change reaches no
    /// target. Rows whose boxes are not larger than the common are of one class, unless the operators that they reach differ.
    pub fn place(&self, dirty: &Dirty, common: &CommonSizes) -> Option<(Class, Places)> {
        let graph = self.graph;
        let mut placed: Vec<Option<Placed>> = vec![None; graph.values().len()];
        let mut class =
            Class { inputs: Vec::new(), nodes: vec![None; graph.nodes().len()], outputs: Vec::new() };
        let mut places = Places { inputs: Vec::new(), cuts: Vec::new(), boxes: vec![None; self.kept.len()] };
        for (i, (&value, changed)) in graph.inputs().iter().zip(dirty).enumerate() {
            let part = changed.as_ref().map(|part| common.input(i, part, &graph.shape(value)));
            let both = changed.as_deref().zip(part.as_deref());
            placed[value.index()] = both.map(|(dirty, part)| Placed {
                dirty: ranges(dirty),
                part: ranges(part),
                whole: vec![false; part.len()],
            });
            class.inputs.push(part.as_deref().map(|part| part.iter().map(|r| r.len()).collect()));
            places.inputs.push(part);
        }
        for (i, node) in graph.nodes().iter().enumerate().filter(|(i, _)| self.used[*i]) {
            let Some(result) = self.result((i, node), &placed, common) else { continue };
            let operands = (0..node.inputs.len())
                .map(|k| self.source((i, node), k, &result, &placed, &mut places))
                .collect();
            let taps = self.taps((i, node), &result);
            class.nodes[i] =
                Some(Part { sizes: sizes(&result.part), whole: result.whole.clone(), operands, taps });
            placed[node.output.index()] = Some(result);
        }
        for (at, value) in self.kept.iter().enumerate() {
            places.boxes[at] = placed[value.index()].as_ref().map(|p| starts(&p.part).collect());
        }
        let changed = |v: &ValueId| placed[v.index()].as_ref();
        self.targets.iter().find_map(changed)?;
        class.outputs = self.targets.iter().map(|v| self.output(*v, changed(v), &mut places)).collect();
        Some((class, places))
    }

    /// The box of a node's result, if it changes.
    fn result(
        &self,
        (i, node): (usize, &Node),
        placed: &[Option<Placed>],
        common: &CommonSizes,
    ) -> Option<Placed> {
        let shape = self.graph.shape(node.output);
        let operands =
            || node.inputs.iter().enumerate().filter_map(|(k, v)| Some((k, placed[v.index()].as_ref()?)));
        let reach = operands().filter_map(|(k, p)| reached(&self.links[i][k], shape, &p.dirty));
        let join = |a: Vec<Range>, b: Vec<Range>| {
            a.iter().zip(&b).map(|(a, b)| (a.0.min(b.0), a.1.max(b.1))).collect()
        };
        let mut dirty: Vec<Range> = reach.reduce(join)?;
        for (a, range) in dirty.iter_mut().enumerate() {
            let (first, end) = shared(*range, self.sharing[i][a] as isize);
            *range = (first, end.min(shape[a] as isize));
        }
        if let Some(factors) = &self.following[i] {
            let (_, below) = operands().next()?;
            let follow = |a: usize| match (below.whole[a], factors[a] as isize) {
                (true, _) => (0, shape[a] as isize),
                (false, f) => (below.part[a].0 / f, below.part[a].1 / f),
            };
            let part = (0..shape.rank()).map(follow).collect();
            return Some(Placed { dirty, part, whole: below.whole.clone() });
        }
        let mut whole: Vec<bool> = (0..shape.rank()).map(|a| is_whole(node, a)).collect();
        for (k, value) in node.inputs.iter().enumerate().filter(|(_, v)| self.graph.value(**v).varies) {
            let links = &self.links[i][k];
            // An operand with one entry along an axis serves any part of it.
            let serves = placed[value.index()].is_none() && is_broadcast(node);
            whole.iter_mut().enumerate().for_each(|(a, w)| *w |= is_mixed(links, a) && !serves);
        }
        let align = &self.align[node.output.index()];
        let mut part = Vec::with_capacity(shape.rank());
        for (a, whole) in whole.iter_mut().enumerate() {
            let (first, end) = span(dirty[a], (align[a] as isize, shape[a] as isize, common.least(i, a)));
            *whole |= end - first >= shape[a] as isize;
            part.push(if *whole { (0, shape[a] as isize) } else { (first, end) });
        }
        widen_resizing(node, &mut part, &mut whole);
        Some(Placed { dirty, part, whole })
    }

    /// Where operand `k` of a node comes from whose box is `result`.
    fn source(
        &self,
        (i, node): (usize, &Node),
        k: usize,
        result: &Placed,
        placed: &[Option<Placed>],
        places: &mut Places,
    ) -> Source {
        let value = node.inputs[k];
        if !self.graph.value(value).varies {
            return Source::Stored;
        }
        let below = placed[value.index()].as_ref();
        let (links, shape) = (&self.links[i][k], self.graph.shape(value));
        let needs = needed(links, shape, &result.part, &result.whole);
        // The box of an input holds what changed and no more. A box that sticks out of its value holds anything there, which
        // must not get into results inside.
        let clean = |b: &Placed| self.following[i].is_some() || keeps_outside(links, shape, &b.part);
        let direct = below.is_some_and(|b| b.part == needs && clean(b)) && !is_input(self.graph, value);
        if direct { Source::Direct } else { cut(&needs, below, places) }
    }

    /// Targets are given as a whole.
    fn output(&self, target: ValueId, changed: Option<&Placed>, places: &mut Places) -> Source {
        let all: Vec<Range> = self.graph.shape(target).iter().map(|&n| (0, n as isize)).collect();
        let direct = changed.is_some_and(|t| t.part == all) && !is_input(self.graph, target);
        if direct { Source::Direct } else { cut(&all, changed, places) }
    }

    /// A resizing has the same taps in all rows of a class; those of a part, from where the operand's part begins.
    fn taps(&self, (i, node): (usize, &Node), result: &Placed) -> Vec<Option<Vec<PlacedTap>>> {
        let Op::Resize { taps } = &node.op else { return Vec::new() };
        let shape = self.graph.shape(node.inputs[0]);
        let needs = needed(&self.links[i][0], shape, &result.part, &result.whole);
        let along = |a: usize| {
            let taps = taps[a].as_ref().filter(|_| !result.whole[a])?;
            let one = |p: isize| {
                let tap = usize::try_from(p).ok().and_then(|p| taps.get(p));
                // An entry of weight 0 may lie anywhere.
                let at = |t: &AxisTap, i: usize| {
                    if t.weight[i] == 0.0 { 0 } else { t.at[i] as isize - needs[a].0 }
                };
                tap.map_or(([0; 2], [0; 2]), |t| ([at(t, 0), at(t, 1)], t.weight.map(f64::to_bits)))
            };
            Some((result.part[a].0..result.part[a].1).map(one).collect())
        };
        (0..result.part.len()).map(along).collect()
    }
}

/// Makes the whole of what a resizing makes more than half of: taps differ at borders, so large parts are of few rows each.
fn widen_resizing(node: &Node, part: &mut [Range], whole: &mut [bool]) {
    let Op::Resize { taps } = &node.op else { return };
    for (a, taps) in taps.iter().enumerate() {
        if let Some(taps) = taps.as_ref().filter(|t| 2 * (part[a].1 - part[a].0) > t.len() as isize) {
            (part[a], whole[a]) = ((0, taps.len() as isize), true);
        }
    }
}

/// Whether an operator takes operands with one entry along an axis for all.
fn is_broadcast(node: &Node) -> bool {
    matches!(node.op, Op::Binary(_))
}

fn cut(needs: &[Range], below: Option<&Placed>, places: &mut Places) -> Source {
    let mut place: Vec<isize> = starts(needs).collect();
    match below {
        Some(below) => place.extend(starts(&below.part)),
        None => place.extend(needs.iter().map(|_| 0)),
    }
    places.cuts.push(place);
    Source::Cut { sizes: sizes(needs), patched: below.is_some() }
}

/// What changes with a range where `n` entries share their rounding. The first entry of them alone reads the first datum, and the
/// last one the last.
fn shared((first, end): Range, n: isize) -> Range {
    let down = |at: isize| at.div_euclid(n) * n;
    let begin = if (first + 1) % n == 0 && first + 1 < end { first } else { down(first) };
    let last = if (end - 1) % n == 0 && first < end - 1 { end } else { down(end - 1) + n };
    (begin, last)
}

fn ranges(part: &[core::ops::Range<usize>]) -> Vec<Range> {
    part.iter().map(|r| (r.start as isize, r.end as isize)).collect()
}

fn starts(part: &[Range]) -> impl Iterator<Item = isize> + '_ {
    part.iter().map(|r| r.0)
}

fn sizes(part: &[Range]) -> Vec<usize> {
    part.iter().map(|r| (r.1 - r.0).max(0) as usize).collect()
}

impl Regions<'_> {
    /// Whether a change of this class reaches `value`.
    pub fn changes(&self, class: &Class, value: ValueId) -> bool {
        self.graph.nodes().iter().zip(&class.nodes).any(|(n, part)| n.output == value && part.is_some())
    }
}
