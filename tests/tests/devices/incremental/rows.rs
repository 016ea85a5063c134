//! A state and rows that differ from it in boxes, evaluated by what changed, along a walk, and by full passes.

use std::ops::{ControlFlow, Range};
use voxplain::attribution::{Change, Engine, Network};
use voxplain::autodiff::Device;
use voxplain::graph::Graph;
use voxplain::tensor::{Scalar, Tensor};
use voxplain_tests::layers::numbers;

/// A box of an input by fractions of its axes.
fn part(shape: &[usize], fractions: &[(u8, u8)]) -> Vec<Range<usize>> {
    let along = |(i, &n): (usize, &usize)| {
        let (start, length) = fractions[i % fractions.len()];
        let start = usize::from(start) * n / 256;
        start..(start + 1 + usize::from(length) * n / 700).min(n)
    };
    shape.iter().enumerate().map(along).collect()
}

fn inside(shape: &[usize], part: &[Range<usize>], mut at: usize) -> bool {
    let mut inside = true;
    for a in (0..shape.len()).rev() {
        inside &= part[a].contains(&(at % shape[a]));
        at /= shape[a];
    }
    inside
}

/// The entries of `data` in a box.
pub fn cut<S: Scalar>(shape: &[usize], part: &[Range<usize>], data: &[S]) -> Vec<S> {
    (0..data.len()).filter(|&i| inside(shape, part, i)).map(|i| data[i]).collect()
}

/// The inputs of a state and of rows that differ from it in boxes.
pub struct Rows<S: Scalar> {
    pub shapes: Vec<Vec<usize>>,
    pub base: Vec<Vec<S>>,
    pub changes: Vec<Change>,
    rows: Vec<Vec<Vec<S>>>,
}

impl<S: Scalar> Rows<S> {
    pub fn new(graph: &Graph, boxes: &[Vec<(u8, u8)>]) -> Self {
        let shapes: Vec<Vec<usize>> = graph.inputs().iter().map(|&v| graph.shape(v).to_vec()).collect();
        let values = |seed: u64, i: usize| -> Vec<S> {
            let n = shapes[i].iter().product();
            numbers(seed + i as u64, n).iter().map(|&v| S::from_f64(f64::from(v))).collect()
        };
        let base: Vec<Vec<S>> = (0..shapes.len()).map(|i| values(11, i)).collect();
        let (mut changes, mut rows) = (Vec::new(), Vec::new());
        for (number, fractions) in boxes.iter().enumerate() {
            // Rows change one input, the next one, both in turn.
            let changed = |i: usize| shapes.len() == 1 || number % 3 == 2 || number % shapes.len() == i;
            let change: Change =
                (0..shapes.len()).map(|i| changed(i).then(|| part(&shapes[i], fractions))).collect();
            let mut row = base.clone();
            for (i, part) in change.iter().enumerate() {
                let Some(part) = part else { continue };
                let other = values(100 + 7 * number as u64, i);
                (0..other.len()).filter(|&k| inside(&shapes[i], part, k)).for_each(|k| row[i][k] = other[k]);
            }
            changes.push(change);
            rows.push(row);
        }
        Self { shapes, base, changes, rows }
    }

    /// The same rows that differ from the state where `keep` says so alone, by the place in the box, from 0 to 1 along each axis.
    pub fn thinned(mut self, keep: impl Fn(&[f64]) -> bool) -> Self {
        for (change, row) in self.changes.iter().zip(&mut self.rows) {
            for (i, part) in change.iter().enumerate() {
                let Some(part) = part else { continue };
                let shape = &self.shapes[i];
                for (k, value) in row[i].iter_mut().enumerate().filter(|(k, _)| inside(shape, part, *k)) {
                    let (mut at, mut place) = (k, vec![0.0; shape.len()]);
                    for a in (0..shape.len()).rev() {
                        place[a] = ((at % shape[a] - part[a].start) as f64 + 0.5) / part[a].len() as f64;
                        at /= shape[a];
                    }
                    *value = if keep(&place) { *value } else { self.base[i][k] };
                }
            }
        }
        self
    }

    /// The values of full passes.
    fn full<D: Device<Scalar = S>>(&self, device: &D, graph: &Graph) -> Vec<Vec<S>> {
        let mut engine = Engine::new(graph, device, None).with_full_passes();
        assert!(engine.states().is_none());
        let value = graph.outputs()[0];
        let one = |row: &Vec<Vec<S>>| {
            let inputs: Vec<Tensor<S>> =
                row.iter().zip(&self.shapes).map(|(d, s)| Tensor::new(s, d.clone()).unwrap()).collect();
            engine.values(&inputs, value).unwrap().remove(0)
        };
        std::iter::once(&self.base).chain(&self.rows).map(one).collect()
    }

