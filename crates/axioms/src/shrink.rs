//! From a program that shows something to a smaller one that still does.

use crate::program::{Program, Step};

/// The most programs that are tried.
const TRIES: usize = 4000;

/// The smallest program that greedy steps find for which `shows` is true; `start` must be one. Behind a step that did it goes on
/// with the next ones, round and round: what did not show before seldom does now.
pub fn smallest(start: Program, shows: &mut dyn FnMut(&Program) -> bool) -> Program {
    let mut best = start;
    let (mut list, mut at, mut tries, mut failed) = (smaller(&best), 0, 0, 0);
    while failed < list.len() && tries < TRIES {
        let candidate = &list[at % list.len()];
        let bold = candidate.size() < best.size();
        tries += usize::from(bold);
        if bold && shows(candidate) {
            best = candidate.clone();
            (list, failed) = (smaller(&best), 0);
        } else {
            (at, failed) = (at + 1, failed + 1);
        }
    }
    best
}

/// Programs that are smaller in one respect, the boldest first.
fn smaller(p: &Program) -> Vec<Program> {
    let mut out = Vec::new();
    let mut with = |change: &dyn Fn(&mut Program)| {
        let mut q = p.clone();
        change(&mut q);
        out.push(q);
    };
    for (a, b) in (0..p.steps.len()).flat_map(|a| [(a, a + 2), (a, a + 1)]) {
        if b <= p.steps.len() {
            with(&|q| drop(q.steps.drain(a..b)));
        }
    }
    with(&|q| q.width = 1);
    with(&|q| q.channels = 2);
    with(&|q| q.apart = false);
    with(&|q| q.biased = false);
    for (i, step) in p.steps.iter().enumerate() {
        match *step {
            Step::Layer(n) if n > 1 => with(&|q| q.steps[i] = Step::Layer(n - 1)),
            Step::MaxPool(true) => with(&|q| q.steps[i] = Step::MaxPool(false)),
            _ => {}
        }
    }
    for (which, rest) in [(0, 1i8), (1, 1), (2, 0)] {
        let length = list(&mut p.clone(), which).len();
        with(&|q| list(q, which).clear());
        with(&|q| list(q, which).truncate(length / 2));
        with(&|q| list(q, which).truncate(length.saturating_sub(1)));
        for i in 0..length {
            with(&|q| {
                list(q, which).remove(i);
            });
            with(&|q| list(q, which)[i] = rest);
            with(&|q| list(q, which)[i] = 0);
            with(&|q| {
                let value = &mut list(q, which)[i];
                *value -= (*value - rest).signum();
            });
        }
    }
    out
}

fn list(p: &mut Program, which: usize) -> &mut Vec<i8> {
    match which {
        0 => &mut p.weights,
        1 => &mut p.x,
        _ => &mut p.r,
    }
}
