//! Values of coalitions by what differs from a coalition whose state is known: all features, none of them, or the coalition
//! before, whose state is then moved along. Estimators that walk along orders of the features ask for neighbours one after the
//! other; of such a walk every step costs what its feature reaches.

use crate::changes::{Part, around, lines, shapes, union};
use crate::coalition::Coalition;
use crate::features::Features;
use crate::run::Finite;
use std::ops::Range;
use voxplain_attribution::{Change, Network, Seeds, States};
use voxplain_tensor::{Result, Scalar};

/// The states: all features, none, and one that moves.
const FULL: usize = 0;
const EMPTY: usize = 1;
const MOVING: usize = 2;

/// How much smaller a step has to be than the way from the ends for a walk to pay for its state.
const STEP: f64 = 0.6;

/// One example with the boxes of its features.
pub(crate) struct Known<S> {
    example: usize,
    shapes: Vec<Vec<usize>>,
    /// By input: the example and the baseline.
    inputs: Vec<Vec<S>>,
    fills: Vec<Vec<S>>,
    /// By feature and input: where example and baseline differ.
    boxes: Vec<Vec<Option<Part>>>,
    entered: [bool; 2],
    moving: Option<Coalition>,
}

/// How a coalition is evaluated.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Way {
    /// As a change of a state.
    From(usize),
    /// By moving the moving state.
    Step,
    /// By moving the moving state from an end, as which it is made.
    Start(usize),
}

impl<S: Scalar> Known<S> {
    /// The example with number `example`, given its inputs and baseline.
    pub fn new(
        network: &dyn Network<S>,
        features: &Features,
        example: usize,
        (inputs, fills): (Vec<Vec<S>>, Vec<Vec<S>>),
    ) -> Self {
        let shapes = shapes(network.graph());
        let entries = features.entries(example);
        let differs =
            |i: usize, at: usize| inputs[i][at].to_f64().to_bits() != fills[i][at].to_f64().to_bits();
        let one = |own: &Vec<(u32, u32)>, i: usize| {
            let here = own.iter().filter(|(input, _)| *input as usize == i).map(|&(_, at)| at as usize);
            around(&shapes[i], here.filter(|&at| differs(i, at)))
        };
        let boxes = entries.iter().map(|own| (0..shapes.len()).map(|i| one(own, i)).collect()).collect();
        Self { example, shapes, inputs, fills, boxes, entered: [false; 2], moving: None }
    }

    /// The example.
    pub fn example(&self) -> usize {
        self.example
    }

    /// The box around the features that `differ`.
    fn change(&self, differ: impl Fn(usize) -> bool) -> Change {
        let mut change: Change = vec![None; self.shapes.len()];
        for boxes in self.boxes.iter().enumerate().filter(|(f, _)| differ(*f)).map(|(_, b)| b) {
            for (all, own) in change.iter_mut().zip(boxes) {
                *all = match (all.take(), own) {
                    (Some(a), Some(b)) => Some(union(&a, b)),
                    (a, b) => a.or_else(|| b.clone()),
                };
            }
        }
        change
    }

    /// The share of the inputs that a change covers.
    fn size(&self, change: &Change) -> f64 {
        let entries = |part: &Part| part.iter().map(Range::len).product::<usize>() as f64;
        let changed: f64 = change.iter().flatten().map(entries).sum();
        changed / self.shapes.iter().map(|s| s.iter().product::<usize>() as f64).sum::<f64>()
    }

    /// The nearer end and the change from it.
    fn nearer_end(&self, coalition: &Coalition) -> (usize, Change) {
        let full = self.change(|f| !coalition.contains(f));
        let empty = self.change(|f| coalition.contains(f));
        if self.size(&full) <= self.size(&empty) { (FULL, full) } else { (EMPTY, empty) }
    }

    fn between(&self, a: &Coalition, b: &Coalition) -> Change {
        self.change(|f| a.contains(f) != b.contains(f))
    }

    /// How each coalition is evaluated, in their order, and its change.
    fn ways(&self, coalitions: &[&Coalition]) -> Vec<(Way, Change)> {
        let ends: Vec<(usize, Change)> = coalitions.iter().map(|c| self.nearer_end(c)).collect();
        let pays = |from: &Coalition, to: usize| {
            let step = self.between(from, coalitions[to]);
            (self.size(&step) < STEP * self.size(&ends[to].1)).then_some(step)
        };
        let mut moving = self.moving.clone();
        let mut ways = Vec::with_capacity(coalitions.len());
        for (at, coalition) in coalitions.iter().enumerate() {
            let step = moving.as_ref().and_then(|m| pays(m, at));
            let follows =
                |k: usize| at + k < coalitions.len() && pays(coalitions[at + k - 1], at + k).is_some();
            let way = match step {
                Some(step) => (Way::Step, step),
                // A state of its own is made where some steps use it.
                None if follows(1) && follows(2) && follows(3) => {
                    (Way::Start(ends[at].0), ends[at].1.clone())
                }
                None => (Way::From(ends[at].0), ends[at].1.clone()),
            };
            if !matches!(way.0, Way::From(_)) {
                moving = Some((*coalition).clone());
            }
            ways.push(way);
        }
        ways
    }