    /// The same by what changed.
    fn partial<D: Device<Scalar = S>>(&self, device: &D, graph: &Graph, rows: usize) -> Vec<Vec<S>> {
        let mut engine = Engine::new(graph, device, None).with_rows(rows);
        let states = engine.states().unwrap();
        let mut all = vec![Vec::new(); self.rows.len() + 1];
        all[0] = states
            .enter(0, graph.outputs()[0], &mut |_, i, _, into| into.copy_from_slice(&self.base[i]))
            .unwrap();
        let mut fill = |row: usize, i: usize, part: &[Range<usize>], into: &mut [S]| {
            into.copy_from_slice(&cut(&self.shapes[i], part, &self.rows[row][i]));
        };
        states
            .evaluate(0, &self.changes, &mut fill, &mut |row, value| {
                all[row + 1] = value.to_vec();
                ControlFlow::Continue(())
            })
            .unwrap();
        assert!(states.bytes() > 0);
        all
    }

    /// The values along a walk: each row's change is made on top of those before.
    fn walk<D: Device<Scalar = S>>(&self, device: &D, graph: &Graph) -> (Vec<Vec<S>>, Vec<Vec<S>>) {
        let mut engine = Engine::new(graph, device, None);
        let states = engine.states().unwrap();
        let mut now = self.base.clone();
        states.enter(1, graph.outputs()[0], &mut |_, i, _, into| into.copy_from_slice(&now[i])).unwrap();
        states.enter_like(3, 1).unwrap();
        let mut inputs = Vec::new();
        for (change, row) in self.changes.iter().zip(&self.rows) {
            for (i, part) in change.iter().enumerate() {
                let Some(part) = part else { continue };
                let changed = |k: &usize| inside(&self.shapes[i], part, *k);
                (0..now[i].len()).filter(changed).for_each(|k| now[i][k] = row[i][k]);
            }
            inputs.push(now.clone());
        }
        // In two walks, the first of which is broken off.
        let mut values: Vec<Vec<S>> = Vec::new();
        let stop = self.rows.len() / 2;
        for last in [stop, usize::MAX] {
            let done = values.len();
            let mut fill = |row: usize, i: usize, part: &[Range<usize>], into: &mut [S]| {
                into.copy_from_slice(&cut(&self.shapes[i], part, &inputs[done + row][i]));
            };
            let mut take = |row: usize, value: &[S]| {
                assert_eq!(values.len(), done + row, "values come in the order of rows");
                values.push(value.to_vec());
                if row < last { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
            };
            let moved = states.walk(3, &self.changes[done..], &mut fill, &mut take).unwrap();
            assert_eq!(values.len(), done + moved);
        }
        let walked =
            Self { shapes: self.shapes.clone(), base: inputs[0].clone(), changes: vec![], rows: inputs };
        let full = walked.full(device, graph);
        (values, full[1..].to_vec())
    }
}

fn bits<S: Scalar>(values: &[Vec<S>]) -> Vec<Vec<u64>> {
    values.iter().map(|row| row.iter().map(|v| v.to_f64().to_bits()).collect()).collect()
}

fn compare(how: &str, got: &[Vec<u64>], full: &[Vec<u64>]) {
    for (row, (a, b)) in got.iter().zip(full).enumerate() {
        let at = a.iter().zip(b).position(|(a, b)| a != b);
        let values = at.map(|at| [a, b].map(|v| f64::from_bits(v[at])));
        assert!(at.is_none(), "row {row}, entry {at:?} {how} and by a full pass: {values:?}");
    }
    assert_eq!(got.len(), full.len());
}

pub fn check<D: Device>(device: &D, graph: &Graph, boxes: &[Vec<(u8, u8)>], batch: usize) {
    check_rows(device, graph, &Rows::new(graph, boxes), batch);
}

pub fn check_rows<D: Device>(device: &D, graph: &Graph, rows: &Rows<D::Scalar>, batch: usize) {
    let full = bits(&rows.full(device, graph));
    compare("by what changed", &bits(&rows.partial(device, graph, batch)), &full);
    let (walked, full) = rows.walk(device, graph);
    compare("along a walk", &bits(&walked), &bits(&full));
}
