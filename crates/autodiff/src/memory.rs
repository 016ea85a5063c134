//! The memory planner: lifetimes from first and last use, then one arena in which values that never live together share
//! space.

use crate::plan::{Plan, Slot, Storage};
use alloc::vec;
use alloc::vec::Vec;

const ALIGNMENT: usize = 64;

/// When a value is alive, in closed intervals. Reverse segments run one at a time and again and again, so each has a
/// timeline of its own that starts where the forward one ends.
#[derive(Clone, Copy, Debug)]
struct Lifetime {
    /// 0 for the forward segment, `1 + k` for reverse segment `k`.
    segment: usize,
    from: usize,
    to: usize,
}

impl Lifetime {
    fn overlaps(&self, other: &Self) -> bool {
        let together = self.segment == other.segment || self.segment == 0 || other.segment == 0;
        together && self.from <= other.to && other.from <= self.to
    }
}

/// Assigns every live value its place and sets the arena's size.
pub(crate) fn place(plan: &mut Plan) {
    let lifetimes = lifetimes(plan);
    let bytes = |plan: &Plan, i: usize| {
        let info = &plan.slots[i];
        info.dtype.bytes(info.shape, plan.scalar_bytes).next_multiple_of(ALIGNMENT)
    };
    let mut order: Vec<usize> = (0..plan.slots.len()).filter(|&i| lifetimes[i].is_some()).collect();
    order.sort_by_key(|&i| (core::cmp::Reverse(bytes(plan, i)), i));
    let mut placed: Vec<(usize, usize, Lifetime)> = Vec::new();
    for i in order {
        let Some(life) = lifetimes[i] else { continue };
        let size = bytes(plan, i);
        let mut neighbours: Vec<(usize, usize)> =
            placed.iter().filter(|p| p.2.overlaps(&life)).map(|p| (p.0, p.1)).collect();
        neighbours.sort_unstable();
        let offset = first_gap(&neighbours, size);
        placed.push((offset, size, life));
        plan.arena_bytes = plan.arena_bytes.max(offset + size);
        plan.slots[i].storage = Storage::Arena(offset);
    }
    for i in 0..plan.slots.len() {
        plan.slots[i].storage = plan.slots[plan.slots[i].root.index()].storage;
    }
}

/// The lowest offset at which `size` bytes fit between taken (offset, size) ranges sorted by offset.
fn first_gap(taken: &[(usize, usize)], size: usize) -> usize {
    let mut offset = 0;
    for &(start, length) in taken {
        if start >= offset + size {
            break;
        }
        offset = offset.max(start + length);
    }
    offset
}

fn lifetimes(plan: &Plan) -> Vec<Option<Lifetime>> {
    let mut lives: Vec<Option<Lifetime>> = vec![None; plan.slots.len()];
    let root = |slot: Slot| plan.slots[slot.index()].root.index();
    let arena = |i: usize| !matches!(plan.slots[i].storage, Storage::Parameter(_) | Storage::Base(_));
    let mut start = |slot: Slot, segment: usize, at: usize| {
        let i = root(slot);
        if arena(i) && lives[i].is_none() {
            lives[i] = Some(Lifetime { segment, from: at, to: at });
        }
    };
    let end_of_forward = plan.forward.len() + 1;
    plan.inputs.iter().chain(plan.references.iter().flatten()).for_each(|&s| start(s, 0, 0));
    for (i, step) in plan.steps[plan.forward.clone()].iter().enumerate() {
        step.writes.iter().flatten().for_each(|&s| start(s, 0, i + 1));
    }
    for (k, reverse) in plan.reverses.iter().enumerate() {
        start(reverse.seed, k + 1, end_of_forward);
        for (i, step) in plan.steps[reverse.steps.clone()].iter().enumerate() {
            step.writes.iter().flatten().for_each(|&s| start(s, k + 1, end_of_forward + 1 + i));
        }
    }
    let mut extend = |slot: Slot, segment: usize, at: usize| {
        if let Some(life) = &mut lives[root(slot)] {
            // A forward value that a reverse segment reads must survive every later run of that segment.
            let at = if life.segment == segment { at } else { usize::MAX };
            life.to = life.to.max(at);
        }
    };
    for (i, step) in plan.steps[plan.forward.clone()].iter().enumerate() {
        step.reads.iter().for_each(|&s| extend(s, 0, i + 1));
    }
    plan.captures.iter().chain(&plan.reference_captures).for_each(|&s| extend(s, 0, usize::MAX));
    for (k, reverse) in plan.reverses.iter().enumerate() {
        for (i, step) in plan.steps[reverse.steps.clone()].iter().enumerate() {
            step.reads.iter().for_each(|&s| extend(s, k + 1, end_of_forward + 1 + i));
        }
        reverse.results.iter().for_each(|&s| extend(s, k + 1, usize::MAX));
    }
    lives
}

/// Checks that no step writes over a value that is still needed: the planner's own invariant, by replaying the plan.
/// Returns the first pair of values that would collide.
pub(crate) fn collision(plan: &Plan) -> Option<(Slot, Slot)> {
    let lives = lifetimes(plan);
    let range = |i: usize| match plan.slots[i].storage {
        Storage::Arena(offset) => {
            let info = &plan.slots[i];
            Some((offset, offset + info.dtype.bytes(info.shape, plan.scalar_bytes)))
        }
        _ => None,
    };
    let live: Vec<(usize, Lifetime, (usize, usize))> =
        (0..lives.len()).filter_map(|i| Some((i, lives[i]?, range(i)?))).collect();
    for (n, a) in live.iter().enumerate() {
        for b in &live[..n] {
            if a.1.overlaps(&b.1) && a.2.0 < b.2.1 && b.2.0 < a.2.1 {
                return Some((Slot(a.0 as u32), Slot(b.0 as u32)));
            }
        }
    }
    None
}
