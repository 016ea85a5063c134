//! Evaluation of many inputs that differ from a known one in parts, by what the parts can reach where the network can do
//! that, and by full passes where it cannot. What differs is found by comparing, never assumed: a window over background that
//! is the baseline already changes nothing, and costs nothing.

use crate::methods::scores;
use crate::run::{Finite, Sink};
use std::ops::Range;
use voxplain_attribution::{Change, Network, Seeds};
use voxplain_graph::Graph;
use voxplain_tensor::{ErrorKind, Result, Scalar};

/// A box of one input.
pub(crate) type Part = Vec<Range<usize>>;

/// Inputs by their number, of which any box can be written.
pub(crate) trait Rows<S> {
    /// How many there are.
    fn count(&self) -> usize;

    /// Where row `row` may differ from the known input. The box is made smaller where it does not.
    fn candidate(&self, row: usize) -> Change;

    /// Writes the known input `input`.
    fn known(&self, input: usize, into: &mut [S]);

    /// Writes the entries of `input` of row `row` in a box.
    fn write(&self, row: usize, input: usize, part: &[Range<usize>], into: &mut [S]);
}

/// The state that rows are changes of.
const STATE: usize = 0;

/// The sizes of one example of every input.
pub(crate) fn shapes(graph: &Graph) -> Vec<Vec<usize>> {
    graph.inputs().iter().map(|&v| graph.shape(v).to_vec()).collect()
}

/// The box of everything.
pub(crate) fn whole(shape: &[usize]) -> Part {
    shape.iter().map(|&n| 0..n).collect()
}

/// Calls `line(first, length)` for the contiguous entries of a box of an array, in order.
pub(crate) fn lines(shape: &[usize], part: &[Range<usize>], mut line: impl FnMut(usize, usize)) {
    let Some((last, outer)) = part.split_last() else { return line(0, 1) };
    let count: usize = outer.iter().map(Range::len).product();
    for mut i in 0..count {
        let (mut at, mut scale) = (0, shape[outer.len()]);
        for a in (0..outer.len()).rev() {
            let span = outer[a].len();
            at += (outer[a].start + i % span) * scale;
            scale *= shape[a];
            i /= span;
        }
        line(at + last.start, last.len());
    }
}

/// The entries of a box of an array.
pub(crate) fn copy_box<S: Scalar>(shape: &[usize], part: &[Range<usize>], from: &[S], into: &mut [S]) {
    let mut done = 0;
    lines(shape, part, |at, len| {
        into[done..done + len].copy_from_slice(&from[at..at + len]);
        done += len;
    });
}

/// Writes the entries of `from`, an array, that lie in `over` into the values of the box `part`.
pub(crate) fn overlay<S: Scalar>(
    shape: &[usize],
    part: &[Range<usize>],
    over: &[Range<usize>],
    from: &[S],
    into: &mut [S],
) {
    let both: Part = part.iter().zip(over).map(|(a, b)| a.start.max(b.start)..a.end.min(b.end)).collect();
    if both.iter().any(|r| r.start >= r.end) {
        return;
    }
    let sizes: Vec<usize> = part.iter().map(Range::len).collect();
    let inner: Part = both.iter().zip(part).map(|(b, p)| b.start - p.start..b.end - p.start).collect();
    let mut places = Vec::new();
    lines(&sizes, &inner, |at, _| places.push(at));
    let mut next = places.into_iter();
    lines(shape, &both, |at, len| {
        if let Some(to) = next.next() {
            into[to..to + len].copy_from_slice(&from[at..at + len]);
        }
    });
}

/// Where entry `at` of an array lies in a box of it, if it does.
fn place(shape: &[usize], part: &[Range<usize>], mut at: usize) -> Option<usize> {
    let (mut place, mut scale) = (0, 1);
    for (range, n) in part.iter().zip(shape).rev() {
        let k = at % n;
        at /= n;
        place += k.checked_sub(range.start).filter(|_| k < range.end)? * scale;
        scale *= range.len();
    }
    Some(place)
}

/// Calls `inside(entry, place)` for those of some entries of an array that lie in a box of it. Those that follow each other in
/// a row cost no divisions.
pub(crate) fn places(
    shape: &[usize],
    part: &[Range<usize>],
    entries: impl Iterator<Item = usize>,
    mut inside: impl FnMut(usize, usize),
) {
    let (Some(&width), Some(columns)) = (shape.last(), part.last()) else { return };
    // The entries of the last row that lie in the box, and the place of the first.
    let (mut row, mut here, mut first) = (0..0, 0..0, 0);
    for at in entries {
        if !row.contains(&at) {
            let start = at / width * width;
            row = start..start + width;
            let begin = start + columns.start;
            let place = if columns.is_empty() { None } else { place(shape, part, begin) };
            (here, first) = place.map_or((0..0, 0), |place| (begin..start + columns.end, place));
        }
        if here.contains(&at) {
            inside(at, first + at - here.start);
        }
    }
}