    /// Writes what input `i` has in a box when `coalition` is present.
    fn write(
        &self,
        features: &Features,
        coalition: &Coalition,
        i: usize,
        part: &[Range<usize>],
        into: &mut [S],
    ) {
        let labels = features.of(i, self.example);
        // What belongs to no feature has a number behind all of these.
        let present: Vec<bool> = (0..features.count()).map(|f| coalition.contains(f)).collect();
        let is_present = |label: u32| present.get(label as usize).copied().unwrap_or(true);
        let mut done = 0;
        lines(&self.shapes[i], part, |at, len| {
            let both = self.inputs[i][at..at + len].iter().zip(&self.fills[i][at..at + len]);
            let row = into[done..done + len].iter_mut().zip(&labels[at..at + len]);
            for ((into, &label), (&x, &fill)) in row.zip(both) {
                *into = if is_present(label) { x } else { fill };
            }
            done += len;
        });
    }

    /// The values of coalitions, until `sink` breaks off; `mixed` says whether their ground was laid.
    ///
    /// # Errors
    /// As [`States::evaluate`].
    pub fn values(
        &mut self,
        (states, mixed): (&mut dyn States<S>, bool),
        (features, seeds): (&Features, &Seeds<S>),
        coalitions: &[&Coalition],
        sink: &mut Finite<'_>,
    ) -> Result<()> {
        let n = self.example;
        let ways = self.ways(coalitions);
        for end in [FULL, EMPTY] {
            let picked: Vec<usize> = (0..ways.len()).filter(|&at| ways[at].0 == Way::From(end)).collect();
            if picked.is_empty() || sink.is_over() {
                continue;
            }
            self.enter(states, features, seeds, end)?;
            let changes: Vec<Change> = picked.iter().map(|&at| ways[at].1.clone()).collect();
            let mut fill = |row: usize, i: usize, part: &[Range<usize>], into: &mut [S]| {
                self.write(features, coalitions[picked[row]], i, part, into);
            };
            let mut take = |row: usize, v: &[S]| sink.take(picked[row], seeds.value(n, v));
            let mut numbers = |row: usize, _: usize, into: &mut [f64]| {
                let present = |f: usize| f64::from(u8::from(coalitions[picked[row]].contains(f)));
                into.iter_mut().enumerate().for_each(|(f, v)| *v = present(f));
            };
            match mixed {
                true => states.evaluate_mixed(end, &changes, &mut fill, &mut numbers, &mut take)?,
                false => states.evaluate(end, &changes, &mut fill, &mut take)?,
            }
        }
        let mut at = 0;
        while at < ways.len() && !sink.is_over() {
            match ways[at].0 {
                Way::From(_) => {
                    at += 1;
                    continue;
                }
                Way::Start(end) => {
                    self.enter(states, features, seeds, end)?;
                    states.enter_like(MOVING, end)?;
                }
                Way::Step => {}
            }
            let follow = ways[at + 1..].iter().take_while(|(way, _)| *way == Way::Step).count();
            let changes: Vec<Change> = ways[at..=at + follow].iter().map(|w| w.1.clone()).collect();
            let mut fill = |row: usize, i: usize, part: &[Range<usize>], into: &mut [S]| {
                self.write(features, coalitions[at + row], i, part, into);
            };
            let mut take = |row: usize, v: &[S]| sink.take(at + row, seeds.value(n, v));
            let moved = states.walk(MOVING, &changes, &mut fill, &mut take)?;
            if moved > 0 {
                self.moving = Some(coalitions[at + moved - 1].clone());
            }
            at += changes.len();
        }
        Ok(())
    }

    fn enter(
        &mut self,
        states: &mut dyn States<S>,
        features: &Features,
        seeds: &Seeds<S>,
        end: usize,
    ) -> Result<()> {
        if !self.entered[end] {
            let count = features.count();
            let coalition = if end == FULL { Coalition::full(count) } else { Coalition::empty(count) };
            let mut fill = |_: usize, i: usize, part: &[Range<usize>], into: &mut [S]| {
                self.write(features, &coalition, i, part, into);
            };
            states.enter(end, seeds.from, &mut fill)?;
            self.entered[end] = true;
        }
        Ok(())
    }
}
