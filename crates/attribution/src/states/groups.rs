//! Which rows run together. Rows of one class do; rows of several are made to be of one where what is computed more costs less
//! than plans and weights that are made and read for few rows.

use super::Change;
use super::program::Row;
use std::collections::BTreeMap;
use voxplain_autodiff::{Class, CommonSizes, Regions};

/// Rows by their classes.
pub(super) type Classes = BTreeMap<Class, Vec<Row>>;

/// The rows that a pass costs beside its rows: its plan, and reading weights.
const BESIDE: f64 = 2.0;

/// The rows by their classes, and those whose change reaches no target.
pub(super) fn classed(regions: &Regions<'_>, changes: &[Change]) -> (Classes, Vec<usize>) {
    let (mut classes, mut same) = (Classes::new(), Vec::new());
    for (row, change) in changes.iter().enumerate() {
        match regions.place(change, &CommonSizes::default()) {
            Some((class, places)) => classes.entry(class).or_default().push((row, places)),
            None => same.push(row),
        }
    }
    (classes, same)
}

/// Rows of one class, as they lie in their inputs.
struct Member<'c> {
    class: &'c Class,
    /// The first entries along all axes of all inputs that change, of the class's first row.
    starts: Vec<usize>,
    rows: &'c [Row],
}

/// Some classes, the sizes that hold them all, and what their rows cost together.
struct Group<'m, 'c> {
    members: Vec<&'m Member<'c>>,
    common: CommonSizes,
    cost: f64,
}

/// The rows by fewer classes where that is cheaper.
pub(super) fn grouped(regions: &Regions<'_>, changes: &[Change], classes: Classes) -> Classes {
    if classes.len() < 2 {
        return classes;
    }
    let mut members: BTreeMap<Vec<bool>, Vec<Member<'_>>> = BTreeMap::new();
    for (class, rows) in &classes {
        let Some((first, _)) = rows.first() else { continue };
        let parts = &changes[*first];
        let starts = parts.iter().flatten().flatten().map(|r| r.start).collect();
        let inputs = parts.iter().map(Option::is_some).collect();
        members.entry(inputs).or_default().push(Member { class, starts, rows });
    }
    let mut made = Classes::new();
    for members in members.values() {
        let mut groups = vec![Group::new(regions, members.iter().collect())];
        while let Some(group) = groups.pop() {
            match group.cut(regions) {
                Some(halves) => groups.extend(halves),
                None => group.place(regions, changes, &mut made),
            }
        }
    }
    made
}