/// The smallest box around entries of an array. Those that follow each other in a row cost no divisions.
pub(crate) fn around(shape: &[usize], entries: impl Iterator<Item = usize>) -> Option<Part> {
    let width = *shape.last()?;
    let mut found: Option<Part> = None;
    let mut place = vec![0; shape.len()];
    let (mut row, mut columns) = (0..0, 0..0);
    let mut join = |row: &Range<usize>, columns: &Range<usize>| {
        if columns.is_empty() {
            return;
        }
        let mut at = row.start;
        for (k, n) in place.iter_mut().zip(shape).rev() {
            (*k, at) = (at % n, at / n);
        }
        let part = found.get_or_insert_with(|| {
            let outer = place.iter().take(shape.len() - 1).map(|&k| k..k + 1);
            outer.chain([columns.clone()]).collect()
        });
        for (range, &k) in part.iter_mut().zip(&place[..shape.len() - 1]) {
            *range = range.start.min(k)..range.end.max(k + 1);
        }
        if let Some(last) = part.last_mut() {
            *last = last.start.min(columns.start)..last.end.max(columns.end);
        }
    };
    for at in entries {
        if !row.contains(&at) {
            join(&row, &columns);
            let start = at / width * width;
            (row, columns) = (start..start + width, at - start..at - start + 1);
        }
        let column = at - row.start;
        columns = columns.start.min(column)..columns.end.max(column + 1);
    }
    join(&row, &columns);
    found
}

/// The smallest box around two.
pub(crate) fn union(a: &[Range<usize>], b: &[Range<usize>]) -> Part {
    a.iter().zip(b).map(|(a, b)| a.start.min(b.start)..a.end.max(b.end)).collect()
}

/// The smallest box around the entries of `part` at which two lists, of the entries of `part`, have different bits.
pub(crate) fn differing<S: Scalar>(part: &[Range<usize>], a: &[S], b: &[S]) -> Option<Part> {
    let mut found: Option<Part> = None;
    let different = |(_, (a, b)): &(usize, (&S, &S))| a.to_f64().to_bits() != b.to_f64().to_bits();
    for (mut i, _) in a.iter().zip(b).enumerate().filter(different) {
        let mut at = vec![0; part.len()];
        for axis in (0..part.len()).rev() {
            at[axis] = part[axis].start + i % part[axis].len();
            i /= part[axis].len();
        }
        let around = found.get_or_insert_with(|| at.iter().map(|&k| k..k + 1).collect());
        for (range, k) in around.iter_mut().zip(at) {
            *range = range.start.min(k)..range.end.max(k + 1);
        }
    }
    found
}

/// The changes of all rows, as small as they are, given the known inputs.
fn changes<S: Scalar>(rows: &dyn Rows<S>, shapes: &[Vec<usize>], known: &[Vec<S>]) -> Vec<Change> {
    let (mut own, mut there) = (Vec::new(), Vec::new());
    let mut smallest = |row: usize, input: usize, part: &Part| {
        let n = part.iter().map(Range::len).product();
        own.resize(n, S::ZERO);
        rows.write(row, input, part, &mut own);
        there.clear();
        lines(&shapes[input], part, |at, len| there.extend_from_slice(&known[input][at..at + len]));
        differing(part, &own, &there)
    };
    let one = |row: usize| -> Change {
        let candidates = rows.candidate(row).into_iter().enumerate();
        candidates.map(|(i, part)| part.and_then(|p| smallest(row, i, &p))).collect()
    };
    (0..rows.count()).map(one).collect()
}

/// The known input that an estimator's rows differ from, as long as it is the same example.
#[derive(Default)]
pub(crate) struct Reference<S> {
    example: Option<usize>,
    known: Vec<Vec<S>>,
    /// There was no room for a state.
    refused: bool,
}

impl<S: Scalar> Reference<S> {
    /// The explained value of every row, of example `n`, until `sink` breaks off.
    ///
    /// # Errors
    /// A value is not finite, or as [`Network::run`].
    pub fn values(
        &mut self,
        network: &mut dyn Network<S>,
        (seeds, n): (&Seeds<S>, usize),
        rows: &dyn Rows<S>,
        sink: Sink<'_>,
    ) -> Result<()> {
        match self.by_changes(network, (seeds, n), rows, sink) {
            Ok(true) => Ok(()),
            Ok(false) => by_full_passes(network, (seeds, n), rows, sink),
            Err(error) if error.kind() == ErrorKind::Limit => {
                self.refused = true;
                self.leave(network);
                by_full_passes(network, (seeds, n), rows, sink)
            }
            Err(error) => Err(error),
        }
    }

    /// Gives back what the network holds of the known input.
    pub fn leave(&mut self, network: &mut dyn Network<S>) {
        self.example = None;
        if let Some(states) = network.states() {
            states.leave();
        }
    }

    fn by_changes(
        &mut self,
        network: &mut dyn Network<S>,
        (seeds, n): (&Seeds<S>, usize),
        rows: &dyn Rows<S>,
        sink: Sink<'_>,
    ) -> Result<bool> {
        let shapes = shapes(network.graph());
        let Some(states) = network.states().filter(|_| !self.refused) else { return Ok(false) };
        if self.example != Some(n) {
            self.known = (0..shapes.len()).map(|i| known_input(rows, i, &shapes[i])).collect();
            states.enter(STATE, seeds.from, &mut |_, i, _, into| into.copy_from_slice(&self.known[i]))?;
            self.example = Some(n);
        }
        let changes = changes(rows, &shapes, &self.known);
        let mut sink = Finite::new(sink);
        let mut fill =
            |row: usize, i: usize, part: &[Range<usize>], into: &mut [S]| rows.write(row, i, part, into);
        states.evaluate(STATE, &changes, &mut fill, &mut |row, v| sink.take(row, seeds.value(n, v)))?;
        sink.finish().map(|()| true)
    }
}

fn known_input<S: Scalar>(rows: &dyn Rows<S>, input: usize, shape: &[usize]) -> Vec<S> {
    let mut data = vec![S::ZERO; shape.iter().product()];
    rows.known(input, &mut data);
    data
}

fn by_full_passes<S: Scalar>(
    network: &mut dyn Network<S>,
    (seeds, n): (&Seeds<S>, usize),
    rows: &dyn Rows<S>,
    sink: Sink<'_>,
) -> Result<()> {
    let shapes = shapes(network.graph());
    let mut write = |row: usize, i: usize, into: &mut [S]| rows.write(row, i, &whole(&shapes[i]), into);
    scores(network, (seeds, n), rows.count(), &mut write, sink)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_box_is_as_small_as_what_differs() {
        let part = [2..4, 10..13];
        let a = [0.0f64, 1.0, 2.0, 3.0, 4.0, 5.0];
        let b = [0.0f64, 1.0, 2.0, 3.5, 4.5, 5.0];
        assert_eq!(differing(&part, &a, &b), Some(vec![3..4, 10..12]));
        assert_eq!(differing(&part, &a, &a), None);
        // 0 and -0 are equal numbers and different operands.
        let one = Range { start: 0, end: 1 };
        let part = std::slice::from_ref(&one);
        assert_eq!(differing(part, &[0.0f64], &[-0.0]).as_deref(), Some(part));
    }

    #[test]
    fn entries_lie_where_one_by_one_they_do() {
        let shape = [2, 3, 5];
        for part in [[0..2, 1..3, 1..4], [1..2, 0..1, 0..5], [0..1, 2..2, 0..5], [0..2, 0..3, 3..3]] {
            // In order, against it, and from row to row.
            let orders: [Vec<usize>; 3] =
                [(0..30).collect(), (0..30).rev().collect(), (0..30).map(|i| i * 7 % 30).collect()];
            for order in orders {
                let mut found = Vec::new();
                places(&shape, &part, order.iter().copied(), |at, place| found.push((at, place)));
                let one = |&at: &usize| Some((at, place(&shape, &part, at)?));
                assert_eq!(found, order.iter().filter_map(one).collect::<Vec<_>>(), "{part:?}");
            }
        }
        assert_eq!(around(&shape, [29, 16, 18].into_iter()), Some(vec![1..2, 0..3, 1..5]));
        assert_eq!(around(&shape, [7].into_iter()), Some(vec![0..1, 1..2, 2..3]));
        assert_eq!(around(&shape, std::iter::empty()), None);
    }

    #[test]
    fn lines_visit_a_box_in_order() {
        let mut seen = Vec::new();
        lines(&[2, 3, 4], &[1..2, 0..2, 1..3], |at, len| seen.push((at, len)));
        assert_eq!(seen, [(13, 2), (17, 2)]);
    }
}