fn rows(members: &[&Member<'_>]) -> f64 {
    members.iter().map(|m| m.rows.len()).sum::<usize>() as f64
}

impl<'m, 'c> Group<'m, 'c> {
    fn new(regions: &Regions<'_>, members: Vec<&'m Member<'c>>) -> Self {
        let mut common = CommonSizes::default();
        members.iter().for_each(|m| common.include(m.class));
        let cost = regions.work(&common) * (rows(&members) + BESIDE);
        Self { members, common, cost }
    }

    /// Two groups that cost less, cut where they cost least.
    fn cut(&self, regions: &Regions<'_>) -> Option<[Self; 2]> {
        let axes = self.members.first()?.starts.len();
        let best = (0..axes).filter_map(|axis| self.best(regions, axis));
        let (cost, axis, at) = best.min_by(|a, b| a.0.total_cmp(&b.0))?;
        if cost >= self.cost {
            return None;
        }
        let (low, high) = self.members.iter().partition(|m| m.starts[axis] < at);
        Some([Self::new(regions, low), Self::new(regions, high)])
    }

    /// What both sides of the best cut along an axis cost, the axis, and where the second begins.
    fn best(&self, regions: &Regions<'_>, axis: usize) -> Option<(f64, usize, usize)> {
        let mut sorted = self.members.clone();
        sorted.sort_by_key(|m| m.starts[axis]);
        if sorted.first()?.starts[axis] == sorted.last()?.starts[axis] {
            return None;
        }
        let low = costs(regions, sorted.iter().copied());
        let high = costs(regions, sorted.iter().rev().copied());
        let cuts = (1..sorted.len()).filter(|&i| sorted[i - 1].starts[axis] < sorted[i].starts[axis]);
        let cost = |i: usize| (low[i - 1] + high[sorted.len() - 1 - i], axis, sorted[i].starts[axis]);
        cuts.map(cost).min_by(|a, b| a.0.total_cmp(&b.0))
    }

    /// Places the rows with boxes of common sizes.
    fn place(&self, regions: &Regions<'_>, changes: &[Change], made: &mut Classes) {
        if let [alone] = self.members[..] {
            made.entry(alone.class.clone()).or_default().extend(alone.rows.iter().cloned());
            return;
        }
        for (row, _) in self.members.iter().flat_map(|m| m.rows) {
            if let Some((class, places)) = regions.place(&changes[*row], &self.common) {
                made.entry(class).or_default().push((*row, places));
            }
        }
    }
}

/// What the first members cost together, for every number of them from one on.
fn costs<'m, 'c: 'm>(regions: &Regions<'_>, members: impl Iterator<Item = &'m Member<'c>>) -> Vec<f64> {
    let (mut common, mut count) = (CommonSizes::default(), 0);
    let one = |m: &Member<'_>| {
        common.include(m.class);
        count += m.rows.len();
        regions.work(&common) * (count as f64 + BESIDE)
    };
    members.map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use voxplain_graph::ops::ConvAttributes;
    use voxplain_graph::{Graph, GraphBuilder, Op};
    use voxplain_tensor::Result;

    fn convolutions() -> Result<Graph> {
        let mut b = GraphBuilder::new();
        let mut value = b.input("x", &[1, 4, 32, 32])?;
        for i in 0..4 {
            let weight = b.parameter(&format!("weight {i}"), &[4, 4, 3, 3], vec![0.0; 144])?;
            let conv =
                ConvAttributes { pads_begin: vec![1; 2], pads_end: vec![1; 2], ..ConvAttributes::plain(2) };
            value = b.node(&format!("conv {i}"), Op::Conv(conv), &[value, weight])?;
        }
        b.finish(&[value])
    }

    fn windows() -> Vec<Change> {
        let starts = (0..28).step_by(3);
        let window = |y: usize, x: usize| vec![Some(vec![0..1, 0..4, y..y + 4, x..x + 4])];
        starts.clone().flat_map(|y| starts.clone().map(move |x| window(y, x))).collect()
    }

    #[test]
    fn rows_near_borders_run_with_others_and_every_row_runs_once() -> Result<()> {
        let (graph, changes) = (convolutions()?, windows());
        let regions = Regions::new(&graph, graph.outputs()[0], [2; 3]);
        let (classes, same) = classed(&regions, &changes);
        assert!(same.is_empty());
        let before = classes.len();
        let groups = grouped(&regions, &changes, classes);
        assert!(2 * groups.len() < before, "{} of {before}", groups.len());
        let mut rows: Vec<usize> = groups.values().flatten().map(|row| row.0).collect();
        rows.sort_unstable();
        assert_eq!(rows, (0..changes.len()).collect::<Vec<_>>());
        Ok(())
    }

    #[test]
    fn a_large_change_is_not_what_small_ones_are_made_into() -> Result<()> {
        let (graph, mut changes) = (convolutions()?, windows());
        changes.push(vec![Some(vec![0..1, 0..4, 0..32, 0..32])]);
        let regions = Regions::new(&graph, graph.outputs()[0], [2; 3]);
        let (classes, _) = classed(&regions, &changes);
        let groups = grouped(&regions, &changes, classes);
        let largest = |rows: &Vec<Row>| rows.iter().any(|row| row.0 == changes.len() - 1);
        let beside: Vec<usize> = groups.values().filter(|rows| largest(rows)).map(Vec::len).collect();
        assert!(beside.len() == 1 && beside[0] < 5, "{beside:?}");
        Ok(())
    }
}
